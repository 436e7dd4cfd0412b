/* Calls of runsc-c, which do not hold up the shim. */
#ifndef SHIM_COMMAND_H
#define SHIM_COMMAND_H

#include <sys/types.h>

#include "base/types.h"

#define COMMAND_ARGS 24

struct container;
struct command {
	/* set by the caller: */
	const struct container *container;
	const char *args[COMMAND_ARGS]; /* from the subcommand on; NULL at the end */
	int stdio[3];			/* -1: /dev/null; closed when it was started */
	char *owned[2];			/* of args: freed with it */
	void (*done)(struct command *c, bool ok);
	void *arg, *arg2;
	/* then: */
	char *why; /* its last error, when it failed */
	/* command.c's */
	char *log;
	pid_t pid;
	struct command *next;
};

/* *c is copied. done() comes from command_ended(), or from here when it cannot be started. */
void command_start(const struct command *c);
/* A child ended; was it one of these? */
bool command_ended(pid_t pid, int status);
bool command_running(void);
/* Wait for the end, with no loop: for "delete" of the shim. */
bool command_run(const struct container *container, const char *const *args, char **why);

#endif
