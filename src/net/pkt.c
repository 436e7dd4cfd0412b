#include "net/pkt.h"

#include <linux/eventpoll.h>

#include "net/scm.h"
#include "net/unix/unix.h"
#include "sentry/kernel/timer.h"

#define PKT_KMALLOC_MAX 2048u

static u8 *data_alloc(size_t n, u32 *size)
{
	*size = n <= PKT_KMALLOC_MAX ? n : PAGE_ALIGN_UP(n);
	if (!n)
		return NULL;
	return n <= PKT_KMALLOC_MAX ? kmalloc(n) : vmalloc_pages(*size);
}

struct pkt *pkt_alloc(size_t n)
{
	struct pkt *p = kzalloc(sizeof(*p));

	if (!p)
		return NULL;
	list_init(&p->node);
	p->len = n;
	p->data = data_alloc(n, &p->size);
	if (n && !p->data) {
		kfree(p);
		return NULL;
	}
	return p;
}

struct pkt *pkt_from_msg(struct msg *m, size_t n)
{
	struct pkt *p = pkt_alloc(n);

	if (!p)
		return ERR_PTR(-ENOBUFS);
	if (copy_from_iter(p->data, n, &m->it) < n) {
		pkt_free(p);
		return ERR_PTR(-EFAULT);
	}
	return p;
}

void pkt_charge(struct pkt *p, struct sock *owner)
{
	p->owner = sock_get(owner);
	atomic_fetch_add(&owner->wmem, p->len + PKT_OVERHEAD);
}

void pkt_free(struct pkt *p)
{
	struct sock *owner = p->owner;

	if (owner) {
		atomic_fetch_sub(&owner->wmem, p->len + PKT_OVERHEAD);
		sock_wake(owner, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
		sock_put(owner);
	}
	if (p->fp)
		scm_fp_put(p->fp);
	if (p->unix_from)
		unix_addr_put(p->unix_from);
	if (p->size > PKT_KMALLOC_MAX)
		vfree_pages(p->data, p->size);
	else
		kfree(p->data);
	kfree(p);
}

void pkt_queue_locked(struct sock *sk, struct pkt *p)
{
	p->stamp_ns = clock_real_ns();
	list_add_tail(&p->node, &sk->rxq);
	sk->nrx++;
	sk->rx_bytes += p->len + PKT_OVERHEAD;
}

void pkt_queue(struct sock *sk, struct pkt *p)
{
	spin_lock(&sk->lock);
	pkt_queue_locked(sk, p);
	spin_unlock(&sk->lock);
	sock_wake(sk, EPOLLIN | EPOLLRDNORM | EPOLLRDBAND);
}

struct pkt *pkt_unlink(struct sock *sk, struct pkt *p)
{
	spin_lock(&sk->lock);
	list_del(&p->node);
	sk->nrx--;
	sk->rx_bytes -= p->len + PKT_OVERHEAD;
	spin_unlock(&sk->lock);
	return p;
}

void pkt_purge(struct sock *sk)
{
	while (!list_empty(&sk->rxq))
		pkt_free(pkt_unlink(sk, list_first(&sk->rxq, struct pkt, node)));
}

struct pkt *pkt_wait(struct sock *sk, struct msg *m, struct mutex *rx)
{
	u64 deadline = 0;
	struct pkt *p;
	long err;

	for (;;) {
		spin_lock(&sk->lock);
		p = list_empty(&sk->rxq) ? NULL : list_first(&sk->rxq, struct pkt, node);
		spin_unlock(&sk->lock);
		if (p)
			return p;
		err = sock_take_error(sk);
		if (err)
			return ERR_PTR(err);
		if (READ_ONCE(sk->shutdown) & RCV_SHUTDOWN)
			return NULL;
		if (m->flags & MSG_DONTWAIT)
			return ERR_PTR(-EAGAIN);
		if (!deadline)
			deadline = sock_deadline(sk->rcvtimeo);
		mutex_unlock(rx);
		err = sock_wait(sk, READ_ONCE(sk->nrx) || sk->err || READ_ONCE(sk->shutdown) & RCV_SHUTDOWN,
				sk->rcvtimeo, deadline);
		mutex_lock(rx);
		if (err)
			return ERR_PTR(err);
	}
}

long pkt_copy(struct pkt *p, struct msg *m)
{
	size_t n = MIN(p->len, m->it.count);

	if (n < p->len)
		m->out_flags |= MSG_TRUNC;
	if (copy_to_iter(p->data, n, &m->it) < n)
		return -EFAULT;
	return m->flags & MSG_TRUNC ? p->len : n;
}
