/* devtmpfs: a tmpfs that has, to begin with, the device nodes of a container, as the OCI runtime specification lists them. */
#include <linux/errno.h>
#include <linux/magic.h>
#include <linux/stat.h>

#include "base/string.h"
#include "hostcall.h"
#include "sentry/kernel/boot.h"
#include "fs/dev/dev.h"
#include "fs/dev/tty.h"
#include "fs/memfs/memfs.h"
#include "sentry/vfs/internal.h"

static int add(struct dentry *root, const char *name, u32 mode, u64 rdev, const char *target)
{
	struct inode *dir = root->inode;
	struct dentry *d = d_alloc(root->sb, root, name, (u32)strlen(name));
	int err;

	if (!d)
		return -ENOMEM;
	err = S_ISLNK(mode) ? dir->iop->symlink(dir, d, target) :
	      S_ISDIR(mode) ? dir->iop->mkdir(dir, d, mode) :
			      dir->iop->mknod(dir, d, mode, rdev);
	if (!err)
		d_add(d);
	dentry_put(d);
	return err;
}

static bool has_terminal(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(boot_params->stdio); i++)
		if (boot_params->stdio[i].kind == STDIO_TTY)
			return true;
	return false;
}

const struct dev_node dev_nodes[DEV_NODES] = {
	{ "null", 0666, MKDEV(1, 3) },	  { "zero", 0666, MKDEV(1, 5) }, { "full", 0666, MKDEV(1, 7) },	   { "random", 0666, MKDEV(1, 8) },
	{ "urandom", 0666, MKDEV(1, 9) }, { "tty", 0666, MKDEV(5, 0) },	 { "console", 0600, MKDEV(5, 1) },
};

int dev_populate(struct dentry *root)
{
	static const struct {
		const char *name, *target;
	} links[] = {
		{ "ptmx", "pts/ptmx" },		 { "fd", "/proc/self/fd" },	  { "stdin", "/proc/self/fd/0" },
		{ "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" }, { "core", "/proc/kcore" },
	};
	static const struct {
		const char *name;
		u32 mode;
	} dirs[] = { { "pts", 0755 }, { "shm", 01777 }, { "mqueue", 01777 } };
	int err = 0;
	for (u32 i = 0; i < DEV_NODES && !err; i++) {
		if (dev_nodes[i].rdev == MKDEV(5, 1) && boot_params->contained && !has_terminal())
			continue;
		err = add(root, dev_nodes[i].name, S_IFCHR | dev_nodes[i].mode, dev_nodes[i].rdev, NULL);
	}
	for (u32 i = 0; i < ARRAY_SIZE(links) && !err; i++)
		err = add(root, links[i].name, S_IFLNK, 0, links[i].target);
	for (u32 i = 0; i < ARRAY_SIZE(dirs) && !err; i++)
		err = add(root, dirs[i].name, S_IFDIR | dirs[i].mode, 0, NULL);
	return err;
}

static int devtmpfs_fill_super(struct super_block *sb, const char *source, const char *options, void *data)
{
	int err = tmpfs_fill_super(sb, source, options && *options ? options : "mode=755", NULL);

	return err ? err : dev_populate(sb->root);
}

void dev_register(void)
{
	static const struct fs_type devtmpfs = { .name = "devtmpfs", .nodev = true, .fill_super = devtmpfs_fill_super };

	register_fs(&devtmpfs);
	mem_devices_register();
	tty_devices_register();
	pty_devices_register();
}
