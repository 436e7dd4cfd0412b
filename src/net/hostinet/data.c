/* Sending and receiving by host sockets: through a buffer in sandbox memory, a piece at a time. */
#include "base/string.h"
#include "net/hostinet/hostinet.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/frames.h"

#define SMALL 2048u
#define SEND_FLAGS (MSG_OOB | MSG_DONTROUTE | MSG_CONFIRM | MSG_MORE | MSG_EOR)
#define RECV_FLAGS (MSG_OOB | MSG_PEEK | MSG_TRUNC | MSG_ERRQUEUE)

/* The buffers of one call. */
struct bounce {
	u8 *data, *ctl;
	u32 size, order;
	struct page *page; /* NULL: data was kmalloc'ed */
};

static void bounce_put(struct bounce *b)
{
	kfree(b->ctl);
	if (b->page)
		frames_free_run(b->page, 1ull << b->order);
	else
		kfree(b->data);
}

static void take_frames(struct bounce *b)
{
	while (PAGE_SIZE << b->order < b->size)
		b->order++;
	while (!(b->page = frame_alloc(b->order, 0)) && b->order)
		b->order--;
	b->size = MIN(b->size, PAGE_SIZE << b->order);
	b->data = b->page ? page_to_va(b->page) : NULL;
}

static int bounce_get(struct bounce *b, u64 n, bool control)
{
	*b = (struct bounce){ .size = (u32)MIN(n, HC_SOCK_DATA_MAX) };
	if (b->size <= SMALL)
		b->data = kmalloc(MAX(b->size, 1u));
	else
		take_frames(b);
	if (control)
		b->ctl = kmalloc(HC_SOCK_CTL_MAX);
	if (b->data && (b->ctl || !control))
		return 0;
	bounce_put(b);
	return -ENOBUFS;
}

/* ---- sending ---- */

/* What is for the host to see. Descriptors and credentials are no message here, and levels that nobody knows are passed over. */
static int copy_control(struct msg *m, u8 *ctl, u32 *ctl_len)
{
	const struct cmsghdr_k *c;
	u64 off = 0;
	int err = 0;

	while ((c = next_cmsg(m, &off, &err))) {
		bool known = c->level == SOL_IP || c->level == SOL_IPV6 || c->level == SOL_UDP;

		if (c->level == SOL_SOCKET && c->type != SCM_RIGHTS && c->type != SCM_CREDENTIALS)
			return -EINVAL;
		if (!known)
			continue;
		if (c->len > HC_SOCK_CTL_MAX - *ctl_len)
			return -EINVAL;
		memcpy(ctl + *ctl_len, c, c->len);
		*ctl_len += (u32)c->len;
		while (*ctl_len % 8 && *ctl_len < HC_SOCK_CTL_MAX)
			ctl[(*ctl_len)++] = 0;
	}
	return err;
}

static long try_send(struct hc_sock_msg *req, u64 n, u32 arm)
{
	req->len = n;
	req->arm = arm;
	return hostcall(HC_SOCK_SEND, req, sizeof(*req));
}

/* Pieces until all of it is sent; a datagram is one piece. */
static long send_pieces(struct host_sock *hs, struct msg *m, struct bounce *b, struct hc_sock_msg *req)
{
	u64 deadline = sock_deadline(hs->sk.sndtimeo), total = m->it.count, done = 0;
	bool nonblock = m->flags & MSG_DONTWAIT;
	long ret;

	do {
		struct iov_iter before = m->it;
		u64 n = MIN(total - done, b->size);

		if (copy_from_iter(b->data, n, &m->it) != n) {
			ret = -EFAULT;
			break;
		}
		ret = host_sock_wait(hs, try_send(req, n, arm__), HC_ARM_OUT, nonblock, hs->sk.sndtimeo, deadline);
		if (ret == (long)n) {
			done += n;
			continue;
		}
		m->it = before;
		if (ret < 0)
			break;
		iov_iter_advance(&m->it, (u64)ret);
		done += (u64)ret;
	} while (done < total && !(nonblock && ret < (long)b->size));
	return done ? (long)done : ret;
}

long host_inet_sendmsg(struct sock *sk, struct msg *m)
{
	struct host_sock *hs = to_host(sk);
	struct hc_sock_msg req = { .handle = hs->handle, .flags = m->flags & SEND_FLAGS };
	struct bounce b;
	long ret;

	if (m->flags & MSG_FASTOPEN)
		return -EOPNOTSUPP;
	if (sk->type == SOCK_DGRAM && m->it.count >= HC_SOCK_DATA_MAX)
		return -EMSGSIZE;
	ret = bounce_get(&b, m->it.count, m->ctl_len != 0);
	if (ret)
		return ret;
	if (m->name) {
		req.addr_len = MIN(m->namelen, HC_SOCKADDR_MAX);
		memcpy(req.addr, m->name->raw, req.addr_len);
	}
	ret = m->ctl_len ? copy_control(m, b.ctl, &req.ctl_len) : 0;
	req.off = va_to_pa(b.data);
	if (req.ctl_len)
		req.ctl_off = va_to_pa(b.ctl);
	if (!ret && sk->type == SOCK_DGRAM && b.size < m->it.count)
		ret = -ENOBUFS;
	if (!ret)
		ret = send_pieces(hs, m, &b, &req);
	bounce_put(&b);
	return ret == -EPIPE && sk->type == SOCK_STREAM ? sock_epipe(m) : ret;
}

/* ---- receiving ---- */

static void put_control(struct msg *m, const u8 *ctl, u32 len)
{
	const struct msg got = { .ctl = ctl, .ctl_len = MIN(len, HC_SOCK_CTL_MAX) };
	const struct cmsghdr_k *c;
	u64 off = 0;
	int err = 0;

	while ((c = next_cmsg(&got, &off, &err)))
		put_cmsg(m, c->level, c->type, c + 1, c->len - sizeof(*c));
}

static void put_extras(struct msg *m, const struct bounce *b, const struct hc_sock_msg *req)
{
	m->out_flags |= req->out_flags & (MSG_OOB | MSG_TRUNC | MSG_EOR | MSG_ERRQUEUE | (b->ctl ? MSG_CTRUNC : 0));
	if (m->name) {
		m->namelen = MIN(req->addr_len, HC_SOCKADDR_MAX);
		memcpy(m->name->raw, req->addr, m->namelen);
	}
	if (b->ctl)
		put_control(m, b->ctl, req->ctl_len);
}

static long try_recv(struct hc_sock_msg *req, const struct bounce *b, u64 n, u32 arm)
{
	req->len = n;
	req->arm = arm;
	req->ctl_len = b->ctl ? HC_SOCK_CTL_MAX : 0;
	return hostcall(HC_SOCK_RECV, req, sizeof(*req));
}

static long recv_one(struct host_sock *hs, struct msg *m, struct bounce *b, struct hc_sock_msg *req, bool nonblock)
{
	long ret = host_sock_wait(hs, try_recv(req, b, b->size, arm__), HC_ARM_IN, nonblock, hs->sk.rcvtimeo,
				  sock_deadline(hs->sk.rcvtimeo));

	if (ret < 0)
		return ret;
	put_extras(m, b, req);
	if (hs->sk.type == SOCK_STREAM && m->flags & MSG_TRUNC)
		return ret;
	return copy_to_iter(b->data, MIN((u64)ret, b->size), &m->it) == MIN((u64)ret, b->size) ? ret : -EFAULT;
}

/* What is there, in pieces, and at least what the call or SO_RCVLOWAT asks for. */
static long recv_stream(struct host_sock *hs, struct msg *m, struct bounce *b, struct hc_sock_msg *req, bool nonblock)
{
	u64 deadline = sock_deadline(hs->sk.rcvtimeo), want = m->it.count, done = 0;
	u64 target = m->flags & MSG_WAITALL ? want : MIN(want, MAX(hs->sk.rcvlowat, 1u));
	long ret;

	do {
		u64 n = MIN(want - done, b->size);

		ret = m->flags & MSG_TRUNC ? 0 : iov_iter_fault_in(&m->it, n, true);
		if (!ret)
			ret = host_sock_wait(hs, try_recv(req, b, n, arm__), HC_ARM_IN, nonblock || (done && done >= target), hs->sk.rcvtimeo,
					     deadline);
		if (ret <= 0)
			break;
		if (m->flags & MSG_TRUNC)
			iov_iter_advance(&m->it, (u64)ret);
		else if (copy_to_iter(b->data, (u64)ret, &m->it) != (u64)ret)
			ret = -EFAULT;
		if (ret < 0)
			break;
		put_extras(m, b, req);
		done += (u64)ret;
		if ((u64)ret < n && (done >= target || nonblock))
			break;
	} while (done < want);
	return done ? (long)done : ret;
}

long host_inet_recvmsg(struct sock *sk, struct msg *m)
{
	struct host_sock *hs = to_host(sk);
	struct hc_sock_msg req = { .handle = hs->handle, .flags = m->flags & RECV_FLAGS };
	bool single = sk->type == SOCK_DGRAM || m->flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE);
	bool nonblock = m->flags & MSG_DONTWAIT || m->flags & (MSG_OOB | MSG_ERRQUEUE); /* neither is waited for */
	struct bounce b;
	long ret = bounce_get(&b, m->it.count, m->uctl_left != 0);

	if (ret)
		return ret;
	req.off = va_to_pa(b.data);
	if (b.ctl)
		req.ctl_off = va_to_pa(b.ctl);
	ret = single ? recv_one(hs, m, &b, &req, nonblock) : recv_stream(hs, m, &b, &req, nonblock);
	bounce_put(&b);
	return ret;
}
