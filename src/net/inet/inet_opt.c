/* Options of ip(7), ipv6(7), tcp(7) and udp(7): checked and kept; those that change behaviour are looked up by inet_opt(). */
#include <linux/capability.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "base/string.h"
#include "net/ifconf.h"
#include "net/inet/inet.h"
#include "net/inet/inet_mc.h"
#include "net/net_ns.h"
#include "sentry/kernel/task.h"

#define OPT_MTU_DISCOVER_WANT 1
#define FASTOPEN_MAX 4096 /* net.core.somaxconn */
#define FIN_TIMEOUT_MAX 120	    /* seconds */
#define WINDOW_CLAMP_MIN (SOCK_MIN_RCVBUF / 2)

/* Rows by level and number. Values outside [min, max] are -EINVAL; -1 stands for the default where it is the least. */
enum { FLAG = 1 /* any value but 0 is 1 */, NEEDED = 2 /* IPv4: no value is -EINVAL; else it is 0 */, NOT_STREAM = 4 /* -EINVAL on TCP */,
       SHORT = 8 /* IPv6: less than an int is 0; else -EINVAL */ };
static const struct opt_row {
	s16 level;
	u16 opt;
	s32 min, max, def;
	u32 how;
} rows[] = {
	{ SOL_IP, IP_TOS, 0, 255, 0, 0 },
	{ SOL_IP, IP_TTL, -1, 255, 64, NEEDED },
	{ SOL_IP, IP_RECVOPTS, 0, 1, 0, FLAG },
	{ SOL_IP, IP_PKTINFO, 0, 1, 0, FLAG },
	{ SOL_IP, IP_MTU_DISCOVER, 0, 5, OPT_MTU_DISCOVER_WANT, 0 },
	{ SOL_IP, IP_RECVERR, 0, 1, 0, FLAG },
	{ SOL_IP, IP_RECVTTL, 0, 1, 0, FLAG },
	{ SOL_IP, IP_RECVTOS, 0, 1, 0, FLAG },
	{ SOL_IP, IP_RETOPTS, 0, 1, 0, FLAG },
	{ SOL_IP, IP_PASSSEC, 0, 1, 0, FLAG },
	{ SOL_IP, IP_TRANSPARENT, 0, 1, 0, FLAG | NEEDED },
	{ SOL_IP, IP_RECVORIGDSTADDR, 0, 1, 0, FLAG },
	{ SOL_IP, IP_MINTTL, 0, 255, 0, NEEDED },
	{ SOL_IP, IP_CHECKSUM, 0, 1, 0, FLAG },
	{ SOL_IP, IP_RECVFRAGSIZE, 0, 1, 0, FLAG | NOT_STREAM },
	{ SOL_IP, IP_RECVERR_RFC4884, 0, 1, 0, 0 },
	{ SOL_IP, IP_FREEBIND, 0, 1, 0, FLAG | NEEDED },
	{ SOL_IP, IP_BIND_ADDRESS_NO_PORT, 0, 1, 0, FLAG },
	{ SOL_IP, IP_MULTICAST_TTL, -1, 255, 1, NEEDED | NOT_STREAM },
	{ SOL_IP, IP_MULTICAST_LOOP, 0, 1, 1, FLAG | NEEDED },
	{ SOL_IP, IP_MULTICAST_ALL, 0, 1, 1, NEEDED },
	{ SOL_IPV6, IPV6_UNICAST_HOPS, -1, 255, 64, 0 },
	{ SOL_IPV6, IPV6_MULTICAST_HOPS, -1, 255, 1, 0 },
	{ SOL_IPV6, IPV6_MULTICAST_LOOP, 0, 1, 1, 0 },
	{ SOL_IPV6, IPV6_MULTICAST_ALL, 0, 1, 1, FLAG },
	{ SOL_IPV6, IPV6_2292PKTINFO, 0, 1, 0, FLAG },
	{ SOL_IPV6, IPV6_2292HOPOPTS, 0, 1, 0, FLAG },
	{ SOL_IPV6, IPV6_2292DSTOPTS, 0, 1, 0, FLAG },
	{ SOL_IPV6, IPV6_2292RTHDR, 0, 1, 0, FLAG },
	{ SOL_IPV6, IPV6_2292HOPLIMIT, 0, 1, 0, FLAG },
	{ SOL_IPV6, IPV6_MTU_DISCOVER, 0, 5, OPT_MTU_DISCOVER_WANT, 0 },
	{ SOL_IPV6, IPV6_RECVERR, 0, 1, 0, FLAG },
	{ SOL_IPV6, IPV6_RECVERR_RFC4884, 0, 1, 0, 0 },
	{ SOL_IPV6, IPV6_RECVPKTINFO, 0, 1, 0, FLAG },
	{ SOL_IPV6, IPV6_RECVHOPLIMIT, 0, 1, 0, FLAG },
	{ SOL_IPV6, IPV6_RECVTCLASS, 0, 1, 0, FLAG },
	{ SOL_IPV6, IPV6_RECVHOPOPTS, 0, 1, 0, FLAG },
	{ SOL_IPV6, IPV6_RECVRTHDR, 0, 1, 0, FLAG },
	{ SOL_IPV6, IPV6_RECVDSTOPTS, 0, 1, 0, FLAG },
	{ SOL_IPV6, IPV6_RECVPATHMTU, 0, 1, 0, FLAG },
	{ SOL_IPV6, IPV6_RECVFRAGSIZE, 0, 1, 0, FLAG | SHORT },
	{ SOL_IPV6, IPV6_RECVORIGDSTADDR, 0, 1, 0, FLAG },
	{ SOL_IPV6, IPV6_FLOWINFO, 0, 1, 0, FLAG },
	{ SOL_IPV6, IPV6_FLOWINFO_SEND, 0, 1, 0, FLAG },
	{ SOL_IPV6, IPV6_TRANSPARENT, 0, 1, 0, FLAG },
	{ SOL_IPV6, IPV6_FREEBIND, 0, 1, 0, FLAG },
	{ SOL_IPV6, IPV6_MINHOPCOUNT, 0, 255, 0, 0 },
	{ SOL_IPV6, IPV6_TCLASS, -1, 255, 0, 0 },
	{ SOL_IPV6, IPV6_DONTFRAG, 0, 1, 0, FLAG | SHORT },
	{ SOL_IPV6, IPV6_AUTOFLOWLABEL, 0, 1, 1, FLAG | SHORT },
	{ SOL_TCP, TCP_NODELAY, 0, 1, 0, FLAG },
	{ SOL_TCP, TCP_CORK, 0, 1, 0, FLAG },
	{ SOL_TCP, TCP_KEEPIDLE, 1, 32767, 7200, 0 },
	{ SOL_TCP, TCP_KEEPINTVL, 1, 32767, 75, 0 },
	{ SOL_TCP, TCP_KEEPCNT, 1, 127, 9, 0 },
	{ SOL_TCP, TCP_SYNCNT, 1, 127, 6, 0 },
	{ SOL_TCP, TCP_LINGER2, -0x7fffffff - 1, 0x7fffffff, 60, 0 },
	{ SOL_TCP, TCP_DEFER_ACCEPT, -0x7fffffff - 1, 0x7fffffff, 0, 0 },
	{ SOL_TCP, TCP_WINDOW_CLAMP, -0x7fffffff - 1, 0x7fffffff, 0, 0 },
	{ SOL_TCP, TCP_QUICKACK, 0, 1, 1, FLAG },
	{ SOL_TCP, TCP_USER_TIMEOUT, 0, 0x7fffffff, 0, 0 },
	{ SOL_TCP, TCP_FASTOPEN, 0, 0x7fffffff, 0, 0 },
	{ SOL_TCP, TCP_THIN_LINEAR_TIMEOUTS, 0, 1, 0, 0 },
	{ SOL_TCP, TCP_SAVE_SYN, 0, 2, 0, 0 },
	{ SOL_TCP, TCP_FASTOPEN_CONNECT, 0, 1, 0, 0 },
	{ SOL_TCP, TCP_FASTOPEN_NO_COOKIE, 0, 1, 0, 0 },
	{ SOL_TCP, TCP_INQ, 0, 1, 0, 0 },
	{ SOL_TCP, TCP_NOTSENT_LOWAT, -0x7fffffff - 1, 0x7fffffff, 0, 0 },
	{ SOL_UDP, UDP_CORK, 0, 1, 0, FLAG },
};
_Static_assert(ARRAY_SIZE(rows) <= INET_NOPTS, "INET_NOPTS too small");

/* Rows by level and option, one more than their number: each packet asks for several. */
enum { OPTIONS = 128 };
static u8 row_index[4][OPTIONS];

static u32 level_number(s32 level) { return level == SOL_IP ? 0 : level == SOL_IPV6 ? 1 : level == SOL_TCP ? 2 : 3; }

void inet_opt_index(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		row_index[level_number(rows[i].level)][rows[i].opt] = (u8)(i + 1);
}

static int row_of(s32 level, s32 opt)
{
	if ((level != SOL_IP && level != SOL_IPV6 && level != SOL_TCP && level != SOL_UDP) || opt < 0 || opt >= OPTIONS)
		return -1;
	return row_index[level_number(level)][opt] - 1;
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

	if (r->how & FLAG)
		v = v != 0;
	if (v < r->min || v > r->max || (r->how & NOT_STREAM && is->st.sk.type == SOCK_STREAM))
		return -EINVAL;
	is->opts[i] = v == -1 && r->min == -1 ? r->def : v;
	return 0;
}

/* TCP_DEFER_ACCEPT is kept as a number of repetitions, whose distance doubles up to two minutes: the seconds that come of it. */
static s32 defer_seconds(s32 v)
{
	s32 distance = 1, period = v > 0;

	for (u32 n = 1; v > period && n < 255; n++) {
		distance = MIN(distance * 2, 120);
		period += distance;
	}
	return period;
}

/* Those whose value is not taken as it is, or not from everyone. */
static int set_value(struct inet_sock *is, u32 i, s32 v)
{
	const struct opt_row *r = &rows[i];
	bool stream = is->st.sk.type == SOCK_STREAM;

	if (r->level == SOL_IP) {
		switch (r->opt) {
		case IP_TOS: /* a byte; a stream's congestion bits are the kernel's */
			return set_row(is, i, stream ? (v & 0xfc) | (is->opts[i] & 3) : v & 0xff);
		case IP_TTL:
			return v ? set_row(is, i, v) : -EINVAL;
		case IP_TRANSPARENT:
			return v && !net_capable(is->st.sk.net, CAP_NET_RAW) && !net_capable(is->st.sk.net, CAP_NET_ADMIN) ? -EPERM : set_row(is, i, v);
		}
	} else if (r->level == SOL_IPV6) {
		switch (r->opt) {
		case IPV6_TCLASS:
			return set_row(is, i, stream && v > 0 ? (v & ~3) | (is->opts[i] & 3) : v);
		case IPV6_MULTICAST_HOPS:
			return stream ? -ENOPROTOOPT : set_row(is, i, v);
		case IPV6_TRANSPARENT:
			return v && !net_capable(is->st.sk.net, CAP_NET_RAW) && !net_capable(is->st.sk.net, CAP_NET_ADMIN) ? -EPERM : set_row(is, i, v);
		}
	} else if (r->level == SOL_TCP) {
		switch (r->opt) {
		case TCP_LINGER2:
			return set_row(is, i, v < 0 ? -1 : v ? MIN(v, FIN_TIMEOUT_MAX) : r->def);
		case TCP_WINDOW_CLAMP:
			if (!v && is->st.sk.state != SS_UNCONNECTED)
				return -EINVAL;
			return set_row(is, i, v ? MAX(v, (s32)WINDOW_CLAMP_MIN) : 0);
		case TCP_DEFER_ACCEPT:
			return set_row(is, i, defer_seconds(v));
		case TCP_FASTOPEN:
			return set_row(is, i, MIN(v, FASTOPEN_MAX));
		}
	}
	return set_row(is, i, v);
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
	if (!len)
		return -EINVAL;
	len = kstrnlen(name, MIN(len, sizeof(is->congestion) - 1));
	if ((len == 5 && !memcmp(name, "cubic", 5)) || (len == 4 && !memcmp(name, "reno", 4))) {
		memset(is->congestion, 0, sizeof(is->congestion));
		memcpy(is->congestion, name, len);
		return 0;
	}
	return -ENOENT;
}

/* The link for what is not multicast: an index in network order. */
static int set_unicast_link(u32 *link, s32 v, u32 len)
{
	u32 index = __builtin_bswap32((u32)v);

	if (len != sizeof(v))
		return -EINVAL;
	if (index > LO_INDEX)
		return -EADDRNOTAVAIL;
	*link = index;
	return 0;
}

/* IP options: ends and fillings are taken, and sent to nobody; what says something is refused. */
static int check_options(const u8 *o, u32 len)
{
	if (len > 40)
		return -EINVAL;
	for (u32 i = 0; i < len && o[i]; i++)
		if (o[i] != 1)
			return -EINVAL;
	return 0;
}

static int set_special(struct inet_sock *is, s32 level, s32 opt, s32 v, const void *val, u32 len)
{
	bool stream = is->st.sk.type == SOCK_STREAM;

	if (level == SOL_IP) {
		switch (opt) {
		case IP_OPTIONS:
			return check_options(val, len);
		case IP_ROUTER_ALERT:
			return -EINVAL; /* not of a raw socket */
		case IP_UNICAST_IF:
			return set_unicast_link(&is->uc_link, v, len);
		case IP_IPSEC_POLICY:
		case IP_XFRM_POLICY:
			return net_capable(is->st.sk.net, CAP_NET_ADMIN) ? -ENOPROTOOPT : -EPERM;
		}
		return mc_setsockopt(is, level, opt, val, len);
	}
	if (level == SOL_IPV6) {
		switch (opt) {
		case IPV6_V6ONLY:
			return len < sizeof(v) ? -EINVAL : set_v6only(is, v);
		case IPV6_MULTICAST_IF:
			if (stream)
				return -ENOPROTOOPT;
			if (len < sizeof(v))
				return -EINVAL;
			if ((u32)v > LO_INDEX)
				return -ENODEV;
			is->mc6_link = (u32)v;
			return 0;
		case IPV6_UNICAST_IF:
			return set_unicast_link(&is->uc6_link, v, len);
		case IPV6_ADDRFORM:
			return len < sizeof(v) || v != AF_INET ? -EINVAL : is->rport && addr_is_v4(&is->raddr) ? -ENOPROTOOPT : -ENOTCONN;
		case IPV6_MTU:
			return len < sizeof(v) || (v && v < 1280) ? -EINVAL : 0;
		}
		return mc_setsockopt(is, level, opt, val, len);
	}
	if (level == SOL_TCP && opt == TCP_MAXSEG) {
		if (len < sizeof(v) || (v && (v < 88 || v > 32767)))
			return -EINVAL;
		is->user_mss = (u16)v;
		return 0;
	}
	return -ENOPROTOOPT;
}

/* ip(7) takes a single byte too, and nothing for 0; all else asks for an int. */
int inet_setsockopt(struct sock *sk, s32 level, s32 opt, const void *val, u32 len)
{
	struct inet_sock *is = to_inet(sk);
	int i = row_of(level, opt);
	s32 v = 0;

	if (!level_fits(is, level))
		return -ENOPROTOOPT;
	if (level == SOL_TCP && opt == TCP_CONGESTION)
		return set_congestion(is, val, len);
	if (level == SOL_TCP && opt == TCP_ULP)
		return len ? -ENOENT : -EINVAL;
	if ((level == SOL_TCP || level == SOL_UDP) && len < sizeof(v))
		return -EINVAL;
	if (len >= sizeof(v))
		memcpy(&v, val, sizeof(v));
	else if (len >= 1 && level == SOL_IP)
		v = *(const u8 *)val;
	if (i < 0)
		return set_special(is, level, opt, v, val, len);
	if (level == SOL_IP ? !len && rows[i].how & NEEDED : len < sizeof(v) && !(rows[i].how & SHORT))
		return -EINVAL;
	return set_value(is, (u32)i, v);
}

/* IP_PKTOPTIONS: what a stream's first packet said, of which none is kept. */
static int packet_options(const struct inet_sock *is, u32 *len)
{
	if (is->st.sk.type != SOCK_STREAM)
		return -ENOPROTOOPT;
	*len = 0;
	return 0;
}

int inet_getsockopt(struct sock *sk, s32 level, s32 opt, void *val, u32 *len)
{
	struct inet_sock *is = to_inet(sk);
	int i = row_of(level, opt);

	if (!level_fits(is, level))
		return level == SOL_SOCKET || sk->family == AF_INET6 ? -ENOPROTOOPT : -EOPNOTSUPP;
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
		return opt_put_int(val, len, sk->state == SS_CONNECTED ? 32741 : is->user_mss ? is->user_mss : 536);
	if (level == SOL_TCP && opt == TCP_CONGESTION) {
		*len = MIN(*len, sizeof(is->congestion));
		memcpy(val, is->congestion, *len);
		return 0;
	}
	if (level == SOL_IPV6 && opt == IPV6_V6ONLY)
		return opt_put_int(val, len, is->v6only);
	if ((level == SOL_IP && opt == IP_MTU) || (level == SOL_IPV6 && opt == IPV6_MTU))
		return is->rport ? opt_put_int(val, len, LO_MTU) : -ENOTCONN;
	if (level == SOL_IP && (opt == IP_HDRINCL || opt == IP_ROUTER_ALERT || opt == IP_NODEFRAG))
		return opt_put_int(val, len, 0);
	/* Of these there are none. */
	if ((level == SOL_IP && opt == IP_OPTIONS) || (level == SOL_TCP && (opt == TCP_ULP || opt == TCP_SAVED_SYN)) ||
	    (level == SOL_IPV6 && (opt == IPV6_HOPOPTS || opt == IPV6_RTHDRDSTOPTS || opt == IPV6_RTHDR || opt == IPV6_DSTOPTS))) {
		*len = 0;
		return 0;
	}
	if (level == SOL_IPV6 && opt == IPV6_ADDRFORM)
		return -ENOTCONN;
	if (level == SOL_IP && opt == IP_MULTICAST_IF) {
		*len = MIN(*len, sizeof(struct in_addr));
		memcpy(val, is->mc_src.b + 12, *len);
		return 0;
	}
	if (level == SOL_IPV6 && opt == IPV6_MULTICAST_IF)
		return opt_put_int(val, len, (s32)is->mc6_link);
	if (level == SOL_IP && opt == IP_UNICAST_IF)
		return opt_put_int(val, len, (s32)__builtin_bswap32(is->uc_link));
	if (level == SOL_IPV6 && opt == IPV6_UNICAST_IF)
		return opt_put_int(val, len, (s32)__builtin_bswap32(is->uc6_link));
	if (level == SOL_IP && opt == IP_PKTOPTIONS)
		return packet_options(is, len);
	return -ENOPROTOOPT;
}
