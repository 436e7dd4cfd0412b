/* Inodes of the host's files. Of a read-only tree attributes are taken once: it does not change under the sandbox. */
#include <linux/fcntl.h>
#include <linux/mount.h>

#include "base/string.h"
#include "hostcall.h"
#include "fs/gofer/internal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/pagecache.h"

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

/* Numbers of several host file systems in one tree: the device keeps them apart. */
u64 gofer_ino(struct super_block *sb, const struct gofer_attr *a)
{
	u64 root = ((struct gsuper *)sb->priv)->dev;

	return a->dev == root || !a->dev ? a->ino : a->ino ^ (a->dev * 0x9e3779b97f4a7c15ull & 0x00ff000000000000ull);
}

static void set_ops(struct inode *i, bool readonly)
{
	if (S_ISDIR(i->mode)) {
		i->iop = readonly ? &gofer_dir_iops : &gofer_rw_dir_iops;
		i->fop = &gofer_dir_fops;
	} else if (S_ISLNK(i->mode)) {
		i->iop = readonly ? &gofer_link_iops : &gofer_rw_link_iops;
	} else {
		i->iop = readonly ? &gofer_file_iops : &gofer_rw_file_iops;
		if (S_ISREG(i->mode))
			i->fop = &gofer_file_fops;
	}
}

/* What is known of each file of the host, by its number there: a file that may be written has one inode whatever names it has, for its
 * pages must not be cached twice, and what is walked ahead finds its directory. The gofer's nodes keep the file, so the host gives
 * its number to no other. */
#define LIVE 4096u
static spinlock_t live_lock = SPINLOCK_INIT;
static struct hlist_head live[LIVE];

static struct hlist_head *live_chain(u64 ino, u64 dev) { return &live[(ino ^ dev) % LIVE]; }

static struct inode *find_live(const struct super_block *sb, u64 ino, u64 dev)
{
	struct gnode *o;

	hlist_for_each(o, live_chain(ino, dev), same)
		if (o->host_ino == ino && o->host_dev == dev && o->inode->sb == sb && refcount_inc_not_zero(&o->inode->ref))
			return o->inode;
	return NULL;
}

struct inode *gofer_find_inode(const struct super_block *sb, const struct gofer_attr *a)
{
	struct inode *i;

	spin_lock(&live_lock);
	i = find_live(sb, a->ino, a->dev);
	spin_unlock(&live_lock);
	return i;
}

/* From now on i is known; consumes it if one of its kind is already, and answers with that. */
static struct inode *make_known(struct inode *i)
{
	struct gnode *g = gnode_of(i);
	struct inode *known = NULL;

	spin_lock(&live_lock);
	if (S_ISREG(i->mode) && !gsuper_of(i)->readonly)
		known = find_live(i->sb, g->host_ino, g->host_dev);
	if (known)
		gnode_of(known)->checked_ns = 0; /* the other's attributes are newer */
	else
		hlist_add(&g->same, live_chain(g->host_ino, g->host_dev));
	spin_unlock(&live_lock);
	if (!known)
		return i;
	inode_put(i);
	return known;
}

/*
 * The gofer keeps a descriptor of every file of a writable tree that it has told of: a name may lead to another file the next time. They are
 * as many as it may have; so when most of these are taken, names that nobody uses are forgotten, the oldest first.
 */
static _Atomic u64 nodes, forget_above;
static _Atomic bool forgetting;
static struct mutex room_lock = { .q = WAITQ_INIT(room_lock.q) };

static u64 nodes_limit(void)
{
	return boot_params->host_files / 8 * 3;
}

bool gofer_is_crowded(void)
{
	return atomic_load(&nodes) > nodes_limit();
}

void gofer_make_room(void)
{
	u64 limit = nodes_limit(), left;

	if (READ_ONCE(room_lock.owner) == current) /* what is forgotten is written back, which asks the gofer */
		return;
	mutex_lock(&room_lock);
	while (atomic_load(&nodes) > limit - limit / 8 && dcache_shrink(256))
		;
	rpc_forget_all();
	left = atomic_load(&nodes);
	atomic_store(&forget_above, MAX(limit, left + limit / 16)); /* those in use stay: not tried again for each further one */
	mutex_unlock(&room_lock);
}

static void make_room_task(void *unused)
{
	gofer_make_room();
	atomic_store(&forgetting, false);
}

static void count_node(void)
{
	u64 above = atomic_load(&forget_above);

	if (atomic_fetch_add(&nodes, 1) < (above ? above : nodes_limit()) || atomic_exchange(&forgetting, true))
		return;
	if (!kthread_create(make_room_task, NULL, "forget"))
		atomic_store(&forgetting, false);
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
	g->inode = i;
	g->node = node;
	g->handle = g->write_handle = HC_NO_HANDLE;
	g->counted = !gsuper_of(i)->readonly;
	if (g->counted)
		count_node();
	mutex_init(&g->open_lock);
	list_init(&g->lru);
	gofer_apply_attr(i, a);
	g->host_ino = a->ino;
	g->host_dev = a->dev;
	g->checked_ns = clock_mono_ns();
	g->host_mtime = i->mtime;
	g->host_size = a->size;
	i->ino = gofer_ino(sb, a);
	set_ops(i, gsuper_of(i)->readonly);
	if (!S_ISDIR(i->mode) && !S_ISLNK(i->mode)) {
		if (S_ISREG(i->mode)) {
			mapping_init(&g->mapping, i, &gofer_mapping_ops);
			i->mapping = &g->mapping;
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
	return make_known(i);
}

int gofer_walk_one(u64 dir, const char *name, u32 len, struct walked *out)
{
	const struct gofer_step *s;
	u16 n = (u16)len;
	struct rpc r;
	int err = rpc_begin(&r, GOFER_WALK, dir, 0);

	if (err)
		return err;
	rpc_add(&r, &n, sizeof(n));
	rpc_add(&r, name, len);
	err = rpc_call(&r);
	s = (const struct gofer_step *)(r.rep + 1);
	if (!err && r.rep->walk.nsteps != 1)
		err = -ENOTDIR;
	else if (!err && r.rep->len < sizeof(*r.rep) + sizeof(*s))
		err = -EIO;
	else if (!err)
		err = s->node ? 0 : s->err < 0 ? s->err : -EIO;
	if (!err)
		*out = (struct walked){ s->node, s->attr };
	rpc_end(&r);
	return err;
}

/* Ask for the node of i, whose parent's is known. */
static int find_node(struct inode *i)
{
	struct gnode *g = gnode_of(i);
	struct walked w;
	int err = 0;

	mutex_lock(&g->open_lock);
	if (!g->node) {
		err = gofer_walk_one(gnode_of(g->parent)->node, g->name, (u32)strlen(g->name), &w);
		if (!err)
			WRITE_ONCE(g->node, w.node);
	}
	mutex_unlock(&g->open_lock);
	return err == -ENOENT ? -ESTALE : err;
}

int gofer_node(struct inode *i, u64 *node)
{
	int err = 0;

	while (!err && !READ_ONCE(gnode_of(i)->node)) {
		struct inode *top = i;

		while (!READ_ONCE(gnode_of(gnode_of(top)->parent)->node))
			top = gnode_of(top)->parent;
		err = find_node(top);
	}
	*node = READ_ONCE(gnode_of(i)->node);
	return err;
}

/* ---- trees that others change ---- */

/* What was asked for so recently holds. The root of a container (the one tree that is number 0 and may be written) is changed from outside
 * by tools for people, if at all; another directory of the host may be where programs meet. */
u64 gofer_fresh_ns(const struct inode *i)
{
	return gsuper_of(i)->tree ? 5 * NSEC_PER_MSEC : NSEC_PER_SEC;
}

/* Ours is newer: dirty, or on its way, or written since the host was asked. i->lock held, so nobody writes now. */
static bool is_ahead(const struct inode *i, u32 changes)
{
	return (S_ISREG(i->mode) && (READ_ONCE(i->mapping->nr_dirty) || i->mapping->writing)) || gnode_of(i)->changes != changes;
}

void gofer_refresh(struct inode *i, const struct gofer_attr *a, u32 changes)
{
	struct gnode *g = gnode_of(i);
	bool changed = a->mtime_s != g->host_mtime.sec || a->mtime_ns != g->host_mtime.nsec || a->size != g->host_size;

	g->checked_ns = clock_mono_ns();
	mutex_lock(&i->lock);
	if (!is_ahead(i, changes)) {
		gofer_apply_attr(i, a);
		g->host_mtime = i->mtime;
		g->host_size = a->size;
		if (changed && S_ISREG(i->mode)) {
			mapping_invalidate(i->mapping);
			window_file_release(&g->window); /* zeros where the file was shorter may be shown */
		}
	}
	mutex_unlock(&i->lock);
}

bool gofer_revalidate(struct dentry *d)
{
	struct inode *i = d->inode;
	struct gnode *g;
	struct walked w;
	u64 parent;
	u32 changes;

	if (!i)
		return false; /* another may have made it */
	g = gnode_of(i);
	if (!g->parent || clock_mono_ns() - g->checked_ns < gofer_fresh_ns(i))
		return true;
	changes = g->changes;
	if (gofer_node(d->parent->inode, &parent) || gofer_walk_one(parent, d->name, d->name_len, &w))
		return false;
	if (g->node != w.node)
		rpc_forget(w.node);
	if (w.attr.ino != g->host_ino || w.attr.dev != g->host_dev || (w.attr.mode & S_IFMT) != (i->mode & S_IFMT))
		return false;
	if (S_ISLNK(i->mode) && (w.attr.ctime_s != i->ctime.sec || w.attr.ctime_ns != i->ctime.nsec))
		return false; /* another link with the old one's number: its target is not ours */
	gofer_refresh(i, &w.attr, changes);
	return true;
}

int gofer_getattr(struct inode *i, struct kstat *st)
{
	struct gnode *g = gnode_of(i);
	u32 changes = g->changes;
	struct rpc r;
	u64 node;
	int err;

	if (clock_mono_ns() - g->checked_ns >= gofer_fresh_ns(i)) {
		err = gofer_node(i, &node);
		if (!err)
			err = rpc_begin(&r, GOFER_GETATTR, node, 0);
		if (err)
			return err;
		err = rpc_call(&r);
		if (!err)
			gofer_refresh(i, &r.rep->node.attr, changes);
		rpc_end(&r);
		if (err)
			return err;
	}
	st->size = i->size;
	st->blocks = i->blocks;
	st->mode = i->mode;
	st->nlink = i->nlink;
	st->uid = i->uid;
	st->gid = i->gid;
	st->atime = i->atime;
	st->mtime = i->mtime;
	st->ctime = i->ctime;
	return 0;
}

static void evict(struct inode *i)
{
	struct gnode *g = gnode_of(i);

	if (!g)
		return;
	spin_lock(&live_lock);
	hlist_del(&g->same);
	spin_unlock(&live_lock);
	if (i->mapping) {
		mapping_writeback(&g->mapping);
		mapping_destroy(&g->mapping);
		window_file_release(&g->window);
	}
	gofer_close_handles(g);
	rpc_forget(g->node);
	if (g->counted)
		atomic_fetch_sub(&nodes, 1);
	gofer_listing_free(g->listing);
	gofer_ahead_free(g->ahead);
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

int gofer_sync_node(struct inode *i, bool whole)
{
	struct rpc r;
	u64 node;
	int err;

	if (gsuper_of(i)->readonly)
		return 0;
	err = gofer_node(i, &node);
	if (!err)
		err = rpc_begin(&r, GOFER_SYNC, node, 0);
	if (err)
		return err;
	r.req->sync.whole = whole;
	err = rpc_call(&r);
	rpc_end(&r);
	return err;
}

static int gofer_sync(struct super_block *sb) { return sb->root ? gofer_sync_node(sb->root->inode, true) : 0; }

static void put_super(struct super_block *sb) { kfree(sb->priv); }

const struct super_ops gofer_super_ops = { .evict_inode = evict, .statfs = gofer_statfs, .sync = gofer_sync, .put_super = put_super };

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
	if (!err)
		gs->dev = r.rep->node.attr.dev;
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
