/* Robust futexes: what a dying thread held is marked, and one waiter woken: get_robust_list(2), pthread_mutexattr_setrobust(3). */
#include <linux/errno.h>
#include <linux/futex.h>

#include "sentry/kernel/futex.h"
#include "sentry/kernel/futex_internal.h"
#include "sentry/kernel/task_access.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"

#define LIST_LIMIT 2048u /* a list may be circular, or malice */

static void futex_death(u64 uaddr, bool pi, bool pending, u32 tid)
{
	u32 val, prev;

	if ((uaddr & 3) || get_user(val, uaddr))
		return;
	for (;;) {
		/* Died between unlocking in user mode and waking: the wake-up is still owed. */
		if (pending && !pi && !val) {
			futex_wake_user(uaddr, 1);
			return;
		}
		if ((val & FUTEX_TID) != tid)
			return;
		if (cmpxchg_user32(uaddr, val, (val & FUTEX_WAITERS) | FUTEX_OWNER_DIED, &prev))
			return;
		if (prev == val)
			break;
		val = prev;
	}
	if (!pi && (val & FUTEX_WAITERS))
		futex_wake_user(uaddr, 1);
}

/* Bit 0 of a link says that the futex is a PI one. */
void futex_exit_robust(struct task *t)
{
	u64 head = t->robust_list, entry, next, pending;
	u32 tid = (u32)task_tid(t);
	s64 offset;

	if (!head)
		return;
	t->robust_list = 0;
	if (get_user(entry, head) || get_user(offset, head + 8) || get_user(pending, head + 16))
		return;
	for (u32 i = 0; (entry & ~1ull) != head && i < LIST_LIMIT; i++) {
		bool bad = get_user(next, entry & ~1ull); /* before the futex: its owner may free it then */

		if ((entry & ~1ull) != (pending & ~1ull))
			futex_death((entry & ~1ull) + (u64)offset, entry & 1, false, tid);
		if (bad)
			break;
		entry = next;
		if (fatal_signal_pending() && !(atomic_load(&t->flags) & TIF_EXITING))
			break;
	}
	if (pending & ~1ull)
		futex_death((pending & ~1ull) + (u64)offset, pending & 1, true, tid);
}

void futex_exit_task(struct task *t)
{
	futex_exit_robust(t);
	if (!list_empty(&t->pi_held))
		futex_exit_pi(t);
}

SYSCALL2(set_robust_list, u64, head, u64, len)
{
	if (len != sizeof(struct robust_list_head))
		return -EINVAL;
	current->robust_list = head;
	return 0;
}

SYSCALL3(get_robust_list, s32, tid, u64, uhead, u64, ulen)
{
	struct task *t = tid ? find_task_get(tid) : task_get(current);
	u64 head;
	long err = 0;

	if (!t)
		return -ESRCH;
	if (!may_access_task(t, false))
		err = -EPERM;
	head = t->robust_list;
	task_put(t);
	if (err)
		return err;
	if (put_user((u64)sizeof(struct robust_list_head), ulen) || put_user(head, uhead))
		return -EFAULT;
	return 0;
}
