/*
 * Death of threads and processes. A thread gives up what it shares, leaves its group, and its vCPU; the last one makes the
 * process a zombie until its parent has waited for it (wait4.c). A dead leader stays listed until then.
 */
#include <asm/signal.h>
#include <linux/ptrace.h>

#include "base/log.h"
#include "fs/dev/tty.h"
#include "sentry/kernel/proc_events.h"
#include "sentry/kernel/coredump.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/ipc_sem.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/pagecache.h"
#include "sentry/sys/syscall.h"
#include "sentry/trace/trace.h"
#include "sentry/uring/io_uring.h"
#include "sentry/vfs/vfs.h"

long sys_sync(const struct sysargs *args);

/* ---- giving things up ---- */

/* set_tid_address(2): other threads are told by a zero and a futex wake; vfork's parent gets its memory back. */
void leave_mm(struct task *t)
{
	struct mm *mm = t->mm;

	futex_exit_task(t);
	if (t->clear_child_tid && atomic_load(&mm->users) > 1) {
		put_user((u32)0, t->clear_child_tid);
		futex_wake_user(t->clear_child_tid, 1);
	}
	t->clear_child_tid = 0;
	vfork_done_signal(t);
}

static void exit_mm(struct task *t)
{
	struct mm *mm = t->mm;

	if (!mm)
		return;
	leave_mm(t);
	t->proc->maxrss = MAX(t->proc->maxrss, mm_peak_rss(mm));
	platform->switch_out(&t->ctx);
	spin_lock(&t->alloc_lock);
	t->mm = NULL;
	spin_unlock(&t->alloc_lock);
	mm_users_put(mm);
}

static void exit_files(struct task *t)
{
	struct files *files = t->files;
	struct fs_state *fs = t->fs;

	spin_lock(&t->alloc_lock);
	t->files = NULL;
	t->fs = NULL;
	spin_unlock(&t->alloc_lock);
	if (files)
		files_put(files);
	if (fs)
		fs_state_put(fs);
}

/* ---- the process ---- */

static struct process *find_reaper(struct process *dead)
{
	struct process *p = dead->parent;

	struct pid_ns *ns = dead->tgid->ns;

	/* prctl(2), PR_SET_CHILD_SUBREAPER: the nearest one, in the same pid namespace. */
	if (dead->has_child_subreaper)
		for (; p && p->tgid && p->tgid->ns == ns && p != ns->reaper; p = p->parent)
			if (p->is_subreaper && p->nthreads)
				return p;
	while ((!ns->reaper || ns->reaper == dead) && ns->parent)
		ns = ns->parent;
	return ns->reaper;
}

static void send_pdeath_signals(struct process *p)
{
	struct task *t;

	list_for_each(t, &p->threads, thread_node)
		if (t->pdeath_signal)
			send_signal_task(t, t->pdeath_signal, SEND_SIG_NOINFO);
}

void reap_if_ignored(struct process *p, struct list_head *dead)
{
	if (!parent_ignores_sigchld(p))
		return;
	ptrace_unlink(p->leader);
	process_unlink(p);
	detach_task(p->leader);
	list_add_tail(&p->sibling, dead);
}

static void reparent_children(struct process *p, struct list_head *dead)
{
	struct process *reaper = find_reaper(p), *child, *tmp;

	list_for_each_safe(child, tmp, &p->children, sibling) {
		send_pdeath_signals(child);
		child->parent = reaper;
		child->exit_signal = SIGCHLD;
		list_move_tail(&child->sibling, &reaper->children);
		if ((child->flags & PROC_ZOMBIE) && !(child->leader->jobctl & JOBCTL_PTRACE_ZOMBIE)) {
			notify_parent_exit(child);
			reap_if_ignored(child, dead);
		}
	}
}

void put_dead(struct list_head *dead)
{
	struct process *p, *tmp;

	list_for_each_safe(p, tmp, dead, sibling) {
		list_del(&p->sibling);
		process_release(p);
	}
}

/* A reaped process: the references that being listed meant. */
void process_release(struct process *p)
{
	struct task *leader = p->leader;

	wake_up_all(&p->tgid->wait);
	process_put(p);
	task_put(leader);
}

/* Stopped groups that lose their last tie to the session are woken: setpgid(2), _exit(2). */
static void hang_up_orphans(struct pid *const *groups, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		if (pgrp_orphaned(groups[i]) && pgrp_has_stopped(groups[i])) {
			send_signal_pgrp(groups[i], SIGHUP, SEND_SIG_PRIV);
			send_signal_pgrp(groups[i], SIGCONT, SEND_SIG_PRIV);
		}
		pid_put(groups[i]);
	}
}

bool pgrp_has_stopped(struct pid *pgrp)
{
	struct list_head *n;
	bool stopped = false;

	spin_lock(&tasklist_lock);
	for (n = pgrp->tasks[PIDTYPE_PGID].next; n != &pgrp->tasks[PIDTYPE_PGID]; n = n->next)
		stopped |= container_of(n, struct process, pgid_node)->flags & PROC_STOPPED;
	spin_unlock(&tasklist_lock);
	return stopped;
}

/* Groups that this death may orphan: its own, and those of its children in the same session. tasklist_lock held. */
#define ORPHAN_MAX 16
static u32 collect_groups(struct process *p, struct pid **groups)
{
	struct process *child;
	u32 n = 0;

	if (p->parent->sid == p->sid && p->parent->pgid != p->pgid) /* it tied its group to the session */
		groups[n++] = pid_get(p->pgid);
	list_for_each(child, &p->children, sibling)
		if (child->sid == p->sid && child->pgid != p->pgid && n < ORPHAN_MAX && (!n || child->pgid != groups[n - 1]))
			groups[n++] = pid_get(child->pgid);
	return n;
}

/* ---- the first process of a pid namespace: pid_namespaces(7) ---- */

static void kill_namespace(struct pid_ns *ns)
{
	s32 nr = 1;

	while ((nr = next_tgid(ns, nr + 1))) {
		struct pid *pid = pid_find_in(ns, nr);
		struct process *p = pid ? pid_process_get(pid) : NULL;

		if (p && p != current->proc)
			send_signal_process(p, SIGKILL, SEND_SIG_PRIV);
		process_put(p);
		pid_put(pid);
	}
}

/* Are we alone? Children that are dead need nobody to wait for them any more. */
static bool alone_in(struct pid_ns *ns)
{
	struct process *me = current->proc, *child, *tmp;
	LIST_HEAD(dead);
	bool alone;

	spin_lock(&tasklist_lock);
	list_for_each_safe(child, tmp, &me->children, sibling)
		if ((child->flags & PROC_ZOMBIE) && !child->traced_dead && !(child->leader->jobctl & JOBCTL_PTRACE_ZOMBIE))
			reap_if_ignored(child, &dead);
	alone = ns->nr_tasks == (current == me->leader ? 1u : 2u);
	spin_unlock(&tasklist_lock);
	put_dead(&dead);
	return alone;
}

/* Nobody new comes, everybody else dies and is waited for. */
static void end_namespace(struct pid_ns *ns)
{
	struct process *me = current->proc;
	struct waiter w = { 0 };

	pid_ns_close(ns);
	WRITE_ONCE(me->ns_ending, true);
	kill_namespace(ns);
	list_init(&w.node);
	for (;;) {
		prepare_to_wait(&me->wait_child, &w, TASK_UNINTERRUPTIBLE);
		if (alone_in(ns))
			break;
		schedule();
	}
	finish_wait(&me->wait_child, &w);
}

static bool last_of_namespace(const struct task *t)
{
	const struct process *p = t->proc;

	return unlikely(p->tgid->level) && p->tgid->ns->reaper == p && READ_ONCE(p->nthreads) == 1;
}

/* Process 1 is the sandbox's command: when it ends everything ends, with its status. */
static __noreturn void exit_sandbox(const struct process *p)
{
	s32 code = p->flags & PROC_GROUP_EXIT ? p->group_exit_code : p->leader->exit_code;
	struct hc_exit req = { .status = (u32)code >> 8 & 0xff, .signal = (u32)(code & 0x7f),
			       .oom = (p->flags & PROC_OOM_KILLED) != 0 };

	pagecache_sync(NULL); /* what is dirty of the host's files */
	stats_report(&req.stats_off, &req.stats_len);
	hostcall(HC_EXIT, &req, sizeof(req));
	panic("HC_EXIT returned");
}

static void exit_process(struct task *t)
{
	struct process *p = t->proc;
	struct pid *groups[ORPHAN_MAX];
	LIST_HEAD(dead);
	u32 ngroups, spawn_id;
	s32 code;

	disassociate_ctty(p, true);
	exit_itimers(p);
	ktimer_cancel_sync(&p->itimer_real);
	cputimer_stop(p);
	spin_lock(&tasklist_lock);
	ngroups = collect_groups(p, groups);
	reparent_children(p, &dead);
	spin_lock(&t->sighand->lock);
	p->flags |= PROC_ZOMBIE;
	if (!(p->flags & PROC_GROUP_EXIT))
		p->group_exit_code = p->leader->exit_code;
	spin_unlock(&t->sighand->lock);
	spawn_id = p->spawn_id;
	code = p->group_exit_code;
	if (!p->traced_dead && !ptrace_delays_exit(p->leader)) {
		notify_parent_exit(p);
		reap_if_ignored(p, &dead);
	}
	spin_unlock(&tasklist_lock);
	if (unlikely(spawn_id))
		spawn_exited(spawn_id, code);
	wake_up_all(&p->tgid->wait);
	hang_up_orphans(groups, ngroups);
	put_dead(&dead);
}

/* Out of the group. True: it was the last thread. A dead leader stays. */
static bool leave_group(struct task *t)
{
	struct process *p = t->proc;
	bool last, gone = false;

	spin_lock(&tasklist_lock);
	spin_lock(&t->sighand->lock);
	last = --p->nthreads == 0;
	spin_unlock(&t->sighand->lock);
	if (t != p->leader) {
		detach_task(t);
		ptrace_delays_exit(t);
		gone = true;
	}
	if (p->group_exec_task && p->nthreads == 1)
		wake_up_state(p->group_exec_task, TASK_UNINTERRUPTIBLE | TASK_KILLABLE);
	spin_unlock(&tasklist_lock);
	if (gone)
		task_put(t); /* the scheduler's reference is left */
	return last;
}

static void tell_exit(struct task *t)
{
	u32 more[4] = { (u32)t->exit_code, t == t->proc->leader ? (u32)t->proc->exit_signal : ~0u };

	spin_lock(&tasklist_lock);
	if (t->proc->parent)
		more[2] = more[3] = (u32)t->proc->parent->tgid->nr;
	spin_unlock(&tasklist_lock);
	proc_event(PROC_EVENT_EXIT, t, more, 4);
}

void do_exit(s32 code)
{
	struct task *t = current;
	bool is_init = t->proc == init_process;

	ptrace_event(PTRACE_EVENT_EXIT, (u64)code);
	exit_signals(t);
	if (unlikely(t->in_core))
		coredump_wait(t);
	t->exit_code = code;
	if (is_init && READ_ONCE(t->proc->nthreads) == 1) /* the usual way: nothing needs to be taken down */
		exit_sandbox(t->proc);
	uring_task_exit();
	exit_mm(t);
	ptrace_exit_tracer(t);
	sem_exit(t);
	exit_files(t);
	seccomp_leave(t);
	if (last_of_namespace(t))
		end_namespace(t->proc->tgid->ns);
	ktimer_cancel_sync(&t->sleep_timer);
	if (unlikely(proc_listeners))
		tell_exit(t);
	if (leave_group(t)) {
		if (is_init)
			exit_sandbox(t->proc);
		exit_process(t);
	}
	atomic_store(&t->state, TASK_DEAD);
	schedule();
	panic("a dead task ran");
}

void do_group_exit(s32 code)
{
	struct task *t = current;
	struct process *p = t->proc;

	spin_lock(&t->sighand->lock);
	if (p->flags & PROC_GROUP_EXIT) {
		code = p->group_exit_code;
	} else if (!p->group_exec_task) { /* an exec wants the others dead, not the process */
		p->flags |= PROC_GROUP_EXIT;
		p->group_exit_code = code;
		zap_other_threads(t);
	}
	spin_unlock(&t->sighand->lock);
	do_exit(code);
}

SYSCALL1(exit, s32, status)
{
	do_exit((status & 0xff) << 8);
}

SYSCALL1(exit_group, s32, status)
{
	do_group_exit((status & 0xff) << 8);
}

SYSCALL1(set_tid_address, u64, addr)
{
	current->clear_child_tid = addr;
	return task_tid(current);
}
