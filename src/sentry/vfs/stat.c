/* stat(2) and its family, statx(2), statfs(2), access(2). */
#include <asm/stat.h>
#include <asm/statfs.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/stat.h>
#include <linux/magic.h>

#include "sentry/kernel/user_ns.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/internal.h"

static int put_stat(u64 ubuf, const struct kstat *k)
{
	struct stat st = {
		.st_dev = k->dev, .st_ino = k->ino, .st_nlink = k->nlink, .st_mode = k->mode, .st_uid = uid_out(k->uid), .st_gid = gid_out(k->gid),
		.st_rdev = k->rdev, .st_size = (long)k->size, .st_blksize = k->blksize, .st_blocks = (long)k->blocks,
		.st_atime = (unsigned long)k->atime.sec, .st_atime_nsec = (unsigned long)k->atime.nsec,
		.st_mtime = (unsigned long)k->mtime.sec, .st_mtime_nsec = (unsigned long)k->mtime.nsec,
		.st_ctime = (unsigned long)k->ctime.sec, .st_ctime_nsec = (unsigned long)k->ctime.nsec,
	};

	return copy_to_user(ubuf, &st, sizeof(st));
}

static int stat_path(s32 dirfd, u64 uname, u32 lookup, struct kstat *k)
{
	struct path p;
	int err = user_path_lookup(dirfd, uname, lookup, &p);

	if (err)
		return err;
	err = vfs_getattr(&p, k);
	path_put(&p);
	return err;
}

static int stat_fd(s32 fd, struct kstat *k)
{
	struct file *f = fget_raw(fd);
	int err;

	if (!f)
		return -EBADF;
	err = vfs_getattr(&f->path, k);
	file_put(f);
	return err;
}

SYSCALL2(stat, u64, name, u64, buf)
{
	struct kstat k;
	int err = stat_path(AT_FDCWD, name, LOOKUP_FOLLOW, &k);

	return err ? err : put_stat(buf, &k);
}
SYSCALL2(lstat, u64, name, u64, buf)
{
	struct kstat k;
	int err = stat_path(AT_FDCWD, name, 0, &k);

	return err ? err : put_stat(buf, &k);
}
SYSCALL2(fstat, s32, fd, u64, buf)
{
	struct kstat k;
	int err = stat_fd(fd, &k);

	return err ? err : put_stat(buf, &k);
}

/* Is the user's string empty? -EFAULT when it cannot be read; NULL counts as empty where the caller allows it. */
static int is_empty(u64 uname)
{
	char c;

	return get_user(c, uname) ? -EFAULT : !c;
}

static int stat_at(s32 dirfd, u64 uname, u32 flags, struct kstat *k)
{
	if (flags & AT_EMPTY_PATH && dirfd >= 0) {
		int empty = is_empty(uname);

		if (empty < 0)
			return empty;
		if (empty)
			return stat_fd(dirfd, k);
	}
	return stat_path(dirfd, uname, (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0), k);
}

SYSCALL4(newfstatat, s32, dirfd, u64, name, u64, buf, u32, flags)
{
	struct kstat k;
	int err;

	if (flags & ~(u32)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT))
		return -EINVAL;
	err = stat_at(dirfd, name, flags, &k);
	return err ? err : put_stat(buf, &k);
}

static struct statx_timestamp statx_time(struct timespec_k t)
{
	return (struct statx_timestamp){ .tv_sec = t.sec, .tv_nsec = (u32)t.nsec };
}

SYSCALL5(statx, s32, dirfd, u64, name, u32, flags, u32, mask, u64, buf)
{
	struct statx sx = { 0 };
	struct kstat k = { 0 };
	int err;

	if (mask & STATX__RESERVED || (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
		return -EINVAL;
	if (flags & ~(u32)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE))
		return -EINVAL;
	err = stat_at(dirfd, name, flags, &k);
	if (err)
		return err;
	sx.stx_mask = STATX_BASIC_STATS | STATX_BTIME;
	if (k.mnt_id)
		sx.stx_mask |= STATX_MNT_ID;
	sx.stx_mnt_id = k.mnt_id;
	sx.stx_attributes = k.attributes;
	sx.stx_attributes_mask = k.attributes_mask;
	sx.stx_blksize = k.blksize;
	sx.stx_nlink = k.nlink;
	sx.stx_uid = uid_out(k.uid);
	sx.stx_gid = gid_out(k.gid);
	sx.stx_mode = (u16)k.mode;
	sx.stx_ino = k.ino;
	sx.stx_size = k.size;
	sx.stx_blocks = k.blocks;
	sx.stx_atime = statx_time(k.atime);
	sx.stx_mtime = statx_time(k.mtime);
	sx.stx_ctime = statx_time(k.ctime);
	sx.stx_btime = statx_time(k.btime);
	sx.stx_rdev_major = dev_major(k.rdev);
	sx.stx_rdev_minor = dev_minor(k.rdev);
	sx.stx_dev_major = dev_major(k.dev);
	sx.stx_dev_minor = dev_minor(k.dev);
	return copy_to_user(buf, &sx, sizeof(sx));
}

/* ---- statfs ---- */

/* The kernel's own files have several file systems on Linux; here they are one. */
static u64 magic_of(const struct path *p)
{
	u32 mode = p->dentry->inode ? p->dentry->inode->mode : 0;

	if (p->dentry->sb->magic != ANON_INODE_FS_MAGIC)
		return p->dentry->sb->magic;
	return S_ISFIFO(mode) ? PIPEFS_MAGIC : S_ISSOCK(mode) ? SOCKFS_MAGIC : ANON_INODE_FS_MAGIC;
}

static int statfs_path(const struct path *p, u64 ubuf)
{
	struct super_block *sb = p->dentry->sb;
	struct kstatfs k = { .type = magic_of(p), .bsize = PAGE_SIZE, .namelen = 255, .frsize = PAGE_SIZE };
	struct statfs st;
	int err = sb->ops && sb->ops->statfs ? sb->ops->statfs(sb, &k) : 0;

	if (err)
		return err;
	st = (struct statfs){
		.f_type = (long)k.type, .f_bsize = (long)k.bsize, .f_blocks = (long)k.blocks, .f_bfree = (long)k.bfree,
		.f_bavail = (long)k.bavail, .f_files = (long)k.files, .f_ffree = (long)k.ffree,
		.f_fsid = { { (int)sb->dev, 0 } }, .f_namelen = (long)k.namelen, .f_frsize = (long)k.frsize,
		.f_flags = 0x20 /* ST_VALID */ | (p->mnt ? (long)(p->mnt->flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)) : 0),
	};
	return copy_to_user(ubuf, &st, sizeof(st));
}

SYSCALL2(statfs, u64, name, u64, buf)
{
	struct path p;
	int err = user_path_lookup(AT_FDCWD, name, LOOKUP_FOLLOW, &p);

	if (err)
		return err;
	err = statfs_path(&p, buf);
	path_put(&p);
	return err;
}

SYSCALL2(fstatfs, s32, fd, u64, buf)
{
	struct file *f = fget_raw(fd);
	int err;

	if (!f)
		return -EBADF;
	err = statfs_path(&f->path, buf);
	file_put(f);
	return err;
}

/* ---- access ---- */

/* The check with real instead of effective ids: with a private set of credentials, put back afterwards. */
static int check_access_as_real(struct inode *i, u32 mode)
{
	struct cred *saved = current->cred, *real;
	int err;

	if (saved->uid == saved->fsuid && saved->gid == saved->fsgid && saved->effective == (saved->uid ? 0 : saved->permitted))
		return inode_permission(i, mode);
	real = prepare_creds();
	if (!real)
		return -ENOMEM;
	real->fsuid = real->uid;
	real->fsgid = real->gid;
	real->effective = real->uid != make_uid(real->user_ns, 0) ? 0 : real->permitted;
	spin_lock(&current->alloc_lock);
	current->cred = real;
	spin_unlock(&current->alloc_lock);
	err = inode_permission(i, mode);
	spin_lock(&current->alloc_lock);
	current->cred = saved;
	spin_unlock(&current->alloc_lock);
	cred_put(real);
	return err;
}

static long do_access(s32 dirfd, u64 uname, u32 mode, u32 flags)
{
	struct path p;
	struct inode *i;
	int err;

	if (mode & ~7u || flags & ~(u32)(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	err = user_path_lookup(dirfd, uname,
			       (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0), &p);
	if (err)
		return err;
	i = p.dentry->inode;
	if (mode & MAY_EXEC && S_ISREG(i->mode) && p.mnt && p.mnt->flags & MS_NOEXEC)
		err = -EACCES;
	else
		err = flags & AT_EACCESS ? inode_permission(i, mode) : check_access_as_real(i, mode);
	if (!err && mode & MAY_WRITE && (S_ISREG(i->mode) || S_ISDIR(i->mode) || S_ISLNK(i->mode)))
		err = mnt_want_write(&p);
	path_put(&p);
	return err;
}
SYSCALL2(access, u64, name, u32, mode) { return do_access(AT_FDCWD, name, mode, 0); }
SYSCALL3(faccessat, s32, dirfd, u64, name, u32, mode) { return do_access(dirfd, name, mode, 0); }
SYSCALL4(faccessat2, s32, dirfd, u64, name, u32, mode, u32, flags) { return do_access(dirfd, name, mode, flags); }
