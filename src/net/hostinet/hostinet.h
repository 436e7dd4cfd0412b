/*
 * AF_INET and AF_INET6 as sockets of the host (--network=host-sockets): in the sandbox's first network namespace, when the command asked for it.
 * The host side never waits. A call that finds nothing sleeps here until HC_EV_SOCKET tells of a change, and is made again; readiness is
 * asked for when somebody wants to know it, and a poller's wait queue is woken by events.
 */
#ifndef NET_HOSTINET_H
#define NET_HOSTINET_H

#include "fs/proc/seq.h"
#include "hostcall_net.h"
#include "net/sock.h"

struct host_sock {
	struct sock sk; /* first */
	hc_handle handle;
	struct hlist_node node; /* table of handles */
	_Atomic u32 events;	/* counted */
	struct waitq calls;	/* blocked calls; sk.wait has the pollers */
	bool staying;		/* every change is told, for pollers; sk.lock */
	u64 host_ino;		/* its number on the host, asked for when somebody wants to know; 0 */
};
static inline struct host_sock *to_host(struct sock *sk) { return (struct host_sock *)sk; }
extern const struct proto_ops host_inet_ops;

/* Are the current task's inet sockets the host's? */
bool host_inet_here(void);
struct sock *host_inet_create(u16 family, u32 type, s32 protocol);

/* Repeat `call`, an expression of type long that uses arm__, until it does not have to wait, or the time is over. */
#define host_sock_wait(hs, call, direction, nonblock, timeo, deadline)                                  \
	({                                                                                              \
		u32 arm__ = (nonblock) ? 0 : (direction), seen__;                                       \
		long ret__;                                                                             \
		for (;;) {                                                                              \
			seen__ = atomic_load(&(hs)->events);                                            \
			ret__ = (call);                                                                 \
			if (!arm__ || !(ret__ == -EAGAIN || ret__ == -EINPROGRESS || ret__ == -EALREADY)) \
				break;                                                                  \
			long err__ = host_sock_sleep(hs, seen__, timeo, deadline)  ;                    \
			if (err__) {                                                                    \
				ret__ = err__ == -EAGAIN ? ret__ : err__;                               \
				break;                                                                  \
			}                                                                               \
		}                                                                                       \
		ret__;                                                                                  \
	})
/* Until there were other events than `seen`. 0, -EAGAIN when time is over, or a signal's error. */
long host_sock_sleep(struct host_sock *hs, u32 seen, u64 timeo, u64 deadline);

/* data.c */
long host_inet_sendmsg(struct sock *sk, struct msg *m);
long host_inet_recvmsg(struct sock *sk, struct msg *m);
/* opt.c */
int host_inet_setsockopt(struct sock *sk, s32 level, s32 opt, const void *val, u32 len);
int host_inet_getsockopt(struct sock *sk, s32 level, s32 opt, void *val, u32 *len);

/* The sandbox's host sockets, by the numbers that the host has for them. NULL: none, or no memory; which these take. */
struct host_ids;
struct host_ids *host_ids_take(void);
void host_ids_free(struct host_ids *ids);
/* *ino the host's, then ours; *uid of its owner. */
bool host_ids_find(const struct host_ids *ids, u64 *ino, u32 *uid);

/* view.c: netlink messages into buf (sandbox memory), bytes or -errno; -EMSGSIZE: it is too small */
struct inet_diag_req_v2;
s64 host_net_dump(u16 type, u8 family, void *buf, u32 size);
s64 host_net_route_to(u8 family, const void *dst, const void *src, u32 index, void *buf, u32 size); /* dst, src may be NULL */
s64 host_net_sockets(const struct inet_diag_req_v2 *q, bool one, void *buf, u32 size);
/* enum hc_net_file */
void host_net_text(struct seq *s, u32 which);
void host_net_socket_table(struct seq *s, u32 which); /* with our numbers of our sockets */

#endif
