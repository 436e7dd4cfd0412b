/* IORING_OP_ASYNC_CANCEL, and what is cancelled because a ring or a task ends. */
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

static struct req *claim_one(struct ring *r, const struct cancel_key *key, bool *busy, bool *deferred)
{
	struct req *q, *found = NULL;

	spin_lock(&r->req_lock);
	list_for_each(q, &r->reqs, node) {
		if (!matches(q, key))
			continue;
		if (!q->started) {
			*deferred = take_deferred(q, key);
			if (!*deferred)
				continue;
			found = q;
			break;
		}
		if (q->cancelled)
			continue;
		if (req_claim(q)) {
			found = q;
			break;
		}
		req_interrupt(q);
		*busy = true;
		if (!(key->flags & (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY)))
			break;
	}
	spin_unlock(&r->req_lock);
	return found;
}

struct req *ring_claim(struct ring *r, u64 user_data, s32 opcode, bool *busy)
{
	struct cancel_key key = { .user_data = user_data, .opcode = opcode };
	bool deferred = false;

	return claim_one(r, &key, busy, &deferred);
}

long ring_cancel(struct ring *r, const struct cancel_key *key)
{
	bool many = key->flags & (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY), busy = false;
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
