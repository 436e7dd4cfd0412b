/* Mounts by descriptor: open_tree(2), move_mount(2), fsopen(2), fsconfig(2), fsmount(2), mount_setattr(2). */
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "base/string.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/mount_tree.h"

/* A descriptor that stands for a mount or a place, as O_PATH does; consumes the reference of the path. */
static long path_fd(struct path p, u32 mode, u32 cloexec)
{
	struct file *f = file_alloc();
	s32 fd;

	if (!f) {
		if (mode & FMODE_DISSOLVE)
			dissolve_mount(p.mnt);
		path_put(&p);
		return -ENOMEM;
	}
	f->path = p;
	f->inode = p.dentry->inode;
	f->flags = O_PATH;
	f->mode = FMODE_PATH | mode;
	fd = fd_alloc_install(f, cloexec, 0);
	if (fd < 0)
		file_put(f);
	return fd;
}

static long mount_fd(struct mount *m, u32 cloexec)
{
	return path_fd((struct path){ m, dentry_get(m->root) }, FMODE_DISSOLVE, cloexec);
}

SYSCALL3(open_tree, s32, dirfd, u64, name, u32, flags)
{
	u32 lookup = (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
	struct mount *copy;
	struct path p;
	int err;

	if (flags & ~(u32)(AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC))
		return -EINVAL;
	if ((flags & (AT_RECURSIVE | OPEN_TREE_CLONE)) == AT_RECURSIVE)
		return -EINVAL;
	if (flags & OPEN_TREE_CLONE && !ns_capable(current_mount_ns()->c.owner, CAP_SYS_ADMIN))
		return -EPERM;
	err = user_path_lookup(dirfd, name, lookup, &p);
	if (err)
		return err;
	if (!(flags & OPEN_TREE_CLONE))
		return path_fd(p, 0, flags & OPEN_TREE_CLOEXEC);
	if (p.mnt->internal) {
		path_put(&p);
		return -EINVAL;
	}
	mutex_lock(&namespace_lock);
	if (!(flags & AT_RECURSIVE) && uncovers_locked(p.mnt, p.dentry))
		copy = ERR_PTR(-EINVAL);
	else
		copy = copy_tree(p.mnt, p.dentry, flags & AT_RECURSIVE);
	mutex_unlock(&namespace_lock);
	path_put(&p);
	if (IS_ERR(copy))
		return PTR_ERR(copy);
	return copy ? mount_fd(copy, flags & OPEN_TREE_CLOEXEC) : -ENOMEM;
}

/* Locked. A mount that hangs nowhere is attached, another is moved. */
static int place_mount(const struct path *from, const struct path *to)
{
	struct mount *m = from->mnt;
	int err;

	if (from->dentry != m->root || to->mnt->ns != current_mount_ns() || mount_is_below(to->mnt, m))
		return -EINVAL;
	if (m->ns && (m->ns != current_mount_ns() || !m->parent || m->locked))
		return -EINVAL;
	if (S_ISDIR(m->root->inode->mode) != S_ISDIR(to->dentry->inode->mode))
		return -EINVAL;
	err = may_attach(m, to);
	if (err)
		return err;
	if (m->parent)
		unhook_mount(m);
	else
		refcount_inc(&m->ref); /* the file keeps its own */
	hang_mount(m, to->mnt, to->dentry);
	return 0;
}

SYSCALL5(move_mount, s32, from_fd, u64, from_name, s32, to_fd, u64, to_name, u32, flags)
{
	u32 from_lookup = (flags & MOVE_MOUNT_F_SYMLINKS ? LOOKUP_FOLLOW : 0) | (flags & MOVE_MOUNT_F_EMPTY_PATH ? LOOKUP_EMPTY : 0);
	u32 to_lookup = (flags & MOVE_MOUNT_T_SYMLINKS ? LOOKUP_FOLLOW : 0) | (flags & MOVE_MOUNT_T_EMPTY_PATH ? LOOKUP_EMPTY : 0);
	struct path from, to;
	int err;

	if (flags & ~(u32)(MOVE_MOUNT_F_SYMLINKS | MOVE_MOUNT_F_AUTOMOUNTS | MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS |
			   MOVE_MOUNT_T_AUTOMOUNTS | MOVE_MOUNT_T_EMPTY_PATH))
		return -EINVAL;
	if (!ns_capable(current_mount_ns()->c.owner, CAP_SYS_ADMIN) || current->cred->landlock)
		return -EPERM;
	err = user_path_lookup(from_fd, from_name, from_lookup, &from);
	if (err)
		return err;
	err = user_path_lookup(to_fd, to_name, to_lookup, &to);
	if (!err) {
		mutex_lock(&namespace_lock);
		err = place_mount(&from, &to);
		mutex_unlock(&namespace_lock);
		path_put(&to);
	}
	path_put(&from);
	return err;
}

/* ---- a file system in the making ---- */

#define OPTIONS_MAX 1024u

struct fs_context {
	struct mutex lock;
	const struct fs_type *type;
	struct mount *made; /* by FSCONFIG_CMD_CREATE, or picked */
	bool picked;
	char source[256];
	char options[OPTIONS_MAX]; /* comma-separated, as for mount(2) */
	u32 flags;
};

static void context_release(struct file *f)
{
	struct fs_context *c = f->priv;

	if (c->made)
		mount_put(c->made);
	kfree(c);
}

static const struct file_ops context_fops = { .release = context_release };

/* A descriptor of the context; consumes it. */
static long context_fd(struct fs_context *c, bool cloexec)
{
	struct file *f = anon_file("fscontext", &context_fops, c, O_RDWR);
	s32 fd;

	if (IS_ERR(f)) {
		if (c->made)
			mount_put(c->made);
		kfree(c);
		return PTR_ERR(f);
	}
	fd = fd_alloc_install(f, cloexec, 0);
	if (fd < 0)
		file_put(f);
	return fd;
}

/* A file system that is there, to be configured anew. */
SYSCALL3(fspick, s32, dirfd, u64, uname, u32, flags)
{
	u32 lookup = (flags & FSPICK_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & FSPICK_EMPTY_PATH ? LOOKUP_EMPTY : 0);
	struct fs_context *c;
	struct path p;
	int err;

	if (!ns_capable(current_mount_ns()->c.owner, CAP_SYS_ADMIN))
		return -EPERM;
	if (flags & ~(u32)(FSPICK_CLOEXEC | FSPICK_SYMLINK_NOFOLLOW | FSPICK_NO_AUTOMOUNT | FSPICK_EMPTY_PATH))
		return -EINVAL;
	err = user_path_lookup(dirfd, uname, lookup, &p);
	if (err)
		return err;
	c = p.mnt->internal || p.dentry != p.mnt->root ? ERR_PTR(-EINVAL) : p.mnt->foreign ? ERR_PTR(-EPERM) : kzalloc(sizeof(*c));
	if (!IS_ERR_OR_NULL(c)) {
		mutex_init(&c->lock);
		c->type = p.mnt->sb->type;
		c->flags = p.mnt->sb->flags & MS_RDONLY;
		c->picked = true;
		c->made = p.mnt;
		refcount_inc(&p.mnt->ref);
	}
	path_put(&p);
	if (IS_ERR(c))
		return PTR_ERR(c);
	return c ? context_fd(c, flags & FSPICK_CLOEXEC) : -ENOMEM;
}

SYSCALL2(fsopen, u64, uname, u32, flags)
{
	struct fs_context *c;
	struct name_buf b;
	char *name;

	if (!ns_capable(current_mount_ns()->c.owner, CAP_SYS_ADMIN))
		return -EPERM;
	if (flags & ~(u32)FSOPEN_CLOEXEC)
		return -EINVAL;
	name = name_begin(&b, uname, false);
	if (IS_ERR(name))
		return PTR_ERR(name) == -ENOENT ? -ENODEV : PTR_ERR(name);
	c = kzalloc(sizeof(*c));
	if (c) {
		mutex_init(&c->lock);
		c->type = may_mount_type(name) ? find_fs(name) : NULL;
	}
	name_end(&b);
	if (!c || !c->type) {
		kfree(c);
		return c ? -ENODEV : -ENOMEM;
	}
	return context_fd(c, flags & FSOPEN_CLOEXEC);
}

static int add_option(struct fs_context *c, const char *key, const char *value)
{
	size_t used = strlen(c->options);

	if (!kstrcmp(key, "source"))
		return kstrlcpy(c->source, value, sizeof(c->source)) < sizeof(c->source) ? 0 : -EINVAL;
	if (used + strlen(key) + strlen(value) + 3 > sizeof(c->options))
		return -ENOSPC;
	ksnprintf(c->options + used, sizeof(c->options) - used, "%s%s=%s", used ? "," : "", key, value);
	return 0;
}

static int create_super(struct fs_context *c)
{
	struct mount *m;

	if (c->made)
		return -EBUSY;
	m = new_mount(c->type->name, c->source, c->flags, c->options, NULL);
	if (IS_ERR(m))
		return (int)PTR_ERR(m);
	c->made = m;
	return 0;
}

static int configure(struct fs_context *c, u32 cmd, const char *key, const char *value)
{
	switch (cmd) {
	case FSCONFIG_SET_FLAG:
		if (!kstrcmp(key, "ro"))
			c->flags |= MS_RDONLY;
		else if (!kstrcmp(key, "rw"))
			c->flags &= ~(u32)MS_RDONLY;
		return 0;
	case FSCONFIG_SET_STRING:
		return value ? add_option(c, key, value) : -EINVAL;
	case FSCONFIG_CMD_CREATE:
		return create_super(c);
	case FSCONFIG_CMD_RECONFIGURE:
		if (!c->made)
			return -EBUSY;
		c->made->sb->flags = c->flags & MS_RDONLY;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

SYSCALL5(fsconfig, s32, fd, u32, cmd, u64, ukey, u64, uvalue, s32, aux)
{
	struct file *f = fget(fd);
	struct name_buf kb = { .name = kb.small }, vb = { .name = vb.small };
	char *key = NULL, *value = NULL;
	long ret = -EINVAL;

	if (!f)
		return fd < 0 ? -EINVAL : -EBADF;
	if (f->fop != &context_fops || aux)
		goto out;
	if (ukey) {
		key = name_begin(&kb, ukey, false);
		ret = IS_ERR(key) ? PTR_ERR(key) : 0;
		if (ret)
			goto out;
	}
	if (uvalue && cmd == FSCONFIG_SET_STRING) {
		value = name_begin(&vb, uvalue, true);
		ret = IS_ERR(value) ? PTR_ERR(value) : 0;
	} else {
		ret = 0;
	}
	if (!ret && (cmd <= FSCONFIG_SET_FD) != (key != NULL))
		ret = -EINVAL;
	if (!ret) {
		struct fs_context *c = f->priv;

		mutex_lock(&c->lock);
		ret = configure(c, cmd, key, value);
		mutex_unlock(&c->lock);
	}
	if (!IS_ERR_OR_NULL(value))
		name_end(&vb);
	name_end(&kb);
out:
	file_put(f);
	return ret;
}

/* MOUNT_ATTR_* as the flags of mount(2). */
static u32 attr_flags(u64 attr)
{
	return (attr & MOUNT_ATTR_RDONLY ? MS_RDONLY : 0) | (attr & MOUNT_ATTR_NOSUID ? MS_NOSUID : 0) |
	       (attr & MOUNT_ATTR_NODEV ? MS_NODEV : 0) | (attr & MOUNT_ATTR_NOEXEC ? MS_NOEXEC : 0) |
	       (attr & MOUNT_ATTR_NODIRATIME ? MS_NODIRATIME : 0) |
	       ((attr & MOUNT_ATTR__ATIME) == MOUNT_ATTR_NOATIME ? MS_NOATIME : 0) |
	       ((attr & MOUNT_ATTR__ATIME) == MOUNT_ATTR_STRICTATIME ? MS_STRICTATIME : 0);
}
#define KNOWN_ATTR                                                                      \
	(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME)

SYSCALL3(fsmount, s32, fd, u32, flags, u32, attr)
{
	struct fs_context *c;
	struct mount *m = NULL;
	struct file *f;

	if (!ns_capable(current_mount_ns()->c.owner, CAP_SYS_ADMIN))
		return -EPERM;
	if (flags & ~(u32)FSMOUNT_CLOEXEC || attr & ~(u32)KNOWN_ATTR)
		return -EINVAL;
	f = fget(fd);
	if (!f)
		return -EBADF;
	if (f->fop != &context_fops) {
		file_put(f);
		return -EINVAL;
	}
	c = f->priv;
	mutex_lock(&c->lock);
	if (c->picked) {
		m = ERR_PTR(-EBUSY);
	} else if (c->made) {
		m = c->made;
		c->made = NULL;
		m->flags |= attr_flags(attr);
	}
	mutex_unlock(&c->lock);
	file_put(f);
	if (IS_ERR(m))
		return PTR_ERR(m);
	return m ? mount_fd(m, flags & FSMOUNT_CLOEXEC) : -EINVAL;
}

SYSCALL5(mount_setattr, s32, dirfd, u64, name, u32, flags, u64, uattr, u64, size)
{
	u32 lookup = (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
	struct mount_attr a = { 0 };
	struct path p;
	int err;

	if (flags & ~(u32)(AT_EMPTY_PATH | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) || size < sizeof(a))
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	if (!ns_capable(current_mount_ns()->c.owner, CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_from_user(&a, uattr, sizeof(a)))
		return -EFAULT;
	if ((a.attr_set | a.attr_clr) & ~(u64)KNOWN_ATTR)
		return -EINVAL;
	err = user_path_lookup(dirfd, name, lookup, &p);
	if (err)
		return err;
	err = p.dentry == p.mnt->root ? 0 : -EINVAL;
	mutex_lock(&namespace_lock);
	for (struct mount *m = p.mnt; m && !err; m = flags & AT_RECURSIVE ? next_mount(m, p.mnt) : NULL)
		if (m->locked_flags & attr_flags(a.attr_clr) & ~attr_flags(a.attr_set))
			err = -EPERM;
	for (struct mount *m = p.mnt; m && !err; m = flags & AT_RECURSIVE ? next_mount(m, p.mnt) : NULL) {
		m->flags = (m->flags & ~attr_flags(a.attr_clr)) | attr_flags(a.attr_set);
		if (a.propagation)
			m->propagation = (u32)a.propagation;
	}
	mutex_unlock(&namespace_lock);
	path_put(&p);
	return err;
}
