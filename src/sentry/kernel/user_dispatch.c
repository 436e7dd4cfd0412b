/* System calls handed back to the program, as a signal: prctl(2), PR_SET_SYSCALL_USER_DISPATCH. */
#include <asm-generic/siginfo.h>
#include <asm/signal.h>
#include <linux/audit.h>
#include <linux/errno.h>
#include <linux/prctl.h>

#include "sentry/kernel/syscall_work.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

long user_dispatch_set(u64 mode, u64 offset, u64 len, u64 selector)
{
	struct task *t = current;

	switch (mode) {
	case PR_SYS_DISPATCH_OFF:
		if (offset || len || selector)
			return -EINVAL;
		user_dispatch_clear(t);
		return 0;
	case PR_SYS_DISPATCH_ON:
		if (offset && offset + len <= offset)
			return -EINVAL;
		if (selector && !access_ok(selector, 1))
			return -EFAULT;
		t->dispatch_offset = offset;
		t->dispatch_len = len;
		t->dispatch_selector = selector;
		atomic_fetch_or(&t->flags, TIF_USER_DISPATCH);
		return 0;
	}
	return -EINVAL;
}

void user_dispatch_clear(struct task *t)
{
	atomic_fetch_and(&t->flags, ~(u32)TIF_USER_DISPATCH);
}

bool user_dispatch(struct task *t)
{
	struct user_regs *r = &t->ctx.regs;
	siginfo_t_k info = { .si_signo = SIGSYS, .si_code = SYS_USER_DISPATCH };
	u8 selector = PR_SYS_DISPATCH_ON;

	if (r->rip - t->dispatch_offset < t->dispatch_len)
		return false;
	if (t->dispatch_selector) {
		if (get_user(selector, t->dispatch_selector)) {
			force_signal(SIGSEGV, SI_KERNEL, 0);
			return true;
		}
		if (selector == SYSCALL_DISPATCH_FILTER_ALLOW)
			return false;
		if (selector != SYSCALL_DISPATCH_FILTER_BLOCK)
			do_group_exit(SIGSYS);
	}
	info.sys.call_addr = r->rip;
	info.sys.syscall = (s32)r->orig_rax;
	info.sys.arch = AUDIT_ARCH_X86_64;
	r->rax = r->orig_rax;
	r->orig_rax = ~0ull; /* nothing to be restarted */
	force_signal_info(SIGSYS, &info);
	return true;
}
