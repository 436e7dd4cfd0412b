/* The command line: one file a command, one row of the table in main.c each. */
#ifndef RUNSC_C_COMMAND_H
#define RUNSC_C_COMMAND_H

#include "base/types.h"
#include "host/clock.h"

struct command {
	const char *name, *summary;
	int (*run)(int argc, char **argv); /* argv[0]: its own name. The exit status */
};

/* Statuses that are runsc-c's own, not the sandboxed program's (as env(1) and the shells have them). */
enum { STATUS_FAILED = 125, STATUS_NOT_EXECUTABLE = 126, STATUS_NOT_FOUND = 127 };

int cmd_do(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_platforms(int argc, char **argv);

/* Taken at the start of main(): the clock's rate is measured from there. */
extern struct clock_sample program_start;

/* One line to stderr, "runsc-c: ..."; STATUS_FAILED, for `return fail(...)`. */
int fail(const char *fmt, ...) __printf(1, 2);
/* All of standard output is written and it worked; else STATUS_FAILED with a line. */
int finish_stdout(void);

#endif
