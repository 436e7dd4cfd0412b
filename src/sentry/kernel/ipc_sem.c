/*
 * System V semaphores: semget(2), semop(2), semctl(2).
 *
 * An operation that cannot go on queues itself at the set; whoever changes the set tries the queue in order, carries out what
 * has become possible, and wakes the owner with its result. sem_ids.lock guards everything.
 */
#include "sentry/kernel/ipc_sem.h"

#include <linux/errno.h>
#include <linux/sem.h>

#include "base/string.h"
#include "sentry/kernel/ipc_ids.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/select.h"

#define SEM_MAX_VALUE 32767
#define SEM_STACK_OPS 16u
#define SEM_WAITING 1

struct sem_one {
	s32 val, pid;
};
struct sem_set {
	struct ipc_obj obj; /* first */
	u32 n;
	s64 otime, ctime;
	struct list_head pending; /* of sem_waiter, in order */
	struct list_head undos;	  /* of sem_undo.set_node */
	struct sem_one sem[];
};
struct sem_undo {
	struct list_head list_node, set_node;
	struct sem_set *set;
	s16 adj[];
};
struct sem_undo_list {
	u32 users;
	struct list_head undos;
};
struct sem_waiter {
	struct list_head node;
	struct task *task;
	const struct sembuf *ops;
	u32 nops;
	struct sem_undo *undo;
	const struct sembuf *blocking; /* for GETNCNT, GETZCNT */
	s32 status;		       /* SEM_WAITING, or the result */
};

static struct ipc_ids sem_ids;

static struct sem_set *find_set(s32 id)
{
	return (struct sem_set *)ipc_find_id(&sem_ids, id);
}

static void set_put(struct sem_set *s)
{
	if (refcount_dec_and_test(&s->obj.ref))
		kfree(s);
}

/* ---- operations ---- */

/* One step. 0, SEM_WAITING, -ERANGE. */
static int step(struct sem_set *s, const struct sembuf *op, struct sem_undo *undo)
{
	struct sem_one *sem = &s->sem[op->sem_num];
	s32 val = sem->val + op->sem_op, adj;

	if (!op->sem_op)
		return sem->val ? SEM_WAITING : 0;
	if (val < 0)
		return SEM_WAITING;
	if (val > SEM_MAX_VALUE)
		return -ERANGE;
	if (op->sem_flg & SEM_UNDO) {
		adj = undo->adj[op->sem_num] - op->sem_op;
		if (adj < -SEM_MAX_VALUE - 1 || adj > SEM_MAX_VALUE)
			return -ERANGE;
		undo->adj[op->sem_num] = adj;
	}
	sem->val = val;
	return 0;
}

static void unstep(struct sem_set *s, const struct sembuf *op, struct sem_undo *undo)
{
	s->sem[op->sem_num].val -= op->sem_op;
	if (op->sem_flg & SEM_UNDO)
		undo->adj[op->sem_num] += op->sem_op;
}

/* All of them or none. 0, SEM_WAITING with *blocking, or -errno. */
static int perform(struct sem_set *s, const struct sembuf *ops, u32 n, struct sem_undo *undo, s32 pid,
		   const struct sembuf **blocking)
{
	int r = 0;
	u32 i;

	for (i = 0; i < n && !r; i++)
		r = step(s, &ops[i], undo);
	if (!r) {
		for (i = 0; i < n; i++)
			s->sem[ops[i].sem_num].pid = pid;
		s->otime = ipc_now();
		return 0;
	}
	i--; /* the failing one changed nothing */
	*blocking = &ops[i];
	if (r == SEM_WAITING && (ops[i].sem_flg & IPC_NOWAIT))
		r = -EAGAIN;
	while (i-- > 0)
		unstep(s, &ops[i], undo);
	return r;
}

static void finish_waiter(struct sem_waiter *w, s32 status)
{
	list_del(&w->node);
	w->status = status;
	wake_up_task(w->task); /* it takes the lock before it leaves: w stays */
}

/* The set has changed: carry out what has become possible. */
static void run_pending(struct sem_set *s)
{
	struct sem_waiter *w, *tmp;
	bool again;
	int r;

	do {
		again = false;
		list_for_each_safe(w, tmp, &s->pending, node) {
			r = perform(s, w->ops, w->nops, w->undo, w->task->proc->tgid->nr, &w->blocking);
			if (r == SEM_WAITING)
				continue;
			finish_waiter(w, r);
			if (!r) {
				again = true; /* earlier ones may go now */
				break;
			}
		}
	} while (again);
}

static void set_destroy(struct sem_set *s)
{
	struct sem_undo *u;

	while (!list_empty(&s->undos)) {
		u = list_first(&s->undos, struct sem_undo, set_node);
		list_del(&u->set_node);
		list_del(&u->list_node);
		kfree(u);
	}
	while (!list_empty(&s->pending))
		finish_waiter(list_first(&s->pending, struct sem_waiter, node), -EIDRM);
	ipc_remove(&sem_ids, &s->obj);
	s->obj.ns->nsets--;
	s->obj.ns->nsems -= s->n;
	set_put(s);
}

void sem_ns_free(const struct ipc_ns *n)
{
	spin_lock(&sem_ids.lock);
	for (u32 i = 0; i < sem_ids.nslots; i++)
		if (sem_ids.slots[i] && sem_ids.slots[i]->ns == n)
			set_destroy((struct sem_set *)sem_ids.slots[i]);
	spin_unlock(&sem_ids.lock);
}

/* ---- undo ---- */

static struct sem_undo_list *undo_list(struct task *t)
{
	struct sem_undo_list *l = t->sem_undo;

	if (l)
		return l;
	l = kzalloc(sizeof(*l));
	if (!l)
		return NULL;
	l->users = 1;
	list_init(&l->undos);
	t->sem_undo = l;
	return l;
}

/* The current task's adjustments for the set, made when missing. Lock held; kmalloc does not sleep. */
static struct sem_undo *undo_for(struct sem_set *s)
{
	struct sem_undo_list *l = undo_list(current);
	struct sem_undo *u;

	if (!l)
		return NULL;
	list_for_each(u, &l->undos, list_node)
		if (u->set == s)
			return u;
	u = kzalloc(sizeof(*u) + s->n * sizeof(u->adj[0]));
	if (!u)
		return NULL;
	u->set = s;
	list_add(&u->list_node, &l->undos);
	list_add(&u->set_node, &s->undos);
	return u;
}

static void apply_undo(struct sem_undo *u, s32 pid)
{
	struct sem_set *s = u->set;

	for (u32 i = 0; i < s->n; i++) {
		if (!u->adj[i])
			continue;
		/* semop(2): a result out of range is cut to the range. */
		s->sem[i].val = MAX(0, MIN(s->sem[i].val + u->adj[i], SEM_MAX_VALUE));
		s->sem[i].pid = pid;
	}
	s->otime = ipc_now();
	run_pending(s);
}

void sem_exit(struct task *t)
{
	struct sem_undo_list *l = t->sem_undo;
	struct sem_undo *u;

	if (!l)
		return;
	t->sem_undo = NULL;
	spin_lock(&sem_ids.lock);
	if (--l->users) {
		spin_unlock(&sem_ids.lock);
		return;
	}
	while (!list_empty(&l->undos)) {
		u = list_first(&l->undos, struct sem_undo, list_node);
		list_del(&u->list_node);
		list_del(&u->set_node);
		apply_undo(u, t->proc->tgid->nr);
		kfree(u);
	}
	spin_unlock(&sem_ids.lock);
	kfree(l);
}

#define CLONE_SYSVSEM_K 0x00040000

int sem_fork(struct task *child, u64 clone_flags)
{
	struct sem_undo_list *l;

	child->sem_undo = NULL;
	if (!(clone_flags & CLONE_SYSVSEM_K))
		return 0;
	spin_lock(&sem_ids.lock);
	l = undo_list(current);
	if (l) {
		l->users++;
		child->sem_undo = l;
	}
	spin_unlock(&sem_ids.lock);
	return l ? 0 : -ENOMEM;
}

/* ---- semop ---- */

/* Sleep until someone finishes the operation. Lock held on entry and exit. */
static int wait_op(struct sem_set *s, struct sem_waiter *w, u64 deadline)
{
	bool late = false;

	list_add_tail(&w->node, &s->pending);
	refcount_inc(&s->obj.ref);
	spin_unlock(&sem_ids.lock);
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (READ_ONCE(w->status) != SEM_WAITING || late || signal_pending())
			break;
		late = schedule_until(deadline);
	}
	set_current_state(TASK_RUNNING);
	spin_lock(&sem_ids.lock);
	if (w->status == SEM_WAITING) {
		list_del(&w->node);
		w->status = late ? -EAGAIN : -EINTR;
	}
	set_put(s);
	return w->status;
}

static int check_ops(struct sem_set *s, const struct sembuf *ops, u32 n, bool *alter, bool *undo)
{
	*alter = *undo = false;
	for (u32 i = 0; i < n; i++) {
		if (ops[i].sem_num >= s->n)
			return -EFBIG;
		*alter |= ops[i].sem_op != 0;
		*undo |= ops[i].sem_flg & SEM_UNDO && ops[i].sem_op;
	}
	return 0;
}

/* Lock held. */
static int semop_locked(s32 id, const struct sembuf *ops, u32 n, u64 deadline)
{
	struct sem_set *s = find_set(id);
	struct sem_waiter w = { .task = current, .ops = ops, .nops = n, .status = SEM_WAITING };
	bool alter, undo;
	int err;

	if (!s)
		return -EINVAL;
	err = check_ops(s, ops, n, &alter, &undo);
	if (!err)
		err = ipc_permits(&s->obj, alter ? 2 : 4);
	if (err)
		return err;
	if (undo) {
		w.undo = undo_for(s);
		if (!w.undo)
			return -ENOMEM;
	}
	err = perform(s, ops, n, w.undo, current->proc->tgid->nr, &w.blocking);
	if (err != SEM_WAITING) {
		if (!err && alter)
			run_pending(s);
		return err;
	}
	return wait_op(s, &w, deadline);
}

static long do_semop(s32 id, u64 uops, u32 n, u64 deadline)
{
	struct sembuf stack[SEM_STACK_OPS], *ops = stack;
	long ret;

	if (n > ipc_ns()->settings.sem[SEM_OPS])
		return -E2BIG;
	if (n < 1 || id < 0)
		return -EINVAL;
	if (n > SEM_STACK_OPS) {
		ops = kmalloc(n * sizeof(*ops));
		if (!ops)
			return -ENOMEM;
	}
	ret = copy_from_user(ops, uops, n * sizeof(*ops));
	if (!ret) {
		spin_lock(&sem_ids.lock);
		ret = semop_locked(id, ops, n, deadline);
		spin_unlock(&sem_ids.lock);
	}
	if (ops != stack)
		kfree(ops);
	return ret;
}

SYSCALL3(semop, s32, id, u64, uops, u32, n)
{
	return do_semop(id, uops, n, ~0ull);
}

SYSCALL4(semtimedop, s32, id, u64, uops, u32, n, u64, uts)
{
	u64 deadline;
	bool nowait;
	long err = poll_get_timeout(uts, POLL_TIMESPEC, &deadline, &nowait);

	return err ? err : do_semop(id, uops, n, deadline);
}

/* ---- semget ---- */

SYSCALL3(semget, s32, key, s32, n, u32, flags)
{
	struct ipc_ns *ns = ipc_ns();
	struct sem_set *s, *fresh = NULL;
	long ret;

	if (n < 0 || (u32)n > ipc_ns()->settings.sem[SEM_PER_SET])
		return -EINVAL;
	if (key == IPC_PRIVATE || flags & IPC_CREAT) {
		fresh = kzalloc(sizeof(*fresh) + n * sizeof(fresh->sem[0]));
		if (!fresh)
			return -ENOMEM;
		fresh->n = n;
		fresh->ctime = ipc_now();
		list_init(&fresh->pending);
		list_init(&fresh->undos);
	}
	spin_lock(&sem_ids.lock);
	s = key == IPC_PRIVATE ? NULL : (struct sem_set *)ipc_find_key(&sem_ids, key);
	if (s) {
		ret = ipc_open(&s->obj, flags);
		if (ret >= 0 && (u32)n > s->n)
			ret = -EINVAL;
	} else if (!fresh) {
		ret = -ENOENT;
	} else if (!n) {
		ret = -EINVAL;
	} else if (ns->nsets >= ns->settings.sem[SEM_SETS] || ns->nsems + (u32)n > ns->settings.sem[SEM_ALL]) {
		ret = -ENOSPC;
	} else {
		ret = ipc_add(&sem_ids, &fresh->obj, key, flags);
		if (ret >= 0) {
			ns->nsets++;
			ns->nsems += (u32)n;
			fresh = NULL;
		}
	}
	spin_unlock(&sem_ids.lock);
	kfree(fresh);
	return ret;
}

/* ---- semctl ---- */

static void fill_ds(const struct sem_set *s, struct semid64_ds *ds)
{
	memset(ds, 0, sizeof(*ds));
	ipc_fill_perm(&s->obj, &ds->sem_perm);
	ds->sem_otime = s->otime;
	ds->sem_ctime = s->ctime;
	ds->sem_nsems = s->n;
}

static long ctl_info(s32 cmd, u64 arg)
{
	const u64 *sem = ipc_ns()->settings.sem;
	struct seminfo i = { .semmap = 1024000000, .semmni = (int)sem[SEM_SETS], .semmns = (int)sem[SEM_ALL], .semmnu = 1024000000,
			     .semmsl = (int)sem[SEM_PER_SET], .semopm = (int)sem[SEM_OPS], .semume = 500, .semusz = 20,
			     .semvmx = SEM_MAX_VALUE, .semaem = SEM_MAX_VALUE };
	s32 highest;

	spin_lock(&sem_ids.lock);
	highest = ipc_highest(&sem_ids);
	if (cmd == SEM_INFO) {
		i.semusz = (int)ipc_ns()->nsets;
		i.semaem = (int)ipc_ns()->nsems;
	}
	spin_unlock(&sem_ids.lock);
	return copy_to_user(arg, &i, sizeof(i)) ? -EFAULT : highest;
}

static long ctl_stat(s32 id, s32 cmd, u64 arg)
{
	struct semid64_ds ds;
	struct sem_set *s;
	long ret = -EINVAL;

	spin_lock(&sem_ids.lock);
	s = cmd == IPC_STAT ? find_set(id) : id < 0 ? NULL : (struct sem_set *)ipc_at(&sem_ids, id);
	if (s)
		ret = cmd == SEM_STAT_ANY ? 0 : ipc_permits(&s->obj, 4);
	if (s && !ret) {
		fill_ds(s, &ds);
		ret = cmd == IPC_STAT ? 0 : s->obj.id;
	}
	spin_unlock(&sem_ids.lock);
	return ret >= 0 && copy_to_user(arg, &ds, sizeof(ds)) ? -EFAULT : ret;
}

static long ctl_owner(s32 id, s32 cmd, u64 arg)
{
	struct semid64_ds ds;
	struct sem_set *s;
	long ret = -EINVAL;

	if (cmd == IPC_SET && copy_from_user(&ds, arg, sizeof(ds)))
		return -EFAULT;
	spin_lock(&sem_ids.lock);
	s = find_set(id);
	if (s)
		ret = ipc_may_change(&s->obj);
	if (!ret && cmd == IPC_RMID) {
		set_destroy(s);
	} else if (!ret) {
		ipc_set_perm(&s->obj, &ds.sem_perm);
		s->ctime = ipc_now();
	}
	spin_unlock(&sem_ids.lock);
	return ret;
}

/* A semaphore set by hand: adjustments of others for it are forgotten. */
static void forget_undo(struct sem_set *s, u32 num)
{
	struct sem_undo *u;

	list_for_each(u, &s->undos, set_node)
		u->adj[num] = 0;
}

static s32 count_waiters(struct sem_set *s, u32 num, bool zero)
{
	struct sem_waiter *w;
	s32 n = 0;

	list_for_each(w, &s->pending, node)
		if (w->blocking->sem_num == num && (w->blocking->sem_op == 0) == zero)
			n++;
	return n;
}

static long ctl_one_locked(struct sem_set *s, u32 num, s32 cmd, s32 val)
{
	struct sem_one *sem = &s->sem[num];

	switch (cmd) {
	case GETVAL:
		return sem->val;
	case GETPID:
		return pid_shown(sem->pid);
	case GETNCNT:
		return count_waiters(s, num, false);
	case GETZCNT:
		return count_waiters(s, num, true);
	}
	forget_undo(s, num);
	sem->val = val;
	sem->pid = current->proc->tgid->nr;
	s->ctime = ipc_now();
	run_pending(s);
	return 0;
}

static long ctl_one(s32 id, s32 num, s32 cmd, s32 val)
{
	struct sem_set *s;
	long ret = -EINVAL;

	if (cmd == SETVAL && (val < 0 || val > SEM_MAX_VALUE))
		return -ERANGE;
	spin_lock(&sem_ids.lock);
	s = find_set(id);
	if (s)
		ret = ipc_permits(&s->obj, cmd == SETVAL ? 2 : 4);
	if (!ret && (num < 0 || (u32)num >= s->n))
		ret = -EINVAL;
	if (!ret)
		ret = ctl_one_locked(s, num, cmd, val);
	spin_unlock(&sem_ids.lock);
	return ret;
}

/* The number of semaphores of a set; it never changes. */
static long set_size(s32 id)
{
	struct sem_set *s;
	long n;

	spin_lock(&sem_ids.lock);
	s = find_set(id);
	n = s ? (long)s->n : -EINVAL;
	spin_unlock(&sem_ids.lock);
	return n;
}

static long all_locked(s32 id, s32 cmd, u16 *vals, u32 n)
{
	struct sem_set *s = find_set(id);
	long err;

	if (!s || s->n != n)
		return -EIDRM;
	err = ipc_permits(&s->obj, cmd == SETALL ? 2 : 4);
	if (err)
		return err;
	for (u32 i = 0; i < n; i++) {
		if (cmd == GETALL) {
			vals[i] = s->sem[i].val;
			continue;
		}
		s->sem[i].val = vals[i];
		s->sem[i].pid = current->proc->tgid->nr;
		forget_undo(s, i);
	}
	if (cmd == SETALL) {
		s->ctime = ipc_now();
		run_pending(s);
	}
	return 0;
}

static long ctl_all(s32 id, s32 cmd, u64 arg)
{
	long n = set_size(id), ret = 0;
	u16 *vals;

	if (n < 0)
		return n;
	vals = kmalloc(n * sizeof(*vals));
	if (!vals)
		return -ENOMEM;
	if (cmd == SETALL)
		ret = copy_from_user(vals, arg, n * sizeof(*vals));
	for (long i = 0; cmd == SETALL && !ret && i < n; i++)
		if (vals[i] > SEM_MAX_VALUE)
			ret = -ERANGE;
	if (!ret) {
		spin_lock(&sem_ids.lock);
		ret = all_locked(id, cmd, vals, n);
		spin_unlock(&sem_ids.lock);
	}
	if (!ret && cmd == GETALL)
		ret = copy_to_user(arg, vals, n * sizeof(*vals));
	kfree(vals);
	return ret;
}

SYSCALL4(semctl, s32, id, s32, num, s32, cmd, u64, arg)
{
	if (id < 0)
		return -EINVAL;
	switch (cmd) {
	case IPC_INFO:
	case SEM_INFO:
		return ctl_info(cmd, arg);
	case IPC_STAT:
	case SEM_STAT:
	case SEM_STAT_ANY:
		return ctl_stat(id, cmd, arg);
	case IPC_RMID:
	case IPC_SET:
		return ctl_owner(id, cmd, arg);
	case GETALL:
	case SETALL:
		return ctl_all(id, cmd, arg);
	case GETVAL:
	case GETPID:
	case GETNCNT:
	case GETZCNT:
	case SETVAL:
		return ctl_one(id, num, cmd, (s32)arg);
	}
	return -EINVAL;
}
