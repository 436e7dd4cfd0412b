#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "host/gofer/gofer_priv.h"

int take_name(const char *p, size_t len, char *buf)
{
	if (len == 0)
		return -ENOENT;
	if (len > GOFER_NAME_MAX)
		return -ENAMETOOLONG;
	if (memchr(p, '\0', len) || memchr(p, '/', len))
		return -EINVAL;
	memcpy(buf, p, len);
	buf[len] = '\0';
	return strcmp(buf, ".") && strcmp(buf, "..") ? 0 : -EINVAL;
}

/* One step down. Read-only: one statx by name; the descriptor comes when it is needed. */
static struct node *step(struct node *dir, const char *name, size_t len, struct gofer_attr *attr)
{
	int dirfd = node_fd(dir), fd = -1, err;
	bool mount_root = false;
	struct node *n;

	if (dirfd < 0)
		return ERR_PTR(dirfd);
	if (!node_readonly(dir)) {
		fd = open_beneath(dirfd, name, O_PATH | O_NOFOLLOW, 0);
		if (fd < 0)
			return ERR_PTR(fd);
	}
	err = fd < 0 ? attr_of(dirfd, name, attr, &mount_root) : attr_of(fd, "", attr, &mount_root);
	if (err) {
		if (fd >= 0)
			close(fd);
		return ERR_PTR(err);
	}
	n = node_make(dir, name, len, fd, attr);
	if (!IS_ERR(n) && mount_root) {
		fd = node_fd(n);
		n->opaque = fd < 0 || mount_is_foreign(fd);
	}
	return n;
}

/* ---- resolving paths ---- */

#define LINKS_MAX 8u

/* Where a path has come to: a node, and the step that it is. */
struct place {
	struct node *node;
	s32 step; /* or GOFER_UNDER_* */
};
struct text {
	const char *at, *end;
};
struct walk {
	struct request *r;
	bool follow;
	struct place start, root;
	struct node *nodes[GOFER_STEPS_MAX]; /* of the steps; NULL: none */
	struct gofer_step *steps[GOFER_STEPS_MAX];
	size_t at;		     /* in the request's body */
	struct text links[LINKS_MAX]; /* of this path: what is left of their targets, innermost last; the text is in the reply */
	u32 depth, followed;
	int no_room; /* -EMFILE or -ENFILE: no step, for it says nothing of the file */
};

/* The next name of the request. 0: the path ends. */
static int next_name(struct walk *w, const char **name, size_t *len)
{
	struct request *r = w->r;
	u16 n;

	if (w->at == r->body_len)
		return 0;
	if (r->body_len - w->at < sizeof(n))
		return -EINVAL;
	memcpy(&n, r->body + w->at, sizeof(n));
	w->at += sizeof(n);
	if (r->body_len - w->at < n)
		return -EINVAL;
	*name = r->body + w->at;
	*len = n;
	w->at += n;
	return n != 0;
}

/* The next name to walk: of the innermost link's target, else of the request. */
static int next_component(struct walk *w, const char **name, size_t *len)
{
	while (w->depth) {
		struct text *t = &w->links[w->depth - 1];

		while (t->at < t->end && *t->at == '/')
			t->at++;
		*name = t->at;
		while (t->at < t->end && *t->at != '/')
			t->at++;
		*len = (size_t)(t->at - *name);
		if (*len)
			return 1;
		w->depth--;
	}
	return next_name(w, name, len);
}

static struct gofer_step *find_step(const struct walk *w, s32 under, const char *name, size_t len, s32 *index)
{
	for (u32 i = 0; i < w->r->rep->walk.nsteps; i++) {
		struct gofer_step *s = w->steps[i];

		*index = (s32)i;
		if (s->under == under && s->name_len == len && !memcmp(s->bytes, name, len))
			return s;
	}
	return NULL;
}

/* A link's target behind its name. The reply's records have room for one. */
static void add_target(struct gofer_step *s, struct node *dir, const struct node *link, const char *name, size_t room)
{
	ssize_t n = link->fd >= 0 ? readlinkat(link->fd, "", s->bytes + s->name_len, room)
				  : readlinkat(node_fd(dir), name, s->bytes + s->name_len, room);

	if (n > 0 && (size_t)n < room)
		s->target_len = (u16)n;
}

/* A new step: `name` below `from`. NULL: there is no room for it. */
static struct gofer_step *add_step(struct walk *w, const struct place *from, const char *text, size_t len, s32 *index)
{
	struct request *r = w->r;
	size_t room = MIN(r->out_cap - r->out_len, sizeof(struct gofer_step) + GOFER_NAME_MAX + PATH_MAX);
	struct gofer_step *s = (struct gofer_step *)(r->out + r->out_len);
	char name[GOFER_NAME_MAX + 1];
	struct node *n;
	int err;

	if (r->rep->walk.nsteps == GOFER_STEPS_MAX || room < ALIGN_UP(sizeof(*s) + GOFER_NAME_MAX, (size_t)8))
		return NULL;
	memset(s, 0, sizeof(*s));
	s->under = from->step;
	err = take_name(text, len, name);
	if (!err) {
		s->name_len = (u16)len;
		memcpy(s->bytes, name, len);
	}
	n = err ? ERR_PTR(err) : from->node->opaque ? ERR_PTR(-ENOENT) : step(from->node, name, len, &s->attr);
	if (IS_ERR(n) && (PTR_ERR(n) == -EMFILE || PTR_ERR(n) == -ENFILE)) {
		w->no_room = (int)PTR_ERR(n);
		return NULL;
	}
	if (IS_ERR(n)) {
		s->err = (s32)PTR_ERR(n);
		n = NULL;
	} else {
		s->node = node_id(n);
		if (n->type == S_IFLNK && w->follow)
			add_target(s, from->node, n, name, room - sizeof(*s) - len);
	}
	*index = (s32)r->rep->walk.nsteps++;
	w->nodes[*index] = n;
	w->steps[*index] = s;
	s->reclen = (u16)ALIGN_UP(sizeof(*s) + s->name_len + s->target_len, (size_t)8);
	r->out_len += s->reclen;
	return s;
}

/* ".." of a link's target. False: it leads where this request does not see. */
static bool go_up(const struct walk *w, struct place *at)
{
	if (!at->node->parent)
		return true; /* the tree's root is its own parent */
	if (at->step < 0)
		return false;
	*at = (struct place){ at->node->parent, w->steps[at->step]->under };
	return true;
}

/* One name further. False: the path ends here. */
static bool advance(struct walk *w, struct place *at, const char *name, size_t len)
{
	struct gofer_step *s;
	struct place next;

	if (at->node->type != S_IFDIR)
		return false;
	if (w->depth && len == 1 && *name == '.')
		return true;
	if (w->depth && len == 2 && !memcmp(name, "..", 2))
		return go_up(w, at);
	s = find_step(w, at->step, name, len, &next.step);
	if (!s)
		s = add_step(w, at, name, len, &next.step);
	if (!s || !s->node)
		return false;
	next.node = w->nodes[next.step];
	if (next.node->type != S_IFLNK || !w->follow) {
		*at = next;
		return true;
	}
	if (!s->target_len || w->followed == LINKS_MAX)
		return false;
	w->followed++;
	w->links[w->depth++] = (struct text){ s->bytes + s->name_len, s->bytes + s->name_len + s->target_len };
	if (s->bytes[s->name_len] == '/')
		*at = w->root;
	return true;
}

/* One path. What it ends at in *at, if it got to its end. -errno: the message is bad. */
static int walk_path(struct walk *w, struct place *at, bool *arrived)
{
	const char *name;
	size_t len;
	int more;

	*at = w->start;
	*arrived = true;
	w->depth = w->followed = 0;
	while ((more = next_component(w, &name, &len)) > 0) {
		*arrived = *arrived && advance(w, at, name, len);
		if (!*arrived)
			w->depth = 0; /* the request's other names of this path are passed over */
	}
	return more;
}

int op_walk(struct node *n, struct request *r)
{
	struct walk w = { .r = r, .follow = r->req->walk.flags & GOFER_WALK_FOLLOW, .start = { n, GOFER_UNDER_START } };
	struct place at = w.start;
	bool arrived = false;
	int err = 0;

	if (r->req->walk.max)
		r->out_cap = r->req->walk.max < sizeof(*r->rep) ? 0 : MIN(r->out_cap, r->req->walk.max - sizeof(*r->rep));
	r->out_cap &= ~(size_t)7;
	w.root = n->parent ? (struct place){ node_root(n), GOFER_UNDER_ROOT } : w.start;
	while (!err && w.at < r->body_len)
		err = walk_path(&w, &at, &arrived);
	if (!err && !r->rep->walk.nsteps)
		err = w.no_room;
	if (err || !arrived || !(r->req->walk.flags & GOFER_WALK_OPEN) || at.step < 0 || at.node->type != S_IFREG)
		return err;
	r->pass_fd = reopen(at.node, O_RDONLY);
	if (r->pass_fd >= 0)
		w.steps[at.step]->opened = 1;
	else
		r->pass_fd = -1;
	return 0;
}
