/* The root of /proc: fixed entries first, then a directory for each process. */
#include <linux/errno.h>
#include <linux/magic.h>
#include <linux/stat.h>

#include "base/string.h"
#include "fs/proc/pid.h"
#include "fs/proc/proc.h"

static const struct inode_ops *fixed_iops;
static const struct file_ops *fixed_fops;
static struct inode_ops root_iops;
static struct file_ops root_fops;
static struct super_ops proc_super_ops;

/* Positions: those of the fixed entries stay below this. */
#define PID_POSITIONS 0x10000u

static int root_lookup(struct inode *dir, struct dentry *dentry)
{
	if (dentry->name[0] >= '1' && dentry->name[0] <= '9')
		return proc_pid_lookup(dir, dentry);
	return fixed_iops->lookup(dir, dentry);
}

static int root_iterate(struct file *file, struct dir_context *ctx)
{
	if (ctx->pos < PID_POSITIONS) {
		int err = fixed_fops->iterate(file, ctx);

		if (err)
			return err;
	}
	return proc_pid_iterate(file, ctx, PID_POSITIONS);
}

static char *self_readlink(struct inode *inode)
{
	char buf[16];

	s32 nr = pid_nr_in(current->proc->tgid, proc_pid_ns(inode->sb));

	if (!nr)
		return ERR_PTR(-ENOENT);
	ksnprintf(buf, sizeof(buf), "%d", nr);
	return kstrdup(buf);
}

static char *thread_self_readlink(struct inode *inode)
{
	char buf[40];

	const struct pid_ns *ns = proc_pid_ns(inode->sb);

	if (!pid_nr_in(current->pid, ns))
		return ERR_PTR(-ENOENT);
	ksnprintf(buf, sizeof(buf), "%d/task/%d", pid_nr_in(current->proc->tgid, ns), pid_nr_in(current->pid, ns));
	return kstrdup(buf);
}

static void add_dynamic_link(struct dentry *root, const char *name, const struct inode_ops *iop)
{
	struct dentry *d = simple_add_symlink(root, name, "");

	if (!IS_ERR_OR_NULL(d))
		d->inode->iop = iop;
}

static void put_super(struct super_block *sb)
{
	ns_put(&proc_pid_ns(sb)->c);
}

static int proc_fill_super(struct super_block *sb, const char *source, const char *options, void *data)
{
	static const struct inode_ops self_iops = { .readlink = self_readlink };
	static const struct inode_ops thread_self_iops = { .readlink = thread_self_readlink };
	int err = simple_fill_super(sb, PROC_SUPER_MAGIC);
	struct inode *root;

	if (err)
		return err;
	proc_super_ops = *sb->ops;
	proc_super_ops.evict_inode = proc_evict_inode;
	proc_super_ops.put_super = put_super;
	sb->priv = task_pid_ns(current);
	ns_get(&task_pid_ns(current)->c);
	sb->ops = &proc_super_ops;
	root = sb->root->inode;
	proc_add_files(sb->root);
	proc_add_sysctl(sb->root);
	proc_add_net(sb->root);
	add_dynamic_link(sb->root, "self", &self_iops);
	add_dynamic_link(sb->root, "thread-self", &thread_self_iops);
	simple_add_symlink(sb->root, "mounts", "self/mounts");
	/* The root serves what libfs does, and processes besides. */
	fixed_iops = root->iop;
	fixed_fops = root->fop;
	root_iops = *fixed_iops;
	root_fops = *fixed_fops;
	root_iops.lookup = root_lookup;
	root_iops.create = NULL;
	root_iops.mkdir = NULL;
	root_fops.iterate = root_iterate;
	root->iop = &root_iops;
	root->fop = &root_fops;
	root->mode = S_IFDIR | 0555;
	return 0;
}

void proc_register(void)
{
	static const struct fs_type proc = { .name = "proc", .nodev = true, .fill_super = proc_fill_super };

	register_fs(&proc);
}
