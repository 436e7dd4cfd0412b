/* Clocks by their number, as clock_gettime(2) knows them: between sys_time.c, nanosleep.c, posix_timer.c, timerfd.c. */
#ifndef SENTRY_CLOCK_H
#define SENTRY_CLOCK_H

#include "base/types.h"
#include "sentry/kernel/timer.h"
#include "sentry/vfs/vfs.h"

struct process;
struct task;

enum clock_kind {
	CLOCK_BAD,
	CLOCK_WALL, /* REALTIME, TAI, MONOTONIC, BOOTTIME: what timers and sleeps know */
	CLOCK_ALARM, /* the same for timers that would wake a suspended machine */
	CLOCK_SHOW,  /* RAW and COARSE: for reading only */
	CLOCK_CPU_TIME,
};
enum clock_kind clock_kind(s32 id);
/* A kind other than CPU_TIME and BAD. */
u64 clock_read_ns(s32 id);
/* The monotonic time at which the wall clock `id` will show `ns`; ~0ull for never (beyond the range). */
u64 clock_mono_deadline(s32 id, u64 ns);

/* A CPU-time clock: CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, or a made-up number of a process or thread. */
struct cpu_clock {
	struct process *proc; /* reference; NULL: a thread's */
	struct task *task;    /* reference */
	u32 which;	      /* 0 user and system, 1 user, 2 as 0 */
};
int cpu_clock_get(s32 id, struct cpu_clock *c); /* 0 or -EINVAL */
void cpu_clock_put(struct cpu_clock *c);
u64 cpu_clock_read(const struct cpu_clock *c);
u64 cpu_clock_sample(const struct cpu_clock *c); /* the same with tasklist_lock held */
/* The process's times; the current task's right up to now. */
void cpu_times(struct process *p, u64 *utime, u64 *stime);

/* Anything larger counts as never. */
#define NS_FOREVER (~0ull >> 1)
static inline bool timespec_valid(const struct timespec_k *ts)
{
	return ts->sec >= 0 && ts->nsec >= 0 && ts->nsec < (s64)NSEC_PER_SEC;
}
static inline u64 timespec_ns(const struct timespec_k *ts)
{
	return (u64)ts->sec >= NS_FOREVER / NSEC_PER_SEC ? NS_FOREVER : (u64)ts->sec * NSEC_PER_SEC + (u64)ts->nsec;
}
static inline struct timespec_k ns_timespec(u64 ns)
{
	return (struct timespec_k){ (s64)(ns / NSEC_PER_SEC), (s64)(ns % NSEC_PER_SEC) };
}
static inline u64 ns_add(u64 a, u64 b)
{
	return b > NS_FOREVER - MIN(a, NS_FOREVER) ? NS_FOREVER : a + b;
}
struct itimerspec_k {
	struct timespec_k interval, value;
};

#endif
