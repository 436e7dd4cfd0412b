/* sched_*(2), getpriority(2), ioprio_set(2), getcpu(2). Real-time policies are recorded; everyone is scheduled by run time. */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/ioprio.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <linux/time_types.h>

#include "base/string.h"
#include "hostcall.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/kernel/task_access.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"

static struct task *target(s32 nr)
{
	return nr ? find_task_get(nr) : task_get(current);
}

/* The caller's effective uid is the target's real or effective one, or it has CAP_SYS_NICE. */
static bool may_set(struct task *t)
{
	struct cred *c;
	bool ok;

	if (t == current || capable(CAP_SYS_NICE))
		return true;
	c = task_get_cred(t);
	ok = current->cred->euid == c->euid || current->cred->euid == c->uid;
	cred_put(c);
	return ok;
}

static bool realtime(s32 policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

static bool can_nice(s32 nice)
{
	return (u64)(20 - nice) <= rlimit(RLIMIT_NICE) || capable(CAP_SYS_NICE);
}

SYSCALL0(sched_yield)
{
	sched_yield_current();
	return 0;
}

/* ---- affinity ---- */

static bool on_all_cpus(u64 mask)
{
	u64 all = num_cpus() == 64 ? ~0ull : (1ull << num_cpus()) - 1;

	return (mask & all) == all;
}

SYSCALL3(sched_setaffinity, s32, nr, u32, len, u64, umask)
{
	struct task *t;
	u64 mask = 0;
	long err = 0;

	if (copy_from_user(&mask, umask, MIN(len, sizeof(mask))))
		return -EFAULT;
	t = target(nr);
	if (!t)
		return -ESRCH;
	if (!may_set(t))
		err = -EPERM;
	else if (t->policy == SCHED_DEADLINE && !on_all_cpus(mask))
		err = -EBUSY;
	else if (!sched_set_affinity(t, mask))
		err = -EINVAL;
	task_put(t);
	return err;
}

SYSCALL3(sched_getaffinity, s32, nr, u32, len, u64, umask)
{
	u32 n = num_cpus();
	struct task *t;
	u64 mask;

	if (len * 8ul < n || len & 7)
		return -EINVAL;
	t = target(nr);
	if (!t)
		return -ESRCH;
	mask = t->cpu_mask & (n == 64 ? ~0ull : (1ull << n) - 1);
	task_put(t);
	return put_user(mask, umask) ? -EFAULT : (long)sizeof(mask);
}

SYSCALL3(getcpu, u64, ucpu, u64, unode, u64, unused)
{
	u32 cpu = this_cpu_id();

	if (ucpu && put_user(cpu, ucpu))
		return -EFAULT;
	return unode && put_user((u32)0, unode) ? -EFAULT : 0;
}

/* ---- policies ---- */

SYSCALL1(sched_get_priority_max, s32, policy)
{
	if (realtime(policy))
		return 99;
	return policy == SCHED_NORMAL || policy == SCHED_BATCH || policy == SCHED_IDLE || policy == SCHED_DEADLINE ? 0 : -EINVAL;
}

SYSCALL1(sched_get_priority_min, s32, policy)
{
	if (realtime(policy))
		return 1;
	return policy == SCHED_NORMAL || policy == SCHED_BATCH || policy == SCHED_IDLE || policy == SCHED_DEADLINE ? 0 : -EINVAL;
}

static long check_policy(struct task *t, s32 policy, s32 prio)
{
	if (policy != SCHED_NORMAL && policy != SCHED_BATCH && policy != SCHED_IDLE && !realtime(policy))
		return -EINVAL;
	if (prio < 0 || prio > 99 || realtime(policy) != (prio != 0))
		return -EINVAL;
	if (capable(CAP_SYS_NICE))
		return 0;
	if (realtime(policy)) {
		u64 limit = rlimit(RLIMIT_RTPRIO);

		if (policy != t->policy && !limit)
			return -EPERM;
		if (prio > t->rt_prio && (u64)prio > limit)
			return -EPERM;
	}
	return may_set(t) ? 0 : -EPERM;
}

static void apply_policy(struct task *t, s32 policy, s32 prio, bool reset_on_fork)
{
	t->policy = policy;
	t->rt_prio = prio;
	t->sched_reset_on_fork = reset_on_fork;
}

long sched_start(struct task *t, const struct hc_scheduling *s)
{
	s32 class = s->ioprio >> 13;

	if (s->policy != SCHED_NORMAL && s->policy != SCHED_BATCH && s->policy != SCHED_IDLE && !realtime(s->policy))
		return -EINVAL;
	if (s->rt_prio < 0 || s->rt_prio > 99 || realtime(s->policy) != (s->rt_prio != 0) || s->nice < -20 || s->nice > 19)
		return -EINVAL;
	if (class < IOPRIO_CLASS_NONE || class > IOPRIO_CLASS_IDLE || (s->ioprio & 0x1fff) > 7)
		return -EINVAL;
	apply_policy(t, s->policy, s->rt_prio, s->reset_on_fork);
	t->nice = s->nice;
	t->ioprio = s->ioprio;
	return 0;
}

static long set_scheduler(s32 nr, s32 policy, u64 uparam, bool keep_policy)
{
	bool reset = false;
	struct task *t;
	s32 prio;
	long err;

	if (nr < 0 || !uparam)
		return -EINVAL;
	if (get_user(prio, uparam))
		return -EFAULT;
	t = target(nr);
	if (!t)
		return -ESRCH;
	if (keep_policy) {
		policy = t->policy;
		reset = t->sched_reset_on_fork;
	} else if (policy > 0 && policy & SCHED_RESET_ON_FORK) {
		policy &= ~SCHED_RESET_ON_FORK;
		reset = true;
	}
	err = check_policy(t, policy, prio);
	if (!err)
		apply_policy(t, policy, prio, reset);
	task_put(t);
	return err;
}

SYSCALL3(sched_setscheduler, s32, nr, s32, policy, u64, uparam)
{
	return policy < 0 ? -EINVAL : set_scheduler(nr, policy, uparam, false);
}

SYSCALL2(sched_setparam, s32, nr, u64, uparam)
{
	return set_scheduler(nr, 0, uparam, true);
}

SYSCALL1(sched_getscheduler, s32, nr)
{
	struct task *t;
	s32 policy;

	if (nr < 0)
		return -EINVAL;
	t = target(nr);
	if (!t)
		return -ESRCH;
	policy = t->policy | (t->sched_reset_on_fork ? SCHED_RESET_ON_FORK : 0);
	task_put(t);
	return policy;
}

SYSCALL2(sched_getparam, s32, nr, u64, uparam)
{
	struct task *t;
	s32 prio;

	if (nr < 0 || !uparam)
		return -EINVAL;
	t = target(nr);
	if (!t)
		return -ESRCH;
	prio = t->rt_prio;
	task_put(t);
	return put_user(prio, uparam) ? -EFAULT : 0;
}

SYSCALL2(sched_rr_get_interval, s32, nr, u64, uts)
{
	struct __kernel_timespec ts = { 0 };
	struct task *t;

	if (nr < 0)
		return -EINVAL;
	t = target(nr);
	if (!t)
		return -ESRCH;
	ts.tv_nsec = t->policy == SCHED_RR ? 100000000 : t->policy == SCHED_FIFO || t->policy == SCHED_DEADLINE ? 0 : 4000000;
	task_put(t);
	return copy_to_user(uts, &ts, sizeof(ts));
}

/* ---- sched_setattr ---- */

static long fetch_attr(u64 uattr, struct sched_attr *a)
{
	u32 size;

	if (get_user(size, uattr))
		return -EFAULT;
	if (!size)
		size = SCHED_ATTR_SIZE_VER0;
	if (size < SCHED_ATTR_SIZE_VER0 || size > PAGE_SIZE)
		goto too_big;
	memset(a, 0, sizeof(*a));
	if (copy_from_user(a, uattr, MIN(size, sizeof(*a))))
		return -EFAULT;
	for (u32 i = sizeof(*a); i < size; i++) {
		u8 tail;

		if (get_user(tail, uattr + i))
			return -EFAULT;
		if (tail)
			goto too_big;
	}
	return 0;
too_big:
	return put_user((u32)sizeof(*a), uattr) ? -EFAULT : -E2BIG;
}

/* ---- SCHED_DEADLINE: admitted and shown as sched(7) has it; tasks are scheduled by turns all the same ---- */

#define DL_LEAST_RUNTIME 1024u /* ns */
#define DL_LEAST_PERIOD (100 * NSEC_PER_USEC)
#define DL_MOST_PERIOD (1ull << 22) * NSEC_PER_USEC
#define DL_SHIFT 20
#define DL_SHARE ((95ull << DL_SHIFT) / 100) /* of each CPU: sched_rt_runtime_us of sched_rt_period_us */

static bool deadline_valid(const struct sched_attr *a)
{
	u64 period = a->sched_period ? a->sched_period : a->sched_deadline;

	return a->sched_deadline && a->sched_runtime >= DL_LEAST_RUNTIME && !(a->sched_deadline >> 63) && !(a->sched_period >> 63) &&
	       period >= a->sched_deadline && a->sched_deadline >= a->sched_runtime && period >= DL_LEAST_PERIOD && period <= DL_MOST_PERIOD;
}

static u64 share(u64 runtime, u64 period) { return (runtime << DL_SHIFT) / period; }

/* What the others were promised; tasklist_lock held. */
static u64 promised_to_others(const struct task *t)
{
	struct task *o;
	u64 sum = 0;

	list_for_each(o, &all_tasks, all_node)
		if (o != t && o->policy == SCHED_DEADLINE)
			sum += share(o->dl.runtime, o->dl.period);
	return sum;
}

static long set_deadline(struct task *t, const struct sched_attr *a)
{
	u64 period = a->sched_period ? a->sched_period : a->sched_deadline;
	long err = 0;

	if (a->sched_priority || !deadline_valid(a))
		return -EINVAL;
	if (!capable(CAP_SYS_NICE) || !on_all_cpus(t->cpu_mask))
		return -EPERM;
	spin_lock(&tasklist_lock);
	if (promised_to_others(t) + share(a->sched_runtime, period) > DL_SHARE * num_cpus()) {
		err = -EBUSY;
	} else {
		t->dl.runtime = a->sched_runtime;
		t->dl.deadline = a->sched_deadline;
		t->dl.period = period;
		t->dl.flags = a->sched_flags & (SCHED_FLAG_RECLAIM | SCHED_FLAG_DL_OVERRUN);
		apply_policy(t, SCHED_DEADLINE, 0, a->sched_flags & SCHED_FLAG_RESET_ON_FORK);
	}
	spin_unlock(&tasklist_lock);
	return err;
}

static long set_attr(struct task *t, const struct sched_attr *a)
{
	s32 policy = a->sched_flags & SCHED_FLAG_KEEP_POLICY ? t->policy : (s32)a->sched_policy;
	s32 prio = a->sched_flags & SCHED_FLAG_KEEP_PARAMS ? t->rt_prio : (s32)a->sched_priority;
	long err;

	if (policy == SCHED_DEADLINE)
		return a->sched_flags & SCHED_FLAG_KEEP_PARAMS && t->policy == SCHED_DEADLINE ? 0 : set_deadline(t, a);
	err = check_policy(t, policy, prio);
	if (err)
		return err;
	if (!realtime(policy) && !(a->sched_flags & SCHED_FLAG_KEEP_PARAMS)) {
		s32 nice = MIN(MAX(a->sched_nice, -20), 19);

		if (nice < t->nice && !can_nice(nice))
			return -EPERM;
		sched_set_nice(t, nice);
	}
	apply_policy(t, policy, prio, a->sched_flags & SCHED_FLAG_RESET_ON_FORK);
	return 0;
}

SYSCALL3(sched_setattr, s32, nr, u64, uattr, u32, flags)
{
	struct sched_attr a;
	struct task *t;
	long err;

	if (!uattr || nr < 0 || flags)
		return -EINVAL;
	err = fetch_attr(uattr, &a);
	if (err)
		return err;
	if ((s32)a.sched_policy < 0 || a.sched_flags & ~(u64)SCHED_FLAG_ALL)
		return -EINVAL;
	t = target(nr);
	if (!t)
		return -ESRCH;
	err = set_attr(t, &a);
	task_put(t);
	return err;
}

SYSCALL4(sched_getattr, s32, nr, u64, uattr, u32, size, u32, flags)
{
	struct sched_attr a = { 0 };
	struct task *t;

	if (!uattr || nr < 0 || size > PAGE_SIZE || size < SCHED_ATTR_SIZE_VER0 || flags)
		return -EINVAL;
	t = target(nr);
	if (!t)
		return -ESRCH;
	a.size = MIN(size, sizeof(a));
	a.sched_policy = (u32)t->policy;
	a.sched_flags = t->sched_reset_on_fork ? SCHED_FLAG_RESET_ON_FORK : 0;
	a.sched_nice = realtime(t->policy) ? 0 : t->nice;
	a.sched_priority = (u32)t->rt_prio;
	a.sched_util_max = 1024;
	if (t->policy == SCHED_DEADLINE) {
		a.sched_flags |= t->dl.flags;
		a.sched_runtime = t->dl.runtime;
		a.sched_deadline = t->dl.deadline;
		a.sched_period = t->dl.period;
	}
	task_put(t);
	return copy_to_user(uattr, &a, a.size);
}

/* ---- nice ---- */

static long nice_one(struct task *t, s32 nice)
{
	struct cred *c = task_get_cred(t);
	const struct cred *me = current->cred;
	bool mine = c->uid == me->euid || c->euid == me->euid || ns_capable(c->user_ns, CAP_SYS_NICE);

	cred_put(c);
	if (!mine)
		return -EPERM;
	if (nice < t->nice && !can_nice(nice))
		return -EACCES;
	sched_set_nice(t, nice);
	return 0;
}

struct prio_walk {
	bool set, found;
	s32 nice; /* to set; or the best one found */
	long err;
};

static void visit(struct task *t, struct prio_walk *w)
{
	w->found = true;
	if (w->set) {
		long err = nice_one(t, w->nice);

		w->err = err ? err : w->err;
	} else if (t->nice < w->nice) {
		w->nice = t->nice;
	}
}

static void visit_group(s32 nr, struct prio_walk *w)
{
	struct pid *pid = nr ? pid_find_get(nr) : pid_get(current->proc->pgid);
	struct process *p;
	struct task *t;

	if (!pid)
		return;
	spin_lock(&tasklist_lock);
	list_for_each(p, &pid->tasks[PIDTYPE_PGID], pgid_node)
		list_for_each(t, &p->threads, thread_node)
			visit(t, w);
	spin_unlock(&tasklist_lock);
	pid_put(pid);
}

static void visit_user(u32 uid, struct prio_walk *w)
{
	struct task *t;

	spin_lock(&tasklist_lock);
	list_for_each(t, &all_tasks, all_node)
		if (t->cred->uid == uid)
			visit(t, w);
	spin_unlock(&tasklist_lock);
}

static long walk_priority(s32 which, s32 who, struct prio_walk *w)
{
	struct task *t;

	switch (which) {
	case PRIO_PROCESS:
		t = target(who);
		if (t) {
			visit(t, w);
			task_put(t);
		}
		break;
	case PRIO_PGRP:
		visit_group(who, w);
		break;
	case PRIO_USER:
		visit_user(who ? uid_in((u32)who) : current->cred->uid, w);
		break;
	default:
		return -EINVAL;
	}
	return w->found ? w->err : -ESRCH;
}

SYSCALL2(getpriority, s32, which, s32, who)
{
	struct prio_walk w = { .nice = 20 };
	long err = walk_priority(which, who, &w);

	return err ? err : 20 - w.nice;
}

SYSCALL3(setpriority, s32, which, s32, who, s32, nice)
{
	struct prio_walk w = { .set = true, .nice = MIN(MAX(nice, -20), 19) };

	return walk_priority(which, who, &w);
}

/* ---- I/O priority: recorded ---- */

long ioprio_check(s32 ioprio)
{
	s32 class = ioprio >> 13, data = ioprio & 0x1fff;

	switch (class) {
	case IOPRIO_CLASS_RT:
		if (!capable(CAP_SYS_NICE) && !capable(CAP_SYS_ADMIN))
			return -EPERM;
		__attribute__((fallthrough));
	case IOPRIO_CLASS_BE:
		if (data >= 8)
			return -EINVAL;
		break;
	case IOPRIO_CLASS_IDLE:
		break;
	case IOPRIO_CLASS_NONE:
		if (data)
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	return 0;
}

SYSCALL3(ioprio_set, s32, which, s32, who, s32, ioprio)
{
	struct task *t;
	long err = ioprio_check(ioprio);

	if (err)
		return err;
	if (which != IOPRIO_WHO_PROCESS)
		return which == IOPRIO_WHO_PGRP || which == IOPRIO_WHO_USER ? 0 : -EINVAL;
	t = target(who);
	if (!t)
		return -ESRCH;
	if (may_set(t))
		t->ioprio = ioprio;
	else
		err = -EPERM;
	task_put(t);
	return err;
}

SYSCALL2(ioprio_get, s32, which, s32, who)
{
	struct task *t;
	s32 ret;

	if (which != IOPRIO_WHO_PROCESS)
		return which == IOPRIO_WHO_PGRP || which == IOPRIO_WHO_USER ? current->ioprio : -EINVAL;
	t = target(who);
	if (!t)
		return -ESRCH;
	ret = t->ioprio;
	task_put(t);
	return ret;
}
