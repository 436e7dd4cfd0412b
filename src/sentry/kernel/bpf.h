/* Classic BPF (McCanne and Jacobson, USENIX 1993): over struct seccomp_data, and over packets. Bytes in, a number out. */
#ifndef SENTRY_BPF_H
#define SENTRY_BPF_H

#include "base/types.h"

struct sock_filter;

/* May the program run on `words` 32-bit words of input: every jump inside, every load aligned, a return at the end. 0: on packets. */
bool bpf_valid(const struct sock_filter *prog, u32 len, u32 words);
u32 bpf_run(const struct sock_filter *prog, const u32 *data, u32 words);

/* What a socket filter sees (linux/filter.h). */
struct bpf_packet {
	const u8 *data; /* where offset 0 is; inside the frame */
	const u8 *end;
	const u8 *mac, *net; /* SKF_LL_OFF, SKF_NET_OFF; mac NULL: none */
	u32 len;	     /* of the data */
	u16 protocol;	     /* ETH_P_* */
	u8 type;	     /* PACKET_* */
	u32 ifindex;
};
/* How many of its bytes the socket takes; 0: drop it. A load outside the packet drops it. */
u32 bpf_run_packet(const struct sock_filter *prog, const struct bpf_packet *p);

/* Both kinds' arithmetic. False: a division by zero, which ends the program with 0. */
bool bpf_alu(u16 op, u32 *a, u32 b);
bool bpf_jump_taken(u16 op, u32 a, u32 b);

#endif
