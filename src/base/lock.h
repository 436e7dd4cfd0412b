/*
 * Locks of the sentry. A vCPU is a host thread that the host may take off its CPU at any moment, so a waiter
 * spins only briefly and then gives its time slice away (cpu_relax_yield: a hostcall).
 * Ring 0 runs with interrupts off and is never preempted, so there is no irq-safe variant.
 * A spinlock may not be held across schedule(), a mutex, user memory access or an allocation that may sleep.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include "base/types.h"

typedef struct spinlock {
	_Atomic u32 held;
} spinlock_t;

#define SPINLOCK_INIT { 0 }

void spin_lock_slow(spinlock_t *l);

static inline void spin_lock_init(spinlock_t *l) { atomic_store_explicit(&l->held, 0, memory_order_relaxed); }
static inline bool spin_trylock(spinlock_t *l)
{
	return !atomic_exchange_explicit(&l->held, 1, memory_order_acquire);
}
static inline void spin_lock(spinlock_t *l)
{
	if (unlikely(!spin_trylock(l)))
		spin_lock_slow(l);
}
static inline void spin_unlock(spinlock_t *l)
{
	atomic_store_explicit(&l->held, 0, memory_order_release);
}
static inline bool spin_is_locked(const spinlock_t *l)
{
	return atomic_load_explicit(&l->held, memory_order_relaxed) != 0;
}

/* Reference counts: never resurrect a zero. */
typedef struct refcount {
	_Atomic u32 n;
} refcount_t;
static inline void refcount_set(refcount_t *r, u32 n) { atomic_store_explicit(&r->n, n, memory_order_relaxed); }
static inline u32 refcount_read(const refcount_t *r)
{
	return atomic_load_explicit(&r->n, memory_order_relaxed);
}
static inline void refcount_inc(refcount_t *r) { atomic_fetch_add_explicit(&r->n, 1, memory_order_relaxed); }
static inline bool refcount_inc_not_zero(refcount_t *r)
{
	u32 n = refcount_read(r);

	while (n)
		if (atomic_compare_exchange_weak_explicit(&r->n, &n, n + 1, memory_order_relaxed,
							  memory_order_relaxed))
			return true;
	return false;
}
/* True when the last reference went away: the caller frees. */
static inline __must_check bool refcount_dec_and_test(refcount_t *r)
{
	return atomic_fetch_sub_explicit(&r->n, 1, memory_order_acq_rel) == 1;
}

#endif
