/*
 * The run queue of a vCPU, and the boundary to user mode, which is a system call's most frequent code: for the scheduler, the timers
 * and the user loop only.
 */
#ifndef SENTRY_RQ_H
#define SENTRY_RQ_H

#include "base/lock.h"
#include "base/rbtree.h"
#include "hostcall.h"
#include "platform/platform.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"

struct timer_base {
	spinlock_t lock;
	struct rb_root tree;
	struct ktimer *first;
	struct ktimer *running;
	u64 next; /* first->expires or ~0ull; written under the lock, read without */
	u64 host_deadline; /* what HC_TIMER_SET was told; ~0ull: nothing pending. This vCPU's own */
};

struct rq {
	spinlock_t lock;
	u32 cpu;
	struct rb_root tree; /* runnable tasks but the current one */
	struct task *first;  /* leftmost */
	u32 nr;		     /* in the tree; read without the lock too */
	u64 min_vruntime;
	struct task *curr, *idle;
	struct task *prev; /* across a switch */

	/* this vCPU's own */
	u64 stamp; /* TSC up to which CPU time is accounted */
	struct ktimer slice;
	bool slice_armed;
	/* What its tasks used here, without the present one's turn, and that one's counters when the turn began. Lock. */
	u64 user_tsc, system_tsc, turn_utime, turn_stime;

	_Atomic u32 sleeping; /* in platform->idle, or about to */
	_Atomic u32 in_user;  /* in enter_user, or about to */
	_Atomic u64 passes;   /* times it left user mode */

	struct timer_base timers;
} __attribute__((aligned(64)));

extern struct rq rqs[MAX_CPUS];

static inline struct rq *this_rq(void)
{
	return &rqs[current->cpu];
}

void sched_arm_slice(struct rq *rq);
void timers_tell_host(struct timer_base *b);

static inline void account_kernel(struct rq *rq, struct task *t)
{
	u64 now = rdtsc();

	t->stime_tsc += now - rq->stamp;
	rq->stamp = now;
}

static inline void account_user(struct rq *rq, struct task *t)
{
	u64 now = rdtsc();

	t->utime_tsc += now - rq->stamp;
	rq->stamp = now;
}

/* Have the host kick this vCPU when its next timer is due. */
static inline void timers_program(struct timer_base *b)
{
	/* Only this vCPU adds timers here: others can but cancel, and then the kick is one too many. */
	if (unlikely(READ_ONCE(b->next) < b->host_deadline))
		timers_tell_host(b);
}

/* The way into user mode: the preemption timer, the mark that makes kicks necessary, accounting. False: one of `work` in task.flags
 * wants attention first. */
static inline bool sched_user_enter(struct rq *rq, struct task *t, u32 work)
{
	if (unlikely(READ_ONCE(rq->nr) && !rq->slice_armed))
		sched_arm_slice(rq);
	timers_program(&rq->timers);
	atomic_store(&rq->in_user, 1); /* before the look at the flags; pairs with resched_task() */
	if (unlikely(atomic_load_explicit(&t->flags, memory_order_relaxed) & work) ||
	    unlikely(READ_ONCE(rq->nr) && !rq->slice_armed)) {
		atomic_store_explicit(&rq->in_user, 0, memory_order_relaxed);
		return false;
	}
	account_kernel(rq, t);
	return true;
}

static inline void sched_user_exit(struct rq *rq, struct task *t)
{
	atomic_store_explicit(&rq->in_user, 0, memory_order_release);
	atomic_store_explicit(&rq->passes, rq->passes + 1, memory_order_release);
	account_user(rq, t);
}

#endif
