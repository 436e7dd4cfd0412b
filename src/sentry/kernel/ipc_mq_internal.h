/* Between ipc_mq.c and sys_mq.c. */
#ifndef SENTRY_IPC_MQ_INTERNAL_H
#define SENTRY_IPC_MQ_INTERNAL_H

#include "sentry/kernel/ipc_mq.h"

enum { MQ_NOTIFY_WOKENUP = 1, MQ_NOTIFY_REMOVED = 2 }; /* last byte of the cookie, as glibc reads it */
#define MQ_PRIO_MAX_K 32768u

struct mq_msg {
	struct list_head node;
	u32 prio, len;
	u8 data[];
};
/* Queue m (taken over on success): 0, -EAGAIN, -ETIMEDOUT, -ERESTARTSYS. */
long mq_send(struct mqueue *q, struct mq_msg *m, bool nonblock, u64 deadline);
/* The first message, for the caller to free, or ERR_PTR. */
struct mq_msg *mq_receive(struct mqueue *q, bool nonblock, u64 deadline);
int mq_notify_set(struct mqueue *q, const struct mq_notify *n); /* takes over its references on success; -EBUSY */
void mq_notify_drop(struct mqueue *q, struct process *owner);

#endif
