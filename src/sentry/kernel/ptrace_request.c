/* ptrace(2), the tracer's side: decoding requests. */
#include <asm/ptrace-abi.h>
#include <asm/signal.h>
#include <asm-generic/siginfo.h>
#include <linux/audit.h>
#include <linux/errno.h>
#include <linux/ptrace.h>

#include "base/string.h"
#include "sentry/kernel/ptrace_internal.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"

/* ---- memory ---- */

static long access_word(struct task *t, u64 addr, u64 *word, bool write)
{
	struct mm *mm = task_get_mm(t);
	long n;

	if (!mm)
		return -EIO;
	n = mm_access(mm, addr, word, sizeof(*word), write, true);
	mm_users_put(mm);
	return n == sizeof(*word) ? 0 : -EIO;
}

static long peek(struct task *t, u64 addr, u64 udata)
{
	u64 word = 0;
	long err = access_word(t, addr, &word, false);

	return err ? err : put_user(word, udata);
}

static long peek_user(struct task *t, u64 off, u64 udata)
{
	u64 word;
	long err = ptrace_peek_user(t, off, &word);

	return err ? err : put_user(word, udata);
}

/* ---- signals ---- */

static long get_siginfo(struct task *t, u64 udata)
{
	siginfo_t_k info;
	struct sighand *s = lock_sighand(t);
	bool have = t->last_siginfo;

	if (have)
		info = *t->last_siginfo;
	spin_unlock(&s->lock);
	return have ? put_user(info, udata) : -EINVAL;
}

static long set_siginfo(struct task *t, u64 udata)
{
	siginfo_t_k info;
	struct sighand *s;
	bool have;

	if (get_user(info, udata))
		return -EFAULT;
	s = lock_sighand(t);
	have = t->last_siginfo;
	if (have)
		*t->last_siginfo = info;
	spin_unlock(&s->lock);
	return have ? 0 : -EINVAL;
}

/* The n-th queued signal; false: there are fewer. */
static bool nth_pending(struct task *t, bool shared, u64 n, siginfo_t_k *info)
{
	struct sigpending *p = shared ? &t->proc->shared_pending : &t->pending;
	struct sighand *s = lock_sighand(t);
	struct sigqueue_entry *q;
	bool found = false;

	list_for_each(q, &p->queue, node) {
		if (n--)
			continue;
		*info = q->info;
		found = true;
		break;
	}
	spin_unlock(&s->lock);
	return found;
}

static long peek_siginfo(struct task *t, u64 uargs, u64 udata)
{
	struct ptrace_peeksiginfo_args args;
	siginfo_t_k info;
	s32 i;

	if (get_user(args, uargs))
		return -EFAULT;
	if ((args.flags & ~(u32)PTRACE_PEEKSIGINFO_SHARED) || args.nr < 0)
		return -EINVAL;
	for (i = 0; i < args.nr; i++, udata += sizeof(info)) {
		if (!nth_pending(t, args.flags & PTRACE_PEEKSIGINFO_SHARED, args.off + (u64)i, &info))
			break;
		if (put_user(info, udata))
			return i ? i : -EFAULT;
		if (signal_pending())
			return i + 1;
	}
	return i;
}

static long get_sigmask(struct task *t, u64 size, u64 udata)
{
	sigset64 mask = t->restore_mask ? t->saved_mask : t->blocked;

	return size == sizeof(mask) ? put_user(mask, udata) : -EINVAL;
}

static long set_sigmask(struct task *t, u64 size, u64 udata)
{
	struct sighand *s;
	sigset64 mask;

	if (size != sizeof(mask))
		return -EINVAL;
	if (get_user(mask, udata))
		return -EFAULT;
	s = lock_sighand(t);
	t->blocked = mask & ~SIGSET_ONLY_KERNEL;
	t->restore_mask = false;
	atomic_fetch_or(&t->flags, TIF_SIGPENDING); /* it looks for itself when it runs */
	spin_unlock(&s->lock);
	return 0;
}

/* ---- PTRACE_GET_SYSCALL_INFO ---- */

static u64 entry_info(const struct task *t, struct ptrace_syscall_info *i)
{
	const struct user_regs *r = &t->ctx.regs;
	const u64 args[6] = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 };

	i->entry.nr = r->orig_rax;
	for (u32 n = 0; n < 6; n++)
		i->entry.args[n] = args[n];
	return offsetof(struct ptrace_syscall_info, entry) + sizeof(i->entry);
}

static u64 exit_info(const struct task *t, struct ptrace_syscall_info *i)
{
	i->exit.rval = (s64)t->ctx.regs.rax;
	i->exit.is_error = t->ctx.regs.rax >= (u64)-MAX_ERRNO;
	return offsetof(struct ptrace_syscall_info, exit.is_error) + sizeof(i->exit.is_error);
}

static u64 seccomp_info(const struct task *t, struct ptrace_syscall_info *i)
{
	entry_info(t, i);
	i->seccomp.ret_data = (u32)t->ptrace_message;
	return offsetof(struct ptrace_syscall_info, seccomp.ret_data) + sizeof(i->seccomp.ret_data);
}

static long syscall_info(struct task *t, u64 size, u64 udata)
{
	struct ptrace_syscall_info i;
	u64 n = offsetof(struct ptrace_syscall_info, entry);
	s32 code = t->last_siginfo ? t->last_siginfo->si_code : 0;

	memset(&i, 0, sizeof(i));
	i.arch = AUDIT_ARCH_X86_64;
	i.instruction_pointer = t->ctx.regs.rip;
	i.stack_pointer = t->ctx.regs.rsp;
	if (code == (SIGTRAP | 0x80) && t->ptrace_message == PTRACE_EVENTMSG_SYSCALL_ENTRY) {
		i.op = PTRACE_SYSCALL_INFO_ENTRY;
		n = entry_info(t, &i);
	} else if (code == (SIGTRAP | 0x80) && t->ptrace_message == PTRACE_EVENTMSG_SYSCALL_EXIT) {
		i.op = PTRACE_SYSCALL_INFO_EXIT;
		n = exit_info(t, &i);
	} else if (code == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)) {
		i.op = PTRACE_SYSCALL_INFO_SECCOMP;
		n = seccomp_info(t, &i);
	}
	return copy_to_user(udata, &i, MIN(size, n)) ? -EFAULT : (long)n;
}

static long get_rseq(struct task *t, u64 size, u64 udata)
{
	const struct ptrace_rseq_configuration conf = { .rseq_abi_pointer = t->rseq_addr,
							.rseq_abi_size = t->rseq_len,
							.signature = t->rseq_sig };

	return copy_to_user(udata, &conf, MIN(size, sizeof(conf))) ? -EFAULT : (long)sizeof(conf);
}

/* ---- the call ---- */

static long set_options(struct task *t, u64 options)
{
	if (options & ~(u64)PT_OPTIONS)
		return -EINVAL;
	if (!ptrace_options_allowed(options))
		return -EPERM;
	t->ptrace_flags = (t->ptrace_flags & ~PT_OPTIONS) | (u32)options;
	return 0;
}

static long resume_request(struct task *t, s64 request, u64 data)
{
	const struct ptrace_run run = {
		.syscalls = request == PTRACE_SYSCALL,
		.emulate = request == PTRACE_SYSEMU || request == PTRACE_SYSEMU_SINGLESTEP,
		.step = request == PTRACE_SINGLESTEP || request == PTRACE_SYSEMU_SINGLESTEP,
	};

	return ptrace_resume(t, &run, data);
}

static long arch_request(struct task *t, u64 addr, u64 option)
{
	u64 off = option == 0x1003 || option == 0x1002 ? offsetof(struct user_regs, fs_base) : /* ARCH_GET_FS, ARCH_SET_FS */
							  offsetof(struct user_regs, gs_base);

	switch (option) {
	case 0x1001:
	case 0x1002:
		return ptrace_poke_user(t, off, addr);
	case 0x1003:
	case 0x1004:
		return peek_user(t, off, addr);
	}
	return -EINVAL;
}

/* t is stopped for the current task. */
static long request_stopped(struct task *t, s64 request, u64 addr, u64 data)
{
	u64 word = data;

	switch (request) {
	case PTRACE_PEEKTEXT:
	case PTRACE_PEEKDATA:
		return peek(t, addr, data);
	case PTRACE_POKETEXT:
	case PTRACE_POKEDATA:
		return access_word(t, addr, &word, true);
	case PTRACE_PEEKUSR:
		return peek_user(t, addr, data);
	case PTRACE_POKEUSR:
		return ptrace_poke_user(t, addr, data);
	case PTRACE_GETREGS:
		return ptrace_get_regs(t, data);
	case PTRACE_SETREGS:
		return ptrace_set_regs(t, data);
	case PTRACE_GETFPREGS:
		return ptrace_get_fpregs(t, data);
	case PTRACE_SETFPREGS:
		return ptrace_set_fpregs(t, data);
	case PTRACE_GETREGSET:
	case PTRACE_SETREGSET:
		return ptrace_regset(t, (u32)addr, data, request == PTRACE_SETREGSET);
	case PTRACE_SETOPTIONS:
		return set_options(t, data);
	case PTRACE_GETEVENTMSG:
		return put_user(t->ptrace_message, data);
	case PTRACE_GETSIGINFO:
		return get_siginfo(t, data);
	case PTRACE_SETSIGINFO:
		return set_siginfo(t, data);
	case PTRACE_PEEKSIGINFO:
		return peek_siginfo(t, addr, data);
	case PTRACE_GETSIGMASK:
		return get_sigmask(t, addr, data);
	case PTRACE_SETSIGMASK:
		return set_sigmask(t, addr, data);
	case PTRACE_GET_SYSCALL_INFO:
		return syscall_info(t, addr, data);
	case PTRACE_SECCOMP_GET_FILTER:
		return seccomp_get_filter(t, addr, data);
	case PTRACE_SECCOMP_GET_METADATA:
		return seccomp_get_metadata(t, addr, data);
	case PTRACE_GET_RSEQ_CONFIGURATION:
		return get_rseq(t, addr, data);
	case PTRACE_ARCH_PRCTL:
		return arch_request(t, addr, data);
	case PTRACE_LISTEN:
		return ptrace_listen(t);
	case PTRACE_DETACH:
		return ptrace_detach(t, data);
	case PTRACE_CONT:
	case PTRACE_SYSCALL:
	case PTRACE_SINGLESTEP:
	case PTRACE_SYSEMU:
	case PTRACE_SYSEMU_SINGLESTEP:
		return resume_request(t, request, data);
	}
	return -EIO;
}

/* Is t stopped for us, its registers settled? A tracee that listens is not. */
static bool check_stopped(struct task *t)
{
	struct sighand *s;
	bool ok;

	spin_lock(&tasklist_lock);
	ok = t->tracer && t->tracer->proc == current->proc;
	if (ok) {
		s = lock_sighand(t);
		ok = atomic_load(&t->state) == TASK_TRACED && !(t->jobctl & JOBCTL_LISTENING);
		spin_unlock(&s->lock);
	}
	spin_unlock(&tasklist_lock);
	return ok;
}

static long request_of(struct task *t, s64 request, u64 addr, u64 data)
{
	bool ours;

	if (request == PTRACE_ATTACH || request == PTRACE_SEIZE) {
		if (request == PTRACE_SEIZE && addr)
			return -EIO;
		return ptrace_attach(t, request == PTRACE_SEIZE, data);
	}
	if (request == PTRACE_KILL || request == PTRACE_INTERRUPT) {
		spin_lock(&tasklist_lock);
		ours = t->tracer && t->tracer->proc == current->proc;
		spin_unlock(&tasklist_lock);
		if (!ours)
			return -ESRCH;
		return request == PTRACE_KILL ? send_signal_task(t, SIGKILL, SEND_SIG_PRIV) : ptrace_interrupt(t);
	}
	return check_stopped(t) ? request_stopped(t, request, addr, data) : -ESRCH;
}

SYSCALL4(ptrace, s64, request, s32, pid, u64, addr, u64, data)
{
	struct task *t;
	long ret;

	if (request == PTRACE_TRACEME)
		return ptrace_traceme();
	t = find_task_get(pid);
	if (!t)
		return -ESRCH;
	ret = request_of(t, request, addr, data);
	task_put(t);
	return ret;
}
