/* What a file handle says, with its header: open_by_handle_at(2), struct file_handle. */
#ifndef SENTRY_HANDLE_H
#define SENTRY_HANDLE_H

#include "base/types.h"

struct dentry;
struct inode;

#define HANDLE_TYPE 1 /* inode number and generation */
#define HANDLE_BYTES 12u
struct inode_handle {
	u32 bytes;
	s32 type;
	u32 generation, ino_low, ino_high;
};
/* 0, or -EOPNOTSUPP: its file system has none. */
int handle_encode(struct dentry *d, struct inode_handle *h);
void inode_handle(const struct inode *i, struct inode_handle *h); /* of a file system that has them */

#endif
