/*
 * Sockets: what every family shares.
 *
 * Objects: file -> sock (file->priv) -> proto_ops of its family and type. A sock outlives its file while a peer, a queue or a
 * table still refers to it; `dead` says that the file is gone.
 * Lock order: bytequeue locks (mutex) -> sock->lock of a listener -> sock->lock of one of its embryos or clients ->
 * waitq locks. Family tables' locks are taken before sock->lock.
 */
#ifndef NET_SOCK_H
#define NET_SOCK_H

#include <linux/errno.h>

#include "base/list.h"
#include "base/lock.h"
#include "net/abi.h"
#include "sentry/kernel/wait.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

struct sock;
struct scm_fp;

/* A send or receive under way. */
struct msg {
	struct iov_iter it;
	struct sockaddr_k *name; /* send: destination or NULL; recv: filled when not NULL */
	u32 namelen;		 /* send: in; recv: out, the address' true length */
	u32 flags;		 /* MSG_* as asked; MSG_DONTWAIT also stands for O_NONBLOCK */
	u32 out_flags;		 /* recv: MSG_TRUNC, MSG_CTRUNC, MSG_EOR ... */
	const u8 *ctl;		 /* send: ancillary data, in sentry memory */
	u64 ctl_len;
	u64 uctl, uctl_left, uctl_used; /* recv: where the next cmsg goes in user memory */
};

enum { SS_UNCONNECTED = 0, SS_CONNECTING, SS_CONNECTED, SS_LISTEN, SS_CLOSED };
enum { RCV_SHUTDOWN = 1, SEND_SHUTDOWN = 2, SHUTDOWN_MASK = 3 };

struct proto_ops {
	/* The file is gone: disconnect, leave every table. Drops nothing of its own reference. */
	void (*release)(struct sock *sk);
	/* Last reference: free what release left. The sock itself is freed by the caller. */
	void (*destroy)(struct sock *sk);
	int (*bind)(struct sock *sk, const struct sockaddr_k *addr, u32 len);
	int (*connect)(struct sock *sk, const struct sockaddr_k *addr, u32 len, bool nonblock);
	int (*socketpair)(struct sock *a, struct sock *b);
	struct sock *(*accept)(struct sock *sk, bool nonblock); /* a connected sock without file, or ERR_PTR */
	int (*listen)(struct sock *sk, s32 backlog);
	int (*getname)(struct sock *sk, struct sockaddr_k *addr, u32 *len, bool peer);
	long (*sendmsg)(struct sock *sk, struct msg *m);
	long (*recvmsg)(struct sock *sk, struct msg *m);
	int (*shutdown)(struct sock *sk, s32 how);
	/* Levels other than SOL_SOCKET, and SOL_SOCKET options the common code does not know. val is sentry memory. */
	int (*setsockopt)(struct sock *sk, s32 level, s32 opt, const void *val, u32 len);
	int (*getsockopt)(struct sock *sk, s32 level, s32 opt, void *val, u32 *len);
	bool own_socket_level; /* all of SOL_SOCKET goes there, and may come back to sock_[sg]et_common() */
	u32 (*poll)(struct file *f, struct sock *sk, struct poll_table *pt);
	long (*ioctl)(struct sock *sk, u32 cmd, u64 arg);
};

struct pkt;
struct net_ns;
struct sock_prog;
struct sock {
	refcount_t ref;
	const struct proto_ops *ops;
	struct net_ns *net; /* where it was made; referenced */
	u16 family, type;
	s32 protocol;
	struct file *file; /* not a reference; NULL before accept and after close */
	struct list_head all_node; /* sock_for_each() */
	u64 ino; /* of its file, also when that is closed; 0 before */
	u32 uid; /* who owns the file */
	struct waitq wait; /* readiness, blocked callers */
	spinlock_t lock;
	/* lock (readers may look without it): */
	u32 state, shutdown;
	bool dead;
	_Atomic s32 err; /* pending error, positive */
	struct list_head acceptq, accept_node;
	u32 nacceptq, backlog;
	/* datagrams waiting to be received; lock */
	struct list_head rxq;
	u32 nrx;
	u64 rx_bytes;
	_Atomic u64 wmem; /* bytes this socket has in other sockets' queues */
	struct ucred_k peercred;
	/* options */
	u32 sndbuf, rcvbuf, rcvlowat, priority, mark;
	u64 rcvtimeo, sndtimeo; /* ns; ~0ull: none */
	struct linger_k linger;
	bool passcred, reuseaddr, reuseport, keepalive, broadcast, oobinline, dontroute, passsec, rxtimestamp, rxtimestampns,
		debug, no_check, filter_locked;
	struct sock_prog *filter; /* lock; filter.c */
	s32 peek_off; /* SO_PEEK_OFF; -1: off */
	u32 bound_link; /* SO_BINDTODEVICE, or 0 */
	/* Kept for who asks; there are no queues of a device that they could change. */
	bool wifi_status, no_fcs, select_errors, prefer_busy_poll;
	u32 busy_poll, buf_lock;
	s32 incoming_cpu;
	u64 pacing_rate;
};

/* Sizes of net.core.{r,w}mem_{default,max}. */
#define SOCK_BUF_DEFAULT 212992u
#define SOCK_BUF_MAX (212992u)
#define SOCK_MIN_RCVBUF 2304u
#define PKT_OVERHEAD 512u /* what a queued packet counts beyond its bytes */

void sock_init(struct sock *sk, const struct proto_ops *ops, u16 family, u16 type, s32 protocol);
/* Make a new sock known to sock_for_each(); the last sock_put() undoes it. */
void sock_enlist(struct sock *sk);
/* Call fn for each sock of the family, under a spinlock: fn may look, and take no lock of a socket. */
void sock_for_each(u16 family, void (*fn)(struct sock *sk, void *arg), void *arg);
static inline struct sock *sock_get(struct sock *sk) { refcount_inc(&sk->ref); return sk; }
void sock_put(struct sock *sk);
void sock_inherit(struct sock *to, const struct sock *from); /* options of an accepted socket */
/* Credentials are kept in numbers of the first namespaces: of the current task; and for it to see. */
void sock_set_cred(struct ucred_k *c);
struct ucred_k sock_show_cred(const struct ucred_k *c);

static inline bool sock_is(const struct sock *sk, u16 type) { return sk->type == type; }
static inline int sock_take_error(struct sock *sk)
{
	return atomic_load_explicit(&sk->err, memory_order_relaxed) ? -atomic_exchange(&sk->err, 0) : 0;
}
/* SO_ERROR: what is pending, taken, as -errno; 0: nothing. */
int sock_pending_error(struct sock *sk);
/* Wake who waits for `events`; the change is made before. */
static inline void sock_wake(struct sock *sk, u32 events)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (waitq_active(&sk->wait))
		wake_up_key(&sk->wait, events, 1);
}
void sock_wake_all(struct sock *sk); /* state changes: hang-up, error, shutdown */

/* Absolute deadline of SO_RCVTIMEO/SO_SNDTIMEO; the error of a wait that ended early (socket(7)). */
u64 sock_deadline(u64 timeo);
static inline long sock_wait_error(long err, u64 timeo)
{
	if (err == -ETIMEDOUT)
		return -EAGAIN;
	return err == -ERESTARTSYS && timeo != ~0ull ? -EINTR : err;
}
#define sock_wait(sk, cond, timeo, deadline) \
	sock_wait_error(wait_event_interruptible_until((sk)->wait, cond, deadline), timeo)

/* The result of writing where nobody reads: -EPIPE, with SIGPIPE unless asked not to. */
long sock_epipe(const struct msg *m);

/* Next established socket of a listener: NULL when none. */
struct sock *acceptq_pop(struct sock *sk);
/* Blocking accept on acceptq. */
struct sock *sock_accept_wait(struct sock *sk, bool nonblock);

/* ---- families ---- */
struct net_family {
	u16 family;
	/* A new sock with one reference, or ERR_PTR. `type` without flags. */
	struct sock *(*create)(u32 type, s32 protocol);
};
void net_register_family(const struct net_family *f);
void net_init(void);
void unix_init(void);
void inet_init(void);
void netlink_init(void);
void packet_init(void);

/* The sock of a descriptor, its file referenced in *f: ERR_PTR(-EBADF, -ENOTSOCK). */
struct sock *sock_from_fd(s32 fd, struct file **f);
/* A file for a sock; consumes the reference, on error too. */
struct file *sock_make_file(struct sock *sk, u32 flags);
extern const struct file_ops socket_fops;
/* Bodies of accept(2), sendmsg(2), recvmsg(2) on a file: used by io_uring. */
struct file *sock_accept_file(struct file *f, u64 uaddr, u64 ulenp, u32 flags, bool nonblock);
long sock_sendmsg_user(struct sock *sk, struct file *f, u64 umsg, u32 flags);
long sock_recvmsg_user(struct sock *sk, struct file *f, u64 umsg, u32 flags);
/* The same into one buffer instead of the header's vector (io_uring); how much of such a buffer the header asks for, 0: all. */
long sock_recvmsg_into(struct sock *sk, struct file *f, u64 umsg, struct iovec_k *into, u32 flags);
long sock_msghdr_length(u64 umsg, u32 *len);
/* Addresses in and out of user memory; addr_to_user writes min(*ulenp, klen) bytes and the true length. */
int addr_from_user(struct sockaddr_k *a, u64 uaddr, s32 len);
int addr_to_user(const struct sockaddr_k *a, u32 klen, u64 uaddr, u64 ulenp);

/* ---- ancillary data (cmsg.c) ---- */
/* Append to the receiver's control buffer; sets MSG_CTRUNC in out_flags when it does not fit. */
void put_cmsg(struct msg *m, s32 level, s32 type, const void *data, size_t len);
/* When it arrived, for who asked (socket(7), SO_TIMESTAMP). */
void put_stamp(const struct sock *sk, struct msg *m, u64 ns);
/* Walk what is sent: the next header from *off, or NULL; -EINVAL in *err when malformed. */
const struct cmsghdr_k *next_cmsg(const struct msg *m, u64 *off, int *err);

/* SOL_SOCKET (sockopt.c). */
int sock_set_common(struct sock *sk, s32 opt, const void *val, u32 len);
int sock_get_common(struct sock *sk, s32 opt, void *val, u32 *len);
/* Store an int answer into an option buffer, clipped to its length. */
int opt_put_int(void *val, u32 *len, s32 v);
#define SOCKOPT_MAX 512u

/* Interface ioctls (SIOCGIF*), for every family. -ENOIOCTLCMD when it is not one. */
long ifconf_ioctl(u32 cmd, u64 arg);
#define ENOIOCTLCMD 515

#endif
