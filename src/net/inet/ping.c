/* Sockets of echo without privilege (icmp(7)): the identifier is the port, only answers to it arrive. */
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>

#include "base/string.h"
#include "net/filter.h"
#include "net/ifconf.h"
#include "net/inet/ip.h"
#include "net/net_ns.h"
#include "sentry/kernel/bpf.h"
#include "sentry/kernel/task.h"

bool ping_allowed(void)
{
	const u64 *range = current_net_ns()->settings.ping_groups;
	const struct cred *c = current->cred;

	if (c->egid >= range[0] && c->egid <= range[1])
		return true;
	for (u32 i = 0; i < c->ngroups; i++)
		if (c->groups[i] >= range[0] && c->groups[i] <= range[1])
			return true;
	return false;
}

static int destination(struct inet_sock *is, const struct msg *m, struct in_addr16 *dst)
{
	u16 port;
	int err;

	if (!m->name || !m->namelen) {
		*dst = is->raddr;
		return is->st.sk.state == SS_CONNECTED ? 0 : -EDESTADDRREQ;
	}
	err = inet_parse(is, m->name, m->namelen, dst, &port);
	if (!err && addr_is_v4(dst) != (is->st.sk.family == AF_INET))
		err = -EAFNOSUPPORT;
	return err ? err : inet_route(is, dst);
}

static long ping_sendmsg(struct sock *sk, struct msg *m)
{
	struct inet_sock *is = to_inet(sk);
	bool v4 = sk->family == AF_INET;
	struct in_addr16 src, dst;
	size_t n = m->it.count;
	u8 head[ICMP_HEAD], *icmp;
	struct pkt *p;
	int err;

	if (n > IP_MAX - IP4_HEAD)
		return -EMSGSIZE;
	if (n < ICMP_HEAD)
		return -EINVAL;
	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (copy_from_iter(head, ICMP_HEAD, &m->it) < ICMP_HEAD)
		return -EFAULT;
	if (head[0] != (v4 ? ICMP_ECHO_K : ICMPV6_ECHO_REQUEST_K) || head[1])
		return -EINVAL;
	err = destination(is, m, &dst);
	if (!err)
		err = sock_take_error(sk);
	if (!err && !is->lport)
		err = inet_autobind(is, NULL);
	if (err)
		return err;
	src = addr_is_any(&is->laddr) ? addr_loopback(v4) : is->laddr;
	p = ip_new(&src, &dst, (u8)sk->protocol, (u8)(v4 ? inet_opt(is, SOL_IP, IP_TTL) : inet_opt(is, SOL_IPV6, IPV6_UNICAST_HOPS)),
		   (u8)(v4 ? inet_opt(is, SOL_IP, IP_TOS) : inet_opt(is, SOL_IPV6, IPV6_TCLASS)), (u32)n);
	if (!p)
		return -ENOBUFS;
	icmp = ip_payload(p);
	memcpy(icmp, head, ICMP_HEAD);
	if (copy_from_iter(icmp + ICMP_HEAD, n - ICMP_HEAD, &m->it) < n - ICMP_HEAD) {
		pkt_free(p);
		return -EFAULT;
	}
	put16(icmp + 4, is->lport);
	icmp_set_checksum(p);
	lo_send(sk->net, p, sk);
	return (long)n;
}

void ping_receive(struct net_ns *net, const struct ip_view *v)
{
	struct inet_sock *to = inet_find_ping(net, &v->src, &v->dst, get16(v->payload + 4));
	struct bpf_packet view = { .data = v->payload, .end = v->payload + v->len, .net = v->head, .len = v->len,
				   .protocol = v->v4 ? ETH_P_IP : ETH_P_IPV6, .ifindex = LO_INDEX };
	struct pkt *p = NULL;
	struct sock *sk;
	u32 n;

	if (!to)
		return;
	sk = &to->st.sk;
	n = sock_filter(sk, &view);
	if (n && !sk->dead && sk->rx_bytes + n + PKT_OVERHEAD <= sk->rcvbuf && !(sk->shutdown & RCV_SHUTDOWN))
		p = pkt_alloc(n);
	if (p) {
		memcpy(p->data, v->payload, n);
		memcpy(p->src, &v->src, 16);
		memcpy(p->dst, &v->dst, 16);
		p->ttl = v->ttl;
		p->tos = v->tos;
		pkt_queue(sk, p);
	}
	sock_put(sk);
}

const struct proto_ops ping_ops = {
	.release = inet_release_datagram,
	.destroy = inet_destroy_datagram,
	.bind = inet_bind,
	.connect = inet_connect_datagram,
	.getname = inet_getname,
	.sendmsg = ping_sendmsg,
	.recvmsg = inet_recv_datagram,
	.shutdown = inet_shutdown_datagram,
	.setsockopt = inet_setsockopt,
	.getsockopt = inet_getsockopt,
	.poll = inet_poll_datagram,
	.ioctl = inet_ioctl_datagram,
};
