/* Is a transfer not to wait, or to go to the end of the file: because of the open file, or of the call (preadv2(2))? */
#ifndef SENTRY_TRANSFER_H
#define SENTRY_TRANSFER_H

#include <linux/fcntl.h>
#include <linux/fs.h>

#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"

static inline bool file_nonblock(const struct file *f)
{
	return f->flags & O_NONBLOCK || current->rwf & RWF_NOWAIT;
}

static inline bool file_appends(const struct file *f)
{
	return f->flags & O_APPEND || current->rwf & RWF_APPEND;
}

#endif
