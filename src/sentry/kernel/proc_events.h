/* What happens to processes, told to those who listen by the process connector (net/netlink/connector.c). One test when nobody does. */
#ifndef SENTRY_PROC_EVENTS_H
#define SENTRY_PROC_EVENTS_H

#include <linux/cn_proc.h>

#include "base/types.h"

struct task;

extern _Atomic u32 proc_listeners;

/* An event of t: its numbers, and what else belongs to the kind of event (struct proc_event), at most 4 words. */
void proc_event_slow(u32 what, const struct task *t, const void *more, u32 words);
static inline void proc_event(u32 what, const struct task *t, const void *more, u32 words)
{
	if (unlikely(atomic_load_explicit(&proc_listeners, memory_order_relaxed)))
		proc_event_slow(what, t, more, words);
}

#endif
