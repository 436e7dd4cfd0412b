/* Who is who: process, thread, parent, group and session numbers. */
#include <linux/errno.h>

#include "fs/dev/tty.h"
#include "sentry/kernel/proc_events.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/sys/syscall.h"

SYSCALL0(getpid)
{
	return pid_nr_own(current->proc->tgid);
}

SYSCALL0(gettid)
{
	return pid_nr_own(current->pid);
}

SYSCALL0(getppid)
{
	return task_ppid(current);
}

/* The process of a thread number (0: the caller's) with a reference, or NULL. */
static struct process *process_of(s32 nr)
{
	struct process *p;
	struct task *t;

	if (!nr)
		return process_get(current->proc);
	t = find_task_get(nr);
	if (!t)
		return NULL;
	p = process_get(t->proc);
	task_put(t);
	return p;
}

SYSCALL1(getpgid, s32, nr)
{
	struct process *p = process_of(nr);
	s32 ret;

	if (!p)
		return -ESRCH;
	spin_lock(&tasklist_lock);
	ret = pid_nr(p->pgid);
	spin_unlock(&tasklist_lock);
	process_put(p);
	return ret;
}

SYSCALL0(getpgrp)
{
	s32 ret;

	spin_lock(&tasklist_lock);
	ret = pid_nr(current->proc->pgid);
	spin_unlock(&tasklist_lock);
	return ret;
}

SYSCALL1(getsid, s32, nr)
{
	struct process *p = process_of(nr);
	s32 ret;

	if (!p)
		return -ESRCH;
	spin_lock(&tasklist_lock);
	ret = pid_nr(p->sid);
	spin_unlock(&tasklist_lock);
	process_put(p);
	return ret;
}

/* setpgid(2)'s rules; tasklist_lock held. */
static long may_set_pgid(const struct process *p, struct pid *pgrp)
{
	struct process *me = current->proc, *other;

	if (p != me) {
		if (p->parent != me)
			return -ESRCH;
		if (p->sid != me->sid)
			return -EPERM;
		if (p->did_exec)
			return -EACCES;
	}
	if (p->sid == p->tgid)
		return -EPERM;
	if (pgrp == p->tgid)
		return 0;
	list_for_each(other, &pgrp->tasks[PIDTYPE_PGID], pgid_node)
		if (other->sid == me->sid)
			return 0;
	return -EPERM;
}

SYSCALL2(setpgid, s32, nr, s32, pgid)
{
	struct process *p;
	struct pid *pgrp;
	long err;

	if (pgid < 0)
		return -EINVAL;
	if (nr < 0)
		return -ESRCH;
	p = process_of(nr);
	if (!p)
		return -ESRCH;
	if (nr && pid_nr(p->tgid) != nr) { /* a thread that leads no group */
		process_put(p);
		return -EINVAL;
	}
	pgrp = pgid ? pid_find_get(pgid) : pid_get(p->tgid);
	spin_lock(&tasklist_lock);
	/* The target's own rules come before the group's existence. */
	err = may_set_pgid(p, pgrp ? pgrp : p->tgid);
	if (!err && !pgrp)
		err = -EPERM;
	if (!err && pgrp != p->pgid) {
		process_set_pgid(p, pgrp);
		pgrp = NULL;
	}
	spin_unlock(&tasklist_lock);
	pid_put(pgrp);
	process_put(p);
	return err;
}

SYSCALL0(setsid)
{
	struct process *p = current->proc;
	struct tty *tty = NULL;
	long ret = -EPERM;

	spin_lock(&tasklist_lock);
	if (p->sid != p->tgid && list_empty(&p->tgid->tasks[PIDTYPE_PGID])) {
		process_set_sid(p, pid_get(p->tgid));
		process_set_pgid(p, pid_get(p->tgid));
		tty = p->tty;
		p->tty = NULL;
		ret = pid_nr(p->tgid);
	}
	spin_unlock(&tasklist_lock);
	if (tty)
		tty_put(tty);
	if (ret >= 0)
		proc_event(PROC_EVENT_SID, current, NULL, 0);
	return ret;
}
