/* Datagrams queued at a socket. */
#ifndef NET_PKT_H
#define NET_PKT_H

#include "net/sock.h"

struct unix_addr;
struct sock_error { /* struct sock_extended_err: what is in a queue of errors */
	u32 err;
	u8 origin, type, code, pad;
	u32 info, data;
};
struct pkt {
	struct list_head node;
	u32 len;
	u32 size;     /* of the data allocation */
	u8 *data;
	struct sock *owner; /* charged sender, reference; or NULL */
	/* where it came from, by family */
	struct unix_addr *unix_from;
	u8 src[16], dst[16];
	u16 sport, dport;
	u8 ttl, tos;	 /* of the IP header */
	struct sock_error ee;
	u32 group; /* netlink multicast group; AF_PACKET: PACKET_HOST and its like */
	u64 stamp_ns; /* CLOCK_REALTIME of arrival */
	struct scm_fp *fp;
	struct ucred_k cred;
	bool has_cred;
};
/* A packet with the sender's bytes in it: ERR_PTR(-ENOMEM, -EFAULT). */
struct pkt *pkt_from_msg(struct msg *m, size_t n);
struct pkt *pkt_alloc(size_t n);
/* Charge it to the sender's wmem; given back, with a wake-up of writers, when the packet is freed. */
void pkt_charge(struct pkt *p, struct sock *owner);
void pkt_free(struct pkt *p);
/* Append and wake the receiver. */
void pkt_queue(struct sock *sk, struct pkt *p);
void pkt_queue_locked(struct sock *sk, struct pkt *p); /* sk->lock held, no wake-up */
/* The oldest packet: taken, or with peek left (then it may vanish: lock held by the caller's rx mutex). Waits as m says. */
struct pkt *pkt_wait(struct sock *sk, struct msg *m, struct mutex *rx);
struct pkt *pkt_unlink(struct sock *sk, struct pkt *p);
void pkt_purge(struct sock *sk);
/* Copy to the receiver with MSG_TRUNC semantics: the result of recv. */
long pkt_copy(struct pkt *p, struct msg *m);

#endif
