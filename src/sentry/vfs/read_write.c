/* read(2), write(2) and their vectored and positioned forms; lseek(2). */
#include <asm/signal.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/resource.h>
#include <linux/stat.h>

#include "sentry/sys/syscall.h"
#include "sentry/vfs/fanotify.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/transfer.h"

long vfs_read(struct file *f, struct iov_iter *it, u64 *pos)
{
	long ret;

	if (!(f->mode & FMODE_READ))
		return -EBADF;
	if (!f->fop || !f->fop->read)
		return f->inode && S_ISDIR(f->inode->mode) ? -EISDIR : -EINVAL;
	if (unlikely(notify_watches) && !(f->mode & FMODE_NONOTIFY) && f->path.dentry && fanotify_permission(&f->path, FAN_ACCESS_PERM))
		return -EPERM;
	ret = f->fop->read(f, it, pos);
	if (ret > 0)
		notify_file(f, IN_ACCESS);
	return ret;
}

/* RLIMIT_FSIZE: clip, or SIGXFSZ and -EFBIG; setrlimit(2). */
static long check_size_limit(struct file *f, struct iov_iter *it, u64 pos)
{
	u64 limit = rlimit(RLIMIT_FSIZE);

	if (limit == ~0ull || !S_ISREG(f->inode->mode) || pos + it->count <= limit)
		return 0;
	if (pos >= limit && it->count) {
		send_signal_task(current, SIGXFSZ, SEND_SIG_PRIV);
		return -EFBIG;
	}
	it->count = limit - pos;
	return 0;
}

/* Who may not set the bits himself takes them away by writing; write(2), inode(7). */
static void drop_set_ids(struct file *f)
{
	struct inode *i = f->inode;
	u32 bits = (i->mode & S_ISUID) | (i->mode & S_IXGRP ? i->mode & S_ISGID : 0);
	struct iattr a = { .valid = ATTR_MODE | ATTR_FORCE, .mode = i->mode & ~bits & 07777 };

	if (S_ISREG(i->mode) && bits && !capable(CAP_FSETID))
		notify_change(f->path.dentry, &a);
}

long vfs_write(struct file *f, struct iov_iter *it, u64 *pos)
{
	long err;

	if (!(f->mode & FMODE_WRITE))
		return -EBADF;
	if (!f->fop || !f->fop->write)
		return -EINVAL;
	err = check_size_limit(f, it, file_appends(f) ? f->inode->size : *pos);
	if (err)
		return err;
	if (unlikely(f->inode->mode & (S_ISUID | S_ISGID)))
		drop_set_ids(f);
	err = f->fop->write(f, it, pos);
	if (err > 0)
		notify_file(f, IN_MODIFY);
	if (err > 0 && unlikely(f->flags & O_DSYNC) && f->fop->fsync) {
		long synced = f->fop->fsync(f, !(f->flags & (O_SYNC & ~O_DSYNC)));

		err = synced ? synced : err;
	}
	return err;
}

/* Run one read or write at the file's own position, which stays put for others meanwhile. */
static long at_position(struct fd fd, struct iov_iter *it, bool write)
{
	struct file *f = fd.file;
	bool alone = !fd.counted && refcount_read(&f->ref) == 1;
	u64 pos = 0;
	long ret;

	if (!(f->mode & FMODE_LSEEK))
		return write ? vfs_write(f, it, &pos) : vfs_read(f, it, &pos);
	if (!alone)
		mutex_lock(&f->pos_lock);
	pos = f->pos;
	if (unlikely((s64)pos > INT64_MAX - (s64)it->count) && (s64)pos >= 0)
		ret = -EINVAL;
	else
		ret = write ? vfs_write(f, it, &pos) : vfs_read(f, it, &pos);
	if (ret >= 0)
		f->pos = pos;
	if (!alone)
		mutex_unlock(&f->pos_lock);
	return ret;
}

static long rw_one(s32 fd, u64 buf, u64 n, bool write)
{
	struct fd f = fdget(fd);
	struct iovec_k iov;
	struct iov_iter it;
	long ret = -EBADF;

	if (!f.file)
		return ret;
	if (f.file->mode & (write ? FMODE_WRITE : FMODE_READ))
		ret = iov_iter_user(&it, &iov, buf, n);
	if (!ret)
		ret = at_position(f, &it, write);
	fdput(f);
	return ret;
}

SYSCALL3(read, s32, fd, u64, buf, u64, n) { return rw_one(fd, buf, n, false); }
SYSCALL3(write, s32, fd, u64, buf, u64, n) { return rw_one(fd, buf, n, true); }

/* A positioned transfer; pos is checked by the callers. */
static long rw_at(struct file *f, struct iov_iter *it, s64 pos, bool write)
{
	u64 at = (u64)pos;

	if (!(f->mode & FMODE_PREAD))
		return -ESPIPE;
	if (pos > INT64_MAX - (s64)it->count)
		return -EINVAL; /* the end would have no place */
	return write ? vfs_write(f, it, &at) : vfs_read(f, it, &at);
}

static long prw_one(s32 fd, u64 buf, u64 n, s64 pos, bool write)
{
	struct iovec_k iov;
	struct iov_iter it;
	struct fd f;
	long ret;

	if (pos < 0)
		return -EINVAL;
	f = fdget(fd);
	if (!f.file)
		return -EBADF;
	if (!(f.file->mode & FMODE_PREAD))
		ret = -ESPIPE;
	else if (!(f.file->mode & (write ? FMODE_WRITE : FMODE_READ)))
		ret = -EBADF;
	else
		ret = iov_iter_user(&it, &iov, buf, n);
	if (!ret)
		ret = rw_at(f.file, &it, pos, write);
	fdput(f);
	return ret;
}

SYSCALL4(pread64, s32, fd, u64, buf, u64, n, s64, pos) { return prw_one(fd, buf, n, pos, false); }
SYSCALL4(pwrite64, s32, fd, u64, buf, u64, n, s64, pos) { return prw_one(fd, buf, n, pos, true); }

/* Vectored; pos -1: the file's own position. flags are preadv2(2)'s. */
static long rw_vector(s32 fd, u64 uvec, u64 nr, s64 pos, bool use_pos, bool write)
{
	struct iovec_k fast[8], *storage;
	struct iov_iter it;
	struct fd f = fdget(fd);
	long ret;

	if (!f.file)
		return -EBADF;
	if (!(f.file->mode & (write ? FMODE_WRITE : FMODE_READ)))
		ret = -EBADF;
	else if (nr > IOV_MAX_K)
		ret = -EINVAL;
	else
		ret = iov_iter_import(&it, uvec, (u32)nr, fast, &storage);
	if (!ret) {
		ret = use_pos ? rw_at(f.file, &it, pos, write) : at_position(f, &it, write);
		if (storage != fast)
			kfree(storage);
	}
	fdput(f);
	return ret;
}

SYSCALL3(readv, s32, fd, u64, uvec, u64, nr) { return rw_vector(fd, uvec, nr, 0, false, false); }
SYSCALL3(writev, s32, fd, u64, uvec, u64, nr) { return rw_vector(fd, uvec, nr, 0, false, true); }
SYSCALL4(preadv, s32, fd, u64, uvec, u64, nr, s64, pos)
{
	return pos < 0 ? -EINVAL : rw_vector(fd, uvec, nr, pos, true, false);
}
SYSCALL4(pwritev, s32, fd, u64, uvec, u64, nr, s64, pos)
{
	return pos < 0 ? -EINVAL : rw_vector(fd, uvec, nr, pos, true, true);
}

long vfs_rw_flags(const struct file *f, u32 flags, bool write)
{
	if (flags & ~(u32)(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND))
		return -EOPNOTSUPP;
	/* A write into the page cache may always wait; a read of it is taken not to. */
	return flags & RWF_NOWAIT && write && !f->fop->poll ? -EOPNOTSUPP : 0;
}

long vfs_rw(struct file *f, struct iov_iter *it, s64 pos, u32 flags, bool write)
{
	u32 before = current->rwf;
	long ret = vfs_rw_flags(f, flags, write);

	if (ret)
		return ret;
	current->rwf = flags & (RWF_NOWAIT | (write ? RWF_APPEND : 0));
	if (pos != -1)
		ret = rw_at(f, it, pos, write);
	else
		ret = at_position((struct fd){ f, true }, it, write);
	current->rwf = before;
	if (ret > 0 && write && flags & (RWF_DSYNC | RWF_SYNC) && f->fop->fsync) {
		long synced = f->fop->fsync(f, !(flags & RWF_SYNC));

		ret = synced ? synced : ret;
	}
	return ret;
}

static long rw_vector2(s32 fd, u64 uvec, u64 nr, s64 pos, u32 flags, bool write)
{
	struct iovec_k fast[8], *storage;
	struct iov_iter it;
	struct file *f;
	long ret = 0;

	if (pos < -1)
		return -EINVAL;
	f = fget(fd);
	if (!f)
		return -EBADF;
	if (!(f->mode & (write ? FMODE_WRITE : FMODE_READ)))
		ret = -EBADF;
	else if (nr > IOV_MAX_K)
		ret = -EINVAL;
	else
		ret = iov_iter_import(&it, uvec, (u32)nr, fast, &storage);
	if (!ret) {
		ret = vfs_rw(f, &it, pos, flags, write);
		if (storage != fast)
			kfree(storage);
	}
	file_put(f);
	return ret;
}

SYSCALL6(preadv2, s32, fd, u64, uvec, u64, nr, s64, pos, u64, high, u32, flags)
{
	return rw_vector2(fd, uvec, nr, pos, flags, false);
}
SYSCALL6(pwritev2, s32, fd, u64, uvec, u64, nr, s64, pos, u64, high, u32, flags)
{
	return rw_vector2(fd, uvec, nr, pos, flags, true);
}

/* ---- positions ---- */

s64 generic_file_llseek(struct file *f, s64 off, int whence)
{
	s64 base, pos;

	switch (whence) {
	case SEEK_SET:
		base = 0;
		break;
	case SEEK_CUR:
		base = (s64)f->pos;
		break;
	case SEEK_END:
		base = (s64)f->inode->size;
		break;
	case SEEK_DATA:
		if (off < 0 || (u64)off >= f->inode->size)
			return -ENXIO;
		base = 0;
		break;
	case SEEK_HOLE:
		if (off < 0 || (u64)off >= f->inode->size)
			return -ENXIO;
		off = (s64)f->inode->size;
		base = 0;
		break;
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(base, off, &pos) || pos < 0)
		return -EINVAL;
	f->pos = (u64)pos;
	return pos;
}

/* Descriptors without a position, but for which lseek(2) does not fail: eventfd(2), timerfd_create(2) and their like. */
s64 noop_llseek(struct file *f, s64 off, int whence) { return (s64)f->pos; }

SYSCALL3(lseek, s32, fd, s64, off, s32, whence)
{
	struct fd ref = fdget(fd);
	struct file *f = ref.file;
	s64 ret;

	if (!f)
		return -EBADF;
	if (whence < 0 || whence > SEEK_HOLE) {
		ret = -EINVAL;
	} else if (!(f->mode & FMODE_LSEEK)) {
		ret = f->fop->llseek == noop_llseek && !(f->mode & FMODE_PATH) ? 0 : -ESPIPE;
	} else {
		mutex_lock(&f->pos_lock);
		ret = f->fop->llseek(f, off, whence);
		mutex_unlock(&f->pos_lock);
	}
	fdput(ref);
	return ret;
}

/* ---- for the sentry's own use ---- */

long kernel_read(struct file *f, void *buf, size_t n, u64 pos)
{
	struct iovec_k iov;
	struct iov_iter it;
	u64 at = pos;

	if (!f->fop || !f->fop->read)
		return -EINVAL;
	iov_iter_kernel(&it, &iov, buf, n);
	return f->fop->read(f, &it, &at);
}

long kernel_write(struct file *f, const void *buf, size_t n, u64 pos)
{
	struct iovec_k iov;
	struct iov_iter it;
	u64 at = pos;

	iov_iter_kernel(&it, &iov, (void *)buf, n);
	return vfs_write(f, &it, &at);
}
