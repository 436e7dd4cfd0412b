/* devtmpfs: the fixed set of device nodes that a container sees, as the OCI runtime specification lists them. */
#include <linux/errno.h>
#include <linux/magic.h>
#include <linux/stat.h>

#include "fs/dev/dev.h"
#include "fs/dev/tty.h"
#include "sentry/vfs/vfs.h"

static int devtmpfs_fill_super(struct super_block *sb, const char *source, const char *options, void *data)
{
	static const struct {
		const char *name;
		u32 mode;
		u64 rdev;
	} nodes[] = {
		{ "null", 0666, MKDEV(1, 3) },	  { "zero", 0666, MKDEV(1, 5) },   { "full", 0666, MKDEV(1, 7) },
		{ "random", 0666, MKDEV(1, 8) },  { "urandom", 0666, MKDEV(1, 9) }, { "tty", 0666, MKDEV(5, 0) },
		{ "console", 0600, MKDEV(5, 1) },
	};
	static const struct {
		const char *name, *target;
	} links[] = {
		{ "ptmx", "pts/ptmx" },		 { "fd", "/proc/self/fd" },	  { "stdin", "/proc/self/fd/0" },
		{ "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" }, { "core", "/proc/kcore" },
	};
	int err = simple_fill_super(sb, TMPFS_MAGIC);

	if (err)
		return err;
	for (u32 i = 0; i < ARRAY_SIZE(nodes); i++)
		simple_add_node(sb->root, nodes[i].name, S_IFCHR | nodes[i].mode, nodes[i].rdev);
	for (u32 i = 0; i < ARRAY_SIZE(links); i++)
		simple_add_symlink(sb->root, links[i].name, links[i].target);
	simple_add_dir(sb->root, "pts", 0755);
	simple_add_dir(sb->root, "shm", 01777);
	simple_add_dir(sb->root, "mqueue", 01777);
	return 0;
}

void dev_register(void)
{
	static const struct fs_type devtmpfs = { .name = "devtmpfs", .nodev = true, .fill_super = devtmpfs_fill_super };

	register_fs(&devtmpfs);
	mem_devices_register();
	tty_devices_register();
	pty_devices_register();
}
