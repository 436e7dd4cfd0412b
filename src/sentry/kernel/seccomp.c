/* seccomp(2): a chain of filters a task, shared by fork; the newest runs first and the most severe answer counts. */
#include "sentry/kernel/seccomp.h"

#include <asm/signal.h>
#include <asm/unistd.h>
#include <asm-generic/siginfo.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/filter.h>
#include <linux/ptrace.h>
#include <linux/seccomp.h>

#include "base/log.h"
#include "base/string.h"
#include "hostcall.h"
#include "sentry/kernel/boot.h"
#include "sentry/kernel/bpf.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/seccomp_notify.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"

struct filter {
	refcount_t ref;
	struct filter *older;
	u32 len, total; /* total: instructions of the whole chain */
	bool log;
	struct notifier *notifier; /* who answers SECCOMP_RET_USER_NOTIF */
	struct sock_filter prog[];
};
/* task.seccomp of strict mode. */
static struct filter strict_mode;

#define DATA_WORDS (sizeof(struct seccomp_data) / 4)
#define CHAIN_MAX 32768u
#define CHAIN_PENALTY 4u

static void filter_put(struct filter *f)
{
	while (f && f != &strict_mode && refcount_dec_and_test(&f->ref)) {
		struct filter *older = f->older;

		if (f->notifier)
			notifier_filter_gone(f->notifier);
		kfree(f);
		f = older;
	}
}

void seccomp_fork(struct task *child)
{
	struct filter *f = current->seccomp;

	if (!f)
		return;
	if (f != &strict_mode)
		refcount_inc(&f->ref);
	child->seccomp = f;
	atomic_fetch_or(&child->flags, TIF_SECCOMP);
}

void seccomp_exit(struct task *t)
{
	filter_put(t->seccomp);
	t->seccomp = NULL;
}

void seccomp_leave(struct task *t)
{
	struct filter *f;

	spin_lock(&tasklist_lock); /* another thread may be bringing all in step */
	f = t->seccomp;
	t->seccomp = NULL;
	spin_unlock(&tasklist_lock);
	filter_put(f);
}

long seccomp_mode(const struct task *t)
{
	return !t->seccomp ? SECCOMP_MODE_DISABLED : t->seccomp == &strict_mode ? SECCOMP_MODE_STRICT : SECCOMP_MODE_FILTER;
}

/* ---- the check ---- */

static bool more_severe(u32 a, u32 b)
{
	return (s32)(a & SECCOMP_RET_ACTION_FULL) < (s32)(b & SECCOMP_RET_ACTION_FULL);
}

struct judgement {
	u32 verdict;
	const struct filter *by;
	struct seccomp_data data;
};

static void run_filters(const struct filter *f, const struct user_regs *r, struct judgement *j)
{
	struct seccomp_data d = {
		.nr = (int)r->orig_rax,
		.arch = AUDIT_ARCH_X86_64,
		.instruction_pointer = r->rip,
		.args = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 },
	};
	u32 verdict = SECCOMP_RET_ALLOW;

	for (; f; f = f->older) {
		u32 v = bpf_run(f->prog, (const u32 *)&d, DATA_WORDS);

		if (more_severe(v, verdict)) {
			verdict = v;
			j->by = f;
		}
	}
	j->verdict = verdict;
	j->data = d;
}

static void send_sigsys(struct task *t, u32 data)
{
	siginfo_t_k info = { .si_signo = SIGSYS, .si_errno = (s32)data, .si_code = SYS_SECCOMP };

	info.sys.call_addr = t->ctx.regs.rip;
	info.sys.syscall = (s32)t->ctx.regs.orig_rax;
	info.sys.arch = AUDIT_ARCH_X86_64;
	force_signal_info(SIGSYS, &info);
}

static bool strict_allows(u64 nr)
{
	return nr == __NR_read || nr == __NR_write || nr == __NR_exit || nr == __NR_rt_sigreturn;
}

static bool act(struct task *t, const struct judgement *j);

/* The tracer may change the call or forbid it (number -1); then the filters are asked again, for a verdict but "trace". */
static bool ask_tracer(struct task *t, u32 data)
{
	struct user_regs *r = &t->ctx.regs;
	struct judgement j = { 0 };

	if (!ptrace_event_enabled(t, PTRACE_EVENT_SECCOMP)) {
		r->rax = (u64)-(s64)ENOSYS;
		return false;
	}
	ptrace_event(PTRACE_EVENT_SECCOMP, data);
	if (fatal_signal_pending() || (s64)r->orig_rax < 0)
		return false;
	run_filters(t->seccomp, r, &j);
	return (j.verdict & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_TRACE || act(t, &j);
}

static bool act(struct task *t, const struct judgement *j)
{
	struct user_regs *r = &t->ctx.regs;
	u32 verdict = j->verdict, data = verdict & SECCOMP_RET_DATA;

	switch (verdict & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
		return true;
	case SECCOMP_RET_LOG:
		klog(LOG_INFO, "%s[%d]: seccomp: system call %lu", t->comm, task_tid(t), r->orig_rax);
		return true;
	case SECCOMP_RET_ERRNO:
		r->rax = (u64)-(s64)MIN(data, (u32)MAX_ERRNO);
		return false;
	case SECCOMP_RET_TRAP:
		r->rax = r->orig_rax; /* a handler sees the call as if it had not been made */
		send_sigsys(t, data);
		return false;
	case SECCOMP_RET_TRACE:
		return ask_tracer(t, data);
	case SECCOMP_RET_USER_NOTIF:
		if (j->by->notifier)
			return notifier_ask(j->by->notifier, t, &j->data);
		r->rax = (u64)-(s64)ENOSYS;
		return false;
	case SECCOMP_RET_KILL_THREAD:
		if (t->proc->nthreads > 1)
			do_exit(SIGSYS);
		__attribute__((fallthrough));
	default:
		do_group_exit(SIGSYS);
	}
}

bool seccomp_check(struct task *t)
{
	const struct filter *f = t->seccomp;
	struct judgement j = { 0 };

	if (f != &strict_mode) {
		run_filters(f, &t->ctx.regs, &j);
		return act(t, &j);
	}
	if (strict_allows(t->ctx.regs.orig_rax))
		return true;
	do_exit(SIGKILL);
}

/* ---- installing ---- */

static struct filter *new_filter(u32 len)
{
	struct filter *f = kmalloc(sizeof(*f) + len * sizeof(f->prog[0]));

	if (!f)
		return NULL;
	f->len = f->total = len;
	f->older = NULL;
	f->notifier = NULL;
	f->log = false;
	refcount_set(&f->ref, 1);
	return f;
}

static struct filter *fetch_filter(u64 uprog)
{
	struct {
		u16 len;
		u64 filter;
	} p;
	struct filter *f;

	if (copy_from_user(&p, uprog, sizeof(p)))
		return ERR_PTR(-EFAULT);
	if (!p.len || p.len > BPF_MAXINSNS)
		return ERR_PTR(-EINVAL);
	if (!current->no_new_privs && !self_capable(CAP_SYS_ADMIN))
		return ERR_PTR(-EACCES);
	f = new_filter(p.len);
	if (!f)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(f->prog, p.filter, p.len * sizeof(f->prog[0]))) {
		kfree(f);
		return ERR_PTR(-EFAULT);
	}
	if (!bpf_valid(f->prog, f->len, DATA_WORDS)) {
		kfree(f);
		return ERR_PTR(-EINVAL);
	}
	return f;
}

static void use_filter(struct task *t, struct filter *f)
{
	struct filter *old = t->seccomp;

	refcount_inc(&f->ref);
	t->seccomp = f;
	atomic_fetch_or(&t->flags, TIF_SECCOMP);
	filter_put(old);
}

int seccomp_start(struct task *t)
{
	const struct boot_params *b = boot_params;
	struct filter *f;

	if (!b->seccomp_len)
		return 0;
	if (b->seccomp_len > BPF_MAXINSNS)
		return -EINVAL;
	f = new_filter(b->seccomp_len);
	if (!f)
		return -ENOMEM;
	memcpy(f->prog, pa_to_va(b->seccomp_off), f->len * sizeof(f->prog[0]));
	if (!bpf_valid(f->prog, f->len, DATA_WORDS)) {
		kfree(f);
		return -EINVAL;
	}
	use_filter(t, f);
	filter_put(f);
	return 0;
}

/* Is `ancestor` in the chain of f? Threads whose filters went other ways cannot be brought in step. */
static bool descends(const struct filter *f, const struct filter *ancestor)
{
	if (!ancestor)
		return true;
	for (; f; f = f->older)
		if (f == ancestor)
			return true;
	return false;
}

/* SECCOMP_FILTER_FLAG_TSYNC: all threads or none. 0, or the number of a thread that stands in the way. */
static long sync_threads(struct filter *f, u32 flags)
{
	struct task *me = current, *t;
	long ret = 0;

	spin_lock(&tasklist_lock);
	list_for_each(t, &me->proc->threads, thread_node) {
		if (t == me || t->state == TASK_DEAD || (t->seccomp != &strict_mode && descends(me->seccomp, t->seccomp)))
			continue;
		ret = flags & SECCOMP_FILTER_FLAG_TSYNC_ESRCH ? -ESRCH : task_tid(t);
		break;
	}
	if (!ret) {
		list_for_each(t, &me->proc->threads, thread_node) {
			if (t == me || t->state == TASK_DEAD)
				continue;
			use_filter(t, f);
			t->no_new_privs |= me->no_new_privs;
		}
	}
	spin_unlock(&tasklist_lock);
	return ret;
}

#define FILTER_FLAGS                                                                    \
	(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_TSYNC_ESRCH | \
	 SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)

static bool flags_agree(u32 flags)
{
	/* The result is a descriptor, or the number of a thread: seccomp(2). */
	if (flags & SECCOMP_FILTER_FLAG_TSYNC && flags & SECCOMP_FILTER_FLAG_NEW_LISTENER &&
	    !(flags & SECCOMP_FILTER_FLAG_TSYNC_ESRCH))
		return false;
	return flags & SECCOMP_FILTER_FLAG_NEW_LISTENER || !(flags & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
}

/* One supervisor a chain. Its descriptor, reserved, in *fd. */
static long make_notifier(struct filter *f, u32 flags, s32 *fd, struct file **file)
{
	for (const struct filter *o = f->older; o; o = o->older)
		if (o->notifier)
			return -EBUSY;
	f->notifier = notifier_new(flags & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
	if (!f->notifier)
		return -ENOMEM;
	*file = notifier_file(f->notifier);
	if (IS_ERR(*file))
		return PTR_ERR(*file);
	*fd = fd_reserve(O_CLOEXEC, 0);
	if (*fd >= 0)
		return 0;
	file_put(*file);
	return *fd;
}

static void filter_discard(struct filter *f)
{
	if (f->notifier)
		notifier_filter_gone(f->notifier);
	kfree(f);
}

static long set_filter(u32 flags, u64 uprog)
{
	struct task *t = current;
	struct filter *f, *old = t->seccomp;
	struct file *file = NULL;
	s32 fd = -1;
	long ret = 0;

	if (flags & ~(u32)FILTER_FLAGS || !flags_agree(flags) || old == &strict_mode)
		return -EINVAL;
	f = fetch_filter(uprog);
	if (IS_ERR(f))
		return PTR_ERR(f);
	f->total = f->len + (old ? old->total + CHAIN_PENALTY : 0);
	if (f->total > CHAIN_MAX) {
		kfree(f);
		return -ENOMEM;
	}
	f->older = old;
	f->log = flags & SECCOMP_FILTER_FLAG_LOG;
	if (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)
		ret = make_notifier(f, flags, &fd, &file);
	if (!ret && flags & SECCOMP_FILTER_FLAG_TSYNC)
		ret = sync_threads(f, flags);
	if (ret) {
		if (fd >= 0) {
			fd_unreserve(fd);
			file_put(file);
		}
		filter_discard(f);
		return ret;
	}
	if (fd >= 0) {
		fd_install(fd, file);
		ret = fd;
	}
	t->seccomp = f; /* the task's reference to `old` is f's now */
	atomic_fetch_or(&t->flags, TIF_SECCOMP);
	return ret;
}

static long set_strict(void)
{
	struct task *t = current;

	if (t->seccomp && t->seccomp != &strict_mode)
		return -EINVAL;
	t->seccomp = &strict_mode;
	atomic_fetch_or(&t->flags, TIF_SECCOMP);
	return 0;
}

static long action_available(u64 uaction)
{
	u32 action;

	if (get_user(action, uaction))
		return -EFAULT;
	switch (action) {
	case SECCOMP_RET_KILL_PROCESS:
	case SECCOMP_RET_KILL_THREAD:
	case SECCOMP_RET_TRAP:
	case SECCOMP_RET_ERRNO:
	case SECCOMP_RET_USER_NOTIF:
	case SECCOMP_RET_TRACE:
	case SECCOMP_RET_LOG:
	case SECCOMP_RET_ALLOW:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static long notif_sizes(u64 uargs)
{
	const struct seccomp_notif_sizes sizes = { sizeof(struct seccomp_notif), sizeof(struct seccomp_notif_resp),
						   sizeof(struct seccomp_data) };

	return put_user(sizes, uargs);
}

long prctl_set_seccomp(u64 mode, u64 ufilter)
{
	if (mode == SECCOMP_MODE_STRICT)
		return set_strict();
	return mode == SECCOMP_MODE_FILTER ? set_filter(0, ufilter) : -EINVAL;
}

SYSCALL3(seccomp, u32, op, u32, flags, u64, uargs)
{
	switch (op) {
	case SECCOMP_SET_MODE_STRICT:
		return flags || uargs ? -EINVAL : set_strict();
	case SECCOMP_SET_MODE_FILTER:
		return set_filter(flags, uargs);
	case SECCOMP_GET_ACTION_AVAIL:
		return flags ? -EINVAL : action_available(uargs);
	case SECCOMP_GET_NOTIF_SIZES:
		return flags ? -EINVAL : notif_sizes(uargs);
	default:
		return -EINVAL;
	}
}

/* ---- what a tracer may see ---- */

/* The filter of that number, with a reference: 0 is the first that was installed. */
static struct filter *nth_filter(struct task *t, u64 index)
{
	struct filter *f, *found = ERR_PTR(-EINVAL);
	u64 count = 0;

	if (!capable(CAP_SYS_ADMIN) || current->seccomp)
		return ERR_PTR(-EACCES);
	spin_lock(&tasklist_lock);
	if (t->seccomp && t->seccomp != &strict_mode) {
		for (f = t->seccomp; f; f = f->older)
			count++;
		found = ERR_PTR(-ENOENT);
		for (f = t->seccomp; f && index < count; f = f->older, count--)
			if (index == count - 1) {
				refcount_inc(&f->ref);
				found = f;
				break;
			}
	}
	spin_unlock(&tasklist_lock);
	return found;
}

long seccomp_get_filter(struct task *t, u64 index, u64 udata)
{
	struct filter *f = nth_filter(t, index);
	long ret;

	if (IS_ERR(f))
		return PTR_ERR(f);
	ret = udata && copy_to_user(udata, f->prog, f->len * sizeof(f->prog[0])) ? -EFAULT : (long)f->len;
	filter_put(f);
	return ret;
}

long seccomp_get_metadata(struct task *t, u64 size, u64 udata)
{
	struct seccomp_metadata md = { 0 };
	struct filter *f;

	if (!capable(CAP_SYS_ADMIN) || current->seccomp)
		return -EACCES;
	size = MIN(size, sizeof(md));
	if (size < sizeof(md.filter_off))
		return -EINVAL;
	if (copy_from_user(&md.filter_off, udata, sizeof(md.filter_off)))
		return -EFAULT;
	f = nth_filter(t, md.filter_off);
	if (IS_ERR(f))
		return PTR_ERR(f);
	md.flags = f->log ? SECCOMP_FILTER_FLAG_LOG : 0;
	filter_put(f);
	return copy_to_user(udata, &md, size) ? -EFAULT : (long)size;
}
