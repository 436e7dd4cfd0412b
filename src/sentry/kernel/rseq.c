/*
 * Restartable sequences: rseq(2) of Linux 4.18. The thread's struct rseq says in which critical section it is; whoever was
 * preempted or gets a signal inside one goes on at its abort handler.
 */
#include <asm/signal.h>
#include <asm-generic/siginfo.h>
#include <linux/errno.h>
#include <linux/rseq.h>
#include <linux/sched.h>

#include "sentry/kernel/rseq.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"

#define RSEQ_SIZE 32

static long abort_sequence(struct task *t, u64 ucs)
{
	struct rseq_cs cs;
	u32 sig;

	if (copy_from_user(&cs, ucs, sizeof(cs)))
		return -EFAULT;
	if (cs.start_ip >= USER_MAX || cs.start_ip + cs.post_commit_offset >= USER_MAX || cs.abort_ip >= USER_MAX ||
	    cs.version > 0 || cs.start_ip + cs.post_commit_offset < cs.start_ip ||
	    cs.abort_ip - cs.start_ip < cs.post_commit_offset)
		return -EINVAL;
	if (get_user(sig, cs.abort_ip - sizeof(sig)))
		return -EFAULT;
	if (sig != t->rseq_sig)
		return -EINVAL;
	if (put_user((u64)0, t->rseq_addr + offsetof(struct rseq, rseq_cs)))
		return -EFAULT;
	if (t->ctx.regs.rip - cs.start_ip < cs.post_commit_offset)
		t->ctx.regs.rip = cs.abort_ip;
	return 0;
}

static long say_cpu(struct task *t)
{
	const u32 cpu[2] = { t->cpu, t->cpu };

	if (t->rseq_cpu == t->cpu)
		return 0;
	t->rseq_cpu = t->cpu;
	return copy_to_user(t->rseq_addr, cpu, sizeof(cpu));
}

void rseq_resume(struct task *t)
{
	u64 ucs;
	long err;

	atomic_fetch_and(&t->flags, ~TIF_NOTIFY_RESUME);
	if (!t->rseq_addr || !t->mm)
		return;
	err = get_user(ucs, t->rseq_addr + offsetof(struct rseq, rseq_cs));
	if (!err && ucs)
		err = abort_sequence(t, ucs);
	if (!err)
		err = say_cpu(t);
	if (err) {
		t->rseq_addr = 0;
		force_signal(SIGSEGV, SI_KERNEL, 0);
	}
}

/* A thread has its own area; a process of its own goes on with the copy. */
void rseq_fork(struct task *child, unsigned long clone_flags)
{
	struct task *me = current;

	if (clone_flags & CLONE_VM)
		return;
	child->rseq_addr = me->rseq_addr;
	child->rseq_len = me->rseq_len;
	child->rseq_sig = me->rseq_sig;
	child->rseq_cpu = ~0u;
	if (child->rseq_addr)
		atomic_fetch_or(&child->flags, TIF_NOTIFY_RESUME);
}

void rseq_exec(struct task *t)
{
	t->rseq_addr = 0;
	t->rseq_len = t->rseq_sig = 0;
}

static long unregister(struct task *t, u64 addr, u32 len, u32 sig)
{
	const u32 none[2] = { 0, (u32)RSEQ_CPU_ID_UNINITIALIZED };

	if (t->rseq_addr != addr || !addr)
		return -EINVAL;
	if (t->rseq_len != len)
		return -EINVAL;
	if (t->rseq_sig != sig)
		return -EPERM;
	if (copy_to_user(addr, none, sizeof(none)))
		return -EFAULT;
	rseq_exec(t);
	return 0;
}

SYSCALL4(rseq, u64, addr, u32, len, s32, flags, u32, sig)
{
	struct task *t = current;

	if (flags & RSEQ_FLAG_UNREGISTER)
		return flags & ~RSEQ_FLAG_UNREGISTER ? -EINVAL : unregister(t, addr, len, sig);
	if (flags)
		return -EINVAL;
	if (t->rseq_addr) {
		if (t->rseq_addr != addr || t->rseq_len != len)
			return -EINVAL;
		return t->rseq_sig != sig ? -EPERM : -EBUSY;
	}
	if (addr % RSEQ_SIZE || len != RSEQ_SIZE)
		return -EINVAL;
	if (!access_ok(addr, len))
		return -EFAULT;
	t->rseq_addr = addr;
	t->rseq_len = len;
	t->rseq_sig = sig;
	t->rseq_cpu = ~0u;
	atomic_fetch_or(&t->flags, TIF_NOTIFY_RESUME);
	return 0;
}
