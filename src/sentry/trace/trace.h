/* What an observer can switch on: a trace of system calls (strace), counts (stats). */
#ifndef SENTRY_TRACE_H
#define SENTRY_TRACE_H

#include "base/types.h"
#include "sentry/sys/syscall.h"

enum { TRACE_STRACE = 1, TRACE_STATS = 2 };
extern u32 trace_flags; /* set at boot, and from outside (ask.c) */

/* Run a call with whatever is switched on around it. */
long trace_syscall(u64 nr, const struct sysargs *args, long (*call)(u64 nr, const struct sysargs *args));

/* ---- strace.c: one line a call, in strace's format ---- */
struct strace_line;
/* The call as far as its inputs say; NULL when there is no memory for it. */
struct strace_line *strace_begin(u64 nr, const struct sysargs *args);
void strace_end(struct strace_line *line, u64 nr, const struct sysargs *args, long result);

/* ---- stats.c ---- */
enum stat_counter { STAT_PAGE_FAULT, STAT_SWITCH, STAT_SIGNAL, STAT_FORK, STAT_EXEC, STAT_COUNTERS };
extern _Atomic u64 stat_counters[STAT_COUNTERS];
static inline void stat_inc(enum stat_counter c)
{
	if (unlikely(trace_flags & TRACE_STATS))
		atomic_fetch_add_explicit(&stat_counters[c], 1, memory_order_relaxed);
}
void stats_syscall(u64 nr);
/* The report of --stats into sandbox memory: its offset and length for HC_EXIT; 0, 0 when off. */
void stats_report(u64 *off, u64 *len);

#endif
