/* Delivery on the way to user mode: stops, deaths, handlers, and what becomes of an interrupted system call. */
#include <asm/signal.h>
#include <asm/unistd.h>
#include <asm-generic/siginfo.h>
#include <linux/errno.h>

#include "base/log.h"
#include "sentry/kernel/coredump.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"

/* Somebody has to tell the parent that the group was stopped or continued; the first thread that comes by does. */
static bool tell_pending_cldstop(struct process *p, struct sighand *s)
{
	bool continued;

	if (likely(!(p->flags & (PROC_CLD_STOPPED | PROC_CLD_CONTINUED))))
		return false;
	continued = p->flags & PROC_CLD_CONTINUED;
	p->flags &= ~(PROC_CLD_STOPPED | PROC_CLD_CONTINUED);
	spin_unlock(&s->lock);
	tell_parent_cldstop(p, continued);
	return true;
}

/* What happened to the whole group. True: sighand->lock was dropped, look again. */
static bool group_work(struct task *t, struct sighand *s)
{
	if (tell_pending_cldstop(t->proc, s))
		return true;
	if ((t->jobctl & JOBCTL_STOP_PENDING) && do_signal_stop(0))
		return true;
	if (t->jobctl & (JOBCTL_TRAP_STOP | JOBCTL_TRAP_NOTIFY)) {
		spin_unlock(&s->lock);
		ptrace_jobctl_trap(t);
		return true;
	}
	return false;
}

static bool being_killed(const struct task *t)
{
	return (t->proc->flags & PROC_GROUP_EXIT) || (t->proc->group_exec_task && t->proc->group_exec_task != t) ||
	       sig_in(t->pending.set, SIGKILL);
}

static __noreturn void die(struct task *t, int sig, const siginfo_t_k *info)
{
	if (t->proc->group_exec_task && t->proc->group_exec_task != t && !(t->proc->flags & PROC_GROUP_EXIT))
		do_exit(SIGKILL); /* exec of another thread ends this one only */
	if (sig_in(SIGSET_CORE, sig)) {
		klog(LOG_INFO, "%s[%d]: killed by signal %d at %#lx", t->comm, task_tid(t), sig, t->ctx.regs.rip);
		do_group_exit(coredump(t, sig, info));
	}
	do_group_exit(sig);
}

enum verdict { V_NEXT, V_RELOCK, V_HANDLER, V_FATAL };

static enum verdict stop_by_default(int sig, struct sighand *s)
{
	if (sig != SIGSTOP) {
		bool orphaned;

		/* An orphaned group has nobody to continue it: signal(7). The lock order wants ours dropped. */
		spin_unlock(&s->lock);
		orphaned = pgrp_orphaned(current->proc->pgid);
		if (orphaned)
			return V_RELOCK;
		lock_sighand(current);
	}
	return do_signal_stop(sig) ? V_RELOCK : V_NEXT;
}

/* sighand->lock held, and still with V_NEXT, V_HANDLER and V_FATAL. */
static enum verdict judge(struct task *t, struct ksignal *ks, struct sighand *s)
{
	struct k_sigaction *action = &s->action[ks->sig - 1];

	if (action->handler == K_SIG_IGN)
		return V_NEXT;
	if (action->handler != K_SIG_DFL) {
		ks->action = *action;
		if (action->flags & SA_ONESHOT)
			action->handler = K_SIG_DFL;
		return V_HANDLER;
	}
	if (sig_in(SIGSET_IGNORE, ks->sig))
		return V_NEXT;
	if (init_protected(t->proc, ks->sig, &ks->info))
		return V_NEXT;
	return sig_in(SIGSET_STOP, ks->sig) ? stop_by_default(ks->sig, s) : V_FATAL;
}

bool get_signal(struct ksignal *ks)
{
	struct task *t = current;
	enum verdict v = V_RELOCK;
	struct sighand *s = NULL;

	do {
		if (v == V_RELOCK)
			s = lock_sighand(t);
		if (being_killed(t)) {
			t->pending.set &= ~sigmask_of(SIGKILL); /* taken: PTRACE_EVENT_EXIT may stop once more */
			spin_unlock(&s->lock);
			die(t, SIGKILL, NULL);
		}
		v = V_RELOCK;
		if (group_work(t, s))
			continue;
		ks->sig = dequeue_signal(t, t->blocked, &ks->info);
		if (!ks->sig)
			break;
		if (unlikely(t->tracer) && ks->sig != SIGKILL) {
			ks->sig = ptrace_signal(t, s, ks->sig, &ks->info); /* drops and retakes the lock */
			s = t->sighand;
			if (!ks->sig) {
				v = V_NEXT;
				continue;
			}
		}
		v = judge(t, ks, s);
	} while (v == V_NEXT || v == V_RELOCK);
	spin_unlock(&s->lock);
	if (v == V_FATAL)
		die(t, ks->sig, &ks->info);
	return ks->sig != 0;
}

/* ---- handlers ---- */

static bool in_syscall(const struct user_regs *r)
{
	return (s64)r->orig_rax >= 0;
}

static void restart_same(struct task *t)
{
	t->ctx.regs.rax = t->ctx.regs.orig_rax;
	t->ctx.regs.rip -= 2; /* SYSCALL is two bytes */
	t->ctx.regs_dirty = true;
}

/* signal(7), "Interruption of system calls": what the handler's return will find. */
static void restart_before_handler(struct task *t, const struct ksignal *ks)
{
	switch (-(s64)t->ctx.regs.rax) {
	case ERESTARTSYS:
		if (!(ks->action.flags & SA_RESTART)) {
			t->ctx.regs.rax = (u64)-EINTR;
			break;
		}
		restart_same(t);
		break;
	case ERESTARTNOINTR:
		restart_same(t);
		break;
	case ERESTARTNOHAND:
	case ERESTART_RESTARTBLOCK:
		t->ctx.regs.rax = (u64)-EINTR;
	}
}

static void restart_without_handler(struct task *t)
{
	switch (-(s64)t->ctx.regs.rax) {
	case ERESTARTSYS:
	case ERESTARTNOINTR:
	case ERESTARTNOHAND:
		restart_same(t);
		break;
	case ERESTART_RESTARTBLOCK:
		restart_same(t);
		t->ctx.regs.rax = __NR_restart_syscall;
	}
}

static void handler_mask(struct task *t, const struct ksignal *ks)
{
	sigset64 mask = t->blocked | ks->action.mask;

	if (!(ks->action.flags & SA_NODEFER))
		mask |= sigmask_of(ks->sig);
	t->restore_mask = false; /* the frame has it */
	set_current_blocked(mask);
}

/* The frame could not be written: as a fault of the stack, fatal when the fault's own handler cannot be called. */
static void frame_failed(struct task *t, int sig)
{
	if (sig == SIGSEGV) {
		spin_lock(&t->sighand->lock);
		t->sighand->action[SIGSEGV - 1].handler = K_SIG_DFL;
		spin_unlock(&t->sighand->lock);
	}
	force_signal(SIGSEGV, SI_KERNEL, 0);
}

static void handle_signal(struct task *t, const struct ksignal *ks)
{
	bool stepping = t->ctx.single_step;

	if (in_syscall(&t->ctx.regs))
		restart_before_handler(t, ks);
	t->ctx.single_step = false;
	if (setup_rt_frame(t, ks)) {
		frame_failed(t, ks->sig);
		return;
	}
	if (t->altstack.flags & SS_AUTODISARM)
		t->altstack = (struct sigaltstack_val){ .flags = SS_DISABLE };
	handler_mask(t, ks);
	if (unlikely(stepping))
		ptrace_step_into_handler(t);
}

void do_signal(struct task *t)
{
	struct ksignal ks;

	if (get_signal(&ks)) {
		handle_signal(t, &ks);
		return;
	}
	if (in_syscall(&t->ctx.regs))
		restart_without_handler(t);
	restore_saved_sigmask_unless(false);
}

/* restart_syscall(2): what a stop and a continue interrupted goes on to the same deadline. */
SYSCALL0(restart_syscall)
{
	struct restart_block *rb = &current->restart;

	return rb->fn ? rb->fn(rb) : -EINTR;
}
