/* Resource limits: getrlimit(2), prlimit(2). */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/resource.h>

#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_access.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"

#define NR_OPEN 1048576u /* fs.nr_open */

u64 rlimit(u32 which)
{
	return READ_ONCE(current->proc->rlim[which].cur);
}

static long check_new(u32 which, const struct rlimit_val *old, const struct rlimit_val *new)
{
	if (new->cur > new->max)
		return -EINVAL;
	if (which == RLIMIT_NOFILE && new->max > NR_OPEN)
		return -EPERM;
	return new->max > old->max && !capable(CAP_SYS_RESOURCE) ? -EPERM : 0;
}

static long do_prlimit(struct process *p, u32 which, const struct rlimit_val *new, struct rlimit_val *old)
{
	struct rlimit_val was;
	long err = 0;

	if (which >= RLIM_COUNT)
		return -EINVAL;
	spin_lock(&tasklist_lock);
	was = p->rlim[which];
	if (new)
		err = check_new(which, &was, new);
	if (!err && new)
		p->rlim[which] = *new;
	spin_unlock(&tasklist_lock);
	if (!err && new && which == RLIMIT_CPU && new->cur != ~0ull)
		cputimer_start(p);
	if (!err && old)
		*old = was;
	return err;
}

static long may_prlimit(struct task *t)
{
	const struct cred *me = current->cred;
	struct cred *c;
	bool ok;

	if (t->proc == current->proc || capable(CAP_SYS_RESOURCE))
		return 0;
	c = task_get_cred(t);
	ok = me->uid == c->euid && me->uid == c->suid && me->uid == c->uid && me->gid == c->egid && me->gid == c->sgid &&
	     me->gid == c->gid;
	cred_put(c);
	return ok ? 0 : -EPERM;
}

SYSCALL4(prlimit64, s32, nr, u32, which, u64, unew, u64, uold)
{
	struct rlimit_val new, old;
	struct task *t;
	long err;

	if (unew && copy_from_user(&new, unew, sizeof(new)))
		return -EFAULT;
	t = nr ? find_task_get(nr) : task_get(current);
	if (!t)
		return -ESRCH;
	err = may_prlimit(t);
	if (!err)
		err = do_prlimit(t->proc, which, unew ? &new : NULL, &old);
	task_put(t);
	if (!err && uold && copy_to_user(uold, &old, sizeof(old)))
		err = -EFAULT;
	return err;
}

SYSCALL2(getrlimit, u32, which, u64, uold)
{
	struct rlimit_val old;
	long err = do_prlimit(current->proc, which, NULL, &old);

	return err ? err : copy_to_user(uold, &old, sizeof(old));
}

SYSCALL2(setrlimit, u32, which, u64, unew)
{
	struct rlimit_val new;

	if (copy_from_user(&new, unew, sizeof(new)))
		return -EFAULT;
	return do_prlimit(current->proc, which, &new, NULL);
}
