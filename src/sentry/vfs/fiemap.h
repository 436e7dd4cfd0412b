/* FS_IOC_FIEMAP on a regular file. */
#ifndef SENTRY_FIEMAP_H
#define SENTRY_FIEMAP_H

#include "sentry/vfs/vfs.h"

long ioctl_fiemap(struct file *f, u64 arg);

#endif
