/* netlink(7), sock_diag(7). */
#include <arpa/inet.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/genetlink.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/taskstats.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
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

/* ---- generic netlink: the controller and TASKSTATS ---- */

static struct {
	struct nlmsghdr h;
	struct genlmsghdr g;
	char attrs[2000];
} gmsg;

static void *attr(void *at, int len, int type, int *size)
{
	struct nlattr *a = at;

	while (len >= NLA_HDRLEN && a->nla_len >= NLA_HDRLEN && a->nla_len <= len) {
		if ((a->nla_type & NLA_TYPE_MASK) == type) {
			*size = a->nla_len - NLA_HDRLEN;
			return (char *)a + NLA_HDRLEN;
		}
		len -= NLA_ALIGN(a->nla_len);
		a = (void *)((char *)a + NLA_ALIGN(a->nla_len));
	}
	return NULL;
}

/* Ask with one attribute; the error, or 0 with the answer in gmsg. */
static int ask_family(int fd, int family, int command, int type, const void *value, int len)
{
	struct nlattr *a = (void *)gmsg.attrs;
	static unsigned seq = 100;

	memset(&gmsg, 0, sizeof(gmsg));
	gmsg.h = (struct nlmsghdr){ .nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN) + (type ? NLA_HDRLEN + NLA_ALIGN(len) : 0), .nlmsg_type = family,
				    .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = ++seq };
	gmsg.g = (struct genlmsghdr){ command, 1, 0 };
	if (type) {
		*a = (struct nlattr){ NLA_HDRLEN + len, type };
		memcpy(a + 1, value, len);
	}
	EQ(send(fd, &gmsg, gmsg.h.nlmsg_len, 0), gmsg.h.nlmsg_len);
	CHECK(recv(fd, &gmsg, sizeof(gmsg), 0) >= NLMSG_HDRLEN);
	EQ(gmsg.h.nlmsg_seq, seq);
	return gmsg.h.nlmsg_type == NLMSG_ERROR ? -((struct nlmsgerr *)&gmsg.g)->error : 0;
}

static void *answered(int type, int *size)
{
	return attr(gmsg.attrs, gmsg.h.nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN), type, size);
}

static void generic(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC), n, family;
	struct taskstats *s;
	unsigned pid = getpid();
	char *aggr;

	CHECK(fd >= 0);
	EQ(ask_family(fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, "nlctrl", 7), 0);
	EQ(gmsg.h.nlmsg_type, GENL_ID_CTRL);
	EQ(gmsg.g.cmd, CTRL_CMD_NEWFAMILY);
	EQ(*(unsigned short *)answered(CTRL_ATTR_FAMILY_ID, &n), GENL_ID_CTRL);
	EQ(ask_family(fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, "no such one", 12), ENOENT);
	EQ(ask_family(fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0, NULL, 0), EINVAL);
	EQ(ask_family(fd, GENL_ID_CTRL, 99, 0, NULL, 0), EOPNOTSUPP);
	EQ(ask_family(fd, 1000, 1, 0, NULL, 0), ENOENT);
	if (ask_family(fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, TASKSTATS_GENL_NAME, sizeof(TASKSTATS_GENL_NAME))) {
		printf("skip: no TASKSTATS here\n");
		close(fd);
		return;
	}
	CHECK(answered(CTRL_ATTR_OPS, &n));
	EQ(*(unsigned *)answered(CTRL_ATTR_HDRSIZE, &n), 0);
	family = *(unsigned short *)answered(CTRL_ATTR_FAMILY_ID, &n);
	EQ(strcmp(answered(CTRL_ATTR_FAMILY_NAME, &n), TASKSTATS_GENL_NAME), 0);
	EQ(ask_family(fd, family, TASKSTATS_CMD_GET, TASKSTATS_CMD_ATTR_PID, &pid, 4), 0);
	EQ(gmsg.h.nlmsg_type, family);
	EQ(gmsg.g.cmd, TASKSTATS_CMD_NEW);
	aggr = answered(TASKSTATS_TYPE_AGGR_PID, &n);
	CHECK(aggr);
	if (aggr) {
		int len = n;

		EQ(*(unsigned *)attr(aggr, len, TASKSTATS_TYPE_PID, &n), pid);
		s = attr(aggr, len, TASKSTATS_TYPE_STATS, &n);
		CHECK(s && n >= 328); /* it grows at its end */
		EQ((char *)s - aggr, 12); /* x86 does not pad */
		CHECK(s->version >= 8);
		EQ(s->ac_pid, pid);
		EQ(s->ac_ppid, (unsigned)getppid());
		EQ(s->ac_uid, getuid());
		EQ(strncmp(s->ac_comm, "sys_netlink", 11), 0);
		CHECK(s->ac_btime > 1600000000);
	}
	EQ(ask_family(fd, family, TASKSTATS_CMD_GET, TASKSTATS_CMD_ATTR_TGID, &pid, 4), 0);
	CHECK(answered(TASKSTATS_TYPE_AGGR_TGID, &n));
	pid = 1 << 29;
	EQ(ask_family(fd, family, TASKSTATS_CMD_GET, TASKSTATS_CMD_ATTR_PID, &pid, 4), ESRCH);
	EQ(ask_family(fd, family, TASKSTATS_CMD_GET, 0, NULL, 0), EINVAL);
	close(fd);
}

/* ---- the process connector ---- */

struct connection {
	struct nlmsghdr h;
	struct cn_msg cn;
	union {
		unsigned op;
		struct proc_event ev;
	};
} __attribute__((packed));

static long listen_to_processes(int fd, unsigned op, unsigned size)
{
	struct connection c = { .h = { .nlmsg_len = NLMSG_LENGTH(sizeof(c.cn) + size), .nlmsg_type = NLMSG_DONE, .nlmsg_pid = getpid() },
				.cn = { .id = { CN_IDX_PROC, CN_VAL_PROC }, .seq = 5, .ack = 7, .len = size }, .op = op };

	return send(fd, &c, c.h.nlmsg_len, 0);
}

/* The next event of that kind about the process. */
static struct proc_event await(int fd, unsigned what, int pid)
{
	struct sockaddr_nl from;
	socklen_t len = sizeof(from);
	struct connection c;
	struct proc_event ev;

	do {
		CHECK(recvfrom(fd, &c, sizeof(c), 0, (void *)&from, &len) >= (long)(NLMSG_LENGTH(sizeof(c.cn)) + 32));
		memcpy(&ev, &c.ev, sizeof(ev));
	} while ((unsigned)ev.what != what || (what && (what == PROC_EVENT_FORK ? ev.event_data.fork.child_pid : ev.event_data.exec.process_pid) != pid));
	EQ(from.nl_groups, CN_IDX_PROC);
	EQ(c.cn.id.idx, CN_IDX_PROC);
	EQ(c.h.nlmsg_type, NLMSG_DONE);
	EQ(c.cn.ack, what ? 0 : 8);
	return ev;
}

static void processes(void)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC };
	int fd = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_CONNECTOR), st;
	struct proc_event ev;
	char c;
	pid_t pid;

	if (fd < 0 && errno == EPROTONOSUPPORT) {
		printf("skip: no connector here\n");
		return;
	}
	EQ(bind(fd, (void *)&a, sizeof(a)), 0);
	FAILS(recv(fd, &c, 1, MSG_DONTWAIT), EAGAIN);
	if (listen_to_processes(fd, PROC_CN_MCAST_LISTEN, 4) < 0 || recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0) { /* at once, or never */
		printf("skip: the process connector hears the first network, pid and user namespaces only\n");
		close(fd);
		return;
	}
	ev = await(fd, PROC_EVENT_NONE, 0);
	EQ(ev.event_data.ack.err, 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_NAME, "renamed");
		setsid();
		execl("/proc/self/exe", "sys_netlink", "end", NULL);
		_exit(1);
	}
	ev = await(fd, PROC_EVENT_FORK, pid);
	EQ(ev.event_data.fork.parent_pid, getpid());
	EQ(ev.event_data.fork.parent_tgid, getpid());
	EQ(ev.event_data.fork.child_tgid, pid);
	CHECK(ev.timestamp_ns);
	ev = await(fd, PROC_EVENT_COMM, pid);
	EQ(strcmp(ev.event_data.comm.comm, "renamed"), 0);
	ev = await(fd, PROC_EVENT_SID, pid);
	EQ(ev.event_data.sid.process_tgid, pid);
	ev = await(fd, PROC_EVENT_EXEC, pid);
	EQ(ev.event_data.exec.process_tgid, pid);
	ev = await(fd, PROC_EVENT_EXIT, pid);
	EQ(ev.event_data.exit.exit_code, 3 << 8);
	EQ(ev.event_data.exit.exit_signal, SIGCHLD);
	EQ(waitpid(pid, &st, 0), pid);
	CHECK(listen_to_processes(fd, PROC_CN_MCAST_IGNORE, 4) > 0);
	close(fd);
	pid = fork();
	if (!pid) {
		check_failures = 0;
		if (setresuid(1000, 1000, 1000))
			_exit(2);
		fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
		EQ(ask_family(fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, "nlctrl", 7), 0);
		_exit(check_failures != 0);
	}
	EQ(waitpid(pid, &st, 0), pid);
	EQ(st, 0);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return 3; /* what processes() executes */
	RUN(sockets);
	RUN(links);
	RUN(diag_unix);
	RUN(diag_inet);
	RUN(generic);
	RUN(processes);
	DONE();
}
