/*
 * Linux native asynchronous I/O: io_setup(2), io_submit(2), io_getevents(2).
 *
 * As with buffered files on Linux, requests are carried out while they are submitted; their completions wait in the context.
 * A context's number is the address of a page in the application, because libaio looks there for a ring; the page holds no
 * ring's magic, so libaio asks with system calls. IOCB_CMD_POLL waits in the context too: who asks for completions looks at its files.
 */
#include "sentry/kernel/aio.h"
#include "sentry/kernel/settings.h"

#include <linux/aio_abi.h>
#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/mman.h>

#include "base/list.h"
#include "base/log.h"
#include "base/string.h"
#include "sentry/kernel/eventfd.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/poll_wqueues.h"
#include "sentry/vfs/select.h"
#include "sentry/vfs/vfs.h"

static _Atomic u64 aio_nr; /* events asked for, of all contexts */
#define UIO_FAST 8

struct aio_poll { /* IOCB_CMD_POLL that has not happened yet */
	struct list_head node;
	struct file *file; /* reference */
	u64 data, ucb;
	u32 events;
};

struct aio_ctx {
	struct list_head node;
	refcount_t ref;
	u64 id; /* address of its page */
	spinlock_t lock;
	/* lock: */
	struct io_event *ring;
	u32 size, head, tail; /* free running */
	struct list_head polls; /* of aio_poll.node */
	u32 npolls;
	u32 asked; /* of aio_nr */
	bool dead;
	struct waitq wait;
};
struct aio_table { /* mm->aio */
	struct list_head ctxs;
};
static spinlock_t aio_lock = SPINLOCK_INIT; /* mm->aio and its list */

static void poll_drop(struct aio_poll *p)
{
	file_put(p->file);
	kfree(p);
}

static void ctx_put(struct aio_ctx *c)
{
	if (!refcount_dec_and_test(&c->ref))
		return;
	while (!list_empty(&c->polls)) {
		struct aio_poll *p = list_first(&c->polls, struct aio_poll, node);

		list_del(&p->node);
		poll_drop(p);
	}
	atomic_fetch_sub(&aio_nr, c->asked);
	kfree(c->ring);
	kfree(c);
}

u64 aio_events(void)
{
	return aio_nr;
}

static struct aio_ctx *ctx_find(u64 id, bool unlink)
{
	struct aio_table *t;
	struct aio_ctx *c, *found = NULL;

	spin_lock(&aio_lock);
	t = current->mm->aio;
	if (t)
		list_for_each(c, &t->ctxs, node)
			if (c->id == id) {
				found = c;
				break;
			}
	if (found && unlink)
		list_del(&found->node); /* its reference becomes the caller's */
	else if (found)
		refcount_inc(&found->ref);
	spin_unlock(&aio_lock);
	return found;
}

static int ctx_list(struct aio_ctx *c)
{
	struct aio_table *fresh = kzalloc(sizeof(*fresh)), *t;

	if (!fresh)
		return -ENOMEM;
	list_init(&fresh->ctxs);
	spin_lock(&aio_lock);
	if (!current->mm->aio) {
		current->mm->aio = fresh;
		fresh = NULL;
	}
	t = current->mm->aio;
	list_add(&c->node, &t->ctxs);
	spin_unlock(&aio_lock);
	kfree(fresh);
	return 0;
}

static struct aio_ctx *ctx_new(u32 n)
{
	struct aio_ctx *c = kzalloc(sizeof(*c));
	u32 size = 1;

	while (size < n)
		size <<= 1;
	if (!c)
		return NULL;
	c->ring = kzalloc(size * sizeof(*c->ring));
	if (!c->ring) {
		kfree(c);
		return NULL;
	}
	c->size = size;
	refcount_set(&c->ref, 1);
	list_init(&c->polls);
	waitq_init(&c->wait);
	return c;
}

SYSCALL2(io_setup, u32, n, u64, uctx)
{
	struct aio_ctx *c;
	u64 old;
	long at;

	if (get_user(old, uctx))
		return -EFAULT;
	/* As many as that overflow the ring that Linux makes, before it looks at the limit. */
	if (old || !n || n > 0x10000000u / sizeof(struct io_event) / 2)
		return -EINVAL;
	if (atomic_fetch_add(&aio_nr, n) + n > settings.aio_max_nr) {
		atomic_fetch_sub(&aio_nr, n);
		return -EAGAIN;
	}
	c = ctx_new(n);
	if (!c) {
		atomic_fetch_sub(&aio_nr, n);
		return -ENOMEM;
	}
	c->asked = n;
	at = mm_mmap(current->mm, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);
	if (at < 0) {
		ctx_put(c);
		return at;
	}
	c->id = at;
	if (put_user(c->id, uctx) || ctx_list(c)) {
		mm_munmap(current->mm, at, PAGE_SIZE);
		ctx_put(c);
		return -EFAULT;
	}
	return 0;
}

static void ctx_kill(struct aio_ctx *c)
{
	spin_lock(&c->lock);
	c->dead = true;
	spin_unlock(&c->lock);
	wake_up_all(&c->wait);
	ctx_put(c);
}

SYSCALL1(io_destroy, u64, id)
{
	struct aio_ctx *c = ctx_find(id, true);

	if (!c)
		return -EINVAL;
	mm_munmap(current->mm, id, PAGE_SIZE);
	ctx_kill(c);
	return 0;
}

void aio_exit(struct mm *mm)
{
	struct aio_table *t = mm->aio;

	mm->aio = NULL;
	if (!t)
		return;
	while (!list_empty(&t->ctxs)) {
		struct aio_ctx *c = list_first(&t->ctxs, struct aio_ctx, node);

		list_del(&c->node);
		ctx_kill(c);
	}
	kfree(t);
}

/* ---- submitting ---- */

static bool ctx_full(struct aio_ctx *c)
{
	bool full;

	spin_lock(&c->lock);
	full = c->tail - c->head + c->npolls >= c->size;
	spin_unlock(&c->lock);
	return full;
}

static void post(struct aio_ctx *c, u64 data, u64 ucb, long res)
{
	struct io_event ev = { .data = data, .obj = ucb, .res = res == -ERESTARTSYS ? -EINTR : res };

	spin_lock(&c->lock);
	c->ring[c->tail++ & (c->size - 1)] = ev;
	spin_unlock(&c->lock);
	wake_up_all(&c->wait);
}

static void complete(struct aio_ctx *c, const struct iocb *cb, u64 ucb, long res)
{
	struct file *f;

	post(c, cb->aio_data, ucb, res);
	if (!(cb->aio_flags & IOCB_FLAG_RESFD))
		return;
	f = fget(cb->aio_resfd);
	if (f) {
		eventfd_signal(f, 1);
		file_put(f);
	}
}

/* Reads and writes: what is wrong with the request is returned, what came of it is *res. */
static long do_rw(struct file *f, const struct iocb *cb, bool write, bool vec, long *res)
{
	struct iovec_k fast[UIO_FAST], *iov = fast;
	struct iov_iter it;
	u64 pos = cb->aio_offset;
	long err = cb->aio_flags & IOCB_FLAG_IOPRIO ? ioprio_check(cb->aio_reqprio) : 0;

	if (!err)
		err = vfs_rw_flags(f, (u32)cb->aio_rw_flags, write);
	if (err)
		return err;
	if (!(f->mode & (write ? FMODE_WRITE : FMODE_READ)))
		return -EBADF;
	err = vec ? iov_iter_import(&it, cb->aio_buf, cb->aio_nbytes, fast, &iov) :
		    iov_iter_user(&it, fast, cb->aio_buf, cb->aio_nbytes);
	if (!err && (s64)pos < 0)
		err = -EINVAL;
	if (!err)
		*res = vfs_rw(f, &it, f->mode & FMODE_PREAD ? (s64)pos : -1, (u32)cb->aio_rw_flags, write);
	if (iov != fast)
		kfree(iov);
	return err;
}

static long do_sync(struct file *f, const struct iocb *cb, bool data, long *res)
{
	if (cb->aio_buf || cb->aio_offset || cb->aio_nbytes || cb->aio_rw_flags || !f->fop->fsync)
		return -EINVAL;
	*res = f->fop->fsync(f, data);
	return 0;
}

static long do_one(struct file *f, const struct iocb *cb, long *res)
{
	switch (cb->aio_lio_opcode) {
	case IOCB_CMD_PREAD:
	case IOCB_CMD_PREADV:
		return do_rw(f, cb, false, cb->aio_lio_opcode == IOCB_CMD_PREADV, res);
	case IOCB_CMD_PWRITE:
	case IOCB_CMD_PWRITEV:
		return do_rw(f, cb, true, cb->aio_lio_opcode == IOCB_CMD_PWRITEV, res);
	case IOCB_CMD_FSYNC:
	case IOCB_CMD_FDSYNC:
		return do_sync(f, cb, cb->aio_lio_opcode == IOCB_CMD_FDSYNC, res);
	}
	return -EINVAL;
}

/* A descriptor to be told by must be an eventfd. */
static long check_resfd(const struct iocb *cb)
{
	struct file *f;
	long err;

	if (!(cb->aio_flags & IOCB_FLAG_RESFD))
		return 0;
	if (cb->aio_lio_opcode == IOCB_CMD_POLL) { /* nobody but io_getevents(2) looks whether it has happened */
		klog(LOG_WARN, "io_submit: IOCB_CMD_POLL with IOCB_FLAG_RESFD is not implemented");
		return -EINVAL;
	}
	f = fget(cb->aio_resfd);
	if (!f)
		return -EBADF;
	err = file_is_eventfd(f) ? 0 : -EINVAL;
	file_put(f);
	return err;
}

static long submit_poll(struct aio_ctx *c, struct file *f, const struct iocb *cb, u64 ucb)
{
	struct aio_poll *p;

	if ((u16)cb->aio_buf != cb->aio_buf || cb->aio_offset || cb->aio_nbytes || cb->aio_rw_flags)
		return -EINVAL;
	p = kzalloc(sizeof(*p));
	if (!p)
		return -EAGAIN;
	*p = (struct aio_poll){ .file = file_get(f), .data = cb->aio_data, .ucb = ucb, .events = (u32)cb->aio_buf | EPOLLERR | EPOLLHUP };
	spin_lock(&c->lock);
	list_add_tail(&p->node, &c->polls);
	c->npolls++;
	spin_unlock(&c->lock);
	wake_up_all(&c->wait); /* who waits looks at this file too */
	return 0;
}

/* Errors found before the request starts are the submitter's; those of the I/O itself are in its completion. */
static long submit_one(struct aio_ctx *c, u64 ucb)
{
	struct iocb cb;
	struct file *f;
	long err, res;

	if (copy_from_user(&cb, ucb, sizeof(cb)))
		return -EFAULT;
	if (cb.aio_reserved2 || (s64)cb.aio_nbytes < 0 || cb.aio_lio_opcode > IOCB_CMD_PWRITEV ||
	    cb.aio_lio_opcode == IOCB_CMD_NOOP)
		return -EINVAL;
	if (put_user(0u, ucb + offsetof(struct iocb, aio_key)))
		return -EFAULT;
	if (ctx_full(c))
		return -EAGAIN;
	f = fget(cb.aio_fildes);
	if (!f)
		return -EBADF;
	err = check_resfd(&cb);
	if (!err && cb.aio_lio_opcode == IOCB_CMD_POLL)
		err = submit_poll(c, f, &cb, ucb);
	else if (!err && !(err = do_one(f, &cb, &res)))
		complete(c, &cb, ucb, res);
	file_put(f);
	return err;
}

SYSCALL3(io_submit, u64, id, s64, n, u64, ucbs)
{
	struct aio_ctx *c;
	long err = 0;
	s64 done;

	if (n < 0)
		return -EINVAL;
	c = ctx_find(id, false);
	if (!c)
		return -EINVAL;
	for (done = 0; done < n; done++) {
		u64 ucb;

		err = get_user(ucb, ucbs + done * 8) ? -EFAULT : submit_one(c, ucb);
		if (err)
			break;
	}
	ctx_put(c);
	return done ? done : err;
}

static struct aio_poll *poll_claim(struct aio_ctx *c, u64 ucb)
{
	struct aio_poll *p, *found = NULL;

	spin_lock(&c->lock);
	list_for_each(p, &c->polls, node)
		if (p->ucb == ucb) {
			found = p;
			break;
		}
	if (found) {
		list_del(&found->node);
		c->npolls--;
	}
	spin_unlock(&c->lock);
	return found;
}

/* Only polls are ever under way between calls; one that is cancelled completes with nothing. */
SYSCALL3(io_cancel, u64, id, u64, ucb, u64, uresult)
{
	struct aio_ctx *c;
	struct aio_poll *p;
	u32 key;

	if (get_user(key, ucb + offsetof(struct iocb, aio_key)))
		return -EFAULT;
	c = ctx_find(id, false);
	p = c ? poll_claim(c, ucb) : NULL;
	if (p) {
		post(c, p->data, ucb, 0);
		poll_drop(p);
	}
	if (c)
		ctx_put(c);
	return p ? -EINPROGRESS : -EINVAL;
}

/* ---- reaping ---- */

static bool take_event(struct aio_ctx *c, struct io_event *ev)
{
	bool any;

	spin_lock(&c->lock);
	any = c->head != c->tail;
	if (any)
		*ev = c->ring[c->head++ & (c->size - 1)];
	spin_unlock(&c->lock);
	return any;
}

/* The nth poll from the start, referenced by its file; NULL: there are fewer. */
static struct aio_poll *nth_poll(struct aio_ctx *c, u32 n, struct file **f, u64 *ucb)
{
	struct aio_poll *p, *found = NULL;

	spin_lock(&c->lock);
	list_for_each(p, &c->polls, node)
		if (!n--) {
			found = p;
			*f = file_get(p->file);
			*ucb = p->ucb;
			break;
		}
	spin_unlock(&c->lock);
	return found;
}

/* Those that have happened complete; with a table the task is hung into the queues of the others. */
static void look_at_polls(struct aio_ctx *c, struct poll_table *pt)
{
	struct file *f;
	u64 ucb;

	for (u32 n = 0; c->npolls;) {
		struct aio_poll *p = nth_poll(c, n, &f, &ucb);
		u32 mask;

		if (!p)
			return;
		if (pt)
			pt->events = p->events;
		mask = vfs_poll(f, pt) & p->events;
		p = mask ? poll_claim(c, ucb) : NULL;
		if (p) {
			post(c, p->data, ucb, mask);
			poll_drop(p);
		} else {
			n++;
		}
		file_put(f);
	}
}

/* Asleep until one happens, or a completion comes, or another is submitted. 0, -ETIMEDOUT or -EINTR. */
static long wait_for_polls(struct aio_ctx *c, u64 deadline)
{
	struct poll_wqueues *pwq = kzalloc(sizeof(*pwq));
	u32 head = READ_ONCE(c->head), npolls = READ_ONCE(c->npolls);
	struct file *keeper; /* an entry wants a file; the context itself is the caller's */
	long err = 0;
	u64 ucb;

	if (!pwq)
		return -ENOMEM;
	if (!nth_poll(c, 0, &keeper, &ucb)) {
		kfree(pwq);
		return 0;
	}
	poll_init(pwq);
	pwq->pt.events = EPOLLIN;
	pwq->pt.queue(&pwq->pt, keeper, &c->wait);
	file_put(keeper);
	look_at_polls(c, &pwq->pt);
	if (READ_ONCE(c->tail) == head && READ_ONCE(c->npolls) == npolls && !READ_ONCE(c->dead)) {
		if (signal_pending())
			err = -EINTR;
		else if (poll_sleep(pwq, deadline))
			err = -ETIMEDOUT;
	}
	poll_free(pwq);
	kfree(pwq);
	return err;
}

static long get_events(struct aio_ctx *c, s64 min, s64 max, u64 uevents, u64 deadline, bool nowait)
{
	struct io_event ev;
	s64 n = 0;
	long err;

	for (;;) {
		look_at_polls(c, NULL);
		while (n < max && take_event(c, &ev)) {
			if (copy_to_user(uevents + n * sizeof(ev), &ev, sizeof(ev)))
				return n ? n : -EFAULT;
			n++;
		}
		if (n >= min || nowait)
			return n;
		err = READ_ONCE(c->npolls) ? wait_for_polls(c, deadline) :
		      wait_event_interruptible_until(c->wait, READ_ONCE(c->head) != READ_ONCE(c->tail) || READ_ONCE(c->dead) || READ_ONCE(c->npolls),
						     deadline);
		if (err == -ETIMEDOUT)
			nowait = true;
		else if (err)
			return n ? n : -EINTR;
		else if (c->dead)
			return n ? n : -EINVAL;
	}
}

static long do_getevents(u64 id, s64 min, s64 max, u64 uevents, u64 uts)
{
	struct aio_ctx *c;
	u64 deadline;
	bool nowait;
	long ret = poll_get_timeout(uts, POLL_TIMESPEC, &deadline, &nowait);

	if (ret)
		return ret;
	if (min < 0 || max < 0 || min > max)
		return -EINVAL;
	c = ctx_find(id, false);
	if (!c)
		return -EINVAL;
	ret = get_events(c, min, max, uevents, deadline, nowait);
	ctx_put(c);
	return ret;
}

SYSCALL5(io_getevents, u64, id, s64, min, s64, max, u64, uevents, u64, uts)
{
	return do_getevents(id, min, max, uevents, uts);
}

SYSCALL6(io_pgetevents, u64, id, s64, min, s64, max, u64, uevents, u64, uts, u64, usig)
{
	struct {
		u64 mask, size;
	} sig = { 0, 0 };
	long ret;

	if (usig && copy_from_user(&sig, usig, sizeof(sig)))
		return -EFAULT;
	ret = poll_set_sigmask(sig.mask, sig.size);
	if (ret)
		return ret;
	ret = do_getevents(id, min, max, uevents, uts);
	restore_saved_sigmask_unless(ret == -EINTR);
	return ret;
}
