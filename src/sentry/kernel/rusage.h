/* Resource use of processes and threads. */
#ifndef SENTRY_RUSAGE_H
#define SENTRY_RUSAGE_H

#include "base/types.h"

struct process;
struct rusage;

#define RUSAGE_BOTH_K (-2) /* as wait4 reports it: a process and the children that it waited for */

/* who: RUSAGE_*. tasklist_lock held. */
void process_rusage_locked(struct process *p, s32 who, struct rusage *ru);

#endif
