#include <linux/errno.h>

#include "base/log.h"
#include "sentry/kernel/task.h"
#include "sentry/sys/syscall.h"
#include "sentry/sys/table.h"
#include "sentry/trace/trace.h"

static long unserved(u64 nr)
{
	const struct syscall_entry *e = nr < SYSCALL_MAX ? &syscall_table[nr] : NULL;

	if (e && e->refused)
		return e->refused;
	klog(LOG_INFO, "%s[%d]: system call %lu (%s) is not served: ENOSYS", current->comm, task_tid(current), nr,
	     e && e->name ? e->name : "unknown");
	return -ENOSYS;
}

static long call(u64 nr, const struct sysargs *args)
{
	if (unlikely(nr >= SYSCALL_MAX || !syscall_table[nr].fn))
		return unserved(nr);
	return syscall_table[nr].fn(args);
}

long syscall_dispatch(u64 nr, const struct sysargs *args)
{
	if (unlikely(trace_flags))
		return trace_syscall(nr, args, call);
	return call(nr, args);
}
