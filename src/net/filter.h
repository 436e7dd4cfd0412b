/* Filters of sockets. */
#ifndef NET_FILTER_H
#define NET_FILTER_H

#include "net/sock.h"

struct bpf_packet;
struct pkt;

/* SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_LOCK_FILTER; val holds 4 bytes or more. -ENOPROTOOPT on streams, which nothing filters. */
int sock_set_filter(struct sock *sk, s32 opt, const void *val, u32 len);
void sock_drop_filter(struct sock *sk);
/* How many bytes of a packet the socket takes; 0: none of it. */
u32 sock_filter(struct sock *sk, const struct bpf_packet *p);
/* The same for a whole message, which is cut. False: drop it. */
bool sock_filter_pkt(struct sock *sk, struct pkt *p);

#endif
