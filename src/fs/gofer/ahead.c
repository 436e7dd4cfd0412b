/*
 * Walking ahead: a path whose directories are not cached is walked in one request, and what comes back waits at the directory
 * until the VFS looks the names up one by one; not for long in a tree that others may change.
 */
#include <linux/limits.h>

#include "base/string.h"
#include "fs/gofer/internal.h"

#define AHEAD_MAX 12u

struct ahead {
	struct ahead *next; /* the name below this one */
	struct gofer_walked walked;
	bool missing; /* there is no such file */
	u64 walked_ns;
	u32 len;
	char name[];
};

void gofer_ahead_free(struct ahead *a)
{
	while (a) {
		struct ahead *next = a->next;

		if (!a->missing)
			rpc_forget(a->walked.node);
		kfree(a);
		a = next;
	}
}

/* The next component at *path, which moves behind it. 0: none that can be walked ahead. */
static u32 component(const char **path, const char **name)
{
	u32 len = 0;

	while (**path == '/')
		(*path)++;
	*name = *path;
	while (**path && **path != '/') {
		(*path)++;
		len++;
	}
	if (len > NAME_MAX || ((*name)[0] == '.' && (len == 1 || (len == 2 && (*name)[1] == '.'))))
		return 0;
	return len;
}

static struct ahead *new_ahead(const char *name, u32 len, const struct gofer_walked *w)
{
	struct ahead *a = kzalloc(sizeof(*a) + len);

	if (!a)
		return NULL;
	a->len = len;
	a->walked_ns = clock_mono_ns();
	memcpy(a->name, name, len);
	if (w)
		a->walked = *w;
	else
		a->missing = true;
	return a;
}

/* The reply as a chain, in the order of the path. */
static struct ahead *chain_of(const struct rpc *r, const char *path)
{
	const struct gofer_walked *w = (const struct gofer_walked *)(r->rep + 1);
	u32 done = r->rep->walk.ndone;
	struct ahead *first = NULL, **link = &first;
	const char *name;

	if (done > AHEAD_MAX || sizeof(*r->rep) + done * sizeof(*w) > r->rep->len)
		return NULL;
	for (u32 i = 0; i < done + (r->rep->walk.stop_errno == -ENOENT); i++) {
		u32 len = component(&path, &name);

		*link = len ? new_ahead(name, len, i < done ? &w[i] : NULL) : NULL;
		if (!*link)
			break;
		link = &(*link)->next;
	}
	return first;
}

/* Would the first lookup ask nobody? */
static bool is_known(struct inode *dir, const char *path)
{
	const struct gnode *g = gnode_of(dir);
	const char *name;
	u32 len = component(&path, &name);
	bool known;

	mutex_lock(&dir->lock);
	known = g->listing || (g->ahead && g->ahead->len == len && !memcmp(g->ahead->name, name, len));
	mutex_unlock(&dir->lock);
	return known;
}

void gofer_prefetch(struct inode *dir, const char *path)
{
	struct gnode *g = gnode_of(dir);
	const char *p = path, *name;
	u32 n = 0, len, changes = g->changes;
	struct ahead *old;
	struct rpc r;
	u64 node;

	if (is_known(dir, path) || gofer_node(dir, &node) || rpc_begin(&r, GOFER_WALK, node, 0))
		return;
	while (n < AHEAD_MAX && (len = component(&p, &name))) {
		u16 len16 = (u16)len;

		if (rpc_add(&r, &len16, sizeof(len16)) || rpc_add(&r, name, len))
			break;
		n++;
	}
	r.req->walk.nnames = n;
	if (n > 1 && !rpc_call(&r)) {
		struct ahead *chain = chain_of(&r, path);

		mutex_lock(&dir->lock);
		old = g->changes == changes ? g->ahead : chain; /* a change made since then may not be in it */
		if (old != chain)
			g->ahead = chain;
		mutex_unlock(&dir->lock);
		gofer_ahead_free(old);
	}
	rpc_end(&r);
}

bool gofer_take_ahead(struct inode *dir, struct dentry *d, int *err)
{
	struct gnode *g = gnode_of(dir);
	struct ahead *a = g->ahead;
	struct inode *i = NULL;

	if (!a || a->len != d->name_len || memcmp(a->name, d->name, a->len))
		return false;
	if (!gsuper_of(dir)->readonly && clock_mono_ns() - a->walked_ns >= gofer_fresh_ns(dir)) {
		g->ahead = NULL;
		gofer_ahead_free(a);
		return false;
	}
	if (!a->missing) {
		i = gofer_new_inode(dir->sb, a->walked.node, &a->walked.attr, dir, d->name, d->name_len);
		if (!i) {
			*err = -ENOMEM;
			return true;
		}
		if (S_ISDIR(i->mode)) {
			gnode_of(i)->ahead = a->next;
			a->next = NULL;
		}
	}
	g->ahead = NULL;
	gofer_ahead_free(a->next);
	kfree(a);
	d_set_inode(d, i);
	*err = 0;
	return true;
}
