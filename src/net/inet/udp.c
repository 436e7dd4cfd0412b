/* UDP (udp(7)) over loopback, and what all sockets of datagrams share. */
#include <asm/ioctls.h>
#include <linux/eventpoll.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>

#include "base/string.h"
#include "net/filter.h"
#include "net/ifconf.h"
#include "net/inet/ip.h"
#include "sentry/kernel/bpf.h"
#include "sentry/kernel/timer.h"

#define UDP_MAX_PAYLOAD 65507u

struct udp_dest {
	struct in_addr16 addr;
	u16 port;
};

/* Where it goes: the message's address or the peer. */
static int udp_dest(struct inet_sock *is, struct msg *m, struct udp_dest *d)
{
	int err;

	if (m->name && m->namelen) {
		err = inet_parse(is, m->name, m->namelen, &d->addr, &d->port);
		if (err)
			return err;
		if (!d->port)
			return -EINVAL;
		return inet_route(is, &d->addr);
	}
	if (!is->rport)
		return -EDESTADDRREQ;
	d->addr = is->raddr;
	d->port = is->rport;
	return 0;
}

/* The packet that carries a message; NULL: no memory. */
static struct pkt *udp_packet(const struct pkt *p)
{
	const struct in_addr16 *src = (const void *)p->src, *dst = (const void *)p->dst;
	struct pkt *packet = ip_new(src, dst, IPPROTO_UDP_K, p->ttl, p->tos, UDP_HEAD + p->len);
	struct ip_view v;
	u8 *udp;
	u16 sum;

	if (!packet)
		return NULL;
	udp = ip_payload(packet);
	put16(udp, p->sport);
	put16(udp + 2, p->dport);
	put16(udp + 4, (u16)(UDP_HEAD + p->len));
	put16(udp + 6, 0);
	memcpy(udp + UDP_HEAD, p->data, p->len);
	if (ip_parse(packet->data, packet->len, &v)) {
		sum = ip_payload_checksum(&v);
		put16(udp + 6, sum ? sum : 0xffff);
	}
	return packet;
}

/* A filter sees the header of UDP as well. */
static bool udp_filter(struct sock *ts, struct pkt *p)
{
	struct pkt *packet = udp_packet(p);
	struct bpf_packet view;
	u32 n;

	if (!packet)
		return false;
	view = (struct bpf_packet){ .data = ip_payload(packet), .end = packet->data + packet->len, .net = packet->data,
				    .len = UDP_HEAD + p->len, .protocol = addr_is_v4((const void *)p->dst) ? ETH_P_IP : ETH_P_IPV6, .ifindex = LO_INDEX };
	n = sock_filter(ts, &view);
	pkt_free(packet);
	p->len = n > UDP_HEAD ? MIN(p->len, n - UDP_HEAD) : 0;
	return n;
}

/* Full queues drop, as the network does. */
static void udp_deliver(struct inet_sock *to, struct pkt *p)
{
	struct sock *ts = &to->st.sk;

	if ((unlikely(READ_ONCE(ts->filter)) && !udp_filter(ts, p)) || ts->dead || ts->rx_bytes + p->len + PKT_OVERHEAD > ts->rcvbuf || ts->shutdown & RCV_SHUTDOWN) {
		pkt_free(p);
		return;
	}
	pkt_queue(ts, p);
}

/* Nobody has the port: an error comes back. */
static void udp_unreachable(struct net_ns *net, const struct pkt *p)
{
	struct pkt *packet = udp_packet(p), *answer = NULL;
	struct ip_view v;

	if (packet && ip_parse(packet->data, packet->len, &v))
		answer = icmp_unreachable(&v, UNREACH_PORT);
	if (answer)
		lo_send(net, answer, NULL);
	if (packet)
		pkt_free(packet);
}

bool udp_receive(struct net_ns *net, const struct ip_view *v)
{
	const u8 *udp = v->payload;
	struct ip_view whole = *v;
	struct inet_sock *to;
	struct pkt *p;

	if (v->len < UDP_HEAD || get16(udp + 4) < UDP_HEAD || get16(udp + 4) > v->len)
		return true; /* nobody answers what is broken */
	whole.len = get16(udp + 4);
	if (get16(udp + 6) ? ip_payload_checksum(&whole) : !v->v4)
		return true;
	to = inet_find_udp(net, &v->src, get16(udp), &v->dst, get16(udp + 2));
	if (!to)
		return false;
	p = pkt_alloc(whole.len - UDP_HEAD);
	if (p) {
		if (p->len)
			memcpy(p->data, udp + UDP_HEAD, p->len);
		memcpy(p->src, &v->src, 16);
		memcpy(p->dst, &v->dst, 16);
		p->sport = get16(udp);
		p->dport = get16(udp + 2);
		p->ttl = v->ttl;
		p->tos = v->tos;
		udp_deliver(to, p);
	}
	sock_put(&to->st.sk);
	return true;
}

static void show_packet(struct net_ns *net, const struct pkt *p)
{
	struct pkt *packet = udp_packet(p);

	if (packet) {
		lo_seen(net, packet);
		pkt_free(packet);
	}
}

static long udp_sendmsg(struct sock *sk, struct msg *m)
{
	struct inet_sock *is = to_inet(sk), *to;
	struct in_addr16 local, src;
	size_t n = m->it.count;
	struct udp_dest d;
	struct pkt *p;
	int err;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (n > UDP_MAX_PAYLOAD)
		return -EMSGSIZE;
	err = udp_dest(is, m, &d);
	if (!err)
		err = sock_take_error(sk);
	if (!err && sk->shutdown & SEND_SHUTDOWN)
		return sock_epipe(m);
	if (!err && !is->lport)
		err = inet_autobind(is, NULL);
	if (err)
		return err;
	local = addr_loopback(addr_is_v4(&d.addr));
	src = addr_is_any(&is->laddr) ? local : is->laddr;
	p = pkt_from_msg(m, n);
	if (IS_ERR(p))
		return PTR_ERR(p);
	memcpy(p->src, &src, 16);
	memcpy(p->dst, &d.addr, 16);
	p->sport = is->lport;
	p->dport = d.port;
	p->ttl = 64;
	if (unlikely(lo_watched()))
		show_packet(sk->net, p);
	to = inet_find_udp(is->st.sk.net, &src, is->lport, &d.addr, d.port);
	if (!to) {
		udp_unreachable(sk->net, p);
		pkt_free(p);
		return n;
	}
	udp_deliver(to, p);
	sock_put(&to->st.sk);
	return n;
}

/* ---- receiving ---- */

struct pktinfo4 {
	s32 ifindex;
	u8 spec_dst[4], addr[4];
};
struct pktinfo6 {
	u8 addr[16];
	u32 ifindex;
};

static void put_v4_cmsgs(struct inet_sock *is, struct msg *m, const struct pkt *p)
{
	s32 ttl = p->ttl;

	if (inet_opt(is, SOL_IP, IP_PKTINFO)) {
		struct pktinfo4 info = { .ifindex = LO_INDEX };

		memcpy(info.spec_dst, p->dst + 12, 4);
		memcpy(info.addr, p->dst + 12, 4);
		put_cmsg(m, SOL_IP, IP_PKTINFO, &info, sizeof(info));
	}
	if (inet_opt(is, SOL_IP, IP_RECVTTL))
		put_cmsg(m, SOL_IP, IP_TTL, &ttl, sizeof(ttl));
	if (inet_opt(is, SOL_IP, IP_RECVTOS))
		put_cmsg(m, SOL_IP, IP_TOS, &p->tos, sizeof(p->tos));
}

static void put_v6_cmsgs(struct inet_sock *is, struct msg *m, const struct pkt *p)
{
	s32 hops = p->ttl, tclass = p->tos;

	if (inet_opt(is, SOL_IPV6, IPV6_RECVPKTINFO)) {
		struct pktinfo6 info = { .ifindex = LO_INDEX };

		memcpy(info.addr, p->dst, 16);
		put_cmsg(m, SOL_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
	if (inet_opt(is, SOL_IPV6, IPV6_RECVHOPLIMIT))
		put_cmsg(m, SOL_IPV6, IPV6_HOPLIMIT, &hops, sizeof(hops));
	if (inet_opt(is, SOL_IPV6, IPV6_RECVTCLASS))
		put_cmsg(m, SOL_IPV6, IPV6_TCLASS, &tclass, sizeof(tclass));
}

long inet_recv_datagram(struct sock *sk, struct msg *m)
{
	struct inet_sock *is = to_inet(sk);
	struct pkt *p;
	long ret;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (m->flags & MSG_ERRQUEUE)
		return inet_recv_error(sk, m);
	mutex_lock(&is->rxlock);
	p = pkt_wait(sk, m, &is->rxlock);
	if (IS_ERR_OR_NULL(p)) {
		mutex_unlock(&is->rxlock);
		return PTR_ERR(p);
	}
	ret = pkt_copy(p, m);
	if (m->name)
		m->namelen = inet_format(is, (const void *)p->src, p->sport, m->name);
	if (ret >= 0) {
		put_stamp(sk, m, p->stamp_ns);
		if (addr_is_v4((const void *)p->dst))
			put_v4_cmsgs(is, m, p);
		if (sk->family == AF_INET6)
			put_v6_cmsgs(is, m, p);
	}
	if (!(m->flags & MSG_PEEK))
		pkt_free(pkt_unlink(sk, p));
	mutex_unlock(&is->rxlock);
	return ret;
}

/* ---- the rest ---- */

int inet_connect_datagram(struct sock *sk, const struct sockaddr_k *addr, u32 len, bool nonblock)
{
	struct inet_sock *is = to_inet(sk);
	struct in_addr16 dst, local;
	u16 port;
	int err;

	if (len >= sizeof(addr->family) && addr->family == AF_UNSPEC) {
		spin_lock(&inet_lock);
		is->rport = 0;
		is->raddr = addr_any(is);
		if (!is->user_bound)
			is->laddr = addr_any(is);
		sk->state = SS_UNCONNECTED;
		spin_unlock(&inet_lock);
		if (!is->user_bound)
			inet_unbind(is);
		return 0;
	}
	err = inet_parse(is, addr, len, &dst, &port);
	if (!err)
		err = inet_route(is, &dst);
	if (err)
		return err;
	local = addr_loopback(addr_is_v4(&dst));
	err = inet_autobind(is, &local);
	if (err)
		return err;
	spin_lock(&inet_lock);
	is->raddr = dst;
	is->rport = port;
	sk->state = SS_CONNECTED;
	spin_unlock(&inet_lock);
	return 0;
}

void inet_release_datagram(struct sock *sk)
{
	spin_lock(&sk->lock);
	sk->dead = true;
	sk->file = NULL;
	spin_unlock(&sk->lock);
	inet_unbind(to_inet(sk));
	pkt_purge(sk);
	inet_purge_errors(to_inet(sk));
}

void inet_destroy_datagram(struct sock *sk)
{
	pkt_purge(sk);
	inet_purge_errors(to_inet(sk));
}

int inet_shutdown_datagram(struct sock *sk, s32 how)
{
	spin_lock(&sk->lock);
	sk->shutdown |= how + 1;
	spin_unlock(&sk->lock);
	sock_wake_all(sk);
	return sk->state == SS_CONNECTED ? 0 : -ENOTCONN;
}

u32 inet_poll_datagram(struct file *f, struct sock *sk, struct poll_table *pt)
{
	u32 mask = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND, shutdown = READ_ONCE(sk->shutdown);

	if (sk->err || !list_empty(&to_inet(sk)->errq))
		mask |= EPOLLERR;
	if (shutdown & RCV_SHUTDOWN)
		mask |= EPOLLRDHUP | EPOLLIN | EPOLLRDNORM;
	if (shutdown == SHUTDOWN_MASK)
		mask |= EPOLLHUP;
	if (READ_ONCE(sk->nrx))
		mask |= EPOLLIN | EPOLLRDNORM;
	return mask;
}

long inet_ioctl_datagram(struct sock *sk, u32 cmd, u64 arg)
{
	s32 n = 0;

	switch (cmd) {
	case FIONREAD:
		spin_lock(&sk->lock);
		if (!list_empty(&sk->rxq))
			n = list_first(&sk->rxq, struct pkt, node)->len;
		spin_unlock(&sk->lock);
		return put_user(n, arg);
	case TIOCOUTQ:
		return put_user(n, arg);
	}
	return -ENOIOCTLCMD;
}

const struct proto_ops udp_ops = {
	.release = inet_release_datagram,
	.destroy = inet_destroy_datagram,
	.bind = inet_bind,
	.connect = inet_connect_datagram,
	.getname = inet_getname,
	.sendmsg = udp_sendmsg,
	.recvmsg = inet_recv_datagram,
	.shutdown = inet_shutdown_datagram,
	.setsockopt = inet_setsockopt,
	.getsockopt = inet_getsockopt,
	.poll = inet_poll_datagram,
	.ioctl = inet_ioctl_datagram,
};
