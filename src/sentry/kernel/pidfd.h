/* Descriptors that refer to a process: pidfd_open(2). */
#ifndef SENTRY_PIDFD_H
#define SENTRY_PIDFD_H

#include "base/types.h"

struct file;
struct pid;

/* A new open file on the pid, which gets a reference. ERR_PTR(-errno). */
struct file *pidfd_file(struct pid *pid, u32 flags);
/* The pid behind a descriptor of the current task, with a reference; ERR_PTR(-EBADF). */
struct pid *pidfd_get(s32 fd, u32 *file_flags);

#endif
