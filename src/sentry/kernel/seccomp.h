/* The application's own seccomp(2): strict mode and classic BPF filters. */
#ifndef SENTRY_SECCOMP_H
#define SENTRY_SECCOMP_H

#include "base/types.h"

struct task;

/* Before a call of the current task, when TIF_SECCOMP is set. False: it does not run; rax is what the filter says. */
bool seccomp_check(struct task *t);
long seccomp_mode(const struct task *t); /* as prctl(PR_GET_SECCOMP) */
long prctl_set_seccomp(u64 mode, u64 ufilter);
/* PTRACE_SECCOMP_GET_FILTER, PTRACE_SECCOMP_GET_METADATA: ptrace(2). */
long seccomp_get_filter(struct task *t, u64 index, u64 udata);
long seccomp_get_metadata(struct task *t, u64 size, u64 udata);
/* A program that is started from outside begins with the container's filter, if there is one. 0 or -errno. */
int seccomp_start(struct task *t);
/* The child gets the parent's filters; the dead give theirs up. */
void seccomp_fork(struct task *child);
void seccomp_leave(struct task *t); /* it makes no more calls; takes tasklist_lock */
void seccomp_exit(struct task *t);  /* nobody knows it any more */

#endif
