/*
 * The host side of the hostcall boundary (include/hostcall.h). Everything that arrives here is hostile.
 *
 * Called by the platforms' host halves from vCPU threads, after lock-down.
 */
#ifndef HOST_HOSTCALLS_H
#define HOST_HOSTCALLS_H

#include "hostcall.h"

/*
 * Serve one call of vCPU `cpu` (trusted: which thread calls). `req` is a private copy of the request, `len` its length as
 * the sentry gave it, `nr` the number likewise; all three are checked here. Results written into *req are for the
 * sentry. >= 0, or -errno; -ENOSYS for an unknown number. HC_FPU_GET and HC_FPU_SET are the KVM platform's own.
 * Does not return for HC_EXIT.
 */
s64 hostcall_dispatch(u32 cpu, u32 nr, void *req, size_t len);

/* The platform's part of a kick: make the vCPU leave user mode soon, or not enter it. Async-signal-safe. */
typedef void (*host_kick_fn)(u32 cpu);
void host_set_platform_kick(host_kick_fn fn);
/* Wake vCPU `cpu` from HC_CPU_WAIT and kick it out of user mode. Any thread; async-signal-safe; never lost. */
void host_kick(u32 cpu);
/* Kick whichever vCPU is best placed to look at the event ring: a waiting one if there is any. */
void host_kick_any(void);

/* Every vCPU thread calls it first: its thread id, signal mask and signal stack. */
void host_vcpu_thread_init(u32 cpu);

/* For --stats: the name of a call and how often it was made. */
const char *hostcall_name(u32 nr);
u64 hostcall_count(u32 nr);

/* The sandbox cannot go on: one line to the command's stderr and the end of the sandbox process. Any thread. */
__noreturn void host_fatal(const char *fmt, ...) __printf(1, 2);

#endif
