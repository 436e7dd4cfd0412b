/* Restartable sequences: rseq(2). */
#ifndef SENTRY_RSEQ_H
#define SENTRY_RSEQ_H

struct task;

/* Before a return to user mode after preemption, migration or for a signal: abort a sequence in progress, say which vCPU. */
void rseq_resume(struct task *t);
void rseq_fork(struct task *child, unsigned long clone_flags);
void rseq_exec(struct task *t);

#endif
