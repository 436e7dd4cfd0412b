/* What poll, select and a sleeping caller share: a set of wait-queue entries that wake one task. */
#ifndef SENTRY_POLL_WQUEUES_H
#define SENTRY_POLL_WQUEUES_H

#include <linux/eventpoll.h>

#include "sentry/kernel/wait.h"
#include "sentry/vfs/vfs.h"

struct poll_entry {
	struct waiter w;
	struct waitq *q;
	struct file *file; /* reference: keeps q alive */
	struct poll_wqueues *pwq;
	u32 key; /* events of interest, with POLLERR and POLLHUP */
};
#define POLL_INLINE_ENTRIES 6
struct poll_chunk; /* a page of further entries */
struct poll_wqueues {
	struct poll_table pt;
	struct task *task;
	_Atomic u32 triggered;
	s32 error; /* -ENOMEM when an entry could not be made */
	u32 n_inline;
	struct poll_entry entries[POLL_INLINE_ENTRIES];
	struct poll_chunk *chunks;
};

void poll_init(struct poll_wqueues *pwq);
void poll_free(struct poll_wqueues *pwq);
/* Sleep until an entry fires, a signal, or the deadline (absolute CLOCK_MONOTONIC ns, ~0ull never). True: deadline passed. */
bool poll_sleep(struct poll_wqueues *pwq, u64 deadline);
/* Absolute deadline of a relative time; saturates at never. */
u64 poll_deadline(u64 sec, u64 nsec);

#define POLL_DEFAULT_MASK (EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM)
static inline u32 vfs_poll(struct file *f, struct poll_table *pt)
{
	return f->fop->poll ? f->fop->poll(f, pt) : POLL_DEFAULT_MASK;
}

#endif
