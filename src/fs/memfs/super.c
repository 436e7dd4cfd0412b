/* Mounting memfs: tmpfs(5) with its options, and the sandbox's overlay. */
#include <linux/limits.h>
#include <linux/magic.h>

#include "base/string.h"
#include "fs/gofer/gofer_fs.h"
#include "fs/memfs/internal.h"

static int mem_statfs(struct super_block *sb, struct kstatfs *st)
{
	struct mem_super *ms = sb->priv;
	/* An overlay holds memory for each file it knows, also before it has contents of its own. */
	u64 own = ms->overlay ? PAGE_ALIGN_UP((u64)ms->inodes * 512 + 1) >> PAGE_SHIFT : 0;
	u64 used = MIN((u64)ms->pages + own, ms->max_pages), inodes = MIN((u64)ms->inodes, ms->max_inodes);

	st->type = sb->magic;
	st->bsize = st->frsize = PAGE_SIZE;
	st->blocks = ms->max_pages;
	st->bfree = st->bavail = ms->max_pages - used;
	st->files = ms->max_inodes;
	st->ffree = ms->max_inodes - inodes;
	st->namelen = NAME_MAX;
	return 0;
}

static void mem_show_options(struct super_block *sb, char *buf, size_t size)
{
	struct mem_super *ms = sb->priv;
	int n = 0;

	if (ms->sized)
		n = kscnprintf(buf, size, ",size=%luk", ms->max_pages * (PAGE_SIZE / 1024));
	if (!ms->overlay && ms->root_mode != 01777)
		kscnprintf(buf + n, size - (size_t)n, ",mode=%o", ms->root_mode);
}

static void mem_put_super(struct super_block *sb) { kfree(sb->priv); }

static const struct super_ops mem_super_ops = {
	.evict_inode = mem_evict, .statfs = mem_statfs, .put_super = mem_put_super, .show_options = mem_show_options,
};

/* ---- options ---- */

/* The value of "key=" in a comma-separated list into text. False: not there. */
static bool option(const char *options, const char *key, char *text, size_t size)
{
	size_t n = strlen(key);

	for (const char *p = options; p; p = kstrchr(p, ',') ? kstrchr(p, ',') + 1 : NULL) {
		if (kstrncmp(p, key, n) || p[n] != '=')
			continue;
		kstrlcpy(text, p + n + 1, size);
		if (kstrchr(text, ','))
			*kstrchr(text, ',') = 0;
		return true;
	}
	return false;
}

/* A number in *value when the option is there. 0 or -EINVAL. */
static int number(const char *options, const char *key, unsigned base, u64 *value)
{
	char text[32];

	return option(options, key, text, sizeof(text)) && kstrtou64(text, base, value) ? -EINVAL : 0;
}

/* A size with a suffix k, m, g, or a percentage of memory. */
static int size_option(const char *options, struct mem_super *ms)
{
	char text[32], suffix;
	u64 value, scale = 1;
	size_t n;

	if (!option(options, "size", text, sizeof(text)))
		return 0;
	n = strlen(text);
	suffix = n ? text[n - 1] : 0;
	if (suffix < '0' || suffix > '9')
		text[n ? n - 1 : 0] = 0;
	if (suffix == 'k' || suffix == 'K')
		scale = 1ul << 10;
	else if (suffix == 'm' || suffix == 'M')
		scale = 1ul << 20;
	else if (suffix == 'g' || suffix == 'G')
		scale = 1ul << 30;
	else if (suffix != '%' && (suffix < '0' || suffix > '9'))
		return -EINVAL;
	if (kstrtou64(text, 10, &value))
		return -EINVAL;
	ms->sized = true;
	if (suffix == '%')
		ms->max_pages = frames_total() * MIN(value, 100ul) / 100;
	else if (__builtin_mul_overflow(value, scale, &value))
		return -EINVAL;
	else if (value)
		ms->max_pages = DIV_ROUND_UP(value, PAGE_SIZE);
	return 0;
}

static struct mem_super *make_super(struct super_block *sb)
{
	struct mem_super *ms = kzalloc(sizeof(*ms));

	if (!ms)
		return NULL;
	ms->max_pages = ms->max_inodes = frames_total() / 2;
	ms->root_mode = 01777;
	sb->priv = ms;
	sb->ops = &mem_super_ops;
	return ms;
}

static int set_root(struct super_block *sb, struct inode *root)
{
	if (!root)
		return -ENOMEM;
	sb->root = d_make_root(root);
	if (sb->root)
		return 0;
	inode_put(root);
	return -ENOMEM;
}

int tmpfs_fill_super(struct super_block *sb, const char *source, const char *options, void *data)
{
	struct mem_super *ms = make_super(sb);
	u64 mode = 01777, uid = ~0ull, gid = ~0ull;
	struct inode *root;
	int err;

	if (!ms)
		return -ENOMEM;
	if ((err = size_option(options, ms)) || (err = number(options, "mode", 8, &mode)) || (err = number(options, "uid", 10, &uid)) ||
	    (err = number(options, "gid", 10, &gid)) || (err = number(options, "nr_inodes", 10, &ms->max_inodes)))
		return err;
	if (!ms->max_inodes)
		ms->max_inodes = ~0ull;
	sb->magic = TMPFS_MAGIC;
	ms->root_mode = (u32)mode & 07777;
	root = mem_new_inode(sb, S_IFDIR | ms->root_mode, 0);
	if (root && uid != ~0ull)
		root->uid = (u32)uid;
	if (root && gid != ~0ull)
		root->gid = (u32)gid;
	return set_root(sb, root);
}

int overlay_fill_super(struct super_block *sb, const char *source, const char *options, void *data)
{
	const struct memfs_data *d = data;
	struct super_block *lower;
	struct mem_super *ms;
	u32 tree;
	int err;

	if (!d || !d->has_lower)
		return -EINVAL; /* mount(2) with directories of one's own: not offered */
	ms = make_super(sb);
	lower = sb_create(find_fs("gofer"), "gofer");
	if (!ms || !lower)
		return -ENOMEM;
	ms->overlay = true;
	tree = d->lower_tree;
	err = gofer_fill_super(lower, "gofer", "ro", &tree);
	if (err) {
		sb_put(lower);
		return err;
	}
	sb->magic = 0x794c7630; /* OVERLAYFS_SUPER_MAGIC */
	return set_root(sb, mem_wrap_lower(sb, lower->root->inode));
}
