/* Inodes of memfs: made new, or wrapped around a lower one; kept once they differ from it. */
#include <linux/limits.h>

#include "base/string.h"
#include "fs/memfs/internal.h"
#include "sentry/mm/shmem.h"

static struct kmem_cache *mem_cache;
static struct mutex persist_lock; /* parent and name of lower-only inodes */
#define OWN_INO_BASE (1ull << 44) /* numbers of our own stay clear of those of the host's files */

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
	i->flags |= INODE_FSFLAGS;
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
	struct mem_super *ms = sb->priv;
	struct inode *i;

	if (ms->inodes >= ms->max_inodes)
		return NULL;
	i = alloc(sb, mode);
	if (!i)
		return NULL;
	ms->inodes++;
	if (ms->overlay)
		i->ino += OWN_INO_BASE;
	if (S_ISDIR(mode)) {
		i->size = ms->overlay ? PAGE_SIZE : 2 * ENTRY_SIZE;
		i->blocks = ms->overlay ? PAGE_SIZE / 512 : 0;
	}
	i->rdev = rdev;
	i->uid = current->cred ? current->cred->fsuid : 0;
	i->gid = current->cred ? current->cred->fsgid : 0;
	mem_of(i)->own_data = true;
	return i;
}

void mem_charge(struct inode *i)
{
	u64 now = mem_of(i)->own.nrpages, before = atomic_exchange(&mem_of(i)->charged, now);

	mem_super_of(i)->pages += now - before;
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
	int err = mem_insert(dir, m->name, (u32)strlen(m->name), inode_get(i), true);

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

void mem_forget_place(struct inode *i)
{
	struct mem *m = mem_of(i);
	struct inode *dir;

	mutex_lock(&persist_lock);
	dir = m->parent;
	m->parent = NULL;
	if (dir) {
		kfree(m->name);
		m->name = NULL;
	}
	mutex_unlock(&persist_lock);
	if (dir)
		inode_put(dir);
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

void mem_own_contents(struct inode *i)
{
	mem_of(i)->own_data = true;
	mem_super_of(i)->inodes++;
	mapping_switch(i, &mem_of(i)->own);
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
	mem_own_contents(i);
	mem_charge(i);
	return 0;
}

void mem_evict(struct inode *i)
{
	struct mem *m = mem_of(i);

	if (!m)
		return;
	if (S_ISREG(i->mode)) {
		mapping_destroy(&m->own);
		mem_super_of(i)->pages -= m->charged;
	}
	if (m->own_data)
		mem_super_of(i)->inodes--;
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
