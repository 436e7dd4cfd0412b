/* procfs: see proc(5). One file a part of the tree. */
#ifndef FS_PROC_PROC_H
#define FS_PROC_PROC_H

#include "fs/proc/seq.h"
#include "sentry/kernel/pid_ns.h"

void proc_register(void);
/* Fixed files and directories below the root: files.c, sysctl.c, net.c. */
void proc_add_files(struct dentry *root);
void proc_add_sysctl(struct dentry *root);
void proc_add_net(struct dentry *root);

/* pid.c: directories of processes. */
int proc_pid_lookup(struct inode *root, struct dentry *dentry);
/* Emit process directories from position `first` on (positions are first + pid). */
int proc_pid_iterate(struct file *file, struct dir_context *ctx, u64 first);

/* The process whose /proc/PID directory is open here, with a reference; NULL for any other file. */
struct pid *proc_directory_pid(const struct file *f);

/* The pid namespace whose numbers a mount of proc shows. */
static inline struct pid_ns *proc_pid_ns(const struct super_block *sb) { return sb->priv; }

/* The text of mounts, mountinfo (mount.c of the VFS walks its namespace). */
enum mounts_format { MOUNTS, MOUNTINFO };
int show_mounts(struct seq *s, enum mounts_format format);

#endif
