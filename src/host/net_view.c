/*
 * What the sandbox may see of its network namespace. The netlink sockets and the files of /proc/net are opened before the lock-down; requests are
 * built here from checked numbers, so only questions are ever asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/hostmem.h"
#include "host/serve.h"
#include "hostcall_net.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* one question at a time */
static int route = -1, diag = -1;
static int files[HC_NET_NFILES];
static char piece[64 << 10] __attribute__((aligned(NLMSG_ALIGNTO))); /* lock */

int net_view_init(void)
{
	static const char *const paths[] = {
#define PATH(name) "/proc/self/net/" #name,
		HC_NET_FILES(PATH)
#undef PATH
	};

	route = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (route < 0)
		return -errno;
	diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG); /* a kernel may be without */
	for (u32 i = 0; i < HC_NET_NFILES; i++)
		files[i] = open(paths[i], O_RDONLY | O_CLOEXEC);
	return 0;
}

/* ---- requests ---- */

struct request {
	struct nlmsghdr h;
	union {
		struct ifinfomsg link;
		struct rtmsg route;
		struct inet_diag_req_v2 diag;
		u8 room[128];
	};
};

static void add_attr(struct request *r, u16 type, const void *data, u32 n)
{
	struct rtattr *a = (struct rtattr *)((char *)r + NLMSG_ALIGN(r->h.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (u16)RTA_LENGTH(n);
	memcpy(RTA_DATA(a), data, n);
	r->h.nlmsg_len = NLMSG_ALIGN(r->h.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

static int build_route_to(struct request *r, const struct hc_net_ask *ask)
{
	u32 n = ask->family == AF_INET ? 4 : 16;

	if (ask->family == AF_UNSPEC)
		return -EINVAL;
	r->h.nlmsg_flags = NLM_F_REQUEST;
	r->route = (struct rtmsg){ .rtm_family = (u8)ask->family, .rtm_dst_len = ask->addrs & 1 ? (u8)(n * 8) : 0,
				   .rtm_src_len = ask->addrs & 2 ? (u8)(n * 8) : 0, .rtm_flags = RTM_F_LOOKUP_TABLE };
	r->h.nlmsg_len = NLMSG_LENGTH(sizeof(r->route));
	if (ask->addrs & 1)
		add_attr(r, RTA_DST, ask->dst, n);
	if (ask->addrs & 2)
		add_attr(r, RTA_SRC, ask->src, n);
	if (ask->index)
		add_attr(r, RTA_OIF, &ask->index, sizeof(ask->index));
	return 0;
}

static int build_sockets(struct request *r, const struct hc_net_ask *ask)
{
	if (ask->family == AF_UNSPEC || (ask->protocol != IPPROTO_TCP && ask->protocol != IPPROTO_UDP))
		return -EINVAL;
	r->h.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	r->h.nlmsg_flags = NLM_F_REQUEST | (ask->addrs ? 0 : NLM_F_DUMP);
	r->h.nlmsg_len = NLMSG_LENGTH(sizeof(r->diag));
	r->diag = (struct inet_diag_req_v2){ .sdiag_family = (u8)ask->family, .sdiag_protocol = (u8)ask->protocol,
					     .idiag_ext = (u8)ask->extensions, .idiag_states = ask->states,
					     .id = { .idiag_sport = ask->sport, .idiag_dport = ask->dport,
						     .idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } } };
	memcpy(r->diag.id.idiag_src, ask->src, 16);
	memcpy(r->diag.id.idiag_dst, ask->dst, 16);
	return 0;
}

/* The socket to ask by, or -errno. */
static int build(struct request *r, const struct hc_net_ask *ask)
{
	static const u16 types[] = { [HC_NET_LINKS] = RTM_GETLINK, [HC_NET_ADDRS] = RTM_GETADDR, [HC_NET_ROUTES] = RTM_GETROUTE,
				     [HC_NET_NEIGHS] = RTM_GETNEIGH, [HC_NET_RULES] = RTM_GETRULE, [HC_NET_ROUTE_TO] = RTM_GETROUTE };
	int err;

	*r = (struct request){ .h = { .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_len = NLMSG_LENGTH(sizeof(r->link)) } };
	if (ask->what > HC_NET_SOCKETS || (ask->family != AF_UNSPEC && ask->family != AF_INET && ask->family != AF_INET6))
		return -EINVAL;
	if (ask->what == HC_NET_SOCKETS) {
		err = build_sockets(r, ask);
		return err ? err : diag < 0 ? -EOPNOTSUPP : diag;
	}
	r->h.nlmsg_type = types[ask->what];
	r->link.ifi_family = (u8)ask->family;
	err = ask->what == HC_NET_ROUTE_TO ? build_route_to(r, ask) : 0;
	return err ? err : route;
}

/* ---- answers ---- */

struct answer {
	char *at;
	u64 room, len;
	bool done;
};

static s64 take(struct answer *a, const struct nlmsghdr *h, bool dump)
{
	if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
		a->done = true;
		return h->nlmsg_type == NLMSG_ERROR ? ((const struct nlmsgerr *)NLMSG_DATA(h))->error : 0;
	}
	a->done = !dump;
	if (a->len + NLMSG_ALIGN(h->nlmsg_len) > a->room) {
		a->len = a->room + 1; /* the rest is read all the same, so that the next question has its own answer */
		return 0;
	}
	memcpy(a->at + a->len, h, h->nlmsg_len);
	a->len += NLMSG_ALIGN(h->nlmsg_len);
	return 0;
}

static s64 receive(int fd, struct answer *a, bool dump)
{
	while (!a->done) {
		ssize_t n = recv(fd, piece, sizeof(piece), MSG_TRUNC);
		s64 err = 0;

		if (n < 0)
			return -errno;
		if (n > (ssize_t)sizeof(piece))
			return -EMSGSIZE;
		for (const struct nlmsghdr *h = (const void *)piece; NLMSG_OK(h, n) && !err && !a->done; h = NLMSG_NEXT(h, n))
			err = take(a, h, dump);
		if (err)
			return err;
	}
	return a->len > a->room ? -EMSGSIZE : (s64)a->len;
}

/* What an earlier question left, if it failed half-way. */
static void drain(int fd)
{
	while (recv(fd, piece, sizeof(piece), 0) >= 0 || errno == ENOBUFS)
		;
}

s64 serve_net_ask(u32 cpu, void *arg)
{
	const struct hc_net_ask *ask = arg;
	struct answer a = { .at = hostmem_at(ask->off, ask->len), .room = ask->len };
	struct request r;
	s64 ret;
	int fd;

	if (route < 0)
		return -ENOSYS;
	if (!a.at)
		return -EFAULT;
	if (ask->len > HC_NET_ANSWER_MAX)
		return -EINVAL;
	fd = build(&r, ask);
	if (fd < 0)
		return fd;
	pthread_mutex_lock(&lock);
	drain(fd);
	ret = send(fd, &r, r.h.nlmsg_len, 0) < 0 ? -errno : receive(fd, &a, r.h.nlmsg_flags & NLM_F_DUMP);
	pthread_mutex_unlock(&lock);
	return ret == -EAGAIN ? -EIO : ret;
}

s64 serve_net_file(u32 cpu, void *arg)
{
	const struct hc_net_file_read *req = arg;
	char *at = hostmem_at(req->off, req->len);
	ssize_t n;

	if (route < 0)
		return -ENOSYS;
	if (req->which >= HC_NET_NFILES || req->len > HC_NET_ANSWER_MAX || (s64)req->pos < 0)
		return -EINVAL;
	if (!at)
		return -EFAULT;
	if (files[req->which] < 0)
		return -ENOENT;
	struct iovec iov = { at, req->len };

	n = preadv(files[req->which], &iov, 1, (off_t)req->pos);
	return n < 0 ? -errno : n;
}
