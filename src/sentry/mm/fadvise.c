/* posix_fadvise(2), readahead(2), remap_file_pages(2). */
#include <asm/errno.h>
#include <linux/fadvise.h>
#include <linux/mman.h>
#include <linux/stat.h>

#include "sentry/kernel/task.h"
#include "sentry/mm/internal.h"
#include "sentry/mm/pagecache.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"

long file_fadvise(struct file *file, u64 off, s64 len, s32 advice)
{
	struct mapping *m = file->inode->mapping;
	u64 end = len ? off + (u64)len : ~0ull, first = off >> PAGE_SHIFT, last;

	if ((file->inode->mode & S_IFMT) == S_IFIFO)
		return -ESPIPE;
	if (len < 0)
		return -EINVAL;
	if (end < off)
		end = ~0ull;
	last = (end - 1) >> PAGE_SHIFT;
	switch (advice) {
	case POSIX_FADV_NORMAL:
	case POSIX_FADV_RANDOM:
	case POSIX_FADV_SEQUENTIAL:
	case POSIX_FADV_NOREUSE:
		return 0;
	case POSIX_FADV_WILLNEED:
		if (m)
			mapping_readahead(m, first, MIN(last - first + 1, 1024ul));
		return 0;
	case POSIX_FADV_DONTNEED:
		if (m)
			mapping_writeback_range(m, first, last);
		return 0;
	default:
		return -EINVAL;
	}
}

SYSCALL4(fadvise64, s32, fd, u64, off, s64, len, s32, advice)
{
	struct file *file = fget(fd);
	long ret;

	if (!file)
		return -EBADF;
	ret = file_fadvise(file, off, len, advice);
	file_put(file);
	return ret;
}

SYSCALL3(readahead, s32, fd, u64, off, u64, len)
{
	struct file *file = fget(fd);
	long ret = 0;

	if (!file)
		return -EBADF;
	if (!(file->mode & FMODE_READ))
		ret = -EBADF;
	else if ((file->inode->mode & S_IFMT) != S_IFREG || !file->inode->mapping || (s64)len < 0)
		ret = -EINVAL;
	else
		mapping_readahead(file->inode->mapping, off >> PAGE_SHIFT, MIN((len + PAGE_SIZE - 1) >> PAGE_SHIFT, 1024ul));
	file_put(file);
	return ret;
}

/* The file and the rights of a shared mapping that covers the range; NULL: none does. */
static struct file *shared_file_at(struct mm *mm, u64 start, u64 len, u32 *prot)
{
	struct file *file = NULL;
	struct vma *vma;

	down_read(&mm->lock);
	vma = vma_find(mm, start);
	if (vma && vma->start <= start && vma->end >= start + len && (vma->flags & VM_SHARED) && vma->file) {
		file = file_get(vma->file);
		*prot = (vma->flags & VM_READ ? PROT_READ : 0) | (vma->flags & VM_WRITE ? PROT_WRITE : 0) |
			(vma->flags & VM_EXEC ? PROT_EXEC : 0);
	}
	up_read(&mm->lock);
	return file;
}

/* A nonlinear mapping is made of ordinary ones, as in Linux since 4.0. */
SYSCALL5(remap_file_pages, u64, start, u64, len, u64, prot, u64, pgoff, u64, flags)
{
	struct mm *mm = current->mm;
	struct file *file;
	u32 now = 0;
	long ret;

	start &= PAGE_MASK;
	len &= PAGE_MASK;
	if (prot || start + len <= start || pgoff + (len >> PAGE_SHIFT) < pgoff)
		return -EINVAL;
	file = shared_file_at(mm, start, len, &now);
	if (!file)
		return -EINVAL;
	ret = mm_mmap(mm, start, len, now, MAP_SHARED | MAP_FIXED | ((u32)flags & MAP_NONBLOCK ? 0 : MAP_POPULATE), file,
		      pgoff << PAGE_SHIFT);
	file_put(file);
	return ret < 0 ? ret : 0;
}
