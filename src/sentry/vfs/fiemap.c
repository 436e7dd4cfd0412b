/* Where the data of a file are: FS_IOC_FIEMAP, ioctl(2). There are no blocks on a device: an extent is a run of pages. */
#include <linux/errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>

#include "sentry/mm/mm.h"
#include "sentry/vfs/fiemap.h"

struct walk {
	struct fiemap head;
	u64 out; /* of the next extent, in user memory */
};

/* False: no more room. -EFAULT in *err. */
static bool put_extent(struct walk *w, u64 start, u64 end, u32 flags, int *err)
{
	struct fiemap_extent e = { .fe_logical = start, .fe_physical = start, .fe_length = end - start, .fe_flags = flags };

	if (!w->head.fm_extent_count) { /* only asked how many */
		w->head.fm_mapped_extents++;
		return true;
	}
	if (w->head.fm_mapped_extents == w->head.fm_extent_count)
		return false;
	*err = copy_to_user(w->out, &e, sizeof(e));
	w->out += sizeof(e);
	w->head.fm_mapped_extents++;
	return !*err;
}

static int walk_pages(struct walk *w, struct mapping *m, u64 size, u64 start, u64 end)
{
	u64 first = start >> PAGE_SHIFT, last = (end - 1) >> PAGE_SHIFT, pages = (size + PAGE_SIZE - 1) >> PAGE_SHIFT;
	int err = 0;

	if (!pages)
		return 0;
	last = MIN(last, pages - 1);
	while (first <= last) {
		u64 data = mapping_next(m, first, pages - 1, true), hole;

		if (data > last)
			break;
		hole = mapping_next(m, data, pages - 1, false);
		hole = MIN(hole, pages);
		if (!put_extent(w, data << PAGE_SHIFT, hole << PAGE_SHIFT, hole == pages ? FIEMAP_EXTENT_LAST : 0, &err))
			break;
		first = hole;
	}
	return err;
}

long ioctl_fiemap(struct file *f, u64 arg)
{
	struct mapping *m = f->inode->mapping;
	struct walk w = { .out = arg + sizeof(struct fiemap) };
	u64 size = f->inode->size;
	int err = 0;

	if (!m && size)
		return -EOPNOTSUPP;
	if (copy_from_user(&w.head, arg, sizeof(w.head)))
		return -EFAULT;
	if (w.head.fm_extent_count > (u32)(~0u - sizeof(struct fiemap)) / sizeof(struct fiemap_extent) || !w.head.fm_length)
		return -EINVAL;
	if (w.head.fm_start > INT64_MAX)
		return -EFBIG;
	if (w.head.fm_flags & ~(u32)(FIEMAP_FLAG_SYNC | FIEMAP_FLAG_XATTR)) {
		w.head.fm_flags &= ~(u32)(FIEMAP_FLAG_SYNC | FIEMAP_FLAG_XATTR);
		return copy_to_user(arg, &w.head, sizeof(w.head)) ? -EFAULT : -EBADR;
	}
	if (w.head.fm_flags & FIEMAP_FLAG_SYNC && f->fop->fsync)
		err = f->fop->fsync(f, true);
	if (err)
		return err;
	w.head.fm_mapped_extents = 0;
	if (size && w.head.fm_start < size)
		err = walk_pages(&w, m, size, w.head.fm_start, w.head.fm_start + MIN(w.head.fm_length, size - w.head.fm_start));
	return err ? err : copy_to_user(arg, &w.head, sizeof(w.head));
}
