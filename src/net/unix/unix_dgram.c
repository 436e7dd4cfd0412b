/* SOCK_DGRAM and SOCK_SEQPACKET: packets in the receiver's queue. */
#include <linux/eventpoll.h>

#include "base/string.h"
#include "net/filter.h"
#include "net/unix/unix.h"
#include "sentry/kernel/task.h"

static bool rxq_full(struct unix_sock *u)
{
	return READ_ONCE(u->st.sk.nrx) > UNIX_MAX_DGRAM_QLEN;
}

/* ---- connections of datagram sockets ---- */

static void set_dpeer(struct unix_sock *u, struct unix_sock *peer)
{
	struct unix_sock *old;

	spin_lock(&u->st.sk.lock);
	old = u->dpeer;
	u->dpeer = peer;
	u->st.sk.state = peer ? SS_CONNECTED : SS_UNCONNECTED;
	spin_unlock(&u->st.sk.lock);
	if (old) {
		spin_lock(&old->st.sk.lock);
		list_del(&u->client_node);
		spin_unlock(&old->st.sk.lock);
		sock_put(&old->st.sk);
	}
	if (peer) {
		spin_lock(&peer->st.sk.lock);
		if (!peer->st.sk.dead)
			list_add_tail(&u->client_node, &peer->clients);
		spin_unlock(&peer->st.sk.lock);
	}
}

void unix_dgram_disconnect(struct unix_sock *u)
{
	mutex_lock(&u->bindlock);
	set_dpeer(u, NULL);
	mutex_unlock(&u->bindlock);
}

int unix_dgram_socketpair(struct unix_sock *a, struct unix_sock *b)
{
	sock_get(&a->st.sk);
	sock_get(&b->st.sk);
	set_dpeer(a, b);
	set_dpeer(b, a);
	return 0;
}

/* A socket that is connected takes packets only from its peer. */
static bool may_send(struct unix_sock *from, struct unix_sock *to)
{
	struct unix_sock *p = READ_ONCE(to->dpeer);

	return !p || p == from;
}

int unix_dgram_connect(struct sock *sk, const struct sockaddr_k *addr, u32 len, bool nonblock)
{
	struct unix_sock *u = to_unix(sk), *to;
	int err = 0;

	if (len < sizeof(addr->family))
		return -EINVAL;
	if (addr->family == AF_UNSPEC) {
		unix_dgram_disconnect(u);
		return 0;
	}
	if (sk->passcred && !READ_ONCE(u->addr))
		err = unix_autobind(u);
	if (err)
		return err;
	to = unix_find(addr, len, sk->type);
	if (IS_ERR(to))
		return PTR_ERR(to);
	if (!may_send(u, to)) {
		sock_put(&to->st.sk);
		return -EPERM;
	}
	mutex_lock(&u->bindlock);
	set_dpeer(u, to); /* keeps the reference */
	mutex_unlock(&u->bindlock);
	return 0;
}

/* ---- sending ---- */

static struct pkt *make_pkt(struct unix_sock *u, struct msg *m, struct scm *scm)
{
	struct pkt *p = pkt_from_msg(m, m->it.count);

	if (IS_ERR(p))
		return p;
	p->unix_from = unix_addr_get(READ_ONCE(u->addr));
	p->fp = scm->fp;
	scm->fp = NULL;
	p->cred = scm->cred;
	p->has_cred = true;
	pkt_charge(p, &u->st.sk);
	return p;
}

static bool tx_has_room(struct sock *sk)
{
	return atomic_load(&sk->wmem) < sk->sndbuf;
}

/* Wait until the socket's own send buffer takes another packet. */
static long tx_wait_buffer(struct sock *sk, struct msg *m, u64 *deadline)
{
	if (tx_has_room(sk))
		return 0;
	if (m->flags & MSG_DONTWAIT)
		return -EAGAIN;
	if (!*deadline)
		*deadline = sock_deadline(sk->sndtimeo);
	return sock_wait(sk, tx_has_room(sk) || sk->shutdown & SEND_SHUTDOWN, sk->sndtimeo, *deadline);
}

/* Can the receiver take it? 0, 1: its queue is full, or -errno. */
static long rx_check(struct unix_sock *u, struct unix_sock *to)
{
	struct sock *ts = &to->st.sk;

	if (READ_ONCE(ts->dead))
		return -ECONNREFUSED;
	if (sock_is(ts, SOCK_DGRAM) && !may_send(u, to))
		return -EPERM;
	if (READ_ONCE(ts->shutdown) & RCV_SHUTDOWN)
		return -EPIPE;
	/* Two datagram sockets connected to each other are limited by their send buffers alone. */
	return to != u && READ_ONCE(to->dpeer) != u && sock_is(ts, SOCK_DGRAM) && rxq_full(to);
}

static long deliver(struct unix_sock *u, struct unix_sock *to, struct pkt *p, struct msg *m, u64 *deadline)
{
	long err;

	for (;;) {
		err = rx_check(u, to);
		if (err < 0)
			return err;
		if (!err)
			break;
		if (m->flags & MSG_DONTWAIT)
			return -EAGAIN;
		if (!*deadline)
			*deadline = sock_deadline(u->st.sk.sndtimeo);
		err = sock_wait_error(wait_event_interruptible_until(to->peer_wait, to->st.sk.dead || !rxq_full(to), *deadline),
				      u->st.sk.sndtimeo);
		if (err)
			return err;
	}
	if (sock_filter_pkt(&to->st.sk, p))
		pkt_queue(&to->st.sk, p);
	else
		pkt_free(p); /* the sender does not hear of it */
	return 0;
}

static long send_pkt(struct unix_sock *u, struct unix_sock *to, struct msg *m)
{
	struct sock *sk = &u->st.sk;
	size_t n = m->it.count;
	u64 deadline = 0;
	struct scm scm;
	struct pkt *p;
	long err;

	if (n > sk->sndbuf - 32)
		return -EMSGSIZE;
	err = scm_send(sk, m, &scm);
	if (err)
		return err;
	err = tx_wait_buffer(sk, m, &deadline);
	if (!err && sk->shutdown & SEND_SHUTDOWN)
		err = -EPIPE;
	p = err ? ERR_PTR(err) : make_pkt(u, m, &scm);
	scm_drop(&scm);
	if (IS_ERR(p))
		return PTR_ERR(p);
	err = deliver(u, to, p, m, &deadline);
	if (err)
		pkt_free(p);
	return err ? err : (long)n;
}

long unix_dgram_sendmsg(struct sock *sk, struct msg *m)
{
	struct unix_sock *u = to_unix(sk), *to;
	long ret = 0;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (sk->err)
		return sock_take_error(sk);
	if (sk->passcred && !READ_ONCE(u->addr))
		ret = unix_autobind(u);
	if (ret)
		return ret;
	if (m->name && m->namelen) {
		to = unix_find(m->name, m->namelen, sk->type);
		if (IS_ERR(to))
			return PTR_ERR(to);
	} else {
		spin_lock(&sk->lock);
		to = u->dpeer;
		if (to)
			sock_get(&to->st.sk);
		spin_unlock(&sk->lock);
		if (!to)
			return -ENOTCONN;
	}
	if (sk->shutdown & SEND_SHUTDOWN)
		ret = -EPIPE;
	else
		ret = send_pkt(u, to, m);
	if (ret == -ECONNREFUSED && to == READ_ONCE(u->dpeer))
		unix_dgram_disconnect(u);
	sock_put(&to->st.sk);
	return ret == -EPIPE ? sock_epipe(m) : ret;
}

long unix_seqpacket_sendmsg(struct sock *sk, struct msg *m)
{
	struct unix_sock *u = to_unix(sk);
	long ret;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (sk->err)
		return sock_take_error(sk);
	if (sk->state != SS_CONNECTED)
		return -ENOTCONN;
	ret = sk->shutdown & SEND_SHUTDOWN ? -EPIPE : send_pkt(u, unix_peer(u), m);
	if (ret == -ECONNREFUSED)
		ret = -ECONNRESET;
	return ret == -EPIPE ? sock_epipe(m) : ret;
}

/* ---- receiving ---- */

static void wake_senders(struct unix_sock *u)
{
	struct unix_sock *c;

	atomic_thread_fence(memory_order_seq_cst);
	if (waitq_active(&u->peer_wait))
		wake_up_all(&u->peer_wait);
	if (list_empty(&u->clients))
		return;
	spin_lock(&u->st.sk.lock);
	list_for_each(c, &u->clients, client_node)
		if (waitq_active(&c->st.sk.wait))
			wake_up_key(&c->st.sk.wait, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND, 0);
	spin_unlock(&u->st.sk.lock);
}

static long take_pkt(struct unix_sock *u, struct pkt *p, struct msg *m, struct scm *scm)
{
	struct sock *sk = &u->st.sk;
	bool peek = m->flags & MSG_PEEK, was_full = rxq_full(u);
	long ret = pkt_copy(p, m);

	unix_put_name(m, p->unix_from);
	scm->cred = p->cred;
	if (peek) {
		if (p->fp && ret >= 0)
			scm->fp = scm_fp_dup(p->fp);
		return ret;
	}
	pkt_unlink(sk, p);
	if (ret >= 0) {
		scm->fp = p->fp;
		p->fp = NULL;
	}
	pkt_free(p);
	if (was_full && !rxq_full(u))
		wake_senders(u);
	return ret;
}

long unix_dgram_recvmsg(struct sock *sk, struct msg *m)
{
	struct unix_sock *u = to_unix(sk);
	struct scm scm = { .fp = NULL };
	struct pkt *p;
	long ret = 0;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	mutex_lock(&u->rxlock);
	p = pkt_wait(sk, m, &u->rxlock);
	if (IS_ERR(p))
		ret = PTR_ERR(p);
	else if (p)
		ret = take_pkt(u, p, m, &scm);
	mutex_unlock(&u->rxlock);
	if (IS_ERR_OR_NULL(p) || ret < 0)
		return ret;
	if (sock_is(sk, SOCK_SEQPACKET))
		m->out_flags |= MSG_EOR;
	scm_recv(sk, m, &scm);
	return ret;
}

long unix_seqpacket_recvmsg(struct sock *sk, struct msg *m)
{
	return sk->state != SS_CONNECTED ? -ENOTCONN : unix_dgram_recvmsg(sk, m);
}

u32 unix_dgram_poll(struct file *f, struct sock *sk, struct poll_table *pt)
{
	u32 mask = 0, shutdown = READ_ONCE(sk->shutdown);
	struct unix_sock *u = to_unix(sk), *to;
	bool writable = atomic_load(&sk->wmem) * 4 <= sk->sndbuf;

	if (sk->err)
		mask |= EPOLLERR;
	if (shutdown & RCV_SHUTDOWN)
		mask |= EPOLLRDHUP | EPOLLIN | EPOLLRDNORM;
	if (shutdown == SHUTDOWN_MASK)
		mask |= EPOLLHUP;
	if (READ_ONCE(sk->nrx))
		mask |= EPOLLIN | EPOLLRDNORM;
	spin_lock(&sk->lock);
	to = u->dpeer;
	if (writable && to && READ_ONCE(to->dpeer) != u && !to->st.sk.dead)
		writable = !rxq_full(to);
	spin_unlock(&sk->lock);
	if (writable)
		mask |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
	return mask;
}
