/* Options of ip(7), ipv6(7), tcp(7) and udp(7): checked and kept; those that change behaviour are looked up by inet_opt(). */
#include <linux/capability.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "base/string.h"
#include "net/ifconf.h"
#include "net/inet/inet.h"
#include "net/net_ns.h"
#include "sentry/kernel/task.h"

#define OPT_MTU_DISCOVER_WANT 1

/* Rows by level and number; values outside [min, max] are -EINVAL, flags (0..1) are normalised instead. */
static const struct opt_row {
	s16 level;
	u16 opt;
	s32 min, max, def;
} rows[] = {
	{ SOL_IP, IP_TOS, 0, 255, 0 },
	{ SOL_IP, IP_TTL, -1, 255, 64 },
	{ SOL_IP, IP_RECVOPTS, 0, 1, 0 },
	{ SOL_IP, IP_PKTINFO, 0, 1, 0 },
	{ SOL_IP, IP_MTU_DISCOVER, 0, 5, OPT_MTU_DISCOVER_WANT },
	{ SOL_IP, IP_RECVERR, 0, 1, 0 },
	{ SOL_IP, IP_RECVTTL, 0, 1, 0 },
	{ SOL_IP, IP_RECVTOS, 0, 1, 0 },
	{ SOL_IP, IP_RETOPTS, 0, 1, 0 },
	{ SOL_IP, IP_RECVERR_RFC4884, 0, 1, 0 },
	{ SOL_IP, IP_FREEBIND, 0, 1, 0 },
	{ SOL_IP, IP_BIND_ADDRESS_NO_PORT, 0, 1, 0 },
	{ SOL_IP, IP_MULTICAST_TTL, -1, 255, 1 },
	{ SOL_IP, IP_MULTICAST_LOOP, 0, 1, 1 },
	{ SOL_IP, IP_MULTICAST_ALL, 0, 1, 1 },
	{ SOL_IPV6, IPV6_UNICAST_HOPS, -1, 255, 64 },
	{ SOL_IPV6, IPV6_MULTICAST_HOPS, -1, 255, 1 },
	{ SOL_IPV6, IPV6_MULTICAST_LOOP, 0, 1, 1 },
	{ SOL_IPV6, IPV6_MTU_DISCOVER, 0, 5, OPT_MTU_DISCOVER_WANT },
	{ SOL_IPV6, IPV6_RECVERR, 0, 1, 0 },
	{ SOL_IPV6, IPV6_RECVPKTINFO, 0, 1, 0 },
	{ SOL_IPV6, IPV6_RECVHOPLIMIT, 0, 1, 0 },
	{ SOL_IPV6, IPV6_RECVTCLASS, 0, 1, 0 },
	{ SOL_IPV6, IPV6_TCLASS, -1, 255, 0 },
	{ SOL_IPV6, IPV6_DONTFRAG, 0, 1, 0 },
	{ SOL_IPV6, IPV6_AUTOFLOWLABEL, 0, 1, 1 },
	{ SOL_TCP, TCP_NODELAY, 0, 1, 0 },
	{ SOL_TCP, TCP_CORK, 0, 1, 0 },
	{ SOL_TCP, TCP_KEEPIDLE, 1, 32767, 7200 },
	{ SOL_TCP, TCP_KEEPINTVL, 1, 32767, 75 },
	{ SOL_TCP, TCP_KEEPCNT, 1, 127, 9 },
	{ SOL_TCP, TCP_SYNCNT, 1, 127, 6 },
	{ SOL_TCP, TCP_LINGER2, -0x7fffffff, 0x7fffffff, 60 },
	{ SOL_TCP, TCP_DEFER_ACCEPT, 0, 0x7fffffff, 0 },
	{ SOL_TCP, TCP_WINDOW_CLAMP, 0, 0x7fffffff, 0 },
	{ SOL_TCP, TCP_QUICKACK, 0, 1, 1 },
	{ SOL_TCP, TCP_USER_TIMEOUT, 0, 0x7fffffff, 0 },
	{ SOL_TCP, TCP_FASTOPEN, 0, 0x7fffffff, 0 },
	{ SOL_TCP, TCP_NOTSENT_LOWAT, 0, 0x7fffffff, 0 },
	{ SOL_UDP, UDP_CORK, 0, 1, 0 },
};
_Static_assert(ARRAY_SIZE(rows) <= INET_NOPTS, "INET_NOPTS too small");

static int row_of(s32 level, s32 opt)
{
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].level == level && rows[i].opt == opt)
			return i;
	return -1;
}

void inet_opt_init(struct inet_sock *is)
{
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		is->opts[i] = rows[i].def;
	kstrlcpy(is->congestion, "cubic", sizeof(is->congestion));
}

s32 inet_opt(const struct inet_sock *is, s32 level, s32 opt)
{
	int i = row_of(level, opt);

	return i < 0 ? 0 : is->opts[i];
}

static bool level_fits(const struct inet_sock *is, s32 level)
{
	switch (level) {
	case SOL_IP:
		return true; /* on AF_INET6 too: dual stack */
	case SOL_IPV6:
		return is->st.sk.family == AF_INET6;
	case SOL_TCP:
		return is->st.sk.type == SOCK_STREAM;
	case SOL_UDP:
		return is->st.sk.type == SOCK_DGRAM && is->st.sk.protocol == IPPROTO_UDP_K;
	}
	return false;
}

static int set_row(struct inet_sock *is, u32 i, s32 v)
{
	const struct opt_row *r = &rows[i];

	if (r->min == 0 && r->max == 1)
		v = v != 0;
	if (v < r->min || v > r->max)
		return -EINVAL;
	is->opts[i] = v == -1 && r->min == -1 ? r->def : v;
	return 0;
}

static int set_v6only(struct inet_sock *is, s32 v)
{
	if (is->lport)
		return -EINVAL;
	is->v6only = v != 0;
	return 0;
}

static int set_congestion(struct inet_sock *is, const char *name, u32 len)
{
	len = kstrnlen(name, MIN(len, sizeof(is->congestion) - 1));
	if ((len == 5 && !memcmp(name, "cubic", 5)) || (len == 4 && !memcmp(name, "reno", 4))) {
		memset(is->congestion, 0, sizeof(is->congestion));
		memcpy(is->congestion, name, len);
		return 0;
	}
	return -ENOENT;
}

static int set_special(struct inet_sock *is, s32 level, s32 opt, s32 v)
{
	switch (level) {
	case SOL_IP:
		switch (opt) {
		case IP_ADD_MEMBERSHIP:
		case IP_DROP_MEMBERSHIP:
		case IP_ADD_SOURCE_MEMBERSHIP:
			return -ENODEV; /* lo does no multicast */
		case IP_MULTICAST_IF:
		case IP_OPTIONS:
			return 0;
		case IP_HDRINCL:
			return -ENOPROTOOPT;
		case IP_TRANSPARENT:
			return net_capable(is->st.sk.net, CAP_NET_ADMIN) ? 0 : -EPERM;
		}
		break;
	case SOL_IPV6:
		switch (opt) {
		case IPV6_V6ONLY:
			return set_v6only(is, v);
		case IPV6_ADD_MEMBERSHIP:
		case IPV6_DROP_MEMBERSHIP:
			return -ENODEV;
		case IPV6_MULTICAST_IF:
			return v && v != LO_INDEX ? -ENODEV : 0;
		}
		break;
	case SOL_TCP:
		if (opt == TCP_MAXSEG)
			return v && (v < 88 || v > 32767) ? -EINVAL : 0;
		break;
	}
	return -ENOPROTOOPT;
}

int inet_setsockopt(struct sock *sk, s32 level, s32 opt, const void *val, u32 len)
{
	struct inet_sock *is = to_inet(sk);
	int i = row_of(level, opt);
	s32 v = 0;

	if (!level_fits(is, level))
		return -ENOPROTOOPT;
	if (level == SOL_TCP && opt == TCP_CONGESTION)
		return set_congestion(is, val, len);
	if (len >= sizeof(v))
		memcpy(&v, val, sizeof(v));
	else if (len >= 1 && level == SOL_IP)
		v = *(const u8 *)val; /* ip(7): a single byte is taken too */
	else if (i >= 0)
		return -EINVAL;
	return i < 0 ? set_special(is, level, opt, v) : set_row(is, i, v);
}

int inet_getsockopt(struct sock *sk, s32 level, s32 opt, void *val, u32 *len)
{
	struct inet_sock *is = to_inet(sk);
	int i = row_of(level, opt);

	if (!level_fits(is, level))
		return level == SOL_SOCKET ? -ENOPROTOOPT : -EOPNOTSUPP;
	if (i >= 0) {
		if (level == SOL_IP && *len > 0 && *len < sizeof(s32) && is->opts[i] >= 0 && is->opts[i] <= 255) {
			*(u8 *)val = is->opts[i];
			*len = 1;
			return 0;
		}
		return opt_put_int(val, len, is->opts[i]);
	}
	if (level == SOL_TCP && opt == TCP_INFO)
		return tcp_get_info(is, val, len);
	if (level == SOL_TCP && opt == TCP_MAXSEG)
		return opt_put_int(val, len, sk->state == SS_CONNECTED ? 32741 : 536);
	if (level == SOL_TCP && opt == TCP_CONGESTION) {
		*len = MIN(*len, sizeof(is->congestion));
		memcpy(val, is->congestion, *len);
		return 0;
	}
	if (level == SOL_IPV6 && opt == IPV6_V6ONLY)
		return opt_put_int(val, len, is->v6only);
	if ((level == SOL_IP && opt == IP_MTU) || (level == SOL_IPV6 && opt == IPV6_MTU))
		return is->rport ? opt_put_int(val, len, LO_MTU) : -ENOTCONN;
	if (level == SOL_IP && opt == IP_OPTIONS) {
		*len = 0;
		return 0;
	}
	if ((level == SOL_IP && opt == IP_MULTICAST_IF) || (level == SOL_IPV6 && opt == IPV6_MULTICAST_IF))
		return opt_put_int(val, len, 0);
	return -ENOPROTOOPT;
}
