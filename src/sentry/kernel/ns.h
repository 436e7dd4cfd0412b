/* What the namespaces of all kinds have in common: a number that /proc/PID/ns shows, and the user namespace that owns them. */
#ifndef SENTRY_NS_H
#define SENTRY_NS_H

#include "base/lock.h"
#include "base/types.h"

struct user_ns;
struct task;
struct path;

enum ns_kind { NS_CGROUP, NS_IPC, NS_MNT, NS_NET, NS_PID, NS_TIME, NS_USER, NS_UTS, NS_KINDS };
struct ns_common {
	refcount_t ref;
	enum ns_kind kind;
	u64 ino;
	struct user_ns *owner; /* NULL: the first user namespace has none */
};

#define NS_FLAGS                                                                        \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWCGROUP | CLONE_NEWTIME)

void ns_init(struct ns_common *n, enum ns_kind kind, struct user_ns *owner);
static inline void ns_get(struct ns_common *n) { refcount_inc(&n->ref); }
void ns_put(struct ns_common *n); /* NULL is fine */
const char *ns_kind_name(enum ns_kind kind);
u64 ns_kind_flag(enum ns_kind kind); /* CLONE_NEW* */

/* The links of /proc/PID/ns. */
#define NS_LINKS 10u
const char *ns_link_name(u32 link);
/* The namespace a link of a task stands for, with a reference; NULL: the task is gone. */
struct ns_common *ns_of_task(struct task *t, u32 link);

/* nsfs.c: the file of a namespace. */
int ns_path(struct ns_common *n, struct path *out); /* 0 with a referenced path, or -errno */
struct file;
struct ns_common *ns_of_file(const struct file *f); /* NULL: no such file; no reference */
struct inode;
struct ns_common *ns_of_inode(const struct inode *i);

#endif
