/* Inodes of the host's files. Of a read-only tree attributes are taken once: it does not change under the sandbox. */
#include <linux/fcntl.h>
#include <linux/mount.h>

#include "base/string.h"
#include "fs/gofer/internal.h"

static struct kmem_cache *gnode_cache;

void gofer_apply_attr(struct inode *i, const struct gofer_attr *a)
{
	i->size = a->size;
	i->blocks = a->blocks;
	i->mode = a->mode;
	i->nlink = a->nlink;
	i->uid = a->uid;
	i->gid = a->gid;
	i->blksize = a->blksize ? a->blksize : PAGE_SIZE;
	i->rdev = a->rdev;
	i->atime = (struct timespec_k){ a->atime_s, a->atime_ns };
	i->mtime = (struct timespec_k){ a->mtime_s, a->mtime_ns };
	i->ctime = (struct timespec_k){ a->ctime_s, a->ctime_ns };
	i->btime = (struct timespec_k){ a->btime_s, a->btime_ns };
}

struct inode *gofer_new_inode(struct super_block *sb, u64 node, const struct gofer_attr *a, struct inode *parent, const char *name,
			      u32 len)
{
	struct inode *i = inode_alloc(sb);
	struct gnode *g = i ? kmem_cache_alloc(gnode_cache) : NULL;

	if (!g) {
		if (i)
			inode_put(i);
		return NULL;
	}
	i->priv = g;
	g->node = node;
	g->handle = g->write_handle = HC_NO_HANDLE;
	mutex_init(&g->open_lock);
	list_init(&g->lru);
	gofer_apply_attr(i, a);
	/* Numbers of several host file systems in one tree: the device keeps them apart. */
	i->ino = a->ino ^ (a->dev * 0x9e3779b97f4a7c15ull & 0x0000ff0000000000ull);
	if (S_ISDIR(i->mode)) {
		i->iop = &gofer_dir_iops;
		i->fop = &gofer_dir_fops;
	} else if (S_ISLNK(i->mode)) {
		i->iop = &gofer_link_iops;
	} else {
		i->iop = &gofer_file_iops;
		if (S_ISREG(i->mode)) {
			mapping_init(&g->mapping, i, &gofer_mapping_ops);
			i->mapping = &g->mapping;
			i->fop = &gofer_file_fops;
		}
	}
	if (parent) {
		g->name = kstrndup(name, len);
		if (!g->name) {
			inode_put(i);
			return NULL;
		}
		g->parent = inode_get(parent);
	}
	return i;
}

/* Ask for the node of i, whose parent's is known. */
static int walk_one(struct inode *i)
{
	struct gnode *g = gnode_of(i);
	struct gofer_walked *w;
	u16 len = (u16)strlen(g->name);
	struct rpc r;
	int err = 0;

	mutex_lock(&g->open_lock);
	if (!g->node)
		err = rpc_begin(&r, GOFER_WALK, gnode_of(g->parent)->node, 0);
	if (err || g->node)
		goto out;
	r.req->walk.nnames = 1;
	rpc_add(&r, &len, sizeof(len));
	rpc_add(&r, g->name, len);
	err = rpc_call(&r);
	w = (struct gofer_walked *)(r.rep + 1);
	if (!err && r.rep->walk.ndone != 1)
		err = r.rep->walk.stop_errno ? r.rep->walk.stop_errno : -ESTALE;
	if (!err)
		WRITE_ONCE(g->node, w->node);
	rpc_end(&r);
out:
	mutex_unlock(&g->open_lock);
	return err;
}

int gofer_node(struct inode *i, u64 *node)
{
	int err = 0;

	while (!err && !READ_ONCE(gnode_of(i)->node)) {
		struct inode *top = i;

		while (!READ_ONCE(gnode_of(gnode_of(top)->parent)->node))
			top = gnode_of(top)->parent;
		err = walk_one(top);
	}
	*node = READ_ONCE(gnode_of(i)->node);
	return err;
}

static void evict(struct inode *i)
{
	struct gnode *g = gnode_of(i);

	if (!g)
		return;
	if (i->mapping) {
		mapping_writeback(&g->mapping);
		mapping_destroy(&g->mapping);
	}
	gofer_close_handles(g);
	rpc_forget(g->node);
	gofer_listing_free(g->listing);
	kfree(g->target);
	kfree(g->name);
	if (g->parent)
		inode_put(g->parent);
	kmem_cache_free(gnode_cache, g);
}

static int gofer_statfs(struct super_block *sb, struct kstatfs *st)
{
	struct gsuper *gs = sb->priv;
	struct rpc r;
	int err = rpc_begin(&r, GOFER_STATFS, 1 + gs->tree, 0);

	if (err)
		return err;
	err = rpc_call(&r);
	if (!err)
		*st = (struct kstatfs){ r.rep->statfs.type, r.rep->statfs.bsize, r.rep->statfs.blocks, r.rep->statfs.bfree,
					r.rep->statfs.bavail, r.rep->statfs.files, r.rep->statfs.ffree, r.rep->statfs.fsid,
					r.rep->statfs.namelen, r.rep->statfs.frsize, r.rep->statfs.flags };
	rpc_end(&r);
	return err;
}

static void put_super(struct super_block *sb) { kfree(sb->priv); }

const struct super_ops gofer_super_ops = { .evict_inode = evict, .statfs = gofer_statfs, .put_super = put_super };

int gofer_fill_super(struct super_block *sb, const char *source, const char *options, void *tree)
{
	struct gsuper *gs;
	struct inode *root;
	struct rpc r;
	u32 number;
	int err;

	if (!tree)
		return -EPERM; /* mount(2) by an application */
	number = *(u32 *)tree;
	gs = kzalloc(sizeof(*gs));
	if (!gs)
		return -ENOMEM;
	gs->tree = number;
	gs->readonly = !kstrcmp(options, "ro") || sb->flags & MS_RDONLY;
	sb->priv = gs;
	sb->ops = &gofer_super_ops;
	sb->magic = 0x01021997; /* V9FS_MAGIC */
	err = rpc_begin(&r, GOFER_GETATTR, 1 + number, 0);
	if (err)
		return err;
	err = rpc_call(&r);
	root = err ? NULL : gofer_new_inode(sb, 1 + number, &r.rep->node.attr, NULL, NULL, 0);
	rpc_end(&r);
	if (err)
		return err;
	sb->root = root ? d_make_root(root) : NULL;
	return sb->root ? 0 : -ENOMEM;
}

void gofer_register(void)
{
	static const struct fs_type gofer = { .name = "gofer", .nodev = true, .fill_super = gofer_fill_super };

	gnode_cache = kmem_cache_create("gofer_node", sizeof(struct gnode), 16);
	BUG_ON(!gnode_cache);
	register_fs(&gofer);
}
