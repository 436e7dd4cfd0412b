/* fanotify(7): marks, and events on their way to the queues. The descriptor: fanotify_file.c. */
#include "sentry/vfs/fanotify.h"

#include <linux/eventpoll.h>
#include <linux/stat.h>

#include "base/string.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/notify.h"

#define QUEUE_MAX 16384u /* fs.fanotify.max_queued_events */
#define MARKS_MAX 8192u	 /* fs.fanotify.max_user_marks */
#define MERGE_DEPTH 128u

static spinlock_t fan_lock = SPINLOCK_INIT;
static LIST_HEAD(groups);
static _Atomic u32 nmarks;

void fan_group_put(struct fan_group *g)
{
	if (refcount_dec_and_test(&g->ref))
		kfree(g);
}

void fan_event_put(struct fan_event *e)
{
	if (!refcount_dec_and_test(&e->ref))
		return;
	path_put(&e->path);
	kfree(e);
}

/* ---- the queue ---- */

static bool mergeable(const struct fan_event *a, const struct fan_event *b)
{
	return !((a->mask | b->mask) & (FAN_PERM_EVENTS | FAN_Q_OVERFLOW)) && a->pid == b->pid && a->path.dentry == b->path.dentry &&
	       a->path.mnt == b->path.mnt && !memcmp(&a->handle, &b->handle, sizeof(a->handle)) && !((a->mask ^ b->mask) & FAN_ONDIR);
}

/* One event for what happens to a file until it is read. */
static bool merge(struct fan_group *g, const struct fan_event *e)
{
	struct list_head *n = g->events.prev;

	for (u32 i = 0; i < MERGE_DEPTH && n != &g->events; i++, n = n->prev) {
		struct fan_event *old = list_entry(n, struct fan_event, node);

		if (mergeable(old, e)) {
			old->mask |= e->mask;
			return true;
		}
	}
	return false;
}

/* The event in the queue; false: it is not, and the caller frees it. The last one that fits says that there were more. */
static bool enqueue(struct fan_group *g, struct fan_event *e)
{
	bool question = e->mask & FAN_PERM_EVENTS, queued = false;

	spin_lock(&g->lock);
	if (!merge(g, e) && (g->nevents <= QUEUE_MAX || question || g->flags & FAN_UNLIMITED_QUEUE)) {
		if (g->nevents == QUEUE_MAX && !question && !(g->flags & FAN_UNLIMITED_QUEUE)) {
			e->mask = FAN_Q_OVERFLOW;
			e->pid = 0;
			e->path = (struct path){ NULL, NULL };
			e->handle = (struct inode_handle){ 0 };
		}
		if (e->path.dentry)
			path_get(&e->path);
		list_add_tail(&e->node, &g->events);
		g->nevents++;
		queued = true;
	}
	spin_unlock(&g->lock);
	if (queued)
		wake_up_poll(&g->wait, EPOLLIN | EPOLLRDNORM);
	return queued;
}

static struct fan_event *event_new(const struct fan_group *g, u32 mask)
{
	struct fan_event *e = kzalloc(sizeof(*e));

	if (!e)
		return NULL;
	refcount_set(&e->ref, 1);
	list_init(&e->wait_node);
	e->mask = mask;
	e->fd = -1;
	e->pid = g->flags & FAN_REPORT_TID ? current->pid->nr : current->proc->tgid->nr;
	return e;
}

static void post(struct fan_group *g, struct mount *mnt, struct dentry *d, struct inode *i, u32 mask)
{
	struct fan_event *e = event_new(g, mask);

	if (!e)
		return;
	if (fan_by_handle(g)) {
		inode_handle(i, &e->handle);
		e->dev = i->sb->dev;
	} else {
		e->path = (struct path){ mnt, d };
	}
	if (!enqueue(g, e))
		kfree(e);
}

/* ---- who wants it ---- */

struct happening {
	struct mount *mnt;
	struct inode *inode, *parent; /* parent: to compare with only */
	u32 mask; /* with FAN_ONDIR for a directory */
};

/* What of it the group's marks ask for; fan_lock held. A change ends what was to be ignored until there is one (fanotify_mark(2)). */
static u32 wanted(struct fan_group *g, const struct happening *h)
{
	u32 want = 0, ignored = 0;
	struct fan_mark *m;

	list_for_each(m, &g->marks, node) {
		bool on = m->object == h->inode || m->object == h->inode->sb || (h->mnt && m->object == h->mnt);
		bool child = !on && h->parent && m->object == h->parent && m->mask & FAN_EVENT_ON_CHILD;

		if (!on && !child)
			continue;
		if (h->mask & FAN_MODIFY && !(m->flags & FAN_MARK_IGNORED_SURV_MODIFY))
			m->ignored = 0;
		ignored |= m->ignored;
		if (!(h->mask & FAN_ONDIR) || m->mask & FAN_ONDIR)
			want |= m->mask;
	}
	return h->mask & want & ~ignored & (FAN_PATH_EVENTS | FAN_INODE_EVENTS | FAN_PERM_EVENTS);
}

static struct inode *parent_of(struct dentry *d)
{
	struct inode *i;

	spin_lock(&dcache_lock);
	i = d->parent != d ? d->parent->inode : NULL;
	spin_unlock(&dcache_lock);
	return i;
}

static bool file_or_directory(const struct inode *i) { return S_ISREG(i->mode) || S_ISDIR(i->mode); }

void fanotify_event(struct mount *mnt, struct dentry *d, u32 mask)
{
	struct happening h = { mnt, d->inode, NULL, mask & (FAN_PATH_EVENTS | FAN_ATTRIB) };
	struct fan_group *g;

	if (!atomic_load_explicit(&nmarks, memory_order_relaxed) || !h.inode || !h.mask)
		return;
	if (S_ISDIR(h.inode->mode))
		h.mask |= FAN_ONDIR;
	h.parent = parent_of(d);
	spin_lock(&fan_lock);
	list_for_each(g, &groups, node) {
		u32 told = wanted(g, &h);

		if (told && (fan_by_handle(g) || (mnt && file_or_directory(h.inode))))
			post(g, mnt, d, h.inode, told | (fan_by_handle(g) ? h.mask & FAN_ONDIR : 0));
	}
	spin_unlock(&fan_lock);
}

void fanotify_on_inode(struct inode *i, u32 mask)
{
	struct happening h = { NULL, i, NULL, mask & FAN_INODE_EVENTS };
	struct fan_group *g;

	if (!atomic_load_explicit(&nmarks, memory_order_relaxed) || !h.mask)
		return;
	h.mask |= mask & IN_ISDIR ? FAN_ONDIR : 0;
	spin_lock(&fan_lock);
	list_for_each(g, &groups, node) {
		u32 told = fan_by_handle(g) ? wanted(g, &h) : 0;

		if (told)
			post(g, NULL, NULL, i, told | (h.mask & FAN_ONDIR));
	}
	spin_unlock(&fan_lock);
}

/* ---- questions ---- */

static void ask(struct fan_group *g, const struct path *p, u32 mask, struct list_head *waits)
{
	struct fan_event *e = event_new(g, mask);

	if (!e)
		return;
	e->path = *p;
	refcount_inc(&e->ref);
	refcount_inc(&g->ref);
	e->group = g;
	list_add_tail(&e->wait_node, waits);
	enqueue(g, e);
}

int fanotify_permission(const struct path *p, u32 mask)
{
	struct happening h = { p->mnt, p->dentry->inode, NULL, mask };
	LIST_HEAD(waits);
	struct fan_group *g;
	int err = 0;

	if (!atomic_load_explicit(&nmarks, memory_order_relaxed) || !file_or_directory(h.inode))
		return 0;
	h.mask |= S_ISDIR(h.inode->mode) ? FAN_ONDIR : 0;
	h.parent = parent_of(p->dentry);
	spin_lock(&fan_lock);
	list_for_each(g, &groups, node) {
		u32 asked = wanted(g, &h) & FAN_PERM_EVENTS;

		if (asked)
			ask(g, p, asked, &waits);
	}
	spin_unlock(&fan_lock);
	while (!list_empty(&waits)) {
		struct fan_event *e = list_first(&waits, struct fan_event, wait_node);

		list_del(&e->wait_node);
		g = e->group;
		if (wait_event_killable(g->answers, READ_ONCE(e->answer)) || e->answer == FAN_DENY)
			err = -EPERM;
		fan_event_put(e);
		fan_group_put(g);
	}
	return err;
}

/* ---- marks ---- */

void fan_enlist(struct fan_group *g)
{
	spin_lock(&fan_lock);
	list_add_tail(&g->node, &groups); /* the oldest is asked first */
	spin_unlock(&fan_lock);
}

/* fan_lock held: out of the group, onto `dead`. */
static void unlink_mark(struct fan_group *g, struct fan_mark *m, struct list_head *dead)
{
	list_del(&m->node);
	list_add(&m->node, dead);
	g->nmarks--;
	nmarks--;
	notify_watches--;
}

static void free_marks(struct list_head *dead)
{
	while (!list_empty(dead)) {
		struct fan_mark *m = list_first(dead, struct fan_mark, node);

		list_del(&m->node);
		if (m->type == FAN_MARK_INODE)
			inode_put(m->object);
		kfree(m);
	}
}

static void remove_if(struct fan_group *only, bool (*fits)(const struct fan_mark *m, const void *arg), const void *arg)
{
	struct fan_mark *m, *tmp;
	struct fan_group *g;
	LIST_HEAD(dead);

	if (!atomic_load_explicit(&nmarks, memory_order_relaxed))
		return;
	spin_lock(&fan_lock);
	list_for_each(g, &groups, node)
		if (!only || g == only)
			list_for_each_safe(m, tmp, &g->marks, node)
				if (fits(m, arg))
					unlink_mark(g, m, &dead);
	spin_unlock(&fan_lock);
	free_marks(&dead);
}

static bool is_on(const struct fan_mark *m, const void *object) { return m->object == object; }
static bool of_type(const struct fan_mark *m, const void *type) { return m->type == *(const u32 *)type; }
static bool any(const struct fan_mark *m, const void *unused) { return true; }
static bool inode_of(const struct fan_mark *m, const void *sb)
{
	return m->type == FAN_MARK_INODE && ((const struct inode *)m->object)->sb == sb;
}

void fanotify_forget(void *object) { remove_if(NULL, is_on, object); }
void fanotify_forget_inodes(struct super_block *sb) { remove_if(NULL, inode_of, sb); }
void fan_flush_marks(struct fan_group *g, u32 type) { remove_if(g, of_type, &type); }

void fan_delist(struct fan_group *g)
{
	remove_if(g, any, NULL);
	spin_lock(&fan_lock);
	list_del(&g->node);
	spin_unlock(&fan_lock);
}

static struct fan_mark *find(struct fan_group *g, const void *object)
{
	struct fan_mark *m;

	list_for_each(m, &g->marks, node)
		if (m->object == object)
			return m;
	return NULL;
}

long fan_add_mark(struct fan_group *g, u32 flags, void *object, u32 mask)
{
	struct fan_mark *fresh = kzalloc(sizeof(*fresh)), *m;
	long ret = 0;

	if (!fresh)
		return -ENOMEM;
	spin_lock(&fan_lock);
	m = find(g, object);
	if (!m && g->nmarks >= MARKS_MAX && !(g->flags & FAN_UNLIMITED_MARKS)) {
		ret = -ENOSPC;
	} else if (!m) {
		m = fresh;
		fresh = NULL;
		m->type = flags & (FAN_MARK_MOUNT | FAN_MARK_FILESYSTEM);
		m->object = m->type == FAN_MARK_INODE ? inode_get(object) : object;
		list_add_tail(&m->node, &g->marks);
		g->nmarks++;
		nmarks++;
		notify_watches++;
	}
	if (!ret && flags & FAN_MARK_IGNORED_MASK) {
		m->ignored |= mask;
		m->flags |= flags & FAN_MARK_IGNORED_SURV_MODIFY;
	} else if (!ret) {
		m->mask |= mask;
	}
	spin_unlock(&fan_lock);
	kfree(fresh);
	return ret;
}

long fan_remove_mark(struct fan_group *g, u32 flags, void *object, u32 mask)
{
	struct fan_mark *m;
	LIST_HEAD(dead);

	spin_lock(&fan_lock);
	m = find(g, object);
	if (m) {
		*(flags & FAN_MARK_IGNORED_MASK ? &m->ignored : &m->mask) &= ~mask;
		if (!m->mask && !m->ignored)
			unlink_mark(g, m, &dead);
	}
	spin_unlock(&fan_lock);
	free_marks(&dead);
	return m ? 0 : -ENOENT;
}

int fan_show_marks(struct fan_group *g, char *buf, size_t size)
{
	struct fan_mark *m;
	size_t n = 0;

	spin_lock(&fan_lock);
	list_for_each(m, &g->marks, node) {
		const struct inode *i = m->object;

		n += (size_t)kscnprintf(buf + n, size - n, "fanotify ");
		if (m->type == FAN_MARK_INODE)
			n += (size_t)kscnprintf(buf + n, size - n, "ino:%lx sdev:%x", i->ino, (u32)i->sb->dev);
		else if (m->type == FAN_MARK_MOUNT)
			n += (size_t)kscnprintf(buf + n, size - n, "mnt_id:%x", ((const struct mount *)m->object)->id);
		else
			n += (size_t)kscnprintf(buf + n, size - n, "sdev:%x", (u32)((const struct super_block *)m->object)->dev);
		n += (size_t)kscnprintf(buf + n, size - n, " mflags:%x mask:%x ignored_mask:%x\n", m->flags, m->mask, m->ignored);
	}
	spin_unlock(&fan_lock);
	return (int)n;
}
