/* Path resolution: path_resolution(7), openat2(2). */
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/stat.h>

#include "base/string.h"
#include "sentry/vfs/internal.h"

#define MAX_SYMLINKS 40

void path_get(const struct path *p)
{
	if (p->mnt)
		refcount_inc(&p->mnt->ref);
	if (p->dentry)
		dentry_get(p->dentry);
}

struct path current_root(void)
{
	struct fs_state *fs = current->fs;
	struct path p;

	if (!fs) {
		p = init_root;
		path_get(&p);
		return p;
	}
	spin_lock(&fs->lock);
	p = fs->root;
	path_get(&p);
	spin_unlock(&fs->lock);
	return p;
}

static struct path current_cwd(void)
{
	struct fs_state *fs = current->fs;
	struct path p;

	if (!fs)
		return current_root();
	spin_lock(&fs->lock);
	p = fs->cwd;
	path_get(&p);
	spin_unlock(&fs->lock);
	return p;
}

static bool same_path(const struct path *a, const struct path *b) { return a->mnt == b->mnt && a->dentry == b->dentry; }

void follow_mounts(struct path *p)
{
	while (p->dentry->nmounts) {
		struct mount *m = lookup_mount(p->mnt, p->dentry);
		struct path next;

		if (!m)
			return;
		next = (struct path){ m, dentry_get(m->root) };
		path_put(p);
		*p = next;
	}
}

/* ".." : up one, out of mounts, never above the root of the walk. */
static int follow_dotdot(struct nameidata *nd)
{
	for (;;) {
		struct path next;

		if (same_path(&nd->path, &nd->root)) {
			if (nd->flags & LOOKUP_BENEATH)
				return -EXDEV;
			break;
		}
		if (nd->path.dentry != nd->path.mnt->root) {
			struct dentry *parent;

			spin_lock(&dcache_lock);
			parent = dentry_get(nd->path.dentry->parent);
			spin_unlock(&dcache_lock);
			dentry_put(nd->path.dentry);
			nd->path.dentry = parent;
			break;
		}
		if (!nd->path.mnt->parent)
			break;
		if (nd->flags & LOOKUP_NO_XDEV)
			return -EXDEV;
		next = (struct path){ nd->path.mnt->parent, nd->path.mnt->mountpoint };
		path_get(&next);
		path_put(&nd->path);
		nd->path = next;
	}
	follow_mounts(&nd->path);
	return 0;
}

static struct dentry *lookup_slow(struct dentry *dir, const char *name, u32 len)
{
	struct dentry *d = d_lookup(dir, name, len);
	int err;

	if (d)
		return d;
	d = d_alloc(dir->sb, dir, name, len);
	if (!d)
		return ERR_PTR(-ENOMEM);
	if (!dir->inode->iop || !dir->inode->iop->lookup)
		err = -ENOTDIR;
	else
		err = dir->inode->iop->lookup(dir->inode, d);
	if (err) {
		dentry_put(d);
		return ERR_PTR(err);
	}
	if (!(d->flags & DCACHE_NOCACHE))
		d_add(d);
	return d;
}

/* A dentry that its file system disowns is looked up afresh. */
static bool still_valid(struct dentry *d)
{
	const struct inode *i = d->inode;

	if (!i || !i->iop || !i->iop->revalidate || i->iop->revalidate(d))
		return true;
	d_drop(d);
	return false;
}

struct dentry *lookup_one(struct dentry *dir, const char *name, u32 len, bool locked)
{
	struct dentry *d = d_lookup(dir, name, len);

	if (d && still_valid(d))
		return d;
	if (d)
		dentry_put(d);
	if (len > NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	if (locked)
		return lookup_slow(dir, name, len);
	mutex_lock(&dir->inode->lock);
	d = lookup_slow(dir, name, len);
	mutex_unlock(&dir->inode->lock);
	return d;
}

static void nd_set_root(struct nameidata *nd)
{
	path_put(&nd->path);
	nd->path = nd->root;
	path_get(&nd->path);
}

/* A magic link (/proc/pid/fd/N): straight to the object. */
static int follow_magic(struct nameidata *nd, struct inode *inode)
{
	struct path p;
	int err;

	if (nd->flags & (LOOKUP_NO_MAGICLINKS | LOOKUP_BENEATH | LOOKUP_IN_ROOT))
		return nd->flags & LOOKUP_NO_MAGICLINKS ? -ELOOP : -EXDEV;
	err = inode->iop->get_link(inode, &p);
	if (err)
		return err;
	path_put(&nd->path);
	nd->path = p;
	return 0;
}

int nd_follow(struct nameidata *nd, struct dentry *link)
{
	struct inode *inode = link->inode;
	char *target;
	int err;

	if (nd->flags & LOOKUP_NO_SYMLINKS || ++nd->depth > MAX_SYMLINKS) {
		dentry_put(link);
		return -ELOOP;
	}
	if (inode->iop->get_link) {
		err = follow_magic(nd, inode);
		dentry_put(link);
		return err;
	}
	target = inode->iop->readlink ? inode->iop->readlink(inode) : ERR_PTR(-EINVAL);
	dentry_put(link);
	if (IS_ERR_OR_NULL(target))
		return target ? (int)PTR_ERR(target) : -ENOMEM;
	if (!*target)
		err = -ENOENT;
	else if (*target == '/' && nd->flags & LOOKUP_BENEATH)
		err = -EXDEV;
	else {
		u32 saved = nd->flags;

		nd->flags = (nd->flags | LOOKUP_FOLLOW) & ~(u32)(LOOKUP_PARENT | LOOKUP_DIRECTORY);
		err = nd_walk(nd, target);
		nd->flags = saved;
	}
	kfree(target);
	return err;
}

/* One step down to `name`; `follow`: go through a symbolic link. */
static int step(struct nameidata *nd, const char *name, u32 len, bool follow)
{
	struct dentry *d = lookup_one(nd->path.dentry, name, len, false);
	struct path next;

	if (IS_ERR(d))
		return (int)PTR_ERR(d);
	if (!d->inode) {
		dentry_put(d);
		return -ENOENT;
	}
	if (S_ISLNK(d->inode->mode) && follow)
		return nd_follow(nd, d);
	next = (struct path){ nd->path.mnt, d };
	refcount_inc(&next.mnt->ref);
	if (d->nmounts) {
		follow_mounts(&next);
		if (nd->flags & LOOKUP_NO_XDEV && next.mnt != nd->path.mnt) {
			path_put(&next);
			return -EXDEV;
		}
	}
	path_put(&nd->path);
	nd->path = next;
	return 0;
}

static u32 component_type(const char *name, u32 len)
{
	if (name[0] != '.' || len > 2)
		return LAST_NORM;
	return len == 1 ? LAST_DOT : name[1] == '.' ? LAST_DOTDOT : LAST_NORM;
}

static int may_search(struct nameidata *nd)
{
	if (!S_ISDIR(nd->path.dentry->inode->mode))
		return -ENOTDIR;
	return inode_permission(nd->path.dentry->inode, MAY_EXEC);
}

int nd_walk(struct nameidata *nd, const char *name)
{
	int err;

	if (*name == '/') {
		if (nd->flags & LOOKUP_BENEATH)
			return -EXDEV;
		nd_set_root(nd);
	}
	while (*name == '/')
		name++;
	nd->last_type = LAST_ROOT;
	while (*name) {
		const char *end = name;
		u32 len, type;
		bool last, slash;

		while (*end && *end != '/')
			end++;
		len = (u32)(end - name);
		slash = *end == '/';
		while (*end == '/')
			end++;
		last = !*end;
		type = component_type(name, len);
		err = may_search(nd);
		if (err)
			return err;
		if (last && nd->flags & LOOKUP_PARENT) {
			nd->last = name;
			nd->last_len = len;
			nd->last_type = type;
			nd->trailing_slash = slash;
			return len > NAME_MAX ? -ENAMETOOLONG : 0;
		}
		if (type == LAST_DOTDOT)
			err = follow_dotdot(nd);
		else if (type == LAST_NORM)
			err = step(nd, name, len, !last || slash || nd->flags & LOOKUP_FOLLOW);
		if (err)
			return err;
		if (last && (slash || nd->flags & LOOKUP_DIRECTORY) && !S_ISDIR(nd->path.dentry->inode->mode))
			return -ENOTDIR;
		name = end;
	}
	return 0;
}

void nd_put(struct nameidata *nd)
{
	path_put(&nd->path);
	path_put(&nd->root);
}

/* The start of a walk: nd->path and nd->root. */
static int nd_start(s32 dirfd, const char *name, u32 flags, struct nameidata *nd)
{
	*nd = (struct nameidata){ .flags = flags };
	if (*name == '/' && !(flags & (LOOKUP_IN_ROOT | LOOKUP_BENEATH))) {
		nd->path = current_root();
	} else if (dirfd == AT_FDCWD) {
		nd->path = current_cwd();
	} else {
		struct file *f = fget_raw(dirfd);

		if (!f)
			return -EBADF;
		nd->path = f->path;
		path_get(&nd->path);
		file_put(f);
		if (*name && !S_ISDIR(nd->path.dentry->inode->mode)) {
			path_put(&nd->path);
			return -ENOTDIR;
		}
	}
	if (flags & (LOOKUP_IN_ROOT | LOOKUP_BENEATH)) {
		nd->root = nd->path;
		path_get(&nd->root);
	} else {
		nd->root = current_root();
	}
	return 0;
}

int path_lookup(s32 dirfd, const char *name, u32 flags, struct path *out)
{
	struct nameidata nd;
	int err;

	if (!*name && !(flags & LOOKUP_EMPTY))
		return -ENOENT;
	err = nd_start(dirfd, name, flags, &nd);
	if (err)
		return err;
	err = nd_walk(&nd, name);
	if (!err && flags & LOOKUP_DIRECTORY && !S_ISDIR(nd.path.dentry->inode->mode))
		err = -ENOTDIR;
	if (!err) {
		*out = nd.path;
		path_get(out);
	}
	nd_put(&nd);
	return err;
}

int path_parent(s32 dirfd, const char *name, u32 flags, struct nameidata *nd)
{
	int err;

	if (!*name)
		return -ENOENT;
	err = nd_start(dirfd, name, flags | LOOKUP_PARENT, nd);
	if (err)
		return err;
	err = nd_walk(nd, name);
	if (!err && nd->last_type == LAST_ROOT)
		nd->last = "/";
	if (err)
		nd_put(nd);
	return err;
}

/* ---- names from user memory ---- */

char *getname_empty(u64 uname)
{
	char *name = kmalloc(PATH_MAX), *fitted;
	long n;

	if (!name)
		return ERR_PTR(-ENOMEM);
	n = strncpy_from_user(name, uname, PATH_MAX);
	if (n < 0) {
		kfree(name);
		return ERR_PTR(n);
	}
	if (n < 512) { /* most names are short and some are kept for a while */
		fitted = kmalloc((size_t)n + 1);
		if (fitted) {
			memcpy(fitted, name, (size_t)n + 1);
			kfree(name);
			return fitted;
		}
	}
	return name;
}

char *getname(u64 uname)
{
	char *name = getname_empty(uname);

	if (!IS_ERR(name) && !*name) {
		kfree(name);
		return ERR_PTR(-ENOENT);
	}
	return name;
}

int user_path_lookup(s32 dirfd, u64 uname, u32 flags, struct path *out)
{
	char *name = flags & LOOKUP_EMPTY ? getname_empty(uname) : getname(uname);
	int err;

	if (IS_ERR(name))
		return (int)PTR_ERR(name);
	err = path_lookup(dirfd, name, flags, out);
	kfree(name);
	return err;
}

/* ---- back from a path to a name ---- */

static char *prepend(char *at, const char *start, const char *text, size_t n)
{
	if (!at || (size_t)(at - start) < n)
		return NULL;
	at -= n;
	memcpy(at, text, n);
	return at;
}

char *d_path(const struct path *p, char *buf, size_t size)
{
	struct path root = current_root();
	struct mount *m = p->mnt;
	struct dentry *d = p->dentry;
	char *at = buf + size - 1;

	*at = 0;
	spin_lock(&dcache_lock);
	if (d->flags & DCACHE_UNHASHED && d->parent != d)
		at = prepend(at, buf, " (deleted)", 10);
	if (d->parent == d && (!m || d != m->root)) { /* anonymous: "pipe:[123]" */
		at = prepend(at, buf, d->name, d->name_len);
	} else {
		char *mark = at;

		while (at && !(d == root.dentry && m == root.mnt)) {
			if (m && d == m->root) {
				if (!m->parent)
					break;
				d = m->mountpoint;
				m = m->parent;
				continue;
			}
			if (d->parent == d)
				break;
			at = prepend(at, buf, d->name, d->name_len);
			at = prepend(at, buf, "/", 1);
			d = d->parent;
		}
		if (at == mark)
			at = prepend(at, buf, "/", 1);
	}
	spin_unlock(&dcache_lock);
	path_put(&root);
	return at ? at : ERR_PTR(-ENAMETOOLONG);
}
