/* Raw sockets (raw(7), ipv6(7)) over loopback. */
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>

#include "base/string.h"
#include "net/filter.h"
#include "net/ifconf.h"
#include "net/inet/ip.h"
#include "sentry/kernel/bpf.h"

#define SOL_ICMPV6_K 58

static LIST_HEAD(raw_socks); /* the taps' mutex */

void raw_enlist(struct inet_sock *is)
{
	is->hdrincl = is->st.sk.protocol == IPPROTO_RAW_K;
	is->checksum_at = is->st.sk.protocol == IPPROTO_ICMPV6_K && is->st.sk.family == AF_INET6 ? 2 : -1;
	taps_lock();
	list_add_tail(&is->raw_node, &raw_socks);
	taps_unlock();
	taps_changed(1);
}

static void raw_release(struct sock *sk)
{
	taps_changed(-1);
	taps_lock();
	list_del(&to_inet(sk)->raw_node);
	taps_unlock();
	inet_release_datagram(sk);
}

/* ---- receiving ---- */

/* Is it the socket's: protocol and addresses; `here` is its own end. */
static bool concerns(const struct inet_sock *is, const struct net_ns *net, const struct ip_view *v, const struct in_addr16 *here,
		     const struct in_addr16 *there)
{
	return is->st.sk.net == net && v->v4 == (is->st.sk.family == AF_INET) && is->st.sk.protocol == v->proto &&
	       (addr_is_any(&is->laddr) || addr_eq(&is->laddr, here)) && (is->st.sk.state != SS_CONNECTED || addr_eq(&is->raddr, there));
}

static bool type_filtered(const struct inet_sock *is, const struct ip_view *v)
{
	u8 type = v->len ? v->payload[0] : 0;

	if (v->v4 && v->proto == IPPROTO_ICMP_K)
		return type < 32 && is->icmp_filter[0] >> type & 1;
	return !v->v4 && v->proto == IPPROTO_ICMPV6_K && is->icmp_filter[type / 32] >> type % 32 & 1;
}

/* IPv4 sockets get the header too (raw(7)), those of IPv6 do not. */
static void take(struct inet_sock *is, const struct ip_view *v)
{
	const u8 *from = v->v4 ? v->head : v->payload;
	struct sock *sk = &is->st.sk;
	struct bpf_packet view = { .data = from, .end = v->payload + v->len, .net = v->head, .len = (u32)(v->payload + v->len - from),
				   .protocol = v->v4 ? ETH_P_IP : ETH_P_IPV6, .ifindex = LO_INDEX };
	u32 n = sock_filter(sk, &view);
	struct pkt *p;

	if (!n || sk->rx_bytes + n + PKT_OVERHEAD > sk->rcvbuf || sk->shutdown & RCV_SHUTDOWN)
		return;
	p = pkt_alloc(n);
	if (!p)
		return;
	memcpy(p->data, from, n);
	memcpy(p->src, &v->src, 16);
	memcpy(p->dst, &v->dst, 16);
	p->ttl = v->ttl;
	p->tos = v->tos;
	pkt_queue(sk, p);
}

bool raw_receive(struct net_ns *net, const struct ip_view *v)
{
	struct inet_sock *is;
	bool taken = false;

	list_for_each(is, &raw_socks, raw_node) {
		if (!concerns(is, net, v, &v->dst, &v->src))
			continue;
		taken = true;
		if (!type_filtered(is, v))
			take(is, v);
	}
	return taken;
}

void raw_error(struct net_ns *net, const struct ip_view *q, const struct inet_error *e)
{
	struct inet_error mine = *e;
	struct inet_sock *is;

	if (!lo_watched())
		return;
	taps_lock();
	list_for_each(is, &raw_socks, raw_node) {
		if (!concerns(is, net, q, &q->src, &q->dst))
			continue;
		mine.payload = is->hdrincl ? q->head : q->payload;
		mine.len = (u32)(q->payload + q->len - mine.payload);
		inet_error(is, &mine, e->hard && is->st.sk.state == SS_CONNECTED);
	}
	taps_unlock();
}

/* ---- sending ---- */

static int destination(struct inet_sock *is, const struct msg *m, struct in_addr16 *dst, u8 *proto)
{
	u16 port = 0;
	int err;

	*proto = (u8)is->st.sk.protocol;
	if (!m->name || !m->namelen) {
		*dst = is->raddr;
		return is->st.sk.state == SS_CONNECTED ? 0 : -EDESTADDRREQ;
	}
	err = inet_parse(is, m->name, m->namelen, dst, &port);
	if (err)
		return err;
	if (is->st.sk.family == AF_INET6) {
		if (addr_is_v4(dst) || (port && port != *proto && *proto != IPPROTO_RAW_K) || port > 255)
			return -EINVAL;
		*proto = port ? (u8)port : *proto;
	}
	return inet_route(is, dst);
}

/* The program wrote the header; what it left open is filled in (raw(7), IP_HDRINCL). */
static struct pkt *with_header(struct inet_sock *is, struct msg *m, const struct in_addr16 *src, u32 n)
{
	u32 least = is->st.sk.family == AF_INET ? IP4_HEAD : IP6_HEAD, head;
	struct pkt *p;

	if (n < least)
		return ERR_PTR(-EINVAL);
	p = pkt_from_msg(m, n);
	if (IS_ERR(p) || is->st.sk.family != AF_INET)
		return p;
	head = (p->data[0] & 15u) * 4;
	if (head > n) {
		pkt_free(p);
		return ERR_PTR(-EINVAL);
	}
	if (head < IP4_HEAD)
		return p;
	if (!(p->data[12] | p->data[13] | p->data[14] | p->data[15]))
		memcpy(p->data + 12, src->b + 12, 4);
	put16(p->data + 2, (u16)n);
	if (!get16(p->data + 4))
		put16(p->data + 4, ip_next_id());
	ip_head_checksum(p);
	return p;
}

/* ipv6(7), IPV6_CHECKSUM. */
static int fill_checksum(const struct inet_sock *is, struct pkt *p)
{
	struct ip_view v;
	u8 *at;
	u16 sum;

	if (is->checksum_at < 0 || !ip_parse(p->data, p->len, &v))
		return 0;
	if (v.len < (u32)is->checksum_at + 2)
		return -EINVAL;
	at = ip_payload(p) + is->checksum_at;
	put16(at, 0);
	sum = ip_payload_checksum(&v);
	put16(at, sum || v.proto != IPPROTO_UDP_K ? sum : 0xffff);
	return 0;
}

static struct pkt *without_header(struct inet_sock *is, struct msg *m, const struct in_addr16 *src, const struct in_addr16 *dst, u8 proto, u32 n)
{
	bool v4 = is->st.sk.family == AF_INET;
	u8 ttl = (u8)(v4 ? inet_opt(is, SOL_IP, IP_TTL) : inet_opt(is, SOL_IPV6, IPV6_UNICAST_HOPS));
	u8 tos = (u8)(v4 ? inet_opt(is, SOL_IP, IP_TOS) : inet_opt(is, SOL_IPV6, IPV6_TCLASS));
	struct pkt *p;
	int err = -EFAULT;

	if (n > IP_MAX - (v4 ? IP4_HEAD : 0))
		return ERR_PTR(-EMSGSIZE);
	p = ip_new(src, dst, proto, ttl, tos, n);
	if (!p)
		return ERR_PTR(-ENOBUFS);
	if (copy_from_iter(ip_payload(p), n, &m->it) == n)
		err = fill_checksum(is, p);
	if (!err)
		return p;
	pkt_free(p);
	return ERR_PTR(err);
}

static long raw_sendmsg(struct sock *sk, struct msg *m)
{
	struct inet_sock *is = to_inet(sk);
	struct in_addr16 src, dst;
	size_t n = m->it.count;
	struct pkt *p;
	u8 proto;
	int err;

	if (n > IP_MAX)
		return -EMSGSIZE;
	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	err = destination(is, m, &dst, &proto);
	if (!err)
		err = sock_take_error(sk);
	if (err)
		return err;
	src = addr_is_any(&is->laddr) ? addr_loopback(sk->family == AF_INET) : is->laddr;
	p = is->hdrincl ? with_header(is, m, &src, (u32)n) : without_header(is, m, &src, &dst, proto, (u32)n);
	if (IS_ERR(p))
		return PTR_ERR(p);
	lo_send(sk->net, p, sk);
	return (long)n;
}

/* ---- names ---- */

static int raw_bind(struct sock *sk, const struct sockaddr_k *addr, u32 len)
{
	struct inet_sock *is = to_inet(sk);
	struct in_addr16 a;
	u16 port;
	int err;

	if (sk->state != SS_UNCONNECTED)
		return -EINVAL;
	err = inet_parse(is, addr, len, &a, &port);
	if (err)
		return -EINVAL;
	if (addr_is_v4(&a) != (sk->family == AF_INET) || (!addr_is_any(&a) && !addr_is_loopback(&a)))
		return -EADDRNOTAVAIL;
	spin_lock(&inet_lock);
	is->laddr = a;
	is->user_bound = !addr_is_any(&a);
	spin_unlock(&inet_lock);
	return 0;
}

static int raw_connect(struct sock *sk, const struct sockaddr_k *addr, u32 len, bool nonblock)
{
	struct inet_sock *is = to_inet(sk);
	struct in_addr16 dst = addr_any(is);
	u16 port = 0;
	bool leave = len >= sizeof(addr->family) && addr->family == AF_UNSPEC;
	int err = leave ? 0 : inet_parse(is, addr, len, &dst, &port);

	if (!err && !leave)
		err = addr_is_v4(&dst) == (sk->family == AF_INET) ? inet_route(is, &dst) : -EINVAL;
	if (err)
		return err;
	spin_lock(&inet_lock);
	is->raddr = dst;
	is->rport = port;
	if (leave && !is->user_bound)
		is->laddr = addr_any(is);
	else if (!leave && addr_is_any(&is->laddr))
		is->laddr = addr_loopback(sk->family == AF_INET);
	sk->state = leave ? SS_UNCONNECTED : SS_CONNECTED;
	spin_unlock(&inet_lock);
	return 0;
}

/* The protocol stands where others have a port. */
static int raw_getname(struct sock *sk, struct sockaddr_k *addr, u32 *len, bool peer)
{
	struct inet_sock *is = to_inet(sk);

	if (peer && (sk->state != SS_CONNECTED || !is->rport))
		return -ENOTCONN;
	*len = peer ? inet_format(is, &is->raddr, is->rport, addr) : inet_format(is, &is->laddr, (u16)sk->protocol, addr);
	return 0;
}

/* ---- options ---- */

/* The filter of types: how many bytes it has; 0: the socket has none. */
static u32 filter_size(const struct sock *sk, s32 level, s32 opt)
{
	if (level == SOL_RAW && opt == ICMP_FILTER_K && sk->family == AF_INET)
		return sk->protocol == IPPROTO_ICMP_K ? 4 : 0;
	return level == SOL_ICMPV6_K && opt == ICMPV6_FILTER_K && sk->family == AF_INET6 && sk->protocol == IPPROTO_ICMPV6_K ? 32 : 0;
}

static bool own_level(const struct sock *sk, s32 level)
{
	return level == SOL_RAW || (level == SOL_ICMPV6_K && sk->family == AF_INET6);
}

static bool is_checksum(const struct sock *sk, s32 level, s32 opt)
{
	return sk->family == AF_INET6 && (level == SOL_RAW || level == SOL_IPV6) && opt == IPV6_CHECKSUM;
}

static bool is_hdrincl(const struct sock *sk, s32 level, s32 opt)
{
	return sk->family == AF_INET ? level == SOL_IP && opt == IP_HDRINCL : level == SOL_IPV6 && opt == IPV6_HDRINCL;
}

static int raw_setsockopt(struct sock *sk, s32 level, s32 opt, const void *val, u32 len)
{
	struct inet_sock *is = to_inet(sk);
	u32 n = filter_size(sk, level, opt);
	s32 v = 0;

	if (n) {
		memcpy(is->icmp_filter, val, MIN(n, len));
		return 0;
	}
	if (own_level(sk, level) && opt == 1)
		return -EOPNOTSUPP;
	if (!is_checksum(sk, level, opt) && !is_hdrincl(sk, level, opt))
		return own_level(sk, level) ? -ENOPROTOOPT : inet_setsockopt(sk, level, opt, val, len);
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	if (is_hdrincl(sk, level, opt)) {
		is->hdrincl = v != 0;
		return 0;
	}
	if (sk->protocol == IPPROTO_ICMPV6_K || (v > 0 && v & 1)) /* RFC 3542, 3.1 */
		return -EINVAL;
	is->checksum_at = v < 0 ? -1 : v;
	return 0;
}

static int raw_getsockopt(struct sock *sk, s32 level, s32 opt, void *val, u32 *len)
{
	struct inet_sock *is = to_inet(sk);
	u32 n = filter_size(sk, level, opt);

	if (n) {
		*len = MIN(*len, n);
		memcpy(val, is->icmp_filter, *len);
		return 0;
	}
	if (is_checksum(sk, level, opt))
		return opt_put_int(val, len, is->checksum_at);
	if (is_hdrincl(sk, level, opt))
		return opt_put_int(val, len, is->hdrincl);
	if (own_level(sk, level))
		return opt == 1 ? -EOPNOTSUPP : -ENOPROTOOPT;
	return inet_getsockopt(sk, level, opt, val, len);
}

const struct proto_ops raw_ops = {
	.release = raw_release,
	.destroy = inet_destroy_datagram,
	.bind = raw_bind,
	.connect = raw_connect,
	.getname = raw_getname,
	.sendmsg = raw_sendmsg,
	.recvmsg = inet_recv_datagram,
	.shutdown = inet_shutdown_datagram,
	.setsockopt = raw_setsockopt,
	.getsockopt = raw_getsockopt,
	.poll = inet_poll_datagram,
	.ioctl = inet_ioctl_datagram,
};
