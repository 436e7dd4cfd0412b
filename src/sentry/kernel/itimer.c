/* setitimer(2), getitimer(2), alarm(2). The virtual ones are checked by cputimer.c. */
#include <asm/signal.h>
#include <linux/errno.h>
#include <linux/time.h>

#include "sentry/kernel/clock.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"

struct timeval_k {
	s64 sec, usec;
};
struct itimerval_k {
	struct timeval_k interval, value;
};
#define MIN_PERIOD_NS (20 * NSEC_PER_USEC)

static u64 timeval_ns(const struct timeval_k *tv)
{
	return (u64)tv->sec >= NS_FOREVER / NSEC_PER_SEC ? NS_FOREVER :
							   (u64)tv->sec * NSEC_PER_SEC + (u64)tv->usec * NSEC_PER_USEC;
}

/* Rounded up: a timer that still runs never shows zero. */
static struct timeval_k ns_timeval(u64 ns)
{
	u64 us = DIV_ROUND_UP(ns, NSEC_PER_USEC);

	return (struct timeval_k){ (s64)(us / 1000000), (s64)(us % 1000000) };
}

static bool timeval_valid(const struct timeval_k *tv)
{
	return tv->sec >= 0 && tv->usec >= 0 && tv->usec < 1000000;
}

/* ---- ITIMER_REAL ---- */

static void real_fire(struct ktimer *timer)
{
	struct process *p = container_of(timer, struct process, itimer_real);
	u64 interval = READ_ONCE(p->itimer_real_interval);

	send_signal_process(p, SIGALRM, SEND_SIG_PRIV);
	if (interval) {
		u64 now = clock_mono_ns(), next = timer->expires + interval;

		if (next <= now)
			next += (now - next) / interval * interval + interval;
		ktimer_start(timer, MAX(next, now + MIN_PERIOD_NS));
	}
}

static u64 real_remaining(struct process *p)
{
	u64 now = clock_mono_ns();

	if (!p->itimer_real.state)
		return 0;
	return p->itimer_real.expires > now ? p->itimer_real.expires - now : NSEC_PER_USEC;
}

/* Two threads that set it at once: the last one wins whole, because each cancels first. */
static void set_real(struct process *p, u64 value, u64 interval)
{
	struct sighand *s = current->sighand;

	ktimer_cancel_sync(&p->itimer_real);
	spin_lock(&s->lock);
	p->itimer_real.fn = real_fire;
	p->itimer_real_interval = interval;
	if (value)
		ktimer_start(&p->itimer_real, ns_add(clock_mono_ns(), value));
	spin_unlock(&s->lock);
}

/* ---- ITIMER_VIRTUAL (user time) and ITIMER_PROF (all) ---- */

static u64 virt_now(struct process *p, u32 i)
{
	u64 utime, stime;

	cpu_times(p, &utime, &stime);
	return i == 0 ? utime : utime + stime;
}

static u64 virt_remaining(struct process *p, u32 i)
{
	u64 now = virt_now(p, i), expires = p->itimer_virt[i][0];

	if (!expires)
		return 0;
	return expires > now ? expires - now : NSEC_PER_USEC;
}

static void set_virt(struct process *p, u32 i, u64 value, u64 interval)
{
	u64 expires = value ? ns_add(virt_now(p, i), value) : 0;
	struct sighand *s = current->sighand;

	spin_lock(&s->lock);
	p->itimer_virt[i][0] = expires;
	p->itimer_virt[i][1] = interval;
	spin_unlock(&s->lock);
	if (expires)
		cputimer_start(p);
}

u64 itimer_cpu_check(struct process *p, u64 utime, u64 stime)
{
	static const int signal[2] = { SIGVTALRM, SIGPROF };
	u64 now[2] = { utime, utime + stime }, least = ~0ull;

	for (u32 i = 0; i < 2; i++) {
		u64 *t = p->itimer_virt[i];

		if (!t[0])
			continue;
		if (now[i] >= t[0]) {
			t[0] = t[1] ? now[i] + t[1] - (now[i] - t[0]) % t[1] : 0;
			send_signal_process_tl(p, signal[i], SEND_SIG_PRIV);
		}
		if (t[0])
			least = MIN(least, t[0] - now[i]);
	}
	return least;
}

/* ---- the calls ---- */

static void get_itimer(s32 which, struct itimerval_k *it)
{
	struct process *p = current->proc;
	u32 i = (u32)which - ITIMER_VIRTUAL;

	if (which == ITIMER_REAL) {
		it->value = ns_timeval(real_remaining(p));
		it->interval = ns_timeval(p->itimer_real.state ? p->itimer_real_interval : 0);
	} else {
		it->value = ns_timeval(virt_remaining(p, i));
		it->interval = ns_timeval(p->itimer_virt[i][1]);
	}
}

static bool known(s32 which)
{
	return which == ITIMER_REAL || which == ITIMER_VIRTUAL || which == ITIMER_PROF;
}

SYSCALL2(getitimer, s32, which, u64, uval)
{
	struct itimerval_k it;

	if (!known(which))
		return -EINVAL;
	get_itimer(which, &it);
	return put_user(it, uval);
}

SYSCALL3(setitimer, s32, which, u64, unew, u64, uold)
{
	struct itimerval_k new = { 0 }, old;

	if (unew && get_user(new, unew))
		return -EFAULT;
	if (!known(which) || !timeval_valid(&new.value) || !timeval_valid(&new.interval))
		return -EINVAL;
	get_itimer(which, &old);
	if (which == ITIMER_REAL)
		set_real(current->proc, timeval_ns(&new.value), timeval_ns(&new.interval));
	else
		set_virt(current->proc, (u32)which - ITIMER_VIRTUAL, timeval_ns(&new.value), timeval_ns(&new.interval));
	return uold ? put_user(old, uold) : 0;
}

SYSCALL1(alarm, u32, seconds)
{
	u64 left = real_remaining(current->proc);
	u64 s = left / NSEC_PER_SEC, rest = left % NSEC_PER_SEC;

	set_real(current->proc, (u64)seconds * NSEC_PER_SEC, 0);
	/* To the nearest second, but never 0 for an alarm that was set. */
	return (long)(left && ((!s && rest) || rest >= NSEC_PER_SEC / 2) ? s + 1 : s);
}
