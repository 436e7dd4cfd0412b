/* Waiting for children: wait4(2), waitid(2). */
#include <asm/fcntl.h>
#include <asm/signal.h>
#include <asm-generic/siginfo.h>
#include <linux/errno.h>
#include <linux/resource.h>
#include <linux/wait.h>

#include "base/string.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/rusage.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"

struct wait_query {
	u32 which;	 /* P_ALL, P_PID, P_PGID */
	struct pid *pid; /* P_PID and P_PGID: with a reference */
	u32 options;
	bool nonblock;
};
struct wait_result {
	s32 pid, status; /* status as wait4 has it */
	u32 uid;
	s32 code, value; /* si_code, si_status */
	struct rusage ru;
};

/* ---- one child; tasklist_lock held ---- */

static bool traced_by(const struct task *t, const struct process *p)
{
	return t->tracer && t->tracer->proc == p;
}

static bool eligible(const struct wait_query *q, const struct process *p)
{
	bool clone = p->exit_signal != SIGCHLD;

	if (q->which == P_PID && p->tgid != q->pid)
		return false;
	if (q->which == P_PGID && p->pgid != q->pid)
		return false;
	return q->options & __WALL || clone == !!(q->options & __WCLONE) || traced_by(p->leader, current->proc);
}

static void fill_result(struct wait_result *r, struct process *p, s32 code, s32 value)
{
	r->pid = pid_nr(p->tgid);
	r->uid = uid_out(p->leader->cred->uid);
	r->code = code;
	r->value = value;
	process_rusage_locked(p, RUSAGE_BOTH_K, &r->ru);
}

static void fill_exit(struct wait_result *r, struct process *p)
{
	s32 status = p->group_exit_code;

	r->status = status;
	if (status & 0x7f)
		fill_result(r, p, status & 0x80 ? CLD_DUMPED : CLD_KILLED, status & 0x7f);
	else
		fill_result(r, p, CLD_EXITED, status >> 8 & 0xff);
}

static void account_child(struct process *parent, struct process *p)
{
	u64 utime, stime;

	process_cputime_locked(p, &utime, &stime);
	parent->cutime_ns += utime + p->cutime_ns;
	parent->cstime_ns += stime + p->cstime_ns;
	parent->cmin_flt += p->min_flt + p->cmin_flt;
	parent->cmaj_flt += p->maj_flt + p->cmaj_flt;
	parent->cmaxrss = MAX(parent->cmaxrss, MAX(p->maxrss, p->cmaxrss));
}

/* True when p had something to report. *reaped: the caller releases p. */
static bool wait_zombie(const struct wait_query *q, struct process *p, struct wait_result *r, struct process **reaped)
{
	if (!(q->options & WEXITED) || !(p->flags & PROC_ZOMBIE) || p->traced_dead ||
	    (p->leader->jobctl & JOBCTL_PTRACE_ZOMBIE))
		return false;
	fill_exit(r, p);
	if (!(q->options & WNOWAIT)) {
		account_child(current->proc, p);
		process_unlink(p);
		ptrace_unlink(p->leader);
		detach_task(p->leader);
		*reaped = p;
	}
	return true;
}

static bool wait_stopped(const struct wait_query *q, struct process *p, struct wait_result *r)
{
	struct sighand *sh = p->leader->sighand;
	bool found;

	if (!(q->options & WSTOPPED))
		return false;
	spin_lock(&sh->lock);
	found = (p->flags & (PROC_STOPPED | PROC_STOP_REPORTED)) == PROC_STOPPED;
	if (found && !(q->options & WNOWAIT))
		p->flags |= PROC_STOP_REPORTED;
	spin_unlock(&sh->lock);
	if (found) {
		r->status = p->stop_signal << 8 | 0x7f;
		fill_result(r, p, CLD_STOPPED, p->stop_signal);
	}
	return found;
}

static bool wait_continued(const struct wait_query *q, struct process *p, struct wait_result *r)
{
	struct sighand *sh = p->leader->sighand;
	bool found;

	if (!(q->options & WCONTINUED))
		return false;
	spin_lock(&sh->lock);
	found = p->flags & PROC_CONTINUED;
	if (found && !(q->options & WNOWAIT))
		p->flags &= ~PROC_CONTINUED;
	spin_unlock(&sh->lock);
	if (found) {
		r->status = 0xffff;
		fill_result(r, p, CLD_CONTINUED, SIGCONT);
	}
	return found;
}

static bool wait_one(const struct wait_query *q, struct process *p, struct wait_result *r, struct process **reaped)
{
	if (wait_zombie(q, p, r, reaped))
		return true;
	if (p->leader->tracer) /* its stops are the tracer's */
		return false;
	return wait_stopped(q, p, r) || wait_continued(q, p, r);
}

/* ---- one tracee, a thread of any process; tasklist_lock held ---- */

static bool eligible_tracee(const struct wait_query *q, const struct task *t)
{
	return q->which == P_ALL || q->pid == (q->which == P_PID ? t->pid : t->proc->pgid);
}

static bool wait_traced_exit(const struct wait_query *q, struct task *t, struct wait_result *r, struct list_head *dead)
{
	if (!(q->options & WEXITED) || !(t->jobctl & JOBCTL_PTRACE_ZOMBIE))
		return false;
	if (t == t->proc->leader) {
		fill_exit(r, t->proc);
	} else {
		s32 status = t->proc->flags & PROC_GROUP_EXIT ? t->proc->group_exit_code : t->exit_code;
		bool killed = status & 0x7f;

		fill_result(r, t->proc, killed ? CLD_KILLED : CLD_EXITED, killed ? status & 0x7f : status >> 8 & 0xff);
		r->pid = task_tid(t);
		r->status = status;
	}
	if (!(q->options & WNOWAIT))
		ptrace_release_zombie(t, dead);
	return true;
}

static bool wait_traced_stop(const struct wait_query *q, struct task *t, struct wait_result *r)
{
	struct sighand *sh = t->sighand;
	s32 code = 0;

	spin_lock(&sh->lock);
	if ((t->jobctl & JOBCTL_TRACED) && !(t->jobctl & JOBCTL_LISTENING) && atomic_load(&t->state) == TASK_TRACED) {
		code = t->exit_code;
		if (!(q->options & WNOWAIT))
			t->exit_code = 0;
	}
	spin_unlock(&sh->lock);
	if (!code)
		return false;
	fill_result(r, t->proc, CLD_TRAPPED, code);
	r->pid = task_tid(t);
	r->status = code << 8 | 0x7f;
	return true;
}

/* As scan(), over what the threads of this process trace. */
static long scan_tracees(const struct wait_query *q, struct wait_result *r, struct list_head *dead)
{
	struct task *me, *t;
	long ret = -ECHILD;

	list_for_each(me, &current->proc->threads, thread_node) {
		if ((q->options & __WNOTHREAD) && me != current)
			continue;
		list_for_each(t, &me->ptraced, ptrace_node) {
			if (!eligible_tracee(q, t))
				continue;
			ret = 0;
			if (wait_traced_exit(q, t, r, dead) || wait_traced_stop(q, t, r))
				return 1;
		}
	}
	return ret;
}

/* ---- all children ---- */

/* A result: 1. Nothing yet: 0. Nobody to wait for: -ECHILD. */
static long scan(const struct wait_query *q, struct wait_result *r, struct process **reaped)
{
	struct process *me = current->proc, *p;
	long ret = -ECHILD;

	if (q->which == P_PID) {
		p = q->pid->process;
		if (!p || p->parent != me || !eligible(q, p))
			return -ECHILD;
		return wait_one(q, p, r, reaped);
	}
	list_for_each(p, &me->children, sibling) {
		if (!eligible(q, p))
			continue;
		ret = 0;
		if (wait_one(q, p, r, reaped))
			return 1;
	}
	return ret;
}

static long scan_locked(const struct wait_query *q, struct wait_result *r)
{
	struct process *reaped = NULL;
	LIST_HEAD(dead);
	long ret;

	spin_lock(&tasklist_lock);
	ret = scan(q, r, &reaped);
	if (ret <= 0) {
		long traced = scan_tracees(q, r, &dead);

		ret = traced == -ECHILD ? ret : traced;
	}
	spin_unlock(&tasklist_lock);
	if (reaped)
		process_release(reaped);
	put_dead(&dead);
	return ret;
}

static long do_wait(const struct wait_query *q, struct wait_result *r)
{
	struct waiter w = { 0 };
	long ret;

	list_init(&w.node);
	for (;;) {
		prepare_to_wait(&current->proc->wait_child, &w, TASK_INTERRUPTIBLE);
		ret = scan_locked(q, r);
		if (ret || q->options & WNOHANG)
			break;
		if (q->nonblock) {
			ret = -EAGAIN;
			break;
		}
		if (signal_pending()) {
			ret = -ERESTARTSYS;
			break;
		}
		schedule();
	}
	finish_wait(&current->proc->wait_child, &w);
	return ret;
}

/* ---- the calls ---- */

SYSCALL4(wait4, s32, upid, u64, ustatus, s32, options, u64, uru)
{
	struct wait_query q = { .options = (u32)options | WEXITED };
	struct wait_result r = { 0 };
	long ret;

	if (options & ~(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL))
		return -EINVAL;
	if (upid == INT32_MIN)
		return -ESRCH;
	q.which = upid == -1 ? P_ALL : upid > 0 ? P_PID : P_PGID;
	if (upid > 0 || upid < -1)
		q.pid = pid_find_get(upid > 0 ? upid : -upid);
	else if (upid == 0)
		q.pid = pid_get(current->proc->pgid);
	if (q.which != P_ALL && !q.pid)
		return -ECHILD;
	ret = do_wait(&q, &r);
	pid_put(q.pid);
	if (ret <= 0)
		return ret;
	if (ustatus && put_user(r.status, ustatus))
		return -EFAULT;
	if (uru && copy_to_user(uru, &r.ru, sizeof(r.ru)))
		return -EFAULT;
	return r.pid;
}

static long waitid_target(struct wait_query *q, s32 which, s32 id)
{
	u32 flags = 0;

	switch (which) {
	case P_ALL:
		return 0;
	case P_PID:
		if (id <= 0)
			return -EINVAL;
		q->pid = pid_find_get(id);
		break;
	case P_PGID:
		if (id < 0)
			return -EINVAL;
		q->pid = id ? pid_find_get(id) : pid_get(current->proc->pgid);
		break;
	case P_PIDFD:
		if (id < 0)
			return -EINVAL;
		q->pid = pidfd_get(id, &flags);
		if (IS_ERR(q->pid))
			return PTR_ERR(q->pid);
		q->which = P_PID;
		q->nonblock = flags & O_NONBLOCK;
		return 0;
	default:
		return -EINVAL;
	}
	return q->pid ? 0 : -ECHILD;
}

static long put_siginfo(u64 uinfo, const struct wait_result *r, bool found)
{
	siginfo_t_k info = { 0 };

	if (!uinfo)
		return 0;
	if (found) {
		info.si_signo = SIGCHLD;
		info.si_code = r->code;
		info.chld.pid = r->pid;
		info.chld.uid = r->uid;
		info.chld.status = r->value;
	}
	return copy_to_user(uinfo, &info, sizeof(info));
}

SYSCALL5(waitid, s32, which, s32, id, u64, uinfo, s32, options, u64, uru)
{
	struct wait_query q = { .which = (u32)which, .options = (u32)options };
	struct wait_result r = { 0 };
	long ret;

	if (options & ~(WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL))
		return -EINVAL;
	if (!(options & (WEXITED | WSTOPPED | WCONTINUED)))
		return -EINVAL;
	ret = waitid_target(&q, which, id);
	if (ret)
		return ret;
	ret = do_wait(&q, &r);
	pid_put(q.pid);
	if (ret < 0)
		return ret;
	if (ret > 0 && uru && copy_to_user(uru, &r.ru, sizeof(r.ru)))
		return -EFAULT;
	return put_siginfo(uinfo, &r, ret > 0);
}
