/* open(2), openat2(2), creat(2). */
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/stat.h>

#include "base/string.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/kernel/exec.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/fanotify.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/landlock.h"
#include "sentry/vfs/lease.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/pipe.h"

#define O_TMPFILE_BIT 020000000u
#define O_EVENT_INTERNAL 0x10u /* for who reads events, and is not told of it */

static int device_open(struct inode *inode, struct file *file)
{
	const struct file_ops *fop = S_ISCHR(inode->mode) ? chrdev_fops(inode->rdev) : NULL;

	if (!fop)
		return -ENXIO;
	file->fop = fop;
	return fop->open ? fop->open(inode, file) : 0;
}

/* What may be opened at all, before the file system is asked. */
static int check_kind(const struct path *p, u32 flags)
{
	const struct inode *i = p->dentry->inode;
	bool write = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;

	if (S_ISLNK(i->mode))
		return -ELOOP;
	if (S_ISDIR(i->mode) && write)
		return -EISDIR;
	if (flags & O_DIRECTORY && !S_ISDIR(i->mode))
		return -ENOTDIR;
	if (S_ISSOCK(i->mode))
		return -ENXIO;
	if ((S_ISCHR(i->mode) || S_ISBLK(i->mode)) && p->mnt && p->mnt->flags & MS_NODEV)
		return -EACCES;
	if (write && S_ISREG(i->mode))
		return mnt_want_write(p);
	return 0;
}

static int check_access(const struct path *p, u32 flags)
{
	struct inode *i = p->dentry->inode;
	u32 mask = 0;
	int err, mode = open_flags_to_mode(flags);

	if (mode & FMODE_READ && !(flags & O_EXEC_INTERNAL))
		mask |= MAY_READ;
	if (mode & FMODE_WRITE || flags & O_TRUNC)
		mask |= MAY_WRITE;
	err = inode_permission(i, mask);
	if (err)
		return err;
	if (unlikely(i->fsflags & FS_APPEND_FL) && (mask & MAY_WRITE) && (!(flags & O_APPEND) || flags & O_TRUNC))
		return -EPERM;
	if (flags & O_NOATIME && current->cred->fsuid != i->uid && !owner_capable(i->uid, i->gid, CAP_FOWNER))
		return -EPERM;
	return 0;
}

/* Count a writer unless the file is being executed. */
static int take_write(struct inode *i)
{
	s32 n = READ_ONCE(i->writecount);

	do
		if (n < 0)
			return -ETXTBSY;
	while (!__atomic_compare_exchange_n(&i->writecount, &n, n + 1, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	return 0;
}

static int truncate_on_open(struct file *f)
{
	struct iattr a = { .valid = ATTR_SIZE | ATTR_MTIME | ATTR_FORCE, .size = 0, .file = f };
	int err;

	if (!S_ISREG(f->inode->mode))
		return 0;
	err = take_write(f->inode); /* O_RDONLY | O_TRUNC writes, too */
	if (err)
		return err;
	err = notify_change(f->path.dentry, &a);
	__atomic_fetch_sub(&f->inode->writecount, 1, __ATOMIC_ACQ_REL);
	return err;
}

/* landlock(7): opening a file that was just made asks, too. */
static int check_landlock(const struct path *p, u32 flags)
{
	int mode = open_flags_to_mode(flags);
	u64 access = 0;

	if (flags & O_EXEC_INTERNAL)
		access = LANDLOCK_ACCESS_FS_EXECUTE;
	else if (mode & FMODE_READ)
		access = S_ISDIR(p->dentry->inode->mode) ? LANDLOCK_ACCESS_FS_READ_DIR : LANDLOCK_ACCESS_FS_READ_FILE;
	if (mode & FMODE_WRITE)
		access |= LANDLOCK_ACCESS_FS_WRITE_FILE;
	return landlock_check(p, access);
}

/* Make the open file for a path whose permissions are checked already. */
static struct file *open_checked(const struct path *p, u32 flags)
{
	struct inode *i = p->dentry->inode;
	struct file *f = file_alloc();
	const struct file_ops *none;
	int err = 0;

	if (!f)
		return ERR_PTR(-ENOMEM);
	none = f->fop;
	f->path = *p;
	path_get(&f->path);
	f->inode = i;
	f->flags = flags & ~(u32)(O_EXEC_INTERNAL | O_EVENT_INTERNAL | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);
	if (flags & O_PATH) {
		f->mode = FMODE_PATH;
		f->flags = flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW);
		return f;
	}
	f->flags |= flags & O_NOCTTY; /* seen by the terminal's open, then dropped */
	f->mode = (u32)open_flags_to_mode(flags) | (flags & O_EVENT_INTERNAL ? FMODE_NONOTIFY : 0);
	if (f->mode & FMODE_WRITE && S_ISREG(i->mode)) {
		err = take_write(i);
		if (err) {
			f->mode = 0;
			goto fail;
		}
		f->mode |= FMODE_WRITER;
	}
	if (S_ISCHR(i->mode) || S_ISBLK(i->mode)) {
		err = device_open(i, f);
	} else if (S_ISFIFO(i->mode)) {
		err = fifo_open(i, f);
	} else {
		if (i->fop)
			f->fop = i->fop;
		if (f->fop->open)
			err = f->fop->open(i, f);
	}
	if (err) {
		f->fop = none; /* not opened: nothing to release */
		goto fail;
	}
	f->flags &= ~(u32)O_NOCTTY;
	err = file_direct_allowed(f, f->flags) ? 0 : -EINVAL;
	if (err)
		goto fail;
	if (f->fop->llseek)
		f->mode |= FMODE_LSEEK | FMODE_PREAD;
	if (flags & O_TRUNC) {
		err = truncate_on_open(f);
		if (err)
			goto fail;
	}
	f->mode |= FMODE_OPENED;
	notify_file(f, IN_OPEN | (flags & O_EXEC_INTERNAL ? FAN_OPEN_EXEC : 0));
	return f;
fail:
	file_put(f);
	return ERR_PTR(err);
}

static struct file *open_path(const struct path *p, u32 flags, bool created)
{
	int err = 0;

	if (!(flags & O_PATH)) {
		err = check_kind(p, flags);
		if (!err && !created)
			err = check_access(p, flags);
		if (!err)
			err = check_landlock(p, flags);
		if (!err)
			err = notify_permission(p, FAN_OPEN_PERM | (flags & O_EXEC_INTERNAL ? FAN_OPEN_EXEC_PERM : 0));
		if (!err && S_ISREG(p->dentry->inode->mode))
			err = (int)lease_break(p->dentry->inode, open_flags_to_mode(flags) & FMODE_WRITE || flags & O_TRUNC, flags & O_NONBLOCK);
	} else if (flags & O_DIRECTORY && !S_ISDIR(p->dentry->inode->mode)) {
		err = -ENOTDIR;
	}
	return err ? ERR_PTR(err) : open_checked(p, created ? flags & ~(u32)O_TRUNC : flags);
}

struct file *file_open_path(const struct path *p, u32 flags) { return open_path(p, flags, false); }

struct file *file_open_event(const struct path *p, u32 flags)
{
	int err = check_kind(p, flags);

	return err ? ERR_PTR(err) : open_checked(p, flags | O_EVENT_INTERNAL);
}

static struct file *open_tmpfile(const struct path *dir, u32 flags, u32 mode)
{
	struct inode *d = dir->dentry->inode, *inode;
	struct path p = { dir->mnt, NULL };
	struct file *f;
	int err;

	if (!S_ISDIR(d->mode))
		return ERR_PTR(-ENOTDIR);
	if ((flags & O_ACCMODE) == O_RDONLY)
		return ERR_PTR(-EINVAL);
	err = inode_permission(d, MAY_WRITE | MAY_EXEC);
	if (!err)
		err = mnt_want_write(dir);
	if (!err)
		err = landlock_check(dir, LANDLOCK_ACCESS_FS_MAKE_REG);
	if (err)
		return ERR_PTR(err);
	if (!d->iop->tmpfile)
		return ERR_PTR(-EOPNOTSUPP);
	err = d->iop->tmpfile(d, S_IFREG | (mode & ~current->fs->umask & 07777), &inode);
	if (err)
		return ERR_PTR(err);
	p.dentry = d_alloc(d->sb, dir->dentry, "#tmpfile", 8);
	if (!p.dentry) {
		inode_put(inode);
		return ERR_PTR(-ENOMEM);
	}
	d_set_inode(p.dentry, inode);
	if (!(flags & O_EXCL))
		inode->flags |= INODE_LINKABLE;
	f = open_checked(&p, flags & ~(u32)(O_DIRECTORY | O_TMPFILE_BIT));
	dentry_put(p.dentry);
	if (!IS_ERR(f))
		f->flags |= O_TMPFILE; /* F_GETFL shows it */
	return f;
}

/* Create the last component below the locked directory nd->path. The new dentry is positive in *d. */
static int create_last(struct nameidata *nd, struct dentry *d, u32 mode)
{
	struct inode *dir = nd->path.dentry->inode;
	int err = mnt_want_write(&nd->path);

	if (!err)
		err = may_create(dir);
	if (!err && (!dir->iop || !dir->iop->create))
		err = -EACCES;
	if (!err)
		err = landlock_check(&nd->path, LANDLOCK_ACCESS_FS_MAKE_REG);
	if (!err)
		err = dir->iop->create(dir, d, S_IFREG | (mode & 07777 & ~current->fs->umask));
	if (!err)
		notify_name(dir, d, d->inode, IN_CREATE);
	return err;
}

/* The last component of nd with O_CREAT: made when it is missing. 0 with the dentry, which may be a symbolic link. */
static int lookup_or_create(struct nameidata *nd, u32 flags, u32 mode, struct dentry **out, bool *created)
{
	struct dentry *dir = nd->path.dentry, *d;
	int err = 0;

	mutex_lock(&dir->inode->lock);
	d = lookup_one(dir, nd->last, nd->last_len, true);
	if (IS_ERR(d)) {
		err = (int)PTR_ERR(d);
	} else if (!d->inode) {
		err = create_last(nd, d, mode);
		*created = !err;
	} else if (flags & O_EXCL) {
		err = -EEXIST;
	}
	mutex_unlock(&dir->inode->lock);
	if (err && !IS_ERR(d))
		dentry_put(d);
	*out = d;
	return err;
}

/* One try at the last component; a symbolic link moves nd on and asks for another round with *again. */
static struct file *open_last(struct nameidata *nd, u32 flags, u32 mode, bool *again)
{
	struct dentry *d;
	struct path p;
	struct file *f;
	bool created = false;
	int err;

	if (nd->last_type != LAST_NORM)
		return ERR_PTR(flags & O_EXCL ? -EEXIST : -EISDIR);
	if (nd->trailing_slash) /* whatever there is */
		return ERR_PTR(-EISDIR);
	err = lookup_or_create(nd, flags, mode, &d, &created);
	if (err)
		return ERR_PTR(err);
	if (S_ISLNK(d->inode->mode) && !(flags & O_NOFOLLOW)) {
		char *target;

		err = nd_follow(nd, d, &target);
		if (err || !target)
			return err ? ERR_PTR(err) : open_path(&nd->path, flags, false);
		kfree((char *)nd->last_owned);
		nd->last_owned = target;
		err = nd_walk(nd, target);
		*again = !err;
		return err ? ERR_PTR(err) : NULL;
	}
	p = (struct path){ nd->path.mnt, d };
	path_get(&p);
	dentry_put(d);
	follow_mounts(&p);
	f = S_ISDIR(p.dentry->inode->mode) ? ERR_PTR(-EISDIR) : open_path(&p, flags, created);
	path_put(&p);
	return f;
}

static struct file *open_create(s32 dirfd, const char *name, u32 flags, u32 lookup, u32 mode)
{
	struct nameidata nd;
	struct file *f;
	bool again;
	int err = path_parent(dirfd, name, lookup, &nd);

	if (err)
		return ERR_PTR(err);
	do {
		again = false;
		f = open_last(&nd, flags, mode, &again);
	} while (again);
	kfree((char *)nd.last_owned);
	nd_put(&nd);
	return f;
}

static struct file *do_open(s32 dirfd, const char *name, u32 flags, u32 lookup, u32 mode)
{
	struct path p;
	struct file *f;
	int err;

	if (flags & O_CREAT && !(flags & O_PATH)) {
		f = open_create(dirfd, name, flags & O_EXCL ? flags | O_NOFOLLOW : flags, lookup, mode);
		if (!IS_ERR(f) && !(flags & O_NOFOLLOW))
			f->flags &= ~(u32)O_NOFOLLOW; /* F_GETFL shows what was asked for */
		return f;
	}
	if (!(flags & O_NOFOLLOW))
		lookup |= LOOKUP_FOLLOW;
	if (flags & O_DIRECTORY)
		lookup |= LOOKUP_DIRECTORY;
	if (!(flags & (O_ACCMODE | O_TRUNC | O_PATH | O_DIRECTORY)))
		lookup |= LOOKUP_READ;
	err = path_lookup(dirfd, name, lookup, &p);
	if (err)
		return ERR_PTR(err);
	f = flags & O_TMPFILE_BIT && !(flags & O_PATH) ? open_tmpfile(&p, flags, mode) : open_path(&p, flags, false);
	path_put(&p);
	return f;
}

struct file *file_open(s32 dirfd, const char *name, u32 flags, u32 mode)
{
	return do_open(dirfd, name, flags | O_LARGEFILE, 0, mode);
}

#define VALID_OPEN_FLAGS                                                                \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | FASYNC | O_DIRECT | \
	 O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE_BIT)

static long open_user(s32 dirfd, u64 uname, u32 flags, u32 lookup, u32 mode)
{
	struct name_buf b;
	char *name;
	struct file *f;
	s32 fd;

	if (flags & O_TMPFILE_BIT && ((flags & (O_TMPFILE | O_CREAT)) != O_TMPFILE || !(flags & O_ACCMODE)))
		return -EINVAL;
	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	name = name_begin(&b, uname, false);
	if (IS_ERR(name))
		return PTR_ERR(name);
	fd = fd_reserve(flags & O_CLOEXEC, 0);
	if (fd >= 0) {
		f = do_open(dirfd, name, flags, lookup, mode);
		if (IS_ERR(f)) {
			fd_unreserve(fd);
			fd = (s32)PTR_ERR(f);
		} else {
			fd_install(fd, f);
		}
	}
	name_end(&b);
	return fd;
}

SYSCALL3(open, u64, name, u32, flags, u32, mode)
{
	return open_user(AT_FDCWD, name, (flags | O_LARGEFILE) & VALID_OPEN_FLAGS, 0, mode);
}
SYSCALL4(openat, s32, dirfd, u64, name, u32, flags, u32, mode)
{
	return open_user(dirfd, name, (flags | O_LARGEFILE) & VALID_OPEN_FLAGS, 0, mode);
}
SYSCALL2(creat, u64, name, u32, mode)
{
	return open_user(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC | O_LARGEFILE, 0, mode);
}

static u32 resolve_to_lookup(u64 resolve)
{
	return (resolve & RESOLVE_NO_XDEV ? LOOKUP_NO_XDEV : 0) | (resolve & RESOLVE_NO_MAGICLINKS ? LOOKUP_NO_MAGICLINKS : 0) |
	       (resolve & RESOLVE_NO_SYMLINKS ? LOOKUP_NO_SYMLINKS | LOOKUP_NO_MAGICLINKS : 0) |
	       (resolve & RESOLVE_BENEATH ? LOOKUP_BENEATH : 0) | (resolve & RESOLVE_IN_ROOT ? LOOKUP_IN_ROOT : 0) | (resolve & RESOLVE_CACHED ? LOOKUP_CACHED : 0);
}

SYSCALL4(openat2, s32, dirfd, u64, name, u64, uhow, u64, size)
{
	struct open_how how = { 0 };
	u64 known = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_CACHED;

	if (size < sizeof(how))
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	if (copy_from_user(&how, uhow, sizeof(how)))
		return -EFAULT;
	for (u64 off = sizeof(how); off < size; off++) {
		u8 byte;

		if (get_user(byte, uhow + off))
			return -EFAULT;
		if (byte)
			return -E2BIG;
	}
	if (how.flags & ~(u64)VALID_OPEN_FLAGS || how.resolve & ~known)
		return -EINVAL;
	if ((how.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) == (RESOLVE_BENEATH | RESOLVE_IN_ROOT))
		return -EINVAL;
	if (how.flags & (O_CREAT | O_TMPFILE_BIT) ? how.mode & ~07777ull : how.mode)
		return -EINVAL;
	if (how.flags & O_PATH && how.flags & ~(u64)(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
		return -EINVAL;
	if (how.resolve & RESOLVE_CACHED && how.flags & (O_TRUNC | O_CREAT | O_TMPFILE_BIT))
		return -EAGAIN; /* these cannot be done without waiting */
	return open_user(dirfd, name, (u32)how.flags | O_LARGEFILE, resolve_to_lookup(how.resolve), (u32)how.mode);
}
