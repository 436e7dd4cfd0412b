/*
 * What the sandbox process says to the outside: log lines, the final statistics, its last report to the command.
 */
#ifndef HOST_EXIT_H
#define HOST_EXIT_H

#include "hostcall.h"

/* Sandbox -> command, once, over the control socket; then the sandbox process ends. */
enum report_kind {
	REPORT_EXITED,	 /* value: status */
	REPORT_SIGNALED, /* value: signal */
	REPORT_PANIC,	 /* the sentry or the host side gave up; a line has been printed */
};
struct sandbox_report {
	u32 kind;
	u32 value;
};
/* Command -> sandbox. */
struct sandbox_signal {
	u32 signal;
	u32 to_init; /* for process 1, whoever has the terminal */
};

/* Before the lock-down. log_fd: --debug-log, or -1. `counters` prints the platform's rows of --stats. */
void host_exit_init(int control_fd, int log_fd, bool stats, void (*counters)(void));

/* One line of the sentry's: control characters are taken out, for it may end on a terminal. */
void host_log_untrusted(const char *text, size_t len);
void host_log(const char *fmt, ...) __printf(1, 2);
/* A row of --stats. */
void host_stat(const char *name, u64 value);

/* The end. stats: text of the sentry's in sandbox memory, or NULL; req->stats_len bytes. */
__noreturn void host_exit(const struct hc_exit *req, const char *stats);

#endif
