/*
 * POSIX message queues (mq_overview(7)).
 *
 * Queues live in one list by name; the file system "mqueue" is a view of it (fs/mqueue). Lock order: mq_lock (names, spin) ->
 * queue->lock (spin) -> wait queues and sighand->lock.
 */
#ifndef SENTRY_IPC_MQ_H
#define SENTRY_IPC_MQ_H

#include "base/list.h"
#include "base/lock.h"
#include "sentry/kernel/wait.h"

struct inode;
struct file_ops;
struct process;
struct sock;

#define MQ_NAME_MAX 255
#define MQ_COOKIE_LEN 32

struct mq_notify { /* queue->lock */
	struct process *owner; /* reference; NULL: nobody asked */
	u32 uid;
	s32 how, signo;
	u64 value;
	struct sock *sock; /* SIGEV_THREAD: where the cookie goes; reference */
	u8 cookie[MQ_COOKIE_LEN];
};
struct ns_common;
struct mqueue {
	refcount_t ref; /* the name, each open file, each inode of the file system */
	struct list_head node; /* mq_lock */
	bool linked;	       /* mq_lock */
	struct ipc_ns *ns; /* IPC namespace; a comparison only */
	struct inode *inode;   /* owner, mode, times */
	u32 max_msgs, msg_size;
	spinlock_t lock;
	struct list_head msgs; /* highest priority first, then oldest */
	u32 count, receivers;  /* messages; tasks that wait for one */
	u64 bytes;
	u32 changes;
	struct waitq wait;
	struct mq_notify notify;
	char name[];
};

extern const struct file_ops mq_fops;
struct mqueue *mq_get(struct mqueue *q);
void mq_put(struct mqueue *q);
struct mqueue *mq_find(const char *name, u32 len); /* reference or NULL */
struct mqueue *mq_nth(u64 n);			    /* of the list; reference or NULL */
/* Make it; attr: struct mq_attr, or NULL for the defaults. ERR_PTR(-EEXIST, -EINVAL, -EMFILE, -ENOMEM). */
struct mqueue *mq_create(const char *name, u32 len, u32 mode, const s64 *attr);
int mq_remove(struct mqueue *q); /* its name; 0 or -ENOENT */

#endif
