/* sysfs: the little of it that programs ask about processors and memory. See sysfs(5). */
#include <linux/magic.h>
#include <linux/stat.h>

#include "base/string.h"
#include "fs/proc/seq.h"
#include "fs/sys/sysfs.h"
#include "sentry/kernel/task.h"

static int show_cpu_range(struct seq *s, struct inode *inode)
{
	if (num_cpus() > 1)
		seq_printf(s, "0-%u\n", num_cpus() - 1);
	else
		seq_puts(s, "0\n");
	return 0;
}

static int show_zero(struct seq *s, struct inode *inode)
{
	seq_puts(s, "0\n");
	return 0;
}

static int show_thp(struct seq *s, struct inode *inode)
{
	seq_puts(s, "always madvise [never]\n");
	return 0;
}

static const struct text_file cpu_range = { show_cpu_range, NULL }, zero = { show_zero, NULL }, thp = { show_thp, NULL };

static void add_text(struct dentry *dir, const char *name, const struct text_file *tf)
{
	simple_add_file(dir, name, S_IFREG | 0444, &text_fops, (void *)tf);
}

static void add_cpus(struct dentry *system)
{
	struct dentry *cpus = simple_add_dir(system, "cpu", 0755), *cpu;
	char name[16];

	add_text(cpus, "online", &cpu_range);
	add_text(cpus, "possible", &cpu_range);
	add_text(cpus, "present", &cpu_range);
	for (u32 i = 0; i < num_cpus(); i++) {
		ksnprintf(name, sizeof(name), "cpu%u", i);
		cpu = simple_add_dir(cpus, name, 0755);
		simple_add_dir(cpu, "topology", 0755);
		sysfs_add_caches(cpu, i);
	}
}

static int sysfs_fill_super(struct super_block *sb, const char *source, const char *options, void *data)
{
	static const char *const dirs[] = { "block", "bus", "dev", "firmware", "module", "power" };
	struct dentry *d, *node;
	int err = simple_fill_super(sb, SYSFS_MAGIC);

	if (err)
		return err;
	for (u32 i = 0; i < ARRAY_SIZE(dirs); i++)
		simple_add_dir(sb->root, dirs[i], 0755);
	sysfs_add_net(simple_add_dir(sb->root, "class", 0755));
	d = simple_add_dir(simple_add_dir(sb->root, "devices", 0755), "system", 0755);
	add_cpus(d);
	node = simple_add_dir(d, "node", 0755);
	add_text(node, "online", &zero);
	simple_add_dir(node, "node0", 0755);
	d = simple_add_dir(sb->root, "fs", 0755);
	simple_add_dir(d, "cgroup", 0755);
	d = simple_add_dir(sb->root, "kernel", 0755);
	d = simple_add_dir(simple_add_dir(d, "mm", 0755), "transparent_hugepage", 0755);
	add_text(d, "enabled", &thp);
	return 0;
}

void sysfs_register(void)
{
	static const struct fs_type sysfs = { .name = "sysfs", .nodev = true, .fill_super = sysfs_fill_super };

	register_fs(&sysfs);
}
