/* eventfd(2), for others that signal through one (aio). */
#ifndef SENTRY_EVENTFD_H
#define SENTRY_EVENTFD_H

#include "base/types.h"

struct file;

bool file_is_eventfd(const struct file *f);
/* Add n to the counter; never sleeps. */
void eventfd_signal(struct file *f, u64 n);

#endif
