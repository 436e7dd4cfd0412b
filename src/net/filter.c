/* SO_ATTACH_FILTER and its like: socket(7). Programs of kernel/bpf_packet.c on what arrives at sockets of datagrams. */
#include "net/filter.h"

#include <linux/filter.h>

#include "base/string.h"
#include "net/pkt.h"
#include "sentry/kernel/bpf.h"

struct sock_prog {
	refcount_t ref; /* the socket, and who runs it */
	u32 len;
	struct sock_filter insns[];
};

static void prog_put(struct sock_prog *p)
{
	if (p && refcount_dec_and_test(&p->ref))
		kfree(p);
}

static void replace(struct sock *sk, struct sock_prog *p)
{
	struct sock_prog *old;

	spin_lock(&sk->lock);
	old = sk->filter;
	sk->filter = p;
	spin_unlock(&sk->lock);
	prog_put(old);
}

static int attach(struct sock *sk, const void *val, u32 len)
{
	struct {
		u16 len;
		u64 insns;
	} user; /* struct sock_fprog */
	struct sock_prog *p;

	if (len != sizeof(user))
		return -EINVAL;
	memcpy(&user, val, sizeof(user));
	if (!user.insns || !user.len || user.len > BPF_MAXINSNS)
		return -EINVAL;
	p = kmalloc(sizeof(*p) + user.len * sizeof(p->insns[0]));
	if (!p)
		return -ENOMEM;
	refcount_set(&p->ref, 1);
	p->len = user.len;
	if (copy_from_user(p->insns, user.insns, user.len * sizeof(p->insns[0]))) {
		kfree(p);
		return -EFAULT;
	}
	if (!bpf_valid(p->insns, p->len, 0)) {
		kfree(p);
		return -EINVAL;
	}
	replace(sk, p);
	return 0;
}

int sock_set_filter(struct sock *sk, s32 opt, const void *val, u32 len)
{
	s32 v;

	if (sk->type == SOCK_STREAM || sk->type == SOCK_SEQPACKET)
		return -ENOPROTOOPT;
	if (opt == SO_LOCK_FILTER) {
		memcpy(&v, val, sizeof(v));
		if (sk->filter_locked && !v)
			return -EPERM;
		sk->filter_locked = v != 0;
		return 0;
	}
	if (sk->filter_locked)
		return -EPERM;
	if (opt == SO_ATTACH_FILTER)
		return attach(sk, val, len);
	if (!sk->filter)
		return -ENOENT;
	replace(sk, NULL);
	return 0;
}

void sock_drop_filter(struct sock *sk)
{
	prog_put(sk->filter);
}

u32 sock_filter(struct sock *sk, const struct bpf_packet *p)
{
	struct sock_prog *f;
	u32 n;

	if (likely(!READ_ONCE(sk->filter)))
		return p->len;
	spin_lock(&sk->lock);
	f = sk->filter;
	if (f)
		refcount_inc(&f->ref);
	spin_unlock(&sk->lock);
	if (!f)
		return p->len;
	n = bpf_run_packet(f->insns, p);
	prog_put(f);
	return MIN(n, p->len);
}

bool sock_filter_pkt(struct sock *sk, struct pkt *p)
{
	struct bpf_packet view = { .data = p->data, .end = p->data + p->len, .net = p->data, .len = p->len };
	u32 n;

	if (likely(!READ_ONCE(sk->filter)) || !p->len)
		return true;
	n = sock_filter(sk, &view);
	if (p->owner)
		atomic_fetch_sub(&p->owner->wmem, p->len - n);
	p->len = n;
	return n;
}
