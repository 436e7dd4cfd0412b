/*
 * The character devices of /dev as sysfs shows them: /sys/devices/virtual/CLASS/NAME, and the ways there by class and
 * by number. See sysfs(5) and udev(7).
 */
#include <linux/stat.h>

#include "base/string.h"
#include "fs/dev/dev.h"
#include "fs/proc/seq.h"
#include "fs/sys/sysfs.h"

static const char *class_of(const struct dev_node *n)
{
	return n->rdev >> 8 == 1 ? "mem" : "tty";
}

static const struct dev_node *node_of(struct inode *inode);

static int show_number(struct seq *s, struct inode *inode)
{
	const struct dev_node *n = node_of(inode);

	seq_printf(s, "%lu:%lu\n", n->rdev >> 8, n->rdev & 0xff);
	return 0;
}

static int show_uevent(struct seq *s, struct inode *inode)
{
	const struct dev_node *n = node_of(inode);

	seq_printf(s, "MAJOR=%lu\nMINOR=%lu\nDEVNAME=%s\n", n->rdev >> 8, n->rdev & 0xff, n->name);
	if (n->mode == 0666)
		seq_puts(s, "DEVMODE=0666\n");
	return 0;
}

static struct device {
	struct text_file number, uevent;
	char numbers[8], target[40]; /* the link's name, and where it and that of the class lead */
} devices[DEV_NODES];

static const struct dev_node *node_of(struct inode *inode)
{
	return &dev_nodes[((u64)inode->priv - (u64)devices) / sizeof(devices[0])];
}

void sysfs_add_devices(struct dentry *root, struct dentry *virtual, struct dentry *class)
{
	struct dentry *dev = simple_add_dir(root, "dev", 0755), *numbers = simple_add_dir(dev, "char", 0755), *d;
	struct dentry *dirs[] = {simple_add_dir(virtual, "mem", 0755), simple_add_dir(virtual, "tty", 0755)};
	struct dentry *classes[] = {simple_add_dir(class, "mem", 0755), simple_add_dir(class, "tty", 0755)};

	simple_add_dir(dev, "block", 0755);
	for (u32 i = 0; i < DEV_NODES; i++) {
		const struct dev_node *n = &dev_nodes[i];
		struct device *v = &devices[i];
		bool tty = n->rdev >> 8 != 1;

		v->number.show = show_number;
		v->uevent.show = show_uevent;
		ksnprintf(v->numbers, sizeof(v->numbers), "%lu:%lu", n->rdev >> 8, n->rdev & 0xff);
		ksnprintf(v->target, sizeof(v->target), "../../devices/virtual/%s/%s", class_of(n), n->name);
		d = simple_add_dir(dirs[tty], n->name, 0755);
		sysfs_add_text(d, "dev", &v->number);
		sysfs_add_text(d, "uevent", &v->uevent);
		simple_add_symlink(d, "subsystem", tty ? "../../../../class/tty" : "../../../../class/mem");
		simple_add_symlink(numbers, v->numbers, v->target);
		simple_add_symlink(classes[tty], n->name, v->target);
	}
}
