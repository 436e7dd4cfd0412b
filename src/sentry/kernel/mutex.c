/* A mutex in the manner of Drepper's "Futexes Are Tricky" (2011), mutex2, with a short spin while the owner runs. */
#include <linux/errno.h>

#include "base/log.h"
#include "sentry/kernel/task.h"

enum { MUTEX_FREE, MUTEX_HELD, MUTEX_CONTENDED };
#define OWNER_SPINS 100

void mutex_init(struct mutex *m)
{
	atomic_store_explicit(&m->state, MUTEX_FREE, memory_order_relaxed);
	waitq_init(&m->q);
	m->owner = NULL;
}

bool mutex_trylock(struct mutex *m)
{
	u32 old = MUTEX_FREE;

	if (!atomic_compare_exchange_strong_explicit(&m->state, &old, MUTEX_HELD, memory_order_acquire,
						     memory_order_relaxed))
		return false;
	WRITE_ONCE(m->owner, current);
	return true;
}

static bool spin_for(struct mutex *m)
{
	if (num_cpus() == 1)
		return false;
	for (u32 i = 0; i < OWNER_SPINS && atomic_load_explicit(&m->state, memory_order_relaxed) != MUTEX_CONTENDED; i++) {
		if (mutex_trylock(m))
			return true;
		__builtin_ia32_pause();
	}
	return false;
}

static long lock_slow(struct mutex *m, enum task_state state)
{
	struct waiter w = { .exclusive = true };
	long err = 0;

	if (spin_for(m))
		return 0;
	list_init(&w.node);
	for (;;) {
		prepare_to_wait(&m->q, &w, state);
		if (atomic_exchange_explicit(&m->state, MUTEX_CONTENDED, memory_order_acquire) == MUTEX_FREE)
			break;
		if (state == TASK_KILLABLE && fatal_signal_pending()) {
			err = -EINTR;
			break;
		}
		schedule();
	}
	finish_wait(&m->q, &w);
	if (err)
		wake_up(&m->q); /* a wake-up meant for us goes on to the next */
	else
		WRITE_ONCE(m->owner, current);
	return err;
}

void mutex_lock(struct mutex *m)
{
	if (unlikely(!mutex_trylock(m)))
		lock_slow(m, TASK_UNINTERRUPTIBLE);
}

long mutex_lock_killable(struct mutex *m)
{
	return likely(mutex_trylock(m)) ? 0 : lock_slow(m, TASK_KILLABLE);
}

void mutex_unlock(struct mutex *m)
{
	BUG_ON(m->owner != current);
	WRITE_ONCE(m->owner, NULL);
	if (unlikely(atomic_exchange_explicit(&m->state, MUTEX_FREE, memory_order_release) == MUTEX_CONTENDED))
		wake_up(&m->q);
}
