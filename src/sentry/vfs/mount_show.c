/* /proc/pid/mounts and /proc/pid/mountinfo: proc(5). */
#include "fs/proc/proc.h"
#include "fs/proc/seq.h"
#include "sentry/vfs/mount_tree.h"

#define ESCAPED " \t\n\\"

static void show_flags(struct seq *s, u32 flags)
{
	seq_puts(s, flags & MS_RDONLY ? "ro" : "rw");
	if (flags & MS_NOSUID)
		seq_puts(s, ",nosuid");
	if (flags & MS_NODEV)
		seq_puts(s, ",nodev");
	if (flags & MS_NOEXEC)
		seq_puts(s, ",noexec");
	if (flags & MS_NOATIME)
		seq_puts(s, ",noatime");
	else if (!(flags & MS_STRICTATIME))
		seq_puts(s, ",relatime");
	if (flags & MS_NODIRATIME)
		seq_puts(s, ",nodiratime");
}

static void show_options(struct seq *s, struct super_block *sb)
{
	char text[128] = "";

	if (sb->ops && sb->ops->show_options)
		sb->ops->show_options(sb, text, sizeof(text));
	seq_puts(s, text);
}

static void show_source(struct seq *s, const struct mount *m)
{
	seq_escaped(s, m->devname && *m->devname ? m->devname : "none", ESCAPED);
}

static void show_line(struct seq *s, struct mount *m)
{
	struct path p = { m, m->root };

	show_source(s, m);
	seq_puts(s, " ");
	seq_path(s, &p, ESCAPED);
	seq_printf(s, " %s ", m->sb->type->name);
	show_flags(s, m->flags | (m->sb->flags & MS_RDONLY));
	show_options(s, m->sb);
	seq_puts(s, " 0 0\n");
}

static void show_info(struct seq *s, struct mount *m)
{
	struct path p = { m, m->root }, shown = { NULL, m->root };

	seq_printf(s, "%d %d %u:%u ", m->id, m->parent ? m->parent->id : 1, dev_major(m->sb->dev), dev_minor(m->sb->dev));
	seq_path(s, &shown, ESCAPED);
	seq_puts(s, " ");
	seq_path(s, &p, ESCAPED);
	seq_puts(s, " ");
	show_flags(s, m->flags);
	if (m->propagation & MS_SHARED)
		seq_printf(s, " shared:%d", m->id);
	seq_printf(s, " - %s ", m->sb->type->name);
	show_source(s, m);
	seq_puts(s, m->sb->flags & MS_RDONLY ? " ro" : " rw");
	show_options(s, m->sb);
	seq_puts(s, "\n");
}

int show_mounts(struct seq *s, enum mounts_format format)
{
	struct mount_ns *ns = current_mount_ns();
	struct mount *m;

	mutex_lock(&namespace_lock);
	list_for_each(m, &ns->mounts, ns_node) {
		if (format == MOUNTS)
			show_line(s, m);
		else
			show_info(s, m);
	}
	mutex_unlock(&namespace_lock);
	return 0;
}
