/* getdents(2), getcwd(3), chdir(2), chroot(2). */
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "base/string.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/fanotify.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/notify.h"

struct dirent64_k {
	u64 ino;
	s64 off;
	u16 reclen;
	u8 type;
	char name[];
} __packed;
struct dirent_k { /* the type is the record's last byte */
	u64 ino, off;
	u16 reclen;
	char name[];
} __packed;

struct getdents {
	struct dir_context ctx;
	u64 buf;
	u32 size, used;
	int error;
	bool old_layout;
	char *record; /* scratch for one record */
};

static bool emit(struct dir_context *ctx, const char *name, u32 len, u64 next_pos, u64 ino, u32 type)
{
	struct getdents *g = container_of(ctx, struct getdents, ctx);
	u32 head = g->old_layout ? offsetof(struct dirent_k, name) : offsetof(struct dirent64_k, name);
	u32 reclen = ALIGN_UP(head + len + (g->old_layout ? 2 : 1), 8u);

	if (g->used + reclen > g->size) {
		if (!g->used)
			g->error = -EINVAL;
		return false;
	}
	memset(g->record, 0, reclen);
	if (g->old_layout) {
		struct dirent_k *d = (struct dirent_k *)g->record;

		d->ino = ino;
		d->off = next_pos;
		d->reclen = (u16)reclen;
		g->record[reclen - 1] = (char)type;
	} else {
		struct dirent64_k *d = (struct dirent64_k *)g->record;

		d->ino = ino;
		d->off = (s64)next_pos;
		d->reclen = (u16)reclen;
		d->type = (u8)type;
	}
	memcpy(g->record + head, name, len);
	if (copy_to_user(g->buf + g->used, g->record, reclen)) {
		g->error = -EFAULT;
		return false;
	}
	g->used += reclen;
	return true;
}

static long do_getdents(s32 fd, u64 buf, u32 size, bool old_layout)
{
	struct getdents g = { .ctx = { .emit = emit }, .buf = buf, .size = size, .old_layout = old_layout };
	struct file *f = fget(fd);
	long ret;

	if (!f)
		return -EBADF;
	if (!f->fop || !f->fop->iterate) {
		file_put(f);
		return -ENOTDIR;
	}
	g.record = kmalloc(320);
	if (!g.record) {
		file_put(f);
		return -ENOMEM;
	}
	mutex_lock(&f->pos_lock);
	if (!f->inode->nlink) {
		ret = -ENOENT;
	} else if (!(f->mode & FMODE_NONOTIFY) && notify_permission(&f->path, FAN_ACCESS_PERM)) {
		ret = -EPERM;
	} else {
		g.ctx.pos = f->pos;
		ret = f->fop->iterate(f, &g.ctx);
		f->pos = g.ctx.pos;
		touch_atime(f);
		notify_file(f, IN_ACCESS);
	}
	mutex_unlock(&f->pos_lock);
	kfree(g.record);
	file_put(f);
	return g.used ? (long)g.used : g.error ? g.error : ret;
}
SYSCALL3(getdents64, s32, fd, u64, buf, u32, size) { return do_getdents(fd, buf, size, false); }
SYSCALL3(getdents, s32, fd, u64, buf, u32, size) { return do_getdents(fd, buf, size, true); }

SYSCALL2(getcwd, u64, ubuf, u64, size)
{
	char *buf = kmalloc(PAGE_SIZE), *name;
	struct path cwd;
	long ret;

	if (!buf)
		return -ENOMEM;
	spin_lock(&current->fs->lock);
	cwd = current->fs->cwd;
	path_get(&cwd);
	spin_unlock(&current->fs->lock);
	if (path_is_deleted(&cwd)) {
		ret = -ENOENT; /* removed */
	} else {
		name = d_path(&cwd, buf, PAGE_SIZE);
		if (IS_ERR(name))
			ret = PTR_ERR(name);
		else if (strlen(name) + 1 > size)
			ret = -ERANGE;
		else
			ret = copy_to_user(ubuf, name, strlen(name) + 1) ? -EFAULT : (long)strlen(name) + 1;
	}
	path_put(&cwd);
	kfree(buf);
	return ret;
}

/* Replace cwd or root of the process; consumes the reference of p. */
static void set_fs_path(struct path *slot, struct path p)
{
	struct path old;

	spin_lock(&current->fs->lock);
	old = *slot;
	*slot = p;
	spin_unlock(&current->fs->lock);
	path_put(&old);
}

SYSCALL1(chdir, u64, name)
{
	struct path p;
	int err = user_path_lookup(AT_FDCWD, name, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &p);

	if (err)
		return err;
	err = inode_permission(p.dentry->inode, MAY_EXEC);
	if (err) {
		path_put(&p);
		return err;
	}
	set_fs_path(&current->fs->cwd, p);
	return 0;
}

SYSCALL1(fchdir, s32, fd)
{
	struct file *f = fget_raw(fd);
	struct path p;
	int err;

	if (!f)
		return -EBADF;
	p = f->path;
	err = S_ISDIR(f->inode->mode) ? inode_permission(f->inode, MAY_EXEC) : -ENOTDIR;
	if (!err) {
		path_get(&p);
		set_fs_path(&current->fs->cwd, p);
	}
	file_put(f);
	return err;
}

SYSCALL1(chroot, u64, name)
{
	struct path p;
	int err = user_path_lookup(AT_FDCWD, name, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &p);

	if (err)
		return err;
	err = inode_permission(p.dentry->inode, MAY_EXEC);
	if (!err && !self_capable(CAP_SYS_CHROOT))
		err = -EPERM;
	if (err) {
		path_put(&p);
		return err;
	}
	set_fs_path(&current->fs->root, p);
	return 0;
}
