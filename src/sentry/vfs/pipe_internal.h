/* Shared by pipe.c, fifo.c and pipe_splice.c only. */
#ifndef SENTRY_PIPE_INTERNAL_H
#define SENTRY_PIPE_INTERNAL_H

#include "sentry/vfs/pipe.h"

static inline struct pipe_buf *pipe_slot(struct pipe *p, u32 i) { return &p->bufs[i & (p->size - 1)]; }
static inline bool pipe_empty(const struct pipe *p) { return p->head == p->tail; }
static inline bool pipe_full(const struct pipe *p) { return p->head - p->tail >= p->size; }
/* The same without the lock, for wait conditions and poll. */
#define READ_ONCE_PIPE_EMPTY(p) (READ_ONCE((p)->head) == READ_ONCE((p)->tail))
#define READ_ONCE_PIPE_FULL(p) (READ_ONCE((p)->head) - READ_ONCE((p)->tail) >= READ_ONCE((p)->size))

struct pipe *pipe_alloc(void);
void pipe_free(struct pipe *p);
void pipe_put(struct pipe *p); /* one file less; frees with the last */
void pipe_pop(struct pipe *p); /* drop the oldest slot; lock held */
void pipe_wake_readers(struct pipe *p);
void pipe_wake_writers(struct pipe *p);

#endif
