/* Files of the host, through the gofer process (include/gofer.h). */
#ifndef FS_GOFER_GOFER_FS_H
#define FS_GOFER_GOFER_FS_H

#include "base/types.h"

struct inode;
struct super_block;

void gofer_register(void);
/* A super block on a tree of the gofer, for the overlay: sb->root is its root. 0 or -errno. */
int gofer_fill_super(struct super_block *sb, const char *source, const char *options, void *tree);

#endif
