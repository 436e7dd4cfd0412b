/* POSIX message queues: the queues, sending, receiving, notification. Calls: sys_mq.c. */
#include "sentry/kernel/ipc_ids.h"
#include "sentry/kernel/ipc_mq.h"

#include <asm/siginfo.h>
#include <linux/capability.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "base/string.h"
#include "net/pkt.h"
#include "sentry/kernel/ipc_mq_internal.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

#define MQ_HARD_MSGS 65536
#define MQ_HARD_SIZE (16 << 20)

static spinlock_t mq_lock = SPINLOCK_INIT;
static LIST_HEAD(queues); /* mqueue.node, newest last; mq_lock */

/* ---- names ---- */

struct mqueue *mq_get(struct mqueue *q)
{
	refcount_inc(&q->ref);
	return q;
}

static void notify_clear(struct mqueue *q, struct process **proc, struct sock **sk)
{
	*proc = q->notify.owner;
	*sk = q->notify.sock;
	memset(&q->notify, 0, sizeof(q->notify));
}

void mq_put(struct mqueue *q)
{
	struct mq_msg *m;

	if (!refcount_dec_and_test(&q->ref))
		return;
	while (!list_empty(&q->msgs)) {
		m = list_first(&q->msgs, struct mq_msg, node);
		list_del(&m->node);
		kfree(m);
	}
	if (q->notify.owner)
		process_put(q->notify.owner);
	if (q->notify.sock)
		sock_put(q->notify.sock);
	if (q->inode)
		inode_put(q->inode);
	kfree(q);
}

static struct mqueue *find_locked(const char *name, u32 len)
{
	struct mqueue *q;

	list_for_each(q, &queues, node)
		if (q->ns == ipc_ns() && strlen(q->name) == len && !memcmp(q->name, name, len))
			return q;
	return NULL;
}

struct mqueue *mq_find(const char *name, u32 len)
{
	struct mqueue *q;

	spin_lock(&mq_lock);
	q = find_locked(name, len);
	if (q)
		mq_get(q);
	spin_unlock(&mq_lock);
	return q;
}

struct mqueue *mq_nth(u64 n)
{
	struct mqueue *q, *found = NULL;

	spin_lock(&mq_lock);
	list_for_each(q, &queues, node)
		if (q->ns == ipc_ns() && !n--) {
			found = mq_get(q);
			break;
		}
	spin_unlock(&mq_lock);
	return found;
}

void mq_ns_free(const struct ipc_ns *n)
{
	struct mqueue *q, *tmp;
	LIST_HEAD(gone);

	spin_lock(&mq_lock);
	list_for_each_safe(q, tmp, &queues, node)
		if (q->ns == n) {
			q->linked = false;
			list_move_tail(&q->node, &gone);
		}
	spin_unlock(&mq_lock);
	list_for_each_safe(q, tmp, &gone, node) {
		list_del(&q->node);
		mq_put(q);
	}
}

static int check_attr(s64 msgs, s64 size)
{
	bool big = capable(CAP_SYS_RESOURCE);
	const struct ipc_settings *set = &ipc_ns()->settings;

	if (msgs <= 0 || size <= 0)
		return -EINVAL;
	if ((u64)msgs > (big ? MQ_HARD_MSGS : set->mq_msg_max) || (u64)size > (big ? MQ_HARD_SIZE : set->mq_msgsize_max))
		return -EINVAL;
	return 0;
}

struct mqueue *mq_create(const char *name, u32 len, u32 mode, const s64 *attr)
{
	struct mqueue *q;
	int err = attr ? check_attr(attr[1], attr[2]) : 0;

	if (err)
		return ERR_PTR(err);
	q = kzalloc(sizeof(*q) + len + 1);
	if (!q)
		return ERR_PTR(-ENOMEM);
	q->inode = anon_inode_new(S_IFREG | (mode & ~current->fs->umask & 0777));
	if (!q->inode) {
		kfree(q);
		return ERR_PTR(-ENOMEM);
	}
	q->ns = ipc_ns();
	refcount_set(&q->ref, 2); /* the name's and the caller's */
	memcpy(q->name, name, len);
	q->inode->uid = current->cred->fsuid;
	q->inode->gid = current->cred->fsgid;
	q->max_msgs = attr ? (u64)attr[1] : MIN(q->ns->settings.mq_msg_default, q->ns->settings.mq_msg_max);
	q->msg_size = attr ? (u64)attr[2] : MIN(q->ns->settings.mq_msgsize_default, q->ns->settings.mq_msgsize_max);
	list_init(&q->msgs);
	waitq_init(&q->wait);
	spin_lock(&mq_lock);
	if (find_locked(name, len)) {
		err = -EEXIST;
	} else if (q->ns->nmqs >= q->ns->settings.mq_queues_max && !capable(CAP_SYS_RESOURCE)) {
		err = -ENOSPC;
	} else {
		q->ns->nmqs++;
		list_add_tail(&q->node, &queues);
		q->linked = true;
	}
	spin_unlock(&mq_lock);
	if (!err)
		return q;
	refcount_set(&q->ref, 1);
	mq_put(q);
	return ERR_PTR(err);
}

int mq_remove(struct mqueue *q)
{
	bool was;

	spin_lock(&mq_lock);
	was = q->linked;
	if (was) {
		list_del(&q->node);
		q->ns->nmqs--;
	}
	q->linked = false;
	spin_unlock(&mq_lock);
	if (was)
		mq_put(q);
	return was ? 0 : -ENOENT;
}

/* ---- notification ---- */

static void send_cookie(struct sock *sk, const u8 *cookie, u8 what)
{
	struct pkt *p = pkt_alloc(MQ_COOKIE_LEN);

	if (!p)
		return;
	memcpy(p->data, cookie, MQ_COOKIE_LEN);
	p->data[MQ_COOKIE_LEN - 1] = what;
	pkt_queue(sk, p);
}

/* A message came to an empty queue and nobody waits for it: tell who asked, once. */
static void notify_fire(struct mqueue *q)
{
	siginfo_t_k info = { .si_signo = q->notify.signo, .si_code = SI_MESGQ };
	struct process *proc;
	struct mq_notify n;
	struct sock *sk;

	spin_lock(&q->lock);
	n = q->notify;
	notify_clear(q, &proc, &sk);
	spin_unlock(&q->lock);
	if (!proc)
		return;
	if (n.how == SIGEV_SIGNAL && n.signo) {
		info.si_signo = n.signo;
		info.rt.pid = task_tgid(current);
		info.rt.uid = uid_out(current->cred->uid);
		info.rt.value = n.value;
		send_signal_process(proc, n.signo, &info);
	} else if (n.how == SIGEV_THREAD) {
		send_cookie(sk, n.cookie, MQ_NOTIFY_WOKENUP);
	}
	if (sk)
		sock_put(sk);
	process_put(proc);
}

int mq_notify_set(struct mqueue *q, const struct mq_notify *n)
{
	int err = 0;

	spin_lock(&q->lock);
	if (q->notify.owner)
		err = -EBUSY;
	else
		q->notify = *n;
	spin_unlock(&q->lock);
	return err;
}

void mq_notify_drop(struct mqueue *q, struct process *owner)
{
	struct process *proc = NULL;
	struct sock *sk = NULL;
	struct mq_notify n;

	spin_lock(&q->lock);
	n = q->notify;
	if (n.owner == owner)
		notify_clear(q, &proc, &sk);
	spin_unlock(&q->lock);
	if (sk) {
		send_cookie(sk, n.cookie, MQ_NOTIFY_REMOVED);
		sock_put(sk);
	}
	if (proc)
		process_put(proc);
}

/* ---- messages ---- */

/* Lock held. */
static void changed(struct mqueue *q)
{
	WRITE_ONCE(q->changes, q->changes + 1);
}

/* Sleep until the queue changes. Lock held on entry and exit. */
static long wait_change(struct mqueue *q, u64 deadline)
{
	u32 seen = q->changes;
	long err;

	spin_unlock(&q->lock);
	err = wait_event_interruptible_until(q->wait, READ_ONCE(q->changes) != seen, deadline);
	spin_lock(&q->lock);
	return err;
}

static void insert(struct mqueue *q, struct mq_msg *m)
{
	struct mq_msg *o;
	struct list_head *at = &q->msgs;

	list_for_each(o, &q->msgs, node)
		if (o->prio < m->prio) {
			at = &o->node;
			break;
		}
	list_add_tail(&m->node, at);
	q->count++;
	q->bytes += m->len;
}

long mq_send(struct mqueue *q, struct mq_msg *m, bool nonblock, u64 deadline)
{
	bool tell;
	long err;

	spin_lock(&q->lock);
	while (q->count >= q->max_msgs) {
		err = nonblock ? -EAGAIN : wait_change(q, deadline);
		if (err) {
			spin_unlock(&q->lock);
			return err;
		}
	}
	tell = !q->count && !q->receivers && q->notify.owner;
	insert(q, m);
	changed(q);
	spin_unlock(&q->lock);
	wake_up_key(&q->wait, EPOLLIN | EPOLLRDNORM, 0);
	if (tell)
		notify_fire(q);
	return 0;
}

struct mq_msg *mq_receive(struct mqueue *q, bool nonblock, u64 deadline)
{
	struct mq_msg *m;
	long err = 0;

	spin_lock(&q->lock);
	q->receivers++;
	while (!q->count && !err)
		err = nonblock ? -EAGAIN : wait_change(q, deadline);
	q->receivers--;
	if (!q->count) {
		spin_unlock(&q->lock);
		return ERR_PTR(err);
	}
	m = list_first(&q->msgs, struct mq_msg, node);
	list_del(&m->node);
	q->count--;
	q->bytes -= m->len;
	changed(q);
	spin_unlock(&q->lock);
	wake_up_key(&q->wait, EPOLLOUT | EPOLLWRNORM, 0);
	return m;
}

/* ---- files ---- */

static u32 mq_poll(struct file *f, struct poll_table *pt)
{
	struct mqueue *q = f->priv;
	u32 mask = 0, count;

	poll_wait(f, &q->wait, pt);
	count = READ_ONCE(q->count);
	if (count)
		mask |= EPOLLIN | EPOLLRDNORM;
	if (count < q->max_msgs)
		mask |= EPOLLOUT | EPOLLWRNORM;
	return mask;
}

static int mq_open_file(struct inode *inode, struct file *f)
{
	f->priv = mq_get(inode->priv);
	return 0;
}

static void mq_release(struct file *f)
{
	mq_put(f->priv);
}

/* mq_close(3): the process' request for notification goes. */
static int mq_flush(struct file *f)
{
	mq_notify_drop(f->priv, current->proc);
	return 0;
}

static long mq_read(struct file *f, struct iov_iter *to, u64 *pos)
{
	struct mqueue *q = f->priv;
	char text[96];
	u32 len;

	spin_lock(&q->lock);
	len = kscnprintf(text, sizeof(text), "QSIZE:%-10llu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n",
			 (unsigned long long)q->bytes, q->notify.owner ? q->notify.how : 0,
			 q->notify.owner && q->notify.how == SIGEV_SIGNAL ? q->notify.signo : 0,
			 q->notify.owner ? pid_nr(q->notify.owner->tgid) : 0);
	spin_unlock(&q->lock);
	if (*pos >= len)
		return 0;
	len = copy_to_iter(text + *pos, MIN(len - *pos, to->count), to);
	*pos += len;
	return len ? (long)len : -EFAULT;
}

const struct file_ops mq_fops = {
	.open = mq_open_file,
	.release = mq_release,
	.flush = mq_flush,
	.read = mq_read,
	.llseek = generic_file_llseek,
	.poll = mq_poll,
};
