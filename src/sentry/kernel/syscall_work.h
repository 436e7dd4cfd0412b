/* The slow way through a system call: tracers and filters. */
#ifndef SENTRY_SYSCALL_WORK_H
#define SENTRY_SYSCALL_WORK_H

#include "base/types.h"

struct task;

/* Serve the trap of a task with a flag of TIF_SYSCALL_WORK: the result is in regs.rax. */
void serve_syscall_observed(struct task *t);
/* prctl(2), PR_SET_SYSCALL_USER_DISPATCH; off, as after exec; and: did this call become a signal? */
long user_dispatch_set(u64 mode, u64 offset, u64 len, u64 selector);
void user_dispatch_clear(struct task *t);
bool user_dispatch(struct task *t);

#endif
