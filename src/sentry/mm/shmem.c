/* Files whose pages are the only store: memfd_create(2), shared anonymous memory, and the file half of tmpfs. */
#include "sentry/mm/shmem.h"

#include <asm/errno.h>
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <linux/stat.h>

#include "base/string.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/internal.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"
#include "sentry/vfs/transfer.h"

#define SEALS_ALL (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

static const struct file_ops shmem_file_ops;

/* Our own inodes keep their seals in inode->flags; a tmpfs file cannot have any. */
static bool sealable(const struct inode *inode)
{
	return inode->fop == &shmem_file_ops;
}

static u32 seals_of(const struct inode *inode)
{
	return sealable(inode) ? inode->flags : 0;
}

/* ---- file operations ---- */

long shmem_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	long done = mapping_read(file->inode->mapping, *pos, to, READ_ONCE(file->inode->size));

	if (done > 0) {
		*pos += (u64)done;
		touch_atime(file);
	}
	return done;
}

static void touch_mtime(struct inode *inode)
{
	inode->mtime = inode->ctime = current_time();
	inode->version++;
}

long shmem_write(struct file *file, struct iov_iter *from, u64 *pos)
{
	struct inode *inode = file->inode;
	struct iov_iter part;
	long done = 0;
	u32 seals;

	mutex_lock(&inode->lock);
	if (file_appends(file))
		*pos = inode->size;
	seals = seals_of(inode);
	part = *from;
	if (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		done = -EPERM;
	else if ((s64)*pos < 0 || *pos + from->count < *pos || (s64)(*pos + from->count) < 0)
		done = -EFBIG;
	else if ((seals & F_SEAL_GROW) && *pos + from->count > inode->size) {
		if (*pos >= inode->size)
			done = -EPERM;
		else
			part.count = inode->size - *pos;
	}
	if (!done) {
		done = mapping_write(inode->mapping, *pos, &part);
		if (done > 0) {
			iov_iter_advance(from, (size_t)done);
			*pos += (u64)done;
			touch_mtime(inode);
			inode->blocks = inode->mapping->nrpages * 8;
		}
	}
	mutex_unlock(&inode->lock);
	return done == -ENOMEM ? -ENOSPC : done;
}

static s64 seek_data_hole(struct inode *inode, u64 off, bool data)
{
	u64 size = inode->size, last = (size + PAGE_SIZE - 1) >> PAGE_SHIFT, page;

	if (off >= size)
		return -ENXIO;
	page = mapping_next(inode->mapping, off >> PAGE_SHIFT, last - 1, data);
	if (page >= last)
		return data ? -ENXIO : (s64)size;
	return (s64)MAX(off, page << PAGE_SHIFT);
}

s64 shmem_llseek(struct file *file, s64 off, int whence)
{
	struct inode *inode = file->inode;
	s64 ret;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return generic_file_llseek(file, off, whence);
	if (off < 0)
		return -ENXIO;
	mutex_lock(&inode->lock);
	ret = seek_data_hole(inode, (u64)off, whence == SEEK_DATA);
	mutex_unlock(&inode->lock);
	if (ret >= 0)
		file->pos = (u64)ret;
	return ret;
}

int shmem_mmap(struct file *file, struct vma *vma)
{
	u32 seals = seals_of(file->inode);

	if ((seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) && (vma->flags & VM_SHARED)) {
		if (vma->flags & VM_WRITE)
			return -EPERM;
		vma->flags &= ~VM_MAYWRITE;
	}
	vma->ops = &filemap_vm_ops;
	touch_atime(file);
	return 0;
}

int shmem_fsync(struct file *file, bool data_only)
{
	return 0;
}

static int punch(struct inode *inode, u64 off, u64 len)
{
	u64 end = off + len;

	if (seals_of(inode) & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EPERM;
	mapping_punch(inode->mapping, off, end);
	return 0;
}

static int preallocate(struct inode *inode, u32 mode, u64 off, u64 len)
{
	u64 end = off + len;

	if ((seals_of(inode) & F_SEAL_GROW) && end > inode->size)
		return -EPERM;
	if (!overcommit_ok((end - off) >> PAGE_SHIFT))
		return -ENOSPC;
	for (u64 i = off >> PAGE_SHIFT; i < (end + PAGE_SIZE - 1) >> PAGE_SHIFT; i++) {
		struct page *page = mapping_get_page(inode->mapping, i, true);

		if (IS_ERR(page))
			return -ENOSPC;
		page_put(page);
		if (signal_pending())
			return -EINTR;
	}
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > inode->size)
		inode->size = end;
	return 0;
}

int shmem_fallocate(struct file *file, u32 mode, u64 off, u64 len)
{
	struct inode *inode = file->inode;
	int err;

	if (mode & ~(u32)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
		return -EOPNOTSUPP;
	mutex_lock(&inode->lock);
	if (mode & FALLOC_FL_PUNCH_HOLE)
		err = punch(inode, off, len);
	else
		err = preallocate(inode, mode, off, len);
	if (!err)
		touch_mtime(inode);
	inode->blocks = inode->mapping->nrpages * 8;
	mutex_unlock(&inode->lock);
	return err;
}

int shmem_set_size(struct inode *inode, u64 size)
{
	u32 seals = seals_of(inode);
	u64 old = inode->size;

	if ((size < old && (seals & F_SEAL_SHRINK)) || (size > old && (seals & F_SEAL_GROW)))
		return -EPERM;
	WRITE_ONCE(inode->size, size); /* first, so that no fault brings a page beyond the end back */
	if (size < old)
		mapping_truncate(inode->mapping, size);
	inode->blocks = inode->mapping->nrpages * 8;
	return 0;
}

static int shmem_setattr(struct inode *inode, const struct iattr *attr)
{
	if (attr->valid & ATTR_SIZE) {
		int err = shmem_set_size(inode, attr->size);

		if (err)
			return err;
		touch_mtime(inode);
	}
	if (attr->valid & ATTR_MODE)
		inode->mode = (inode->mode & S_IFMT) | (attr->mode & 07777);
	if (attr->valid & ATTR_UID)
		inode->uid = attr->uid;
	if (attr->valid & ATTR_GID)
		inode->gid = attr->gid;
	if (attr->valid & ATTR_ATIME)
		inode->atime = attr->valid & ATTR_ATIME_SET ? attr->atime : current_time();
	if (attr->valid & ATTR_MTIME)
		inode->mtime = attr->valid & ATTR_MTIME_SET ? attr->mtime : current_time();
	inode->ctime = current_time();
	return 0;
}

static const struct file_ops shmem_file_ops = {
	.read = shmem_read,
	.write = shmem_write,
	.llseek = shmem_llseek,
	.mmap = shmem_mmap,
	.fsync = shmem_fsync,
	.fallocate = shmem_fallocate,
};
static const struct inode_ops shmem_inode_ops = { .setattr = shmem_setattr };

/* ---- making them ---- */

static struct file *shmem_open_new(const char *name, u64 size, u32 mode, u32 seals)
{
	struct inode *inode;
	struct mapping *m;
	struct file *file;

	inode = anon_inode_new(S_IFREG | mode);
	if (IS_ERR_OR_NULL(inode))
		return ERR_PTR(inode ? PTR_ERR(inode) : -ENOMEM);
	m = kmalloc(sizeof(*m));
	if (!m) {
		inode_put(inode);
		return ERR_PTR(-ENOMEM);
	}
	mapping_init(m, inode, NULL);
	inode->mapping = m;
	inode->size = size;
	inode->flags = seals;
	inode->nlink = 0;
	inode->blksize = PAGE_SIZE;
	inode->iop = &shmem_inode_ops;
	inode->fop = &shmem_file_ops;
	inode->uid = current->cred->fsuid;
	inode->gid = current->cred->fsgid;
	inode->atime = inode->mtime = inode->ctime = inode->btime = current_time();
	file = file_on_inode(inode, name, &shmem_file_ops, NULL, O_RDWR | O_LARGEFILE); /* takes the inode reference */
	if (!IS_ERR_OR_NULL(file))
		file->mode |= FMODE_READ | FMODE_WRITE | FMODE_LSEEK | FMODE_PREAD;
	return file ? file : ERR_PTR(-ENOMEM);
}

struct file *shmem_file_new(const char *name, u64 size)
{
	return shmem_open_new(name, size, 0777, F_SEAL_SEAL);
}

/* A shared mapping of /dev/zero is shared anonymous memory; zero(4). */
int shmem_zero_setup(struct vma *vma)
{
	struct file *file = shmem_file_new("/dev/zero (deleted)", vma->end - vma->start);

	if (IS_ERR(file))
		return (int)PTR_ERR(file);
	file_put(vma->file);
	vma->file = file;
	vma->pgoff = 0;
	vma->ops = &filemap_vm_ops;
	return 0;
}

static const struct file_ops secret_file_ops;

void shmem_evict(struct inode *inode)
{
	if (!inode->mapping || (!sealable(inode) && inode->fop != &secret_file_ops))
		return;
	mapping_destroy(inode->mapping);
	kfree(inode->mapping);
	inode->mapping = NULL;
}

/* ---- seals ---- */

/* A file of a tmpfs is shared memory that was sealed when it was made. */
static bool on_tmpfs(const struct inode *inode)
{
	return inode->sb->magic == TMPFS_MAGIC && S_ISREG(inode->mode);
}

long shmem_get_seals(struct file *file)
{
	if (sealable(file->inode))
		return (long)file->inode->flags;
	return on_tmpfs(file->inode) ? F_SEAL_SEAL : -EINVAL;
}

long shmem_add_seals(struct file *file, u32 seals)
{
	struct inode *inode = file->inode;
	long err = 0;

	if (!(file->mode & FMODE_WRITE))
		return -EPERM;
	if (seals & ~SEALS_ALL)
		return -EINVAL;
	if (!sealable(inode))
		return on_tmpfs(inode) ? -EPERM : -EINVAL;
	mutex_lock(&inode->lock);
	mutex_lock(&inode->mapping->i_mmap_lock);
	if (inode->flags & F_SEAL_SEAL)
		err = -EPERM;
	else if ((seals & F_SEAL_WRITE) && !(inode->flags & F_SEAL_WRITE) && inode->mapping->writecount_shared > 0)
		err = -EBUSY;
	else
		inode->flags |= seals;
	mutex_unlock(&inode->mapping->i_mmap_lock);
	mutex_unlock(&inode->lock);
	return err;
}

/* ---- memfd_create ---- */

#define MEMFD_NAME_MAX 249
#define MEMFD_PREFIX "/memfd:"
#define MEMFD_SUFFIX " (deleted)"

SYSCALL2(memfd_create, u64, uname, u32, flags)
{
	char name[sizeof(MEMFD_PREFIX) + MEMFD_NAME_MAX + sizeof(MEMFD_SUFFIX) + 2] = MEMFD_PREFIX;
	size_t prefix = sizeof(MEMFD_PREFIX) - 1;
	struct file *file;
	long len;
	s32 fd;

	if (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | (flags & MFD_HUGETLB ? (u32)MFD_HUGE_MASK << MFD_HUGE_SHIFT : 0)))
		return -EINVAL;
	len = strncpy_from_user(name + prefix, uname, MEMFD_NAME_MAX + 1);
	if (len < 0)
		return len == -ENAMETOOLONG ? -EINVAL : len;
	if (flags & MFD_HUGETLB)
		return -ENOSYS;
	kstrlcpy(name + prefix + len, MEMFD_SUFFIX, sizeof(name) - prefix - (size_t)len);
	file = shmem_open_new(name, 0, 0777, flags & MFD_ALLOW_SEALING ? 0 : F_SEAL_SEAL);
	if (IS_ERR(file))
		return PTR_ERR(file);
	fd = fd_alloc_install(file, flags & MFD_CLOEXEC ? O_CLOEXEC : 0, 0);
	if (fd < 0)
		file_put(file);
	return fd;
}

/* ---- memfd_secret(2): memory that only its own mappings reach ---- */

static int secret_mmap(struct file *file, struct vma *vma)
{
	if (!(vma->flags & (VM_SHARED | VM_MAYSHARE)))
		return -EINVAL;
	if (mlock_future_check(vma->mm, vma->flags | VM_LOCKED, vma->end - vma->start))
		return -EAGAIN;
	vma->flags |= VM_LOCKED | VM_DONTDUMP | VM_IO; /* VM_IO: not for ptrace(2), process_vm_readv(2) and their like */
	vma->ops = &filemap_vm_ops;
	return 0;
}

/* Its size is set once. */
static int secret_setattr(struct inode *inode, const struct iattr *attr)
{
	return attr->valid & ATTR_SIZE && inode->size ? -EINVAL : shmem_setattr(inode, attr);
}

static const struct file_ops secret_file_ops = { .mmap = secret_mmap };
static const struct inode_ops secret_inode_ops = { .setattr = secret_setattr };

SYSCALL1(memfd_secret, u32, flags)
{
	struct file *file;
	s32 fd;

	if (flags & ~(u32)O_CLOEXEC)
		return -EINVAL;
	file = shmem_open_new("/secretmem (deleted)", 0, 0600, F_SEAL_SEAL);
	if (IS_ERR(file))
		return PTR_ERR(file);
	file->inode->iop = &secret_inode_ops;
	file->inode->fop = file->fop = &secret_file_ops;
	file->mode &= ~(u32)(FMODE_LSEEK | FMODE_PREAD);
	fd = fd_alloc_install(file, flags & O_CLOEXEC, 0);
	if (fd < 0)
		file_put(file);
	return fd;
}
