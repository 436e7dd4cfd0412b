/*
 * The mount tree: mount_namespaces(7).
 *
 * namespace_lock (a mutex) serialises changes. mount_lock guards the hash and the links for walkers that hold a reference; what
 * leaves the tree does so under dcache_lock too, for walkers that hold that alone.
 */
#include "base/string.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/vfs/fanotify.h"
#include "sentry/vfs/mount_tree.h"

#include <linux/fcntl.h>
#include <linux/stat.h>

static spinlock_t mount_lock = SPINLOCK_INIT; /* inside dcache_lock */
struct mutex namespace_lock;
struct mount_ns init_mount_ns;
#define MOUNT_BUCKETS 64u
static struct hlist_head mount_hash[MOUNT_BUCKETS];
static s32 next_id = 20;
struct path init_root;

void mount_init(void)
{
	mutex_init(&namespace_lock);
	list_init(&init_mount_ns.mounts);
}

struct mount_ns *current_mount_ns(void)
{
	struct nsproxy *ns = current->ns;

	return ns ? ns->mnt : &init_mount_ns;
}

/* ---- finding ---- */

static struct hlist_head *bucket(const struct mount *parent, const struct dentry *at)
{
	return &mount_hash[(((u64)parent >> 6) ^ ((u64)at >> 6)) % MOUNT_BUCKETS];
}

/* mount_lock held */
static struct mount *find_mount(struct mount *parent, struct dentry *at)
{
	struct mount *m;

	hlist_for_each(m, bucket(parent, at), hash)
		if (m->parent == parent && m->mountpoint == at)
			return m;
	return NULL;
}

struct mount *find_mount_locked(struct mount *parent, struct dentry *at)
{
	struct mount *m;

	spin_lock(&mount_lock);
	m = find_mount(parent, at);
	spin_unlock(&mount_lock);
	return m;
}

struct mount *lookup_mount(struct mount *parent, struct dentry *at)
{
	struct mount *m;

	spin_lock(&mount_lock);
	m = find_mount(parent, at);
	if (m)
		refcount_inc(&m->ref);
	spin_unlock(&mount_lock);
	return m;
}

struct mount *next_mount(struct mount *m, struct mount *top)
{
	if (!list_empty(&m->children))
		return list_first(&m->children, struct mount, child_node);
	for (; m != top; m = m->parent)
		if (m->child_node.next != &m->parent->children)
			return list_next(m, child_node);
	return NULL;
}

bool mount_is_below(struct mount *m, struct mount *top)
{
	for (; m; m = m->parent)
		if (m == top)
			return true;
	return false;
}

int mnt_want_write(const struct path *p)
{
	return (p->mnt && p->mnt->flags & MS_RDONLY) || p->dentry->sb->flags & MS_RDONLY ? -EROFS : 0;
}

/* ---- life ---- */

static void mount_free(struct mount *m)
{
	fanotify_forget(m);
	dentry_put(m->root);
	sb_put(m->sb);
	kfree(m->devname);
	kfree(m);
}

void mount_put(struct mount *m)
{
	if (refcount_dec_and_test(&m->ref))
		mount_free(m);
}

void path_put(const struct path *p)
{
	if (p->dentry)
		dentry_put(p->dentry);
	if (p->mnt)
		mount_put(p->mnt);
}

/* Consumes the references to sb and root. */
static struct mount *mount_alloc(struct super_block *sb, struct dentry *root, u32 flags, const char *devname)
{
	struct mount *m = kzalloc(sizeof(*m));

	if (!m) {
		dentry_put(root);
		sb_put(sb);
		return NULL;
	}
	refcount_set(&m->ref, 1);
	m->sb = sb;
	m->root = root;
	m->flags = flags;
	m->devname = kstrdup(devname);
	list_init(&m->children);
	list_init(&m->child_node);
	list_init(&m->ns_node);
	spin_lock(&mount_lock);
	m->id = next_id++;
	spin_unlock(&mount_lock);
	return m;
}

/* The mount of files that have no place in the tree (pipes, sockets, memfds): every file has one, as on Linux. */
struct mount *internal_mount(struct super_block *sb, struct dentry *root)
{
	struct mount *m;

	refcount_inc(&sb->ref);
	m = mount_alloc(sb, root, 0, "none");
	if (m)
		m->internal = true;
	return m;
}

struct mount *new_mount(const char *type, const char *source, u32 flags, const char *options, void *data)
{
	const struct fs_type *t = find_fs(type);
	struct super_block *sb;
	struct mount *m;
	int err;

	if (!t)
		return ERR_PTR(-ENODEV);
	sb = sb_create(t, source);
	if (!sb)
		return ERR_PTR(-ENOMEM);
	sb->flags = flags & MS_RDONLY;
	err = t->fill_super(sb, source, options, data);
	if (err) {
		sb_put(sb);
		return ERR_PTR(err);
	}
	m = mount_alloc(sb, dentry_get(sb->root), flags, source);
	return m ? m : ERR_PTR(-ENOMEM);
}

struct mount *clone_mount(struct mount *m, struct dentry *root)
{
	struct mount *copy;

	refcount_inc(&m->sb->ref);
	copy = mount_alloc(m->sb, dentry_get(root), m->flags, m->devname ? m->devname : "none");
	if (copy) {
		copy->foreign = m->foreign;
		copy->locked_flags = m->locked_flags;
	}
	return copy;
}

/* ---- links ---- */

void hang_mount(struct mount *m, struct mount *parent, struct dentry *at)
{
	refcount_inc(&parent->ref);
	d_make_findable(at);
	spin_lock(&mount_lock);
	m->parent = parent;
	m->mountpoint = dentry_get(at);
	atomic_fetch_add(&at->nmounts, 1);
	hlist_add(&m->hash, bucket(parent, at));
	list_add_tail(&m->child_node, &parent->children);
	for (struct mount *c = m; c; c = next_mount(c, m)) {
		c->ns = parent->ns;
		if (c->ns)
			list_move_tail(&c->ns_node, &c->ns->mounts);
	}
	spin_unlock(&mount_lock);
}

static bool dead(const struct dentry *d)
{
	return (d->flags & (DCACHE_UNHASHED | DCACHE_NOCACHE)) == DCACHE_UNHASHED && d->parent != d;
}

/* The mount namespace whose file it shows, or NULL. */
static struct ns_common *shown_mount_ns(const struct mount *m)
{
	struct ns_common *n = m->root->inode ? ns_of_inode(m->root->inode) : NULL;

	return n && n->kind == NS_MNT ? n : NULL;
}

/* mount_namespaces(7): a namespace may be shown in older ones only, lest it keep itself alive. */
static bool would_loop(struct mount *m, const struct mount_ns *ns)
{
	const struct ns_common *n;

	for (struct mount *c = m; c && ns; c = next_mount(c, m)) {
		n = shown_mount_ns(c);
		if (n && n->ino <= ns->c.ino)
			return true;
	}
	return false;
}

int may_attach(struct mount *m, const struct path *at)
{
	if (S_ISDIR(m->root->inode->mode) != S_ISDIR(at->dentry->inode->mode))
		return -ENOTDIR;
	if (dead(at->dentry))
		return -ENOENT;
	return would_loop(m, at->mnt->ns) ? -EINVAL : 0;
}

int attach_tree(struct mount *m, const struct path *at)
{
	int err = may_attach(m, at);

	if (!err)
		hang_mount(m, at->mnt, at->dentry);
	return err;
}

/* The links of m to its parent are cut; the references that they were go to the caller. dcache_lock and mount_lock held. */
static struct path cut(struct mount *m)
{
	struct path at = { m->parent, m->mountpoint };

	if (!m->parent)
		return at;
	hlist_del(&m->hash);
	list_del(&m->child_node);
	atomic_fetch_sub(&m->mountpoint->nmounts, 1);
	m->parent = NULL;
	m->mountpoint = NULL;
	return at;
}

void unhook_mount(struct mount *m)
{
	struct path at;

	spin_lock(&dcache_lock);
	spin_lock(&mount_lock);
	at = cut(m);
	for (struct mount *c = m; c; c = next_mount(c, m)) {
		list_del(&c->ns_node);
		c->ns = NULL;
	}
	spin_unlock(&mount_lock);
	spin_unlock(&dcache_lock);
	path_put(&at);
}

void detach_tree(struct mount *m)
{
	for (;;) {
		struct mount *leaf = m;
		struct path at;

		while (!list_empty(&leaf->children))
			leaf = list_last(&leaf->children, struct mount, child_node);
		spin_lock(&dcache_lock);
		spin_lock(&mount_lock);
		at = cut(leaf);
		list_del(&leaf->ns_node);
		leaf->ns = NULL;
		spin_unlock(&mount_lock);
		spin_unlock(&dcache_lock);
		path_put(&at);
		mount_put(leaf);
		if (leaf == m)
			return;
	}
}

void dissolve_mount(struct mount *m)
{
	mutex_lock(&namespace_lock);
	if (!m->ns && !m->parent) {
		refcount_inc(&m->ref); /* the file's path keeps one of its own */
		detach_tree(m);
	}
	mutex_unlock(&namespace_lock);
}

static bool dentry_within(struct dentry *d, struct dentry *root) { return d_ancestor(root, d); }

static struct mount *copy_mounts(struct mount *m, struct dentry *root, bool recursive, bool namespaces)
{
	struct mount *copy = clone_mount(m, root);

	m->copy = copy;
	if (!copy || !recursive)
		return copy;
	for (struct mount *c = next_mount(m, m); c; c = next_mount(c, m)) {
		c->copy = NULL;
		if (!c->parent->copy || (c->parent == m && !dentry_within(c->mountpoint, root)) || (!namespaces && shown_mount_ns(c)))
			continue;
		c->copy = clone_mount(c, c->root);
		if (!c->copy) {
			detach_tree(copy);
			return NULL;
		}
		c->copy->locked = c->locked;
		hang_mount(c->copy, c->parent->copy, c->mountpoint);
	}
	return copy;
}

struct mount *copy_tree(struct mount *m, struct dentry *root, bool recursive)
{
	return copy_mounts(m, root, recursive, true);
}

/* Locked. Would a copy of this place alone uncover what a locked mount covers? */
bool uncovers_locked(struct mount *m, struct dentry *root)
{
	struct mount *c;

	list_for_each(c, &m->children, child_node)
		if (c->locked && dentry_within(c->mountpoint, root))
			return true;
	return false;
}

/* ---- namespaces ---- */

/* What a process stood on in the old tree it stands on in the copy. */
static void follow_copy(struct path *p)
{
	struct mount *old = p->mnt, *copy = old->copy;

	if (!copy)
		return;
	refcount_inc(&copy->ref);
	p->mnt = copy;
	mount_put(old);
}

int mount_ns_unshare(struct nsproxy *ns, struct fs_state *fs, struct user_ns *owner)
{
	struct mount_ns *old = ns->mnt, *fresh = kzalloc(sizeof(*fresh));
	int err = 0;

	if (!fresh)
		return -ENOMEM;
	ns_init(&fresh->c, NS_MNT, owner);
	list_init(&fresh->mounts);
	mutex_lock(&namespace_lock);
	fresh->root = copy_mounts(old->root, old->root->root, true, false);
	if (fresh->root) {
		for (struct mount *m = fresh->root; m; m = next_mount(m, fresh->root)) {
			m->ns = fresh;
			if (owner != old->c.owner) {
				m->locked = m != fresh->root;
				m->foreign = true;
				m->locked_flags = m->flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
			}
			list_add_tail(&m->ns_node, &fresh->mounts);
		}
		follow_copy(&fs->root);
		follow_copy(&fs->cwd);
	} else {
		err = -ENOMEM;
	}
	mutex_unlock(&namespace_lock);
	if (err) {
		ns_put(&fresh->c);
		return err;
	}
	ns->mnt = fresh;
	ns_put(&old->c);
	return 0;
}

int mount_ns_enter(struct mount_ns *ns, struct fs_state *fs)
{
	struct path root, old_root, old_cwd;

	mutex_lock(&namespace_lock);
	root = (struct path){ ns->root, ns->root->root };
	path_get(&root);
	mutex_unlock(&namespace_lock);
	follow_mounts(&root);
	path_get(&root);
	spin_lock(&fs->lock);
	old_root = fs->root;
	old_cwd = fs->cwd;
	fs->root = fs->cwd = root;
	spin_unlock(&fs->lock);
	path_put(&old_root);
	path_put(&old_cwd);
	return 0;
}

void mount_ns_free(struct ns_common *n)
{
	struct mount_ns *ns = container_of(n, struct mount_ns, c);

	mutex_lock(&namespace_lock);
	if (ns->root)
		detach_tree(ns->root);
	mutex_unlock(&namespace_lock);
	kfree(ns);
}

/* ---- the sentry's own mounts ---- */

int kern_mount_at(const char *type, const char *source, const char *target, u32 flags, const char *options, void *data)
{
	struct mount *m = new_mount(type, source, flags, options, data);
	struct path at;
	int err;

	if (IS_ERR(m))
		return (int)PTR_ERR(m);
	if (!init_root.mnt) {
		init_root = (struct path){ m, dentry_get(m->root) };
		refcount_inc(&m->ref);
		init_mount_ns.root = m;
		m->ns = &init_mount_ns;
		list_add_tail(&m->ns_node, &init_mount_ns.mounts);
		return 0;
	}
	err = path_lookup(AT_FDCWD, target, LOOKUP_FOLLOW, &at);
	if (!err) {
		mutex_lock(&namespace_lock);
		err = attach_tree(m, &at);
		mutex_unlock(&namespace_lock);
		path_put(&at);
	}
	if (err)
		mount_put(m);
	return err;
}
