/*
 * File systems in memory: tmpfs, and the overlay, which is the same with a read-only tree below it.
 *
 * An inode has its own state (directory entries, page cache, attributes) and perhaps a `lower` inode whose contents it
 * shows until it is changed. So one implementation serves both, and a change never needs a second, hidden tree.
 * Lock: inode->lock guards a directory's entries and the step from lower to own contents.
 */
#ifndef FS_MEMFS_MEMFS_H
#define FS_MEMFS_MEMFS_H

#include "base/types.h"

struct memfs_data { /* for kern_mount_at("overlay", ...) */
	u32 lower_tree; /* of the gofer */
	bool has_lower;
};
struct super_block;
int tmpfs_fill_super(struct super_block *sb, const char *source, const char *options, void *data);
void tmpfs_register(void);
void overlay_register(void);

#endif
