/*
 * Between the files that make up futexes: futex.c (wait, wake, requeue), futex_pi.c, futex_waitv.c, futex_robust.c.
 *
 * A futex is a word of user memory; who waits for it stands in a bucket of a hash table, found by a key. Two addresses
 * are the same futex when their keys are equal: (mm, address) for memory of one address space, (inode, page) for shared
 * file memory. Keys are only compared, never followed, so they hold no references; a stale one costs a spurious wake-up.
 *
 * Lock order: bucket locks, the lower address first -> pi_lock -> run queue lock, mm->pt_lock.
 * The word is read and changed under the bucket lock through the platform, which never sleeps; a page that is not present is
 * faulted in without the lock, and all is looked at again.
 */
#ifndef SENTRY_FUTEX_INTERNAL_H
#define SENTRY_FUTEX_INTERNAL_H

#include "base/list.h"
#include "base/lock.h"
#include "sentry/kernel/task.h"

#define FUTEX_TID 0x3fffffffu
#define FUTEX_MATCH_ANY 0xffffffffu

struct futex_key {
	const void *space; /* mm or inode */
	u64 page;
	u32 offset;
};
static inline bool key_equal(const struct futex_key *a, const struct futex_key *b)
{
	return a->page == b->page && a->space == b->space && a->offset == b->offset;
}

struct futex_bucket {
	spinlock_t lock;
	_Atomic u32 nwaiters; /* raised before the word is looked at: a waker may skip an empty bucket */
	struct list_head waiters;
	struct list_head pi_states;
} __attribute__((aligned(64)));

/* A PI futex that has waiters; goes with the last of them. */
struct pi_state {
	refcount_t ref;
	struct futex_key key;
	struct futex_bucket *bucket;
	struct list_head node;	     /* bucket->pi_states */
	struct list_head held_node;  /* owner->pi_held; pi_lock */
	struct task *owner;	     /* reference; NULL: died */
	u32 nwaiters;
};

struct futex_waiter {
	struct list_head node;
	struct task *task;
	struct futex_key key;
	u32 bitset;
	_Atomic(struct futex_bucket *) bucket; /* NULL: woken */
	struct pi_state *pi;
	bool granted, owner_died;		 /* the lock was handed over */
	bool requeue_pi;			 /* FUTEX_WAIT_REQUEUE_PI: may only go to key2 */
	struct futex_key key2;
	u64 uaddr2;
};

struct futex_op { /* a call, decoded */
	u64 uaddr, uaddr2;
	u32 val, val2, val3;
	bool shared, realtime;
	u64 deadline; /* monotonic; ~0: none */
};

int futex_get_key(u64 uaddr, bool shared, struct futex_key *key);
struct futex_bucket *futex_bucket(const struct futex_key *key);
void futex_lock_two(struct futex_bucket *a, struct futex_bucket *b);
void futex_unlock_two(struct futex_bucket *a, struct futex_bucket *b);
/* Under bucket locks: 0, or -EFAULT when the page must be faulted in first. */
int futex_peek(u64 uaddr, u32 *val);
int futex_cmpxchg(u64 uaddr, u32 old, u32 new, u32 *prev);
/* Without locks. 0 or -EFAULT. */
int futex_fault_in(u64 uaddr, bool write);

void futex_waiter_init(struct futex_waiter *w, const struct futex_key *key, u32 bitset);
/* Bucket locked. */
void futex_enqueue(struct futex_waiter *w, struct futex_bucket *b);
void futex_dequeue(struct futex_waiter *w); /* off its bucket, its task not woken */
void futex_wake_waiter(struct futex_waiter *w);
void futex_move(struct futex_waiter *w, struct futex_bucket *to, const struct futex_key *key);
/* Take the waiter off, wherever it was moved to. False: it was woken already. */
bool futex_unqueue(struct futex_waiter *w);
/* Lock the bucket it is in now. NULL: woken. */
struct futex_bucket *futex_lock_waiter(struct futex_waiter *w);
/* Queue on the word if it still holds `val`. 0 with the task's state set to INTERRUPTIBLE, -EAGAIN, -EFAULT. */
int futex_wait_setup(struct futex_waiter *w, u64 uaddr, u32 val);
/* Sleep until woken: 0, -ETIMEDOUT, -ERESTARTSYS. Not unqueued in the last two cases. */
long futex_sleep(struct futex_waiter *w, u64 deadline);
long futex_wake_key(const struct futex_key *key, u32 n, u32 bitset);

void futex_pi_init(void);
long futex_lock_pi(const struct futex_op *op, bool try);
long futex_unlock_pi(const struct futex_op *op);
long futex_wait_requeue_pi(const struct futex_op *op);
long futex_cmp_requeue_pi(const struct futex_op *op);
void futex_exit_pi(struct task *t);
void futex_exit_robust(struct task *t);

#endif
