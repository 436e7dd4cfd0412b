/*
 * signalfd(2). What can be read depends on who reads, so a signalfd is linked to the signal handler tables of the processes
 * that polled it or read from it, and woken through those links.
 * Lock order: sighand->lock -> links_lock -> waitq.lock.
 */
#include <asm-generic/siginfo.h>
#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/signalfd.h>

#include "base/string.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"
#include "sentry/vfs/transfer.h"

struct signalfd {
	sigset64 mask; /* signals to take */
	struct waitq wait;
	struct list_head links; /* links_lock */
};
struct link {
	struct list_head in_fd, in_sighand;
	struct signalfd *fd;
	struct sighand *sighand;
};
static spinlock_t links_lock = SPINLOCK_INIT;

/* ---- links ---- */

void signalfd_notify(struct sighand *s)
{
	struct link *l;

	spin_lock(&links_lock);
	list_for_each(l, &s->signalfds, in_sighand)
		wake_up_key(&l->fd->wait, EPOLLIN | EPOLLRDNORM, 0);
	spin_unlock(&links_lock);
}

static void unlink_all(struct list_head *dead)
{
	while (!list_empty(dead)) {
		struct link *l = list_first(dead, struct link, in_fd);

		list_del(&l->in_fd);
		kfree(l);
	}
}

void signalfd_forget(struct sighand *s)
{
	LIST_HEAD(dead);

	spin_lock(&links_lock);
	while (!list_empty(&s->signalfds)) {
		struct link *l = list_first(&s->signalfds, struct link, in_sighand);

		list_del(&l->in_sighand);
		list_move(&l->in_fd, &dead);
	}
	spin_unlock(&links_lock);
	unlink_all(&dead);
}

static bool linked(const struct signalfd *sfd, const struct sighand *s)
{
	struct link *l;

	list_for_each(l, &sfd->links, in_fd)
		if (l->sighand == s)
			return true;
	return false;
}

static void link_to_current(struct signalfd *sfd)
{
	struct sighand *s = current->sighand;
	struct link *l = NULL;
	bool have;

	spin_lock(&links_lock);
	have = linked(sfd, s);
	spin_unlock(&links_lock);
	if (have || !(l = kzalloc(sizeof(*l))))
		return;
	l->fd = sfd;
	l->sighand = s;
	spin_lock(&links_lock);
	if (!linked(sfd, s)) {
		list_add(&l->in_fd, &sfd->links);
		list_add(&l->in_sighand, &s->signalfds);
		l = NULL;
	}
	spin_unlock(&links_lock);
	kfree(l);
}

/* ---- the file ---- */

static bool readable(const struct signalfd *sfd)
{
	struct task *t = current;

	return (t->pending.set | t->proc->shared_pending.set) & sfd->mask;
}

static u32 signalfd_poll(struct file *f, struct poll_table *pt)
{
	struct signalfd *sfd = f->priv;

	link_to_current(sfd);
	poll_wait(f, &sfd->wait, pt);
	return readable(sfd) ? EPOLLIN | EPOLLRDNORM : 0;
}

/* Which members are meaningful: siginfo's layouts, sigaction(2). */
static void convert(struct signalfd_siginfo *out, const siginfo_t_k *in)
{
	memset(out, 0, sizeof(*out));
	out->ssi_signo = (u32)in->si_signo;
	out->ssi_errno = in->si_errno;
	out->ssi_code = in->si_code;
	if (in->si_code == SI_TIMER) {
		out->ssi_tid = (u32)in->timer.tid;
		out->ssi_overrun = (u32)in->timer.overrun;
		out->ssi_ptr = in->timer.value;
		out->ssi_int = (s32)in->timer.value;
		return;
	}
	if (in->si_code > 0 && in->si_code < SI_KERNEL) {
		switch (in->si_signo) {
		case 17: /* SIGCHLD */
			out->ssi_pid = (u32)in->chld.pid;
			out->ssi_uid = in->chld.uid;
			out->ssi_status = in->chld.status;
			out->ssi_utime = (u64)in->chld.utime;
			out->ssi_stime = (u64)in->chld.stime;
			return;
		case 29: /* SIGIO */
			out->ssi_band = (u32)in->poll.band;
			out->ssi_fd = in->poll.fd;
			return;
		case 4: /* the faults */
		case 5:
		case 7:
		case 8:
		case 11:
			out->ssi_addr = in->fault.addr;
			out->ssi_addr_lsb = (u16)in->fault.addr_lsb;
			return;
		case 31: /* SIGSYS */
			out->ssi_call_addr = in->sys.call_addr;
			out->ssi_syscall = in->sys.syscall;
			out->ssi_arch = in->sys.arch;
			return;
		}
	}
	out->ssi_pid = (u32)in->rt.pid;
	out->ssi_uid = in->rt.uid;
	if (in->si_code != SI_USER && in->si_code != SI_TKILL) {
		out->ssi_ptr = in->rt.value;
		out->ssi_int = (s32)in->rt.value;
	}
}

static long read_first(struct file *f, struct signalfd *sfd, siginfo_t_k *info)
{
	int sig = dequeue_signal_mask(current, sfd->mask, info);
	long err;

	if (sig || file_nonblock(f))
		return sig ? 0 : -EAGAIN;
	link_to_current(sfd);
	err = wait_event_interruptible(sfd->wait, readable(sfd) && (sig = dequeue_signal_mask(current, sfd->mask, info)));
	return err;
}

static long signalfd_read(struct file *f, struct iov_iter *to, u64 *pos)
{
	struct signalfd *sfd = f->priv;
	struct signalfd_siginfo out;
	siginfo_t_k info;
	long done = 0, err;

	if (to->count < sizeof(out))
		return -EINVAL;
	err = read_first(f, sfd, &info);
	if (err)
		return err;
	do {
		convert(&out, &info);
		if (copy_to_iter(&out, sizeof(out), to) != sizeof(out))
			return done ? done : -EFAULT;
		done += sizeof(out);
	} while (to->count >= sizeof(out) && dequeue_signal_mask(current, sfd->mask, &info));
	return done;
}

static void signalfd_release(struct file *f)
{
	struct signalfd *sfd = f->priv;
	struct link *l;
	LIST_HEAD(dead);

	spin_lock(&links_lock);
	list_splice_tail(&sfd->links, &dead);
	list_for_each(l, &dead, in_fd)
		list_del(&l->in_sighand);
	spin_unlock(&links_lock);
	unlink_all(&dead);
	kfree(sfd);
}

static int signalfd_fdinfo(struct file *f, char *buf, size_t size)
{
	struct signalfd *sfd = f->priv;

	return kscnprintf(buf, size, "sigmask:\t%016lx\n", sfd->mask);
}

static const struct file_ops signalfd_fops = {
	.llseek = noop_llseek,
	.read = signalfd_read,
	.poll = signalfd_poll,
	.release = signalfd_release,
	.show_fdinfo = signalfd_fdinfo,
};

/* ---- the calls ---- */

static long change_signalfd(s32 fd, sigset64 mask)
{
	struct file *f = fget(fd);
	long ret = fd;

	if (!f)
		return -EBADF;
	if (f->fop == &signalfd_fops) {
		struct signalfd *sfd = f->priv;

		sfd->mask = mask;
		wake_up_all(&sfd->wait);
	} else {
		ret = -EINVAL;
	}
	file_put(f);
	return ret;
}

static long new_signalfd(sigset64 mask, u32 flags)
{
	struct signalfd *sfd = kzalloc(sizeof(*sfd));
	struct file *f;
	long fd;

	if (!sfd)
		return -ENOMEM;
	sfd->mask = mask;
	waitq_init(&sfd->wait);
	list_init(&sfd->links);
	f = anon_file("signalfd", &signalfd_fops, sfd, O_RDWR | (flags & O_NONBLOCK));
	if (IS_ERR(f)) {
		kfree(sfd);
		return PTR_ERR(f);
	}
	fd = fd_alloc_install(f, flags & O_CLOEXEC, 0);
	if (fd < 0)
		file_put(f);
	return fd;
}

static long do_signalfd(s32 fd, u64 umask, u64 size, u32 flags)
{
	sigset64 mask;

	if (size != sizeof(mask))
		return -EINVAL;
	if (get_user(mask, umask))
		return -EFAULT;
	if (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK))
		return -EINVAL;
	mask &= ~SIGSET_ONLY_KERNEL;
	return fd == -1 ? new_signalfd(mask, flags) : change_signalfd(fd, mask);
}

SYSCALL3(signalfd, s32, fd, u64, umask, u64, size)
{
	return do_signalfd(fd, umask, size, 0);
}

SYSCALL4(signalfd4, s32, fd, u64, umask, u64, size, u32, flags)
{
	return do_signalfd(fd, umask, size, flags);
}
