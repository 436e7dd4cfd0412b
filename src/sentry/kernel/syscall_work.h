/* The slow way through a system call: tracers and filters. */
#ifndef SENTRY_SYSCALL_WORK_H
#define SENTRY_SYSCALL_WORK_H

struct task;

/* Serve the trap of a task with a flag of TIF_SYSCALL_WORK: the result is in regs.rax. */
void serve_syscall_observed(struct task *t);

#endif
