/*
 * AF_UNIX (unix(7)).
 *
 * Stream data lies in the receiver's byte queue (stream.h); what travels with it (descriptors, credentials) lies beside it
 * as marks over ranges of stream positions. Datagrams and sequenced packets are packets in the receiver's queue.
 * Lock order: bindlock -> VFS locks; unix_gc_lock -> unix_table_lock -> sk.lock (a listener before its embryos).
 */
#ifndef NET_UNIX_H
#define NET_UNIX_H

#include "net/pkt.h"
#include "net/scm.h"
#include "net/stream.h"

#define UNIX_PATH_OFF 2u /* offsetof(struct sockaddr_un, sun_path) */
#define UNIX_ADDR_MAX 110u
#define UNIX_MAX_DGRAM_QLEN 10u

struct unix_addr {
	refcount_t ref;
	u32 len; /* of the whole address */
	u8 raw[UNIX_ADDR_MAX + 2];
};
struct unix_mark {
	struct list_head node;
	u64 pos, end; /* stream positions it covers */
	struct scm_fp *fp;
	struct ucred_k cred;
	bool has_cred;
};
struct unix_sock {
	struct stream st; /* first: the sock */
	struct mutex bindlock;
	struct unix_addr *addr; /* set once, bindlock; read with READ_ONCE */
	struct path path;	/* of a bound name in the file system */
	struct inode *inode;	/* path's; unix_table_lock */
	struct hlist_node hash; /* abstract names; unix_table_lock */
	struct list_head marks; /* by position; sk.lock */
	struct mutex rxlock;	/* one packet receiver at a time */
	struct unix_sock *dpeer; /* default destination of a datagram socket, reference; sk.lock */
	struct list_head clients, client_node; /* datagram sockets with dpeer == this; this sk.lock */
	struct waitq peer_wait; /* senders that wait for room in rxq, connectors for room in acceptq */
	/* unix_gc_lock */
	u32 inflight, gc_count;
	u8 gc_state;
	struct list_head gc_node;
};
static inline struct unix_sock *to_unix(struct sock *sk) { return (struct unix_sock *)sk; }
static inline struct unix_sock *stream_to_unix(struct stream *s) { return (struct unix_sock *)s; }
static inline struct unix_sock *unix_peer(struct unix_sock *u) { return (struct unix_sock *)READ_ONCE(u->st.peer); }

/* af_unix.c */
struct unix_sock *unix_new(u16 type);
extern const struct proto_ops unix_stream_ops, unix_dgram_ops, unix_seqpacket_ops;
void unix_release(struct sock *sk);
void unix_destroy(struct sock *sk);
int unix_getname(struct sock *sk, struct sockaddr_k *addr, u32 *len, bool peer);
int unix_socketpair(struct sock *a, struct sock *b);
int unix_shutdown(struct sock *sk, s32 how);
int unix_listen(struct sock *sk, s32 backlog);
struct sock *unix_accept(struct sock *sk, bool nonblock);
int unix_stream_connect(struct sock *sk, const struct sockaddr_k *addr, u32 len, bool nonblock);
void unix_pair(struct unix_sock *a, struct unix_sock *b);

/* unix_addr.c */
void unix_addr_put(struct unix_addr *a);
static inline struct unix_addr *unix_addr_get(struct unix_addr *a) { if (a) refcount_inc(&a->ref); return a; }
int unix_bind(struct sock *sk, const struct sockaddr_k *addr, u32 len);
int unix_autobind(struct unix_sock *u);
void unix_unbind(struct unix_sock *u); /* at release */
/* Who is bound to the name, with a reference: ERR_PTR(-ECONNREFUSED, -EPROTOTYPE, a lookup error). */
struct unix_sock *unix_find(const struct sockaddr_k *addr, u32 len, u16 type);
void unix_put_name(struct msg *m, struct unix_addr *a);

/* unix_stream.c, unix_dgram.c */
long unix_stream_sendmsg(struct sock *sk, struct msg *m);
long unix_stream_recvmsg(struct sock *sk, struct msg *m);
long unix_dgram_sendmsg(struct sock *sk, struct msg *m);
long unix_dgram_recvmsg(struct sock *sk, struct msg *m);
long unix_seqpacket_sendmsg(struct sock *sk, struct msg *m);
long unix_seqpacket_recvmsg(struct sock *sk, struct msg *m);
int unix_dgram_connect(struct sock *sk, const struct sockaddr_k *addr, u32 len, bool nonblock);
int unix_dgram_socketpair(struct unix_sock *a, struct unix_sock *b);
void unix_dgram_disconnect(struct unix_sock *u);
u32 unix_dgram_poll(struct file *f, struct sock *sk, struct poll_table *pt);
void unix_purge_marks(struct unix_sock *u);

/* unix_gc.c */
int unix_inflight(struct scm_fp *fp); /* 0 or -ETOOMANYREFS */
void unix_notinflight(struct scm_fp *fp);
/* Close what only unreceived messages of each other refer to. */
void unix_gc(void);

#endif
