#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "host/async.h"
#include "host/file_io.h"
#include "host/hostmem.h"
#include "host/serve.h"
#include "host/sock_watch.h"

#define OFFSET_MAX ((u64)INT64_MAX)

static s64 check_rw(hc_handle handle, u32 flags, u64 pos, struct handle *h)
{
	s64 err;

	if (flags & ~(HC_RW_NOWAIT | HC_RW_APPEND) || (pos != FILE_IO_STREAM && pos > OFFSET_MAX))
		return -EINVAL;
	err = handle_get(handle, h);
	return !err && h->kind == HANDLE_SOCKET ? -EINVAL : err;
}

static s64 rw(const struct hc_rw *req, bool write)
{
	struct handle h;
	struct iovec iov = { hostmem_at(req->off, req->len), req->len };
	s64 err = check_rw(req->handle, req->flags, req->pos, &h);

	if (err)
		return err;
	if (!iov.iov_base)
		return -EFAULT;
	if (req->len > HC_RW_MAX)
		return -EINVAL;
	return file_io(&h, write, &iov, 1, req->pos, req->flags);
}

static s64 rwv(const struct hc_rwv *req, bool write)
{
	struct handle h;
	struct iovec iov[HC_SEGS_MAX];
	s64 err = check_rw(req->handle, req->flags, req->pos, &h);

	if (err)
		return err;
	err = hostmem_iovec(req->segs, req->nsegs, write, iov);
	return err < 0 ? err : file_io(&h, write, iov, req->nsegs, req->pos, req->flags);
}

s64 serve_pread(u32 cpu, void *req)
{
	return rw(req, false);
}
s64 serve_pwrite(u32 cpu, void *req)
{
	return rw(req, true);
}
s64 serve_preadv(u32 cpu, void *req)
{
	return rwv(req, false);
}
s64 serve_pwritev(u32 cpu, void *req)
{
	return rwv(req, true);
}

s64 serve_ftruncate(u32 cpu, void *arg)
{
	const struct hc_file2 *req = arg;
	struct handle h;
	s64 err = handle_get_kind(req->handle, HANDLE_FILE, &h);

	if (err)
		return err;
	if (req->arg > OFFSET_MAX)
		return -EINVAL;
	return ftruncate(h.fd, (off_t)req->arg) < 0 ? -errno : 0;
}

s64 serve_fallocate(u32 cpu, void *arg)
{
	const struct hc_file4 *req = arg;
	struct handle h;
	s64 err = handle_get_kind(req->handle, HANDLE_FILE, &h);

	if (err)
		return err;
	if (req->mode & ~(u32)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_COLLAPSE_RANGE |
			       FALLOC_FL_INSERT_RANGE))
		return -EOPNOTSUPP;
	if (req->off > OFFSET_MAX || req->len > OFFSET_MAX)
		return -EINVAL;
	return fallocate(h.fd, (int)req->mode, (off_t)req->off, (off_t)req->len) < 0 ? -errno : 0;
}

s64 serve_fsync(u32 cpu, void *arg)
{
	const struct hc_file2 *req = arg;
	struct handle h;
	s64 err = handle_get_kind(req->handle, HANDLE_FILE, &h);

	if (err)
		return err;
	return (req->arg == 1 ? fdatasync(h.fd) : fsync(h.fd)) < 0 ? -errno : 0;
}

s64 serve_fsize(u32 cpu, void *arg)
{
	const struct hc_file2 *req = arg;
	struct handle h;
	s64 err = handle_get_kind(req->handle, HANDLE_FILE, &h);
	off_t size;

	if (err)
		return err;
	size = lseek(h.fd, 0, SEEK_END);
	return size < 0 ? -errno : size;
}

s64 serve_close(u32 cpu, void *arg)
{
	const struct hc_file2 *req = arg;
	struct handle h;
	int err = handle_get(req->handle, &h);

	if (!err && h.kind == HANDLE_SOCKET)
		return sock_watch_close(req->handle);
	err = handle_remove(req->handle, &h);
	if (err)
		return err;
	async_forget(req->handle);
	close(h.fd);
	return 0;
}
