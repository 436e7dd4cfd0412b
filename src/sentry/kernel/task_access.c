#include "sentry/kernel/task_access.h"

#include <linux/capability.h>

#include "sentry/kernel/user_ns.h"
#include "sentry/vfs/landlock.h"

struct cred *task_get_cred(struct task *t)
{
	struct cred *c;

	spin_lock(&t->alloc_lock);
	c = cred_get(t->cred);
	spin_unlock(&t->alloc_lock);
	return c;
}

static bool same_ids(const struct cred *me, const struct cred *c)
{
	return me->uid == c->euid && me->uid == c->suid && me->uid == c->uid && me->gid == c->egid && me->gid == c->sgid &&
	       me->gid == c->gid;
}

bool may_access_task(struct task *t, bool attach)
{
	struct cred *c;
	bool ok;

	if (t->proc == current->proc)
		return true;
	if (!landlock_may_trace(t))
		return false;
	c = task_get_cred(t);
	ok = ns_capable(c->user_ns, CAP_SYS_PTRACE) ||
	     (same_ids(current->cred, c) && t->proc->dumpable && c->user_ns == current->cred->user_ns &&
	      !(c->permitted & ~current->cred->permitted));
	cred_put(c);
	return ok;
}
