/*
 * File contents: the page cache, filled and written back by hostcalls on a descriptor that the gofer passed. Descriptors are
 * opened at the first need, and the ones unused for longest are closed when there are many.
 */
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/limits.h>

#include "base/string.h"
#include "hostcall.h"
#include "fs/gofer/internal.h"
#include "sentry/mm/pagecache.h"
#include "sentry/vfs/transfer.h"

#define HANDLES_MAX 2048ul /* of the descriptors that there may be, a quarter at most */

static spinlock_t handle_lock = SPINLOCK_INIT;
static struct list_head handles = LIST_HEAD_INIT(handles);
static u32 nhandles;

void gofer_close_handle(hc_handle h)
{
	struct hc_file2 req = { .handle = h };

	if (h != HC_NO_HANDLE)
		hostcall(HC_CLOSE, &req, sizeof(req));
}

/* g->lru and nhandles follow what g has; handle_lock. */
static void take(struct gnode *g, hc_handle *slot, hc_handle *out)
{
	*out = *slot;
	*slot = HC_NO_HANDLE;
	if (*out != HC_NO_HANDLE)
		nhandles--;
	if (g->handle == HC_NO_HANDLE && g->write_handle == HC_NO_HANDLE && !list_empty(&g->lru))
		list_del(&g->lru);
}

static void keep(struct gnode *g, hc_handle *slot, hc_handle h)
{
	*slot = h;
	nhandles++;
	if (list_empty(&g->lru))
		list_add(&g->lru, &handles);
}

static void close_taken(const hc_handle *taken)
{
	gofer_close_handle(taken[0]);
	gofer_close_handle(taken[1]);
}

void gofer_close_handles(struct gnode *g)
{
	hc_handle taken[2];

	spin_lock(&handle_lock);
	take(g, &g->handle, &taken[0]);
	take(g, &g->write_handle, &taken[1]);
	spin_unlock(&handle_lock);
	close_taken(taken);
}

/* When there are many, those of the file unused for longest are closed: the next transfer opens it anew. */
static void close_oldest(void)
{
	hc_handle taken[2] = { HC_NO_HANDLE, HC_NO_HANDLE };

	spin_lock(&handle_lock);
	if (nhandles > MIN(HANDLES_MAX, boot_params->host_files / 4))
		for (struct list_head *n = handles.prev; n != &handles; n = n->prev) {
			struct gnode *g = list_entry(n, struct gnode, lru);

			if (g->io)
				continue;
			take(g, &g->handle, &taken[0]);
			take(g, &g->write_handle, &taken[1]);
			break;
		}
	spin_unlock(&handle_lock);
	close_taken(taken);
}

void gofer_give_handle(struct inode *i, hc_handle *h, bool writes)
{
	struct gnode *g = gnode_of(i);
	hc_handle *slot = writes ? &g->write_handle : &g->handle;

	spin_lock(&handle_lock);
	if (*h != HC_NO_HANDLE && *slot == HC_NO_HANDLE) {
		keep(g, slot, *h);
		*h = HC_NO_HANDLE;
	}
	spin_unlock(&handle_lock);
	close_oldest();
}

static int open_remote(struct inode *i, u32 flags, hc_handle *out)
{
	struct rpc r;
	u64 node;
	int err = gofer_node(i, &node);

	if (!err)
		err = rpc_begin(&r, GOFER_OPEN, node, 0);
	if (err)
		return err;
	r.req->create.flags = flags;
	err = rpc_call(&r);
	if (!err && r.handle == HC_NO_HANDLE)
		err = -EIO;
	*out = r.handle;
	rpc_end(&r);
	return err;
}

/* Begin a transfer: a handle that stays open until io_end(). */
static int io_begin(struct inode *i, bool write, hc_handle *out)
{
	struct gnode *g = gnode_of(i);
	int err = 0;

	spin_lock(&handle_lock);
	*out = g->write_handle != HC_NO_HANDLE ? g->write_handle : write ? HC_NO_HANDLE : g->handle;
	g->io++;
	if (!list_empty(&g->lru))
		list_move(&g->lru, &handles);
	spin_unlock(&handle_lock);
	if (*out != HC_NO_HANDLE)
		return 0;
	err = open_remote(i, write ? O_RDWR : O_RDONLY, out);
	spin_lock(&handle_lock);
	if (err) {
		g->io--;
	} else if ((write ? g->write_handle : g->handle) == HC_NO_HANDLE) {
		keep(g, write ? &g->write_handle : &g->handle, *out);
	} else { /* somebody else was faster */
		hc_handle spare = *out;

		*out = write ? g->write_handle : g->handle;
		spin_unlock(&handle_lock);
		gofer_close_handle(spare);
		return 0;
	}
	spin_unlock(&handle_lock);
	if (!err)
		close_oldest();
	return err;
}

static void io_end(struct inode *i)
{
	spin_lock(&handle_lock);
	gnode_of(i)->io--;
	spin_unlock(&handle_lock);
}

/* ---- pages ---- */

/* Segments of consecutive pages; frames that follow each other become one. */
static void add_pages(struct hc_submit *s, struct page **pages, u32 n)
{
	struct hc_rwv *io = &s->io;

	for (u32 k = 0; k < n; k++) {
		u64 pa = page_to_pa(pages[k]);
		struct hc_seg *last = io->nsegs ? &io->segs[io->nsegs - 1] : NULL;

		if (last && last->off + last->len == pa)
			last->len += PAGE_SIZE;
		else
			io->segs[io->nsegs++] = (struct hc_seg){ pa, PAGE_SIZE };
	}
}

/* One host read of n pages: bytes, or -errno. */
static s64 read_run(hc_handle h, struct page **pages, u32 n)
{
	struct hc_submit *s = kzalloc(sizeof(*s));
	s64 got;

	if (!s)
		return -ENOMEM;
	s->op = HC_OP_READV;
	s->io.handle = h;
	s->io.pos = pages[0]->index << PAGE_SHIFT;
	add_pages(s, pages, n);
	got = host_io(s, false);
	kfree(s);
	return got;
}

/* Read up to HC_SEGS_MAX pages; what lies beyond the end of the file is zeroed. A short read need not be the end: one that
 * may not wait stops at the first page that the host does not have in memory. */
static int read_batch(hc_handle h, struct page **pages, u32 n, u64 size)
{
	u32 k = 0;

	while (k < n) {
		u64 at = pages[k]->index << PAGE_SHIFT;
		s64 got = read_run(h, pages + k, n - k);
		u32 before = k;

		if (got < 0)
			return (int)got;
		for (; k < n && (u64)got >= PAGE_SIZE; k++, got -= PAGE_SIZE, at += PAGE_SIZE)
			pages[k]->flags |= PG_UPTODATE;
		if (k > before && at + (u64)got < size)
			continue;
		for (; k < n; k++, got = 0) {
			memset((char *)page_to_va(pages[k]) + got, 0, PAGE_SIZE - (u64)got);
			pages[k]->flags |= PG_UPTODATE;
		}
	}
	return 0;
}

static int read_pages(struct mapping *m, struct page **pages, u32 n)
{
	hc_handle h;
	int err = io_begin(m->inode, false, &h);

	if (err)
		return err;
	for (u32 k = 0; k < n && !err; k += HC_SEGS_MAX)
		err = page_in_window(pages[0]) ? window_fetch(h, pages + k, MIN(n - k, (u32)HC_SEGS_MAX)) :
						 read_batch(h, pages + k, MIN(n - k, (u32)HC_SEGS_MAX), m->inode->size);
	io_end(m->inode);
	return err;
}

/* The window shows what we do not write. Others on the host may: it is their pages that are seen. */
static u32 window_pages(struct mapping *m, u64 index, struct page **pages, u32 n)
{
	struct gnode *g = gnode_of(m->inode);
	hc_handle h = HC_NO_HANDLE;
	u32 got;

	if (m->no_window || m->inode->size < WINDOW_MIN_SIZE || g->window.refused)
		return 0;
	if (io_begin(m->inode, false, &h))
		return 0;
	got = window_frames(&g->window, m, h, index, pages, n);
	io_end(m->inode);
	return got;
}

/* Behind the first n bytes. */
static void advance(struct hc_rwv *io, u64 n)
{
	u32 k = 0;

	io->pos += n;
	for (; k < io->nsegs && n >= io->segs[k].len; k++)
		n -= io->segs[k].len;
	io->nsegs -= k;
	memmove(io->segs, io->segs + k, io->nsegs * sizeof(io->segs[0]));
	if (io->nsegs) {
		io->segs[0].off += n;
		io->segs[0].len -= n;
	}
}

/* Write `len` bytes of the pages: a short write goes on until the host says why. */
static int write_batch(struct hc_submit *s, hc_handle h, struct page **pages, u32 n, u64 len)
{
	memset(s, 0, sizeof(*s));
	s->op = HC_OP_WRITEV;
	s->io.handle = h;
	s->io.pos = pages[0]->index << PAGE_SHIFT;
	add_pages(s, pages, n);
	s->io.segs[s->io.nsegs - 1].len -= ((u64)n << PAGE_SHIFT) - len;
	while (len) {
		s64 put = host_io(s, false);

		if (put <= 0 || (u64)put > len)
			return put < 0 ? (int)put : -EIO;
		len -= (u64)put;
		advance(&s->io, (u64)put);
	}
	return 0;
}

static int write_pages(struct mapping *m, struct page **pages, u32 n, u64 len)
{
	struct hc_submit *s = kzalloc(sizeof(*s));
	hc_handle h;
	int err = s ? io_begin(m->inode, true, &h) : -ENOMEM;

	if (err) {
		kfree(s);
		return err;
	}
	for (u32 k = 0; k < n && !err; k += HC_SEGS_MAX) {
		u32 part = MIN(n - k, (u32)HC_SEGS_MAX);
		u64 start = (u64)k << PAGE_SHIFT, end = MIN((u64)(k + part) << PAGE_SHIFT, len);

		if (start >= len)
			break;
		err = write_batch(s, h, pages + k, part, end - start);
	}
	gnode_of(m->inode)->changes++;
	io_end(m->inode);
	kfree(s);
	return err;
}

const struct mapping_ops gofer_mapping_ops = { .frames = window_pages, .read_pages = read_pages, .write_pages = write_pages };

/* ---- operations ---- */

/* At the end of a file that others write: is there more by now? */
static bool grew(struct inode *i, u64 pos)
{
	struct kstat st = { 0 };

	return !gsuper_of(i)->readonly && !gofer_getattr(i, &st) && READ_ONCE(i->size) > pos;
}

static long gofer_read(struct file *f, struct iov_iter *to, u64 *pos)
{
	struct inode *i = f->inode;
	long n = mapping_read(i->mapping, *pos, to, READ_ONCE(i->size));

	if (!n && to->count && grew(i, *pos))
		n = mapping_read(i->mapping, *pos, to, READ_ONCE(i->size));
	if (n > 0)
		*pos += (u64)n;
	return n;
}

static long gofer_write(struct file *f, struct iov_iter *from, u64 *pos)
{
	struct inode *i = f->inode;
	struct iov_iter part;
	long n;

	if (gsuper_of(i)->readonly)
		return -EROFS;
	mutex_lock(&i->lock);
	if (file_appends(f))
		*pos = i->size;
	part = *from;
	n = mapping_write(i->mapping, *pos, &part);
	if (n > 0) {
		iov_iter_advance(from, (size_t)n);
		*pos += (u64)n;
		i->mtime = i->ctime = current_time();
		i->blocks = DIV_ROUND_UP(i->size, 512);
	}
	mutex_unlock(&i->lock);
	return n;
}

static int gofer_fsync(struct file *f, bool data_only)
{
	struct hc_file2 req = { .arg = data_only };
	struct mapping *m = f->inode->mapping;
	int err;

	if (gsuper_of(f->inode)->readonly)
		return 0;
	mapping_writeback(m);
	err = io_begin(f->inode, false, &req.handle);
	if (err)
		return err;
	err = (int)hostcall(HC_FSYNC, &req, sizeof(req));
	io_end(f->inode);
	if (err) /* the host tells it once, and our handle is everybody's */
		mapping_failed(m, err);
	return mapping_tell(m, f);
}

/* Before it is written: an overlay of the host would then show the handle that the window has the old contents, too. */
static void leave_window(struct inode *i)
{
	mapping_refuse_window(i->mapping);
	window_file_release(&gnode_of(i)->window);
}

static int gofer_open(struct inode *i, struct file *f)
{
	if (f->mode & FMODE_WRITE)
		leave_window(i);
	mapping_opened(i->mapping, f);
	return 0;
}

/* Others on the host read the file: what was written is there when it is closed. */
static int gofer_flush(struct file *f)
{
	return f->mode & FMODE_WRITE ? mapping_writeback(f->inode->mapping) : 0;
}

static int gofer_mmap(struct file *f, struct vma *vma)
{
	vma->ops = &filemap_vm_ops;
	return 0;
}

static int set_size(struct inode *i, u64 size)
{
	struct hc_file2 req = { .arg = size };
	int err = mapping_writeback(i->mapping);

	leave_window(i);
	if (!err)
		err = io_begin(i, true, &req.handle);
	if (err)
		return err;
	err = (int)hostcall(HC_FTRUNCATE, &req, sizeof(req));
	io_end(i);
	if (!err) {
		if (size < i->size)
			mapping_truncate(i->mapping, size);
		i->size = size;
	}
	gnode_of(i)->changes++;
	return err;
}

int gofer_setattr(struct inode *i, const struct iattr *a)
{
	struct rpc r;
	u64 node;
	int err = gsuper_of(i)->readonly ? -EROFS : 0;

	if (!err && a->valid & ATTR_SIZE)
		err = S_ISREG(i->mode) ? set_size(i, a->size) : -EINVAL;
	if (err || !(a->valid & (ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_ATIME | ATTR_MTIME)))
		return err;
	err = gofer_node(i, &node);
	if (!err)
		err = rpc_begin(&r, GOFER_SETATTR, node, 0);
	if (err)
		return err;
	r.req->setattr.mask = (a->valid & ATTR_MODE ? GOFER_SET_MODE : 0) | (a->valid & ATTR_UID ? GOFER_SET_UID : 0) |
			      (a->valid & ATTR_GID ? GOFER_SET_GID : 0) | (a->valid & ATTR_ATIME ? GOFER_SET_ATIME : 0) |
			      (a->valid & ATTR_MTIME ? GOFER_SET_MTIME : 0) |
			      (a->valid & ATTR_ATIME && !(a->valid & ATTR_ATIME_SET) ? GOFER_SET_ATIME_NOW : 0) |
			      (a->valid & ATTR_MTIME && !(a->valid & ATTR_MTIME_SET) ? GOFER_SET_MTIME_NOW : 0);
	r.req->setattr.mode = a->mode & 07777;
	r.req->setattr.uid = a->uid;
	r.req->setattr.gid = a->gid;
	r.req->setattr.atime_s = a->atime.sec;
	r.req->setattr.atime_ns = (u32)a->atime.nsec;
	r.req->setattr.mtime_s = a->mtime.sec;
	r.req->setattr.mtime_ns = (u32)a->mtime.nsec;
	err = rpc_call(&r);
	if (!err) {
		u64 size = i->size;

		gofer_apply_attr(i, &r.rep->node.attr);
		gnode_of(i)->changes++;
		i->size = S_ISREG(i->mode) ? size : i->size; /* ours may be ahead of the host's */
	}
	rpc_end(&r);
	return err;
}

static int gofer_fallocate(struct file *f, u32 mode, u64 off, u64 len)
{
	struct inode *i = f->inode;
	struct hc_file4 req = { .mode = mode, .off = off, .len = len };
	int err = gsuper_of(i)->readonly ? -EROFS : mapping_writeback(i->mapping);

	if (!err)
		err = io_begin(i, true, &req.handle);
	if (err)
		return err;
	err = (int)hostcall(HC_FALLOCATE, &req, sizeof(req));
	io_end(i);
	gnode_of(i)->changes++;
	if (err)
		return err;
	if (mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)) { /* off is a multiple of the host's blocks */
		mapping_truncate(i->mapping, off);
		i->size += mode & FALLOC_FL_INSERT_RANGE ? len : -len;
		return 0;
	}
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		mapping_punch(i->mapping, off, off + len);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && off + len > i->size)
		i->size = off + len;
	return 0;
}

static char *gofer_readlink(struct inode *i)
{
	struct gnode *g = gnode_of(i);
	struct rpc r;
	u64 node;
	char *text = NULL;
	int err;

	if (READ_ONCE(g->target))
		return kstrdup(g->target);
	err = gofer_node(i, &node);
	if (!err)
		err = rpc_begin(&r, GOFER_READLINK, node, 2 * PATH_MAX);
	if (err)
		return ERR_PTR(err);
	err = rpc_call(&r);
	if (!err && r.rep->data.size <= r.rep->len - sizeof(*r.rep))
		text = kstrndup((char *)(r.rep + 1), r.rep->data.size);
	rpc_end(&r);
	if (err)
		return ERR_PTR(err);
	if (text) {
		char *copy = kstrdup(text), *none = NULL;

		if (copy && !__atomic_compare_exchange_n(&g->target, &none, copy, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			kfree(copy);
	}
	return text;
}

#define COMMON                                                                          \
	.setattr = gofer_setattr, .getxattr = gofer_getxattr, .setxattr = gofer_setxattr, .listxattr = gofer_listxattr, \
	.removexattr = gofer_removexattr
#define SHARED .revalidate = gofer_revalidate, .getattr = gofer_getattr
const struct inode_ops gofer_file_iops = { COMMON };
const struct inode_ops gofer_link_iops = { .readlink = gofer_readlink, COMMON };
const struct inode_ops gofer_rw_file_iops = { COMMON, SHARED };
const struct inode_ops gofer_rw_link_iops = { .readlink = gofer_readlink, COMMON, SHARED };
const struct file_ops gofer_file_fops = {
	.open = gofer_open, .read = gofer_read, .write = gofer_write, .llseek = generic_file_llseek, .mmap = gofer_mmap, .fsync = gofer_fsync,
	.flush = gofer_flush, .fallocate = gofer_fallocate,
};
