/*
 * Reader-writer semaphores, strictly first come first served: whoever releases gives the lock to the waiter at the head, or to
 * all readers at the head. So nobody starves and a release wakes only those who have the lock already.
 */
#include "sentry/kernel/task.h"

#define RWSEM_SPINS 40

struct rw_waiter {
	struct list_head node; /* in s->q.waiters, under s->lock */
	struct task *task;
	bool write;
	_Atomic bool granted;
};

void rwsem_init(struct rwsem *s)
{
	spin_lock_init(&s->lock);
	s->count = 0;
	s->writers_waiting = 0;
	waitq_init(&s->q);
}

static void grant(struct rwsem *s, struct rw_waiter *w)
{
	list_del(&w->node);
	if (w->write) {
		s->count = -1;
		s->writers_waiting--;
	} else {
		s->count++;
	}
	/* The waiter takes s->lock once more before it leaves, so w lives until we unlock. */
	atomic_store(&w->granted, true);
	wake_up_state(w->task, TASK_UNINTERRUPTIBLE);
}

static void grant_waiters(struct rwsem *s)
{
	while (!list_empty(&s->q.waiters)) {
		struct rw_waiter *w = list_first(&s->q.waiters, struct rw_waiter, node);

		if (w->write ? s->count != 0 : s->count < 0)
			return;
		grant(s, w);
	}
}

/* s->lock is held and released. */
static void wait_for_grant(struct rwsem *s, bool write)
{
	struct rw_waiter w = { .task = current, .write = write };

	list_add_tail(&w.node, &s->q.waiters);
	s->writers_waiting += write;
	spin_unlock(&s->lock);
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		if (atomic_load(&w.granted))
			break;
		schedule();
	}
	set_current_state(TASK_RUNNING);
	spin_lock(&s->lock);
	spin_unlock(&s->lock);
}

/* s->lock held. */
static bool take(struct rwsem *s, bool write)
{
	if (!list_empty(&s->q.waiters) || (write ? s->count != 0 : s->count < 0))
		return false;
	s->count = write ? -1 : s->count + 1;
	return true;
}

/* Sections are short and their holders run, as a rule: sleeping costs two switches. s->lock is held, and held again after. */
static bool spin_for(struct rwsem *s, bool write)
{
	if (num_cpus() == 1)
		return false;
	for (u32 i = 0; i < RWSEM_SPINS; i++) {
		if (!list_empty(&s->q.waiters))
			return false;
		spin_unlock(&s->lock);
		__builtin_ia32_pause();
		spin_lock(&s->lock);
		if (take(s, write))
			return true;
	}
	return false;
}

static void down_slow(struct rwsem *s, bool write)
{
	if (spin_for(s, write))
		spin_unlock(&s->lock);
	else
		wait_for_grant(s, write);
}

void down_read(struct rwsem *s)
{
	spin_lock(&s->lock);
	if (likely(take(s, false)))
		spin_unlock(&s->lock);
	else
		down_slow(s, false);
}

void up_read(struct rwsem *s)
{
	spin_lock(&s->lock);
	if (--s->count == 0)
		grant_waiters(s);
	spin_unlock(&s->lock);
}

void down_write(struct rwsem *s)
{
	spin_lock(&s->lock);
	if (likely(take(s, true)))
		spin_unlock(&s->lock);
	else
		down_slow(s, true);
}

void up_write(struct rwsem *s)
{
	spin_lock(&s->lock);
	s->count = 0;
	grant_waiters(s);
	spin_unlock(&s->lock);
}

void downgrade_write(struct rwsem *s)
{
	spin_lock(&s->lock);
	s->count = 1;
	grant_waiters(s);
	spin_unlock(&s->lock);
}
