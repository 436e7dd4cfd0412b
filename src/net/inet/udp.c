/* UDP (udp(7)) over loopback. */
#include <asm/ioctls.h>
#include <linux/eventpoll.h>
#include <linux/in.h>
#include <linux/in6.h>

#include "base/string.h"
#include "net/ifconf.h"
#include "net/inet/inet.h"
#include "net/pkt.h"
#include "sentry/kernel/timer.h"

#define UDP_MAX_PAYLOAD 65507u

struct udp_dest {
	struct in_addr16 addr;
	u16 port;
	bool connected;
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
		d->connected = false;
		return inet_route(is, &d->addr);
	}
	if (!is->rport)
		return -EDESTADDRREQ;
	d->addr = is->raddr;
	d->port = is->rport;
	d->connected = true;
	return 0;
}

/* Full queues drop, as the network does. */
static void udp_deliver(struct inet_sock *to, struct pkt *p)
{
	struct sock *ts = &to->st.sk;

	if (ts->dead || ts->rx_bytes + p->len + PKT_OVERHEAD > ts->rcvbuf || ts->shutdown & RCV_SHUTDOWN) {
		pkt_free(p);
		return;
	}
	pkt_queue(ts, p);
}

/* ICMP port unreachable: reported on connected sockets, or to those who ask by IP_RECVERR. */
static void udp_unreachable(struct inet_sock *is, bool connected)
{
	if (!connected && !inet_opt(is, is->st.sk.family == AF_INET ? SOL_IP : SOL_IPV6,
				    is->st.sk.family == AF_INET ? IP_RECVERR : IPV6_RECVERR))
		return;
	atomic_store(&is->st.sk.err, ECONNREFUSED);
	sock_wake_all(&is->st.sk);
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
	to = inet_find_udp(is->st.sk.net, &src, is->lport, &d.addr, d.port);
	if (!to) {
		pkt_free(p);
		udp_unreachable(is, d.connected);
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

static void put_stamp(struct sock *sk, struct msg *m, u64 ns)
{
	s64 t[2] = { ns / NSEC_PER_SEC, ns % NSEC_PER_SEC };

	if (sk->rxtimestampns) {
		put_cmsg(m, SOL_SOCKET, SO_TIMESTAMPNS_OLD, t, sizeof(t));
	} else if (sk->rxtimestamp) {
		t[1] /= 1000;
		put_cmsg(m, SOL_SOCKET, SO_TIMESTAMP_OLD, t, sizeof(t));
	}
}

static void put_v4_cmsgs(struct inet_sock *is, struct msg *m, const struct pkt *p)
{
	s32 ttl = 64;
	u8 tos = 0;

	if (inet_opt(is, SOL_IP, IP_PKTINFO)) {
		struct pktinfo4 info = { .ifindex = LO_INDEX };

		memcpy(info.spec_dst, p->dst + 12, 4);
		memcpy(info.addr, p->dst + 12, 4);
		put_cmsg(m, SOL_IP, IP_PKTINFO, &info, sizeof(info));
	}
	if (inet_opt(is, SOL_IP, IP_RECVTTL))
		put_cmsg(m, SOL_IP, IP_TTL, &ttl, sizeof(ttl));
	if (inet_opt(is, SOL_IP, IP_RECVTOS))
		put_cmsg(m, SOL_IP, IP_TOS, &tos, sizeof(tos));
}

static void put_v6_cmsgs(struct inet_sock *is, struct msg *m, const struct pkt *p)
{
	s32 hops = 64, tclass = 0;

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

static long udp_recvmsg(struct sock *sk, struct msg *m)
{
	struct inet_sock *is = to_inet(sk);
	struct pkt *p;
	long ret;

	if (m->flags & MSG_ERRQUEUE)
		return -EAGAIN;
	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
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

static int udp_connect(struct sock *sk, const struct sockaddr_k *addr, u32 len, bool nonblock)
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

static void udp_release(struct sock *sk)
{
	spin_lock(&sk->lock);
	sk->dead = true;
	sk->file = NULL;
	spin_unlock(&sk->lock);
	inet_unbind(to_inet(sk));
	pkt_purge(sk);
}

static void udp_destroy(struct sock *sk)
{
	pkt_purge(sk);
}

static int udp_shutdown(struct sock *sk, s32 how)
{
	spin_lock(&sk->lock);
	sk->shutdown |= how + 1;
	spin_unlock(&sk->lock);
	sock_wake_all(sk);
	return sk->state == SS_CONNECTED ? 0 : -ENOTCONN;
}

static u32 udp_poll(struct file *f, struct sock *sk, struct poll_table *pt)
{
	u32 mask = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND, shutdown = READ_ONCE(sk->shutdown);

	if (sk->err)
		mask |= EPOLLERR;
	if (shutdown & RCV_SHUTDOWN)
		mask |= EPOLLRDHUP | EPOLLIN | EPOLLRDNORM;
	if (shutdown == SHUTDOWN_MASK)
		mask |= EPOLLHUP;
	if (READ_ONCE(sk->nrx))
		mask |= EPOLLIN | EPOLLRDNORM;
	return mask;
}

static long udp_ioctl(struct sock *sk, u32 cmd, u64 arg)
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
	.release = udp_release,
	.destroy = udp_destroy,
	.bind = inet_bind,
	.connect = udp_connect,
	.getname = inet_getname,
	.sendmsg = udp_sendmsg,
	.recvmsg = udp_recvmsg,
	.shutdown = udp_shutdown,
	.setsockopt = inet_setsockopt,
	.getsockopt = inet_getsockopt,
	.poll = udp_poll,
	.ioctl = udp_ioctl,
};
