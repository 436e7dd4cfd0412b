/* prctl(2), arch_prctl(2), personality(2). */
#include <asm/prctl.h>
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/prctl.h>
#include <linux/securebits.h>

#include "base/string.h"
#include "sentry/kernel/proc_events.h"
#include "sentry/kernel/caps.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/kernel/syscall_work.h"

static long set_name(u64 uname)
{
	char name[TASK_COMM_LEN] = { 0 };
	struct task *t = current;
	long n = strncpy_from_user(name, uname, sizeof(name) - 1);

	if (n < 0 && n != -ENAMETOOLONG)
		return n;
	name[sizeof(name) - 1] = 0;
	spin_lock(&t->sighand->lock);
	memcpy(t->comm, name, sizeof(name));
	spin_unlock(&t->sighand->lock);
	proc_event(PROC_EVENT_COMM, t, name, sizeof(name) / 4);
	return 0;
}

/* The mark is on every descendant made so far, too: they look for a reaper among their ancestors. */
static void mark_descendants(struct process *p)
{
	struct process *c = p;

	spin_lock(&tasklist_lock);
	p->is_subreaper = true;
	for (;;) {
		if (!list_empty(&c->children)) {
			c = list_first(&c->children, struct process, sibling);
		} else {
			while (c != p && c->sibling.next == &c->parent->children)
				c = c->parent;
			if (c == p)
				break;
			c = list_next(c, sibling);
		}
		c->has_child_subreaper = true;
	}
	spin_unlock(&tasklist_lock);
}

static long set_keepcaps(u64 on)
{
	struct cred *c;

	if (on > 1)
		return -EINVAL;
	if (current->cred->securebits & (1u << SECURE_KEEP_CAPS_LOCKED))
		return -EPERM;
	c = prepare_creds();
	if (!c)
		return -ENOMEM;
	c->securebits = (c->securebits & ~(1u << SECURE_KEEP_CAPS)) | (on ? 1u << SECURE_KEEP_CAPS : 0);
	commit_creds(c);
	return 0;
}

static long set_subreaper(u64 on)
{
	if (on)
		mark_descendants(current->proc);
	else
		current->proc->is_subreaper = false;
	return 0;
}

static long set_mm(u64 what, u64 addr)
{
	struct mm *mm = current->mm;

	if (!capable(CAP_SYS_RESOURCE))
		return -EPERM;
	if (addr >= USER_MAX)
		return -EINVAL;
	switch (what) {
	case PR_SET_MM_START_CODE: mm->start_code = addr; return 0;
	case PR_SET_MM_END_CODE: mm->end_code = addr; return 0;
	case PR_SET_MM_START_DATA: mm->start_data = addr; return 0;
	case PR_SET_MM_END_DATA: mm->end_data = addr; return 0;
	case PR_SET_MM_START_STACK: mm->start_stack = addr; return 0;
	case PR_SET_MM_ARG_START: mm->arg_start = addr; return 0;
	case PR_SET_MM_ARG_END: mm->arg_end = addr; return 0;
	case PR_SET_MM_ENV_START: mm->env_start = addr; return 0;
	case PR_SET_MM_ENV_END: mm->env_end = addr; return 0;
	default: return -EINVAL;
	}
}

#define ANON_NAME_MAX 80 /* with its NUL */

static long set_vma_name(u64 what, u64 addr, u64 len, u64 uname)
{
	char name[ANON_NAME_MAX];
	long n;

	if (what != PR_SET_VMA_ANON_NAME)
		return -EINVAL;
	if (!uname)
		return mm_set_anon_name(addr, len, NULL);
	n = strncpy_from_user(name, uname, sizeof(name));
	if (n < 0)
		return n == -ENAMETOOLONG ? -EINVAL : n;
	for (const char *c = name; *c; c++) /* what would confuse readers of /proc/PID/maps */
		if (*c < 32 || *c > 126 || kstrchr("\\`$[]", *c))
			return -EINVAL;
	return mm_set_anon_name(addr, len, name);
}

static long prctl_process(s32 op, u64 a, u64 b, u64 c, u64 d)
{
	struct process *p = current->proc;

	switch (op) {
	case PR_GET_DUMPABLE:
		return p->dumpable;
	case PR_SET_DUMPABLE:
		if (a > 1)
			return -EINVAL;
		p->dumpable = a;
		return 0;
	case PR_SET_CHILD_SUBREAPER:
		return set_subreaper(a);
	case PR_GET_CHILD_SUBREAPER:
		return put_user((s32)p->is_subreaper, a) ? -EFAULT : 0;
	case PR_SET_THP_DISABLE:
		if (b || c || d)
			return -EINVAL;
		p->thp_disabled = a;
		return 0;
	case PR_GET_THP_DISABLE:
		return a || b || c || d ? -EINVAL : p->thp_disabled;
	case PR_SET_MM:
		return c && a != PR_SET_MM_AUXV && a != PR_SET_MM_MAP ? -EINVAL : set_mm(a, b);
	case PR_SET_VMA:
		return set_vma_name(a, b, c, d);
	case PR_MCE_KILL:
		return c || d ? -EINVAL : 0;
	case PR_MCE_KILL_GET:
		return a || b || c || d ? -EINVAL : PR_MCE_KILL_DEFAULT;
	case PR_SET_PTRACER:
		return 0; /* only the Yama module restricts tracers */
	default:
		return -EINVAL;
	}
}

static long prctl_task(s32 op, u64 a, u64 b, u64 c, u64 d)
{
	struct task *t = current;

	switch (op) {
	case PR_SET_PDEATHSIG:
		if (a > SIG_COUNT)
			return -EINVAL;
		t->pdeath_signal = (s32)a;
		return 0;
	case PR_GET_PDEATHSIG:
		return put_user(t->pdeath_signal, a) ? -EFAULT : 0;
	case PR_SET_NAME:
		return set_name(a);
	case PR_GET_NAME:
		return copy_to_user(a, t->comm, sizeof(t->comm));
	case PR_SET_KEEPCAPS:
		return set_keepcaps(a);
	case PR_GET_KEEPCAPS:
		return t->cred->securebits >> SECURE_KEEP_CAPS & 1;
	case PR_SET_NO_NEW_PRIVS:
		if (a != 1 || b || c || d)
			return -EINVAL;
		t->no_new_privs = true;
		return 0;
	case PR_GET_NO_NEW_PRIVS:
		return a || b || c || d ? -EINVAL : t->no_new_privs;
	case PR_SET_TIMERSLACK:
		t->timer_slack_ns = (s64)a <= 0 ? 50000 : a;
		return 0;
	case PR_GET_TIMERSLACK:
		return (long)t->timer_slack_ns;
	case PR_GET_SECUREBITS:
		return t->cred->securebits;
	case PR_SET_SECUREBITS:
		return prctl_set_securebits(a);
	case PR_CAPBSET_READ:
		return prctl_capbset_read(a);
	case PR_CAPBSET_DROP:
		return prctl_capbset_drop(a);
	case PR_CAP_AMBIENT:
		return prctl_cap_ambient(a, b, c, d);
	case PR_GET_SECCOMP:
		return seccomp_mode(t);
	case PR_SET_SECCOMP:
		return prctl_set_seccomp(a, b);
	case PR_GET_TID_ADDRESS:
		return put_user(t->clear_child_tid, a) ? -EFAULT : 0;
	case PR_GET_TIMING:
		return PR_TIMING_STATISTICAL;
	case PR_SET_TIMING:
		return a == PR_TIMING_STATISTICAL ? 0 : -EINVAL;
	case PR_GET_TSC:
		return put_user((s32)PR_TSC_ENABLE, a) ? -EFAULT : 0;
	case PR_SET_TSC:
		return a == PR_TSC_ENABLE ? 0 : -EINVAL;
	case PR_SET_SYSCALL_USER_DISPATCH:
		return user_dispatch_set(a, b, c, d);
	case PR_GET_SPECULATION_CTRL:
		return c || d || b || a > PR_SPEC_L1D_FLUSH ? -EINVAL : PR_SPEC_NOT_AFFECTED;
	default:
		return prctl_process(op, a, b, c, d);
	}
}

SYSCALL5(prctl, s32, op, u64, a, u64, b, u64, c, u64, d)
{
	return prctl_task(op, a, b, c, d);
}

SYSCALL2(arch_prctl, s32, op, u64, addr)
{
	struct user_ctx *ctx = &current->ctx;

	platform->bases_save(ctx);
	switch (op) {
	case ARCH_SET_FS:
	case ARCH_SET_GS:
		if (addr >= TASK_SIZE_MAX)
			return -EPERM;
		*(op == ARCH_SET_FS ? &ctx->regs.fs_base : &ctx->regs.gs_base) = addr;
		ctx->regs_dirty = true;
		return 0;
	case ARCH_GET_FS:
		return put_user(ctx->regs.fs_base, addr) ? -EFAULT : 0;
	case ARCH_GET_GS:
		return put_user(ctx->regs.gs_base, addr) ? -EFAULT : 0;
	case ARCH_GET_CPUID:
		return 1;
	case ARCH_SET_CPUID:
		return addr ? 0 : -ENODEV;
	default:
		return -EINVAL;
	}
}

SYSCALL1(personality, u64, persona)
{
	u32 old = current->proc->personality;

	if ((u32)persona != 0xffffffffu)
		current->proc->personality = (u32)persona;
	return old;
}
