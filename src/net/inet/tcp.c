/* TCP (tcp(7)) over loopback: connections, close and reset. */
#include <asm/ioctls.h>
#include <linux/eventpoll.h>
#include <linux/in.h>
#include <linux/sockios.h>

#include "base/string.h"
#include "net/inet/inet.h"
#include "net/inet/tcp.h"

/* ---- connecting ---- */

static struct inet_sock *make_child(struct inet_sock *l, struct inet_sock *c)
{
	struct inet_sock *child = inet_new(l->st.sk.family, SOCK_STREAM, IPPROTO_TCP_K);

	if (!child)
		return NULL;
	sock_inherit(&child->st.sk, &l->st.sk);
	memcpy(child->opts, l->opts, sizeof(child->opts));
	child->v6only = l->v6only;
	child->uid = l->uid;
	child->laddr = c->raddr;
	child->lport = c->rport;
	child->raddr = c->laddr;
	child->rport = c->lport;
	inet_insert_child(child);
	return child;
}

/* Complete a client's connection, or leave it on the listener's synq. 0 or -ECONNREFUSED. */
static int tcp_attach(struct inet_sock *l, struct inet_sock *c)
{
	struct inet_sock *child = make_child(l, c);
	struct sock *ls = &l->st.sk, *cs = &c->st.sk;
	int err = 0;

	if (!child)
		return -ECONNREFUSED;
	spin_lock(&ls->lock);
	spin_lock(&cs->lock);
	if (ls->state != SS_LISTEN) {
		err = -ECONNREFUSED;
	} else if (cs->dead) {
		err = 1;
	} else if (ls->nacceptq > ls->backlog) {
		cs->state = SS_CONNECTING;
		sock_get(cs);
		c->listener = l;
		list_add_tail(&c->syn_node, &l->synq);
		err = 1;
	} else {
		stream_connect_pair(&c->st, &child->st);
		cs->state = child->st.sk.state = SS_CONNECTED;
		list_add_tail(&child->st.sk.accept_node, &ls->acceptq);
		ls->nacceptq++;
	}
	spin_unlock(&cs->lock);
	spin_unlock(&ls->lock);
	if (err) {
		inet_unbind(child);
		sock_put(&child->st.sk);
		return MIN(err, 0);
	}
	sock_wake(ls, EPOLLIN | EPOLLRDNORM);
	return 0;
}

static void tcp_refuse(struct inet_sock *c, s32 error)
{
	struct sock *sk = &c->st.sk;

	spin_lock(&sk->lock);
	atomic_store(&sk->err, error);
	sk->state = SS_UNCONNECTED;
	c->rport = 0;
	spin_unlock(&sk->lock);
	sock_wake_all(sk);
}

static struct inet_sock *synq_pop(struct inet_sock *l)
{
	struct inet_sock *c = NULL;

	spin_lock(&l->st.sk.lock);
	if (!list_empty(&l->synq)) {
		c = list_first(&l->synq, struct inet_sock, syn_node);
		list_del(&c->syn_node);
	}
	spin_unlock(&l->st.sk.lock);
	return c;
}

/* The oldest waiting client has room now. */
static void synq_next(struct inet_sock *l)
{
	struct inet_sock *c = synq_pop(l);

	if (!c)
		return;
	if (tcp_attach(l, c))
		tcp_refuse(c, ECONNREFUSED);
	sock_wake_all(&c->st.sk);
	sock_put(&c->st.sk);
}

/* The result of a connection that was under way. */
static int connect_result(struct inet_sock *is)
{
	struct sock *sk = &is->st.sk;

	if (sk->state == SS_CONNECTED) {
		is->connect_reported = false;
		return 0;
	}
	return sock_take_error(sk) ?: -ECONNABORTED;
}

static int connect_wait(struct inet_sock *is, bool nonblock)
{
	struct sock *sk = &is->st.sk;
	long err;

	if (nonblock)
		return -EALREADY;
	err = sock_wait(sk, READ_ONCE(sk->state) != SS_CONNECTING, sk->sndtimeo, sock_deadline(sk->sndtimeo));
	if (err == -EAGAIN)
		return -EINPROGRESS;
	return err ? err : connect_result(is);
}

static int connect_start(struct inet_sock *is, struct in_addr16 *dst, u16 port, bool nonblock)
{
	struct in_addr16 local = addr_loopback(addr_is_v4(dst));
	struct sock *sk = &is->st.sk;
	struct inet_sock *l;
	int err = inet_autobind(is, &local);

	if (err)
		return err;
	is->raddr = *dst;
	is->rport = port;
	l = inet_find_listener(is->st.sk.net, dst, port);
	err = l ? tcp_attach(l, is) : -ECONNREFUSED;
	if (l)
		sock_put(&l->st.sk);
	if (err && !nonblock) {
		is->rport = 0;
		return err;
	}
	if (nonblock) {
		/* Linux answers a moment later even on loopback: programs expect EINPROGRESS, then POLLOUT. */
		is->connect_reported = true;
		if (err)
			tcp_refuse(is, -err);
		return -EINPROGRESS;
	}
	return sk->state == SS_CONNECTED ? 0 : connect_wait(is, false);
}

static void tcp_disconnect(struct inet_sock *is);

static int tcp_connect(struct sock *sk, const struct sockaddr_k *addr, u32 len, bool nonblock)
{
	struct inet_sock *is = to_inet(sk);
	struct in_addr16 dst;
	u16 port;
	int err;

	if (len < sizeof(addr->family))
		return -EINVAL;
	if (addr->family == AF_UNSPEC) {
		tcp_disconnect(is);
		return 0;
	}
	switch (sk->state) {
	case SS_CONNECTING:
		return connect_wait(is, nonblock);
	case SS_CONNECTED:
		if (is->connect_reported)
			return connect_result(is);
		return -EISCONN;
	case SS_LISTEN:
	case SS_CLOSED:
		return -EISCONN;
	}
	if (is->connect_reported) {
		is->connect_reported = false;
		err = sock_take_error(sk);
		if (err)
			return err;
	}
	err = inet_parse(is, addr, len, &dst, &port);
	if (!err)
		err = inet_route(is, &dst);
	if (!err && is->user_bound && !addr_is_any(&is->laddr) && addr_is_v4(&is->laddr) != addr_is_v4(&dst))
		err = -ENETUNREACH;
	return err ? err : connect_start(is, &dst, port, nonblock);
}

static int tcp_listen(struct sock *sk, s32 backlog)
{
	struct inet_sock *is = to_inet(sk);
	int err = 0;

	if (sk->state != SS_UNCONNECTED && sk->state != SS_LISTEN)
		return -EINVAL;
	if (!is->lport)
		err = inet_autobind(is, NULL);
	if (err)
		return err;
	if (sk->state != SS_LISTEN && !inet_can_listen(is))
		return -EADDRINUSE;
	spin_lock(&sk->lock);
	sk->backlog = backlog;
	sk->state = SS_LISTEN;
	sk->shutdown = 0;
	spin_unlock(&sk->lock);
	return 0;
}

static struct sock *tcp_accept(struct sock *sk, bool nonblock)
{
	struct sock *child;

	if (sk->state != SS_LISTEN)
		return ERR_PTR(-EINVAL);
	child = sock_accept_wait(sk, nonblock);
	if (!IS_ERR(child) && !list_empty(&to_inet(sk)->synq))
		synq_next(to_inet(sk));
	return child;
}

/* ---- closing ---- */

/* A reset has come in. */
static void tcp_reset(struct stream *s)
{
	struct sock *sk = &s->sk;

	spin_lock(&sk->lock);
	/* After the peer's FIN the error is EPIPE, else ECONNRESET. */
	atomic_store(&sk->err, sk->shutdown & RCV_SHUTDOWN ? EPIPE : ECONNRESET);
	sk->shutdown = SHUTDOWN_MASK;
	to_inet(sk)->was_reset = true;
	spin_unlock(&sk->lock);
	sock_wake_all(sk);
}

static void tcp_fin(struct stream *s)
{
	spin_lock(&s->sk.lock);
	s->sk.shutdown |= RCV_SHUTDOWN;
	spin_unlock(&s->sk.lock);
	sock_wake_all(&s->sk);
}

static void close_listener(struct inet_sock *is)
{
	struct inet_sock *c;
	struct sock *child;

	while ((c = synq_pop(is))) {
		tcp_refuse(c, ECONNREFUSED);
		sock_put(&c->st.sk);
	}
	while ((child = acceptq_pop(&is->st.sk))) {
		child->linger = (struct linger_k){ 1, 0 }; /* nobody will read: reset */
		child->ops->release(child);
		sock_put(child);
	}
}

/* Off the synq of a listener that never had room. */
static void leave_synq(struct inet_sock *is)
{
	struct inet_sock *l;
	bool was_on = false;

	spin_lock(&inet_lock); /* keeps the listener: it leaves the port table before it goes */
	l = is->listener;
	if (l && !list_empty(&is->syn_node)) {
		spin_lock(&l->st.sk.lock);
		was_on = !list_empty(&is->syn_node);
		list_del(&is->syn_node);
		spin_unlock(&l->st.sk.lock);
	}
	spin_unlock(&inet_lock);
	if (was_on)
		sock_put(&is->st.sk);
}

/* Close the connection: a reset when data would be lost or SO_LINGER says so (RFC 2525, 2.17), else a FIN. */
static void drop_peer(struct inet_sock *is)
{
	struct sock *sk = &is->st.sk;
	struct stream *peer = is->st.peer;

	if (!peer)
		return;
	if (!peer->sk.dead) {
		if (bq_used(&is->st.rx) || (sk->linger.onoff && !sk->linger.linger))
			tcp_reset(peer);
		else
			tcp_fin(peer);
	}
	sock_put(&peer->sk);
}

static void tcp_release(struct sock *sk)
{
	struct inet_sock *is = to_inet(sk);
	u32 state;

	spin_lock(&sk->lock);
	state = sk->state;
	sk->dead = true;
	sk->file = NULL;
	sk->state = SS_CLOSED;
	sk->shutdown = SHUTDOWN_MASK;
	spin_unlock(&sk->lock);
	if (state == SS_LISTEN)
		close_listener(is);
	if (state == SS_CONNECTING)
		leave_synq(is);
	inet_unbind(is);
	drop_peer(is);
}

static void tcp_destroy(struct sock *sk)
{
	stream_destroy(&to_inet(sk)->st);
}

/* connect(AF_UNSPEC), and shutdown of a listener. A connected end is reset; its queue stays with the peer's reference. */
static void tcp_disconnect(struct inet_sock *is)
{
	struct sock *sk = &is->st.sk;
	u32 state = sk->state;

	if (state == SS_UNCONNECTED)
		return;
	spin_lock(&sk->lock);
	sk->state = state == SS_CONNECTED ? SS_CLOSED : SS_UNCONNECTED;
	spin_unlock(&sk->lock);
	if (state == SS_LISTEN)
		close_listener(is);
	if (state == SS_CONNECTING)
		leave_synq(is);
	if (state == SS_CONNECTED) {
		tcp_reset(is->st.peer);
		spin_lock(&sk->lock);
		sk->shutdown = SHUTDOWN_MASK;
		spin_unlock(&sk->lock);
	}
	is->rport = 0;
	sock_wake_all(sk);
}

static int tcp_shutdown(struct sock *sk, s32 how)
{
	struct inet_sock *is = to_inet(sk);
	u32 mode = how + 1;

	if (sk->state == SS_LISTEN && mode & RCV_SHUTDOWN) {
		tcp_disconnect(is);
		return 0;
	}
	if (sk->state == SS_CONNECTING) {
		tcp_disconnect(is);
		return 0;
	}
	if (sk->state != SS_CONNECTED)
		return -ENOTCONN;
	spin_lock(&sk->lock);
	sk->shutdown |= mode;
	spin_unlock(&sk->lock);
	if (mode & SEND_SHUTDOWN && !is->st.peer->sk.dead)
		tcp_fin(is->st.peer);
	sock_wake_all(sk);
	return 0;
}

/* ---- readiness ---- */

static u32 tcp_poll(struct file *f, struct sock *sk, struct poll_table *pt)
{
	struct inet_sock *is = to_inet(sk);
	u32 mask = 0, shutdown = READ_ONCE(sk->shutdown);

	if (sk->state == SS_LISTEN)
		return READ_ONCE(sk->nacceptq) ? EPOLLIN | EPOLLRDNORM : 0;
	if (sk->err)
		mask |= EPOLLERR;
	if (sk->state == SS_CONNECTING)
		return mask;
	if (shutdown == SHUTDOWN_MASK || sk->state == SS_UNCONNECTED || sk->state == SS_CLOSED)
		mask |= EPOLLHUP;
	if (shutdown & RCV_SHUTDOWN)
		mask |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	if (bq_used(&is->st.rx) >= MAX(1u, sk->rcvlowat))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (is->has_oob)
		mask |= EPOLLPRI;
	if (shutdown & SEND_SHUTDOWN || stream_writable(&is->st))
		mask |= EPOLLOUT | EPOLLWRNORM;
	return mask;
}

static long tcp_ioctl(struct sock *sk, u32 cmd, u64 arg)
{
	struct inet_sock *is = to_inet(sk);
	struct stream *peer = is->st.peer;

	switch (cmd) {
	case FIONREAD:
		return sk->state == SS_LISTEN ? -EINVAL : put_user((s32)bq_used(&is->st.rx), arg);
	case TIOCOUTQ:
		return sk->state == SS_LISTEN ? -EINVAL : put_user((s32)0, arg); /* all of it has been delivered */
	case SIOCATMARK:
		return put_user((s32)(peer && is->has_oob && bq_head(&is->st.rx) == is->oob_pos), arg);
	}
	return -ENOIOCTLCMD;
}

const struct proto_ops tcp_ops = {
	.release = tcp_release,
	.destroy = tcp_destroy,
	.bind = inet_bind,
	.connect = tcp_connect,
	.accept = tcp_accept,
	.listen = tcp_listen,
	.getname = inet_getname,
	.sendmsg = tcp_sendmsg,
	.recvmsg = tcp_recvmsg,
	.shutdown = tcp_shutdown,
	.setsockopt = inet_setsockopt,
	.getsockopt = inet_getsockopt,
	.poll = tcp_poll,
	.ioctl = tcp_ioctl,
};
