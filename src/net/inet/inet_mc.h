/* Multicast: who is in which group (inet_mc.c). Guarded by inet_lock. */
#ifndef NET_INET_MC_H
#define NET_INET_MC_H

#include "base/types.h"

struct inet_sock;
struct in_addr16;
struct net_ns;

/* The options that join, leave and choose the link to send over; -ENOPROTOOPT: it is none of them. val is sentry memory. */
int mc_setsockopt(struct inet_sock *is, s32 level, s32 opt, const void *val, u32 len);
void mc_leave_all(struct inet_sock *is);
/* Does the link take packets for the group? inet_lock held. */
bool mc_on_link(const struct net_ns *net, const struct in_addr16 *group);
/* Does the socket, from this source? inet_lock held. */
bool mc_wanted(const struct inet_sock *is, const struct in_addr16 *group, const struct in_addr16 *src);

#endif
