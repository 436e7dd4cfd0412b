/*
 * Reader-writer semaphores, strictly first come first served: whoever releases gives the lock to the waiter at the head, or to
 * all readers at the head. So nobody starves and a release wakes only those who have the lock already.
 */
#include "sentry/kernel/task.h"

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

void down_read(struct rwsem *s)
{
	spin_lock(&s->lock);
	if (likely(s->count >= 0 && list_empty(&s->q.waiters))) {
		s->count++;
		spin_unlock(&s->lock);
		return;
	}
	wait_for_grant(s, false);
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
	if (likely(s->count == 0 && list_empty(&s->q.waiters))) {
		s->count = -1;
		spin_unlock(&s->lock);
		return;
	}
	wait_for_grant(s, true);
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
