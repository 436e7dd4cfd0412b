/* getrusage(2), times(2). */
#include <linux/errno.h>
#include <linux/resource.h>

#include "base/string.h"
#include "sentry/kernel/rusage.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"

#define NSEC_PER_TICK (NSEC_PER_SEC / 100) /* USER_HZ */

static struct __kernel_old_timeval to_timeval(u64 ns)
{
	return (struct __kernel_old_timeval){ (long)(ns / NSEC_PER_SEC), (long)(ns % NSEC_PER_SEC / NSEC_PER_USEC) };
}

static void add_counts(struct rusage *ru, u64 min_flt, u64 maj_flt, u64 nvcsw, u64 nivcsw)
{
	ru->ru_minflt += (long)min_flt;
	ru->ru_majflt += (long)maj_flt;
	ru->ru_nvcsw += (long)nvcsw;
	ru->ru_nivcsw += (long)nivcsw;
}

static u64 max_rss(struct process *p)
{
	struct task *leader = p->leader;
	u64 pages = p->maxrss;
	struct mm *mm;

	spin_lock(&leader->alloc_lock); /* keeps the mm */
	mm = leader->mm;
	if (mm)
		pages = MAX(pages, mm_peak_rss(mm));
	spin_unlock(&leader->alloc_lock);
	return pages;
}

void process_rusage_locked(struct process *p, s32 who, struct rusage *ru)
{
	u64 utime = 0, stime = 0, rss = 0;
	struct task *t;

	memset(ru, 0, sizeof(*ru));
	if (who != RUSAGE_CHILDREN) {
		process_cputime_locked(p, &utime, &stime);
		add_counts(ru, p->min_flt, p->maj_flt, p->nvcsw, p->nivcsw);
		list_for_each(t, &p->threads, thread_node)
			add_counts(ru, t->min_flt, t->maj_flt, t->nvcsw, t->nivcsw);
		rss = max_rss(p);
	}
	if (who != RUSAGE_SELF) {
		utime += p->cutime_ns;
		stime += p->cstime_ns;
		add_counts(ru, p->cmin_flt, p->cmaj_flt, 0, 0);
		rss = MAX(rss, p->cmaxrss);
	}
	ru->ru_utime = to_timeval(utime);
	ru->ru_stime = to_timeval(stime);
	ru->ru_maxrss = (long)(rss << (PAGE_SHIFT - 10));
}

static void thread_rusage(struct task *t, struct rusage *ru)
{
	memset(ru, 0, sizeof(*ru));
	add_counts(ru, t->min_flt, t->maj_flt, t->nvcsw, t->nivcsw);
	ru->ru_utime = to_timeval(task_utime(t));
	ru->ru_stime = to_timeval(task_stime(t));
	ru->ru_maxrss = (long)(max_rss(t->proc) << (PAGE_SHIFT - 10));
}

SYSCALL2(getrusage, s32, who, u64, uru)
{
	struct rusage ru;

	if (who != RUSAGE_SELF && who != RUSAGE_CHILDREN && who != RUSAGE_THREAD)
		return -EINVAL;
	if (who == RUSAGE_THREAD) {
		thread_rusage(current, &ru);
	} else {
		spin_lock(&tasklist_lock);
		process_rusage_locked(current->proc, who, &ru);
		spin_unlock(&tasklist_lock);
	}
	return copy_to_user(uru, &ru, sizeof(ru));
}

SYSCALL1(times, u64, utms)
{
	struct process *p = current->proc;
	u64 t[4], utime, stime;

	process_cputime(p, &utime, &stime);
	t[0] = utime / NSEC_PER_TICK;
	t[1] = stime / NSEC_PER_TICK;
	t[2] = p->cutime_ns / NSEC_PER_TICK;
	t[3] = p->cstime_ns / NSEC_PER_TICK;
	if (utms && copy_to_user(utms, t, sizeof(t)))
		return -EFAULT;
	return (long)(clock_boot_ns() / NSEC_PER_TICK);
}
