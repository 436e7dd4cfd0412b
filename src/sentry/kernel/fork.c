/* clone(2), fork, vfork, clone3: a task is made in full, unseen, and then published in one step under tasklist_lock. */
#include <asm/fcntl.h>
#include <linux/signal.h>
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/ptrace.h>
#include <linux/resource.h>
#include <linux/sched.h>

#include "base/log.h"
#include "base/string.h"
#include "fs/dev/tty.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/ipc_sem.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/rseq.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/proc_events.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/trace/trace.h"
#include "sentry/vfs/vfs.h"

#define THREADS_MAX 100000u
#define CLONE_NEW_ANY                                                                   \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP | CLONE_NEWPID | CLONE_NEWUSER | \
	 CLONE_NEWTIME)

/* ---- vfork ---- */

static struct vfork_done *vfork_done_new(void)
{
	struct vfork_done *v = kzalloc(sizeof(*v));

	if (v) {
		refcount_set(&v->ref, 2);
		waitq_init(&v->q);
	}
	return v;
}

static void vfork_done_put(struct vfork_done *v)
{
	if (v && refcount_dec_and_test(&v->ref))
		kfree(v);
}

void vfork_done_signal(struct task *t)
{
	struct vfork_done *v = t->vfork_done;

	if (!v)
		return;
	t->vfork_done = NULL;
	WRITE_ONCE(v->done, true);
	wake_up_all(&v->q);
	vfork_done_put(v);
}

static void vfork_wait(struct vfork_done *v)
{
	wait_event_killable(v->q, READ_ONCE(v->done));
	vfork_done_put(v);
}

/* ---- checks: clone(2), in Linux's order ---- */

static long check_flags(const struct clone_params *p)
{
	u64 f = p->flags;

	if ((f & (CLONE_NEWNS | CLONE_FS)) == (CLONE_NEWNS | CLONE_FS))
		return -EINVAL;
	if ((f & (CLONE_NEWUSER | CLONE_FS)) == (CLONE_NEWUSER | CLONE_FS))
		return -EINVAL;
	if ((f & CLONE_NEWIPC) && (f & CLONE_SYSVSEM))
		return -EINVAL;
	if ((f & CLONE_THREAD) && !(f & CLONE_SIGHAND))
		return -EINVAL;
	if ((f & CLONE_SIGHAND) && !(f & CLONE_VM))
		return -EINVAL;
	if ((f & CLONE_PARENT) && task_pid_ns(current)->reaper == current->proc)
		return -EINVAL;
	if ((f & CLONE_THREAD) && (f & (CLONE_NEWUSER | CLONE_NEWPID)))
		return -EINVAL;
	if ((f & CLONE_PIDFD) && (f & (CLONE_DETACHED | CLONE_THREAD)))
		return -EINVAL;
	if ((f & CLONE_THREAD) && current->ns->pid != task_pid_ns(current))
		return -EINVAL;
	if ((f & CLONE_NEW_ANY) && !(f & CLONE_NEWUSER) && !self_capable(CAP_SYS_ADMIN))
		return -EPERM;
	return 0;
}

/* Every thread of every user counts against nobody's limit until there are that many at all. */
static bool user_threads_exceed(u32 uid, u64 limit)
{
	struct list_head *n;
	u64 count = 0;

	if (READ_ONCE(nr_threads) < limit)
		return false;
	spin_lock(&tasklist_lock);
	for (n = all_tasks.next; n != &all_tasks; n = n->next)
		count += container_of(n, struct task, all_node)->cred->uid == uid;
	spin_unlock(&tasklist_lock);
	return count >= limit;
}

static long check_limits(void)
{
	if (READ_ONCE(nr_threads) >= THREADS_MAX)
		return -EAGAIN;
	if (current->policy == SCHED_DEADLINE && !current->sched_reset_on_fork) /* sched(7) */
		return -EAGAIN;
	if (current->cred->uid && user_threads_exceed(current->cred->uid, rlimit(RLIMIT_NPROC)) &&
	    !capable(CAP_SYS_RESOURCE) && !capable(CAP_SYS_ADMIN))
		return -EAGAIN;
	return 0;
}

/* ---- copying, part by part ---- */

static void copy_user_context(struct task *t, const struct clone_params *p)
{
	struct task *me = current;

	platform->fpu_save(&me->ctx);
	memcpy(t->ctx.fpu, me->ctx.fpu, platform->fpu_size);
	t->ctx.regs = me->ctx.regs;
	t->ctx.regs.rax = 0;
	t->ctx.regs_dirty = true;
	t->ctx.syscall_rip = me->ctx.syscall_rip;
	if (p->stack)
		t->ctx.regs.rsp = p->stack + p->stack_size;
	if (p->flags & CLONE_SETTLS)
		t->ctx.regs.fs_base = p->tls;
}

static void copy_attributes(struct task *t)
{
	struct task *me = current;

	memcpy(t->comm, me->comm, sizeof(t->comm));
	t->cpu_mask = me->cpu_mask;
	t->nice = me->nice;
	t->policy = me->policy;
	t->rt_prio = me->rt_prio;
	if (me->sched_reset_on_fork) { /* sched(7): the child is an ordinary one */
		t->nice = t->rt_prio ? 0 : MAX(t->nice, 0);
		t->policy = SCHED_NORMAL;
		t->rt_prio = 0;
	}
	t->handoff = me->handoff;
	t->no_new_privs = me->no_new_privs;
	t->timer_slack_ns = me->timer_slack_ns;
	t->ioprio = me->ioprio;
	t->cred = cred_get(me->cred);
}

static long copy_files(struct task *t, u64 flags)
{
	if ((flags & CLONE_FILES) && !(flags & CLONE_THREAD))
		t->files_shared = current->files_shared = true;
	else
		t->files_shared = flags & CLONE_FILES && current->files_shared;
	t->files = flags & CLONE_FILES ? files_get(current->files) : files_copy(current->files);
	if (IS_ERR_OR_NULL(t->files)) {
		long err = t->files ? PTR_ERR(t->files) : -ENOMEM;

		t->files = NULL;
		return err;
	}
	t->fs = flags & CLONE_FS ? fs_state_get(current->fs) : fs_state_copy(current->fs);
	return t->fs ? 0 : -ENOMEM;
}

static long copy_sighand(struct task *t, u64 flags)
{
	struct task *me = current;

	t->sighand = flags & CLONE_SIGHAND ? sighand_get(me->sighand) : sighand_copy(me->sighand);
	if (!t->sighand)
		return -ENOMEM;
	if (flags & CLONE_CLEAR_SIGHAND)
		for (u32 i = 0; i < SIG_COUNT; i++)
			if (t->sighand->action[i].handler != (u64)SIG_IGN)
				t->sighand->action[i] = (struct k_sigaction){ 0 };
	t->blocked = me->blocked;
	/* A new thread of one's own memory cannot use the parent's signal stack; a vfork child may. */
	if (!(flags & CLONE_VM) || (flags & CLONE_VFORK))
		t->altstack = me->altstack;
	else
		t->altstack.flags = SS_DISABLE;
	return 0;
}

static long copy_mm(struct task *t, u64 flags)
{
	struct mm *mm = current->mm;

	if (flags & CLONE_VM) {
		mm_users_get(mm);
	} else {
		mm = mm_fork(mm);
		if (IS_ERR(mm))
			return PTR_ERR(mm);
	}
	t->mm = mm;
	return 0;
}

static void copy_process_limits(struct process *p, const struct process *from)
{
	memcpy(p->rlim, from->rlim, sizeof(p->rlim));
	p->oom_score_adj = from->oom_score_adj;
	p->personality = from->personality;
	p->dumpable = from->dumpable;
	p->has_child_subreaper = from->has_child_subreaper || from->is_subreaper;
	p->start_ns = clock_boot_ns();
}

static long copy_process_part(struct task *t, const struct clone_params *p)
{
	struct process *proc;

	if (p->flags & CLONE_THREAD) {
		t->proc = process_get(current->proc);
		return 0;
	}
	proc = process_alloc();
	if (!proc)
		return -ENOMEM;
	t->proc = proc;
	proc->exit_signal = p->flags & CLONE_PARENT ? current->proc->exit_signal : p->exit_signal;
	copy_process_limits(proc, current->proc);
	return 0;
}

/* The child alone gets credentials of the new namespace. */
static long user_ns_create_for(struct task *t)
{
	struct cred *c = prepare_creds();
	long err = c ? user_ns_create(c) : -ENOMEM;

	if (err) {
		cred_put(c);
		return err;
	}
	cred_put(t->cred);
	t->cred = c;
	return 0;
}

static long copy_namespaces(struct task *t, u64 flags)
{
	struct nsproxy *ns;

	if (flags & CLONE_NEWUSER) {
		long err = user_ns_create_for(t);

		if (err)
			return err;
	}
	ns = nsproxy_fork(current->ns, flags, t->cred->user_ns);
	if (IS_ERR(ns))
		return PTR_ERR(ns);
	t->ns = ns;
	return flags & CLONE_NEWNS ? mount_ns_unshare(ns, t->fs, t->cred->user_ns) : 0;
}

static long copy_parts(struct task *t, const struct clone_params *p)
{
	long err;

	copy_attributes(t);
	copy_user_context(t, p);
	if ((err = copy_process_part(t, p)) || (err = copy_sighand(t, p->flags)) || (err = copy_files(t, p->flags)) ||
	    (err = copy_namespaces(t, p->flags)) || (err = sem_fork(t, p->flags)) || (err = copy_mm(t, p->flags)))
		return err;
	if (t->ns->simple[NS_TIME] != current->ns->simple[NS_TIME]) {
		err = time_ns_enter(t->ns->simple[NS_TIME], t->mm);
		if (err)
			return err;
	}
	t->pid = pid_alloc(t->ns->pid, p->set_tid, p->nset_tid);
	if (IS_ERR(t->pid)) {
		err = PTR_ERR(t->pid);
		t->pid = NULL;
	}
	return err;
}

/* ---- publishing ---- */

static void publish_process(struct task *t, const struct clone_params *p)
{
	struct process *me = current->proc;

	t->proc->tgid = pid_get(t->pid);
	t->proc->leader = t;
	attach_process(t->proc, p->flags & CLONE_PARENT ? me->parent : me, me->pgid, me->sid);
	if (me->tty)
		t->proc->tty = tty_get(me->tty);
}

/* A group that is being killed gets no more threads, and a fork with a signal pending starts over (clone(2)). */
static long publish(struct task *t, const struct clone_params *p, int event)
{
	struct sighand *sh = current->sighand;
	long err = 0;

	spin_lock(&tasklist_lock);
	spin_lock(&sh->lock);
	if (fatal_signal_pending() || ((p->flags & CLONE_THREAD) && (t->proc->flags & PROC_GROUP_EXIT)))
		err = -ERESTARTNOINTR;
	else if (!(p->flags & CLONE_THREAD))
		publish_process(t, p);
	if (!err) {
		attach_task(t, t->proc);
		ptrace_attach_child(t, event, p->flags);
		if (p->flags & CLONE_THREAD)
			join_group_stop(t);
	}
	spin_unlock(&sh->lock);
	spin_unlock(&tasklist_lock);
	return err;
}

static void child_start(void *unused)
{
	struct task *t = current;

	if (t->set_child_tid)
		put_user(pid_nr_own(t->pid), t->set_child_tid);
	user_task_loop();
}

static void set_tid_pointers(struct task *t, const struct clone_params *p)
{
	t->set_child_tid = p->flags & CLONE_CHILD_SETTID ? p->child_tid : 0;
	t->clear_child_tid = p->flags & CLONE_CHILD_CLEARTID ? p->child_tid : 0;
	t->exit_signal = p->flags & CLONE_THREAD ? -1 : p->exit_signal;
}

/* The descriptor is made before the child is seen, so that nothing can fail afterwards. */
static long make_pidfd(struct task *t, const struct clone_params *p, s32 *fd, struct file **file)
{
	*fd = -1;
	if (!(p->flags & CLONE_PIDFD))
		return 0;
	*file = pidfd_file(t->pid, 0);
	if (IS_ERR(*file))
		return PTR_ERR(*file);
	*fd = fd_reserve(O_CLOEXEC, 0);
	if (*fd >= 0 && !put_user(*fd, p->pidfd))
		return 0;
	file_put(*file);
	if (*fd < 0)
		return *fd;
	fd_unreserve(*fd);
	return -EFAULT;
}

static void drop_pidfd(s32 fd, struct file *file)
{
	if (fd < 0)
		return;
	fd_unreserve(fd);
	file_put(file);
}

static struct task *make_task(const struct clone_params *p, s32 *pidfd, struct file **pidfile)
{
	struct task *t = task_alloc();
	long err;

	if (!t)
		return ERR_PTR(-ENOMEM);
	err = copy_parts(t, p);
	if (!err)
		err = make_pidfd(t, p, pidfd, pidfile);
	if (err) {
		task_free_unstarted(t);
		return ERR_PTR(err);
	}
	set_tid_pointers(t, p);
	rseq_fork(t, p->flags);
	seccomp_fork(t);
	task_set_entry(t, child_start, NULL);
	return t;
}

long do_clone(const struct clone_params *p)
{
	struct vfork_done *vfork = NULL;
	struct file *pidfile = NULL;
	struct task *t;
	s32 tid, pidfd = -1;
	int event = ptrace_clone_event(p->flags, p->flags & CLONE_THREAD ? 0 : p->exit_signal);
	long err = check_flags(p);

	if (err || (err = check_limits()))
		return err;
	if ((p->flags & CLONE_VFORK) && !(vfork = vfork_done_new()))
		return -ENOMEM;
	t = make_task(p, &pidfd, &pidfile);
	if (IS_ERR(t)) {
		kfree(vfork);
		return PTR_ERR(t);
	}
	t->vfork_done = vfork;
	tid = pid_nr(t->pid);
	err = publish(t, p, event);
	if (err) {
		drop_pidfd(pidfd, pidfile);
		kfree(vfork);
		task_free_unstarted(t);
		return err;
	}
	if (pidfd >= 0)
		fd_install(pidfd, pidfile);
	if (p->flags & CLONE_PARENT_SETTID)
		put_user(tid, p->parent_tid);
	stat_inc(STAT_FORK);
	if (t->proc->rlim[RLIMIT_CPU].cur != ~0ull && !(p->flags & CLONE_THREAD))
		cputimer_start(t->proc);
	if (unlikely(proc_listeners))
		proc_event(PROC_EVENT_FORK, current, (u32[]){ (u32)t->pid->nr, (u32)t->proc->tgid->nr }, 2);
	sched_new_task(t);
	if (event)
		ptrace_event(event, (u64)tid);
	if (vfork) {
		vfork_wait(vfork);
		ptrace_event(PTRACE_EVENT_VFORK_DONE, (u64)tid);
	}
	return tid;
}

/* The place in the tree of files of process 1; NULL: there is none yet. */
static struct fs_state *place_of_program(void)
{
	struct fs_state *fs = NULL;
	struct task *t = NULL;

	spin_lock(&tasklist_lock);
	if (init_process)
		t = task_get(init_process->leader);
	spin_unlock(&tasklist_lock);
	if (t) {
		spin_lock(&t->alloc_lock);
		fs = t->fs ? fs_state_get(t->fs) : NULL;
		spin_unlock(&t->alloc_lock);
		task_put(t);
	}
	return fs;
}

/* Made from nothing. The first one is process 1: its boot task gives it its root. */
struct task *fork_program(void (*fn)(void *), void *arg, u32 spawn_id)
{
	struct task *t = task_alloc();
	struct process *p = process_alloc();
	struct fs_state *place = place_of_program();

	if (!t || !p)
		return NULL;
	t->proc = p;
	t->pid = pid_alloc(&init_pid_ns, NULL, 0);
	BUG_ON(IS_ERR(t->pid));
	platform->fpu_init(t->ctx.fpu);
	t->sighand = sighand_copy(NULL);
	t->files = files_create();
	t->fs = fs_state_copy(place ? place : current->fs);
	if (place)
		fs_state_put(place);
	t->ns = nsproxy_get(init_process ? init_process->leader->ns : current->ns);
	t->altstack.flags = SS_DISABLE;
	if (!t->sighand || !t->files || !t->fs)
		return NULL;
	p->start_ns = clock_boot_ns();
	p->exit_signal = t->exit_signal = SIGCHLD;
	p->spawn_id = spawn_id;
	spin_lock(&tasklist_lock);
	p->tgid = pid_get(t->pid);
	p->leader = t;
	attach_process(p, &kernel_process, t->pid, t->pid);
	attach_task(t, p);
	spin_unlock(&tasklist_lock);
	if (!spawn_id)
		init_process = p;
	task_set_entry(t, fn, arg);
	return t;
}

/* ---- the calls ---- */

SYSCALL0(fork)
{
	const struct clone_params p = { .exit_signal = SIGCHLD };

	return do_clone(&p);
}

SYSCALL0(vfork)
{
	const struct clone_params p = { .flags = CLONE_VFORK | CLONE_VM, .exit_signal = SIGCHLD };

	return do_clone(&p);
}

SYSCALL5(clone, u64, flags, u64, stack, u64, parent_tid, u64, child_tid, u64, tls)
{
	const struct clone_params p = {
		.flags = flags & 0xffffffff & ~(u64)CSIGNAL,
		.exit_signal = (s32)(flags & CSIGNAL),
		.stack = stack,
		.tls = tls,
		.parent_tid = parent_tid,
		.child_tid = child_tid,
		.pidfd = parent_tid,
	};

	if ((p.flags & CLONE_PIDFD) && (p.flags & CLONE_PARENT_SETTID))
		return -EINVAL;
	return do_clone(&p);
}

#define CLONE3_FLAGS (0xffffffffull | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP)

static long clone3_decode(u64 uargs, u64 size, struct clone_args *a)
{
	u8 tail;

	if (size > PAGE_SIZE)
		return -E2BIG;
	if (size < CLONE_ARGS_SIZE_VER0)
		return -EINVAL;
	memset(a, 0, sizeof(*a));
	for (u64 i = sizeof(*a); i < size; i++) { /* unknown members must be zero */
		if (get_user(tail, uargs + i))
			return -EFAULT;
		if (tail)
			return -E2BIG;
	}
	return copy_from_user(a, uargs, MIN(size, sizeof(*a)));
}

static long clone3_check(const struct clone_args *a)
{
	if (a->flags & ~CLONE3_FLAGS || a->flags & (CLONE_DETACHED | (CSIGNAL & ~CLONE_NEWTIME)))
		return -EINVAL;
	if ((a->flags & (CLONE_SIGHAND | CLONE_CLEAR_SIGHAND)) == (CLONE_SIGHAND | CLONE_CLEAR_SIGHAND))
		return -EINVAL;
	if ((a->flags & (CLONE_THREAD | CLONE_PARENT)) && a->exit_signal)
		return -EINVAL;
	if (a->exit_signal & ~(u64)CSIGNAL || a->exit_signal > SIG_COUNT)
		return -EINVAL;
	if (!a->stack != !a->stack_size || (a->stack && !access_ok(a->stack, a->stack_size)))
		return -EINVAL;
	if (!a->set_tid != !a->set_tid_size || a->set_tid_size > 32)
		return -EINVAL;
	return 0;
}

/* The numbers wanted, the innermost namespace's first; the caller needs the right over each of those namespaces. */
static long fetch_set_tid(const struct clone_args *a, s32 *tids, bool fresh)
{
	struct pid_ns *ns = current->ns->pid;

	if (a->set_tid_size > ns->level + 1 + fresh)
		return -EINVAL;
	if (copy_from_user(tids, a->set_tid, a->set_tid_size * sizeof(*tids)))
		return -EFAULT;
	for (u32 i = 0; i < a->set_tid_size; i++) {
		if (tids[i] < 1 || (fresh && !i && tids[i] != 1))
			return -EINVAL;
		if (fresh && !i)
			continue;
		if (!ns_capable(ns->c.owner, CAP_SYS_ADMIN) && !ns_capable(ns->c.owner, CAP_CHECKPOINT_RESTORE))
			return -EPERM;
		ns = ns->parent;
	}
	return 0;
}

SYSCALL2(clone3, u64, uargs, u64, size)
{
	struct clone_params p = { 0 };
	s32 tids[PID_NS_LEVELS];
	struct clone_args a;
	long err = clone3_decode(uargs, size, &a);

	if (err || (err = clone3_check(&a)))
		return err;
	if (a.set_tid_size) {
		err = fetch_set_tid(&a, tids, a.flags & CLONE_NEWPID);
		if (err)
			return err;
		p.set_tid = tids;
		p.nset_tid = (u32)a.set_tid_size;
	}
	p.flags = a.flags & ~(u64)CLONE_INTO_CGROUP; /* there is one cgroup */
	p.exit_signal = (s32)a.exit_signal;
	p.stack = a.stack;
	p.stack_size = a.stack_size;
	p.tls = a.tls;
	p.parent_tid = a.parent_tid;
	p.child_tid = a.child_tid;
	p.pidfd = a.pidfd;
	return do_clone(&p);
}
