#include <linux/in.h>
#include <linux/in6.h>

#include "base/string.h"
#include "net/inet/inet.h"
#include "net/net_ns.h"

static const u8 mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
static const u8 zeros[16];

static u16 swap16(u16 v) { return (u16)(v << 8 | v >> 8); }

bool addr_is_v4(const struct in_addr16 *a) { return !memcmp(a->b, mapped_prefix, 12); }
bool addr_eq(const struct in_addr16 *a, const struct in_addr16 *b) { return !memcmp(a, b, sizeof(*a)); }

bool addr_is_any(const struct in_addr16 *a)
{
	return !memcmp(a->b, zeros, 16) || (addr_is_v4(a) && !memcmp(a->b + 12, zeros, 4));
}

bool addr_is_loopback(const struct in_addr16 *a)
{
	return addr_is_v4(a) ? a->b[12] == 127 : !memcmp(a->b, zeros, 15) && a->b[15] == 1;
}

bool addr_is_multicast(const struct in_addr16 *a)
{
	return addr_is_v4(a) ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}

bool addr_is_broadcast(const struct in_addr16 *a)
{
	static const u8 ones[4] = { 255, 255, 255, 255 };

	return addr_is_v4(a) && (!memcmp(a->b + 12, ones, 4) || (a->b[12] == 127 && !memcmp(a->b + 13, ones, 3)));
}

struct in_addr16 addr_from_v4(const void *v4)
{
	struct in_addr16 a;

	memcpy(a.b, mapped_prefix, 12);
	memcpy(a.b + 12, v4, 4);
	return a;
}

struct in_addr16 addr_loopback(bool v4)
{
	static const u8 lo4[4] = { 127, 0, 0, 1 };
	struct in_addr16 a = { { 0 } };

	if (v4)
		return addr_from_v4(lo4);
	a.b[15] = 1;
	return a;
}

struct in_addr16 addr_any(const struct inet_sock *is)
{
	struct in_addr16 a = { { 0 } };

	return is->st.sk.family == AF_INET ? addr_from_v4(zeros) : a;
}

static int parse_v4(const struct sockaddr_k *addr, u32 len, struct in_addr16 *a, u16 *port)
{
	const struct sockaddr_in *in = (const void *)addr;

	if (len < sizeof(*in))
		return -EINVAL;
	*a = addr_from_v4(&in->sin_addr);
	*port = swap16(in->sin_port);
	return 0;
}

#define SIN6_LEN_RFC2133 24u

int inet_parse(const struct inet_sock *is, const struct sockaddr_k *addr, u32 len, struct in_addr16 *a, u16 *port)
{
	const struct sockaddr_in6 *in6 = (const void *)addr;

	if (len < sizeof(addr->family))
		return -EINVAL;
	if (is->st.sk.family == AF_INET) {
		if (len < sizeof(struct sockaddr_in))
			return -EINVAL;
		return addr->family == AF_INET ? parse_v4(addr, len, a, port) : -EAFNOSUPPORT;
	}
	if (addr->family == AF_INET && !is->v6only)
		return parse_v4(addr, len, a, port);
	if (len < SIN6_LEN_RFC2133)
		return -EINVAL;
	if (addr->family != AF_INET6)
		return -EAFNOSUPPORT;
	memcpy(a->b, &in6->sin6_addr, 16);
	*port = swap16(in6->sin6_port);
	return 0;
}

u32 inet_format(const struct inet_sock *is, const struct in_addr16 *a, u16 port, struct sockaddr_k *addr)
{
	struct sockaddr_in6 *in6 = (void *)addr;
	struct sockaddr_in *in = (void *)addr;

	if (is->st.sk.family == AF_INET) {
		memset(in, 0, sizeof(*in));
		in->sin_family = AF_INET;
		in->sin_port = swap16(port);
		memcpy(&in->sin_addr, a->b + 12, 4);
		return sizeof(*in);
	}
	memset(in6, 0, sizeof(*in6));
	in6->sin6_family = AF_INET6;
	in6->sin6_port = swap16(port);
	memcpy(&in6->sin6_addr, a->b, 16);
	return sizeof(*in6);
}

/* ip(7): what names a link goes over it wherever it leads; all else needs a route, and there is one for what is local. */
static bool has_route(const struct in_addr16 *dst, const struct in_addr16 *src, u32 link)
{
	if (!addr_is_v4(dst))
		return addr_is_loopback(dst) || (link && !addr_is_multicast(dst));
	if (link || dst->b[12] == 127)
		return true;
	return addr_is_many(dst) && !addr_is_any(src); /* over the link that has the source */
}

int inet_route_over(const struct inet_sock *is, struct in_addr16 *dst, struct in_addr16 *src, u32 link)
{
	bool v4 = addr_is_v4(dst);

	if ((v4 && is->v6only) || !is->st.sk.net->lo_up)
		return -ENETUNREACH;
	if (addr_is_any(dst))
		*dst = addr_loopback(v4);
	if (!has_route(dst, src, link))
		return -ENETUNREACH;
	if (v4 && addr_is_broadcast(dst) && !is->st.sk.broadcast)
		return -EACCES;
	/* Over a link that was named nothing but loopback itself has a source: 127.0.0.1 is of the host's scope. */
	if (addr_is_any(src) && (v4 ? dst->b[12] == 127 : addr_is_loopback(dst)))
		*src = addr_loopback(v4);
	else if (addr_is_any(src) && v4)
		*src = addr_from_v4(zeros);
	return 0;
}

int inet_route(const struct inet_sock *is, struct in_addr16 *dst)
{
	struct in_addr16 src = { { 0 } };

	return addr_is_many(dst) ? -ENETUNREACH : inet_route_over(is, dst, &src, 0);
}
