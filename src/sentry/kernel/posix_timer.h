/* POSIX timers and process CPU-time timers: between signal.c, posix_timer.c, itimer.c and cputimer.c. */
#ifndef SENTRY_POSIX_TIMER_H
#define SENTRY_POSIX_TIMER_H

#include "sentry/kernel/signal.h"

struct task;
struct process;

/* Its signal was taken off the queue: counts overruns and arms the next period. sighand->lock held. */
void posix_timer_dequeued(void *timer, siginfo_t_k *info);

/* ---- cputimer.c: a timer a process that looks at its CPU time when something could be due ---- */
/* Something with a CPU-time limit was set: look soon. */
void cputimer_start(struct process *p);
void cputimer_stop(struct process *p); /* the process is gone */
/* Called by it, without locks, in turn: each raises what is due and says how many ns of CPU time are left (~0: nothing set). */
u64 itimer_cpu_check(struct process *p, u64 utime, u64 stime);
u64 posix_timer_cpu_check(struct process *p);

#endif
