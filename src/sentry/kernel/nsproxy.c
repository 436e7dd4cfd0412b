/* Namespaces: unshare(2), setns(2), and the UTS namespace's calls. Those of mounts are in vfs/mount.c. */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/sched.h>
#include <linux/utsname.h>

#include "base/string.h"
#include "hostcall.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_access.h"
#include "sentry/kernel/uts.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"

struct nsproxy init_nsproxy;
static struct uts_ns init_uts;
static _Atomic u64 next_ino = 4026531834; /* as Linux numbers its first ones */

static u64 new_ino(void)
{
	return atomic_fetch_add(&next_ino, 1);
}

void nsproxy_init(void)
{
	const char *name = pa_to_va(boot_params->hostname_off);

	refcount_set(&init_uts.ref, 1);
	init_uts.ino = new_ino();
	kstrlcpy(init_uts.nodename, boot_params->hostname_off && *name ? name : "sandbox", UTS_LEN);
	kstrlcpy(init_uts.domainname, "(none)", UTS_LEN);
	refcount_set(&init_nsproxy.ref, 1);
	init_nsproxy.uts = &init_uts;
	init_nsproxy.ino_ipc = new_ino();
	init_nsproxy.ino_net = new_ino();
	init_nsproxy.ino_pid = new_ino();
	init_nsproxy.ino_user = new_ino();
	init_nsproxy.ino_cgroup = new_ino();
	init_nsproxy.ino_time = new_ino();
	init_nsproxy.ino_mnt = new_ino();
}

static void uts_put(struct uts_ns *u)
{
	if (refcount_dec_and_test(&u->ref))
		kfree(u);
}

void nsproxy_put(struct nsproxy *ns)
{
	if (!ns || !refcount_dec_and_test(&ns->ref))
		return;
	uts_put(ns->uts);
	mount_ns_put(ns->mnt);
	kfree(ns);
}

static struct uts_ns *uts_copy(struct uts_ns *old)
{
	struct uts_ns *u = kzalloc(sizeof(*u));

	if (!u)
		return NULL;
	refcount_set(&u->ref, 1);
	u->ino = new_ino();
	spin_lock(&old->lock);
	memcpy(u->nodename, old->nodename, UTS_LEN);
	memcpy(u->domainname, old->domainname, UTS_LEN);
	spin_unlock(&old->lock);
	return u;
}

struct nsproxy *nsproxy_copy(struct nsproxy *old, u64 flags)
{
	struct nsproxy *ns;

	/* What has no separate state here cannot be promised: clone(2) says EINVAL for a kernel configured without. */
	if (flags & (CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWTIME))
		return ERR_PTR(-EINVAL);
	ns = kmalloc(sizeof(*ns));
	if (!ns)
		return ERR_PTR(-ENOMEM);
	*ns = *old;
	refcount_set(&ns->ref, 1);
	if (flags & CLONE_NEWUTS) {
		ns->uts = uts_copy(old->uts);
		if (!ns->uts) {
			kfree(ns);
			return ERR_PTR(-ENOMEM);
		}
	} else {
		refcount_inc(&ns->uts->ref);
	}
	mount_ns_get(ns->mnt); /* CLONE_NEWNS copies it later: mount_ns_unshare() */
	if (flags & CLONE_NEWCGROUP)
		ns->ino_cgroup = new_ino();
	if (flags & CLONE_NEWNS)
		ns->ino_mnt = new_ino();
	return ns;
}

/* ---- unshare ---- */

#define UNSHARE_NS                                                                      \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWCGROUP | CLONE_NEWTIME)

static long unshare_fs(struct task *t)
{
	struct fs_state *fresh = fs_state_copy(t->fs), *old = t->fs;

	if (!fresh)
		return -ENOMEM;
	spin_lock(&t->alloc_lock);
	t->fs = fresh;
	spin_unlock(&t->alloc_lock);
	fs_state_put(old);
	return 0;
}

static long unshare_files(struct task *t)
{
	struct files *fresh = files_copy(t->files), *old = t->files;

	if (IS_ERR_OR_NULL(fresh))
		return fresh ? PTR_ERR(fresh) : -ENOMEM;
	spin_lock(&t->alloc_lock);
	t->files = fresh;
	spin_unlock(&t->alloc_lock);
	t->files_shared = false;
	files_put(old);
	return 0;
}

static long unshare_ns(struct task *t, u64 flags)
{
	struct nsproxy *ns = nsproxy_copy(t->ns, flags), *old = t->ns;
	long err;

	if (IS_ERR(ns))
		return PTR_ERR(ns);
	err = flags & CLONE_NEWNS ? mount_ns_unshare(ns, t->fs) : 0;
	if (err) {
		nsproxy_put(ns);
		return err;
	}
	spin_lock(&t->alloc_lock);
	t->ns = ns;
	spin_unlock(&t->alloc_lock);
	nsproxy_put(old);
	return 0;
}

SYSCALL1(unshare, u64, flags)
{
	struct task *t = current;
	long err = 0;

	if (flags & ~(u64)(CLONE_THREAD | CLONE_FS | CLONE_SIGHAND | CLONE_VM | CLONE_FILES | CLONE_SYSVSEM | UNSHARE_NS))
		return -EINVAL;
	if (flags & (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWUSER) && t->proc->nthreads > 1)
		return -EINVAL;
	if (flags & UNSHARE_NS && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (flags & (CLONE_FS | CLONE_NEWNS))
		err = unshare_fs(t);
	if (!err && flags & UNSHARE_NS)
		err = unshare_ns(t, flags);
	if (!err && flags & CLONE_FILES)
		err = unshare_files(t);
	return err;
}

/* ---- setns, by a pidfd: setns(2) since Linux 5.8 ---- */

static struct nsproxy *pidfd_namespaces(s32 fd)
{
	u32 file_flags;
	struct pid *pid = pidfd_get(fd, &file_flags);
	struct nsproxy *ns = NULL;
	struct task *t = NULL;

	if (IS_ERR(pid)) {
		struct file *f = fget(fd);

		if (!f)
			return ERR_PTR(-EBADF);
		file_put(f);
		return ERR_PTR(-EINVAL);
	}
	spin_lock(&tasklist_lock);
	if (pid->process)
		t = task_get(pid->process->leader);
	spin_unlock(&tasklist_lock);
	pid_put(pid);
	if (!t)
		return ERR_PTR(-ESRCH);
	if (may_access_task(t, false)) {
		spin_lock(&t->alloc_lock);
		ns = nsproxy_get(t->ns);
		spin_unlock(&t->alloc_lock);
	}
	task_put(t);
	return ns ? ns : ERR_PTR(-EPERM);
}

/* What `target` has of the kinds in flags, the rest as before. */
static struct nsproxy *nsproxy_join(struct nsproxy *old, struct nsproxy *target, u64 flags)
{
	struct nsproxy *ns;

	if (flags & CLONE_NEWUSER) /* one is in it already: setns(2) */
		return ERR_PTR(-EINVAL);
	if (flags & CLONE_NEWNS && target->mnt != old->mnt)
		return ERR_PTR(-EINVAL);
	ns = nsproxy_copy(old, 0);
	if (IS_ERR(ns))
		return ns;
	if (flags & CLONE_NEWUTS) {
		uts_put(ns->uts);
		ns->uts = target->uts;
		refcount_inc(&ns->uts->ref);
	}
	if (flags & CLONE_NEWCGROUP)
		ns->ino_cgroup = target->ino_cgroup;
	return ns;
}

SYSCALL2(setns, s32, fd, s32, nstype)
{
	struct task *t = current;
	struct nsproxy *target = pidfd_namespaces(fd), *ns, *old;
	u64 flags = (u32)nstype;

	if (IS_ERR(target))
		return PTR_ERR(target);
	if (!flags || flags & ~(u64)UNSHARE_NS)
		ns = ERR_PTR(-EINVAL);
	else if (!capable(CAP_SYS_ADMIN))
		ns = ERR_PTR(-EPERM);
	else
		ns = nsproxy_join(t->ns, target, flags);
	nsproxy_put(target);
	if (IS_ERR(ns))
		return PTR_ERR(ns);
	spin_lock(&t->alloc_lock);
	old = t->ns;
	t->ns = ns;
	spin_unlock(&t->alloc_lock);
	nsproxy_put(old);
	return 0;
}

/* ---- the UTS namespace ---- */

const char *uts_hostname(void)
{
	return current->ns->uts->nodename;
}

const char *uts_domainname(void)
{
	return current->ns->uts->domainname;
}

static void copy_name(char *dst, const char *src)
{
	kstrlcpy(dst, src, UTS_LEN);
}

SYSCALL1(uname, u64, ubuf)
{
	struct uts_ns *u = current->ns->uts;
	struct new_utsname n = { 0 };

	copy_name(n.sysname, "Linux");
	copy_name(n.release, current->proc->personality & 0x0020000 ? "2.6.61" : UTS_RELEASE); /* UNAME26: personality(2) */
	copy_name(n.version, UTS_VERSION);
	copy_name(n.machine, (current->proc->personality & 0xff) == 8 ? "i686" : "x86_64"); /* PER_LINUX32 */
	spin_lock(&u->lock);
	copy_name(n.nodename, u->nodename);
	copy_name(n.domainname, u->domainname);
	spin_unlock(&u->lock);
	return copy_to_user(ubuf, &n, sizeof(n));
}

static long set_uts_name(size_t offset, u64 uname, s32 len)
{
	struct uts_ns *u = current->ns->uts;
	char name[UTS_LEN] = { 0 };

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (len < 0 || len > UTS_LEN - 1)
		return -EINVAL;
	if (copy_from_user(name, uname, (size_t)len))
		return -EFAULT;
	spin_lock(&u->lock);
	memcpy((char *)u + offset, name, UTS_LEN);
	spin_unlock(&u->lock);
	return 0;
}

SYSCALL2(sethostname, u64, uname, s32, len)
{
	return set_uts_name(offsetof(struct uts_ns, nodename), uname, len);
}

SYSCALL2(setdomainname, u64, uname, s32, len)
{
	return set_uts_name(offsetof(struct uts_ns, domainname), uname, len);
}
