/* Making, naming and connecting host sockets, and waiting for them. */
#include <asm/ioctls.h>
#include <linux/capability.h>
#include <linux/eventpoll.h>
#include <linux/sockios.h>

#include "base/string.h"
#include "net/hostinet/hostinet.h"
#include "net/net_ns.h"
#include "sentry/kernel/events.h"
#include "sentry/kernel/task.h"

#define BUCKETS 1024u

static struct hlist_head handles[BUCKETS];
static spinlock_t handles_lock = SPINLOCK_INIT;

static struct hlist_head *bucket(hc_handle h)
{
	return &handles[h % BUCKETS];
}

bool host_inet_here(void)
{
	return boot_params->host_network && current_net_ns() == &init_net_ns;
}

/* ---- waiting ---- */

long host_sock_sleep(struct host_sock *hs, u32 seen, u64 timeo, u64 deadline)
{
	return sock_wait_error(wait_event_interruptible_until(hs->calls, atomic_load(&hs->events) != seen, deadline), timeo);
}

static s64 ask(struct host_sock *hs, u32 arm)
{
	struct hc_file2 req = { .handle = hs->handle, .arg = arm };

	return hostcall(HC_SOCK_POLL, &req, sizeof(req));
}

static u32 with_aliases(u32 mask)
{
	return mask | (mask & EPOLLIN ? EPOLLRDNORM : 0) | (mask & EPOLLOUT ? EPOLLWRNORM : 0) | (mask & EPOLLPRI ? EPOLLRDBAND : 0);
}

/* From events_poll(). The lock of the table keeps the socket: it leaves the table before it goes. */
void host_socket_event(hc_handle handle, u32 mask)
{
	struct host_sock *hs;

	spin_lock(&handles_lock);
	hlist_for_each(hs, bucket(handle), node) {
		if (hs->handle != handle)
			continue;
		atomic_fetch_add(&hs->events, 1);
		wake_up_all(&hs->calls);
		wake_up_key(&hs->sk.wait, with_aliases(mask), 1);
		spin_lock(&hs->sk.lock);
		/* A poller is on the queue before it looks whether changes are told. */
		if (hs->staying && !waitq_active(&hs->sk.wait)) {
			hs->staying = false;
			ask(hs, HC_ARM_LEAVE);
		}
		spin_unlock(&hs->sk.lock);
		break;
	}
	spin_unlock(&handles_lock);
}

static u32 host_inet_poll(struct file *f, struct sock *sk, struct poll_table *pt)
{
	struct host_sock *hs = to_host(sk);
	bool stay = false;
	s64 mask;

	atomic_thread_fence(memory_order_seq_cst);
	if (waitq_active(&sk->wait)) {
		spin_lock(&sk->lock);
		stay = !hs->staying;
		hs->staying = true;
		spin_unlock(&sk->lock);
	}
	mask = ask(hs, stay ? HC_ARM_STAY : 0);
	return mask < 0 ? EPOLLERR : (u32)mask | (sk->err ? EPOLLERR : 0);
}

/* ---- the host's numbers ---- */

struct host_ids {
	u32 n, size;
	struct {
		u64 host, ours;
		u32 uid;
	} rows[];
};

static u32 count_handles(void)
{
	struct host_sock *hs;
	u32 n = 0;

	spin_lock(&handles_lock);
	for (u32 i = 0; i < BUCKETS; i++)
		hlist_for_each(hs, &handles[i], node)
			n++;
	spin_unlock(&handles_lock);
	return n;
}

struct host_ids *host_ids_take(void)
{
	u32 size = count_handles() + 16;
	struct host_ids *ids = vmalloc_pages(ALIGN_UP(sizeof(*ids) + size * sizeof(ids->rows[0]), PAGE_SIZE));
	struct host_sock *hs;

	if (!ids)
		return NULL;
	ids->size = size;
	spin_lock(&handles_lock);
	for (u32 i = 0; i < BUCKETS; i++)
		hlist_for_each(hs, &handles[i], node) {
			struct hc_file2 req = { .handle = hs->handle, .arg = HC_COUNT_INODE };

			if (!hs->host_ino)
				hs->host_ino = (u64)MAX(0, hostcall(HC_SOCK_COUNT, &req, sizeof(req)));
			if (ids->n == size || !hs->sk.ino)
				continue;
			ids->rows[ids->n].host = hs->host_ino;
			ids->rows[ids->n].ours = hs->sk.ino;
			ids->rows[ids->n++].uid = hs->sk.uid;
		}
	spin_unlock(&handles_lock);
	return ids;
}

void host_ids_free(struct host_ids *ids)
{
	if (ids)
		vfree_pages(ids, ALIGN_UP(sizeof(*ids) + ids->size * sizeof(ids->rows[0]), PAGE_SIZE));
}

bool host_ids_find(const struct host_ids *ids, u64 *ino, u32 *uid)
{
	for (u32 i = 0; ids && i < ids->n; i++)
		if (ids->rows[i].host == *ino) {
			*ino = ids->rows[i].ours;
			*uid = ids->rows[i].uid;
			return true;
		}
	return false;
}

/* ---- making ---- */

/* Takes the handle over. */
static struct host_sock *host_sock_new(u16 family, u16 type, s32 protocol, hc_handle handle)
{
	struct host_sock *hs = kzalloc(sizeof(*hs));
	struct hc_file2 close = { .handle = handle };

	if (!hs) {
		hostcall(HC_CLOSE, &close, sizeof(close));
		return NULL;
	}
	sock_init(&hs->sk, &host_inet_ops, family, type, protocol);
	hs->handle = handle;
	waitq_init(&hs->calls);
	spin_lock(&handles_lock);
	hlist_add(&hs->node, bucket(handle));
	spin_unlock(&handles_lock);
	return hs;
}

struct sock *host_inet_create(u16 family, u32 type, s32 protocol)
{
	struct hc_sock_open req = { .family = family, .type = type, .protocol = (u32)protocol };
	s64 handle = hostcall(HC_SOCK_OPEN, &req, sizeof(req));
	struct host_sock *hs;

	if (handle < 0)
		return ERR_PTR(handle);
	hs = host_sock_new(family, (u16)type, protocol, (hc_handle)handle);
	return hs ? &hs->sk : ERR_PTR(-ENOMEM);
}

static void host_inet_release(struct sock *sk)
{
	struct host_sock *hs = to_host(sk);
	struct hc_file2 req = { .handle = hs->handle };

	spin_lock(&handles_lock);
	hlist_del(&hs->node);
	spin_unlock(&handles_lock);
	sk->dead = true;
	hostcall(HC_CLOSE, &req, sizeof(req));
}

/* ---- naming and connecting ---- */

static void set_addr(struct hc_sock_name *req, const struct sockaddr_k *addr, u32 len)
{
	req->len = MIN(len, HC_SOCKADDR_MAX);
	memcpy(req->addr, addr->raw, req->len);
}

static int host_inet_bind(struct sock *sk, const struct sockaddr_k *addr, u32 len)
{
	struct hc_sock_name req = { .handle = to_host(sk)->handle, .op = HC_NAME_BIND };
	u16 port = (u16)(addr->raw[2] << 8 | addr->raw[3]); /* in both families */

	if (len >= 4 && port && port < sk->net->settings.port_start && sk->protocol != 1 && sk->protocol != 58 && !net_capable(sk->net, CAP_NET_BIND_SERVICE))
		return -EACCES;
	set_addr(&req, addr, len);
	return (int)hostcall(HC_SOCK_NAME, &req, sizeof(req));
}

static long try_connect(struct host_sock *hs, const struct sockaddr_k *addr, u32 len, u32 arm)
{
	struct hc_sock_name req = { .handle = hs->handle, .op = HC_NAME_CONNECT, .arm = arm };

	set_addr(&req, addr, len);
	return hostcall(HC_SOCK_NAME, &req, sizeof(req));
}

static int host_inet_connect(struct sock *sk, const struct sockaddr_k *addr, u32 len, bool nonblock)
{
	struct host_sock *hs = to_host(sk);

	return (int)host_sock_wait(hs, try_connect(hs, addr, len, arm__), HC_ARM_OUT, nonblock, sk->sndtimeo,
				   sock_deadline(sk->sndtimeo));
}

static int host_inet_listen(struct sock *sk, s32 backlog)
{
	struct hc_file2 req = { .handle = to_host(sk)->handle, .arg = (u32)backlog };

	return (int)hostcall(HC_SOCK_LISTEN, &req, sizeof(req));
}

static long try_accept(struct host_sock *hs, u32 arm)
{
	struct hc_sock_name req = { .handle = hs->handle, .arm = arm };

	return hostcall(HC_SOCK_ACCEPT, &req, sizeof(req));
}

static struct sock *host_inet_accept(struct sock *sk, bool nonblock)
{
	struct host_sock *hs = to_host(sk), *child;
	long handle = host_sock_wait(hs, try_accept(hs, arm__), HC_ARM_IN, nonblock, sk->rcvtimeo, sock_deadline(sk->rcvtimeo));

	if (handle < 0)
		return ERR_PTR(handle);
	child = host_sock_new(sk->family, sk->type, sk->protocol, (hc_handle)handle);
	if (!child)
		return ERR_PTR(-ENOMEM);
	sock_inherit(&child->sk, sk);
	return &child->sk;
}

static int host_inet_getname(struct sock *sk, struct sockaddr_k *addr, u32 *len, bool peer)
{
	struct hc_sock_name req = { .handle = to_host(sk)->handle, .op = peer ? HC_NAME_PEER : HC_NAME_OWN };
	s64 err = hostcall(HC_SOCK_NAME, &req, sizeof(req));

	if (err)
		return (int)err;
	*len = MIN(req.len, HC_SOCKADDR_MAX);
	memcpy(addr->raw, req.addr, *len);
	return 0;
}

static int host_inet_shutdown(struct sock *sk, s32 how)
{
	struct hc_file2 req = { .handle = to_host(sk)->handle, .arg = (u32)how };

	return (int)hostcall(HC_SOCK_SHUTDOWN, &req, sizeof(req));
}

static long host_inet_ioctl(struct sock *sk, u32 cmd, u64 arg)
{
	struct hc_file2 req = { .handle = to_host(sk)->handle };
	s64 n;

	switch (cmd) {
	case FIONREAD:
		req.arg = HC_COUNT_IN;
		break;
	case TIOCOUTQ:
		req.arg = HC_COUNT_OUT;
		break;
	case SIOCOUTQNSD:
		req.arg = HC_COUNT_UNSENT;
		break;
	case SIOCATMARK:
		req.arg = HC_COUNT_AT_MARK;
		break;
	default:
		return -ENOIOCTLCMD;
	}
	n = hostcall(HC_SOCK_COUNT, &req, sizeof(req));
	return n < 0 ? n : put_user((s32)n, arg);
}

const struct proto_ops host_inet_ops = {
	.release = host_inet_release,
	.bind = host_inet_bind,
	.connect = host_inet_connect,
	.accept = host_inet_accept,
	.listen = host_inet_listen,
	.getname = host_inet_getname,
	.sendmsg = host_inet_sendmsg,
	.recvmsg = host_inet_recvmsg,
	.shutdown = host_inet_shutdown,
	.setsockopt = host_inet_setsockopt,
	.getsockopt = host_inet_getsockopt,
	.own_socket_level = true,
	.poll = host_inet_poll,
	.ioctl = host_inet_ioctl,
};
