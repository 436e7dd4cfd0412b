/* The loop of a user task: run it until it traps, serve the trap, see to what is pending, run it again. */
#include <asm/signal.h>
#include <asm-generic/siginfo.h>
#include <linux/errno.h>

#include "base/log.h"
#include "sentry/kernel/events.h"
#include "sentry/kernel/rq.h"
#include "sentry/kernel/rseq.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/syscall_work.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/trace/trace.h"

static void exit_to_user_work(struct task *t)
{
	u32 flags;

	while ((flags = atomic_load(&t->flags)) & TIF_EXIT_WORK) {
		if (flags & TIF_RESCHED)
			schedule();
		if (flags & (TIF_SIGPENDING | TIF_NOTIFY_RESUME))
			rseq_resume(t);
		if (flags & TIF_SIGPENDING)
			do_signal(t);
	}
}

/* A restart code must never reach the application, also when the signal that caused it is gone by now. */
static bool wants_restart(u64 rax)
{
	return unlikely(rax >= (u64)-(s64)ERESTART_RESTARTBLOCK && rax <= (u64)-(s64)ERESTARTSYS);
}

static void serve_syscall(struct task *t)
{
	struct user_regs *r = &t->ctx.regs;
	const struct sysargs args = { { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 } };

	if (unlikely(atomic_load_explicit(&t->flags, memory_order_relaxed) & TIF_SYSCALL_WORK))
		serve_syscall_observed(t);
	else
		r->rax = (u64)syscall_dispatch(r->orig_rax, &args);
	if (wants_restart(r->rax))
		do_signal(t);
}

static void serve_page_fault(struct task *t)
{
	struct trap *trap = &t->ctx.trap;
	int sig = 0, code = 0;

	stat_inc(STAT_PAGE_FAULT);
	if (mm_fault(t->mm, trap->addr, (u32)trap->error | PF_USER, &sig, &code)) {
		t->ctx.trap.vector = X86_VEC_PF;
		force_signal(sig, code, trap->addr);
	}
}

static s32 fpe_code(u32 status)
{
	if (status & 1)
		return FPE_FLTINV;
	if (status & 4)
		return FPE_FLTDIV;
	if (status & 8)
		return FPE_FLTOVF;
	if (status & (2 | 16))
		return FPE_FLTUND;
	return status & 32 ? FPE_FLTRES : 0;
}

/* Which unmasked condition raised #MF or #XM: from the FXSAVE image (Intel SDM vol. 1, 8.1 and 10.2.3). */
static s32 fp_exception_code(struct task *t, u32 vector)
{
	const u8 *fx = t->ctx.fpu;
	u32 mxcsr;

	platform->fpu_save(&t->ctx);
	if (vector == X86_VEC_MF)
		return fpe_code(*(const u16 *)(fx + 2) & ~*(const u16 *)fx & 0x3f);
	mxcsr = *(const u32 *)(fx + 24);
	return fpe_code(mxcsr & ~(mxcsr >> 7) & 0x3f);
}

/* A step and a breakpoint can end at the same place: then it is a step, and DR6 tells both. */
static s32 debug_trap_code(const struct user_ctx *ctx)
{
	if (ctx->debug && ctx->debug->dr6 & DR6_TRAPS && !(ctx->debug->dr6 & DR6_STEP))
		return TRAP_HWBKPT;
	return ctx->single_step ? TRAP_TRACE : TRAP_HWBKPT;
}

static void serve_exception(struct task *t)
{
	const struct trap *trap = &t->ctx.trap;
	u64 rip = t->ctx.regs.rip;

	switch (trap->vector) {
	case X86_VEC_DE:
		force_signal(SIGFPE, FPE_INTDIV, rip);
		break;
	case X86_VEC_DB:
		force_signal(SIGTRAP, debug_trap_code(&t->ctx), rip);
		break;
	case X86_VEC_BP:
		force_signal(SIGTRAP, SI_KERNEL, 0);
		break;
	case X86_VEC_UD:
		force_signal(SIGILL, ILL_ILLOPN, rip);
		break;
	case X86_VEC_MF:
	case X86_VEC_XM:
		force_signal(SIGFPE, fp_exception_code(t, trap->vector), rip);
		break;
	case X86_VEC_AC:
		force_signal(SIGBUS, BUS_ADRALN, trap->addr);
		break;
	case X86_VEC_SS:
		force_signal(SIGBUS, SI_KERNEL, 0);
		break;
	default: /* #GP, #OF, #BR and the rest */
		force_signal(SIGSEGV, SI_KERNEL, 0);
	}
}

static void serve_trap(struct task *t)
{
	struct user_regs *r = &t->ctx.regs;

	if (likely(t->ctx.trap.kind == TRAP_SYSCALL)) {
		serve_syscall(t);
		return;
	}
	r->orig_rax = ~0ull; /* not in a system call: nothing to restart */
	switch (t->ctx.trap.kind) {
	case TRAP_PAGE_FAULT:
		serve_page_fault(t);
		break;
	case TRAP_EXCEPTION:
		serve_exception(t);
		break;
	case TRAP_INTERRUPT:
		events_poll();
		timers_kicked();
		break;
	case TRAP_GONE:
		klog(LOG_WARN, "process %d: its memory was taken away on the host", t->proc->tgid->nr);
		send_signal_process(t->proc, SIGKILL, SEND_SIG_PRIV);
		break;
	case TRAP_INT80: /* as a Linux without IA32 emulation: the gate does not exist */
		t->ctx.trap.vector = X86_VEC_GP;
		t->ctx.trap.error = 0x80 * 8 + 2;
		force_signal(SIGSEGV, SI_KERNEL, 0);
		break;
	default:
		panic("trap of unknown kind %u", t->ctx.trap.kind);
	}
}

void user_task_loop(void)
{
	struct task *t = current;

	for (;;) {
		while (unlikely(!sched_user_enter(this_rq(), t, TIF_EXIT_WORK)))
			exit_to_user_work(t);
		platform->enter_user(&t->ctx, t->mm);
		sched_user_exit(this_rq(), t);
		serve_trap(t);
	}
}
