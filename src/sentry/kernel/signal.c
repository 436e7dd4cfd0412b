/* Signals: queues, sending, permission, handler tables. Delivery: sigdeliver.c; frames: sigframe.c; job control: stops.c. */
#include "sentry/kernel/signal.h"

#include <asm/signal.h>
#include <asm-generic/siginfo.h>
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/resource.h>

#include "base/log.h"
#include "base/string.h"
#include "hostcall.h"
#include "sentry/kernel/boot.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/trace/trace.h"

static struct kmem_cache *sigqueue_cache, *sighand_cache;

/* ---- queue entries and RLIMIT_SIGPENDING, which counts per real user id ---- */

struct sig_user {
	struct hlist_node node;
	u32 uid;
	u32 count;
};
#define SIG_USER_BUCKETS 64
static struct hlist_head sig_users[SIG_USER_BUCKETS];
static spinlock_t sig_users_lock = SPINLOCK_INIT;

static struct sig_user *find_user(u32 uid)
{
	struct sig_user *u;

	hlist_for_each(u, &sig_users[uid % SIG_USER_BUCKETS], node)
		if (u->uid == uid)
			return u;
	return NULL;
}

/* Count one more for uid unless that exceeds `limit`. NULL: refused. */
static struct sig_user *charge_user(u32 uid, u64 limit)
{
	struct sig_user *u, *fresh = NULL;

	spin_lock(&sig_users_lock);
	u = find_user(uid);
	if (!u) {
		spin_unlock(&sig_users_lock);
		fresh = kzalloc(sizeof(*fresh));
		spin_lock(&sig_users_lock);
		u = find_user(uid);
		if (!u && fresh) {
			u = fresh;
			fresh = NULL;
			u->uid = uid;
			hlist_add(&u->node, &sig_users[uid % SIG_USER_BUCKETS]);
		}
	}
	if (u && u->count >= limit)
		u = NULL;
	if (u)
		u->count++;
	spin_unlock(&sig_users_lock);
	kfree(fresh);
	return u;
}

static void uncharge_user(struct sig_user *u)
{
	spin_lock(&sig_users_lock);
	if (--u->count == 0 && u->uid)
		hlist_del(&u->node);
	else
		u = NULL;
	spin_unlock(&sig_users_lock);
	kfree(u);
}

u32 sigqueue_user_count(u32 uid)
{
	struct sig_user *u;
	u32 n;

	spin_lock(&sig_users_lock);
	u = find_user(uid);
	n = u ? u->count : 0;
	spin_unlock(&sig_users_lock);
	return n;
}

u32 task_uid(struct task *t)
{
	u32 uid;

	if (t == current)
		return t->cred->uid;
	spin_lock(&t->alloc_lock);
	uid = t->cred->uid;
	spin_unlock(&t->alloc_lock);
	return uid;
}

u32 uid_in_task(struct task *to, u32 uid)
{
	spin_lock(&to->alloc_lock);
	uid = uid_out_to(to->cred->user_ns, uid);
	spin_unlock(&to->alloc_lock);
	return uid;
}

static struct sigqueue_entry *sigqueue_alloc(struct task *t, bool override_limit)
{
	u64 limit = override_limit ? ~0ull : t->proc->rlim[RLIMIT_SIGPENDING].cur;
	struct sig_user *u = charge_user(task_uid(t), limit);
	struct sigqueue_entry *q;

	if (!u)
		return NULL;
	q = kmem_cache_alloc(sigqueue_cache);
	if (!q) {
		uncharge_user(u);
		return NULL;
	}
	list_init(&q->node);
	q->user = u;
	return q;
}

void sigqueue_free(struct sigqueue_entry *q)
{
	if (q->user)
		uncharge_user(q->user);
	kmem_cache_free(sigqueue_cache, q);
}

struct sigqueue_entry *sigqueue_prealloc(void)
{
	return sigqueue_alloc(current, false);
}

/* A timer's entry stays the timer's. */
static void sigqueue_unlink(struct sigqueue_entry *q)
{
	list_del(&q->node);
	if (!q->timer)
		sigqueue_free(q);
}

void sigpending_init(struct sigpending *p)
{
	p->set = 0;
	list_init(&p->queue);
}

void sigpending_flush(struct sigpending *p)
{
	flush_sigqueue_mask(p, ~0ull);
}

void flush_sigqueue_mask(struct sigpending *p, sigset64 mask)
{
	struct sigqueue_entry *q, *tmp;

	if (!(p->set & mask))
		return;
	p->set &= ~mask;
	list_for_each_safe(q, tmp, &p->queue, node)
		if (sig_in(mask, q->info.si_signo))
			sigqueue_unlink(q);
}

/* ---- handler tables ---- */

void signal_init(void)
{
	sigqueue_cache = kmem_cache_create("sigqueue", sizeof(struct sigqueue_entry), 16);
	sighand_cache = kmem_cache_create("sighand", sizeof(struct sighand), 64);
	BUG_ON(!sigqueue_cache || !sighand_cache);
}

struct sighand *sighand_get(struct sighand *s)
{
	refcount_inc(&s->ref);
	return s;
}

void sighand_put(struct sighand *s)
{
	if (!refcount_dec_and_test(&s->ref))
		return;
	signalfd_forget(s);
	kmem_cache_free(sighand_cache, s);
}

struct sighand *sighand_copy(struct sighand *old)
{
	struct sighand *s = kmem_cache_alloc(sighand_cache);

	if (!s)
		return NULL;
	refcount_set(&s->ref, 1);
	spin_lock_init(&s->lock);
	list_init(&s->signalfds);
	if (old) {
		spin_lock(&old->lock);
		memcpy(s->action, old->action, sizeof(s->action));
		spin_unlock(&old->lock);
	}
	return s;
}

void sighand_flush_handlers(struct task *t)
{
	struct sighand *s = t->sighand;

	spin_lock(&s->lock);
	for (u32 i = 0; i < SIG_COUNT; i++) {
		u64 handler = s->action[i].handler == K_SIG_IGN ? K_SIG_IGN : K_SIG_DFL;

		s->action[i] = (struct k_sigaction){ .handler = handler };
	}
	spin_unlock(&s->lock);
}

struct sighand *lock_sighand(struct task *t)
{
	for (;;) {
		struct sighand *s = READ_ONCE(t->sighand);

		spin_lock(&s->lock);
		if (likely(s == READ_ONCE(t->sighand)))
			return s;
		spin_unlock(&s->lock);
	}
}

/* ---- what is pending for a task; sighand->lock held ---- */

static sigset64 deliverable(const struct task *t)
{
	return (t->pending.set | t->proc->shared_pending.set) & ~t->blocked;
}

static bool has_signal_work(const struct task *t)
{
	return deliverable(t) || (t->jobctl & JOBCTL_PENDING_MASK) ||
	       (t->proc->flags & (PROC_CLD_STOPPED | PROC_CLD_CONTINUED | PROC_GROUP_EXIT));
}

void recalc_sigpending(struct task *t)
{
	if (has_signal_work(t))
		atomic_fetch_or(&t->flags, TIF_SIGPENDING);
	else if (t == current && (atomic_load_explicit(&t->flags, memory_order_relaxed) & TIF_SIGPENDING))
		atomic_fetch_and(&t->flags, ~TIF_SIGPENDING);
}

void signal_wake_up(struct task *t, u32 extra_states)
{
	atomic_fetch_or(&t->flags, TIF_SIGPENDING);
	if (!wake_up_state(t, TASK_INTERRUPTIBLE | extra_states))
		resched_task(t);
}

#define WAKE_KILL (TASK_KILLABLE | TASK_STOPPED | TASK_TRACED)

/* ---- taking off the queues; sighand->lock held ---- */

static int next_signal(const struct sigpending *p, sigset64 blocked)
{
	sigset64 ready = p->set & ~blocked;

	if (!ready)
		return 0;
	if (ready & SIGSET_SYNC)
		ready &= SIGSET_SYNC;
	return __builtin_ctzll(ready) + 1;
}

static void collect_signal(struct sigpending *p, int sig, siginfo_t_k *info)
{
	struct sigqueue_entry *q, *tmp, *first = NULL;
	bool more = false;

	list_for_each_safe(q, tmp, &p->queue, node) {
		if (q->info.si_signo != sig)
			continue;
		if (first) {
			more = true;
			break;
		}
		first = q;
	}
	if (!more)
		p->set &= ~sigmask_of(sig);
	if (first) {
		*info = first->info;
		if (first->timer) {
			list_del(&first->node);
			posix_timer_dequeued(first->timer, info);
		} else {
			sigqueue_unlink(first);
		}
		return;
	}
	/* The queue was full: nothing is known but the number. */
	*info = (siginfo_t_k){ .si_signo = sig };
}

/* A fault of the task's own instruction comes before signals with smaller numbers that others sent. */
static int dequeue_synchronous(struct task *t, siginfo_t_k *info)
{
	struct sigqueue_entry *q;

	if (!(t->pending.set & ~t->blocked & SIGSET_SYNC))
		return 0;
	list_for_each(q, &t->pending.queue, node) {
		int sig = q->info.si_signo;

		if (q->info.si_code > SI_USER && sig_in(SIGSET_SYNC & ~t->blocked, sig)) {
			collect_signal(&t->pending, sig, info);
			return sig;
		}
	}
	return 0;
}

int dequeue_signal(struct task *t, sigset64 blocked, siginfo_t_k *info)
{
	struct sigpending *shared = &t->proc->shared_pending;
	int sig = blocked == t->blocked ? dequeue_synchronous(t, info) : 0;

	if (!sig) {
		sig = next_signal(&t->pending, blocked);
		if (sig) {
			collect_signal(&t->pending, sig, info);
		} else {
			sig = next_signal(shared, blocked);
			if (sig)
				collect_signal(shared, sig, info);
		}
	}
	recalc_sigpending(t);
	if (sig && sig_in(SIGSET_STOP, sig))
		t->jobctl |= JOBCTL_STOP_DEQUEUED;
	return sig;
}

int dequeue_signal_mask(struct task *t, sigset64 mask, siginfo_t_k *info)
{
	struct sighand *s = lock_sighand(t);
	int sig = dequeue_signal(t, ~(mask & ~SIGSET_ONLY_KERNEL), info);

	spin_unlock(&s->lock);
	return sig;
}

/* ---- masks ---- */

/* Signals sent to the group that this thread no longer takes: let another thread have them. sighand->lock held. */
static void retarget_shared(struct task *t, sigset64 which)
{
	sigset64 retarget = t->proc->shared_pending.set & which;
	struct task *o;

	if (!retarget || list_empty(&t->thread_node))
		return;
	list_for_each(o, &t->proc->threads, thread_node) {
		if (o == t || (atomic_load(&o->flags) & TIF_EXITING) || !(retarget & ~o->blocked))
			continue;
		retarget &= o->blocked;
		if (!(atomic_load(&o->flags) & TIF_SIGPENDING))
			signal_wake_up(o, 0);
		if (!retarget)
			break;
	}
}

void set_blocked_locked(struct task *t, sigset64 mask)
{
	if (t->proc->nthreads > 1)
		retarget_shared(t, mask & ~t->blocked);
	t->blocked = mask;
	recalc_sigpending(t);
}

void set_current_blocked(sigset64 mask)
{
	struct task *t = current;

	mask &= ~SIGSET_ONLY_KERNEL;
	if (t->blocked == mask)
		return;
	spin_lock(&t->sighand->lock);
	set_blocked_locked(t, mask);
	spin_unlock(&t->sighand->lock);
}

void set_user_sigmask(sigset64 mask)
{
	struct task *t = current;

	t->restore_mask = true;
	t->saved_mask = t->blocked;
	set_current_blocked(mask);
}

void restore_saved_sigmask_unless(bool interrupted)
{
	struct task *t = current;

	if (interrupted || !t->restore_mask)
		return;
	t->restore_mask = false;
	set_current_blocked(t->saved_mask);
}

/* A thread leaves: it takes no more signals, and does not hold up a group stop. */
void exit_signals(struct task *t)
{
	struct process *p = t->proc;
	bool tell = false;

	spin_lock(&t->sighand->lock);
	atomic_fetch_or(&t->flags, TIF_EXITING);
	t->in_core = p->core_dumper && p->core_dumper != t;
	if (p->nthreads > 1 && !(p->flags & PROC_GROUP_EXIT)) {
		retarget_shared(t, ~t->blocked);
		if ((t->jobctl & JOBCTL_STOP_PENDING) && participate_group_stop(t))
			tell = true;
	}
	spin_unlock(&t->sighand->lock);
	if (tell)
		tell_parent_cldstop(p, false);
}

/* ---- sending; sighand->lock held ---- */

void siginfo_user(siginfo_t_k *info, int sig, s32 code)
{
	memset(info, 0, sizeof(*info));
	info->si_signo = sig;
	info->si_code = code;
	info->rt.pid = task_tgid(current);
	info->rt.uid = uid_out(current->cred->uid);
}

/* The receiver's names for the sender: no number of a namespace that it does not see, and its own one's user ids. */
static void translate_sender(siginfo_t_k *info, struct task *t)
{
	const struct user_ns *mine = current->cred->user_ns, *theirs;

	if (info->si_code > 0 || info->si_code == SI_TIMER || !current->proc->tgid)
		return;
	if (!pid_nr_in(current->proc->tgid, t->pid->ns))
		info->rt.pid = 0;
	theirs = t == current ? mine : t->cred->user_ns; /* a comparison of addresses: a change meanwhile does no harm */
	if (mine != theirs)
		info->rt.uid = uid_in_task(t, make_uid(mine, info->rt.uid));
}

static void fill_info(siginfo_t_k *out, int sig, const siginfo_t_k *info, struct task *t)
{
	if (info == SEND_SIG_NOINFO) {
		siginfo_user(out, sig, SI_USER);
		translate_sender(out, t);
	} else if (info == SEND_SIG_PRIV) {
		*out = (siginfo_t_k){ .si_signo = sig, .si_code = SI_KERNEL };
	} else {
		*out = *info;
		out->si_signo = sig;
		translate_sender(out, t);
	}
}

bool sig_from_inside(const siginfo_t_k *info)
{
	return info == SEND_SIG_NOINFO || (info != SEND_SIG_PRIV && info->si_code <= 0 && info->si_code != SI_TIMER);
}

/* Of the instruction that it interrupts: it comes back at once when it is not dealt with. */
static bool is_fault(int sig, const siginfo_t_k *info)
{
	return sig_in(SIGSET_SYNC, sig) && info != SEND_SIG_NOINFO && info != SEND_SIG_PRIV && info->si_code > 0;
}

/* What `runsc-c do` was asked to run, or a container in a pid namespace of others: a program as any other to who started it. */
static bool is_plain_program(const struct process *p)
{
	return p == init_process && !boot_params->own_pid_namespace;
}

/*
 * pid_namespaces(7) keeps the first process of a namespace alive against its descendants, and against signals from outside too that it has
 * no handler for. A plain program may still end itself (abort, kill -9 $$), and the host side may end it.
 */
bool init_protected(const struct process *p, int sig, const siginfo_t_k *info)
{
	s32 sender;

	if (likely(!p->tgid || p->tgid->ns->reaper != p) || p->leader->sighand->action[sig - 1].handler != K_SIG_DFL)
		return false;
	if (!is_plain_program(p))
		return !sig_in(SIGSET_ONLY_KERNEL, sig) && !is_fault(sig, info);
	if (!sig_from_inside(info))
		return false;
	sender = info == SEND_SIG_NOINFO ? task_tgid(current) : info->rt.pid;
	return sender != p->tgid->nr;
}

/* SIGKILL and SIGSTOP, which nothing else keeps from the first process of a namespace: not from within. */
static bool init_unkillable(const struct process *p, int sig, const siginfo_t_k *info)
{
	if (likely(!p->tgid || p->tgid->ns->reaper != p) || !sig_in(SIGSET_ONLY_KERNEL, sig))
		return false;
	if (is_plain_program(p))
		return init_protected(p, sig, info);
	return sig_from_inside(info) && pid_nr_in(current->proc->tgid, p->tgid->ns);
}

static bool handler_ignored(const struct task *t, int sig)
{
	u64 handler = t->sighand->action[sig - 1].handler;

	return handler == K_SIG_IGN || (handler == K_SIG_DFL && sig_in(SIGSET_IGNORE, sig));
}

/* Blocked signals are kept: the handler may change before they are unblocked. A tracer sees everything but KILL. */
static bool sig_ignored(const struct task *t, int sig, const siginfo_t_k *info)
{
	if (sig_in(t->blocked | t->real_blocked, sig))
		return false;
	if (init_protected(t->proc, sig, info))
		return true;
	if (t->tracer && sig != SIGKILL)
		return false;
	return handler_ignored(t, sig);
}

static bool sig_fatal(const struct task *t, int sig)
{
	return t->sighand->action[sig - 1].handler == K_SIG_DFL &&
	       !sig_in(SIGSET_IGNORE | SIGSET_STOP | SIGSET_CORE, sig);
}

static bool wants_signal(int sig, const struct task *t)
{
	if (sig_in(t->blocked, sig) || (atomic_load(&t->flags) & TIF_EXITING))
		return false;
	if (sig == SIGKILL)
		return true;
	if (atomic_load(&t->state) & (TASK_STOPPED | TASK_TRACED))
		return false;
	return t->state == TASK_RUNNING || !(atomic_load(&t->flags) & TIF_SIGPENDING);
}

static struct task *pick_thread(struct task *t, int sig, bool group)
{
	struct task *o;

	if (wants_signal(sig, t))
		return t;
	if (!group)
		return NULL;
	list_for_each(o, &t->proc->threads, thread_node)
		if (o != t && wants_signal(sig, o))
			return o;
	return NULL;
}

static void start_group_exit(struct process *p, int sig)
{
	struct task *o;

	p->flags |= PROC_GROUP_EXIT;
	p->group_exit_code = sig;
	p->group_stop_count = 0;
	list_for_each(o, &p->threads, thread_node) {
		task_clear_stop_pending(o);
		o->pending.set |= sigmask_of(SIGKILL);
		signal_wake_up(o, WAKE_KILL);
	}
}

/* Choose the thread that will take it and make it look. */
static void complete_signal(int sig, struct task *t, bool group)
{
	struct process *p = t->proc;
	struct task *target = pick_thread(t, sig, group);

	if (!target)
		return;
	if (sig_fatal(target, sig) && !(p->flags & PROC_GROUP_EXIT) && !sig_in(target->real_blocked, sig) &&
	    (sig == SIGKILL || !target->tracer)) {
		start_group_exit(p, sig);
		return;
	}
	signal_wake_up(target, sig == SIGKILL ? WAKE_KILL : 0);
}

static bool wants_signal_dropped(struct task *t, int sig, const siginfo_t_k *info)
{
	if (t->proc->flags & PROC_GROUP_EXIT)
		return true; /* it is dying already */
	prepare_stop_signal(t, sig);
	return sig_ignored(t, sig, info);
}

static void notify_signalfd(struct task *t)
{
	if (unlikely(!list_empty(&t->sighand->signalfds)))
		signalfd_notify(t->sighand);
}

long send_signal_locked(struct task *t, int sig, siginfo_t_k *info, bool group)
{
	struct sigpending *pending = group ? &t->proc->shared_pending : &t->pending;
	bool from_kernel = info == SEND_SIG_NOINFO || info == SEND_SIG_PRIV;
	struct sigqueue_entry *q;

	if (init_unkillable(t->proc, sig, info))
		return 0;
	if (wants_signal_dropped(t, sig, info))
		return 0;
	if (sig < RTMIN_K && sig_in(pending->set, sig))
		return 0;
	if (sig != SIGKILL) {
		q = sigqueue_alloc(t, sig < RTMIN_K && (from_kernel || info->si_code >= 0));
		if (q) {
			fill_info(&q->info, sig, info, t);
			list_add_tail(&q->node, &pending->queue);
		} else if (sig >= RTMIN_K && !from_kernel && info->si_code != SI_USER) {
			return -EAGAIN; /* sigqueue(3): the information may not be lost */
		}
	}
	pending->set |= sigmask_of(sig);
	stat_inc(STAT_SIGNAL);
	notify_signalfd(t);
	complete_signal(sig, t, group);
	return 0;
}

int send_sigqueue_locked(struct sigqueue_entry *q, struct task *t, bool group)
{
	struct sigpending *pending = group ? &t->proc->shared_pending : &t->pending;
	int sig = q->info.si_signo;

	if ((atomic_load(&t->flags) & TIF_EXITING) && !group)
		return -1;
	if (wants_signal_dropped(t, sig, &q->info))
		return -1;
	if (!list_empty(&q->node))
		return 1;
	list_add_tail(&q->node, &pending->queue);
	pending->set |= sigmask_of(sig);
	notify_signalfd(t);
	complete_signal(sig, t, group);
	return 0;
}

/* ---- sending; takes the locks ---- */

long send_signal_task(struct task *t, int sig, siginfo_t_k *info)
{
	struct sighand *s;
	long ret;

	/* A task of the sentry's own that acts for a program has its handlers, but is not it. */
	if (!t->sighand || t->is_kthread || (atomic_load(&t->flags) & TIF_EXITING && t->state == TASK_DEAD))
		return 0;
	s = lock_sighand(t);
	ret = send_signal_locked(t, sig, info, false);
	spin_unlock(&s->lock);
	return ret;
}

long send_signal_process_tl(struct process *p, int sig, siginfo_t_k *info)
{
	struct task *t = p->leader;
	struct sighand *s;
	long ret = 0;

	if (!t || !t->sighand)
		return 0;
	s = lock_sighand(t);
	if (!(p->flags & PROC_ZOMBIE))
		ret = send_signal_locked(t, sig, info, true);
	spin_unlock(&s->lock);
	return ret;
}

long send_signal_process(struct process *p, int sig, siginfo_t_k *info)
{
	long ret;

	spin_lock(&tasklist_lock);
	ret = send_signal_process_tl(p, sig, info);
	spin_unlock(&tasklist_lock);
	return ret;
}

long send_signal_pgrp(struct pid *pgrp, int sig, siginfo_t_k *info)
{
	struct list_head *n, *head = &pgrp->tasks[PIDTYPE_PGID];
	long ret = -ESRCH;

	spin_lock(&tasklist_lock);
	for (n = head->next; n != head; n = n->next) {
		long err = send_signal_process_tl(container_of(n, struct process, pgid_node), sig, info);

		if (ret)
			ret = err;
	}
	spin_unlock(&tasklist_lock);
	return ret;
}

void force_signal_info(int sig, siginfo_t_k *info)
{
	struct task *t = current;
	struct k_sigaction *action = &t->sighand->action[sig - 1];

	spin_lock(&t->sighand->lock);
	if (sig_in(t->blocked, sig) || action->handler == K_SIG_IGN) {
		action->handler = K_SIG_DFL;
		if (sig_in(t->blocked, sig)) {
			t->blocked &= ~sigmask_of(sig);
			recalc_sigpending(t);
		}
	}
	send_signal_locked(t, sig, info, false);
	recalc_sigpending(t);
	spin_unlock(&t->sighand->lock);
}

void force_signal(int sig, s32 code, u64 addr)
{
	siginfo_t_k info = { .si_signo = sig, .si_code = code, .fault = { .addr = addr } };

	force_signal_info(sig, &info);
}

void zap_other_threads(struct task *t)
{
	struct task *o;

	t->proc->group_stop_count = 0;
	list_for_each(o, &t->proc->threads, thread_node) {
		if (o == t || (atomic_load(&o->flags) & TIF_EXITING))
			continue;
		task_clear_stop_pending(o);
		o->pending.set |= sigmask_of(SIGKILL);
		signal_wake_up(o, WAKE_KILL);
	}
}

/* ---- permission: kill(2) ---- */

long check_kill_permission(struct process *p, int sig)
{
	const struct cred *me = current->cred, *c;
	struct task *t;
	bool ok;

	if (sig < 0 || sig > SIG_COUNT)
		return -EINVAL;
	if (p == current->proc)
		return 0;
	spin_lock(&tasklist_lock);
	t = p->leader;
	spin_lock(&t->alloc_lock);
	c = t->cred;
	ok = me->euid == c->suid || me->euid == c->uid || me->uid == c->suid || me->uid == c->uid ||
	     (sig == SIGCONT && p->sid == current->proc->sid) || ns_capable(c->user_ns, CAP_KILL);
	spin_unlock(&t->alloc_lock);
	spin_unlock(&tasklist_lock);
	return ok ? 0 : -EPERM;
}

/* ---- telling the parent of a death; tasklist_lock held ---- */

bool parent_ignores_sigchld(struct process *p)
{
	struct task *parent = p->parent->leader;
	const struct k_sigaction *a;

	if (p->parent == &kernel_process || !parent || p->parent->ns_ending)
		return true;
	if (p->exit_signal != SIGCHLD)
		return false;
	a = &parent->sighand->action[SIGCHLD - 1];
	return a->handler == K_SIG_IGN || (a->flags & SA_NOCLDWAIT);
}

static void exit_siginfo(siginfo_t_k *info, struct process *p)
{
	s32 code = p->group_exit_code;
	u64 utime = p->utime_ns + task_utime(p->leader), stime = p->stime_ns + task_stime(p->leader);

	*info = (siginfo_t_k){ .si_signo = p->exit_signal };
	info->chld.pid = pid_nr_in(p->tgid, p->parent->tgid ? p->parent->tgid->ns : &init_pid_ns);
	info->chld.uid = uid_in_task(p->parent->leader, task_uid(p->leader));
	info->chld.utime = (s64)(utime / 10000000);
	info->chld.stime = (s64)(stime / 10000000);
	info->chld.status = code & 0x7f ? code & 0x7f : code >> 8 & 0xff;
	info->si_code = !(code & 0x7f) ? CLD_EXITED : code & 0x80 ? CLD_DUMPED : CLD_KILLED;
}

void notify_parent_exit(struct process *p)
{
	struct process *parent = p->parent;
	siginfo_t_k info;
	bool ignored;

	if (!parent->leader)
		return;
	ignored = p->exit_signal == SIGCHLD && parent->leader->sighand->action[SIGCHLD - 1].handler == K_SIG_IGN;
	if (p->exit_signal > 0 && p->exit_signal <= SIG_COUNT && !ignored) {
		exit_siginfo(&info, p);
		send_signal_process_tl(parent, p->exit_signal, &info);
	}
	wake_up_all(&parent->wait_child);
}
