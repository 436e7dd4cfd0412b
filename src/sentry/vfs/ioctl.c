/* ioctl(2) on any file, and the flags of inodes: ioctl_iflags(2). */
#include <asm/ioctls.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/stat.h>

#include "sentry/kernel/user_ns.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/fasync.h"
#include "sentry/vfs/fiemap.h"
#include "sentry/vfs/internal.h"

/* What tmpfs of Linux 6.1 shows and lets be changed. */
#define FSFLAGS_SHOWN (FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_CASEFOLD_FL)
#define FSFLAGS_SET (FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL)

static const struct {
	u32 fl, xflag;
} xflags[] = {
	{ FS_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE }, { FS_APPEND_FL, FS_XFLAG_APPEND }, { FS_NODUMP_FL, FS_XFLAG_NODUMP },
	{ FS_NOATIME_FL, FS_XFLAG_NOATIME },
};

/* mask: which of the flags can be said by the caller's structure. */
static long set_fsflags(struct file *f, u32 flags, u32 mask)
{
	struct inode *i = f->inode;
	u32 old;
	long err = mnt_want_write(&f->path);

	if (err)
		return err;
	if (current->cred->fsuid != i->uid && !owner_capable(i->uid, i->gid, CAP_FOWNER))
		return -EPERM;
	mutex_lock(&i->lock);
	old = i->fsflags;
	if ((flags ^ old) & mask & (FS_IMMUTABLE_FL | FS_APPEND_FL) && !capable(CAP_LINUX_IMMUTABLE))
		err = -EPERM;
	else if (flags & ~(u32)FSFLAGS_SHOWN)
		err = -EOPNOTSUPP;
	if (!err) {
		WRITE_ONCE(i->fsflags, (old & ~(mask & FSFLAGS_SET)) | (flags & mask & FSFLAGS_SET));
		i->ctime = current_time();
	}
	mutex_unlock(&i->lock);
	return err;
}

static long ioctl_fsflags(struct file *f, u32 cmd, u64 arg)
{
	struct fsxattr x = { 0 };
	u32 flags = f->inode->fsflags & FSFLAGS_SHOWN;

	if (!(f->inode->flags & INODE_FSFLAGS))
		return -ENOTTY;
	switch (cmd) {
	case FS_IOC_GETFLAGS:
		return put_user(flags, arg);
	case FS_IOC_SETFLAGS:
		return get_user(flags, arg) ? -EFAULT : set_fsflags(f, flags, ~0u);
	case FS_IOC_FSGETXATTR:
		for (u32 i = 0; i < ARRAY_SIZE(xflags); i++)
			x.fsx_xflags |= flags & xflags[i].fl ? xflags[i].xflag : 0;
		return copy_to_user(arg, &x, sizeof(x));
	default: /* FS_IOC_FSSETXATTR */
		if (get_user(x, arg))
			return -EFAULT;
		if (x.fsx_projid || x.fsx_extsize || x.fsx_cowextsize)
			return -EOPNOTSUPP;
		flags = 0;
		for (u32 i = 0; i < ARRAY_SIZE(xflags); i++) {
			flags |= x.fsx_xflags & xflags[i].xflag ? xflags[i].fl : 0;
			x.fsx_xflags &= ~xflags[i].xflag;
		}
		return x.fsx_xflags ? -EOPNOTSUPP : set_fsflags(f, flags, FSFLAGS_SET);
	}
}

static long ioctl_flag(s32 fd, struct file *f, u64 arg, u32 flag)
{
	s32 on;

	if (get_user(on, arg))
		return -EFAULT;
	if (flag == FASYNC && !!(f->flags & FASYNC) == !!on)
		return 0;
	if (flag == FASYNC && (S_ISREG(f->inode->mode) || S_ISDIR(f->inode->mode)))
		return -ENOTTY;
	return file_set_flags(fd, f, on ? f->flags | flag : f->flags & ~flag);
}

/* Requests that only regular files and directories know. */
static long ioctl_regular(struct file *f, u32 cmd, u64 arg)
{
	s32 n;

	switch (cmd) {
	case FIOQSIZE:
		return put_user(f->inode->size, arg);
	case FIGETBSZ:
		n = (s32)f->inode->blksize;
		return put_user(n, arg);
	case FS_IOC_GETFLAGS:
	case FS_IOC_SETFLAGS:
	case FS_IOC_FSGETXATTR:
	case FS_IOC_FSSETXATTR:
		return ioctl_fsflags(f, cmd, arg);
	}
	if (!S_ISREG(f->inode->mode))
		return -ENOTTY;
	switch (cmd) {
	case FIONREAD:
		n = (s32)(f->inode->size - f->pos);
		return put_user(n, arg);
	case FS_IOC_FIEMAP:
		return ioctl_fiemap(f, arg);
	case FIBMAP:
		return capable(CAP_SYS_RAWIO) ? -EINVAL : -EPERM; /* no blocks to number */
	case FICLONE:
	case FICLONERANGE:
	case FIDEDUPERANGE:
		return -EOPNOTSUPP; /* no file system here shares blocks */
	default:
		return -ENOTTY;
	}
}

static long ioctl_any(s32 fd, struct file *f, u32 cmd, u64 arg)
{
	long ret = -ENOTTY;

	switch (cmd) {
	case FIOCLEX:
		return fd_set_flags(fd, true);
	case FIONCLEX:
		return fd_set_flags(fd, false);
	case FIONBIO:
		return ioctl_flag(fd, f, arg, O_NONBLOCK);
	case FIOASYNC:
		return ioctl_flag(fd, f, arg, FASYNC);
	}
	if (S_ISREG(f->inode->mode) || S_ISDIR(f->inode->mode))
		ret = ioctl_regular(f, cmd, arg);
	return ret == -ENOTTY && f->fop->ioctl ? f->fop->ioctl(f, cmd, arg) : ret;
}

SYSCALL3(ioctl, s32, fd, u32, cmd, u64, arg)
{
	struct file *f = fget(fd);
	long ret;

	if (!f)
		return -EBADF;
	ret = ioctl_any(fd, f, cmd, arg);
	file_put(f);
	return ret;
}
