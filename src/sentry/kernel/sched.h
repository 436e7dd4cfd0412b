/* What the scheduler, timers and the user loop share; nobody else includes this. */
#ifndef SENTRY_SCHED_H
#define SENTRY_SCHED_H

#include "base/types.h"
#include "hostcall.h"
#include "platform/platform.h"

struct task;

/* switch.S: save the callee-saved registers on this stack, its pointer in *save, and continue on stack `load`. */
void switch_context(u64 *save, u64 load);
/* First frame of a new stack: calls sched_task_start(fn, arg). */
void task_entry(void);

/* Prepare t->kstack so that the first switch to t runs fn(arg). */
void task_set_entry(struct task *t, void (*fn)(void *), void *arg);

u64 ns_to_tsc(u64 ns);

/* Run due timers of this vCPU. Returns when the next is due, ~0ull: none. */
u64 timers_run(void);
/* The same after a kick out of user mode, which may have been the host's timer: by our clock it may have come early, and nobody
 * sets it again as long as it counts as pending. */
u64 timers_kicked(void);
void timers_init(u32 ncpus);

/* What tasks used of a vCPU since it came up; how many are running there or could be. */
u32 sched_cpu_times(u32 cpu, u64 *user_ns, u64 *system_ns);

/* Every vCPU that may be in user mode in `mm` (NULL: any) has passed through the kernel before this returns. */
void sched_sync_cpus(struct mm *mm);

/* The same for tasks of `mm`, on one vCPU or (-1) on all: each starts the rseq(2) sequence that it was in again. */
void sched_restart_sequences(struct mm *mm, s32 cpu);

static inline bool events_pending(void)
{
	struct hc_event_ring *r = pa_to_va(EVENT_RING_PA);

	return atomic_load_explicit(&r->head, memory_order_relaxed) !=
	       atomic_load_explicit(&r->tail, memory_order_acquire);
}

#endif
