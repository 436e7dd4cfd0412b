/*
 * The current task puts a question, which lies on its stack, on the notifier's list and sleeps until it is answered or a signal
 * comes; who finds a question under the lock may use it as long as he holds that.
 */
#include "sentry/kernel/seccomp_notify.h"

#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/ioctl.h>
#include <linux/resource.h>
#include <linux/seccomp.h>

#include "base/string.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

enum question_state { ASKED, TAKEN, ANSWERED };

struct added_fd { /* of the supervisor, waiting for the asking task to put it into its table */
	struct file *file;
	s32 newfd; /* -1: any */
	u32 cloexec;
	bool answers;
	bool done;
	long result;
};
struct question {
	struct list_head node;
	u64 id;
	struct task *task;
	const struct seccomp_data *data;
	enum question_state state;
	s64 val;
	s32 error;
	u32 flags;
	struct added_fd *added;
};
struct notifier {
	refcount_t ref;
	spinlock_t lock;
	struct list_head questions;
	u64 next_id;
	bool closed;	  /* the supervisor is gone */
	bool filter_gone; /* the asking side is */
	bool wait_killable;
	struct waitq asked;    /* the supervisor waits */
	struct waitq answered; /* askers wait, and suppliers of descriptors */
};

struct notifier *notifier_new(bool wait_killable)
{
	struct notifier *n = kzalloc(sizeof(*n));

	if (!n)
		return NULL;
	refcount_set(&n->ref, 1);
	list_init(&n->questions);
	waitq_init(&n->asked);
	waitq_init(&n->answered);
	n->next_id = clock_mono_ns(); /* ids of an earlier filter mean nothing here */
	n->wait_killable = wait_killable;
	return n;
}

static void notifier_put(struct notifier *n)
{
	if (refcount_dec_and_test(&n->ref))
		kfree(n);
}

void notifier_filter_gone(struct notifier *n)
{
	WRITE_ONCE(n->filter_gone, true);
	wake_up_key(&n->asked, EPOLLHUP, 0);
	notifier_put(n);
}

/* ---- the asking task ---- */

static void install_added(struct notifier *n, struct question *q)
{
	struct added_fd *a = q->added;
	long fd;

	q->added = NULL;
	spin_unlock(&n->lock);
	if (a->newfd >= 0 && (u64)a->newfd < rlimit(RLIMIT_NOFILE)) {
		fd = replace_fd(a->newfd, file_get(a->file), a->cloexec);
	} else if (a->newfd >= 0) {
		fd = -EBADF;
	} else {
		fd = fd_alloc_install(file_get(a->file), a->cloexec, 0);
		if (fd < 0)
			file_put(a->file);
	}
	spin_lock(&n->lock);
	a->result = fd;
	a->done = true;
	if (a->answers && fd >= 0) {
		q->state = ANSWERED;
		q->val = fd;
	}
	wake_up_all(&n->answered);
}

/* lock held and kept. 0, or -ERESTARTSYS: a signal is to be dealt with first. */
static long wait_for_answer(struct notifier *n, struct question *q)
{
	struct waiter w = { 0 };
	long err = 0;

	list_init(&w.node);
	while (q->state != ANSWERED) {
		bool killable = n->wait_killable && q->state == TAKEN;

		if (q->added) {
			install_added(n, q);
			continue;
		}
		if (n->closed) {
			q->error = -ENOSYS;
			break;
		}
		prepare_to_wait(&n->answered, &w, killable ? TASK_KILLABLE : TASK_INTERRUPTIBLE);
		spin_unlock(&n->lock);
		if (killable ? fatal_signal_pending() : signal_pending())
			err = -ERESTARTSYS;
		else
			schedule();
		finish_wait(&n->answered, &w);
		spin_lock(&n->lock);
		if (err)
			break;
	}
	return err;
}

bool notifier_ask(struct notifier *n, struct task *t, const struct seccomp_data *data)
{
	struct question q = { .task = t, .data = data };
	struct user_regs *r = &t->ctx.regs;
	long err = -ENOSYS;

	refcount_inc(&n->ref);
	spin_lock(&n->lock);
	if (!n->closed) {
		q.id = n->next_id++;
		list_add_tail(&q.node, &n->questions);
		wake_up_key(&n->asked, EPOLLIN | EPOLLRDNORM, 1);
		err = wait_for_answer(n, &q);
		list_del(&q.node);
		if (q.added) { /* gone without having looked */
			q.added->done = true;
			q.added->result = -ESRCH;
			wake_up_all(&n->answered);
		}
	}
	spin_unlock(&n->lock);
	notifier_put(n);
	if (!err && q.flags & SECCOMP_USER_NOTIF_FLAG_CONTINUE)
		return true;
	r->rax = (u64)(err ? err : q.error ? q.error : q.val);
	return false;
}

/* ---- the supervisor ---- */

static struct question *find_locked(struct notifier *n, u64 id)
{
	struct question *q;

	list_for_each(q, &n->questions, node)
		if (q->id == id)
			return q;
	return NULL;
}

static struct question *first_in(struct notifier *n, enum question_state state)
{
	struct question *q;

	list_for_each(q, &n->questions, node)
		if (q->state == state)
			return q;
	return NULL;
}

/* Take the oldest question into *out. */
static bool take_question(struct notifier *n, struct seccomp_notif *out)
{
	struct question *q;

	spin_lock(&n->lock);
	q = first_in(n, ASKED);
	if (q) {
		q->state = TAKEN;
		*out = (struct seccomp_notif){ .id = q->id, .pid = (u32)pid_nr(q->task->pid), .data = *q->data };
		if (n->wait_killable) /* it sleeps more soundly from now on */
			wake_up_all(&n->answered);
	}
	spin_unlock(&n->lock);
	return q;
}

static long receive(struct notifier *n, u64 arg)
{
	struct seccomp_notif out;
	struct question *q;
	long err;
	bool got = false;

	if (copy_from_user(&out, arg, sizeof(out)))
		return -EFAULT;
	for (u32 i = 0; i < sizeof(out); i++)
		if (((const u8 *)&out)[i])
			return -EINVAL;
	err = wait_event_interruptible(n->asked, (got = take_question(n, &out)) || READ_ONCE(n->filter_gone));
	if (err)
		return err;
	if (!got)
		return -ENOENT;
	wake_up_key(&n->asked, EPOLLOUT | EPOLLWRNORM, 0);
	if (!copy_to_user(arg, &out, sizeof(out)))
		return 0;
	spin_lock(&n->lock);
	q = find_locked(n, out.id);
	if (q) /* nobody got it: it is asked again */
		q->state = ASKED;
	spin_unlock(&n->lock);
	return -EFAULT;
}

static long send_answer(struct notifier *n, u64 arg)
{
	struct seccomp_notif_resp resp;
	struct question *q;
	long err = 0;

	if (get_user(resp, arg))
		return -EFAULT;
	if (resp.flags & ~(u32)SECCOMP_USER_NOTIF_FLAG_CONTINUE)
		return -EINVAL;
	if (resp.flags & SECCOMP_USER_NOTIF_FLAG_CONTINUE && (resp.error || resp.val))
		return -EINVAL;
	spin_lock(&n->lock);
	q = find_locked(n, resp.id);
	if (!q)
		err = -ENOENT;
	else if (q->state != TAKEN)
		err = -EINPROGRESS;
	if (!err) {
		q->state = ANSWERED;
		q->val = resp.val;
		q->error = resp.error;
		q->flags = resp.flags;
		wake_up_all(&n->answered);
	}
	spin_unlock(&n->lock);
	return err;
}

static long id_valid(struct notifier *n, u64 arg)
{
	struct question *q;
	long err;
	u64 id;

	if (get_user(id, arg))
		return -EFAULT;
	spin_lock(&n->lock);
	q = find_locked(n, id);
	err = q && q->state == TAKEN ? 0 : -ENOENT;
	spin_unlock(&n->lock);
	return err;
}

/* lock held and kept: the asking task puts the file into its table. */
static long supply(struct notifier *n, u64 id, struct added_fd *a)
{
	struct question *q = find_locked(n, id);
	long err = 0;

	if (!q)
		return -ENOENT;
	if (q->state != TAKEN)
		return -EINPROGRESS;
	if (q->added)
		return -EBUSY;
	q->added = a;
	wake_up_all(&n->answered);
	spin_unlock(&n->lock);
	err = wait_event_interruptible(n->answered, READ_ONCE(a->done));
	spin_lock(&n->lock);
	q = find_locked(n, id);
	if (err && !a->done && q && q->added == a)
		q->added = NULL;
	else if (err && !a->done) { /* it is being put in just now */
		spin_unlock(&n->lock);
		wait_event(n->answered, READ_ONCE(a->done));
		spin_lock(&n->lock);
		err = 0;
	}
	return err ? err : a->result;
}

static long add_fd(struct notifier *n, u64 arg, u32 size)
{
	struct seccomp_notif_addfd req = { 0 };
	struct added_fd a = { 0 };
	long ret;

	if (size < sizeof(req) || size >= PAGE_SIZE)
		return -EINVAL;
	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (req.newfd_flags & ~(u32)O_CLOEXEC || req.flags & ~(u32)(SECCOMP_ADDFD_FLAG_SETFD | SECCOMP_ADDFD_FLAG_SEND))
		return -EINVAL;
	if (req.newfd && !(req.flags & SECCOMP_ADDFD_FLAG_SETFD))
		return -EINVAL;
	a.file = fget((s32)req.srcfd);
	if (!a.file)
		return -EBADF;
	a.newfd = req.flags & SECCOMP_ADDFD_FLAG_SETFD ? (s32)req.newfd : -1;
	a.cloexec = req.newfd_flags;
	a.answers = req.flags & SECCOMP_ADDFD_FLAG_SEND;
	spin_lock(&n->lock);
	ret = supply(n, req.id, &a);
	spin_unlock(&n->lock);
	file_put(a.file);
	return ret;
}

static long notifier_ioctl(struct file *f, u32 cmd, u64 arg)
{
	struct notifier *n = f->priv;

	switch (cmd) {
	case SECCOMP_IOCTL_NOTIF_RECV:
		return receive(n, arg);
	case SECCOMP_IOCTL_NOTIF_SEND:
		return send_answer(n, arg);
	case SECCOMP_IOCTL_NOTIF_ID_VALID:
	case SECCOMP_IOR(2, __u64): /* as it was named before Linux 5.17 */
		return id_valid(n, arg);
	}
	/* The size is part of the number, and may grow. */
	if ((cmd & ~(_IOC_SIZEMASK << _IOC_SIZESHIFT)) == (SECCOMP_IOCTL_NOTIF_ADDFD & ~(_IOC_SIZEMASK << _IOC_SIZESHIFT)))
		return add_fd(n, arg, _IOC_SIZE(cmd));
	return -EINVAL;
}

static u32 notifier_poll(struct file *f, struct poll_table *pt)
{
	struct notifier *n = f->priv;
	u32 mask = 0;

	poll_wait(f, &n->asked, pt);
	spin_lock(&n->lock);
	if (first_in(n, ASKED))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (first_in(n, TAKEN))
		mask |= EPOLLOUT | EPOLLWRNORM;
	spin_unlock(&n->lock);
	return n->filter_gone ? mask | EPOLLHUP : mask;
}

static void notifier_release(struct file *f)
{
	struct notifier *n = f->priv;

	spin_lock(&n->lock);
	n->closed = true;
	spin_unlock(&n->lock);
	wake_up_all(&n->answered);
	notifier_put(n);
}

static const struct file_ops notifier_fops = {
	.release = notifier_release,
	.poll = notifier_poll,
	.ioctl = notifier_ioctl,
};

struct file *notifier_file(struct notifier *n)
{
	struct file *f = anon_file("seccomp notify", &notifier_fops, n, O_RDWR);

	if (!IS_ERR(f))
		refcount_inc(&n->ref);
	return f;
}
