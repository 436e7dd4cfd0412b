/* May the current task look into another: ptrace(2), "Ptrace access mode checking". */
#ifndef SENTRY_TASK_ACCESS_H
#define SENTRY_TASK_ACCESS_H

#include "base/types.h"

struct task;

/* attach: PTRACE_MODE_ATTACH, else READ; with the caller's real ids. */
bool may_access_task(struct task *t, bool attach);
struct cred *task_get_cred(struct task *t);

#endif
