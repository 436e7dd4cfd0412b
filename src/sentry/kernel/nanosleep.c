/* nanosleep(2), clock_nanosleep(2), and how they go on after a stop. */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/time.h>

#include "sentry/kernel/clock.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"

/* True when a signal came before the deadline. */
static bool sleep_until(u64 deadline)
{
	bool late = false;

	if (deadline >= NS_FOREVER)
		deadline = ~0ull;
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (late || signal_pending())
			break;
		late = schedule_until(deadline);
	}
	set_current_state(TASK_RUNNING);
	return !late;
}

static long put_remaining(u64 urem, u64 left)
{
	struct timespec_k ts = ns_timespec(left);

	return urem ? put_user(ts, urem) : 0;
}

static long relative_sleep(u64 deadline, u64 urem);

static long sleep_restart(struct restart_block *rb)
{
	return relative_sleep(rb->a[0], rb->a[1]);
}

static long relative_sleep(u64 deadline, u64 urem)
{
	u64 now;

	if (!sleep_until(deadline))
		return 0;
	now = clock_mono_ns();
	if (now >= deadline)
		return 0;
	if (put_remaining(urem, deadline - now))
		return -EFAULT;
	current->restart = (struct restart_block){ sleep_restart, { deadline, urem } };
	return -ERESTART_RESTARTBLOCK;
}

SYSCALL2(nanosleep, u64, uts, u64, urem)
{
	struct timespec_k ts;

	if (get_user(ts, uts))
		return -EFAULT;
	if (!timespec_valid(&ts))
		return -EINVAL;
	return relative_sleep(ns_add(clock_mono_ns(), timespec_ns(&ts)), urem);
}

/* CPU time passes no faster than one nanosecond a nanosecond and thread. */
static long sleep_cpu_until(const struct cpu_clock *c, u64 target)
{
	for (;;) {
		u64 now = cpu_clock_read(c), least;

		if (now >= target)
			return 0;
		least = (target - now) / num_cpus();
		if (sleep_until(clock_mono_ns() + MAX(least, NSEC_PER_MSEC)))
			return -ERESTARTNOHAND;
	}
}

static long cpu_restart(struct restart_block *rb);

static long cpu_sleep(s32 id, u64 target, bool absolute, u64 urem)
{
	struct cpu_clock c;
	long ret;

	if (id == CLOCK_THREAD_CPUTIME_ID || cpu_clock_get(id, &c))
		return -EINVAL;
	if (c.task == current) { /* it would wait for itself to run */
		cpu_clock_put(&c);
		return -EINVAL;
	}
	if (!absolute)
		target = ns_add(target, cpu_clock_read(&c));
	ret = sleep_cpu_until(&c, target);
	if (ret && !absolute) {
		u64 now = cpu_clock_read(&c);

		current->restart = (struct restart_block){ cpu_restart, { (u64)id, target, urem } };
		ret = put_remaining(urem, target > now ? target - now : 0) ? -EFAULT : -ERESTART_RESTARTBLOCK;
	}
	cpu_clock_put(&c);
	return ret;
}

static long cpu_restart(struct restart_block *rb)
{
	struct cpu_clock c;
	u64 now;

	if (cpu_clock_get((s32)rb->a[0], &c))
		return -EINTR;
	now = cpu_clock_read(&c);
	cpu_clock_put(&c);
	return rb->a[1] > now ? cpu_sleep((s32)rb->a[0], rb->a[1] - now, false, rb->a[2]) : 0;
}

SYSCALL4(clock_nanosleep, s32, id, s32, flags, u64, uts, u64, urem)
{
	enum clock_kind kind = clock_kind(id);
	struct timespec_k ts;
	u64 ns;

	if (kind == CLOCK_BAD)
		return -EINVAL;
	if (kind == CLOCK_SHOW || id == CLOCK_THREAD_CPUTIME_ID)
		return -EOPNOTSUPP;
	if (get_user(ts, uts))
		return -EFAULT;
	if (!timespec_valid(&ts))
		return -EINVAL;
	ns = timespec_ns(&ts);
	if (kind == CLOCK_ALARM && !capable(CAP_WAKE_ALARM))
		return -EPERM;
	if (kind == CLOCK_CPU_TIME)
		return cpu_sleep(id, ns, flags & TIMER_ABSTIME, urem);
	if (flags & TIMER_ABSTIME)
		return sleep_until(clock_mono_deadline(id, ns)) ? -ERESTARTNOHAND : 0;
	return relative_sleep(ns_add(clock_mono_ns(), ns), urem);
}
