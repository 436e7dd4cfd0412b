/* Moving page fragments in, out and between pipes: what splice(2), tee(2) and vmsplice(2) build on. */
#include <asm/signal.h>
#include <linux/errno.h>

#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/pipe.h"
#include "sentry/vfs/pipe_internal.h"

/* Lock the pipe with data in it. 1: data, locked; 0: end of file; -errno. */
static long pipe_lock_readable(struct pipe *p, bool nonblock)
{
	long err;

	for (;;) {
		mutex_lock(&p->lock);
		if (!pipe_empty(p))
			return 1;
		err = p->writers ? -EAGAIN : 0;
		mutex_unlock(&p->lock);
		if (!err || nonblock)
			return err;
		err = wait_event_interruptible(p->rd_wait, !READ_ONCE_PIPE_EMPTY(p) || !READ_ONCE(p->writers));
		if (err)
			return err;
	}
}

/* Lock the pipe with a free slot in it. 1: locked; -errno, -EPIPE with the signal sent. */
static long pipe_lock_writable(struct pipe *p, bool nonblock)
{
	long err;

	for (;;) {
		mutex_lock(&p->lock);
		if (!p->readers) {
			mutex_unlock(&p->lock);
			send_signal_task(current, SIGPIPE, SEND_SIG_NOINFO);
			return -EPIPE;
		}
		if (!pipe_full(p))
			return 1;
		mutex_unlock(&p->lock);
		if (nonblock)
			return -EAGAIN;
		err = wait_event_interruptible(p->wr_wait, !READ_ONCE_PIPE_FULL(p) || !READ_ONCE(p->readers));
		if (err)
			return err;
	}
}

long pipe_splice_out(struct pipe *p, size_t len, bool nonblock,
		     long (*actor)(void *ctx, struct page *page, u32 off, u32 len), void *ctx)
{
	long done = 0, n = pipe_lock_readable(p, nonblock);

	if (n <= 0)
		return n;
	while (len && !pipe_empty(p)) {
		struct pipe_buf *b = pipe_slot(p, p->tail);
		u32 want = MIN(b->len, len);

		n = actor(ctx, b->page, b->off, want);
		if (n <= 0)
			break;
		b->off += n;
		b->len -= n;
		len -= n;
		done += n;
		if (!b->len)
			pipe_pop(p);
		if (n < want)
			break;
	}
	mutex_unlock(&p->lock);
	if (done)
		pipe_wake_writers(p);
	return done ? done : n;
}

long pipe_splice_in(struct pipe *p, struct page *page, u32 off, u32 len, bool nonblock)
{
	long err = pipe_lock_writable(p, nonblock);

	if (err < 0)
		return err;
	page_get(page);
	*pipe_slot(p, p->head) = (struct pipe_buf){ page, off, len, 0 };
	p->head++;
	mutex_unlock(&p->lock);
	pipe_wake_readers(p);
	return len;
}

long pipe_wait_space(struct pipe *p, bool nonblock)
{
	long n = pipe_lock_writable(p, nonblock);

	if (n < 0)
		return n;
	n = (p->size - (p->head - p->tail)) * PAGE_SIZE;
	mutex_unlock(&p->lock);
	return n;
}

static void lock_two(struct pipe *a, struct pipe *b)
{
	mutex_lock(a < b ? &a->lock : &b->lock);
	mutex_lock(a < b ? &b->lock : &a->lock);
}

/* Both locks held. Stops when `in` has no more or `out` is full. */
static long transfer(struct pipe *in, struct pipe *out, size_t len, bool keep)
{
	u32 i = in->tail;
	long done = 0;

	while (len && i != in->head && !pipe_full(out)) {
		struct pipe_buf *b = pipe_slot(in, i);
		u32 n = MIN(b->len, len);
		struct pipe_buf copy = { b->page, b->off, n, b->flags & PIPE_BUF_PACKET };

		page_get(b->page);
		*pipe_slot(out, out->head) = copy;
		out->head++;
		done += n;
		len -= n;
		if (keep) {
			/* The original page is shared now: nothing may be appended to it. */
			b->flags &= ~PIPE_BUF_CAN_MERGE;
			i++;
			continue;
		}
		b->flags &= ~PIPE_BUF_CAN_MERGE;
		b->off += n;
		b->len -= n;
		if (!b->len) {
			pipe_pop(in);
			i = in->tail;
		}
	}
	return done;
}

long pipe_to_pipe(struct pipe *in, struct pipe *out, size_t len, bool keep, bool nonblock)
{
	long n;

	if (in == out)
		return -EINVAL;
	if (!len)
		return 0;
	for (;;) {
		n = pipe_lock_readable(in, nonblock);
		if (n <= 0)
			return n;
		mutex_unlock(&in->lock);
		n = pipe_lock_writable(out, nonblock);
		if (n < 0)
			return n;
		mutex_unlock(&out->lock);
		lock_two(in, out);
		n = transfer(in, out, len, keep);
		mutex_unlock(&in->lock);
		mutex_unlock(&out->lock);
		if (n) {
			pipe_wake_readers(out);
			if (!keep)
				pipe_wake_writers(in);
			return n;
		}
	}
}
