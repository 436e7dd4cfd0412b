#include "sentry/kernel/wait.h"

#include <linux/errno.h>

#include "sentry/kernel/task.h"

void waitq_init(struct waitq *q)
{
	spin_lock_init(&q->lock);
	list_init(&q->waiters);
}

static void add_locked(struct waitq *q, struct waiter *w)
{
	if (w->exclusive)
		list_add_tail(&w->node, &q->waiters);
	else
		list_add(&w->node, &q->waiters);
}

void waitq_add(struct waitq *q, struct waiter *w)
{
	spin_lock(&q->lock);
	add_locked(q, w);
	spin_unlock(&q->lock);
}

void waitq_remove(struct waitq *q, struct waiter *w)
{
	spin_lock(&q->lock);
	if (w->node.next)
		list_del(&w->node);
	spin_unlock(&q->lock);
}

void prepare_to_wait(struct waitq *q, struct waiter *w, enum task_state state)
{
	w->task = current;
	spin_lock(&q->lock);
	if (list_empty(&w->node))
		add_locked(q, w);
	set_current_state(state);
	spin_unlock(&q->lock);
}

void finish_wait(struct waitq *q, struct waiter *w)
{
	atomic_store_explicit(&current->state, TASK_RUNNING, memory_order_relaxed);
	waitq_remove(q, w);
}

void wake_up_key(struct waitq *q, u32 key, int nr_exclusive)
{
	struct waiter *w, *tmp;

	atomic_thread_fence(memory_order_seq_cst); /* the condition before the look at the queue; pairs with prepare_to_wait() */
	if (!waitq_active(q))
		return;
	spin_lock(&q->lock);
	list_for_each_safe(w, tmp, &q->waiters, node) {
		bool exclusive = w->exclusive;
		bool woke = w->fn ? w->fn(w, key) : wake_up_task(w->task);

		if (woke && exclusive && nr_exclusive && --nr_exclusive == 0)
			break;
	}
	spin_unlock(&q->lock);
}

void set_current_state(enum task_state state)
{
	atomic_store(&current->state, state);
}

/* A task's own sleep ends. */
static void sleep_over(struct ktimer *timer)
{
	wake_up_state(container_of(timer, struct task, sleep_timer), TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE | TASK_KILLABLE);
}

bool schedule_until(u64 deadline_ns)
{
	struct ktimer *timer = &current->sleep_timer;

	if (deadline_ns == ~0ull) {
		schedule();
		return false;
	}
	if (clock_mono_ns() >= deadline_ns) {
		atomic_store(&current->state, TASK_RUNNING);
		return true;
	}
	timer->fn = sleep_over;
	ktimer_start(timer, deadline_ns);
	schedule();
	return !ktimer_cancel(timer);
}

bool signal_pending(void)
{
	return atomic_load_explicit(&current->flags, memory_order_acquire) & TIF_SIGPENDING;
}

bool fatal_signal_pending(void)
{
	struct task *t = current;

	if (t->is_kthread) /* interrupted because who it works for is ending */
		return signal_pending();
	return signal_pending() && t->proc &&
	       ((READ_ONCE(t->pending.set) & sigmask_of(9)) || ((READ_ONCE(t->proc->flags) & PROC_GROUP_EXIT) && t->proc->core_dumper != t));
}
