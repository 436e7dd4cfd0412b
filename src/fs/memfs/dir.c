/* Directories of memfs: own entries over those of the lower directory. dir->lock is held by the callers in the VFS. */
#include <linux/fs.h>
#include <linux/limits.h>

#include "base/string.h"
#include "fs/memfs/internal.h"

/* The names' own lock: mem_persist() enters a changed inode into directories whose inode->lock others may hold. */
static spinlock_t entries_lock = SPINLOCK_INIT;

static int compare(const char *name, u32 len, const struct entry *e)
{
	int c = memcmp(name, e->name, MIN(len, e->len));

	return c ? c : (int)len - (int)e->len;
}

static struct entry *find_locked(struct mem *m, const char *name, u32 len)
{
	struct rb_node *n = m->entries.node;

	while (n) {
		struct entry *e = container_of(n, struct entry, node);
		int c = compare(name, len, e);

		if (!c)
			return e;
		n = c < 0 ? n->left : n->right;
	}
	return NULL;
}

struct entry *mem_find(struct inode *dir, const char *name, u32 len)
{
	struct entry *e;

	spin_lock(&entries_lock);
	e = find_locked(mem_of(dir), name, len);
	spin_unlock(&entries_lock);
	return e;
}

int mem_insert(struct inode *dir, const char *name, u32 len, struct inode *inode, bool below)
{
	struct mem *m = mem_of(dir);
	struct entry *fresh = kzalloc(sizeof(*fresh) + len + 1), *e;
	struct inode *old = NULL;

	if (!fresh) {
		if (inode)
			inode_put(inode);
		return -ENOMEM;
	}
	spin_lock(&entries_lock);
	e = find_locked(m, name, len);
	if (e) {
		old = e->inode;
		e->inode = inode;
		m->nentries += (inode != NULL) - (old != NULL);
	} else {
		struct rb_node **link = &m->entries.node, *parent = NULL;

		fresh->inode = inode;
		fresh->below = below;
		fresh->len = len;
		memcpy(fresh->name, name, len);
		while (*link) {
			parent = *link;
			link = compare(name, len, container_of(parent, struct entry, node)) < 0 ? &parent->left : &parent->right;
		}
		rb_link_node(&fresh->node, parent, link);
		rb_insert(&fresh->node, &m->entries, NULL);
		m->nentries += inode != NULL;
		fresh = NULL;
	}
	spin_unlock(&entries_lock);
	kfree(fresh);
	if (old)
		inode_put(old);
	return 0;
}

/* Take a name away: a whiteout where something below would show again, and nowhere else, lest names that come and go leave them. */
static int hide(struct inode *dir, const char *name, u32 len)
{
	struct mem *m = mem_of(dir);
	struct inode *old = NULL;
	struct entry *e;

	e = mem_find(dir, name, len);
	if (m->lower && !m->opaque && (!e || e->below))
		return mem_insert(dir, name, len, NULL, true);
	spin_lock(&entries_lock);
	e = find_locked(m, name, len);
	if (e) {
		rb_erase(&e->node, &m->entries, NULL);
		m->nentries -= e->inode != NULL;
		old = e->inode;
	}
	spin_unlock(&entries_lock);
	kfree(e);
	if (old)
		inode_put(old);
	return 0;
}

void mem_free_entries(struct inode *dir)
{
	struct rb_node *n;

	while ((n = rb_first(&mem_of(dir)->entries))) {
		struct entry *e = container_of(n, struct entry, node);

		rb_erase(n, &mem_of(dir)->entries, NULL);
		if (e->inode)
			inode_put(e->inode);
		kfree(e);
	}
}

/* ---- lookup ---- */

/* The lower directory's inode of a name, with a reference; NULL: none; or an error. */
static struct inode *lower_lookup(struct inode *lower, const char *name, u32 len)
{
	struct dentry *scratch = d_alloc(lower->sb, NULL, name, len);
	struct inode *i;
	int err;

	if (!scratch)
		return ERR_PTR(-ENOMEM);
	mutex_lock(&lower->lock);
	err = lower->iop->lookup(lower, scratch);
	mutex_unlock(&lower->lock);
	i = err ? ERR_PTR(err) : scratch->inode ? inode_get(scratch->inode) : NULL;
	dentry_put(scratch);
	return i;
}

static void mem_prefetch(struct inode *dir, const char *const *paths, u32 n, bool open)
{
	struct mem *m = mem_of(dir);
	u32 len = 0;

	while (paths[0][len] && paths[0][len] != '/')
		len++;
	if (m->lower && !m->opaque && m->lower->iop->prefetch && !(n == 1 && mem_find(dir, paths[0], len)))
		m->lower->iop->prefetch(m->lower, paths, n, open);
}

static int mem_lookup(struct inode *dir, struct dentry *d)
{
	struct mem *m = mem_of(dir);
	struct entry *e = mem_find(dir, d->name, d->name_len);
	struct inode *lower, *i;

	if (e) {
		d_set_inode(d, e->inode ? inode_get(e->inode) : NULL);
		return 0;
	}
	if (!m->lower || m->opaque) {
		d_set_inode(d, NULL);
		return 0;
	}
	lower = lower_lookup(m->lower, d->name, d->name_len);
	if (IS_ERR_OR_NULL(lower)) {
		d_set_inode(d, NULL);
		return lower && PTR_ERR(lower) != -ENOENT ? (int)PTR_ERR(lower) : 0;
	}
	i = mem_wrap_lower(dir->sb, lower);
	inode_put(lower);
	if (!i)
		return -ENOMEM;
	mem_of(i)->parent = inode_get(dir);
	mem_of(i)->name = kstrndup(d->name, d->name_len);
	if (!mem_of(i)->name) {
		inode_put(i);
		return -ENOMEM;
	}
	d_set_inode(d, i);
	return 0;
}

/* ---- making and removing ---- */

/* After a change of names. */
static void touch(struct inode *dir)
{
	dir->mtime = dir->ctime = current_time();
	if (!mem_super_of(dir)->overlay)
		dir->size = (2 + (u64)mem_of(dir)->nentries) * ENTRY_SIZE;
}

/* Enter a new inode; consumes the reference. */
static int enter(struct inode *dir, struct dentry *d, struct inode *i)
{
	int err;

	if (!i)
		return -ENOSPC;
	if (dir->mode & S_ISGID) {
		i->gid = dir->gid;
		if (S_ISDIR(i->mode))
			i->mode |= S_ISGID;
	}
	err = mem_persist(dir);
	if (!err)
		err = mem_insert(dir, d->name, d->name_len, inode_get(i), false);
	if (err) {
		inode_put(i);
		return err;
	}
	if (S_ISDIR(i->mode))
		dir->nlink++;
	touch(dir);
	d_set_inode(d, i);
	return 0;
}

static int mem_create(struct inode *dir, struct dentry *d, u32 mode) { return enter(dir, d, mem_new_inode(dir->sb, mode, 0)); }
static int mem_mkdir(struct inode *dir, struct dentry *d, u32 mode) { return enter(dir, d, mem_new_inode(dir->sb, mode, 0)); }
static int mem_mknod(struct inode *dir, struct dentry *d, u32 mode, u64 rdev)
{
	return enter(dir, d, mem_new_inode(dir->sb, mode, rdev));
}

static int mem_tmpfile(struct inode *dir, u32 mode, struct inode **out)
{
	*out = mem_new_inode(dir->sb, mode, 0);
	if (!*out)
		return -ENOMEM;
	(*out)->nlink = 0;
	return 0;
}

static int mem_symlink(struct inode *dir, struct dentry *d, const char *target)
{
	struct inode *i = mem_new_inode(dir->sb, S_IFLNK | 0777, 0);

	if (!i)
		return -ENOSPC;
	mem_of(i)->target = kstrdup(target);
	if (!mem_of(i)->target) {
		inode_put(i);
		return -ENOMEM;
	}
	i->size = strlen(target);
	return enter(dir, d, i);
}

static int mem_link(struct inode *dir, struct dentry *d, struct inode *i)
{
	int err = mem_persist(i);

	if (!err)
		err = mem_persist(dir);
	if (!err)
		err = mem_insert(dir, d->name, d->name_len, inode_get(i), false);
	if (err)
		return err;
	i->nlink++;
	i->ctime = current_time();
	touch(dir);
	d_set_inode(d, inode_get(i));
	return 0;
}

static int mem_unlink(struct inode *dir, struct dentry *d)
{
	struct inode *i = d->inode;
	int err = mem_persist(dir);

	mem_forget_place(i);
	if (!err)
		err = hide(dir, d->name, d->name_len);
	if (err)
		return err;
	if (i->nlink)
		i->nlink--;
	i->ctime = current_time();
	touch(dir);
	return 0;
}

struct listing {
	struct dir_context ctx;
	struct inode *dir;
	char *records; /* of struct record, back to back */
	size_t used, size;
	u32 count;
	int error;
};
struct record {
	u64 ino;
	u16 len;
	u8 type;
	char name[];
};

static bool record(struct listing *l, const char *name, u32 len, u64 ino, u32 type)
{
	size_t need = ALIGN_UP(sizeof(struct record) + len, 8ul);
	struct record *r;

	if (l->used + need > l->size) {
		size_t size = MAX(l->size * 2, 4096ul);
		char *bigger = krealloc(l->records, l->size, size);

		if (!bigger) {
			l->error = -ENOMEM;
			return false;
		}
		l->records = bigger;
		l->size = size;
	}
	r = (struct record *)(l->records + l->used);
	r->ino = ino;
	r->len = (u16)len;
	r->type = (u8)type;
	memcpy(r->name, name, len);
	l->used += need;
	l->count++;
	return true;
}

/* One lower entry, unless an entry or whiteout of ours stands over it. */
static bool record_lower(struct dir_context *ctx, const char *name, u32 len, u64 next_pos, u64 ino, u32 type)
{
	struct listing *l = container_of(ctx, struct listing, ctx);

	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return true;
	if (mem_find(l->dir, name, len))
		return true;
	return record(l, name, len, ino, type);
}

static int list_lower(struct listing *l, struct inode *lower)
{
	struct file *f = kzalloc(sizeof(*f));
	int err = 0;
	u64 before;

	if (!f)
		return -ENOMEM;
	f->inode = lower;
	f->fop = lower->fop;
	f->mode = FMODE_READ;
	if (f->fop->open)
		err = f->fop->open(lower, f);
	l->ctx = (struct dir_context){ .emit = record_lower };
	while (!err) {
		before = l->ctx.pos;
		err = f->fop->iterate(f, &l->ctx);
		if (l->ctx.pos == before || l->error)
			break;
	}
	if (f->fop->release)
		f->fop->release(f);
	kfree(f);
	return err ? err : l->error;
}

/* The whole directory as it is now. */
static int list_directory(struct inode *dir, struct listing *l)
{
	struct mem *m = mem_of(dir);
	int err = 0;

	l->dir = dir;
	for (struct rb_node *n = rb_first(&m->entries); n && !l->error; n = rb_next(n)) {
		struct entry *e = container_of(n, struct entry, node);

		if (e->inode)
			record(l, e->name, e->len, e->inode->ino, (e->inode->mode & S_IFMT) >> 12);
	}
	if (m->lower && !m->opaque && !l->error)
		err = list_lower(l, m->lower);
	return err ? err : l->error;
}

static int check_empty(struct inode *dir)
{
	struct listing l = { 0 };
	int err = 0;

	if (mem_of(dir)->nentries)
		return -ENOTEMPTY;
	if (mem_of(dir)->lower && !mem_of(dir)->opaque)
		err = list_directory(dir, &l);
	kfree(l.records);
	return err ? err : l.count ? -ENOTEMPTY : 0;
}

static int mem_rmdir(struct inode *dir, struct dentry *d)
{
	struct inode *victim = d->inode;
	int err;

	mutex_lock(&victim->lock);
	err = check_empty(victim);
	if (!err)
		err = mem_persist(dir);
	if (!err) {
		mem_forget_place(victim);
		err = hide(dir, d->name, d->name_len);
	}
	if (!err) {
		victim->nlink = 0;
		mem_of(victim)->opaque = true;
		dir->nlink--;
		touch(dir);
	}
	mutex_unlock(&victim->lock);
	return err;
}

static int exchange(struct inode *from_dir, struct dentry *from, struct inode *to_dir, struct dentry *to)
{
	int err = mem_persist(to->inode);

	if (!err)
		err = mem_insert(to_dir, to->name, to->name_len, inode_get(from->inode), true);
	if (!err)
		err = mem_insert(from_dir, from->name, from->name_len, inode_get(to->inode), true);
	return err;
}

static int replace(struct inode *from_dir, struct dentry *from, struct inode *to_dir, struct dentry *to)
{
	struct inode *i = from->inode, *victim = to->inode;
	int err;

	if (victim && S_ISDIR(victim->mode)) {
		mutex_lock(&victim->lock);
		err = check_empty(victim);
		mutex_unlock(&victim->lock);
		if (err)
			return err;
	}
	if (victim)
		mem_forget_place(victim);
	err = mem_insert(to_dir, to->name, to->name_len, inode_get(i), victim != NULL);
	if (!err)
		err = hide(from_dir, from->name, from->name_len);
	if (err)
		return err;
	if (victim) {
		victim->nlink = S_ISDIR(victim->mode) ? 0 : victim->nlink - 1;
		victim->ctime = current_time();
		if (S_ISDIR(victim->mode))
			to_dir->nlink--;
	}
	if (S_ISDIR(i->mode) && from_dir != to_dir) {
		from_dir->nlink--;
		to_dir->nlink++;
	}
	return 0;
}

static int mem_rename(struct inode *from_dir, struct dentry *from, struct inode *to_dir, struct dentry *to, u32 flags)
{
	int err = mem_persist(from->inode);

	if (!err)
		err = mem_persist(from_dir);
	if (!err)
		err = mem_persist(to_dir);
	if (!err)
		err = flags & RENAME_EXCHANGE ? exchange(from_dir, from, to_dir, to) : replace(from_dir, from, to_dir, to);
	if (err)
		return err;
	from->inode->ctime = current_time();
	touch(from_dir);
	touch(to_dir);
	return 0;
}

/* ---- reading: a listing is made at the first call and at a rewind, and stays with the open file ---- */

static void drop_listing(struct file *f)
{
	struct listing *l = f->priv;

	if (l) {
		kfree(l->records);
		kfree(l);
		f->priv = NULL;
	}
}

static int make_listing(struct file *f)
{
	struct listing *l;
	int err;

	drop_listing(f);
	l = kzalloc(sizeof(*l));
	if (!l)
		return -ENOMEM;
	mutex_lock(&f->inode->lock);
	err = list_directory(f->inode, l);
	mutex_unlock(&f->inode->lock);
	f->priv = l;
	if (err)
		drop_listing(f);
	return err;
}

/* Positions: 0 ".", 1 "..", then 2 + the offset of the record. */
static int mem_iterate(struct file *f, struct dir_context *ctx)
{
	struct listing *l;

	if (ctx->pos == 0 || !f->priv) {
		int err = make_listing(f);

		if (err)
			return err;
	}
	l = f->priv;
	if (ctx->pos == 0) {
		if (!ctx->emit(ctx, ".", 1, 1, f->inode->ino, 4))
			return 0;
		ctx->pos = 1;
	}
	if (ctx->pos == 1) {
		if (!ctx->emit(ctx, "..", 2, 2, f->path.dentry ? f->path.dentry->parent->inode->ino : f->inode->ino, 4))
			return 0;
		ctx->pos = 2;
	}
	while (ctx->pos - 2 < l->used && !((ctx->pos - 2) & 7)) {
		struct record *r = (struct record *)(l->records + (ctx->pos - 2));
		u64 next = ctx->pos + ALIGN_UP(sizeof(*r) + r->len, 8ul);

		if (!ctx->emit(ctx, r->name, r->len, next, r->ino, r->type))
			return 0;
		ctx->pos = next;
	}
	return 0;
}

static s64 mem_dir_llseek(struct file *f, s64 off, int whence)
{
	if (whence == SEEK_CUR)
		off += (s64)f->pos;
	else if (whence != SEEK_SET)
		return -EINVAL;
	if (off < 0)
		return -EINVAL;
	f->pos = (u64)off;
	return off;
}

static int mem_dir_fsync(struct file *f, bool data_only) { return 0; }

const struct inode_ops mem_dir_iops = {
	.lookup = mem_lookup, .prefetch = mem_prefetch, .create = mem_create, .mkdir = mem_mkdir, .mknod = mem_mknod, .symlink = mem_symlink, .link = mem_link,
	.unlink = mem_unlink, .rmdir = mem_rmdir, .rename = mem_rename, .tmpfile = mem_tmpfile, .setattr = mem_setattr,
	.getxattr = mem_getxattr, .setxattr = mem_setxattr, .listxattr = mem_listxattr, .removexattr = mem_removexattr,
};
const struct file_ops mem_dir_fops = {
	.iterate = mem_iterate, .release = drop_listing, .llseek = mem_dir_llseek, .fsync = mem_dir_fsync,
};
