/* Netlink sockets: requests are answered at once, into the sender's own receive queue. */
#include <asm/ioctls.h>
#include <linux/capability.h>
#include <linux/eventpoll.h>

#include "base/string.h"
#include "net/filter.h"
#include "net/net_ns.h"
#include "net/netlink/netlink.h"
#include "net/scm.h"
#include "sentry/kernel/task.h"

#define NL_REPLY_MAX PAGE_SIZE
#define NL_DUMP_MAX (1u << 20) /* of a long answer, sent in pieces */
#define NL_PIECE 3776u /* what a dump of Linux has room for with pages of 4 KiB: libraries receive into a page */
#define NL_END_ROOM 64u /* for NLMSG_DONE */
#define NL_SEND_MAX 65536u

static const struct proto_ops netlink_ops;
static spinlock_t portid_lock = SPINLOCK_INIT;
static u32 next_portid = ~4095u; /* beside the process's own: portid_lock */
static struct list_head bound = LIST_HEAD_INIT(bound); /* sk.accept_node of bound sockets; portid_lock */

/* ---- building ---- */

static void *nl_reserve(struct nlbuf *b, u32 n)
{
	u32 at = b->len;

	n = NLMSG_ALIGN(n);
	if (b->full || n > b->cap - b->len) {
		b->full = true;
		return NULL;
	}
	b->len += n;
	memset(b->data + at, 0, n);
	return b->data + at;
}

void nl_begin(struct nlbuf *b, u16 type, u16 flags, const void *head, u32 n)
{
	struct nlmsghdr *h = nl_reserve(b, NLMSG_HDRLEN + n);

	b->msg = h;
	if (!h)
		return;
	h->nlmsg_type = type;
	h->nlmsg_flags = flags;
	h->nlmsg_seq = b->seq;
	h->nlmsg_pid = b->portid;
	memcpy(NLMSG_DATA(h), head, n);
}

void nl_attr(struct nlbuf *b, u16 type, const void *data, u32 n)
{
	struct nlattr *a = nl_reserve(b, NLA_HDRLEN + n);

	if (!a)
		return;
	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + n;
	if (n)
		memcpy((u8 *)a + NLA_HDRLEN, data, n);
}

u32 nl_nest_begin(struct nlbuf *b, u16 type)
{
	u32 at = b->len;

	nl_attr(b, type, NULL, 0);
	return at;
}

void nl_nest_end(struct nlbuf *b, u32 at)
{
	if (!b->full)
		((struct nlattr *)(b->data + at))->nla_len = (u16)(b->len - at);
}

void nl_attr_u32(struct nlbuf *b, u16 type, u32 v)
{
	nl_attr(b, type, &v, sizeof(v));
}

void nl_attr_str(struct nlbuf *b, u16 type, const char *s)
{
	nl_attr(b, type, s, strlen(s) + 1);
}

void nl_copy(struct nlbuf *b, const struct nlmsghdr *h, u16 flags)
{
	struct nlmsghdr *to = nl_reserve(b, h->nlmsg_len);

	if (!to)
		return;
	memcpy(to, h, h->nlmsg_len);
	to->nlmsg_flags = flags;
	to->nlmsg_seq = b->seq;
	to->nlmsg_pid = b->portid;
}

const void *nl_find_attr(const struct nlmsghdr *h, u32 head, u16 type, u32 *len)
{
	u32 off = NLMSG_HDRLEN + NLMSG_ALIGN(head);

	while (off + sizeof(struct nlattr) <= h->nlmsg_len) {
		const struct nlattr *a = (const void *)((const u8 *)h + off);

		if (a->nla_len < sizeof(*a) || a->nla_len > h->nlmsg_len - off)
			return NULL;
		if ((a->nla_type & NLA_TYPE_MASK) == type) {
			*len = a->nla_len - sizeof(*a);
			return a + 1;
		}
		off += NLA_ALIGN(a->nla_len);
	}
	return NULL;
}

void nl_end(struct nlbuf *b)
{
	if (b->msg)
		b->msg->nlmsg_len = b->data + b->len - (u8 *)b->msg;
	b->msg = NULL;
}

static void nl_error(struct nlbuf *b, const struct nlmsghdr *h, int error, bool cap_ack)
{
	struct nlmsgerr e = { .error = error, .msg = *h };
	u32 payload = error && !cap_ack ? h->nlmsg_len - NLMSG_HDRLEN : 0;

	nl_begin(b, NLMSG_ERROR, payload || !error ? 0 : NLM_F_CAPPED, &e, sizeof(e));
	if (payload) {
		void *p = nl_reserve(b, payload);

		if (p)
			memcpy(p, NLMSG_DATA(h), payload);
	}
	nl_end(b);
}

/* ---- requests ---- */

static void nl_queue_bytes(struct nl_sock *ns, const u8 *data, u32 len, u32 group)
{
	struct pkt *p;

	p = pkt_alloc(len);
	if (!p || ns->sk.rx_bytes > ns->sk.rcvbuf) {
		if (p)
			pkt_free(p);
		atomic_store(&ns->sk.err, ENOBUFS);
		sock_wake_all(&ns->sk);
		return;
	}
	memcpy(p->data, data, len);
	p->group = group;
	if (sock_filter_pkt(&ns->sk, p))
		pkt_queue(&ns->sk, p);
	else
		pkt_free(p);
}

/* Whole messages, as many as make a packet that fits the buffers of those who ask. */
static void nl_queue(struct nl_sock *ns, const struct nlbuf *b)
{
	u32 start = 0, end = 0;

	while (end < b->len) {
		u32 n = NLMSG_ALIGN(((const struct nlmsghdr *)(b->data + end))->nlmsg_len);

		if (end > start && end + n - start > NL_PIECE) {
			nl_queue_bytes(ns, b->data + start, end - start, 0);
			start = end;
		}
		end += n;
	}
	if (end > start)
		nl_queue_bytes(ns, b->data + start, end - start, 0);
}

void nl_multicast(const struct net_ns *net, s32 protocol, u32 group, const void *data, u32 len)
{
	struct sock *sk;

	spin_lock(&portid_lock);
	list_for_each(sk, &bound, accept_node)
		if (sk->protocol == protocol && sk->net == net && to_netlink(sk)->groups >> (group - 1) & 1)
			nl_queue_bytes(to_netlink(sk), data, len, group);
	spin_unlock(&portid_lock);
}

static int nl_answer(struct nl_sock *ns, const struct nlmsghdr *h, struct nlbuf *b, bool *dumped)
{
	if (ns->sk.protocol == NETLINK_GENERIC)
		return genl_request(ns, h, b, dumped);
	return ns->sk.protocol == NETLINK_SOCK_DIAG ? diag_request(ns, h, b, dumped) : route_request(ns, h, b, dumped);
}

/* An answer that does not fit is made once more, with more room; nothing changes by asking for it. */
static int nl_answer_long(struct nl_sock *ns, const struct nlmsghdr *h, struct nlbuf *b, u8 **more, u32 *size, bool *dumped)
{
	struct nlbuf small = *b;
	int err;

	b->cap -= NL_END_ROOM;
	err = nl_answer(ns, h, b, dumped);
	while (b->full && *dumped && *size < NL_DUMP_MAX) {
		vfree_pages(*more, *size);
		*size = MAX(*size * 4, NL_REPLY_MAX * 4);
		*more = vmalloc_pages(*size);
		if (!*more) {
			*dumped = false;
			*b = small;
			return -ENOMEM;
		}
		*b = (struct nlbuf){ .data = *more, .cap = *size - NL_END_ROOM, .seq = b->seq, .portid = b->portid };
		err = nl_answer(ns, h, b, dumped);
	}
	b->cap += NL_END_ROOM;
	b->full = false;
	return err;
}

static void nl_request(struct nl_sock *ns, const struct nlmsghdr *h, u8 *reply)
{
	struct nlbuf b = { .data = reply, .cap = NL_REPLY_MAX, .seq = h->nlmsg_seq, .portid = ns->portid };
	u8 *more = NULL;
	u32 size = 0;
	bool dumped = false, cap_ack = ns->opts & (1u << NETLINK_CAP_ACK);
	s32 zero = 0;
	int err = 0;

	if (!(h->nlmsg_flags & NLM_F_REQUEST))
		return;
	if (h->nlmsg_type >= NLMSG_MIN_TYPE)
		err = nl_answer_long(ns, h, &b, &more, &size, &dumped);
	if (dumped) {
		nl_begin(&b, NLMSG_DONE, NLM_F_MULTI, &zero, sizeof(zero));
		nl_end(&b);
	} else if (err || h->nlmsg_flags & NLM_F_ACK) {
		nl_queue(ns, &b); /* the acknowledgement is a message of its own behind the answer */
		b.len = 0;
		nl_error(&b, h, err, cap_ack);
	}
	nl_queue(ns, &b);
	vfree_pages(more, size);
}

static int nl_autobind(struct nl_sock *ns);

static long nl_run(struct nl_sock *ns, const u8 *data, u32 len)
{
	u8 *reply = kmalloc(NL_REPLY_MAX);
	u32 off = 0;

	if (!reply)
		return -ENOBUFS;
	while (len - off >= NLMSG_HDRLEN) {
		const struct nlmsghdr *h = (const void *)(data + off);

		if (h->nlmsg_len < NLMSG_HDRLEN || h->nlmsg_len > len - off)
			break;
		nl_request(ns, h, reply);
		off += MIN(NLMSG_ALIGN(h->nlmsg_len), len - off);
	}
	kfree(reply);
	return 0;
}

static long nl_sendmsg(struct sock *sk, struct msg *m)
{
	struct nl_sock *ns = to_netlink(sk);
	const struct sockaddr_nl *to = (const void *)m->name;
	u32 pid = ns->dst_pid, n = m->it.count;
	struct scm scm;
	struct pkt *p;
	long err;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (to && m->namelen) {
		if (m->namelen < sizeof(*to) || to->nl_family != AF_NETLINK)
			return -EINVAL;
		if (to->nl_groups && !net_capable(ns->sk.net, CAP_NET_ADMIN))
			return -EPERM;
		pid = to->nl_pid;
	}
	err = scm_send(sk, m, &scm);
	if (err)
		return err;
	err = nl_autobind(ns);
	if (err)
		return err;
	if (n > NL_SEND_MAX)
		return -EMSGSIZE;
	if (pid || (sk->protocol == NETLINK_CONNECTOR && sk->net != &init_net_ns))
		return -ECONNREFUSED; /* only the kernel's end answers; of the connector there is but one */
	p = pkt_from_msg(m, n);
	if (IS_ERR(p))
		return PTR_ERR(p);
	if (sk->protocol == NETLINK_CONNECTOR)
		connector_request(ns, p->data, n);
	else if (sk->protocol != NETLINK_KOBJECT_UEVENT)
		err = nl_run(ns, p->data, n);
	pkt_free(p);
	return err ? err : n;
}

static long nl_recvmsg(struct sock *sk, struct msg *m)
{
	struct sockaddr_nl from = { .nl_family = AF_NETLINK };
	struct nl_sock *ns = to_netlink(sk);
	struct scm scm = { .fp = NULL };
	struct pkt *p;
	long ret;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	mutex_lock(&ns->rxlock);
	p = pkt_wait(sk, m, &ns->rxlock);
	if (IS_ERR_OR_NULL(p)) {
		mutex_unlock(&ns->rxlock);
		return PTR_ERR(p);
	}
	ret = pkt_copy(p, m);
	from.nl_groups = p->group ? 1u << (p->group - 1) : 0;
	if (!(m->flags & MSG_PEEK))
		pkt_free(pkt_unlink(sk, p));
	mutex_unlock(&ns->rxlock);
	if (m->name) {
		memcpy(m->name, &from, sizeof(from));
		m->namelen = sizeof(from);
	}
	if (ns->opts & (1u << NETLINK_PKTINFO)) {
		struct nl_pktinfo info = { .group = from.nl_groups ? (u32)__builtin_ctz(from.nl_groups) + 1 : 0 };

		put_cmsg(m, SOL_NETLINK, NETLINK_PKTINFO, &info, sizeof(info));
	}
	if (sk->passcred) /* from the kernel: all zero */
		scm_recv(sk, m, &scm);
	return ret;
}

/* ---- names ---- */

static bool portid_taken(const struct nl_sock *ns, u32 id)
{
	struct sock *o;

	list_for_each(o, &bound, accept_node)
		if (o->protocol == ns->sk.protocol && o->net == ns->sk.net && to_netlink(o)->portid == id)
			return true;
	return false;
}

/* Take the wanted number, or for 0 one of the kernel's choice. */
static int nl_set_portid(struct nl_sock *ns, u32 want)
{
	u32 id = want ? want : (u32)task_tgid(current);
	int err = 0;

	spin_lock(&portid_lock);
	if (ns->portid) {
		err = want && want != ns->portid ? -EINVAL : 0;
	} else {
		while (!want && portid_taken(ns, id))
			id = --next_portid;
		if (want && portid_taken(ns, id)) {
			err = -EADDRINUSE;
		} else {
			ns->portid = id;
			list_add(&ns->sk.accept_node, &bound);
		}
	}
	spin_unlock(&portid_lock);
	return err;
}

static int nl_autobind(struct nl_sock *ns)
{
	return ns->portid ? 0 : nl_set_portid(ns, 0);
}

/* Of processes not everyone may hear. */
static bool may_listen(const struct nl_sock *ns)
{
	return ns->sk.protocol != NETLINK_CONNECTOR || net_capable(ns->sk.net, CAP_NET_ADMIN);
}

static int nl_bind(struct sock *sk, const struct sockaddr_k *addr, u32 len)
{
	const struct sockaddr_nl *a = (const void *)addr;
	struct nl_sock *ns = to_netlink(sk);
	int err;

	if (len < sizeof(*a) || a->nl_family != AF_NETLINK)
		return -EINVAL;
	if (a->nl_groups && !may_listen(ns))
		return -EPERM;
	err = nl_set_portid(ns, a->nl_pid);
	if (!err)
		ns->groups = a->nl_groups;
	return err;
}

static int nl_connect(struct sock *sk, const struct sockaddr_k *addr, u32 len, bool nonblock)
{
	const struct sockaddr_nl *a = (const void *)addr;
	struct nl_sock *ns = to_netlink(sk);

	if (len < sizeof(addr->family))
		return -EINVAL;
	if (addr->family == AF_UNSPEC) {
		ns->dst_pid = ns->dst_groups = 0;
		sk->state = SS_UNCONNECTED;
		return 0;
	}
	if (addr->family != AF_NETLINK || len < sizeof(*a))
		return -EINVAL;
	ns->dst_pid = a->nl_pid;
	ns->dst_groups = a->nl_groups;
	sk->state = SS_CONNECTED;
	return nl_autobind(ns);
}

static int nl_getname(struct sock *sk, struct sockaddr_k *addr, u32 *len, bool peer)
{
	struct sockaddr_nl *a = (void *)addr;
	struct nl_sock *ns = to_netlink(sk);

	a->nl_family = AF_NETLINK;
	a->nl_pid = peer ? ns->dst_pid : ns->portid;
	a->nl_groups = peer ? ns->dst_groups : ns->groups;
	*len = sizeof(*a);
	return 0;
}

/* ---- the rest ---- */

static int nl_setsockopt(struct sock *sk, s32 level, s32 opt, const void *val, u32 len)
{
	struct nl_sock *ns = to_netlink(sk);
	s32 v = 0;

	if (level != SOL_NETLINK)
		return -ENOPROTOOPT;
	if (len >= sizeof(v))
		memcpy(&v, val, sizeof(v));
	switch (opt) {
	case NETLINK_ADD_MEMBERSHIP:
	case NETLINK_DROP_MEMBERSHIP:
		if (!may_listen(ns))
			return -EPERM;
		if (v < 1 || v > 32)
			return -EINVAL;
		if (opt == NETLINK_ADD_MEMBERSHIP)
			ns->groups |= 1u << (v - 1);
		else
			ns->groups &= ~(1u << (v - 1));
		return 0;
	case NETLINK_PKTINFO:
	case NETLINK_BROADCAST_ERROR:
	case NETLINK_NO_ENOBUFS:
	case NETLINK_CAP_ACK:
	case NETLINK_EXT_ACK:
	case NETLINK_GET_STRICT_CHK:
		ns->opts = v ? ns->opts | 1u << opt : ns->opts & ~(1u << opt);
		return 0;
	}
	return -ENOPROTOOPT;
}

static int nl_getsockopt(struct sock *sk, s32 level, s32 opt, void *val, u32 *len)
{
	if (level != SOL_NETLINK || opt < NETLINK_PKTINFO || opt > NETLINK_GET_STRICT_CHK)
		return -ENOPROTOOPT;
	return opt_put_int(val, len, !!(to_netlink(sk)->opts & (1u << opt)));
}

static u32 nl_poll(struct file *f, struct sock *sk, struct poll_table *pt)
{
	u32 mask = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;

	if (sk->err)
		mask |= EPOLLERR;
	if (READ_ONCE(sk->nrx))
		mask |= EPOLLIN | EPOLLRDNORM;
	return mask;
}

static void nl_release(struct sock *sk)
{
	spin_lock(&portid_lock);
	list_del(&sk->accept_node);
	spin_unlock(&portid_lock);
	connector_release(to_netlink(sk));
	pkt_purge(sk);
}

static const struct proto_ops netlink_ops = {
	.release = nl_release,
	.bind = nl_bind,
	.connect = nl_connect,
	.getname = nl_getname,
	.sendmsg = nl_sendmsg,
	.recvmsg = nl_recvmsg,
	.setsockopt = nl_setsockopt,
	.getsockopt = nl_getsockopt,
	.poll = nl_poll,
};

static struct sock *netlink_create(u32 type, s32 protocol)
{
	struct nl_sock *ns;

	if (type != SOCK_RAW && type != SOCK_DGRAM)
		return ERR_PTR(-ESOCKTNOSUPPORT);
	if (protocol < 0 || protocol >= MAX_LINKS)
		return ERR_PTR(-EPROTONOSUPPORT);
	/* Uevents may be listened to; none ever come. */
	if (protocol != NETLINK_ROUTE && protocol != NETLINK_KOBJECT_UEVENT && protocol != NETLINK_SOCK_DIAG && protocol != NETLINK_GENERIC &&
	    protocol != NETLINK_CONNECTOR)
		return ERR_PTR(-EPROTONOSUPPORT);
	ns = kzalloc(sizeof(*ns));
	if (!ns)
		return ERR_PTR(-ENOMEM);
	sock_init(&ns->sk, &netlink_ops, AF_NETLINK, type, protocol);
	mutex_init(&ns->rxlock);
	return &ns->sk;
}

static const struct net_family netlink_family = { AF_NETLINK, netlink_create };

void netlink_init(void)
{
	net_register_family(&netlink_family);
}
