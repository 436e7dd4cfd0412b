/* sysfs(5): registered by the VFS at start. */
#ifndef FS_SYS_SYSFS_H
#define FS_SYS_SYSFS_H

#include "base/types.h"

struct dentry;

void sysfs_register(void);
/* The folder "cache" of a processor. */
void sysfs_add_caches(struct dentry *cpu_dir, u32 cpu);
void sysfs_add_net(struct dentry *class);

#endif
