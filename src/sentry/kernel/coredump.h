/* Core dumps: core(5). */
#ifndef SENTRY_COREDUMP_H
#define SENTRY_COREDUMP_H

#include "sentry/kernel/signal.h"

struct task;

/* The current task dies of `sig`: write a core file if the limit and the process's attributes allow one. The exit status. */
s32 coredump(struct task *t, int sig, const siginfo_t_k *info);
/* A thread on its way out waits until its registers are written. */
void coredump_wait(struct task *t);

#endif
