/* System V message queues: msgget(2), msgsnd(2), msgrcv(2), msgctl(2). msg_ids.lock guards everything. */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/msg.h>

#include "base/list.h"
#include "base/string.h"
#include "sentry/kernel/ipc_ids.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"


struct sysv_msg {
	struct list_head node;
	s64 type;
	u32 len;
	u8 data[];
};
struct msg_queue {
	struct ipc_obj obj; /* first */
	struct list_head msgs;
	u64 bytes, count, max_bytes;
	s64 stime, rtime, ctime;
	s32 lspid, lrpid;
	struct waitq wait;
	u32 changes; /* grows with everything that a sleeper may wait for */
};

static struct ipc_ids msg_ids;

static struct msg_queue *find_queue(s32 id)
{
	return (struct msg_queue *)ipc_find_id(&msg_ids, id);
}

static void queue_put(struct msg_queue *q)
{
	if (refcount_dec_and_test(&q->obj.ref))
		kfree(q);
}

/* Lock held: wake_up takes only the wait queue's own. */
static void queue_changed(struct msg_queue *q)
{
	WRITE_ONCE(q->changes, q->changes + 1);
	wake_up_all(&q->wait);
}

static void queue_destroy(struct msg_queue *q)
{
	struct sysv_msg *m;

	while (!list_empty(&q->msgs)) {
		m = list_first(&q->msgs, struct sysv_msg, node);
		list_del(&m->node);
		kfree(m);
	}
	ipc_remove(&msg_ids, &q->obj);
	q->obj.ns->nqueues--;
	queue_changed(q);
	queue_put(q);
}

void msg_ns_free(const struct ipc_ns *n)
{
	spin_lock(&msg_ids.lock);
	for (u32 i = 0; i < msg_ids.nslots; i++)
		if (msg_ids.slots[i] && msg_ids.slots[i]->ns == n)
			queue_destroy((struct msg_queue *)msg_ids.slots[i]);
	spin_unlock(&msg_ids.lock);
}

/* Sleep until the queue changes. Lock held on entry and exit. -EIDRM: it is gone. */
static long queue_wait(struct msg_queue *q)
{
	u32 seen = q->changes;
	bool gone;
	long err;

	refcount_inc(&q->obj.ref);
	spin_unlock(&msg_ids.lock);
	err = wait_event_interruptible(q->wait, READ_ONCE(q->changes) != seen);
	spin_lock(&msg_ids.lock);
	gone = q->obj.deleted;
	queue_put(q);
	if (gone)
		return -EIDRM;
	return err ? -ERESTARTNOHAND : 0;
}

SYSCALL2(msgget, s32, key, u32, flags)
{
	struct msg_queue *q, *fresh = NULL;
	long ret;

	if (key == IPC_PRIVATE || flags & IPC_CREAT) {
		fresh = kzalloc(sizeof(*fresh));
		if (!fresh)
			return -ENOMEM;
		list_init(&fresh->msgs);
		waitq_init(&fresh->wait);
		fresh->max_bytes = ipc_ns()->settings.msgmnb;
		fresh->ctime = ipc_now();
	}
	spin_lock(&msg_ids.lock);
	q = key == IPC_PRIVATE ? NULL : (struct msg_queue *)ipc_find_key(&msg_ids, key);
	if (q) {
		ret = ipc_open(&q->obj, flags);
	} else if (!fresh) {
		ret = -ENOENT;
	} else if (ipc_ns()->nqueues >= ipc_ns()->settings.msgmni) {
		ret = -ENOSPC;
	} else {
		ret = ipc_add(&msg_ids, &fresh->obj, key, flags);
		if (ret >= 0) {
			ipc_ns()->nqueues++;
			fresh = NULL;
		}
	}
	spin_unlock(&msg_ids.lock);
	kfree(fresh);
	return ret;
}

/* ---- sending ---- */

static bool fits(const struct msg_queue *q, u32 len)
{
	return q->bytes + len <= q->max_bytes && q->count + 1 <= q->max_bytes;
}

/* Lock held. Takes over m on success. */
static long send_locked(s32 id, struct sysv_msg *m, u32 flags)
{
	struct msg_queue *q = find_queue(id);
	long err;

	if (!q)
		return -EINVAL;
	for (;;) {
		err = ipc_permits(&q->obj, 2);
		if (err)
			return err;
		if (fits(q, m->len))
			break;
		if (flags & IPC_NOWAIT)
			return -EAGAIN;
		err = queue_wait(q);
		if (err)
			return err;
	}
	list_add_tail(&m->node, &q->msgs);
	q->bytes += m->len;
	q->count++;
	q->stime = ipc_now();
	q->lspid = current->proc->tgid->nr;
	queue_changed(q);
	return 0;
}

SYSCALL4(msgsnd, s32, id, u64, umsg, u64, len, u32, flags)
{
	struct sysv_msg *m;
	long ret = -EFAULT;
	s64 type;

	if (get_user(type, umsg))
		return -EFAULT;
	if (len > ipc_ns()->settings.msgmax || id < 0 || type < 1)
		return -EINVAL;
	m = kmalloc(sizeof(*m) + len);
	if (!m)
		return -ENOMEM;
	m->type = type;
	m->len = len;
	if (!copy_from_user(m->data, umsg + sizeof(type), len)) {
		spin_lock(&msg_ids.lock);
		ret = send_locked(id, m, flags);
		spin_unlock(&msg_ids.lock);
	}
	if (ret)
		kfree(m);
	return ret;
}

/* ---- receiving ---- */

/* Which message msgrcv(2) means by its type argument. */
static struct sysv_msg *pick(struct msg_queue *q, s64 type, u32 flags)
{
	struct sysv_msg *m, *best = NULL;
	s64 n = 0;

	list_for_each(m, &q->msgs, node) {
		if (flags & MSG_COPY) {
			if (n++ == type)
				return m;
		} else if (type == 0) {
			return m;
		} else if (type > 0) {
			if ((m->type == type) != !!(flags & MSG_EXCEPT))
				return m;
		} else if (type != -0x7fffffffffffffffll - 1 ? m->type <= -type : true) {
			if (!best || m->type < best->type)
				best = m;
		}
	}
	return best;
}

/* A copy for MSG_COPY, or the message itself off the queue. Lock held. */
static struct sysv_msg *take(struct msg_queue *q, struct sysv_msg *m, u32 flags)
{
	struct sysv_msg *copy;

	if (flags & MSG_COPY) {
		copy = kmalloc(sizeof(*copy) + m->len);
		if (!copy)
			return ERR_PTR(-ENOMEM);
		memcpy(copy, m, sizeof(*copy) + m->len);
		return copy;
	}
	list_del(&m->node);
	q->bytes -= m->len;
	q->count--;
	q->rtime = ipc_now();
	q->lrpid = current->proc->tgid->nr;
	queue_changed(q);
	return m;
}

static struct sysv_msg *recv_locked(s32 id, u64 size, s64 type, u32 flags)
{
	struct msg_queue *q = find_queue(id);
	struct sysv_msg *m;
	long err;

	if (!q)
		return ERR_PTR(-EINVAL);
	for (;;) {
		err = ipc_permits(&q->obj, 4);
		if (err)
			return ERR_PTR(err);
		m = pick(q, type, flags);
		if (m)
			break;
		if (flags & IPC_NOWAIT)
			return ERR_PTR(-ENOMSG);
		err = queue_wait(q);
		if (err)
			return ERR_PTR(err);
	}
	if (m->len > size && !(flags & MSG_NOERROR))
		return ERR_PTR(-E2BIG);
	return take(q, m, flags);
}

SYSCALL5(msgrcv, s32, id, u64, umsg, u64, size, s64, type, u32, flags)
{
	struct sysv_msg *m;
	long ret;

	if (id < 0 || (s64)size < 0)
		return -EINVAL;
	if (flags & MSG_COPY && (flags & MSG_EXCEPT || !(flags & IPC_NOWAIT)))
		return -EINVAL;
	spin_lock(&msg_ids.lock);
	m = recv_locked(id, size, type, flags);
	spin_unlock(&msg_ids.lock);
	if (IS_ERR(m))
		return PTR_ERR(m);
	ret = MIN(m->len, size);
	if (put_user(m->type, umsg) || copy_to_user(umsg + sizeof(m->type), m->data, ret))
		ret = -EFAULT;
	kfree(m);
	return ret;
}

/* ---- msgctl ---- */

static void fill_ds(const struct msg_queue *q, struct msqid64_ds *ds)
{
	memset(ds, 0, sizeof(*ds));
	ipc_fill_perm(&q->obj, &ds->msg_perm);
	ds->msg_stime = q->stime;
	ds->msg_rtime = q->rtime;
	ds->msg_ctime = q->ctime;
	ds->msg_cbytes = q->bytes;
	ds->msg_qnum = q->count;
	ds->msg_qbytes = q->max_bytes;
	ds->msg_lspid = pid_shown(q->lspid);
	ds->msg_lrpid = pid_shown(q->lrpid);
}

static long ctl_info(s32 cmd, u64 arg)
{
	const struct ipc_settings *set = &ipc_ns()->settings;
	struct msginfo i = { .msgpool = (int)(set->msgmni * set->msgmnb / 1024), .msgmap = (int)set->msgmnb, .msgmax = (int)set->msgmax,
			     .msgmnb = (int)set->msgmnb, .msgmni = (int)set->msgmni, .msgssz = 16, .msgtql = (int)set->msgmnb,
			     .msgseg = 0xffff };
	s32 highest;

	spin_lock(&msg_ids.lock);
	highest = ipc_highest(&msg_ids);
	if (cmd == MSG_INFO) {
		i.msgpool = (int)ipc_ns()->nqueues;
		i.msgmap = i.msgtql = 0;
		for (u32 k = 0; k < msg_ids.nslots; k++) {
			struct msg_queue *q = (struct msg_queue *)ipc_at(&msg_ids, k);

			i.msgmap += q ? q->count : 0;
			i.msgtql += q ? q->bytes : 0;
		}
	}
	spin_unlock(&msg_ids.lock);
	return copy_to_user(arg, &i, sizeof(i)) ? -EFAULT : highest;
}

static long ctl_stat(s32 id, s32 cmd, u64 arg)
{
	struct msqid64_ds ds;
	struct msg_queue *q;
	long ret = -EINVAL;

	spin_lock(&msg_ids.lock);
	q = cmd == IPC_STAT ? find_queue(id) : (struct msg_queue *)ipc_at(&msg_ids, id);
	if (q)
		ret = cmd == MSG_STAT_ANY ? 0 : ipc_permits(&q->obj, 4);
	if (q && !ret) {
		fill_ds(q, &ds);
		ret = cmd == IPC_STAT ? 0 : q->obj.id;
	}
	spin_unlock(&msg_ids.lock);
	return ret >= 0 && copy_to_user(arg, &ds, sizeof(ds)) ? -EFAULT : ret;
}

static long ctl_owner(s32 id, s32 cmd, u64 arg)
{
	struct msqid64_ds ds;
	struct msg_queue *q;
	long ret = -EINVAL;

	if (cmd == IPC_SET && copy_from_user(&ds, arg, sizeof(ds)))
		return -EFAULT;
	spin_lock(&msg_ids.lock);
	q = find_queue(id);
	if (q)
		ret = ipc_may_change(&q->obj);
	if (!ret && cmd == IPC_SET && ds.msg_qbytes > ipc_ns()->settings.msgmnb && !capable(CAP_SYS_RESOURCE))
		ret = -EPERM;
	if (!ret && cmd == IPC_RMID) {
		queue_destroy(q);
	} else if (!ret) {
		ipc_set_perm(&q->obj, &ds.msg_perm);
		q->max_bytes = ds.msg_qbytes;
		q->ctime = ipc_now();
		queue_changed(q);
	}
	spin_unlock(&msg_ids.lock);
	return ret;
}

SYSCALL3(msgctl, s32, id, s32, cmd, u64, arg)
{
	if (id < 0 || cmd < 0)
		return -EINVAL;
	switch (cmd) {
	case IPC_INFO:
	case MSG_INFO:
		return ctl_info(cmd, arg);
	case IPC_STAT:
	case MSG_STAT:
	case MSG_STAT_ANY:
		return ctl_stat(id, cmd, arg);
	case IPC_RMID:
	case IPC_SET:
		return ctl_owner(id, cmd, arg);
	}
	return -EINVAL;
}
