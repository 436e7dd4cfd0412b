/* UDP (udp(7)) over loopback, and what all sockets of datagrams share. */
#include <asm/ioctls.h>
#include <linux/eventpoll.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>

#include "base/string.h"
#include "net/filter.h"
#include "net/ifconf.h"
#include "net/inet/inet_mc.h"
#include "net/inet/ip.h"
#include "sentry/kernel/bpf.h"
#include "sentry/kernel/timer.h"

#define UDP_MAX_PAYLOAD 65507u

struct way { /* of a message */
	struct in_addr16 dst, src;
	u16 port;
	u32 link;
	s32 ttl, tos; /* -1: as the socket has it */
};

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

static struct pkt *copy_of(const struct pkt *p)
{
	struct pkt *copy = pkt_alloc(p->len);

	if (!copy)
		return NULL;
	if (p->len)
		memcpy(copy->data, p->data, p->len);
	memcpy(copy->src, p->src, 16);
	memcpy(copy->dst, p->dst, 16);
	copy->sport = p->sport;
	copy->dport = p->dport;
	copy->ttl = p->ttl;
	copy->tos = p->tos;
	return copy;
}

/* To the socket whose port it is, or to all of them; false: nobody has it, and p is the caller's. */
static bool udp_hand_over(struct net_ns *net, struct pkt *p)
{
	struct inet_sock *to = NULL;
	struct pkt *copy;

	if (!addr_is_many((const void *)p->dst)) {
		to = inet_find_udp(net, (const void *)p->src, p->sport, (const void *)p->dst, p->dport);
		if (!to)
			return false;
		udp_deliver(to, p);
		sock_put(&to->st.sk);
		return true;
	}
	while ((to = inet_next_udp(net, to, p))) {
		copy = copy_of(p);
		if (copy)
			udp_deliver(to, copy);
	}
	pkt_free(p);
	return true;
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
	struct pkt *p;

	if (v->len < UDP_HEAD || get16(udp + 4) < UDP_HEAD || get16(udp + 4) > v->len)
		return true; /* nobody answers what is broken */
	whole.len = get16(udp + 4);
	if (get16(udp + 6) ? ip_payload_checksum(&whole) : !v->v4)
		return true;
	p = pkt_alloc(whole.len - UDP_HEAD);
	if (!p)
		return true;
	if (p->len)
		memcpy(p->data, udp + UDP_HEAD, p->len);
	memcpy(p->src, &v->src, 16);
	memcpy(p->dst, &v->dst, 16);
	p->sport = get16(udp);
	p->dport = get16(udp + 2);
	p->ttl = v->ttl;
	p->tos = v->tos;
	if (udp_hand_over(net, p))
		return true;
	pkt_free(p);
	return false;
}

static void show_packet(struct net_ns *net, const struct pkt *p)
{
	struct pkt *packet = udp_packet(p);

	if (packet) {
		lo_seen(net, packet);
		pkt_free(packet);
	}
}

struct pktinfo4 {
	s32 ifindex;
	u8 spec_dst[4], addr[4];
};
struct pktinfo6 {
	u8 addr[16];
	u32 ifindex;
};

/* An int between min and 255, as ancillary data. */
static int cmsg_number(const struct cmsghdr_k *c, s32 min, s32 *v)
{
	s32 n;

	if (c->len != sizeof(*c) + sizeof(n))
		return -EINVAL;
	memcpy(&n, c + 1, sizeof(n));
	if (n < min || n > 255)
		return -EINVAL;
	*v = n;
	return 0;
}

static int v4_control(const struct cmsghdr_k *c, struct way *w)
{
	struct pktinfo4 info;

	switch (c->type) {
	case IP_PKTINFO:
		if (c->len != sizeof(*c) + sizeof(info))
			return -EINVAL;
		memcpy(&info, c + 1, sizeof(info));
		if (info.ifindex)
			w->link = (u32)info.ifindex;
		w->src = addr_from_v4(info.spec_dst);
		return 0;
	case IP_TTL:
		return cmsg_number(c, 1, &w->ttl);
	case IP_TOS:
		if (c->len == sizeof(*c) + 1) {
			w->tos = *(const u8 *)(c + 1);
			return 0;
		}
		return cmsg_number(c, 0, &w->tos);
	}
	return -EINVAL;
}

static int v6_control(const struct cmsghdr_k *c, struct way *w)
{
	struct pktinfo6 info;
	s32 v = 0;
	int err;

	switch (c->type) {
	case IPV6_PKTINFO:
		if (c->len < sizeof(*c) + sizeof(info))
			return -EINVAL;
		memcpy(&info, c + 1, sizeof(info));
		if (info.ifindex > LO_INDEX)
			return -ENODEV;
		if (info.ifindex)
			w->link = info.ifindex;
		memcpy(w->src.b, info.addr, 16);
		return addr_is_any(&w->src) || addr_is_loopback(&w->src) ? 0 : -EINVAL;
	case IPV6_HOPLIMIT:
		return cmsg_number(c, -1, &w->ttl);
	case IPV6_TCLASS:
		return cmsg_number(c, -1, &w->tos);
	case IPV6_DONTFRAG:
		err = cmsg_number(c, 0, &v);
		return err ? err : v > 1 ? -EINVAL : 0;
	}
	return -EINVAL;
}

/* What is said beside the message: ip(7), ipv6(7). Other levels say nothing to us. */
static int udp_control(const struct msg *m, bool v4, struct way *w)
{
	const struct cmsghdr_k *c;
	u64 off = 0;
	int err = 0;

	while (!err && (c = next_cmsg(m, &off, &err))) {
		if (c->level == SOL_UDP)
			err = -EINVAL; /* UDP_SEGMENT */
		else if (v4 && c->level == SOL_IP)
			err = v4_control(c, w);
		else if (!v4 && c->level == SOL_IPV6)
			err = v6_control(c, w);
	}
	return err;
}

/* What the socket says of packets to dst where the message said nothing. */
static void default_way(const struct inet_sock *is, struct way *w)
{
	bool v4 = addr_is_v4(&w->dst), many = addr_is_multicast(&w->dst);

	if (addr_is_any(&w->src))
		w->src = is->laddr;
	if (!w->link)
		w->link = is->st.sk.bound_link ?: many ? (v4 ? is->mc_link : is->mc6_link) : v4 ? is->uc_link : is->uc6_link;
	if (many && v4 && addr_is_any(&w->src))
		w->src = is->mc_src;
	if (w->ttl < 0)
		w->ttl = v4 ? inet_opt(is, SOL_IP, many ? IP_MULTICAST_TTL : IP_TTL) :
			      inet_opt(is, SOL_IPV6, many ? IPV6_MULTICAST_HOPS : IPV6_UNICAST_HOPS);
	if (w->tos < 0)
		w->tos = v4 ? inet_opt(is, SOL_IP, IP_TOS) : inet_opt(is, SOL_IPV6, IPV6_TCLASS);
}

/* Where it goes, the message's address or the peer, and how. */
static int find_way(struct inet_sock *is, struct msg *m, struct way *w)
{
	int err = 0;

	*w = (struct way){ .dst = is->raddr, .port = is->rport, .ttl = -1, .tos = -1 };
	if (m->name && m->namelen) {
		err = inet_parse(is, m->name, m->namelen, &w->dst, &w->port);
		if (!err && !w->port)
			err = -EINVAL;
	} else if (!is->rport) {
		err = -EDESTADDRREQ;
	}
	if (!err && m->ctl_len)
		err = udp_control(m, addr_is_v4(&w->dst), w);
	if (err)
		return err;
	if (!addr_is_any(&w->src) && !addr_is_loopback(&w->src))
		return -ENETUNREACH;
	default_way(is, w);
	return w->link > LO_INDEX ? -ENODEV : inet_route_over(is, &w->dst, &w->src, w->link);
}

static long udp_sendmsg(struct sock *sk, struct msg *m)
{
	struct inet_sock *is = to_inet(sk);
	size_t n = m->it.count;
	struct way w;
	struct pkt *p;
	int err;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (n > UDP_MAX_PAYLOAD)
		return -EMSGSIZE;
	err = find_way(is, m, &w);
	if (!err)
		err = sock_take_error(sk);
	if (!err && sk->shutdown & SEND_SHUTDOWN)
		return sock_epipe(m);
	if (!err && !is->lport)
		err = inet_autobind(is, NULL);
	if (err)
		return err;
	p = pkt_from_msg(m, n);
	if (IS_ERR(p))
		return PTR_ERR(p);
	memcpy(p->src, &w.src, 16);
	memcpy(p->dst, &w.dst, 16);
	p->sport = is->lport;
	p->dport = w.port;
	p->ttl = (u8)w.ttl;
	p->tos = (u8)w.tos;
	if (unlikely(lo_watched()))
		show_packet(sk->net, p);
	if (!udp_hand_over(sk->net, p)) {
		udp_unreachable(sk->net, p);
		pkt_free(p);
	}
	return n;
}

/* ---- receiving ---- */

/* The address and port that the packet was sent to. */
static void put_orig_dst(struct msg *m, s32 level, s32 type, u16 family, const struct pkt *p)
{
	struct sockaddr_in in = { .sin_family = family };
	struct sockaddr_in6 in6 = { .sin6_family = family };

	if (family == AF_INET) {
		put16((u8 *)&in.sin_port, p->dport);
		memcpy(&in.sin_addr, p->dst + 12, 4);
		put_cmsg(m, level, type, &in, sizeof(in));
		return;
	}
	put16((u8 *)&in6.sin6_port, p->dport);
	memcpy(&in6.sin6_addr, p->dst, 16);
	put_cmsg(m, level, type, &in6, sizeof(in6));
}

static void put_v4_cmsgs(struct inet_sock *is, struct msg *m, const struct pkt *p)
{
	s32 ttl = p->ttl;

	if (inet_opt(is, SOL_IP, IP_PKTINFO)) {
		struct pktinfo4 info = { .ifindex = LO_INDEX };

		memcpy(info.addr, p->dst + 12, 4);
		memcpy(info.spec_dst, (addr_is_many((const void *)p->dst) ? addr_loopback(true).b : p->dst) + 12, 4);
		put_cmsg(m, SOL_IP, IP_PKTINFO, &info, sizeof(info));
	}
	if (inet_opt(is, SOL_IP, IP_RECVTTL))
		put_cmsg(m, SOL_IP, IP_TTL, &ttl, sizeof(ttl));
	if (inet_opt(is, SOL_IP, IP_RECVTOS))
		put_cmsg(m, SOL_IP, IP_TOS, &p->tos, sizeof(p->tos));
	if (inet_opt(is, SOL_IP, IP_RECVORIGDSTADDR))
		put_orig_dst(m, SOL_IP, IP_ORIGDSTADDR, AF_INET, p);
}

static void put_v6_cmsgs(struct inet_sock *is, struct msg *m, const struct pkt *p)
{
	s32 hops = p->ttl, tclass = p->tos;

	struct pktinfo6 info = { .ifindex = LO_INDEX };

	memcpy(info.addr, p->dst, 16);
	if (inet_opt(is, SOL_IPV6, IPV6_RECVPKTINFO))
		put_cmsg(m, SOL_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	if (inet_opt(is, SOL_IPV6, IPV6_RECVHOPLIMIT))
		put_cmsg(m, SOL_IPV6, IPV6_HOPLIMIT, &hops, sizeof(hops));
	if (inet_opt(is, SOL_IPV6, IPV6_2292PKTINFO))
		put_cmsg(m, SOL_IPV6, IPV6_2292PKTINFO, &info, sizeof(info));
	if (inet_opt(is, SOL_IPV6, IPV6_2292HOPLIMIT))
		put_cmsg(m, SOL_IPV6, IPV6_2292HOPLIMIT, &hops, sizeof(hops));
	if (inet_opt(is, SOL_IPV6, IPV6_RECVTCLASS))
		put_cmsg(m, SOL_IPV6, IPV6_TCLASS, &tclass, sizeof(tclass));
	if (inet_opt(is, SOL_IPV6, IPV6_RECVORIGDSTADDR))
		put_orig_dst(m, SOL_IPV6, IPV6_ORIGDSTADDR, AF_INET6, p);
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
	struct way w = { .ttl = -1, .tos = -1 };
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
	err = inet_parse(is, addr, len, &w.dst, &w.port);
	if (err)
		return err;
	default_way(is, &w);
	err = inet_route_over(is, &w.dst, &w.src, w.link);
	if (!err)
		err = inet_autobind(is, &w.src);
	if (err)
		return err;
	spin_lock(&inet_lock);
	is->raddr = w.dst;
	is->rport = w.port;
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
	mc_leave_all(to_inet(sk));
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
		mask |= EPOLLERR | (sk->select_errors ? EPOLLPRI : 0);
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
