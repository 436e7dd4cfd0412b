/*
 * The file system "mqueue" (mq_overview(7)): a flat directory that shows the POSIX message queues.
 * Names are never cached: queues come and go by mq_open(2) and mq_unlink(2) as well.
 */
#include "fs/mqueue/mqueue.h"

#include <linux/errno.h>
#include <linux/magic.h>
#include <linux/stat.h>

#include "base/string.h"
#include "sentry/kernel/ipc_mq.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"

#define MQUEUE_MAGIC 0x19800202
#define MQUEUE_TEXT_SIZE 80
#define DT_REG_K 8
#define DT_DIR_K 4

/* The queue's own inode has the truth; this one shows it in the directory. */
static int mq_setattr(struct inode *i, const struct iattr *a)
{
	struct mqueue *q = i->priv;
	struct inode *both[2] = { i, q->inode };

	for (u32 k = 0; k < 2; k++) {
		if (a->valid & ATTR_MODE)
			both[k]->mode = (both[k]->mode & S_IFMT) | (a->mode & 0777);
		if (a->valid & ATTR_UID)
			both[k]->uid = a->uid;
		if (a->valid & ATTR_GID)
			both[k]->gid = a->gid;
		both[k]->ctime = current_time();
	}
	return 0;
}

static const struct inode_ops queue_iops = { .setattr = mq_setattr };

/* Takes over the reference to q. */
static int show(struct inode *dir, struct dentry *d, struct mqueue *q)
{
	struct inode *i = inode_alloc(dir->sb);

	if (!i) {
		mq_put(q);
		return -ENOMEM;
	}
	i->ino = q->inode->ino;
	i->mode = q->inode->mode;
	i->uid = q->inode->uid;
	i->gid = q->inode->gid;
	i->atime = i->mtime = i->ctime = q->inode->ctime;
	i->nlink = 1;
	i->size = MQUEUE_TEXT_SIZE;
	i->iop = &queue_iops;
	i->fop = &mq_fops;
	i->priv = q;
	d_set_inode(d, i);
	return 0;
}

static int mq_lookup(struct inode *dir, struct dentry *d)
{
	struct mqueue *q = mq_find(d->name, d->name_len);

	d->flags |= DCACHE_NOCACHE;
	if (q)
		return show(dir, d, q);
	d_set_inode(d, NULL);
	return 0;
}

static int mq_dir_create(struct inode *dir, struct dentry *d, u32 mode)
{
	struct mqueue *q = mq_create(d->name, d->name_len, mode, NULL);

	return IS_ERR(q) ? PTR_ERR(q) : show(dir, d, q);
}

static int mq_dir_unlink(struct inode *dir, struct dentry *d)
{
	return mq_remove(d->inode->priv);
}

static int mq_iterate(struct file *f, struct dir_context *ctx)
{
	for (; ctx->pos < 2; ctx->pos++)
		if (!ctx->emit(ctx, "..", ctx->pos + 1, ctx->pos + 1, f->inode->ino, DT_DIR_K))
			return 0;
	for (;; ctx->pos++) {
		struct mqueue *q = mq_nth(ctx->pos - 2);
		bool more;

		if (!q)
			return 0;
		more = ctx->emit(ctx, q->name, strlen(q->name), ctx->pos + 1, q->inode->ino, DT_REG_K);
		mq_put(q);
		if (!more)
			return 0;
	}
}

static void mq_evict(struct inode *i)
{
	if (i->priv)
		mq_put(i->priv);
}

static const struct inode_ops dir_iops = { .lookup = mq_lookup, .create = mq_dir_create, .unlink = mq_dir_unlink };
static const struct file_ops dir_fops = { .iterate = mq_iterate, .llseek = generic_file_llseek };
static const struct super_ops mq_super = { .evict_inode = mq_evict };

static int mq_fill_super(struct super_block *sb, const char *source, const char *options, void *data)
{
	struct inode *i = inode_alloc(sb);

	if (!i)
		return -ENOMEM;
	sb->magic = MQUEUE_MAGIC;
	sb->ops = &mq_super;
	i->mode = S_IFDIR | S_ISVTX | 0777;
	i->nlink = 2;
	i->iop = &dir_iops;
	i->fop = &dir_fops;
	sb->root = d_make_root(i);
	if (sb->root)
		return 0;
	inode_put(i);
	return -ENOMEM;
}

static const struct fs_type mqueue_fs = { .name = "mqueue", .nodev = true, .fill_super = mq_fill_super };

void mqueue_register(void)
{
	register_fs(&mqueue_fs);
}
