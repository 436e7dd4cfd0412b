/* raw(7), icmp(7), packet(7) and errors of ip(7) on the loopback interface. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static struct sockaddr_in lo4(int port)
{
	return (struct sockaddr_in){ AF_INET, htons(port), { htonl(INADDR_LOOPBACK) }, { 0 } };
}

static struct sockaddr_in6 lo6(int port)
{
	return (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
}

static short revents(int fd, int ms)
{
	struct pollfd p = { fd, POLLIN, 0 };

	poll(&p, 1, ms);
	return p.revents;
}

static unsigned short checksum(const void *data, int n)
{
	const unsigned char *p = data;
	unsigned sum = 0;

	for (int i = 0; i < n; i += 2)
		sum += p[i] << 8 | (i + 1 < n ? p[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum & 0xffff);
}

struct echo {
	struct icmphdr h;
	char data[24];
};

static struct echo an_echo(int id, int seq)
{
	struct echo e = { .h = { .type = ICMP_ECHO } };

	e.h.un.echo.id = htons(id);
	e.h.un.echo.sequence = htons(seq);
	strcpy(e.data, "twenty-three characters");
	e.h.checksum = checksum(&e, sizeof(e));
	return e;
}

static void creation(void)
{
	int fd;

	FAILS(socket(AF_INET, SOCK_RAW, 0), EPROTONOSUPPORT);
	FAILS(socket(AF_INET6, SOCK_RAW, 0), EPROTONOSUPPORT);
	FAILS(socket(AF_INET, SOCK_RAW, 300), EINVAL);
	FAILS(socket(AF_INET, SOCK_RAW, -1), EINVAL);
	FAILS(socket(AF_PACKET, SOCK_STREAM, 0), ESOCKTNOSUPPORT);
	FAILS(socket(AF_PACKET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
	fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMP);
	CHECK(fd >= 0);
	FAILS(listen(fd, 1), EOPNOTSUPP);
	FAILS(accept(fd, NULL, NULL), EOPNOTSUPP);
	FAILS(recv(fd, NULL, 0, 0), EAGAIN);
	close(fd);
}

static int lines_with(const char *path, const char *what)
{
	char line[512];
	FILE *f = fopen(path, "r");
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, what) != NULL;
	if (f)
		fclose(f);
	return n;
}

/* proc(5): /proc/net/raw, /proc/net/packet; the protocol is the port. */
static void tables(void)
{
	int raw = lines_with("/proc/net/raw", "00000000:00FD 00000000:0000 07"), packet = lines_with("/proc/net/packet", " 88b6 ");
	int a = socket(AF_INET, SOCK_RAW, 253), b = socket(AF_PACKET, SOCK_RAW, htons(0x88b6));

	EQ(lines_with("/proc/net/raw", "00000000:00FD 00000000:0000 07"), raw + 1);
	EQ(lines_with("/proc/net/packet", " 88b6 "), packet + 1);
	EQ(lines_with("/proc/net/udp", ":00FD 00000000:0000"), 0);
	close(a);
	close(b);
	EQ(lines_with("/proc/net/raw", "00000000:00FD 00000000:0000 07"), raw);
	EQ(lines_with("/proc/net/packet", " 88b6 "), packet);
}

/* capabilities(7), CAP_NET_RAW. */
static void unprivileged(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];
	int st;
	pid_t pid = fork();

	if (!pid) {
		check_failures = 0;
		syscall(SYS_capget, &h, d);
		d[0].effective &= ~(1u << CAP_NET_RAW);
		syscall(SYS_capset, &h, d);
		FAILS(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
		FAILS(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), EPERM);
		FAILS(socket(AF_INET, SOCK_RAW, 0), EPROTONOSUPPORT);
		FAILS(socket(AF_INET, SOCK_RAW, IPPROTO_RAW), EPERM);
		FAILS(socket(AF_PACKET, SOCK_RAW, 0), EPERM);
		FAILS(socket(AF_PACKET, SOCK_STREAM, 0), EPERM);
		_exit(check_failures != 0);
	}
	EQ(waitpid(pid, &st, 0), pid);
	EQ(st, 0);
}

/* An answer to an echo of ours: request and answer both arrive at a raw socket. */
static void ping(void)
{
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), n;
	struct sockaddr_in to = lo4(0), from;
	struct { unsigned data; } filter = { 1u << ICMP_ECHO };
	socklen_t len = sizeof(from);
	struct echo e = an_echo(0x1234, 1);
	struct {
		struct iphdr ip;
		struct echo e;
		char more[64];
	} in;

	EQ(sendto(fd, &e, sizeof(e), 0, (void *)&to, sizeof(to)), sizeof(e));
	EQ(revents(fd, 1000), POLLIN);
	EQ(ioctl(fd, FIONREAD, &n), 0);
	EQ(n, 52);
	EQ(recvfrom(fd, &in, sizeof(in), 0, (void *)&from, &len), 52);
	EQ(in.e.h.type, ICMP_ECHO);
	EQ(in.ip.version, 4);
	EQ(in.ip.ihl, 5);
	EQ(in.ip.protocol, IPPROTO_ICMP);
	EQ(in.ip.ttl, 64);
	EQ(ntohs(in.ip.tot_len), 52);
	EQ(checksum(&in.ip, 20), 0);
	EQ(len, sizeof(from));
	EQ(from.sin_port, 0);
	EQ(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	EQ(recv(fd, &in, sizeof(in), 0), 52);
	EQ(in.e.h.type, ICMP_ECHOREPLY);
	EQ(in.e.h.un.echo.id, htons(0x1234));
	EQ(in.e.h.un.echo.sequence, htons(1));
	EQ(checksum(&in.e, sizeof(in.e)), 0);
	CHECK(!memcmp(in.e.data, e.data, sizeof(e.data)));
	EQ(revents(fd, 0), 0);
	/* raw(7), ICMP_FILTER */
	EQ(setsockopt(fd, SOL_RAW, 1, &filter, sizeof(filter)), 0);
	filter.data = 0;
	len = sizeof(filter);
	EQ(getsockopt(fd, SOL_RAW, 1, &filter, &len), 0);
	EQ(filter.data, 1u << ICMP_ECHO);
	EQ(sendto(fd, &e, sizeof(e), 0, (void *)&to, sizeof(to)), sizeof(e));
	EQ(recv(fd, &in, sizeof(in), 0), 52);
	EQ(in.e.h.type, ICMP_ECHOREPLY);
	/* Nobody answers what is broken. */
	e.h.checksum ^= 1;
	filter.data = 0;
	EQ(setsockopt(fd, SOL_RAW, 1, &filter, sizeof(filter)), 0);
	EQ(sendto(fd, &e, sizeof(e), 0, (void *)&to, sizeof(to)), sizeof(e));
	EQ(recv(fd, &in, sizeof(in), 0), 52);
	EQ(revents(fd, 50), 0);
	FAILS(setsockopt(fd, SOL_RAW, 2, &filter, sizeof(filter)), ENOPROTOOPT);
	FAILS(sendto(fd, &e, sizeof(e), 0, NULL, 0), EDESTADDRREQ);
	FAILS(sendto(fd, &e, sizeof(e), 0, (void *)&to, 8), EINVAL);
	FAILS(sendto(fd, &e, sizeof(e), MSG_OOB, (void *)&to, sizeof(to)), EOPNOTSUPP);
	to.sin_family = AF_INET6;
	FAILS(sendto(fd, &e, sizeof(e), 0, (void *)&to, sizeof(to)), EAFNOSUPPORT);
	close(fd);
}

static void ping6(void)
{
	int fd = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), on = 1, len_out;
	struct sockaddr_in6 to = lo6(0), from;
	unsigned filter[8];
	socklen_t len = sizeof(from);
	struct echo e = an_echo(0x4321, 7), in;

	e.h.type = ICMP6_ECHO_REQUEST;
	EQ(sendto(fd, &e, sizeof(e), 0, (void *)&to, sizeof(to)), sizeof(e)); /* the checksum is the kernel's affair */
	EQ(recvfrom(fd, &in, sizeof(in), 0, (void *)&from, &len), sizeof(in)); /* and there is no header */
	EQ(in.h.type, ICMP6_ECHO_REQUEST);
	EQ(len, sizeof(from));
	CHECK(IN6_IS_ADDR_LOOPBACK(&from.sin6_addr));
	EQ(recv(fd, &in, sizeof(in), 0), sizeof(in));
	EQ(in.h.type, ICMP6_ECHO_REPLY);
	EQ(in.h.un.echo.id, htons(0x4321));
	CHECK(!memcmp(in.data, e.data, sizeof(e.data)));
	memset(filter, 0xff, sizeof(filter));
	filter[ICMP6_ECHO_REPLY / 32] &= ~(1u << ICMP6_ECHO_REPLY % 32);
	EQ(setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, filter, sizeof(filter)), 0);
	EQ(sendto(fd, &e, sizeof(e), 0, (void *)&to, sizeof(to)), sizeof(e));
	EQ(recv(fd, &in, sizeof(in), 0), sizeof(in));
	EQ(in.h.type, ICMP6_ECHO_REPLY);
	EQ(revents(fd, 0), 0);
	FAILS(setsockopt(fd, SOL_RAW, IPV6_CHECKSUM, &on, sizeof(on)), EINVAL);
	len = sizeof(len_out);
	EQ(getsockopt(fd, SOL_RAW, IPV6_CHECKSUM, &len_out, &len), 0);
	EQ(len_out, 2);
	close(fd);
}

static void names(void)
{
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), other;
	struct sockaddr_in a = lo4(0), got;
	struct echo e = an_echo(1, 1);
	socklen_t len = sizeof(got);
	char buf[100];

	EQ(getsockname(fd, (void *)&got, &len), 0);
	EQ(ntohs(got.sin_port), IPPROTO_ICMP); /* where others have a port */
	FAILS(getpeername(fd, (void *)&got, &len), ENOTCONN);
	FAILS(send(fd, &e, sizeof(e), 0), EDESTADDRREQ);
	a.sin_addr.s_addr = inet_addr("192.0.2.1");
	FAILS(bind(fd, (void *)&a, sizeof(a)), EADDRNOTAVAIL);
	a = lo4(0);
	FAILS(bind(fd, (void *)&a, 4), EINVAL);
	EQ(bind(fd, (void *)&a, sizeof(a)), 0);
	EQ(connect(fd, (void *)&a, sizeof(a)), 0);
	FAILS(bind(fd, (void *)&a, sizeof(a)), EINVAL);
	EQ(getsockname(fd, (void *)&got, &len), 0);
	EQ(got.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	FAILS(getpeername(fd, (void *)&got, &len), ENOTCONN); /* no port, no peer */
	EQ(send(fd, &e, sizeof(e), 0), sizeof(e));
	EQ(recv(fd, buf, sizeof(buf), 0), 52);
	EQ(recv(fd, buf, 10, MSG_TRUNC), 52);
	/* Who is connected elsewhere does not hear it. */
	other = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	a.sin_addr.s_addr = inet_addr("127.0.0.2");
	a.sin_port = htons(5);
	EQ(connect(other, (void *)&a, sizeof(a)), 0);
	EQ(getpeername(other, (void *)&got, &len), 0);
	EQ(ntohs(got.sin_port), 5);
	EQ(send(fd, &e, sizeof(e), 0), sizeof(e));
	EQ(recv(fd, buf, sizeof(buf), 0), 52);
	EQ(revents(other, 0), 0);
	close(fd);
	close(other);
}

/* raw(7), IP_HDRINCL: a datagram of UDP made by hand, and what the kernel fills in. */
static void own_header(void)
{
	int raw = socket(AF_INET, SOCK_RAW, IPPROTO_RAW), udp = socket(AF_INET, SOCK_DGRAM, 0), on;
	int sniff = socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
	struct sockaddr_in a = lo4(0), from;
	socklen_t len = sizeof(a);
	char buf[100];
	struct {
		struct iphdr ip;
		struct udphdr udp;
		char data[4];
	} p = { .ip = { .version = 4, .ihl = 5, .ttl = 9, .protocol = IPPROTO_UDP, .daddr = htonl(INADDR_LOOPBACK) }, .data = "abc" }, in;

	len = sizeof(on);
	EQ(getsockopt(raw, IPPROTO_IP, IP_HDRINCL, &on, &len), 0);
	EQ(on, 1);
	FAILS(setsockopt(udp, IPPROTO_IP, IP_HDRINCL, &on, sizeof(on)), ENOPROTOOPT);
	EQ(bind(udp, (void *)&a, sizeof(a)), 0);
	len = sizeof(a);
	EQ(getsockname(udp, (void *)&a, &len), 0);
	p.udp.dest = a.sin_port;
	p.udp.source = htons(77);
	p.udp.len = htons(12);
	EQ(setsockopt(udp, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on)), 0);
	EQ(sendto(raw, &p, sizeof(p), 0, (void *)&a, sizeof(a)), sizeof(p));
	EQ(recvfrom(udp, buf, sizeof(buf), 0, (void *)&from, &len), 4);
	EQ(from.sin_port, htons(77));
	EQ(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	EQ(recv(sniff, &in, sizeof(in), 0), sizeof(in));
	EQ(in.ip.ttl, 9);
	EQ(ntohs(in.ip.tot_len), sizeof(p));
	CHECK(in.ip.id);
	EQ(in.ip.saddr, htonl(INADDR_LOOPBACK));
	EQ(checksum(&in.ip, 20), 0);
	/* What sockets of UDP send passes by too. */
	EQ(sendto(udp, "hello", 5, 0, (void *)&a, sizeof(a)), 5);
	EQ(recv(sniff, buf, sizeof(buf), 0), 33);
	CHECK(!memcmp(buf + 28, "hello", 5));
	EQ(recv(udp, buf, sizeof(buf), 0), 5);
	FAILS(sendto(raw, &p, 19, 0, (void *)&a, sizeof(a)), EINVAL);
	EQ(revents(raw, 0), 0); /* IPPROTO_RAW only sends */
	close(raw);
	close(udp);
	close(sniff);
}

/* A protocol that nobody has is refused. */
static void no_such_protocol(void)
{
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW), icmp = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	struct sockaddr_in a = lo4(0);
	struct {
		struct iphdr ip;
		char data[8];
	} p = { .ip = { .version = 4, .ihl = 5, .ttl = 9, .protocol = 253, .daddr = htonl(INADDR_LOOPBACK) } };
	struct {
		struct iphdr ip;
		struct icmphdr h;
		struct iphdr quoted;
	} in;

	EQ(sendto(fd, &p, sizeof(p), 0, (void *)&a, sizeof(a)), sizeof(p));
	CHECK(revents(icmp, 1000) == POLLIN && recv(icmp, &in, sizeof(in), 0) == sizeof(in));
	EQ(in.h.type, ICMP_DEST_UNREACH);
	EQ(in.h.code, ICMP_PROT_UNREACH);
	EQ(in.quoted.protocol, 253);
	close(fd);
	close(icmp);
}

/* icmp(7), net.ipv4.ping_group_range */
static int ping_range(const char *range)
{
	int fd = open("/proc/sys/net/ipv4/ping_group_range", O_RDWR), n;

	if (fd < 0)
		return -1;
	n = write(fd, range, strlen(range));
	close(fd);
	return n > 0 ? 0 : -1;
}

static void unprivileged_ping(void)
{
	struct sockaddr_in a = lo4(0), got;
	struct echo e = an_echo(9, 3), in;
	socklen_t len = sizeof(got);
	int fd, other;

	if (unshare(CLONE_NEWNET)) {
		printf("skip: no network namespaces here\n");
		return;
	}
	FAILS(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP), EACCES); /* nobody, at first */
	if (ping_range("0 100")) {
		printf("skip: no ping_group_range here\n");
		return;
	}
	fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	CHECK(fd >= 0);
	FAILS(sendto(fd, &e, sizeof(e), 0, (void *)&a, sizeof(a)), ENETUNREACH); /* a new namespace's lo is down */
	other = socket(AF_INET, SOCK_DGRAM, 0);
	EQ(ioctl(other, SIOCSIFFLAGS, &(struct ifreq){ .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING }), 0);
	close(other);
	EQ(sendto(fd, &e, sizeof(e), 0, (void *)&a, sizeof(a)), sizeof(e));
	EQ(getsockname(fd, (void *)&got, &len), 0);
	CHECK(got.sin_port);
	EQ(recv(fd, &in, sizeof(in), 0), sizeof(in)); /* the answer alone, without header */
	EQ(in.h.type, ICMP_ECHOREPLY);
	EQ(in.h.un.echo.id, got.sin_port); /* whatever was asked for */
	EQ(in.h.un.echo.sequence, htons(3));
	EQ(checksum(&in, sizeof(in)), 0);
	other = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	EQ(bind(other, (void *)&(struct sockaddr_in){ AF_INET, htons(99), { 0 }, { 0 } }, sizeof(a)), 0);
	EQ(getsockname(other, (void *)&got, &len), 0);
	EQ(ntohs(got.sin_port), 99);
	EQ(sendto(fd, &e, sizeof(e), 0, (void *)&a, sizeof(a)), sizeof(e));
	EQ(revents(other, 0), 0);
	FAILS(sendto(fd, &e, 7, 0, (void *)&a, sizeof(a)), EINVAL);
	e.h.type = ICMP_TIMESTAMP;
	FAILS(sendto(fd, &e, sizeof(e), 0, (void *)&a, sizeof(a)), EINVAL);
	e.h.type = ICMP_ECHO;
	e.h.code = 1;
	FAILS(sendto(fd, &e, sizeof(e), 0, (void *)&a, sizeof(a)), EINVAL);
	e.h.code = 0;
	FAILS(send(fd, &e, sizeof(e), 0), EDESTADDRREQ);
	close(fd);
	close(other);
	fd = socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6);
	CHECK(fd >= 0);
	e = an_echo(9, 4);
	e.h.type = ICMP6_ECHO_REQUEST;
	EQ(connect(fd, (void *)&(struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT }, sizeof(struct sockaddr_in6)), 0);
	EQ(send(fd, &e, sizeof(e), 0), sizeof(e));
	EQ(recv(fd, &in, sizeof(in), 0), sizeof(in));
	EQ(in.h.type, ICMP6_ECHO_REPLY);
	close(fd);
	FAILS(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMPV6), EPROTONOSUPPORT);
	EQ(ping_range("100 200"), 0);
	FAILS(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP), EACCES);
}

/* ip(7), IP_RECVERR: a port that nobody has. */
static void refused(int family, int level, int opt, unsigned char origin)
{
	int fd = socket(family, SOCK_DGRAM, 0), on = 1, probe = socket(family, SOCK_DGRAM, 0), err;
	union {
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = { .in6 = lo6(0) }, name;
	socklen_t len = sizeof(a);
	char buf[100], control[200];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr m = { .msg_name = &name, .msg_namelen = sizeof(name), .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct sock_extended_err *ee;
	struct cmsghdr *c;

	if (family == AF_INET)
		a.in = lo4(0);
	len = family == AF_INET ? sizeof(a.in) : sizeof(a.in6);
	EQ(bind(probe, (void *)&a, len), 0);
	EQ(getsockname(probe, (void *)&a, &len), 0);
	close(probe);
	/* Unconnected, nobody asked: nothing is said. */
	EQ(sendto(fd, "lost", 4, 0, (void *)&a, len), 4);
	EQ(sendto(fd, "lost", 4, 0, (void *)&a, len), 4);
	FAILS(recvmsg(fd, &m, MSG_ERRQUEUE), EAGAIN);
	EQ(setsockopt(fd, level, opt, &on, sizeof(on)), 0);
	EQ(sendto(fd, "first", 5, 0, (void *)&a, len), 5);
	EQ(revents(fd, 1000), POLLERR);
	FAILS(sendto(fd, "x", 1, 0, (void *)&a, len), ECONNREFUSED); /* told once */
	EQ(sendto(fd, "second!", 7, 0, (void *)&a, len), 7);
	EQ(revents(fd, 1000), POLLERR);
	EQ(recvmsg(fd, &m, MSG_ERRQUEUE), 5);
	CHECK(!memcmp(buf, "first", 5));
	EQ(m.msg_flags & (MSG_ERRQUEUE | MSG_TRUNC), MSG_ERRQUEUE);
	EQ(m.msg_namelen, len);
	EQ(name.in.sin_port, a.in.sin_port); /* whom it was for */
	c = CMSG_FIRSTHDR(&m);
	CHECK(c);
	if (!c)
		return;
	EQ(c->cmsg_level, level);
	EQ(c->cmsg_type, opt);
	EQ(c->cmsg_len, CMSG_LEN(sizeof(*ee) + len));
	ee = (void *)CMSG_DATA(c);
	EQ(ee->ee_errno, ECONNREFUSED);
	EQ(ee->ee_origin, origin);
	EQ(ee->ee_type, family == AF_INET ? ICMP_DEST_UNREACH : ICMP6_DST_UNREACH);
	EQ(ee->ee_code, family == AF_INET ? ICMP_PORT_UNREACH : ICMP6_DST_UNREACH_NOPORT);
	EQ(SO_EE_OFFENDER(ee)->sa_family, family);
	len = sizeof(err);
	EQ(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len), 0);
	EQ(err, ECONNREFUSED); /* the next one's */
	iov.iov_len = 3;
	m.msg_controllen = 4;
	EQ(recvmsg(fd, &m, MSG_ERRQUEUE), 3);
	EQ(m.msg_flags & (MSG_ERRQUEUE | MSG_TRUNC | MSG_CTRUNC), MSG_ERRQUEUE | MSG_TRUNC | MSG_CTRUNC);
	FAILS(recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT), EAGAIN);
	EQ(revents(fd, 0), 0);
	close(fd);
}

static void errors(void)
{
	refused(AF_INET, IPPROTO_IP, IP_RECVERR, SO_EE_ORIGIN_ICMP);
	refused(AF_INET6, IPPROTO_IPV6, IPV6_RECVERR, SO_EE_ORIGIN_ICMP6);
}

/* The error itself, as those who listen to ICMP see it. */
static void unreachable(void)
{
	int icmp = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), udp = socket(AF_INET, SOCK_DGRAM, 0), probe = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = lo4(0);
	socklen_t len = sizeof(a);
	struct {
		struct iphdr ip;
		struct icmphdr h;
		struct iphdr quoted;
		struct udphdr udp;
		char data[4];
	} in;

	EQ(bind(probe, (void *)&a, sizeof(a)), 0);
	EQ(getsockname(probe, (void *)&a, &len), 0);
	close(probe);
	EQ(sendto(udp, "data", 4, 0, (void *)&a, sizeof(a)), 4);
	EQ(recv(icmp, &in, sizeof(in), 0), sizeof(in));
	EQ(in.h.type, ICMP_DEST_UNREACH);
	EQ(in.h.code, ICMP_PORT_UNREACH);
	EQ(in.ip.tos, 0xc0);
	EQ(checksum(&in.h, sizeof(in) - 20), 0);
	EQ(in.quoted.protocol, IPPROTO_UDP);
	EQ(in.udp.dest, a.sin_port);
	CHECK(!memcmp(in.data, "data", 4));
	close(icmp);
	close(udp);
}

/* ---- packet(7) ---- */

static int tap(int type, int protocol)
{
	int fd = socket(AF_PACKET, type, htons(protocol));
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex("lo"), .sll_protocol = htons(protocol) };

	EQ(bind(fd, (void *)&ll, sizeof(ll)), 0);
	return fd;
}

static void send_datagram(const char *text)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), to = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = lo4(0);
	socklen_t len = sizeof(a);

	EQ(bind(to, (void *)&a, sizeof(a)), 0);
	EQ(getsockname(to, (void *)&a, &len), 0);
	EQ(sendto(fd, text, strlen(text), 0, (void *)&a, sizeof(a)), strlen(text));
	close(fd);
	close(to);
}

static void frames(void)
{
	int raw = tap(SOCK_RAW, ETH_P_ALL), cooked = tap(SOCK_DGRAM, ETH_P_IP), none = socket(AF_PACKET, SOCK_RAW, 0), on = 1;
	struct sockaddr_ll from;
	socklen_t len = sizeof(from);
	unsigned char buf[200];
	struct tpacket_stats stats;
	int other = tap(SOCK_RAW, 0x88b5);

	send_datagram("seen by all");
	EQ(recvfrom(raw, buf, sizeof(buf), 0, (void *)&from, &len), 14 + 28 + 11);
	EQ(len, sizeof(from));
	EQ(from.sll_pkttype, PACKET_OUTGOING);
	EQ(from.sll_ifindex, (int)if_nametoindex("lo"));
	EQ(from.sll_hatype, 772);
	EQ(from.sll_halen, 6);
	EQ(ntohs(from.sll_protocol), ETH_P_IP);
	CHECK(!memcmp(buf, "\0\0\0\0\0\0\0\0\0\0\0\0\x08\0\x45", 15));
	CHECK(!memcmp(buf + 42, "seen by all", 11));
	EQ(recvfrom(raw, buf, sizeof(buf), 0, (void *)&from, &len), 53);
	EQ(from.sll_pkttype, PACKET_HOST);
	EQ(revents(raw, 0), 0);
	EQ(recvfrom(cooked, buf, sizeof(buf), 0, (void *)&from, &len), 28 + 11); /* no header of the link, and coming only */
	EQ(buf[0], 0x45);
	EQ(from.sll_pkttype, PACKET_HOST);
	EQ(revents(cooked, 0), 0);
	EQ(revents(none, 0), 0);
	EQ(revents(other, 0), 0);
	len = sizeof(stats);
	EQ(getsockopt(raw, SOL_PACKET, PACKET_STATISTICS, &stats, &len), 0);
	EQ(stats.tp_packets, 2);
	EQ(stats.tp_drops, 0);
	EQ(getsockopt(raw, SOL_PACKET, PACKET_STATISTICS, &stats, &len), 0);
	EQ(stats.tp_packets, 0);
	EQ(setsockopt(raw, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)), 0);
	send_datagram("coming");
	EQ(recvfrom(raw, buf, 20, MSG_TRUNC, (void *)&from, &len), 42 + 6);
	EQ(from.sll_pkttype, PACKET_HOST);
	EQ(revents(raw, 0), 0);
	close(raw);
	close(cooked);
	close(none);
	close(other);
}

/* What is sent as a frame is received, by taps and by whom it is for. */
static void injected(void)
{
	int cooked = tap(SOCK_DGRAM, ETH_P_IPV6), raw = tap(SOCK_RAW, 0x88b5), listen = tap(SOCK_RAW, 0x88b5);
	int icmp = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex("lo"), .sll_protocol = htons(ETH_P_IPV6), .sll_halen = 6 }, from;
	unsigned char frame[64] = { 0 }, buf[100];
	socklen_t len = sizeof(from);
	struct {
		struct ip6_hdr ip;
		struct echo e;
		unsigned next; /* for the checksum */
	} p = { .ip = { .ip6_src = IN6ADDR_LOOPBACK_INIT, .ip6_dst = IN6ADDR_LOOPBACK_INIT }, .e = an_echo(5, 5) };

	/* The pseudo-header: addresses, length, protocol. */
	p.e.h.type = ICMP6_ECHO_REQUEST;
	p.e.h.checksum = 0;
	p.ip.ip6_flow = 0;
	p.next = htonl(IPPROTO_ICMPV6 + sizeof(p.e));
	p.e.h.checksum = checksum((char *)&p + 8, sizeof(p) - 8);
	p.ip.ip6_flow = htonl(6u << 28);
	p.ip.ip6_plen = htons(sizeof(p.e));
	p.ip.ip6_nxt = IPPROTO_ICMPV6;
	p.ip.ip6_hlim = 3;
	EQ(sendto(cooked, &p, sizeof(p) - 4, 0, (void *)&to, sizeof(to)), sizeof(p) - 4);
	EQ(recv(icmp, buf, sizeof(buf), 0), sizeof(p.e));
	EQ(recv(icmp, buf, sizeof(buf), 0), sizeof(p.e));
	EQ(buf[0], ICMP6_ECHO_REPLY);
	frame[12] = 0x88, frame[13] = 0xb5;
	memcpy(frame + 14, "experiment", 10);
	EQ(send(raw, frame, 24, 0), 24);
	EQ(recvfrom(listen, buf, sizeof(buf), 0, (void *)&from, &len), 24);
	EQ(from.sll_pkttype, PACKET_HOST);
	EQ(ntohs(from.sll_protocol), 0x88b5);
	CHECK(!memcmp(buf + 14, "experiment", 10));
	memset(frame, 0xff, 6);
	EQ(send(raw, frame, 24, 0), 24);
	EQ(recvfrom(listen, buf, sizeof(buf), 0, (void *)&from, &len), 24);
	EQ(from.sll_pkttype, PACKET_MULTICAST);
	frame[0] = 2;
	EQ(send(raw, frame, 24, 0), 24);
	EQ(recvfrom(listen, buf, sizeof(buf), 0, (void *)&from, &len), 24);
	EQ(from.sll_pkttype, PACKET_OTHERHOST);
	FAILS(send(raw, frame, 13, 0), EINVAL);
	to.sll_ifindex = 12345;
	FAILS(sendto(raw, frame, 24, 0, (void *)&to, sizeof(to)), ENXIO);
	FAILS(sendto(raw, frame, 24, 0, (void *)&to, 10), EINVAL);
	close(cooked);
	close(raw);
	close(listen);
	close(icmp);
}

static void packet_names(void)
{
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ARP)), on = 1;
	struct sockaddr_ll ll = { .sll_family = AF_PACKET }, got;
	struct packet_mreq mr = { .mr_ifindex = if_nametoindex("lo"), .mr_type = PACKET_MR_PROMISC };
	socklen_t len = sizeof(got);
	char buf[10];

	EQ(getsockname(fd, (void *)&got, &len), 0);
	EQ(len, 12);
	EQ(got.sll_ifindex, 0);
	EQ(ntohs(got.sll_protocol), ETH_P_ARP);
	ll.sll_ifindex = 12345;
	FAILS(bind(fd, (void *)&ll, sizeof(ll)), ENODEV);
	FAILS(bind(fd, (void *)&ll, 10), EINVAL);
	ll.sll_family = AF_INET;
	FAILS(bind(fd, (void *)&ll, sizeof(ll)), EINVAL);
	ll.sll_family = AF_PACKET;
	ll.sll_ifindex = if_nametoindex("lo");
	EQ(bind(fd, (void *)&ll, sizeof(ll)), 0);
	len = sizeof(got);
	EQ(getsockname(fd, (void *)&got, &len), 0);
	EQ(len, 18);
	EQ(got.sll_hatype, 772);
	FAILS(getpeername(fd, (void *)&got, &len), EOPNOTSUPP);
	FAILS(connect(fd, (void *)&ll, sizeof(ll)), EOPNOTSUPP);
	FAILS(recv(fd, buf, 1, MSG_OOB), EINVAL);
	EQ(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof(mr)), 0);
	EQ(setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &mr, sizeof(mr)), 0);
	EQ(setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &mr, sizeof(mr)), 0); /* once more does no harm */
	mr.mr_ifindex = 12345;
	FAILS(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof(mr)), ENODEV);
	FAILS(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, 8), EINVAL);
	EQ(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)), 0);
	FAILS(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, 1), EINVAL);
	FAILS(setsockopt(fd, SOL_IP, PACKET_AUXDATA, &on, sizeof(on)), ENOPROTOOPT);
	close(fd);
}

/* ---- SO_ATTACH_FILTER: socket(7) ---- */

static int attach(int fd, struct sock_filter *f, int n)
{
	struct sock_fprog p = { n, f };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p));
}

static void filters(void)
{
	/* UDP whose text begins with 'y': the first 50 bytes of the frame. */
	struct sock_filter yes[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 6),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PKTTYPE), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_HOST, 0, 4),
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 14), BPF_STMT(BPF_LD | BPF_B | BPF_IND, 14 + 8), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'y', 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 50), BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_filter no_return[] = { BPF_STMT(BPF_LD | BPF_IMM, 1) }, far[] = { BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 5000), BPF_STMT(BPF_RET | BPF_K, 1) };
	struct sock_filter odd[] = { { 0xffff, 0, 0, 0 }, BPF_STMT(BPF_RET | BPF_K, 1) }, by_zero[] = { BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 0), BPF_STMT(BPF_RET | BPF_A, 0) };
	int fd = tap(SOCK_RAW, ETH_P_ALL), sv[2], on = 1, off = 0, udp;
	struct sockaddr_in a = lo4(0);
	socklen_t len = sizeof(a);
	unsigned char buf[100];

	FAILS(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof(on)), ENOENT);
	FAILS(attach(fd, no_return, 1), EINVAL);
	FAILS(attach(fd, odd, 2), EINVAL);
	FAILS(attach(fd, by_zero, 2), EINVAL);
	FAILS(attach(fd, yes, 0), EINVAL);
	FAILS(attach(fd, (void *)8, 2), EFAULT);
	FAILS(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &on, sizeof(on)), EINVAL);
	EQ(attach(fd, yes, 9), 0);
	send_datagram("no, not this");
	send_datagram("yes, but cut");
	EQ(recv(fd, buf, sizeof(buf), 0), 50);
	CHECK(!memcmp(buf + 42, "yes, but", 8));
	EQ(revents(fd, 0), 0);
	EQ(attach(fd, far, 2), 0); /* a load behind the end drops */
	send_datagram("yes");
	EQ(revents(fd, 0), 0);
	EQ(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on)), 0);
	FAILS(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &off, sizeof(off)), EPERM);
	FAILS(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof(on)), EPERM);
	FAILS(attach(fd, yes, 9), EPERM);
	close(fd);
	/* A datagram's own bytes. */
	EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv), 0);
	yes[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0);
	yes[1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'y', 0, 1);
	yes[2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 2);
	yes[3] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	EQ(attach(sv[1], yes, 4), 0);
	EQ(send(sv[0], "no", 2, 0), 2);
	EQ(send(sv[0], "yes", 3, 0), 3);
	EQ(recv(sv[1], buf, sizeof(buf), 0), 2);
	FAILS(recv(sv[1], buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	EQ(setsockopt(sv[1], SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof(on)), 0);
	EQ(send(sv[0], "no", 2, 0), 2);
	EQ(recv(sv[1], buf, sizeof(buf), 0), 2);
	close(sv[0]);
	close(sv[1]);
	/* UDP: with its header. */
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	yes[0].k = 8;
	yes[2].k = 10;
	EQ(attach(udp, yes, 4), 0);
	EQ(bind(udp, (void *)&a, sizeof(a)), 0);
	EQ(getsockname(udp, (void *)&a, &len), 0);
	EQ(sendto(udp, "no", 2, 0, (void *)&a, sizeof(a)), 2);
	EQ(sendto(udp, "yes", 3, 0, (void *)&a, sizeof(a)), 3);
	EQ(recv(udp, buf, sizeof(buf), 0), 2);
	EQ(revents(udp, 0), 0);
	close(udp);
}

int main(void)
{
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);

	if (fd < 0 && errno == EPERM) {
		printf("skip: no raw sockets here\n");
		return 0;
	}
	close(fd);
	alarm(50);
	RUN(creation);
	RUN(unprivileged);
	RUN(tables);
	RUN(ping);
	RUN(ping6);
	RUN(names);
	RUN(own_header);
	RUN(no_such_protocol);
	RUN(errors);
	RUN(unreachable);
	RUN(frames);
	RUN(injected);
	RUN(packet_names);
	RUN(filters);
	RUN(unprivileged_ping);
	DONE();
}
