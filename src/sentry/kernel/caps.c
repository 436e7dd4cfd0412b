/* capget(2), capset(2), and the capability calls of prctl(2). */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/prctl.h>
#include <linux/securebits.h>

#include "sentry/kernel/caps.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"

/* Words of a set in the caller's version of the interface; 0: unknown, and the header is told ours. */
static u32 version_words(u64 uheader, struct __user_cap_header_struct *h, long *err)
{
	if (copy_from_user(h, uheader, sizeof(*h))) {
		*err = -EFAULT;
		return 0;
	}
	switch (h->version) {
	case _LINUX_CAPABILITY_VERSION_1:
		return 1;
	case _LINUX_CAPABILITY_VERSION_2:
	case _LINUX_CAPABILITY_VERSION_3:
		return 2;
	default:
		*err = put_user((u32)_LINUX_CAPABILITY_VERSION_3, uheader) ? -EFAULT : -EINVAL;
		return 0;
	}
}

static struct cred *task_cred_get(s32 pid)
{
	struct task *t;
	struct cred *c;

	if (pid == 0)
		return cred_get(current->cred);
	t = find_task_get(pid);
	if (!t)
		return NULL;
	spin_lock(&t->alloc_lock);
	c = cred_get(t->cred);
	spin_unlock(&t->alloc_lock);
	task_put(t);
	return c;
}

SYSCALL2(capget, u64, uheader, u64, udata)
{
	struct __user_cap_data_struct d[2];
	struct __user_cap_header_struct h;
	struct cred *c;
	long err = 0;
	u32 words = version_words(uheader, &h, &err);

	if (!words)
		return err == -EINVAL && !udata ? 0 : err; /* a probe for the version */
	if (h.pid < 0)
		return -EINVAL;
	c = task_cred_get(h.pid);
	if (!c)
		return -ESRCH;
	for (u32 i = 0; i < 2; i++) {
		d[i].effective = (u32)(c->effective >> 32 * i);
		d[i].permitted = (u32)(c->permitted >> 32 * i);
		d[i].inheritable = (u32)(c->inheritable >> 32 * i);
	}
	cred_put(c);
	return udata ? copy_to_user(udata, d, words * sizeof(d[0])) : 0;
}

static long check_new_sets(const struct cred *old, kernel_cap_t e, kernel_cap_t p, kernel_cap_t i)
{
	bool setpcap = self_capable(CAP_SETPCAP);

	if (!setpcap && i & ~(old->inheritable | old->permitted))
		return -EPERM;
	if (i & ~(old->inheritable | old->bset))
		return -EPERM;
	if (p & ~old->permitted)
		return -EPERM;
	return e & ~p ? -EPERM : 0;
}

SYSCALL2(capset, u64, uheader, u64, udata)
{
	struct __user_cap_data_struct d[2] = { 0 };
	struct __user_cap_header_struct h;
	kernel_cap_t e, p, i;
	struct cred *c;
	long err = 0;
	u32 words = version_words(uheader, &h, &err);

	if (!words)
		return err;
	if (h.pid && h.pid != task_tid(current))
		return -EPERM;
	if (copy_from_user(d, udata, words * sizeof(d[0])))
		return -EFAULT;
	e = (d[0].effective | (u64)d[1].effective << 32) & CAP_ALL;
	p = (d[0].permitted | (u64)d[1].permitted << 32) & CAP_ALL;
	i = (d[0].inheritable | (u64)d[1].inheritable << 32) & CAP_ALL;
	err = check_new_sets(current->cred, e, p, i);
	if (err)
		return err;
	c = prepare_creds();
	if (!c)
		return -ENOMEM;
	c->effective = e;
	c->permitted = p;
	c->inheritable = i;
	c->ambient &= p & i;
	commit_creds(c);
	return 0;
}

/* ---- prctl ---- */

long prctl_capbset_read(u64 cap)
{
	return cap > CAP_LAST_CAP ? -EINVAL : (long)(current->cred->bset >> cap & 1);
}

long prctl_capbset_drop(u64 cap)
{
	struct cred *c;

	if (!self_capable(CAP_SETPCAP))
		return -EPERM;
	if (cap > CAP_LAST_CAP)
		return -EINVAL;
	c = prepare_creds();
	if (!c)
		return -ENOMEM;
	c->bset &= ~(1ull << cap);
	commit_creds(c);
	return 0;
}

#define SECURE_ALL_BITS_K 0x55u
#define SECURE_ALL_LOCKS_K (SECURE_ALL_BITS_K << 1)

long prctl_set_securebits(u64 bits)
{
	u32 old = current->cred->securebits;
	struct cred *c;

	if (((old & SECURE_ALL_LOCKS_K) >> 1) & (old ^ bits)) /* a locked bit */
		return -EPERM;
	if ((old & SECURE_ALL_LOCKS_K) & ~bits) /* a lock stays */
		return -EPERM;
	if (bits & ~(u64)(SECURE_ALL_BITS_K | SECURE_ALL_LOCKS_K) || !self_capable(CAP_SETPCAP))
		return -EPERM;
	c = prepare_creds();
	if (!c)
		return -ENOMEM;
	c->securebits = (u32)bits;
	commit_creds(c);
	return 0;
}

static long ambient_change(u64 op, u64 cap)
{
	const struct cred *o = current->cred;
	u64 bit = 1ull << cap;
	struct cred *c;

	if (op == PR_CAP_AMBIENT_RAISE &&
	    (!(o->permitted & bit) || !(o->inheritable & bit) || o->securebits & (1u << SECURE_NO_CAP_AMBIENT_RAISE)))
		return -EPERM;
	c = prepare_creds();
	if (!c)
		return -ENOMEM;
	if (op == PR_CAP_AMBIENT_RAISE)
		c->ambient |= bit;
	else
		c->ambient &= op == PR_CAP_AMBIENT_CLEAR_ALL ? 0 : ~bit;
	commit_creds(c);
	return 0;
}

long prctl_cap_ambient(u64 op, u64 cap, u64 arg4, u64 arg5)
{
	if (arg4 || arg5)
		return -EINVAL;
	if (op == PR_CAP_AMBIENT_CLEAR_ALL)
		return cap ? -EINVAL : ambient_change(op, 0);
	if (cap > CAP_LAST_CAP)
		return -EINVAL;
	if (op == PR_CAP_AMBIENT_IS_SET)
		return (long)(current->cred->ambient >> cap & 1);
	if (op != PR_CAP_AMBIENT_RAISE && op != PR_CAP_AMBIENT_LOWER)
		return -EINVAL;
	return ambient_change(op, cap);
}
