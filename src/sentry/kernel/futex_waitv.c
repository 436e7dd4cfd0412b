/* futex_waitv(2): wait for any of up to 128 futexes. */
#include <linux/errno.h>
#include <linux/futex.h>
#include <linux/time.h>

#include "sentry/kernel/clock.h"
#include "sentry/kernel/futex_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"

struct waitv {
	struct futex_waitv user;
	struct futex_waiter w;
};

static long get_waiters(struct waitv *v, u64 uwaiters, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		struct futex_waitv *u = &v[i].user;
		struct futex_key key;
		long err;

		if (get_user(*u, uwaiters + i * sizeof(*u)))
			return -EFAULT;
		if ((u->flags & ~(u32)(FUTEX_32 | FUTEX_PRIVATE_FLAG)) || !(u->flags & FUTEX_32) || u->__reserved)
			return -EINVAL;
		err = futex_get_key(u->uaddr, !(u->flags & FUTEX_PRIVATE_FLAG), &key);
		if (err)
			return err;
		futex_waiter_init(&v[i].w, &key, FUTEX_MATCH_ANY);
	}
	return 0;
}

/* Off all queues; the index of one that was woken, or -1. */
static long unqueue_all(struct waitv *v, u32 n)
{
	long woke = -1;

	for (u32 i = 0; i < n; i++)
		if (!futex_unqueue(&v[i].w))
			woke = i;
	return woke;
}

/* On all queues. 0; an index that was woken meanwhile is returned in *woke. */
static long queue_all(struct waitv *v, u32 n, long *woke)
{
	*woke = -1;
	for (u32 i = 0; i < n; i++) {
		long err = futex_wait_setup(&v[i].w, v[i].user.uaddr, (u32)v[i].user.val);

		if (err) {
			set_current_state(TASK_RUNNING);
			*woke = unqueue_all(v, i);
			return err;
		}
	}
	return 0;
}

static bool any_woken(struct waitv *v, u32 n)
{
	for (u32 i = 0; i < n; i++)
		if (!atomic_load_explicit(&v[i].w.bucket, memory_order_acquire))
			return true;
	return false;
}

static long sleep_all(struct waitv *v, u32 n, u64 deadline)
{
	bool late = false;
	long ret = 0;

	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (any_woken(v, n))
			break;
		if (signal_pending())
			ret = -ERESTARTSYS;
		else if (late)
			ret = -ETIMEDOUT;
		if (ret)
			break;
		late = schedule_until(deadline);
	}
	set_current_state(TASK_RUNNING);
	return ret;
}

static long wait_multiple(struct waitv *v, u32 n, u64 deadline)
{
	long woke, ret = queue_all(v, n, &woke);

	if (ret)
		return woke >= 0 ? woke : ret;
	ret = sleep_all(v, n, deadline);
	woke = unqueue_all(v, n);
	return woke >= 0 ? woke : ret;
}

static long waitv_deadline(u64 uts, s32 clock, u64 *deadline)
{
	struct timespec_k ts;
	u64 now, when, mono = clock_mono_ns();

	*deadline = ~0ull;
	if (!uts)
		return 0;
	if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME)
		return -EINVAL;
	if (get_user(ts, uts))
		return -EFAULT;
	if (ts.sec < 0 || ts.nsec < 0 || ts.nsec >= (s64)NSEC_PER_SEC)
		return -EINVAL;
	if ((u64)ts.sec >= (~0ull >> 2) / NSEC_PER_SEC)
		return 0;
	when = (u64)ts.sec * NSEC_PER_SEC + (u64)ts.nsec;
	now = clock == CLOCK_REALTIME ? clock_real_ns() : clock_read_ns(CLOCK_MONOTONIC);
	*deadline = when > now ? mono + (when - now) : 0;
	return 0;
}

SYSCALL5(futex_waitv, u64, uwaiters, u32, n, u32, flags, u64, uts, s32, clock)
{
	struct waitv *v;
	u64 deadline;
	long ret;

	if (flags || !n || n > FUTEX_WAITV_MAX || !uwaiters)
		return -EINVAL;
	ret = waitv_deadline(uts, clock, &deadline);
	if (ret)
		return ret;
	v = kmalloc(n * sizeof(*v));
	if (!v)
		return -ENOMEM;
	ret = get_waiters(v, uwaiters, n);
	if (!ret)
		ret = wait_multiple(v, n, deadline);
	kfree(v);
	return ret;
}
