/*
 * The standard files of the sandbox command: pipes, files, sockets and the terminal of the host, used through hostcalls.
 *
 * The host's terminal keeps the host's line discipline; job control among the sandbox's processes is the sentry's.
 */
#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/signal.h>
#include <linux/stat.h>

#include "base/log.h"
#include "base/string.h"
#include "fs/dev/dev.h"
#include "fs/dev/tty.h"
#include "sentry/kernel/events.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/transfer.h"

/* One host descriptor. Open files hold it, the terminal on it, and a poll that is under way. */
struct hostfd {
	refcount_t ref;
	hc_handle handle;
	u32 kind;
	bool seekable;
	struct tty *tty; /* STDIO_TTY */
	struct waitq wait;
	spinlock_t lock;
	u32 ready;	 /* EPOLL* bits seen, until an operation says -EAGAIN */
	u32 armed;	 /* a poll for these is on its way */
	u32 wanted;
	u64 pos;	 /* of a regular file: how far the host's own offset went on */
	char *bounce;	 /* BOUNCE bytes, used under io_lock[]: 0 reads, 1 writes */
	struct mutex io_lock[2];
};
#define BOUNCE (64u << 10)

struct tty *console; /* of process 1 */

static void hostfd_put(struct hostfd *h)
{
	struct hc_file2 req = { .handle = h->handle };

	if (!refcount_dec_and_test(&h->ref))
		return;
	hostcall(HC_CLOSE, &req, sizeof(req));
	vfree_pages(h->bounce, 2 * BOUNCE);
	kfree(h);
}

/* An open file holds the terminal too: the descriptors only point to it. */
static void hostfd_release(struct file *file)
{
	struct hostfd *h = file->priv;
	struct tty *tty = h->tty;
	bool last = false;

	if (tty) {
		spin_lock(&tty->lock);
		last = !--tty->slave_opens && tty->named && tty != console; /* the first program's keeps its name */
		tty->named &= !last;
		spin_unlock(&tty->lock);
	}
	if (last)
		pts_remove(tty);
	hostfd_put(h);
	tty_put(tty);
}

static long bounced_read(struct hostfd *h, struct iov_iter *to, u64 pos)
{
	char *buf = h->bounce;
	s64 n = host_pread(h->handle, buf, MIN(to->count, BOUNCE), pos, true);

	if (n <= 0)
		return n;
	return copy_to_iter(buf, (size_t)n, to) == (size_t)n ? n : -EFAULT;
}

static long try_now(struct hostfd *h, bool write, void *buf, size_t n, u64 pos)
{
	struct hc_rw rw = { .handle = h->handle, .flags = HC_RW_NOWAIT, .pos = pos, .off = va_to_pa(buf), .len = n };

	return hostcall(write ? HC_PWRITE : HC_PREAD, &rw, sizeof(rw));
}

/* The position to give the host. As long as nobody seeks it is the host's own, which other processes share and go on from. */
static u64 host_position(const struct hostfd *h, u64 pos)
{
	return h->seekable && pos != h->pos ? pos : ~0ull;
}

static void moved_on(struct hostfd *h, u64 *pos, u64 n)
{
	if (!h->seekable)
		return;
	if (*pos == h->pos)
		h->pos += n;
	*pos += n;
}

static long hostfd_read(struct file *file, struct iov_iter *to, u64 *pos)
{
	struct hostfd *h = file->priv;
	long n;

	if (h->tty) {
		n = tty_check_change(h->tty, SIGTTIN);
		if (n)
			return n;
	}
	if (!to->count)
		return 0;
	mutex_lock(&h->io_lock[0]);
	if (file_nonblock(file) && !h->seekable) {
		n = try_now(h, false, h->bounce, MIN(to->count, BOUNCE), ~0ull);
		if (n > 0 && copy_to_iter(h->bounce, (size_t)n, to) != (size_t)n)
			n = -EFAULT;
	} else {
		n = bounced_read(h, to, host_position(h, *pos));
	}
	if (n > 0)
		moved_on(h, pos, (u64)n);
	spin_lock(&h->lock);
	h->ready &= ~(u32)EPOLLIN;
	spin_unlock(&h->lock);
	mutex_unlock(&h->io_lock[0]);
	return n;
}

static long hostfd_write(struct file *file, struct iov_iter *from, u64 *pos)
{
	struct hostfd *h = file->priv;
	char *buf = h->bounce + BOUNCE;
	long done = 0, n = 0;

	if (h->tty && h->tty->termios.c_lflag & TOSTOP) {
		n = tty_check_change(h->tty, SIGTTOU);
		if (n)
			return n;
	}
	mutex_lock(&h->io_lock[1]);
	while (from->count) {
		size_t want = MIN(from->count, BOUNCE), off = 0;

		if (copy_from_iter(buf, want, from) != want) {
			n = -EFAULT;
			break;
		}
		while (off < want) {
			u64 at = file_appends(file) ? ~0ull : host_position(h, *pos);

			n = file_nonblock(file) && !h->seekable ? try_now(h, true, buf + off, want - off, at)
								     : host_pwrite(h->handle, buf + off, want - off, at, true);
			if (n <= 0)
				goto out;
			off += (size_t)n;
			done += n;
			moved_on(h, pos, (u64)n);
		}
	}
out:
	spin_lock(&h->lock);
	h->ready &= ~(u32)EPOLLOUT;
	spin_unlock(&h->lock);
	mutex_unlock(&h->io_lock[1]);
	if (!done && n == -EPIPE)
		send_signal_task(current, SIGPIPE, SEND_SIG_PRIV);
	return done ? done : n;
}

static void arm(struct hostfd *h);

static void became_ready(void *arg, s64 mask)
{
	struct hostfd *h = arg;
	u32 bits = mask < 0 ? EPOLLERR : (u32)mask;

	spin_lock(&h->lock);
	h->ready |= bits;
	h->wanted &= ~bits;
	h->armed = 0;
	spin_unlock(&h->lock);
	wake_up_poll(&h->wait, bits);
	if (h->wanted)
		arm(h);
	hostfd_put(h);
}

/* Ask the host for the readiness that pollers lack; one poll is under way at a time. */
static void arm(struct hostfd *h)
{
	u32 events = 0;

	spin_lock(&h->lock);
	if (!h->armed && h->wanted)
		events = h->armed = h->wanted;
	spin_unlock(&h->lock);
	if (!events)
		return;
	refcount_inc(&h->ref); /* became_ready()'s */
	if (host_poll_arm(h->handle, events, became_ready, h)) {
		spin_lock(&h->lock);
		h->armed = 0;
		spin_unlock(&h->lock);
		hostfd_put(h);
	}
}

static u32 hostfd_poll(struct file *file, struct poll_table *pt)
{
	struct hostfd *h = file->priv;
	u32 interest = pt ? pt->events & (EPOLLIN | EPOLLOUT) : EPOLLIN | EPOLLOUT, ready;

	if (h->kind == STDIO_FILE || h->kind == STDIO_CHAR)
		return EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM;
	poll_wait(file, &h->wait, pt);
	spin_lock(&h->lock);
	ready = h->ready;
	h->wanted |= interest & ~ready;
	spin_unlock(&h->lock);
	arm(h);
	spin_lock(&h->lock);
	ready = h->ready; /* events that came at once */
	spin_unlock(&h->lock);
	if (ready & EPOLLIN)
		ready |= EPOLLRDNORM;
	if (ready & EPOLLOUT)
		ready |= EPOLLWRNORM;
	return ready;
}

static s64 hostfd_llseek(struct file *file, s64 off, int whence)
{
	struct hostfd *h = file->priv;
	struct hc_file2 req = { .handle = h->handle };

	if (!h->seekable)
		return -ESPIPE;
	if (whence == 2)
		file->inode->size = (u64)MAX(0, hostcall(HC_FSIZE, &req, sizeof(req)));
	return generic_file_llseek(file, off, whence);
}

static long hostfd_ioctl(struct file *file, u32 cmd, u64 arg)
{
	struct hostfd *h = file->priv;
	struct hc_tty req = { .handle = h->handle, .op = HC_TTY_INQ };
	s64 n;
	s32 v;

	if (h->tty)
		return tty_ioctl(h->tty, file, cmd, arg, false);
	if (cmd != FIONREAD)
		return -ENOTTY;
	n = hostcall(HC_TTY_IOCTL, &req, sizeof(req));
	v = (s32)n;
	return n < 0 ? n : put_user(v, arg);
}

static int hostfd_fsync(struct file *file, bool data_only)
{
	struct hostfd *h = file->priv;
	struct hc_file2 req = { .handle = h->handle, .arg = data_only };

	return h->kind == STDIO_FILE ? (int)hostcall(HC_FSYNC, &req, sizeof(req)) : -EINVAL;
}

static const struct file_ops hostfd_fops = {
	.read = hostfd_read, .write = hostfd_write, .poll = hostfd_poll, .llseek = hostfd_llseek, .ioctl = hostfd_ioctl,
	.fsync = hostfd_fsync, .release = hostfd_release,
};

static int hostfd_getattr(struct inode *inode, struct kstat *st)
{
	struct hostfd *h = inode->priv;
	struct hc_file2 req = { .handle = h->handle };

	if (h->seekable)
		inode->size = (u64)MAX(0, hostcall(HC_FSIZE, &req, sizeof(req)));
	st->size = inode->size;
	st->blocks = (inode->size + 511) / 512;
	return 0;
}

static const struct inode_ops hostfd_iops = { .getattr = hostfd_getattr };

/* ---- the host's terminal ---- */

static long tty_hostcall(struct tty *tty, u32 op, void *data, size_t n, bool in)
{
	struct hostfd *h = tty->priv;
	struct hc_tty req = { .handle = h->handle, .op = op };
	s64 ret;

	if (in)
		memcpy(req.data, data, n);
	ret = hostcall(HC_TTY_IOCTL, &req, sizeof(req));
	if (ret >= 0 && !in)
		memcpy(data, req.data, n);
	return ret < 0 ? ret : 0;
}

static int console_set_termios(struct tty *tty, u32 cmd, const struct termios *t)
{
	u32 op = cmd == TCSETS ? HC_TTY_SETS : cmd == TCSETSW ? HC_TTY_SETSW : HC_TTY_SETSF;

	return (int)tty_hostcall(tty, op, (void *)t, sizeof(*t), true);
}
static int console_get_termios(struct tty *tty, struct termios *t)
{
	return (int)tty_hostcall(tty, HC_TTY_GETS, t, sizeof(*t), false);
}
static int console_set_winsize(struct tty *tty, const struct winsize *w)
{
	return (int)tty_hostcall(tty, HC_TTY_SETWINSZ, (void *)w, sizeof(*w), true);
}
static int console_get_winsize(struct tty *tty, struct winsize *w)
{
	return (int)tty_hostcall(tty, HC_TTY_GETWINSZ, w, sizeof(*w), false);
}
static long console_inq(struct tty *tty)
{
	struct hostfd *h = tty->priv;
	struct hc_tty req = { .handle = h->handle, .op = HC_TTY_INQ };

	return hostcall(HC_TTY_IOCTL, &req, sizeof(req));
}

static void console_destroy(struct tty *tty)
{
	hostfd_put(tty->priv);
}

static int host_tty_open(struct tty *tty, struct file *file);

static const struct tty_ops console_ops = {
	.open = host_tty_open, .destroy = console_destroy,
	.set_termios = console_set_termios, .get_termios = console_get_termios, .set_winsize = console_set_winsize,
	.get_winsize = console_get_winsize, .inq = console_inq,
};

static int console_open(struct inode *inode, struct file *file)
{
	if (!file->priv && !console)
		return -ENXIO;
	return host_tty_open(file->priv ? file->priv : tty_get(console), file); /* /dev/tty brings its own */
}

static const struct file_ops console_fops = {
	.open = console_open, .read = hostfd_read, .write = hostfd_write, .poll = hostfd_poll, .ioctl = hostfd_ioctl, .release = hostfd_release,
};

static void tty_opened(struct tty *tty)
{
	spin_lock(&tty->lock);
	tty->slave_opens++;
	spin_unlock(&tty->lock);
}

static int host_tty_open(struct tty *tty, struct file *file)
{
	struct hostfd *h = tty->priv;

	file->fop = &console_fops;
	file->priv = h;
	refcount_inc(&h->ref);
	tty_opened(tty);
	tty_open_ctty(tty, file);
	return 0;
}

/* A signal for the command: to the foreground job when the terminal made it, else to the first process. */
static void signal_from_host(int sig)
{
	struct process *init;

	if (console && console->pgrp && (sig == SIGINT || sig == SIGQUIT || sig == SIGTSTP || sig == SIGWINCH || sig == SIGHUP)) {
		tty_signal_pgrp(console, sig);
		return;
	}
	init = process_get(init_process);
	if (init) {
		send_signal_process(init, sig, SEND_SIG_PRIV);
		process_put(init);
	}
}

static struct tty *console_create(struct hostfd *h)
{
	struct tty *tty = kzalloc(sizeof(*tty));

	if (!tty)
		return NULL;
	tty_init(tty, &console_ops, MKDEV(5, 1));
	tty->priv = h;
	refcount_inc(&h->ref);
	console_get_termios(tty, &tty->termios);
	tty->named = pts_add(tty) == 0;
	return tty;
}

/* Takes the handle over. NULL: no memory. */
static struct hostfd *hostfd_create(const struct hc_stdio *s, struct tty **tty)
{
	struct hostfd *h = kzalloc(sizeof(*h));

	if (!h)
		return NULL;
	refcount_set(&h->ref, 1);
	h->handle = s->handle;
	h->kind = s->kind;
	h->seekable = h->kind == STDIO_FILE;
	spin_lock_init(&h->lock);
	waitq_init(&h->wait);
	mutex_init(&h->io_lock[0]);
	mutex_init(&h->io_lock[1]);
	h->bounce = vmalloc_pages(2 * BOUNCE);
	if (h->kind == STDIO_TTY && !*tty)
		*tty = console_create(h);
	if (!h->bounce || (h->kind == STDIO_TTY && !*tty)) {
		hostfd_put(h);
		return NULL;
	}
	h->tty = h->kind == STDIO_TTY ? *tty : NULL;
	return h;
}

static struct file *open_nameless(struct hostfd *h, const struct hc_stdio *s)
{
	struct inode *inode = anon_inode_new(s->mode);
	struct file *file;

	if (!inode)
		return ERR_PTR(-ENOMEM);
	inode->priv = h;
	inode->iop = &hostfd_iops;
	if (h->kind == STDIO_TTY)
		inode->rdev = h->tty->rdev;
	else if (h->kind == STDIO_CHAR)
		inode->rdev = MKDEV(1, 3);
	file = file_on_inode(inode, h->tty ? "/dev/console" : "pipe", &hostfd_fops, h, s->flags);
	if (IS_ERR(file))
		inode_put(inode);
	return file;
}

/* A terminal is /dev/pts/N, where there is one: ttyname(3) compares the two. It is its user's, as after login. */
static struct file *open_terminal(struct hostfd *h, const struct hc_stdio *s)
{
	struct file *file = NULL;
	struct path path;
	char name[32];

	ksnprintf(name, sizeof(name), "/dev/pts/%u", h->tty->index);
	if (path_lookup(AT_FDCWD, h->tty->named ? name : "/dev/console", 0, &path))
		return open_nameless(h, s);
	if (S_ISCHR(path.dentry->inode->mode) && path.dentry->inode->rdev == h->tty->rdev) {
		path.dentry->inode->uid = current->cred->uid;
		file = file_on_path(&path, &hostfd_fops, h, s->flags);
	}
	path_put(&path);
	return file ? file : open_nameless(h, s);
}

static struct file *hostfd_open(struct hostfd *h, const struct hc_stdio *s)
{
	struct file *file = h->tty ? open_terminal(h, s) : open_nameless(h, s);

	if (IS_ERR(file))
		return file;
	if (h->tty)
		tty_opened(tty_get(h->tty));
	if (h->seekable)
		file->mode |= FMODE_LSEEK | FMODE_PREAD;
	return file;
}

static int stdio_open(s32 fd, const struct hc_stdio *s, struct tty **tty)
{
	struct hostfd *h = hostfd_create(s, tty);
	struct file *file;

	if (!h)
		return -ENOMEM;
	file = hostfd_open(h, s);
	if (IS_ERR(file)) {
		hostfd_put(h);
		return (int)PTR_ERR(file);
	}
	fd = fd_alloc_install(file, 0, fd);
	if (fd < 0) {
		file_put(file);
		return fd;
	}
	if (h->tty && current->proc->sid == current->proc->tgid)
		tty_open_ctty(h->tty, file);
	return 0;
}

int stdio_init(const struct hc_stdio *stdio, struct tty **tty)
{
	for (s32 fd = 0; fd < 3; fd++) {
		int err = stdio[fd].kind == STDIO_CLOSED ? 0 : stdio_open(fd, &stdio[fd], tty);

		if (err)
			return err;
	}
	return 0;
}

void console_init(void)
{
	host_signal_hook = signal_from_host;
	register_chrdev(5, 1, 1, &console_fops);
}
