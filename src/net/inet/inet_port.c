/* Ports: who is bound to what, conflicts (SO_REUSEADDR, SO_REUSEPORT of socket(7)), ephemeral ports, lookup. */
#include <linux/capability.h>

#include "net/inet/inet.h"
#include "net/inet/inet_mc.h"
#include "net/net_ns.h"
#include "net/pkt.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"

#define PORT_BUCKETS 1024u

spinlock_t inet_lock = SPINLOCK_INIT;
enum { TABLE_TCP, TABLE_UDP, TABLE_PING, NTABLES };
static struct hlist_head ports[NTABLES][PORT_BUCKETS]; /* inet_lock */
static u32 next_port;				       /* inet_lock */

static bool is_udp(const struct inet_sock *is) { return is->st.sk.type == SOCK_DGRAM; }

/* The identifiers of echoes are ports too. */
static u32 table_of(const struct inet_sock *is)
{
	return !is_udp(is) ? TABLE_TCP : is->st.sk.protocol == IPPROTO_UDP_K ? TABLE_UDP : TABLE_PING;
}

static struct hlist_head *bucket(u32 table, u16 port)
{
	return &ports[table][port % PORT_BUCKETS];
}

/* Would a packet to `a` reach a socket with this local address? */
static bool covers(const struct inet_sock *is, const struct in_addr16 *a)
{
	if (!addr_is_any(&is->laddr))
		return addr_eq(&is->laddr, a);
	if (addr_is_v4(a))
		return addr_is_v4(&is->laddr) || !is->v6only;
	return !addr_is_v4(&is->laddr);
}

static bool may_share(const struct inet_sock *a, const struct inet_sock *b)
{
	const struct sock *x = &a->st.sk, *y = &b->st.sk;

	if (x->reuseport && y->reuseport && a->uid == b->uid)
		return true;
	if (!x->reuseaddr || !y->reuseaddr)
		return false;
	return is_udp(a) || (x->state != SS_LISTEN && y->state != SS_LISTEN);
}

/* Lock held; is->laddr is what is asked for. */
static bool conflicts(struct inet_sock *is, u16 port)
{
	struct inet_sock *o;

	hlist_for_each(o, bucket(table_of(is), port), port_node)
		if (o != is && o->lport == port && o->st.sk.net == is->st.sk.net &&
		    (covers(o, &is->laddr) || covers(is, &o->laddr)) && !may_share(is, o))
			return true;
	return false;
}

static void insert_locked(struct inet_sock *is, u16 port)
{
	is->lport = port;
	hlist_add(&is->port_node, bucket(table_of(is), port));
}

static int pick_port_locked(struct inet_sock *is)
{
	const u64 *range = is->st.sk.net->settings.port_range;
	u32 first = (u32)range[0], last = (u32)range[1], span = last >= first ? last - first + 1 : 0;

	if (!next_port)
		next_port = clock_mono_ns() >> 10;
	for (u32 i = 0; i < span; i++) {
		u16 port = (u16)(first + next_port++ % span);
		bool reuseaddr = is->st.sk.reuseaddr, taken;

		is->st.sk.reuseaddr = false; /* an unnamed port is never shared */
		taken = conflicts(is, port);
		is->st.sk.reuseaddr = reuseaddr;
		if (!taken) {
			insert_locked(is, port);
			return 0;
		}
	}
	return -EADDRINUSE;
}

static int bind_locked(struct inet_sock *is, const struct in_addr16 *a, u16 port)
{
	int err = 0;

	if (is->lport || is->st.sk.state != SS_UNCONNECTED)
		return -EINVAL;
	is->laddr = *a;
	is->uid = current->cred->euid;
	if (!port)
		err = pick_port_locked(is);
	else if (conflicts(is, port))
		err = -EADDRINUSE;
	else
		insert_locked(is, port);
	if (err)
		is->laddr = addr_any(is);
	else
		is->user_bound = true;
	return err;
}

int inet_bind(struct sock *sk, const struct sockaddr_k *addr, u32 len)
{
	struct inet_sock *is = to_inet(sk);
	struct sockaddr_k a4 = *addr;
	struct in_addr16 a;
	u16 port;
	int err;

	if (sk->family == AF_INET && addr->family == AF_UNSPEC)
		a4.family = AF_INET; /* accepted for the wildcard address, for old programs */
	err = inet_parse(is, &a4, len, &a, &port);
	if (!err && addr->family == AF_UNSPEC && !addr_is_any(&a))
		err = -EAFNOSUPPORT;
	if (!err && sk->family == AF_INET6 && addr->family != AF_INET6)
		err = -EAFNOSUPPORT;
	if (!err && addr_is_v4(&a) && is->v6only)
		err = -EINVAL;
	if (err)
		return err;
	if (!addr_is_any(&a) && !addr_is_loopback(&a) && !addr_is_multicast(&a) && !addr_is_broadcast(&a))
		return -EADDRNOTAVAIL;
	if (port && table_of(is) != TABLE_PING && port < sk->net->settings.port_start && !net_capable(sk->net, CAP_NET_BIND_SERVICE))
		return -EACCES;
	spin_lock(&inet_lock);
	err = bind_locked(is, &a, port);
	spin_unlock(&inet_lock);
	return err;
}

int inet_autobind(struct inet_sock *is, const struct in_addr16 *local)
{
	int err = 0;

	spin_lock(&inet_lock);
	if (local && addr_is_any(&is->laddr))
		is->laddr = *local;
	if (!is->lport) {
		is->uid = current->cred->euid;
		err = pick_port_locked(is);
		if (err == -EADDRINUSE)
			err = -EADDRNOTAVAIL;
	}
	spin_unlock(&inet_lock);
	return err;
}

void inet_unbind(struct inet_sock *is)
{
	spin_lock(&inet_lock);
	hlist_del(&is->port_node);
	is->lport = 0;
	spin_unlock(&inet_lock);
}

void inet_insert_child(struct inet_sock *child)
{
	spin_lock(&inet_lock);
	insert_locked(child, child->lport);
	spin_unlock(&inet_lock);
}

struct inet_sock *inet_find_listener(const struct net_ns *net, const struct in_addr16 *dst, u16 port)
{
	struct inet_sock *o, *best = NULL;
	int score = 0, n = 0;

	spin_lock(&inet_lock);
	hlist_for_each(o, bucket(TABLE_TCP, port), port_node) {
		int s = 1 + !addr_is_any(&o->laddr);

		if (o->lport != port || o->st.sk.net != net || o->st.sk.state != SS_LISTEN || !covers(o, dst))
			continue;
		/* Equal ones share by SO_REUSEPORT: one in turn, as seen from the clock. */
		n = s > score ? 1 : n + (s == score);
		if (s > score || (s == score && (clock_mono_ns() >> 4) % n == 0)) {
			best = o;
			score = s;
		}
	}
	if (best)
		sock_get(&best->st.sk);
	spin_unlock(&inet_lock);
	return best;
}

/* Connected sockets hear only their peer, and come first. */
static int udp_score(const struct inet_sock *o, const struct in_addr16 *src, u16 sport, const struct in_addr16 *dst)
{
	int s = 1 + !addr_is_any(&o->laddr);

	if (!covers(o, dst))
		return 0;
	if (o->rport) {
		if (o->rport != sport || !addr_eq(&o->raddr, src))
			return 0;
		s += 4;
	}
	return s;
}

struct inet_sock *inet_find_udp(const struct net_ns *net, const struct in_addr16 *src, u16 sport, const struct in_addr16 *dst, u16 port)
{
	struct inet_sock *o, *best = NULL;
	int score = 0, n = 0;

	spin_lock(&inet_lock);
	hlist_for_each(o, bucket(TABLE_UDP, port), port_node) {
		int s = o->lport == port && o->st.sk.net == net ? udp_score(o, src, sport, dst) : 0;

		if (!s)
			continue;
		n = s > score ? 1 : n + (s == score);
		/* A SO_REUSEPORT group keeps one sender with one member. */
		if (s > score || (s == score && o->st.sk.reuseport && sport % n == 0)) {
			best = o;
			score = s;
		}
	}
	if (best)
		sock_get(&best->st.sk);
	spin_unlock(&inet_lock);
	return best;
}

/* inet_lock held: as udp_score(), but to all that would take it. */
static bool takes(const struct inet_sock *o, const struct pkt *p)
{
	const struct in_addr16 *src = (const void *)p->src, *dst = (const void *)p->dst;

	return udp_score(o, src, p->sport, dst) && (!addr_is_multicast(dst) || mc_wanted(o, dst, src));
}

struct inet_sock *inet_next_udp(const struct net_ns *net, struct inet_sock *after, const struct pkt *p)
{
	const struct in_addr16 *dst = (const void *)p->dst;
	struct inet_sock *o, *next = NULL;
	bool behind = !after;

	spin_lock(&inet_lock);
	if (!addr_is_multicast(dst) || mc_on_link(net, dst)) {
		hlist_for_each(o, bucket(TABLE_UDP, p->dport), port_node) {
			if (behind && !next && o->lport == p->dport && o->st.sk.net == net && takes(o, p))
				next = o;
			behind |= o == after;
		}
	}
	if (next)
		sock_get(&next->st.sk);
	spin_unlock(&inet_lock);
	if (after)
		sock_put(&after->st.sk);
	return next;
}

struct inet_sock *inet_find_ping(const struct net_ns *net, const struct in_addr16 *src, const struct in_addr16 *dst, u16 ident)
{
	struct inet_sock *o, *found = NULL;

	spin_lock(&inet_lock);
	hlist_for_each(o, bucket(TABLE_PING, ident), port_node) {
		bool v4 = o->st.sk.family == AF_INET;

		if (found || o->lport != ident || o->st.sk.net != net || v4 != addr_is_v4(dst) || !covers(o, dst) ||
		    (o->st.sk.state == SS_CONNECTED && !addr_eq(&o->raddr, src)))
			continue;
		found = o;
		sock_get(&o->st.sk);
	}
	spin_unlock(&inet_lock);
	return found;
}

bool inet_can_listen(struct inet_sock *is)
{
	struct inet_sock *o;
	bool ok = true;

	spin_lock(&inet_lock);
	hlist_for_each(o, bucket(TABLE_TCP, is->lport), port_node)
		if (o != is && o->lport == is->lport && o->st.sk.net == is->st.sk.net && o->st.sk.state == SS_LISTEN &&
		    (covers(o, &is->laddr) || covers(is, &o->laddr)) &&
		    !(o->st.sk.reuseport && is->st.sk.reuseport && o->uid == is->uid))
			ok = false;
	spin_unlock(&inet_lock);
	return ok;
}

int inet_getname(struct sock *sk, struct sockaddr_k *addr, u32 *len, bool peer)
{
	struct inet_sock *is = to_inet(sk);

	if (peer && (!is->rport || is->was_reset || sk->state == SS_UNCONNECTED || sk->state == SS_CONNECTING || sk->state == SS_CLOSED))
		return -ENOTCONN;
	*len = peer ? inet_format(is, &is->raddr, is->rport, addr) : inet_format(is, &is->laddr, is->lport, addr);
	return 0;
}
