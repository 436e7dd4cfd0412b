/* Files of memfs: reads go to the lower file's cache until the first change copies it up. */
#include <asm/mman.h>
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/limits.h>

#include "base/string.h"
#include "fs/memfs/internal.h"
#include "sentry/mm/shmem.h"
#include "sentry/vfs/transfer.h"

/* inode->lock held: attributes; the size is changed by the caller. */
static void apply(struct inode *i, const struct iattr *a)
{
	struct timespec_k now = current_time();

	if (a->valid & ATTR_MODE)
		i->mode = (i->mode & S_IFMT) | (a->mode & 07777);
	if (a->valid & ATTR_UID)
		i->uid = a->uid;
	if (a->valid & ATTR_GID)
		i->gid = a->gid;
	if (a->valid & ATTR_ATIME)
		i->atime = a->valid & ATTR_ATIME_SET ? a->atime : now;
	if (a->valid & ATTR_MTIME)
		i->mtime = a->valid & ATTR_MTIME_SET ? a->mtime : now;
	i->ctime = now;
}

/* A truncation to nothing needs no copy of what it throws away. */
static int set_size(struct inode *i, u64 size)
{
	struct mem *m = mem_of(i);
	int err;

	if (!S_ISREG(i->mode))
		return -EINVAL;
	if (!m->own_data && size == 0) {
		err = mem_persist(i);
		if (err)
			return err;
		mem_own_contents(i);
		i->size = 0;
	}
	err = mem_copy_up(i);
	if (!err)
		err = shmem_set_size(i, size);
	mem_charge(i);
	return err;
}

int mem_setattr(struct inode *i, const struct iattr *a)
{
	int err = mem_persist(i);

	if (!err && a->valid & ATTR_SIZE)
		err = set_size(i, a->size);
	if (!err)
		apply(i, a);
	return err;
}

/* Own contents before the first write. */
static int prepare_write(struct file *f)
{
	struct inode *i = f->inode;
	int err = 0;

	if (READ_ONCE(mem_of(i)->own_data))
		return 0;
	mutex_lock(&i->lock);
	err = mem_copy_up(i);
	mutex_unlock(&i->lock);
	return err;
}

/* Clip a write to what the file system still takes. What overwrites pages that are there counts too: near the end only. */
static int limit(struct inode *i, struct iov_iter *from, u64 pos)
{
	const struct mem_super *ms = mem_super_of(i);
	u64 used = ms->pages, left = used < ms->max_pages ? ms->max_pages - used : 0, room;

	if (left > from->count / PAGE_SIZE + 1)
		return 0;
	if (pos + from->count <= i->size)
		return 0;
	room = left * PAGE_SIZE + (-pos & ~PAGE_MASK);
	if (!room && from->count)
		return -ENOSPC;
	from->count = MIN(from->count, room);
	return 0;
}

static long mem_write(struct file *f, struct iov_iter *from, u64 *pos)
{
	int err = prepare_write(f);
	long ret;

	if (!err)
		err = limit(f->inode, from, file_appends(f) ? f->inode->size : *pos);
	if (err)
		return err;
	ret = shmem_write(f, from, pos);
	mem_charge(f->inode);
	return ret;
}

static int mem_mmap(struct file *f, struct vma *vma)
{
	int err = vma->flags & VM_SHARED && vma->flags & VM_MAYWRITE ? prepare_write(f) : 0;

	return err ? err : shmem_mmap(f, vma);
}

static int mem_fallocate(struct file *f, u32 mode, u64 off, u64 len)
{
	int err = prepare_write(f);

	if (!err && !(mode & FALLOC_FL_PUNCH_HOLE) && mem_super_of(f->inode)->pages + len / PAGE_SIZE > mem_super_of(f->inode)->max_pages)
		return -ENOSPC;
	if (!err)
		err = shmem_fallocate(f, mode, off, len);
	mem_charge(f->inode);
	return err;
}

static s64 mem_llseek(struct file *f, s64 off, int whence)
{
	return mem_of(f->inode)->own_data ? shmem_llseek(f, off, whence) : generic_file_llseek(f, off, whence);
}

static char *mem_readlink(struct inode *i)
{
	struct mem *m = mem_of(i);

	return m->target ? kstrdup(m->target) : m->lower->iop->readlink(m->lower);
}

#define COMMON                                                                          \
	.setattr = mem_setattr, .getxattr = mem_getxattr, .setxattr = mem_setxattr, .listxattr = mem_listxattr, \
	.removexattr = mem_removexattr
const struct inode_ops mem_file_iops = { COMMON };
const struct inode_ops mem_special_iops = { COMMON };
const struct inode_ops mem_link_iops = { .readlink = mem_readlink, COMMON };
const struct file_ops mem_file_fops = {
	.read = shmem_read, .write = mem_write, .llseek = mem_llseek, .mmap = mem_mmap, .fsync = shmem_fsync, .fallocate = mem_fallocate,
};
