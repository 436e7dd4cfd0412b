/* The relay between the sentry and the gofer: bytes pass unread, a descriptor becomes a handle. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gofer.h"
#include "host/handle.h"
#include "host/hostmem.h"
#include "host/serve.h"

static int channels[MAX_CPUS];

void serve_gofer_channel(u32 cpu, int fd)
{
	channels[cpu] = fd;
}

/* The gofer opens regular files only; anything else it might be made to pass is dropped here. */
static hc_handle take_descriptor(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	struct stat st;
	s64 h = -EBADF;
	int fd;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
		return HC_NO_HANDLE;
	__builtin_memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	if (!syscall(SYS_fstat, fd, &st) && S_ISREG(st.st_mode))
		h = handle_add(fd, HANDLE_FILE, false);
	if (h >= 0)
		return (hc_handle)h;
	close(fd);
	return HC_NO_HANDLE;
}

/* Errors of the channel itself mean that the gofer is gone: the command ends the sandbox; until then the sentry sees EIO. */
static s64 channel_error(void)
{
	return errno == EMSGSIZE || errno == ENOBUFS || errno == ENOMEM ? -errno : -EIO;
}

s64 serve_gofer(u32 cpu, void *arg)
{
	struct hc_gofer *req = arg;
	struct iovec out = { hostmem_at(req->req_off, req->req_len), req->req_len };
	struct iovec in = { hostmem_at(req->rep_off, req->rep_cap), req->rep_cap };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = { .msg_iov = &in, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n;

	req->handle = HC_NO_HANDLE;
	if (!out.iov_base || !in.iov_base)
		return -EFAULT;
	if (req->req_len < sizeof(struct gofer_req) || req->req_len > GOFER_MSG_MAX || req->rep_cap < sizeof(struct gofer_rep) ||
	    req->rep_cap > HC_RW_MAX)
		return -EINVAL;
	do
		n = send(channels[cpu], out.iov_base, out.iov_len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return channel_error();
	do
		n = recvmsg(channels[cpu], &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return channel_error();
	if (n == 0)
		return -EIO;
	req->handle = take_descriptor(&msg);
	return msg.msg_flags & MSG_TRUNC ? -EMSGSIZE : n;
}
