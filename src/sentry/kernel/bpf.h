/* Classic BPF (McCanne and Jacobson, USENIX 1993) over struct seccomp_data: bytes in, a number out. */
#ifndef SENTRY_BPF_H
#define SENTRY_BPF_H

#include "base/types.h"

struct sock_filter;

/* May the program run on `words` 32-bit words of input: every jump inside, every load aligned, a return at the end. */
bool bpf_valid(const struct sock_filter *prog, u32 len, u32 words);
u32 bpf_run(const struct sock_filter *prog, const u32 *data, u32 words);

#endif
