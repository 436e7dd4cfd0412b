/* What happens to files, told to those who watch them: inotify(7), fanotify(7). Each call is one test when nobody watches anything. */
#ifndef SENTRY_NOTIFY_H
#define SENTRY_NOTIFY_H

#include <linux/inotify.h>

#include "sentry/vfs/vfs.h"

extern _Atomic u32 notify_watches; /* of both kinds, in the whole sandbox */

void notify_file_slow(struct mount *mnt, struct dentry *d, u32 mask);
void notify_name_slow(struct inode *dir, const struct dentry *name, const struct inode *what, u32 mask, u32 cookie);
void notify_gone_slow(struct inode *i, u32 mask);

/* Something happened to d's inode: for those who watch it, and for those who watch its directory. */
static inline void notify_dentry(struct dentry *d, u32 mask)
{
	if (unlikely(notify_watches))
		notify_file_slow(NULL, d, mask);
}
/* The same by an open file; what a reader of events does with the files it got from them is not told. */
static inline void notify_file(struct file *f, u32 mask)
{
	if (unlikely(notify_watches) && !(f->mode & FMODE_NONOTIFY))
		notify_file_slow(f->path.mnt, f->path.dentry, mask);
}
/* May it be done? FAN_OPEN_PERM and its like. 0 or -EPERM. */
int fanotify_permission(const struct path *p, u32 mask);
static inline int notify_permission(const struct path *p, u32 mask)
{
	return unlikely(notify_watches) ? fanotify_permission(p, mask) : 0;
}
void notify_self_slow(struct inode *i, u32 mask);
/* The same for those who watch the inode itself. */
static inline void notify_self(struct inode *i, u32 mask)
{
	if (unlikely(notify_watches))
		notify_self_slow(i, mask);
}
/* A name in `dir` appeared, went or moved; `what` it stands for. */
static inline void notify_name(struct inode *dir, const struct dentry *name, const struct inode *what, u32 mask)
{
	if (unlikely(notify_watches))
		notify_name_slow(dir, name, what, mask, 0);
}
void notify_rename(struct inode *from_dir, const char *old_name, struct inode *to_dir, const struct dentry *moved);
/* The last name of an inode without links went away: whoever watches it stops. */
static inline void notify_deleted(struct inode *i)
{
	if (unlikely(notify_watches) && !i->nlink)
		notify_gone_slow(i, IN_DELETE_SELF);
}
/* dnotify.c: an event of a directory, its own or that of a name in it (IN_*); a file is closed; F_NOTIFY. */
void dnotify_event(struct inode *dir, u32 mask);
bool dnotify_any(void);
void dnotify_release(struct file *f);
long fcntl_notify(s32 fd, struct file *f, u32 arg);
/* A file system goes away. */
void notify_unmount(struct super_block *sb);
void notify_marks_free(struct inode *i);

#endif
