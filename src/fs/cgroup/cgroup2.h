/* cgroup2, as far as programs ask about their limits: cgroups(7). Registered by the VFS at start. */
#ifndef FS_CGROUP2_H
#define FS_CGROUP2_H

void cgroup2_register(void);

#endif
