/* chmod(2), chown(2), utimensat(2), truncate(2), fallocate(2). */
#include <asm/signal.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/resource.h>
#include <linux/stat.h>

#include "sentry/kernel/user_ns.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/lease.h"

/* UAPI leaves these to libc; utimensat(2). */
#define UTIME_NOW ((1l << 30) - 1l)
#define UTIME_OMIT ((1l << 30) - 2l)

static int change(const struct path *p, const struct iattr *a)
{
	int err = mnt_want_write(p);

	return err ? err : notify_change(p->dentry, a);
}

static int change_at(s32 dirfd, u64 uname, u32 lookup, const struct iattr *a)
{
	struct path p;
	int err = user_path_lookup(dirfd, uname, lookup, &p);

	if (err)
		return err;
	err = change(&p, a);
	path_put(&p);
	return err;
}

static int change_fd(s32 fd, const struct iattr *a)
{
	struct file *f = fget(fd);
	int err;

	if (!f)
		return -EBADF;
	err = change(&f->path, a);
	file_put(f);
	return err;
}

static struct iattr mode_attr(u32 mode) { return (struct iattr){ .valid = ATTR_MODE, .mode = mode & 07777 }; }

SYSCALL2(chmod, u64, name, u32, mode)
{
	struct iattr a = mode_attr(mode);

	return change_at(AT_FDCWD, name, LOOKUP_FOLLOW, &a);
}
SYSCALL3(fchmodat, s32, dirfd, u64, name, u32, mode)
{
	struct iattr a = mode_attr(mode);

	return change_at(dirfd, name, LOOKUP_FOLLOW, &a);
}
SYSCALL2(fchmod, s32, fd, u32, mode)
{
	struct iattr a = mode_attr(mode);

	return change_fd(fd, &a);
}

static struct iattr owner_attr(u32 uid, u32 gid)
{
	return (struct iattr){ .valid = (uid != ~0u ? ATTR_UID : 0) | (gid != ~0u ? ATTR_GID : 0) | ATTR_CTIME,
			       .uid = uid_in(uid), .gid = gid_in(gid) };
}

SYSCALL3(chown, u64, name, u32, uid, u32, gid)
{
	struct iattr a = owner_attr(uid, gid);

	return change_at(AT_FDCWD, name, LOOKUP_FOLLOW, &a);
}
SYSCALL3(lchown, u64, name, u32, uid, u32, gid)
{
	struct iattr a = owner_attr(uid, gid);

	return change_at(AT_FDCWD, name, 0, &a);
}
SYSCALL3(fchown, s32, fd, u32, uid, u32, gid)
{
	struct iattr a = owner_attr(uid, gid);

	return change_fd(fd, &a);
}
SYSCALL5(fchownat, s32, dirfd, u64, name, u32, uid, u32, gid, u32, flags)
{
	struct iattr a = owner_attr(uid, gid);

	if (flags & ~(u32)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return change_at(dirfd, name, (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0), &a);
}

/* ---- times ---- */

static int set_times(s32 dirfd, u64 uname, const struct timespec_k *t, u32 flags)
{
	struct iattr a = { .valid = ATTR_ATIME | ATTR_MTIME };
	struct path p;
	bool now = !t || (t[0].nsec == UTIME_NOW && t[1].nsec == UTIME_NOW);
	int err;

	if (t && !now) {
		for (u32 i = 0; i < 2; i++)
			if (t[i].nsec != UTIME_NOW && t[i].nsec != UTIME_OMIT && (u64)t[i].nsec >= NSEC_PER_SEC)
				return -EINVAL;
		if (t[0].nsec == UTIME_OMIT && t[1].nsec == UTIME_OMIT)
			return 0;
		a.valid = 0;
		if (t[0].nsec != UTIME_OMIT)
			a.valid |= ATTR_ATIME | ATTR_ATIME_SET;
		if (t[1].nsec != UTIME_OMIT)
			a.valid |= ATTR_MTIME | ATTR_MTIME_SET;
		a.atime = t[0].nsec == UTIME_NOW ? current_time() : t[0];
		a.mtime = t[1].nsec == UTIME_NOW ? current_time() : t[1];
	}
	if (!uname) {
		struct file *f = fget(dirfd);

		if (!f)
			return -EBADF;
		p = f->path;
		path_get(&p);
		file_put(f);
	} else {
		err = user_path_lookup(dirfd, uname,
				       (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0), &p);
		if (err)
			return err;
	}
	err = 0;
	if (now && current->cred->fsuid != p.dentry->inode->uid && !owner_capable(p.dentry->inode->uid, p.dentry->inode->gid, CAP_FOWNER))
		err = inode_permission(p.dentry->inode, MAY_WRITE);
	if (!err)
		err = change(&p, &a);
	path_put(&p);
	return err;
}

SYSCALL4(utimensat, s32, dirfd, u64, name, u64, utimes, u32, flags)
{
	struct timespec_k t[2];

	if (utimes && copy_from_user(t, utimes, sizeof(t)))
		return -EFAULT;
	if (utimes && t[0].nsec == UTIME_OMIT && t[1].nsec == UTIME_OMIT)
		return 0; /* nothing to do, whatever else is asked */
	if (flags & ~(u32)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (!name && (dirfd == AT_FDCWD || flags))
		return dirfd == AT_FDCWD ? -EFAULT : -EINVAL;
	return set_times(dirfd, name, utimes ? t : NULL, flags);
}

static int set_timevals(s32 dirfd, u64 uname, u64 utv)
{
	struct timespec_k t[2];

	if (!utv)
		return set_times(dirfd, uname, NULL, 0);
	if (copy_from_user(t, utv, sizeof(t)))
		return -EFAULT;
	for (u32 i = 0; i < 2; i++) {
		if ((u64)t[i].nsec >= 1000000)
			return -EINVAL;
		t[i].nsec *= 1000;
	}
	return set_times(dirfd, uname, t, 0);
}
SYSCALL2(utimes, u64, name, u64, tv) { return name ? set_timevals(AT_FDCWD, name, tv) : -EFAULT; }
SYSCALL3(futimesat, s32, dirfd, u64, name, u64, tv) { return set_timevals(dirfd, name, tv); }
SYSCALL2(utime, u64, name, u64, ubuf)
{
	struct timespec_k t[2] = { 0 };
	s64 v[2];

	if (!name)
		return -EFAULT;
	if (!ubuf)
		return set_times(AT_FDCWD, name, NULL, 0);
	if (copy_from_user(v, ubuf, sizeof(v)))
		return -EFAULT;
	t[0].sec = v[0];
	t[1].sec = v[1];
	return set_times(AT_FDCWD, name, t, 0);
}

/* ---- size ---- */

/* A file may not grow beyond RLIMIT_FSIZE, nor beyond what an offset can say. */
static int check_new_size(const struct inode *i, u64 size)
{
	if (size <= i->size)
		return 0;
	if (size > INT64_MAX)
		return -EFBIG;
	if (size > rlimit(RLIMIT_FSIZE)) {
		send_signal_task(current, SIGXFSZ, SEND_SIG_PRIV);
		return -EFBIG;
	}
	return 0;
}

SYSCALL2(truncate, u64, name, s64, size)
{
	struct iattr a = { .valid = ATTR_SIZE | ATTR_MTIME, .size = (u64)size };
	struct path p;
	struct inode *i;
	int err;

	if (size < 0)
		return -EINVAL;
	err = user_path_lookup(AT_FDCWD, name, LOOKUP_FOLLOW, &p);
	if (err)
		return err;
	i = p.dentry->inode;
	if (S_ISREG(i->mode) && (err = (int)lease_break(i, true, false)))
		;
	else if (S_ISDIR(i->mode))
		err = -EISDIR;
	else if (!S_ISREG(i->mode))
		err = -EINVAL;
	else
		err = inode_permission(i, MAY_WRITE);
	if (!err)
		err = mnt_want_write(&p);
	if (!err && i->writecount < 0)
		err = -ETXTBSY;
	if (!err)
		err = check_new_size(i, (u64)size);
	if (!err)
		err = notify_change(p.dentry, &a);
	path_put(&p);
	return err;
}

SYSCALL2(ftruncate, s32, fd, s64, size)
{
	struct file *f;
	struct iattr a = { .valid = ATTR_SIZE | ATTR_MTIME, .size = (u64)size };
	int err;

	if (size < 0)
		return -EINVAL;
	f = fget(fd);
	if (!f)
		return -EBADF;
	if (!S_ISREG(f->inode->mode) || !(f->mode & FMODE_WRITE))
		err = -EINVAL;
	else
		err = check_new_size(f->inode, (u64)size);
	a.file = f;
	if (!err)
		err = notify_change(f->path.dentry, &a);
	file_put(f);
	return err;
}

int file_fallocate(struct file *f, u32 mode, s64 off, s64 len)
{
	int err = 0;

	if (off < 0 || len <= 0)
		err = -EINVAL;
	else if (mode & ~(u32)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_COLLAPSE_RANGE |
			       FALLOC_FL_INSERT_RANGE | FALLOC_FL_UNSHARE_RANGE))
		err = -EOPNOTSUPP;
	else if (mode & FALLOC_FL_PUNCH_HOLE && !(mode & FALLOC_FL_KEEP_SIZE))
		err = -EOPNOTSUPP;
	else if (!(f->mode & FMODE_WRITE))
		err = -EBADF;
	else if (S_ISFIFO(f->inode->mode))
		err = -ESPIPE;
	else if (S_ISDIR(f->inode->mode))
		err = -EISDIR;
	else if (!S_ISREG(f->inode->mode))
		err = -ENODEV;
	else if (!(mode & FALLOC_FL_KEEP_SIZE))
		err = check_new_size(f->inode, (u64)off + (u64)len);
	else if ((u64)off + (u64)len > INT64_MAX)
		err = -EFBIG;
	if (!err)
		err = f->fop->fallocate ? f->fop->fallocate(f, mode, (u64)off, (u64)len) : -EOPNOTSUPP;
	return err;
}

SYSCALL4(fallocate, s32, fd, u32, mode, s64, off, s64, len)
{
	struct file *f = fget(fd);
	int err;

	if (!f)
		return -EBADF;
	err = file_fallocate(f, mode, off, len);
	file_put(f);
	return err;
}
