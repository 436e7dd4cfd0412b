/* AF_PACKET (packet(7)) on the loopback link: frames as they are sent and received. Rings in memory are refused. */
#include <asm/ioctls.h>
#include <linux/eventpoll.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include "base/string.h"
#include "net/filter.h"
#include "net/hostinet/hostinet.h"
#include "net/ifconf.h"
#include "net/inet/ip.h"
#include "net/net_ns.h"
#include "net/show.h"
#include "sentry/kernel/bpf.h"

#define SOL_PACKET_K 263
#define MEMBERSHIPS_MAX 20u /* igmp_max_memberships */
#define RECV_FLAGS (MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_ERRQUEUE | MSG_CMSG_CLOEXEC | MSG_NOSIGNAL)

struct membership {
	s32 ifindex;
	u16 type, alen;
	u8 addr[8];
};
struct packet_sock {
	struct sock sk; /* first */
	struct list_head node; /* the taps' mutex, as for what follows */
	u16 proto; /* 0: nothing arrives */
	u32 ifindex; /* 0: any */
	u32 seen, drops; /* since they were asked for */
	bool auxdata, origdev, ignore_outgoing;
	struct membership groups[MEMBERSHIPS_MAX];
	u32 ngroups;
	struct mutex rxlock;
};
static LIST_HEAD(packet_socks);

static struct packet_sock *to_packet(struct sock *sk) { return (struct packet_sock *)sk; }

/* ---- frames ---- */

struct frame {
	u8 mac[ETH_HLEN];
	const u8 *payload;
	u32 len;
	u16 proto;
	u8 type; /* PACKET_HOST and its like */
	const struct sock *from;
};

static void take(struct packet_sock *ps, const struct frame *f)
{
	struct sock *sk = &ps->sk;
	u32 head = sk->type == SOCK_RAW ? ETH_HLEN : 0, n;
	struct pkt *p = pkt_alloc(ETH_HLEN + f->len);
	struct bpf_packet view;

	if (!p)
		return;
	memcpy(p->data, f->mac, ETH_HLEN);
	memcpy(p->data + ETH_HLEN, f->payload, f->len);
	view = (struct bpf_packet){ .data = p->data + ETH_HLEN - head, .end = p->data + ETH_HLEN + f->len, .mac = p->data,
				    .net = p->data + ETH_HLEN, .len = head + f->len, .protocol = f->proto, .type = f->type, .ifindex = LO_INDEX };
	n = sock_filter(sk, &view);
	if (!n) {
		pkt_free(p);
		return;
	}
	ps->seen++;
	if (sk->rx_bytes + n + PKT_OVERHEAD > sk->rcvbuf) {
		ps->drops++;
		pkt_free(p);
		return;
	}
	if (!head)
		memmove(p->data, p->data + ETH_HLEN, f->len);
	p->len = n;
	p->ee.data = view.len;
	p->dport = f->proto;
	p->group = f->type;
	pkt_queue(sk, p);
}

static void show(struct net_ns *net, const struct frame *f)
{
	struct packet_sock *ps;

	list_for_each(ps, &packet_socks, node) {
		if (ps->sk.net != net || (ps->proto != ETH_P_ALL && (ps->proto != f->proto || f->type == PACKET_OUTGOING)))
			continue;
		if (f->type == PACKET_OUTGOING && (ps->ignore_outgoing || f->from == &ps->sk))
			continue;
		take(ps, f);
	}
}

/* On a loopback each frame is seen going and coming. */
static void show_both(struct net_ns *net, struct frame *f, u8 coming)
{
	f->type = PACKET_OUTGOING;
	show(net, f);
	f->type = coming;
	show(net, f);
}

void packet_seen(struct net_ns *net, const struct pkt *p, const struct sock *from)
{
	struct frame f = { .payload = p->data, .len = p->len, .proto = p->data[0] >> 4 == 6 ? ETH_P_IPV6 : ETH_P_IP, .from = from };

	put16(f.mac + 12, f.proto);
	show_both(net, &f, PACKET_HOST);
}

/* ---- sending ---- */

static u8 type_of(const u8 *dst)
{
	static const u8 ours[ETH_ALEN];

	return !memcmp(dst, ours, ETH_ALEN) ? PACKET_HOST : dst[0] & 1 ? PACKET_MULTICAST : PACKET_OTHERHOST;
}

/*
 * A frame is sent; what is for us is received, but IPv4: packets for 127.0.0.0/8 that did not come by a route are thrown away (ip-sysctl.rst,
 * route_localnet), and there are no other addresses. Consumes the packet, whose first bytes are the header of the link.
 */
static void transmit(struct sock *sk, struct pkt *p)
{
	struct frame f = { .payload = p->data + ETH_HLEN, .len = p->len - ETH_HLEN, .proto = get16(p->data + 12), .from = sk };

	memcpy(f.mac, p->data, ETH_HLEN);
	if (f.proto == ETH_P_IPV6 && type_of(p->data) == PACKET_HOST && f.len && p->data[ETH_HLEN] >> 4 == 6) {
		memmove(p->data, p->data + ETH_HLEN, f.len);
		p->len = f.len;
		lo_send(sk->net, p, sk);
		return;
	}
	taps_lock();
	show_both(sk->net, &f, type_of(p->data));
	taps_unlock();
	pkt_free(p);
}

/* By which link, and as what protocol. */
static int destination(struct packet_sock *ps, const struct msg *m, u8 *dst, u16 *proto)
{
	const struct sockaddr_ll *to = (const void *)m->name;
	u32 ifindex = ps->ifindex;

	memset(dst, 0, ETH_ALEN);
	*proto = ps->proto;
	if (to && m->namelen) {
		if (m->namelen < sizeof(*to))
			return -EINVAL; /* the family is not looked at */
		ifindex = (u32)to->sll_ifindex;
		*proto = __builtin_bswap16(to->sll_protocol);
		if (ps->sk.type == SOCK_DGRAM)
			memcpy(dst, to->sll_addr, ETH_ALEN);
	}
	if (ifindex != LO_INDEX)
		return -ENXIO;
	return ps->sk.net->lo_up ? 0 : -ENETDOWN;
}

static long packet_sendmsg(struct sock *sk, struct msg *m)
{
	u32 head = sk->type == SOCK_DGRAM ? ETH_HLEN : 0;
	size_t n = m->it.count;
	u8 dst[ETH_ALEN];
	struct pkt *p;
	u16 proto;
	int err = destination(to_packet(sk), m, dst, &proto);

	if (err)
		return err;
	if (n > LO_MTU + ETH_HLEN - head)
		return -EMSGSIZE;
	if (n + head < ETH_HLEN)
		return -EINVAL;
	p = pkt_alloc(head + n);
	if (!p)
		return -ENOBUFS;
	if (copy_from_iter(p->data + head, n, &m->it) < n) {
		pkt_free(p);
		return -EFAULT;
	}
	if (head) {
		memset(p->data, 0, ETH_HLEN);
		memcpy(p->data, dst, ETH_ALEN);
		put16(p->data + 12, proto);
	}
	transmit(sk, p);
	return (long)n;
}

/* ---- receiving ---- */

static void put_auxdata(const struct packet_sock *ps, struct msg *m, const struct pkt *p)
{
	struct tpacket_auxdata aux = { .tp_status = TP_STATUS_USER, .tp_len = p->ee.data, .tp_snaplen = p->len,
				       .tp_net = ps->sk.type == SOCK_RAW ? ETH_HLEN : 0 };

	put_cmsg(m, SOL_PACKET_K, PACKET_AUXDATA, &aux, sizeof(aux));
}

static u32 link_name(u16 proto, u32 ifindex, u8 type, struct sockaddr_k *name)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = __builtin_bswap16(proto), .sll_ifindex = (s32)ifindex, .sll_pkttype = type };

	if (ifindex) {
		ll.sll_hatype = LO_HATYPE;
		ll.sll_halen = ETH_ALEN;
	}
	memcpy(name, &ll, sizeof(ll));
	return offsetof(struct sockaddr_ll, sll_addr) + ll.sll_halen;
}

static long packet_recvmsg(struct sock *sk, struct msg *m)
{
	struct packet_sock *ps = to_packet(sk);
	struct pkt *p;
	long ret;

	if (m->flags & ~RECV_FLAGS)
		return -EINVAL;
	if (m->flags & MSG_ERRQUEUE)
		return -EAGAIN;
	mutex_lock(&ps->rxlock);
	p = pkt_wait(sk, m, &ps->rxlock);
	if (IS_ERR_OR_NULL(p)) {
		mutex_unlock(&ps->rxlock);
		return PTR_ERR(p);
	}
	ret = pkt_copy(p, m);
	if (ret >= 0) {
		if (m->name) {
			link_name(p->dport, LO_INDEX, (u8)p->group, m->name);
			m->namelen = sizeof(struct sockaddr_ll);
		}
		put_stamp(sk, m, p->stamp_ns);
		if (ps->auxdata)
			put_auxdata(ps, m, p);
	}
	if (!(m->flags & MSG_PEEK))
		pkt_free(pkt_unlink(sk, p));
	mutex_unlock(&ps->rxlock);
	return ret;
}

static u32 packet_poll(struct file *f, struct sock *sk, struct poll_table *pt)
{
	u32 mask = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;

	return READ_ONCE(sk->nrx) ? mask | EPOLLIN | EPOLLRDNORM : mask;
}

static long packet_ioctl(struct sock *sk, u32 cmd, u64 arg)
{
	s32 n = 0;

	if (cmd != FIONREAD && cmd != TIOCOUTQ)
		return -ENOIOCTLCMD;
	spin_lock(&sk->lock);
	if (cmd == FIONREAD && !list_empty(&sk->rxq))
		n = (s32)list_first(&sk->rxq, struct pkt, node)->len;
	spin_unlock(&sk->lock);
	return put_user(n, arg);
}

/* ---- names ---- */

static int packet_bind(struct sock *sk, const struct sockaddr_k *addr, u32 len)
{
	const struct sockaddr_ll *ll = (const void *)addr;
	struct packet_sock *ps = to_packet(sk);

	if (len < sizeof(*ll) || ll->sll_family != AF_PACKET)
		return -EINVAL;
	if (ll->sll_ifindex && ll->sll_ifindex != LO_INDEX)
		return -ENODEV;
	taps_lock();
	ps->ifindex = (u32)ll->sll_ifindex;
	if (ll->sll_protocol)
		ps->proto = __builtin_bswap16(ll->sll_protocol);
	taps_unlock();
	return 0;
}

static int packet_getname(struct sock *sk, struct sockaddr_k *addr, u32 *len, bool peer)
{
	struct packet_sock *ps = to_packet(sk);

	if (peer)
		return -EOPNOTSUPP;
	*len = link_name(ps->proto, ps->ifindex, 0, addr);
	return 0;
}

/* ---- options ---- */

static int change_membership(struct packet_sock *ps, bool add, const void *val, u32 len)
{
	struct membership m;
	u32 i = 0;

	if (len < sizeof(m))
		return -EINVAL;
	memcpy(&m, val, sizeof(m));
	if (m.alen > sizeof(m.addr))
		return -EINVAL;
	if (add && m.ifindex != LO_INDEX)
		return -ENODEV;
	if (add && m.alen > ETH_ALEN)
		return -EINVAL;
	while (i < ps->ngroups && memcmp(&ps->groups[i], &m, offsetof(struct membership, addr) + m.alen))
		i++;
	if (!add) {
		if (i < ps->ngroups) /* of what is not there Linux says nothing */
			ps->groups[i] = ps->groups[--ps->ngroups];
		return 0;
	}
	if (ps->ngroups == MEMBERSHIPS_MAX)
		return -ENOBUFS;
	ps->groups[ps->ngroups++] = m; /* on a loopback everything is heard anyhow */
	return 0;
}

static bool *flag_of(struct packet_sock *ps, s32 opt)
{
	return opt == PACKET_AUXDATA ? &ps->auxdata : opt == PACKET_ORIGDEV ? &ps->origdev : opt == PACKET_IGNORE_OUTGOING ? &ps->ignore_outgoing : NULL;
}

static int packet_setsockopt(struct sock *sk, s32 level, s32 opt, const void *val, u32 len)
{
	struct packet_sock *ps = to_packet(sk);
	bool *flag = flag_of(ps, opt);
	s32 v;
	int err;

	if (level != SOL_PACKET_K)
		return -ENOPROTOOPT;
	if (opt == PACKET_ADD_MEMBERSHIP || opt == PACKET_DROP_MEMBERSHIP) {
		taps_lock();
		err = change_membership(ps, opt == PACKET_ADD_MEMBERSHIP, val, len);
		taps_unlock();
		return err;
	}
	if (!flag)
		return -ENOPROTOOPT;
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	if (opt == PACKET_IGNORE_OUTGOING && (v < 0 || v > 1))
		return -EINVAL;
	*flag = v != 0;
	return 0;
}

static int packet_getsockopt(struct sock *sk, s32 level, s32 opt, void *val, u32 *len)
{
	struct packet_sock *ps = to_packet(sk);
	bool *flag = flag_of(ps, opt);
	struct tpacket_stats stats;

	if (level != SOL_PACKET_K || (!flag && opt != PACKET_STATISTICS))
		return -ENOPROTOOPT;
	if (flag)
		return opt_put_int(val, len, *flag);
	taps_lock();
	stats = (struct tpacket_stats){ .tp_packets = ps->seen, .tp_drops = ps->drops };
	ps->seen = ps->drops = 0;
	taps_unlock();
	*len = MIN(*len, sizeof(stats));
	memcpy(val, &stats, *len);
	return 0;
}

static void show_row(struct sock *sk, void *arg)
{
	const struct packet_sock *ps = to_packet(sk);

	seq_printf(arg, "0000000000000000 %-6d %-4d %04x   %-5d %1d %-6u %-6u %-6lu\n", (s32)refcount_read(&sk->ref), sk->type, ps->proto,
		   (s32)ps->ifindex, ps->proto != 0, (u32)sk->rx_bytes, sk->uid, sk->ino);
}

void packet_show(struct seq *s)
{
	seq_puts(s, "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n");
	sock_for_each(AF_PACKET, show_row, s);
}

/* ---- life ---- */

static void packet_release(struct sock *sk)
{
	taps_changed(-1);
	taps_lock();
	list_del(&to_packet(sk)->node);
	taps_unlock();
	pkt_purge(sk);
}

static const struct proto_ops packet_ops = {
	.release = packet_release,
	.destroy = pkt_purge,
	.bind = packet_bind,
	.getname = packet_getname,
	.sendmsg = packet_sendmsg,
	.recvmsg = packet_recvmsg,
	.setsockopt = packet_setsockopt,
	.getsockopt = packet_getsockopt,
	.poll = packet_poll,
	.ioctl = packet_ioctl,
};

/* The caller has CAP_NET_RAW: socket.c asks before it asks for the family. */
static struct sock *packet_create(u32 type, s32 protocol)
{
	struct packet_sock *ps;

	if (type != SOCK_RAW && type != SOCK_DGRAM)
		return ERR_PTR(-ESOCKTNOSUPPORT);
	if (host_inet_here())
		return ERR_PTR(-EPERM); /* the host's links are not for the sandbox to listen to */
	ps = kzalloc(sizeof(*ps));
	if (!ps)
		return ERR_PTR(-ENOMEM);
	sock_init(&ps->sk, &packet_ops, AF_PACKET, (u16)type, protocol);
	ps->proto = __builtin_bswap16((u16)protocol);
	mutex_init(&ps->rxlock);
	sock_enlist(&ps->sk);
	taps_lock();
	list_add_tail(&ps->node, &packet_socks);
	taps_unlock();
	taps_changed(1);
	return &ps->sk;
}

static const struct net_family packet_family = { AF_PACKET, packet_create };

void packet_init(void)
{
	net_register_family(&packet_family);
}
