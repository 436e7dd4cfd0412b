/* The namespaces of a task (namespaces(7)), immutable once published: unshare(2) and setns(2) make a new set. */
#ifndef SENTRY_NSPROXY_H
#define SENTRY_NSPROXY_H

#include "sentry/kernel/ns.h"

struct mount_ns;
struct pid_ns;
struct task;
struct user_ns;

#define UTS_LEN 65
struct uts_ns {
	struct ns_common c; /* first */
	spinlock_t lock;
	char nodename[UTS_LEN], domainname[UTS_LEN];
};
struct nsproxy { /* the user namespace is in the credentials */
	refcount_t ref;
	struct uts_ns *uts;
	struct mount_ns *mnt; /* vfs/mount.c */
	struct pid_ns *pid;   /* of children to come */
	struct ns_common *simple[NS_KINDS]; /* kinds that are a number only: one by NS_CGROUP, NS_IPC, NS_NET, NS_TIME */
	struct ns_common *time_for_children;
};
extern struct nsproxy init_nsproxy;

void nsproxy_init(void);
static inline struct nsproxy *nsproxy_get(struct nsproxy *ns) { refcount_inc(&ns->ref); return ns; }
void nsproxy_put(struct nsproxy *ns);
/* The set for an unshare: `old` with what CLONE_NEW* in flags ask for made new, owned by `owner`. ERR_PTR(-errno). */
struct nsproxy *nsproxy_copy(struct nsproxy *old, u64 flags, struct user_ns *owner);
/* The set of a child: as above, or `old` itself; what was kept for children takes effect. */
struct nsproxy *nsproxy_fork(struct nsproxy *old, u64 flags, struct user_ns *owner);

#endif
