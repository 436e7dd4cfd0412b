/*
 * Credentials: credentials(7), capabilities(7). A struct cred never changes once it is in task->cred; a change makes a copy,
 * alters it and puts it in place.
 */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/securebits.h>

#include "base/string.h"
#include "sentry/kernel/proc_events.h"
#include "sentry/kernel/keys.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/landlock.h"

struct cred *cred_get(struct cred *c)
{
	refcount_inc(&c->ref);
	return c;
}

void cred_put(struct cred *c)
{
	if (c && refcount_dec_and_test(&c->ref)) {
		kfree(c->groups);
		user_ns_put(c->user_ns);
		key_put(c->session_keyring);
		landlock_put(c->landlock);
		kfree(c);
	}
}

struct cred *cred_alloc_init(u32 uid, u32 gid)
{
	struct cred *c = kzalloc(sizeof(*c));

	if (!c)
		return NULL;
	refcount_set(&c->ref, 1);
	c->uid = c->euid = c->suid = c->fsuid = uid;
	c->gid = c->egid = c->sgid = c->fsgid = gid;
	c->bset = CAP_ALL;
	c->user_ns = user_ns_get(&init_user_ns);
	if (uid == 0)
		c->permitted = c->effective = CAP_ALL;
	return c;
}

struct cred *prepare_creds(void)
{
	const struct cred *old = current->cred;
	struct cred *c = kmalloc(sizeof(*c));

	if (!c)
		return NULL;
	*c = *old;
	refcount_set(&c->ref, 1);
	if (old->ngroups) {
		c->groups = kmalloc(old->ngroups * sizeof(u32));
		if (!c->groups) {
			kfree(c);
			return NULL;
		}
		memcpy(c->groups, old->groups, old->ngroups * sizeof(u32));
	}
	user_ns_get(c->user_ns);
	if (c->session_keyring)
		key_get(c->session_keyring);
	landlock_get(c->landlock);
	return c;
}

void commit_creds(struct cred *c)
{
	struct task *t = current;
	struct cred *old = t->cred;

	if (c->euid != old->euid || c->egid != old->egid || c->fsuid != old->fsuid || c->fsgid != old->fsgid ||
	    c->permitted & ~old->permitted) {
		t->proc->dumpable = false;
		t->pdeath_signal = 0;
	}
	spin_lock(&t->alloc_lock);
	t->cred = c;
	spin_unlock(&t->alloc_lock);
	if (unlikely(proc_listeners)) {
		if (c->uid != old->uid || c->euid != old->euid || c->suid != old->suid || c->fsuid != old->fsuid)
			proc_event(PROC_EVENT_UID, t, (u32[]){ c->uid, c->euid }, 2);
		if (c->gid != old->gid || c->egid != old->egid || c->sgid != old->sgid || c->fsgid != old->fsgid)
			proc_event(PROC_EVENT_GID, t, (u32[]){ c->gid, c->egid }, 2);
	}
	cred_put(old);
}

bool in_group(const struct cred *c, u32 gid)
{
	u32 lo = 0, hi = c->ngroups;

	if (c->fsgid == gid)
		return true;
	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if (c->groups[mid] == gid)
			return true;
		if (c->groups[mid] < gid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

/* ---- changes of user ids and what they do to capabilities ---- */

/* capabilities(7), "Effect of user ID changes on capabilities". */
static void fix_caps_after_setuid(struct cred *c, const struct cred *old)
{
	u32 root = make_uid(c->user_ns, 0);
	bool had_root = old->uid == root || old->euid == root || old->suid == root;
	bool has_root = c->uid == root || c->euid == root || c->suid == root;

	if (c->securebits & (1u << SECURE_NO_SETUID_FIXUP))
		return;
	if (had_root && !has_root) {
		if (!(c->securebits & (1u << SECURE_KEEP_CAPS)))
			c->permitted = c->effective = 0;
		c->ambient = 0;
	}
	if (old->euid == root && c->euid != root)
		c->effective = 0;
	else if (old->euid != root && c->euid == root)
		c->effective = c->permitted;
}

#define FS_CAPS                                                                         \
	(1ull << CAP_CHOWN | 1ull << CAP_MKNOD | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_DAC_READ_SEARCH | \
	 1ull << CAP_FOWNER | 1ull << CAP_FSETID | 1ull << CAP_LINUX_IMMUTABLE | 1ull << CAP_MAC_OVERRIDE)

static void fix_caps_after_setfsuid(struct cred *c, const struct cred *old)
{
	u32 root = make_uid(c->user_ns, 0);

	if (c->securebits & (1u << SECURE_NO_SETUID_FIXUP))
		return;
	if (old->fsuid == root && c->fsuid != root)
		c->effective &= ~FS_CAPS;
	else if (old->fsuid != root && c->fsuid == root)
		c->effective |= c->permitted & FS_CAPS;
}

/* An id that has no meaning in the caller's user namespace. */
static bool unmapped(u32 named, u32 id)
{
	return named != NO_ID && id == NO_ID;
}

static long finish_setuid(struct cred *c)
{
	fix_caps_after_setuid(c, current->cred);
	commit_creds(c);
	return 0;
}

static long refuse(struct cred *c, long err)
{
	cred_put(c);
	return err;
}

SYSCALL1(setuid, u32, uuid)
{
	u32 uid = uid_in(uuid);
	struct cred *c;

	if (uid == NO_ID)
		return -EINVAL;
	c = prepare_creds();
	if (!c)
		return -ENOMEM;
	if (self_capable(CAP_SETUID))
		c->uid = c->suid = uid;
	else if (uid != c->uid && uid != c->suid)
		return refuse(c, -EPERM);
	c->euid = c->fsuid = uid;
	return finish_setuid(c);
}

SYSCALL2(setreuid, u32, uruid, u32, ueuid)
{
	u32 ruid = uid_in(uruid), euid = uid_in(ueuid);
	const struct cred *old = current->cred;
	bool privileged = self_capable(CAP_SETUID);
	struct cred *c;

	if (unmapped(uruid, ruid) || unmapped(ueuid, euid))
		return -EINVAL;
	c = prepare_creds();
	if (!c)
		return -ENOMEM;
	if (ruid != NO_ID) {
		if (ruid != old->uid && ruid != old->euid && !privileged)
			return refuse(c, -EPERM);
		c->uid = ruid;
	}
	if (euid != NO_ID) {
		if (euid != old->uid && euid != old->euid && euid != old->suid && !privileged)
			return refuse(c, -EPERM);
		c->euid = euid;
	}
	if (ruid != NO_ID || (euid != NO_ID && euid != old->uid))
		c->suid = c->euid;
	c->fsuid = c->euid;
	return finish_setuid(c);
}

static bool one_of(u32 id, u32 a, u32 b, u32 c)
{
	return id == NO_ID || id == a || id == b || id == c;
}

SYSCALL3(setresuid, u32, uruid, u32, ueuid, u32, usuid)
{
	u32 ruid = uid_in(uruid), euid = uid_in(ueuid), suid = uid_in(usuid);
	const struct cred *o = current->cred;
	struct cred *c;

	if (unmapped(uruid, ruid) || unmapped(ueuid, euid) || unmapped(usuid, suid))
		return -EINVAL;
	if (!self_capable(CAP_SETUID) && !(one_of(ruid, o->uid, o->euid, o->suid) && one_of(euid, o->uid, o->euid, o->suid) &&
				      one_of(suid, o->uid, o->euid, o->suid)))
		return -EPERM;
	c = prepare_creds();
	if (!c)
		return -ENOMEM;
	c->uid = ruid == NO_ID ? c->uid : ruid;
	c->euid = euid == NO_ID ? c->euid : euid;
	c->suid = suid == NO_ID ? c->suid : suid;
	c->fsuid = c->euid;
	return finish_setuid(c);
}

SYSCALL1(setfsuid, u32, uuid)
{
	u32 uid = uid_in(uuid);
	const struct cred *o = current->cred;
	u32 before = uid_out(o->fsuid);
	struct cred *c;

	if (uid == NO_ID || !(uid == o->uid || uid == o->euid || uid == o->suid || uid == o->fsuid || self_capable(CAP_SETUID)))
		return before;
	c = prepare_creds();
	if (!c)
		return before;
	c->fsuid = uid;
	fix_caps_after_setfsuid(c, o);
	commit_creds(c);
	return before;
}

SYSCALL1(setgid, u32, ugid)
{
	u32 gid = gid_in(ugid);
	struct cred *c;

	if (gid == NO_ID)
		return -EINVAL;
	c = prepare_creds();
	if (!c)
		return -ENOMEM;
	if (self_capable(CAP_SETGID))
		c->gid = c->sgid = gid;
	else if (gid != c->gid && gid != c->sgid)
		return refuse(c, -EPERM);
	c->egid = c->fsgid = gid;
	commit_creds(c);
	return 0;
}

SYSCALL2(setregid, u32, urgid, u32, uegid)
{
	u32 rgid = gid_in(urgid), egid = gid_in(uegid);
	const struct cred *old = current->cred;
	bool privileged = self_capable(CAP_SETGID);
	struct cred *c;

	if (unmapped(urgid, rgid) || unmapped(uegid, egid))
		return -EINVAL;
	c = prepare_creds();
	if (!c)
		return -ENOMEM;
	if (rgid != NO_ID) {
		if (rgid != old->gid && rgid != old->egid && !privileged)
			return refuse(c, -EPERM);
		c->gid = rgid;
	}
	if (egid != NO_ID) {
		if (egid != old->gid && egid != old->egid && egid != old->sgid && !privileged)
			return refuse(c, -EPERM);
		c->egid = egid;
	}
	if (rgid != NO_ID || (egid != NO_ID && egid != old->gid))
		c->sgid = c->egid;
	c->fsgid = c->egid;
	commit_creds(c);
	return 0;
}

SYSCALL3(setresgid, u32, urgid, u32, uegid, u32, usgid)
{
	u32 rgid = gid_in(urgid), egid = gid_in(uegid), sgid = gid_in(usgid);
	const struct cred *o = current->cred;
	struct cred *c;

	if (unmapped(urgid, rgid) || unmapped(uegid, egid) || unmapped(usgid, sgid))
		return -EINVAL;
	if (!self_capable(CAP_SETGID) && !(one_of(rgid, o->gid, o->egid, o->sgid) && one_of(egid, o->gid, o->egid, o->sgid) &&
				      one_of(sgid, o->gid, o->egid, o->sgid)))
		return -EPERM;
	c = prepare_creds();
	if (!c)
		return -ENOMEM;
	c->gid = rgid == NO_ID ? c->gid : rgid;
	c->egid = egid == NO_ID ? c->egid : egid;
	c->sgid = sgid == NO_ID ? c->sgid : sgid;
	c->fsgid = c->egid;
	commit_creds(c);
	return 0;
}

SYSCALL1(setfsgid, u32, ugid)
{
	u32 gid = gid_in(ugid);
	const struct cred *o = current->cred;
	u32 before = gid_out(o->fsgid);
	struct cred *c;

	if (gid == NO_ID || !(gid == o->gid || gid == o->egid || gid == o->sgid || gid == o->fsgid || self_capable(CAP_SETGID)))
		return before;
	c = prepare_creds();
	if (!c)
		return before;
	c->fsgid = gid;
	commit_creds(c);
	return before;
}

/* ---- reading ---- */

SYSCALL0(getuid)
{
	return uid_out(current->cred->uid);
}

SYSCALL0(geteuid)
{
	return uid_out(current->cred->euid);
}

SYSCALL0(getgid)
{
	return gid_out(current->cred->gid);
}

SYSCALL0(getegid)
{
	return gid_out(current->cred->egid);
}

static long put_three(u64 a, u32 va, u64 b, u32 vb, u64 c, u32 vc)
{
	return put_user(va, a) || put_user(vb, b) || put_user(vc, c) ? -EFAULT : 0;
}

SYSCALL3(getresuid, u64, r, u64, e, u64, s)
{
	const struct cred *c = current->cred;

	return put_three(r, uid_out(c->uid), e, uid_out(c->euid), s, uid_out(c->suid));
}

SYSCALL3(getresgid, u64, r, u64, e, u64, s)
{
	const struct cred *c = current->cred;

	return put_three(r, gid_out(c->gid), e, gid_out(c->egid), s, gid_out(c->sgid));
}

/* ---- supplementary groups ---- */

SYSCALL2(getgroups, s32, size, u64, ulist)
{
	const struct cred *c = current->cred;

	if (size < 0)
		return -EINVAL;
	if (size) {
		if ((u32)size < c->ngroups)
			return -EINVAL;
		for (u32 i = 0; i < c->ngroups; i++)
			if (put_user(gid_out(c->groups[i]), ulist + i * sizeof(u32)))
				return -EFAULT;
	}
	return c->ngroups;
}

/* Heap sort: bounded time and no stack, whatever the application passes. */
static void sift(u32 *a, u32 root, u32 n)
{
	for (u32 child; (child = 2 * root + 1) < n; root = child) {
		u32 v;

		if (child + 1 < n && a[child] < a[child + 1])
			child++;
		if (a[root] >= a[child])
			return;
		v = a[root];
		a[root] = a[child];
		a[child] = v;
	}
}

static void sort_groups(u32 *a, u32 n)
{
	for (u32 i = n / 2; i-- > 0;)
		sift(a, i, n);
	for (u32 end = n; end-- > 1;) {
		u32 v = a[0];

		a[0] = a[end];
		a[end] = v;
		sift(a, 0, end);
	}
}

/* user_namespaces(7): not before the groups are mapped, nor when it was denied. */
static bool may_setgroups(const struct user_ns *u)
{
	return u == &init_user_ns || (u->gid_map.n && !u->no_setgroups);
}

SYSCALL2(setgroups, s32, n, u64, ulist)
{
	struct cred *c;
	u32 *groups = NULL;

	if (!self_capable(CAP_SETGID) || !may_setgroups(current->cred->user_ns))
		return -EPERM;
	if ((u32)n > NGROUPS_MAX)
		return -EINVAL;
	if (n) {
		groups = kmalloc((u32)n * sizeof(u32));
		if (!groups)
			return -ENOMEM;
		if (copy_from_user(groups, ulist, (u32)n * sizeof(u32))) {
			kfree(groups);
			return -EFAULT;
		}
		for (s32 i = 0; i < n; i++) {
			groups[i] = gid_in(groups[i]);
			if (groups[i] == NO_ID) {
				kfree(groups);
				return -EINVAL;
			}
		}
		sort_groups(groups, (u32)n);
	}
	c = prepare_creds();
	if (!c) {
		kfree(groups);
		return -ENOMEM;
	}
	kfree(c->groups);
	c->groups = groups;
	c->ngroups = (u32)n;
	commit_creds(c);
	return 0;
}
