/* SOCK_STREAM data: the byte queue, and marks for what travels with the bytes. */
#include "base/string.h"
#include "net/unix/unix.h"
#include "sentry/kernel/task.h"

#define OVERFLOW_ID 65534u
static const struct ucred_k no_cred = { 0, OVERFLOW_ID, OVERFLOW_ID };

struct tx_state {
	struct scm scm;
	struct unix_mark *mark; /* made beforehand for the descriptors */
	bool with_cred;
};
struct rx_state {
	struct scm scm;
	struct unix_sock *u;
	bool got_fp;
};

static void mark_free(struct unix_mark *mk)
{
	if (mk->fp)
		scm_fp_put(mk->fp);
	kfree(mk);
}

void unix_purge_marks(struct unix_sock *u)
{
	struct unix_mark *mk;

	for (;;) {
		spin_lock(&u->st.sk.lock);
		mk = list_empty(&u->marks) ? NULL : list_first(&u->marks, struct unix_mark, node);
		if (mk)
			list_del(&mk->node);
		spin_unlock(&u->st.sk.lock);
		if (!mk)
			return;
		mark_free(mk);
	}
}

static bool cred_eq(const struct ucred_k *a, const struct ucred_k *b)
{
	return a->pid == b->pid && a->uid == b->uid && a->gid == b->gid;
}

/* Lengthen the last mark when it says the same. Lock held. */
static bool mark_extend(struct unix_sock *u, u64 pos, u64 end, const struct ucred_k *cred)
{
	struct unix_mark *last;

	if (list_empty(&u->marks))
		return false;
	last = list_last(&u->marks, struct unix_mark, node);
	if (last->end != pos || last->fp || !last->has_cred || !cred_eq(&last->cred, cred))
		return false;
	last->end = end;
	return true;
}

static void tx_mark(struct stream *peer, u64 pos, u64 end, void *arg)
{
	struct unix_sock *to = stream_to_unix(peer);
	struct tx_state *tx = arg;
	struct unix_mark *mk = tx->mark;

	if (!mk && !tx->with_cred)
		return;
	spin_lock(&to->st.sk.lock);
	if (!mk && mark_extend(to, pos, end, &tx->scm.cred))
		goto out;
	if (!mk)
		mk = kzalloc(sizeof(*mk));
	if (!mk)
		goto out;
	mk->pos = pos;
	mk->end = end;
	mk->fp = tx->scm.fp; /* descriptors go with the first bytes */
	mk->has_cred = tx->with_cred;
	mk->cred = tx->scm.cred;
	list_add_tail(&mk->node, &to->marks);
	tx->scm.fp = NULL;
	tx->mark = NULL;
out:
	spin_unlock(&to->st.sk.lock);
}

static const struct stream_hooks tx_hooks = { .sending = tx_mark };

static int tx_check_msg(struct unix_sock *u, struct msg *m)
{
	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (m->name && m->namelen)
		return u->st.sk.state == SS_CONNECTED ? -EISCONN : -EOPNOTSUPP;
	return unix_peer(u) ? 0 : -ENOTCONN;
}

long unix_stream_sendmsg(struct sock *sk, struct msg *m)
{
	struct unix_sock *u = to_unix(sk), *peer;
	struct tx_state tx = { .mark = NULL };
	long ret = tx_check_msg(u, m);

	if (ret)
		return ret;
	peer = unix_peer(u);
	tx.with_cred = sk->passcred || peer->st.sk.passcred || !READ_ONCE(peer->st.sk.file);
	if (m->ctl_len || tx.with_cred) {
		ret = scm_send(sk, m, &tx.scm);
		if (ret)
			return ret;
		tx.with_cred |= tx.scm.explicit_cred;
	}
	if (tx.scm.fp) {
		tx.mark = kzalloc(sizeof(*tx.mark));
		if (!tx.mark) {
			scm_drop(&tx.scm);
			return -ENOMEM;
		}
	}
	ret = stream_send(&u->st, m, &tx_hooks, &tx);
	kfree(tx.mark);
	scm_drop(&tx.scm);
	return ret;
}

/* The mark over pos, or NULL with the next one's start in *next. Lock held. */
static struct unix_mark *mark_at(struct unix_sock *u, u64 pos, u64 *next)
{
	struct unix_mark *mk;

	*next = ~0ull;
	list_for_each(mk, &u->marks, node) {
		if (mk->end <= pos)
			continue;
		if (mk->pos <= pos)
			return mk;
		*next = mk->pos;
		break;
	}
	return NULL;
}

/* Bytes of different senders are not mixed when credentials are wanted: unix(7), SO_PASSCRED. */
static size_t rx_limit(struct stream *s, u64 pos, size_t n, size_t done, void *arg)
{
	struct unix_sock *u = stream_to_unix(s);
	struct rx_state *rx = arg;
	const struct ucred_k *cred = &no_cred;
	struct unix_mark *mk;
	u64 next;

	if (list_empty(&u->marks) && !s->sk.passcred)
		return n;
	spin_lock(&s->sk.lock);
	mk = mark_at(u, pos, &next);
	n = MIN(n, (mk ? mk->end : next) - pos);
	if (mk && mk->has_cred)
		cred = &mk->cred;
	if (!done)
		rx->scm.cred = *cred;
	else if (s->sk.passcred && !cred_eq(&rx->scm.cred, cred))
		n = 0;
	spin_unlock(&s->sk.lock);
	return n;
}

static bool rx_received(struct stream *s, u64 pos, u64 end, bool peek, void *arg)
{
	struct unix_sock *u = stream_to_unix(s);
	struct unix_mark *mk, *done = NULL;
	struct rx_state *rx = arg;
	u64 next;

	if (list_empty(&u->marks))
		return true;
	spin_lock(&s->sk.lock);
	mk = mark_at(u, pos, &next);
	if (mk && mk->fp) {
		rx->got_fp = true;
		if (peek) {
			rx->scm.fp = scm_fp_dup(mk->fp);
		} else {
			rx->scm.fp = mk->fp;
			mk->fp = NULL;
		}
	}
	if (mk && !peek && end >= mk->end) {
		list_del(&mk->node);
		done = mk;
	}
	spin_unlock(&s->sk.lock);
	kfree(done);
	return !rx->got_fp;
}

static const struct stream_hooks rx_hooks = { .limit = rx_limit, .received = rx_received };

long unix_stream_recvmsg(struct sock *sk, struct msg *m)
{
	struct unix_sock *u = to_unix(sk);
	struct rx_state rx = { .u = u };
	long ret;

	if (sk->state != SS_CONNECTED)
		return -EINVAL;
	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	ret = stream_recv(&u->st, m, &rx_hooks, &rx);
	if (ret > 0) {
		unix_put_name(m, READ_ONCE(unix_peer(u)->addr));
		if (sk->passcred || rx.scm.fp)
			scm_recv(sk, m, &rx.scm);
	} else {
		scm_drop(&rx.scm);
	}
	return ret;
}
