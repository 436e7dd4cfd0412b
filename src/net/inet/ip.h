/*
 * Packets of the loopback link: what raw(7), packet(7) and icmp(7) sockets send and see, and errors. TCP and UDP go from socket to socket without
 * them; UDP's are made for those who look on, TCP's are not seen.
 */
#ifndef NET_INET_IP_H
#define NET_INET_IP_H

#include "net/inet/inet.h"
#include "net/pkt.h"

#define IP4_HEAD 20u
#define IP6_HEAD 40u
#define UDP_HEAD 8u
#define ICMP_HEAD 8u
#define IP_MAX 65535u
/* RFC 792, RFC 4443; <linux/icmp.h> would bring libc along. */
enum { ICMP_ECHOREPLY_K = 0, ICMP_DEST_UNREACH_K = 3, ICMP_ECHO_K = 8, ICMP_TIME_EXCEEDED_K = 11, ICMP_PARAMETERPROB_K = 12,
       ICMP_TIMESTAMP_K = 13, ICMP_PROT_UNREACH_K = 2, ICMP_PORT_UNREACH_K = 3 };
enum { ICMPV6_DEST_UNREACH_K = 1, ICMPV6_PKT_TOOBIG_K = 2, ICMPV6_TIME_EXCEED_K = 3, ICMPV6_PARAMPROB_K = 4, ICMPV6_ECHO_REQUEST_K = 128,
       ICMPV6_ECHO_REPLY_K = 129, ICMPV6_PORT_UNREACH_K = 4, ICMPV6_UNK_NEXTHDR_K = 1 };
enum { ICMP_FILTER_K = 1, ICMPV6_FILTER_K = 1 }; /* options: raw(7), RFC 3542 */

struct ip_view { /* a packet taken apart */
	bool v4;
	u8 proto, ttl, tos;
	struct in_addr16 src, dst;
	const u8 *head, *payload;
	u32 len; /* of the payload */
};

/* ip.c */
static inline u16 get16(const u8 *p) { return (u16)(p[0] << 8 | p[1]); }
static inline void put16(u8 *p, u16 v) { p[0] = (u8)(v >> 8), p[1] = (u8)v; }
u16 ip_checksum(const u8 *p, u32 len); /* to be stored with put16() */
/* That of a transport's payload with the pseudo-header; 0 when the checksum in it is right. */
u16 ip_payload_checksum(const struct ip_view *v);
/* Take it apart: header, lengths and, for IPv4, checksum. Fragments are refused. */
bool ip_parse(const u8 *data, u32 len, struct ip_view *v);
/* What an error quotes: as ip_parse(), of a packet that may be cut short. */
bool ip_parse_quoted(const u8 *data, u32 len, struct ip_view *v);
/* A packet with its header and `len` bytes for the payload at ip_payload(); NULL: no memory. */
struct pkt *ip_new(const struct in_addr16 *src, const struct in_addr16 *dst, u8 proto, u8 ttl, u8 tos, u32 len);
static inline u8 *ip_payload(struct pkt *p) { return p->data + (p->data[0] >> 4 == 4 ? (p->data[0] & 15u) * 4 : IP6_HEAD); }
void ip_head_checksum(struct pkt *p);
u16 ip_next_id(void);
/* Send over the loopback: seen by those who look on, received by who is meant. Consumes it. May sleep. `from` does not see it go. */
void lo_send(struct net_ns *net, struct pkt *p, const struct sock *from);
/* Is there one who looks on? Then lo_seen() shows a packet that takes another way. */
bool lo_watched(void);
void lo_seen(struct net_ns *net, const struct pkt *p);
/* The mutex that guards the lists of raw and packet sockets. */
void taps_lock(void);
void taps_unlock(void);
void taps_changed(s32 by); /* one more, or less */

/* icmp.c: what arrives, and answers to it, which are added to `answers`. */
void icmp_receive(struct net_ns *net, const struct ip_view *v, struct list_head *answers);
enum icmp_unreachable { UNREACH_PORT, UNREACH_PROTOCOL };
struct pkt *icmp_unreachable(const struct ip_view *about, enum icmp_unreachable what); /* NULL: none is due */
void icmp_set_checksum(struct pkt *p);
/* udp.c: a packet from a raw or packet socket. False: nobody has the port. */
bool udp_receive(struct net_ns *net, const struct ip_view *v);

struct inet_error;
/* raw.c; the taps' mutex is held for raw_receive(). Did anybody take it? */
bool raw_receive(struct net_ns *net, const struct ip_view *v);
void raw_error(struct net_ns *net, const struct ip_view *quoted, const struct inet_error *e);
/* ping.c */
void ping_receive(struct net_ns *net, const struct ip_view *v);
/* af_packet.c; the taps' mutex is held. */
void packet_seen(struct net_ns *net, const struct pkt *p, const struct sock *from);

/* inet_err.c: an error that came back for what a socket had sent. */
struct inet_error {
	s32 err;
	bool hard;
	u8 type, code; /* of ICMP */
	u32 info;
	bool v4;
	struct in_addr16 offender, dst; /* whom it was for */
	u16 dport;
	const u8 *payload; /* what of the message came back */
	u32 len;
};
/* Always: it is told to who did not ask for all errors, too. */
void inet_error(struct inet_sock *is, const struct inet_error *e, bool always);
long inet_recv_error(struct sock *sk, struct msg *m); /* MSG_ERRQUEUE */
void inet_purge_errors(struct inet_sock *is);

#endif
