/* IORING_OP_TIMEOUT, _TIMEOUT_REMOVE and _LINK_TIMEOUT. */
#include <linux/time_types.h>

#include "sentry/kernel/clock.h"
#include "sentry/kernel/timer.h"
#include "sentry/uring/uring.h"

/* The deadline on the monotonic clock. */
static long read_deadline(u64 uts, u32 flags, u64 *deadline)
{
	u64 now = clock_mono_ns(), base = now, at;
	struct __kernel_timespec ts;

	if (copy_from_user(&ts, uts, sizeof(ts)))
		return -EFAULT;
	if (ts.tv_sec < 0 || ts.tv_nsec < 0)
		return -EINVAL;
	at = (u64)ts.tv_sec > ~0ull / NSEC_PER_SEC / 4 ? ~0ull >> 2 : (u64)ts.tv_sec * NSEC_PER_SEC + (u64)ts.tv_nsec;
	if (!(flags & IORING_TIMEOUT_ABS)) {
		*deadline = now + at;
		return 0;
	}
	if (flags & IORING_TIMEOUT_BOOTTIME)
		base = clock_boot_ns();
	else if (flags & IORING_TIMEOUT_REALTIME)
		base = clock_real_ns();
	*deadline = at > base ? now + (at - base) : now;
	return 0;
}

static bool bad_flags(u32 flags, u32 allowed)
{
	return flags & ~allowed || (flags & IORING_TIMEOUT_CLOCK_MASK) == IORING_TIMEOUT_CLOCK_MASK;
}

/* The time is read now: the application may use its memory again (IORING_FEAT_SUBMIT_STABLE). */
long prep_timeout(struct req *q)
{
	u32 flags = q->sqe.timeout_flags;

	if (q->sqe.buf_index || q->sqe.len != 1 || q->sqe.splice_fd_in)
		return -EINVAL;
	if (q->sqe.opcode == IORING_OP_LINK_TIMEOUT && q->sqe.off)
		return -EINVAL;
	if (bad_flags(flags, IORING_TIMEOUT_ABS | IORING_TIMEOUT_CLOCK_MASK | IORING_TIMEOUT_ETIME_SUCCESS))
		return -EINVAL;
	return read_deadline(q->sqe.addr, flags, &q->expires);
}

/* Let go, with the timer running. */
static long timer_start(struct req *q)
{
	q->timer_on = true;
	q->timer_fired = false;
	ktimer_start(&q->timer, q->expires);
	if (READ_ONCE(q->cancelled) || atomic_fetch_sub(&q->wakes, 1) != 1)
		timeout_again(q);
	return IOU_QUEUED;
}

long issue_timeout(struct req *q, bool may_block)
{
	struct ring *r = q->ring;

	if (req_hold(q))
		return -ENOMEM;
	if ((u32)q->sqe.off) {
		spin_lock(&r->req_lock);
		q->base = r->cq_tail - r->cq_timeouts;
		q->counted = true;
		r->ncounted++;
		spin_unlock(&r->req_lock);
	}
	return timer_start(q);
}

static struct req *take_reached(struct ring *r)
{
	struct req *q, *found = NULL;

	spin_lock(&r->req_lock);
	list_for_each(q, &r->reqs, node) {
		if (!q->counted || r->cq_tail - r->cq_timeouts - q->base < (u32)q->sqe.off)
			continue;
		q->counted = false;
		r->ncounted--;
		if (!atomic_fetch_add(&q->wakes, 1)) {
			found = q;
			break;
		}
	}
	spin_unlock(&r->req_lock);
	return found;
}

static void end_timeout(struct req *q, long res)
{
	struct ring *r = q->ring;

	ktimer_cancel_sync(&q->timer);
	q->timer_on = false;
	q->link_holds = res == -ETIME && q->sqe.timeout_flags & IORING_TIMEOUT_ETIME_SUCCESS;
	spin_lock(&r->req_lock);
	if (q->counted)
		r->ncounted--;
	q->counted = false;
	r->cq_timeouts++;
	spin_unlock(&r->req_lock);
	req_end(q, res);
}

void ring_check_counts(struct ring *r)
{
	struct req *q;

	while (READ_ONCE(r->ncounted) && (q = take_reached(r)))
		end_timeout(q, 0);
}

/* ---- link timeouts ---- */

void link_timeout_start(struct req *q)
{
	struct req *lt = q->link;

	if (!lt || lt->sqe.opcode != IORING_OP_LINK_TIMEOUT)
		return;
	if (req_hold(lt))
		return; /* it never fires; ends with its request */
	spin_lock(&q->ring->req_lock);
	lt->head = q;
	lt->started = true;
	spin_unlock(&q->ring->req_lock);
	timer_start(lt);
}

/* Its request is done: the timeout ends too, by us or by who is just dealing with it. */
struct req *link_timeout_stop(struct req *q)
{
	struct req *lt, *next;
	bool mine = false;

	spin_lock(&q->ring->req_lock);
	if (q->head) { /* a link timeout that ends by itself leaves its chain */
		q->head->link = q->link;
		q->link = q->head = NULL;
	}
	lt = q->link;
	next = lt;
	if (lt && lt->sqe.opcode == IORING_OP_LINK_TIMEOUT) {
		next = lt->link;
		lt->link = lt->head = NULL;
		mine = lt->started ? req_claim(lt) : true;
	} else {
		lt = NULL;
	}
	q->link = NULL;
	spin_unlock(&q->ring->req_lock);
	if (mine)
		end_timeout(lt, -ECANCELED);
	return next;
}

/* The time is up: stop the request it belongs to. */
static long stop_head(struct req *lt)
{
	struct ring *r = lt->ring;
	struct req *head;
	bool mine = false;

	spin_lock(&r->req_lock);
	head = lt->head;
	if (head) {
		head->link = lt->link;
		lt->link = lt->head = NULL;
		mine = req_claim(head);
		if (!mine)
			req_interrupt(head);
	}
	spin_unlock(&r->req_lock);
	if (mine) {
		req_unhook(head);
		req_end(head, -ECANCELED);
	}
	return head ? -ETIME : -ECANCELED;
}

void timeout_again(struct req *q)
{
	long res = READ_ONCE(q->timer_fired) ? -ETIME : 0;

	if (READ_ONCE(q->cancelled))
		res = -ECANCELED;
	else if (q->sqe.opcode == IORING_OP_LINK_TIMEOUT)
		res = stop_head(q);
	end_timeout(q, res);
}

/* ---- IORING_OP_TIMEOUT_REMOVE ---- */

static long update_timeout(struct req *q)
{
	s32 opcode = q->sqe.timeout_flags & IORING_LINK_TIMEOUT_UPDATE ? IORING_OP_LINK_TIMEOUT : IORING_OP_TIMEOUT;
	struct req *target;
	u64 deadline;
	bool busy = false;
	long err = read_deadline(q->sqe.addr2, q->sqe.timeout_flags, &deadline);

	if (err)
		return err;
	target = ring_claim(q->ring, q->sqe.addr, opcode, &busy);
	if (!target)
		return busy ? -EALREADY : -ENOENT;
	ktimer_cancel_sync(&target->timer);
	WRITE_ONCE(target->cancelled, false);
	atomic_store(&target->wakes, 1);
	target->expires = deadline;
	timer_start(target);
	return 0;
}

long issue_timeout_remove(struct req *q, bool may_block)
{
	u32 flags = q->sqe.timeout_flags;
	struct req *target;
	bool busy = false;

	if (q->sqe.buf_index || q->sqe.len || q->sqe.splice_fd_in)
		return -EINVAL;
	if (flags & IORING_TIMEOUT_UPDATE_MASK) {
		if (bad_flags(flags, IORING_TIMEOUT_ABS | IORING_TIMEOUT_CLOCK_MASK | IORING_TIMEOUT_UPDATE_MASK))
			return -EINVAL;
		return update_timeout(q);
	}
	if (flags)
		return -EINVAL;
	target = ring_claim(q->ring, q->sqe.addr, IORING_OP_TIMEOUT, &busy);
	if (!target)
		return busy ? -EALREADY : -ENOENT;
	end_timeout(target, -ECANCELED);
	return 0;
}
