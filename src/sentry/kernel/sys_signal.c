/* The calls about signals: decoding and checks; signal.c does the work. */
#include <asm/signal.h>
#include <asm-generic/siginfo.h>
#include <linux/errno.h>

#include "base/string.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"

static bool valid_signal(s32 sig)
{
	return sig >= 0 && sig <= SIG_COUNT;
}

/* ---- handlers and masks ---- */

#define SA_KNOWN                                                                        \
	(SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | SA_RESETHAND | \
	 SA_EXPOSE_TAGBITS | SA_RESTORER)

/* Ignoring a signal discards the pending ones, POSIX 3.3.1.3. sighand->lock held. */
static void discard_ignored(struct process *p, struct sighand *s, int sig)
{
	u64 handler = s->action[sig - 1].handler;
	struct task *t;

	if (handler != K_SIG_IGN && (handler != K_SIG_DFL || !sig_in(SIGSET_IGNORE, sig)))
		return;
	flush_sigqueue_mask(&p->shared_pending, sigmask_of(sig));
	list_for_each(t, &p->threads, thread_node)
		flush_sigqueue_mask(&t->pending, sigmask_of(sig));
}

SYSCALL4(rt_sigaction, s32, sig, u64, unew, u64, uold, u64, size)
{
	struct sighand *s = current->sighand;
	struct k_sigaction action, old;

	if (size != sizeof(sigset64))
		return -EINVAL;
	if (unew && get_user(action, unew))
		return -EFAULT;
	if (sig < 1 || sig > SIG_COUNT || (unew && sig_in(SIGSET_ONLY_KERNEL, sig)))
		return -EINVAL;
	spin_lock(&s->lock);
	old = s->action[sig - 1];
	if (unew) {
		action.flags &= SA_KNOWN;
		action.mask &= ~SIGSET_ONLY_KERNEL;
		s->action[sig - 1] = action;
		discard_ignored(current->proc, s, sig);
	}
	spin_unlock(&s->lock);
	return uold ? put_user(old, uold) : 0;
}

SYSCALL4(rt_sigprocmask, s32, how, u64, unew, u64, uold, u64, size)
{
	sigset64 old = current->blocked, set;

	if (size != sizeof(sigset64))
		return -EINVAL;
	if (unew) {
		if (get_user(set, unew))
			return -EFAULT;
		switch (how) {
		case SIG_BLOCK:
			set_current_blocked(old | set);
			break;
		case SIG_UNBLOCK:
			set_current_blocked(old & ~set);
			break;
		case SIG_SETMASK:
			set_current_blocked(set);
			break;
		default:
			return -EINVAL;
		}
	}
	return uold ? put_user(old, uold) : 0;
}

SYSCALL2(rt_sigpending, u64, uset, u64, size)
{
	struct task *t = current;
	sigset64 set;

	if (size > sizeof(sigset64))
		return -EINVAL;
	spin_lock(&t->sighand->lock);
	set = (t->pending.set | t->proc->shared_pending.set) & t->blocked;
	spin_unlock(&t->sighand->lock);
	return copy_to_user(uset, &set, size);
}

/* ---- waiting ---- */

SYSCALL2(rt_sigsuspend, u64, umask, u64, size)
{
	sigset64 mask;

	if (size != sizeof(mask))
		return -EINVAL;
	if (get_user(mask, umask))
		return -EFAULT;
	set_user_sigmask(mask);
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (signal_pending())
			break;
		schedule();
	}
	set_current_state(TASK_RUNNING);
	return -ERESTARTNOHAND;
}

SYSCALL0(pause)
{
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (signal_pending())
			break;
		schedule();
	}
	set_current_state(TASK_RUNNING);
	return -ERESTARTNOHAND;
}

/* Signals waited for are unblocked for the time, so that they wake; real_blocked remembers that they are not handled. */
static int sigtimedwait(struct task *t, sigset64 want, siginfo_t_k *info, u64 deadline)
{
	sigset64 mask = ~want;
	int sig;

	spin_lock(&t->sighand->lock);
	sig = dequeue_signal(t, mask, info);
	if (!sig && deadline) {
		t->real_blocked = t->blocked;
		t->blocked &= mask;
		recalc_sigpending(t);
		spin_unlock(&t->sighand->lock);
		set_current_state(TASK_INTERRUPTIBLE);
		if (!signal_pending())
			schedule_until(deadline);
		set_current_state(TASK_RUNNING);
		spin_lock(&t->sighand->lock);
		set_blocked_locked(t, t->real_blocked);
		t->real_blocked = 0;
		sig = dequeue_signal(t, mask, info);
	}
	spin_unlock(&t->sighand->lock);
	return sig;
}

static long get_deadline(u64 uts, u64 *deadline)
{
	struct timespec_k ts;
	u64 now;

	*deadline = ~0ull;
	if (!uts)
		return 0;
	if (get_user(ts, uts))
		return -EFAULT;
	if (ts.sec < 0 || ts.nsec < 0 || ts.nsec >= (s64)NSEC_PER_SEC)
		return -EINVAL;
	now = clock_mono_ns();
	if (!ts.sec && !ts.nsec)
		*deadline = 0;
	else if ((u64)ts.sec < (~0ull >> 2) / NSEC_PER_SEC)
		*deadline = now + (u64)ts.sec * NSEC_PER_SEC + (u64)ts.nsec;
	return 0;
}

SYSCALL4(rt_sigtimedwait, u64, uset, u64, uinfo, u64, uts, u64, size)
{
	siginfo_t_k info;
	sigset64 want;
	u64 deadline;
	long err;
	int sig;

	if (size != sizeof(want))
		return -EINVAL;
	if (get_user(want, uset))
		return -EFAULT;
	err = get_deadline(uts, &deadline);
	if (err)
		return err;
	want &= ~SIGSET_ONLY_KERNEL;
	sig = sigtimedwait(current, want, &info, deadline);
	/* Woken early by another signal, or by one that another thread took. */
	if (!sig)
		return deadline && clock_mono_ns() < deadline ? -EINTR : -EAGAIN;
	if (uinfo && put_user(info, uinfo))
		return -EFAULT;
	return sig;
}

/* ---- sending ---- */

static long kill_process(s32 pid, int sig, siginfo_t_k *info)
{
	struct task *t = find_task_get(pid); /* any thread of it will do */
	struct process *p = t ? process_get(t->proc) : NULL;
	long err;

	task_put(t);
	if (!p)
		return -ESRCH;
	err = check_kill_permission(p, sig);
	if (!err && sig)
		err = send_signal_process(p, sig, info);
	process_put(p);
	return err;
}

/* A set of processes is collected first: permission cannot be checked under the lock that holds the lists still. */
#define KILL_BATCH 64
struct kill_set {
	struct process *p[KILL_BATCH];
	u32 n;
	s32 last; /* highest thread group id taken: go on from there */
};

static bool in_kill_set(const struct process *p, const struct pid *pgrp)
{
	if (p->flags & PROC_ZOMBIE)
		return false;
	if (pgrp)
		return p->pgid == pgrp;
	return p != task_pid_ns(current)->reaper && p != current->proc;
}

static void collect_processes(struct kill_set *set, const struct pid *pgrp)
{
	s32 nr = set->last;

	set->n = 0;
	while (set->n < KILL_BATCH && (nr = next_tgid(task_pid_ns(current), nr + 1))) {
		struct process *p = find_process_get(nr);

		if (!p)
			continue;
		if (in_kill_set(p, pgrp))
			set->p[set->n++] = p;
		else
			process_put(p);
		set->last = nr;
	}
}

/* kill(2): success if one could be signalled; else the last error. */
static long kill_many(const struct pid *pgrp, int sig, siginfo_t_k *info)
{
	struct kill_set *set = kmalloc(sizeof(*set));
	long ret = -ESRCH;

	if (!set)
		return -ENOMEM;
	set->last = 0;
	do {
		collect_processes(set, pgrp);
		for (u32 i = 0; i < set->n; i++) {
			long err = check_kill_permission(set->p[i], sig);

			if (!err && sig)
				err = send_signal_process(set->p[i], sig, info);
			if (ret)
				ret = err;
			process_put(set->p[i]);
		}
	} while (set->n == KILL_BATCH);
	kfree(set);
	return ret;
}

static long kill_group(struct pid *pgrp, int sig, siginfo_t_k *info)
{
	long ret;

	if (!pgrp)
		return -ESRCH;
	ret = kill_many(pgrp, sig, info);
	pid_put(pgrp);
	return ret;
}

static long do_kill(s32 pid, int sig, siginfo_t_k *info)
{
	if (pid > 0)
		return kill_process(pid, sig, info);
	if (pid == INT32_MIN)
		return -ESRCH;
	if (pid == -1)
		return kill_many(NULL, sig, info);
	return kill_group(pid ? pid_find_get(-pid) : pid_get(current->proc->pgid), sig, info);
}

SYSCALL2(kill, s32, pid, s32, sig)
{
	siginfo_t_k info;

	siginfo_user(&info, sig, SI_USER);
	return do_kill(pid, sig, &info);
}

/* tgid 0: any. Information may be forged towards oneself only: rt_sigqueueinfo(2). */
static long kill_thread(s32 tgid, s32 tid, int sig, siginfo_t_k *info)
{
	struct task *t = find_task_get(tid);
	long err;

	if (!t)
		return -ESRCH;
	if (!t->sighand || (tgid > 0 && task_tgid(t) != tgid))
		err = -ESRCH;
	else
		err = check_kill_permission(t->proc, sig);
	if (!err && sig)
		err = send_signal_task(t, sig, info);
	task_put(t);
	return err;
}

SYSCALL3(tgkill, s32, tgid, s32, tid, s32, sig)
{
	siginfo_t_k info;

	if (tgid <= 0 || tid <= 0)
		return -EINVAL;
	siginfo_user(&info, sig, SI_TKILL);
	return kill_thread(tgid, tid, sig, &info);
}

SYSCALL2(tkill, s32, tid, s32, sig)
{
	siginfo_t_k info;

	if (tid <= 0)
		return -EINVAL;
	siginfo_user(&info, sig, SI_TKILL);
	return kill_thread(0, tid, sig, &info);
}

static long get_siginfo(siginfo_t_k *info, u64 uinfo, s32 sig)
{
	if (copy_from_user(info, uinfo, sizeof(*info)))
		return -EFAULT;
	info->si_signo = sig;
	return 0;
}

static bool may_forge(const siginfo_t_k *info, s32 target)
{
	return !(info->si_code >= 0 || info->si_code == SI_TKILL) || target == task_tgid(current);
}

SYSCALL3(rt_sigqueueinfo, s32, pid, s32, sig, u64, uinfo)
{
	siginfo_t_k info;

	if (get_siginfo(&info, uinfo, sig))
		return -EFAULT;
	if (!may_forge(&info, pid))
		return -EPERM;
	if (!valid_signal(sig))
		return -EINVAL;
	return pid > 0 ? kill_process(pid, sig, &info) : -ESRCH;
}

SYSCALL4(rt_tgsigqueueinfo, s32, tgid, s32, tid, s32, sig, u64, uinfo)
{
	siginfo_t_k info;

	if (get_siginfo(&info, uinfo, sig))
		return -EFAULT;
	if (tgid <= 0 || tid <= 0)
		return -EINVAL;
	if (!may_forge(&info, tgid))
		return -EPERM;
	return valid_signal(sig) ? kill_thread(tgid, tid, sig, &info) : -EINVAL;
}

/* ---- sigaltstack(2) ---- */

static long set_altstack(struct task *t, const struct sigaltstack_val *new, u64 sp)
{
	u32 mode = new->flags & ~(u32)SS_AUTODISARM;
	u64 size = new->size, base = new->sp;

	if (on_sig_stack(t, sp))
		return -EPERM;
	if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
		return -EINVAL;
	if (t->altstack.sp == base && t->altstack.size == size && t->altstack.flags == new->flags)
		return 0; /* no change is no error, even where there is none */
	if (mode == SS_DISABLE)
		base = size = 0;
	else if (size < MINSIGSTKSZ)
		return -ENOMEM;
	t->altstack = (struct sigaltstack_val){ .sp = base, .flags = new->flags, .size = size };
	return 0;
}

long do_sigaltstack(struct task *t, const struct sigaltstack_val *new, struct sigaltstack_val *old, u64 sp)
{
	if (old)
		*old = (struct sigaltstack_val){ .sp = t->altstack.sp,
						 .flags = sas_ss_flags(t, sp) | (t->altstack.flags & SS_AUTODISARM),
						 .size = t->altstack.size };
	return new ? set_altstack(t, new, sp) : 0;
}

SYSCALL2(sigaltstack, u64, unew, u64, uold)
{
	struct sigaltstack_val new, old;
	long err;

	if (unew && get_user(new, unew))
		return -EFAULT;
	err = do_sigaltstack(current, unew ? &new : NULL, &old, current->ctx.regs.rsp);
	if (err)
		return err;
	return uold ? put_user(old, uold) : 0;
}
