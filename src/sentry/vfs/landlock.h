/* Landlock: landlock(7), ABI 2. Rights on file hierarchies that a program gives up for itself and its children. */
#ifndef SENTRY_LANDLOCK_H
#define SENTRY_LANDLOCK_H

#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"

struct landlock_domain;
struct landlock_domain *landlock_get(struct landlock_domain *d);
void landlock_put(struct landlock_domain *d); /* NULL is fine */

/* LANDLOCK_ACCESS_FS_* on a path: 0 or -EACCES. */
int landlock_check_slow(const struct path *p, u64 access);
int landlock_may_move_slow(const struct path *from, struct dentry *old, const struct path *to, struct dentry *new, u32 how);
enum { LANDLOCK_LINK = 1, LANDLOCK_EXCHANGE = 2 }; /* how; 0: rename */
/* LANDLOCK_ACCESS_FS_MAKE_* for a node of this type. */
u64 landlock_make(u32 mode);
/* May the current task trace that one: is its domain inside ours? */
bool landlock_may_trace(struct task *t);

static inline int landlock_check(const struct path *p, u64 access)
{
	return likely(!current->cred->landlock) ? 0 : landlock_check_slow(p, access);
}

/* A file `old` of the folder `from` gets a name in `to`, where it may replace `new`. 0, -EACCES or -EXDEV. */
static inline int landlock_may_move(const struct path *from, struct dentry *old, const struct path *to, struct dentry *new, u32 how)
{
	return likely(!current->cred->landlock) ? 0 : landlock_may_move_slow(from, old, to, new, how);
}

#endif
