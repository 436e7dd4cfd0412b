/*
 * inotify(7). A group is an inotify descriptor: its watches and its queue of events. A watch stands on one inode for one group
 * and holds a reference on the inode; the dentry it was set by is marked so that it is not forgotten under memory pressure.
 * Locks: watch_lock (spin) guards the lists of watches, then group->lock (spin) its queue.
 */
#include <asm/ioctls.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "base/string.h"
#include "sentry/kernel/settings.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/fanotify.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/transfer.h"


struct group {
	struct list_head watches; /* watch_lock */
	u32 nwatches;
	s32 last_wd;
	spinlock_t lock;
	struct list_head events; /* lock */
	u32 nevents;
	u64 bytes;
	struct waitq wait;
};
struct watch {
	struct list_head inode_node, group_node;
	struct inode *inode; /* reference */
	struct group *group;
	u32 mask;
	s32 wd;
};
struct notify_marks { /* inode->marks; made with the first watch, freed with the inode */
	struct list_head watches;
};
struct event {
	struct list_head node;
	struct inotify_event head;
	char name[]; /* head.len bytes */
};

_Atomic u32 notify_watches;
static spinlock_t watch_lock = SPINLOCK_INIT;
static _Atomic u32 ninstances;
static _Atomic u32 next_cookie;

/* ---- the queue ---- */

static struct event *event_new(s32 wd, u32 mask, u32 cookie, const char *name, u32 len)
{
	u32 padded = len ? ALIGN_UP(len + 1, (u32)sizeof(struct inotify_event)) : 0;
	struct event *e = kzalloc(sizeof(*e) + padded);

	if (!e)
		return NULL;
	e->head = (struct inotify_event){ .wd = wd, .mask = mask, .cookie = cookie, .len = padded };
	memcpy(e->name, name, len);
	return e;
}

static bool same_event(const struct event *a, const struct event *b)
{
	return a->head.wd == b->head.wd && a->head.mask == b->head.mask && a->head.cookie == b->head.cookie &&
	       a->head.len == b->head.len && !memcmp(a->name, b->name, a->head.len);
}

/* Consumes the event. A repetition of the last one is dropped; when the queue is full, one event says so. */
static void enqueue(struct group *g, struct event *e)
{
	spin_lock(&g->lock);
	if (g->nevents && same_event(e, list_last(&g->events, struct event, node))) {
		spin_unlock(&g->lock);
		kfree(e);
		return;
	}
	if (g->nevents >= settings.inotify_events) {
		if (g->nevents > settings.inotify_events) {
			spin_unlock(&g->lock);
			kfree(e);
			return;
		}
		e->head = (struct inotify_event){ .wd = -1, .mask = IN_Q_OVERFLOW };
	}
	list_add_tail(&e->node, &g->events);
	g->nevents++;
	g->bytes += sizeof(e->head) + e->head.len;
	spin_unlock(&g->lock);
	wake_up_poll(&g->wait, EPOLLIN | EPOLLRDNORM);
}

static void post(struct group *g, s32 wd, u32 mask, u32 cookie, const char *name, u32 len)
{
	struct event *e = event_new(wd, mask, cookie, name, len);

	if (e)
		enqueue(g, e);
}

/* ---- watches ---- */

/* lock held: out of both lists. The caller drops the reference on the inode and frees. */
static void unlink_watch(struct watch *w)
{
	list_del(&w->inode_node);
	list_del(&w->group_node);
	w->group->nwatches--;
	notify_watches--;
}

static void free_watches(struct list_head *dead)
{
	while (!list_empty(dead)) {
		struct watch *w = list_first(dead, struct watch, group_node);

		list_del(&w->group_node);
		inode_put(w->inode);
		kfree(w);
	}
}

/* Tell the watches of an inode; one that wanted one event only goes to `dead`. */
static void tell(struct inode *i, u32 mask, u32 cookie, const char *name, u32 len, struct list_head *dead)
{
	struct watch *w, *tmp;

	if (!i->marks)
		return;
	spin_lock(&watch_lock);
	list_for_each_safe(w, tmp, &i->marks->watches, inode_node) {
		if (!(w->mask & mask & IN_ALL_EVENTS))
			continue;
		post(w->group, w->wd, mask, cookie, name, len);
		if (!(w->mask & IN_ONESHOT))
			continue;
		post(w->group, w->wd, IN_IGNORED, 0, NULL, 0);
		unlink_watch(w);
		list_add(&w->group_node, dead);
	}
	spin_unlock(&watch_lock);
}

static bool notify_wanted(const struct inode *dir)
{
	return dir->marks || dnotify_any();
}

void notify_file_slow(struct mount *mnt, struct dentry *d, u32 mask)
{
	struct inode *i = d->inode;
	struct dentry *parent = NULL;
	LIST_HEAD(dead);
	char name[256];
	u32 len = 0;

	if (!i)
		return;
	fanotify_event(mnt, d, mask);
	if (S_ISDIR(i->mode))
		mask |= IN_ISDIR;
	spin_lock(&dcache_lock);
	if (d->parent != d && d->parent->inode && notify_wanted(d->parent->inode)) {
		parent = dentry_get(d->parent);
		len = MIN(d->name_len, 255u);
		memcpy(name, d->name, len);
	}
	spin_unlock(&dcache_lock);
	if (parent) {
		tell(parent->inode, mask, 0, name, len, &dead);
		dnotify_event(parent->inode, mask);
		dentry_put(parent);
	}
	tell(i, mask, 0, NULL, 0, &dead);
	if (S_ISDIR(i->mode))
		dnotify_event(i, mask);
	free_watches(&dead);
}

void notify_self_slow(struct inode *i, u32 mask)
{
	LIST_HEAD(dead);

	mask |= S_ISDIR(i->mode) ? IN_ISDIR : 0;
	fanotify_on_inode(i, mask);
	tell(i, mask, 0, NULL, 0, &dead);
	free_watches(&dead);
}

void notify_name_slow(struct inode *dir, const struct dentry *d, const struct inode *what, u32 mask, u32 cookie)
{
	LIST_HEAD(dead);

	mask |= what && S_ISDIR(what->mode) ? IN_ISDIR : 0;
	fanotify_on_inode(dir, mask);
	tell(dir, mask, cookie, d->name, d->name_len, &dead);
	dnotify_event(dir, mask);
	free_watches(&dead);
}

void notify_rename(struct inode *from_dir, const char *old_name, struct inode *to_dir, const struct dentry *moved)
{
	struct inode *i = moved->inode;
	u32 cookie = ++next_cookie, dir = S_ISDIR(i->mode) ? IN_ISDIR : 0;
	LIST_HEAD(dead);

	fanotify_on_inode(from_dir, IN_MOVED_FROM | dir);
	tell(from_dir, IN_MOVED_FROM | dir, cookie, old_name, (u32)strlen(old_name), &dead);
	dnotify_event(from_dir, IN_MOVED_FROM);
	notify_name_slow(to_dir, moved, i, IN_MOVED_TO, cookie);
	fanotify_on_inode(i, IN_MOVE_SELF | dir);
	tell(i, IN_MOVE_SELF, 0, NULL, 0, &dead);
	free_watches(&dead);
}

/* All watches of an inode end, with `mask` as the last event before IN_IGNORED. */
void notify_gone_slow(struct inode *i, u32 mask)
{
	struct watch *w, *tmp;
	LIST_HEAD(dead);

	fanotify_on_inode(i, mask | (S_ISDIR(i->mode) ? IN_ISDIR : 0));
	fanotify_forget(i);
	if (!i->marks)
		return;
	spin_lock(&watch_lock);
	list_for_each_safe(w, tmp, &i->marks->watches, inode_node) {
		if (w->mask & mask || mask == IN_UNMOUNT)
			post(w->group, w->wd, mask, 0, NULL, 0);
		post(w->group, w->wd, IN_IGNORED, 0, NULL, 0);
		unlink_watch(w);
		list_add(&w->group_node, &dead);
	}
	spin_unlock(&watch_lock);
	free_watches(&dead);
}

void notify_marks_free(struct inode *i)
{
	kfree(i->marks);
	i->marks = NULL;
}

/* ---- the descriptor ---- */

static struct list_head groups = LIST_HEAD_INIT(groups);
struct group_entry { /* a group with its place among all */
	struct group g;
	struct list_head node; /* watch_lock */
};

void notify_unmount(struct super_block *sb)
{
	fanotify_forget_inodes(sb);
	fanotify_forget(sb);
	for (;;) {
		struct group_entry *e;
		struct inode *found = NULL;

		spin_lock(&watch_lock);
		list_for_each(e, &groups, node) {
			struct watch *w;

			list_for_each(w, &e->g.watches, group_node)
				if (w->inode->sb == sb) {
					found = inode_get(w->inode);
					break;
				}
		}
		spin_unlock(&watch_lock);
		if (!found)
			return;
		notify_gone_slow(found, IN_UNMOUNT);
		inode_put(found);
	}
}

static struct event *pop(struct group *g, size_t room, bool *too_small)
{
	struct event *e = NULL;

	*too_small = false;
	spin_lock(&g->lock);
	if (g->nevents) {
		e = list_first(&g->events, struct event, node);
		if (sizeof(e->head) + e->head.len > room) {
			*too_small = true;
			e = NULL;
		} else {
			list_del(&e->node);
			g->nevents--;
			g->bytes -= sizeof(e->head) + e->head.len;
		}
	}
	spin_unlock(&g->lock);
	return e;
}

static long inotify_read(struct file *f, struct iov_iter *to, u64 *pos)
{
	struct group *g = f->priv;
	long done = 0;

	for (;;) {
		bool too_small;
		struct event *e = pop(g, to->count, &too_small);
		size_t n;

		if (e) {
			n = sizeof(e->head) + e->head.len;
			if (copy_to_iter(&e->head, n, to) != n) {
				kfree(e);
				return done ? done : -EFAULT;
			}
			done += (long)n;
			kfree(e);
			continue;
		}
		if (done || too_small)
			return done ? done : -EINVAL;
		if (file_nonblock(f))
			return -EAGAIN;
		if (wait_event_interruptible(g->wait, READ_ONCE(g->nevents)))
			return -ERESTARTSYS;
	}
}

static u32 inotify_poll(struct file *f, struct poll_table *pt)
{
	struct group *g = f->priv;

	poll_wait(f, &g->wait, pt);
	return READ_ONCE(g->nevents) ? EPOLLIN | EPOLLRDNORM : 0;
}

static long inotify_ioctl(struct file *f, u32 cmd, u64 arg)
{
	struct group *g = f->priv;
	s32 n;

	if (cmd != FIONREAD)
		return -ENOTTY;
	n = (s32)READ_ONCE(g->bytes);
	return put_user(n, arg);
}

static void inotify_release(struct file *f)
{
	struct group_entry *entry = container_of((struct group *)f->priv, struct group_entry, g);
	struct group *g = &entry->g;
	LIST_HEAD(dead);

	spin_lock(&watch_lock);
	list_del(&entry->node);
	while (!list_empty(&g->watches)) {
		struct watch *w = list_first(&g->watches, struct watch, group_node);

		unlink_watch(w);
		list_add(&w->group_node, &dead);
	}
	spin_unlock(&watch_lock);
	free_watches(&dead);
	while (!list_empty(&g->events)) {
		struct event *e = list_first(&g->events, struct event, node);

		list_del(&e->node);
		kfree(e);
	}
	kfree(entry);
	ninstances--;
}

static int inotify_show(struct file *f, char *buf, size_t size)
{
	struct group *g = f->priv;
	struct watch *w;
	size_t n = 0;

	spin_lock(&watch_lock);
	list_for_each(w, &g->watches, group_node)
		n += (size_t)kscnprintf(buf + n, size - n, "inotify wd:%x ino:%lx sdev:%x mask:%x ignored_mask:0\n", w->wd, w->inode->ino,
					(u32)w->inode->sb->dev, w->mask);
	spin_unlock(&watch_lock);
	return (int)n;
}

static const struct file_ops inotify_fops = {
	.read = inotify_read, .poll = inotify_poll, .ioctl = inotify_ioctl, .release = inotify_release, .llseek = noop_llseek,
	.show_fdinfo = inotify_show,
};

/* ---- system calls ---- */

static long do_init(u32 flags)
{
	struct group_entry *entry;
	struct file *f;
	s32 fd;

	if (flags & ~(u32)(IN_CLOEXEC | IN_NONBLOCK))
		return -EINVAL;
	if (ninstances >= settings.inotify_instances)
		return -EMFILE;
	entry = kzalloc(sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	list_init(&entry->g.watches);
	list_init(&entry->g.events);
	waitq_init(&entry->g.wait);
	f = anon_file("inotify", &inotify_fops, &entry->g, O_RDONLY | (flags & O_NONBLOCK));
	if (IS_ERR(f)) {
		kfree(entry);
		return PTR_ERR(f);
	}
	spin_lock(&watch_lock);
	list_add(&entry->node, &groups);
	spin_unlock(&watch_lock);
	ninstances++;
	fd = fd_alloc_install(f, flags & O_CLOEXEC, 0);
	if (fd < 0)
		file_put(f);
	return fd;
}
SYSCALL0(inotify_init) { return do_init(0); }
SYSCALL1(inotify_init1, u32, flags) { return do_init(flags); }

/* The inode's list of watches, made when it has none. */
static int need_marks(struct inode *i)
{
	struct notify_marks *fresh;

	if (READ_ONCE(i->marks))
		return 0;
	fresh = kzalloc(sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	list_init(&fresh->watches);
	spin_lock(&watch_lock);
	if (!i->marks) {
		i->marks = fresh;
		fresh = NULL;
	}
	spin_unlock(&watch_lock);
	kfree(fresh);
	return 0;
}

/* A watch of the group on the inode: changed, or `fresh` added. The descriptor, or -errno; *used: fresh was taken. */
static s32 put_watch(struct group *g, struct inode *i, u32 mask, struct watch *fresh, bool *used)
{
	struct watch *w;
	s32 wd;

	spin_lock(&watch_lock);
	list_for_each(w, &i->marks->watches, inode_node)
		if (w->group == g) {
			wd = mask & IN_MASK_CREATE ? -EEXIST : w->wd;
			if (wd > 0)
				w->mask = (mask & IN_MASK_ADD ? w->mask : 0) | (mask & ~(u32)IN_MASK_ADD);
			goto out;
		}
	if (g->nwatches >= settings.inotify_watches) {
		wd = -ENOSPC;
		goto out;
	}
	*fresh = (struct watch){ .inode = inode_get(i), .group = g, .mask = mask & ~(u32)(IN_MASK_ADD | IN_MASK_CREATE), .wd = ++g->last_wd };
	list_add_tail(&fresh->inode_node, &i->marks->watches);
	list_add_tail(&fresh->group_node, &g->watches);
	g->nwatches++;
	notify_watches++;
	*used = true;
	wd = fresh->wd;
out:
	spin_unlock(&watch_lock);
	return wd;
}

static long add_watch(struct group *g, const struct path *p, u32 mask)
{
	struct inode *i = p->dentry->inode;
	struct watch *fresh;
	bool used = false;
	s32 wd;
	int err = inode_permission(i, MAY_READ);

	if (!err)
		err = need_marks(i);
	if (err)
		return err;
	fresh = kzalloc(sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	spin_lock(&dcache_lock);
	p->dentry->flags |= DCACHE_KEEP;
	spin_unlock(&dcache_lock);
	wd = put_watch(g, i, mask, fresh, &used);
	if (!used)
		kfree(fresh);
	return wd;
}

static struct group *group_of(struct file *f) { return f->fop == &inotify_fops ? f->priv : NULL; }

/* Events or flags: a watch of flags alone is one for nothing. */
#define INOTIFY_BITS                                                                    \
	(IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_MASK_ADD | \
	 IN_MASK_CREATE | IN_ISDIR | IN_ONESHOT)

SYSCALL3(inotify_add_watch, s32, fd, u64, name, u32, mask)
{
	u32 lookup = (mask & IN_DONT_FOLLOW ? 0 : LOOKUP_FOLLOW) | (mask & IN_ONLYDIR ? LOOKUP_DIRECTORY : 0);
	struct file *f;
	struct path p;
	long ret;

	if (!(mask & INOTIFY_BITS) ||
	    (mask & (IN_MASK_ADD | IN_MASK_CREATE)) == (IN_MASK_ADD | IN_MASK_CREATE))
		return -EINVAL;
	f = fget(fd);
	if (!f)
		return -EBADF;
	ret = group_of(f) ? user_path_lookup(AT_FDCWD, name, lookup, &p) : -EINVAL;
	if (!ret) {
		ret = add_watch(group_of(f), &p, mask);
		path_put(&p);
	}
	file_put(f);
	return ret;
}

SYSCALL2(inotify_rm_watch, s32, fd, s32, wd)
{
	struct file *f = fget(fd);
	struct group *g = f ? group_of(f) : NULL;
	struct watch *w;
	LIST_HEAD(dead);
	long ret = -EINVAL;

	if (g) {
		spin_lock(&watch_lock);
		list_for_each(w, &g->watches, group_node)
			if (w->wd == wd) {
				unlink_watch(w);
				list_add(&w->group_node, &dead);
				post(g, wd, IN_IGNORED, 0, NULL, 0);
				ret = 0;
				break;
			}
		spin_unlock(&watch_lock);
		free_watches(&dead);
	}
	if (f)
		file_put(f);
	return f ? ret : -EBADF;
}
