/*
 * Modes of a terminal: the ioctls TCGETS to TIOCSLCKTRMIOS of ioctl_tty(2). They speak of one state in three layouts: struct
 * termios, struct termio of System V, whose flags have 16 bits, and struct termios2, which has the speed in bits a second.
 */
#include <linux/capability.h>
#include <linux/errno.h>
#include <asm/ioctls.h>
#include <asm/signal.h>

#include "base/string.h"
#include "fs/dev/tty.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

#define TERMIO_CC 8u

/* What TCSETS*, TCSETA* and TCSETS2* have in common beyond the layout. */
enum when { NOW, DRAINED, DRAINED_AND_FLUSHED };

static const u32 speeds[] = { 0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400 };
static const u32 fast_speeds[] = { 0, 57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000,
				   3000000, 3500000, 4000000 };

static u32 speed_of(u32 code)
{
	return code & CBAUDEX ? fast_speeds[code & 15] : speeds[code & 15];
}

static long get_termios(struct tty *tty, struct termios *t)
{
	if (tty->ops->get_termios)
		return tty->ops->get_termios(tty, t);
	spin_lock(&tty->lock);
	*t = tty->termios;
	spin_unlock(&tty->lock);
	return 0;
}

/* A pseudo-terminal has no line: eight bits, no parity, always receiving; as Linux' pty driver. */
static void fix_line(struct tty *tty, struct termios *t)
{
	if (tty->output)
		t->c_cflag = (t->c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8 | CREAD;
}

static void keep_locked(struct termios *t, const struct termios *old, const struct termios *locked)
{
	t->c_iflag ^= (t->c_iflag ^ old->c_iflag) & locked->c_iflag;
	t->c_oflag ^= (t->c_oflag ^ old->c_oflag) & locked->c_oflag;
	t->c_cflag ^= (t->c_cflag ^ old->c_cflag) & locked->c_cflag;
	t->c_lflag ^= (t->c_lflag ^ old->c_lflag) & locked->c_lflag;
	if (locked->c_line)
		t->c_line = old->c_line;
	for (u32 i = 0; i < NCCS; i++)
		if (locked->c_cc[i])
			t->c_cc[i] = old->c_cc[i];
}

static u32 ioctl_of(enum when when)
{
	return when == NOW ? TCSETS : when == DRAINED ? TCSETSW : TCSETSF;
}

static long apply(struct tty *tty, struct termios *t, u32 ispeed, u32 ospeed, enum when when)
{
	struct termios old;
	long ret;

	if (when != NOW) {
		ret = wait_event_interruptible(tty->write_wait, tty->out_head == tty->out_tail || tty->hung_up || !tty->output);
		if (ret)
			return ret;
	}
	fix_line(tty, t);
	if (tty->ops->set_termios) {
		ret = tty->ops->set_termios(tty, ioctl_of(when), t);
		if (ret)
			return ret;
	}
	spin_lock(&tty->lock);
	old = tty->termios;
	keep_locked(t, &old, &tty->termios_locked);
	tty->termios = *t;
	tty->ispeed = ispeed;
	tty->ospeed = ospeed;
	if (when == DRAINED_AND_FLUSHED)
		n_tty_flush_input(tty);
	n_tty_mode_changed(tty, &old);
	spin_unlock(&tty->lock);
	return 0;
}

/* ---- the three layouts ---- */

static long put_termios(struct tty *tty, u64 arg)
{
	struct termios t;
	long ret = get_termios(tty, &t);

	return ret ? ret : copy_to_user(arg, &t, sizeof(t));
}

static long set_termios(struct tty *tty, u64 arg, enum when when)
{
	struct termios t;

	return copy_from_user(&t, arg, sizeof(t)) ? -EFAULT : apply(tty, &t, 0, 0, when);
}

static long put_termio(struct tty *tty, u64 arg)
{
	struct termio old;
	struct termios t;
	long ret = get_termios(tty, &t);

	if (ret)
		return ret;
	memset(&old, 0, sizeof(old));
	old.c_iflag = (u16)t.c_iflag;
	old.c_oflag = (u16)t.c_oflag;
	old.c_cflag = (u16)t.c_cflag;
	old.c_lflag = (u16)t.c_lflag;
	old.c_line = t.c_line;
	memcpy(old.c_cc, t.c_cc, TERMIO_CC);
	return copy_to_user(arg, &old, sizeof(old));
}

static long set_termio(struct tty *tty, u64 arg, enum when when)
{
	struct termio in;
	struct termios t;
	long ret;

	if (copy_from_user(&in, arg, sizeof(in)))
		return -EFAULT;
	ret = get_termios(tty, &t);
	if (ret)
		return ret;
	t.c_iflag = (t.c_iflag & 0xffff0000) | in.c_iflag; /* the upper halves stay */
	t.c_oflag = (t.c_oflag & 0xffff0000) | in.c_oflag;
	t.c_cflag = (t.c_cflag & 0xffff0000) | in.c_cflag;
	t.c_lflag = (t.c_lflag & 0xffff0000) | in.c_lflag;
	t.c_line = in.c_line;
	memcpy(t.c_cc, in.c_cc, TERMIO_CC);
	return apply(tty, &t, 0, 0, when);
}

static long put_termios2(struct tty *tty, u64 arg)
{
	struct termios2 two;
	struct termios t;
	long ret = get_termios(tty, &t);

	if (ret)
		return ret;
	memcpy(&two, &t, sizeof(t));
	spin_lock(&tty->lock);
	two.c_ospeed = tty->ospeed ? tty->ospeed : speed_of(t.c_cflag & CBAUD);
	two.c_ispeed = tty->ispeed ? tty->ispeed : two.c_ospeed;
	spin_unlock(&tty->lock);
	return copy_to_user(arg, &two, sizeof(two));
}

static long set_termios2(struct tty *tty, u64 arg, enum when when)
{
	struct termios2 two;
	struct termios t;
	bool said;

	if (copy_from_user(&two, arg, sizeof(two)))
		return -EFAULT;
	memcpy(&t, &two, sizeof(t));
	said = (t.c_cflag & CBAUD) == BOTHER;
	return apply(tty, &t, said ? two.c_ispeed : 0, said ? two.c_ospeed : 0, when);
}

static long put_locked(struct tty *tty, u64 arg)
{
	struct termios t;

	spin_lock(&tty->lock);
	t = tty->termios_locked;
	spin_unlock(&tty->lock);
	return copy_to_user(arg, &t, sizeof(t));
}

static long set_locked(struct tty *tty, u64 arg)
{
	struct termios t;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_from_user(&t, arg, sizeof(t)))
		return -EFAULT;
	spin_lock(&tty->lock);
	tty->termios_locked = t;
	spin_unlock(&tty->lock);
	return 0;
}

static long change(struct tty *tty, u32 cmd, u64 arg)
{
	switch (cmd) {
	case TCSETS: case TCSETSW: case TCSETSF:
		return set_termios(tty, arg, (enum when)(cmd - TCSETS));
	case TCSETA: case TCSETAW: case TCSETAF:
		return set_termio(tty, arg, (enum when)(cmd - TCSETA));
	case TCSETS2:
		return set_termios2(tty, arg, NOW);
	case TCSETSW2:
		return set_termios2(tty, arg, DRAINED);
	default:
		return set_termios2(tty, arg, DRAINED_AND_FLUSHED);
	}
}

long tty_termios_ioctl(struct tty *tty, u32 cmd, u64 arg, bool master)
{
	long ret;

	switch (cmd) {
	case TCGETS:
		return put_termios(tty, arg);
	case TCGETA:
		return put_termio(tty, arg);
	case TCGETS2:
		return put_termios2(tty, arg);
	case TIOCGLCKTRMIOS:
		return put_locked(tty, arg);
	case TIOCSLCKTRMIOS:
		return set_locked(tty, arg);
	case TCSETS: case TCSETSW: case TCSETSF:
	case TCSETA: case TCSETAW: case TCSETAF:
	case TCSETS2: case TCSETSW2: case TCSETSF2:
		ret = master ? 0 : tty_check_change(tty, SIGTTOU);
		return ret ? ret : change(tty, cmd, arg);
	default:
		return -ENOIOCTLCMD;
	}
}
