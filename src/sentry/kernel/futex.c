/* Futexes: keys, buckets, waiting, waking, requeueing: futex(2). */
#include <linux/errno.h>
#include <linux/futex.h>
#include <linux/time.h>

#include "base/log.h"
#include "base/string.h"
#include "platform/platform.h"
#include "sentry/kernel/boot.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/futex_internal.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"

#define BUCKETS 4096u
static struct futex_bucket *buckets;

void futex_init(void)
{
	buckets = vmalloc_pages(BUCKETS * sizeof(*buckets));
	BUG_ON(!buckets);
}

/* ---- keys and buckets ---- */

static int shared_key(struct mm *mm, u64 uaddr, struct futex_key *key)
{
	struct vma *vma;
	int err = -EFAULT;

	down_read(&mm->lock);
	vma = vma_find(mm, uaddr);
	if (vma && vma->start <= uaddr) {
		err = 0;
		if ((vma->flags & VM_SHARED) && vma->file) {
			key->space = vma->file->inode;
			key->page = vma->pgoff + ((uaddr - vma->start) >> PAGE_SHIFT);
		}
	}
	up_read(&mm->lock);
	return err;
}

int futex_get_key(u64 uaddr, bool shared, struct futex_key *key)
{
	if (uaddr & 3)
		return -EINVAL;
	if (!access_ok(uaddr, sizeof(u32)))
		return -EFAULT;
	key->space = current->mm;
	key->page = uaddr >> PAGE_SHIFT;
	key->offset = (u32)(uaddr & ~PAGE_MASK);
	return shared ? shared_key(current->mm, uaddr, key) : 0;
}

/* At the first use: memory that no futex hashes to is never touched. */
static void bucket_init(struct futex_bucket *b)
{
	spin_lock(&b->lock);
	if (!b->waiters.next) {
		list_init(&b->pi_states);
		list_init(&b->waiters);
	}
	spin_unlock(&b->lock);
}

struct futex_bucket *futex_bucket(const struct futex_key *key)
{
	struct futex_bucket *b;
	u64 h = (u64)key->space ^ (key->page * 0x9e3779b97f4a7c15ull) ^ ((u64)key->offset << 32);

	h *= 0xff51afd7ed558ccdull;
	b = &buckets[(h >> 40) % BUCKETS];
	if (unlikely(!READ_ONCE(b->waiters.next)))
		bucket_init(b);
	return b;
}

void futex_lock_two(struct futex_bucket *a, struct futex_bucket *b)
{
	spin_lock(a < b ? &a->lock : &b->lock);
	if (a != b)
		spin_lock(a < b ? &b->lock : &a->lock);
}

void futex_unlock_two(struct futex_bucket *a, struct futex_bucket *b)
{
	spin_unlock(&a->lock);
	if (a != b)
		spin_unlock(&b->lock);
}

int futex_peek(u64 uaddr, u32 *val)
{
	return platform->copy_from_user(current->mm, val, uaddr, sizeof(*val)) ? -EFAULT : 0;
}

int futex_cmpxchg(u64 uaddr, u32 old, u32 new, u32 *prev)
{
	return platform->cmpxchg_user32(current->mm, uaddr, old, new, prev);
}

int futex_fault_in(u64 uaddr, bool write)
{
	u32 val;

	if (get_user(val, uaddr))
		return -EFAULT;
	return write ? cmpxchg_user32(uaddr, val, val, &val) : 0;
}

/* ---- waiters ---- */

void futex_waiter_init(struct futex_waiter *w, const struct futex_key *key, u32 bitset)
{
	*w = (struct futex_waiter){ .task = current, .key = *key, .bitset = bitset };
	list_init(&w->node);
}

/* Real-time waiters come first, by priority; all others behind them as they came (futex(2), sched(7)). */
static void insert_by_priority(struct futex_waiter *w, struct futex_bucket *b)
{
	s32 prio = READ_ONCE(w->task->rt_prio);
	struct futex_waiter *o;

	if (prio) {
		list_for_each(o, &b->waiters, node) {
			if (o->task->rt_prio < prio) {
				list_add_tail(&w->node, &o->node);
				return;
			}
		}
	}
	list_add_tail(&w->node, &b->waiters);
}

void futex_enqueue(struct futex_waiter *w, struct futex_bucket *b)
{
	insert_by_priority(w, b);
	atomic_store_explicit(&w->bucket, b, memory_order_relaxed);
}

void futex_dequeue(struct futex_waiter *w)
{
	struct futex_bucket *b = atomic_load_explicit(&w->bucket, memory_order_relaxed);

	list_del(&w->node);
	atomic_fetch_sub_explicit(&b->nwaiters, 1, memory_order_relaxed);
	atomic_store_explicit(&w->bucket, NULL, memory_order_release);
}

/* Once the bucket is NULL the waiter may be gone from its stack. */
void futex_wake_waiter(struct futex_waiter *w)
{
	struct task *t = task_get(w->task);

	futex_dequeue(w);
	wake_up_state(t, TASK_INTERRUPTIBLE);
	task_put(t);
}

void futex_move(struct futex_waiter *w, struct futex_bucket *to, const struct futex_key *key)
{
	struct futex_bucket *from = atomic_load_explicit(&w->bucket, memory_order_relaxed);

	if (from != to) {
		list_del(&w->node);
		insert_by_priority(w, to);
		atomic_fetch_sub_explicit(&from->nwaiters, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&to->nwaiters, 1, memory_order_relaxed);
		atomic_store_explicit(&w->bucket, to, memory_order_relaxed);
	}
	w->key = *key;
}

struct futex_bucket *futex_lock_waiter(struct futex_waiter *w)
{
	struct futex_bucket *b;

	while ((b = atomic_load_explicit(&w->bucket, memory_order_acquire))) {
		spin_lock(&b->lock);
		if (likely(atomic_load_explicit(&w->bucket, memory_order_relaxed) == b))
			return b;
		spin_unlock(&b->lock);
	}
	return NULL;
}

bool futex_unqueue(struct futex_waiter *w)
{
	struct futex_bucket *b = futex_lock_waiter(w);

	if (!b)
		return false;
	futex_dequeue(w);
	spin_unlock(&b->lock);
	return true;
}

int futex_wait_setup(struct futex_waiter *w, u64 uaddr, u32 val)
{
	struct futex_bucket *b = futex_bucket(&w->key);
	u32 now;

	for (;;) {
		atomic_fetch_add(&b->nwaiters, 1);
		spin_lock(&b->lock);
		if (likely(!futex_peek(uaddr, &now)))
			break;
		spin_unlock(&b->lock);
		atomic_fetch_sub(&b->nwaiters, 1);
		if (futex_fault_in(uaddr, false))
			return -EFAULT;
	}
	if (now != val) {
		spin_unlock(&b->lock);
		atomic_fetch_sub(&b->nwaiters, 1);
		return -EAGAIN;
	}
	futex_enqueue(w, b);
	set_current_state(TASK_INTERRUPTIBLE);
	spin_unlock(&b->lock);
	return 0;
}

static bool woken(struct futex_waiter *w)
{
	return !atomic_load_explicit(&w->bucket, memory_order_acquire);
}

long futex_sleep(struct futex_waiter *w, u64 deadline)
{
	bool late = false;
	long ret = 0;

	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (woken(w))
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

static long futex_wait(const struct futex_op *op);

static long wait_restart(struct restart_block *rb)
{
	const struct futex_op op = { .uaddr = rb->a[0],
				     .val = (u32)rb->a[1],
				     .val3 = (u32)rb->a[2],
				     .shared = rb->a[3],
				     .deadline = rb->a[4] };

	return futex_wait(&op);
}

static long futex_wait(const struct futex_op *op)
{
	struct futex_waiter w;
	struct futex_key key;
	long ret;

	if (!op->val3)
		return -EINVAL;
	ret = futex_get_key(op->uaddr, op->shared, &key);
	if (ret)
		return ret;
	futex_waiter_init(&w, &key, op->val3);
	ret = futex_wait_setup(&w, op->uaddr, op->val);
	if (ret)
		return ret;
	ret = futex_sleep(&w, op->deadline);
	if (!ret || !futex_unqueue(&w))
		return 0;
	if (ret == -ERESTARTSYS && op->deadline != ~0ull) {
		current->restart = (struct restart_block){ wait_restart,
							   { op->uaddr, op->val, op->val3, op->shared, op->deadline } };
		ret = -ERESTART_RESTARTBLOCK;
	}
	return ret;
}

/* ---- waking ---- */

long futex_wake_key(const struct futex_key *key, u32 n, u32 bitset)
{
	struct futex_bucket *b = futex_bucket(key);
	struct futex_waiter *w, *tmp;
	long woke = 0;

	atomic_thread_fence(memory_order_seq_cst); /* the caller's change of the word before this; pairs with futex_wait_setup() */
	if (!atomic_load_explicit(&b->nwaiters, memory_order_relaxed))
		return 0;
	spin_lock(&b->lock);
	list_for_each_safe(w, tmp, &b->waiters, node) {
		if (!key_equal(&w->key, key))
			continue;
		if (w->pi || w->requeue_pi) {
			woke = -EINVAL;
			break;
		}
		if (!(w->bitset & bitset))
			continue;
		futex_wake_waiter(w);
		if (++woke >= (long)n)
			break;
	}
	spin_unlock(&b->lock);
	return woke;
}

static long futex_wake(const struct futex_op *op)
{
	struct futex_key key;
	long err;

	if (!op->val3)
		return -EINVAL;
	err = futex_get_key(op->uaddr, op->shared, &key);
	return err ? err : futex_wake_key(&key, MAX(op->val, 1u), op->val3);
}

long futex_wake_user(u64 uaddr, u32 n)
{
	const struct futex_op op = { .uaddr = uaddr, .val = n, .val3 = FUTEX_MATCH_ANY, .shared = true };

	return futex_wake(&op);
}

/* ---- two futexes ---- */

static long requeue_locked(struct futex_bucket *b1, const struct futex_key *k1, struct futex_bucket *b2,
			   const struct futex_key *k2, const struct futex_op *op)
{
	struct futex_waiter *w, *tmp;
	u64 done = 0;

	list_for_each_safe(w, tmp, &b1->waiters, node) {
		if (done >= (u64)op->val + op->val2)
			break;
		if (!key_equal(&w->key, k1))
			continue;
		if (w->pi || w->requeue_pi)
			return -EINVAL;
		if (++done <= op->val)
			futex_wake_waiter(w);
		else
			futex_move(w, b2, k2);
	}
	return (long)done;
}

static long futex_requeue(const struct futex_op *op, bool compare)
{
	struct futex_key k1, k2;
	struct futex_bucket *b1, *b2;
	long ret;
	u32 now;

	if ((s32)op->val < 0 || (s32)op->val2 < 0)
		return -EINVAL;
	if ((ret = futex_get_key(op->uaddr, op->shared, &k1)) || (ret = futex_get_key(op->uaddr2, op->shared, &k2)))
		return ret;
	b1 = futex_bucket(&k1);
	b2 = futex_bucket(&k2);
	for (;;) {
		futex_lock_two(b1, b2);
		if (!compare || !futex_peek(op->uaddr, &now))
			break;
		futex_unlock_two(b1, b2);
		if (futex_fault_in(op->uaddr, false))
			return -EFAULT;
	}
	if (compare && now != op->val3)
		ret = -EAGAIN;
	else
		ret = requeue_locked(b1, &k1, b2, &k2, op);
	futex_unlock_two(b1, b2);
	return ret;
}

/* FUTEX_WAKE_OP: bits 28-31 operation, 24-27 comparison, 12-23 operand, 0-11 comparand. */
static s32 sign_extend12(u32 v)
{
	return (s32)(v << 20) >> 20;
}

static int wake_op_apply(u32 encoded, u32 old, u32 *new)
{
	u32 arg = (u32)sign_extend12(encoded >> 12 & 0xfff);

	if ((encoded >> 28) & FUTEX_OP_OPARG_SHIFT)
		arg = 1u << (arg & 31);
	switch (encoded >> 28 & 7) {
	case FUTEX_OP_SET:
		*new = arg;
		return 0;
	case FUTEX_OP_ADD:
		*new = old + arg;
		return 0;
	case FUTEX_OP_OR:
		*new = old | arg;
		return 0;
	case FUTEX_OP_ANDN:
		*new = old & ~arg;
		return 0;
	case FUTEX_OP_XOR:
		*new = old ^ arg;
		return 0;
	}
	return -ENOSYS;
}

static int wake_op_compare(u32 encoded, u32 value)
{
	s32 old = (s32)value, arg = sign_extend12(encoded & 0xfff);

	switch (encoded >> 24 & 0xf) {
	case FUTEX_OP_CMP_EQ:
		return old == arg;
	case FUTEX_OP_CMP_NE:
		return old != arg;
	case FUTEX_OP_CMP_LT:
		return old < arg;
	case FUTEX_OP_CMP_GE:
		return old >= arg;
	case FUTEX_OP_CMP_LE:
		return old <= arg;
	case FUTEX_OP_CMP_GT:
		return old > arg;
	}
	return -ENOSYS;
}

/* Change the second word; buckets locked. The old value in *old. */
static int wake_op_word(const struct futex_op *op, u32 *old)
{
	u32 val, new, prev;
	int err = futex_peek(op->uaddr2, &val);

	while (!err) {
		err = wake_op_apply(op->val3, val, &new);
		if (!err)
			err = futex_cmpxchg(op->uaddr2, val, new, &prev);
		if (!err && prev == val)
			break;
		val = prev;
	}
	*old = val;
	return err;
}

static long wake_locked(struct futex_bucket *b, const struct futex_key *key, u32 n)
{
	struct futex_waiter *w, *tmp;
	long woke = 0;

	list_for_each_safe(w, tmp, &b->waiters, node) {
		if (!key_equal(&w->key, key))
			continue;
		if (w->pi || w->requeue_pi)
			return -EINVAL;
		futex_wake_waiter(w);
		if (++woke >= (long)n)
			break;
	}
	return woke;
}

static long futex_wake_op(const struct futex_op *op)
{
	struct futex_key k1, k2;
	struct futex_bucket *b1, *b2;
	long ret, more;
	u32 old = 0;

	if ((ret = futex_get_key(op->uaddr, op->shared, &k1)) || (ret = futex_get_key(op->uaddr2, op->shared, &k2)))
		return ret;
	b1 = futex_bucket(&k1);
	b2 = futex_bucket(&k2);
	for (;;) {
		futex_lock_two(b1, b2);
		ret = wake_op_word(op, &old);
		if (ret != -EFAULT)
			break;
		futex_unlock_two(b1, b2);
		if (futex_fault_in(op->uaddr2, true))
			return -EFAULT;
	}
	if (!ret)
		ret = wake_locked(b1, &k1, MAX(op->val, 1u));
	if (ret >= 0) {
		more = wake_op_compare(op->val3, old);
		if (more > 0)
			more = wake_locked(b2, &k2, MAX(op->val2, 1u));
		ret = more < 0 ? more : ret + more;
	}
	futex_unlock_two(b1, b2);
	return ret;
}

/* ---- the call ---- */

static bool has_timeout(u32 cmd)
{
	return cmd == FUTEX_WAIT || cmd == FUTEX_WAIT_BITSET || cmd == FUTEX_LOCK_PI || cmd == FUTEX_LOCK_PI2 ||
	       cmd == FUTEX_WAIT_REQUEUE_PI;
}

/* FUTEX_WAIT: relative. The others: absolute, on CLOCK_REALTIME when asked, and always for FUTEX_LOCK_PI. */
static long get_deadline(u32 cmd, bool realtime, u64 uts, u64 *deadline)
{
	struct timespec_k ts;
	u64 now, when, mono = clock_mono_ns();

	*deadline = ~0ull;
	if (!has_timeout(cmd) || !uts)
		return 0;
	if (get_user(ts, uts))
		return -EFAULT;
	if (ts.sec < 0 || ts.nsec < 0 || ts.nsec >= (s64)NSEC_PER_SEC)
		return -EINVAL;
	if ((u64)ts.sec >= (~0ull >> 2) / NSEC_PER_SEC)
		return 0;
	when = (u64)ts.sec * NSEC_PER_SEC + (u64)ts.nsec;
	if (cmd == FUTEX_WAIT) {
		*deadline = mono + when;
		return 0;
	}
	now = realtime || cmd == FUTEX_LOCK_PI ? clock_real_ns() : clock_read_ns(CLOCK_MONOTONIC);
	*deadline = when > now ? mono + (when - now) : 0;
	return 0;
}

static long do_futex(u32 cmd, struct futex_op *op)
{
	switch (cmd) {
	case FUTEX_WAIT:
		op->val3 = FUTEX_MATCH_ANY;
		return futex_wait(op);
	case FUTEX_WAIT_BITSET:
		return futex_wait(op);
	case FUTEX_WAKE:
		op->val3 = FUTEX_MATCH_ANY;
		return futex_wake(op);
	case FUTEX_WAKE_BITSET:
		return futex_wake(op);
	case FUTEX_REQUEUE:
		return futex_requeue(op, false);
	case FUTEX_CMP_REQUEUE:
		return futex_requeue(op, true);
	case FUTEX_WAKE_OP:
		return futex_wake_op(op);
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		return futex_lock_pi(op, false);
	case FUTEX_TRYLOCK_PI:
		return futex_lock_pi(op, true);
	case FUTEX_UNLOCK_PI:
		return futex_unlock_pi(op);
	case FUTEX_WAIT_REQUEUE_PI:
		op->val3 = FUTEX_MATCH_ANY;
		return futex_wait_requeue_pi(op);
	case FUTEX_CMP_REQUEUE_PI:
		return futex_cmp_requeue_pi(op);
	}
	return -ENOSYS;
}

SYSCALL6(futex, u64, uaddr, u32, operation, u32, val, u64, utimeout, u64, uaddr2, u32, val3)
{
	u32 cmd = operation & (u32)FUTEX_CMD_MASK;
	struct futex_op op = {
		.uaddr = uaddr,
		.uaddr2 = uaddr2,
		.val = val,
		.val2 = (u32)utimeout,
		.val3 = val3,
		.shared = !(operation & FUTEX_PRIVATE_FLAG),
		.realtime = operation & FUTEX_CLOCK_REALTIME,
	};
	long err;

	if (op.realtime && cmd != FUTEX_WAIT_BITSET && cmd != FUTEX_WAIT_REQUEUE_PI && cmd != FUTEX_LOCK_PI2)
		return -ENOSYS;
	err = get_deadline(cmd, op.realtime, utimeout, &op.deadline);
	return err ? err : do_futex(cmd, &op);
}
