/*
 * AF_INET and AF_INET6 inside the sandbox: TCP and UDP between its own programs over the loopback interface, as queues in
 * memory rather than packets. A TCP/IP stack stands behind the same proto_ops when there are other interfaces.
 *
 * Addresses are kept as 16 bytes, IPv4 ones in mapped form (::ffff:a.b.c.d), so that both families share one table.
 * Lock order: inet_lock (the port table) -> sk.lock of a listener -> sk.lock of an embryo or client.
 */
#ifndef NET_INET_H
#define NET_INET_H

#include "net/stream.h"

struct in_addr16 {
	u8 b[16];
};
struct pkt;
enum { IPPROTO_ICMP_K = 1, IPPROTO_TCP_K = 6, IPPROTO_UDP_K = 17, IPPROTO_ICMPV6_K = 58, IPPROTO_RAW_K = 255, IPPROTO_MAX_K = 263 };
#define INET_NOPTS 72 /* rows of inet_opt.c's table */

struct inet_sock {
	struct stream st; /* first: the sock; datagram sockets use only st.sk */
	/* inet_lock: */
	struct in_addr16 laddr, raddr;
	u16 lport, rport; /* host order; lport 0: unbound */
	bool user_bound;  /* the address was chosen by bind(2) */
	bool v6only;
	u32 uid; /* of the binder, for SO_REUSEPORT */
	struct hlist_node port_node;
	struct list_head groups; /* of inet_mc.c */
	/* The link that packets go over, and their source, when nothing else says so: IP_MULTICAST_IF, IPV6_MULTICAST_IF, IP_UNICAST_IF. */
	u32 mc_link, mc6_link, uc_link, uc6_link;
	struct in_addr16 mc_src;
	/* TCP, sk.lock */
	bool was_reset;	       /* the peer is gone, what it sent may still be read: the state is CLOSE */
	bool connect_reported; /* a non-blocking connect still has to say that it succeeded */
	struct list_head synq, syn_node; /* clients waiting for room in a listener's acceptq; references */
	struct inet_sock *listener;	 /* whose synq this client is on */
	bool has_oob;
	u8 oob;
	u64 oob_pos;
	struct mutex rxlock; /* datagrams: one receiver at a time */
	struct list_head errq; /* what came back, of struct pkt; sk.lock */
	u64 err_bytes;
	struct list_head raw_node; /* the taps' mutex */
	bool hdrincl;
	s32 checksum_at; /* IPV6_CHECKSUM; -1: none */
	u32 icmp_filter[8]; /* types that are kept away */
	s32 opts[INET_NOPTS];
	u16 user_mss; /* TCP_MAXSEG, or 0 */
	char congestion[16];
};
static inline struct inet_sock *to_inet(struct sock *sk) { return (struct inet_sock *)sk; }
static inline struct inet_sock *stream_to_inet(struct stream *s) { return (struct inet_sock *)s; }

extern spinlock_t inet_lock;
extern const struct proto_ops tcp_ops, udp_ops, raw_ops, ping_ops;

/* inet_addr.c */
bool addr_is_any(const struct in_addr16 *a);
bool addr_is_v4(const struct in_addr16 *a);
bool addr_is_loopback(const struct in_addr16 *a);
bool addr_is_multicast(const struct in_addr16 *a);
bool addr_is_broadcast(const struct in_addr16 *a);
bool addr_eq(const struct in_addr16 *a, const struct in_addr16 *b);
struct in_addr16 addr_from_v4(const void *v4); /* of four bytes */
struct in_addr16 addr_any(const struct inet_sock *is);
struct in_addr16 addr_loopback(bool v4);
/* Parse for the socket's family: 0, -EINVAL (too short), -EAFNOSUPPORT. */
int inet_parse(const struct inet_sock *is, const struct sockaddr_k *addr, u32 len, struct in_addr16 *a, u16 *port);
/* In the form of the socket's family; the length. */
u32 inet_format(const struct inet_sock *is, const struct in_addr16 *a, u16 port, struct sockaddr_k *addr);
/* What is sent there goes to all who listen. */
static inline bool addr_is_many(const struct in_addr16 *a) { return addr_is_multicast(a) || addr_is_broadcast(a); }
/*
 * The way to dst, which becomes loopback when it is any. link: the one it must go over, or 0. src: the source that is asked for, or any; then it
 * becomes the one that the route gives. -ENETUNREACH: what is not in the sandbox; -EACCES: a broadcast that SO_BROADCAST does not allow.
 */
int inet_route_over(const struct inet_sock *is, struct in_addr16 *dst, struct in_addr16 *src, u32 link);
/* The same for what is sent to one and says nothing of source and link. */
int inet_route(const struct inet_sock *is, struct in_addr16 *dst);

/* inet_port.c */
int inet_bind(struct sock *sk, const struct sockaddr_k *addr, u32 len);
int inet_autobind(struct inet_sock *is, const struct in_addr16 *local); /* local NULL: any */
void inet_unbind(struct inet_sock *is);
void inet_insert_child(struct inet_sock *child); /* an embryo shares its listener's port */
struct inet_sock *inet_find_listener(const struct net_ns *net, const struct in_addr16 *dst, u16 port); /* reference, or NULL */
struct inet_sock *inet_find_udp(const struct net_ns *net, const struct in_addr16 *src, u16 sport, const struct in_addr16 *dst, u16 port);
/* The next of those who get a multicast or broadcast packet, behind `after`, whose reference is dropped; NULL: no more. */
struct inet_sock *inet_next_udp(const struct net_ns *net, struct inet_sock *after, const struct pkt *p);
struct inet_sock *inet_find_ping(const struct net_ns *net, const struct in_addr16 *src, const struct in_addr16 *dst, u16 ident);
bool inet_can_listen(struct inet_sock *is); /* no other listener on the same name */
int inet_getname(struct sock *sk, struct sockaddr_k *addr, u32 *len, bool peer);

/* udp.c: what every kind of datagram does alike */
long inet_recv_datagram(struct sock *sk, struct msg *m);
int inet_connect_datagram(struct sock *sk, const struct sockaddr_k *addr, u32 len, bool nonblock);
int inet_shutdown_datagram(struct sock *sk, s32 how);
u32 inet_poll_datagram(struct file *f, struct sock *sk, struct poll_table *pt);
long inet_ioctl_datagram(struct sock *sk, u32 cmd, u64 arg);
void inet_release_datagram(struct sock *sk);
void inet_destroy_datagram(struct sock *sk);

/* raw.c */
void raw_enlist(struct inet_sock *is);
bool ping_allowed(void); /* net.ipv4.ping_group_range */
void ip_init(void);

/* inet_opt.c */
void inet_opt_index(void); /* once, at start */
void inet_opt_init(struct inet_sock *is);
int inet_setsockopt(struct sock *sk, s32 level, s32 opt, const void *val, u32 len);
int inet_getsockopt(struct sock *sk, s32 level, s32 opt, void *val, u32 *len);
s32 inet_opt(const struct inet_sock *is, s32 level, s32 opt);
int tcp_get_info(struct inet_sock *is, void *val, u32 *len);

struct inet_sock *inet_new(u16 family, u16 type, s32 protocol);

#endif
