/* Packets over the loopback link: see ip.h. */
#include "net/inet/ip.h"

#include "base/string.h"
#include "net/net_ns.h"

static struct mutex taps_mutex;
static _Atomic u32 ntaps, next_id;

void ip_init(void) { mutex_init(&taps_mutex); }
void taps_lock(void) { mutex_lock(&taps_mutex); }
void taps_unlock(void) { mutex_unlock(&taps_mutex); }
void taps_changed(s32 by) { atomic_fetch_add(&ntaps, (u32)by); }
bool lo_watched(void) { return atomic_load_explicit(&ntaps, memory_order_relaxed); }
u16 ip_next_id(void) { return (u16)atomic_fetch_add(&next_id, 1); }

/* ---- checksums (RFC 1071) ---- */

static u32 sum_up(u32 sum, const u8 *p, u32 len)
{
	for (; len > 1; p += 2, len -= 2)
		sum += get16(p);
	if (len)
		sum += (u32)p[0] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

u16 ip_checksum(const u8 *p, u32 len)
{
	return (u16)~sum_up(0, p, len);
}

u16 ip_payload_checksum(const struct ip_view *v)
{
	u32 at = v->v4 ? 12 : 0, n = v->v4 ? 4 : 16, sum = sum_up(0, v->src.b + at, n);

	sum = sum_up(sum + v->proto + (v->len >> 16) + (v->len & 0xffff), v->dst.b + at, n);
	return (u16)~sum_up(sum, v->payload, v->len);
}

/* ---- headers ---- */

static void mapped(struct in_addr16 *a, const u8 *v4)
{
	memset(a->b, 0, 10);
	a->b[10] = a->b[11] = 0xff;
	memcpy(a->b + 12, v4, 4);
}

static bool parse4(const u8 *d, u32 len, struct ip_view *v, bool quoted)
{
	u32 head, total;

	if (len < IP4_HEAD)
		return false;
	head = (d[0] & 15u) * 4;
	total = get16(d + 2);
	if (head < IP4_HEAD || total < head || len < head || (!quoted && (len < total || ip_checksum(d, head) || get16(d + 6) & 0x3fff)))
		return false;
	*v = (struct ip_view){ .v4 = true, .proto = d[9], .ttl = d[8], .tos = d[1], .head = d, .payload = d + head, .len = MIN(len, total) - head };
	mapped(&v->src, d + 12);
	mapped(&v->dst, d + 16);
	return true;
}

static bool parse6(const u8 *d, u32 len, struct ip_view *v, bool quoted)
{
	u32 payload;

	if (len < IP6_HEAD)
		return false;
	payload = get16(d + 4);
	if (!quoted && payload > len - IP6_HEAD)
		return false;
	*v = (struct ip_view){ .proto = d[6], .ttl = d[7], .tos = (u8)(d[0] << 4 | d[1] >> 4), .head = d, .payload = d + IP6_HEAD,
			       .len = MIN(payload, len - IP6_HEAD) };
	memcpy(v->src.b, d + 8, 16);
	memcpy(v->dst.b, d + 24, 16);
	return !addr_is_v4(&v->src) && !addr_is_v4(&v->dst);
}

static bool parse(const u8 *d, u32 len, struct ip_view *v, bool quoted)
{
	if (!len)
		return false;
	return d[0] >> 4 == 4 ? parse4(d, len, v, quoted) : d[0] >> 4 == 6 && parse6(d, len, v, quoted);
}

bool ip_parse(const u8 *data, u32 len, struct ip_view *v) { return parse(data, len, v, false); }
bool ip_parse_quoted(const u8 *data, u32 len, struct ip_view *v) { return parse(data, len, v, true); }

void ip_head_checksum(struct pkt *p)
{
	put16(p->data + 10, 0);
	put16(p->data + 10, ip_checksum(p->data, (p->data[0] & 15u) * 4));
}

struct pkt *ip_new(const struct in_addr16 *src, const struct in_addr16 *dst, u8 proto, u8 ttl, u8 tos, u32 len)
{
	bool v4 = addr_is_v4(dst);
	struct pkt *p = pkt_alloc((v4 ? IP4_HEAD : IP6_HEAD) + len);
	u8 *d = p ? p->data : NULL;

	if (!d)
		return NULL;
	if (!v4) {
		memset(d, 0, IP6_HEAD);
		d[0] = 0x60 | tos >> 4;
		d[1] = (u8)(tos << 4);
		put16(d + 4, (u16)len);
		d[6] = proto;
		d[7] = ttl;
		memcpy(d + 8, src, 16);
		memcpy(d + 24, dst, 16);
		return p;
	}
	memset(d, 0, IP4_HEAD);
	d[0] = 0x45;
	d[1] = tos;
	put16(d + 2, (u16)(IP4_HEAD + len));
	put16(d + 4, ip_next_id());
	d[6] = 0x40; /* not to be divided */
	d[8] = ttl;
	d[9] = proto;
	memcpy(d + 12, src->b + 12, 4);
	memcpy(d + 16, dst->b + 12, 4);
	ip_head_checksum(p);
	return p;
}

/* ---- the link ---- */

void lo_seen(struct net_ns *net, const struct pkt *p)
{
	struct ip_view v;

	taps_lock();
	packet_seen(net, p, NULL);
	if (ip_parse(p->data, p->len, &v))
		raw_receive(net, &v);
	taps_unlock();
}

static void receive(struct net_ns *net, struct pkt *p, const struct sock *from, struct list_head *answers)
{
	struct pkt *answer = NULL;
	struct ip_view v;
	bool taken = false;
	bool ours = ip_parse(p->data, p->len, &v) && (addr_is_loopback(&v.dst) || (v.proto == IPPROTO_UDP_K && addr_is_many(&v.dst)));

	if (lo_watched()) {
		taps_lock();
		packet_seen(net, p, from);
		taken = ours && raw_receive(net, &v);
		taps_unlock();
	}
	if (!ours)
		return;
	if (v.proto == (v.v4 ? IPPROTO_ICMP_K : IPPROTO_ICMPV6_K))
		icmp_receive(net, &v, answers);
	else if (v.proto == IPPROTO_UDP_K)
		answer = udp_receive(net, &v) ? NULL : icmp_unreachable(&v, UNREACH_PORT);
	else if (!taken && v.proto != IPPROTO_TCP_K)
		answer = icmp_unreachable(&v, UNREACH_PROTOCOL);
	if (answer)
		list_add_tail(&answer->node, answers);
}

void lo_send(struct net_ns *net, struct pkt *p, const struct sock *from)
{
	LIST_HEAD(queue);

	while (p) { /* answers follow; there are none to an answer */
		receive(net, p, from, &queue);
		pkt_free(p);
		from = NULL;
		p = list_empty(&queue) ? NULL : list_first(&queue, struct pkt, node);
		if (p)
			list_del(&p->node);
	}
}
