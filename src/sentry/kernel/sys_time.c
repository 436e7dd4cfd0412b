/* Reading and (not) setting clocks: clock_gettime(2), gettimeofday(2), adjtimex(2). */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/time.h>
#include <linux/timex.h>

#include "base/string.h"
#include "hostcall.h"
#include "platform/platform.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"

#define COARSE_NS 4000000ul /* as a kernel with HZ=250 */

enum clock_kind clock_kind(s32 id)
{
	if (id < 0)
		return CLOCK_CPU_TIME;
	switch (id) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
		return CLOCK_WALL;
	case CLOCK_REALTIME_ALARM:
	case CLOCK_BOOTTIME_ALARM:
		return CLOCK_ALARM;
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
		return CLOCK_SHOW;
	case CLOCK_PROCESS_CPUTIME_ID:
	case CLOCK_THREAD_CPUTIME_ID:
		return CLOCK_CPU_TIME;
	}
	return CLOCK_BAD;
}

static s64 tai_offset(void)
{
	return ((const struct clock_page *)pa_to_va(CLOCK_PAGE_PA))->tai_offset_s;
}

u64 clock_read_ns(s32 id)
{
	switch (id) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_ALARM:
	case CLOCK_REALTIME_COARSE:
		return clock_real_ns();
	case CLOCK_TAI:
		return clock_real_ns() + (u64)tai_offset() * NSEC_PER_SEC;
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM:
		return clock_boot_ns() + (u64)time_offsets()->boot;
	}
	return clock_mono_ns() + (u64)time_offsets()->mono;
}

u64 clock_mono_deadline(s32 id, u64 ns)
{
	u64 now;

	if (ns >= NS_FOREVER)
		return ~0ull;
	if (id == CLOCK_MONOTONIC)
		return MAX((s64)ns - time_offsets()->mono, 0);
	now = clock_read_ns(id);
	return ns > now ? ns_add(clock_mono_ns(), ns - now) : 0;
}

/* ---- CPU time; the numbers of other processes' clocks: clock_getcpuclockid(3) ---- */

static int cpu_clock_of(s32 pid, bool thread, struct cpu_clock *c)
{
	if (thread) {
		c->task = pid ? find_task_get(pid) : task_get(current);
		if (c->task && c->task->proc != current->proc) { /* threads of one's own only */
			task_put(c->task);
			c->task = NULL;
		}
	} else {
		c->proc = pid ? find_process_get(pid) : process_get(current->proc);
	}
	return c->task || c->proc ? 0 : -EINVAL;
}

int cpu_clock_get(s32 id, struct cpu_clock *c)
{
	*c = (struct cpu_clock){ .which = (u32)id & 3 };
	if (id == CLOCK_PROCESS_CPUTIME_ID || id == CLOCK_THREAD_CPUTIME_ID) {
		c->which = 2;
		return cpu_clock_of(0, id == CLOCK_THREAD_CPUTIME_ID, c);
	}
	if (c->which == 3) /* a clock device's descriptor */
		return -EINVAL;
	return cpu_clock_of(~(id >> 3), id & 4, c);
}

void cpu_clock_put(struct cpu_clock *c)
{
	if (c->proc)
		process_put(c->proc);
	if (c->task)
		task_put(c->task);
	*c = (struct cpu_clock){ 0 };
}

void cpu_times(struct process *p, u64 *utime, u64 *stime)
{
	if (p == current->proc)
		account_own_time(); /* this call's own time so far */
	process_cputime(p, utime, stime);
}

u64 cpu_clock_sample(const struct cpu_clock *c)
{
	u64 utime, stime;
	struct task *t;

	if (c->proc) {
		utime = c->proc->utime_ns;
		stime = c->proc->stime_ns;
		list_for_each(t, &c->proc->threads, thread_node) {
			utime += task_utime(t);
			stime += task_stime(t);
		}
	} else {
		utime = task_utime(c->task);
		stime = task_stime(c->task);
	}
	return c->which == 1 ? utime : utime + stime;
}

u64 cpu_clock_read(const struct cpu_clock *c)
{
	u64 ns;

	account_own_time();
	spin_lock(&tasklist_lock);
	ns = cpu_clock_sample(c);
	spin_unlock(&tasklist_lock);
	return ns;
}

static long read_any(s32 id, u64 *ns)
{
	struct cpu_clock c;

	switch (clock_kind(id)) {
	case CLOCK_BAD:
		return -EINVAL;
	case CLOCK_CPU_TIME:
		if (cpu_clock_get(id, &c))
			return -EINVAL;
		*ns = cpu_clock_read(&c);
		cpu_clock_put(&c);
		return 0;
	default:
		*ns = clock_read_ns(id);
		return 0;
	}
}

/* ---- the calls ---- */

SYSCALL2(clock_gettime, s32, id, u64, uts)
{
	struct timespec_k ts;
	u64 ns = 0;
	long err = read_any(id, &ns);

	if (err)
		return err;
	ts = ns_timespec(ns);
	return put_user(ts, uts);
}

SYSCALL2(clock_getres, s32, id, u64, uts)
{
	struct timespec_k ts = { 0, 1 };
	u64 ns;

	if (read_any(id, &ns))
		return -EINVAL;
	if (id == CLOCK_REALTIME_COARSE || id == CLOCK_MONOTONIC_COARSE)
		ts.nsec = COARSE_NS;
	return uts ? put_user(ts, uts) : 0;
}

/* The clock belongs to the host: as without CAP_SYS_TIME, once the arguments are right. */
SYSCALL2(clock_settime, s32, id, u64, uts)
{
	struct timespec_k ts;

	bool cpu = id < 0 && clock_kind(id) == CLOCK_CPU_TIME; /* of a process that is named */

	if (id != CLOCK_REALTIME && !cpu)
		return -EINVAL;
	if (get_user(ts, uts))
		return -EFAULT;
	if (cpu)
		return -EPERM; /* it cannot be set back */
	return timespec_valid(&ts) ? -EPERM : -EINVAL;
}

struct timeval_k {
	s64 sec, usec;
};
struct timezone_k {
	s32 minuteswest, dsttime;
};

SYSCALL2(gettimeofday, u64, utv, u64, utz)
{
	struct timezone_k tz = { 0 };
	u64 now = clock_real_ns();
	struct timeval_k tv = { (s64)(now / NSEC_PER_SEC), (s64)(now % NSEC_PER_SEC / NSEC_PER_USEC) };

	if (utv && put_user(tv, utv))
		return -EFAULT;
	return utz ? put_user(tz, utz) : 0;
}

SYSCALL2(settimeofday, u64, utv, u64, utz)
{
	struct timezone_k tz;
	struct timeval_k tv;

	if (utv) {
		if (get_user(tv, utv))
			return -EFAULT;
		if (tv.sec < 0 || tv.usec < 0 || tv.usec > 1000000)
			return -EINVAL;
	}
	if (utz && get_user(tz, utz))
		return -EFAULT;
	return -EPERM;
}

SYSCALL1(time, u64, utime)
{
	s64 now = (s64)(clock_real_ns() / NSEC_PER_SEC);

	if (utime && put_user(now, utime))
		return -EFAULT;
	return now;
}

static long adjust(u64 utx)
{
	struct __kernel_timex tx;
	u64 now;

	if (get_user(tx, utx))
		return -EFAULT;
	if (tx.modes && tx.modes != ADJ_OFFSET_SS_READ)
		return -EPERM;
	now = clock_real_ns();
	memset(&tx, 0, sizeof(tx));
	tx.status = STA_UNSYNC;
	tx.maxerror = tx.esterror = 16000000;
	tx.constant = 2;
	tx.precision = 1;
	tx.tolerance = 32768000;
	tx.tick = 10000;
	tx.time.tv_sec = (s64)(now / NSEC_PER_SEC);
	tx.time.tv_usec = (s64)(now % NSEC_PER_SEC / NSEC_PER_USEC);
	tx.tai = (s32)tai_offset();
	return put_user(tx, utx) ? -EFAULT : TIME_ERROR;
}

SYSCALL1(adjtimex, u64, utx)
{
	return adjust(utx);
}

SYSCALL2(clock_adjtime, s32, id, u64, utx)
{
	if (clock_kind(id) == CLOCK_BAD || clock_kind(id) == CLOCK_CPU_TIME)
		return -EINVAL;
	return id == CLOCK_REALTIME ? adjust(utx) : -EOPNOTSUPP;
}
