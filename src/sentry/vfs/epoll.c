/*
 * epoll(7).
 *
 * An eventpoll holds one item for each (file, descriptor) it watches, in a tree; items that may be ready are on its ready
 * list, put there by the wake-up callback, so that epoll_wait costs O(ready).
 * Lock order: epoll_lock (mutex; nesting changes and releases) -> ep->mtx of the outer -> ep->mtx of the inner eventpoll ->
 * the watched file's wait queue lock -> ep->lock (spin) -> ep->wq's lock. file->lock guards file->epoll_items.
 */
#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>

#include "base/string.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/epoll.h"
#include "sentry/vfs/poll_wqueues.h"
#include "sentry/vfs/select.h"

#define EP_PRIVATE_BITS (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)
#define EPOLLEXCLUSIVE_OK_BITS (EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)
#define EP_MAX_NESTS 4
#define EP_MAX_EVENTS (0x7fffffff / (int)sizeof(struct epoll_event))

struct eventpoll {
	struct mutex mtx; /* items, and who scans the ready list */
	struct rb_root items;
	struct file *file;

	spinlock_t lock;
	struct list_head ready; /* lock */
	bool scanning;		/* lock: ready items may be off the list for a moment */
	struct waitq wq;	/* epoll_wait */
	struct waitq poll_wait; /* those who poll the epoll descriptor itself */
};

struct epitem;
struct ep_hook { /* one wait queue an item listens on */
	struct waiter w;
	struct waitq *q;
	struct epitem *item;
	struct ep_hook *next;
};
struct epitem {
	struct rb_node node;
	struct list_head ready; /* self-linked: not on the ready list; ep->lock */
	struct list_head file_node; /* file->epoll_items; file->lock */
	struct eventpoll *ep;
	struct file *file; /* not a reference: epoll_file_release() comes first */
	s32 fd;
	struct ep_hook hook0, *hooks; /* the first needs no allocation */
	struct epoll_event event;     /* mtx to change, ep->lock too */
};
struct ep_poll_table {
	struct poll_table pt;
	struct epitem *item;
	bool failed;
};

static struct mutex epoll_lock = { .q = WAITQ_INIT(epoll_lock.q) };
static const struct file_ops epoll_fops;

static bool ep_maybe_ready(struct eventpoll *ep)
{
	return !list_empty(&ep->ready) || READ_ONCE(ep->scanning);
}

/* ---- wake-up ---- */

/* Was the wake-up used, so that an exclusive one need not go on to the next waiter? */
static bool ep_exclusive_used(u32 events, u32 key)
{
	switch (events & (EPOLLIN | EPOLLOUT)) {
	case EPOLLIN:
		return key & EPOLLIN;
	case EPOLLOUT:
		return key & EPOLLOUT;
	case 0:
		return true;
	}
	return false;
}

static bool ep_callback(struct waiter *w, u32 key)
{
	struct ep_hook *hook = container_of(w, struct ep_hook, w);
	struct epitem *item = hook->item;
	struct eventpoll *ep = item->ep;
	u32 events;
	bool used = false;

	spin_lock(&ep->lock);
	events = item->event.events;
	/* A one-shot item that fired is off until EPOLL_CTL_MOD. */
	if (!(events & ~EP_PRIVATE_BITS) || !(key & events)) {
		spin_unlock(&ep->lock);
		return false;
	}
	if (list_empty(&item->ready))
		list_add_tail(&item->ready, &ep->ready);
	if (waitq_active(&ep->wq)) {
		used = !(events & EPOLLEXCLUSIVE) || ep_exclusive_used(events, key);
		wake_up(&ep->wq);
	}
	spin_unlock(&ep->lock);
	if (waitq_active(&ep->poll_wait))
		wake_up_poll(&ep->poll_wait, EPOLLIN | EPOLLRDNORM);
	return events & EPOLLEXCLUSIVE ? used : true;
}

static void ep_queue(struct poll_table *pt, struct file *file, struct waitq *q)
{
	struct ep_poll_table *ept = container_of(pt, struct ep_poll_table, pt);
	struct epitem *item = ept->item;
	struct ep_hook *hook = item->hook0.q ? kzalloc(sizeof(*hook)) : &item->hook0;

	if (!hook) {
		ept->failed = true;
		return;
	}
	list_init(&hook->w.node);
	hook->w.fn = ep_callback;
	hook->w.exclusive = item->event.events & EPOLLEXCLUSIVE;
	hook->q = q;
	hook->item = item;
	hook->next = item->hooks;
	item->hooks = hook;
	waitq_add(q, &hook->w);
}

static void ep_unhook(struct epitem *item)
{
	struct ep_hook *hook;

	while ((hook = item->hooks)) {
		item->hooks = hook->next;
		waitq_remove(hook->q, &hook->w);
		if (hook != &item->hook0)
			kfree(hook);
	}
}

/* What of the item is ready now. */
static u32 ep_item_poll(struct epitem *item, struct poll_table *pt)
{
	if (pt)
		pt->events = item->event.events;
	return vfs_poll(item->file, pt) & item->event.events;
}

/* ---- items ---- */

static int ep_cmp(const struct epitem *item, const struct file *file, s32 fd)
{
	if (item->file != file)
		return item->file < file ? -1 : 1;
	return item->fd == fd ? 0 : item->fd < fd ? -1 : 1;
}

static struct epitem *ep_find(struct eventpoll *ep, const struct file *file, s32 fd)
{
	struct rb_node *n = ep->items.node;

	while (n) {
		struct epitem *item = container_of(n, struct epitem, node);
		int c = ep_cmp(item, file, fd);

		if (!c)
			return item;
		n = c < 0 ? n->right : n->left;
	}
	return NULL;
}

static void ep_link(struct eventpoll *ep, struct epitem *item)
{
	struct rb_node **link = &ep->items.node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = ep_cmp(container_of(parent, struct epitem, node), item->file, item->fd) < 0 ? &parent->right :
												     &parent->left;
	}
	rb_link_node(&item->node, parent, link);
	rb_insert(&item->node, &ep->items, NULL);
}

/* Forget an item. ep->mtx held. */
static void ep_remove(struct eventpoll *ep, struct epitem *item)
{
	ep_unhook(item);
	spin_lock(&item->file->lock);
	list_del(&item->file_node);
	spin_unlock(&item->file->lock);
	rb_erase(&item->node, &ep->items, NULL);
	spin_lock(&ep->lock);
	list_del(&item->ready);
	spin_unlock(&ep->lock);
	kfree(item);
}

/* Put it on the ready list if it is ready, and wake. ep->mtx held. */
static void ep_make_ready(struct eventpoll *ep, struct epitem *item)
{
	bool wake_pollers = false;

	spin_lock(&ep->lock);
	if (list_empty(&item->ready)) {
		list_add_tail(&item->ready, &ep->ready);
		if (waitq_active(&ep->wq))
			wake_up(&ep->wq);
		wake_pollers = waitq_active(&ep->poll_wait);
	}
	spin_unlock(&ep->lock);
	if (wake_pollers)
		wake_up_poll(&ep->poll_wait, EPOLLIN | EPOLLRDNORM);
}

static int ep_insert(struct eventpoll *ep, struct file *file, s32 fd, const struct epoll_event *ev)
{
	struct epitem *item = kzalloc(sizeof(*item));
	struct ep_poll_table ept = { .pt.queue = ep_queue, .item = item };

	if (!item)
		return -ENOMEM;
	item->ep = ep;
	item->file = file;
	item->fd = fd;
	item->event = *ev;
	list_init(&item->ready);
	spin_lock(&file->lock);
	if (!file->epoll_items.next)
		list_init(&file->epoll_items);
	list_add_tail(&item->file_node, &file->epoll_items);
	spin_unlock(&file->lock);
	ep_link(ep, item);
	if (ep_item_poll(item, &ept.pt))
		ep_make_ready(ep, item);
	if (ept.failed) {
		ep_remove(ep, item);
		return -ENOMEM;
	}
	return 0;
}

static void ep_modify(struct eventpoll *ep, struct epitem *item, const struct epoll_event *ev)
{
	spin_lock(&ep->lock);
	item->event = *ev;
	spin_unlock(&ep->lock);
	/* The callback sees the new mask from here on; what was ready before is found by asking. */
	if (ep_item_poll(item, NULL))
		ep_make_ready(ep, item);
}

/* ---- harvesting ---- */

static void scan_begin(struct eventpoll *ep, struct list_head *list)
{
	list_init(list);
	spin_lock(&ep->lock);
	list_splice_tail(&ep->ready, list);
	ep->scanning = true;
	spin_unlock(&ep->lock);
}

/* Items still on `list` go back to the front; whoever else may be served is woken. */
static void scan_end(struct eventpoll *ep, struct list_head *list)
{
	spin_lock(&ep->lock);
	list_splice_tail(&ep->ready, list);
	list_splice_tail(list, &ep->ready);
	ep->scanning = false;
	if (!list_empty(&ep->ready) && waitq_active(&ep->wq))
		wake_up(&ep->wq);
	spin_unlock(&ep->lock);
}

static struct epitem *scan_pop(struct eventpoll *ep, struct list_head *list)
{
	struct epitem *item = NULL;

	spin_lock(&ep->lock);
	if (!list_empty(list)) {
		item = list_first(list, struct epitem, ready);
		list_del(&item->ready);
	}
	spin_unlock(&ep->lock);
	return item;
}

static void ready_again(struct eventpoll *ep, struct epitem *item)
{
	spin_lock(&ep->lock);
	if (list_empty(&item->ready))
		list_add_tail(&item->ready, &ep->ready);
	spin_unlock(&ep->lock);
}

/* Copy out up to max events. Count, or -EFAULT. */
static int ep_send_events(struct eventpoll *ep, u64 uevents, int max)
{
	struct list_head list;
	struct epitem *item;
	int n = 0;

	mutex_lock(&ep->mtx);
	scan_begin(ep, &list);
	while (n < max && (item = scan_pop(ep, &list))) {
		struct epoll_event ev = { .events = ep_item_poll(item, NULL), .data = item->event.data };

		if (!ev.events)
			continue;
		if (copy_to_user(uevents + n * sizeof(ev), &ev, sizeof(ev))) {
			ready_again(ep, item);
			if (!n)
				n = -EFAULT;
			break;
		}
		n++;
		if (item->event.events & EPOLLONESHOT) {
			spin_lock(&ep->lock);
			item->event.events &= EP_PRIVATE_BITS;
			spin_unlock(&ep->lock);
		} else if (!(item->event.events & EPOLLET)) {
			ready_again(ep, item); /* level: reported until it is found not ready */
		}
	}
	scan_end(ep, &list);
	mutex_unlock(&ep->mtx);
	return n;
}

/* Is there an item that is really ready? Those that are not leave the list. */
static bool ep_poll_items(struct eventpoll *ep)
{
	struct list_head list;
	struct epitem *item;
	bool found = false;

	mutex_lock(&ep->mtx);
	scan_begin(ep, &list);
	while (!found && (item = scan_pop(ep, &list))) {
		found = ep_item_poll(item, NULL);
		if (found) {
			spin_lock(&ep->lock);
			if (list_empty(&item->ready))
				list_add(&item->ready, &list);
			spin_unlock(&ep->lock);
		}
	}
	scan_end(ep, &list);
	mutex_unlock(&ep->mtx);
	return found;
}

static u32 epoll_poll(struct file *f, struct poll_table *pt)
{
	struct eventpoll *ep = f->priv;

	poll_wait(f, &ep->poll_wait, pt);
	return ep_poll_items(ep) ? EPOLLIN | EPOLLRDNORM : 0;
}

/* ---- nesting ---- */

/* Depth of eventpolls watched below ep; more than EP_MAX_NESTS, or `avoid` among them: a loop. epoll_lock held. */
static int ep_depth_below(struct eventpoll *ep, struct eventpoll *avoid, int depth)
{
	int deepest = 0;

	if (ep == avoid || depth > EP_MAX_NESTS)
		return EP_MAX_NESTS + 1;
	for (struct rb_node *n = rb_first(&ep->items); n; n = rb_next(n)) {
		struct epitem *item = container_of(n, struct epitem, node);
		int d;

		if (item->file->fop != &epoll_fops)
			continue;
		d = 1 + ep_depth_below(item->file->priv, avoid, depth + 1);
		deepest = MAX(deepest, d);
		if (deepest > EP_MAX_NESTS)
			break;
	}
	return deepest;
}

static int ep_depth_above(struct eventpoll *ep, int depth)
{
	struct epitem *item;
	int deepest = 0;

	if (depth > EP_MAX_NESTS || !ep->file->epoll_items.next)
		return 0;
	list_for_each(item, &ep->file->epoll_items, file_node)
		deepest = MAX(deepest, 1 + ep_depth_above(item->ep, depth + 1));
	return deepest;
}

static int ep_check_nesting(struct eventpoll *ep, struct eventpoll *target)
{
	int below = ep_depth_below(target, ep, 0);

	return below > EP_MAX_NESTS || ep_depth_above(ep, 0) + 1 + below > EP_MAX_NESTS ? -ELOOP : 0;
}

/* ---- files ---- */

void epoll_file_release(struct file *f)
{
	struct epitem *item;

	if (!f->epoll_items.next || list_empty(&f->epoll_items))
		return;
	mutex_lock(&epoll_lock);
	while (!list_empty(&f->epoll_items)) {
		struct eventpoll *ep;

		item = list_first(&f->epoll_items, struct epitem, file_node);
		ep = item->ep;
		mutex_lock(&ep->mtx);
		ep_remove(ep, item);
		mutex_unlock(&ep->mtx);
	}
	mutex_unlock(&epoll_lock);
}

static void epoll_release(struct file *f)
{
	struct eventpoll *ep = f->priv;
	struct rb_node *n;

	mutex_lock(&epoll_lock);
	mutex_lock(&ep->mtx);
	while ((n = rb_first(&ep->items)))
		ep_remove(ep, container_of(n, struct epitem, node));
	mutex_unlock(&ep->mtx);
	mutex_unlock(&epoll_lock);
	kfree(ep);
}

static int epoll_show_fdinfo(struct file *f, char *buf, size_t size)
{
	struct eventpoll *ep = f->priv;
	int len = 0;

	mutex_lock(&ep->mtx);
	for (struct rb_node *n = rb_first(&ep->items); n && (size_t)len < size; n = rb_next(n)) {
		struct epitem *item = container_of(n, struct epitem, node);
		struct inode *inode = item->file->inode;

		len += kscnprintf(buf + len, size - len,
				  "tfd: %8d events: %8x data: %16llx  pos:%lli ino:%llx sdev:%llx\n", item->fd,
				  item->event.events, (unsigned long long)item->event.data, (long long)item->file->pos,
				  (unsigned long long)(inode ? inode->ino : 0),
				  (unsigned long long)(inode && inode->sb ? inode->sb->dev : 0));
	}
	mutex_unlock(&ep->mtx);
	return len;
}

static const struct file_ops epoll_fops = {
	.llseek = noop_llseek,
	.release = epoll_release,
	.poll = epoll_poll,
	.show_fdinfo = epoll_show_fdinfo,
};

static long do_epoll_create(u32 flags)
{
	struct eventpoll *ep;
	struct file *f;
	long fd;

	if (flags & ~EPOLL_CLOEXEC)
		return -EINVAL;
	ep = kzalloc(sizeof(*ep));
	if (!ep)
		return -ENOMEM;
	mutex_init(&ep->mtx);
	spin_lock_init(&ep->lock);
	list_init(&ep->ready);
	waitq_init(&ep->wq);
	waitq_init(&ep->poll_wait);
	f = anon_file("eventpoll", &epoll_fops, ep, O_RDWR);
	if (IS_ERR(f)) {
		kfree(ep);
		return PTR_ERR(f);
	}
	ep->file = f;
	fd = fd_alloc_install(f, flags & EPOLL_CLOEXEC, 0);
	if (fd < 0)
		file_put(f);
	return fd;
}

SYSCALL1(epoll_create, s32, size)
{
	return size <= 0 ? -EINVAL : do_epoll_create(0);
}

SYSCALL1(epoll_create1, s32, flags)
{
	return do_epoll_create(flags);
}

/* ---- epoll_ctl ---- */

static int ep_ctl_locked(struct eventpoll *ep, u32 op, struct file *target, s32 fd, struct epoll_event *ev)
{
	struct epitem *item = ep_find(ep, target, fd);

	switch (op) {
	case EPOLL_CTL_ADD:
		if (item)
			return -EEXIST;
		ev->events |= EPOLLERR | EPOLLHUP;
		return ep_insert(ep, target, fd, ev);
	case EPOLL_CTL_DEL:
		if (!item)
			return -ENOENT;
		ep_remove(ep, item);
		return 0;
	case EPOLL_CTL_MOD:
		if (!item)
			return -ENOENT;
		if (item->event.events & EPOLLEXCLUSIVE)
			return -EINVAL;
		ev->events |= EPOLLERR | EPOLLHUP;
		ep_modify(ep, item, ev);
		return 0;
	}
	return -EINVAL;
}

static int ep_ctl_check(struct file *f, struct file *target, u32 op, const struct epoll_event *ev)
{
	if (!target->fop->poll)
		return -EPERM; /* files and directories: always ready, not pollable */
	if (f == target || f->fop != &epoll_fops)
		return -EINVAL;
	if (op != EPOLL_CTL_DEL && (ev->events & EPOLLEXCLUSIVE)) {
		if (op == EPOLL_CTL_MOD || (ev->events & ~EPOLLEXCLUSIVE_OK_BITS))
			return -EINVAL;
		if (target->fop == &epoll_fops)
			return -EINVAL;
	}
	return 0;
}

SYSCALL4(epoll_ctl, s32, epfd, s32, op, s32, fd, u64, uevent)
{
	struct epoll_event ev = { 0 };
	struct eventpoll *ep;
	struct file *f, *target;
	bool nested;
	int err;

	if (op != EPOLL_CTL_DEL && copy_from_user(&ev, uevent, sizeof(ev)))
		return -EFAULT;
	f = fget(epfd);
	if (!f)
		return -EBADF;
	target = fget(fd);
	if (!target) {
		file_put(f);
		return -EBADF;
	}
	err = ep_ctl_check(f, target, op, &ev);
	if (err)
		goto out;
	ep = f->priv;
	nested = op == EPOLL_CTL_ADD && (target->fop == &epoll_fops || (f->epoll_items.next && !list_empty(&f->epoll_items)));
	if (nested)
		mutex_lock(&epoll_lock);
	if (nested && target->fop == &epoll_fops)
		err = ep_check_nesting(ep, target->priv);
	if (!err) {
		mutex_lock(&ep->mtx);
		err = ep_ctl_locked(ep, op, target, fd, &ev);
		mutex_unlock(&ep->mtx);
	}
	if (nested)
		mutex_unlock(&epoll_lock);
out:
	file_put(target);
	file_put(f);
	return err;
}

/* ---- epoll_wait ---- */

/* Sleep until items may be ready: 0, -ETIMEDOUT, -EINTR. Waiters are exclusive: one event wakes one thread. */
static int ep_sleep(struct eventpoll *ep, u64 deadline)
{
	struct waiter w = { .exclusive = true };
	bool late = false;
	int err = 0;

	list_init(&w.node);
	for (;;) {
		prepare_to_wait(&ep->wq, &w, TASK_INTERRUPTIBLE);
		if (ep_maybe_ready(ep))
			break;
		if (late)
			err = -ETIMEDOUT;
		else if (signal_pending())
			err = -EINTR;
		if (err)
			break;
		late = schedule_until(deadline);
	}
	finish_wait(&ep->wq, &w);
	return err;
}

static int ep_wait(struct eventpoll *ep, u64 uevents, int max, u64 deadline, bool nowait)
{
	int err = 0, n;

	for (;;) {
		/* After an early end too: the wake-up that we took may have been for this. */
		n = ep_maybe_ready(ep) ? ep_send_events(ep, uevents, max) : 0;
		if (n || nowait)
			return n;
		if (err)
			return err == -ETIMEDOUT ? 0 : err;
		err = ep_sleep(ep, deadline);
	}
}

static long do_epoll_wait(s32 epfd, u64 uevents, s32 max, u64 deadline, bool nowait)
{
	struct file *f;
	long ret = -EINVAL;

	if (max <= 0 || max > EP_MAX_EVENTS)
		return -EINVAL;
	if (!access_ok(uevents, (u64)max * sizeof(struct epoll_event)))
		return -EFAULT;
	f = fget(epfd);
	if (!f)
		return -EBADF;
	if (f->fop == &epoll_fops)
		ret = ep_wait(f->priv, uevents, max, deadline, nowait);
	file_put(f);
	return ret;
}

static u64 ms_deadline(s32 ms)
{
	return ms < 0 ? ~0ull : poll_deadline(ms / 1000, ms % 1000 * NSEC_PER_MSEC);
}

SYSCALL4(epoll_wait, s32, epfd, u64, uevents, s32, max, s32, timeout_ms)
{
	return do_epoll_wait(epfd, uevents, max, timeout_ms ? ms_deadline(timeout_ms) : 0, timeout_ms == 0);
}

SYSCALL6(epoll_pwait, s32, epfd, u64, uevents, s32, max, s32, timeout_ms, u64, sigmask, u64, sigsetsize)
{
	long ret = poll_set_sigmask(sigmask, sigsetsize);

	if (ret)
		return ret;
	ret = do_epoll_wait(epfd, uevents, max, timeout_ms ? ms_deadline(timeout_ms) : 0, timeout_ms == 0);
	restore_saved_sigmask_unless(ret == -EINTR);
	return ret;
}

SYSCALL6(epoll_pwait2, s32, epfd, u64, uevents, s32, max, u64, uts, u64, sigmask, u64, sigsetsize)
{
	u64 deadline;
	bool nowait;
	long ret = poll_get_timeout(uts, POLL_TIMESPEC, &deadline, &nowait);

	if (!ret)
		ret = poll_set_sigmask(sigmask, sigsetsize);
	if (ret)
		return ret;
	ret = do_epoll_wait(epfd, uevents, max, deadline, nowait);
	restore_saved_sigmask_unless(ret == -EINTR);
	return ret;
}
