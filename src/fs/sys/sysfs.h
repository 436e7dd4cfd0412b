/* sysfs(5): registered by the VFS at start. */
#ifndef FS_SYS_SYSFS_H
#define FS_SYS_SYSFS_H

void sysfs_register(void);

#endif
