/* fanotify_init(2), fanotify_mark(2), and the descriptor. Handles of directories, names and pidfds in events are refused. */
#include <asm/ioctls.h>
#include <linux/capability.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "base/string.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/fanotify.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/mount_tree.h"
#include "sentry/vfs/transfer.h"

#define INIT_FLAGS                                                                                                            \
	(FAN_CLOEXEC | FAN_NONBLOCK | FAN_ALL_CLASS_BITS | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS | FAN_REPORT_TID | FAN_REPORT_FID)
#define ADMIN_FLAGS (FAN_ALL_CLASS_BITS | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS | FAN_REPORT_TID)
#define EVENT_FILE_FLAGS (O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_CLOEXEC | O_LARGEFILE | O_NOATIME)
#define MARK_TYPES (FAN_MARK_INODE | FAN_MARK_MOUNT | FAN_MARK_FILESYSTEM)
#define MARK_COMMANDS (FAN_MARK_ADD | FAN_MARK_REMOVE | FAN_MARK_FLUSH)
#define MARK_FLAGS                                                                                                            \
	(MARK_COMMANDS | MARK_TYPES | FAN_MARK_DONT_FOLLOW | FAN_MARK_ONLYDIR | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY)
#define EVENT_BITS (FAN_PATH_EVENTS | FAN_INODE_EVENTS | FAN_PERM_EVENTS | FAN_EVENT_ON_CHILD | FAN_ONDIR)
#define GROUPS_MAX 128u /* fs.fanotify.max_user_groups */

static _Atomic u32 ngroups;

/* ---- reading ---- */

struct record {
	struct fanotify_event_metadata m;
	struct fanotify_event_info_header info;
	u32 fsid[2];
	struct inode_handle handle;
};

static u32 record_size(const struct fan_group *g)
{
	return fan_by_handle(g) ? sizeof(struct record) : sizeof(struct fanotify_event_metadata);
}

static struct fan_event *pop(struct fan_group *g)
{
	struct fan_event *e = NULL;

	spin_lock(&g->lock);
	if (g->nevents) {
		e = list_first(&g->events, struct fan_event, node);
		list_del(&e->node);
		list_init(&e->node);
		g->nevents--;
	}
	spin_unlock(&g->lock);
	return e;
}

static void answer(struct fan_group *g, struct fan_event *e, u32 what)
{
	WRITE_ONCE(e->answer, what);
	wake_up_all(&g->answers);
	fan_event_put(e);
}

/* A question that was read waits for its answer among the others; what else was read is done with. */
static void finish(struct fan_group *g, struct fan_event *e, s32 fd)
{
	if (!(e->mask & FAN_PERM_EVENTS)) {
		fan_event_put(e);
		return;
	}
	if (fd < 0) {
		answer(g, e, FAN_DENY);
		return;
	}
	spin_lock(&g->lock);
	e->fd = fd;
	list_add_tail(&e->node, &g->asked);
	spin_unlock(&g->lock);
}

static s32 shown_pid(const struct fan_group *g, const struct fan_event *e)
{
	if (g->unprivileged && e->pid != current->proc->tgid->nr)
		return 0; /* fanotify(7): who did it is for the privileged to know */
	return e->pid ? pid_shown(e->pid) : 0;
}

/* One event to the reader; its length or -errno. */
static long deliver(struct fan_group *g, struct fan_event *e, struct iov_iter *to)
{
	bool handle = fan_by_handle(g) && !(e->mask & FAN_Q_OVERFLOW), by_fd = e->path.dentry;
	struct record r = { .m = { .event_len = handle ? sizeof(r) : sizeof(r.m), .vers = FANOTIFY_METADATA_VERSION, .metadata_len = sizeof(r.m),
				   .mask = e->mask & ~(u64)(fan_by_handle(g) ? 0 : FAN_ONDIR), .fd = FAN_NOFD, .pid = shown_pid(g, e) } };
	struct file *f = NULL;
	s32 fd = 0;

	if (handle) {
		r.info = (struct fanotify_event_info_header){ FAN_EVENT_INFO_TYPE_FID, 0, sizeof(r) - sizeof(r.m) };
		r.fsid[0] = (u32)e->dev;
		r.handle = e->handle;
	}
	if (by_fd) {
		fd = fd_reserve(g->event_flags & O_CLOEXEC, 0);
		f = fd < 0 ? ERR_PTR(fd) : file_open_event(&e->path, g->event_flags);
		if (IS_ERR(f)) {
			if (fd >= 0)
				fd_unreserve(fd);
			finish(g, e, -1);
			return PTR_ERR(f);
		}
		r.m.fd = fd;
	}
	if (copy_to_iter(&r, r.m.event_len, to) != r.m.event_len) {
		if (by_fd) {
			fd_unreserve(fd);
			file_put(f);
		}
		finish(g, e, -1);
		return -EFAULT;
	}
	if (by_fd)
		fd_install(fd, f);
	finish(g, e, by_fd ? fd : 0);
	return r.m.event_len;
}

static long fan_read(struct file *f, struct iov_iter *to, u64 *pos)
{
	struct fan_group *g = f->priv;
	long done = 0, n;

	for (;;) {
		struct fan_event *e;

		if (READ_ONCE(g->nevents) && to->count < record_size(g))
			return done ? done : -EINVAL;
		e = pop(g);
		if (e) {
			n = deliver(g, e, to);
			if (n < 0)
				return done ? done : n;
			done += n;
			continue;
		}
		if (done)
			return done;
		if (file_nonblock(f))
			return -EAGAIN;
		if (wait_event_interruptible(g->wait, READ_ONCE(g->nevents)))
			return -ERESTARTSYS;
	}
}

/* fanotify(7), "Dealing with permission events". */
static long fan_write(struct file *f, struct iov_iter *from, u64 *pos)
{
	struct fan_group *g = f->priv;
	struct fanotify_response r;
	struct fan_event *e, *found = NULL;

	if (from->count < sizeof(r))
		return -EINVAL;
	if (copy_from_iter(&r, sizeof(r), from) < sizeof(r))
		return -EFAULT;
	if ((r.response != FAN_ALLOW && r.response != FAN_DENY) || r.fd < 0)
		return -EINVAL;
	spin_lock(&g->lock);
	list_for_each(e, &g->asked, node)
		if (e->fd == r.fd) {
			found = e;
			break;
		}
	if (found)
		list_del(&found->node);
	spin_unlock(&g->lock);
	if (!found)
		return -ENOENT;
	answer(g, found, r.response);
	return sizeof(r);
}

static u32 fan_poll(struct file *f, struct poll_table *pt)
{
	struct fan_group *g = f->priv;

	poll_wait(f, &g->wait, pt);
	return READ_ONCE(g->nevents) ? EPOLLIN | EPOLLRDNORM : 0;
}

static long fan_ioctl(struct file *f, u32 cmd, u64 arg)
{
	struct fan_group *g = f->priv;
	s32 n = (s32)(READ_ONCE(g->nevents) * sizeof(struct fanotify_event_metadata));

	return cmd == FIONREAD ? put_user(n, arg) : -ENOTTY;
}

static void fan_release(struct file *f)
{
	struct fan_group *g = f->priv;
	struct fan_event *e;

	fan_delist(g); /* no further questions */
	for (;;) {
		spin_lock(&g->lock);
		e = !list_empty(&g->events) ? list_first(&g->events, struct fan_event, node) :
		    !list_empty(&g->asked)  ? list_first(&g->asked, struct fan_event, node) : NULL;
		if (e)
			list_del(&e->node);
		spin_unlock(&g->lock);
		if (!e)
			break;
		answer(g, e, FAN_ALLOW);
	}
	ngroups--;
	fan_group_put(g);
}

static int fan_show(struct file *f, char *buf, size_t size)
{
	struct fan_group *g = f->priv;
	size_t n = (size_t)kscnprintf(buf, size, "fanotify flags:%x event-flags:%x\n", g->flags, g->event_flags);

	return (int)n + fan_show_marks(g, buf + n, size - n);
}

static const struct file_ops fan_fops = {
	.read = fan_read, .write = fan_write, .poll = fan_poll, .ioctl = fan_ioctl, .release = fan_release, .llseek = noop_llseek,
	.show_fdinfo = fan_show,
};

/* ---- fanotify_init ---- */

static int check_init(u32 flags, u32 event_flags, bool privileged)
{
	u32 mode = event_flags & O_ACCMODE;

	if (!privileged && (flags & ADMIN_FLAGS || !(flags & FAN_REPORT_FID)))
		return -EPERM;
	if (flags & ~(u32)INIT_FLAGS || event_flags & ~(u32)EVENT_FILE_FLAGS)
		return -EINVAL;
	if (mode == O_ACCMODE || (flags & FAN_ALL_CLASS_BITS) == FAN_ALL_CLASS_BITS)
		return -EINVAL;
	return flags & FAN_REPORT_FID && flags & FAN_ALL_CLASS_BITS ? -EINVAL : 0;
}

SYSCALL2(fanotify_init, u32, flags, u32, event_flags)
{
	bool privileged = capable(CAP_SYS_ADMIN);
	int err = check_init(flags, event_flags, privileged);
	struct fan_group *g;
	struct file *f;
	s32 fd;

	if (err)
		return err;
	if (ngroups >= GROUPS_MAX)
		return -EMFILE;
	g = kzalloc(sizeof(*g));
	if (!g)
		return -ENOMEM;
	list_init(&g->marks);
	list_init(&g->events);
	list_init(&g->asked);
	waitq_init(&g->wait);
	waitq_init(&g->answers);
	refcount_set(&g->ref, 1);
	g->flags = flags;
	g->event_flags = event_flags;
	g->unprivileged = !privileged;
	f = anon_file("fanotify", &fan_fops, g, O_RDWR | (flags & FAN_NONBLOCK ? O_NONBLOCK : 0));
	if (IS_ERR(f)) {
		kfree(g);
		return PTR_ERR(f);
	}
	fan_enlist(g);
	ngroups++;
	fd = fd_alloc_install(f, flags & FAN_CLOEXEC, 0);
	if (fd < 0)
		file_put(f);
	return fd;
}

/* ---- fanotify_mark ---- */

static int check_mark(u32 flags, u64 mask)
{
	u32 type = flags & MARK_TYPES, command = flags & MARK_COMMANDS;

	if (mask >> 32 || flags & ~(u32)MARK_FLAGS || type == (FAN_MARK_MOUNT | FAN_MARK_FILESYSTEM))
		return -EINVAL;
	if (command == FAN_MARK_FLUSH)
		return flags & ~(u32)(MARK_TYPES | FAN_MARK_FLUSH) ? -EINVAL : 0;
	if ((command != FAN_MARK_ADD && command != FAN_MARK_REMOVE) || !mask)
		return -EINVAL;
	return mask & ~(u64)EVENT_BITS ? -EINVAL : 0;
}

/* What a group of its kind may ask for. */
static int check_group(const struct fan_group *g, u32 flags, u32 mask)
{
	if (g->unprivileged && flags & (FAN_MARK_MOUNT | FAN_MARK_FILESYSTEM))
		return -EPERM;
	if (mask & FAN_PERM_EVENTS && !(g->flags & FAN_ALL_CLASS_BITS))
		return -EINVAL;
	return mask & FAN_INODE_EVENTS && (!fan_by_handle(g) || flags & FAN_MARK_MOUNT) ? -EINVAL : 0;
}

static int find_path(s32 dirfd, u64 uname, u32 flags, struct path *p)
{
	u32 lookup = (flags & FAN_MARK_DONT_FOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & FAN_MARK_ONLYDIR ? LOOKUP_DIRECTORY : 0);
	struct file *f;
	int err;

	if (uname) {
		err = user_path_lookup(dirfd, uname, lookup, p);
		if (err)
			return err;
	} else {
		f = fget(dirfd);
		if (!f)
			return -EBADF;
		*p = f->path;
		path_get(p);
		file_put(f);
		if (flags & FAN_MARK_ONLYDIR && !S_ISDIR(p->dentry->inode->mode)) {
			path_put(p);
			return -ENOTDIR;
		}
	}
	err = inode_permission(p->dentry->inode, MAY_READ);
	if (err)
		path_put(p);
	return err;
}

static long change(struct fan_group *g, const struct path *p, u32 flags, u32 mask)
{
	void *object = flags & FAN_MARK_MOUNT ? (void *)p->mnt : flags & FAN_MARK_FILESYSTEM ? (void *)p->dentry->sb : p->dentry->inode;
	struct inode_handle h;
	int err = fan_by_handle(g) ? handle_encode(p->dentry, &h) : 0;

	if (err)
		return err;
	if (p->mnt->internal && flags & (FAN_MARK_MOUNT | FAN_MARK_FILESYSTEM))
		return -EINVAL;
	if (flags & FAN_MARK_REMOVE)
		return fan_remove_mark(g, flags, object, mask);
	if (!(flags & (FAN_MARK_MOUNT | FAN_MARK_FILESYSTEM))) {
		spin_lock(&dcache_lock);
		p->dentry->flags |= DCACHE_KEEP;
		spin_unlock(&dcache_lock);
	}
	return fan_add_mark(g, flags, object, mask);
}

static long mark(struct fan_group *g, u32 flags, u64 mask, s32 dirfd, u64 uname)
{
	long ret = check_group(g, flags, (u32)mask);
	struct path p;

	if (ret)
		return ret;
	if (flags & FAN_MARK_FLUSH) {
		fan_flush_marks(g, flags & MARK_TYPES);
		return 0;
	}
	ret = find_path(dirfd, uname, flags, &p);
	if (!ret) {
		ret = change(g, &p, flags, (u32)mask);
		path_put(&p);
	}
	return ret;
}

SYSCALL5(fanotify_mark, s32, fd, u32, flags, u64, mask, s32, dirfd, u64, uname)
{
	long ret = check_mark(flags, mask);
	struct file *f;

	if (ret)
		return ret;
	f = fget(fd);
	if (!f)
		return -EBADF;
	ret = f->fop == &fan_fops ? mark(f->priv, flags, mask, dirfd, uname) : -EINVAL;
	file_put(f);
	return ret;
}
