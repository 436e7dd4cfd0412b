/* TCP data: the shared byte queue, writing to a closed peer, the urgent byte, TCP_INFO. */
#include <linux/eventpoll.h>
#include <linux/tcp.h>

#include "base/string.h"
#include "net/inet/inet.h"
#include "net/inet/tcp.h"

/* The peer's file is closed: the first write still goes out, its answer is a reset. */
static long tcp_refused(struct stream *s, struct msg *m)
{
	spin_lock(&s->sk.lock);
	atomic_store(&s->sk.err, EPIPE);
	s->sk.shutdown = SHUTDOWN_MASK;
	spin_unlock(&s->sk.lock);
	sock_wake_all(&s->sk);
	return 0;
}

static const struct stream_hooks tx_hooks = { .refused = tcp_refused };

/* Wait for a connection under way. */
static long tx_wait_connected(struct sock *sk, struct msg *m)
{
	long err;

	if (sk->state == SS_CONNECTING) {
		if (m->flags & MSG_DONTWAIT)
			return -EAGAIN;
		err = sock_wait(sk, READ_ONCE(sk->state) != SS_CONNECTING, sk->sndtimeo, sock_deadline(sk->sndtimeo));
		if (err)
			return err;
	}
	if (sk->state == SS_CONNECTED)
		return 0;
	return sock_take_error(sk) ?: sock_epipe(m);
}

static long tcp_send_oob(struct inet_sock *is, struct msg *m)
{
	struct inet_sock *peer = stream_to_inet(is->st.peer);
	struct sock *ps = &peer->st.sk;
	long done = 0;
	u8 byte;

	if (!m->it.count)
		return 0;
	if (m->it.count > 1) {
		struct iov_iter all = m->it;

		m->it.count--; /* the last byte is the urgent one */
		done = stream_send(&is->st, m, &tx_hooks, NULL);
		if (done < 0 || m->it.count)
			return done;
		m->it = all;
		iov_iter_advance(&m->it, done);
	}
	if (is->st.sk.shutdown & SEND_SHUTDOWN || ps->dead)
		return done ? done : sock_epipe(m);
	if (copy_from_iter(&byte, 1, &m->it) < 1)
		return -EFAULT;
	spin_lock(&ps->lock);
	peer->oob = byte;
	peer->oob_pos = bq_tail(&peer->st.rx);
	peer->has_oob = true;
	spin_unlock(&ps->lock);
	sock_wake(ps, EPOLLPRI);
	return done + 1;
}

long tcp_sendmsg(struct sock *sk, struct msg *m)
{
	struct inet_sock *is = to_inet(sk);
	long err;

	if (unlikely(sk->state != SS_CONNECTED)) {
		err = tx_wait_connected(sk, m);
		if (err)
			return err;
	}
	if (unlikely(m->flags & MSG_OOB && !stream_to_inet(is->st.peer)->st.sk.oobinline))
		return tcp_send_oob(is, m);
	return stream_send(&is->st, m, &tx_hooks, NULL);
}

/* A read stops at the urgent mark. */
static size_t rx_limit(struct stream *s, u64 pos, size_t n, size_t done, void *arg)
{
	struct inet_sock *is = stream_to_inet(s);

	if (!is->has_oob || is->oob_pos < pos)
		return n;
	if (is->oob_pos == pos) {
		if (!done)
			is->has_oob = false; /* read past the mark */
		return done ? 0 : n;
	}
	return MIN(n, is->oob_pos - pos);
}

static const struct stream_hooks rx_hooks = { .limit = rx_limit };

static long tcp_recv_oob(struct inet_sock *is, struct msg *m)
{
	u8 byte;

	if (is->st.sk.oobinline || !is->has_oob)
		return -EINVAL;
	byte = is->oob;
	if (!(m->flags & MSG_PEEK))
		is->has_oob = false;
	m->out_flags |= MSG_OOB;
	if (!m->it.count) {
		m->out_flags |= MSG_TRUNC;
		return 0;
	}
	return copy_to_iter(&byte, 1, &m->it) == 1 ? 1 : -EFAULT;
}

long tcp_recvmsg(struct sock *sk, struct msg *m)
{
	struct inet_sock *is = to_inet(sk);
	long ret;
	s32 left;

	if (m->flags & MSG_ERRQUEUE)
		return -EAGAIN;
	if (sk->state == SS_UNCONNECTED || sk->state == SS_LISTEN)
		return sock_take_error(sk) ?: -ENOTCONN;
	if (unlikely(m->flags & MSG_OOB))
		return tcp_recv_oob(is, m);
	ret = stream_recv(&is->st, m, &rx_hooks, NULL);
	if (ret >= 0 && unlikely(inet_opt(is, SOL_TCP, TCP_INQ))) { /* tcp(7): what is left to be read; the end counts for one byte */
		left = (s32)bq_used(&is->st.rx);
		left += !left && sk->shutdown & RCV_SHUTDOWN;
		put_cmsg(m, SOL_TCP, TCP_INQ, &left, sizeof(left));
	}
	return ret;
}

u8 tcp_state(const struct sock *sk)
{
	switch (sk->state) {
	case SS_LISTEN:
		return TCPS_LISTEN;
	case SS_CONNECTING:
		return TCPS_SYN_SENT;
	case SS_CONNECTED:
		if (sk->shutdown == SHUTDOWN_MASK)
			return TCPS_CLOSE;
		if (sk->shutdown & SEND_SHUTDOWN)
			return TCPS_FIN_WAIT2;
		return sk->shutdown & RCV_SHUTDOWN ? TCPS_CLOSE_WAIT : TCPS_ESTABLISHED;
	}
	return TCPS_CLOSE;
}

int tcp_get_info(struct inet_sock *is, void *val, u32 *len)
{
	struct tcp_info info;

	memset(&info, 0, sizeof(info));
	info.tcpi_state = tcp_state(&is->st.sk);
	info.tcpi_rto = 204000;
	info.tcpi_snd_mss = info.tcpi_rcv_mss = info.tcpi_advmss = 32741;
	info.tcpi_pmtu = 65535;
	info.tcpi_rtt = 20;
	info.tcpi_rttvar = 10;
	info.tcpi_snd_cwnd = 10;
	info.tcpi_snd_ssthresh = info.tcpi_rcv_ssthresh = 65483;
	info.tcpi_rcv_space = 65483;
	if (is->st.sk.state == SS_LISTEN) {
		info.tcpi_unacked = is->st.sk.nacceptq;
		info.tcpi_sacked = is->st.sk.backlog;
	} else {
		info.tcpi_bytes_received = bq_tail(&is->st.rx);
	}
	*len = MIN(*len, sizeof(info));
	memcpy(val, &info, *len);
	return 0;
}
