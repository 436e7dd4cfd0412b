/* Operations on files and names. Those that name files are the system calls of that name. */
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>

#include "sentry/sys/syscall.h"
#include "sentry/uring/uring.h"

#define CALL(name, ...) ({ long sys_##name(const struct sysargs *); sys_##name(&(struct sysargs){ { __VA_ARGS__ } }); })

/* ---- reading and writing ---- */

static bool is_write(u32 op)
{
	return op == IORING_OP_WRITE || op == IORING_OP_WRITEV || op == IORING_OP_WRITE_FIXED;
}

long prep_rw(struct req *q)
{
	q->nowait = q->sqe.rw_flags & RWF_NOWAIT;
	return q->sqe.ioprio ? ioprio_check(q->sqe.ioprio) : 0;
}

/* The vector is read once: the application may use its memory again (IORING_FEAT_SUBMIT_STABLE). */
static long import(struct req *q)
{
	u64 addr = q->sqe.addr;
	u32 len = q->sqe.len, op = q->sqe.opcode;
	struct iov_iter it;
	long err;

	if (op == IORING_OP_READV || op == IORING_OP_WRITEV) {
		struct iovec_k fast[8], *storage;

		err = iov_iter_import(&it, addr, len, fast, &storage);
		if (err)
			return err;
		if (storage == fast) {
			storage = len == 1 ? &q->iov1 : kmalloc(MAX(len, 1u) * sizeof(fast[0]));
			if (!storage)
				return -ENOMEM;
			memcpy(storage, fast, len * sizeof(fast[0]));
		}
		q->iov = storage;
		q->niov = len;
		return 0;
	}
	if (op == IORING_OP_READ_FIXED || op == IORING_OP_WRITE_FIXED) {
		if (!fixed_buf_covers(q->ring, q->sqe.buf_index, addr, len))
			return -EFAULT;
	}
	err = iov_iter_user(&it, &q->iov1, addr, len);
	q->iov = err ? NULL : &q->iov1;
	q->niov = 1;
	return err;
}

long rw_import_early(struct req *q)
{
	return q->sqe.flags & IOSQE_BUFFER_SELECT ? 0 : import(q);
}

static long pick_buffer(struct req *q)
{
	u32 len = q->sqe.len;
	u64 addr;
	long err;

	if (q->sqe.opcode == IORING_OP_READV) {
		struct iovec_k v;

		if (len != 1)
			return -EINVAL;
		if (copy_from_user(&v, q->sqe.addr, sizeof(v)))
			return -EFAULT;
		len = (u32)v.len;
	}
	err = buf_pick(q, &addr, &len);
	if (!err)
		q->iov1 = (struct iovec_k){ addr, len };
	q->iov = &q->iov1;
	q->niov = 1;
	return err;
}

long issue_rw(struct req *q, bool may_block)
{
	bool write = is_write(q->sqe.opcode), select = q->sqe.flags & IOSQE_BUFFER_SELECT;
	struct file *f = q->file;
	u64 total = 0;
	u32 flags = q->sqe.rw_flags;
	struct iov_iter it;
	s64 pos = (s64)q->sqe.off;
	long ret = 0;

	if (!(f->mode & (write ? FMODE_WRITE : FMODE_READ)))
		return -EBADF;
	if (q->ring->flags & IORING_SETUP_IOPOLL && (!(f->flags & O_DIRECT) || !S_ISREG(f->inode->mode)))
		return -EOPNOTSUPP;
	if (select && !q->has_buf)
		ret = pick_buffer(q);
	else if (!q->iov)
		ret = import(q);
	if (ret)
		return ret;
	if (pos < -1)
		return -EINVAL;
	if (!(f->mode & FMODE_PREAD))
		pos = -1;
	for (u32 i = 0; i < q->niov; i++)
		total += q->iov[i].len;
	it = (struct iov_iter){ .iov = q->iov, .nr = q->niov, .count = total };
	if (!may_block && f->fop->poll)
		flags |= RWF_NOWAIT;
	ret = vfs_rw(f, &it, pos, flags, write);
	if (ret >= 0 && (u64)ret != total)
		q->failed = true; /* what is linked to it counts on all of it */
	return ret;
}

/* ---- on an open file ---- */

long issue_fsync(struct req *q, bool may_block)
{
	if (q->sqe.addr || q->sqe.buf_index || q->sqe.splice_fd_in || q->sqe.fsync_flags & ~IORING_FSYNC_DATASYNC)
		return -EINVAL;
	return q->file->fop->fsync ? q->file->fop->fsync(q->file, q->sqe.fsync_flags & IORING_FSYNC_DATASYNC) : -EINVAL;
}

long issue_sync_range(struct req *q, bool may_block)
{
	if (q->sqe.addr || q->sqe.buf_index || q->sqe.splice_fd_in)
		return -EINVAL;
	return file_sync_range(q->file, (s64)q->sqe.off, q->sqe.len, q->sqe.sync_range_flags);
}

long issue_fallocate(struct req *q, bool may_block)
{
	if (q->sqe.buf_index || q->sqe.rw_flags || q->sqe.splice_fd_in)
		return -EINVAL;
	if (!may_block) /* it may take long; and RLIMIT_FSIZE is told by the result alone */
		return IOU_PUNT;
	return file_fallocate(q->file, q->sqe.len, (s64)q->sqe.off, (s64)q->sqe.addr);
}

long issue_fadvise(struct req *q, bool may_block)
{
	if (q->sqe.buf_index || q->sqe.addr || q->sqe.splice_fd_in)
		return -EINVAL;
	return file_fadvise(q->file, q->sqe.off, q->sqe.len, (s32)q->sqe.fadvise_advice);
}

long issue_madvise(struct req *q, bool may_block)
{
	if (q->sqe.buf_index || q->sqe.off || q->sqe.splice_fd_in)
		return -EINVAL;
	return CALL(madvise, q->sqe.addr, q->sqe.len, q->sqe.fadvise_advice);
}

long issue_splice(struct req *q, bool may_block)
{
	u32 flags = q->sqe.splice_flags & ~SPLICE_F_FD_IN_FIXED, known = 15;
	u64 in_off = q->sqe.splice_off_in, out_off = q->sqe.off;
	struct file *in;
	long ret;

	if (q->sqe.opcode == IORING_OP_TEE && (in_off || out_off))
		return -EINVAL;
	if (flags & ~known)
		return -EINVAL;
	if (!may_block) /* a pipe can only be waited for by doing it */
		return IOU_PUNT;
	in = q->sqe.splice_flags & SPLICE_F_FD_IN_FIXED ? fixed_file(q->ring, (u32)q->sqe.splice_fd_in) : fget(q->sqe.splice_fd_in);
	if (!in)
		return -EBADF;
	if (q->sqe.opcode == IORING_OP_TEE)
		ret = q->sqe.len ? tee_files(in, q->file, q->sqe.len, flags) : 0;
	else
		ret = q->sqe.len ? splice_files(in, in_off == ~0ull ? NULL : &in_off, q->file, out_off == ~0ull ? NULL : &out_off,
						q->sqe.len, flags) : 0;
	file_put(in);
	if (ret != (long)q->sqe.len)
		q->failed = true;
	return ret;
}

/* ---- on names ---- */

/* A new descriptor becomes a registered file instead. */
static long into_slot(struct req *q, long fd)
{
	struct file *f = fd < 0 ? NULL : fget_raw((s32)fd);

	if (!f)
		return fd;
	fd_close((s32)fd);
	return fixed_install(q->ring, f, q->sqe.file_index);
}

/* Opening a FIFO waits for the other side: not where the submitter would. */
static bool open_may_wait(s32 dirfd, u64 uname, u64 flags)
{
	struct path p;
	bool fifo;

	if (flags & (O_NONBLOCK | O_PATH) || (flags & O_ACCMODE) == O_RDWR)
		return false;
	if (user_path_lookup(dirfd, uname, flags & O_NOFOLLOW ? 0 : LOOKUP_FOLLOW, &p))
		return false;
	fifo = p.dentry->inode && (p.dentry->inode->mode & 0170000) == 0010000;
	path_put(&p);
	return fifo;
}

long issue_openat(struct req *q, bool may_block)
{
	u64 flags = q->sqe.open_flags, slot = q->sqe.file_index;
	long fd;

	if (q->sqe.buf_index || (slot && flags & O_CLOEXEC))
		return -EINVAL;
	if (q->sqe.flags & IOSQE_FIXED_FILE)
		return -EBADF;
	if (!may_block && open_may_wait(q->sqe.fd, q->sqe.addr, flags))
		return IOU_PUNT;
	fd = CALL(openat, (u64)q->sqe.fd, q->sqe.addr, flags, q->sqe.len);
	return slot ? into_slot(q, fd) : fd;
}

long issue_openat2(struct req *q, bool may_block)
{
	u64 flags = 0, slot = q->sqe.file_index;
	long fd;

	if (q->sqe.buf_index)
		return -EINVAL;
	if (q->sqe.flags & IOSQE_FIXED_FILE)
		return -EBADF;
	if (get_user(flags, q->sqe.off))
		return -EFAULT;
	if (slot && flags & O_CLOEXEC)
		return -EINVAL;
	if (!may_block && open_may_wait(q->sqe.fd, q->sqe.addr, flags))
		return IOU_PUNT;
	fd = CALL(openat2, (u64)q->sqe.fd, q->sqe.addr, q->sqe.off, q->sqe.len);
	return slot ? into_slot(q, fd) : fd;
}

long issue_close(struct req *q, bool may_block)
{
	struct file *f;
	bool ring;

	if (q->sqe.off || q->sqe.addr || q->sqe.len || q->sqe.rw_flags || q->sqe.buf_index)
		return -EINVAL;
	if (q->sqe.flags & IOSQE_FIXED_FILE)
		return -EBADF;
	if (q->sqe.file_index)
		return q->sqe.fd ? -EINVAL : fixed_remove(q->ring, q->sqe.file_index - 1);
	f = fget_raw(q->sqe.fd);
	if (!f)
		return -EBADF;
	ring = ring_of(f);
	file_put(f);
	return ring ? -EBADF : fd_close(q->sqe.fd);
}

long issue_statx(struct req *q, bool may_block)
{
	if (q->sqe.buf_index || q->sqe.splice_fd_in)
		return -EINVAL;
	if (q->sqe.flags & IOSQE_FIXED_FILE)
		return -EBADF;
	return CALL(statx, (u64)q->sqe.fd, q->sqe.addr, q->sqe.statx_flags, q->sqe.len, q->sqe.off);
}

long issue_renameat(struct req *q, bool may_block)
{
	if (q->sqe.buf_index || q->sqe.splice_fd_in)
		return -EINVAL;
	if (q->sqe.flags & IOSQE_FIXED_FILE)
		return -EBADF;
	return CALL(renameat2, (u64)q->sqe.fd, q->sqe.addr, (u64)(s32)q->sqe.len, q->sqe.off, q->sqe.rename_flags);
}

long issue_unlinkat(struct req *q, bool may_block)
{
	if (q->sqe.off || q->sqe.len || q->sqe.buf_index || q->sqe.splice_fd_in)
		return -EINVAL;
	if (q->sqe.flags & IOSQE_FIXED_FILE)
		return -EBADF;
	return CALL(unlinkat, (u64)q->sqe.fd, q->sqe.addr, q->sqe.unlink_flags);
}

long issue_mkdirat(struct req *q, bool may_block)
{
	if (q->sqe.off || q->sqe.rw_flags || q->sqe.buf_index || q->sqe.splice_fd_in)
		return -EINVAL;
	if (q->sqe.flags & IOSQE_FIXED_FILE)
		return -EBADF;
	return CALL(mkdirat, (u64)q->sqe.fd, q->sqe.addr, q->sqe.len);
}

long issue_symlinkat(struct req *q, bool may_block)
{
	if (q->sqe.len || q->sqe.rw_flags || q->sqe.buf_index || q->sqe.splice_fd_in)
		return -EINVAL;
	if (q->sqe.flags & IOSQE_FIXED_FILE)
		return -EBADF;
	return CALL(symlinkat, q->sqe.addr, (u64)q->sqe.fd, q->sqe.off);
}

long issue_linkat(struct req *q, bool may_block)
{
	if (q->sqe.buf_index || q->sqe.splice_fd_in)
		return -EINVAL;
	if (q->sqe.flags & IOSQE_FIXED_FILE)
		return -EBADF;
	return CALL(linkat, (u64)q->sqe.fd, q->sqe.addr, (u64)(s32)q->sqe.len, q->sqe.off, q->sqe.hardlink_flags);
}

long issue_xattr(struct req *q, bool may_block)
{
	const struct io_uring_sqe *s = &q->sqe;

	if (s->flags & IOSQE_FIXED_FILE)
		return -EBADF;
	switch (s->opcode) {
	case IORING_OP_FSETXATTR:
		return CALL(fsetxattr, (u64)s->fd, s->addr, s->off, s->len, s->xattr_flags);
	case IORING_OP_SETXATTR:
		return CALL(setxattr, s->addr3, s->addr, s->off, s->len, s->xattr_flags);
	}
	if (s->xattr_flags)
		return -EINVAL;
	return s->opcode == IORING_OP_FGETXATTR ? CALL(fgetxattr, (u64)s->fd, s->addr, s->off, s->len) :
						  CALL(getxattr, s->addr3, s->addr, s->off, s->len);
}

long issue_epoll_ctl(struct req *q, bool may_block)
{
	if (q->sqe.buf_index || q->sqe.splice_fd_in)
		return -EINVAL;
	return CALL(epoll_ctl, (u64)q->sqe.fd, q->sqe.len, q->sqe.off, q->sqe.addr);
}
