/* Options of host sockets: the host knows them, but for those that say how the sentry waits and what it tells of itself. */
#include <linux/capability.h>

#include "base/string.h"
#include "net/hostinet/hostinet.h"
#include "net/net_ns.h"
#include "sentry/kernel/task.h"

/* Of SOL_SOCKET. */
static bool is_ours(s32 opt)
{
	switch (opt) {
	case SO_RCVTIMEO_OLD:
	case SO_RCVTIMEO_NEW:
	case SO_SNDTIMEO_OLD:
	case SO_SNDTIMEO_NEW:
	case SO_TYPE:
	case SO_PROTOCOL:
	case SO_DOMAIN:
	case SO_PEERCRED:
	case SO_PASSCRED:
	case SO_PASSSEC:
	case SO_DEBUG:
	case SO_MARK:
	case SO_BUSY_POLL:
	case SO_SNDLOWAT:
		return true;
	}
	return false;
}

/* The value goes by a buffer in sandbox memory, which a stack need not be. */
static s64 host_opt(struct host_sock *hs, s32 level, s32 opt, void *val, u32 len, bool set)
{
	struct hc_sock_opt req = { .handle = hs->handle, .level = level, .name = opt, .set = set, .len = MIN(len, HC_SOCKOPT_MAX) };
	u8 *buf = kmalloc(HC_SOCKOPT_MAX);
	s64 ret;

	if (!buf)
		return -ENOMEM;
	memcpy(buf, val, req.len);
	req.off = va_to_pa(buf);
	ret = hostcall(HC_SOCK_OPT, &req, sizeof(req));
	if (!set && ret > 0)
		memcpy(val, buf, MIN((u64)ret, req.len));
	kfree(buf);
	return ret;
}

/* One that resets is the host's; the host does not wait for the others' data when they are closed. */
static int set_linger(struct host_sock *hs, const void *val, u32 len)
{
	int err = sock_set_common(&hs->sk, SO_LINGER, val, len);
	struct linger_k l = { .onoff = hs->sk.linger.onoff && !hs->sk.linger.linger };

	return err ? err : (int)host_opt(hs, SOL_SOCKET, SO_LINGER, &l, sizeof(l), true);
}

static int set_socket_level(struct host_sock *hs, s32 opt, const void *val, u32 len)
{
	struct sock *sk = &hs->sk;
	int err;

	if (is_ours(opt))
		return sock_set_common(sk, opt, val, len);
	if (opt == SO_LINGER)
		return set_linger(hs, val, len);
	if (opt == SO_SNDBUFFORCE || opt == SO_RCVBUFFORCE) { /* no further than the host lets anybody */
		if (!net_capable(sk->net, CAP_NET_ADMIN))
			return -EPERM;
		opt = opt == SO_SNDBUFFORCE ? SO_SNDBUF : SO_RCVBUF;
	}
	err = (int)host_opt(hs, SOL_SOCKET, opt, (void *)val, len, true);
	if (!err && opt == SO_RCVLOWAT)
		err = sock_set_common(sk, opt, val, len);
	return err == -ENOPROTOOPT ? sock_set_common(sk, opt, val, len) : err;
}

int host_inet_setsockopt(struct sock *sk, s32 level, s32 opt, const void *val, u32 len)
{
	if (level == SOL_SOCKET)
		return set_socket_level(to_host(sk), opt, val, len);
	return (int)host_opt(to_host(sk), level, opt, (void *)val, len, true);
}

int host_inet_getsockopt(struct sock *sk, s32 level, s32 opt, void *val, u32 *len)
{
	s64 n = -ENOPROTOOPT;

	if (level == SOL_SOCKET && opt == SO_ERROR && sk->err)
		return opt_put_int(val, len, -sock_take_error(sk));
	if (level != SOL_SOCKET || (!is_ours(opt) && opt != SO_LINGER))
		n = host_opt(to_host(sk), level, opt, val, *len, false);
	if (level == SOL_SOCKET && n == -ENOPROTOOPT)
		return sock_get_common(sk, opt, val, len);
	if (n >= 0)
		*len = MIN((u32)n, *len);
	return n < 0 ? (int)n : 0;
}
