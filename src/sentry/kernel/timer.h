/*
 * Clocks and sentry timers. A timer runs fn on some vCPU from the scheduler's loop, not in a task: it may take spinlocks
 * and wake tasks but not sleep.
 */
#ifndef SENTRY_TIMER_H
#define SENTRY_TIMER_H

#include "base/rbtree.h"
#include "base/types.h"

#define NSEC_PER_SEC 1000000000ul
#define NSEC_PER_MSEC 1000000ul
#define NSEC_PER_USEC 1000ul

u64 clock_mono_ns(void);
u64 clock_real_ns(void);
u64 clock_boot_ns(void);

struct ktimer {
	struct rb_node node;
	u64 expires; /* absolute, CLOCK_MONOTONIC ns */
	void (*fn)(struct ktimer *t);
	u32 cpu;
	u8 state; /* idle, queued, running */
};
void ktimer_init(struct ktimer *t, void (*fn)(struct ktimer *t));
/* (Re)arm. Safe from any context, from fn itself too. */
void ktimer_start(struct ktimer *t, u64 expires_ns);
/* True when it was pending. */
bool ktimer_cancel(struct ktimer *t);
/* As above, and waits until fn is not running anywhere (not from fn). */
bool ktimer_cancel_sync(struct ktimer *t);

#endif
