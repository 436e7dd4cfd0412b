/* File leases: fcntl(2). */
#ifndef SENTRY_LEASE_H
#define SENTRY_LEASE_H

#include "sentry/vfs/vfs.h"

long fcntl_setlease(struct file *f, s32 fd, s32 type);
s32 fcntl_getlease(const struct file *f);
void lease_release(struct file *f); /* the open file goes away */
bool leases_any(void);
long lease_break_slow(struct inode *i, bool write, bool nonblock);
/* Somebody opens the file, or changes its size: wait until leases that are in the way are gone. */
static inline long lease_break(struct inode *i, bool write, bool nonblock)
{
	return likely(!leases_any()) ? 0 : lease_break_slow(i, write, nonblock);
}

#endif
