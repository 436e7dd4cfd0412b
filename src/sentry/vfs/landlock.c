/*
 * Landlock: landlock(7), landlock_create_ruleset(2), landlock_add_rule(2), landlock_restrict_self(2).
 *
 * A ruleset is filled through its descriptor. To be restricted by it is to get a domain: the layers of the domain before and one
 * more, which never change. Each layer has a say: what it handles must be allowed by its rules on the path or above.
 */
#include "sentry/vfs/landlock.h"

#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/landlock.h>
#include <linux/stat.h>

#include "base/string.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/internal.h"

#define ABI 2
#define MAX_LAYERS 16u
#define MAX_RULES (1u << 20)
#define ACCESS_ALL ((LANDLOCK_ACCESS_FS_REFER << 1) - 1)
#define ACCESS_FILE (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE)

struct rule {
	struct inode *inode; /* reference */
	u64 allowed;
};
struct rules {
	struct rule *rule;
	u32 n, room;
};
struct ruleset { /* behind a descriptor */
	struct mutex lock;
	u64 handled;
	struct rules rules; /* lock */
};
struct layer {
	refcount_t ref;
	u64 handled; /* LANDLOCK_ACCESS_FS_REFER always is */
	struct rules rules;
};
struct landlock_domain {
	refcount_t ref;
	u32 n;
	struct layer *layers[MAX_LAYERS];
};

/* ---- rules ---- */

static void rules_free(struct rules *r)
{
	for (u32 i = 0; i < r->n; i++)
		inode_put(r->rule[i].inode);
	kfree(r->rule);
}

static int rules_add(struct rules *r, struct inode *inode, u64 allowed)
{
	for (u32 i = 0; i < r->n; i++)
		if (r->rule[i].inode == inode) {
			r->rule[i].allowed |= allowed;
			return 0;
		}
	if (r->n == MAX_RULES)
		return -E2BIG;
	if (r->n == r->room) {
		u32 room = MAX(8u, r->room * 2);
		struct rule *more = krealloc(r->rule, r->room * sizeof(*more), room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		r->rule = more;
		r->room = room;
	}
	r->rule[r->n++] = (struct rule){ inode_get(inode), allowed };
	return 0;
}

static u64 rules_on(const struct rules *r, const struct inode *inode)
{
	for (u32 i = 0; i < r->n; i++)
		if (r->rule[i].inode == inode)
			return r->rule[i].allowed;
	return 0;
}

/* ---- domains ---- */

struct landlock_domain *landlock_get(struct landlock_domain *d)
{
	if (d)
		refcount_inc(&d->ref);
	return d;
}

void landlock_put(struct landlock_domain *d)
{
	if (!d || !refcount_dec_and_test(&d->ref))
		return;
	for (u32 i = 0; i < d->n; i++)
		if (refcount_dec_and_test(&d->layers[i]->ref)) {
			rules_free(&d->layers[i]->rules);
			kfree(d->layers[i]);
		}
	kfree(d);
}

static struct layer *layer_of(struct ruleset *rs)
{
	struct layer *l = kzalloc(sizeof(*l));
	int err = 0;

	if (!l)
		return NULL;
	refcount_set(&l->ref, 1);
	l->handled = rs->handled | LANDLOCK_ACCESS_FS_REFER;
	mutex_lock(&rs->lock);
	for (u32 i = 0; i < rs->rules.n && !err; i++)
		err = rules_add(&l->rules, rs->rules.rule[i].inode, rs->rules.rule[i].allowed);
	mutex_unlock(&rs->lock);
	if (!err)
		return l;
	rules_free(&l->rules);
	kfree(l);
	return NULL;
}

static struct landlock_domain *domain_with(struct landlock_domain *old, struct ruleset *rs)
{
	struct landlock_domain *d;

	if (old && old->n == MAX_LAYERS)
		return ERR_PTR(-E2BIG);
	d = kzalloc(sizeof(*d));
	if (!d)
		return ERR_PTR(-ENOMEM);
	refcount_set(&d->ref, 1);
	for (; old && d->n < old->n; d->n++) {
		d->layers[d->n] = old->layers[d->n];
		refcount_inc(&d->layers[d->n]->ref);
	}
	d->layers[d->n] = layer_of(rs);
	if (!d->layers[d->n]) {
		landlock_put(d);
		return ERR_PTR(-ENOMEM);
	}
	d->n++;
	return d;
}

/* ---- checking ---- */

/* Files that lie in no hierarchy are not Landlock's concern. */
static bool exempt(const struct path *p)
{
	return !p->mnt || p->mnt->internal || p->dentry->sb->magic == 0x09041934 /* ANON_INODE_FS_MAGIC */;
}

/* What each layer allows at a place: the rules there and above it. first: a file in the folder p, or NULL. */
static void collect(const struct landlock_domain *d, const struct path *p, const struct dentry *first, u64 *allowed)
{
	struct mount *m = p->mnt;
	const struct dentry *at = p->dentry;

	memset(allowed, 0, MAX_LAYERS * sizeof(*allowed));
	if (first && first->inode)
		for (u32 i = 0; i < d->n; i++)
			allowed[i] |= rules_on(&d->layers[i]->rules, first->inode);
	spin_lock(&dcache_lock);
	for (;;) {
		for (u32 i = 0; i < d->n && at->inode; i++)
			allowed[i] |= rules_on(&d->layers[i]->rules, at->inode);
		if (m && at == m->root) {
			if (!m->parent)
				break;
			at = m->mountpoint;
			m = m->parent;
		} else if (at->parent == at) {
			break;
		} else {
			at = at->parent;
		}
	}
	spin_unlock(&dcache_lock);
}

static bool granted(const struct landlock_domain *d, const u64 *allowed, u64 access)
{
	for (u32 i = 0; i < d->n; i++)
		if (access & d->layers[i]->handled & ~allowed[i])
			return false;
	return true;
}

int landlock_check_slow(const struct path *p, u64 access)
{
	const struct landlock_domain *d = current->cred->landlock;
	u64 allowed[MAX_LAYERS];

	if (exempt(p))
		return 0;
	collect(d, p, NULL, allowed);
	return granted(d, allowed, access) ? 0 : -EACCES;
}

u64 landlock_make(u32 mode)
{
	switch (mode & S_IFMT) {
	case S_IFLNK:
		return LANDLOCK_ACCESS_FS_MAKE_SYM;
	case S_IFDIR:
		return LANDLOCK_ACCESS_FS_MAKE_DIR;
	case S_IFCHR:
		return LANDLOCK_ACCESS_FS_MAKE_CHAR;
	case S_IFBLK:
		return LANDLOCK_ACCESS_FS_MAKE_BLOCK;
	case S_IFIFO:
		return LANDLOCK_ACCESS_FS_MAKE_FIFO;
	case S_IFSOCK:
		return LANDLOCK_ACCESS_FS_MAKE_SOCK;
	}
	return LANDLOCK_ACCESS_FS_MAKE_REG;
}

static u64 removal(const struct dentry *d)
{
	if (!d || !d->inode)
		return 0;
	return S_ISDIR(d->inode->mode) ? LANDLOCK_ACCESS_FS_REMOVE_DIR : LANDLOCK_ACCESS_FS_REMOVE_FILE;
}

/* Does a file get more rights in its new place than it had in the old one? */
static bool gains(const struct landlock_domain *d, const u64 *before, const u64 *after, const struct dentry *what)
{
	u64 which = S_ISDIR(what->inode->mode) ? ~0ull : ACCESS_FILE;

	for (u32 i = 0; i < d->n; i++)
		if (after[i] & ~before[i] & d->layers[i]->handled & which)
			return true;
	return false;
}

int landlock_may_move_slow(const struct path *from, struct dentry *old, const struct path *to, struct dentry *new, u32 how)
{
	const struct landlock_domain *d = current->cred->landlock;
	u64 source[MAX_LAYERS], target[MAX_LAYERS], old_has[MAX_LAYERS], new_has[MAX_LAYERS];
	u64 need_from = how & LANDLOCK_LINK ? 0 : removal(old), need_to = landlock_make(old->inode->mode);

	if (exempt(from))
		return 0;
	if (how & LANDLOCK_EXCHANGE) {
		need_from |= landlock_make(new->inode->mode);
		need_to |= removal(new);
	} else if (!(how & LANDLOCK_LINK)) {
		need_to |= removal(new);
	}
	collect(d, from, NULL, source);
	collect(d, to, NULL, target);
	if (from->dentry == to->dentry)
		return granted(d, source, need_from | need_to) ? 0 : -EACCES;
	if (!granted(d, source, need_from) || !granted(d, target, need_to))
		return -EACCES;
	/* Between folders: never without LANDLOCK_ACCESS_FS_REFER, and not to get around rules. */
	if (!granted(d, source, LANDLOCK_ACCESS_FS_REFER) || !granted(d, target, LANDLOCK_ACCESS_FS_REFER))
		return -EXDEV;
	collect(d, from, old, old_has);
	if (gains(d, old_has, target, old))
		return -EXDEV;
	if (!(how & LANDLOCK_EXCHANGE))
		return 0;
	collect(d, to, new, new_has);
	return gains(d, new_has, source, new) ? -EXDEV : 0;
}

bool landlock_may_trace(struct task *t)
{
	const struct landlock_domain *mine = current->cred->landlock, *its;
	bool inside;

	if (!mine)
		return true;
	spin_lock(&t->alloc_lock);
	its = t->cred->landlock;
	inside = its && its->n >= mine->n && its->layers[mine->n - 1] == mine->layers[mine->n - 1];
	spin_unlock(&t->alloc_lock);
	return inside;
}

/* ---- system calls ---- */

static void ruleset_release(struct file *f)
{
	struct ruleset *rs = f->priv;

	rules_free(&rs->rules);
	kfree(rs);
}

static long ruleset_read(struct file *f, struct iov_iter *to, u64 *pos) { return -EINVAL; }
static const struct file_ops ruleset_fops = { .release = ruleset_release, .read = ruleset_read };

/* A structure that may be longer than we know, when the rest is zero. */
static long read_attr(void *out, size_t known, size_t least, u64 uattr, u64 size)
{
	u8 byte;

	if (!uattr)
		return -EFAULT;
	if (size < least)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	if (copy_from_user(out, uattr, MIN(known, size)))
		return -EFAULT;
	for (u64 off = known; off < size; off++) {
		if (get_user(byte, uattr + off))
			return -EFAULT;
		if (byte)
			return -E2BIG;
	}
	return 0;
}

SYSCALL3(landlock_create_ruleset, u64, uattr, u64, size, u32, flags)
{
	struct landlock_ruleset_attr attr = { 0 };
	struct ruleset *rs;
	struct file *f;
	long err, fd;

	if (flags)
		return flags == LANDLOCK_CREATE_RULESET_VERSION && !uattr && !size ? ABI : -EINVAL;
	err = read_attr(&attr, sizeof(attr), sizeof(attr), uattr, size);
	if (err)
		return err;
	if (!attr.handled_access_fs)
		return -ENOMSG;
	if (attr.handled_access_fs & ~ACCESS_ALL)
		return -EINVAL;
	rs = kzalloc(sizeof(*rs));
	if (!rs)
		return -ENOMEM;
	mutex_init(&rs->lock);
	rs->handled = attr.handled_access_fs;
	f = anon_file("[landlock-ruleset]", &ruleset_fops, rs, O_RDWR);
	if (IS_ERR(f)) {
		kfree(rs);
		return PTR_ERR(f);
	}
	fd = fd_alloc_install(f, O_CLOEXEC, 0);
	if (fd < 0)
		file_put(f);
	return fd;
}

static struct ruleset *ruleset_of(s32 fd, struct file **f)
{
	*f = fget(fd);
	if (!*f)
		return ERR_PTR(-EBADF);
	if ((*f)->fop == &ruleset_fops)
		return (*f)->priv;
	file_put(*f);
	return ERR_PTR(-EBADFD);
}

static long add_path_rule(struct ruleset *rs, u64 uattr)
{
	struct landlock_path_beneath_attr attr;
	struct inode *inode;
	struct file *f;
	long err;

	if (copy_from_user(&attr, uattr, sizeof(attr)))
		return -EFAULT;
	if (!attr.allowed_access)
		return -ENOMSG;
	if (attr.allowed_access & ~rs->handled)
		return -EINVAL;
	f = fget_raw(attr.parent_fd);
	if (!f)
		return -EBADF;
	inode = f->inode;
	if (exempt(&f->path))
		err = -EBADFD;
	else if (!S_ISDIR(inode->mode) && attr.allowed_access & ~ACCESS_FILE)
		err = -EINVAL;
	else
		err = 0;
	if (!err) {
		mutex_lock(&rs->lock);
		err = rules_add(&rs->rules, inode, attr.allowed_access);
		mutex_unlock(&rs->lock);
	}
	file_put(f);
	return err;
}

SYSCALL4(landlock_add_rule, s32, fd, u32, type, u64, uattr, u32, flags)
{
	struct ruleset *rs;
	struct file *f;
	long err;

	if (flags)
		return -EINVAL;
	rs = ruleset_of(fd, &f);
	if (IS_ERR(rs))
		return PTR_ERR(rs);
	err = type == LANDLOCK_RULE_PATH_BENEATH ? add_path_rule(rs, uattr) : -EINVAL;
	file_put(f);
	return err;
}

SYSCALL2(landlock_restrict_self, s32, fd, u32, flags)
{
	struct landlock_domain *d;
	struct ruleset *rs;
	struct cred *c;
	struct file *f;

	if (!current->no_new_privs && !self_capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (flags)
		return -EINVAL;
	rs = ruleset_of(fd, &f);
	if (IS_ERR(rs))
		return PTR_ERR(rs);
	d = domain_with(current->cred->landlock, rs);
	file_put(f);
	if (IS_ERR(d))
		return PTR_ERR(d);
	c = prepare_creds();
	if (!c) {
		landlock_put(d);
		return -ENOMEM;
	}
	landlock_put(c->landlock);
	c->landlock = d;
	commit_creds(c);
	return 0;
}
