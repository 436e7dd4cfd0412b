/* Ancillary data buffers: cmsg(3). */
#include "base/string.h"
#include "net/sock.h"
#include "sentry/kernel/timer.h"

void put_cmsg(struct msg *m, s32 level, s32 type, const void *data, size_t len)
{
	struct cmsghdr_k h = { sizeof(h) + len, level, type };
	u64 space;

	if (m->uctl_left < sizeof(h)) {
		m->out_flags |= MSG_CTRUNC;
		return;
	}
	if (m->uctl_left < h.len) {
		m->out_flags |= MSG_CTRUNC;
		h.len = m->uctl_left;
	}
	if (copy_to_user(m->uctl, &h, sizeof(h)) || copy_to_user(m->uctl + sizeof(h), data, h.len - sizeof(h)))
		return;
	space = MIN(CMSG_ALIGN_K(h.len), m->uctl_left);
	m->uctl += space;
	m->uctl_left -= space;
	m->uctl_used += space;
}

const struct cmsghdr_k *next_cmsg(const struct msg *m, u64 *off, int *err)
{
	const struct cmsghdr_k *c = (const void *)(m->ctl + *off);

	if (*off >= m->ctl_len || m->ctl_len - *off < sizeof(*c))
		return NULL;
	if (c->len < sizeof(*c) || c->len > m->ctl_len - *off) {
		*err = -EINVAL;
		return NULL;
	}
	*off += CMSG_ALIGN_K(c->len);
	return c;
}

void put_stamp(const struct sock *sk, struct msg *m, u64 ns)
{
	s64 t[2] = { ns / NSEC_PER_SEC, ns % NSEC_PER_SEC };

	if (sk->rxtimestampns) {
		put_cmsg(m, SOL_SOCKET, SO_TIMESTAMPNS_OLD, t, sizeof(t));
	} else if (sk->rxtimestamp) {
		t[1] /= 1000;
		put_cmsg(m, SOL_SOCKET, SO_TIMESTAMP_OLD, t, sizeof(t));
	}
}
