/* Requests in the wait queues of their files; IORING_OP_POLL_ADD and _REMOVE. */
#include <linux/eventpoll.h>

#include "sentry/uring/uring.h"

struct arm_table {
	struct poll_table pt;
	struct req *req;
	bool failed;
};

static bool hook_wake(struct waiter *w, u32 key)
{
	struct hook *h = container_of(w, struct hook, w);

	if (!(key & (h->req->events | EPOLLERR | EPOLLHUP)))
		return false;
	req_wake(h->req);
	return true;
}

void req_wake(struct req *q)
{
	if (!atomic_fetch_add(&q->wakes, 1))
		ring_again(q);
}

static void hook_queue(struct poll_table *pt, struct file *file, struct waitq *wq)
{
	struct arm_table *t = container_of(pt, struct arm_table, pt);
	struct req *q = t->req;
	struct hook *h = q->hooks ? kzalloc(sizeof(*h)) : &q->hook0;

	if (!h) {
		t->failed = true;
		return;
	}
	memset(h, 0, sizeof(*h));
	list_init(&h->w.node);
	h->w.fn = hook_wake;
	h->q = wq;
	h->req = q;
	h->next = q->hooks;
	q->hooks = h;
	waitq_add(wq, &h->w);
}

void req_unhook(struct req *q)
{
	struct hook *h;

	while ((h = q->hooks)) {
		q->hooks = h->next;
		waitq_remove(h->q, &h->w);
		if (h != &q->hook0)
			kfree(h);
	}
}

/* Hang it up and ask the file once; what is ready now, or -ENOMEM. */
static long hook_up(struct req *q, u32 events)
{
	struct arm_table t = { .pt.queue = hook_queue, .pt.events = events | EPOLLERR | EPOLLHUP, .req = q };
	u32 mask;

	q->events = events;
	atomic_store(&q->wakes, 1);
	mask = vfs_poll(q->file, &t.pt) & t.pt.events;
	return t.failed ? -ENOMEM : (long)mask;
}

/* Let go unless something came meanwhile. True: gone. */
static bool let_go(struct req *q, u32 seen)
{
	return !READ_ONCE(q->cancelled) && atomic_fetch_sub(&q->wakes, seen) == seen;
}

long req_arm(struct req *q, u32 events)
{
	long mask = hook_up(q, events);

	if (!mask && let_go(q, 1))
		return IOU_QUEUED;
	req_unhook(q);
	return MIN(mask, 0);
}

/* ---- IORING_OP_POLL_ADD ---- */

long prep_poll(struct req *q)
{
	u32 flags = q->sqe.len;

	if (q->sqe.buf_index || q->sqe.off || q->sqe.addr || flags & ~(u32)IORING_POLL_ADD_MULTI)
		return -EINVAL;
	if (flags & IORING_POLL_ADD_MULTI && q->sqe.flags & IOSQE_CQE_SKIP_SUCCESS)
		return -EINVAL;
	q->multishot = flags & IORING_POLL_ADD_MULTI;
	return 0;
}

static void poll_tell(struct req *q, long mask)
{
	ring_post(q->ring, q->sqe.user_data, (s32)mask, IORING_CQE_F_MORE);
}

long issue_poll(struct req *q, bool may_block)
{
	u32 events = q->sqe.poll32_events;
	long mask;

	if (!q->file->fop->poll) /* files that are always ready */
		return events & POLL_DEFAULT_MASK;
	if (req_hold(q))
		return -ENOMEM;
	mask = hook_up(q, events);
	if (mask && !q->multishot) {
		req_unhook(q);
		return mask;
	}
	if (mask > 0)
		poll_tell(q, mask);
	if (mask < 0) {
		req_unhook(q);
		return mask;
	}
	if (!let_go(q, 1))
		poll_again(q);
	return IOU_QUEUED;
}

void poll_again(struct req *q)
{
	u32 events = q->sqe.poll32_events | EPOLLERR | EPOLLHUP, seen;
	long mask;

	do {
		seen = atomic_load(&q->wakes);
		if (READ_ONCE(q->cancelled)) {
			req_unhook(q);
			req_end(q, -ECANCELED);
			return;
		}
		mask = vfs_poll(q->file, NULL) & events;
		if (mask && !q->multishot) {
			req_unhook(q);
			req_end(q, mask);
			return;
		}
		if (mask)
			poll_tell(q, mask);
	} while (!let_go(q, seen));
}

/* ---- IORING_OP_POLL_REMOVE: also changes what a request waits for ---- */

static long poll_update(struct req *target, const struct io_uring_sqe *how)
{
	req_unhook(target);
	if (how->len & IORING_POLL_UPDATE_EVENTS)
		target->sqe.poll32_events = how->poll32_events;
	if (how->len & IORING_POLL_UPDATE_USER_DATA)
		target->sqe.user_data = how->off;
	WRITE_ONCE(target->cancelled, false);
	req_start(target);
	return 0;
}

long issue_poll_remove(struct req *q, bool may_block)
{
	u32 update = IORING_POLL_UPDATE_EVENTS | IORING_POLL_UPDATE_USER_DATA, flags = q->sqe.len;
	struct req *target;
	bool busy = false;

	if (q->sqe.buf_index || q->sqe.splice_fd_in || flags & ~(update | IORING_POLL_ADD_MULTI))
		return -EINVAL;
	if (!(flags & update) && flags)
		return -EINVAL;
	if (!(flags & update) && (q->sqe.off || q->sqe.poll32_events))
		return -EINVAL;
	target = ring_claim(q->ring, q->sqe.addr, IORING_OP_POLL_ADD, &busy);
	if (!target)
		return busy ? -EALREADY : -ENOENT;
	if (flags & update) {
		if (flags & IORING_POLL_UPDATE_EVENTS)
			target->multishot = flags & IORING_POLL_ADD_MULTI;
		return poll_update(target, &q->sqe);
	}
	req_unhook(target);
	req_end(target, -ECANCELED);
	return 0;
}
