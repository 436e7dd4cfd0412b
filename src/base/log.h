/* The sentry's log. Lines go to --debug-log through HC_LOG; KERN_ERR and worse always reach stderr too. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/types.h"

enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DEBUG };
extern enum log_level log_level; /* lines above this are dropped before they are formatted */

void log_init(void); /* as soon as there are frames; lines before it are lost */
void klog_line(enum log_level level, const char *fmt, ...) __printf(2, 3);
/* A whole line as it is, whatever the level: traces, reports. At most LOG_LINE_MAX bytes. */
#define LOG_LINE_MAX 2048
void log_text(const char *text, size_t len);
void log_trace(const u64 *frame); /* who called, from a frame pointer on */
#define klog(level, ...)                                                                \
	do {                                                                            \
		if ((level) <= log_level)                                               \
			klog_line(level, __VA_ARGS__);                                  \
	} while (0)

/* An invariant of the sentry is broken: log, dump the stack, end the sandbox with status 128 + SIGABRT. */
void panic(const char *fmt, ...) __printf(1, 2) __noreturn;
#define BUG_ON(cond)                                                                    \
	do {                                                                            \
		if (unlikely(cond))                                                     \
			panic("%s:%d: BUG: %s", __FILE__, __LINE__, #cond);             \
	} while (0)

#endif
