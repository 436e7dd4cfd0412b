/* Names of constants as strace prints them. */
#ifndef SENTRY_TRACE_NAMES_H
#define SENTRY_TRACE_NAMES_H

#include "base/types.h"

struct name_set;

/* The set for a kind of argument in sys/table.def (text up to a comma), or NULL. */
const struct name_set *name_set_for(const char *kind);
/* v as names into buf: "A|B|0x100" for flags, one name or a number else. Returns buf. */
const char *name_value(const struct name_set *set, u64 v, char *buf, size_t size);
const char *signal_name(int sig); /* "SIGHUP"; NULL for real-time signals and nonsense */
int errno_words(int err, char *buf, size_t size); /* "no such file or directory"; the length */
const char *errno_name(int err);  /* "ENOENT (No such file or directory)" */
const char *file_type_name(u32 mode); /* "S_IFREG" */

#endif
