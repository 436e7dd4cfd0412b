/* Asynchronous happenings from the host side: completions of submitted I/O, readiness of host descriptors, signals. */
#ifndef SENTRY_EVENTS_H
#define SENTRY_EVENTS_H

#include "base/types.h"
#include "hostcall.h"

/* Drain the event ring and run what completed. From the scheduler's loop and idle; takes spinlocks, wakes tasks. */
void events_poll(void);

/* One host I/O on behalf of the current task: tried at once without waiting; when the host would wait, submitted, and
 * only the task sleeps. `interruptible`: a signal cancels it (-ERESTARTSYS). Bytes or -errno. */
s64 host_io(struct hc_submit *io, bool interruptible);
/* Simple forms on one piece of sandbox memory. pos ~0ull: the stream position. */
s64 host_pread(hc_handle h, void *buf, size_t n, u64 pos, bool interruptible);
s64 host_pwrite(hc_handle h, const void *buf, size_t n, u64 pos, bool interruptible);

/* One-shot: fn(arg, mask or -errno) runs from events_poll() when the host descriptor is ready. */
int host_poll_arm(hc_handle h, u32 events, void (*fn)(void *arg, s64 mask), void *arg);

/* A host socket changed (net/hostinet). */
void host_socket_event(hc_handle handle, u32 mask);

/* A signal from the host side (Ctrl-C on the terminal, SIGTERM to the command); set by the tty layer. */
extern void (*host_signal_hook)(int sig);

#endif
