/* io_uring_enter(2): taking requests from the submission queue, and waiting for completions. */
#include <linux/eventpoll.h>

#include "sentry/kernel/signal.h"
#include "sentry/sys/syscall.h"
#include "sentry/uring/uring.h"
#include "sentry/vfs/select.h"

#define SQE_FLAGS                                                                       \
	(IOSQE_FIXED_FILE | IOSQE_IO_DRAIN | IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_ASYNC | IOSQE_BUFFER_SELECT | \
	 IOSQE_CQE_SKIP_SUCCESS)

struct chain { /* linked requests being put together */
	struct req *head, *last;
	bool broken;
};

/* ---- one request ---- */

static long restricted(const struct ring *r, const struct io_uring_sqe *sqe)
{
	if (!r->restrict_to.set)
		return 0;
	if (!(r->restrict_to.ops >> sqe->opcode & 1))
		return -EACCES;
	if ((sqe->flags & r->restrict_to.flags_required) != r->restrict_to.flags_required)
		return -EACCES;
	if (sqe->flags & ~(r->restrict_to.flags_allowed | r->restrict_to.flags_required))
		return -EACCES;
	return 0;
}

static struct cred *personality(struct ring *r, u32 id)
{
	struct cred *c = NULL;

	spin_lock(&r->rsrc_lock);
	if (id <= r->npersonalities && r->personalities[id - 1])
		c = cred_get(r->personalities[id - 1]);
	spin_unlock(&r->rsrc_lock);
	return c;
}

static long prepare(struct req *q)
{
	const struct io_uring_sqe *sqe = &q->sqe;
	const struct uring_op *op;
	long err;

	if (sqe->opcode >= IORING_OP_LAST)
		return -EINVAL;
	op = &uring_ops[sqe->opcode];
	if (sqe->flags & ~(u32)SQE_FLAGS)
		return -EINVAL;
	if (sqe->flags & IOSQE_BUFFER_SELECT && !op->select)
		return -EOPNOTSUPP;
	if (sqe->flags & IOSQE_CQE_SKIP_SUCCESS && sqe->flags & IOSQE_IO_DRAIN)
		return -EOPNOTSUPP;
	err = restricted(q->ring, sqe);
	if (err)
		return err;
	if (sqe->ioprio && !op->ioprio)
		return -EINVAL;
	if (!op->iopoll && q->ring->flags & IORING_SETUP_IOPOLL)
		return -EINVAL;
	if (!op->issue)
		return -EOPNOTSUPP;
	if (sqe->personality) {
		q->creds = personality(q->ring, sqe->personality);
		if (!q->creds)
			return -EINVAL;
	}
	return op->prep ? op->prep(q) : 0;
}

/* ---- putting to work ---- */

static void note(struct req *q)
{
	struct ring *r = q->ring;

	spin_lock(&r->req_lock);
	list_add_tail(&q->node, &r->reqs);
	list_add_tail(&q->hash, ring_bucket(r, q->sqe.user_data));
	r->inflight++;
	spin_unlock(&r->req_lock);
}

/* IOSQE_IO_DRAIN: has it to wait? Then it and what is linked to it are put aside. */
static bool deferred(struct req *head, struct req *last)
{
	struct ring *r = head->ring;
	bool drain = false, wait;
	u32 n = 0;

	for (struct req *q = head; q; q = q->link) {
		drain |= q->sqe.flags & IOSQE_IO_DRAIN;
		n++;
	}
	spin_lock(&r->req_lock);
	head->drain = last->drain_last = drain;
	wait = r->draining || !list_empty(&r->deferred) || (drain && r->inflight > n);
	if (wait) {
		r->inflight -= n;
		list_add_tail(&head->work, &r->deferred);
		head->waits = true;
	} else if (drain) {
		r->draining = true;
	}
	spin_unlock(&r->req_lock);
	return wait;
}

static void start_chain(struct chain *c)
{
	struct req *head = c->head;
	struct ring *r;

	if (!head)
		return;
	r = head->ring;
	c->head = NULL;
	if (c->broken) {
		c->broken = false;
		req_fail_chain(head);
	} else if (!deferred(head, c->last)) {
		req_start(head);
	} else {
		ring_pump_deferred(r); /* those before it may have gone while it was still counted among them */
	}
}

/* Whoever may start later than now, from anywhere, holds on to its submitter's descriptors first. */
static bool may_start_later(const struct req *q, const struct chain *c)
{
	return c->head || q->sqe.flags & (IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_IO_DRAIN) || READ_ONCE(q->ring->draining) ||
	       !list_empty(&q->ring->deferred);
}

static long submit_one(struct ring *r, const struct io_uring_sqe *sqe, struct chain *c)
{
	bool linked = sqe->flags & (IOSQE_IO_LINK | IOSQE_IO_HARDLINK);
	struct req *q = req_alloc(r);
	long err;

	if (!q)
		return -EAGAIN;
	memcpy(&q->sqe, sqe, sizeof(q->sqe));
	note(q);
	err = prepare(q);
	if (!err && sqe->opcode == IORING_OP_LINK_TIMEOUT && (!c->head || c->last->sqe.opcode == IORING_OP_LINK_TIMEOUT))
		err = -EINVAL;
	if (!q->creds)
		q->creds = cred_get(current->cred);
	if (!err && (c->head || sqe->flags & IOSQE_ASYNC) && uring_ops[sqe->opcode].issue == issue_rw)
		err = rw_import_early(q);
	if (!err && may_start_later(q, c) && req_hold(q))
		err = -ENOMEM;
	q->error = (s32)err;
	if (c->head)
		c->last->link = q;
	else
		c->head = q;
	c->last = q;
	c->broken |= err != 0;
	if (!linked)
		start_chain(c);
	return err;
}

/* ---- the submission queue ---- */

/* The next entry, copied once. False: what stands there is no index. */
static bool next_sqe(struct ring *r, struct io_uring_sqe *sqe)
{
	struct shared *s = ring_shared(r);
	u32 at = r->sq_head++ & (r->sq_entries - 1);
	u32 i = READ_ONCE(*(u32 *)pages_at(&r->rings, r->array_off + (u64)at * 4));

	atomic_store_explicit(&s->sq_head, r->sq_head, memory_order_release);
	if (i >= r->sq_entries) {
		atomic_fetch_add(&s->sq_dropped, 1);
		return false;
	}
	memcpy(sqe, pages_at(&r->sqes, (u64)i * r->sqe_size), sizeof(*sqe));
	return true;
}

static long submit(struct ring *r, u32 want)
{
	struct chain c = { 0 };
	u32 there = atomic_load_explicit(&ring_shared(r)->sq_tail, memory_order_acquire) - r->sq_head, n = 0;
	struct io_uring_sqe sqe;

	want = MIN(want, MIN(there, r->sq_entries));
	while (n < want) {
		if (!next_sqe(r, &sqe))
			break;
		n++;
		if (submit_one(r, &sqe, &c) && !(r->flags & IORING_SETUP_SUBMIT_ALL))
			break;
	}
	start_chain(&c); /* a chain ends with the submission */
	return n;
}

/* What the thread of IORING_SETUP_SQPOLL would find; an entry that fails does not keep it from the next. */
static void submit_all(struct ring *r)
{
	mutex_lock(&r->lock);
	while (atomic_load_explicit(&ring_shared(r)->sq_tail, memory_order_acquire) != r->sq_head)
		submit(r, r->sq_entries);
	mutex_unlock(&r->lock);
}

/* ---- waiting ---- */

/* A timeout ends the wait, however many completions are missing. */
static bool enough(struct ring *r, u32 min, u32 timeouts)
{
	return ring_ready(r) >= min || !list_empty(&r->overflow) || READ_ONCE(r->cq_timeouts) != timeouts;
}

static bool anything_to_run(struct ring *r)
{
	struct req *q;
	bool any = false;

	spin_lock(&r->todo_lock);
	list_for_each(q, &r->again, work)
		any |= req_runs_in(q, current);
	spin_unlock(&r->todo_lock);
	return any;
}

static long wait_for(struct ring *r, u32 min, u64 deadline)
{
	struct enter_wait me = { .task = current };
	struct waiter w = { 0 };
	u32 timeouts = READ_ONCE(r->cq_timeouts);
	bool late = false;
	long ret = 0;

	list_init(&w.node);
	spin_lock(&r->todo_lock);
	list_add_tail(&me.node, &r->waiters);
	spin_unlock(&r->todo_lock);
	for (;;) {
		ring_run_again(r);
		ring_flush_overflow(r);
		prepare_to_wait(&r->cq_wait, &w, TASK_INTERRUPTIBLE);
		if (enough(r, min, timeouts))
			break;
		if (anything_to_run(r)) {
			finish_wait(&r->cq_wait, &w);
			continue;
		}
		if (late || signal_pending()) {
			ret = late ? -ETIME : -EINTR;
			break;
		}
		late = schedule_until(deadline);
	}
	finish_wait(&r->cq_wait, &w);
	spin_lock(&r->todo_lock);
	list_del(&me.node);
	if (!list_empty(&r->again))
		wake_up_all(&r->helper_q);
	spin_unlock(&r->todo_lock);
	return ret;
}

struct wait_arg {
	u64 sigmask, sigsize, deadline;
};

static long read_wait_arg(struct wait_arg *a, u32 flags, u64 uarg, u64 size)
{
	struct io_uring_getevents_arg arg;
	bool nowait;
	long err;

	*a = (struct wait_arg){ uarg, size, ~0ull };
	if (!(flags & IORING_ENTER_EXT_ARG))
		return 0;
	if (size != sizeof(arg))
		return -EINVAL;
	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.pad)
		return -EINVAL;
	a->sigmask = arg.sigmask;
	a->sigsize = arg.sigmask_sz;
	err = poll_get_timeout(arg.ts, POLL_TIMESPEC, &a->deadline, &nowait);
	return err;
}

static long get_events(struct ring *r, u32 min, u32 flags, u64 uarg, u64 size)
{
	struct wait_arg a;
	long ret = read_wait_arg(&a, flags, uarg, size);

	if (ret)
		return ret;
	ring_run_again(r);
	ring_flush_overflow(r);
	min = MIN(min, r->cq_entries);
	if (r->flags & IORING_SETUP_IOPOLL) /* whoever polls does not wait for what nobody has begun */
		min = MIN(min, ring_ready(r) + READ_ONCE(r->inflight));
	if (ring_ready(r) >= min)
		return 0;
	ret = poll_set_sigmask(a.sigmask, a.sigsize);
	if (ret)
		return ret;
	ret = wait_for(r, min, a.deadline);
	restore_saved_sigmask_unless(ret == -EINTR);
	/* What is there is told, however the wait ended. */
	return ret && ring_ready(r) ? 0 : ret;
}

static long enter(struct ring *r, u32 to_submit, u32 min, u32 flags, u64 uarg, u64 size)
{
	long done = 0, ret;

	if (r->flags & IORING_SETUP_R_DISABLED)
		return -EBADFD;
	if (r->flags & IORING_SETUP_SQPOLL) {
		if (r->owner->flags & PROC_ZOMBIE || !READ_ONCE(r->owner->nthreads))
			return -EOWNERDEAD;
		if (flags & IORING_ENTER_SQ_WAKEUP)
			submit_all(r);
		done = to_submit;
	} else if (to_submit) {
		if (r->issuer && r->issuer != current)
			return -EEXIST;
		mutex_lock(&r->lock);
		done = submit(r, to_submit);
		mutex_unlock(&r->lock);
		if (done != (long)to_submit)
			return done;
	}
	if (!(flags & IORING_ENTER_GETEVENTS))
		return done;
	if (r->flags & IORING_SETUP_DEFER_TASKRUN && r->issuer != current)
		return done ? done : -EEXIST;
	ret = get_events(r, min, flags, uarg, size);
	return done ? done : ret;
}

SYSCALL6(io_uring_enter, s32, fd, u32, to_submit, u32, min, u32, flags, u64, uarg, u64, size)
{
	struct ring *r;
	struct file *f;
	long ret;

	if (flags & ~(u32)(IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP | IORING_ENTER_SQ_WAIT | IORING_ENTER_EXT_ARG |
			   IORING_ENTER_REGISTERED_RING))
		return -EINVAL;
	f = flags & IORING_ENTER_REGISTERED_RING ? registered_ring((u32)fd) : fget(fd);
	if (IS_ERR_OR_NULL(f))
		return f ? PTR_ERR(f) : -EBADF;
	r = ring_of(f);
	ret = r ? enter(r, to_submit, min, flags, uarg, size) : -EOPNOTSUPP;
	file_put(f);
	return ret;
}

SYSCALL4(io_uring_register, s32, fd, u32, op, u64, arg, u32, n)
{
	struct ring *r;
	struct file *f;
	long ret = -EOPNOTSUPP;

	if (op >= IORING_REGISTER_LAST)
		return -EINVAL;
	f = fget(fd);
	if (!f)
		return -EBADF;
	r = ring_of(f);
	if (r) {
		mutex_lock(&r->lock);
		ret = ring_register(r, op, arg, n);
		mutex_unlock(&r->lock);
	}
	file_put(f);
	return ret;
}
