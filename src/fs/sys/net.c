/*
 * /sys/devices/virtual/net: a folder for each link of the network namespace of whoever looks, as long as it is there; /sys/class/net has links
 * to them. See sysfs(5), and Documentation/ABI/testing/sysfs-class-net of the kernel.
 */
#include <linux/errno.h>
#include <linux/stat.h>

#include "base/string.h"
#include "fs/proc/seq.h"
#include "fs/sys/sysfs.h"
#include "net/links.h"

/* An entry of a link's folder: its inode's priv is the link's index and the entry's number, so nothing is kept that could grow old. */
enum {
	ADDRESS, ADDR_ASSIGN_TYPE, ADDR_LEN, BROADCAST, CARRIER, DEV_ID, DEV_PORT, DORMANT, DUPLEX, FLAGS, IFALIAS, IFINDEX, IFLINK, LINK_MODE,
	MTU, NETDEV_GROUP, OPERSTATE, PROTO_DOWN, SPEED, TX_QUEUE_LEN, TYPE, UEVENT, SUBSYSTEM, STATISTICS, NFILES
};
static const char *const files[NFILES] = { "address", "addr_assign_type", "addr_len", "broadcast", "carrier", "dev_id", "dev_port", "dormant",
					   "duplex", "flags", "ifalias", "ifindex", "iflink", "link_mode", "mtu", "netdev_group", "operstate",
					   "proto_down", "speed", "tx_queue_len", "type", "uevent", "subsystem", "statistics" };
/* In the order of struct rtnl_link_stats64. */
static const char *const stats[LINK_NSTATS] = {
	"rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_errors", "tx_errors", "rx_dropped", "tx_dropped", "multicast", "collisions",
	"rx_length_errors", "rx_over_errors", "rx_crc_errors", "rx_frame_errors", "rx_fifo_errors", "rx_missed_errors", "tx_aborted_errors",
	"tx_carrier_errors", "tx_fifo_errors", "tx_heartbeat_errors", "tx_window_errors", "rx_compressed", "tx_compressed", "rx_nohandler",
};
#define STATS_FIRST NFILES

static void *entry(u32 index, u32 number) { return (void *)((u64)index << 8 | number); }
static u32 index_of(const struct inode *i) { return (u32)((u64)i->priv >> 8); }
static u32 number_of(const struct inode *i) { return (u8)(u64)i->priv; }

static void put_mac(struct seq *s, const u8 *mac, u32 n)
{
	for (u32 i = 0; i < n; i++)
		seq_printf(s, "%s%02x", i ? ":" : "", mac[i]);
	seq_puts(s, "\n");
}

static int show(struct seq *s, struct inode *inode)
{
	static const char *const states[] = { "unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up" };
	struct link_view l;
	int err = link_find(NULL, index_of(inode), &l);
	u32 n = number_of(inode);

	if (err)
		return err;
	switch (n) {
	case ADDRESS:
		put_mac(s, l.addr, l.addr_len);
		return 0;
	case BROADCAST:
		put_mac(s, l.broadcast, l.addr_len);
		return 0;
	case OPERSTATE:
		seq_printf(s, "%s\n", l.operstate < ARRAY_SIZE(states) ? states[l.operstate] : "unknown");
		return 0;
	case FLAGS:
		seq_printf(s, "0x%x\n", l.flags & 0xffbf); /* not IFF_RUNNING, nor what came later */
		return 0;
	case CARRIER:
		if (!(l.flags & 1))
			return -EINVAL;
		seq_printf(s, "%u\n", l.carrier);
		return 0;
	case SPEED:
	case DUPLEX:
		return -EINVAL; /* of a link that has none */
	case DEV_ID:
		seq_puts(s, "0x0\n");
		return 0;
	case ADDR_ASSIGN_TYPE:
	case DEV_PORT:
	case DORMANT:
	case LINK_MODE:
	case NETDEV_GROUP:
	case PROTO_DOWN:
		seq_puts(s, "0\n");
		return 0;
	case IFALIAS:
		return 0;
	case UEVENT:
		seq_printf(s, "INTERFACE=%s\nIFINDEX=%u\n", l.name, l.index);
		return 0;
	}
	seq_printf(s, "%lu\n", n >= STATS_FIRST ? l.stats[n - STATS_FIRST] :
			       n == ADDR_LEN ? l.addr_len : n == IFINDEX ? l.index : n == IFLINK ? l.iflink : n == MTU ? l.mtu :
			       n == TX_QUEUE_LEN ? l.txqlen : (u64)l.type);
	return 0;
}

static const struct text_file text = { show, NULL };

static long read_text(struct file *f, struct iov_iter *to, u64 *pos)
{
	return text_read(f, to, pos, &text);
}

static const struct file_ops text_ops = { .read = read_text, .release = text_release, .llseek = generic_file_llseek };
static const struct inode_ops plain_iops;

static int set_entry(struct inode *dir, struct dentry *d, u32 mode, u32 index, u32 number, const struct inode_ops *iop,
		     const struct file_ops *fop)
{
	struct inode *i = inode_alloc(dir->sb);

	if (!i)
		return -ENOMEM;
	i->mode = mode;
	i->nlink = S_ISDIR(mode) ? 2 : 1;
	i->size = S_ISREG(mode) ? PAGE_SIZE : 0;
	i->priv = entry(index, number);
	i->iop = iop;
	i->fop = fop;
	d_set_inode(d, i);
	return 0;
}

static bool emit_dots(struct file *f, struct dir_context *ctx)
{
	for (; ctx->pos < 2; ctx->pos++)
		if (!ctx->emit(ctx, "..", ctx->pos ? 2 : 1, ctx->pos + 1, f->inode->ino, 4))
			return false;
	return true;
}

static void emit_names(struct file *f, struct dir_context *ctx, const char *const *names, u32 n)
{
	if (!emit_dots(f, ctx))
		return;
	for (; ctx->pos - 2 < n; ctx->pos++) {
		const char *name = names[ctx->pos - 2];

		if (!ctx->emit(ctx, name, (u32)strlen(name), ctx->pos + 1, f->inode->ino + ctx->pos,
			       name == files[STATISTICS] ? 4 : name == files[SUBSYSTEM] ? 10 : 8))
			return;
	}
}

/* ---- devices/virtual/net/LINK/statistics ---- */

static int stats_lookup(struct inode *dir, struct dentry *d)
{
	d->flags |= DCACHE_NOCACHE;
	for (u32 i = 0; i < LINK_NSTATS; i++)
		if (!kstrcmp(d->name, stats[i]))
			return set_entry(dir, d, S_IFREG | 0444, index_of(dir), STATS_FIRST + i, &plain_iops, &text_ops);
	d_set_inode(d, NULL);
	return 0;
}

static int stats_iterate(struct file *f, struct dir_context *ctx)
{
	emit_names(f, ctx, stats, LINK_NSTATS);
	return 0;
}

static const struct inode_ops stats_iops = { .lookup = stats_lookup };
static const struct file_ops stats_fops = { .iterate = stats_iterate, .llseek = generic_file_llseek };

/* ---- devices/virtual/net/LINK ---- */

static char *subsystem_target(struct inode *i) { return kstrdup("../../../../class/net"); }
static const struct inode_ops subsystem_iops = { .readlink = subsystem_target };

static int link_lookup(struct inode *dir, struct dentry *d)
{
	d->flags |= DCACHE_NOCACHE;
	if (!kstrcmp(d->name, files[STATISTICS]))
		return set_entry(dir, d, S_IFDIR | 0755, index_of(dir), 0, &stats_iops, &stats_fops);
	if (!kstrcmp(d->name, files[SUBSYSTEM]))
		return set_entry(dir, d, S_IFLNK | 0777, index_of(dir), 0, &subsystem_iops, NULL);
	for (u32 i = 0; i < SUBSYSTEM; i++)
		if (!kstrcmp(d->name, files[i]))
			return set_entry(dir, d, S_IFREG | 0444, index_of(dir), i, &plain_iops, &text_ops);
	d_set_inode(d, NULL);
	return 0;
}

static int link_iterate(struct file *f, struct dir_context *ctx)
{
	emit_names(f, ctx, files, NFILES);
	return 0;
}

static const struct inode_ops link_iops = { .lookup = link_lookup };
static const struct file_ops link_fops = { .iterate = link_iterate, .llseek = generic_file_llseek };

/* ---- devices/virtual/net and class/net ---- */

static char *class_target(struct inode *i)
{
	struct link_view l;
	char target[64];
	int err = link_find(NULL, index_of(i), &l);

	if (err)
		return ERR_PTR(err);
	ksnprintf(target, sizeof(target), "../../devices/virtual/net/%s", l.name);
	return kstrdup(target);
}

static const struct inode_ops class_link_iops = { .readlink = class_target };

static int find_link(struct dentry *d, struct link_view *l)
{
	int err = link_find(d->name, 0, l);

	d->flags |= DCACHE_NOCACHE;
	if (err)
		d_set_inode(d, NULL);
	return err;
}

static int net_lookup(struct inode *dir, struct dentry *d)
{
	struct link_view l;
	int err = find_link(d, &l);

	return err == -ENODEV ? 0 : err ? err : set_entry(dir, d, S_IFDIR | 0755, l.index, 0, &link_iops, &link_fops);
}

static int class_lookup(struct inode *dir, struct dentry *d)
{
	struct link_view l;
	int err = find_link(d, &l);

	return err == -ENODEV ? 0 : err ? err : set_entry(dir, d, S_IFLNK | 0777, l.index, 0, &class_link_iops, NULL);
}

struct walk {
	struct dir_context *ctx;
	u64 at;
	u32 type; /* of dirent */
};

/* Positions are those of the links in the dump, behind the two dots. */
static int emit_link(const struct link_view *l, void *arg)
{
	struct walk *w = arg;

	if (w->at++ < w->ctx->pos)
		return 0;
	if (!w->ctx->emit(w->ctx, l->name, (u32)strlen(l->name), w->at, 0x10000 + l->index, w->type))
		return 1;
	w->ctx->pos = w->at;
	return 0;
}

static int iterate(struct file *f, struct dir_context *ctx, u32 type)
{
	struct walk w = { ctx, 2, type };
	int err = emit_dots(f, ctx) ? links_each(emit_link, &w) : 0;

	return MIN(err, 0);
}

static int net_iterate(struct file *f, struct dir_context *ctx) { return iterate(f, ctx, 4); }
static int class_iterate(struct file *f, struct dir_context *ctx) { return iterate(f, ctx, 10); }

static const struct inode_ops net_iops = { .lookup = net_lookup }, class_iops = { .lookup = class_lookup };
static const struct file_ops net_fops = { .iterate = net_iterate, .llseek = generic_file_llseek };
static const struct file_ops class_fops = { .iterate = class_iterate, .llseek = generic_file_llseek };

static void add_net(struct dentry *parent, const struct inode_ops *iop, const struct file_ops *fop)
{
	struct dentry *d = simple_add_dir(parent, "net", 0755);

	if (IS_ERR_OR_NULL(d))
		return;
	d->inode->iop = iop;
	d->inode->fop = fop;
}

void sysfs_add_net(struct dentry *virtual, struct dentry *class)
{
	add_net(virtual, &net_iops, &net_fops);
	add_net(class, &class_iops, &class_fops);
}
