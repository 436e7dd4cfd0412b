/* Inodes and super blocks; attributes and permissions: inode(7), path_resolution(7), chown(2), chmod(2). */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/stat.h>

#include "base/string.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/pagecache.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/notify.h"

static _Atomic u32 next_dev = 20;
static struct kmem_cache *inode_cache;
static struct mutex supers_lock;
static LIST_HEAD(supers);

void supers_init(void) { mutex_init(&supers_lock); }

struct super_block *sb_create(const struct fs_type *t, const char *source)
{
	struct super_block *sb = kzalloc(sizeof(*sb));

	if (!sb)
		return NULL;
	refcount_set(&sb->ref, 1);
	sb->type = t;
	sb->dev = MKDEV(0, next_dev++);
	mutex_init(&sb->rename_lock);
	sb->next_ino = 1;
	sb->source = kstrdup(source);
	mutex_lock(&supers_lock);
	list_add_tail(&sb->node, &supers);
	mutex_unlock(&supers_lock);
	return sb;
}

int sb_sync(struct super_block *sb)
{
	int err = pagecache_sync(sb), stored = sb->ops && sb->ops->sync ? sb->ops->sync(sb) : 0;

	return err ? err : stored;
}

void sb_sync_all(void)
{
	struct super_block *sb;

	pagecache_sync(NULL);
	mutex_lock(&supers_lock);
	list_for_each(sb, &supers, node)
		if (sb->ops && sb->ops->sync)
			sb->ops->sync(sb);
	mutex_unlock(&supers_lock);
}

void sb_put(struct super_block *sb)
{
	struct list_head *outer = current->evicting;

	if (!refcount_dec_and_test(&sb->ref))
		return;
	mutex_lock(&supers_lock);
	list_del(&sb->node);
	mutex_unlock(&supers_lock);
	current->evicting = NULL; /* its inodes end here and now */
	notify_unmount(sb);
	simple_release(sb);
	d_prune_super(sb);
	if (sb->root)
		dentry_put(sb->root);
	d_prune_super(sb);
	current->evicting = outer;
	if (sb->ops && sb->ops->put_super)
		sb->ops->put_super(sb);
	kfree(sb->source);
	kfree(sb);
}

struct inode *inode_alloc(struct super_block *sb)
{
	struct inode *i;

	if (!inode_cache)
		inode_cache = kmem_cache_create("inode", sizeof(*i), 16);
	i = kmem_cache_alloc(inode_cache);
	if (!i)
		return NULL;
	refcount_set(&i->ref, 1);
	i->sb = sb;
	mutex_init(&i->lock);
	i->ino = sb->next_ino++;
	i->nlink = 1;
	i->blksize = PAGE_SIZE;
	i->atime = i->mtime = i->ctime = i->btime = current_time();
	return i;
}

static void evict(struct inode *i)
{
	if (i->sb->ops && i->sb->ops->evict_inode)
		i->sb->ops->evict_inode(i);
	if (i->flocks)
		locks_free(i);
	if (i->marks)
		notify_marks_free(i);
	kmem_cache_free(inode_cache, i);
}

/* An inode's end may be that of others, whose number and depth nobody bounds: they queue up instead of nesting. */
void inode_put(struct inode *i)
{
	LIST_HEAD(queue);

	if (!refcount_dec_and_test(&i->ref))
		return;
	list_init(&i->evict_node);
	if (current->evicting) {
		list_add_tail(&i->evict_node, current->evicting);
		return;
	}
	list_add(&i->evict_node, &queue);
	current->evicting = &queue;
	while (!list_empty(&queue)) {
		i = list_first(&queue, struct inode, evict_node);
		list_del(&i->evict_node);
		evict(i);
	}
	current->evicting = NULL;
}

struct timespec_k current_time(void)
{
	u64 ns = clock_real_ns();

	return (struct timespec_k){ (s64)(ns / NSEC_PER_SEC), (s64)(ns % NSEC_PER_SEC) };
}

/* ---- permissions ---- */

/* Has the caller the capability over what belongs to the inode's owners? */
static bool over(const struct inode *i, int cap)
{
	return owner_capable(i->uid, i->gid, cap);
}

int inode_permission(struct inode *inode, u32 mask)
{
	const struct cred *c = current->cred;
	u32 mode = inode->mode, want = mask & (MAY_READ | MAY_WRITE | MAY_EXEC);

	if (unlikely(inode->fsflags & FS_IMMUTABLE_FL) && mask & MAY_WRITE)
		return -EPERM;
	if (inode->iop && inode->iop->permission)
		return inode->iop->permission(inode, mask);
	if (c->fsuid == inode->uid)
		mode >>= 6;
	else if (in_group(c, inode->gid))
		mode >>= 3;
	if ((mode & want) == want)
		return 0;
	if (S_ISDIR(inode->mode)) {
		if (over(inode, CAP_DAC_OVERRIDE) || (!(want & MAY_WRITE) && over(inode, CAP_DAC_READ_SEARCH)))
			return 0;
		return -EACCES;
	}
	if ((!(want & MAY_EXEC) || inode->mode & 0111) && over(inode, CAP_DAC_OVERRIDE))
		return 0;
	return want == MAY_READ && over(inode, CAP_DAC_READ_SEARCH) ? 0 : -EACCES;
}

int may_create(struct inode *dir)
{
	if (!dir->nlink)
		return -ENOENT;
	return inode_permission(dir, MAY_WRITE | MAY_EXEC);
}

int may_delete(struct inode *dir, struct inode *victim, bool is_dir)
{
	int err = inode_permission(dir, MAY_WRITE | MAY_EXEC);
	const struct cred *c = current->cred;

	if (err)
		return err;
	if (unlikely(dir->fsflags & FS_APPEND_FL || victim->fsflags & (FS_APPEND_FL | FS_IMMUTABLE_FL)))
		return -EPERM;
	if (dir->mode & S_ISVTX && c->fsuid != victim->uid && c->fsuid != dir->uid && !over(victim, CAP_FOWNER))
		return -EPERM;
	if (is_dir != S_ISDIR(victim->mode))
		return is_dir ? -ENOTDIR : -EISDIR;
	return 0;
}

/* ---- attributes ---- */

int vfs_getattr(const struct path *p, struct kstat *st)
{
	struct inode *i = p->dentry->inode;

	*st = (struct kstat){ .ino = i->ino, .dev = i->sb->dev, .rdev = i->rdev, .size = i->size, .blocks = i->blocks,
			      .mode = i->mode, .nlink = i->nlink, .uid = i->uid, .gid = i->gid, .blksize = i->blksize,
			      .atime = i->atime, .mtime = i->mtime, .ctime = i->ctime, .btime = i->btime,
			      .attributes_mask = STATX_ATTR_MOUNT_ROOT };
	if (p->mnt) {
		st->mnt_id = (u64)p->mnt->id;
		if (p->dentry == p->mnt->root)
			st->attributes |= STATX_ATTR_MOUNT_ROOT;
	}
	return i->iop && i->iop->getattr ? i->iop->getattr(i, st) : 0;
}

static bool owner_or_capable(const struct inode *i) { return current->cred->fsuid == i->uid || over(i, CAP_FOWNER); }

/* May the caller change what attr says? The order of checks is that of chmod(2), chown(2), utimensat(2). */
static int setattr_permission(struct inode *i, struct iattr *a)
{
	const struct cred *c = current->cred;

	if (a->valid & ATTR_FORCE)
		return 0;
	if ((a->valid & ATTR_UID && a->uid == NO_ID) || (a->valid & ATTR_GID && a->gid == NO_ID))
		return -EINVAL; /* no such id in the caller's user namespace */
	if (a->valid & ATTR_UID && (c->fsuid != i->uid || a->uid != i->uid) && !over(i, CAP_CHOWN))
		return -EPERM;
	if (a->valid & ATTR_GID && (c->fsuid != i->uid || (!in_group(c, a->gid) && a->gid != i->gid)) && !over(i, CAP_CHOWN))
		return -EPERM;
	if (a->valid & ATTR_MODE) {
		if (!owner_or_capable(i))
			return -EPERM;
		if (!in_group(c, a->valid & ATTR_GID ? a->gid : i->gid) && !over(i, CAP_FSETID))
			a->mode &= ~(u32)S_ISGID;
	}
	if (a->valid & (ATTR_ATIME_SET | ATTR_MTIME_SET) && !owner_or_capable(i))
		return -EPERM;
	return 0;
}

static void apply_attr(struct inode *i, const struct iattr *a)
{
	struct timespec_k now = current_time();

	if (a->valid & ATTR_UID)
		i->uid = a->uid;
	if (a->valid & ATTR_GID)
		i->gid = a->gid;
	if (a->valid & ATTR_MODE)
		i->mode = (i->mode & S_IFMT) | (a->mode & 07777);
	if (a->valid & ATTR_ATIME)
		i->atime = a->valid & ATTR_ATIME_SET ? a->atime : now;
	if (a->valid & ATTR_MTIME)
		i->mtime = a->valid & ATTR_MTIME_SET ? a->mtime : now;
	i->ctime = now;
}

/* As Linux tells them: a change of both times is IN_ATTRIB, of one IN_ACCESS or IN_MODIFY. */
static u32 attribute_events(const struct iattr *a)
{
	u32 times = a->valid & (ATTR_ATIME | ATTR_MTIME);

	if (a->valid & (ATTR_MODE | ATTR_UID | ATTR_GID) || times == (ATTR_ATIME | ATTR_MTIME))
		return IN_ATTRIB;
	return a->valid & ATTR_SIZE ? 0 : times == ATTR_ATIME ? IN_ACCESS : times == ATTR_MTIME ? IN_MODIFY : 0;
}

/* ioctl_iflags(2): what may not change in an immutable file, or in one that can only be appended to. */
static bool forbidden_by_fsflags(const struct inode *i, const struct iattr *a)
{
	u32 set = ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_ATIME_SET | ATTR_MTIME_SET;

	return a->valid & (set | (a->valid & ATTR_FORCE ? 0 : ATTR_SIZE)) || (i->fsflags & FS_IMMUTABLE_FL && a->valid & (ATTR_ATIME | ATTR_MTIME));
}

int notify_change(struct dentry *d, const struct iattr *attr)
{
	struct inode *i = d->inode;
	struct iattr a = *attr;
	int err;

	if (unlikely(i->fsflags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) && forbidden_by_fsflags(i, &a))
		return -EPERM;
	mutex_lock(&i->lock);
	err = setattr_permission(i, &a);
	/* A change of owner takes set-user-ID and set-group-ID away; chown(2). */
	if (!err && a.valid & (ATTR_UID | ATTR_GID) && !(a.valid & ATTR_MODE) && !S_ISDIR(i->mode) &&
	    i->mode & (S_ISUID | (i->mode & S_IXGRP ? S_ISGID : 0))) {
		a.valid |= ATTR_MODE;
		a.mode = i->mode & ~(u32)(S_ISUID | (i->mode & S_IXGRP ? S_ISGID : 0));
	}
	if (!err) {
		if (i->iop && i->iop->setattr) {
			err = i->iop->setattr(i, &a);
		} else if (a.valid & ATTR_SIZE) {
			err = -EINVAL;
		} else {
			apply_attr(i, &a);
		}
	}
	mutex_unlock(&i->lock);
	if (!err)
		notify_dentry(d, (a.valid & ATTR_SIZE ? IN_MODIFY : 0) | attribute_events(&a));
	return err;
}

void touch_atime(struct file *f)
{
	struct inode *i = f->inode;
	u64 mnt_flags = f->path.mnt ? f->path.mnt->flags : 0;

	if (f->flags & 01000000 /* O_NOATIME */ || mnt_flags & (MS_RDONLY | MS_NOATIME))
		return;
	/* relatime, the default of mount(8) */
	if (i->atime.sec > i->mtime.sec && i->atime.sec > i->ctime.sec &&
	    clock_real_ns() / NSEC_PER_SEC < (u64)i->atime.sec + 24 * 3600)
		return;
	i->atime = current_time();
}

/* ---- device numbers ---- */

static struct chrdev {
	u32 major, first, count;
	const struct file_ops *fop;
} chrdevs[32];
static u32 nchrdevs;

void register_chrdev(u32 major, u32 minor_first, u32 minor_count, const struct file_ops *fop)
{
	BUG_ON(nchrdevs == ARRAY_SIZE(chrdevs));
	chrdevs[nchrdevs++] = (struct chrdev){ major, minor_first, minor_count, fop };
}

const struct file_ops *chrdev_fops(u64 rdev)
{
	for (u32 i = 0; i < nchrdevs; i++)
		if (chrdevs[i].major == dev_major(rdev) && dev_minor(rdev) - chrdevs[i].first < chrdevs[i].count)
			return chrdevs[i].fop;
	return NULL;
}

/* ---- file systems by name ---- */

static const struct fs_type *fs_types[32];
static u32 nfs_types;

void register_fs(const struct fs_type *t)
{
	BUG_ON(nfs_types == ARRAY_SIZE(fs_types));
	fs_types[nfs_types++] = t;
}

const struct fs_type *find_fs(const char *name)
{
	for (u32 i = 0; i < nfs_types; i++)
		if (!kstrcmp(fs_types[i]->name, name))
			return fs_types[i];
	return NULL;
}
