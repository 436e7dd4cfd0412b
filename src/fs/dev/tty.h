/*
 * Terminals: what a pseudo-terminal and the host's terminal share, the line discipline and job control.
 *
 * Locks: tty->lock (spin) guards termios, buffers and job control; nothing sleeps under it. It is taken inside
 * tasklist_lock and outside waitq.lock. See termios(3), ioctl_tty(2), setpgid(2), credentials(7).
 */
#ifndef FS_DEV_TTY_H
#define FS_DEV_TTY_H

#include <asm/termbits.h>
#include <asm/termios.h>

#include "base/lock.h"
#include "base/types.h"
#include "sentry/kernel/wait.h"
#include "sentry/vfs/vfs.h"

struct pid;
struct process;
struct tty;

#define TTY_INPUT_SIZE 4096u   /* N_TTY_BUF_SIZE: a line is at most 4095 characters */
#define TTY_OUTPUT_SIZE 16384u /* from a slave to its master */

struct tty_ops {
	/* An open by name or by /dev/tty; takes a reference of the terminal over. 0. NULL: a pseudo-terminal's own. */
	int (*open)(struct tty *tty, struct file *file);
	/* Termios or window size was changed by an application: tell the far side. May sleep. 0 or -errno. NULL: nothing. */
	int (*set_termios)(struct tty *tty, u32 cmd, const struct termios *t);
	int (*set_winsize)(struct tty *tty, const struct winsize *w);
	int (*get_termios)(struct tty *tty, struct termios *t);
	int (*get_winsize)(struct tty *tty, struct winsize *w);
	long (*inq)(struct tty *tty); /* FIONREAD */
	void (*flush)(struct tty *tty, u32 queue); /* TCFLSH */
	void (*destroy)(struct tty *tty);
};

struct tty {
	refcount_t ref;
	spinlock_t lock;
	const struct tty_ops *ops;
	u64 rdev;
	struct termios termios, termios_locked; /* a bit set in the second keeps that of the first */
	u32 ispeed, ospeed;			/* bits a second, as termios2 says them; 0: what c_cflag says */
	struct winsize winsize;
	struct pid *session, *pgrp; /* references; NULL: nobody's controlling terminal */
	bool hung_up, exclusive, stopped;

	/* Line discipline (n_tty.c). Positions count up; index modulo the size. */
	u8 *input;		       /* TTY_INPUT_SIZE */
	u64 delim[TTY_INPUT_SIZE / 64]; /* bit: this character ends a line */
	u32 in_head, in_canon, in_tail; /* written; end of the last whole line; read */
	u32 column, canon_column;
	bool lnext;
	struct waitq read_wait, write_wait;

	/* Output towards the far side: a pty's master reads it. */
	u8 *output;
	u32 out_head, out_tail;
	struct waitq master_wait;
	bool master_open, packet_mode, locked;
	bool named; /* of the host's terminals: /dev/pts/N is there */
	u8 packet_status;
	u32 slave_opens, index;
	bool slave_was_open;
	void *priv;
};

void tty_init(struct tty *tty, const struct tty_ops *ops, u64 rdev);
static inline struct tty *tty_get(struct tty *tty) { refcount_inc(&tty->ref); return tty; }
void tty_put(struct tty *tty);
extern const struct termios tty_std_termios;

/* ---- tty.c: job control and ioctls ---- */
/* May the current task read (SIGTTIN) or change (SIGTTOU) its controlling terminal now? 0, -ERESTARTSYS or -EIO. */
long tty_check_change(struct tty *tty, int sig);
/* Make it the controlling terminal of the current session leader, as open(2) does without O_NOCTTY. */
void tty_open_ctty(struct tty *tty, struct file *file);
long tty_ioctl(struct tty *tty, struct file *file, u32 cmd, u64 arg, bool master);
/* tty_termios.c: the ioctls about modes; -ENOIOCTLCMD when it is another. */
#define ENOIOCTLCMD 515
long tty_termios_ioctl(struct tty *tty, u32 cmd, u64 arg, bool master);
void tty_signal_pgrp(struct tty *tty, int sig);
void tty_hangup(struct tty *tty);
/* A process leaves its terminal: setsid(2), TIOCNOTTY, or the exit of a session leader (hangs up the rest). */
void disassociate_ctty(struct process *p, bool on_exit);
struct tty *process_tty_get(struct process *p); /* reference or NULL */

/* ---- n_tty.c: the line discipline ---- */
/* One received character; lock held. Returns a signal for the foreground job, or 0. */
int n_tty_receive(struct tty *tty, u8 c);
bool n_tty_input_ready(struct tty *tty); /* lock held: a read would not block */
long n_tty_read(struct tty *tty, struct file *file, struct iov_iter *to);
/* Process output; lock held. Characters of buf consumed: all, or as many as there was room for. */
size_t n_tty_output(struct tty *tty, const u8 *buf, size_t n);
void n_tty_flush_input(struct tty *tty); /* lock held */
void n_tty_mode_changed(struct tty *tty, const struct termios *old); /* lock held */
u32 n_tty_output_room(struct tty *tty);
u32 n_tty_input_count(struct tty *tty); /* FIONREAD */

/* ---- registered by dev_register() ---- */
void mem_devices_register(void);
void tty_devices_register(void);
void pty_devices_register(void);
struct tty *pty_slave_get(u32 index);
/* A number, and with it the name /dev/pts/N: 0, or -ENOSPC. Names are made and taken away where it may sleep. */
int pts_add(struct tty *tty);
void pts_remove(struct tty *tty);

#endif
