#include "net/stream.h"

#include <linux/eventpoll.h>

int stream_init(struct stream *s)
{
	return bq_init(&s->rx, SOCK_BUF_DEFAULT);
}

void stream_destroy(struct stream *s)
{
	bq_destroy(&s->rx);
}

void stream_connect_pair(struct stream *a, struct stream *b)
{
	sock_get(&a->sk);
	sock_get(&b->sk);
	b->peer = a;
	WRITE_ONCE(a->peer, b);
}

static u64 tx_limit(struct stream *s)
{
	u64 most = (s->peer->rx.nslots - 1) * PAGE_SIZE;

	return MIN(s->sk.sndbuf, most);
}

static size_t tx_room(struct stream *s)
{
	u64 used = bq_used(&s->peer->rx), limit = tx_limit(s);

	return used < limit ? limit - used : 0;
}

/* Writers are let go on when half of the queue is free: fewer wake-ups, larger pieces. */
bool stream_writable(struct stream *s)
{
	struct stream *peer = READ_ONCE(s->peer);

	return !peer || bq_used(&peer->rx) * 2 <= tx_limit(s);
}

/* 0: go on; else the result of the whole call. */
static long tx_check(struct stream *s)
{
	if (unlikely(atomic_load_explicit(&s->sk.err, memory_order_relaxed)))
		return sock_take_error(&s->sk);
	if (unlikely(READ_ONCE(s->sk.shutdown) & SEND_SHUTDOWN))
		return -EPIPE;
	return 0;
}

/* Put up to n bytes into the peer's queue. Bytes or -errno. */
static long tx_some(struct stream *s, struct msg *m, const struct stream_hooks *h, void *arg)
{
	struct stream *peer = s->peer;
	int err = 0;
	size_t n;
	u64 pos;

	mutex_lock(&peer->rx.wlock);
	n = MIN(tx_room(s), m->it.count);
	pos = peer->rx.tail;
	n = bq_fill(&peer->rx, &m->it, n, &err);
	if (n) {
		if (h->sending)
			h->sending(peer, pos, pos + n, arg);
		bq_publish(&peer->rx, n);
	}
	mutex_unlock(&peer->rx.wlock);
	if (n)
		sock_wake(&peer->sk, EPOLLIN | EPOLLRDNORM);
	return n ? (long)n : err;
}

static bool tx_may_go_on(struct stream *s)
{
	return stream_writable(s) || s->sk.err || READ_ONCE(s->sk.shutdown) & SEND_SHUTDOWN || READ_ONCE(s->peer->sk.dead);
}

long stream_send(struct stream *s, struct msg *m, const struct stream_hooks *h, void *arg)
{
	u64 deadline = 0;
	long done = 0, n = 0;

	while (m->it.count) {
		n = tx_check(s);
		if (n)
			break;
		if (unlikely(READ_ONCE(s->peer->sk.dead))) {
			n = h->refused ? h->refused(s, m) : -EPIPE;
			if (!n) {
				done += m->it.count;
				iov_iter_advance(&m->it, m->it.count);
			}
			break;
		}
		if (tx_room(s)) {
			n = tx_some(s, m, h, arg);
			if (n < 0)
				break;
			done += n;
			continue;
		}
		n = -EAGAIN;
		if (m->flags & MSG_DONTWAIT)
			break;
		if (!deadline)
			deadline = sock_deadline(s->sk.sndtimeo);
		n = sock_wait(&s->sk, tx_may_go_on(s), s->sk.sndtimeo, deadline);
		if (n)
			break;
	}
	if (done)
		return done;
	return n == -EPIPE ? sock_epipe(m) : n;
}

/* Where in the queue the next byte for this call lies: a peek goes on behind what it has shown, SO_PEEK_OFF further. */
static size_t rx_skip(const struct stream *s, const struct msg *m, size_t done)
{
	if (!(m->flags & MSG_PEEK))
		return 0;
	return done + (s->sk.peek_off > 0 ? s->sk.peek_off : 0);
}

/* After a call: a peek moves the offset on, a read takes as much off it. rlock held. */
static void rx_move_peek_off(struct stream *s, const struct msg *m, long done)
{
	if (s->sk.peek_off < 0 || done <= 0)
		return;
	if (m->flags & MSG_PEEK)
		s->sk.peek_off += done;
	else
		s->sk.peek_off = MAX(0, s->sk.peek_off - done);
}

static bool rx_may_go_on(struct stream *s, size_t skip)
{
	return bq_used(&s->rx) > skip || s->sk.err || READ_ONCE(s->sk.shutdown) & RCV_SHUTDOWN;
}

/* Nothing is queued: 1 when data came after all or a wait succeeded, 0 at end of file, or -errno. rlock held, dropped while asleep. */
static long rx_wait(struct stream *s, struct msg *m, size_t skip, u64 *deadline)
{
	long err = sock_take_error(&s->sk);

	if (err)
		return err;
	if (READ_ONCE(s->sk.shutdown) & RCV_SHUTDOWN)
		return bq_used(&s->rx) > skip;
	if (m->flags & MSG_DONTWAIT)
		return -EAGAIN;
	if (!*deadline)
		*deadline = sock_deadline(s->sk.rcvtimeo);
	mutex_unlock(&s->rx.rlock);
	err = sock_wait(&s->sk, rx_may_go_on(s, skip), s->sk.rcvtimeo, *deadline);
	mutex_lock(&s->rx.rlock);
	return err ? err : 1;
}

static void rx_consume(struct stream *s, size_t n)
{
	struct stream *peer = READ_ONCE(s->peer);
	bool was_writable = !peer || stream_writable(peer);

	bq_consume(&s->rx, n);
	if (peer && !was_writable && stream_writable(peer))
		sock_wake(&peer->sk, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
}

/* One piece that is there. Bytes, 0 to stop, -EFAULT. */
static long rx_some(struct stream *s, struct msg *m, size_t done, const struct stream_hooks *h, void *arg, bool *more)
{
	bool peek = m->flags & MSG_PEEK;
	size_t skip = rx_skip(s, m, done), n = MIN(bq_used(&s->rx) - skip, m->it.count), got;
	u64 pos = s->rx.head + skip;

	if (h->limit)
		n = h->limit(s, pos, n, done, arg);
	if (!n)
		return 0;
	if (m->flags & MSG_TRUNC && s->sk.family != AF_UNIX) {
		got = n; /* tcp(7): discard instead of copying */
		iov_iter_advance(&m->it, n);
	} else {
		got = bq_copy(&s->rx, &m->it, skip, n);
	}
	if (got && h->received && !h->received(s, pos, pos + got, peek, arg))
		*more = false;
	if (got && !peek)
		rx_consume(s, got);
	if (got < n) {
		*more = false;
		return got ? (long)got : -EFAULT;
	}
	return got;
}

long stream_recv(struct stream *s, struct msg *m, const struct stream_hooks *h, void *arg)
{
	size_t want = m->it.count, target = m->flags & MSG_WAITALL ? want : MIN(want, MAX(1u, s->sk.rcvlowat));
	bool more = true;
	u64 deadline = 0;
	long done = 0, n = 0;

	mutex_lock(&s->rx.rlock);
	while (more && m->it.count) {
		if (bq_used(&s->rx) <= rx_skip(s, m, done)) {
			if ((size_t)done >= target)
				break;
			if (done && atomic_load(&s->sk.err))
				break;
			n = rx_wait(s, m, rx_skip(s, m, done), &deadline);
			if (n <= 0)
				break;
			continue;
		}
		n = rx_some(s, m, done, h, arg, &more);
		if (n <= 0)
			break;
		done += n;
	}
	rx_move_peek_off(s, m, done);
	mutex_unlock(&s->rx.rlock);
	return done ? done : n;
}
