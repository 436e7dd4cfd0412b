#include "sentry/kernel/syscall_work.h"

#include <linux/ptrace.h>

#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/task.h"
#include "sentry/sys/syscall.h"

/* Whoever observes may change number and arguments; number -1 leaves rax as it was set. */
static void call_as_left(struct user_regs *r)
{
	const struct sysargs args = { { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 } };

	if ((s64)r->orig_rax != -1)
		r->rax = (u64)syscall_dispatch(r->orig_rax, &args);
}

static bool filters_allow(struct task *t)
{
	if (!(atomic_load(&t->flags) & TIF_SECCOMP) || (t->ptrace_flags & PTRACE_O_SUSPEND_SECCOMP))
		return true;
	return seccomp_check(t);
}

void serve_syscall_observed(struct task *t)
{
	bool emulated = atomic_load(&t->flags) & TIF_SYSEMU;

	if (atomic_load(&t->flags) & TIF_USER_DISPATCH && user_dispatch(t))
		return;
	if (ptrace_syscall_enter(t) && filters_allow(t))
		call_as_left(&t->ctx.regs);
	if (!emulated)
		ptrace_syscall_exit(t);
}
