/*
 * Path resolution: path_resolution(7), openat2(2).
 *
 * A walk runs in two gears. The first goes over cached directories under dcache_lock without taking a single reference, as far
 * as nothing special comes; whoever takes a mount or a dentry out of the tree holds that lock. The second takes references,
 * asks file systems, and follows symbolic links.
 */
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

/* A member of the process's fs_state, or the first root for the sentry's own tasks. */
static struct path fs_path(bool root)
{
	struct fs_state *fs = current->fs;
	struct path p = init_root;

	if (fs) {
		spin_lock(&fs->lock);
		p = root ? fs->root : fs->cwd;
		path_get(&p);
		spin_unlock(&fs->lock);
	} else {
		path_get(&p);
	}
	return p;
}

struct path current_root(void) { return fs_path(true); }

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

static u32 component_type(const char *name, u32 len)
{
	if (name[0] != '.' || len > 2)
		return LAST_NORM;
	return len == 1 ? LAST_DOT : name[1] == '.' ? LAST_DOTDOT : LAST_NORM;
}

static u32 component_length(const char *name)
{
	const char *end = name;

	while (*end && *end != '/')
		end++;
	return (u32)(end - name);
}

static const char *skip_slashes(const char *name)
{
	while (*name == '/')
		name++;
	return name;
}

/* ---- the first gear; dcache_lock held ---- */

/* Where ".." leads within one mount and below the root; NULL: look closer. */
static struct dentry *cached_parent(const struct path *at, const struct path *root)
{
	return at->dentry == at->mnt->root || same_path(at, root) ? NULL : at->dentry->parent;
}

/* The root of what is mounted on at->dentry, and so on; no references. */
static void cross_mounts_locked(struct path *at)
{
	struct mount *m;

	while (at->dentry->nmounts && (m = find_mount_locked(at->mnt, at->dentry))) {
		at->mnt = m;
		at->dentry = m->root;
	}
}

/* The child to step to, or NULL: the second gear decides. *missing: it is known not to exist. */
static struct dentry *cached_child(const struct path *at, const struct path *root, const char *name, u32 len, bool *missing)
{
	const struct inode *dir = at->dentry->inode;
	struct dentry *d;

	switch (component_type(name, len)) {
	case LAST_DOT:
		return at->dentry;
	case LAST_DOTDOT:
		return cached_parent(at, root);
	}
	d = d_find_locked(at->dentry, name, len);
	if (!d)
		return NULL;
	if (!d->inode) {
		*missing = dir->iop && !dir->iop->revalidate;
		return NULL;
	}
	return d->inode->iop && d->inode->iop->revalidate ? NULL : d;
}

/* Walk from *at as far as it goes; returns what is left of the name. *err: -ENOENT when the walk is over with that. */
static const char *walk_cached(struct path *at, const struct path *root, const char *name, u32 flags, int *err)
{
	while (*name) {
		u32 len = component_length(name);
		const char *next = skip_slashes(name + len);
		struct inode *dir = at->dentry->inode;
		bool missing = false, last = !*next;
		struct dentry *d;

		if ((last && flags & LOOKUP_PARENT) || !S_ISDIR(dir->mode) || (dir->iop && dir->iop->permission) ||
		    inode_permission(dir, MAY_EXEC))
			break;
		d = cached_child(at, root, name, len, &missing);
		if (missing)
			*err = -ENOENT;
		if (!d)
			break;
		if (S_ISLNK(d->inode->mode) && (!last || name[len] == '/' || flags & LOOKUP_FOLLOW))
			break;
		if (last && (name[len] == '/' || flags & LOOKUP_DIRECTORY) && !S_ISDIR(d->inode->mode))
			break;
		if (d != at->dentry) {
			at->dentry = d;
			cross_mounts_locked(at);
		}
		name = next;
	}
	return name;
}

/* The whole first gear from the working directory or the root: *out is referenced. */
static const char *walk_from_fs(const char *name, u32 flags, struct path *out, int *err)
{
	struct fs_state *fs = current->fs;
	struct path root;

	if (fs)
		spin_lock(&fs->lock);
	root = fs ? fs->root : init_root;
	*out = *name == '/' || !fs ? root : fs->cwd;
	spin_lock(&dcache_lock);
	name = walk_cached(out, &root, skip_slashes(name), flags, err);
	path_get(out);
	spin_unlock(&dcache_lock);
	if (fs)
		spin_unlock(&fs->lock);
	return name;
}

static const char *walk_from_dir(const struct path *dir, const char *name, u32 flags, struct path *out, int *err)
{
	struct path root = current_root();

	*out = *dir;
	spin_lock(&dcache_lock);
	name = walk_cached(out, &root, name, flags, err);
	path_get(out);
	spin_unlock(&dcache_lock);
	path_put(&root);
	return name;
}

/* ---- one step of the second gear ---- */

/* The root of this walk, found when it is first needed. */
static const struct path *nd_root(struct nameidata *nd)
{
	if (!nd->root.mnt)
		nd->root = current_root();
	return &nd->root;
}

/* ".." : up one, out of mounts, never above the root of the walk. */
static int follow_dotdot(struct nameidata *nd)
{
	const struct path *root = nd_root(nd);

	for (;;) {
		bool within;
		struct path up;

		if (same_path(&nd->path, root)) {
			if (nd->flags & LOOKUP_BENEATH)
				return -EXDEV;
			break;
		}
		spin_lock(&dcache_lock);
		within = nd->path.dentry != nd->path.mnt->root;
		up = within ? (struct path){ nd->path.mnt, nd->path.dentry->parent }
			    : (struct path){ nd->path.mnt->parent, nd->path.mnt->mountpoint };
		if (up.mnt)
			path_get(&up);
		spin_unlock(&dcache_lock);
		if (!up.mnt)
			break;
		if (!within && nd->flags & LOOKUP_NO_XDEV) {
			path_put(&up);
			return -EXDEV;
		}
		path_put(&nd->path);
		nd->path = up;
		if (within)
			break;
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
static bool still_valid(struct dentry *dir, struct dentry *d)
{
	const struct inode *i = d->inode ? d->inode : dir->inode;

	if (!i->iop || !i->iop->revalidate || i->iop->revalidate(d))
		return true;
	d_drop(d);
	return false;
}

struct dentry *lookup_one(struct dentry *dir, const char *name, u32 len, bool locked)
{
	struct dentry *d = d_lookup(dir, name, len);

	if (d && still_valid(dir, d))
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

/* A magic link (/proc/pid/fd/N): straight to the object. */
static int follow_magic(struct nameidata *nd, struct inode *inode)
{
	struct path p;
	int err;

	if (nd->flags & LOOKUP_NO_MAGICLINKS)
		return -ELOOP;
	if (nd->flags & (LOOKUP_BENEATH | LOOKUP_IN_ROOT))
		return -EXDEV;
	err = inode->iop->get_link(inode, &p);
	if (err)
		return err;
	if (nd->flags & LOOKUP_NO_XDEV && p.mnt != nd->path.mnt) {
		path_put(&p);
		return -EXDEV;
	}
	path_put(&nd->path);
	nd->path = p;
	return 0;
}

int nd_follow(struct nameidata *nd, struct dentry *link, char **target)
{
	struct inode *inode = link->inode;
	int err = 0;

	*target = NULL;
	if (nd->flags & LOOKUP_NO_SYMLINKS || ++nd->depth > MAX_SYMLINKS)
		err = -ELOOP;
	else if (inode->iop->get_link)
		err = follow_magic(nd, inode);
	else if (!inode->iop->readlink)
		err = -EINVAL;
	else {
		char *text = inode->iop->readlink(inode);

		if (IS_ERR_OR_NULL(text)) {
			err = text ? (int)PTR_ERR(text) : -ENOMEM;
		} else if (!*text) {
			kfree(text);
			err = -ENOENT;
		} else {
			*target = text;
		}
	}
	dentry_put(link);
	return err;
}

/* One step down to `name`. A symbolic link that is to be followed leaves *target, what to walk next. */
static int step(struct nameidata *nd, const char *name, u32 len, bool follow, char **target)
{
	struct dentry *dir = nd->path.dentry, *d = d_lookup(dir, name, len);
	struct path next;

	if (nd->flags & LOOKUP_CACHED && !(d && still_valid(dir, d))) {
		if (d)
			dentry_put(d);
		return -EAGAIN;
	}
	if (!d && (name[len] == '/' || nd->flags & LOOKUP_READ) && dir->inode->iop && dir->inode->iop->prefetch)
		dir->inode->iop->prefetch(dir->inode, &name, 1, nd->flags & LOOKUP_READ);
	if (!d || !still_valid(dir, d)) {
		if (d)
			dentry_put(d);
		d = lookup_one(dir, name, len, false);
	}

	if (IS_ERR(d))
		return (int)PTR_ERR(d);
	if (!d->inode) {
		dentry_put(d);
		return -ENOENT;
	}
	if (S_ISLNK(d->inode->mode) && follow)
		return nd_follow(nd, d, target);
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

static int may_search(struct nameidata *nd)
{
	if (!S_ISDIR(nd->path.dentry->inode->mode))
		return -ENOTDIR;
	return inode_permission(nd->path.dentry->inode, MAY_EXEC);
}

/* A name that begins with a slash starts at the root. */
static int enter_root(struct nameidata *nd)
{
	const struct path *root = nd_root(nd);

	if (nd->flags & LOOKUP_BENEATH || (nd->flags & LOOKUP_NO_XDEV && root->mnt != nd->path.mnt))
		return -EXDEV;
	path_put(&nd->path);
	nd->path = *root;
	path_get(&nd->path);
	return 0;
}

/* ---- the second gear: names within names, as symbolic links nest ---- */

struct frame {
	const char *name; /* what is left of it */
	char *body;	  /* the link's target that it points into; NULL: the caller's string */
};
struct walk {
	struct frame at;
	struct frame *outer; /* MAX_SYMLINKS of them once a link stands in the middle of a name */
	u32 depth;
	bool dir; /* what is reached must be a directory */
	bool slash; /* and is reached through a link, for a slash comes after it */
};

static void walk_pop(struct walk *w)
{
	kfree(w->at.body);
	w->at = w->outer[--w->depth];
}

/* Go on with a link's target, and then with what is left of the present name. */
static int walk_push(struct nameidata *nd, struct walk *w, char *target)
{
	if (*w->at.name) {
		if (!w->outer)
			w->outer = kmalloc(MAX_SYMLINKS * sizeof(*w->outer));
		if (!w->outer) {
			kfree(target);
			return -ENOMEM;
		}
		w->outer[w->depth++] = w->at;
	} else {
		kfree(w->at.body);
	}
	w->at = (struct frame){ skip_slashes(target), target };
	return *target == '/' ? enter_root(nd) : 0;
}

/* The next component. 1: the walk is over, its last component is in nd. */
static int walk_component(struct nameidata *nd, struct walk *w)
{
	const char *name = w->at.name;
	u32 len = component_length(name), type = component_type(name, len);
	bool slash = name[len] == '/', last;
	char *target = NULL;
	int err = may_search(nd);

	if (err)
		return err;
	w->at.name = skip_slashes(name + len);
	last = !*w->at.name && !w->depth;
	if (last && nd->flags & LOOKUP_PARENT && !w->at.body) {
		nd->last = name;
		nd->last_len = len;
		nd->last_type = type;
		nd->trailing_slash = slash;
		return len > NAME_MAX ? -ENAMETOOLONG : 1;
	}
	if (last && slash)
		w->dir = w->slash = true;
	if (type == LAST_DOTDOT)
		err = follow_dotdot(nd);
	else if (type == LAST_NORM)
		err = step(nd, name, len, !last || w->slash || w->at.body || nd->flags & LOOKUP_FOLLOW, &target);
	return !err && target ? walk_push(nd, w, target) : err;
}

int nd_walk(struct nameidata *nd, const char *name)
{
	struct walk w = { .at = { skip_slashes(name), NULL }, .dir = nd->flags & LOOKUP_DIRECTORY };
	int err = *name == '/' ? enter_root(nd) : 0;

	nd->last_type = LAST_ROOT;
	while (!err) {
		if (*w.at.name)
			err = walk_component(nd, &w);
		else if (w.depth)
			walk_pop(&w);
		else
			break;
	}
	if (!err && w.dir && !(nd->flags & LOOKUP_PARENT) && !S_ISDIR(nd->path.dentry->inode->mode))
		err = -ENOTDIR;
	while (w.depth)
		walk_pop(&w);
	kfree(w.at.body);
	kfree(w.outer);
	return err < 0 ? err : 0;
}

void nd_put(struct nameidata *nd)
{
	path_put(&nd->path);
	path_put(&nd->root);
}

/* Where a walk from a descriptor begins; *file keeps it. */
static int start_at_fd(s32 dirfd, bool named, struct file **file)
{
	struct file *f = fget_raw(dirfd);

	if (!f)
		return -EBADF;
	if (named && !S_ISDIR(f->inode->mode)) {
		file_put(f);
		return -ENOTDIR;
	}
	*file = f;
	return 0;
}

/* The start of a walk and its first gear: nd->path, and *rest of the name. */
static int nd_start(s32 dirfd, const char *name, u32 flags, struct nameidata *nd, const char **rest)
{
	bool scoped = flags & (LOOKUP_IN_ROOT | LOOKUP_BENEATH), plain = !scoped && !(flags & LOOKUP_NO_XDEV);
	bool at_fs = dirfd == AT_FDCWD || (*name == '/' && !scoped);
	struct file *f = NULL;
	int err = at_fs ? 0 : start_at_fd(dirfd, *name, &f);

	*nd = (struct nameidata){ .flags = flags };
	*rest = name;
	if (err)
		return err;
	if (at_fs && plain) {
		*rest = walk_from_fs(name, flags, &nd->path, &err);
	} else if (at_fs) {
		nd->path = fs_path(*name == '/' && !scoped);
	} else if (plain) {
		*rest = walk_from_dir(&f->path, name, flags, &nd->path, &err);
	} else {
		nd->path = f->path;
		path_get(&nd->path);
	}
	if (f)
		file_put(f);
	if (scoped) {
		nd->root = nd->path;
		path_get(&nd->root);
	}
	if (err)
		nd_put(nd);
	return err;
}

int path_lookup(s32 dirfd, const char *name, u32 flags, struct path *out)
{
	struct nameidata nd;
	const char *rest;
	int err;

	if (!*name && !(flags & LOOKUP_EMPTY))
		return -ENOENT;
	err = nd_start(dirfd, name, flags, &nd, &rest);
	if (err)
		return err;
	err = nd_walk(&nd, rest);
	if (err) {
		nd_put(&nd);
		return err;
	}
	*out = nd.path;
	path_put(&nd.root);
	return 0;
}

int path_parent(s32 dirfd, const char *name, u32 flags, struct nameidata *nd)
{
	const char *rest;
	int err;

	if (!*name)
		return -ENOENT;
	err = nd_start(dirfd, name, flags | LOOKUP_PARENT, nd, &rest);
	if (err)
		return err;
	err = nd_walk(nd, rest);
	if (!err && nd->last_type == LAST_ROOT)
		nd->last = "/";
	if (err)
		nd_put(nd);
	return err;
}

/* ---- names from user memory ---- */

char *name_begin(struct name_buf *b, u64 uname, bool empty_allowed)
{
	long n = strncpy_from_user(b->small, uname, sizeof(b->small));

	b->name = b->small;
	if (n == -ENAMETOOLONG) {
		b->name = kmalloc(PATH_MAX);
		if (!b->name)
			return ERR_PTR(-ENOMEM);
		n = strncpy_from_user(b->name, uname, PATH_MAX);
	}
	if (n >= 0 && (n || empty_allowed))
		return b->name;
	name_end(b);
	return ERR_PTR(n ? n : -ENOENT);
}

void name_end(struct name_buf *b)
{
	if (b->name != b->small)
		kfree(b->name);
}

char *getname_empty(u64 uname)
{
	struct name_buf b;
	char *name = name_begin(&b, uname, true);

	if (IS_ERR(name) || name != b.small)
		return name;
	name = kstrdup(name);
	return name ? name : ERR_PTR(-ENOMEM);
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
	struct name_buf b;
	char *name = name_begin(&b, uname, flags & LOOKUP_EMPTY);
	int err;

	if (IS_ERR(name))
		return (int)PTR_ERR(name);
	err = path_lookup(dirfd, name, flags, out);
	name_end(&b);
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

bool path_is_deleted(const struct path *p)
{
	return (p->dentry->flags & (DCACHE_UNHASHED | DCACHE_NOCACHE)) == DCACHE_UNHASHED && p->dentry->parent != p->dentry;
}

/* The components from the root down to p; dcache_lock held. NULL: no room. */
static char *prepend_path(char *at, char *buf, const struct path *p, const struct path *root)
{
	struct mount *m = p->mnt;
	struct dentry *d = p->dentry;
	char *mark = at;

	while (at && !(d == root->dentry && m == root->mnt)) {
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
	return at == mark ? prepend(at, buf, "/", 1) : at;
}

char *d_path(const struct path *p, char *buf, size_t size)
{
	struct path root = current_root();
	struct dentry *d = p->dentry;
	char *at = buf + size - 1;

	*at = 0;
	spin_lock(&dcache_lock);
	if (path_is_deleted(p))
		at = prepend(at, buf, " (deleted)", 10);
	if (d->parent == d && (!p->mnt || d != p->mnt->root)) /* anonymous: "pipe:[123]" */
		at = prepend(at, buf, d->name, d->name_len);
	else
		at = prepend_path(at, buf, p, &root);
	spin_unlock(&dcache_lock);
	path_put(&root);
	return at ? at : ERR_PTR(-ENAMETOOLONG);
}
