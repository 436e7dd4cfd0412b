#ifndef SENTRY_OOM_H
#define SENTRY_OOM_H

#include "base/types.h"

struct process;
struct mm;

/* How much killing the process would help: pages, oom_score_adj added. -1: never kill it. */
s64 oom_badness(struct process *p, struct mm *mm);

#endif
