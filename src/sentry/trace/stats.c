#include "base/string.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/table.h"
#include "sentry/trace/trace.h"

u32 trace_flags;
_Atomic u64 stat_counters[STAT_COUNTERS];
static _Atomic u64 calls[SYSCALL_MAX];
static _Atomic u64 unknown_calls;

void stats_syscall(u64 nr)
{
	atomic_fetch_add_explicit(nr < SYSCALL_MAX ? &calls[nr] : &unknown_calls, 1, memory_order_relaxed);
}

#define REPORT_SIZE (32u << 10)

void stats_report(u64 *off, u64 *len)
{
	static const char *const names[STAT_COUNTERS] = { "page faults", "context switches", "signals delivered", "forks",
							  "execs" };
	char *text;
	size_t n = 0;

	*off = *len = 0;
	if (!(trace_flags & TRACE_STATS))
		return;
	text = vmalloc_pages(REPORT_SIZE);
	if (!text)
		return;
	n += (size_t)kscnprintf(text + n, REPORT_SIZE - n, "sentry:\n");
	for (u32 i = 0; i < STAT_COUNTERS; i++)
		n += (size_t)kscnprintf(text + n, REPORT_SIZE - n, "  %-24s %12lu\n", names[i], stat_counters[i]);
	n += (size_t)kscnprintf(text + n, REPORT_SIZE - n, "system calls:\n");
	for (u32 i = 0; i < SYSCALL_MAX; i++)
		if (calls[i])
			n += (size_t)kscnprintf(text + n, REPORT_SIZE - n, "  %-24s %12lu\n", syscall_table[i].name, calls[i]);
	if (unknown_calls)
		n += (size_t)kscnprintf(text + n, REPORT_SIZE - n, "  %-24s %12lu\n", "(unknown)", unknown_calls);
	*off = va_to_pa(text);
	*len = n;
}
