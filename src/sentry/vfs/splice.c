/* sendfile(2), copy_file_range(2), splice(2), tee(2), vmsplice(2). */
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "sentry/sys/syscall.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/pipe.h"

#define CHUNK (64u << 10)
/* UAPI leaves these to libc; splice(2). */
#define SPLICE_F_MOVE 1
#define SPLICE_F_NONBLOCK 2
#define SPLICE_F_MORE 4
#define SPLICE_F_GIFT 8

/* Copy up to n bytes from one file to another through a buffer. Positions as given. Bytes or -errno. */
static long copy_files(struct file *in, u64 *in_pos, struct file *out, u64 *out_pos, u64 n)
{
	char *buf = vmalloc_pages(CHUNK);
	long done = 0, got = 0;

	if (!buf)
		return -ENOMEM;
	while ((u64)done < n) {
		struct iovec_k iov;
		struct iov_iter it;
		u64 before = *in_pos;
		long put;

		iov_iter_kernel(&it, &iov, buf, MIN(n - (u64)done, CHUNK));
		got = vfs_read(in, &it, in_pos);
		if (got <= 0)
			break;
		iov_iter_kernel(&it, &iov, buf, (size_t)got);
		put = vfs_write(out, &it, out_pos);
		if (put < got)
			*in_pos = before + (u64)MAX(put, 0);
		if (put <= 0) {
			got = put;
			break;
		}
		done += put;
		if (put < got || signal_pending())
			break;
	}
	vfree_pages(buf, CHUNK);
	return done ? done : got;
}

/* Positions: an explicit one in user memory, or the file's own. */
static int load_pos(struct file *f, u64 uoff, u64 *pos)
{
	*pos = f->pos;
	if (!uoff)
		return 0;
	if (!(f->mode & FMODE_PREAD))
		return -ESPIPE;
	if (get_user(*pos, uoff))
		return -EFAULT;
	return (s64)*pos < 0 ? -EINVAL : 0;
}

static int store_pos(struct file *f, u64 uoff, u64 pos)
{
	if (uoff)
		return put_user(pos, uoff);
	f->pos = pos;
	return 0;
}

static long copy_between(s32 in_fd, u64 uin, s32 out_fd, u64 uout, u64 n, bool regular_only)
{
	struct file *in = fget(in_fd), *out = fget(out_fd);
	u64 in_pos, out_pos;
	long ret = -EBADF;

	if (!in || !out)
		goto out;
	ret = -EINVAL;
	if (regular_only && (!S_ISREG(in->inode->mode) || !S_ISREG(out->inode->mode))) {
		if (S_ISDIR(in->inode->mode) || S_ISDIR(out->inode->mode))
			ret = -EISDIR;
		goto out;
	}
	if (regular_only && out->flags & O_APPEND) {
		ret = -EBADF;
		goto out;
	}
	ret = load_pos(in, uin, &in_pos);
	if (!ret)
		ret = load_pos(out, uout, &out_pos);
	if (!ret && regular_only && in->inode == out->inode && in_pos < out_pos + n && out_pos < in_pos + n)
		ret = -EINVAL;
	if (ret)
		goto out;
	ret = copy_files(in, &in_pos, out, &out_pos, MIN(n, MAX_RW_COUNT));
	if (ret > 0 && (store_pos(in, uin, in_pos) || store_pos(out, uout, out_pos)))
		ret = -EFAULT;
out:
	if (in)
		file_put(in);
	if (out)
		file_put(out);
	return ret;
}

SYSCALL4(sendfile, s32, out_fd, s32, in_fd, u64, uoff, u64, n) { return copy_between(in_fd, uoff, out_fd, 0, n, false); }

SYSCALL6(copy_file_range, s32, in_fd, u64, uin, s32, out_fd, u64, uout, u64, n, u32, flags)
{
	return flags ? -EINVAL : copy_between(in_fd, uin, out_fd, uout, n, true);
}

/* ---- splice: at least one side is a pipe ---- */

struct sink {
	struct file *file;
	u64 *pos;
};

static long write_fragment(void *ctx, struct page *page, u32 off, u32 len)
{
	struct sink *s = ctx;
	struct iovec_k iov;
	struct iov_iter it;

	iov_iter_kernel(&it, &iov, (char *)page_to_va(page) + off, len);
	return vfs_write(s->file, &it, s->pos);
}

static long file_to_pipe(struct file *in, u64 *pos, struct pipe *p, u64 n, bool nonblock)
{
	long room = pipe_wait_space(p, nonblock), got;
	struct page *page;
	long done = 0;

	if (room < 0)
		return room;
	n = MIN(n, (u64)room);
	while ((u64)done < n) {
		struct iovec_k iov;
		struct iov_iter it;
		long put;

		page = frame_alloc(0, 0);
		if (!page)
			return done ? done : -ENOMEM;
		iov_iter_kernel(&it, &iov, page_to_va(page), MIN(n - (u64)done, PAGE_SIZE));
		got = vfs_read(in, &it, pos);
		put = got > 0 ? pipe_splice_in(p, page, 0, (u32)got, nonblock) : got;
		page_put(page);
		if (put <= 0)
			return done ? done : put;
		done += put;
		if (put < (long)PAGE_SIZE)
			break;
	}
	return done;
}

static long do_splice(struct file *in, u64 uin, struct file *out, u64 uout, u64 n, u32 flags)
{
	struct pipe *from = file_pipe(in), *to = file_pipe(out);
	bool nonblock = flags & SPLICE_F_NONBLOCK;
	u64 pos;
	long ret;

	if (!(in->mode & FMODE_READ) || !(out->mode & FMODE_WRITE))
		return -EBADF;
	if ((from && uin) || (to && uout))
		return -ESPIPE;
	if (from && to)
		return from == to ? -EINVAL : pipe_to_pipe(from, to, n, false, nonblock);
	if (from) {
		struct sink sink = { out, &pos };

		if (out->flags & O_APPEND)
			return -EINVAL;
		ret = load_pos(out, uout, &pos);
		if (!ret)
			ret = pipe_splice_out(from, n, nonblock || in->flags & O_NONBLOCK, write_fragment, &sink);
		return ret > 0 && store_pos(out, uout, pos) ? -EFAULT : ret;
	}
	if (!to)
		return -EINVAL;
	ret = load_pos(in, uin, &pos);
	if (!ret)
		ret = file_to_pipe(in, &pos, to, n, nonblock || out->flags & O_NONBLOCK);
	return ret > 0 && store_pos(in, uin, pos) ? -EFAULT : ret;
}

SYSCALL6(splice, s32, in_fd, u64, uin, s32, out_fd, u64, uout, u64, n, u32, flags)
{
	struct file *in, *out;
	long ret = -EBADF;

	if (!n)
		return 0;
	if (flags & ~(u32)(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT))
		return -EINVAL;
	in = fget(in_fd);
	out = fget(out_fd);
	if (in && out)
		ret = do_splice(in, uin, out, uout, MIN(n, MAX_RW_COUNT), flags);
	if (in)
		file_put(in);
	if (out)
		file_put(out);
	return ret;
}

SYSCALL4(tee, s32, in_fd, s32, out_fd, u64, n, u32, flags)
{
	struct file *in, *out;
	struct pipe *from, *to;
	long ret = -EBADF;

	if (flags & ~(u32)(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT))
		return -EINVAL;
	if (!n)
		return 0;
	in = fget(in_fd);
	out = fget(out_fd);
	if (in && out && in->mode & FMODE_READ && out->mode & FMODE_WRITE) {
		from = file_pipe(in);
		to = file_pipe(out);
		ret = !from || !to || from == to ? -EINVAL
		      : pipe_to_pipe(from, to, MIN(n, MAX_RW_COUNT), true, flags & SPLICE_F_NONBLOCK);
	}
	if (in)
		file_put(in);
	if (out)
		file_put(out);
	return ret;
}

SYSCALL4(vmsplice, s32, fd, u64, uvec, u64, nr, u32, flags)
{
	struct iovec_k fast[8], *storage;
	struct file *f = fget(fd);
	struct pipe *p = f ? file_pipe(f) : NULL;
	struct iov_iter it;
	long ret;

	if (!p) {
		if (f)
			file_put(f);
		return -EBADF;
	}
	ret = nr > IOV_MAX_K ? -EINVAL : iov_iter_import(&it, uvec, (u32)nr, fast, &storage);
	if (!ret) {
		ret = f->mode & FMODE_WRITE ? pipe_write_from(p, &it, flags & SPLICE_F_NONBLOCK, false)
					    : pipe_read_to(p, &it, flags & SPLICE_F_NONBLOCK);
		if (storage != fast)
			kfree(storage);
	}
	file_put(f);
	return ret;
}
