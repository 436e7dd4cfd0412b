/* Errors that come back for datagrams: the pending one, and the queue of MSG_ERRQUEUE (ip(7), IP_RECVERR). */
#include <linux/in.h>
#include <linux/in6.h>

#include "base/string.h"
#include "net/inet/ip.h"

enum { EE_ICMP = 2, EE_ICMP6 = 3 }; /* sock_extended_err.ee_origin */

static void queue_error(struct inet_sock *is, const struct inet_error *e)
{
	struct sock *sk = &is->st.sk;
	struct pkt *p = pkt_alloc(e->len);

	if (!p)
		return;
	if (e->len)
		memcpy(p->data, e->payload, e->len);
	memcpy(p->src, &e->offender, 16);
	memcpy(p->dst, &e->dst, 16);
	p->dport = e->dport;
	p->ee = (struct sock_error){ .err = (u32)e->err, .origin = e->v4 ? EE_ICMP : EE_ICMP6, .type = e->type, .code = e->code,
				     .info = e->info };
	spin_lock(&sk->lock);
	if (!sk->dead && is->err_bytes + p->len + PKT_OVERHEAD <= sk->rcvbuf) {
		is->err_bytes += p->len + PKT_OVERHEAD;
		list_add_tail(&p->node, &is->errq);
		p = NULL;
	}
	spin_unlock(&sk->lock);
	if (p)
		pkt_free(p);
}

void inet_error(struct inet_sock *is, const struct inet_error *e, bool always)
{
	bool all = e->v4 ? inet_opt(is, SOL_IP, IP_RECVERR) : inet_opt(is, SOL_IPV6, IPV6_RECVERR);

	if (!all && !always)
		return;
	if (all)
		queue_error(is, e);
	atomic_store(&is->st.sk.err, e->err);
	sock_wake_all(&is->st.sk);
}

/* The oldest error, taken; what is pending is the next one from then on. */
static struct pkt *take_error(struct inet_sock *is)
{
	struct sock *sk = &is->st.sk;
	struct pkt *p = NULL;

	spin_lock(&sk->lock);
	if (!list_empty(&is->errq)) {
		p = list_first(&is->errq, struct pkt, node);
		list_del(&p->node);
		is->err_bytes -= p->len + PKT_OVERHEAD;
		atomic_store(&sk->err, list_empty(&is->errq) ? 0 : (s32)list_first(&is->errq, struct pkt, node)->ee.err);
	}
	spin_unlock(&sk->lock);
	return p;
}

long inet_recv_error(struct sock *sk, struct msg *m)
{
	struct inet_sock *is = to_inet(sk);
	struct pkt *p = take_error(is);
	struct {
		struct sock_error ee;
		struct sockaddr_k offender;
	} c = { 0 };
	u32 len;
	long ret;

	if (!p)
		return -EAGAIN;
	ret = pkt_copy(p, m);
	if (ret >= 0) {
		if (m->name)
			m->namelen = inet_format(is, (const void *)p->dst, p->dport, m->name);
		c.ee = p->ee;
		len = inet_format(is, (const void *)p->src, 0, &c.offender);
		m->out_flags |= MSG_ERRQUEUE;
		if (sk->family == AF_INET)
			put_cmsg(m, SOL_IP, IP_RECVERR, &c, sizeof(c.ee) + len);
		else
			put_cmsg(m, SOL_IPV6, IPV6_RECVERR, &c, sizeof(c.ee) + len);
	}
	pkt_free(p);
	return ret;
}

void inet_purge_errors(struct inet_sock *is)
{
	struct pkt *p;

	while ((p = take_error(is)))
		pkt_free(p);
}
