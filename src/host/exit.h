/*
 * What the sandbox process says to the outside: log lines, the final statistics, its last report to the command.
 */
#ifndef HOST_EXIT_H
#define HOST_EXIT_H

#include "hostcall.h"

/* Sandbox -> command over the control socket; after one but the last the sandbox process ends. */
enum report_kind {
	REPORT_EXITED,	 /* value: status */
	REPORT_SIGNALED, /* value: signal */
	REPORT_OOM,	 /* the same of SIGKILL, for want of memory; the sandbox process keeps its memory and waits to be ended */
	REPORT_PANIC,	 /* the sentry or the host side gave up; a line has been printed */
	REPORT_SPAWN,	 /* of program `id`: state and value as in hc_spawn_say */
};
struct sandbox_report {
	u32 kind;
	u32 value;
	u32 id, state; /* REPORT_SPAWN */
};
/* Command -> sandbox. */
enum control_kind { CONTROL_SIGNAL, CONTROL_SPAWN /* a struct hc_spawn follows; three descriptors come with it */, CONTROL_SPAWN_SIGNAL,
		    CONTROL_ASK /* a descriptor may come with it, for the text of the answer */ };
struct control_msg {
	u32 kind;
	u32 signal;
	u32 id;		/* of the program or question, chosen by the command */
	u32 terminal;	/* the signal is the terminal's: for the foreground job */
	u32 ask, value; /* CONTROL_ASK: enum hc_ask */
};

/* Before the lock-down. log_fd: --debug-log, or -1. `counters` prints the platform's rows of --stats. */
void host_exit_init(int control_fd, int log_fd, bool stats, void (*counters)(void));

/* Lines for the user go to fd, a pipe of whoever waits for the start, for as long as that reads it; then to standard error. -1: at once. */
void host_exit_report_start(int fd);
void host_complain(const char *line, size_t n);

/* Once no descriptor is closed any more: programs close their standard error, and what is to be said at the end is said even so. */
void host_exit_keep_stderr(void);

/* One line of the sentry's: control characters are taken out, for it may end on a terminal. */
void host_log_untrusted(const char *text, size_t len);
void host_log(const char *fmt, ...) __printf(1, 2);
/* A row of --stats. */
void host_stat(const char *name, u64 value);

/* What became of a program that was started from outside. */
void host_say_spawn(u32 id, u32 state, u32 value);

/* The end. stats: text of the sentry's in sandbox memory, or NULL; req->stats_len bytes. */
__noreturn void host_exit(const struct hc_exit *req, const char *stats);

#endif
