/* sysfs: the little of it that programs ask about processors, memory, links and devices. See sysfs(5). */
#include <linux/magic.h>
#include <linux/stat.h>

#include "base/string.h"
#include "fs/proc/seq.h"
#include "fs/sys/sysfs.h"

static int show_thp(struct seq *s, struct inode *inode)
{
	seq_puts(s, "always madvise [never]\n");
	return 0;
}

static int show_thp_size(struct seq *s, struct inode *inode)
{
	seq_puts(s, "2097152\n");
	return 0;
}

void sysfs_add_text(struct dentry *dir, const char *name, const struct text_file *tf)
{
	struct dentry *d = simple_add_file(dir, name, S_IFREG | 0444, &text_fops, (void *)tf);

	if (d)
		d->inode->size = PAGE_SIZE; /* as every attribute says, however long it is */
}

static void add_memory(struct dentry *kernel)
{
	static const struct text_file thp = {show_thp, NULL}, thp_size = {show_thp_size, NULL};
	struct dentry *mm = simple_add_dir(kernel, "mm", 0755),
		      *huge = simple_add_dir(mm, "transparent_hugepage", 0755);

	sysfs_add_text(huge, "enabled", &thp);
	sysfs_add_text(huge, "hpage_pmd_size", &thp_size);
}

static int sysfs_fill_super(struct super_block *sb, const char *source, const char *options, void *data)
{
	static const char *const dirs[] = {"block", "bus", "firmware", "module", "power"};
	struct dentry *class, *devices, *system, *virtual;
	int err = simple_fill_super(sb, SYSFS_MAGIC);

	if (err)
		return err;
	for (u32 i = 0; i < ARRAY_SIZE(dirs); i++)
		simple_add_dir(sb->root, dirs[i], 0755);
	class = simple_add_dir(sb->root, "class", 0755);
	devices = simple_add_dir(sb->root, "devices", 0755);
	system = simple_add_dir(devices, "system", 0755);
	virtual = simple_add_dir(devices, "virtual", 0755);
	sysfs_add_cpus(system);
	sysfs_add_nodes(system);
	sysfs_add_net(virtual, class);
	sysfs_add_devices(sb->root, virtual, class);
	simple_add_dir(simple_add_dir(sb->root, "fs", 0755), "cgroup", 0755);
	add_memory(simple_add_dir(sb->root, "kernel", 0755));
	return 0;
}

void sysfs_register(void)
{
	static const struct fs_type sysfs = {.name = "sysfs", .nodev = true, .fill_super = sysfs_fill_super};

	register_fs(&sysfs);
}
