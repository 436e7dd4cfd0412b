/*
 * A byte stream in memory: one direction of a connected stream socket.
 *
 * Bytes have positions that only grow. Position p lies in slot (p / page) mod nslots at offset p mod page; slots are pages
 * allocated by the writer and freed by the reader, one spare is kept so that small traffic allocates nothing.
 * The writer holds wlock and publishes `tail`, the reader holds rlock and publishes `head`: they run in parallel.
 * Lock order: rlock and wlock are never held together; both before mm->lock.
 */
#ifndef NET_BYTEQUEUE_H
#define NET_BYTEQUEUE_H

#include "sentry/kernel/wait.h"
#include "sentry/mm/mm.h"

struct bytequeue {
	_Atomic u64 head, tail;
	u32 nslots; /* power of two */
	struct page **slots;
	_Atomic(struct page *) spare;
	struct mutex rlock, wlock;
};

int bq_init(struct bytequeue *q, u32 bytes); /* 0 or -ENOMEM */
void bq_destroy(struct bytequeue *q);
static inline u64 bq_head(struct bytequeue *q) { return atomic_load_explicit(&q->head, memory_order_acquire); }
static inline u64 bq_tail(struct bytequeue *q) { return atomic_load_explicit(&q->tail, memory_order_acquire); }
static inline u64 bq_used(struct bytequeue *q) { return bq_tail(q) - bq_head(q); }
/* Copy up to n bytes behind the tail without publishing them (wlock held; room is the caller's care).
 * Bytes; short on a bad address or no memory: *err says which when it is 0. */
size_t bq_fill(struct bytequeue *q, struct iov_iter *from, size_t n, int *err);
static inline void bq_publish(struct bytequeue *q, size_t n)
{
	atomic_store_explicit(&q->tail, q->tail + n, memory_order_release);
}
/* Copy n available bytes from head + skip; short on a bad address. rlock held. to NULL: copy nowhere. */
size_t bq_copy(struct bytequeue *q, struct iov_iter *to, size_t skip, size_t n);
/* Free the first n bytes. rlock held. */
void bq_consume(struct bytequeue *q, size_t n);

#endif
