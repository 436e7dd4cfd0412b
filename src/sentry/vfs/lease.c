/*
 * Leases: fcntl(2), "Leases". Who holds one is told, by a signal, before another's open(2) or truncate(2) goes through, and has
 * /proc/sys/fs/lease-break-time to give it up.
 */
#include "sentry/vfs/lease.h"
#include "sentry/kernel/settings.h"

#include <asm-generic/siginfo.h>
#include <linux/capability.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "sentry/kernel/timer.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/vfs/fasync.h"
#include "sentry/vfs/internal.h"

struct lease {
	struct list_head node;
	struct inode *inode;
	struct file *file; /* not a reference: the lease goes with it */
	s32 fd, type;	   /* F_RDLCK or F_WRLCK */
	s32 target;	   /* while it is being broken: what it becomes; else the type */
	u64 deadline;	   /* then */
};
static struct list_head leases = LIST_HEAD_INIT(leases);
static spinlock_t lease_lock = SPINLOCK_INIT;
static struct waitq lease_wait = WAITQ_INIT(lease_wait);
static u32 nleases;

/* lease_lock held */
static void drop(struct lease *l)
{
	list_del(&l->node);
	nleases--;
	kfree(l);
}

static struct lease *lease_of(const struct file *f)
{
	struct lease *l;

	list_for_each(l, &leases, node)
		if (l->file == f)
			return l;
	return NULL;
}

/* ---- fcntl ---- */

/* A read lease needs that nobody writes, a write lease that nobody else has it open. */
static bool in_use(const struct file *f, s32 type)
{
	if (type == F_RDLCK)
		return READ_ONCE(f->inode->writecount) > 0;
	return refcount_read(&f->path.dentry->ref) > 1;
}

static long set_lease(struct file *f, s32 fd, s32 type)
{
	struct lease *fresh = kzalloc(sizeof(*fresh)), *l;
	long err = 0;

	if (!fresh)
		return -ENOMEM;
	spin_lock(&lease_lock);
	l = lease_of(f);
	if (in_use(f, type) || (l && l->target != l->type && type != l->target)) {
		err = -EAGAIN;
	} else if (l) {
		l->type = l->target = type;
		l->deadline = 0;
	} else {
		*fresh = (struct lease){ .inode = f->inode, .file = f, .fd = fd, .type = type, .target = type };
		list_add_tail(&fresh->node, &leases);
		nleases++;
		fresh = NULL;
	}
	spin_unlock(&lease_lock);
	kfree(fresh);
	wake_up_all(&lease_wait);
	return err;
}

long fcntl_setlease(struct file *f, s32 fd, s32 type)
{
	struct lease *l;
	long err;

	if (current->cred->fsuid != f->inode->uid && !owner_capable(f->inode->uid, f->inode->gid, CAP_LEASE))
		return -EACCES;
	if (!settings.leases_enable || !S_ISREG(f->inode->mode) || (type != F_RDLCK && type != F_WRLCK && type != F_UNLCK))
		return -EINVAL;
	if (type != F_UNLCK) {
		err = set_lease(f, fd, type);
		return err || f->owner ? err : file_set_owner(f, task_tgid(current), F_OWNER_PID);
	}
	spin_lock(&lease_lock);
	l = lease_of(f);
	if (l)
		drop(l);
	spin_unlock(&lease_lock);
	if (!l)
		return -EAGAIN;
	f->owner_sig = 0; /* F_SETSIG and F_SETOWN go with it */
	file_set_owner(f, 0, F_OWNER_PID);
	wake_up_all(&lease_wait);
	return 0;
}

s32 fcntl_getlease(const struct file *f)
{
	struct lease *l;
	s32 type;

	spin_lock(&lease_lock);
	l = lease_of(f);
	type = l ? l->target : F_UNLCK;
	spin_unlock(&lease_lock);
	return type;
}

void lease_release(struct file *f)
{
	struct lease *l;

	if (!READ_ONCE(nleases))
		return;
	spin_lock(&lease_lock);
	l = lease_of(f);
	if (l)
		drop(l);
	spin_unlock(&lease_lock);
	if (l)
		wake_up_all(&lease_wait);
}

/* ---- breaking ---- */

static bool conflicts(const struct lease *l, const struct inode *i, bool write)
{
	return l->inode == i && (write || l->type == F_WRLCK);
}

/* Those that are late lose it. The next deadline, 0: nothing in the way. lease_lock held. */
static u64 expire(const struct inode *i, bool write)
{
	struct lease *l, *tmp;
	u64 now = clock_mono_ns(), next = 0;

	list_for_each_safe(l, tmp, &leases, node) {
		if (!conflicts(l, i, write))
			continue;
		if (l->deadline && l->deadline <= now) {
			if (l->target == F_UNLCK)
				drop(l);
			else
				l->type = l->target;
			continue;
		}
		if (!next || l->deadline < next)
			next = l->deadline ? l->deadline : ~0ull;
	}
	return next;
}

/* A holder who has not been told yet, with a reference. */
static struct file *next_holder(const struct inode *i, bool write, s32 *fd)
{
	struct lease *l;
	struct file *f = NULL;
	s32 target = write ? F_UNLCK : F_RDLCK;

	spin_lock(&lease_lock);
	list_for_each(l, &leases, node) {
		if (!conflicts(l, i, write) || l->target == target || l->target == F_UNLCK || !refcount_inc_not_zero(&l->file->ref))
			continue;
		if (!l->deadline)
			l->deadline = clock_mono_ns() + settings.lease_break_time * NSEC_PER_SEC;
		l->target = target;
		*fd = l->fd;
		f = l->file;
		break;
	}
	spin_unlock(&lease_lock);
	return f;
}

static u64 in_the_way(const struct inode *i, bool write)
{
	u64 next;

	spin_lock(&lease_lock);
	next = expire(i, write);
	spin_unlock(&lease_lock);
	return next;
}

long lease_break_slow(struct inode *i, bool write, bool nonblock)
{
	struct file *f;
	u64 next;
	s32 fd;
	long err;

	if (!in_the_way(i, write))
		return 0;
	while ((f = next_holder(i, write, &fd))) {
		file_signal_owner(f, fd, POLL_MSG, EPOLLIN | EPOLLRDNORM | EPOLLMSG);
		file_put(f);
	}
	if (nonblock)
		return -EWOULDBLOCK;
	while ((next = in_the_way(i, write))) {
		err = wait_event_interruptible_until(lease_wait, !in_the_way(i, write), next);
		if (err && err != -ETIMEDOUT)
			return err;
	}
	return 0;
}

bool leases_any(void)
{
	return READ_ONCE(nleases);
}
