/* The namespaces of a task (namespaces(7)), immutable once published: unshare(2) and setns(2) make a new set. */
#ifndef SENTRY_NSPROXY_H
#define SENTRY_NSPROXY_H

#include "base/lock.h"
#include "base/types.h"

struct mount_ns;
struct task;

#define UTS_LEN 65
struct uts_ns {
	refcount_t ref;
	spinlock_t lock;
	u64 ino;
	char nodename[UTS_LEN], domainname[UTS_LEN];
};
struct nsproxy {
	refcount_t ref;
	struct uts_ns *uts;
	struct mount_ns *mnt; /* vfs/mount.c; NULL: the first one */
	u64 ino_ipc, ino_net, ino_pid, ino_user, ino_cgroup, ino_time, ino_mnt; /* of /proc/pid/ns */
};
extern struct nsproxy init_nsproxy;

void nsproxy_init(void);
static inline struct nsproxy *nsproxy_get(struct nsproxy *ns) { refcount_inc(&ns->ref); return ns; }
void nsproxy_put(struct nsproxy *ns);
/* The set for a child or an unshare: `old` with what CLONE_NEW* in flags ask for made new. ERR_PTR(-errno). */
struct nsproxy *nsproxy_copy(struct nsproxy *old, u64 flags);

#endif
