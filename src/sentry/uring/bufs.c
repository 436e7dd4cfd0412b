/* Provided buffers: IORING_OP_PROVIDE_BUFFERS, _REMOVE_BUFFERS, IORING_REGISTER_PBUF_RING. Requests pick one when they have data. */
#include "sentry/uring/uring.h"

#define MAX_BIDS 65536u

static struct buf_group *find_group(struct ring *r, u32 id)
{
	struct buf_group *g;

	list_for_each(g, &r->buf_groups, node)
		if (g->id == id)
			return g;
	return NULL;
}

static struct buf_group *make_group(struct ring *r, u32 id)
{
	struct buf_group *g, *fresh = kzalloc(sizeof(*fresh));

	if (!fresh)
		return NULL;
	fresh->id = id;
	list_init(&fresh->bufs);
	spin_lock(&r->rsrc_lock);
	g = find_group(r, id);
	if (!g) {
		list_add_tail(&fresh->node, &r->buf_groups);
		g = fresh;
		fresh = NULL;
	}
	spin_unlock(&r->rsrc_lock);
	kfree(fresh);
	return g;
}

/* The next of a ring that the application fills; its tail lies in the first entry's reserved field. */
static int pick_from_ring(struct ring *r, struct buf_group *g, struct buf *out)
{
	struct io_uring_buf b;
	u32 head;
	u16 tail;

	if (get_user(tail, g->ring + offsetof(struct io_uring_buf_ring, tail)))
		return -ENOBUFS;
	spin_lock(&r->rsrc_lock);
	head = g->head;
	if ((u16)head != tail)
		g->head++;
	spin_unlock(&r->rsrc_lock);
	if ((u16)head == tail || copy_from_user(&b, g->ring + (u64)(head & (g->entries - 1)) * sizeof(b), sizeof(b)))
		return -ENOBUFS;
	*out = (struct buf){ .addr = b.addr, .len = b.len, .bid = b.bid };
	return 0;
}

int buf_pick(struct req *q, u64 *addr, u32 *len)
{
	struct ring *r = q->ring;
	struct buf_group *g;
	struct buf *b = NULL;
	int err;

	spin_lock(&r->rsrc_lock);
	g = find_group(r, q->sqe.buf_group);
	if (g && !list_empty(&g->bufs)) {
		b = list_first(&g->bufs, struct buf, node);
		list_del(&b->node);
		g->nbufs--;
		q->picked = *b;
	}
	spin_unlock(&r->rsrc_lock);
	if (!b) {
		err = g && g->ring ? pick_from_ring(r, g, &q->picked) : -ENOBUFS;
		if (err)
			return err;
	}
	kfree(b);
	q->has_buf = true;
	*addr = q->picked.addr;
	if (!*len || *len > q->picked.len)
		*len = q->picked.len;
	return 0;
}

void buf_done(struct req *q, long res)
{
	struct ring *r = q->ring;
	struct buf_group *g;
	struct buf *b;

	if (!q->has_buf)
		return;
	q->has_buf = false;
	if (res >= 0) {
		q->cqe_flags |= IORING_CQE_F_BUFFER | (u32)q->picked.bid << IORING_CQE_BUFFER_SHIFT;
		return;
	}
	b = kzalloc(sizeof(*b));
	if (!b)
		return; /* the application has lost it, as it knows from the failed request */
	*b = (struct buf){ .addr = q->picked.addr, .len = q->picked.len, .bid = q->picked.bid };
	list_init(&b->node);
	spin_lock(&r->rsrc_lock);
	g = find_group(r, q->sqe.buf_group);
	if (g) {
		list_add(&b->node, &g->bufs);
		g->nbufs++;
		b = NULL;
	}
	spin_unlock(&r->rsrc_lock);
	kfree(b);
}

long issue_provide(struct req *q, bool may_block)
{
	const struct io_uring_sqe *sqe = &q->sqe;
	u32 n = (u32)sqe->fd, bid = (u32)sqe->off;
	struct buf_group *g;
	u64 size;

	if (sqe->rw_flags || sqe->splice_fd_in || !n || n > MAX_BIDS)
		return -EINVAL;
	if (__builtin_mul_overflow((u64)sqe->len, (u64)n, &size) || sqe->addr + size < sqe->addr)
		return -EOVERFLOW;
	if (!access_ok(sqe->addr, size))
		return -EFAULT;
	if (sqe->off > 0xffff)
		return -E2BIG;
	if (bid + n > MAX_BIDS)
		return -EINVAL;
	g = make_group(q->ring, sqe->buf_group);
	if (!g)
		return -ENOMEM;
	if (g->ring)
		return -EINVAL;
	for (u32 i = 0; i < n; i++) {
		struct buf *b = kzalloc(sizeof(*b));

		if (!b)
			return i ? 0 : -ENOMEM;
		*b = (struct buf){ .addr = sqe->addr + (u64)i * sqe->len, .len = sqe->len, .bid = (u16)(bid + i) };
		spin_lock(&q->ring->rsrc_lock);
		list_add_tail(&b->node, &g->bufs);
		g->nbufs++;
		spin_unlock(&q->ring->rsrc_lock);
	}
	return 0;
}

static u32 drop_bufs(struct ring *r, struct buf_group *g, u32 max)
{
	struct buf *b;
	u32 n;

	for (n = 0; n < max; n++) {
		spin_lock(&r->rsrc_lock);
		b = list_empty(&g->bufs) ? NULL : list_first(&g->bufs, struct buf, node);
		if (b) {
			list_del(&b->node);
			g->nbufs--;
		}
		spin_unlock(&r->rsrc_lock);
		if (!b)
			break;
		kfree(b);
	}
	return n;
}

long issue_remove_bufs(struct req *q, bool may_block)
{
	const struct io_uring_sqe *sqe = &q->sqe;
	u32 n = (u32)sqe->fd;
	struct buf_group *g;

	if (sqe->rw_flags || sqe->addr || sqe->len || sqe->off || sqe->splice_fd_in || !n || n > MAX_BIDS)
		return -EINVAL;
	spin_lock(&q->ring->rsrc_lock);
	g = find_group(q->ring, sqe->buf_group);
	spin_unlock(&q->ring->rsrc_lock);
	if (!g)
		return -ENOENT;
	return g->ring ? -EINVAL : (long)drop_bufs(q->ring, g, n);
}

/* ---- rings of buffers ---- */

static long read_reg(struct io_uring_buf_reg *reg, u64 arg, u32 n)
{
	if (n != 1)
		return -EINVAL;
	if (copy_from_user(reg, arg, sizeof(*reg)))
		return -EFAULT;
	return reg->pad || reg->resv[0] || reg->resv[1] || reg->resv[2] ? -EINVAL : 0;
}

long bufs_register_ring(struct ring *r, u64 arg, u32 n)
{
	struct io_uring_buf_reg reg;
	struct buf_group *g;
	long err = read_reg(&reg, arg, n);
	char probe;

	if (err)
		return err;
	if (!reg.ring_addr)
		return -EFAULT;
	if (reg.ring_addr & ~PAGE_MASK || !reg.ring_entries || reg.ring_entries & (reg.ring_entries - 1) || reg.ring_entries >= 65536)
		return -EINVAL;
	g = find_group(r, reg.bgid);
	if (g && (g->ring || g->nbufs))
		return -EEXIST;
	if (!access_ok(reg.ring_addr, reg.ring_entries * sizeof(struct io_uring_buf)) || get_user(probe, reg.ring_addr))
		return -EFAULT;
	g = make_group(r, reg.bgid);
	if (!g)
		return -ENOMEM;
	g->ring = reg.ring_addr;
	g->entries = reg.ring_entries;
	g->head = 0;
	return 0;
}

static void free_group(struct ring *r, struct buf_group *g)
{
	drop_bufs(r, g, ~0u);
	spin_lock(&r->rsrc_lock);
	list_del(&g->node);
	spin_unlock(&r->rsrc_lock);
	kfree(g);
}

/* A group that others may look at stays; it is empty from here on. */
long bufs_unregister_ring(struct ring *r, u64 arg, u32 n)
{
	struct io_uring_buf_reg reg;
	struct buf_group *g;
	long err = read_reg(&reg, arg, n);

	if (err)
		return err;
	g = find_group(r, reg.bgid);
	if (!g)
		return -ENOENT;
	if (!g->ring)
		return -EINVAL;
	g->ring = 0;
	drop_bufs(r, g, ~0u);
	return 0;
}

/* The ring's file is gone; requests that still end find no group. */
void bufs_free(struct ring *r)
{
	while (!list_empty(&r->buf_groups))
		free_group(r, list_first(&r->buf_groups, struct buf_group, node));
}
