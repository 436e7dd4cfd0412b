/* The system-call table in memory; see table.def. */
#ifndef SENTRY_SYS_TABLE_H
#define SENTRY_SYS_TABLE_H

#include "sentry/sys/syscall.h"

struct syscall_entry {
	syscall_fn fn;	   /* NULL: no handler */
	const char *name;  /* NULL: no such number */
	const char *args;  /* kinds, comma separated */
	const char *result;
	s16 refused; /* -errno of a call refused by design, 0 else */
};
#define SYSCALL_MAX 451
extern const struct syscall_entry syscall_table[SYSCALL_MAX];

#endif
