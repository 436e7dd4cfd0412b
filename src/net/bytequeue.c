#include "net/bytequeue.h"

#include <linux/errno.h>

static struct page **slot_of(struct bytequeue *q, u64 pos)
{
	return &q->slots[(pos >> PAGE_SHIFT) & (q->nslots - 1)];
}

int bq_init(struct bytequeue *q, u32 bytes)
{
	u32 n = 1;

	/* One slot more than the bytes need: both ends may lie inside a page. */
	while (n < DIV_ROUND_UP(bytes, PAGE_SIZE) + 1)
		n <<= 1;
	q->slots = kzalloc(n * sizeof(*q->slots));
	if (!q->slots)
		return -ENOMEM;
	q->nslots = n;
	atomic_init(&q->head, 0);
	atomic_init(&q->tail, 0);
	atomic_init(&q->spare, NULL);
	mutex_init(&q->rlock);
	mutex_init(&q->wlock);
	return 0;
}

void bq_destroy(struct bytequeue *q)
{
	struct page *spare = atomic_load(&q->spare);

	if (!q->slots)
		return;
	for (u32 i = 0; i < q->nslots; i++)
		if (q->slots[i])
			page_put(q->slots[i]);
	if (spare)
		page_put(spare);
	kfree(q->slots);
	q->slots = NULL;
}

static struct page *bq_page(struct bytequeue *q, u64 pos)
{
	struct page **slot = slot_of(q, pos);

	if (!*slot) {
		*slot = atomic_exchange(&q->spare, NULL);
		if (!*slot)
			*slot = frame_alloc(0, 0);
	}
	return *slot;
}

size_t bq_fill(struct bytequeue *q, struct iov_iter *from, size_t n, int *err)
{
	u64 pos = q->tail;
	size_t done = 0;

	while (done < n) {
		u32 off = pos & (PAGE_SIZE - 1);
		size_t part = MIN(n - done, PAGE_SIZE - off), got;
		struct page *page = bq_page(q, pos);

		if (!page) {
			*err = -ENOMEM;
			break;
		}
		got = copy_from_iter((char *)page_to_va(page) + off, part, from);
		done += got;
		pos += got;
		if (got < part) {
			*err = -EFAULT;
			break;
		}
	}
	return done;
}

size_t bq_copy(struct bytequeue *q, struct iov_iter *to, size_t skip, size_t n)
{
	u64 pos = q->head + skip;
	size_t done = 0;

	if (!to)
		return n;
	while (done < n) {
		u32 off = pos & (PAGE_SIZE - 1);
		size_t part = MIN(n - done, PAGE_SIZE - off);
		size_t got = copy_to_iter((char *)page_to_va(*slot_of(q, pos)) + off, part, to);

		done += got;
		pos += got;
		if (got < part)
			break;
	}
	return done;
}

static void bq_release_page(struct bytequeue *q, struct page **slot)
{
	struct page *page = *slot, *none = NULL;

	*slot = NULL;
	if (!atomic_compare_exchange_strong(&q->spare, &none, page))
		page_put(page);
}

void bq_consume(struct bytequeue *q, size_t n)
{
	u64 pos = q->head, end = pos + n;

	/* A page goes when its last byte has been read. The writer never returns to it. */
	while ((pos >> PAGE_SHIFT) != (end >> PAGE_SHIFT)) {
		bq_release_page(q, slot_of(q, pos));
		pos = (pos & PAGE_MASK) + PAGE_SIZE;
	}
	atomic_store_explicit(&q->head, end, memory_order_release);
}
