/*
 * Directories. A directory of a read-only tree that is listed once is remembered with its attributes: later lookups in it,
 * of names that exist and of names that do not, ask nobody.
 */
#include <linux/fs.h>
#include <linux/limits.h>

#include "base/string.h"
#include "fs/gofer/internal.h"

struct listing {
	char *records; /* struct gofer_dirent, back to back */
	size_t used, size;
	u32 count, nbuckets; /* of hash, a power of two */
	u32 *hash;	     /* 1 + offset / 8 of a record */
};

#define REPLY_SIZE GOFER_MSG_MAX

void gofer_listing_free(struct listing *l)
{
	if (!l)
		return;
	kfree(l->records);
	kfree(l->hash);
	kfree(l);
}

static u32 hash_of(const char *name, u32 len)
{
	u32 h = 2166136261u;

	for (u32 i = 0; i < len; i++)
		h = (h ^ (u8)name[i]) * 16777619u;
	return h;
}

static struct gofer_dirent *record_at(const struct listing *l, size_t off) { return (struct gofer_dirent *)(l->records + off); }

static int index_listing(struct listing *l)
{
	l->nbuckets = 16;
	while (l->nbuckets < l->count * 2)
		l->nbuckets *= 2;
	l->hash = kzalloc(l->nbuckets * sizeof(*l->hash));
	if (!l->hash)
		return -ENOMEM;
	for (size_t off = 0; off < l->used; off += record_at(l, off)->reclen) {
		struct gofer_dirent *d = record_at(l, off);
		u32 b = hash_of(d->name, d->name_len);

		while (l->hash[b & (l->nbuckets - 1)])
			b++;
		l->hash[b & (l->nbuckets - 1)] = 1 + (u32)(off / 8);
	}
	return 0;
}

static struct gofer_dirent *find(const struct listing *l, const char *name, u32 len)
{
	for (u32 b = hash_of(name, len);; b++) {
		u32 at = l->hash[b & (l->nbuckets - 1)];
		struct gofer_dirent *d;

		if (!at)
			return NULL;
		d = record_at(l, (size_t)(at - 1) * 8);
		if (d->name_len == len && !memcmp(d->name, name, len))
			return d;
	}
}

/* Check a reply's records and append them. The gofer is trusted less than ourselves: sizes are looked at. */
static int append_records(struct listing *l, const char *p, size_t n, u32 want)
{
	char *bigger = krealloc(l->records, l->size, l->used + n);
	size_t off = 0;

	if (!bigger && n)
		return -ENOMEM;
	l->records = bigger;
	l->size = l->used + n;
	memcpy(l->records + l->used, p, n);
	for (u32 i = 0; i < want; i++) {
		struct gofer_dirent *d = (struct gofer_dirent *)(l->records + l->used + off);

		if (off + sizeof(*d) > n || d->reclen & 7 || d->reclen < sizeof(*d) + d->name_len || off + d->reclen > n || !d->name_len ||
		    d->name_len > NAME_MAX)
			return -EIO;
		off += d->reclen;
	}
	l->used += off;
	l->count += want;
	return 0;
}

/* List the whole directory. */
static struct listing *fetch(struct inode *dir)
{
	struct listing *l = kzalloc(sizeof(*l));
	u64 node, cookie = 0;
	int err = l ? gofer_node(dir, &node) : -ENOMEM;
	bool eof = false;

	while (!err && !eof) {
		struct rpc r;

		err = rpc_begin(&r, GOFER_READDIR, node, REPLY_SIZE);
		if (err)
			break;
		r.req->readdir.cookie = cookie;
		r.req->readdir.max = REPLY_SIZE;
		err = rpc_call(&r);
		if (!err) {
			eof = r.rep->readdir.eof || !r.rep->readdir.n;
			cookie = r.rep->readdir.next_cookie;
			err = append_records(l, (char *)(r.rep + 1), r.rep->len - sizeof(*r.rep), r.rep->readdir.n);
		}
		rpc_end(&r);
	}
	if (!err)
		err = index_listing(l);
	if (err) {
		gofer_listing_free(l);
		return ERR_PTR(err);
	}
	return l;
}

/* ---- lookup ---- */

static int lookup_remote(struct inode *dir, struct dentry *d)
{
	struct walked w;
	struct inode *i = NULL;
	u64 node;
	int err = gofer_node(dir, &node);

	if (!err)
		err = gofer_walk_one(node, d->name, d->name_len, &w);
	if (!err) {
		i = gofer_new_inode(dir->sb, w.node, &w.attr, dir, d->name, d->name_len);
		if (!i)
			return -ENOMEM;
	} else if (err != -ENOENT) {
		return err;
	}
	d_set_inode(d, i);
	return 0;
}

static int gofer_lookup(struct inode *dir, struct dentry *d)
{
	struct gnode *g = gnode_of(dir);
	struct gofer_dirent *e;
	struct inode *i;
	int err;

	if (d->name_len > NAME_MAX)
		return -ENAMETOOLONG;
	if (gofer_take_ahead(dir, d, &err))
		return err;
	if (!g->listing)
		return lookup_remote(dir, d);
	e = find(g->listing, d->name, d->name_len);
	if (!e) {
		d_set_inode(d, NULL);
		return 0;
	}
	if (!e->attr.mode)
		return lookup_remote(dir, d);
	i = gofer_new_inode(dir->sb, e->node, &e->attr, dir, d->name, d->name_len);
	if (!i)
		return -ENOMEM;
	e->node = 0; /* the inode owns it now and will forget it */
	d_set_inode(d, i);
	return 0;
}

/* ---- listing ---- */

static void gofer_dir_release(struct file *f)
{
	struct gnode *g = gnode_of(f->inode);

	if (f->priv != g->listing)
		gofer_listing_free(f->priv);
}

static int get_listing(struct file *f, bool rewind)
{
	struct inode *dir = f->inode;
	struct gnode *g = gnode_of(dir);
	struct listing *l;

	if (f->priv && !rewind)
		return 0;
	mutex_lock(&dir->lock);
	l = gsuper_of(dir)->readonly ? g->listing : NULL;
	if (!l) {
		l = fetch(dir);
		if (!IS_ERR(l) && gsuper_of(dir)->readonly)
			g->listing = l;
	}
	mutex_unlock(&dir->lock);
	if (IS_ERR(l))
		return (int)PTR_ERR(l);
	if (f->priv != g->listing)
		gofer_listing_free(f->priv);
	f->priv = l;
	return 0;
}

static int gofer_iterate(struct file *f, struct dir_context *ctx)
{
	struct listing *l;
	int err = get_listing(f, ctx->pos == 0);

	if (err)
		return err;
	l = f->priv;
	for (; ctx->pos < 2; ctx->pos++)
		if (!ctx->emit(ctx, "..", (u32)ctx->pos + 1, ctx->pos + 1, f->inode->ino, 4))
			return 0;
	while (ctx->pos - 2 < l->used) {
		struct gofer_dirent *d = record_at(l, ctx->pos - 2);

		if (!ctx->emit(ctx, d->name, d->name_len, ctx->pos + d->reclen, gofer_ino(f->inode->sb, &d->attr), d->type))
			return 0;
		ctx->pos += d->reclen;
	}
	return 0;
}

static s64 gofer_dir_llseek(struct file *f, s64 off, int whence)
{
	if (whence != 0 || off < 0)
		return -EINVAL;
	f->pos = (u64)off;
	return off;
}

/* ---- changes, in trees that take them ---- */

static int writable(struct inode *dir) { return gsuper_of(dir)->readonly ? -EROFS : 0; }

/* A name in dir came or went, `subdirs` more directories among them: what the host said of it before is old. dir->lock held. */
static void dir_changed(struct inode *dir, int subdirs)
{
	if (dir->nlink > 1) /* 1: its file system does not count them */
		dir->nlink += (u32)subdirs;
	dir->mtime = dir->ctime = current_time();
	gnode_of(dir)->changes++;
	gsuper_of(dir)->changes++;
	gofer_ahead_free(gnode_of(dir)->ahead); /* walked before this */
	gnode_of(dir)->ahead = NULL;
}

/* A request about `name` in dir that answers with a new node, and perhaps a descriptor. */
static int make(struct inode *dir, struct dentry *d, u32 op, u32 mode, u32 flags, u64 rdev, const char *target)
{
	struct rpc r;
	struct inode *i;
	u64 node;
	int err = writable(dir);

	if (!err)
		err = gofer_node(dir, &node);
	if (!err)
		err = rpc_begin(&r, op, node, 0);
	if (err)
		return err;
	if (op == GOFER_MKNOD) {
		r.req->mknod.mode = mode;
		r.req->mknod.uid = current->cred->fsuid;
		r.req->mknod.gid = current->cred->fsgid;
		r.req->mknod.name_len = d->name_len;
		r.req->mknod.rdev = rdev;
	} else {
		r.req->create.flags = flags;
		r.req->create.mode = mode;
		r.req->create.uid = current->cred->fsuid;
		r.req->create.gid = current->cred->fsgid;
		r.req->create.name_len = d->name_len;
	}
	err = rpc_add(&r, d->name, d->name_len);
	if (!err && target)
		err = rpc_add(&r, target, strlen(target));
	if (!err)
		err = rpc_call(&r);
	if (!err) {
		i = gofer_new_inode(dir->sb, r.rep->node.node, &r.rep->node.attr, dir, d->name, d->name_len);
		if (i && S_ISREG(i->mode))
			gofer_give_handle(i, &r.handle, true);
		gofer_close_handle(r.handle);
		d_set_inode(d, i);
		err = i ? 0 : -ENOMEM;
		dir_changed(dir, op == GOFER_MKDIR);
	}
	rpc_end(&r);
	return err;
}

#define O_RDWR_ 2
static int gofer_create(struct inode *dir, struct dentry *d, u32 mode)
{
	return make(dir, d, GOFER_CREATE, mode & 07777, O_RDWR_, 0, NULL);
}
static int gofer_mkdir(struct inode *dir, struct dentry *d, u32 mode) { return make(dir, d, GOFER_MKDIR, mode & 07777, 0, 0, NULL); }
static int gofer_mknod(struct inode *dir, struct dentry *d, u32 mode, u64 rdev)
{
	return make(dir, d, GOFER_MKNOD, mode, 0, rdev, NULL);
}
static int gofer_symlink(struct inode *dir, struct dentry *d, const char *target)
{
	return make(dir, d, GOFER_SYMLINK, 0777, 0, 0, target);
}

static int remove_name(struct inode *dir, struct dentry *d, u32 flags)
{
	struct rpc r;
	u64 node;
	int err = writable(dir);

	if (!err)
		err = gofer_node(dir, &node);
	if (!err)
		err = rpc_begin(&r, GOFER_UNLINK, node, 0);
	if (err)
		return err;
	r.req->create.flags = flags;
	r.req->create.name_len = d->name_len;
	rpc_add(&r, d->name, d->name_len);
	err = rpc_call(&r);
	rpc_end(&r);
	if (!err) {
		if (d->inode->nlink)
			d->inode->nlink -= flags ? d->inode->nlink : 1;
		gnode_of(d->inode)->changes++;
		dir_changed(dir, flags ? -1 : 0);
	}
	return err;
}

#define AT_REMOVEDIR_ 0x200
static int gofer_unlink(struct inode *dir, struct dentry *d) { return remove_name(dir, d, 0); }
static int gofer_rmdir(struct inode *dir, struct dentry *d) { return remove_name(dir, d, AT_REMOVEDIR_); }

/* link(2) and rename(2): two nodes, two names. */
static int two_names(u32 op, u64 node, const char *name, u32 len, u64 to_node, const char *to, u32 to_len, u32 flags)
{
	struct rpc r;
	int err = rpc_begin(&r, op, node, 0);

	if (err)
		return err;
	r.req->rename.to_node = to_node;
	r.req->rename.flags = flags;
	r.req->rename.name_len = len;
	r.req->rename.to_name_len = to_len;
	rpc_add(&r, name, len);
	rpc_add(&r, to, to_len);
	err = rpc_call(&r);
	rpc_end(&r);
	return err;
}

static int gofer_link(struct inode *dir, struct dentry *d, struct inode *i)
{
	u64 node, to;
	int err = writable(dir);

	if (!err)
		err = gofer_node(i, &node);
	if (!err)
		err = gofer_node(dir, &to);
	if (!err)
		err = two_names(GOFER_LINK, node, "", 0, to, d->name, d->name_len, 0);
	if (!err) {
		i->nlink++;
		gnode_of(i)->changes++;
		dir_changed(dir, 0);
		d_set_inode(d, inode_get(i));
	}
	return err;
}

static int gofer_rename(struct inode *from_dir, struct dentry *from, struct inode *to_dir, struct dentry *to, u32 flags)
{
	u64 a, b, node;
	int err = writable(from_dir), moved, met;

	if (!err && flags & RENAME_WHITEOUT)
		err = -EINVAL; /* the gofer makes no devices */
	if (!err)
		err = gofer_node(from_dir, &a);
	if (!err)
		err = gofer_node(to_dir, &b);
	if (!err)
		err = gofer_node(from->inode, &node); /* while its old name still leads there */
	if (!err)
		err = two_names(GOFER_RENAME, a, from->name, from->name_len, b, to->name, to->name_len, flags);
	if (err)
		return err;
	moved = S_ISDIR(from->inode->mode);
	met = to->inode && S_ISDIR(to->inode->mode);
	dir_changed(from_dir, (flags & RENAME_EXCHANGE ? met : 0) - moved);
	dir_changed(to_dir, moved - met);
	gnode_of(from->inode)->changes++;
	if (to->inode)
		gnode_of(to->inode)->changes++;
	if (to->inode && to->inode->nlink && !(flags & RENAME_EXCHANGE))
		to->inode->nlink -= met ? to->inode->nlink : 1;
	return 0;
}

static int gofer_dir_fsync(struct file *f, bool data_only) { return gofer_sync_node(f->inode, false); }

#define DIR_OPS                                                                         \
	.lookup = gofer_lookup, .create = gofer_create, .mkdir = gofer_mkdir, .mknod = gofer_mknod, .symlink = gofer_symlink, \
	.link = gofer_link, .unlink = gofer_unlink, .rmdir = gofer_rmdir, .rename = gofer_rename, .setattr = gofer_setattr, \
	.getxattr = gofer_getxattr, .setxattr = gofer_setxattr, .listxattr = gofer_listxattr, .removexattr = gofer_removexattr
const struct inode_ops gofer_dir_iops = { DIR_OPS, .prefetch = gofer_prefetch };
const struct inode_ops gofer_rw_dir_iops = { DIR_OPS, .prefetch = gofer_prefetch, .revalidate = gofer_revalidate, .getattr = gofer_getattr };
const struct file_ops gofer_dir_fops = {
	.release = gofer_dir_release, .iterate = gofer_iterate, .llseek = gofer_dir_llseek, .fsync = gofer_dir_fsync,
};
