/*
 * Walking ahead: a path whose first name is not cached is resolved in one request, through its symbolic links and into the file itself
 * if that will be opened. What comes back waits at its directories until the VFS looks the names up one by one; not for long in a tree that
 * others may change. Nothing depends on it: what nobody asks for is forgotten.
 */
#include <linux/limits.h>

#include "base/string.h"
#include "fs/gofer/internal.h"

#define WAITING_MAX 16u /* in a directory; the oldest goes */

struct ahead {
	struct ahead *next;  /* in the same directory, newest first */
	struct ahead *below; /* what waits in this one, when it is a directory */
	struct walked walked;
	bool missing; /* there is no such file */
	hc_handle handle;
	char *target;
	u64 walked_ns;
	u32 len;
	char name[];
};

/* What was walked on is bounded by GOFER_STEPS_MAX, and so is the depth of this. */
void gofer_ahead_free(struct ahead *a)
{
	while (a) {
		struct ahead *next = a->next;

		gofer_ahead_free(a->below);
		if (!a->missing)
			rpc_forget(a->walked.node);
		gofer_close_handle(a->handle);
		kfree(a->target);
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

static bool is_named(const struct ahead *a, const char *name, u32 len) { return a->len == len && !memcmp(a->name, name, len); }

/* ---- the reply, into what waits ---- */

/* What became of a step: an inode that is alive already, or something new that shall wait, in `under` if that is alive. */
struct place {
	struct inode *live; /* reference */
	struct ahead *ahead;
	struct inode *under;
};

static struct ahead *new_ahead(const struct gofer_step *s)
{
	struct ahead *a = kzalloc(sizeof(*a) + s->name_len);

	if (!a)
		return NULL;
	a->handle = HC_NO_HANDLE;
	a->len = s->name_len;
	a->walked_ns = clock_mono_ns();
	memcpy(a->name, s->bytes, s->name_len);
	a->walked = (struct walked){ s->node, s->attr };
	a->missing = !s->node;
	if (s->target_len)
		a->target = kstrndup(s->bytes + s->name_len, s->target_len);
	return a;
}

/* Enter it in a list; one of its name that waits already, or one too many, goes. */
static void enter(struct ahead **list, struct ahead *a)
{
	struct ahead **at = list, *old;

	for (u32 n = 1; *at && n < WAITING_MAX && !is_named(*at, a->name, a->len); n++)
		at = &(*at)->next;
	old = *at;
	if (old) {
		*at = old->next;
		old->next = NULL;
	}
	a->next = *list;
	*list = a;
	gofer_ahead_free(old);
}

/* places: of the steps before it, and itself, the last. */
static void take_step(struct inode *start, const struct gofer_step *s, struct place *places, u32 self, hc_handle *handle)
{
	struct inode *root = start->sb->root->inode;
	const struct place *under = s->under >= 0 && (u32)s->under < self ? &places[s->under] : NULL;
	struct inode *dir = under ? under->live : s->under == GOFER_UNDER_ROOT ? root : s->under == GOFER_UNDER_START ? start : NULL;
	struct place *p = &places[self];

	*p = (struct place){ .live = s->node ? gofer_find_inode(start->sb, &s->attr) : NULL };
	if (p->live) {
		rpc_forget(s->node);
		if (s->opened)
			gofer_give_handle(p->live, handle, false);
		return;
	}
	if ((s->node || s->err == -ENOENT) && s->name_len && (dir || (under && under->ahead)))
		p->ahead = new_ahead(s);
	if (!p->ahead) {
		rpc_forget(s->node);
		return;
	}
	if (s->opened) {
		p->ahead->handle = *handle;
		*handle = HC_NO_HANDLE;
	}
	if (dir)
		p->under = dir;
	else
		enter(&under->ahead->below, p->ahead);
}

/* The gofer is trusted less than ourselves: sizes are looked at. */
static const struct gofer_step *check_step(const struct rpc *r, size_t at)
{
	const struct gofer_step *s = (const struct gofer_step *)(r->buf + at);

	if (r->rep->len < at + sizeof(*s) || s->reclen & 7 || s->reclen < sizeof(*s) + s->name_len + s->target_len ||
	    s->reclen > r->rep->len - at || s->name_len > NAME_MAX)
		return NULL;
	return s;
}

/* What waits under a live inode may be taken as soon as its lock is let go: so everything is built first, and entered then. `still_true`:
 * nothing was changed in the tree since it was walked. */
static void take_steps(struct inode *start, struct rpc *r, bool still_true)
{
	struct place places[GOFER_STEPS_MAX];
	u32 n = 0, nsteps = MIN(r->rep->walk.nsteps, (u32)GOFER_STEPS_MAX);
	size_t at = sizeof(*r->rep);
	const struct gofer_step *s;

	while (n < nsteps && (s = check_step(r, at))) {
		take_step(start, s, places, n++, &r->handle);
		at += s->reclen;
	}
	for (u32 i = 0; i < n; i++) {
		struct ahead *a = places[i].ahead;

		if (places[i].under && still_true) {
			mutex_lock(&places[i].under->lock);
			enter(&gnode_of(places[i].under)->ahead, a);
			mutex_unlock(&places[i].under->lock);
		} else if (places[i].under) {
			gofer_ahead_free(a);
		}
	}
	for (u32 i = 0; i < n; i++)
		if (places[i].live)
			inode_put(places[i].live);
}

/* ---- asking ---- */

/* Would the first lookup ask nobody? */
static bool is_known(struct inode *dir, const char *path)
{
	const struct gnode *g = gnode_of(dir);
	const char *name;
	u32 len = component(&path, &name);
	bool known;

	mutex_lock(&dir->lock);
	known = g->listing;
	for (const struct ahead *a = g->ahead; a && !known; a = a->next)
		known = is_named(a, name, len);
	mutex_unlock(&dir->lock);
	return known;
}

/* Append a path's names; how many. */
static u32 add_path(struct rpc *r, const char *path)
{
	const char *name;
	u32 n = 0, len;

	while ((len = component(&path, &name))) {
		u16 len16 = (u16)len;

		if (r->req->len + sizeof(len16) + len > r->cap)
			break;
		rpc_add(r, &len16, sizeof(len16));
		rpc_add(r, name, len);
		n++;
	}
	return n;
}

void gofer_prefetch(struct inode *dir, const char *const *paths, u32 n, bool open)
{
	struct gsuper *gs = gsuper_of(dir);
	const u16 next_path = 0;
	u32 names = 0, changes;
	struct rpc r;
	u64 node;

	if ((n == 1 && is_known(dir, paths[0])) || gofer_node(dir, &node) || rpc_begin(&r, GOFER_WALK, node, 0))
		return;
	changes = READ_ONCE(gs->changes);
	r.req->walk.flags = GOFER_WALK_FOLLOW | (open ? GOFER_WALK_OPEN : 0);
	r.req->walk.max = (u32)r.cap;
	for (u32 i = 0; i < n; i++) {
		if (i)
			rpc_add(&r, &next_path, sizeof(next_path));
		names += add_path(&r, paths[i]);
	}
	if ((names > 1 || open) && !rpc_call(&r))
		take_steps(dir, &r, READ_ONCE(gs->changes) == changes);
	gofer_close_handle(r.handle);
	rpc_end(&r);
}

bool gofer_take_ahead(struct inode *dir, struct dentry *d, int *err)
{
	struct ahead **at = &gnode_of(dir)->ahead, *a;
	struct inode *i = NULL;

	while (*at && !is_named(*at, d->name, d->name_len))
		at = &(*at)->next;
	a = *at;
	if (!a)
		return false;
	*at = a->next;
	a->next = NULL;
	if (!gsuper_of(dir)->readonly && clock_mono_ns() - a->walked_ns >= gofer_fresh_ns(dir)) {
		gofer_ahead_free(a);
		return false;
	}
	*err = 0;
	if (!a->missing) {
		i = gofer_new_inode(dir->sb, a->walked.node, &a->walked.attr, dir, d->name, d->name_len);
		a->missing = true; /* the node is the inode's, or nobody's */
		*err = i ? 0 : -ENOMEM;
	}
	if (i && S_ISDIR(i->mode)) {
		gnode_of(i)->ahead = a->below;
		a->below = NULL;
	} else if (i && S_ISLNK(i->mode)) {
		gnode_of(i)->target = a->target;
		a->target = NULL;
	} else if (i && S_ISREG(i->mode)) {
		gofer_give_handle(i, &a->handle, false);
	}
	gofer_ahead_free(a);
	if (!*err)
		d_set_inode(d, i);
	return true;
}
