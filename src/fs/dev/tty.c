/* Job control and ioctls of terminals: ioctl_tty(2), and POSIX.1 chapter 11. /dev/tty. */
#include "fs/dev/tty.h"

#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/signal.h>
#include <linux/capability.h>

#include "base/string.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

const struct termios tty_std_termios = {
	.c_iflag = ICRNL | IXON,
	.c_oflag = OPOST | ONLCR,
	.c_cflag = B38400 | CS8 | CREAD | HUPCL,
	.c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
	.c_cc = { [VINTR] = 3, [VQUIT] = 28, [VERASE] = 127, [VKILL] = 21, [VEOF] = 4, [VTIME] = 0, [VMIN] = 1,
		  [VSTART] = 17, [VSTOP] = 19, [VSUSP] = 26, [VREPRINT] = 18, [VDISCARD] = 15, [VWERASE] = 23, [VLNEXT] = 22 },
};

void tty_init(struct tty *tty, const struct tty_ops *ops, u64 rdev)
{
	refcount_set(&tty->ref, 1);
	spin_lock_init(&tty->lock);
	tty->ops = ops;
	tty->rdev = rdev;
	tty->termios = tty_std_termios;
	waitq_init(&tty->read_wait);
	waitq_init(&tty->write_wait);
	waitq_init(&tty->master_wait);
}

void tty_put(struct tty *tty)
{
	if (tty && refcount_dec_and_test(&tty->ref)) {
		if (tty->session)
			pid_put(tty->session);
		if (tty->pgrp)
			pid_put(tty->pgrp);
		if (tty->ops->destroy)
			tty->ops->destroy(tty);
		kfree(tty);
	}
}

struct tty *process_tty_get(struct process *p)
{
	struct tty *tty;

	spin_lock(&tasklist_lock);
	tty = p->tty ? tty_get(p->tty) : NULL;
	spin_unlock(&tasklist_lock);
	return tty;
}

static struct pid *tty_pgrp_get(struct tty *tty)
{
	struct pid *pgrp;

	spin_lock(&tty->lock);
	pgrp = tty->pgrp ? pid_get(tty->pgrp) : NULL;
	spin_unlock(&tty->lock);
	return pgrp;
}

void tty_signal_pgrp(struct tty *tty, int sig)
{
	struct pid *pgrp = tty_pgrp_get(tty);

	if (pgrp) {
		send_signal_pgrp(pgrp, sig, SEND_SIG_PRIV);
		pid_put(pgrp);
	}
}

static bool signal_ignored(int sig)
{
	struct sighand *s = current->sighand;
	bool ignored;

	spin_lock(&s->lock);
	ignored = (current->blocked & sigmask_of(sig)) || s->action[sig - 1].handler == (u64)SIG_IGN;
	spin_unlock(&s->lock);
	return ignored;
}

long tty_check_change(struct tty *tty, int sig)
{
	struct process *p = current->proc;
	struct pid *pgrp;
	bool foreground;

	if (READ_ONCE(p->tty) != tty)
		return 0;
	pgrp = tty_pgrp_get(tty);
	if (!pgrp)
		return 0;
	foreground = pgrp == p->pgid;
	pid_put(pgrp);
	if (foreground)
		return 0;
	if (signal_ignored(sig))
		return sig == SIGTTIN ? -EIO : 0;
	if (pgrp_orphaned(p->pgid))
		return -EIO;
	send_signal_pgrp(p->pgid, sig, SEND_SIG_PRIV);
	return -ERESTARTSYS;
}

/* ---- controlling terminal ---- */

static void replace_pid(struct pid **slot, struct pid *pid)
{
	struct pid *old = *slot;

	*slot = pid ? pid_get(pid) : NULL;
	if (old)
		pid_put(old);
}

static bool is_session_leader(const struct process *p) { return p->sid == p->tgid; }

/* tasklist_lock held. */
static void set_ctty(struct tty *tty, struct process *p)
{
	spin_lock(&tty->lock);
	replace_pid(&tty->session, p->sid);
	replace_pid(&tty->pgrp, p->pgid);
	spin_unlock(&tty->lock);
	p->tty = tty_get(tty);
}

void tty_open_ctty(struct tty *tty, struct file *file)
{
	struct process *p = current->proc;

	if (file->flags & O_NOCTTY)
		return;
	spin_lock(&tasklist_lock);
	if (is_session_leader(p) && !p->tty && !tty->session)
		set_ctty(tty, p);
	spin_unlock(&tasklist_lock);
}

/* Every process of the session loses the terminal. tasklist_lock held; returns with it held. */
static void clear_session_tty(struct pid *sid, struct tty *tty)
{
	struct process *p;

	list_for_each(p, &sid->tasks[PIDTYPE_SID], sid_node) {
		if (p->tty == tty) {
			p->tty = NULL;
			refcount_set(&tty->ref, refcount_read(&tty->ref) - 1); /* the caller holds one: not the last */
		}
	}
}

static void detach_session(struct tty *tty)
{
	spin_lock(&tty->lock);
	replace_pid(&tty->session, NULL);
	replace_pid(&tty->pgrp, NULL);
	spin_unlock(&tty->lock);
}

void disassociate_ctty(struct process *p, bool on_exit)
{
	struct tty *tty = process_tty_get(p);
	struct pid *pgrp;

	if (!tty)
		return;
	if (!is_session_leader(p)) {
		spin_lock(&tasklist_lock);
		if (p->tty == tty) {
			p->tty = NULL;
			spin_unlock(&tasklist_lock);
			tty_put(tty);
		} else {
			spin_unlock(&tasklist_lock);
		}
		tty_put(tty);
		return;
	}
	pgrp = tty_pgrp_get(tty);
	if (pgrp) {
		send_signal_pgrp(pgrp, SIGHUP, SEND_SIG_PRIV);
		send_signal_pgrp(pgrp, SIGCONT, SEND_SIG_PRIV);
		pid_put(pgrp);
	}
	spin_lock(&tasklist_lock);
	clear_session_tty(p->sid, tty);
	detach_session(tty);
	spin_unlock(&tasklist_lock);
	tty_put(tty);
}

void tty_hangup(struct tty *tty)
{
	struct pid *session;

	spin_lock(&tty->lock);
	tty->hung_up = true;
	session = tty->session ? pid_get(tty->session) : NULL;
	spin_unlock(&tty->lock);
	if (session) {
		struct process *leader = pid_process_get(session);

		if (leader) {
			send_signal_process(leader, SIGHUP, SEND_SIG_PRIV);
			send_signal_process(leader, SIGCONT, SEND_SIG_PRIV);
			process_put(leader);
		}
		tty_signal_pgrp(tty, SIGHUP);
		spin_lock(&tasklist_lock);
		clear_session_tty(session, tty);
		detach_session(tty);
		spin_unlock(&tasklist_lock);
		pid_put(session);
	}
	wake_up_all(&tty->read_wait);
	wake_up_all(&tty->write_wait);
	wake_up_all(&tty->master_wait);
}

/* ---- ioctls ---- */

static long tiocsctty(struct tty *tty, u64 arg)
{
	struct process *p = current->proc;
	long ret = 0;

	spin_lock(&tasklist_lock);
	if (is_session_leader(p) && p->tty == tty) {
		; /* has it already */
	} else if (!is_session_leader(p) || p->tty) {
		ret = -EPERM;
	} else if (tty->session && tty->session != p->sid) {
		if (arg == 1 && capable(CAP_SYS_ADMIN))
			clear_session_tty(tty->session, tty);
		else
			ret = -EPERM;
	}
	if (!ret && p->tty != tty)
		set_ctty(tty, p);
	spin_unlock(&tasklist_lock);
	return ret;
}

static long tiocgpgrp(struct tty *tty, u64 arg, bool master)
{
	struct pid *pgrp;
	s32 nr;

	if (!master && current->proc->tty != tty)
		return -ENOTTY;
	pgrp = tty_pgrp_get(tty);
	nr = pid_nr(pgrp);
	if (pgrp)
		pid_put(pgrp);
	return put_user(nr, arg);
}

/* Does any process of the group belong to the session? tasklist_lock held. */
static bool pgrp_in_session(struct pid *pgrp, struct pid *sid)
{
	struct process *p;

	list_for_each(p, &pgrp->tasks[PIDTYPE_PGID], pgid_node)
		return p->sid == sid;
	return false;
}

static long tiocspgrp(struct tty *tty, u64 arg, bool master)
{
	struct process *p = current->proc;
	struct pid *pgrp;
	long ret = tty_check_change(tty, SIGTTOU);
	s32 nr;

	if (ret)
		return ret == -EIO ? -ENOTTY : ret;
	if (!master && (p->tty != tty || tty->session != p->sid))
		return -ENOTTY;
	if (get_user(nr, arg))
		return -EFAULT;
	if (nr < 0)
		return -EINVAL;
	pgrp = pid_find_get(nr);
	if (!pgrp)
		return -ESRCH;
	spin_lock(&tasklist_lock);
	if (list_empty(&pgrp->tasks[PIDTYPE_PGID])) {
		ret = -ESRCH;
	} else if (!pgrp_in_session(pgrp, master && tty->session ? tty->session : p->sid)) {
		ret = -EPERM;
	} else {
		spin_lock(&tty->lock);
		replace_pid(&tty->pgrp, pgrp);
		spin_unlock(&tty->lock);
	}
	spin_unlock(&tasklist_lock);
	pid_put(pgrp);
	return ret;
}

static long tiocgsid(struct tty *tty, u64 arg, bool master)
{
	s32 nr = 0;

	if (!master && current->proc->tty != tty)
		return -ENOTTY;
	spin_lock(&tty->lock);
	if (tty->session)
		nr = pid_nr(tty->session);
	spin_unlock(&tty->lock);
	return nr ? put_user(nr, arg) : -ENOTTY;
}

static long set_winsize(struct tty *tty, u64 arg)
{
	struct winsize w;
	bool changed;

	if (copy_from_user(&w, arg, sizeof(w)))
		return -EFAULT;
	if (tty->ops->set_winsize) {
		long ret = tty->ops->set_winsize(tty, &w);

		if (ret)
			return ret;
	}
	spin_lock(&tty->lock);
	changed = memcmp(&w, &tty->winsize, sizeof(w)) != 0;
	tty->winsize = w;
	spin_unlock(&tty->lock);
	if (changed)
		tty_signal_pgrp(tty, SIGWINCH);
	return 0;
}

static long get_winsize(struct tty *tty, u64 arg)
{
	struct winsize w;

	if (tty->ops->get_winsize) {
		long ret = tty->ops->get_winsize(tty, &w);

		if (ret)
			return ret;
	} else {
		spin_lock(&tty->lock);
		w = tty->winsize;
		spin_unlock(&tty->lock);
	}
	return copy_to_user(arg, &w, sizeof(w));
}

static long flush_queues(struct tty *tty, u64 queue)
{
	long ret = tty_check_change(tty, SIGTTOU);

	if (ret)
		return ret;
	if (queue > TCIOFLUSH)
		return -EINVAL;
	if (tty->ops->flush)
		tty->ops->flush(tty, (u32)queue);
	spin_lock(&tty->lock);
	if (queue != TCOFLUSH)
		n_tty_flush_input(tty);
	if (queue != TCIFLUSH)
		tty->out_tail = tty->out_head;
	spin_unlock(&tty->lock);
	wake_up_all(&tty->write_wait);
	return 0;
}

static long flow_control(struct tty *tty, u64 arg)
{
	long ret = tty_check_change(tty, SIGTTOU);

	if (ret)
		return ret;
	switch (arg) {
	case TCOOFF:
		tty->stopped = true;
		return 0;
	case TCOON:
		tty->stopped = false;
		wake_up_all(&tty->write_wait);
		return 0;
	case TCIOFF:
	case TCION:
		return 0;
	default:
		return -EINVAL;
	}
}

static long put_int(u64 arg, s32 v) { return put_user(v, arg); }

long tty_ioctl(struct tty *tty, struct file *file, u32 cmd, u64 arg, bool master)
{
	long ret;

	if (tty->hung_up && !master)
		return cmd == TIOCSPGRP ? -ENOTTY : -EIO;
	ret = tty_termios_ioctl(tty, cmd, arg, master);
	if (ret != -ENOIOCTLCMD)
		return ret;
	switch (cmd) {
	case TIOCGWINSZ:
		return get_winsize(tty, arg);
	case TIOCSWINSZ:
		return set_winsize(tty, arg);
	case TIOCSCTTY:
		return tiocsctty(tty, arg);
	case TIOCNOTTY:
		if (current->proc->tty != tty)
			return -ENOTTY;
		disassociate_ctty(current->proc, false);
		return 0;
	case TIOCGPGRP:
		return tiocgpgrp(tty, arg, master);
	case TIOCSPGRP:
		return tiocspgrp(tty, arg, master);
	case TIOCGSID:
		return tiocgsid(tty, arg, master);
	case TCFLSH:
		return flush_queues(tty, arg);
	case TCXONC:
		return flow_control(tty, arg);
	case TCSBRK:
	case TCSBRKP:
		ret = tty_check_change(tty, SIGTTOU);
		if (ret || !tty->output)
			return ret;
		return wait_event_interruptible(tty->write_wait, tty->out_head == tty->out_tail || tty->hung_up);
	case TIOCSBRK:
	case TIOCCBRK:
		return 0;
	case FIONREAD:
		return put_int(arg, (s32)(tty->ops->inq ? tty->ops->inq(tty) : n_tty_input_count(tty)));
	case TIOCOUTQ:
		return put_int(arg, (s32)(tty->out_head - tty->out_tail));
	case TIOCGETD:
		return put_int(arg, 0);
	case TIOCSETD: {
		s32 disc;

		if (get_user(disc, arg))
			return -EFAULT;
		return disc == 0 ? 0 : -EINVAL;
	}
	case TIOCEXCL:
		tty->exclusive = true;
		return 0;
	case TIOCNXCL:
		tty->exclusive = false;
		return 0;
	case TIOCGEXCL:
		return put_int(arg, tty->exclusive);
	case TIOCSTI:
		return -EIO; /* as with dev.tty.legacy_tiocsti=0 */
	case TIOCMGET:
	case TIOCMSET:
		return -ENOTTY;
	default:
		return -ENOTTY;
	}
}

/* ---- /dev/tty: whatever the controlling terminal of the opener is ---- */

static int dev_tty_open(struct inode *inode, struct file *file)
{
	struct tty *tty = process_tty_get(current->proc);
	const struct file_ops *fop;
	int ret;

	if (!tty)
		return -ENXIO;
	fop = chrdev_fops(tty->rdev);
	if (!fop) {
		tty_put(tty);
		return -ENXIO;
	}
	file->fop = fop;
	file->priv = tty; /* the terminal's own open sees it and takes it over */
	ret = fop->open ? fop->open(inode, file) : 0;
	if (ret)
		tty_put(tty);
	return ret;
}

static const struct file_ops dev_tty_fops = { .open = dev_tty_open };

void tty_devices_register(void) { register_chrdev(5, 0, 1, &dev_tty_fops); }
