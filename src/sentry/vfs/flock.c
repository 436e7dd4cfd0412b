/* File locks: fcntl(2) record locks of processes and of open descriptions, flock(2). */
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>

#include "sentry/sys/syscall.h"
#include "sentry/vfs/internal.h"

#define FLOCK_EX 2
#define FLOCK_SH 1
#define FLOCK_UN 8
#define FLOCK_NB 4
#define FLOCK_MAND 32u

struct lock {
	struct list_head node;
	u64 start, end; /* inclusive */
	bool write, whole; /* whole: flock(2) */
	void *owner;	/* struct files of a process; struct file of the others */
	s32 pid;
};
struct flock_state {
	spinlock_t lock;
	struct list_head locks; /* sorted by nothing in particular */
	struct waitq wait;	/* something was released */
};

static spinlock_t create_lock = SPINLOCK_INIT;

static struct flock_state *state_of(struct inode *i)
{
	struct flock_state *s = READ_ONCE(i->flocks), *fresh;

	if (s)
		return s;
	fresh = kzalloc(sizeof(*fresh));
	if (!fresh)
		return NULL;
	list_init(&fresh->locks);
	waitq_init(&fresh->wait);
	spin_lock(&create_lock);
	if (!i->flocks) {
		i->flocks = fresh;
		fresh = NULL;
	}
	s = i->flocks;
	spin_unlock(&create_lock);
	kfree(fresh);
	return s;
}

void locks_free(struct inode *i)
{
	kfree(i->flocks);
	i->flocks = NULL;
}

static bool conflicts(const struct lock *a, const struct lock *b)
{
	return a->whole == b->whole && a->owner != b->owner && (a->write || b->write) && a->start <= b->end && b->start <= a->end;
}

/* lock held */
static struct lock *find_conflict(struct flock_state *s, const struct lock *want)
{
	struct lock *l;

	list_for_each(l, &s->locks, node)
		if (conflicts(l, want))
			return l;
	return NULL;
}

/*
 * Cut [start, end] out of the owner's locks; lock held. A lock that is split in two takes its second half from *spare.
 */
static void cut(struct flock_state *s, const struct lock *r, struct lock **spare)
{
	struct lock *l, *tmp;

	list_for_each_safe(l, tmp, &s->locks, node) {
		if (l->owner != r->owner || l->whole != r->whole || l->end < r->start || l->start > r->end)
			continue;
		if (l->start < r->start && l->end > r->end) {
			struct lock *tail = *spare;

			*spare = NULL;
			*tail = *l;
			tail->start = r->end + 1;
			l->end = r->start - 1;
			list_add(&tail->node, &s->locks);
			return;
		}
		if (l->start < r->start) {
			l->end = r->start - 1;
		} else if (l->end > r->end) {
			l->start = r->end + 1;
		} else {
			list_del(&l->node);
			kfree(l);
		}
	}
}

/* Join the new lock with neighbours of the same owner and kind; lock held. */
static void insert(struct flock_state *s, struct lock *n)
{
	struct lock *l, *tmp;

	list_for_each_safe(l, tmp, &s->locks, node) {
		if (l->owner != n->owner || l->whole != n->whole || l->write != n->write)
			continue;
		if (l->end != ~0ull && l->end + 1 == n->start)
			n->start = l->start;
		else if (n->end != ~0ull && n->end + 1 == l->start)
			n->end = l->end;
		else
			continue;
		list_del(&l->node);
		kfree(l);
	}
	list_add(&n->node, &s->locks);
}

static bool is_free(struct flock_state *s, const struct lock *want)
{
	bool is;

	spin_lock(&s->lock);
	is = !find_conflict(s, want);
	spin_unlock(&s->lock);
	return is;
}

/* ---- deadlocks of processes that wait for each other's record locks: EDEADLK of fcntl(2) ---- */

struct blocked {
	struct list_head node;
	const void *owner, *holder;
};
static struct list_head blocked_list = LIST_HEAD_INIT(blocked_list); /* deadlock_lock */
static spinlock_t deadlock_lock = SPINLOCK_INIT;

/* Would `owner` wait, through others, for itself? lock held. */
static bool waits_for(const void *holder, const void *owner)
{
	for (u32 steps = 0; steps < 32; steps++) {
		const struct blocked *b, *next = NULL;

		if (holder == owner)
			return true;
		list_for_each(b, &blocked_list, node)
			if (b->owner == holder) {
				next = b;
				break;
			}
		if (!next)
			return false;
		holder = next->holder;
	}
	return false;
}

/* Whom a process's record lock has to wait for, noted in *b; -EDEADLK. */
static long note_blocked(struct flock_state *s, const struct lock *want, struct blocked *b)
{
	struct lock *l;
	long err = 0;

	spin_lock(&s->lock);
	l = find_conflict(s, want);
	*b = (struct blocked){ .owner = want->owner, .holder = l ? l->owner : NULL };
	spin_unlock(&s->lock);
	list_init(&b->node);
	if (!b->holder || want->whole || want->pid < 0)
		return 0;
	spin_lock(&deadlock_lock);
	if (waits_for(b->holder, b->owner))
		err = -EDEADLK;
	else
		list_add(&b->node, &blocked_list);
	spin_unlock(&deadlock_lock);
	return err;
}

static long wait_for_lock(struct flock_state *s, const struct lock *want)
{
	struct blocked b;
	long err = note_blocked(s, want, &b);

	if (err)
		return err;
	err = wait_event_interruptible(s->wait, is_free(s, want));
	spin_lock(&deadlock_lock);
	list_del(&b.node);
	spin_unlock(&deadlock_lock);
	return err;
}

/* A flock(2) lock of another kind goes before the new one is waited for: the conversion is not atomic. */
static void drop_for_conversion(struct flock_state *s, const struct lock *want)
{
	struct lock *l, *tmp;
	bool dropped = false;

	if (!want->whole)
		return;
	spin_lock(&s->lock);
	list_for_each_safe(l, tmp, &s->locks, node)
		if (l->whole && l->owner == want->owner && l->write != want->write) {
			list_del(&l->node);
			kfree(l);
			dropped = true;
		}
	spin_unlock(&s->lock);
	if (dropped)
		wake_up_all(&s->wait);
}

/* Set (or, type F_UNLCK, clear) a range. 0, -EAGAIN (no wait), -ERESTARTSYS, -EDEADLK, -ENOLCK. */
static long set_lock(struct inode *inode, const struct lock *want, bool unlock, bool block)
{
	struct flock_state *s = state_of(inode);
	struct lock *fresh = kzalloc(sizeof(*fresh)), *spare = kzalloc(sizeof(*spare));
	long ret = 0;

	if (!s || !fresh || !spare) {
		kfree(fresh);
		kfree(spare);
		return -ENOLCK;
	}
	*fresh = *want;
	if (!unlock)
		drop_for_conversion(s, want);
	for (;;) {
		spin_lock(&s->lock);
		if (unlock || !find_conflict(s, want))
			break;
		spin_unlock(&s->lock);
		if (!block) {
			ret = -EAGAIN;
			goto out;
		}
		ret = wait_for_lock(s, want);
		if (ret)
			goto out;
	}
	cut(s, want, &spare);
	if (!unlock) {
		insert(s, fresh);
		fresh = NULL;
	}
	spin_unlock(&s->lock);
	wake_up_all(&s->wait);
out:
	kfree(fresh);
	kfree(spare);
	return ret;
}

/* l_whence, l_start, l_len into [start, end]. */
static int range_of(struct file *f, const struct flock *fl, struct lock *l)
{
	s64 base, start, end;

	switch (fl->l_whence) {
	case SEEK_SET:
		base = 0;
		break;
	case SEEK_CUR:
		base = (s64)f->pos;
		break;
	case SEEK_END:
		base = (s64)f->inode->size;
		break;
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(base, fl->l_start, &start))
		return -EOVERFLOW;
	if (start < 0)
		return -EINVAL;
	if (fl->l_len > 0) {
		if (__builtin_add_overflow(start, fl->l_len - 1, &end))
			return -EOVERFLOW;
	} else if (fl->l_len < 0) {
		end = start - 1;
		start += fl->l_len;
		if (start < 0)
			return -EINVAL;
	} else {
		end = INT64_MAX;
	}
	l->start = (u64)start;
	l->end = (u64)end;
	return 0;
}

static long get_lock(struct file *f, struct lock *want, struct flock *fl, u64 uarg)
{
	struct flock_state *s = state_of(f->inode);
	struct lock *l;

	if (!s)
		return -ENOLCK;
	spin_lock(&s->lock);
	l = find_conflict(s, want);
	if (l) {
		fl->l_type = l->write ? F_WRLCK : F_RDLCK;
		fl->l_whence = SEEK_SET;
		fl->l_start = (s64)l->start;
		fl->l_len = l->end == INT64_MAX ? 0 : (s64)(l->end - l->start + 1);
		fl->l_pid = l->pid < 0 ? l->pid : pid_shown(l->pid);
	} else {
		fl->l_type = F_UNLCK;
	}
	spin_unlock(&s->lock);
	return copy_to_user(uarg, fl, sizeof(*fl));
}

long fcntl_lock(struct file *f, u32 cmd, u64 uarg)
{
	bool ofd = cmd >= F_OFD_GETLK;
	struct lock want = { .owner = ofd ? (void *)f : (void *)current->files, .pid = ofd ? -1 : current->proc->tgid->nr };
	struct flock fl;
	int err;

	if (copy_from_user(&fl, uarg, sizeof(fl)))
		return -EFAULT;
	if (ofd && fl.l_pid)
		return -EINVAL;
	err = range_of(f, &fl, &want);
	if (err)
		return err;
	if (fl.l_type != F_RDLCK && fl.l_type != F_WRLCK && (fl.l_type != F_UNLCK || cmd == F_GETLK || cmd == F_OFD_GETLK))
		return -EINVAL;
	want.write = fl.l_type == F_WRLCK;
	if (cmd == F_GETLK || cmd == F_OFD_GETLK)
		return get_lock(f, &want, &fl, uarg);
	if ((fl.l_type == F_RDLCK && !(f->mode & FMODE_READ)) || (fl.l_type == F_WRLCK && !(f->mode & FMODE_WRITE)))
		return -EBADF;
	return set_lock(f->inode, &want, fl.l_type == F_UNLCK, cmd == F_SETLKW || cmd == F_OFD_SETLKW);
}

SYSCALL2(flock, s32, fd, u32, op)
{
	struct lock want = { .end = ~0ull, .whole = true, .pid = current->proc->tgid->nr };
	u32 kind = op & ~(u32)FLOCK_NB;
	struct file *f;
	long ret;

	if (op & FLOCK_MAND)
		return 0; /* mandatory locks are gone, and asking for one does nothing */
	if (kind != FLOCK_SH && kind != FLOCK_EX && kind != FLOCK_UN)
		return -EINVAL;
	f = fget(fd);
	if (!f)
		return -EBADF;
	want.owner = f;
	want.write = kind == FLOCK_EX;
	ret = set_lock(f->inode, &want, kind == FLOCK_UN, !(op & FLOCK_NB));
	file_put(f);
	return ret;
}

static void remove_owner(struct inode *i, void *owner, bool posix_only)
{
	struct flock_state *s = i->flocks;
	struct lock *l, *tmp;

	spin_lock(&s->lock);
	list_for_each_safe(l, tmp, &s->locks, node)
		if (l->owner == owner && !(posix_only && l->whole)) {
			list_del(&l->node);
			kfree(l);
		}
	spin_unlock(&s->lock);
	wake_up_all(&s->wait);
}

void locks_remove_posix(struct file *f, struct files *owner) { remove_owner(f->inode, owner, true); }
void locks_remove_file(struct file *f) { remove_owner(f->inode, f, false); }
