/* What tasks need of futexes. */
#ifndef SENTRY_FUTEX_H
#define SENTRY_FUTEX_H

#include "base/types.h"

struct task;

/* The current task leaves its address space (exit, exec): walk its robust list, give up PI futexes. current->mm is still there. */
void futex_exit_task(struct task *t);
/* FUTEX_WAKE of at most n waiters at a user address of the current task, as a shared or private futex. */
long futex_wake_user(u64 uaddr, u32 n);

#endif
