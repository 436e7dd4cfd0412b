/* fcntl(2), fsync(2) and its family. */
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>

#include "sentry/mm/pagecache.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/shmem.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/fasync.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/lease.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/pipe.h"

#define SETFL_MASK (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | FASYNC)

long file_set_flags(s32 fd, struct file *f, u32 flags)
{
	long err = 0;

	if ((flags ^ f->flags) & O_NOATIME && flags & O_NOATIME && current->cred->fsuid != f->inode->uid && !owner_capable(f->inode->uid, f->inode->gid, CAP_FOWNER))
		return -EPERM;
	if (flags & ~f->flags & O_DIRECT && !S_ISFIFO(f->inode->mode) && !file_direct_allowed(f, flags))
		return -EINVAL;
	if (f->fop->setfl)
		err = f->fop->setfl(f, flags);
	if (!err && (flags ^ f->flags) & FASYNC)
		err = fasync_set(f, fd, flags & FASYNC);
	if (!err) {
		spin_lock(&f->lock);
		f->flags = (f->flags & ~(u32)SETFL_MASK) | (flags & SETFL_MASK);
		spin_unlock(&f->lock);
	}
	return err;
}

long file_set_owner(struct file *f, s32 who, s32 type)
{
	struct pid *pid = NULL, *old;

	if (who) {
		pid = pid_find_get(who);
		if (!pid)
			return -ESRCH;
	}
	spin_lock(&f->lock);
	old = f->owner;
	f->owner = pid;
	f->owner_pid = who;
	f->owner_type = type;
	f->owner_uid = current->cred->uid;
	f->owner_euid = current->cred->euid;
	spin_unlock(&f->lock);
	if (old)
		pid_put(old);
	return 0;
}

long file_set_owner_signed(struct file *f, s32 who)
{
	if (who == INT32_MIN)
		return -EINVAL;
	return who < 0 ? file_set_owner(f, -who, F_OWNER_PGRP) : file_set_owner(f, who, F_OWNER_PID);
}

s32 file_owner_signed(const struct file *f)
{
	return f->owner_type == F_OWNER_PGRP ? -f->owner_pid : f->owner_pid;
}

static long owner_ex(struct file *f, u64 uarg, bool set)
{
	struct f_owner_ex o;

	if (set) {
		if (get_user(o, uarg))
			return -EFAULT;
		return o.type < F_OWNER_TID || o.type > F_OWNER_PGRP ? -EINVAL : file_set_owner(f, o.pid, o.type);
	}
	o = (struct f_owner_ex){ f->owner_type, f->owner_pid };
	return copy_to_user(uarg, &o, sizeof(o));
}

/* How long what is written is likely to live: kept for who asks. */
static long fcntl_hint(struct file *f, u32 cmd, u64 arg)
{
	u64 hint = f->inode->rw_hint;

	if (cmd == F_GET_RW_HINT)
		return copy_to_user(arg, &hint, sizeof(hint));
	if (get_user(hint, arg))
		return -EFAULT;
	if (hint > RWH_WRITE_LIFE_EXTREME)
		return -EINVAL;
	f->inode->rw_hint = (u8)hint;
	return 0;
}

static long do_fcntl(s32 fd, struct file *f, u32 cmd, u64 arg)
{
	switch (cmd) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC: {
		s32 new;

		if (arg >= rlimit(7 /* RLIMIT_NOFILE */))
			return -EINVAL;
		new = fd_alloc_install(file_get(f), cmd == F_DUPFD_CLOEXEC, (s32)arg);
		if (new < 0)
			file_put(f);
		return new;
	}
	case F_GETFD:
		return fd_get_flags(fd);
	case F_SETFD:
		return fd_set_flags(fd, arg & FD_CLOEXEC);
	case F_GETFL:
		return f->flags;
	}
	if (f->mode & FMODE_PATH)
		return -EBADF;
	switch (cmd) {
	case F_SETFL:
		return file_set_flags(fd, f, (u32)arg);
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return fcntl_lock(f, cmd, arg);
	case F_SETOWN:
		return file_set_owner_signed(f, (s32)arg);
	case F_GETOWN:
		return file_owner_signed(f);
	case F_SETOWN_EX:
		return owner_ex(f, arg, true);
	case F_GETOWN_EX:
		return owner_ex(f, arg, false);
	case F_SETSIG:
		if (arg > SIG_COUNT)
			return -EINVAL;
		f->owner_sig = (s32)arg;
		return 0;
	case F_GETSIG:
		return f->owner_sig;
	case F_SETPIPE_SZ:
	case F_GETPIPE_SZ:
		return pipe_fcntl(f, cmd, arg);
	case F_ADD_SEALS:
		return shmem_add_seals(f, (u32)arg);
	case F_GET_SEALS:
		return shmem_get_seals(f);
	case F_GET_RW_HINT:
	case F_SET_RW_HINT:
		return fcntl_hint(f, cmd, arg);
	case F_NOTIFY:
		return fcntl_notify(fd, f, (u32)arg);
	case F_SETLEASE:
		return fcntl_setlease(f, fd, (s32)arg);
	case F_GETLEASE:
		return fcntl_getlease(f);
	default:
		return -EINVAL;
	}
}

SYSCALL3(fcntl, s32, fd, u32, cmd, u64, arg)
{
	struct file *f = fget_raw(fd);
	long ret;

	if (!f)
		return -EBADF;
	ret = do_fcntl(fd, f, cmd, arg);
	file_put(f);
	return ret;
}

/* ---- to stable storage ---- */

static long sync_fd(s32 fd, bool data_only)
{
	struct file *f = fget(fd);
	long ret;

	if (!f)
		return -EBADF;
	ret = f->fop->fsync ? f->fop->fsync(f, data_only) : -EINVAL;
	file_put(f);
	return ret;
}
SYSCALL1(fsync, s32, fd) { return sync_fd(fd, false); }
SYSCALL1(fdatasync, s32, fd) { return sync_fd(fd, true); }

SYSCALL1(syncfs, s32, fd)
{
	struct file *f = fget(fd);
	long ret;

	if (!f)
		return -EBADF;
	ret = sb_sync(f->inode->sb);
	file_put(f);
	return ret;
}
SYSCALL0(sync)
{
	sb_sync_all();
	return 0;
}

long file_sync_range(struct file *f, s64 off, s64 len, u32 flags)
{
	long ret;

	if (flags & ~7u || off < 0 || len < 0)
		return -EINVAL;
	ret = S_ISREG(f->inode->mode) || S_ISDIR(f->inode->mode) || S_ISBLK(f->inode->mode) || S_ISLNK(f->inode->mode) ? 0 : -ESPIPE;
	if (!ret && f->fop->fsync)
		ret = f->fop->fsync(f, true);
	return ret;
}

SYSCALL4(sync_file_range, s32, fd, s64, off, s64, len, u32, flags)
{
	struct file *f;
	long ret;

	f = fget(fd);
	if (!f)
		return -EBADF;
	ret = flags & ~7u || off < 0 || len < 0 ? -EINVAL : file_sync_range(f, off, len, flags);
	file_put(f);
	return ret;
}
