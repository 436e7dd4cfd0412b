/* Pseudo-terminals: /dev/ptmx and the devpts file system. See pty(7), pts(4). */
#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/signal.h>
#include <linux/stat.h>
#include <linux/tty.h>

#include "base/string.h"
#include "fs/dev/tty.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/transfer.h"

#define PTY_MAX 1024u
#define PTS_MAJOR 136
#define PACKET_IOCTL 64

static spinlock_t pty_lock = SPINLOCK_INIT; /* guards ptys[] */
static struct tty *ptys[PTY_MAX];
static struct dentry *devpts_root;

static void pty_destroy(struct tty *tty)
{
	vfree_pages(tty->input, TTY_INPUT_SIZE);
	vfree_pages(tty->output, TTY_OUTPUT_SIZE);
}

static void pty_flush(struct tty *tty, u32 queue)
{
	if (tty->packet_mode) {
		tty->packet_status |= queue == TCIFLUSH ? TIOCPKT_FLUSHREAD : TIOCPKT_FLUSHWRITE;
		wake_up_all(&tty->master_wait);
	}
}

static const struct tty_ops pty_ops = { .destroy = pty_destroy, .flush = pty_flush };

static void devpts_add(u32 index)
{
	char name[16];
	struct dentry *d;

	if (!devpts_root)
		return;
	ksnprintf(name, sizeof(name), "%u", index);
	d = simple_add_node(devpts_root, name, S_IFCHR | 0620, MKDEV(PTS_MAJOR, index));
	if (!IS_ERR_OR_NULL(d) && d->inode) {
		d->inode->uid = current->cred->fsuid;
		d->inode->gid = 5; /* tty */
	}
}

static void devpts_remove(u32 index)
{
	char name[16];

	if (!devpts_root)
		return;
	ksnprintf(name, sizeof(name), "%u", index);
	simple_remove(devpts_root, name);
}

int pts_add(struct tty *tty)
{
	u32 index;

	spin_lock(&pty_lock);
	for (index = 0; index < PTY_MAX && ptys[index]; index++)
		;
	if (index < PTY_MAX)
		ptys[index] = tty;
	spin_unlock(&pty_lock);
	if (index == PTY_MAX)
		return -ENOSPC;
	tty->index = index;
	tty->rdev = MKDEV(PTS_MAJOR, index);
	devpts_add(index);
	return 0;
}

void pts_remove(struct tty *tty)
{
	devpts_remove(tty->index);
	spin_lock(&pty_lock);
	ptys[tty->index] = NULL;
	spin_unlock(&pty_lock);
}

static struct tty *pty_new(void)
{
	struct tty *tty = kzalloc(sizeof(*tty));

	if (!tty)
		return ERR_PTR(-ENOMEM);
	tty_init(tty, &pty_ops, 0);
	tty->input = vmalloc_pages(TTY_INPUT_SIZE);
	tty->output = vmalloc_pages(TTY_OUTPUT_SIZE);
	if (!tty->input || !tty->output) {
		tty_put(tty);
		return ERR_PTR(-ENOMEM);
	}
	if (pts_add(tty) < 0) {
		tty_put(tty);
		return ERR_PTR(-ENOSPC);
	}
	tty->master_open = tty->locked = true;
	return tty;
}

struct tty *pty_slave_get(u32 index)
{
	struct tty *tty;

	spin_lock(&pty_lock);
	tty = index < PTY_MAX ? ptys[index] : NULL;
	if (tty && !refcount_inc_not_zero(&tty->ref))
		tty = NULL;
	spin_unlock(&pty_lock);
	return tty;
}

/* ---- the master side ---- */

static int ptmx_open(struct inode *inode, struct file *file)
{
	struct tty *tty = pty_new();

	if (IS_ERR(tty))
		return (int)PTR_ERR(tty);
	file->priv = tty;
	return 0;
}

static void ptmx_release(struct file *file)
{
	struct tty *tty = file->priv;

	pts_remove(tty);
	tty->master_open = false;
	tty_hangup(tty);
	tty_put(tty);
}

static bool master_may_read(struct tty *tty)
{
	return tty->out_head != tty->out_tail || (tty->packet_mode && tty->packet_status) ||
	       (tty->slave_was_open && !tty->slave_opens);
}

/* lock held */
static size_t take_output(struct tty *tty, u8 *buf, size_t n)
{
	size_t got = 0;

	while (got < n && tty->out_tail != tty->out_head)
		buf[got++] = tty->output[tty->out_tail++ % TTY_OUTPUT_SIZE];
	return got;
}

static long ptmx_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	struct tty *tty = file->priv;
	long done = 0;
	u8 chunk[256];

	while (!master_may_read(tty)) {
		long err = file_nonblock(file) ? -EAGAIN : wait_event_interruptible(tty->master_wait, master_may_read(tty));

		if (err)
			return err;
	}
	if (tty->packet_mode) {
		u8 status;

		spin_lock(&tty->lock);
		status = tty->packet_status;
		tty->packet_status = 0;
		spin_unlock(&tty->lock);
		if (copy_to_iter(&status, 1, to) != 1)
			return -EFAULT;
		if (status)
			return 1;
		done = 1;
	}
	while (to->count) {
		size_t n;

		spin_lock(&tty->lock);
		n = take_output(tty, chunk, MIN(sizeof(chunk), to->count));
		spin_unlock(&tty->lock);
		if (!n)
			break;
		if (copy_to_iter(chunk, n, to) != n)
			return done ? done : -EFAULT;
		done += (long)n;
	}
	wake_up_all(&tty->write_wait);
	return done ? done : -EIO; /* nobody has the slave open */
}

static bool input_has_room(struct tty *tty)
{
	/* In canonical mode a full line without an end still takes (and drops) characters, so that its end can come. */
	return tty->in_head - tty->in_tail < TTY_INPUT_SIZE - 1 || (tty->termios.c_lflag & ICANON && tty->in_canon == tty->in_tail);
}

static long ptmx_write(struct file *file, struct iov_iter *from, u64 *pos)
{
	struct tty *tty = file->priv;
	long done = 0;
	u8 chunk[256];

	while (from->count) {
		size_t n = MIN(sizeof(chunk), from->count), i = 0;

		if (copy_from_iter(chunk, n, from) != n)
			return done ? done : -EFAULT;
		while (i < n) {
			int sig = 0;

			if (!input_has_room(tty)) {
				long err = file_nonblock(file) ? -EAGAIN
					  : wait_event_interruptible(tty->master_wait, input_has_room(tty));

				if (err)
					return done ? done : err;
			}
			spin_lock(&tty->lock);
			while (i < n && input_has_room(tty) && !sig) {
				sig = n_tty_receive(tty, chunk[i++]);
				done++;
			}
			spin_unlock(&tty->lock);
			if (sig)
				tty_signal_pgrp(tty, sig);
		}
	}
	wake_up_all(&tty->master_wait); /* the echo */
	return done;
}

static u32 ptmx_poll(struct file *file, struct poll_table *pt)
{
	struct tty *tty = file->priv;
	u32 mask = 0;

	poll_wait(file, &tty->master_wait, pt);
	if (tty->out_head != tty->out_tail || tty->packet_status)
		mask |= EPOLLIN | EPOLLRDNORM;
	if (input_has_room(tty))
		mask |= EPOLLOUT | EPOLLWRNORM;
	if (tty->slave_was_open && !tty->slave_opens)
		mask |= EPOLLHUP;
	return mask;
}

static long open_peer(struct tty *tty, u64 flags)
{
	char name[24];
	struct file *file;
	s32 fd;

	ksnprintf(name, sizeof(name), "/dev/pts/%u", tty->index);
	file = file_open(AT_FDCWD, name, (u32)flags, 0);
	if (IS_ERR(file))
		return PTR_ERR(file);
	fd = fd_alloc_install(file, (u32)flags & O_CLOEXEC, 0);
	if (fd < 0)
		file_put(file);
	return fd;
}

static long ptmx_ioctl(struct file *file, u32 cmd, u64 arg)
{
	struct tty *tty = file->priv;
	s32 v;

	switch (cmd) {
	case TIOCGPTN:
		return put_user(tty->index, arg);
	case TIOCSPTLCK:
		if (get_user(v, arg))
			return -EFAULT;
		tty->locked = v != 0;
		return 0;
	case TIOCGPTLCK:
		v = tty->locked;
		return put_user(v, arg);
	case TIOCGPTPEER:
		return open_peer(tty, arg);
	case TIOCPKT:
		if (get_user(v, arg))
			return -EFAULT;
		spin_lock(&tty->lock);
		if (v && !tty->packet_mode)
			tty->packet_status = 0;
		tty->packet_mode = v != 0;
		spin_unlock(&tty->lock);
		return 0;
	case TIOCGPKT:
		v = tty->packet_mode;
		return put_user(v, arg);
	case TIOCSIG:
		if (arg < 1 || arg > SIG_COUNT)
			return -EINVAL;
		tty_signal_pgrp(tty, (int)arg);
		return 0;
	case FIONREAD:
		v = (s32)(tty->out_head - tty->out_tail);
		return put_user(v, arg);
	default:
		return tty_ioctl(tty, file, cmd, arg, true);
	}
}

static const struct file_ops ptmx_fops = {
	.open = ptmx_open, .release = ptmx_release, .read = ptmx_read, .write = ptmx_write, .poll = ptmx_poll,
	.ioctl = ptmx_ioctl,
};

/* ---- the slave side ---- */

static int pts_open(struct inode *inode, struct file *file)
{
	struct tty *tty = file->priv; /* /dev/tty brings its own */

	if (!tty)
		tty = pty_slave_get(dev_minor(inode->rdev));
	if (!tty)
		return -EIO;
	if (tty->ops->open)
		return tty->ops->open(tty, file);
	spin_lock(&tty->lock);
	if (!tty->master_open || tty->locked || tty->exclusive) {
		int err = tty->master_open && tty->exclusive && !tty->locked ? -EBUSY : -EIO;

		spin_unlock(&tty->lock);
		if (!file->priv)
			tty_put(tty);
		return err;
	}
	tty->slave_opens++;
	tty->slave_was_open = true;
	spin_unlock(&tty->lock);
	file->priv = tty;
	tty_open_ctty(tty, file);
	return 0;
}

static void pts_release(struct file *file)
{
	struct tty *tty = file->priv;

	spin_lock(&tty->lock);
	tty->slave_opens--;
	spin_unlock(&tty->lock);
	wake_up_all(&tty->master_wait);
	tty_put(tty);
}

static long pts_read(struct file *file, struct iov_iter *to, u64 *pos) { return n_tty_read(file->priv, file, to); }

static bool slave_may_write(struct tty *tty)
{
	return tty->hung_up || (!tty->stopped && n_tty_output_room(tty) >= 8);
}

static long pts_write(struct file *file, struct iov_iter *from, u64 *pos)
{
	struct tty *tty = file->priv;
	long done = 0;
	u8 chunk[256];

	if (tty->termios.c_lflag & TOSTOP) {
		long err = tty_check_change(tty, SIGTTOU);

		if (err)
			return err;
	}
	while (from->count) {
		size_t n = MIN(sizeof(chunk), from->count), i = 0;

		if (copy_from_iter(chunk, n, from) != n)
			return done ? done : -EFAULT;
		while (i < n) {
			size_t k;

			if (!slave_may_write(tty)) {
				long err = file_nonblock(file) ? -EAGAIN
					  : wait_event_interruptible(tty->write_wait, slave_may_write(tty));

				if (err)
					return done ? done : err;
			}
			spin_lock(&tty->lock);
			if (tty->hung_up) {
				spin_unlock(&tty->lock);
				return -EIO;
			}
			k = n_tty_output(tty, chunk + i, n - i);
			spin_unlock(&tty->lock);
			i += k;
			done += (long)k;
			wake_up_all(&tty->master_wait);
		}
	}
	return done;
}

static u32 pts_poll(struct file *file, struct poll_table *pt)
{
	struct tty *tty = file->priv;
	u32 mask = 0;

	poll_wait(file, &tty->read_wait, pt);
	poll_wait(file, &tty->write_wait, pt);
	spin_lock(&tty->lock);
	if (n_tty_input_ready(tty))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (slave_may_write(tty))
		mask |= EPOLLOUT | EPOLLWRNORM;
	if (tty->hung_up)
		mask |= EPOLLIN | EPOLLRDNORM | EPOLLHUP | EPOLLERR;
	spin_unlock(&tty->lock);
	return mask;
}

static long pts_ioctl(struct file *file, u32 cmd, u64 arg) { return tty_ioctl(file->priv, file, cmd, arg, false); }

static const struct file_ops pts_fops = {
	.open = pts_open, .release = pts_release, .read = pts_read, .write = pts_write, .poll = pts_poll, .ioctl = pts_ioctl,
};

/* ---- devpts ---- */

static int devpts_fill_super(struct super_block *sb, const char *source, const char *options, void *data)
{
	int err = simple_fill_super(sb, DEVPTS_SUPER_MAGIC);

	if (err)
		return err;
	simple_add_node(sb->root, "ptmx", S_IFCHR | 0666, MKDEV(5, 2));
	if (!devpts_root)
		devpts_root = dentry_get(sb->root);
	return 0;
}

void devpts_register(void);
void devpts_register(void)
{
	static const struct fs_type devpts = { .name = "devpts", .nodev = true, .fill_super = devpts_fill_super };

	register_fs(&devpts);
}

void pty_devices_register(void)
{
	register_chrdev(5, 2, 1, &ptmx_fops);
	register_chrdev(PTS_MAJOR, 0, PTY_MAX, &pts_fops);
}
