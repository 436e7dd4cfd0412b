/*
 * System V IPC objects (sysvipc(7)): identifiers, keys, permissions; shared by semaphores and message queues.
 * Everything of a kind is under its ids->lock, a spinlock: user memory is copied before and after.
 */
#ifndef SENTRY_IPC_IDS_H
#define SENTRY_IPC_IDS_H

#include <linux/ipc.h>

#include "base/lock.h"
#include "base/types.h"
#include "sentry/kernel/ns.h"
#include "sentry/kernel/settings.h"

/* What an IPC namespace has besides its objects: its limits, and how much of them is used (under the lock of each kind). */
struct ipc_ns {
	struct ns_common c; /* first */
	struct ipc_settings settings;
	u32 nqueues, nsets, nsems, nsegments, nmqs;
	u64 shm_pages;
};
extern struct ipc_ns init_ipc_ns;
static inline struct ipc_ns *ipc_ns_of(struct ns_common *c) { return container_of(c, struct ipc_ns, c); }

struct ipc_obj {
	refcount_t ref; /* one for being listed, one each for sleepers */
	struct ipc_ns *ns; /* the IPC namespace that it is seen in; when that goes, it goes */
	s32 key, id;
	u32 uid, gid, cuid, cgid, mode;
	bool deleted; /* lock */
};
#define IPC_SLOTS 32768u /* of all namespaces: an id has 15 bits for them */
struct ipc_ids {
	spinlock_t lock;
	struct ipc_obj **slots; /* grown on demand */
	u32 nslots, seq;
};

/* lock held for all of these; those that find see the current namespace only */
struct ipc_obj *ipc_find_id(struct ipc_ids *ids, s32 id);    /* NULL: -EINVAL, or -EIDRM for a reused slot */
struct ipc_obj *ipc_find_key(struct ipc_ids *ids, s32 key);  /* NULL: none */
struct ipc_obj *ipc_at(struct ipc_ids *ids, u32 index);
/* List a new object: its id, or -ENOSPC, -ENOMEM. Fills owner and mode from the current task. */
s32 ipc_add(struct ipc_ids *ids, struct ipc_obj *o, s32 key, u32 mode);
void ipc_remove(struct ipc_ids *ids, struct ipc_obj *o); /* unlists; the caller drops the reference */
s32 ipc_highest(struct ipc_ids *ids);			  /* highest used index; 0 when none */
/* May the current task? want: 4 read, 2 write. 0 or -EACCES. */
int ipc_permits(const struct ipc_obj *o, u32 want);
int ipc_may_change(const struct ipc_obj *o); /* owner, creator or CAP_SYS_ADMIN: 0 or -EPERM */
/* get(2) on an object that exists already: -EEXIST, -EACCES or its id. */
s32 ipc_open(const struct ipc_obj *o, u32 flags);
void ipc_fill_perm(const struct ipc_obj *o, struct ipc64_perm *p);
void ipc_set_perm(struct ipc_obj *o, const struct ipc64_perm *p);
s64 ipc_now(void);
struct ipc_ns *ipc_ns(void); /* of the current task */
/* An IPC namespace is gone, and with it what is left in it. */
void sem_ns_free(const struct ipc_ns *n);
void msg_ns_free(const struct ipc_ns *n);
void mq_ns_free(const struct ipc_ns *n);
void shm_ns_free(const struct ipc_ns *n);

#endif
