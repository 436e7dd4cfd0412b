/*
 * Wait queues, sleeping locks and the scheduler's entry points: how anything in the sentry blocks.
 *
 * The pattern is always: prepare_to_wait(), check the condition, schedule(), finish_wait(); the macros below do it.
 * A waker makes the condition true first and then calls wake_up*(). Lock order: anything -> waitq.lock -> rq lock.
 */
#ifndef SENTRY_WAIT_H
#define SENTRY_WAIT_H

#include "base/list.h"
#include "base/lock.h"
#include "base/types.h"

struct task;

enum task_state {
	TASK_RUNNING = 0,
	TASK_INTERRUPTIBLE = 1,	  /* any signal wakes it */
	TASK_UNINTERRUPTIBLE = 2,
	TASK_KILLABLE = 4,	  /* only a fatal signal wakes it */
	TASK_STOPPED = 8,	  /* job control */
	TASK_TRACED = 16,
	TASK_DEAD = 32,
};

struct waiter {
	struct list_head node;
	struct task *task;
	bool exclusive;
	/* Called under waitq.lock with the wake-up's key (EPOLL* bits, or ~0u). True: counts as a wake-up of an exclusive
	 * waiter. NULL means: wake ->task. Must not sleep or take the same queue's lock. */
	bool (*fn)(struct waiter *w, u32 key);
};
struct waitq {
	spinlock_t lock;
	struct list_head waiters; /* exclusive ones at the end */
};
#define WAITQ_INIT(name) { SPINLOCK_INIT, LIST_HEAD_INIT((name).waiters) }

void waitq_init(struct waitq *q);
void waitq_add(struct waitq *q, struct waiter *w);    /* w->fn/task set by the caller; w->exclusive respected */
void waitq_remove(struct waitq *q, struct waiter *w); /* idempotent; afterwards fn is not running */
static inline bool waitq_active(struct waitq *q) { return !list_empty(&q->waiters); }

/* Put the current task on q (once) and set its state. */
void prepare_to_wait(struct waitq *q, struct waiter *w, enum task_state state);
void finish_wait(struct waitq *q, struct waiter *w);

/* Wake every non-exclusive waiter and at most nr_exclusive exclusive ones (0: all). key: EPOLL* bits or ~0u. */
void wake_up_key(struct waitq *q, u32 key, int nr_exclusive);
static inline void wake_up(struct waitq *q) { wake_up_key(q, ~0u, 1); }
static inline void wake_up_all(struct waitq *q) { wake_up_key(q, ~0u, 0); }
static inline void wake_up_poll(struct waitq *q, u32 events) { wake_up_key(q, events, 1); }

/* Make a task runnable if its state is in `mask`. True when it was asleep. */
bool wake_up_state(struct task *t, u32 mask);
static inline bool wake_up_task(struct task *t)
{
	return wake_up_state(t, TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE | TASK_KILLABLE);
}

void set_current_state(enum task_state state); /* with the barrier that pairs with wake_up_state() */
void schedule(void);			       /* give up the vCPU; returns when woken (or at once if RUNNING) */
/* Absolute monotonic deadline in ns; ~0ull never. True when the deadline passed before a wake-up. */
bool schedule_until(u64 deadline_ns);
bool signal_pending(void);	 /* the current task has a deliverable signal, or is being killed or stopped */
bool fatal_signal_pending(void); /* the current task is being killed */

/* Returns 0, or -ERESTARTSYS when a signal came first, or -ETIMEDOUT... `deadline` as schedule_until. */
#define wait_event_full(q, cond, state, deadline)                                       \
	({                                                                              \
		struct waiter w__ = { 0 };                                              \
		long ret__ = 0;                                                         \
		bool late__ = false;                                                    \
		list_init(&w__.node);                                                   \
		for (;;) {                                                              \
			prepare_to_wait(&(q), &w__, (state));                           \
			if (cond)                                                       \
				break;                                                  \
			if (late__) {                                                   \
				ret__ = -ETIMEDOUT;                                     \
				break;                                                  \
			}                                                               \
			if (((state) == TASK_INTERRUPTIBLE && signal_pending()) ||      \
			    ((state) == TASK_KILLABLE && fatal_signal_pending())) {     \
				ret__ = -ERESTARTSYS;                                   \
				break;                                                  \
			}                                                               \
			late__ = schedule_until(deadline);                              \
		}                                                                       \
		finish_wait(&(q), &w__);                                                \
		ret__;                                                                  \
	})
#define wait_event(q, cond) ((void)wait_event_full(q, cond, TASK_UNINTERRUPTIBLE, ~0ull))
#define wait_event_interruptible(q, cond) wait_event_full(q, cond, TASK_INTERRUPTIBLE, ~0ull)
#define wait_event_killable(q, cond) wait_event_full(q, cond, TASK_KILLABLE, ~0ull)
#define wait_event_interruptible_until(q, cond, deadline) \
	wait_event_full(q, cond, TASK_INTERRUPTIBLE, deadline)

/* Sleeping locks. Owner only unlocks. */
struct mutex {
	_Atomic u32 state; /* 0 free, 1 held, 2 held with waiters */
	struct waitq q;
	struct task *owner;
};
void mutex_init(struct mutex *m);
void mutex_lock(struct mutex *m);
long mutex_lock_killable(struct mutex *m); /* 0 or -EINTR */
bool mutex_trylock(struct mutex *m);
void mutex_unlock(struct mutex *m);

struct rwsem {
	spinlock_t lock;
	s32 count; /* readers, or -1 for a writer */
	u32 writers_waiting;
	struct waitq q;
};
void rwsem_init(struct rwsem *s);
void down_read(struct rwsem *s);
void up_read(struct rwsem *s);
void down_write(struct rwsem *s);
void up_write(struct rwsem *s);
void downgrade_write(struct rwsem *s);

/* Internal restart codes (never seen by applications), as in Linux. */
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514
#define ERESTART_RESTARTBLOCK 516

#endif
