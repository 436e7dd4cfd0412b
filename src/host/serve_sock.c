/* Host sockets of the sandbox's network namespace (include/hostcall_net.h). None of these calls waits. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/hostmem.h"
#include "host/serve.h"
#include "host/sock_watch.h"
#include "host/sockopts.h"
#include "hostcall_net.h"

/* linux/sockios.h */
#define COUNT_OUT 0x5411
#define COUNT_UNSENT 0x894b
#define COUNT_AT_MARK 0x8905

#define SEND_FLAGS (MSG_OOB | MSG_DONTROUTE | MSG_CONFIRM | MSG_MORE | MSG_EOR)
#define RECV_FLAGS (MSG_OOB | MSG_PEEK | MSG_TRUNC | MSG_ERRQUEUE)

static bool enabled;

int serve_sock_init(void)
{
	int err = net_view_init();

	enabled = !err;
	return err ? err : sock_watch_init();
}

static s64 get_socket(hc_handle handle, struct handle *h)
{
	return enabled ? handle_get_kind(handle, HANDLE_SOCKET, h) : -ENOSYS;
}

static s64 take(int fd)
{
	s64 h;

	if (fd < 0)
		return -errno;
	h = handle_add(fd, HANDLE_SOCKET, true);
	if (h < 0)
		close(fd);
	else
		sock_watch_new((hc_handle)h);
	return h;
}

s64 serve_sock_open(u32 cpu, void *arg)
{
	static const struct {
		u32 type, protocol;
	} known[] = { { SOCK_STREAM, 0 }, { SOCK_STREAM, IPPROTO_TCP }, { SOCK_DGRAM, 0 }, { SOCK_DGRAM, IPPROTO_UDP } };
	const struct hc_sock_open *req = arg;
	bool ok;

	if (!enabled)
		return -ENOSYS;
	if (req->family != AF_INET && req->family != AF_INET6)
		return -EAFNOSUPPORT;
	ok = req->type == SOCK_DGRAM && req->protocol == (req->family == AF_INET ? (u32)IPPROTO_ICMP : (u32)IPPROTO_ICMPV6);
	for (u32 i = 0; i < ARRAY_SIZE(known); i++)
		ok |= req->type == known[i].type && req->protocol == known[i].protocol;
	if (!ok)
		return -EPROTONOSUPPORT;
	return take(socket((int)req->family, (int)req->type | SOCK_NONBLOCK | SOCK_CLOEXEC, (int)req->protocol));
}

/* Something was to be waited for: false when it is to be tried again at once, or *ret is an error. */
static bool wait_or_again(hc_handle h, u32 arm, u32 changes, s64 *ret)
{
	int armed;

	if (!arm)
		return true;
	armed = sock_watch_arm(h, arm, changes);
	if (armed < 0)
		*ret = armed;
	return armed;
}

static s64 do_connect(const struct hc_sock_name *req, const struct handle *h, const struct sockaddr *addr)
{
	u32 changes;
	s64 ret;

	do {
		changes = sock_watch_changes(req->handle);
		ret = connect(h->fd, addr, req->len) < 0 ? -errno : 0;
	} while ((ret == -EINPROGRESS || ret == -EALREADY) && !wait_or_again(req->handle, req->arm, changes, &ret));
	return ret;
}

s64 serve_sock_name(u32 cpu, void *arg)
{
	struct hc_sock_name *req = arg;
	union {
		struct sockaddr sa;
		u8 raw[sizeof(struct sockaddr_storage)];
	} addr = { 0 };
	socklen_t len = sizeof(addr);
	struct handle h;
	s64 err = get_socket(req->handle, &h);

	if (err)
		return err;
	if (req->op > HC_NAME_PEER || req->arm & ~HC_ARM_OUT)
		return -EINVAL;
	if (req->op == HC_NAME_BIND || req->op == HC_NAME_CONNECT) {
		if (req->len > sizeof(req->addr))
			return -EINVAL;
		memcpy(addr.raw, req->addr, req->len);
		if (req->op == HC_NAME_CONNECT)
			return do_connect(req, &h, &addr.sa);
		return bind(h.fd, &addr.sa, req->len) < 0 ? -errno : 0;
	}
	if ((req->op == HC_NAME_OWN ? getsockname(h.fd, &addr.sa, &len) : getpeername(h.fd, &addr.sa, &len)) < 0)
		return -errno;
	req->len = MIN(len, (u32)sizeof(req->addr));
	memcpy(req->addr, addr.raw, req->len);
	return 0;
}

s64 serve_sock_listen(u32 cpu, void *arg)
{
	const struct hc_file2 *req = arg;
	struct handle h;
	s64 err = get_socket(req->handle, &h);

	if (err)
		return err;
	return listen(h.fd, (int)MIN(req->arg, 65535ul)) < 0 ? -errno : 0;
}

s64 serve_sock_accept(u32 cpu, void *arg)
{
	struct hc_sock_name *req = arg;
	union {
		struct sockaddr sa;
		u8 raw[sizeof(struct sockaddr_storage)];
	} addr = { 0 };
	socklen_t len;
	struct handle h;
	s64 ret = get_socket(req->handle, &h);
	u32 changes;

	if (ret)
		return ret;
	if (req->arm & ~HC_ARM_IN)
		return -EINVAL;
	do {
		changes = sock_watch_changes(req->handle);
		len = sizeof(addr);
		ret = take(accept4(h.fd, &addr.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC));
	} while (ret == -EAGAIN && !wait_or_again(req->handle, req->arm, changes, &ret));
	if (ret >= 0) {
		req->len = MIN(len, (u32)sizeof(req->addr));
		memcpy(req->addr, addr.raw, req->len);
	}
	return ret;
}

/* ---- data ---- */

/* Control messages that may be sent: each length as the kernel wants it. */
static bool may_send(const struct cmsghdr *c, size_t n)
{
	static const struct {
		int level, type;
		size_t least, most;
	} known[] = { { SOCKOPT_LEVEL_IP, IP_PKTINFO, 12, 12 },	       { SOCKOPT_LEVEL_IP, IP_TOS, 1, 4 },
		      { SOCKOPT_LEVEL_IP, IP_TTL, 4, 4 },	       { SOCKOPT_LEVEL_IPV6, IPV6_PKTINFO, 20, 20 },
		      { SOCKOPT_LEVEL_IPV6, IPV6_2292PKTINFO, 20, 20 }, { SOCKOPT_LEVEL_IPV6, IPV6_HOPLIMIT, 4, 4 },
		      { SOCKOPT_LEVEL_IPV6, IPV6_TCLASS, 4, 4 },       { SOCKOPT_LEVEL_IPV6, IPV6_DONTFRAG, 4, 4 },
		      { SOCKOPT_LEVEL_UDP, UDP_SEGMENT, 2, 2 } };

	for (u32 i = 0; i < ARRAY_SIZE(known); i++)
		if (c->cmsg_level == known[i].level && c->cmsg_type == known[i].type)
			return n >= known[i].least && n <= known[i].most;
	return false;
}

/* All that is there, no more and no less: a length that does not fit ends the walk of CMSG_NXTHDR() silently. */
static bool control_ok(struct msghdr *msg)
{
	size_t at = 0;

	while (at < msg->msg_controllen) {
		const struct cmsghdr *c = (const struct cmsghdr *)((const char *)msg->msg_control + at);

		if (msg->msg_controllen - at < sizeof(*c) || c->cmsg_len < sizeof(*c) || c->cmsg_len > msg->msg_controllen - at ||
		    !may_send(c, c->cmsg_len - sizeof(*c)))
			return false;
		at += CMSG_ALIGN(c->cmsg_len);
	}
	return true;
}

static s64 check_msg(const struct hc_sock_msg *req, u32 flags, u32 arm, struct handle *h)
{
	s64 err = get_socket(req->handle, h);

	if (err)
		return err;
	if (req->flags & ~flags || req->arm & ~arm || req->len > HC_SOCK_DATA_MAX || req->ctl_len > HC_SOCK_CTL_MAX)
		return -EINVAL;
	return hostmem_inside(req->off, req->len) && hostmem_inside(req->ctl_off, req->ctl_len) ? 0 : -EFAULT;
}

s64 serve_sock_send(u32 cpu, void *arg)
{
	const struct hc_sock_msg *req = arg;
	_Alignas(struct cmsghdr) char control[HC_SOCK_CTL_MAX];
	struct iovec iov = { hostmem_at(req->off, req->len), req->len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	u8 addr[HC_SOCKADDR_MAX];
	struct handle h;
	s64 ret = check_msg(req, SEND_FLAGS, HC_ARM_OUT, &h);
	u32 changes;

	if (ret)
		return ret;
	if (req->addr_len > sizeof(addr))
		return -EINVAL;
	if (req->addr_len) {
		memcpy(addr, req->addr, req->addr_len);
		msg.msg_name = addr;
		msg.msg_namelen = req->addr_len;
	}
	if (req->ctl_len) { /* a copy: what lies in the sandbox's memory may change after the check */
		memcpy(control, hostmem_at(req->ctl_off, req->ctl_len), req->ctl_len);
		msg.msg_control = control;
		msg.msg_controllen = req->ctl_len;
		if (!control_ok(&msg))
			return -EINVAL;
	}
	do {
		changes = sock_watch_changes(req->handle);
		ret = sendmsg(h.fd, &msg, (int)req->flags | MSG_NOSIGNAL | MSG_DONTWAIT);
		ret = ret < 0 ? -errno : ret;
	} while (ret == -EAGAIN && !wait_or_again(req->handle, req->arm, changes, &ret));
	return ret;
}

s64 serve_sock_recv(u32 cpu, void *arg)
{
	struct hc_sock_msg *req = arg;
	struct iovec iov = { hostmem_at(req->off, req->len), req->len };
	u8 addr[sizeof(struct sockaddr_storage)];
	struct handle h;
	s64 ret = check_msg(req, RECV_FLAGS, HC_ARM_IN, &h);
	struct msghdr msg;
	u32 changes;

	if (ret)
		return ret;
	do {
		msg = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1, .msg_name = addr, .msg_namelen = sizeof(addr),
				       .msg_control = hostmem_at(req->ctl_off, req->ctl_len), .msg_controllen = req->ctl_len };
		changes = sock_watch_changes(req->handle);
		ret = recvmsg(h.fd, &msg, (int)req->flags | MSG_DONTWAIT);
		ret = ret < 0 ? -errno : ret;
	} while (ret == -EAGAIN && !wait_or_again(req->handle, req->arm, changes, &ret));
	if (ret >= 0) {
		req->addr_len = MIN(msg.msg_namelen, (u32)sizeof(req->addr));
		memcpy(req->addr, addr, req->addr_len);
		req->ctl_len = (u32)msg.msg_controllen;
		req->out_flags = (u32)msg.msg_flags;
	}
	return ret;
}

/* ---- the rest ---- */

s64 serve_sock_shutdown(u32 cpu, void *arg)
{
	const struct hc_file2 *req = arg;
	struct handle h;
	s64 err = get_socket(req->handle, &h);

	if (err)
		return err;
	if (req->arg > SHUT_RDWR)
		return -EINVAL;
	return shutdown(h.fd, (int)req->arg) < 0 ? -errno : 0;
}

static const struct sockopt_rule {
	int level, name;
	u32 least, most, how;
} rules[] = {
#define RULE(level, name, least, most, how) { level, name, least, most, how },
	SOCKOPTS(RULE)
#undef RULE
};

s64 serve_sock_opt(u32 cpu, void *arg)
{
	const struct hc_sock_opt *req = arg;
	const struct sockopt_rule *r = rules, *end = rules + ARRAY_SIZE(rules);
	_Alignas(8) u8 value[HC_SOCKOPT_MAX];
	u8 *at = hostmem_at(req->off, req->len);
	socklen_t len = (socklen_t)req->len;
	struct handle h;
	s64 err = get_socket(req->handle, &h);

	if (err)
		return err;
	while (r < end && (r->level != req->level || r->name != req->name || !(r->how & (req->set ? OPT_SET : OPT_GET))))
		r++;
	if (r == end)
		return -ENOPROTOOPT;
	if (!at)
		return -EFAULT;
	if (req->len > sizeof(value))
		return -EINVAL;
	if (!req->set) { /* a short answer is cut by the kernel */
		if (getsockopt(h.fd, r->level, r->name, value, &len) < 0)
			return -errno;
		len = MIN(len, (socklen_t)req->len);
		memcpy(at, value, len);
		return len;
	}
	if (len < r->least)
		return -EINVAL;
	len = MIN(len, r->most);
	memcpy(value, at, len);
	/* Closing a socket that lingers would wait; the sentry asks only for one that is reset by its close. */
	if (r->level == SOCKOPT_LEVEL_SOCKET && r->name == SO_LINGER && ((const struct linger *)value)->l_linger)
		return -EINVAL;
	return setsockopt(h.fd, r->level, r->name, value, len) < 0 ? -errno : 0;
}

s64 serve_sock_count(u32 cpu, void *arg)
{
	static const unsigned long requests[] = { [HC_COUNT_IN] = FIONREAD, [HC_COUNT_OUT] = COUNT_OUT, [HC_COUNT_AT_MARK] = COUNT_AT_MARK,
						  [HC_COUNT_UNSENT] = COUNT_UNSENT };
	const struct hc_file2 *req = arg;
	struct handle h;
	s64 err = get_socket(req->handle, &h);
	int n = 0;

	if (err)
		return err;
	if (req->arg == HC_COUNT_INODE) {
		struct stat st;

		return syscall(SYS_fstat, h.fd, &st) < 0 ? -errno : (s64)st.st_ino;
	}
	if (req->arg >= ARRAY_SIZE(requests))
		return -EINVAL;
	return ioctl(h.fd, requests[req->arg], &n) < 0 ? -errno : n;
}

s64 serve_sock_poll(u32 cpu, void *arg)
{
	const struct hc_file2 *req = arg;
	struct pollfd p = { .events = POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND };
	struct handle h;
	s64 err = get_socket(req->handle, &h);
	int armed = 1;

	if (err)
		return err;
	if (req->arg != 0 && req->arg != HC_ARM_STAY && req->arg != HC_ARM_LEAVE)
		return -EINVAL;
	/* Before it is asked: what changes afterwards is told. */
	if (req->arg)
		armed = sock_watch_arm(req->handle, (u32)req->arg, 0);
	if (armed < 0 || req->arg == HC_ARM_LEAVE)
		return MIN(armed, 0);
	p.fd = h.fd;
	return poll(&p, 1, 0) < 0 ? -errno : p.revents;
}
