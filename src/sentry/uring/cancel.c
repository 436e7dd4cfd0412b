/* IORING_OP_ASYNC_CANCEL, and what is cancelled because a ring or a task ends. */
#include "sentry/kernel/timer.h"
#include "sentry/sys/syscall.h"
#include "sentry/uring/uring.h"

static bool matches(const struct req *q, const struct cancel_key *key)
{
	if (q == key->self || (key->task && q->task != key->task) || (key->opcode >= 0 && q->sqe.opcode != key->opcode))
		return false;
	if (key->flags & IORING_ASYNC_CANCEL_ANY)
		return true;
	return key->file ? q->file == key->file : q->sqe.user_data == key->user_data;
}

void req_interrupt(struct req *q)
{
	struct task *w = q->ring->helper_req == q ? q->ring->helper_task : q->worker;

	if (!w)
		return;
	atomic_fetch_or(&w->flags, TIF_SIGPENDING);
	wake_up_state(w, TASK_INTERRUPTIBLE | TASK_KILLABLE);
}

/* One that has not started, when everything has to go: what waits behind a drain goes at once. req_lock held. */
static bool take_deferred(struct req *q, const struct cancel_key *key)
{
	if (key->self || !(key->flags & IORING_ASYNC_CANCEL_ANY))
		return false;
	q->cancelled = true; /* linked to another, or about to start: then it ends as soon as it does */
	if (!q->waits)
		return false;
	q->waits = false;
	list_del(&q->work);
	for (struct req *l = q; l; l = l->link)
		q->ring->inflight++;
	return true;
}

/* May it be ended, or is it to be told to end? True: the caller owns it. req_lock held. */
static bool claim(struct req *q, const struct cancel_key *key, u32 *busy, bool *deferred)
{
	if (!q->started) {
		*deferred = take_deferred(q, key);
		return *deferred;
	}
	if (q->cancelled)
		return false;
	if (req_claim(q))
		return true;
	req_interrupt(q);
	++*busy;
	return false;
}

static struct req *claim_one(struct ring *r, const struct cancel_key *key, u32 *busy, bool *deferred)
{
	bool many = key->flags & (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY), by_data = !key->file && !(key->flags & IORING_ASYNC_CANCEL_ANY);
	struct list_head *list = by_data ? ring_bucket(r, key->user_data) : &r->reqs;
	struct req *found = NULL;

	spin_lock(&r->req_lock);
	for (struct list_head *n = list->next; n != list && !found && (many || !*busy); n = n->next) {
		struct req *q = by_data ? list_entry(n, struct req, hash) : list_entry(n, struct req, node);

		if (matches(q, key) && claim(q, key, busy, deferred))
			found = q;
	}
	spin_unlock(&r->req_lock);
	return found;
}

struct req *ring_claim(struct ring *r, u64 user_data, s32 opcode, bool *busy)
{
	struct cancel_key key = { .user_data = user_data, .opcode = opcode };
	bool deferred = false;
	u32 nbusy = 0;
	struct req *q = claim_one(r, &key, &nbusy, &deferred);

	*busy |= nbusy;
	return q;
}

long ring_cancel(struct ring *r, const struct cancel_key *key)
{
	bool many = key->flags & (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY);
	u32 busy = 0;
	struct req *q;
	long n = 0;

	for (;;) {
		bool deferred = false;

		q = claim_one(r, key, &busy, &deferred);
		if (!q)
			break;
		n++;
		if (deferred) {
			req_fail_chain(q);
		} else if (q->sqe.opcode == IORING_OP_TIMEOUT || q->sqe.opcode == IORING_OP_LINK_TIMEOUT) {
			timeout_again(q);
		} else {
			req_unhook(q);
			req_end(q, -ECANCELED);
		}
		if (!many)
			return 0;
	}
	if (many)
		return n + busy;
	return busy ? -EALREADY : -ENOENT;
}

static bool in_flight(struct ring *r, const struct cancel_key *key)
{
	bool any = false;
	struct req *q;

	spin_lock(&r->req_lock);
	list_for_each(q, &r->reqs, node)
		any |= q->started && matches(q, key);
	spin_unlock(&r->req_lock);
	return any;
}

long prep_cancel(struct req *q)
{
	u32 known = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_FD_FIXED;
	u32 flags = q->sqe.cancel_flags;

	if (q->sqe.flags & IOSQE_BUFFER_SELECT || q->sqe.off || q->sqe.len || q->sqe.splice_fd_in || flags & ~known)
		return -EINVAL;
	if (flags & IORING_ASYNC_CANCEL_FD && flags & IORING_ASYNC_CANCEL_ANY)
		return -EINVAL;
	return 0;
}

long issue_cancel(struct req *q, bool may_block)
{
	struct cancel_key key = { .user_data = q->sqe.addr, .flags = q->sqe.cancel_flags, .self = q, .opcode = -1 };
	struct file *f = NULL;
	long res;

	if (key.flags & IORING_ASYNC_CANCEL_FD) {
		f = q->sqe.flags & IOSQE_FIXED_FILE || key.flags & IORING_ASYNC_CANCEL_FD_FIXED ?
			    fixed_file(q->ring, (u32)q->sqe.fd) : fget(q->sqe.fd);
		if (!f)
			return -EBADF;
		key.file = f;
	}
	res = ring_cancel(q->ring, &key);
	if (f)
		file_put(f);
	return res;
}

/* IORING_REGISTER_SYNC_CANCEL: what is being carried out is waited for. */
long sync_cancel(struct ring *r, u64 arg)
{
	struct io_uring_sync_cancel_reg c;
	u64 deadline = ~0ull;
	struct file *f = NULL;
	long ret;

	if (copy_from_user(&c, arg, sizeof(c)))
		return -EFAULT;
	if (c.flags & ~(IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_FD_FIXED))
		return -EINVAL;
	for (u32 i = 0; i < ARRAY_SIZE(c.pad); i++)
		if (c.pad[i])
			return -EINVAL;
	if (c.timeout.tv_sec != -1 || c.timeout.tv_nsec != -1)
		deadline = clock_mono_ns() + (u64)c.timeout.tv_sec * NSEC_PER_SEC + (u64)c.timeout.tv_nsec;
	if (c.flags & IORING_ASYNC_CANCEL_FD) {
		f = c.flags & IORING_ASYNC_CANCEL_FD_FIXED ? fixed_file(r, (u32)c.fd) : fget(c.fd);
		if (!f)
			return -EBADF;
	}
	struct cancel_key key = { .user_data = c.addr, .file = f, .flags = c.flags, .opcode = -1 };

	ret = ring_cancel(r, &key);
	if (ret == -EALREADY) {
		mutex_unlock(&r->lock);
		ret = wait_event_full(uring_exit_q, !in_flight(r, &key), TASK_INTERRUPTIBLE, deadline);
		ret = ret == -ETIMEDOUT ? -ETIME : ret ? -EINTR : 0;
		mutex_lock(&r->lock);
	}
	if (f)
		file_put(f);
	return ret > 0 ? 0 : ret;
}

/* ---- the end of a task ---- */

static struct ring *next_ring(struct ring *after)
{
	struct ring *r, *found = NULL;
	bool take = !after;

	spin_lock(&all_rings_lock);
	list_for_each(r, &all_rings, all_node) {
		if (take && refcount_inc_not_zero(&r->ref)) {
			found = r;
			break;
		}
		take |= r == after;
	}
	spin_unlock(&all_rings_lock);
	if (after)
		ring_put(after);
	return found;
}

void uring_task_exit_slow(void)
{
	struct cancel_key key = { .flags = IORING_ASYNC_CANCEL_ANY, .task = current, .opcode = -1 };
	u32 left;

	/* What was linked to a request that ends may start: again, until nothing is left. */
	while ((left = atomic_load(&current->uring_reqs))) {
		for (struct ring *r = next_ring(NULL); r; r = next_ring(r)) {
			ring_cancel(r, &key);
			ring_run_again(r);
		}
		wait_event(uring_exit_q, atomic_load(&current->uring_reqs) != left);
	}
}
