/* netlink(7), sock_diag(7). */
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

static char answer[65536];

static long ask(int fd, void *request, size_t n)
{
	struct nlmsghdr *h = request;

	h->nlmsg_len = n;
	EQ(send(fd, request, n, 0), n);
	return recv(fd, answer, sizeof(answer), 0);
}

static int error_of(long n)
{
	struct nlmsghdr *h = (void *)answer;
	struct nlmsgerr *e = NLMSG_DATA(h);

	return n > 0 && h->nlmsg_type == NLMSG_ERROR ? e->error : 1;
}

static unsigned inode_of(int fd)
{
	struct stat st;

	EQ(fstat(fd, &st), 0);
	return st.st_ino;
}

static void sockets(void)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK }, b;
	socklen_t len = sizeof(b);
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), other = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE);

	CHECK(fd >= 0 && other >= 0);
	FAILS(socket(AF_NETLINK, SOCK_STREAM, 0), ESOCKTNOSUPPORT);
	FAILS(socket(AF_NETLINK, SOCK_RAW, 100), EPROTONOSUPPORT);
	FAILS(socket(AF_NETLINK, SOCK_RAW, -1), EPROTONOSUPPORT);
	FAILS(bind(fd, (void *)&a, 4), EINVAL);
	EQ(bind(fd, (void *)&a, sizeof(a)), 0);
	EQ(getsockname(fd, (void *)&b, &len), 0);
	EQ(len, sizeof(b));
	CHECK(b.nl_pid != 0);
	a.nl_pid = b.nl_pid;
	FAILS(bind(other, (void *)&a, sizeof(a)), EADDRINUSE);
	a.nl_pid = b.nl_pid + 1;
	FAILS(bind(fd, (void *)&a, sizeof(a)), EINVAL); /* it has a number */
	a.nl_family = AF_INET;
	FAILS(bind(other, (void *)&a, sizeof(a)), EINVAL);
	FAILS(connect(other, (void *)&a, sizeof(a)), EINVAL);
	FAILS(listen(fd, 1), EOPNOTSUPP);
	FAILS(accept(fd, NULL, NULL), EOPNOTSUPP);
	FAILS(recv(fd, answer, 8, MSG_DONTWAIT), EAGAIN);
	FAILS(send(fd, answer, 8, MSG_OOB), EOPNOTSUPP);
	close(fd), close(other);
}

static void links(void)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg m;
	} q = { .h = { .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = 7 } };
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	struct nlmsghdr *h = (void *)answer;
	struct ifinfomsg *m = NLMSG_DATA(h);

	CHECK(ask(fd, &q, sizeof(q)) > 0);
	EQ(h->nlmsg_type, RTM_NEWLINK);
	EQ(h->nlmsg_seq, 7);
	CHECK(h->nlmsg_flags & NLM_F_MULTI);
	EQ(m->ifi_index, 1);
	close(fd);
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	q.h.nlmsg_flags = NLM_F_REQUEST;
	q.m.ifi_index = 9999;
	EQ(error_of(ask(fd, &q, sizeof(q))), -ENODEV);
	q.m.ifi_index = 1;
	CHECK(ask(fd, &q, sizeof(q)) > 0);
	EQ(h->nlmsg_type, RTM_NEWLINK);
	q.h.nlmsg_type = RTM_GETLINK;
	q.h.nlmsg_flags = NLM_F_REQUEST;
	EQ(error_of(ask(fd, &q, sizeof(q.h) + 4)), -EINVAL);
	close(fd);
}

static void diag_unix(void)
{
	struct {
		struct nlmsghdr h;
		struct unix_diag_req u;
	} q = { .h = { .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST },
		.u = { .sdiag_family = AF_UNIX, .udiag_states = ~0u, .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN } };
	int fd = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG), sv[2], found = 0;
	struct nlmsghdr *h = (void *)answer;
	struct unix_diag_msg *m = NLMSG_DATA(h);
	struct rtattr *a;
	long n;

	CHECK(fd >= 0);
	EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	q.u.udiag_ino = inode_of(sv[0]);
	q.u.udiag_cookie[0] = q.u.udiag_cookie[1] = ~0u;
	n = ask(fd, &q, sizeof(q));
	CHECK(n > 0);
	EQ(h->nlmsg_type, SOCK_DIAG_BY_FAMILY);
	EQ(m->udiag_family, AF_UNIX);
	EQ(m->udiag_type, SOCK_STREAM);
	EQ(m->udiag_state, 1);
	EQ(m->udiag_ino, inode_of(sv[0]));
	n = h->nlmsg_len - NLMSG_LENGTH(sizeof(*m));
	for (a = (void *)(m + 1); RTA_OK(a, n); a = RTA_NEXT(a, n))
		if (a->rta_type == UNIX_DIAG_PEER)
			EQ(*(unsigned *)RTA_DATA(a), inode_of(sv[1]));
	q.u.udiag_ino = 0x7ffffff1;
	EQ(error_of(ask(fd, &q, sizeof(q))), -ENOENT);
	EQ(error_of(ask(fd, &q, sizeof(q.h) + 1)), -EINVAL);
	q.h.nlmsg_flags |= NLM_F_DUMP;
	n = ask(fd, &q, sizeof(q));
	for (int done = 0; !done && n > 0; n = done ? 0 : recv(fd, answer, sizeof(answer), 0))
		for (h = (void *)answer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			m = NLMSG_DATA(h);
			done |= h->nlmsg_type == NLMSG_DONE;
			if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY)
				found += m->udiag_ino == inode_of(sv[0]) || m->udiag_ino == inode_of(sv[1]);
		}
	EQ(found, 2);
	close(fd), close(sv[0]), close(sv[1]);
}

static void diag_inet(void)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 i;
	} q = { .h = { .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.i = { .sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 1u << 10 /* listening */ } };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG), s = socket(AF_INET, SOCK_STREAM, 0), found = 0;
	socklen_t len = sizeof(a);
	long n;

	EQ(bind(s, (void *)&a, len), 0);
	EQ(listen(s, 5), 0);
	EQ(getsockname(s, (void *)&a, &len), 0);
	n = ask(fd, &q, sizeof(q));
	for (int done = 0; !done && n > 0; n = done ? 0 : recv(fd, answer, sizeof(answer), 0))
		for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			struct inet_diag_msg *m = NLMSG_DATA(h);

			done |= h->nlmsg_type == NLMSG_DONE;
			if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || m->idiag_inode != inode_of(s))
				continue;
			found++;
			EQ(m->idiag_state, 10);
			EQ(m->id.idiag_sport, a.sin_port);
			EQ(m->id.idiag_src[0], a.sin_addr.s_addr);
			EQ(m->idiag_uid, getuid());
		}
	EQ(found, 1);
	close(fd), close(s);
}

int main(void)
{
	RUN(sockets);
	RUN(links);
	RUN(diag_unix);
	RUN(diag_inet);
	DONE();
}
