/* Signals about a directory: fcntl(2), F_NOTIFY. A watch belongs to an open file, and goes with it. */
#include <asm-generic/siginfo.h>
#include <asm/signal.h>
#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "sentry/vfs/fasync.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/notify.h"

struct dnotify {
	struct list_head node;
	struct file *file; /* not a reference */
	struct inode *dir; /* reference */
	s32 fd;
	u32 mask; /* DN_* */
};
static struct list_head watches = LIST_HEAD_INIT(watches);
static spinlock_t dnotify_lock = SPINLOCK_INIT;
static u32 nwatches;

static const struct {
	u32 dn, in;
} events[] = {
	{ DN_ACCESS, IN_ACCESS }, { DN_MODIFY, IN_MODIFY }, { DN_CREATE, IN_CREATE | IN_MOVED_TO },
	{ DN_DELETE, IN_DELETE | IN_MOVED_FROM }, { DN_RENAME, IN_MOVED_FROM | IN_MOVED_TO }, { DN_ATTRIB, IN_ATTRIB },
};

static u32 dn_of(u32 mask)
{
	u32 dn = 0;

	for (u32 i = 0; i < ARRAY_SIZE(events); i++)
		if (mask & events[i].in)
			dn |= events[i].dn;
	return dn;
}

/* Take one file that wants to know, with a reference; it is not found again by this event. */
static struct file *next_told(const struct inode *dir, u32 dn, struct list_head *done, s32 *fd, struct dnotify **spent)
{
	struct dnotify *w;
	struct file *f = NULL;

	spin_lock(&dnotify_lock);
	list_for_each(w, &watches, node)
		if (w->dir == dir && w->mask & dn && refcount_inc_not_zero(&w->file->ref)) {
			f = w->file;
			*fd = w->fd;
			list_del(&w->node);
			if (w->mask & DN_MULTISHOT) {
				list_add_tail(&w->node, done);
			} else {
				*spent = w;
				nwatches--;
				notify_watches--;
			}
			break;
		}
	spin_unlock(&dnotify_lock);
	return f;
}

static void watch_free(struct dnotify *w)
{
	inode_put(w->dir);
	kfree(w);
}

bool dnotify_any(void)
{
	return READ_ONCE(nwatches);
}

void dnotify_event(struct inode *dir, u32 mask)
{
	LIST_HEAD(done);
	u32 dn = dn_of(mask);

	while (dn && READ_ONCE(nwatches)) {
		struct dnotify *spent = NULL;
		s32 fd = -1;
		struct file *f = next_told(dir, dn, &done, &fd, &spent);

		if (!f)
			break;
		file_signal_owner(f, fd, POLL_MSG, EPOLLIN | EPOLLRDNORM | EPOLLMSG);
		if (spent)
			watch_free(spent);
		file_put(f);
	}
	spin_lock(&dnotify_lock);
	list_splice_tail(&done, &watches);
	spin_unlock(&dnotify_lock);
}

void dnotify_release(struct file *f)
{
	struct dnotify *w, *found = NULL;

	if (!READ_ONCE(nwatches))
		return;
	spin_lock(&dnotify_lock);
	list_for_each(w, &watches, node)
		if (w->file == f) {
			list_del(&w->node);
			nwatches--;
			notify_watches--;
			found = w;
			break;
		}
	spin_unlock(&dnotify_lock);
	if (found)
		watch_free(found);
}

long fcntl_notify(s32 fd, struct file *f, u32 arg)
{
	struct dnotify *fresh, *w;
	bool used = false;
	long err;

	if (!(arg & ~DN_MULTISHOT)) {
		dnotify_release(f);
		return 0;
	}
	if (!S_ISDIR(f->inode->mode))
		return -ENOTDIR;
	fresh = kzalloc(sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	err = file_set_owner(f, task_tgid(current), F_OWNER_PID);
	if (err) {
		kfree(fresh);
		return err;
	}
	*fresh = (struct dnotify){ .file = f, .dir = inode_get(f->inode), .fd = fd, .mask = arg };
	spin_lock(&dnotify_lock);
	list_for_each(w, &watches, node)
		if (w->file == f) {
			w->mask |= arg;
			w->fd = fd;
			used = true;
			break;
		}
	if (!used) {
		list_add_tail(&fresh->node, &watches);
		nwatches++;
		notify_watches++;
	}
	spin_unlock(&dnotify_lock);
	if (used)
		watch_free(fresh);
	return 0;
}
