/*
 * Limits on CPU time: ITIMER_VIRTUAL and _PROF, POSIX timers on CPU clocks, RLIMIT_CPU.
 *
 * There is no tick. While a limit is set, a timer of the process fires when, with all its threads running, the limit could be
 * reached at the earliest, and looks. Threads in user mode on other vCPUs are made to pass through the kernel first, which
 * brings their times up to date; the look follows a moment later.
 */
#include <asm/signal.h>
#include <linux/resource.h>

#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/task.h"

#define SETTLE_NS (100 * NSEC_PER_USEC)
#define LEAST_NS NSEC_PER_MSEC
#define MOST_NS (20 * NSEC_PER_MSEC) /* threads may be born meanwhile */
enum { CT_OFF, CT_WAIT, CT_SETTLE };

/* getrlimit(2): SIGXCPU at the soft limit and every second after it, SIGKILL at the hard one. */
static u64 rlimit_check(struct process *p, u64 used)
{
	struct rlimit_val *lim = &p->rlim[RLIMIT_CPU];
	u64 limit;

	if (lim->cur == ~0ull)
		return ~0ull;
	if (lim->max != ~0ull && used >= lim->max * NSEC_PER_SEC) {
		send_signal_process_tl(p, SIGKILL, SEND_SIG_PRIV);
		return ~0ull;
	}
	limit = lim->cur >= ~0ull / NSEC_PER_SEC ? ~0ull : lim->cur * NSEC_PER_SEC;
	if (used >= limit) {
		send_signal_process_tl(p, SIGXCPU, SEND_SIG_PRIV);
		lim->cur++;
		limit += NSEC_PER_SEC;
	}
	return limit - used;
}

/* True: a thread was made to come by. tasklist_lock held. */
static bool nudge_threads(struct process *p)
{
	struct task *t;
	bool any = false;

	list_for_each(t, &p->threads, thread_node) {
		if (atomic_load(&t->state) != TASK_RUNNING || t->cpu == this_cpu_id())
			continue;
		resched_task(t);
		any = true;
	}
	return any;
}

static u64 check(struct process *p)
{
	u64 utime = p->utime_ns, stime = p->stime_ns, least;
	struct task *t;

	list_for_each(t, &p->threads, thread_node) {
		utime += task_utime(t);
		stime += task_stime(t);
	}
	least = itimer_cpu_check(p, utime, stime);
	least = MIN(least, posix_timer_cpu_check(p));
	return MIN(least, rlimit_check(p, utime + stime));
}

static void cputimer_fire(struct ktimer *timer)
{
	struct process *p = container_of(timer, struct process, cpu_timer);
	u64 least, next = 0;

	spin_lock(&tasklist_lock);
	if (p->flags & PROC_ZOMBIE) {
		p->cpu_timer_state = CT_OFF;
	} else if (p->cpu_timer_state == CT_WAIT && nudge_threads(p)) {
		p->cpu_timer_state = CT_SETTLE;
		next = SETTLE_NS;
	} else {
		least = check(p);
		p->cpu_timer_state = least == ~0ull ? CT_OFF : CT_WAIT;
		if (least != ~0ull)
			next = MIN(MAX(least / MIN(MAX(p->nthreads, 1u), num_cpus()), LEAST_NS), MOST_NS);
	}
	spin_unlock(&tasklist_lock);
	if (next)
		ktimer_start(timer, clock_mono_ns() + next);
}

void cputimer_start(struct process *p)
{
	bool start;

	spin_lock(&tasklist_lock);
	start = p->cpu_timer_state == CT_OFF;
	if (start) {
		p->cpu_timer_state = CT_WAIT;
		p->cpu_timer.fn = cputimer_fire;
	}
	spin_unlock(&tasklist_lock);
	if (start)
		ktimer_start(&p->cpu_timer, clock_mono_ns() + LEAST_NS);
}

void cputimer_stop(struct process *p)
{
	ktimer_cancel_sync(&p->cpu_timer);
}
