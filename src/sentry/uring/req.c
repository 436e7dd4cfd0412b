/* The life of a request: tried, ended, and what was linked to it or waited behind it started. */
#include "sentry/kernel/nsproxy.h"
#include "sentry/uring/uring.h"

struct waitq uring_exit_q = WAITQ_INIT(uring_exit_q);

/* ---- making and freeing ---- */

static void timer_fired(struct ktimer *t)
{
	struct req *q = container_of(t, struct req, timer);

	WRITE_ONCE(q->timer_fired, true);
	req_wake(q);
}

struct req *req_alloc(struct ring *r)
{
	struct req *q = kzalloc(sizeof(*q));

	if (!q)
		return NULL;
	q->ring = r;
	ring_get(r);
	q->task = task_get(current);
	atomic_fetch_add(&current->uring_reqs, 1);
	list_init(&q->node);
	list_init(&q->hash);
	list_init(&q->work);
	ktimer_init(&q->timer, timer_fired);
	atomic_store(&q->wakes, 1);
	return q;
}

static void req_free(struct req *q)
{
	struct task *t = q->task;
	struct ring *r = q->ring;

	if (q->timer_on)
		ktimer_cancel_sync(&q->timer);
	req_unhook(q);
	if (q->iov != &q->iov1)
		kfree(q->iov);
	kfree(q->name);
	if (q->file)
		file_put(q->file);
	if (q->creds)
		cred_put(q->creds);
	if (q->files)
		files_put(q->files);
	kfree(q);
	ring_put(r);
	atomic_fetch_sub(&t->uring_reqs, 1);
	if (waitq_active(&uring_exit_q))
		wake_up_all(&uring_exit_q);
	task_put(t);
}

bool req_claim(struct req *q)
{
	WRITE_ONCE(q->cancelled, true);
	return !atomic_fetch_add(&q->wakes, 1);
}

/* Before others can get at it, and in its submitter's context: the submitter may not use his table as if he were alone. */
int req_hold(struct req *q)
{
	if (!q->files)
		q->files = files_get(current->files);
	return ring_need_helper(q->ring);
}

bool req_runs_in(const struct req *q, const struct task *me)
{
	const struct task *t = q->task;

	return t == me || (t->mm == me->mm && q->files == me->files && t->fs == me->fs && t->proc == me->proc && t->ns == me->ns);
}

/* ---- ending ---- */

/* What stood behind a drain may go now: onto the list of what is to be tried. */
void ring_pump_deferred(struct ring *r)
{
	struct req *q;

	for (;;) {
		spin_lock(&r->req_lock);
		q = list_empty(&r->deferred) ? NULL : list_first(&r->deferred, struct req, work);
		if (!q || r->draining || (q->drain && r->inflight)) {
			spin_unlock(&r->req_lock);
			return;
		}
		list_del(&q->work);
		q->waits = false;
		r->draining = q->drain;
		for (struct req *l = q; l; l = l->link)
			r->inflight++;
		spin_unlock(&r->req_lock);
		ring_again(q);
	}
}

/* Out of the lists, freed. True: others may wait for that. */
static void req_retire(struct req *q)
{
	struct ring *r = q->ring;
	bool pump;

	ring_get(r);
	spin_lock(&r->req_lock);
	list_del(&q->node);
	list_del(&q->hash);
	r->inflight--;
	if (q->drain_last)
		r->draining = false;
	pump = !list_empty(&r->deferred);
	spin_unlock(&r->req_lock);
	req_free(q);
	if (pump)
		ring_pump_deferred(r);
	if (READ_ONCE(r->closing)) /* the helper ends with the last request */
		ring_stop_workers(r);
	ring_put(r);
}

static void req_post(struct req *q, s32 res)
{
	/* A link timeout does its duty whether it fires or not. */
	if (q->sqe.flags & IOSQE_CQE_SKIP_SUCCESS && ((res >= 0 && !q->failed) || q->sqe.opcode == IORING_OP_LINK_TIMEOUT))
		return;
	ring_post(q->ring, q->sqe.user_data, res, q->cqe_flags);
	if (is_zero_copy(q)) /* the buffer may be used again */
		ring_post(q->ring, q->sqe.user_data, 0, IORING_CQE_F_NOTIF);
}

/* End a request and, when it failed, those linked to it; the next one to be started, or NULL. */
static struct req *req_finish(struct req *q, long res)
{
	bool broken = (res < 0 || q->failed) && !q->link_holds && !(q->sqe.flags & IOSQE_IO_HARDLINK);
	bool silent = q->sqe.flags & IOSQE_CQE_SKIP_SUCCESS; /* who fails tells for those behind it too */
	struct req *next;

	buf_done(q, res);
	req_post(q, (s32)res);
	next = link_timeout_stop(q);
	req_retire(q);
	while (broken && next) {
		struct req *after = next->link;

		if (!silent)
			ring_post(next->ring, next->sqe.user_data, -ECANCELED, 0);
		req_retire(next);
		next = after;
	}
	return next;
}

void req_end(struct req *q, long res)
{
	struct ring *r = q->ring;
	struct req *next;

	ring_get(r);
	next = req_finish(q, res);
	if (next)
		ring_again(next);
	ring_check_counts(r);
	ring_put(r);
}

void req_fail_chain(struct req *q)
{
	struct req *head = q;
	bool silent = q->sqe.flags & IOSQE_CQE_SKIP_SUCCESS;

	while (q) {
		struct req *after = q->link;

		if (q == head || !silent)
			ring_post(q->ring, q->sqe.user_data, q->error ? q->error : -ECANCELED, 0);
		req_retire(q);
		q = after;
	}
}

/* ---- trying ---- */

static long assign_file(struct req *q)
{
	if (q->file)
		return 0;
	q->file = q->sqe.flags & IOSQE_FIXED_FILE ? fixed_file(q->ring, (u32)q->sqe.fd) : fget(q->sqe.fd);
	return q->file ? 0 : -EBADF;
}

static void use_cred(struct cred *c)
{
	spin_lock(&current->alloc_lock);
	current->cred = c;
	spin_unlock(&current->alloc_lock);
}

static long issue(struct req *q, bool may_block)
{
	const struct uring_op *op = &uring_ops[q->sqe.opcode];
	struct cred *mine = current->cred, *its = q->creds;
	long res = op->file ? assign_file(q) : 0;

	if (res)
		return res;
	/* Who lets go of its request does nothing that asks for credentials, and these could be gone by then. */
	if (its == mine || op->lets_go)
		return op->issue(q, may_block);
	use_cred(its);
	res = op->issue(q, may_block);
	use_cred(mine);
	return res;
}

/* Try it; with IOU_QUEUED it belongs to somebody else. */
static long try_one(struct req *q, bool may_block)
{
	u32 events = uring_ops[q->sqe.opcode].events;
	long res;

	for (;;) {
		if (READ_ONCE(q->cancelled) || READ_ONCE(q->ring->closing))
			return -ECANCELED;
		res = issue(q, may_block);
		if (res == IOU_QUEUED)
			return res;
		if (may_block && READ_ONCE(q->cancelled) && (res == -ERESTARTSYS || res == -EINTR))
			return -ECANCELED;
		if (res == -ERESTARTSYS || res == -ERESTARTNOINTR || res == -ERESTARTNOHAND || res == -ERESTART_RESTARTBLOCK)
			return -EINTR;
		if (res != IOU_PUNT && (res != -EAGAIN || may_block || !events || !q->file || !q->file->fop->poll))
			return res;
		if (res == -EAGAIN && q->nowait)
			return res;
		buf_done(q, -EAGAIN);
		if (req_hold(q))
			return -ENOMEM;
		if (res == IOU_PUNT) {
			ring_queue_work(q);
			return IOU_QUEUED;
		}
		res = req_arm(q, events);
		if (res)
			return res;
	}
}

void req_try(struct req *q, bool may_block)
{
	struct ring *r = q->ring;
	struct req *next;
	long res;

	ring_get(r);
	while (q) {
		res = try_one(q, may_block);
		if (res == IOU_QUEUED)
			break;
		next = req_finish(q, res);
		if (next && next->sqe.flags & IOSQE_ASYNC) {
			req_start(next);
			break;
		}
		if (next && may_block) { /* a worker does one thing */
			ring_again(next);
			break;
		}
		q = next;
		if (q) {
			q->started = true;
			ring_helper_busy(r, q);
			link_timeout_start(q);
		}
	}
	ring_check_counts(r);
	ring_put(r);
}

void req_start(struct req *q)
{
	q->started = true;
	link_timeout_start(q);
	if (!(q->sqe.flags & IOSQE_ASYNC)) {
		req_try(q, false);
	} else if (req_hold(q)) {
		req_end(q, -ENOMEM);
	} else {
		ring_queue_work(q);
	}
}

/* ---- what was woken ---- */

static struct req *take_woken(struct ring *r)
{
	struct req *q, *found = NULL;

	spin_lock(&r->todo_lock);
	list_for_each(q, &r->again, work)
		if (req_runs_in(q, current)) {
			found = q;
			break;
		}
	if (found)
		list_del(&found->work);
	spin_unlock(&r->todo_lock);
	return found;
}

void req_run_woken(struct req *q)
{
	if (!q->started) {
		req_start(q);
		return;
	}
	switch (q->sqe.opcode) {
	case IORING_OP_POLL_ADD:
		poll_again(q);
		return;
	case IORING_OP_TIMEOUT:
	case IORING_OP_LINK_TIMEOUT:
		timeout_again(q);
		return;
	}
	req_unhook(q);
	req_try(q, false);
}

void ring_run_again(struct ring *r)
{
	struct req *q;

	while (!list_empty(&r->again) && (q = take_woken(r)))
		req_run_woken(q);
}
