/* madvise(2) and process_madvise(2). */
#include <asm/errno.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <linux/mman.h>

#include "base/log.h"
#include "base/string.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/internal.h"
#include "sentry/mm/pagecache.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"

/* Advice that changes VM_ flags: what to set and what to clear. */
struct flag_advice {
	s32 advice;
	u32 set, clear;
};
static const struct flag_advice flag_advices[] = {
	{ MADV_NORMAL, 0, VM_RAND_READ | VM_SEQ_READ },
	{ MADV_RANDOM, VM_RAND_READ, VM_SEQ_READ },
	{ MADV_SEQUENTIAL, VM_SEQ_READ, VM_RAND_READ },
	{ MADV_DONTFORK, VM_DONTCOPY, 0 },
	{ MADV_DOFORK, 0, VM_DONTCOPY },
	{ MADV_WIPEONFORK, VM_WIPEONFORK, 0 },
	{ MADV_KEEPONFORK, 0, VM_WIPEONFORK },
	{ MADV_DONTDUMP, VM_DONTDUMP, 0 },
	{ MADV_DODUMP, 0, VM_DONTDUMP },
	{ MADV_HUGEPAGE, VM_HUGEPAGE, VM_NOHUGEPAGE },
	{ MADV_NOHUGEPAGE, VM_NOHUGEPAGE, VM_HUGEPAGE },
};

static const struct flag_advice *flag_advice(s32 advice)
{
	for (u32 i = 0; i < ARRAY_SIZE(flag_advices); i++)
		if (flag_advices[i].advice == advice)
			return &flag_advices[i];
	return NULL;
}

static bool known_advice(s32 advice)
{
	switch (advice) {
	case MADV_WILLNEED:
	case MADV_DONTNEED:
	case MADV_DONTNEED_LOCKED:
	case MADV_FREE:
	case MADV_REMOVE:
	case MADV_MERGEABLE:
	case MADV_UNMERGEABLE:
	case MADV_COLD:
	case MADV_PAGEOUT:
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		return true;
	default:
		return flag_advice(advice) != NULL;
	}
}

static long advise_flags(struct vma *vma, u64 start, u64 end, const struct flag_advice *a)
{
	struct mm *mm = vma->mm;
	u32 flags = (vma->flags & ~a->clear) | a->set;

	if ((a->advice == MADV_DOFORK || a->advice == MADV_DODUMP) && (vma->flags & VM_IO))
		return -EINVAL;
	if (a->advice == MADV_WIPEONFORK && (vma->file || (vma->flags & VM_SHARED)))
		return -EINVAL;
	if (flags == vma->flags)
		return 0;
	if (mm->nvmas >= MAX_MAP_COUNT || vma_split_range(mm, start, end))
		return -ENOMEM;
	for (vma = vma_find(mm, start); vma && vma->start < end; vma = vma_next(vma))
		vma->flags = (vma->flags & ~a->clear) | a->set;
	return 0;
}

static long advise_dontneed(struct vma *vma, u64 start, u64 end, s32 advice)
{
	if (vma->flags & VM_IO)
		return -EINVAL;
	if ((vma->flags & VM_LOCKED) && advice != MADV_DONTNEED_LOCKED)
		return -EINVAL;
	if (advice == MADV_FREE && !vma_is_anon(vma))
		return -EINVAL;
	/* Pages freed lazily may go at any time; they go now. */
	zap_range(vma->mm, start, end, false);
	vma->fault_lo = vma->fault_hi = 0;
	return 0;
}

static long advise_willneed(struct vma *vma, u64 start, u64 end)
{
	struct mapping *m = vma_mapping(vma);

	if (m)
		mapping_readahead(m, vma_pgoff(vma, start), (end - start) >> PAGE_SHIFT);
	return 0;
}

/* One VMA's part. mm->lock is held, for writing when flags change. */
static long advise_vma(struct vma *vma, u64 start, u64 end, s32 advice)
{
	const struct flag_advice *a = flag_advice(advice);

	if (a)
		return advise_flags(vma, start, end, a);
	switch (advice) {
	case MADV_DONTNEED:
	case MADV_DONTNEED_LOCKED:
	case MADV_FREE:
		return advise_dontneed(vma, start, end, advice);
	case MADV_WILLNEED:
		return advise_willneed(vma, start, end);
	case MADV_COLD:
	case MADV_PAGEOUT:
		return vma->flags & (VM_LOCKED | VM_IO) ? -EINVAL : 0;
	default:
		return 0;
	}
}

/* madvise(MADV_REMOVE) is a hole punched into the file, which takes inode locks: mm->lock may not be held. */
static long advise_remove(struct mm *mm, u64 start, u64 end)
{
	long err = 0;

	while (start < end && !err) {
		struct file *file = NULL;
		struct vma *vma;
		u64 off = 0, stop = end;

		down_read(&mm->lock);
		vma = vma_find(mm, start);
		if (!vma || vma->start > start)
			err = -ENOMEM;
		else if (vma->flags & VM_LOCKED)
			err = -EINVAL;
		else if (!vma->file || !vma->file->fop->fallocate)
			err = -EINVAL;
		else if ((vma->flags & (VM_SHARED | VM_WRITE)) != (VM_SHARED | VM_WRITE))
			err = -EACCES;
		if (!err) {
			file = file_get(vma->file);
			off = vma_pgoff(vma, start) << PAGE_SHIFT;
			stop = MIN(end, vma->end);
		}
		up_read(&mm->lock);
		if (file) {
			err = file->fop->fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, stop - start);
			file_put(file);
		}
		start = stop;
	}
	return err;
}

static long advise_populate(struct mm *mm, u64 start, u64 end, bool write)
{
	long err = 0;

	down_read(&mm->lock);
	while (start < end && !err) {
		struct vma *vma = vma_find(mm, start);

		if (!vma || vma->start > start) {
			err = -ENOMEM;
			break;
		}
		if ((vma->flags & VM_IO) || !(vma->flags & (write ? VM_WRITE : VM_READ | VM_WRITE | VM_EXEC))) {
			err = -EINVAL;
			break;
		}
		for (; start < MIN(end, vma->end) && !err; start += PAGE_SIZE) {
			err = handle_fault(mm, vma, start, write);
			if (err > 0)
				err = -EFAULT;
			if (fatal_signal_pending())
				err = -EINTR;
		}
	}
	up_read(&mm->lock);
	return err == -ENXIO ? -EFAULT : err;
}

/* Walk the VMAs of the range; holes are passed over and reported at the end. */
static long advise_range(struct mm *mm, u64 start, u64 end, s32 advice)
{
	bool exclusive = flag_advice(advice) != NULL;
	u64 first = start;
	long err = 0, unmapped = 0;

	if (exclusive)
		down_write(&mm->lock);
	else
		down_read(&mm->lock);
	while (start < end && !err) {
		struct vma *vma = vma_find(mm, start);
		u64 stop;

		if (!vma) {
			unmapped = -ENOMEM;
			break;
		}
		if (vma->start > start) {
			unmapped = -ENOMEM;
			start = vma->start;
			if (start >= end)
				break;
		}
		stop = MIN(vma->end, end);
		err = advise_vma(vma, start, stop, advice);
		start = stop;
	}
	if (exclusive) {
		vma_merge_range(mm, first, end);
		up_write(&mm->lock);
	} else {
		up_read(&mm->lock);
	}
	return err ? err : unmapped;
}

static long do_madvise(struct mm *mm, u64 start, u64 len, s32 advice)
{
	u64 end;

	if ((advice == MADV_HWPOISON || advice == MADV_SOFT_OFFLINE) && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (!known_advice(advice))
		return -EINVAL;
	if (start & ~PAGE_MASK)
		return -EINVAL;
	len = PAGE_ALIGN_UP(len);
	end = start + len;
	if (end < start)
		return -EINVAL;
	if (end == start)
		return 0;
	if (advice == MADV_REMOVE)
		return advise_remove(mm, start, end);
	if (advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE)
		return advise_populate(mm, start, end, advice == MADV_POPULATE_WRITE);
	return advise_range(mm, start, end, advice);
}

SYSCALL3(madvise, u64, start, u64, len, s32, advice)
{
	if (len && !PAGE_ALIGN_UP(len))
		return -EINVAL;
	return do_madvise(current->mm, start, len, advice);
}

/* prctl(2) PR_SET_VMA_ANON_NAME; kept as /proc/pid/maps shows it. */
long mm_set_anon_name(u64 start, u64 len, const char *name)
{
	struct mm *mm = current->mm;
	char shown[96];
	u64 end;
	long err = 0;

	if (start & ~PAGE_MASK)
		return -EINVAL;
	end = start + PAGE_ALIGN_UP(len);
	if (end < start || (len && !PAGE_ALIGN_UP(len)))
		return -EINVAL;
	if (end == start)
		return 0;
	if (name)
		ksnprintf(shown, sizeof(shown), "[anon:%s]", name);
	down_write(&mm->lock);
	if (vma_split_range(mm, start, end))
		err = -ENOMEM;
	for (u64 at = start; at < end && !err;) {
		struct vma *vma = vma_find(mm, at);
		char *copy = NULL;

		if (!vma || vma->start >= end || vma->start > at)
			err = -ENOMEM;
		else if (vma->file)
			err = -EBADF;
		else if (name && !(copy = kstrdup(shown)))
			err = -ENOMEM;
		if (err)
			break;
		kfree(vma->anon_name);
		vma->anon_name = copy;
		at = vma->end;
	}
	vma_merge_range(mm, start, end);
	up_write(&mm->lock);
	return err;
}

/* A live task of the process that a pidfd names, and its memory. */
static struct task *pidfd_task(s32 pidfd, struct mm **mm)
{
	u32 file_flags;
	struct pid *pid = pidfd_get(pidfd, &file_flags);
	struct task *t;

	if (IS_ERR(pid))
		return (struct task *)pid;
	t = pid_task_get(pid);
	pid_put(pid);
	if (!t)
		return ERR_PTR(-ESRCH);
	*mm = task_get_mm(t);
	if (*mm)
		return t;
	task_put(t);
	return ERR_PTR(-ESRCH);
}

SYSCALL5(process_madvise, s32, pidfd, u64, uvec, u64, nr, s32, advice, u64, flags)
{
	struct iovec_k fast[8], *storage;
	struct iov_iter it;
	struct task *task;
	struct mm *mm;
	long err, done = 0;

	if (flags || nr > IOV_MAX_K)
		return -EINVAL;
	err = iov_iter_import(&it, uvec, (u32)nr, fast, &storage);
	if (err)
		return err;
	task = pidfd_task(pidfd, &mm);
	err = IS_ERR(task) ? PTR_ERR(task) : 0;
	if (!err) {
		if (advice != MADV_COLD && advice != MADV_PAGEOUT && advice != MADV_WILLNEED)
			err = -EINVAL;
		else if (mm != current->mm && !capable(CAP_SYS_NICE))
			err = -EPERM;
		for (u32 i = 0; i < it.nr && !err; i++) {
			err = do_madvise(mm, it.iov[i].base, it.iov[i].len, advice);
			if (!err)
				done += (long)it.iov[i].len;
		}
		mm_users_put(mm);
		task_put(task);
	}
	if (storage != fast)
		kfree(storage);
	return done ? done : err;
}

/* A dying process gives its memory back by itself here; only the checks are left (process_mrelease(2)). */
SYSCALL2(process_mrelease, s32, pidfd, u64, flags)
{
	struct task *task;
	struct mm *mm;
	long err = 0;

	if (flags)
		return -EINVAL;
	task = pidfd_task(pidfd, &mm);
	if (IS_ERR(task))
		return PTR_ERR(task);
	if (!(task->proc->flags & PROC_GROUP_EXIT))
		err = -EINVAL;
	mm_users_put(mm);
	task_put(task);
	return err;
}
