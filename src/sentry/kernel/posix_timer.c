/*
 * POSIX timers: timer_create(2) and its kin.
 *
 * A timer sends its own preallocated queue entry. A periodic one is armed again when that signal is taken off the queue; what
 * passed in between is the overrun count (timer_getoverrun(2)). Timers on CPU clocks are checked by cputimer.c.
 * Locks: the process's list and a timer's state under sighand->lock, before the locks of ktimers.
 */
#include "sentry/kernel/posix_timer.h"

#include <asm/signal.h>
#include <asm-generic/siginfo.h>
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/time.h>

#include "base/string.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"

struct posix_timer {
	struct list_head node; /* process.posix_timers */
	s32 id, clock;
	s32 notify, signo;
	struct process *proc; /* owns the timer: no reference */
	struct task *target;  /* SIGEV_THREAD_ID: reference */
	struct sigqueue_entry *entry; /* NULL for SIGEV_NONE */
	struct ktimer timer;
	bool is_cpu, dead;
	struct cpu_clock cpu;
	u64 sample;   /* CPU clocks: what cputimer.c saw last */
	u64 expires;  /* monotonic, or CPU time; 0: disarmed */
	u64 interval;
	bool waiting; /* the signal is queued: armed again when it is taken */
	u32 generation; /* of settings: a signal of an earlier one arms nothing */
	s32 overrun, overrun_last;
};
#define OVERRUN_MAX 0x7fffffff /* DELAYTIMER_MAX */
#define IGNORED_PERIOD_NS (4 * NSEC_PER_MSEC)

static struct sighand *lock_proc(struct process *p)
{
	return lock_sighand(p->leader);
}

/* For the calls: tasklist_lock keeps threads countable for CPU clocks. */
static void lock_timers(void)
{
	spin_lock(&tasklist_lock);
	spin_lock(&current->sighand->lock);
}

static void unlock_timers(void)
{
	spin_unlock(&current->sighand->lock);
	spin_unlock(&tasklist_lock);
}

/* tasklist_lock held. */
static u64 timer_now(struct posix_timer *t)
{
	if (!t->is_cpu)
		return clock_mono_ns();
	t->sample = cpu_clock_sample(&t->cpu);
	return t->sample;
}

static u64 forward(struct posix_timer *t, u64 now)
{
	u64 n = 0;

	if (t->interval && now >= t->expires) {
		n = (now - t->expires) / t->interval + 1;
		t->expires += n * t->interval;
	}
	return n;
}

static void add_overrun(struct posix_timer *t, u64 n)
{
	t->overrun = n >= (u64)(OVERRUN_MAX - t->overrun) ? OVERRUN_MAX : t->overrun + (s32)n;
}

static void arm(struct posix_timer *t)
{
	if (!t->is_cpu)
		ktimer_start(&t->timer, t->expires);
}

/* ---- expiring; sighand->lock held ---- */

static void expire(struct posix_timer *t, u64 now)
{
	struct task *target = t->target ? t->target : t->proc->leader;
	int sent;

	t->entry->info.timer.sys_private = (s32)t->generation;
	t->entry->info.timer.overrun = 0;
	sent = send_sigqueue_locked(t->entry, target, !t->target);
	if (sent == 0) {
		t->waiting = t->interval != 0;
		if (!t->interval)
			t->expires = 0;
		t->overrun = 0;
		return;
	}
	if (sent > 0)
		add_overrun(t, 1);
	if (!t->interval) {
		t->expires = 0;
		return;
	}
	forward(t, now);
	if (!t->is_cpu && t->expires < now + IGNORED_PERIOD_NS)
		t->expires += (now + IGNORED_PERIOD_NS - t->expires) / t->interval * t->interval;
	arm(t);
}

static void timer_fire(struct ktimer *timer)
{
	struct posix_timer *t = container_of(timer, struct posix_timer, timer);
	struct sighand *s;
	u64 now = clock_mono_ns();

	spin_lock(&tasklist_lock); /* the leader stays */
	s = lock_proc(t->proc);
	if (!t->dead && t->expires && now >= t->expires && !t->waiting)
		expire(t, now);
	spin_unlock(&s->lock);
	spin_unlock(&tasklist_lock);
}

void posix_timer_dequeued(void *timer, siginfo_t_k *info)
{
	struct posix_timer *t = timer;

	if ((u32)info->timer.sys_private == t->generation && t->waiting && !t->dead) {
		u64 now, n;

		t->waiting = false;
		now = t->is_cpu ? MAX(t->sample, t->expires) : clock_mono_ns(); /* threads cannot be looked at here */
		n = forward(t, now);
		add_overrun(t, n ? n - 1 : 0);
		arm(t);
	}
	t->overrun_last = t->overrun;
	t->overrun = 0;
	info->timer.overrun = t->overrun_last;
	info->timer.sys_private = 0;
}

u64 posix_timer_cpu_check(struct process *p)
{
	struct posix_timer *t;
	struct sighand *s;
	u64 least = ~0ull;

	if (list_empty(&p->posix_timers))
		return ~0ull;
	s = lock_proc(p);
	list_for_each(t, &p->posix_timers, node) {
		u64 now;

		if (!t->is_cpu || !t->expires || !t->entry)
			continue;
		now = timer_now(t);
		if (now >= t->expires && !t->waiting)
			expire(t, now);
		if (t->expires)
			least = MIN(least, t->expires > now ? t->expires - now : NSEC_PER_MSEC);
	}
	spin_unlock(&s->lock);
	return least;
}

/* ---- life ---- */

static void free_timer(struct posix_timer *t)
{
	if (t->entry)
		sigqueue_free(t->entry);
	if (t->target)
		task_put(t->target);
	cpu_clock_put(&t->cpu);
	kfree(t);
}

/* Off the list already and `dead`. */
static void destroy_timer(struct posix_timer *t, struct task *any)
{
	struct sighand *s;

	ktimer_cancel_sync(&t->timer);
	if (t->entry) {
		s = lock_sighand(any);
		list_del(&t->entry->node);
		spin_unlock(&s->lock);
	}
	free_timer(t);
}

/* Its signal may be queued still, with nobody left to say which timer it was. sighand->lock held. */
static void forget_signal(struct posix_timer *t)
{
	struct sigpending *p;
	struct sigqueue_entry *q;
	bool other = false;

	t->dead = true;
	list_del(&t->node);
	if (!t->entry || list_empty(&t->entry->node))
		return;
	p = t->target ? &t->target->pending : &t->proc->shared_pending;
	list_del(&t->entry->node);
	list_for_each(q, &p->queue, node)
		other |= q->info.si_signo == t->signo;
	if (!other)
		p->set &= ~sigmask_of(t->signo);
}

void exit_itimers(struct process *p)
{
	struct task *me = current;

	for (;;) {
		struct sighand *s = lock_sighand(me);
		struct posix_timer *t = NULL;

		if (!list_empty(&p->posix_timers)) {
			t = list_first(&p->posix_timers, struct posix_timer, node);
			forget_signal(t);
		}
		spin_unlock(&s->lock);
		if (!t)
			return;
		destroy_timer(t, me);
	}
}

static struct posix_timer *find_timer(s32 id)
{
	struct posix_timer *t;

	list_for_each(t, &current->proc->posix_timers, node)
		if (t->id == id)
			return t;
	return NULL;
}

/* ---- timer_create(2) ---- */

static long check_clock(struct posix_timer *t, s32 clock)
{
	t->clock = clock;
	switch (clock_kind(clock)) {
	case CLOCK_WALL:
		return 0;
	case CLOCK_ALARM:
		return capable(CAP_WAKE_ALARM) ? 0 : -EPERM;
	case CLOCK_CPU_TIME:
		t->is_cpu = true;
		return cpu_clock_get(clock, &t->cpu);
	case CLOCK_SHOW:
		return -EOPNOTSUPP;
	case CLOCK_BAD:
		break;
	}
	return -EINVAL;
}

/* struct sigevent as user memory has it. */
struct sigevent_k {
	u64 value;
	s32 signo, notify, tid, pad[11];
};
_Static_assert(sizeof(struct sigevent_k) == 64, "sigevent");

static long set_target(struct posix_timer *t, const struct sigevent_k *ev)
{
	t->notify = ev->notify;
	t->signo = ev->signo;
	if ((ev->notify & ~SIGEV_THREAD_ID) == SIGEV_NONE)
		return 0;
	if (ev->signo < 1 || ev->signo > SIG_COUNT)
		return -EINVAL;
	switch (ev->notify) {
	case SIGEV_THREAD_ID:
		t->target = find_task_get(ev->tid);
		return t->target && t->target->proc == current->proc ? 0 : -EINVAL;
	case SIGEV_SIGNAL:
	case SIGEV_THREAD:
		return 0;
	}
	return -EINVAL;
}

static long make_entry(struct posix_timer *t, u64 value)
{
	if ((t->notify & ~SIGEV_THREAD_ID) == SIGEV_NONE)
		return 0;
	t->entry = sigqueue_prealloc();
	if (!t->entry)
		return -EAGAIN;
	t->entry->timer = t;
	t->entry->info = (siginfo_t_k){ .si_signo = t->signo, .si_code = SI_TIMER };
	t->entry->info.timer.tid = t->id;
	t->entry->info.timer.value = value;
	return 0;
}

static long publish(struct posix_timer *t, u64 uid)
{
	struct task *me = current;

	spin_lock(&me->sighand->lock);
	do
		t->id = (s32)(me->proc->next_timer_id++ & 0x7fffffff);
	while (find_timer(t->id));
	if (t->entry)
		t->entry->info.timer.tid = t->id;
	list_add_tail(&t->node, &me->proc->posix_timers);
	spin_unlock(&me->sighand->lock);
	return put_user(t->id, uid);
}

static void unpublish(struct posix_timer *t)
{
	spin_lock(&current->sighand->lock);
	forget_signal(t);
	spin_unlock(&current->sighand->lock);
}

SYSCALL3(timer_create, s32, clock, u64, uevent, u64, uid)
{
	struct sigevent_k ev = { .notify = SIGEV_SIGNAL, .signo = SIGALRM };
	struct posix_timer *t;
	long err;

	if (uevent && get_user(ev, uevent))
		return -EFAULT;
	t = kzalloc(sizeof(*t));
	if (!t)
		return -EAGAIN;
	t->proc = current->proc;
	ktimer_init(&t->timer, timer_fire);
	if ((err = check_clock(t, clock)) || (err = set_target(t, &ev)) || (err = make_entry(t, ev.value))) {
		free_timer(t);
		return err;
	}
	err = publish(t, uid);
	if (err) {
		unpublish(t);
		destroy_timer(t, current);
		return err;
	}
	if (!uevent && t->entry)
		t->entry->info.timer.value = (u64)t->id;
	return 0;
}

/* ---- the other calls ---- */

/* Lock held. */
static void get_setting(struct posix_timer *t, u64 now, struct itimerspec_k *it)
{
	u64 left = 0, expires = t->expires;

	if (expires && t->interval && now >= expires)
		expires += ((now - expires) / t->interval + 1) * t->interval;
	if (expires)
		left = expires > now ? expires - now : t->entry ? 1 : 0;
	it->value = ns_timespec(left);
	it->interval = ns_timespec(t->interval);
}

SYSCALL2(timer_gettime, s32, id, u64, ucur)
{
	struct itimerspec_k cur;
	struct posix_timer *t;

	account_own_time();
	lock_timers();
	t = find_timer(id);
	if (t)
		get_setting(t, timer_now(t), &cur);
	unlock_timers();
	return t ? put_user(cur, ucur) : -EINVAL;
}

/* Lock held. */
static void set_setting(struct posix_timer *t, bool absolute, const struct itimerspec_k *new, u64 now)
{
	u64 value = timespec_ns(&new->value);

	t->generation++;
	t->waiting = false;
	t->overrun = t->overrun_last = 0;
	t->interval = timespec_ns(&new->interval);
	t->expires = 0;
	if (!value)
		return;
	if (!absolute)
		t->expires = ns_add(now, value);
	else if (t->is_cpu)
		t->expires = value;
	else
		t->expires = MAX(clock_mono_deadline(t->clock, value), 1ull);
	if (t->entry)
		arm(t);
}

SYSCALL4(timer_settime, s32, id, s32, flags, u64, unew, u64, uold)
{
	struct itimerspec_k new, old = { 0 };
	struct posix_timer *t;
	bool cpu = false;
	u64 now;

	if (!unew)
		return -EINVAL;
	if (get_user(new, unew))
		return -EFAULT;
	if (!timespec_valid(&new.value) || !timespec_valid(&new.interval))
		return -EINVAL;
	account_own_time();
	lock_timers();
	t = find_timer(id);
	if (t) {
		ktimer_cancel(&t->timer);
		cpu = t->is_cpu;
		now = timer_now(t);
		get_setting(t, now, &old);
		set_setting(t, flags & TIMER_ABSTIME, &new, now);
	}
	unlock_timers();
	if (!t)
		return -EINVAL;
	if (cpu)
		cputimer_start(current->proc);
	return uold ? put_user(old, uold) : 0;
}

SYSCALL1(timer_getoverrun, s32, id)
{
	struct sighand *s = current->sighand;
	struct posix_timer *t;
	long ret = -EINVAL;

	spin_lock(&s->lock);
	t = find_timer(id);
	if (t)
		ret = t->overrun_last;
	spin_unlock(&s->lock);
	return ret;
}

SYSCALL1(timer_delete, s32, id)
{
	struct sighand *s = current->sighand;
	struct posix_timer *t;

	spin_lock(&s->lock);
	t = find_timer(id);
	if (t)
		forget_signal(t);
	spin_unlock(&s->lock);
	if (!t)
		return -EINVAL;
	destroy_timer(t, current);
	return 0;
}
