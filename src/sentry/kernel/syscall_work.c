#include "sentry/kernel/syscall_work.h"

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

void serve_syscall_observed(struct task *t)
{
	bool emulated = atomic_load(&t->flags) & TIF_SYSEMU;

	if (ptrace_syscall_enter(t) && (!(atomic_load(&t->flags) & TIF_SECCOMP) || seccomp_check(t)))
		call_as_left(&t->ctx.regs);
	if (!emulated)
		ptrace_syscall_exit(t);
}
