/* The line discipline N_TTY: termios(3), in the order in which Linux applies the flags. */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/signal.h>

#include "base/string.h"
#include "fs/dev/tty.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/transfer.h"

#define L(tty, f) ((tty)->termios.c_lflag & (f))
#define I(tty, f) ((tty)->termios.c_iflag & (f))
#define O(tty, f) ((tty)->termios.c_oflag & (f))
#define CC(tty, i) ((tty)->termios.c_cc[i])
#define DISABLED 0 /* _POSIX_VDISABLE */

static u8 input_at(const struct tty *tty, u32 pos) { return tty->input[pos % TTY_INPUT_SIZE]; }
static bool is_delim(const struct tty *tty, u32 pos)
{
	pos %= TTY_INPUT_SIZE;
	return tty->delim[pos / 64] >> (pos % 64) & 1;
}
static void set_delim(struct tty *tty, u32 pos, bool on)
{
	pos %= TTY_INPUT_SIZE;
	if (on)
		tty->delim[pos / 64] |= 1ull << (pos % 64);
	else
		tty->delim[pos / 64] &= ~(1ull << (pos % 64));
}

/* ---- output ---- */

u32 n_tty_output_room(struct tty *tty) { return TTY_OUTPUT_SIZE - (tty->out_head - tty->out_tail); }

static void emit(struct tty *tty, u8 c)
{
	if (n_tty_output_room(tty))
		tty->output[tty->out_head++ % TTY_OUTPUT_SIZE] = c;
}

static void emit_processed(struct tty *tty, u8 c)
{
	switch (c) {
	case '\n':
		if (O(tty, ONLRET))
			tty->column = 0;
		if (O(tty, ONLCR)) {
			tty->column = 0;
			emit(tty, '\r');
		}
		break;
	case '\r':
		if (O(tty, ONOCR) && tty->column == 0)
			return;
		if (O(tty, OCRNL)) {
			c = '\n';
			if (O(tty, ONLRET))
				tty->column = 0;
			break;
		}
		tty->column = 0;
		break;
	case '\t': {
		u32 spaces = 8 - (tty->column & 7);

		tty->column += spaces;
		if (O(tty, TABDLY) == XTABS) {
			while (spaces--)
				emit(tty, ' ');
			return;
		}
		break;
	}
	case '\b':
		if (tty->column)
			tty->column--;
		break;
	default:
		if (O(tty, OLCUC) && c >= 'a' && c <= 'z')
			c = (u8)(c - 32);
		if (c >= ' ' && c != 0x7f && (!I(tty, IUTF8) || (c & 0xc0) != 0x80))
			tty->column++;
	}
	emit(tty, c);
}

size_t n_tty_output(struct tty *tty, const u8 *buf, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (n_tty_output_room(tty) < 8) /* the longest expansion: a tab */
			return i;
		if (O(tty, OPOST))
			emit_processed(tty, buf[i]);
		else
			emit(tty, buf[i]);
	}
	return n;
}

/* ---- echo ---- */

static void echo_raw(struct tty *tty, u8 c)
{
	if (O(tty, OPOST))
		emit_processed(tty, c);
	else
		emit(tty, c);
}

static void echo(struct tty *tty, u8 c)
{
	if (L(tty, ECHOCTL) && c < ' ' && c != '\t' && c != '\n') {
		echo_raw(tty, '^');
		echo_raw(tty, c ^ 0100);
	} else if (L(tty, ECHOCTL) && c == 0x7f) {
		echo_raw(tty, '^');
		echo_raw(tty, '?');
	} else {
		echo_raw(tty, c);
	}
}

static void rub_out(struct tty *tty, u8 c)
{
	u32 width = 1;

	if (c == '\t')
		width = 1; /* approximates the column; a full redraw is VREPRINT's */
	else if (c < ' ' || c == 0x7f)
		width = L(tty, ECHOCTL) ? 2 : 0;
	while (width--) {
		echo_raw(tty, '\b');
		echo_raw(tty, ' ');
		echo_raw(tty, '\b');
	}
}

/* ---- input ---- */

static void put_input(struct tty *tty, u8 c, bool delim)
{
	if (tty->in_head - tty->in_tail >= TTY_INPUT_SIZE)
		return;
	set_delim(tty, tty->in_head, delim);
	tty->input[tty->in_head++ % TTY_INPUT_SIZE] = c;
}

static void erase_one(struct tty *tty)
{
	u8 c;

	if (tty->in_head == tty->in_canon)
		return;
	do
		c = input_at(tty, --tty->in_head);
	while (I(tty, IUTF8) && (c & 0xc0) == 0x80 && tty->in_head != tty->in_canon);
	if (!L(tty, ECHO))
		return;
	if (L(tty, ECHOE))
		rub_out(tty, c);
	else
		echo(tty, CC(tty, VERASE));
}

static bool is_word(u8 c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c >= 0x80;
}

static void erase_word(struct tty *tty)
{
	bool seen = false;

	while (tty->in_head != tty->in_canon) {
		bool word = is_word(input_at(tty, tty->in_head - 1));

		if (seen && !word)
			break;
		seen |= word;
		erase_one(tty);
	}
}

static void kill_line(struct tty *tty)
{
	if (!L(tty, ECHO)) {
		tty->in_head = tty->in_canon;
	} else if (L(tty, ECHOKE) && L(tty, ECHOE)) {
		while (tty->in_head != tty->in_canon)
			erase_one(tty);
	} else {
		tty->in_head = tty->in_canon;
		echo(tty, CC(tty, VKILL));
		if (L(tty, ECHOK))
			echo_raw(tty, '\n');
	}
}

static bool is_cc(struct tty *tty, u8 c, u32 index) { return CC(tty, index) != DISABLED && c == CC(tty, index); }

/* ISIG characters: the signal, or 0. */
static int signal_char(struct tty *tty, u8 c)
{
	if (is_cc(tty, c, VINTR))
		return SIGINT;
	if (is_cc(tty, c, VQUIT))
		return SIGQUIT;
	if (is_cc(tty, c, VSUSP))
		return SIGTSTP;
	return 0;
}

static int receive_signal(struct tty *tty, u8 c, int sig)
{
	if (!L(tty, NOFLSH)) {
		n_tty_flush_input(tty);
		tty->out_tail = tty->out_head;
		wake_up_all(&tty->write_wait);
	}
	if (I(tty, IXON))
		tty->stopped = false;
	if (L(tty, ECHO))
		echo(tty, c);
	return sig;
}

static void end_line(struct tty *tty, u8 c)
{
	put_input(tty, c, true);
	tty->in_canon = tty->in_head;
	wake_up_all(&tty->read_wait);
}

/* Canonical editing. True: the character was consumed. */
static bool receive_canonical(struct tty *tty, u8 c)
{
	if (is_cc(tty, c, VERASE)) {
		erase_one(tty);
	} else if (is_cc(tty, c, VKILL)) {
		kill_line(tty);
	} else if (L(tty, IEXTEN) && is_cc(tty, c, VWERASE)) {
		erase_word(tty);
	} else if (L(tty, IEXTEN) && is_cc(tty, c, VLNEXT)) {
		tty->lnext = true;
		if (L(tty, ECHO) && L(tty, ECHOCTL)) {
			echo_raw(tty, '^');
			echo_raw(tty, '\b');
		}
	} else if (L(tty, IEXTEN) && L(tty, ECHO) && is_cc(tty, c, VREPRINT)) {
		echo(tty, c);
		echo_raw(tty, '\n');
		for (u32 p = tty->in_canon; p != tty->in_head; p++)
			echo(tty, input_at(tty, p));
	} else if (c == '\n') {
		if (L(tty, ECHO) || L(tty, ECHONL))
			echo_raw(tty, '\n');
		end_line(tty, c);
	} else if (is_cc(tty, c, VEOF)) {
		end_line(tty, DISABLED);
	} else if (is_cc(tty, c, VEOL) || (L(tty, IEXTEN) && is_cc(tty, c, VEOL2))) {
		if (L(tty, ECHO))
			echo(tty, c);
		end_line(tty, c);
	} else {
		return false;
	}
	return true;
}

int n_tty_receive(struct tty *tty, u8 c)
{
	int sig;

	if (I(tty, ISTRIP))
		c &= 0x7f;
	if (I(tty, IUCLC) && L(tty, IEXTEN) && c >= 'A' && c <= 'Z')
		c = (u8)(c + 32);
	if (tty->lnext) {
		tty->lnext = false;
		goto store;
	}
	if (I(tty, IXON)) {
		if (is_cc(tty, c, VSTART)) {
			tty->stopped = false;
			wake_up_all(&tty->write_wait);
			return 0;
		}
		if (is_cc(tty, c, VSTOP)) {
			tty->stopped = true;
			return 0;
		}
		if (I(tty, IXANY) && tty->stopped) {
			tty->stopped = false;
			wake_up_all(&tty->write_wait);
		}
	}
	if (L(tty, ISIG)) {
		sig = signal_char(tty, c);
		if (sig)
			return receive_signal(tty, c, sig);
	}
	if (c == '\r') {
		if (I(tty, IGNCR))
			return 0;
		if (I(tty, ICRNL))
			c = '\n';
	} else if (c == '\n' && I(tty, INLCR)) {
		c = '\r';
	}
	if (L(tty, ICANON) && receive_canonical(tty, c))
		return 0;
store:
	if (tty->in_head - tty->in_tail >= TTY_INPUT_SIZE - 1) { /* a place is kept for the end of the line */
		if (I(tty, IMAXBEL))
			emit(tty, '\a');
		return 0;
	}
	if (L(tty, ECHO)) {
		if (c == '\n')
			echo_raw(tty, '\n');
		else
			echo(tty, c);
	}
	put_input(tty, c, false);
	if (!L(tty, ICANON)) {
		tty->in_canon = tty->in_head;
		wake_up_all(&tty->read_wait);
	}
	return 0;
}

void n_tty_flush_input(struct tty *tty)
{
	tty->in_head = tty->in_canon = tty->in_tail;
	tty->lnext = false;
}

void n_tty_mode_changed(struct tty *tty, const struct termios *old)
{
	if (!((old->c_lflag ^ tty->termios.c_lflag) & ICANON))
		return;
	/* What is typed already becomes readable; in canonical mode it counts as a line without an end. */
	if (tty->in_head != tty->in_tail && L(tty, ICANON))
		set_delim(tty, tty->in_head - 1, true);
	tty->in_canon = tty->in_head;
	wake_up_all(&tty->read_wait);
}

bool n_tty_input_ready(struct tty *tty)
{
	u32 have = tty->in_canon - tty->in_tail, min = CC(tty, VTIME) ? 1 : CC(tty, VMIN);

	return have >= (L(tty, ICANON) || !min ? 1 : min);
}

u32 n_tty_input_count(struct tty *tty)
{
	u32 n = tty->in_canon - tty->in_tail;

	if (L(tty, ICANON)) /* an end-of-file mark is no character */
		for (u32 p = tty->in_tail; p != tty->in_canon; p++)
			n -= is_delim(tty, p) && input_at(tty, p) == DISABLED;
	return n;
}

/* Move what one read may take into buf; lock held. *end: the read is complete (end of line or of file). */
static size_t take_input(struct tty *tty, u8 *buf, size_t n, bool *end)
{
	size_t got = 0;

	*end = false;
	while (got < n && tty->in_tail != tty->in_canon) {
		u8 c = input_at(tty, tty->in_tail);
		bool delim = L(tty, ICANON) && is_delim(tty, tty->in_tail);

		tty->in_tail++;
		if (delim && c == DISABLED) {
			*end = true;
			break;
		}
		buf[got++] = c;
		if (delim) {
			*end = true;
			break;
		}
	}
	return got;
}

static bool may_read(struct tty *tty)
{
	return tty->hung_up || tty->in_canon != tty->in_tail;
}

/* Wait until something can be read. 0, -EAGAIN, -ERESTARTSYS, -ETIMEDOUT. */
static long wait_input(struct tty *tty, struct file *file, u64 deadline)
{
	if (may_read(tty))
		return 0;
	if (file_nonblock(file))
		return -EAGAIN;
	return wait_event_interruptible_until(tty->read_wait, may_read(tty), deadline);
}

static u64 vtime_deadline(struct tty *tty)
{
	return CC(tty, VTIME) ? clock_mono_ns() + CC(tty, VTIME) * (NSEC_PER_SEC / 10) : ~0ull;
}

long n_tty_read(struct tty *tty, struct file *file, struct iov_iter *to)
{
	bool canonical = L(tty, ICANON);
	u32 min = canonical ? 1 : CC(tty, VMIN);
	u64 deadline = !canonical && !min ? vtime_deadline(tty) : ~0ull;
	long done = 0;
	u8 chunk[128];

	if (!canonical && !min && !CC(tty, VTIME) && !may_read(tty))
		return 0;
	while (to->count) {
		bool end = false;
		size_t n;
		long err = tty_check_change(tty, SIGTTIN);

		if (!err && (!done || done < min || may_read(tty)))
			err = wait_input(tty, file, deadline);
		if (err)
			return done ? done : err == -ETIMEDOUT ? 0 : err;
		spin_lock(&tty->lock);
		if (tty->hung_up && tty->in_canon == tty->in_tail) {
			spin_unlock(&tty->lock);
			return done;
		}
		n = take_input(tty, chunk, MIN(sizeof(chunk), to->count), &end);
		spin_unlock(&tty->lock);
		if (copy_to_iter(chunk, n, to) != n)
			return done ? done : -EFAULT;
		done += (long)n;
		wake_up_all(&tty->master_wait); /* there is room for more input */
		if (end || (canonical ? false : done >= (long)min && !may_read(tty)))
			break;
		if (!canonical && min)
			deadline = vtime_deadline(tty);
	}
	return done;
}
