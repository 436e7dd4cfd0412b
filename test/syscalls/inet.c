/* tcp(7), udp(7), ip(7), ipv6(7), netdevice(7), rtnetlink(7) on the loopback interface. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static char big[1 << 20];

static short revents(int fd)
{
	struct pollfd p = { fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0 };

	poll(&p, 1, 200);
	return p.revents;
}

static struct sockaddr_in addr4(const char *ip, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

static int port_of(int s)
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);

	if (getsockname(s, (void *)&a, &len))
		return -1;
	return ntohs(a.sin6_port); /* the same place in both families */
}

static int listener(int *port)
{
	struct sockaddr_in a = addr4("127.0.0.1", 0);
	int s = socket(AF_INET, SOCK_STREAM, 0);

	EQ(bind(s, (void *)&a, sizeof(a)), 0);
	EQ(listen(s, 16), 0);
	*port = port_of(s);
	return s;
}

static void pair(int s[2])
{
	struct sockaddr_in a;
	int port, l = listener(&port);

	a = addr4("127.0.0.1", port);
	s[0] = socket(AF_INET, SOCK_STREAM, 0);
	EQ(connect(s[0], (void *)&a, sizeof(a)), 0);
	s[1] = accept(l, NULL, NULL);
	CHECK(s[1] >= 0);
	close(l);
}

static void creation(void)
{
	FAILS(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
	FAILS(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
	int s = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
	CHECK(s >= 0);
	EQ(revents(s), POLLOUT | POLLHUP);
	FAILS(recv(s, big, 1, 0), ENOTCONN);
	FAILS(send(s, big, 1, MSG_NOSIGNAL), EPIPE);
	FAILS(shutdown(s, SHUT_WR), ENOTCONN);
	FAILS(getpeername(s, (void *)big, &(socklen_t){ 100 }), ENOTCONN);
	FAILS(accept(s, NULL, NULL), EINVAL);
	close(s);
}

static void binding(void)
{
	struct sockaddr_in a = addr4("127.0.0.1", 0), b;
	int s = socket(AF_INET, SOCK_STREAM, 0), t = socket(AF_INET, SOCK_STREAM, 0), one = 1, port;

	FAILS(bind(s, (void *)&a, 4), EINVAL);
	EQ(bind(s, (void *)&a, sizeof(a)), 0);
	port = port_of(s);
	CHECK(port > 1023);
	FAILS(bind(s, (void *)&a, sizeof(a)), EINVAL);
	b = addr4("127.0.0.1", port);
	FAILS(bind(t, (void *)&b, sizeof(b)), EADDRINUSE);
	b = addr4("0.0.0.0", port);
	FAILS(bind(t, (void *)&b, sizeof(b)), EADDRINUSE);
	b = addr4("127.0.0.2", port);
	EQ(bind(t, (void *)&b, sizeof(b)), 0);
	close(t);
	t = socket(AF_INET, SOCK_STREAM, 0);
	b = addr4("8.8.8.8", 0);
	FAILS(bind(t, (void *)&b, sizeof(b)), EADDRNOTAVAIL);
	b = addr4("127.0.0.1", port);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(t, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	EQ(bind(t, (void *)&b, sizeof(b)), 0);
	EQ(listen(s, 1), 0);
	FAILS(listen(t, 1), EADDRINUSE);
	close(s), close(t);
	s = socket(AF_INET, SOCK_STREAM, 0), t = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	setsockopt(t, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	EQ(bind(s, (void *)&a, sizeof(a)), 0);
	b = addr4("127.0.0.1", port_of(s));
	EQ(bind(t, (void *)&b, sizeof(b)), 0);
	EQ(listen(s, 1), 0);
	EQ(listen(t, 1), 0);
	close(s), close(t);
}

static void stream(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int s[2], n, one = 1;

	pair(s);
	EQ(getpeername(s[1], (void *)&a, &len), 0);
	EQ(ntohs(a.sin_port), port_of(s[0]));
	EQ(revents(s[0]), POLLOUT);
	EQ(setsockopt(s[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	EQ(write(s[0], "hello", 5), 5);
	EQ(revents(s[1]), POLLIN | POLLOUT);
	EQ(ioctl(s[1], FIONREAD, &n), 0);
	EQ(n, 5);
	EQ(recv(s[1], big, 100, MSG_PEEK), 5);
	EQ(recv(s[1], big, 2, MSG_WAITALL), 2);
	EQ(recv(s[1], NULL, 2, MSG_TRUNC), 2);
	EQ(read(s[1], big, 100), 1);
	EQ(shutdown(s[0], SHUT_WR), 0);
	EQ(revents(s[1]), POLLIN | POLLOUT | POLLRDHUP);
	EQ(read(s[1], big, 1), 0);
	EQ(write(s[1], "answer", 6), 6);
	EQ(recv(s[0], big, 100, 0), 6);
	FAILS(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	close(s[1]);
	EQ(read(s[0], big, 1), 0);
	EQ(revents(s[0]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	close(s[0]);
}

static void *sink(void *arg)
{
	static char buf[70000];
	long n, total = 0;

	while ((n = read(*(int *)arg, buf, sizeof(buf))) > 0)
		total += n;
	return (void *)total;
}

static void flow(void)
{
	pthread_t t;
	void *total;
	int s[2];

	pair(s);
	pthread_create(&t, NULL, sink, &s[1]);
	for (int i = 0; i < 8; i++)
		EQ(write(s[0], big, sizeof(big)), sizeof(big));
	close(s[0]);
	pthread_join(t, &total);
	EQ((long)total, 8 * sizeof(big));
	close(s[1]);
}

static void resets(void)
{
	struct linger l = { 1, 0 };
	int s[2], err;
	struct sockaddr_in6 peer;
	socklen_t len = sizeof(err), peerlen = sizeof(peer);

	pair(s);
	EQ(write(s[0], "unread", 6), 6);
	EQ(revents(s[1]), POLLIN | POLLOUT);
	close(s[1]);
	FAILS(read(s[0], big, 1), ECONNRESET);
	EQ(read(s[0], big, 1), 0);
	FAILS(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	close(s[0]);
	pair(s);
	setsockopt(s[1], SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(s[1]);
	CHECK(revents(s[0]) & POLLERR);
	FAILS(getpeername(s[0], (void *)&peer, &peerlen), ENOTCONN);
	EQ(getsockname(s[0], (void *)&peer, &peerlen), 0);
	EQ(getsockopt(s[0], SOL_SOCKET, SO_ERROR, &err, &len), 0);
	EQ(err, ECONNRESET);
	close(s[0]);
	pair(s);
	close(s[1]);
	EQ(read(s[0], big, 1), 0);
	EQ(send(s[0], "x", 1, MSG_NOSIGNAL), 1); /* answered by a reset */
	usleep(20000);
	FAILS(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	close(s[0]);
}

static void connecting(void)
{
	struct sockaddr_in a = addr4("127.0.0.1", 1), any;
	int port, l = listener(&port), s = socket(AF_INET, SOCK_STREAM, 0), err;
	socklen_t len = sizeof(err);

	FAILS(connect(s, (void *)&a, sizeof(a)), ECONNREFUSED);
	a = addr4("127.0.0.1", port);
	EQ(connect(s, (void *)&a, sizeof(a)), 0);
	FAILS(connect(s, (void *)&a, sizeof(a)), EISCONN);
	close(s);
	close(accept(l, NULL, NULL));
	s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	FAILS(connect(s, (void *)&a, sizeof(a)), EINPROGRESS);
	CHECK(revents(s) & POLLOUT);
	EQ(getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &len), 0);
	EQ(err, 0);
	EQ(connect(s, (void *)&a, sizeof(a)), 0);
	FAILS(connect(s, (void *)&a, sizeof(a)), EISCONN);
	close(s);
	close(accept(l, NULL, NULL));
	a = addr4("127.0.0.1", 1);
	s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	FAILS(connect(s, (void *)&a, sizeof(a)), EINPROGRESS);
	CHECK(revents(s) & POLLERR);
	EQ(getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &len), 0);
	EQ(err, ECONNREFUSED);
	close(s);
	any = addr4("0.0.0.0", port);
	s = socket(AF_INET, SOCK_STREAM, 0);
	EQ(connect(s, (void *)&any, sizeof(any)), 0);
	close(s);
	s = socket(AF_INET, SOCK_STREAM, 0);
	FAILS(fcntl(l, F_SETFL, O_NONBLOCK) ?: accept(l, NULL, NULL) < 0 ? -1 : accept(l, NULL, NULL), EAGAIN);
	struct sockaddr_in un = { .sin_family = AF_UNIX };
	FAILS(connect(s, (void *)&un, sizeof(un)), EAFNOSUPPORT);
	close(s), close(l);
}

static void urgent(void)
{
	int s[2], at;
	char c;

	pair(s);
	EQ(send(s[0], "abX", 3, MSG_OOB), 3);
	CHECK(revents(s[1]) & POLLPRI);
	EQ(recv(s[1], &c, 1, MSG_OOB), 1);
	EQ(c, 'X');
	EQ(recv(s[1], big, 10, 0), 2);
	EQ(ioctl(s[1], SIOCATMARK, &at), 0);
	FAILS(recv(s[1], &c, 1, MSG_OOB), EINVAL);
	close(s[0]), close(s[1]);
}

static void datagrams(void)
{
	struct sockaddr_in a = addr4("127.0.0.1", 0), b;
	socklen_t len = sizeof(b);
	int r = socket(AF_INET, SOCK_DGRAM, 0), s = socket(AF_INET, SOCK_DGRAM, 0), port, n;

	EQ(bind(r, (void *)&a, sizeof(a)), 0);
	port = port_of(r);
	a = addr4("127.0.0.1", port);
	FAILS(send(s, "x", 1, 0), EDESTADDRREQ);
	EQ(revents(s), POLLOUT);
	EQ(sendto(s, "hello", 5, 0, (void *)&a, sizeof(a)), 5);
	EQ(sendto(s, "", 0, 0, (void *)&a, sizeof(a)), 0);
	EQ(ioctl(r, FIONREAD, &n), 0);
	EQ(n, 5);
	EQ(recvfrom(r, big, 2, MSG_TRUNC, (void *)&b, &len), 5);
	EQ(ntohs(b.sin_port), port_of(s));
	EQ(recv(r, big, 2, 0), 0);
	FAILS(recv(r, big, 2, MSG_DONTWAIT), EAGAIN);
	FAILS(sendto(s, big, 66000, 0, (void *)&a, sizeof(a)), EMSGSIZE);
	a = addr4("127.0.0.1", 0);
	FAILS(sendto(s, "x", 1, 0, (void *)&a, sizeof(a)), EINVAL);
	/* Connected: only the peer is heard, refusals are reported. */
	a = addr4("127.0.0.1", port);
	EQ(connect(s, (void *)&a, sizeof(a)), 0);
	EQ(send(s, "c", 1, 0), 1);
	EQ(recv(r, big, 10, 0), 1);
	close(r);
	EQ(send(s, "c", 1, 0), 1);
	CHECK(revents(s) & POLLERR);
	FAILS(send(s, "c", 1, 0), ECONNREFUSED);
	struct sockaddr un = { .sa_family = AF_UNSPEC };
	EQ(connect(s, &un, sizeof(un)), 0);
	FAILS(send(s, "x", 1, 0), EDESTADDRREQ);
	a = addr4("127.255.255.255", 9);
	FAILS(sendto(s, "x", 1, 0, (void *)&a, sizeof(a)), EACCES);
	close(s);
}

static void pktinfo(void)
{
	struct sockaddr_in a = addr4("0.0.0.0", 0);
	char ctl[200];
	struct iovec iov = { big, 100 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
	int r = socket(AF_INET, SOCK_DGRAM, 0), s = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
	struct cmsghdr *c;

	EQ(bind(r, (void *)&a, sizeof(a)), 0);
	EQ(setsockopt(r, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)), 0);
	a = addr4("127.0.0.5", port_of(r));
	EQ(sendto(s, "x", 1, 0, (void *)&a, sizeof(a)), 1);
	EQ(recvmsg(r, &m, 0), 1);
	c = CMSG_FIRSTHDR(&m);
	CHECK(c && c->cmsg_type == IP_PKTINFO);
	if (c) {
		struct in_pktinfo *i = (void *)CMSG_DATA(c);

		EQ(i->ipi_addr.s_addr, a.sin_addr.s_addr);
		EQ(i->ipi_ifindex, if_nametoindex("lo"));
	}
	close(r), close(s);
}

static void version6(void)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = in6addr_any }, b;
	struct sockaddr_in v4;
	socklen_t len = sizeof(b);
	int l = socket(AF_INET6, SOCK_STREAM, 0), s, c, one = 1, port;

	if (l < 0 || bind(l, (void *)&a, sizeof(a))) {
		printf("skip version6: this host has no IPv6\n");
		return;
	}
	EQ(listen(l, 5), 0);
	port = port_of(l);
	FAILS(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)), EINVAL);
	v4 = addr4("127.0.0.1", port);
	c = socket(AF_INET, SOCK_STREAM, 0);
	EQ(connect(c, (void *)&v4, sizeof(v4)), 0);
	s = accept(l, (void *)&b, &len);
	EQ(len, sizeof(b));
	CHECK(IN6_IS_ADDR_V4MAPPED(&b.sin6_addr));
	close(c), close(s);
	FAILS(bind(c = socket(AF_INET, SOCK_STREAM, 0), (void *)&v4, sizeof(v4)), EADDRINUSE);
	close(c);
	c = socket(AF_INET6, SOCK_STREAM, 0);
	b = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback, .sin6_port = htons(port) };
	EQ(connect(c, (void *)&b, sizeof(b)), 0);
	s = accept(l, NULL, NULL);
	EQ(write(c, "six", 3), 3);
	EQ(read(s, big, 10), 3);
	close(c), close(s), close(l);
	l = socket(AF_INET6, SOCK_DGRAM, 0);
	EQ(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)), 0);
	a.sin6_port = 0;
	EQ(bind(l, (void *)&a, sizeof(a)), 0);
	v4 = addr4("0.0.0.0", port_of(l));
	c = socket(AF_INET, SOCK_DGRAM, 0);
	EQ(bind(c, (void *)&v4, sizeof(v4)), 0);
	close(c), close(l);
}

static void options(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), v;
	socklen_t len = sizeof(v);
	struct tcp_info info;

	EQ(getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, &len), 0);
	EQ(v, 0);
	v = 5;
	EQ(setsockopt(s, IPPROTO_TCP, TCP_KEEPCNT, &v, sizeof(v)), 0);
	EQ(getsockopt(s, IPPROTO_TCP, TCP_KEEPCNT, &v, &len), 0);
	EQ(v, 5);
	v = 0;
	FAILS(setsockopt(s, IPPROTO_TCP, TCP_KEEPCNT, &v, sizeof(v)), EINVAL);
	EQ(getsockopt(s, IPPROTO_IP, IP_TTL, &v, &len), 0);
	EQ(v, 64);
	len = sizeof(info);
	EQ(getsockopt(s, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	EQ(info.tcpi_state, 7 /* CLOSE */);
	FAILS(setsockopt(s, IPPROTO_TCP, 9999, &v, sizeof(v)), ENOPROTOOPT);
	close(s);
}

static void interfaces(void)
{
	struct ifaddrs *list, *i;
	struct ifreq r;
	int lo4 = 0, s = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK(if_nametoindex("lo") > 0);
	EQ(if_nametoindex("nosuch0"), 0);
	EQ(getifaddrs(&list), 0);
	for (i = list; i; i = i->ifa_next)
		if (!strcmp(i->ifa_name, "lo") && i->ifa_addr && i->ifa_addr->sa_family == AF_INET)
			lo4 = ((struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
	CHECK(lo4);
	freeifaddrs(list);
	strcpy(r.ifr_name, "lo");
	EQ(ioctl(s, SIOCGIFADDR, &r), 0);
	EQ(ioctl(s, SIOCGIFFLAGS, &r), 0);
	CHECK(r.ifr_flags & IFF_LOOPBACK && r.ifr_flags & IFF_UP);
	strcpy(r.ifr_name, "nosuch0");
	FAILS(ioctl(s, SIOCGIFADDR, &r), ENODEV);
	close(s);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	RUN(creation);
	RUN(binding);
	RUN(stream);
	RUN(flow);
	RUN(resets);
	RUN(connecting);
	RUN(urgent);
	RUN(datagrams);
	RUN(pktinfo);
	RUN(version6);
	RUN(options);
	RUN(interfaces);
	DONE();
}
