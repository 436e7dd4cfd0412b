/* Multicast, broadcast, ancillary data and options of datagrams: ip(7), ipv6(7), udp(7), socket(7), RFC 3678. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"

#define GROUP "224.0.2.1"

static struct sockaddr_in addr4(const char *ip, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

static int port_of(int s)
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);

	return getsockname(s, (void *)&a, &len) ? -1 : ntohs(a.sin6_port);
}

static int udp(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}

static int bound(const char *ip)
{
	struct sockaddr_in a = addr4(ip, 0);
	int s = udp();

	EQ(bind(s, (void *)&a, sizeof(a)), 0);
	return s;
}

static int set_int(int s, int level, int opt, int v)
{
	return setsockopt(s, level, opt, &v, sizeof(v));
}

static int get_int(int s, int level, int opt)
{
	int v = -99;
	socklen_t len = sizeof(v);

	return getsockopt(s, level, opt, &v, &len) ? -errno : v;
}

static long sent(int s, const char *ip, int port)
{
	struct sockaddr_in a = addr4(ip, port);

	return sendto(s, "hello", 5, 0, (void *)&a, sizeof(a));
}

/* Bytes of the next datagram, or -1 when there is none. */
static long got(int s, struct sockaddr_in *from)
{
	socklen_t len = sizeof(*from);
	char buf[16];

	return recvfrom(s, buf, sizeof(buf), MSG_DONTWAIT, (void *)from, from ? &len : NULL);
}

static int membership(int s, int opt, const char *group, const char *link, int index)
{
	struct ip_mreqn m = {.imr_ifindex = index};

	inet_pton(AF_INET, group, &m.imr_multiaddr);
	inet_pton(AF_INET, link, &m.imr_address);
	return setsockopt(s, IPPROTO_IP, opt, &m, sizeof(m));
}

static int source(int s, int opt, const char *group, const char *from)
{
	struct ip_mreq_source m;

	inet_pton(AF_INET, group, &m.imr_multiaddr);
	inet_pton(AF_INET, "127.0.0.1", &m.imr_interface);
	inet_pton(AF_INET, from, &m.imr_sourceaddr);
	return setsockopt(s, IPPROTO_IP, opt, &m, sizeof(m));
}

static int lo(void)
{
	return (int)if_nametoindex("lo");
}

/* A sender to groups over the loopback. */
static int speaker(void)
{
	struct in_addr a = {htonl(INADDR_LOOPBACK)};
	int s = udp();

	EQ(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &a, sizeof(a)), 0);
	return s;
}

/* ip(7): IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP. */
static void joining(void)
{
	int s = udp(), t = socket(AF_INET, SOCK_STREAM, 0);
	char name[32];

	FAILS(membership(s, IP_ADD_MEMBERSHIP, "0.0.0.0", "0.0.0.0", 0), EINVAL);
	FAILS(membership(s, IP_ADD_MEMBERSHIP, "1.2.3.4", "0.0.0.0", lo()), EINVAL);
	FAILS(membership(s, IP_ADD_MEMBERSHIP, GROUP, "0.0.0.0", 99999), ENODEV);
	FAILS(membership(s, IP_ADD_MEMBERSHIP, GROUP, "192.0.2.77", 0), ENODEV);
	FAILS(membership(t, IP_ADD_MEMBERSHIP, GROUP, "0.0.0.0", lo()), EPROTO);
	FAILS(setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, name, 7), EINVAL);
	FAILS(membership(s, IP_DROP_MEMBERSHIP, GROUP, "0.0.0.0", lo()), EADDRNOTAVAIL);
	EQ(membership(s, IP_ADD_MEMBERSHIP, GROUP, "0.0.0.0", lo()), 0);
	FAILS(membership(s, IP_ADD_MEMBERSHIP, GROUP, "0.0.0.0", lo()), EADDRINUSE);
	FAILS(membership(s, IP_ADD_MEMBERSHIP, GROUP, "127.0.0.1", 0), EADDRINUSE);
	FAILS(membership(s, IP_DROP_MEMBERSHIP, GROUP, "192.0.2.77", 0), EADDRNOTAVAIL);
	FAILS(membership(s, IP_DROP_MEMBERSHIP, GROUP, "0.0.0.0", 99999), EADDRNOTAVAIL);
	EQ(membership(s, IP_DROP_MEMBERSHIP, GROUP, "0.0.0.0", lo()), 0);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "224.9.9.%d", i);
		EQ(membership(s, IP_ADD_MEMBERSHIP, name, "0.0.0.0", lo()), 0);
	}
	FAILS(membership(s, IP_ADD_MEMBERSHIP, "224.9.9.20", "0.0.0.0", lo()), ENOBUFS);
	close(s);
	close(t);
}

static void multicast(void)
{
	int r = bound("0.0.0.0"), other = bound("0.0.0.0"), s = speaker(), b = bound("127.0.0.1"), port = port_of(r);
	struct sockaddr_in from;

	EQ(sent(s, GROUP, port), 5); /* nobody is in the group */
	EQ(got(r, NULL), -1);
	EQ(membership(r, IP_ADD_MEMBERSHIP, GROUP, "127.0.0.1", 0), 0);
	EQ(sent(s, GROUP, port), 5);
	EQ(got(r, &from), 5);
	EQ(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	EQ(sent(b, GROUP, port), 5); /* the bound address chooses the link */
	EQ(got(r, &from), 5);
	EQ(ntohs(from.sin_port), port_of(b));
	EQ(sent(s, GROUP, port_of(other)), 5); /* IP_MULTICAST_ALL: it is in no group itself */
	EQ(got(other, NULL), 5);
	EQ(set_int(other, IPPROTO_IP, IP_MULTICAST_ALL, 0), 0);
	EQ(sent(s, GROUP, port_of(other)), 5);
	EQ(got(other, NULL), -1);
	EQ(set_int(s, IPPROTO_IP, IP_MULTICAST_TTL, 0), 0);
	EQ(set_int(s, IPPROTO_IP, IP_MULTICAST_LOOP, 0), 0);
	EQ(sent(s, GROUP, port), 5); /* the loopback loops by itself */
	EQ(got(r, NULL), 5);
	EQ(membership(r, IP_DROP_MEMBERSHIP, GROUP, "127.0.0.1", 0), 0);
	EQ(sent(s, GROUP, port), 5);
	EQ(got(r, NULL), -1);
	close(r), close(other), close(s), close(b);
}

/* Every socket that shares the port gets its own copy. */
static void shared_port(void)
{
	struct sockaddr_in a = addr4("0.0.0.0", 0);
	int s = speaker(), r[3];

	for (int i = 0; i < 3; i++) {
		r[i] = udp();
		EQ(set_int(r[i], SOL_SOCKET, SO_REUSEADDR, 1), 0);
		EQ(bind(r[i], (void *)&a, sizeof(a)), 0);
		a.sin_port = htons(port_of(r[i]));
		EQ(membership(r[i], IP_ADD_MEMBERSHIP, GROUP, "127.0.0.1", 0), 0);
	}
	EQ(sent(s, GROUP, ntohs(a.sin_port)), 5);
	for (int i = 0; i < 3; i++)
		EQ(got(r[i], NULL), 5);
	EQ(sent(s, "127.0.0.1", ntohs(a.sin_port)), 5);
	int n = 0;
	for (int i = 0; i < 3; i++)
		n += got(r[i], NULL) == 5;
	EQ(n, 1);
	for (int i = 0; i < 3; i++)
		close(r[i]);
	close(s);
}

/* RFC 3678: groups with sources. */
static void sources(void)
{
	int s = speaker(), r = bound("0.0.0.0");

	FAILS(source(r, IP_BLOCK_SOURCE, GROUP, "127.0.0.9"), EINVAL);
	FAILS(setsockopt(r, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, "12345678", 8), EINVAL);
	EQ(source(r, IP_ADD_SOURCE_MEMBERSHIP, GROUP, "127.0.0.9"), 0);
	FAILS(source(r, IP_ADD_SOURCE_MEMBERSHIP, GROUP, "127.0.0.9"), EADDRNOTAVAIL);
	EQ(sent(s, GROUP, port_of(r)), 5);
	EQ(got(r, NULL), -1);
	EQ(source(r, IP_ADD_SOURCE_MEMBERSHIP, GROUP, "127.0.0.1"), 0);
	EQ(sent(s, GROUP, port_of(r)), 5);
	EQ(got(r, NULL), 5);
	FAILS(source(r, IP_BLOCK_SOURCE, GROUP, "127.0.0.9"), EINVAL);
	EQ(source(r, IP_DROP_SOURCE_MEMBERSHIP, GROUP, "127.0.0.1"), 0);
	EQ(source(r, IP_DROP_SOURCE_MEMBERSHIP, GROUP, "127.0.0.9"), 0); /* the last one leaves the group */
	FAILS(membership(r, IP_DROP_MEMBERSHIP, GROUP, "127.0.0.1", 0), EADDRNOTAVAIL);
	EQ(membership(r, IP_ADD_MEMBERSHIP, GROUP, "127.0.0.1", 0), 0);
	EQ(source(r, IP_BLOCK_SOURCE, GROUP, "127.0.0.1"), 0);
	EQ(sent(s, GROUP, port_of(r)), 5);
	EQ(got(r, NULL), -1);
	EQ(source(r, IP_UNBLOCK_SOURCE, GROUP, "127.0.0.1"), 0);
	FAILS(source(r, IP_UNBLOCK_SOURCE, GROUP, "127.0.0.1"), EADDRNOTAVAIL);
	EQ(sent(s, GROUP, port_of(r)), 5);
	EQ(got(r, NULL), 5);
	close(s), close(r);
}

/* The names of RFC 3678 that fit both families, and IPv6's own. */
static void independent(void)
{
	int s = speaker(), r = bound("0.0.0.0"), v6 = socket(AF_INET6, SOCK_DGRAM, 0);
	struct group_req g = {.gr_interface = (unsigned)lo()};
	struct sockaddr_in a = addr4(GROUP, 0);
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
	struct ipv6_mreq m = {.ipv6mr_interface = (unsigned)lo()};

	memcpy(&g.gr_group, &a, sizeof(a));
	FAILS(setsockopt(v6, IPPROTO_IPV6, MCAST_JOIN_GROUP, &g, sizeof(g)), EADDRNOTAVAIL);
	EQ(setsockopt(r, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof(g)), 0);
	FAILS(setsockopt(r, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof(g)), EADDRINUSE);
	EQ(sent(s, GROUP, port_of(r)), 5);
	EQ(got(r, NULL), 5);
	EQ(setsockopt(r, IPPROTO_IP, MCAST_LEAVE_GROUP, &g, sizeof(g)), 0);
	inet_pton(AF_INET6, "ff05::5", &a6.sin6_addr);
	memcpy(&g.gr_group, &a6, sizeof(a6));
	FAILS(setsockopt(r, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof(g)), EINVAL);
	EQ(setsockopt(v6, IPPROTO_IPV6, MCAST_JOIN_GROUP, &g, sizeof(g)), 0);
	m.ipv6mr_multiaddr = a6.sin6_addr;
	FAILS(setsockopt(v6, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &m, sizeof(m)), EADDRINUSE);
	EQ(setsockopt(v6, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &m, sizeof(m)), 0);
	FAILS(setsockopt(v6, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &m, sizeof(m)), EADDRNOTAVAIL);
	m.ipv6mr_multiaddr = in6addr_loopback;
	FAILS(setsockopt(v6, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &m, sizeof(m)), EINVAL);
	FAILS(set_int(v6, IPPROTO_IPV6, IPV6_MULTICAST_IF, 99999), ENODEV);
	EQ(set_int(v6, IPPROTO_IPV6, IPV6_MULTICAST_IF, lo()), 0);
	EQ(get_int(v6, IPPROTO_IPV6, IPV6_MULTICAST_IF), lo());
	close(s), close(r), close(v6);
}

static void broadcast(void)
{
	int r = bound("0.0.0.0"), narrow = bound("127.0.0.1"), s = udp(), b = bound("127.0.0.1");

	FAILS(sent(s, "127.255.255.255", port_of(r)), EACCES);
	EQ(set_int(s, SOL_SOCKET, SO_BROADCAST, 1), 0);
	EQ(sent(s, "127.255.255.255", port_of(r)), 5);
	EQ(got(r, NULL), 5);
	EQ(sent(s, "127.255.255.255", port_of(narrow)), 5);
	EQ(got(narrow, NULL), -1);
	FAILS(sent(b, "255.255.255.255", port_of(r)), EACCES);
	EQ(set_int(b, SOL_SOCKET, SO_BROADCAST, 1), 0);
	EQ(sent(b, "255.255.255.255", port_of(r)), 5); /* over the link that has its address */
	EQ(got(r, NULL), 5);
	close(r), close(narrow), close(s), close(b);
}

/* ip(7): IP_MULTICAST_IF and what it gives back. */
static void sending_link(void)
{
	struct ip_mreqn m = {.imr_ifindex = 99999};
	struct in_addr a = {htonl(INADDR_LOOPBACK)};
	int s = udp(), t = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(a);

	FAILS(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &a, 3), EINVAL);
	FAILS(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof(m)), EADDRNOTAVAIL);
	FAILS(setsockopt(t, IPPROTO_IP, IP_MULTICAST_IF, &a, sizeof(a)), EINVAL);
	EQ(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &a, sizeof(a)), 0);
	a.s_addr = 0;
	EQ(getsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &a, &len), 0);
	EQ(a.s_addr, htonl(INADDR_LOOPBACK));
	m.imr_ifindex = lo();
	EQ(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof(m)), 0);
	EQ(getsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &a, &len), 0);
	EQ(a.s_addr, 0);
	close(s), close(t);
}

static void numbers(void)
{
	int s = udp(), t = socket(AF_INET, SOCK_STREAM, 0), v6 = socket(AF_INET6, SOCK_DGRAM, 0);
	unsigned char byte = 7;
	socklen_t len = 1;

	FAILS(set_int(s, IPPROTO_IP, IP_TTL, 0), EINVAL);
	FAILS(set_int(s, IPPROTO_IP, IP_TTL, 256), EINVAL);
	FAILS(setsockopt(s, IPPROTO_IP, IP_TTL, &byte, 0), EINVAL);
	EQ(setsockopt(s, IPPROTO_IP, IP_TTL, &byte, 1), 0);
	EQ(get_int(s, IPPROTO_IP, IP_TTL), 7);
	EQ(set_int(s, IPPROTO_IP, IP_TTL, -1), 0);
	EQ(get_int(s, IPPROTO_IP, IP_TTL), 64);
	EQ(set_int(s, IPPROTO_IP, IP_TOS, 0x1c0), 0); /* a byte of it */
	EQ(get_int(s, IPPROTO_IP, IP_TOS), 0xc0);
	EQ(setsockopt(s, IPPROTO_IP, IP_TOS, &byte, 0), 0);
	EQ(get_int(s, IPPROTO_IP, IP_TOS), 0);
	EQ(set_int(t, IPPROTO_IP, IP_TOS, 0xff), 0); /* a stream's congestion bits are the kernel's */
	EQ(get_int(t, IPPROTO_IP, IP_TOS), 0xfc);
	byte = 0;
	EQ(getsockopt(t, IPPROTO_IP, IP_TOS, &byte, &len), 0);
	EQ(byte, 0xfc);
	FAILS(set_int(v6, IPPROTO_IPV6, IPV6_TCLASS, 256), EINVAL);
	FAILS(set_int(v6, IPPROTO_IPV6, IPV6_TCLASS, -2), EINVAL);
	FAILS(setsockopt(v6, IPPROTO_IPV6, IPV6_TCLASS, &byte, 1), EINVAL);
	EQ(set_int(v6, IPPROTO_IPV6, IPV6_TCLASS, 0xff), 0);
	EQ(set_int(v6, IPPROTO_IPV6, IPV6_TCLASS, -1), 0);
	EQ(get_int(v6, IPPROTO_IPV6, IPV6_TCLASS), 0);
	FAILS(set_int(t, IPPROTO_IP, IP_MULTICAST_TTL, 1), EINVAL);
	EQ(set_int(s, IPPROTO_IP, IP_MULTICAST_TTL, -1), 0);
	EQ(get_int(s, IPPROTO_IP, IP_MULTICAST_TTL), 1);
	FAILS(set_int(s, IPPROTO_IP, IP_MULTICAST_ALL, 2), EINVAL);
	EQ(set_int(t, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5), 0);
	EQ(get_int(t, IPPROTO_TCP, TCP_DEFER_ACCEPT), 7); /* one second, then two, then four */
	FAILS(setsockopt(t, IPPROTO_TCP, 9999, &byte, 1), EINVAL);
	len = sizeof(int);
	FAILS(getsockopt(s, IPPROTO_IPV6, IPV6_TCLASS, &byte, &len), EOPNOTSUPP);
	FAILS(getsockopt(v6, 99, 1, &byte, &len), ENOPROTOOPT);
	len = 100;
	EQ(getsockopt(t, IPPROTO_IP, IP_PKTOPTIONS, (char[100]){0}, &len), 0);
	EQ(len, 0);
	EQ(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	EQ(get_int(s, SOL_SOCKET, SO_BINDTOIFINDEX), lo());
	FAILS(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "nosuch0", 8), ENODEV);
	close(s), close(t), close(v6);
}

/* One item of ancillary data with a message; the result of sendmsg(2). */
static long said(int s, struct sockaddr *to, socklen_t to_len, int level, int type, const void *data, size_t n)
{
	union {
		struct cmsghdr h;
		char room[128];
	} u = {.h = {.cmsg_len = CMSG_LEN(n), .cmsg_level = level, .cmsg_type = type}};
	struct iovec iov = {"x", 1};
	struct msghdr m = {to, to_len, &iov, 1, &u, CMSG_SPACE(n), 0};

	memcpy(CMSG_DATA(&u.h), data, n);
	return sendmsg(s, &m, 0);
}

/* What a received datagram says, as bytes; their number, or -1. */
static long heard(int s, int level, int type, void *data, size_t n)
{
	char room[512], buf[16];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {NULL, 0, &iov, 1, room, sizeof(room), 0};
	long ret = -1;

	if (recvmsg(s, &m, MSG_DONTWAIT) < 0)
		return -2;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level == level && c->cmsg_type == type) {
			ret = (long)(c->cmsg_len - CMSG_LEN(0));
			memcpy(data, CMSG_DATA(c), n < (size_t)ret ? n : (size_t)ret);
		}
	}
	return ret;
}

static void ancillary(void)
{
	int r = bound("0.0.0.0"), s = udp(), v;
	struct sockaddr_in to = addr4("127.0.0.1", port_of(r)), orig;
	struct in_pktinfo info = {.ipi_ifindex = lo()};
	unsigned char tos;

	EQ(set_int(r, IPPROTO_IP, IP_RECVTTL, 1), 0);
	EQ(set_int(s, IPPROTO_IP, IP_TTL, 77), 0);
	EQ(sent(s, "127.0.0.1", port_of(r)), 5);
	EQ(heard(r, IPPROTO_IP, IP_TTL, &v, sizeof(v)), sizeof(v));
	EQ(v, 77);
	v = 9;
	EQ(said(s, (void *)&to, sizeof(to), IPPROTO_IP, IP_TTL, &v, sizeof(v)), 1);
	EQ(heard(r, IPPROTO_IP, IP_TTL, &v, sizeof(v)), sizeof(v));
	EQ(v, 9);
	v = 0;
	FAILS(said(s, (void *)&to, sizeof(to), IPPROTO_IP, IP_TTL, &v, sizeof(v)), EINVAL);
	v = 256;
	FAILS(said(s, (void *)&to, sizeof(to), IPPROTO_IP, IP_TTL, &v, sizeof(v)), EINVAL);
	FAILS(said(s, (void *)&to, sizeof(to), IPPROTO_IP, IP_TTL, &v, 1), EINVAL);
	FAILS(said(s, (void *)&to, sizeof(to), IPPROTO_IP, 99, &v, 4), EINVAL);
	EQ(set_int(r, IPPROTO_IP, IP_RECVTTL, 0), 0);
	EQ(set_int(r, IPPROTO_IP, IP_RECVTOS, 1), 0);
	tos = 0x20;
	EQ(said(s, (void *)&to, sizeof(to), IPPROTO_IP, IP_TOS, &tos, 1), 1);
	tos = 0;
	EQ(heard(r, IPPROTO_IP, IP_TOS, &tos, 1), 1);
	EQ(tos, 0x20);
	EQ(set_int(r, IPPROTO_IP, IP_RECVORIGDSTADDR, 1), 0);
	to = addr4("127.0.0.5", port_of(r));
	inet_pton(AF_INET, "127.0.0.9", &info.ipi_spec_dst);
	EQ(said(s, (void *)&to, sizeof(to), IPPROTO_IP, IP_PKTINFO, &info, sizeof(info)), 1);
	EQ(heard(r, IPPROTO_IP, IP_ORIGDSTADDR, &orig, sizeof(orig)), sizeof(orig));
	EQ(orig.sin_addr.s_addr, to.sin_addr.s_addr);
	EQ(orig.sin_port, to.sin_port);
	EQ(said(s, (void *)&to, sizeof(to), IPPROTO_IP, IP_PKTINFO, &info, sizeof(info)), 1);
	EQ(got(r, &orig), 1);
	EQ(orig.sin_addr.s_addr, info.ipi_spec_dst.s_addr);
	info.ipi_ifindex = 99999;
	FAILS(said(s, (void *)&to, sizeof(to), IPPROTO_IP, IP_PKTINFO, &info, sizeof(info)), ENODEV);
	close(r), close(s);
}

static void ancillary6(void)
{
	int r = socket(AF_INET6, SOCK_DGRAM, 0), s = socket(AF_INET6, SOCK_DGRAM, 0), v = 7;
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	struct in6_pktinfo info = {.ipi6_ifindex = 99999};

	EQ(bind(r, (void *)&to, sizeof(to)), 0);
	to.sin6_port = htons(port_of(r));
	EQ(set_int(r, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1), 0);
	EQ(set_int(r, IPPROTO_IPV6, IPV6_RECVTCLASS, 1), 0);
	EQ(said(s, (void *)&to, sizeof(to), IPPROTO_IPV6, IPV6_HOPLIMIT, &v, sizeof(v)), 1);
	v = 0;
	EQ(heard(r, IPPROTO_IPV6, IPV6_HOPLIMIT, &v, sizeof(v)), sizeof(v));
	EQ(v, 7);
	v = 0x28;
	EQ(said(s, (void *)&to, sizeof(to), IPPROTO_IPV6, IPV6_TCLASS, &v, sizeof(v)), 1);
	v = 0;
	EQ(heard(r, IPPROTO_IPV6, IPV6_TCLASS, &v, sizeof(v)), sizeof(v));
	EQ(v, 0x28);
	v = 256;
	FAILS(said(s, (void *)&to, sizeof(to), IPPROTO_IPV6, IPV6_HOPLIMIT, &v, sizeof(v)), EINVAL);
	FAILS(said(s, (void *)&to, sizeof(to), IPPROTO_IPV6, IPV6_TCLASS, &v, sizeof(v)), EINVAL);
	FAILS(said(s, (void *)&to, sizeof(to), IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info)), ENODEV);
	info = (struct in6_pktinfo){.ipi6_ifindex = (unsigned)lo()};
	inet_pton(AF_INET6, "2001:db8::1", &info.ipi6_addr);
	FAILS(said(s, (void *)&to, sizeof(to), IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info)), EINVAL);
	info.ipi6_addr = in6addr_loopback;
	EQ(said(s, (void *)&to, sizeof(to), IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info)), 1);
	close(r), close(s);
}

int main(void)
{
	RUN(joining);
	RUN(multicast);
	RUN(shared_port);
	RUN(sources);
	RUN(independent);
	RUN(broadcast);
	RUN(sending_link);
	RUN(numbers);
	RUN(ancillary);
	RUN(ancillary6);
	DONE();
}
