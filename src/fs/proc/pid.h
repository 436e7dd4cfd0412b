/* Entries of /proc/PID: pid.c makes the directories, pid_files.c the texts. */
#ifndef FS_PROC_PID_H
#define FS_PROC_PID_H

#include "fs/proc/seq.h"
#include "sentry/kernel/task.h"

struct proc_entry { /* a list ends with name NULL */
	const char *name;
	u32 mode;
	const struct inode_ops *iop; /* NULL: a text file */
	const struct file_ops *fop;
	struct text_file text;
};
#define PROC_PID_INODE 0x80000000u /* inode->flags: priv is a struct proc_inode */
struct proc_inode { /* inode->priv below /proc/PID */
	struct pid *pid;
	const struct proc_entry *entry;
	s32 fd;
};

/* The task an inode speaks of, with a reference; NULL when it is gone. */
struct task *proc_task_get(const struct inode *inode);
void proc_evict_inode(struct inode *inode);

extern const struct proc_entry proc_tgid_entries[], proc_tid_entries[];
extern const struct inode_ops proc_fd_iops, proc_fdinfo_iops, proc_task_iops, proc_exe_iops, proc_cwd_iops, proc_root_iops;
extern const struct file_ops proc_fd_fops, proc_fdinfo_fops, proc_task_fops;

#endif
