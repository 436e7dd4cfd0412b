/* sysfs(5): registered by the VFS at start; each part adds its folders below those it is given. */
#ifndef FS_SYS_SYSFS_H
#define FS_SYS_SYSFS_H

#include "base/types.h"

struct dentry;
struct seq;
struct text_file;

void sysfs_register(void);
/* A file to be read; tf must last as long as the sandbox. */
void sysfs_add_text(struct dentry *dir, const char *name, const struct text_file *tf);
void sysfs_add_cpus(struct dentry *system);
void sysfs_add_nodes(struct dentry *system);
/* The folder "cache" of a processor. */
void sysfs_add_caches(struct dentry *cpu_dir, u32 cpu);
void sysfs_add_net(struct dentry *virtual, struct dentry *class);
void sysfs_add_devices(struct dentry *root, struct dentry *virtual, struct dentry *class);
/* Processors first to last: "0-3", "f". */
void seq_cpu_list(struct seq *s, u32 first, u32 last);
void seq_cpu_mask(struct seq *s, u32 first, u32 last);

#endif
