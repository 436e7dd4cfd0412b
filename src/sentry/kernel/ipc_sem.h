/* System V semaphores: what the life of a task has to do with them. */
#ifndef SENTRY_IPC_SEM_H
#define SENTRY_IPC_SEM_H

#include "base/types.h"

struct task;

/* Undo what the task did with SEM_UNDO, when it is the last to share its list. At exit, and unshare(CLONE_SYSVSEM). */
void sem_exit(struct task *t);
/* CLONE_SYSVSEM: the child shares its parent's list (made now). 0 or -ENOMEM. */
int sem_fork(struct task *child, u64 clone_flags);

#endif
