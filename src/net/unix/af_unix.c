/* AF_UNIX: socket life, connections, names, shutdown, poll. */
#include <asm/ioctls.h>
#include <linux/eventpoll.h>
#include <linux/sockios.h>

#include "base/string.h"
#include "net/unix/unix.h"
#include "sentry/kernel/task.h"

struct unix_sock *unix_new(u16 type)
{
	struct unix_sock *u = kzalloc(sizeof(*u));

	if (!u)
		return NULL;
	sock_init(&u->st.sk,
		  type == SOCK_STREAM ? &unix_stream_ops : type == SOCK_DGRAM ? &unix_dgram_ops : &unix_seqpacket_ops,
		  AF_UNIX, type, 0);
	mutex_init(&u->bindlock);
	mutex_init(&u->rxlock);
	list_init(&u->marks);
	list_init(&u->clients);
	list_init(&u->client_node);
	list_init(&u->gc_node);
	waitq_init(&u->peer_wait);
	if (type == SOCK_STREAM && stream_init(&u->st)) {
		kfree(u);
		return NULL;
	}
	sock_enlist(&u->st.sk);
	return u;
}

static struct sock *unix_create(u32 type, s32 protocol)
{
	struct unix_sock *u;

	if (protocol && protocol != AF_UNIX)
		return ERR_PTR(-EPROTONOSUPPORT);
	if (type == SOCK_RAW)
		type = SOCK_DGRAM; /* as BSD */
	if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET)
		return ERR_PTR(-ESOCKTNOSUPPORT);
	u = unix_new(type);
	return u ? &u->st.sk : ERR_PTR(-ENOMEM);
}

/* ---- release ---- */

/* Tell the other end of a connection that this one is gone. */
static void hang_up(struct unix_sock *u, bool embryo)
{
	struct unix_sock *peer = unix_peer(u);
	bool unread;

	if (!peer)
		return;
	unread = sock_is(&u->st.sk, SOCK_STREAM) ? bq_used(&u->st.rx) != 0 : u->st.sk.nrx != 0;
	spin_lock(&peer->st.sk.lock);
	peer->st.sk.shutdown = SHUTDOWN_MASK;
	if (unread || embryo)
		atomic_store(&peer->st.sk.err, ECONNRESET);
	spin_unlock(&peer->st.sk.lock);
	sock_wake_all(&peer->st.sk);
	sock_put(&peer->st.sk);
}

static void release_embryos(struct sock *sk)
{
	struct sock *child;

	while ((child = acceptq_pop(sk))) {
		unix_release(child);
		sock_put(child);
	}
}

static void release_clients(struct unix_sock *u)
{
	struct unix_sock *c;

	spin_lock(&u->st.sk.lock);
	while (!list_empty(&u->clients)) {
		c = list_first(&u->clients, struct unix_sock, client_node);
		list_del(&c->client_node);
		sock_wake_all(&c->st.sk);
	}
	spin_unlock(&u->st.sk.lock);
}

void unix_release(struct sock *sk)
{
	struct unix_sock *u = to_unix(sk);
	bool embryo = !sk->file; /* never accepted */

	unix_unbind(u);
	spin_lock(&sk->lock);
	sk->dead = true;
	sk->file = NULL;
	sk->state = SS_CLOSED;
	sk->shutdown = SHUTDOWN_MASK;
	spin_unlock(&sk->lock);
	wake_up_all(&u->peer_wait);
	release_embryos(sk);
	if (sock_is(sk, SOCK_DGRAM)) {
		release_clients(u);
		unix_dgram_disconnect(u);
	}
	hang_up(u, embryo);
	unix_purge_marks(u);
	pkt_purge(sk);
	unix_gc();
}

void unix_destroy(struct sock *sk)
{
	struct unix_sock *u = to_unix(sk);

	unix_purge_marks(u);
	pkt_purge(sk);
	stream_destroy(&u->st);
	unix_addr_put(u->addr);
}

/* ---- connections ---- */

void unix_pair(struct unix_sock *a, struct unix_sock *b)
{
	stream_connect_pair(&a->st, &b->st);
	a->st.sk.state = b->st.sk.state = SS_CONNECTED;
}

int unix_socketpair(struct sock *a, struct sock *b)
{
	sock_set_cred(&a->peercred);
	b->peercred = a->peercred;
	if (sock_is(a, SOCK_DGRAM))
		return unix_dgram_socketpair(to_unix(a), to_unix(b));
	unix_pair(to_unix(a), to_unix(b));
	return 0;
}

int unix_listen(struct sock *sk, s32 backlog)
{
	struct unix_sock *u = to_unix(sk);
	int err = 0;

	if (!READ_ONCE(u->addr))
		return -EINVAL; /* nobody could connect to a nameless socket */
	spin_lock(&sk->lock);
	if (sk->state != SS_UNCONNECTED && sk->state != SS_LISTEN) {
		err = -EINVAL;
	} else {
		sk->backlog = backlog;
		sk->state = SS_LISTEN;
		sock_set_cred(&sk->peercred);
	}
	spin_unlock(&sk->lock);
	if (!err)
		wake_up_all(&u->peer_wait);
	return err;
}

struct sock *unix_accept(struct sock *sk, bool nonblock)
{
	struct sock *child = sock_accept_wait(sk, nonblock);

	if (!IS_ERR(child))
		wake_up(&to_unix(sk)->peer_wait);
	return child;
}

static bool backlog_full(struct sock *l)
{
	return READ_ONCE(l->nacceptq) > READ_ONCE(l->backlog);
}

/* Queue the embryo at the listener and connect it. 1: no room. Takes over `child` on success. */
static int connect_to(struct unix_sock *u, struct unix_sock *l, struct unix_sock *child)
{
	struct sock *sk = &u->st.sk, *ls = &l->st.sk;
	int err = 0;

	spin_lock(&ls->lock);
	if (ls->state != SS_LISTEN || ls->shutdown & RCV_SHUTDOWN) {
		err = -ECONNREFUSED;
	} else if (backlog_full(ls)) {
		err = 1;
	} else {
		spin_lock(&sk->lock);
		if (sk->state != SS_UNCONNECTED) {
			err = sk->state == SS_CONNECTED ? -EISCONN : -EINVAL;
		} else {
			child->addr = unix_addr_get(l->addr);
			child->st.sk.passcred = ls->passcred;
			sk->peercred = ls->peercred;
			unix_pair(u, child);
			list_add_tail(&child->st.sk.accept_node, &ls->acceptq);
			ls->nacceptq++;
		}
		spin_unlock(&sk->lock);
	}
	spin_unlock(&ls->lock);
	return err;
}

int unix_stream_connect(struct sock *sk, const struct sockaddr_k *addr, u32 len, bool nonblock)
{
	struct unix_sock *u = to_unix(sk), *l, *child;
	u64 deadline = sock_deadline(sk->sndtimeo);
	int err = 0;

	if (sk->passcred && !READ_ONCE(u->addr))
		err = unix_autobind(u);
	if (err)
		return err;
	child = unix_new(sk->type);
	if (!child)
		return -ENOMEM;
	sock_set_cred(&child->st.sk.peercred);
	for (;;) {
		l = unix_find(addr, len, sk->type);
		if (IS_ERR(l)) {
			err = PTR_ERR(l);
			break;
		}
		if (sk->state != SS_UNCONNECTED)
			err = sk->state == SS_CONNECTED ? -EISCONN : -EINVAL;
		else
			err = connect_to(u, l, child);
		if (!err)
			sock_wake(&l->st.sk, EPOLLIN | EPOLLRDNORM);
		else if (err > 0 && nonblock)
			err = -EAGAIN;
		else if (err > 0)
			err = sock_wait_error(wait_event_interruptible_until(l->peer_wait,
									     l->st.sk.dead || !backlog_full(&l->st.sk),
									     deadline),
					      sk->sndtimeo)
				      ?: 1;
		sock_put(&l->st.sk);
		if (err <= 0)
			break;
	}
	if (err)
		sock_put(&child->st.sk);
	return err;
}

int unix_shutdown(struct sock *sk, s32 how)
{
	u32 mode = how + 1, peer_mode = 0;
	struct unix_sock *peer = unix_peer(to_unix(sk));

	spin_lock(&sk->lock);
	sk->shutdown |= mode;
	spin_unlock(&sk->lock);
	if (peer) {
		if (mode & RCV_SHUTDOWN)
			peer_mode |= SEND_SHUTDOWN;
		if (mode & SEND_SHUTDOWN)
			peer_mode |= RCV_SHUTDOWN;
		spin_lock(&peer->st.sk.lock);
		peer->st.sk.shutdown |= peer_mode;
		spin_unlock(&peer->st.sk.lock);
		sock_wake_all(&peer->st.sk);
	}
	sock_wake_all(sk);
	return 0;
}

int unix_getname(struct sock *sk, struct sockaddr_k *addr, u32 *len, bool peer)
{
	struct unix_sock *u = to_unix(sk), *of = u;
	struct unix_addr *a;

	spin_lock(&sk->lock);
	if (peer) {
		of = sock_is(sk, SOCK_DGRAM) ? u->dpeer : unix_peer(u);
		if (of)
			sock_get(&of->st.sk);
	}
	spin_unlock(&sk->lock);
	if (!of)
		return -ENOTCONN;
	a = READ_ONCE(of->addr);
	addr->family = AF_UNIX;
	*len = UNIX_PATH_OFF;
	if (a) {
		memcpy(addr->raw, a->raw, a->len);
		addr->family = AF_UNIX;
		*len = a->len;
	}
	if (peer)
		sock_put(&of->st.sk);
	return 0;
}

static u32 unix_poll(struct file *f, struct sock *sk, struct poll_table *pt)
{
	struct unix_sock *u = to_unix(sk);
	u32 mask = 0, shutdown = READ_ONCE(sk->shutdown);
	bool stream = sock_is(sk, SOCK_STREAM);

	if (sk->err)
		mask |= EPOLLERR;
	if (shutdown == SHUTDOWN_MASK)
		mask |= EPOLLHUP;
	if (shutdown & RCV_SHUTDOWN)
		mask |= EPOLLRDHUP | EPOLLIN | EPOLLRDNORM;
	if (sk->state == SS_LISTEN)
		return READ_ONCE(sk->nacceptq) ? mask | EPOLLIN | EPOLLRDNORM : mask;
	if (stream ? bq_used(&u->st.rx) != 0 : READ_ONCE(sk->nrx) != 0)
		mask |= EPOLLIN | EPOLLRDNORM;
	if (sk->state == SS_UNCONNECTED)
		mask |= EPOLLHUP;
	if (stream ? stream_writable(&u->st) : atomic_load(&sk->wmem) * 4 <= sk->sndbuf)
		mask |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
	return mask;
}

static s32 unix_inq(struct unix_sock *u)
{
	struct sock *sk = &u->st.sk;
	s32 n = 0;

	if (sock_is(sk, SOCK_STREAM))
		return bq_used(&u->st.rx);
	spin_lock(&sk->lock);
	if (!list_empty(&sk->rxq))
		n = list_first(&sk->rxq, struct pkt, node)->len;
	spin_unlock(&sk->lock);
	return n;
}

static long unix_ioctl(struct sock *sk, u32 cmd, u64 arg)
{
	struct unix_sock *u = to_unix(sk), *peer = unix_peer(u);

	switch (cmd) {
	case FIONREAD:
		return sk->state == SS_LISTEN ? -EINVAL : put_user(unix_inq(u), arg);
	case TIOCOUTQ:
		return put_user((s32)(peer && sock_is(sk, SOCK_STREAM) ? bq_used(&peer->st.rx) : sk->wmem), arg);
	}
	return -ENOIOCTLCMD;
}

const struct proto_ops unix_stream_ops = {
	.release = unix_release,
	.destroy = unix_destroy,
	.bind = unix_bind,
	.connect = unix_stream_connect,
	.socketpair = unix_socketpair,
	.accept = unix_accept,
	.listen = unix_listen,
	.getname = unix_getname,
	.sendmsg = unix_stream_sendmsg,
	.recvmsg = unix_stream_recvmsg,
	.shutdown = unix_shutdown,
	.poll = unix_poll,
	.ioctl = unix_ioctl,
};
const struct proto_ops unix_seqpacket_ops = {
	.release = unix_release,
	.destroy = unix_destroy,
	.bind = unix_bind,
	.connect = unix_stream_connect,
	.socketpair = unix_socketpair,
	.accept = unix_accept,
	.listen = unix_listen,
	.getname = unix_getname,
	.sendmsg = unix_seqpacket_sendmsg,
	.recvmsg = unix_seqpacket_recvmsg,
	.shutdown = unix_shutdown,
	.poll = unix_poll,
	.ioctl = unix_ioctl,
};
const struct proto_ops unix_dgram_ops = {
	.release = unix_release,
	.destroy = unix_destroy,
	.bind = unix_bind,
	.connect = unix_dgram_connect,
	.socketpair = unix_socketpair,
	.getname = unix_getname,
	.sendmsg = unix_dgram_sendmsg,
	.recvmsg = unix_dgram_recvmsg,
	.shutdown = unix_shutdown,
	.poll = unix_dgram_poll,
	.ioctl = unix_ioctl,
};
static const struct net_family unix_family = { AF_UNIX, unix_create };

void unix_init(void)
{
	net_register_family(&unix_family);
}
