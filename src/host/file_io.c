#include "host/file_io.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

static s64 plain(int fd, bool write, const struct iovec *iov, u32 n, s64 pos, int rwf)
{
	ssize_t done = write ? pwritev2(fd, iov, (int)n, pos, rwf) : preadv2(fd, iov, (int)n, pos, rwf);

	return done < 0 ? -errno : done;
}

/*
 * A stream that knows neither O_NONBLOCK of our own nor RWF_NOWAIT: look first. Between the look and the transfer another
 * process may take what was there; that is the price on such hosts, and for a write one of PIPE_BUF bytes never waits when
 * the pipe says that it is writable (pipe(7)).
 */
static s64 after_poll(int fd, bool write, const struct iovec *iov, u32 n)
{
	struct pollfd p = { .fd = fd, .events = write ? POLLOUT : POLLIN };
	struct iovec first = iov[0];

	if (poll(&p, 1, 0) < 0)
		return -errno;
	if (!p.revents)
		return -EAGAIN;
	if (!write)
		return plain(fd, false, iov, n, -1, 0);
	first.iov_len = MIN(first.iov_len, (size_t)PIPE_BUF);
	return plain(fd, true, &first, 1, -1, 0);
}

s64 file_io(const struct handle *h, bool write, const struct iovec *iov, u32 niov, u64 pos, u32 flags)
{
	int rwf = write && flags & HC_RW_APPEND ? RWF_APPEND : 0;
	s64 at = pos == FILE_IO_STREAM ? -1 : (s64)pos;
	s64 ret;

	if (at < -1)
		return -EINVAL;
	if (at >= 0 && h->kind != HANDLE_FILE)
		return -ESPIPE;
	if (!(flags & HC_RW_NOWAIT) || h->nonblock)
		return plain(h->fd, write, iov, niov, at, rwf);
	ret = plain(h->fd, write, iov, niov, at, rwf | RWF_NOWAIT);
	if (ret != -EOPNOTSUPP && !(ret == -EINVAL && at < 0))
		return ret;
	/* A file system without RWF_NOWAIT: a disk is not a peer, wait for it. */
	if (h->kind == HANDLE_FILE)
		return plain(h->fd, write, iov, niov, at, rwf);
	return after_poll(h->fd, write, iov, niov);
}
