/* getsockopt(2), setsockopt(2) and the options of socket(7). */
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/filter.h>

#include "base/string.h"
#include "net/filter.h"
#include "net/ifconf.h"
#include "net/links.h"
#include "net/net_ns.h"
#include "net/sock.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/sys/syscall.h"

#define SOCK_MIN_SNDBUF 4608u

int opt_put_int(void *val, u32 *len, s32 v)
{
	*len = MIN(*len, sizeof(v));
	memcpy(val, &v, *len);
	return 0;
}

static int opt_put(void *val, u32 *len, const void *src, u32 n)
{
	*len = MIN(*len, n);
	memcpy(val, src, *len);
	return 0;
}

static int set_timeo(u64 *timeo, const void *val, u32 len)
{
	s64 tv[2];

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(tv, val, sizeof(tv));
	if (tv[1] < 0 || tv[1] >= 1000000)
		return -EDOM;
	if (tv[0] < 0)
		*timeo = 0;
	else if ((!tv[0] && !tv[1]) || tv[0] > (s64)(~0ull / NSEC_PER_SEC / 4))
		*timeo = ~0ull;
	else
		*timeo = tv[0] * NSEC_PER_SEC + tv[1] * NSEC_PER_USEC;
	return 0;
}

static int get_timeo(u64 timeo, void *val, u32 *len)
{
	s64 tv[2] = { 0, 0 };

	if (timeo != ~0ull) {
		tv[0] = timeo / NSEC_PER_SEC;
		tv[1] = timeo % NSEC_PER_SEC / NSEC_PER_USEC;
	}
	return opt_put(val, len, tv, sizeof(tv));
}

/* socket(7): the kernel doubles the value; the limit is net.core.[rw]mem_max. */
static u32 buf_size(s32 v, u32 min, bool force)
{
	u32 n = v < 0 ? 0x3fffffff : (u32)v;

	if (!force)
		n = MIN(n, SOCK_BUF_MAX);
	return MAX(MIN(n, 0x3fffffffu) * 2, min);
}

static bool *bool_option(struct sock *sk, s32 opt)
{
	switch (opt) {
	case SO_DEBUG:
		return &sk->debug;
	case SO_REUSEADDR:
		return &sk->reuseaddr;
	case SO_REUSEPORT:
		return &sk->reuseport;
	case SO_KEEPALIVE:
		return &sk->keepalive;
	case SO_BROADCAST:
		return &sk->broadcast;
	case SO_OOBINLINE:
		return &sk->oobinline;
	case SO_DONTROUTE:
		return &sk->dontroute;
	case SO_PASSCRED:
		return &sk->passcred;
	case SO_PASSSEC:
		return &sk->passsec;
	case SO_NO_CHECK:
		return &sk->no_check;
	case SO_WIFI_STATUS:
		return &sk->wifi_status;
	case SO_NOFCS:
		return &sk->no_fcs;
	case SO_SELECT_ERR_QUEUE:
		return &sk->select_errors;
	case SO_PREFER_BUSY_POLL:
		return &sk->prefer_busy_poll;
	case SO_TIMESTAMP_OLD:
	case SO_TIMESTAMP_NEW:
		return &sk->rxtimestamp;
	case SO_TIMESTAMPNS_OLD:
	case SO_TIMESTAMPNS_NEW:
		return &sk->rxtimestampns;
	}
	return NULL;
}

/* socket(7): whoever is bound to a link needs a right to leave it. */
static int bind_to_link(struct sock *sk, u32 index)
{
	if (sk->bound_link && !net_capable(sk->net, CAP_NET_RAW))
		return -EPERM;
	sk->bound_link = index;
	return 0;
}

static int bind_to_device(struct sock *sk, const char *name, u32 len)
{
	len = kstrnlen(name, MIN(len, IFNAMSIZ_K - 1u));
	if (len && (len != 2 || memcmp(name, "lo", 2)))
		return -ENODEV;
	return bind_to_link(sk, len ? LO_INDEX : 0);
}

static int set_int_option(struct sock *sk, s32 opt, s32 v)
{
	switch (opt) {
	case SO_SNDBUF:
		sk->sndbuf = buf_size(v, SOCK_MIN_SNDBUF, false);
		sock_wake_all(sk);
		return 0;
	case SO_RCVBUF:
		sk->rcvbuf = buf_size(v, SOCK_MIN_RCVBUF, false);
		return 0;
	case SO_SNDBUFFORCE:
		if (!net_capable(sk->net, CAP_NET_ADMIN))
			return -EPERM;
		sk->sndbuf = buf_size(v, SOCK_MIN_SNDBUF, true);
		sock_wake_all(sk);
		return 0;
	case SO_RCVBUFFORCE:
		if (!net_capable(sk->net, CAP_NET_ADMIN))
			return -EPERM;
		sk->rcvbuf = buf_size(v, SOCK_MIN_RCVBUF, true);
		return 0;
	case SO_PRIORITY:
		if ((v < 0 || v > 6) && !net_capable(sk->net, CAP_NET_ADMIN) && !net_capable(sk->net, CAP_NET_RAW))
			return -EPERM;
		sk->priority = v;
		return 0;
	case SO_MARK:
		if (!net_capable(sk->net, CAP_NET_ADMIN) && !net_capable(sk->net, CAP_NET_RAW))
			return -EPERM;
		sk->mark = v;
		return 0;
	case SO_RCVLOWAT:
		sk->rcvlowat = v < 0 ? 0x7fffffff : v ? v : 1;
		return 0;
	case SO_PEEK_OFF:
		if (sk->family != AF_UNIX || sk->type != SOCK_STREAM)
			return -EOPNOTSUPP;
		sk->peek_off = v;
		return 0;
	case SO_BINDTOIFINDEX:
		return v < 0 ? -EINVAL : bind_to_link(sk, (u32)v);
	case SO_BUSY_POLL:
		if (v < 0)
			return -EINVAL;
		sk->busy_poll = (u32)v;
		return 0;
	case SO_INCOMING_CPU:
		sk->incoming_cpu = v;
		return 0;
	case SO_BUF_LOCK:
		if (v & ~3)
			return -EINVAL;
		sk->buf_lock = (u32)v;
		return 0;
	case SO_CNX_ADVICE:
	case SO_BSDCOMPAT:
		return 0;
	case SO_TYPE:
	case SO_PROTOCOL:
	case SO_DOMAIN:
	case SO_ERROR:
	case SO_ACCEPTCONN:
	case SO_SNDLOWAT:
		return -ENOPROTOOPT;
	}
	return -ENOPROTOOPT;
}

int sock_set_common(struct sock *sk, s32 opt, const void *val, u32 len)
{
	bool *flag = bool_option(sk, opt);
	s32 v;

	if (opt == SO_DETACH_FILTER && !sk->filter)
		return -ENOENT;
	if (opt == SO_BINDTODEVICE)
		return bind_to_device(sk, val, len);
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	if (flag) {
		*flag = v != 0;
		return 0;
	}
	switch (opt) {
	case SO_MAX_PACING_RATE:
		if (len >= sizeof(u64))
			memcpy(&sk->pacing_rate, val, sizeof(u64));
		else
			sk->pacing_rate = v == -1 ? ~0ull : (u32)v;
		return 0;
	case SO_ATTACH_FILTER:
	case SO_DETACH_FILTER:
	case SO_LOCK_FILTER:
		return sock_set_filter(sk, opt, val, len);
	case SO_LINGER:
		if (len < sizeof(sk->linger))
			return -EINVAL;
		memcpy(&sk->linger, val, sizeof(sk->linger));
		sk->linger.onoff = sk->linger.onoff != 0;
		return 0;
	case SO_RCVTIMEO_OLD:
	case SO_RCVTIMEO_NEW:
		return set_timeo(&sk->rcvtimeo, val, len);
	case SO_SNDTIMEO_OLD:
	case SO_SNDTIMEO_NEW:
		return set_timeo(&sk->sndtimeo, val, len);
	}
	return set_int_option(sk, opt, v);
}

/* The indices of SK_MEMINFO_* (linux/sock_diag.h). */
static int get_meminfo(struct sock *sk, void *val, u32 *len)
{
	u32 info[9] = { (u32)sk->rx_bytes, sk->rcvbuf, (u32)atomic_load(&sk->wmem), sk->sndbuf };

	return opt_put(val, len, info, sizeof(info));
}

static int get_peername(struct sock *sk, void *val, u32 *len)
{
	struct sockaddr_k name;
	u32 n = 0;

	if (sk->ops->getname(sk, &name, &n, true))
		return -ENOTCONN;
	return n < *len ? -EINVAL : opt_put(val, len, &name, n);
}

int sock_get_common(struct sock *sk, s32 opt, void *val, u32 *len)
{
	struct ucred_k cred;
	u64 rate;
	bool *flag = bool_option(sk, opt);

	if (flag)
		return opt_put_int(val, len, *flag);
	switch (opt) {
	case SO_SNDBUF:
		return opt_put_int(val, len, sk->sndbuf);
	case SO_RCVBUF:
		return opt_put_int(val, len, sk->rcvbuf);
	case SO_TYPE:
		return opt_put_int(val, len, sk->type);
	case SO_PROTOCOL:
		return opt_put_int(val, len, sk->protocol);
	case SO_DOMAIN:
		return opt_put_int(val, len, sk->family);
	case SO_ERROR:
		return opt_put_int(val, len, -sock_take_error(sk));
	case SO_PRIORITY:
		return opt_put_int(val, len, sk->priority);
	case SO_MARK:
		return opt_put_int(val, len, sk->mark);
	case SO_RCVLOWAT:
		return opt_put_int(val, len, sk->rcvlowat);
	case SO_SNDLOWAT:
		return opt_put_int(val, len, 1);
	case SO_ACCEPTCONN:
		return opt_put_int(val, len, sk->state == SS_LISTEN);
	case SO_PEEK_OFF:
		return sk->family == AF_UNIX ? opt_put_int(val, len, sk->peek_off) : -EOPNOTSUPP;
	case SO_LOCK_FILTER:
		return opt_put_int(val, len, sk->filter_locked);
	case SO_BUSY_POLL:
		return opt_put_int(val, len, (s32)sk->busy_poll);
	case SO_INCOMING_CPU:
		return opt_put_int(val, len, sk->incoming_cpu);
	case SO_BUF_LOCK:
		return opt_put_int(val, len, (s32)sk->buf_lock);
	case SO_BSDCOMPAT:
	case SO_INCOMING_NAPI_ID:
		return opt_put_int(val, len, 0);
	case SO_BPF_EXTENSIONS:
		return opt_put_int(val, len, SKF_AD_MAX);
	case SO_MAX_PACING_RATE:
		rate = *len < sizeof(rate) ? MIN(sk->pacing_rate, 0xffffffffull) : sk->pacing_rate;
		return opt_put(val, len, &rate, *len < sizeof(rate) ? sizeof(u32) : sizeof(rate));
	case SO_COOKIE:
	case SO_NETNS_COOKIE:
		if (opt == SO_COOKIE ? *len < sizeof(u64) : *len != sizeof(u64))
			return -EINVAL;
		return opt_put(val, len, opt == SO_COOKIE ? &sk->ino : &sk->net->c.ino, sizeof(u64));
	case SO_MEMINFO:
		return get_meminfo(sk, val, len);
	case SO_PEERNAME:
		return get_peername(sk, val, len);
	case SO_LINGER:
		return opt_put(val, len, &sk->linger, sizeof(sk->linger));
	case SO_RCVTIMEO_OLD:
	case SO_RCVTIMEO_NEW:
		return get_timeo(sk->rcvtimeo, val, len);
	case SO_SNDTIMEO_OLD:
	case SO_SNDTIMEO_NEW:
		return get_timeo(sk->sndtimeo, val, len);
	case SO_PEERCRED:
		cred = sock_show_cred(&sk->peercred);
		return opt_put(val, len, &cred, sizeof(cred));
	case SO_BINDTODEVICE:
		return sk->bound_link && *len < IFNAMSIZ_K ? -EINVAL : opt_put(val, len, "lo", sk->bound_link ? sizeof("lo") : 0);
	case SO_BINDTOIFINDEX:
		return opt_put_int(val, len, (s32)sk->bound_link);
	}
	return -ENOPROTOOPT;
}

int sock_pending_error(struct sock *sk)
{
	s32 err = 0;
	u32 len = sizeof(err);

	if (!sk->ops->own_socket_level)
		return sock_take_error(sk);
	sk->ops->getsockopt(sk, SOL_SOCKET, SO_ERROR, &err, &len);
	return -err;
}

SYSCALL5(setsockopt, s32, fd, s32, level, s32, opt, u64, uval, s32, len)
{
	u8 val[SOCKOPT_MAX] __attribute__((aligned(8))) = { 0 };
	struct sock *sk;
	struct file *f;
	int err;

	if (len < 0)
		return -EINVAL;
	sk = sock_from_fd(fd, &f);
	if (IS_ERR(sk))
		return PTR_ERR(sk);
	len = MIN((u32)len, SOCKOPT_MAX);
	err = copy_from_user(val, uval, len);
	if (!err && level == SOL_SOCKET && !sk->ops->own_socket_level)
		err = sock_set_common(sk, opt, val, len);
	else if (!err)
		err = sk->ops->setsockopt ? sk->ops->setsockopt(sk, level, opt, val, len) : -EOPNOTSUPP;
	file_put(f);
	return err;
}

SYSCALL5(getsockopt, s32, fd, s32, level, s32, opt, u64, uval, u64, ulenp)
{
	u8 val[SOCKOPT_MAX] __attribute__((aligned(8))) = { 0 };
	struct sock *sk;
	struct file *f;
	s32 ulen;
	u32 len;
	int err;

	sk = sock_from_fd(fd, &f);
	if (IS_ERR(sk))
		return PTR_ERR(sk);
	err = get_user(ulen, ulenp);
	if (!err && ulen < 0)
		err = -EINVAL;
	if (err)
		goto out;
	len = MIN((u32)ulen, SOCKOPT_MAX);
	if (level == SOL_SOCKET && !sk->ops->own_socket_level) {
		err = sock_get_common(sk, opt, val, &len);
		if (err == -ENOPROTOOPT && sk->ops->getsockopt)
			err = sk->ops->getsockopt(sk, level, opt, val, &len);
	} else {
		err = sk->ops->getsockopt ? sk->ops->getsockopt(sk, level, opt, val, &len) : -EOPNOTSUPP;
	}
	if (!err && (copy_to_user(uval, val, len) || put_user((s32)len, ulenp)))
		err = -EFAULT;
out:
	file_put(f);
	return err;
}
