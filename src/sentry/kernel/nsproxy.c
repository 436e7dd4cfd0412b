/* Sets of namespaces: unshare(2), setns(2), and the UTS namespace's calls. One kind each: user_ns.c, pid.c, vfs/mount.c. */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/sched.h>
#include <linux/utsname.h>

#include "base/string.h"
#include "hostcall.h"
#include "net/net_ns.h"
#include "sentry/kernel/ipc_ids.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/task_access.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/kernel/uts.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/mount_tree.h"

struct nsproxy init_nsproxy;
static struct uts_ns init_uts;
static struct ns_common init_simple[NS_KINDS]; /* but for the network, IPC and time, which have more to them */
static _Atomic u64 next_ino = 4026531834; /* as Linux numbers its first ones */

/* ---- what all kinds have in common ---- */

static void uts_free(struct ns_common *n)
{
	kfree(container_of(n, struct uts_ns, c));
}

static void simple_free(struct ns_common *n)
{
	kfree(n);
}

static void ipc_free(struct ns_common *n)
{
	struct ipc_ns *ipc = ipc_ns_of(n);

	sem_ns_free(ipc);
	msg_ns_free(ipc);
	mq_ns_free(ipc);
	shm_ns_free(ipc);
	kfree(ipc);
}

static const struct {
	const char *name;
	u64 flag;
	void (*free)(struct ns_common *n);
} kinds[NS_KINDS] = {
	[NS_CGROUP] = { "cgroup", CLONE_NEWCGROUP, simple_free }, [NS_IPC] = { "ipc", CLONE_NEWIPC, ipc_free },
	[NS_MNT] = { "mnt", CLONE_NEWNS, mount_ns_free },	  [NS_NET] = { "net", CLONE_NEWNET, net_ns_free },
	[NS_PID] = { "pid", CLONE_NEWPID, pid_ns_free },	  [NS_TIME] = { "time", CLONE_NEWTIME, time_ns_free },
	[NS_USER] = { "user", CLONE_NEWUSER, user_ns_free },	  [NS_UTS] = { "uts", CLONE_NEWUTS, uts_free },
};
/* Kinds of which a task has one by number only. */
#define SIMPLE_KINDS (1u << NS_CGROUP | 1u << NS_IPC | 1u << NS_NET | 1u << NS_TIME)

void ns_init(struct ns_common *n, enum ns_kind kind, struct user_ns *owner)
{
	refcount_set(&n->ref, 1);
	n->kind = kind;
	n->ino = atomic_fetch_add(&next_ino, 1);
	n->owner = owner ? user_ns_get(owner) : NULL;
}

void ns_put(struct ns_common *n)
{
	while (n && refcount_dec_and_test(&n->ref)) {
		struct user_ns *owner = n->owner;

		kinds[n->kind].free(n);
		n = owner ? &owner->c : NULL;
	}
}

const char *ns_kind_name(enum ns_kind kind) { return kinds[kind].name; }
u64 ns_kind_flag(enum ns_kind kind) { return kinds[kind].flag; }

void nsproxy_init(void)
{
	const char *name = pa_to_va(boot_params->hostname_off);

	ns_init(&init_user_ns.c, NS_USER, NULL);
	ns_init(&init_uts.c, NS_UTS, &init_user_ns);
	ns_init(&init_pid_ns.c, NS_PID, &init_user_ns);
	ns_init(&init_mount_ns.c, NS_MNT, &init_user_ns);
	for (u32 i = 0; i < NS_KINDS; i++)
		if (SIMPLE_KINDS >> i & 1) {
			init_nsproxy.simple[i] = i == NS_NET ? &init_net_ns.c : i == NS_IPC ? &init_ipc_ns.c : i == NS_TIME ? &init_time_ns.c : &init_simple[i];
			ns_init(init_nsproxy.simple[i], i, &init_user_ns);
		}
	kstrlcpy(init_uts.nodename, boot_params->hostname_off && *name ? name : "sandbox", UTS_LEN);
	kstrlcpy(init_uts.domainname, pa_to_va(boot_params->domainname_off), UTS_LEN);
	init_ipc_ns.settings = ipc_settings_default;
	init_net_ns.settings = net_settings_default;
	refcount_set(&init_nsproxy.ref, 1);
	init_nsproxy.uts = &init_uts;
	init_nsproxy.mnt = &init_mount_ns;
	init_nsproxy.pid = &init_pid_ns;
	init_nsproxy.time_for_children = &init_time_ns.c;
	ns_get(&init_time_ns.c);
}

/* ---- sets ---- */

void nsproxy_put(struct nsproxy *ns)
{
	if (!ns || !refcount_dec_and_test(&ns->ref))
		return;
	ns_put(&ns->uts->c);
	ns_put(&ns->mnt->c);
	ns_put(&ns->pid->c);
	for (u32 i = 0; i < NS_KINDS; i++)
		ns_put(ns->simple[i]);
	ns_put(ns->time_for_children);
	kfree(ns);
}

/* The same set again, to change before it is seen. */
static struct nsproxy *nsproxy_clone(const struct nsproxy *old)
{
	struct nsproxy *ns = kmalloc(sizeof(*ns));

	if (!ns)
		return NULL;
	*ns = *old;
	refcount_set(&ns->ref, 1);
	ns_get(&ns->uts->c);
	ns_get(&ns->mnt->c);
	ns_get(&ns->pid->c);
	for (u32 i = 0; i < NS_KINDS; i++)
		if (ns->simple[i])
			ns_get(ns->simple[i]);
	ns_get(ns->time_for_children);
	return ns;
}

static struct uts_ns *uts_copy(struct uts_ns *old, struct user_ns *owner)
{
	struct uts_ns *u = kzalloc(sizeof(*u));

	if (!u)
		return NULL;
	ns_init(&u->c, NS_UTS, owner);
	spin_lock(&old->lock);
	memcpy(u->nodename, old->nodename, UTS_LEN);
	memcpy(u->domainname, old->domainname, UTS_LEN);
	spin_unlock(&old->lock);
	return u;
}

static long renew_simple(struct nsproxy *ns, u32 kind, struct user_ns *owner)
{
	struct ns_common *n, **slot = kind == NS_TIME ? &ns->time_for_children : &ns->simple[kind];

	if (kind == NS_NET) {
		struct net_ns *net = net_ns_create(owner);

		n = net ? &net->c : NULL;
	} else if (kind == NS_IPC) {
		struct ipc_ns *ipc = kzalloc(sizeof(*ipc));

		n = ipc ? &ipc->c : NULL;
		if (ipc) {
			ns_init(n, kind, owner);
			ipc->settings = ipc_settings_default;
		}
	} else if (kind == NS_TIME) {
		struct time_ns *time = time_ns_create(owner);

		n = time ? &time->c : NULL;
	} else {
		n = kzalloc(sizeof(*n));
		if (n)
			ns_init(n, kind, owner);
	}
	if (!n)
		return -ENOMEM;
	ns_put(*slot);
	*slot = n;
	return 0;
}

static long renew_uts(struct nsproxy *ns, struct user_ns *owner)
{
	struct uts_ns *u = uts_copy(ns->uts, owner);

	if (!u)
		return -ENOMEM;
	ns_put(&ns->uts->c);
	ns->uts = u;
	return 0;
}

static long renew_pid(struct nsproxy *ns, struct user_ns *owner)
{
	struct pid_ns *p;

	if (ns->pid != task_pid_ns(current)) /* children have one waiting already */
		return -EINVAL;
	p = pid_ns_create(ns->pid, owner);
	if (IS_ERR(p))
		return PTR_ERR(p);
	ns_put(&ns->pid->c);
	ns->pid = p;
	return 0;
}

struct nsproxy *nsproxy_copy(struct nsproxy *old, u64 flags, struct user_ns *owner)
{
	struct nsproxy *ns = nsproxy_clone(old);
	long err = 0;

	if (!ns)
		return ERR_PTR(-ENOMEM);
	if (flags & CLONE_NEWUTS)
		err = renew_uts(ns, owner);
	if (!err && flags & CLONE_NEWPID)
		err = renew_pid(ns, owner);
	for (u32 i = 0; i < NS_KINDS && !err; i++)
		if ((SIMPLE_KINDS >> i & 1) && flags & kinds[i].flag)
			err = renew_simple(ns, i, owner);
	if (!err)
		return ns;
	nsproxy_put(ns);
	return ERR_PTR(err);
}

struct nsproxy *nsproxy_fork(struct nsproxy *old, u64 flags, struct user_ns *owner)
{
	struct nsproxy *ns;
	bool shifts_time = old->time_for_children != old->simple[NS_TIME] && !(flags & CLONE_VM);

	if (!(flags & NS_FLAGS) && !shifts_time)
		return nsproxy_get(old);
	ns = nsproxy_copy(old, flags, owner);
	if (!IS_ERR(ns) && ns->time_for_children != ns->simple[NS_TIME] && !(flags & CLONE_VM)) {
		ns_put(ns->simple[NS_TIME]);
		ns->simple[NS_TIME] = ns->time_for_children;
		ns_get(ns->time_for_children);
	}
	return ns;
}

/* ---- unshare ---- */

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

static void switch_namespaces(struct task *t, struct nsproxy *ns)
{
	struct nsproxy *old = t->ns;

	spin_lock(&t->alloc_lock);
	t->ns = ns;
	spin_unlock(&t->alloc_lock);
	nsproxy_put(old);
}

static long unshare_ns(struct task *t, u64 flags, struct user_ns *owner)
{
	struct nsproxy *ns = nsproxy_copy(t->ns, flags, owner);
	long err;

	if (IS_ERR(ns))
		return PTR_ERR(ns);
	err = flags & CLONE_NEWNS ? mount_ns_unshare(ns, t->fs, owner) : 0;
	if (err) {
		nsproxy_put(ns);
		return err;
	}
	switch_namespaces(t, ns);
	return 0;
}

#define UNSHARE_FLAGS                                                                   \
	(CLONE_THREAD | CLONE_FS | CLONE_SIGHAND | CLONE_VM | CLONE_FILES | CLONE_SYSVSEM | NS_FLAGS)

/* What each flag brings with it: unshare(2). */
static u64 implied_flags(u64 flags)
{
	if (flags & CLONE_NEWUSER)
		flags |= CLONE_THREAD | CLONE_FS;
	if (flags & CLONE_NEWNS)
		flags |= CLONE_FS;
	if (flags & CLONE_VM)
		flags |= CLONE_SIGHAND;
	if (flags & CLONE_SIGHAND)
		flags |= CLONE_THREAD;
	return flags;
}

SYSCALL1(unshare, u64, uflags)
{
	struct task *t = current;
	u64 flags = implied_flags(uflags);
	struct cred *c = NULL;
	long err = 0;

	if (flags & ~(u64)UNSHARE_FLAGS)
		return -EINVAL;
	if (flags & (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM) && t->proc->nthreads > 1)
		return -EINVAL;
	if (flags & CLONE_NEWUSER) {
		c = prepare_creds();
		err = c ? user_ns_create(c) : -ENOMEM;
	} else if (flags & NS_FLAGS && !self_capable(CAP_SYS_ADMIN)) {
		err = -EPERM;
	}
	if (!err && flags & CLONE_FS)
		err = unshare_fs(t);
	if (!err && flags & NS_FLAGS & ~(u64)CLONE_NEWUSER)
		err = unshare_ns(t, flags, c ? c->user_ns : t->cred->user_ns);
	if (!err && flags & CLONE_FILES)
		err = unshare_files(t);
	if (err)
		cred_put(c);
	else if (c)
		commit_creds(c);
	return err;
}

/* ---- /proc/PID/ns ---- */

static const struct {
	const char *name;
	enum ns_kind kind;
} links[NS_LINKS] = {
	{ "cgroup", NS_CGROUP }, { "ipc", NS_IPC },   { "mnt", NS_MNT },	       { "net", NS_NET },   { "pid", NS_PID },
	{ "pid_for_children", NS_PID }, { "time", NS_TIME }, { "time_for_children", NS_TIME }, { "user", NS_USER }, { "uts", NS_UTS },
};

const char *ns_link_name(u32 link) { return links[link].name; }

static struct ns_common *pick(const struct nsproxy *ns, struct task *t, u32 link)
{
	bool of_children = strlen(links[link].name) > 10;

	switch (links[link].kind) {
	case NS_UTS:
		return &ns->uts->c;
	case NS_MNT:
		return &ns->mnt->c;
	case NS_PID:
		return of_children ? &ns->pid->c : &task_pid_ns(t)->c;
	case NS_TIME:
		return of_children ? ns->time_for_children : ns->simple[NS_TIME];
	case NS_USER:
		return &t->cred->user_ns->c;
	default:
		return ns->simple[links[link].kind];
	}
}

struct ns_common *ns_of_task(struct task *t, u32 link)
{
	struct ns_common *n = NULL;

	spin_lock(&t->alloc_lock);
	if (t->ns && t->fs) { /* not ended yet */
		n = pick(t->ns, t, link);
		ns_get(n);
	}
	spin_unlock(&t->alloc_lock);
	return n;
}

/* ---- setns(2): by a file of /proc/PID/ns, or by a pidfd ---- */

/* One namespace joins the set. The checks are those of setns(2), kind by kind. */
static long join(struct nsproxy *ns, struct cred **cred, struct ns_common *n)
{
	struct user_ns *u;

	if (n->kind == NS_USER) {
		u = container_of(n, struct user_ns, c);
		if (u == (*cred)->user_ns || current->proc->nthreads > 1 || refcount_read(&current->fs->ref) > 1)
			return -EINVAL;
		if (!cred_capable(*cred, u, CAP_SYS_ADMIN))
			return -EPERM;
		cred_enter_user_ns(*cred, u);
		return 0;
	}
	if (!cred_capable(*cred, n->owner, CAP_SYS_ADMIN) || !((*cred)->effective >> CAP_SYS_ADMIN & 1))
		return -EPERM;
	if (n->kind == NS_MNT && (!((*cred)->effective >> CAP_SYS_CHROOT & 1) || refcount_read(&current->fs->ref) > 1))
		return (*cred)->effective >> CAP_SYS_CHROOT & 1 ? -EINVAL : -EPERM;
	if (n->kind == NS_PID && !pid_ns_is_below(container_of(n, struct pid_ns, c), task_pid_ns(current)))
		return -EINVAL;
	if (n->kind == NS_TIME && current->proc->nthreads > 1)
		return -EUSERS;
	ns_get(n);
	switch (n->kind) {
	case NS_UTS:
		ns_put(&ns->uts->c);
		ns->uts = container_of(n, struct uts_ns, c);
		break;
	case NS_MNT:
		ns_put(&ns->mnt->c);
		ns->mnt = container_of(n, struct mount_ns, c);
		break;
	case NS_PID:
		ns_put(&ns->pid->c);
		ns->pid = container_of(n, struct pid_ns, c);
		break;
	case NS_TIME:
		ns_put(ns->time_for_children);
		ns->time_for_children = n;
		ns_get(n);
		__attribute__((fallthrough));
	default:
		ns_put(ns->simple[n->kind]);
		ns->simple[n->kind] = n;
	}
	return 0;
}

/* All of `list`, or none. */
static long join_all(struct ns_common *const *list, u32 count)
{
	struct nsproxy *ns = nsproxy_clone(current->ns);
	struct cred *c = prepare_creds();
	struct mount_ns *mnt = NULL;
	bool new_user = false;
	long err = ns && c ? 0 : -ENOMEM;

	for (u32 i = 0; i < count && !err; i++) {
		err = join(ns, &c, list[i]);
		if (list[i]->kind == NS_MNT)
			mnt = ns ? ns->mnt : NULL;
		new_user |= list[i]->kind == NS_USER;
	}
	if (!err && mnt)
		err = mount_ns_enter(mnt, current->fs);
	if (err) {
		nsproxy_put(ns);
		cred_put(c);
		return err;
	}
	switch_namespaces(current, ns);
	for (u32 i = 0; i < count; i++)
		if (list[i]->kind == NS_TIME)
			time_ns_enter(list[i], current->mm);
	if (new_user)
		commit_creds(c);
	else
		cred_put(c);
	return 0;
}

static struct task *pidfd_task(s32 fd)
{
	u32 file_flags;
	struct pid *pid = pidfd_get(fd, &file_flags);
	struct process *p;
	struct task *t = NULL;

	if (IS_ERR(pid))
		return ERR_PTR(-EINVAL);
	p = pid_process_get(pid);
	if (p)
		t = pid_task_get(pid);
	process_put(p);
	pid_put(pid);
	return t ? t : ERR_PTR(-ESRCH);
}

/* The kinds in flags, as the task has them; the user namespace first, for its capabilities. */
static long join_of_task(struct task *t, u64 flags)
{
	static const u8 order[] = { 8, 0, 1, 2, 3, 4, 6, 9 }; /* of `links` */
	struct ns_common *list[ARRAY_SIZE(order)];
	u32 n = 0;
	long err = 0;

	if (!may_access_task(t, false))
		return -EPERM;
	for (u32 i = 0; i < ARRAY_SIZE(order) && !err; i++) {
		if (!(flags & kinds[links[order[i]].kind].flag))
			continue;
		list[n] = ns_of_task(t, order[i]);
		if (list[n])
			n++;
		else
			err = -ESRCH;
	}
	if (!err)
		err = join_all(list, n);
	while (n > 0)
		ns_put(list[--n]);
	return err;
}

SYSCALL2(setns, s32, fd, s32, nstype)
{
	struct file *f = fget(fd);
	struct ns_common *n;
	struct task *t;
	u64 flags = (u32)nstype;
	long err;

	if (!f)
		return -EBADF;
	n = ns_of_file(f);
	if (n) {
		err = flags && flags != kinds[n->kind].flag ? -EINVAL : join_all(&n, 1);
		file_put(f);
		return err;
	}
	file_put(f);
	t = pidfd_task(fd);
	if (IS_ERR(t))
		return PTR_ERR(t);
	err = !flags || flags & ~(u64)NS_FLAGS ? -EINVAL : join_of_task(t, flags);
	task_put(t);
	return err;
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

static int set_from_text(size_t offset, const char *text)
{
	struct uts_ns *u = current->ns->uts;
	char name[UTS_LEN] = { 0 };

	for (u32 i = 0; i < UTS_LEN - 1 && text[i] && text[i] != '\n'; i++)
		name[i] = text[i];
	spin_lock(&u->lock);
	memcpy((char *)u + offset, name, UTS_LEN);
	spin_unlock(&u->lock);
	return 0;
}

int uts_set_hostname(const char *text) { return set_from_text(offsetof(struct uts_ns, nodename), text); }
int uts_set_domainname(const char *text) { return set_from_text(offsetof(struct uts_ns, domainname), text); }

static long set_uts_name(size_t offset, u64 uname, s32 len)
{
	struct uts_ns *u = current->ns->uts;
	char name[UTS_LEN] = { 0 };

	if (!ns_capable(u->c.owner, CAP_SYS_ADMIN))
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
