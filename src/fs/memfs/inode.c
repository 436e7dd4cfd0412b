/* Inodes of memfs: made new, or wrapped around a lower one; kept once they differ from it. */
#include <linux/limits.h>
#include <linux/magic.h>
#include <linux/mount.h>

#include "base/string.h"
#include "fs/gofer/gofer_fs.h"
#include "fs/memfs/internal.h"
#include "sentry/mm/shmem.h"

static struct kmem_cache *mem_cache;
static struct mutex persist_lock; /* parent and name of lower-only inodes */
#define OWN_INO_BASE (1ull << 40) /* numbers of our own stay clear of those of the host's files */

static struct inode *alloc(struct super_block *sb, u32 mode)
{
	struct inode *i = inode_alloc(sb);
	struct mem *m = i ? kmem_cache_alloc(mem_cache) : NULL;

	if (!m) {
		if (i)
			inode_put(i);
		return NULL;
	}
	list_init(&m->xattrs);
	i->priv = m;
	i->mode = mode;
	if (S_ISDIR(mode)) {
		i->iop = &mem_dir_iops;
		i->fop = &mem_dir_fops;
		i->nlink = 2;
	} else if (S_ISREG(mode)) {
		mapping_init(&m->own, i, NULL);
		i->mapping = &m->own;
		i->iop = &mem_file_iops;
		i->fop = &mem_file_fops;
	} else if (S_ISLNK(mode)) {
		i->iop = &mem_link_iops;
	} else {
		i->iop = &mem_special_iops;
	}
	return i;
}

struct inode *mem_new_inode(struct super_block *sb, u32 mode, u64 rdev)
{
	struct inode *i = alloc(sb, mode);

	if (!i)
		return NULL;
	i->ino += OWN_INO_BASE;
	i->rdev = rdev;
	i->uid = current->cred ? current->cred->fsuid : 0;
	i->gid = current->cred ? current->cred->fsgid : 0;
	mem_of(i)->own_data = true;
	return i;
}

struct inode *mem_wrap_lower(struct super_block *sb, struct inode *lower)
{
	struct inode *i = alloc(sb, lower->mode);

	if (!i)
		return NULL;
	mem_of(i)->lower = inode_get(lower);
	i->ino = lower->ino;
	i->rdev = lower->rdev;
	i->size = lower->size;
	i->blocks = lower->blocks;
	i->nlink = lower->nlink;
	i->uid = lower->uid;
	i->gid = lower->gid;
	i->blksize = lower->blksize;
	i->atime = lower->atime;
	i->mtime = lower->mtime;
	i->ctime = lower->ctime;
	i->btime = lower->btime;
	if (S_ISREG(lower->mode))
		i->mapping = lower->mapping;
	return i;
}

/* Enter i into its directory, which is an entry of its own already or has nothing above it. */
static int enter_directory(struct inode *i)
{
	struct mem *m = mem_of(i);
	struct inode *dir = m->parent;
	int err = mem_insert(dir, m->name, (u32)strlen(m->name), inode_get(i));

	if (err)
		return err;
	m->parent = NULL;
	kfree(m->name);
	m->name = NULL;
	inode_put(dir);
	return 0;
}

/* The topmost first: a directory holds what is in it only while it is held itself. */
static int persist_locked(struct inode *i)
{
	int err = 0;

	while (!err && mem_of(i)->parent) {
		struct inode *top = i;

		while (mem_of(mem_of(top)->parent)->parent)
			top = mem_of(top)->parent;
		err = enter_directory(top);
	}
	return err;
}

int mem_persist(struct inode *i)
{
	int err;

	if (!READ_ONCE(mem_of(i)->parent))
		return 0;
	mutex_lock(&persist_lock);
	err = persist_locked(i);
	mutex_unlock(&persist_lock);
	return err;
}

/* Copy the pages of the lower file; what is mapped privately from it stays with the old pages. */
static int copy_pages(struct mem *m, u64 size)
{
	for (u64 index = 0; index < DIV_ROUND_UP(size, PAGE_SIZE); index++) {
		struct page *from = mapping_get_page(m->lower->mapping, index, false), *to;

		if (IS_ERR(from))
			return (int)PTR_ERR(from);
		to = mapping_get_page(&m->own, index, true);
		if (IS_ERR(to)) {
			page_put(from);
			return (int)PTR_ERR(to);
		}
		memcpy(page_to_va(to), page_to_va(from), PAGE_SIZE);
		to->flags |= PG_UPTODATE;
		page_put(to);
		page_put(from);
	}
	return 0;
}

int mem_copy_up(struct inode *i)
{
	struct mem *m = mem_of(i);
	int err;

	if (m->own_data)
		return 0;
	err = copy_pages(m, i->size);
	if (!err)
		err = mem_persist(i);
	if (err) {
		mapping_truncate(&m->own, 0);
		return err == -ENOMEM ? -ENOSPC : err;
	}
	m->own_data = true;
	mapping_switch(i, &m->own);
	return 0;
}

static void evict(struct inode *i)
{
	struct mem *m = mem_of(i);

	if (!m)
		return;
	if (S_ISREG(i->mode))
		mapping_destroy(&m->own);
	if (S_ISDIR(i->mode))
		mem_free_entries(i);
	mem_free_xattrs(m);
	kfree(m->target);
	kfree(m->name);
	if (m->parent)
		inode_put(m->parent);
	if (m->lower)
		inode_put(m->lower);
	kmem_cache_free(mem_cache, m);
}

static int mem_statfs(struct super_block *sb, struct kstatfs *st)
{
	struct meminfo mi;

	mm_meminfo(&mi);
	st->type = sb->magic;
	st->bsize = st->frsize = PAGE_SIZE;
	st->blocks = mi.total / 2;
	st->bfree = st->bavail = MIN(mi.free, st->blocks);
	st->files = st->blocks;
	st->ffree = st->bfree;
	st->namelen = NAME_MAX;
	return 0;
}

const struct super_ops mem_super_ops = { .evict_inode = evict, .statfs = mem_statfs };

/* ---- mounting ---- */

/* The value of "key=" in a comma-separated list, or NULL. */
static const char *option(const char *options, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = options; p; p = kstrchr(p, ',') ? kstrchr(p, ',') + 1 : NULL)
		if (!kstrncmp(p, key, n) && p[n] == '=')
			return p + n + 1;
	return NULL;
}

static u64 number_option(const char *options, const char *key, unsigned base, u64 otherwise)
{
	const char *v = option(options, key);
	char text[24];
	u64 n;

	if (!v)
		return otherwise;
	kstrlcpy(text, v, sizeof(text));
	for (char *p = text; *p; p++)
		if (*p == ',')
			*p = 0;
	return kstrtou64(text, base, &n) ? otherwise : n;
}

static int set_root(struct super_block *sb, struct inode *root)
{
	if (!root)
		return -ENOMEM;
	sb->ops = &mem_super_ops;
	sb->root = d_make_root(root);
	if (sb->root)
		return 0;
	inode_put(root);
	return -ENOMEM;
}

static int tmpfs_fill_super(struct super_block *sb, const char *source, const char *options, void *data)
{
	struct inode *root = mem_new_inode(sb, S_IFDIR | (u32)(number_option(options, "mode", 8, 01777) & 07777), 0);

	sb->magic = TMPFS_MAGIC;
	if (root) {
		root->uid = (u32)number_option(options, "uid", 10, root->uid);
		root->gid = (u32)number_option(options, "gid", 10, root->gid);
	}
	return set_root(sb, root);
}

static int overlay_fill_super(struct super_block *sb, const char *source, const char *options, void *data)
{
	const struct memfs_data *d = data;
	struct super_block *lower;
	u32 tree;
	int err;

	if (!d || !d->has_lower)
		return -EINVAL; /* mount(2) with directories of one's own: not offered */
	lower = sb_create(find_fs("gofer"), "gofer");
	if (!lower)
		return -ENOMEM;
	tree = d->lower_tree;
	err = gofer_fill_super(lower, "gofer", "ro", &tree);
	if (err) {
		sb_put(lower);
		return err;
	}
	sb->magic = 0x794c7630; /* OVERLAYFS_SUPER_MAGIC */
	return set_root(sb, mem_wrap_lower(sb, lower->root->inode));
}

static void init_once(void)
{
	if (mem_cache)
		return;
	mem_cache = kmem_cache_create("memfs_inode", sizeof(struct mem), 16);
	BUG_ON(!mem_cache);
	mutex_init(&persist_lock);
}

void tmpfs_register(void)
{
	static const struct fs_type tmpfs = { .name = "tmpfs", .nodev = true, .fill_super = tmpfs_fill_super };

	init_once();
	register_fs(&tmpfs);
}

void overlay_register(void)
{
	static const struct fs_type overlay = { .name = "overlay", .nodev = true, .fill_super = overlay_fill_super };

	init_once();
	register_fs(&overlay);
}
