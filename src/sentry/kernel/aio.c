/*
 * Linux native asynchronous I/O: io_setup(2), io_submit(2), io_getevents(2).
 *
 * As with buffered files on Linux, requests are carried out while they are submitted; their completions wait in the context.
 * A context's number is the address of a page in the application, because libaio looks there for a ring; the page holds no
 * ring's magic, so libaio asks with system calls.
 */
#include "sentry/kernel/aio.h"
#include "sentry/kernel/settings.h"

#include <linux/aio_abi.h>
#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/mman.h>

#include "base/list.h"
#include "base/string.h"
#include "sentry/kernel/eventfd.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/select.h"
#include "sentry/vfs/vfs.h"

static _Atomic u64 aio_nr; /* events asked for, of all contexts */
#define UIO_FAST 8

struct aio_ctx {
	struct list_head node;
	refcount_t ref;
	u64 id; /* address of its page */
	spinlock_t lock;
	/* lock: */
	struct io_event *ring;
	u32 size, head, tail; /* free running */
	u32 asked; /* of aio_nr */
	bool dead;
	struct waitq wait;
};
struct aio_table { /* mm->aio */
	struct list_head ctxs;
};
static spinlock_t aio_lock = SPINLOCK_INIT; /* mm->aio and its list */

static void ctx_put(struct aio_ctx *c)
{
	if (!refcount_dec_and_test(&c->ref))
		return;
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
	if (old || !n)
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
	full = c->tail - c->head >= c->size;
	spin_unlock(&c->lock);
	return full;
}

static void complete(struct aio_ctx *c, const struct iocb *cb, u64 ucb, long res)
{
	struct io_event ev = { .data = cb->aio_data, .obj = ucb, .res = res };
	struct file *f;

	if (res == -ERESTARTSYS)
		ev.res = -EINTR;
	spin_lock(&c->lock);
	c->ring[c->tail++ & (c->size - 1)] = ev;
	spin_unlock(&c->lock);
	wake_up_all(&c->wait);
	if (!(cb->aio_flags & IOCB_FLAG_RESFD))
		return;
	f = fget(cb->aio_resfd);
	if (f) {
		eventfd_signal(f, 1);
		file_put(f);
	}
}

static long do_rw(struct file *f, const struct iocb *cb, bool write, bool vec)
{
	struct iovec_k fast[UIO_FAST], *iov = fast;
	struct iov_iter it;
	u64 pos = cb->aio_offset;
	long ret;

	if (!(f->mode & (write ? FMODE_WRITE : FMODE_READ)))
		return -EBADF;
	if ((s64)pos < 0)
		return -EINVAL;
	ret = vec ? iov_iter_import(&it, cb->aio_buf, cb->aio_nbytes, fast, &iov) :
		    iov_iter_user(&it, fast, cb->aio_buf, cb->aio_nbytes);
	if (!ret)
		ret = write ? vfs_write(f, &it, &pos) : vfs_read(f, &it, &pos);
	if (iov != fast)
		kfree(iov);
	return ret;
}

static long do_one(struct file *f, const struct iocb *cb)
{
	switch (cb->aio_lio_opcode) {
	case IOCB_CMD_PREAD:
	case IOCB_CMD_PREADV:
		return do_rw(f, cb, false, cb->aio_lio_opcode == IOCB_CMD_PREADV);
	case IOCB_CMD_PWRITE:
	case IOCB_CMD_PWRITEV:
		return do_rw(f, cb, true, cb->aio_lio_opcode == IOCB_CMD_PWRITEV);
	case IOCB_CMD_FSYNC:
	case IOCB_CMD_FDSYNC:
		return f->fop->fsync ? f->fop->fsync(f, cb->aio_lio_opcode == IOCB_CMD_FDSYNC) : -EINVAL;
	}
	return -EINVAL;
}

/* Errors found before the request starts are the submitter's; those of the I/O itself are in its completion. */
static long submit_one(struct aio_ctx *c, u64 ucb)
{
	struct iocb cb;
	struct file *f;

	if (copy_from_user(&cb, ucb, sizeof(cb)))
		return -EFAULT;
	if (cb.aio_reserved2 || (s64)cb.aio_nbytes < 0 || cb.aio_lio_opcode > IOCB_CMD_PWRITEV ||
	    cb.aio_lio_opcode == IOCB_CMD_POLL || cb.aio_lio_opcode == IOCB_CMD_NOOP)
		return -EINVAL;
	if (ctx_full(c))
		return -EAGAIN;
	f = fget(cb.aio_fildes);
	if (!f)
		return -EBADF;
	complete(c, &cb, ucb, do_one(f, &cb));
	file_put(f);
	return 0;
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

/* Nothing is ever under way between calls. */
SYSCALL3(io_cancel, u64, id, u64, ucb, u64, uresult)
{
	struct aio_ctx *c;
	u32 key;

	if (get_user(key, ucb + offsetof(struct iocb, aio_key)))
		return -EFAULT;
	c = ctx_find(id, false);
	if (c)
		ctx_put(c);
	return -EINVAL;
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

static long get_events(struct aio_ctx *c, s64 min, s64 max, u64 uevents, u64 deadline, bool nowait)
{
	struct io_event ev;
	s64 n = 0;
	long err;

	for (;;) {
		while (n < max && take_event(c, &ev)) {
			if (copy_to_user(uevents + n * sizeof(ev), &ev, sizeof(ev)))
				return n ? n : -EFAULT;
			n++;
		}
		if (n >= min || nowait)
			return n;
		err = wait_event_interruptible_until(c->wait, READ_ONCE(c->head) != READ_ONCE(c->tail) || READ_ONCE(c->dead),
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
