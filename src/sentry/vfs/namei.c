/* Names made and removed: mkdir(2), mknod(2), unlink(2), rmdir(2), symlink(2), link(2), rename(2), readlink(2). */
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/limits.h>
#include <linux/stat.h>

#include "base/string.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/landlock.h"
#include "sentry/vfs/notify.h"

/* The parent directory of a name about to be made, locked, and its negative dentry. */
struct creation {
	struct nameidata nd;
	struct dentry *dentry;
};

static void creation_end(struct creation *c)
{
	mutex_unlock(&c->nd.path.dentry->inode->lock);
	dentry_put(c->dentry);
	nd_put(&c->nd);
}

static int creation_begin(s32 dirfd, const char *name, bool directory, struct creation *c)
{
	struct inode *dir;
	int err = path_parent(dirfd, name, 0, &c->nd);

	if (err)
		return err;
	if (c->nd.last_type != LAST_NORM) {
		nd_put(&c->nd);
		return -EEXIST;
	}
	dir = c->nd.path.dentry->inode;
	mutex_lock(&dir->lock);
	c->dentry = lookup_one(c->nd.path.dentry, c->nd.last, c->nd.last_len, true);
	if (IS_ERR(c->dentry)) {
		err = (int)PTR_ERR(c->dentry);
		c->dentry = NULL;
	} else if (c->dentry->inode) {
		err = -EEXIST;
	} else if (c->nd.trailing_slash && !directory) {
		err = -ENOENT;
	} else {
		err = mnt_want_write(&c->nd.path);
		if (!err)
			err = may_create(dir);
	}
	if (err)
		creation_end(c);
	return err;
}

static u32 masked(u32 mode) { return mode & ~(current->fs ? current->fs->umask : 0); }

static int make_directory(s32 dirfd, const char *name, u32 mode)
{
	struct creation c;
	struct inode *dir;
	int err = creation_begin(dirfd, name, true, &c);

	if (err)
		return err;
	dir = c.nd.path.dentry->inode;
	err = landlock_check(&c.nd.path, LANDLOCK_ACCESS_FS_MAKE_DIR);
	if (!err)
		err = dir->iop->mkdir ? dir->iop->mkdir(dir, c.dentry, S_IFDIR | (masked(mode) & 01777)) : -EPERM;
	if (!err)
		notify_name(dir, c.dentry, c.dentry->inode, IN_CREATE);
	creation_end(&c);
	return err;
}

int kern_mkdir(const char *name, u32 mode) { return make_directory(AT_FDCWD, name, mode); }

static long user_mkdir(s32 dirfd, u64 uname, u32 mode)
{
	char *name = getname(uname);
	int err;

	if (IS_ERR(name))
		return PTR_ERR(name);
	err = make_directory(dirfd, name, mode);
	kfree(name);
	return err;
}
SYSCALL2(mkdir, u64, name, u32, mode) { return user_mkdir(AT_FDCWD, name, mode); }
SYSCALL3(mkdirat, s32, dirfd, u64, name, u32, mode) { return user_mkdir(dirfd, name, mode); }

static int make_node(s32 dirfd, const char *name, u32 mode, u64 rdev, struct path *out)
{
	struct creation c;
	struct inode *dir;
	int err;

	if (!(mode & S_IFMT))
		mode |= S_IFREG;
	if (S_ISDIR(mode))
		return -EPERM;
	if (!S_ISREG(mode) && !S_ISCHR(mode) && !S_ISBLK(mode) && !S_ISFIFO(mode) && !S_ISSOCK(mode))
		return -EINVAL;
	err = creation_begin(dirfd, name, false, &c);
	if (err)
		return err;
	dir = c.nd.path.dentry->inode;
	err = landlock_check(&c.nd.path, landlock_make(mode));
	if (!err && (S_ISCHR(mode) || S_ISBLK(mode)) && rdev && !capable(CAP_MKNOD))
		err = -EPERM;
	if (err)
		;
	else if (S_ISREG(mode))
		err = dir->iop->create ? dir->iop->create(dir, c.dentry, masked(mode)) : -EPERM;
	else
		err = dir->iop->mknod ? dir->iop->mknod(dir, c.dentry, masked(mode), rdev) : -EPERM;
	if (!err)
		notify_name(dir, c.dentry, c.dentry->inode, IN_CREATE);
	if (!err && out) {
		*out = (struct path){ c.nd.path.mnt, c.dentry };
		path_get(out);
	}
	creation_end(&c);
	return err;
}

int kern_mknod(const char *name, u32 mode, u64 rdev, struct path *out)
{
	int err = make_node(AT_FDCWD, name, mode, rdev, out);

	return err == -EEXIST ? -EADDRINUSE : err;
}

static long user_mknod(s32 dirfd, u64 uname, u32 mode, u32 dev)
{
	u32 type = mode & S_IFMT;
	char *name;
	int err;

	if (type == S_IFDIR || (type && type != S_IFREG && type != S_IFCHR && type != S_IFBLK && type != S_IFIFO && type != S_IFSOCK))
		return type == S_IFDIR ? -EPERM : -EINVAL;
	name = getname(uname);
	if (IS_ERR(name))
		return PTR_ERR(name);
	err = make_node(dirfd, name, mode, dev, NULL);
	kfree(name);
	return err;
}
SYSCALL3(mknod, u64, name, u32, mode, u32, dev) { return user_mknod(AT_FDCWD, name, mode, dev); }
SYSCALL4(mknodat, s32, dirfd, u64, name, u32, mode, u32, dev) { return user_mknod(dirfd, name, mode, dev); }

static long do_symlink(u64 utarget, s32 dirfd, u64 uname)
{
	char *target = getname(utarget), *name;
	struct creation c;
	struct inode *dir;
	int err;

	if (IS_ERR(target))
		return PTR_ERR(target);
	name = getname(uname);
	if (IS_ERR(name)) {
		kfree(target);
		return PTR_ERR(name);
	}
	err = creation_begin(dirfd, name, false, &c);
	if (!err) {
		dir = c.nd.path.dentry->inode;
		err = landlock_check(&c.nd.path, LANDLOCK_ACCESS_FS_MAKE_SYM);
		if (!err)
			err = dir->iop->symlink ? dir->iop->symlink(dir, c.dentry, target) : -EPERM;
		if (!err)
			notify_name(dir, c.dentry, c.dentry->inode, IN_CREATE);
		creation_end(&c);
	}
	kfree(name);
	kfree(target);
	return err;
}
SYSCALL2(symlink, u64, target, u64, name) { return do_symlink(target, AT_FDCWD, name); }
SYSCALL3(symlinkat, u64, target, s32, dirfd, u64, name) { return do_symlink(target, dirfd, name); }

/* /proc/sys/fs/protected_hardlinks: only the owner links what others could not write. */
static int may_link(struct inode *i)
{
	if (current->cred->fsuid == i->uid || owner_capable(i->uid, i->gid, CAP_FOWNER))
		return 0;
	if (!S_ISREG(i->mode) || i->mode & S_ISUID || (i->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		return -EPERM;
	return inode_permission(i, MAY_READ | MAY_WRITE) ? -EPERM : 0;
}

static long do_link(s32 olddir, u64 uold, s32 newdir, u64 unew, u32 flags)
{
	struct path old;
	struct creation c;
	struct inode *dir, *inode;
	char *name;
	int err;

	if (flags & ~(u32)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	err = user_path_lookup(olddir, uold, (flags & AT_SYMLINK_FOLLOW ? LOOKUP_FOLLOW : 0) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0),
			       &old);
	if (err)
		return err;
	name = getname(unew);
	if (IS_ERR(name)) {
		path_put(&old);
		return PTR_ERR(name);
	}
	err = creation_begin(newdir, name, false, &c);
	if (err)
		goto out;
	dir = c.nd.path.dentry->inode;
	inode = old.dentry->inode;
	if (inode->sb != dir->sb || old.mnt != c.nd.path.mnt)
		err = -EXDEV;
	else if (S_ISDIR(inode->mode))
		err = -EPERM;
	else if (!inode->nlink && !(inode->flags & INODE_LINKABLE))
		err = -ENOENT;
	else
		err = may_link(inode);
	if (!err) {
		struct path from = { old.mnt, old.dentry->parent };

		err = landlock_may_move(&from, old.dentry, &c.nd.path, c.dentry, LANDLOCK_LINK);
	}
	if (!err)
		err = dir->iop->link ? dir->iop->link(dir, c.dentry, inode) : -EPERM;
	if (!err) {
		notify_self(inode, IN_ATTRIB);
		notify_name(dir, c.dentry, inode, IN_CREATE);
	}
	creation_end(&c);
out:
	kfree(name);
	path_put(&old);
	return err;
}
SYSCALL2(link, u64, old, u64, new) { return do_link(AT_FDCWD, old, AT_FDCWD, new, 0); }
SYSCALL5(linkat, s32, olddir, u64, old, s32, newdir, u64, new, u32, flags) { return do_link(olddir, old, newdir, new, flags); }

/* ---- removal ---- */

static int remove_locked(struct nameidata *nd, bool directory)
{
	struct dentry *dir = nd->path.dentry, *d = lookup_one(dir, nd->last, nd->last_len, true);
	struct inode *victim, *parent = dir->inode;
	int err;

	if (IS_ERR(d))
		return (int)PTR_ERR(d);
	victim = d->inode;
	if (!victim)
		err = -ENOENT;
	else if (nd->trailing_slash && !directory)
		err = S_ISDIR(victim->mode) ? -EISDIR : -ENOTDIR;
	else
		err = mnt_want_write(&nd->path);
	if (!err)
		err = may_delete(parent, victim, directory);
	if (!err)
		err = landlock_check(&nd->path, directory ? LANDLOCK_ACCESS_FS_REMOVE_DIR : LANDLOCK_ACCESS_FS_REMOVE_FILE);
	if (!err && d->nmounts)
		err = -EBUSY;
	if (!err && directory)
		err = parent->iop->rmdir ? parent->iop->rmdir(parent, d) : -EPERM;
	else if (!err)
		err = parent->iop->unlink ? parent->iop->unlink(parent, d) : -EPERM;
	if (!err) {
		if (!directory)
			notify_self(victim, IN_ATTRIB);
		notify_name(parent, d, victim, IN_DELETE);
		d_drop(d);
	}
	if (!err && directory)
		d_prune_children(d);
	dentry_put(d);
	return err;
}

static long do_remove(s32 dirfd, u64 uname, bool directory)
{
	char *name = getname(uname);
	struct nameidata nd;
	int err;

	if (IS_ERR(name))
		return PTR_ERR(name);
	err = path_parent(dirfd, name, 0, &nd);
	if (!err) {
		if (nd.last_type != LAST_NORM) {
			err = !directory ? -EISDIR : nd.last_type == LAST_DOT ? -EINVAL : nd.last_type == LAST_DOTDOT ? -ENOTEMPTY : -EBUSY;
		} else {
			mutex_lock(&nd.path.dentry->inode->lock);
			err = remove_locked(&nd, directory);
			mutex_unlock(&nd.path.dentry->inode->lock);
		}
		nd_put(&nd);
	}
	kfree(name);
	return err;
}
SYSCALL1(unlink, u64, name) { return do_remove(AT_FDCWD, name, false); }
SYSCALL1(rmdir, u64, name) { return do_remove(AT_FDCWD, name, true); }
SYSCALL3(unlinkat, s32, dirfd, u64, name, u32, flags)
{
	return flags & ~(u32)AT_REMOVEDIR ? -EINVAL : do_remove(dirfd, name, flags & AT_REMOVEDIR);
}

/* ---- rename ---- */

/* Lock two directories, ancestors first, else by address. */
static void lock_two(struct dentry *a, struct dentry *b)
{
	if (a->inode == b->inode) {
		mutex_lock(&a->inode->lock);
		return;
	}
	if (d_ancestor(b, a) || (!d_ancestor(a, b) && a->inode > b->inode)) {
		struct dentry *t = a;

		a = b;
		b = t;
	}
	mutex_lock(&a->inode->lock);
	mutex_lock(&b->inode->lock);
}

static void unlock_two(struct dentry *a, struct dentry *b)
{
	mutex_unlock(&a->inode->lock);
	if (a->inode != b->inode)
		mutex_unlock(&b->inode->lock);
}

static int check_rename(struct nameidata *from, struct dentry *old, struct nameidata *to, struct dentry *new, u32 flags)
{
	bool dir;
	int err;

	if (!old->inode)
		return -ENOENT;
	if (flags & RENAME_NOREPLACE && new->inode)
		return -EEXIST;
	if (flags & RENAME_EXCHANGE && !new->inode)
		return -ENOENT;
	dir = S_ISDIR(old->inode->mode);
	if (!dir && (from->trailing_slash || (to->trailing_slash && !(flags & RENAME_EXCHANGE))))
		return -ENOTDIR;
	if (flags & RENAME_EXCHANGE && !S_ISDIR(new->inode->mode) && to->trailing_slash)
		return -ENOTDIR;
	if (d_ancestor(old, to->path.dentry))
		return -EINVAL;
	if (d_ancestor(new, from->path.dentry))
		return flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	err = may_delete(from->path.dentry->inode, old->inode, dir);
	if (err)
		return err;
	if (!new->inode)
		err = may_create(to->path.dentry->inode);
	else if (flags & RENAME_EXCHANGE)
		err = may_delete(to->path.dentry->inode, new->inode, S_ISDIR(new->inode->mode));
	else
		err = may_delete(to->path.dentry->inode, new->inode, dir);
	if (!err && (old->nmounts || new->nmounts))
		err = -EBUSY;
	return err;
}

/* The names change in the cache, and those who watch are told. */
static void moved(struct inode *from_dir, struct dentry *old, struct inode *to_dir, struct dentry *new, bool exchange)
{
	char *was = notify_watches ? kstrdup(old->name) : NULL;

	d_move(old, new, exchange);
	if (was)
		notify_rename(from_dir, was, to_dir, old);
	if (was && new->inode && !exchange && !S_ISDIR(new->inode->mode))
		notify_self(new->inode, IN_ATTRIB);
	kfree(was);
}

/* RENAME_WHITEOUT: what an overlay takes for "not there" stays behind, a character device 0:0. */
static int leave_whiteout(struct nameidata *from)
{
	struct inode *dir = from->path.dentry->inode;
	struct dentry *d = lookup_one(from->path.dentry, from->last, from->last_len, true);
	int err;

	if (IS_ERR(d))
		return (int)PTR_ERR(d);
	err = d->inode ? 0 : dir->iop->mknod(dir, d, S_IFCHR, 0);
	dentry_put(d);
	return err;
}

static int rename_locked(struct nameidata *from, struct nameidata *to, u32 flags)
{
	struct inode *from_dir = from->path.dentry->inode, *to_dir = to->path.dentry->inode;
	struct dentry *old = lookup_one(from->path.dentry, from->last, from->last_len, true), *new;
	int err;

	if (IS_ERR(old))
		return (int)PTR_ERR(old);
	new = lookup_one(to->path.dentry, to->last, to->last_len, true);
	if (IS_ERR(new)) {
		dentry_put(old);
		return (int)PTR_ERR(new);
	}
	err = check_rename(from, old, to, new, flags);
	if (!err)
		err = landlock_may_move(&from->path, old, &to->path, new, flags & RENAME_EXCHANGE ? LANDLOCK_EXCHANGE : 0);
	if (!err && flags & RENAME_WHITEOUT && !from_dir->iop->mknod)
		err = -EINVAL;
	if (!err && old->inode != new->inode) {
		err = from_dir->iop->rename ? from_dir->iop->rename(from_dir, old, to_dir, new, flags) : -EPERM;
		if (!err)
			moved(from_dir, old, to_dir, new, flags & RENAME_EXCHANGE);
		if (!err && flags & RENAME_WHITEOUT)
			err = leave_whiteout(from);
	}
	dentry_put(new);
	dentry_put(old);
	return err;
}

static long do_rename(s32 olddir, u64 uold, s32 newdir, u64 unew, u32 flags)
{
	struct nameidata from, to;
	char *old, *new;
	int err;

	if (flags & ~(u32)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	if (flags & RENAME_EXCHANGE && flags & (RENAME_NOREPLACE | RENAME_WHITEOUT))
		return -EINVAL;
	if (flags & RENAME_WHITEOUT && !capable(CAP_MKNOD))
		return -EPERM;
	old = getname(uold);
	if (IS_ERR(old))
		return PTR_ERR(old);
	new = getname(unew);
	if (IS_ERR(new)) {
		kfree(old);
		return PTR_ERR(new);
	}
	err = path_parent(olddir, old, 0, &from);
	if (err)
		goto out;
	err = path_parent(newdir, new, 0, &to);
	if (err)
		goto out_from;
	if (from.path.mnt != to.path.mnt)
		err = -EXDEV;
	else if (from.last_type != LAST_NORM || to.last_type != LAST_NORM)
		err = flags & RENAME_NOREPLACE && from.last_type == LAST_NORM ? -EEXIST : -EBUSY;
	else
		err = mnt_want_write(&from.path);
	if (!err) {
		struct super_block *sb = from.path.dentry->sb;

		mutex_lock(&sb->rename_lock);
		lock_two(from.path.dentry, to.path.dentry);
		err = rename_locked(&from, &to, flags);
		unlock_two(from.path.dentry, to.path.dentry);
		mutex_unlock(&sb->rename_lock);
	}
	nd_put(&to);
out_from:
	nd_put(&from);
out:
	kfree(new);
	kfree(old);
	return err;
}
SYSCALL2(rename, u64, old, u64, new) { return do_rename(AT_FDCWD, old, AT_FDCWD, new, 0); }
SYSCALL4(renameat, s32, od, u64, old, s32, nd, u64, new) { return do_rename(od, old, nd, new, 0); }
SYSCALL5(renameat2, s32, od, u64, old, s32, nd, u64, new, u32, flags) { return do_rename(od, old, nd, new, flags); }

/* ---- readlink ---- */

static long do_readlink(s32 dirfd, u64 uname, u64 buf, s32 size)
{
	struct path p;
	struct inode *i;
	char *target, first = 1;
	long n;
	int err;

	if (size <= 0)
		return -EINVAL;
	err = user_path_lookup(dirfd, uname, LOOKUP_EMPTY, &p);
	if (err)
		return err;
	i = p.dentry->inode;
	if (!S_ISLNK(i->mode) || !i->iop->readlink) {
		path_put(&p);
		/* By an empty name only links are there; open(2), O_PATH. */
		return get_user(first, uname) || first ? -EINVAL : -ENOENT;
	}
	target = i->iop->readlink(i);
	path_put(&p);
	if (IS_ERR_OR_NULL(target))
		return target ? PTR_ERR(target) : -ENOMEM;
	n = (long)MIN(strlen(target), (size_t)size);
	if (copy_to_user(buf, target, (size_t)n))
		n = -EFAULT;
	kfree(target);
	return n;
}
SYSCALL3(readlink, u64, name, u64, buf, s32, size) { return do_readlink(AT_FDCWD, name, buf, size); }
SYSCALL4(readlinkat, s32, dirfd, u64, name, u64, buf, s32, size) { return do_readlink(dirfd, name, buf, size); }
