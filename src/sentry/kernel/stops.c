/*
 * Job control: stopping and continuing whole thread groups, orphaned process groups, and telling the parent.
 *
 * A stop signal is dequeued by one thread, which marks every thread JOBCTL_STOP_PENDING|CONSUME and counts them in
 * process.group_stop_count; each thread stops itself in do_signal_stop(), and the last one completes the stop.
 * SIGCONT undoes all of that at the moment it is sent, whether it is blocked or not (signal(7)).
 */
#include <asm/signal.h>
#include <asm-generic/siginfo.h>

#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/task.h"

/* ---- marks; sighand->lock held ---- */

void task_clear_stop_pending(struct task *t)
{
	t->jobctl &= ~(JOBCTL_STOP_PENDING | JOBCTL_STOP_CONSUME | JOBCTL_STOP_DEQUEUED);
}

static bool task_set_stop_pending(struct task *t)
{
	if (sig_in(t->pending.set, SIGKILL) || (atomic_load(&t->flags) & TIF_EXITING))
		return false;
	t->jobctl |= JOBCTL_STOP_PENDING | JOBCTL_STOP_CONSUME;
	return true;
}

bool participate_group_stop(struct task *t)
{
	struct process *p = t->proc;
	bool consume = t->jobctl & JOBCTL_STOP_CONSUME;

	task_clear_stop_pending(t);
	if (!consume)
		return false;
	if (p->group_stop_count)
		p->group_stop_count--;
	if (p->group_stop_count || (p->flags & PROC_STOPPED))
		return false;
	p->flags = (p->flags & ~(PROC_CONTINUED | PROC_STOP_REPORTED)) | PROC_STOPPED;
	return true;
}

void join_group_stop(struct task *t)
{
	struct task *me = current;

	if (!(me->jobctl & JOBCTL_STOP_PENDING))
		return;
	if (task_set_stop_pending(t))
		t->proc->group_stop_count++;
	recalc_sigpending(t);
}

static void mark_group(int sig)
{
	struct task *me = current, *t;
	struct process *p = me->proc;

	if (!(p->flags & PROC_STOPPED))
		p->stop_signal = sig;
	p->group_stop_count = 0;
	list_for_each(t, &p->threads, thread_node) {
		if (t != me && (t->jobctl & JOBCTL_STOPPED))
			continue;
		if (!task_set_stop_pending(t))
			continue;
		p->group_stop_count++;
		if (t == me)
			continue;
		if (t->tracer)
			ptrace_trap_notify(t);
		else
			signal_wake_up(t, 0);
	}
}

bool do_signal_stop(int sig)
{
	struct task *t = current;
	struct process *p = t->proc;
	bool tell;

	if (!(t->jobctl & JOBCTL_STOP_PENDING)) {
		/* A SIGCONT or SIGKILL that came since the dequeueing cancels it. */
		if (!(t->jobctl & JOBCTL_STOP_DEQUEUED) || (p->flags & PROC_GROUP_EXIT) || p->group_exec_task)
			return false;
		mark_group(sig);
		if (!(t->jobctl & JOBCTL_STOP_PENDING))
			return false;
	}
	if (t->tracer) { /* ptrace(2), "Group-stop": reported as a stop of the tracee */
		t->jobctl |= JOBCTL_TRAP_STOP;
		spin_unlock(&t->sighand->lock);
		ptrace_jobctl_trap(t);
		return true;
	}
	tell = participate_group_stop(t);
	t->jobctl |= JOBCTL_STOPPED;
	set_current_state(TASK_STOPPED);
	spin_unlock(&t->sighand->lock);
	if (tell)
		tell_parent_cldstop(p, false);
	schedule();
	spin_lock(&t->sighand->lock);
	t->jobctl &= ~JOBCTL_STOPPED;
	spin_unlock(&t->sighand->lock);
	return true;
}

/* ---- at the moment of sending; sighand->lock held ---- */

static void flush_group(struct process *p, sigset64 mask)
{
	struct task *t;

	flush_sigqueue_mask(&p->shared_pending, mask);
	list_for_each(t, &p->threads, thread_node)
		flush_sigqueue_mask(&t->pending, mask);
}

static void continue_group(struct process *p)
{
	struct task *t;
	u32 why = 0;

	flush_group(p, SIGSET_STOP);
	list_for_each(t, &p->threads, thread_node) {
		task_clear_stop_pending(t);
		if (t->tracer && (t->ptrace_flags & PT_SEIZED))
			ptrace_trap_notify(t);
		else
			wake_up_state(t, TASK_STOPPED);
	}
	if (p->flags & PROC_STOPPED)
		why = PROC_CLD_CONTINUED | PROC_CONTINUED;
	else if (p->group_stop_count)
		why = PROC_CLD_STOPPED;
	if (why) {
		p->flags = (p->flags & ~(PROC_STOPPED | PROC_STOP_REPORTED | PROC_CLD_STOPPED | PROC_CLD_CONTINUED)) | why;
		p->group_stop_count = 0;
		/* Whoever comes by in get_signal() tells the parent: one thread must come by. */
		list_for_each(t, &p->threads, thread_node)
			signal_wake_up(t, 0);
	}
}

void prepare_stop_signal(struct task *t, int sig)
{
	if (sig_in(SIGSET_STOP, sig))
		flush_group(t->proc, sigmask_of(SIGCONT));
	else if (sig == SIGCONT)
		continue_group(t->proc);
}

/* ---- telling the parent ---- */

void notify_parent_stop(struct process *p, bool continued)
{
	struct process *parent = p->parent;
	const struct k_sigaction *a;
	siginfo_t_k info = { .si_signo = SIGCHLD, .si_code = continued ? CLD_CONTINUED : CLD_STOPPED };

	if (!parent->leader)
		return;
	info.chld.pid = parent->tgid ? pid_nr_in(p->tgid, parent->tgid->ns) : 0;
	info.chld.uid = uid_in_task(parent->leader, task_uid(p->leader));
	info.chld.status = continued ? SIGCONT : p->stop_signal & 0x7f;
	a = &parent->leader->sighand->action[SIGCHLD - 1];
	if (a->handler != K_SIG_IGN && !(a->flags & SA_NOCLDSTOP))
		send_signal_process_tl(parent, SIGCHLD, &info);
	wake_up_all(&parent->wait_child);
}

void tell_parent_cldstop(struct process *p, bool continued)
{
	spin_lock(&tasklist_lock);
	notify_parent_stop(p, continued);
	spin_unlock(&tasklist_lock);
}

/* ---- orphaned groups: POSIX 3.264, setpgid(2) ---- */

bool pgrp_orphaned(struct pid *pgrp)
{
	struct list_head *n, *head = &pgrp->tasks[PIDTYPE_PGID];
	bool orphaned = true;

	spin_lock(&tasklist_lock);
	for (n = head->next; n != head && orphaned; n = n->next) {
		struct process *p = container_of(n, struct process, pgid_node), *parent = p->parent;

		/* The sandbox's first process may well be a shell with jobs: as a container's, it counts as any parent. */
		if ((p->flags & PROC_ZOMBIE) || !parent || !parent->leader)
			continue;
		if (parent->pgid != pgrp && parent->sid == p->sid)
			orphaned = false;
	}
	spin_unlock(&tasklist_lock);
	return orphaned;
}
