/* sock_diag(7): Unix, TCP and UDP sockets, dumped or one by one. */
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>

#include "base/string.h"
#include "net/hostinet/hostinet.h"
#include "net/inet/inet.h"
#include "net/net_ns.h"
#include "net/netlink/netlink.h"
#include "net/show.h"
#include "net/unix/unix.h"
#include "sentry/kernel/task.h"

enum { DIAG_ESTABLISHED = 1, DIAG_CLOSE = 7, DIAG_LISTEN = 10 }; /* TCP_* of netinet/tcp.h, for Unix sockets too */

struct diag {
	struct nlbuf *b;
	struct net_ns *net;
	bool one, found;
	const struct unix_diag_req *u;
	const struct inet_diag_req_v2 *i;
};

static u8 unix_state(const struct sock *sk)
{
	return sk->state == SS_LISTEN ? DIAG_LISTEN : sk->state == SS_CONNECTED ? DIAG_ESTABLISHED : DIAG_CLOSE;
}

static void unix_row(struct sock *sk, void *arg)
{
	struct diag *d = arg;
	const struct unix_addr *a = READ_ONCE(to_unix(sk)->addr);
	struct unix_diag_msg m = { .udiag_family = AF_UNIX, .udiag_type = (u8)sk->type, .udiag_state = unix_state(sk),
				   .udiag_ino = (u32)sk->ino };
	struct unix_diag_rqlen rq = { 0 };
	const struct unix_sock *peer = unix_peer(to_unix(sk));
	u8 shut = (u8)sk->shutdown;

	if (sk->dead || sk->net != d->net || !sk->ino)
		return;
	if (d->one ? d->u->udiag_ino != m.udiag_ino : !(d->u->udiag_states >> m.udiag_state & 1))
		return;
	m.udiag_cookie[0] = (u32)sk->ino;
	m.udiag_cookie[1] = (u32)(sk->ino >> 32);
	d->found = true;
	nl_begin(d->b, SOCK_DIAG_BY_FAMILY, d->one ? 0 : NLM_F_MULTI, &m, sizeof(m));
	if (d->u->udiag_show & UDIAG_SHOW_NAME && a && a->len > UNIX_PATH_OFF)
		nl_attr(d->b, UNIX_DIAG_NAME, a->raw + UNIX_PATH_OFF, a->len - UNIX_PATH_OFF);
	if (d->u->udiag_show & UDIAG_SHOW_PEER && peer && sk->state == SS_CONNECTED)
		nl_attr_u32(d->b, UNIX_DIAG_PEER, (u32)peer->st.sk.ino);
	if (d->u->udiag_show & UDIAG_SHOW_RQLEN) {
		rq.udiag_rqueue = sk->state == SS_LISTEN ? sk->nacceptq : (u32)sk->rx_bytes;
		rq.udiag_wqueue = sk->state == SS_LISTEN ? sk->backlog : (u32)atomic_load(&sk->wmem);
		nl_attr(d->b, UNIX_DIAG_RQLEN, &rq, sizeof(rq));
	}
	if (d->u->udiag_show & UDIAG_SHOW_UID)
		nl_attr_u32(d->b, UNIX_DIAG_UID, sk->uid);
	nl_attr(d->b, UNIX_DIAG_SHUTDOWN, &shut, 1);
	nl_end(d->b);
}

static bool same_id(const struct inet_diag_sockid *a, const struct inet_diag_sockid *b)
{
	return a->idiag_sport == b->idiag_sport && a->idiag_dport == b->idiag_dport && !memcmp(a->idiag_src, b->idiag_src, 16) &&
	       !memcmp(a->idiag_dst, b->idiag_dst, 16);
}

static void inet_row(struct sock *sk, void *arg)
{
	struct diag *d = arg;
	struct inet_diag_msg m = { 0 };
	u8 shut = (u8)sk->shutdown;

	if (sk->net != d->net || sk->type != (d->i->sdiag_protocol == IPPROTO_TCP_K ? SOCK_STREAM : SOCK_DGRAM) || sk->protocol != d->i->sdiag_protocol || !inet_diag_row(sk, &m))
		return;
	if (d->one ? !same_id(&m.id, &d->i->id) : !(d->i->idiag_states >> m.idiag_state & 1))
		return;
	if (!d->one && d->i->id.idiag_sport && d->i->id.idiag_sport != m.id.idiag_sport)
		return;
	d->found = true;
	nl_begin(d->b, SOCK_DIAG_BY_FAMILY, d->one ? 0 : NLM_F_MULTI, &m, sizeof(m));
	nl_attr(d->b, INET_DIAG_SHUTDOWN, &shut, 1);
	nl_end(d->b);
}

/* The host's table, which has the sandbox's sockets among the namespace's. */
static int host_sockets(const struct inet_diag_req_v2 *q, bool one, struct nlbuf *b)
{
	s64 n = -EMSGSIZE, off = 0;
	u8 *buf = NULL;
	u32 size = 64u << 10;

	for (; n == -EMSGSIZE && size <= HC_NET_ANSWER_MAX; size *= 4) {
		vfree_pages(buf, size / 4);
		buf = vmalloc_pages(size);
		if (!buf)
			return -ENOMEM;
		n = host_net_sockets(q, one, buf, size);
	}
	while (n - off >= (s64)NLMSG_HDRLEN) {
		const struct nlmsghdr *h = (const void *)(buf + off);

		if (h->nlmsg_len < NLMSG_HDRLEN || h->nlmsg_len > n - off)
			break;
		nl_copy(b, h, one ? 0 : NLM_F_MULTI);
		off += NLMSG_ALIGN(h->nlmsg_len);
	}
	vfree_pages(buf, size / 4);
	return n < 0 ? (int)n : 0;
}

int diag_request(struct nl_sock *ns, const struct nlmsghdr *h, struct nlbuf *b, bool *dumped)
{
	const void *req = NLMSG_DATA(h);
	u32 len = h->nlmsg_len - NLMSG_HDRLEN;
	struct diag d = { .b = b, .net = ns->sk.net, .one = !(h->nlmsg_flags & NLM_F_DUMP), .u = req, .i = req };
	u8 family;

	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || len < 2)
		return -EINVAL;
	family = *(const u8 *)req;
	switch (family) {
	case AF_UNIX:
		if (len < sizeof(*d.u))
			return -EINVAL;
		sock_for_each(AF_UNIX, unix_row, &d);
		break;
	case AF_INET:
	case AF_INET6:
		if (len < sizeof(*d.i))
			return -EINVAL;
		if (d.i->sdiag_protocol != IPPROTO_TCP_K && d.i->sdiag_protocol != IPPROTO_UDP_K)
			return -ENOENT;
		if (boot_params->host_network && d.net == &init_net_ns) {
			*dumped = !d.one;
			return host_sockets(d.i, d.one, b);
		}
		sock_for_each(family, inet_row, &d);
		break;
	default:
		return family >= AF_MAX ? -EINVAL : -ENOENT;
	}
	*dumped = !d.one;
	return d.one && !d.found ? -ENOENT : 0;
}
