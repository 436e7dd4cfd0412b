/*
 * name_to_handle_at(2) and open_by_handle_at(2), for tmpfs: overlays and /proc have no handles on Linux 6.1 either. A handle is an
 * inode's number and the time it was made, for numbers of gone inodes come again; a name that has been asked for its handle stays in
 * the cache, which is where handles are looked up.
 */
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "base/string.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/handle.h"
#include "sentry/vfs/internal.h"

#define MAX_HANDLE_SZ 128u

static bool has_handles(const struct super_block *sb) { return !kstrcmp(sb->type->name, "tmpfs"); }

void inode_handle(const struct inode *i, struct inode_handle *h)
{
	*h = (struct inode_handle){ HANDLE_BYTES, HANDLE_TYPE, (u32)i->btime.nsec ^ (u32)i->btime.sec, (u32)i->ino, (u32)(i->ino >> 32) };
}

int handle_encode(struct dentry *d, struct inode_handle *h)
{
	if (!has_handles(d->sb))
		return -EOPNOTSUPP;
	inode_handle(d->inode, h);
	spin_lock(&dcache_lock);
	d->flags |= DCACHE_KEEP;
	spin_unlock(&dcache_lock);
	return 0;
}

static bool is_meant(const struct dentry *d, const struct inode_handle *h)
{
	const struct inode *i = d->inode;

	return i && i->ino == ((u64)h->ino_high << 32 | h->ino_low) && ((u32)i->btime.nsec ^ (u32)i->btime.sec) == h->generation;
}

/* The next name of a tree, parents first; dcache_lock held. NULL: that was the last. */
static struct dentry *next_in_tree(struct dentry *root, struct dentry *d)
{
	if (!list_empty(&d->children))
		return list_first(&d->children, struct dentry, sibling);
	while (d != root) {
		if (d->sibling.next != &d->parent->children)
			return list_entry(d->sibling.next, struct dentry, sibling);
		d = d->parent;
	}
	return NULL;
}

/* The cached name with this handle, referenced, or NULL. */
static struct dentry *handle_decode(struct super_block *sb, const struct inode_handle *h)
{
	struct dentry *d;

	spin_lock(&dcache_lock);
	for (d = sb->root; d && !is_meant(d, h); d = next_in_tree(sb->root, d))
		;
	if (d)
		dentry_get(d);
	spin_unlock(&dcache_lock);
	return d;
}

/* *mnt_id is told even when the handle does not fit. */
static long put_handle(const struct path *p, u64 uhandle, u64 umnt_id)
{
	struct inode_handle h;
	u32 room;
	int err = handle_encode(p->dentry, &h);

	if (err)
		return err;
	if (get_user(room, uhandle))
		return -EFAULT;
	if (room > MAX_HANDLE_SZ)
		return -EINVAL;
	if (put_user(p->mnt->id, umnt_id))
		return -EFAULT;
	if (room < HANDLE_BYTES) {
		h.type = 0xff; /* as Linux says that there is none */
		return copy_to_user(uhandle, &h, offsetof(struct inode_handle, generation)) ? -EFAULT : -EOVERFLOW;
	}
	return copy_to_user(uhandle, &h, sizeof(h));
}

SYSCALL5(name_to_handle_at, s32, dirfd, u64, name, u64, uhandle, u64, umnt_id, u32, flags)
{
	struct path p;
	long ret;

	if (flags & ~(u32)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	ret = user_path_lookup(dirfd, name, (flags & AT_SYMLINK_FOLLOW ? LOOKUP_FOLLOW : 0) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0), &p);
	if (ret)
		return ret;
	ret = put_handle(&p, uhandle, umnt_id);
	path_put(&p);
	return ret;
}

static int mount_of(s32 fd, struct path *p)
{
	struct file *f;

	if (fd == AT_FDCWD) {
		spin_lock(&current->fs->lock);
		*p = current->fs->cwd;
		path_get(p);
		spin_unlock(&current->fs->lock);
		return 0;
	}
	f = fget_raw(fd);
	if (!f)
		return -EBADF;
	*p = f->path;
	path_get(p);
	file_put(f);
	return 0;
}

static struct file *open_handle(s32 mount_fd, const struct inode_handle *h, u32 flags)
{
	struct path p;
	struct dentry *found = NULL;
	struct file *f;
	int err = mount_of(mount_fd, &p);

	if (err)
		return ERR_PTR(err);
	if (has_handles(p.mnt->sb) && h->type == HANDLE_TYPE && h->bytes >= HANDLE_BYTES)
		found = handle_decode(p.mnt->sb, h);
	if (!found) {
		path_put(&p);
		return ERR_PTR(-ESTALE);
	}
	dentry_put(p.dentry);
	p.dentry = found;
	f = file_open_path(&p, flags);
	path_put(&p);
	return f;
}

SYSCALL3(open_by_handle_at, s32, mount_fd, u64, uhandle, u32, flags)
{
	struct inode_handle h = { 0 };
	struct file *f;
	s32 fd;

	if (!capable(CAP_DAC_READ_SEARCH))
		return -EPERM;
	if (copy_from_user(&h, uhandle, offsetof(struct inode_handle, generation)))
		return -EFAULT;
	if (!h.bytes || h.bytes > MAX_HANDLE_SZ)
		return -EINVAL;
	if (copy_from_user(&h.generation, uhandle + offsetof(struct inode_handle, generation), MIN(h.bytes, HANDLE_BYTES)))
		return -EFAULT;
	fd = fd_reserve(flags & O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	f = open_handle(mount_fd, &h, flags | O_LARGEFILE);
	if (IS_ERR(f)) {
		fd_unreserve(fd);
		return PTR_ERR(f);
	}
	fd_install(fd, f);
	return fd;
}
