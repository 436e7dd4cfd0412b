/* mount(2), umount(2), pivot_root(2). */
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "base/string.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/mount_tree.h"

/* UAPI leaves these to libc; umount2(2). */
#define MNT_FORCE 1
#define MNT_DETACH 2
#define MNT_EXPIRE 4
#define UMOUNT_NOFOLLOW 8
#define PROPAGATION (MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE)

static bool in_current_ns(const struct mount *m) { return m->ns == current_mount_ns(); }

static int remount(const struct path *at, u32 flags)
{
	u32 keep = flags & (MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME)
			   ? 0 : at->mnt->flags & (MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME);

	if (at->dentry != at->mnt->root || !in_current_ns(at->mnt))
		return -EINVAL;
	if ((at->mnt->foreign && !(flags & MS_BIND)) || at->mnt->locked_flags & ~flags)
		return -EPERM;
	mutex_lock(&namespace_lock);
	at->mnt->flags = (flags & MNT_FLAGS) | keep;
	if (!(flags & MS_BIND))
		at->mnt->sb->flags = flags & MS_RDONLY;
	mutex_unlock(&namespace_lock);
	return 0;
}

/* Attach a tree that hangs nowhere, or let it go. */
static int graft(struct mount *m, const struct path *at)
{
	int err;

	mutex_lock(&namespace_lock);
	err = in_current_ns(at->mnt) ? attach_tree(m, at) : -EINVAL;
	if (err)
		detach_tree(m);
	mutex_unlock(&namespace_lock);
	return err;
}

static int bind(const char *source, const struct path *at, bool recursive)
{
	struct path from;
	struct mount *m;
	int err = *source ? path_lookup(AT_FDCWD, source, LOOKUP_FOLLOW, &from) : -EINVAL;

	if (err)
		return err;
	if (from.mnt->internal) {
		path_put(&from);
		return -EINVAL;
	}
	mutex_lock(&namespace_lock);
	m = !recursive && uncovers_locked(from.mnt, from.dentry) ? ERR_PTR(-EINVAL) : copy_tree(from.mnt, from.dentry, recursive);
	mutex_unlock(&namespace_lock);
	path_put(&from);
	if (IS_ERR(m))
		return (int)PTR_ERR(m);
	return m ? graft(m, at) : -ENOMEM;
}

/* Locked. */
static int move_locked(const struct path *from, const struct path *at)
{
	int err;

	if (from->dentry != from->mnt->root || !from->mnt->parent || from->mnt->locked || !in_current_ns(from->mnt) || !in_current_ns(at->mnt))
		return -EINVAL;
	if (mount_is_below(at->mnt, from->mnt))
		return -ELOOP;
	if (S_ISDIR(from->dentry->inode->mode) != S_ISDIR(at->dentry->inode->mode))
		return -EINVAL;
	err = may_attach(from->mnt, at);
	if (err)
		return err;
	unhook_mount(from->mnt);
	hang_mount(from->mnt, at->mnt, at->dentry);
	return 0;
}

static int move(const char *source, const struct path *at)
{
	struct path from;
	int err = *source ? path_lookup(AT_FDCWD, source, LOOKUP_FOLLOW, &from) : -EINVAL;

	if (err)
		return err;
	mutex_lock(&namespace_lock);
	err = move_locked(&from, at);
	mutex_unlock(&namespace_lock);
	path_put(&from);
	return err;
}

/* Propagation types are kept and shown; events do not propagate. */
static int set_propagation(const struct path *at, u32 flags)
{
	u32 kind = flags & PROPAGATION;

	if (at->dentry != at->mnt->root || kind & (kind - 1) || flags & ~(u32)(PROPAGATION | MS_REC | MS_SILENT))
		return -EINVAL;
	mutex_lock(&namespace_lock);
	for (struct mount *m = at->mnt; m; m = flags & MS_REC ? next_mount(m, at->mnt) : NULL)
		m->propagation = kind;
	mutex_unlock(&namespace_lock);
	return 0;
}

/* mount_namespaces(7), user_namespaces(7): what the root of a user namespace may mount anew. */
bool may_mount_type(const char *type)
{
	static const char *const allowed[] = { "proc", "sysfs", "tmpfs", "ramfs", "devpts", "mqueue", "overlay", "cgroup2", "cgroup" };

	for (u32 i = 0; i < ARRAY_SIZE(allowed); i++)
		if (!kstrcmp(type, allowed[i]))
			return true;
	return capable(CAP_SYS_ADMIN) || !find_fs(type);
}

static int mount_new(const char *source, const struct path *at, const char *type, u32 flags, const char *options)
{
	struct mount *m;

	if (!*type)
		return -EINVAL;
	if (!may_mount_type(type))
		return -EPERM;
	m = new_mount(type, source, flags & MNT_FLAGS, options, NULL);
	return IS_ERR(m) ? (int)PTR_ERR(m) : graft(m, at);
}

static int do_mount(const char *source, const struct path *at, const char *type, u64 flags, const char *options)
{
	if ((flags & MS_MGC_MSK) == MS_MGC_VAL)
		flags &= ~(u64)MS_MGC_MSK;
	if (!ns_capable(current_mount_ns()->c.owner, CAP_SYS_ADMIN) || current->cred->landlock) /* landlock(7), "Limitations" */
		return -EPERM;
	if (flags & MS_REMOUNT)
		return remount(at, (u32)flags);
	if (flags & MS_BIND)
		return bind(source, at, flags & MS_REC);
	if (flags & PROPAGATION)
		return set_propagation(at, (u32)flags);
	if (flags & MS_MOVE)
		return move(source, at);
	return mount_new(source, at, type, (u32)flags, options);
}

/* A string argument that may be NULL. */
static char *optional_string(u64 uaddr)
{
	char *s = uaddr ? getname_empty(uaddr) : kstrdup("");

	return s ? s : ERR_PTR(-ENOMEM);
}

static void put_string(char *s)
{
	if (!IS_ERR(s))
		kfree(s);
}

SYSCALL5(mount, u64, usource, u64, utarget, u64, utype, u64, flags, u64, udata)
{
	char *type = optional_string(utype), *source = optional_string(usource), *options = optional_string(udata);
	struct path at;
	int err;

	if (IS_ERR(type))
		err = (int)PTR_ERR(type);
	else if (IS_ERR(source))
		err = (int)PTR_ERR(source);
	else if (IS_ERR(options))
		err = (int)PTR_ERR(options);
	else
		err = user_path_lookup(AT_FDCWD, utarget, LOOKUP_FOLLOW, &at);
	if (!err) {
		err = do_mount(source, &at, type, flags, options);
		path_put(&at);
	}
	put_string(type);
	put_string(source);
	put_string(options);
	return err;
}

/* Locked. The tree's reference and the caller's are two. */
static int umount_locked(const struct path *at, u32 flags)
{
	struct mount *m = at->mnt;

	if (at->dentry != m->root || !in_current_ns(m) || !m->parent || m->locked)
		return -EINVAL;
	if (!(flags & MNT_DETACH) && (!list_empty(&m->children) || refcount_read(&m->ref) > 2))
		return -EBUSY;
	detach_tree(m);
	return 0;
}

SYSCALL2(umount2, u64, utarget, u32, flags)
{
	struct path at;
	int err;

	if (flags & ~(u32)(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW))
		return -EINVAL;
	if (flags & MNT_EXPIRE && flags & (MNT_FORCE | MNT_DETACH))
		return -EINVAL;
	if (!ns_capable(current_mount_ns()->c.owner, CAP_SYS_ADMIN) || current->cred->landlock) /* landlock(7), "Limitations" */
		return -EPERM;
	err = user_path_lookup(AT_FDCWD, utarget, flags & UMOUNT_NOFOLLOW ? 0 : LOOKUP_FOLLOW, &at);
	if (err)
		return err;
	mutex_lock(&namespace_lock);
	err = umount_locked(&at, flags);
	mutex_unlock(&namespace_lock);
	path_put(&at);
	return err;
}

/* ---- pivot_root ---- */

/* A process that stood on the old root stands on the new one; pivot_root(2). */
static void move_fs(struct fs_state *fs, const struct path *old, const struct path *new)
{
	struct path *slots[] = { &fs->root, &fs->cwd };

	for (u32 i = 0; i < ARRAY_SIZE(slots); i++) {
		struct path was;

		spin_lock(&fs->lock);
		was = *slots[i];
		if (was.mnt == old->mnt && was.dentry == old->dentry) {
			path_get(new);
			*slots[i] = *new;
		} else {
			was = (struct path){ NULL, NULL };
		}
		spin_unlock(&fs->lock);
		path_put(&was);
	}
}

/* All tasks of the namespace. */
static void move_everyone(const struct path *old, const struct path *new)
{
	for (s32 nr = next_tgid(&init_pid_ns, 1); nr > 0; nr = next_tgid(&init_pid_ns, nr + 1)) {
		struct pid *pid = pid_find_in(&init_pid_ns, nr);
		struct task *t = pid ? pid_task_get(pid) : NULL;
		struct fs_state *fs = NULL;

		pid_put(pid);
		if (!t)
			continue;
		spin_lock(&t->alloc_lock);
		if (t->fs)
			fs = fs_state_get(t->fs);
		spin_unlock(&t->alloc_lock);
		if (fs) {
			move_fs(fs, old, new);
			fs_state_put(fs);
		}
		task_put(t);
	}
}

/* Locked: the mount of `new` takes the place of that of `root`, which goes to `put_old`. */
static int pivot_locked(const struct path *root, const struct path *new, const struct path *put_old)
{
	struct mount *root_mnt = root->mnt, *new_mnt = new->mnt;
	struct path place = { root_mnt->parent, root_mnt->mountpoint };
	int err;

	if (!in_current_ns(root_mnt) || !in_current_ns(new_mnt) || !in_current_ns(put_old->mnt))
		return -EINVAL;
	if (new_mnt == root_mnt || put_old->mnt == root_mnt)
		return -EBUSY;
	if (new->dentry != new_mnt->root || !new_mnt->parent || new_mnt->locked || root->dentry != root_mnt->root)
		return -EINVAL;
	if (!mount_is_below(put_old->mnt, new_mnt) || !mount_is_below(new_mnt, root_mnt))
		return -EINVAL;
	err = may_attach(root_mnt, put_old);
	if (err)
		return err;
	if (place.mnt)
		path_get(&place);
	unhook_mount(new_mnt);
	unhook_mount(root_mnt);
	new_mnt->locked = root_mnt->locked; /* what covers the place now is as fixed as what did */
	root_mnt->locked = false;
	if (place.mnt) {
		hang_mount(new_mnt, place.mnt, place.dentry);
		path_put(&place);
	} else { /* the namespace's own root */
		struct mount_ns *ns = current_mount_ns();

		ns->root = new_mnt;
		for (struct mount *m = new_mnt; m; m = next_mount(m, new_mnt)) {
			m->ns = ns;
			list_add_tail(&m->ns_node, &ns->mounts);
		}
	}
	hang_mount(root_mnt, put_old->mnt, put_old->dentry);
	return 0;
}

SYSCALL2(pivot_root, u64, unew, u64, uold)
{
	struct path new, old, root;
	int err;

	if (!ns_capable(current_mount_ns()->c.owner, CAP_SYS_ADMIN) || current->cred->landlock) /* landlock(7), "Limitations" */
		return -EPERM;
	err = user_path_lookup(AT_FDCWD, unew, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &new);
	if (err)
		return err;
	err = user_path_lookup(AT_FDCWD, uold, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &old);
	if (err) {
		path_put(&new);
		return err;
	}
	root = current_root();
	mutex_lock(&namespace_lock);
	err = pivot_locked(&root, &new, &old);
	mutex_unlock(&namespace_lock);
	if (!err)
		move_everyone(&root, &new);
	path_put(&root);
	path_put(&old);
	path_put(&new);
	return err;
}
