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

/* The page of a regular file's cache at pos, with a reference, and how much of it counts; NULL: read instead. */
static struct page *file_page(struct file *in, u64 pos, u64 n, u32 *len)
{
	struct inode *i = in->inode;
	struct mapping *m = READ_ONCE(i->mapping);
	u64 size = READ_ONCE(i->size);
	struct page *page;

	if (!S_ISREG(i->mode) || !m || !(in->mode & FMODE_READ) || pos >= size)
		return NULL;
	page = m->ops ? mapping_get_page(m, pos >> PAGE_SHIFT, false) : mapping_find_page(m, pos >> PAGE_SHIFT);
	if (IS_ERR_OR_NULL(page))
		return NULL;
	if (!(page->flags & PG_UPTODATE)) {
		page_put(page);
		return NULL;
	}
	*len = (u32)MIN(MIN(PAGE_SIZE - (pos & ~PAGE_MASK), size - pos), n);
	return page;
}

static long write_kernel(struct file *out, const void *buf, size_t n, u64 *pos)
{
	struct iovec_k iov;
	struct iov_iter it;

	iov_iter_kernel(&it, &iov, (void *)buf, n);
	return vfs_write(out, &it, pos);
}

/* One piece of a copy through a buffer, made when it is first needed. What was read and written. */
static long copy_buffered(struct file *in, u64 *in_pos, struct file *out, u64 *out_pos, u64 n, char **buf, long *got)
{
	u64 before = *in_pos;
	struct iovec_k iov;
	struct iov_iter it;
	long put;

	if (!*buf)
		*buf = vmalloc_pages(CHUNK);
	if (!*buf)
		return *got = -ENOMEM;
	iov_iter_kernel(&it, &iov, *buf, MIN(n, CHUNK));
	*got = vfs_read(in, &it, in_pos);
	if (*got <= 0)
		return *got;
	put = write_kernel(out, *buf, (size_t)*got, out_pos);
	if (put < *got)
		*in_pos = before + (u64)MAX(put, 0);
	return put;
}

/* Copy up to n bytes from one file to another, from the page cache where there is one. Bytes or -errno. */
static long copy_files(struct file *in, u64 *in_pos, struct file *out, u64 *out_pos, u64 n)
{
	char *buf = NULL;
	long done = 0, got, put = 0;

	while ((u64)done < n) {
		u32 len;
		struct page *page = file_page(in, *in_pos, n - (u64)done, &len);

		if (page) {
			got = len;
			put = write_kernel(out, (char *)page_to_va(page) + (*in_pos & ~PAGE_MASK), len, out_pos);
			page_put(page);
			*in_pos += (u64)MAX(put, 0);
		} else {
			put = copy_buffered(in, in_pos, out, out_pos, n - (u64)done, &buf, &got);
		}
		if (put <= 0)
			break;
		done += put;
		if (put < got || signal_pending())
			break;
	}
	vfree_pages(buf, CHUNK);
	return done ? done : put;
}

/* A fragment of the file for the pipe: a page of the cache as it is, or one that was read. NULL: *got is 0 or an error. */
static struct page *fragment(struct file *in, u64 *pos, u64 n, u32 *off, long *got)
{
	u32 len;
	struct page *page = file_page(in, *pos, n, &len);
	struct iovec_k iov;
	struct iov_iter it;

	*off = (u32)(*pos & ~PAGE_MASK);
	if (page) {
		*got = len;
		*pos += len;
		return page;
	}
	*off = 0;
	page = frame_alloc(0, 0);
	if (!page) {
		*got = -ENOMEM;
		return NULL;
	}
	iov_iter_kernel(&it, &iov, page_to_va(page), MIN(n, PAGE_SIZE));
	*got = vfs_read(in, &it, pos);
	if (*got > 0)
		return page;
	page_put(page);
	return NULL;
}

static long file_to_pipe(struct file *in, u64 *pos, struct pipe *p, u64 n, bool nonblock)
{
	long room = pipe_wait_space(p, nonblock), done = 0;

	if (room < 0)
		return room;
	n = MIN(n, (u64)room);
	while ((u64)done < n) {
		u32 off;
		long got, put;
		struct page *page = fragment(in, pos, n - (u64)done, &off, &got);

		if (!page)
			return done ? done : got;
		put = pipe_splice_in(p, page, off, (u32)got, nonblock);
		page_put(page);
		if (put < got)
			*pos -= (u64)(got - MAX(put, 0));
		if (put <= 0)
			return done ? done : put;
		done += put;
		if (!S_ISREG(in->inode->mode))
			break;
	}
	return done;
}

/* sendfile(2) into a pipe: as much as it takes at once, and then what more fits while its reader makes room. */
static long copy_to_pipe(struct file *in, u64 *pos, struct file *out, u64 n)
{
	long done = 0, ret = 0;

	if (!(out->mode & FMODE_WRITE))
		return -EBADF;
	while ((u64)done < n) {
		ret = file_to_pipe(in, pos, file_pipe(out), n - (u64)done, out->flags & O_NONBLOCK);
		if (ret <= 0)
			break;
		done += ret;
	}
	return done ? done : ret;
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
	return 0;
}

static int store_pos(struct file *f, u64 uoff, u64 pos)
{
	if (uoff)
		return put_user(pos, uoff);
	f->pos = pos;
	return 0;
}

/* Event descriptors have no pages to hand out, and take none. */
static bool no_splice(const struct file *f) { return f->fop->llseek == noop_llseek; }

static long copy_between(s32 in_fd, u64 uin, s32 out_fd, u64 uout, u64 n, bool regular_only)
{
	struct file *in, *out;
	u64 in_pos, out_pos, given = 0;
	long ret = -EBADF;

	if (!regular_only && uin && get_user(given, uin))
		return -EFAULT; /* sendfile(2) looks at the offset before all else */
	in = fget(in_fd);
	out = fget(out_fd);
	if (!in || !out)
		goto out;
	if (regular_only && (S_ISDIR(in->inode->mode) || S_ISDIR(out->inode->mode))) {
		ret = -EISDIR;
		goto out;
	}
	if (regular_only && (!S_ISREG(in->inode->mode) || !S_ISREG(out->inode->mode))) {
		ret = -EINVAL;
		goto out;
	}
	if (!(in->mode & FMODE_READ) || !(out->mode & FMODE_WRITE))
		goto out;
	if (regular_only && in->inode->sb != out->inode->sb) {
		ret = -EXDEV;
		goto out;
	}
	ret = -EINVAL;
	if (no_splice(out))
		goto out;
	if (!regular_only && ((!S_ISREG(in->inode->mode) && !S_ISBLK(in->inode->mode)) || out->flags & O_APPEND))
		goto out; /* sendfile(2): the source must be able to seek */
	if (regular_only && out->flags & O_APPEND) {
		ret = -EBADF;
		goto out;
	}
	in_pos = given;
	ret = regular_only || !uin ? load_pos(in, uin, &in_pos) : in->mode & FMODE_PREAD ? 0 : -ESPIPE;
	if (!ret)
		ret = load_pos(out, uout, &out_pos);
	n = MIN(n, regular_only ? n : MAX_RW_COUNT);
	if (!ret && (in_pos + n > INT64_MAX || in_pos + n < n))
		ret = regular_only ? -EOVERFLOW : -EINVAL;
	if (!ret && regular_only && in->inode == out->inode && in_pos < out_pos + n && out_pos < in_pos + n)
		ret = -EINVAL;
	if (ret)
		goto out;
	n = MIN(n, MAX_RW_COUNT);
	ret = file_pipe(out) ? copy_to_pipe(in, &in_pos, out, n) : copy_files(in, &in_pos, out, &out_pos, n);
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
	struct file *in, *out;
	bool both;

	if (!flags)
		return copy_between(in_fd, uin, out_fd, uout, n, true);
	in = fget(in_fd);
	out = fget(out_fd);
	both = in && out;
	if (in)
		file_put(in);
	if (out)
		file_put(out);
	return both ? -EINVAL : -EBADF;
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

long splice_files(struct file *in, u64 *in_off, struct file *out, u64 *out_off, u64 n, u32 flags)
{
	struct pipe *from = file_pipe(in), *to = file_pipe(out);
	bool nonblock = flags & SPLICE_F_NONBLOCK;
	u64 pos;
	long ret;

	if (!(in->mode & FMODE_READ) || !(out->mode & FMODE_WRITE))
		return -EBADF;
	if ((from && in_off) || (to && out_off))
		return -ESPIPE;
	if (from && to)
		return from == to ? -EINVAL : pipe_to_pipe(from, to, n, false, nonblock);
	if (from) {
		struct sink sink = { out, out_off ? out_off : &pos };

		if (out->flags & O_APPEND || no_splice(out))
			return -EINVAL;
		if (out_off && (!(out->mode & FMODE_PREAD) || (s64)*out_off < 0))
			return -EINVAL;
		pos = out->pos;
		ret = pipe_splice_out(from, n, nonblock || in->flags & O_NONBLOCK, write_fragment, &sink);
		if (ret > 0 && !out_off)
			out->pos = pos;
		return ret;
	}
	if (!to || no_splice(in) || S_ISDIR(in->inode->mode))
		return -EINVAL;
	if (in_off && (!(in->mode & FMODE_PREAD) || (s64)*in_off < 0))
		return -EINVAL;
	pos = in->pos;
	ret = file_to_pipe(in, in_off ? in_off : &pos, to, n, nonblock || out->flags & O_NONBLOCK);
	if (ret > 0 && !in_off)
		in->pos = pos;
	return ret;
}

static long do_splice(struct file *in, u64 uin, struct file *out, u64 uout, u64 n, u32 flags)
{
	u64 in_off, out_off;
	long ret;

	if ((file_pipe(in) && uin) || (file_pipe(out) && uout))
		return in->mode & FMODE_READ && out->mode & FMODE_WRITE ? -ESPIPE : -EBADF;
	if ((uin && get_user(in_off, uin)) || (uout && get_user(out_off, uout)))
		return -EFAULT;
	ret = splice_files(in, uin ? &in_off : NULL, out, uout ? &out_off : NULL, n, flags);
	if (ret >= 0 && ((uin && put_user(in_off, uin)) || (uout && put_user(out_off, uout))))
		return -EFAULT;
	return ret;
}

long tee_files(struct file *in, struct file *out, u64 n, u32 flags)
{
	struct pipe *from = file_pipe(in), *to = file_pipe(out);

	if (!(in->mode & FMODE_READ) || !(out->mode & FMODE_WRITE))
		return -EBADF;
	return !from || !to || from == to ? -EINVAL : pipe_to_pipe(from, to, MIN(n, MAX_RW_COUNT), true, flags & SPLICE_F_NONBLOCK);
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
	long ret = -EBADF;

	if (flags & ~(u32)(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT))
		return -EINVAL;
	if (!n)
		return 0;
	in = fget(in_fd);
	out = fget(out_fd);
	if (in && out)
		ret = tee_files(in, out, n, flags);
	if (in)
		file_put(in);
	if (out)
		file_put(out);
	return ret;
}

SYSCALL4(vmsplice, s32, fd, u64, uvec, u64, nr, u32, flags)
{
	struct iovec_k fast[8], *storage;
	struct iov_iter it;
	struct file *f;
	struct pipe *p;
	long ret;

	if (flags & ~(u32)(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT))
		return -EINVAL;
	f = fget(fd);
	p = f ? file_pipe(f) : NULL;

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
