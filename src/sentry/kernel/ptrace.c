/* ptrace(2): stops and events, as the tracee lives them, and attaching and letting go. Requests: ptrace_request.c. */
#include "sentry/kernel/ptrace.h"

#include <asm/signal.h>
#include <asm-generic/siginfo.h>
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/ptrace.h>
#include <linux/sched.h>

#include "base/string.h"
#include "sentry/kernel/ptrace_internal.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_access.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"

/* ---- links; tasklist_lock held ---- */

static void ptrace_link(struct task *t, struct task *tracer, u32 flags)
{
	t->tracer = tracer;
	t->ptrace_flags = flags | PT_PTRACED;
	list_add_tail(&t->ptrace_node, &tracer->ptraced);
}

void ptrace_unlink(struct task *t)
{
	if (!t->tracer)
		return;
	list_del(&t->ptrace_node);
	t->tracer = NULL;
	t->ptrace_flags = 0;
	t->ctx.single_step = false;
	atomic_fetch_and(&t->flags, ~(TIF_SYSCALL_TRACE | TIF_SYSEMU | TIF_SINGLESTEP));
}

/* A living tracee gets its own life back: a group stop that goes on takes it in again. tasklist_lock held. */
void ptrace_untrace(struct task *t)
{
	struct process *p = t->proc;
	struct sighand *s;

	ptrace_unlink(t);
	s = lock_sighand(t);
	t->jobctl &= ~(JOBCTL_TRAP_STOP | JOBCTL_TRAP_NOTIFY | JOBCTL_LISTENING);
	if (!(atomic_load(&t->flags) & TIF_EXITING) && ((p->flags & PROC_STOPPED) || p->group_stop_count))
		t->jobctl |= JOBCTL_STOP_PENDING;
	if (t->jobctl & (JOBCTL_STOP_PENDING | JOBCTL_TRACED))
		signal_wake_up(t, TASK_TRACED);
	spin_unlock(&s->lock);
}

/* ---- telling the tracer; tasklist_lock held ---- */

static void notify_tracer(struct task *t, s32 why)
{
	struct process *to = t->tracer->proc;
	siginfo_t_k info = { .si_signo = SIGCHLD, .si_code = why };
	const struct k_sigaction *a = &t->tracer->sighand->action[SIGCHLD - 1];

	info.chld.pid = pid_nr_in(t->pid, to->tgid->ns);
	info.chld.uid = uid_in_task(t->tracer, task_uid(t));
	info.chld.status = t->exit_code & 0x7f;
	if (a->handler != K_SIG_IGN && !(a->flags & SA_NOCLDSTOP))
		send_signal_process_tl(to, SIGCHLD, &info);
	wake_up_all(&to->wait_child);
}

/* ---- stopping ---- */

/*
 * Stop for the tracer with what wait4 will report. sighand->lock held before and after. The signal that the tracer wants
 * delivered, when the stop was for one.
 */
static s32 ptrace_stop(struct task *t, struct sighand *s, s32 code, s32 why, u64 message, siginfo_t_k *info)
{
	bool group_done = false;

	if (!t->tracer || sig_in(t->pending.set, SIGKILL))
		return code;
	platform->fpu_save(&t->ctx);
	t->ptrace_message = message;
	t->last_siginfo = info;
	t->exit_code = code;
	if (why == CLD_STOPPED && (t->jobctl & JOBCTL_STOP_PENDING))
		group_done = participate_group_stop(t);
	t->jobctl &= ~JOBCTL_TRAP_STOP;
	if (code >> 8 == PTRACE_EVENT_STOP)
		t->jobctl &= ~JOBCTL_TRAP_NOTIFY;
	t->jobctl |= JOBCTL_TRACED;
	set_current_state(TASK_TRACED);
	spin_unlock(&s->lock);
	spin_lock(&tasklist_lock);
	if (t->tracer) {
		notify_tracer(t, why);
		if (group_done && t->tracer->proc != t->proc->parent)
			notify_parent_stop(t->proc, false);
		spin_unlock(&tasklist_lock);
		schedule();
	} else {
		set_current_state(TASK_RUNNING);
		spin_unlock(&tasklist_lock);
		t->exit_code = 0;
	}
	spin_lock(&s->lock);
	t->jobctl &= ~(JOBCTL_TRACED | JOBCTL_LISTENING);
	t->last_siginfo = NULL;
	t->ptrace_message = 0;
	code = t->exit_code;
	t->exit_code = 0;
	recalc_sigpending(t);
	return code;
}

static s32 stop_with_code(struct task *t, s32 code, u64 message)
{
	siginfo_t_k info = { .si_signo = SIGTRAP, .si_code = code };
	struct sighand *s = lock_sighand(t);

	info.rt.pid = task_tid(t);
	info.rt.uid = uid_out(t->cred->uid);
	code = ptrace_stop(t, s, code, CLD_TRAPPED, message, &info);
	spin_unlock(&s->lock);
	return code;
}

int ptrace_signal(struct task *t, struct sighand *s, int sig, siginfo_t_k *info)
{
	s32 now = ptrace_stop(t, s, sig, CLD_TRAPPED, 0, info);

	if (!now)
		return 0;
	if (now != sig) { /* the tracer put another in its place */
		*info = (siginfo_t_k){ .si_signo = now, .si_code = SI_USER };
		if (t->tracer) {
			info->rt.pid = task_tgid(t->tracer);
			info->rt.uid = task_uid(t->tracer);
		}
	}
	if (sig_in(t->blocked, now)) {
		send_signal_locked(t, now, info, false);
		return 0;
	}
	return now;
}

/* ptrace(2), "Group-stop" and PTRACE_EVENT_STOP. */
void ptrace_jobctl_trap(struct task *t)
{
	struct sighand *s = lock_sighand(t);
	struct process *p = t->proc;
	s32 sig = p->stop_signal;

	if (t->jobctl & (JOBCTL_TRAP_STOP | JOBCTL_TRAP_NOTIFY)) {
		if (t->ptrace_flags & PT_SEIZED) {
			siginfo_t_k info = { 0 };

			if (!p->group_stop_count && !(p->flags & PROC_STOPPED))
				sig = SIGTRAP;
			info.si_signo = sig;
			info.si_code = sig | PTRACE_EVENT_STOP << 8;
			info.rt.pid = task_tid(t);
			ptrace_stop(t, s, sig | PTRACE_EVENT_STOP << 8, CLD_STOPPED, 0, &info);
		} else {
			ptrace_stop(t, s, sig ? sig : SIGSTOP, CLD_STOPPED, 0, NULL);
		}
		if (!t->tracer)
			t->jobctl &= ~(JOBCTL_TRAP_STOP | JOBCTL_TRAP_NOTIFY);
	}
	recalc_sigpending(t);
	spin_unlock(&s->lock);
}

void ptrace_trap_notify(struct task *t)
{
	t->jobctl |= t->ptrace_flags & PT_SEIZED ? JOBCTL_TRAP_NOTIFY : 0;
	signal_wake_up(t, t->jobctl & JOBCTL_LISTENING ? TASK_TRACED : 0);
}

void ptrace_step_into_handler(struct task *t)
{
	t->ctx.single_step = true;
	stop_with_code(t, SIGTRAP, 0);
}

/* ---- events ---- */

void ptrace_event(int event, u64 message)
{
	struct task *t = current;

	if (unlikely(ptrace_event_enabled(t, event)))
		stop_with_code(t, SIGTRAP | event << 8, message);
}

int ptrace_clone_event(u64 clone_flags, s32 exit_signal)
{
	int event = PTRACE_EVENT_FORK;

	if (likely(!current->tracer) || (clone_flags & CLONE_UNTRACED))
		return 0;
	if (clone_flags & CLONE_VFORK)
		event = PTRACE_EVENT_VFORK;
	else if (exit_signal != SIGCHLD)
		event = PTRACE_EVENT_CLONE;
	return ptrace_event_enabled(current, event) ? event : 0;
}

void ptrace_attach_child(struct task *child, int event, u64 clone_flags)
{
	struct task *me = current;

	if (likely(!me->tracer) || (!event && !(clone_flags & CLONE_PTRACE)))
		return;
	ptrace_link(child, me->tracer, me->ptrace_flags);
	if (me->ptrace_flags & PT_SEIZED)
		child->jobctl |= JOBCTL_TRAP_STOP;
	else
		child->pending.set |= sigmask_of(SIGSTOP);
	atomic_fetch_or(&child->flags, TIF_SIGPENDING);
}

void ptrace_exec(struct task *t, s32 old_tid)
{
	if (likely(!t->tracer))
		return;
	if (ptrace_event_enabled(t, PTRACE_EVENT_EXEC))
		ptrace_event(PTRACE_EVENT_EXEC, (u64)old_tid);
	else if (!(t->ptrace_flags & PT_SEIZED))
		send_signal_task(t, SIGTRAP, SEND_SIG_NOINFO);
}

void ptrace_exit_tracer(struct task *t)
{
	LIST_HEAD(dead);

	spin_lock(&tasklist_lock); /* also before the first look: a child may just be asking for this tracer */
	while (!list_empty(&t->ptraced)) {
		struct task *child = list_first(&t->ptraced, struct task, ptrace_node);

		if (child->ptrace_flags & PTRACE_O_EXITKILL)
			send_signal_task(child, SIGKILL, SEND_SIG_PRIV);
		if (child->jobctl & JOBCTL_PTRACE_ZOMBIE)
			ptrace_release_zombie(child, &dead);
		else
			ptrace_untrace(child);
	}
	spin_unlock(&tasklist_lock);
	put_dead(&dead);
}

/* ---- death of a tracee; tasklist_lock held ---- */

bool ptrace_delays_exit(struct task *t)
{
	if (likely(!t->tracer))
		return false;
	/* The parent as tracer waits for the process as for any child. */
	if (t == t->proc->leader && t->tracer->proc == t->proc->parent)
		return false;
	t->jobctl |= JOBCTL_PTRACE_ZOMBIE;
	if (t != t->proc->leader)
		t->proc->traced_dead++;
	task_get(t);
	notify_tracer(t, t->exit_code & 0x7f ? CLD_KILLED : CLD_EXITED);
	return true;
}

/* Reported or given up: a dead leader's process is now its real parent's affair. */
void ptrace_release_zombie(struct task *t, struct list_head *dead)
{
	struct process *p = t->proc;

	t->jobctl &= ~JOBCTL_PTRACE_ZOMBIE;
	ptrace_unlink(t);
	if (t == p->leader || (--p->traced_dead == 0 && (p->flags & PROC_ZOMBIE) && !ptrace_delays_exit(p->leader))) {
		notify_parent_exit(p);
		reap_if_ignored(p, dead);
	}
	task_put(t);
}

/* ---- system calls ---- */

static void report_syscall(struct task *t, u64 message)
{
	s32 sig = SIGTRAP | (t->ptrace_flags & PTRACE_O_TRACESYSGOOD ? 0x80 : 0);

	sig = stop_with_code(t, sig, message);
	if (sig > 0 && sig <= SIG_COUNT && t->tracer)
		send_signal_task(t, sig, SEND_SIG_PRIV);
}

bool ptrace_syscall_enter(struct task *t)
{
	u32 flags = atomic_load(&t->flags);

	if (flags & (TIF_SYSCALL_TRACE | TIF_SYSEMU)) {
		report_syscall(t, PTRACE_EVENTMSG_SYSCALL_ENTRY);
		if ((flags & TIF_SYSEMU) || fatal_signal_pending())
			return false;
	}
	return true;
}

void ptrace_syscall_exit(struct task *t)
{
	if (t->ctx.single_step) {
		siginfo_t_k info = { .si_signo = SIGTRAP, .si_code = TRAP_TRACE };

		info.fault.addr = t->ctx.regs.rip;
		force_signal_info(SIGTRAP, &info);
	} else if (atomic_load(&t->flags) & TIF_SYSCALL_TRACE) {
		report_syscall(t, PTRACE_EVENTMSG_SYSCALL_EXIT);
	}
}

/* ---- attaching ---- */

/* Switching a tracee's filters off is for the privileged who have none themselves. */
bool ptrace_options_allowed(u64 options)
{
	return !(options & PTRACE_O_SUSPEND_SECCOMP) || (capable(CAP_SYS_ADMIN) && !current->seccomp);
}

/* A thread of the parent that will let its tracees go when it dies; NULL when all have done so. tasklist_lock held. */
static struct task *living_thread(const struct process *p)
{
	struct task *t;

	list_for_each(t, &p->threads, thread_node)
		if (!(atomic_load(&t->flags) & TIF_EXITING))
			return t;
	return NULL;
}

long ptrace_traceme(void)
{
	struct task *t = current, *tracer;
	long err = -EPERM;

	spin_lock(&tasklist_lock);
	if (!t->tracer && t->proc->parent != &kernel_process) {
		tracer = living_thread(t->proc->parent);
		if (tracer)
			ptrace_link(t, tracer, 0);
		err = 0;
	}
	spin_unlock(&tasklist_lock);
	return err;
}

/* A stopped task comes out of its job-control stop and into the tracer's. sighand->lock held. */
static void attach_stopped(struct task *t)
{
	if (!(t->jobctl & JOBCTL_STOPPED))
		return;
	t->jobctl |= JOBCTL_TRAP_STOP;
	signal_wake_up(t, TASK_STOPPED);
}

long ptrace_attach(struct task *t, bool seize, u64 options)
{
	struct sighand *s;
	long err = -EPERM;

	if (seize && (options & ~(u64)PT_OPTIONS))
		return -EIO;
	if (seize && !ptrace_options_allowed(options))
		return -EPERM;
	if (t->is_kthread || t->proc == current->proc || !may_access_task(t, true))
		return -EPERM;
	spin_lock(&tasklist_lock);
	if (!t->tracer && !(atomic_load(&t->flags) & TIF_EXITING)) {
		ptrace_link(t, current, seize ? PT_SEIZED | (u32)options : 0);
		s = lock_sighand(t);
		if (!seize)
			send_signal_locked(t, SIGSTOP, SEND_SIG_PRIV, false);
		attach_stopped(t);
		spin_unlock(&s->lock);
		err = 0;
	}
	spin_unlock(&tasklist_lock);
	return err;
}

long ptrace_detach(struct task *t, u64 sig)
{
	if (sig > SIG_COUNT)
		return -EIO;
	spin_lock(&tasklist_lock);
	t->exit_code = (s32)sig;
	ptrace_untrace(t);
	spin_unlock(&tasklist_lock);
	return 0;
}

/* ---- running again ---- */

long ptrace_resume(struct task *t, const struct ptrace_run *run, u64 sig)
{
	struct sighand *s;

	if (sig > SIG_COUNT)
		return -EIO;
	s = lock_sighand(t);
	atomic_fetch_and(&t->flags, ~(TIF_SYSCALL_TRACE | TIF_SYSEMU | TIF_SINGLESTEP));
	atomic_fetch_or(&t->flags, (run->syscalls ? TIF_SYSCALL_TRACE : 0) | (run->emulate ? TIF_SYSEMU : 0) |
					   (run->step ? TIF_SINGLESTEP : 0));
	t->ctx.single_step = run->step;
	t->exit_code = (s32)sig;
	wake_up_state(t, TASK_TRACED);
	spin_unlock(&s->lock);
	return 0;
}

long ptrace_interrupt(struct task *t)
{
	struct sighand *s;

	if (!(t->ptrace_flags & PT_SEIZED))
		return -EIO;
	s = lock_sighand(t);
	t->jobctl |= JOBCTL_TRAP_STOP;
	signal_wake_up(t, t->jobctl & JOBCTL_LISTENING ? TASK_TRACED : 0);
	spin_unlock(&s->lock);
	return 0;
}

/* Stay stopped, but tell when the group is continued. Only in a PTRACE_EVENT_STOP. */
long ptrace_listen(struct task *t)
{
	struct sighand *s;
	long err = -EIO;

	if (!(t->ptrace_flags & PT_SEIZED))
		return -EIO;
	s = lock_sighand(t);
	if (t->last_siginfo && t->last_siginfo->si_code >> 8 == PTRACE_EVENT_STOP) {
		t->jobctl |= JOBCTL_LISTENING;
		if (t->jobctl & JOBCTL_TRAP_NOTIFY)
			signal_wake_up(t, TASK_TRACED);
		err = 0;
	}
	spin_unlock(&s->lock);
	return err;
}
