/* Directories that live in the dentry cache alone: proc, sysfs, devtmpfs, devpts. */
#include <linux/stat.h>

#include "base/string.h"
#include "sentry/vfs/internal.h"

/* Every name that exists is in the cache; another does not exist. */
static int simple_lookup(struct inode *dir, struct dentry *d)
{
	d->flags |= DCACHE_NOCACHE;
	d_set_inode(d, NULL);
	return 0;
}

static u32 dtype(const struct inode *i) { return (i->mode & S_IFMT) >> 12; }

/* The child after `skip` others, with a reference. */
static struct dentry *nth_child(struct dentry *dir, u64 skip)
{
	struct dentry *d, *found = NULL;

	spin_lock(&dcache_lock);
	for (struct list_head *n = dir->children.prev; n != &dir->children; n = n->prev) { /* oldest first */
		d = list_entry(n, struct dentry, sibling);
		if (!d->inode || d->flags & (DCACHE_UNHASHED | DCACHE_NOCACHE))
			continue;
		if (!skip--) {
			found = dentry_get(d);
			break;
		}
	}
	spin_unlock(&dcache_lock);
	return found;
}

static int simple_iterate(struct file *f, struct dir_context *ctx)
{
	struct dentry *dir = f->path.dentry;

	for (; ctx->pos < 2; ctx->pos++) {
		const char *dots = ctx->pos ? ".." : ".";
		struct dentry *d = ctx->pos ? dir->parent : dir;

		if (!ctx->emit(ctx, dots, (u32)strlen(dots), ctx->pos + 1, d->inode->ino, 4))
			return 0;
	}
	for (;;) {
		struct dentry *d = nth_child(dir, ctx->pos - 2);
		bool more;

		if (!d)
			return 0;
		more = ctx->emit(ctx, d->name, d->name_len, ctx->pos + 1, d->inode->ino, dtype(d->inode));
		dentry_put(d);
		if (!more)
			return 0;
		ctx->pos++;
	}
}

static char *simple_readlink(struct inode *i) { return kstrdup(i->priv); }

/* Text files of proc and sysfs take writes, which do not change their size: a truncation is ignored. */
int simple_setattr(struct inode *i, const struct iattr *a)
{
	if (a->valid & ATTR_MODE)
		i->mode = (i->mode & S_IFMT) | (a->mode & 07777);
	if (a->valid & ATTR_UID)
		i->uid = a->uid;
	if (a->valid & ATTR_GID)
		i->gid = a->gid;
	if (a->valid & ATTR_MTIME)
		i->mtime = current_time();
	i->ctime = current_time();
	return 0;
}

static const struct inode_ops dir_iops = { .lookup = simple_lookup, .setattr = simple_setattr };
static const struct inode_ops link_iops = { .readlink = simple_readlink };
static const struct inode_ops file_iops = { .setattr = simple_setattr };
static const struct file_ops dir_fops = { .iterate = simple_iterate, .llseek = generic_file_llseek };
static const struct super_ops simple_super = { .statfs = NULL };

static struct dentry *add(struct dentry *parent, const char *name, u32 mode)
{
	struct dentry *d;
	struct inode *i;

	if (IS_ERR_OR_NULL(parent))
		return NULL;
	d = d_alloc(parent->sb, parent, name, (u32)strlen(name));
	i = inode_alloc(parent->sb);
	if (!d || !i) {
		if (d)
			dentry_put(d);
		if (i)
			inode_put(i);
		return NULL;
	}
	i->mode = mode;
	d_set_inode(d, i);
	d->flags |= DCACHE_PINNED; /* the reference stays: the entry exists until it is removed */
	d_add(d);
	return d;
}

struct dentry *simple_add_dir(struct dentry *parent, const char *name, u32 mode)
{
	struct dentry *d = add(parent, name, S_IFDIR | mode);

	if (d) {
		d->inode->iop = &dir_iops;
		d->inode->fop = &dir_fops;
		d->inode->nlink = 2;
	}
	return d;
}

struct dentry *simple_add_file(struct dentry *parent, const char *name, u32 mode, const struct file_ops *fop, void *priv)
{
	struct dentry *d = add(parent, name, S_IFREG | mode);

	if (d) {
		d->inode->iop = &file_iops;
		d->inode->fop = fop;
		d->inode->priv = priv;
	}
	return d;
}

struct dentry *simple_add_symlink(struct dentry *parent, const char *name, const char *target)
{
	struct dentry *d = add(parent, name, S_IFLNK | 0777);

	if (d) {
		d->inode->iop = &link_iops;
		d->inode->priv = (void *)target;
		d->inode->size = strlen(target);
	}
	return d;
}

struct dentry *simple_add_node(struct dentry *parent, const char *name, u32 mode, u64 rdev)
{
	struct dentry *d = add(parent, name, mode);

	if (d) {
		d->inode->iop = &file_iops;
		d->inode->rdev = rdev;
	}
	return d;
}

void simple_remove(struct dentry *parent, const char *name)
{
	struct dentry *d = d_lookup(parent, name, (u32)strlen(name));

	if (!d)
		return;
	d_drop(d);
	d->flags &= ~(u32)DCACHE_PINNED;
	d->inode->nlink = 0;
	dentry_put(d);
	dentry_put(d); /* the one that simple_add_*() kept */
}

/* An entry that no other lies below; no longer pinned. */
static struct dentry *unpin_one(struct dentry *dir)
{
	struct dentry *d, *found = NULL;

	spin_lock(&dcache_lock);
	for (bool deeper = true; deeper;) {
		deeper = false;
		list_for_each(d, &dir->children, sibling)
			if (d->flags & DCACHE_PINNED) {
				dir = found = d;
				deeper = true;
				break;
			}
	}
	if (found)
		found->flags &= ~(u32)DCACHE_PINNED;
	spin_unlock(&dcache_lock);
	return found;
}

void simple_release(struct super_block *sb)
{
	struct dentry *d;

	while (sb->root && (d = unpin_one(sb->root)))
		dentry_put(d);
}

int simple_fill_super(struct super_block *sb, u64 magic)
{
	struct inode *i = inode_alloc(sb);

	if (!i)
		return -ENOMEM;
	sb->magic = magic;
	sb->ops = &simple_super;
	i->mode = S_IFDIR | 0755;
	i->nlink = 2;
	i->iop = &dir_iops;
	i->fop = &dir_fops;
	sb->root = d_make_root(i);
	if (!sb->root) {
		inode_put(i);
		return -ENOMEM;
	}
	return 0;
}
