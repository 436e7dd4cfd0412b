/* icmp(7) and ICMPv6 (RFC 792, RFC 4443): echo is answered, errors are told to those whose packets they quote. */

#include "base/string.h"
#include "net/inet/ip.h"

#define QUOTE4 (576u - IP4_HEAD - ICMP_HEAD)
#define QUOTE6 (1280u - IP6_HEAD - ICMP_HEAD)

void icmp_set_checksum(struct pkt *p)
{
	struct ip_view v;
	u8 *icmp = ip_payload(p);

	put16(icmp + 2, 0);
	if (ip_parse(p->data, p->len, &v))
		put16(icmp + 2, v.v4 ? ip_checksum(v.payload, v.len) : ip_payload_checksum(&v));
}

static struct pkt *echo_reply(const struct ip_view *v)
{
	struct pkt *p = ip_new(&v->dst, &v->src, v->proto, 64, v->tos, v->len);

	if (!p)
		return NULL;
	memcpy(ip_payload(p), v->payload, v->len);
	ip_payload(p)[0] = v->v4 ? ICMP_ECHOREPLY_K : ICMPV6_ECHO_REPLY_K;
	icmp_set_checksum(p);
	return p;
}

/* No error tells of an error (RFC 1122, 3.2.2). */
static bool is_error(const struct ip_view *v)
{
	if (v->v4)
		return v->proto == IPPROTO_ICMP_K && (!v->len || (v->payload[0] != ICMP_ECHO_K && v->payload[0] != ICMP_ECHOREPLY_K &&
								  v->payload[0] < ICMP_TIMESTAMP_K));
	return v->proto == IPPROTO_ICMPV6_K && (!v->len || v->payload[0] < 128);
}

struct pkt *icmp_unreachable(const struct ip_view *about, enum icmp_unreachable what)
{
	u32 head = (u32)(about->payload - about->head), quote = MIN(head + about->len, about->v4 ? QUOTE4 : QUOTE6);
	struct pkt *p;
	u8 *icmp;

	if (is_error(about) || !addr_is_loopback(&about->src))
		return NULL;
	p = ip_new(&about->dst, &about->src, about->v4 ? IPPROTO_ICMP_K : IPPROTO_ICMPV6_K, 64, about->v4 ? 0xc0 : 0, ICMP_HEAD + quote);
	if (!p)
		return NULL;
	icmp = ip_payload(p);
	memset(icmp, 0, ICMP_HEAD);
	if (about->v4) {
		icmp[0] = ICMP_DEST_UNREACH_K;
		icmp[1] = what == UNREACH_PORT ? ICMP_PORT_UNREACH_K : ICMP_PROT_UNREACH_K;
	} else if (what == UNREACH_PORT) {
		icmp[0] = ICMPV6_DEST_UNREACH_K;
		icmp[1] = ICMPV6_PORT_UNREACH_K;
	} else {
		icmp[0] = ICMPV6_PARAMPROB_K;
		icmp[1] = ICMPV6_UNK_NEXTHDR_K;
		icmp[7] = 6; /* where the header says it */
	}
	memcpy(icmp + ICMP_HEAD, about->head, quote);
	icmp_set_checksum(p);
	return p;
}

/* ---- errors ---- */

struct meaning {
	u16 err;
	bool hard;
};

static struct meaning meaning4(u8 type, u8 code)
{
	static const struct meaning unreachable[] = {
		{ ENETUNREACH, false }, { EHOSTUNREACH, false }, { ENOPROTOOPT, true }, { ECONNREFUSED, true }, { EMSGSIZE, false },
		{ EOPNOTSUPP, false }, { ENETUNREACH, true }, { EHOSTDOWN, true }, { ENONET, true }, { ENETUNREACH, true },
		{ EHOSTUNREACH, true }, { ENETUNREACH, false }, { EHOSTUNREACH, false }, { EHOSTUNREACH, true }, { EHOSTUNREACH, true },
		{ EHOSTUNREACH, true },
	};

	switch (type) {
	case ICMP_DEST_UNREACH_K:
		return code < ARRAY_SIZE(unreachable) ? unreachable[code] : (struct meaning){ 0 };
	case ICMP_PARAMETERPROB_K:
		return (struct meaning){ EPROTO, true };
	case ICMP_TIME_EXCEEDED_K:
		return (struct meaning){ EHOSTUNREACH, false };
	}
	return (struct meaning){ 0 };
}

static struct meaning meaning6(u8 type, u8 code)
{
	static const struct meaning unreachable[] = { { ENETUNREACH, false }, { EACCES, true }, { EHOSTUNREACH, false }, { EHOSTUNREACH, false },
						      { ECONNREFUSED, true }, { EACCES, true }, { EACCES, true } };

	switch (type) {
	case ICMPV6_DEST_UNREACH_K:
		return code < ARRAY_SIZE(unreachable) ? unreachable[code] : (struct meaning){ EPROTO, false };
	case ICMPV6_PKT_TOOBIG_K:
		return (struct meaning){ EMSGSIZE, false };
	case ICMPV6_PARAMPROB_K:
		return (struct meaning){ EPROTO, true };
	case ICMPV6_TIME_EXCEED_K:
		return (struct meaning){ EHOSTUNREACH, false };
	}
	return (struct meaning){ 0 };
}

/* The socket that sent what is quoted: its own address and port come first there. */
static struct inet_sock *sender_of(const struct net_ns *net, const struct ip_view *q, u16 *dport)
{
	*dport = 0;
	if (q->proto == (q->v4 ? IPPROTO_ICMP_K : IPPROTO_ICMPV6_K))
		return q->payload[0] == (q->v4 ? ICMP_ECHO_K : ICMPV6_ECHO_REQUEST_K) ? inet_find_ping(net, &q->dst, &q->src, get16(q->payload + 4)) : NULL;
	if (q->proto != IPPROTO_UDP_K)
		return NULL;
	*dport = get16(q->payload + 2);
	return inet_find_udp(net, &q->dst, *dport, &q->src, get16(q->payload));
}

static void receive_error(struct net_ns *net, const struct ip_view *v)
{
	struct meaning m = v->v4 ? meaning4(v->payload[0], v->payload[1]) : meaning6(v->payload[0], v->payload[1]);
	struct inet_error e = { .err = m.err, .hard = m.hard, .type = v->payload[0], .code = v->payload[1], .v4 = v->v4, .offender = v->src };
	struct inet_sock *is;
	struct ip_view q;

	if (!m.err || !ip_parse_quoted(v->payload + ICMP_HEAD, v->len - ICMP_HEAD, &q) || q.v4 != v->v4 || q.len < UDP_HEAD)
		return;
	if (m.err == EMSGSIZE)
		e.info = v->v4 ? get16(v->payload + 6) : get16(v->payload + 6) | (u32)get16(v->payload + 4) << 16;
	e.dst = q.dst;
	raw_error(net, &q, &e);
	is = sender_of(net, &q, &e.dport);
	if (!is)
		return;
	e.payload = q.payload;
	e.len = q.len;
	if (q.proto == IPPROTO_UDP_K) {
		e.payload += UDP_HEAD;
		e.len -= UDP_HEAD;
	}
	inet_error(is, &e, m.hard && READ_ONCE(is->st.sk.state) == SS_CONNECTED);
	sock_put(&is->st.sk);
}

void icmp_receive(struct net_ns *net, const struct ip_view *v, struct list_head *answers)
{
	struct pkt *p;

	if (v->len < ICMP_HEAD || (v->v4 ? ip_checksum(v->payload, v->len) : ip_payload_checksum(v)))
		return;
	if (v->payload[0] == (v->v4 ? ICMP_ECHO_K : ICMPV6_ECHO_REQUEST_K)) {
		p = addr_is_loopback(&v->src) ? echo_reply(v) : NULL;
		if (p)
			list_add_tail(&p->node, answers);
	} else if (v->payload[0] == (v->v4 ? ICMP_ECHOREPLY_K : ICMPV6_ECHO_REPLY_K)) {
		ping_receive(net, v);
	} else if (is_error(v)) {
		receive_error(net, v);
	}
}
