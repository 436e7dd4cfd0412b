/*
 * Priority-inheritance futexes: ownership is in the word (the owner's thread id), waiters are in the kernel. Unlocking hands
 * the lock to a chosen waiter in one step, so nobody can overtake; that is as far as inheritance goes with fair scheduling.
 */
#include <linux/errno.h>
#include <linux/futex.h>

#include "base/log.h"
#include "platform/platform.h"
#include "sentry/kernel/futex_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

static spinlock_t pi_lock = SPINLOCK_INIT; /* every task.pi_held, and pi_state.owner together with the bucket lock */

/* ---- pi_state; bucket locked ---- */

static struct pi_state *find_pi(struct futex_bucket *b, const struct futex_key *key)
{
	struct pi_state *p;

	list_for_each(p, &b->pi_states, node)
		if (key_equal(&p->key, key))
			return p;
	return NULL;
}

static void set_owner(struct pi_state *p, struct task *owner)
{
	struct task *old = p->owner;

	spin_lock(&pi_lock);
	list_del(&p->held_node);
	p->owner = owner ? task_get(owner) : NULL;
	if (owner)
		list_add(&p->held_node, &owner->pi_held);
	spin_unlock(&pi_lock);
	if (old)
		task_put(old);
}

static void put_pi(struct pi_state *p)
{
	if (refcount_dec_and_test(&p->ref))
		kfree(p);
}

static void start_pi(struct pi_state *p, struct futex_bucket *b, const struct futex_key *key, struct task *owner)
{
	refcount_set(&p->ref, 1);
	p->key = *key;
	p->bucket = b;
	p->nwaiters = 0;
	p->owner = NULL;
	list_init(&p->held_node);
	list_add(&p->node, &b->pi_states);
	set_owner(p, owner);
}

static void attach_waiter(struct futex_waiter *w, struct pi_state *p)
{
	w->pi = p;
	p->nwaiters++;
}

/* The last waiter takes the state with it: from then on the word says it all. */
static void detach_waiter(struct futex_waiter *w)
{
	struct pi_state *p = w->pi;

	w->pi = NULL;
	if (--p->nwaiters)
		return;
	set_owner(p, NULL);
	list_del(&p->node);
	put_pi(p);
}

/* Real-time priorities first, then who came first. */
static struct futex_waiter *top_waiter(struct futex_bucket *b, const struct futex_key *key)
{
	struct futex_waiter *w, *best = NULL;

	list_for_each(w, &b->waiters, node)
		if (w->pi && key_equal(&w->key, key) && (!best || w->task->rt_prio > best->task->rt_prio))
			best = w;
	return best;
}

/* ---- taking the lock ---- */

enum take { TAKEN, MUST_WAIT };

/* Who the word says owns it; a reference. */
static struct task *find_owner(u32 tid)
{
	struct task *t = find_task_get((s32)tid);

	if (!t)
		return ERR_PTR(-ESRCH);
	if (t->is_kthread) {
		task_put(t);
		return ERR_PTR(-EPERM);
	}
	if (atomic_load(&t->flags) & TIF_EXITING) {
		task_put(t);
		return ERR_PTR(-EBUSY); /* its robust list is being walked: look again */
	}
	return t;
}

/*
 * Bucket locked. For `who`: take the free lock, or mark it contended and make *state the futex's (using *spare for a new
 * one). -EFAULT, -EDEADLK, -ESRCH, -EBUSY (owner is exiting), -EAGAIN (the word changed).
 */
static int take_or_contend(u64 uaddr, struct futex_bucket *b, const struct futex_key *key, struct task *who, bool contended,
			   struct pi_state **spare, struct pi_state **state)
{
	u32 tid = (u32)task_tid(who), val, prev;
	struct pi_state *p;
	struct task *owner;

	if (futex_peek(uaddr, &val))
		return -EFAULT;
	if ((val & FUTEX_TID) == tid)
		return -EDEADLK;
	p = find_pi(b, key);
	if (!p && !(val & FUTEX_TID)) {
		u32 new = (val & FUTEX_OWNER_DIED) | tid | (contended ? FUTEX_WAITERS : 0);

		if (futex_cmpxchg(uaddr, val, new, &prev))
			return -EFAULT;
		return prev == val ? TAKEN : -EAGAIN;
	}
	if (!(val & FUTEX_WAITERS)) {
		if (futex_cmpxchg(uaddr, val, val | FUTEX_WAITERS, &prev))
			return -EFAULT;
		if (prev != val)
			return -EAGAIN;
	}
	if (!p) {
		owner = find_owner(val & FUTEX_TID);
		if (IS_ERR(owner))
			return (int)PTR_ERR(owner);
		p = *spare;
		*spare = NULL;
		start_pi(p, b, key, owner);
		task_put(owner);
	}
	*state = p;
	return MUST_WAIT;
}

/* Take without waiting. */
static long try_lock(const struct futex_op *op, struct futex_bucket *b, const struct futex_key *key)
{
	u32 tid = (u32)task_tid(current), val, prev;
	long ret = -EAGAIN;

	for (;;) {
		spin_lock(&b->lock);
		if (futex_peek(op->uaddr, &val)) {
			ret = -EFAULT;
		} else if ((val & FUTEX_TID) == tid) {
			ret = -EDEADLK;
		} else if (!find_pi(b, key) && !(val & FUTEX_TID)) {
			ret = futex_cmpxchg(op->uaddr, val, (val & (FUTEX_OWNER_DIED | FUTEX_WAITERS)) | tid, &prev);
			if (!ret && prev != val)
				ret = -EBUSY;
		}
		spin_unlock(&b->lock);
		if (ret == -EFAULT && !futex_fault_in(op->uaddr, true))
			ret = -EBUSY;
		if (ret != -EBUSY)
			return ret;
		ret = -EAGAIN;
	}
}

/* The dead owner's word: the new owner writes itself in. */
static long claim_from_dead(u64 uaddr)
{
	u32 tid = (u32)task_tid(current), val, prev;

	if (get_user(val, uaddr))
		return -EFAULT;
	for (;;) {
		if (cmpxchg_user32(uaddr, val, tid | FUTEX_WAITERS | FUTEX_OWNER_DIED, &prev))
			return -EFAULT;
		if (prev == val)
			return 0;
		val = prev;
	}
}

/* After the sleep. `ret` is why it ended. */
static long lock_finish(struct futex_waiter *w, u64 uaddr, long ret)
{
	struct futex_bucket *b = futex_lock_waiter(w);

	if (b) { /* nobody granted it */
		futex_dequeue(w);
		detach_waiter(w);
		spin_unlock(&b->lock);
		return ret == -ERESTARTSYS ? -ERESTARTNOINTR : ret;
	}
	return w->owner_died ? claim_from_dead(uaddr) : 0;
}

static void back_off(void)
{
	set_current_state(TASK_UNINTERRUPTIBLE);
	schedule_until(clock_mono_ns() + 50 * NSEC_PER_USEC);
}

/* One attempt with the bucket locked; queued when it returns MUST_WAIT. */
static int lock_attempt(const struct futex_op *op, struct futex_waiter *w, struct futex_bucket *b, struct pi_state **spare)
{
	struct pi_state *state;
	int got;

	atomic_fetch_add(&b->nwaiters, 1);
	spin_lock(&b->lock);
	got = take_or_contend(op->uaddr, b, &w->key, current, false, spare, &state);
	if (got == MUST_WAIT) {
		futex_enqueue(w, b);
		attach_waiter(w, state);
		set_current_state(TASK_INTERRUPTIBLE);
	} else {
		atomic_fetch_sub(&b->nwaiters, 1);
	}
	spin_unlock(&b->lock);
	return got;
}

long futex_lock_pi(const struct futex_op *op, bool try)
{
	struct pi_state *spare = NULL;
	struct futex_bucket *b;
	struct futex_waiter w;
	struct futex_key key;
	long ret = futex_get_key(op->uaddr, op->shared, &key);

	if (ret)
		return ret;
	b = futex_bucket(&key);
	if (try)
		return try_lock(op, b, &key);
	futex_waiter_init(&w, &key, FUTEX_MATCH_ANY);
	do {
		if (!spare && !(spare = kzalloc(sizeof(*spare))))
			return -ENOMEM;
		ret = lock_attempt(op, &w, b, &spare);
		if (ret == -EFAULT)
			ret = futex_fault_in(op->uaddr, true) ? -EFAULT : -EAGAIN;
		if (ret == -EBUSY) {
			back_off();
			ret = -EAGAIN;
		}
	} while (ret == -EAGAIN && !signal_pending());
	kfree(spare);
	if (ret == -EAGAIN)
		return -ERESTARTNOINTR;
	if (ret != MUST_WAIT)
		return ret;
	return lock_finish(&w, op->uaddr, futex_sleep(&w, op->deadline));
}

/* ---- giving it up ---- */

/* Bucket locked; w gets the lock. */
static void grant(struct futex_waiter *w, bool owner_died)
{
	struct pi_state *p = w->pi;

	set_owner(p, w->task);
	w->granted = true;
	w->owner_died = owner_died;
	detach_waiter(w);
	futex_wake_waiter(w);
}

static int hand_over(u64 uaddr, struct futex_waiter *w, u32 val)
{
	u32 prev;

	if (futex_cmpxchg(uaddr, val, (u32)task_tid(w->task) | FUTEX_WAITERS, &prev))
		return -EFAULT;
	if (prev != val)
		return (prev & ~FUTEX_WAITERS) == (val & ~FUTEX_WAITERS) ? -EAGAIN : -EINVAL;
	grant(w, false);
	return 0;
}

static int unlock_attempt(u64 uaddr, struct futex_bucket *b, const struct futex_key *key)
{
	struct futex_waiter *w;
	struct pi_state *p;
	u32 val, prev;

	if (futex_peek(uaddr, &val))
		return -EFAULT;
	if ((val & FUTEX_TID) != (u32)task_tid(current))
		return -EPERM;
	w = top_waiter(b, key);
	if (w) {
		p = find_pi(b, key);
		return p->owner == current ? hand_over(uaddr, w, val) : -EINVAL;
	}
	if (futex_cmpxchg(uaddr, val, 0, &prev))
		return -EFAULT;
	return prev == val ? 0 : -EAGAIN;
}

long futex_unlock_pi(const struct futex_op *op)
{
	struct futex_bucket *b;
	struct futex_key key;
	long ret;
	u32 val;

	if (get_user(val, op->uaddr))
		return -EFAULT;
	if ((val & FUTEX_TID) != (u32)task_tid(current))
		return -EPERM;
	ret = futex_get_key(op->uaddr, op->shared, &key);
	if (ret)
		return ret;
	b = futex_bucket(&key);
	do {
		spin_lock(&b->lock);
		ret = unlock_attempt(op->uaddr, b, &key);
		spin_unlock(&b->lock);
		if (ret == -EFAULT && !futex_fault_in(op->uaddr, true))
			ret = -EAGAIN;
	} while (ret == -EAGAIN);
	return ret;
}

/* A thread dies owning contended locks: each goes to its first waiter, who will find FUTEX_OWNER_DIED in the word. */
static struct pi_state *first_held(struct task *t)
{
	struct pi_state *p = NULL;

	spin_lock(&pi_lock);
	if (!list_empty(&t->pi_held)) {
		p = list_first(&t->pi_held, struct pi_state, held_node);
		refcount_inc(&p->ref);
	}
	spin_unlock(&pi_lock);
	return p;
}

void futex_exit_pi(struct task *t)
{
	struct futex_waiter *w;
	struct pi_state *p;

	while (!list_empty(&t->pi_held) && (p = first_held(t))) {
		struct futex_bucket *b = p->bucket;

		spin_lock(&b->lock);
		if (p->owner == t) {
			w = top_waiter(b, &p->key);
			if (w)
				grant(w, true);
			else
				set_owner(p, NULL);
		}
		spin_unlock(&b->lock);
		put_pi(p);
	}
}

/* ---- condition variables: from a plain futex to a PI futex ---- */

static long requeue_finish(struct futex_waiter *w, const struct futex_op *op, long ret)
{
	struct futex_bucket *b = futex_lock_waiter(w);

	if (!b) {
		if (!w->granted)
			return -EAGAIN; /* a plain wake-up, which this futex should not get */
		return w->owner_died ? claim_from_dead(op->uaddr2) : 0;
	}
	futex_dequeue(w);
	if (w->pi) { /* moved already: as an interrupted FUTEX_LOCK_PI */
		detach_waiter(w);
		if (ret == -ERESTARTSYS)
			ret = -EAGAIN;
	} else if (ret == -ERESTARTSYS) {
		ret = -ERESTARTNOINTR;
	}
	spin_unlock(&b->lock);
	return ret;
}

long futex_wait_requeue_pi(const struct futex_op *op)
{
	struct futex_waiter w;
	struct futex_key key, key2;
	long ret;

	if (op->uaddr == op->uaddr2 || !op->val3)
		return -EINVAL;
	if ((ret = futex_get_key(op->uaddr, op->shared, &key)) || (ret = futex_get_key(op->uaddr2, op->shared, &key2)))
		return ret;
	if (key_equal(&key, &key2))
		return -EINVAL;
	futex_waiter_init(&w, &key, op->val3);
	w.requeue_pi = true;
	w.key2 = key2;
	w.uaddr2 = op->uaddr2;
	ret = futex_wait_setup(&w, op->uaddr, op->val);
	if (ret)
		return ret;
	return requeue_finish(&w, op, futex_sleep(&w, op->deadline));
}

struct requeue {
	const struct futex_op *op;
	struct futex_bucket *b1, *b2;
	struct futex_key k1, k2;
	struct pi_state *spare, *state;
	u64 done;
};

static struct futex_waiter *next_requeue(struct requeue *r)
{
	struct futex_waiter *w;

	list_for_each(w, &r->b1->waiters, node)
		if (key_equal(&w->key, &r->k1))
			return w;
	return NULL;
}

/* Both buckets locked. One waiter gets or waits for the second futex. 0, or why it cannot. */
static int requeue_one(struct requeue *r, struct futex_waiter *w, bool contended)
{
	int got;

	if (!w->requeue_pi || w->pi || !key_equal(&w->key2, &r->k2))
		return -EINVAL;
	if (!r->state) {
		got = take_or_contend(r->op->uaddr2, r->b2, &r->k2, w->task, contended, &r->spare, &r->state);
		if (got < 0)
			return got;
		if (got == TAKEN) {
			w->granted = true;
			futex_wake_waiter(w);
			r->done++;
			return 0;
		}
	}
	futex_move(w, r->b2, &r->k2);
	attach_waiter(w, r->state);
	r->done++;
	return 0;
}

static int requeue_pi_locked(struct requeue *r)
{
	u64 limit = 1 + (u64)r->op->val2;
	struct futex_waiter *w;
	int err = 0;
	u32 now;

	if (futex_peek(r->op->uaddr, &now))
		return -EFAULT;
	if (now != r->op->val3)
		return -EDOM; /* the value changed: told apart from a retry */
	while (!err && r->done < limit && (w = next_requeue(r))) {
		if (!r->state && !r->spare)
			return -ENOMEM;
		err = requeue_one(r, w, r->op->val2 > 0);
	}
	return err;
}

long futex_cmp_requeue_pi(const struct futex_op *op)
{
	struct requeue r = { .op = op };
	long ret;

	if (op->uaddr == op->uaddr2 || op->val != 1 || (s32)op->val2 < 0)
		return -EINVAL;
	if ((ret = futex_get_key(op->uaddr, op->shared, &r.k1)) || (ret = futex_get_key(op->uaddr2, op->shared, &r.k2)))
		return ret;
	if (key_equal(&r.k1, &r.k2))
		return -EINVAL;
	r.b1 = futex_bucket(&r.k1);
	r.b2 = futex_bucket(&r.k2);
	do {
		if (!r.spare && !(r.spare = kzalloc(sizeof(*r.spare))))
			return -ENOMEM;
		r.state = NULL;
		futex_lock_two(r.b1, r.b2);
		ret = requeue_pi_locked(&r);
		futex_unlock_two(r.b1, r.b2);
		if (ret == -EFAULT && !futex_fault_in(op->uaddr, false) && !futex_fault_in(op->uaddr2, true))
			ret = -EAGAIN;
		if (ret == -EBUSY) {
			back_off();
			ret = -EAGAIN;
		}
	} while (ret == -EAGAIN && !fatal_signal_pending());
	kfree(r.spare);
	if (ret == -EDOM)
		return -EAGAIN;
	return ret && !r.done ? ret : (long)r.done;
}
