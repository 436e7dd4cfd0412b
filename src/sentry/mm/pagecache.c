/*
 * The page cache: the pages of one file are a `mapping`, a radix tree by page index.
 *
 * A page in a tree has a reference from it. Clean pages of files with a backing store lie on the global LRU, dirty ones on
 * their mapping's dirty list; pages whose memory is the store (tmpfs) lie on neither.
 * Locks: mapping->lock -> lru_lock. Page locks sleep and are taken before mapping->lock, in ascending order of index.
 */
#include "sentry/mm/pagecache.h"

#include <asm/errno.h>
#include <asm/mman.h>

#include "base/log.h"
#include "base/string.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/frames.h"
#include "sentry/mm/internal.h"
#include "sentry/mm/pagetable.h"
#include "sentry/mm/radix.h"
#include "sentry/mm/window.h"
#include "sentry/vfs/vfs.h"

#define RA_FIRST 16u
#define RA_MAX 256u
#define BATCH 64u
/* A writer that left so many dirty pages in a file writes them back itself. */
#define DIRTY_LIMIT 8192u

static spinlock_t lru_lock = SPINLOCK_INIT;
static LIST_HEAD(lru); /* least recently added first; pages used again get a second round */
static spinlock_t dirty_lock = SPINLOCK_INIT;
static LIST_HEAD(dirty_mappings);
static _Atomic s64 cache_count, shmem_count;

/* Sleepers on page locks, by hash. */
#define PAGE_WAITQS 64u
static struct waitq page_waitqs[PAGE_WAITQS];

s64 pagecache_pages(void) { return atomic_load_explicit(&cache_count, memory_order_relaxed); }
s64 pagecache_shmem_pages(void) { return atomic_load_explicit(&shmem_count, memory_order_relaxed); }

void pagecache_init(void)
{
	radix_init();
	for (u32 i = 0; i < PAGE_WAITQS; i++)
		waitq_init(&page_waitqs[i]);
}

/* ---- page flags and locks ---- */

static inline u32 flags_or(struct page *p, u32 bits) { return __atomic_fetch_or(&p->flags, bits, __ATOMIC_ACQ_REL); }
static inline u32 flags_clear(struct page *p, u32 bits) { return __atomic_fetch_and(&p->flags, ~bits, __ATOMIC_ACQ_REL); }

static struct waitq *page_waitq(const struct page *page)
{
	return &page_waitqs[((u64)page / sizeof(*page)) % PAGE_WAITQS];
}

static bool page_trylock(struct page *page)
{
	return !(flags_or(page, PG_LOCKED) & PG_LOCKED);
}

void page_lock(struct page *page)
{
	if (!page_trylock(page))
		wait_event(*page_waitq(page), page_trylock(page));
}

void page_unlock(struct page *page)
{
	flags_clear(page, PG_LOCKED);
	wake_up_all(page_waitq(page));
}

/* ---- the tree ---- */

void mapping_init(struct mapping *m, struct inode *inode, const struct mapping_ops *ops)
{
	*m = (struct mapping){ .inode = inode, .ops = ops };
	spin_lock_init(&m->lock);
	mutex_init(&m->i_mmap_lock);
	list_init(&m->dirty);
	list_init(&m->i_mmap);
	list_init(&m->dirty_node);
}

static void count_pages(struct mapping *m, s64 n)
{
	m->nrpages += n;
	atomic_fetch_add_explicit(&cache_count, n, memory_order_relaxed);
	if (!m->ops)
		atomic_fetch_add_explicit(&shmem_count, n, memory_order_relaxed);
}

/* Insert with a reference for the tree. m->lock held. */
static int tree_add(struct mapping *m, u64 index, struct page *page)
{
	int err = m->no_window && page_in_window(page) ? -EAGAIN : radix_insert(&m->tree, index, page);

	if (err)
		return err;
	page_get(page);
	page->mapping = m;
	page->index = index;
	count_pages(m, 1);
	if (m->ops && !page_in_window(page)) {
		spin_lock(&lru_lock);
		list_add_tail(&page->lru, &lru);
		spin_unlock(&lru_lock);
	}
	return 0;
}

/* Take out of the tree and of every list; the tree's reference goes to the caller. m->lock held. */
static void tree_remove(struct mapping *m, struct page *page)
{
	radix_erase(&m->tree, page->index);
	if (m->ops) {
		spin_lock(&lru_lock);
		list_del(&page->lru);
		spin_unlock(&lru_lock);
	}
	if (flags_clear(page, PG_DIRTY) & PG_DIRTY && m->ops)
		m->nr_dirty--;
	flags_or(page, PG_REMOVED);
	page->mapping = NULL;
	count_pages(m, -1);
}

struct page *mapping_find_page(struct mapping *m, u64 index)
{
	struct page *page;

	spin_lock(&m->lock);
	page = radix_lookup(m->tree, index);
	if (page) {
		page_get(page);
		if (!(page->flags & PG_REFERENCED))
			flags_or(page, PG_REFERENCED);
	}
	spin_unlock(&m->lock);
	return page;
}

void mapping_peek_pages(struct mapping *m, u64 first, u32 n, struct page **out)
{
	spin_lock(&m->lock);
	for (u32 i = 0; i < n; i++) {
		struct page *page = m->nrpages ? radix_lookup(m->tree, first + i) : NULL;

		if (page && !(page->flags & PG_UPTODATE))
			page = NULL;
		if (page) {
			page_get(page);
			if (!(page->flags & PG_REFERENCED))
				flags_or(page, PG_REFERENCED);
		}
		out[i] = page;
	}
	spin_unlock(&m->lock);
}

/* ---- reading in ---- */

/* Frames for n pages, neighbours when possible. Returns how many there are. */
static u32 alloc_batch(struct page **pages, u32 n)
{
	u32 got = 0;

	while (got < n) {
		u32 order = 31 - (u32)__builtin_clz(n - got);
		struct page *block = frame_alloc(order, 0);

		if (!block && order) {
			block = frame_alloc(0, 0);
			order = 0;
		}
		if (!block)
			break;
		for (u32 i = 0; i < 1u << order; i++)
			pages[got++] = &block[i];
	}
	return got;
}

/* Insert new locked pages for [first, first + n) as far as none is there yet; unused frames are freed. Returns how many. */
static u32 insert_locked(struct mapping *m, u64 first, struct page **pages, u32 n)
{
	u32 got = 0;

	spin_lock(&m->lock);
	for (; got < n; got++) {
		pages[got]->flags = PG_LOCKED;
		if (tree_add(m, first + got, pages[got]))
			break;
	}
	spin_unlock(&m->lock);
	for (u32 i = got; i < n; i++) {
		pages[i]->flags = 0;
		page_put(pages[i]);
	}
	return got;
}

/* Read pages that insert_locked() made. On failure they leave the cache. The caller's references stay. */
static int read_locked(struct mapping *m, struct page **pages, u32 n)
{
	int err = m->ops->read_pages(m, pages, n);

	for (u32 i = 0; i < n; i++) {
		if (err && !(pages[i]->flags & PG_UPTODATE)) {
			spin_lock(&m->lock);
			tree_remove(m, pages[i]);
			spin_unlock(&m->lock);
			page_put(pages[i]);
		}
		page_unlock(pages[i]);
	}
	return err;
}

static u64 file_pages(const struct mapping *m)
{
	return (READ_ONCE(m->inode->size) + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

/* How many pages to read at a miss: more while misses follow each other. */
static u32 readahead_size(struct mapping *m, u64 index)
{
	u64 end = file_pages(m);
	u32 n = MAX(RA_FIRST, m->ra_min);

	if (m->ra_next && index == m->ra_next)
		n = MIN(m->ra_size * 2, RA_MAX);
	n = index < end ? (u32)MIN((u64)n, end - index) : 1;
	m->ra_size = MAX(n, MAX(RA_FIRST, m->ra_min));
	m->ra_next = index + n;
	return n;
}

/* Bring page `index` in, and up to n - 1 after it, BATCH at a time. 0 (somebody has it now), or -errno. */
static int read_in(struct mapping *m, u64 index, u32 n)
{
	struct page *pages[BATCH];
	int err = 0;

	while (n && !err) {
		u32 want = MIN(n, BATCH), got = m->ops->frames ? m->ops->frames(m, index, pages, want) : 0, in;

		if (got)
			want = got; /* there is no more in this block of the window */
		else
			got = alloc_batch(pages, want);
		if (!got)
			return -ENOMEM;
		in = insert_locked(m, index, pages, got);
		if (!in)
			return 0;
		err = read_locked(m, pages, in);
		for (u32 i = 0; i < in; i++)
			page_put(pages[i]);
		if (err && in > 1) /* perhaps only a later page is bad */
			return read_in(m, index, 1);
		if (in < want)
			break;
		index += in;
		n -= in;
	}
	return err;
}

void mapping_readahead(struct mapping *m, u64 first, u64 n)
{
	u64 end = file_pages(m);

	if (!m->ops)
		return;
	while (n && first < end) {
		u64 hole;
		u32 len;

		spin_lock(&m->lock);
		hole = radix_next_hole(m->tree, first, MIN(first + n, end) - 1);
		spin_unlock(&m->lock);
		n -= hole - first;
		first = hole;
		len = (u32)MIN(n, (u64)RA_MAX);
		if (!len || first >= end || read_in(m, first, (u32)MIN((u64)len, end - first)))
			return;
		first += len;
		n -= len;
	}
}

/* A page that is read as zero: memory is the store, or the caller overwrites all of it. */
static struct page *add_zero_page(struct mapping *m, u64 index)
{
	struct page *page = frame_alloc(0, FRAME_ZERO);
	int err;

	if (!page)
		return ERR_PTR(-ENOMEM);
	page->flags = PG_UPTODATE;
	spin_lock(&m->lock);
	err = tree_add(m, index, page);
	spin_unlock(&m->lock);
	if (!err)
		return page;
	page->flags = 0;
	page_put(page);
	return ERR_PTR(err);
}

struct page *mapping_get_page(struct mapping *m, u64 index, bool create)
{
	for (;;) {
		struct page *page = mapping_find_page(m, index);
		int err = 0;

		if (page && (page->flags & PG_UPTODATE))
			return page;
		if (page) { /* being read; when that failed it has left the tree */
			page_lock(page);
			page_unlock(page);
			if (page->flags & PG_UPTODATE)
				return page;
			page_put(page);
			continue;
		}
		if (create || !m->ops) {
			page = add_zero_page(m, index);
			if (!IS_ERR(page))
				return page;
			err = (int)PTR_ERR(page);
		} else {
			err = read_in(m, index, readahead_size(m, index));
		}
		if (err && err != -EEXIST)
			return ERR_PTR(err);
	}
}

/* ---- dirty pages ---- */

void page_mark_dirty(struct page *page)
{
	struct mapping *m = READ_ONCE(page->mapping);

	atomic_thread_fence(memory_order_seq_cst); /* what was stored is seen by a write-back that cleans the page after this */
	if (!m || !m->ops || (page->flags & PG_DIRTY))
		return;
	spin_lock(&m->lock);
	if (page->mapping == m && !(flags_or(page, PG_DIRTY) & PG_DIRTY)) {
		spin_lock(&lru_lock);
		list_move_tail(&page->lru, &m->dirty);
		spin_unlock(&lru_lock);
		if (!m->nr_dirty++) {
			spin_lock(&dirty_lock);
			if (list_empty(&m->dirty_node))
				list_add_tail(&m->dirty_node, &dirty_mappings);
			spin_unlock(&dirty_lock);
		}
	}
	spin_unlock(&m->lock);
}

/* A run of consecutive dirty pages in [first, last], each with a reference. */
static u32 collect_dirty(struct mapping *m, u64 first, u64 last, struct page **pages)
{
	struct page *page = NULL, *p;
	u32 n = 0;

	spin_lock(&m->lock);
	list_for_each(p, &m->dirty, lru) {
		if (p->index >= first && p->index <= last) {
			page = p;
			break;
		}
	}
	while (page && n < BATCH && (page->flags & PG_DIRTY) && page->index <= last) {
		page_get(page);
		pages[n++] = page;
		page = radix_lookup(m->tree, page->index + 1);
	}
	spin_unlock(&m->lock);
	return n;
}

/* Shared mappings may write the pages again only through a fault that marks them dirty. */
static void write_protect_mapped(struct mapping *m, u64 first, u64 last)
{
	struct vma *vma;

	if (!m->writecount_shared)
		return;
	mutex_lock(&m->i_mmap_lock);
	list_for_each(vma, &m->i_mmap, i_mmap_node) {
		u64 lo = MAX(first, vma->pgoff), hi = MIN(last + 1, vma->pgoff + vma_pages(vma)), start, end;
		bool changed;

		if (lo >= hi || !(vma->flags & VM_SHARED))
			continue;
		start = vma->start + ((lo - vma->pgoff) << PAGE_SHIFT);
		end = start + ((hi - lo) << PAGE_SHIFT);
		spin_lock(&vma->mm->pt_lock);
		changed = pt_protect(vma->mm, start, end, vma->prot & ~PROT_WRITE);
		spin_unlock(&vma->mm->pt_lock);
		if (changed)
			platform->as_flush(vma->mm, start, end, (int)(vma->prot & ~PROT_WRITE));
	}
	mutex_unlock(&m->i_mmap_lock);
}

/* The pages are clean now: back to the LRU. */
static void make_clean(struct mapping *m, struct page **pages, u32 n)
{
	spin_lock(&m->lock);
	for (u32 i = 0; i < n; i++) {
		if (pages[i]->mapping != m || !(flags_clear(pages[i], PG_DIRTY) & PG_DIRTY))
			continue;
		spin_lock(&lru_lock);
		list_move_tail(&pages[i]->lru, &lru);
		spin_unlock(&lru_lock);
		m->nr_dirty--;
	}
	spin_unlock(&m->lock);
}

void mapping_failed(struct mapping *m, int err)
{
	spin_lock(&m->lock);
	m->wb_failures++;
	m->wb_err = err;
	m->wb_untold = true;
	spin_unlock(&m->lock);
}

void mapping_opened(struct mapping *m, struct file *file)
{
	spin_lock(&m->lock);
	file->wb_seen = m->wb_failures - m->wb_untold;
	spin_unlock(&m->lock);
}

int mapping_tell(struct mapping *m, struct file *file)
{
	int err = 0;

	spin_lock(&m->lock);
	if (file->wb_seen != m->wb_failures) {
		file->wb_seen = m->wb_failures;
		m->wb_untold = false;
		err = m->wb_err;
	}
	spin_unlock(&m->lock);
	return err;
}

static int write_run(struct mapping *m, struct page **pages, u32 n)
{
	u64 size = READ_ONCE(m->inode->size), pos = pages[0]->index << PAGE_SHIFT;
	int err = 0;

	for (u32 i = 0; i < n; i++)
		page_lock(pages[i]);
	m->writing++;
	make_clean(m, pages, n);
	write_protect_mapped(m, pages[0]->index, pages[0]->index + n - 1);
	if (pos < size && pages[0]->mapping == m)
		err = m->ops->write_pages(m, pages, n, MIN((u64)n << PAGE_SHIFT, size - pos));
	if (err)
		mapping_failed(m, err);
	m->writing--;
	for (u32 i = 0; i < n; i++) {
		page_unlock(pages[i]);
		page_put(pages[i]);
	}
	return err;
}

int mapping_writeback_range(struct mapping *m, u64 first, u64 last)
{
	struct page *pages[BATCH];
	int err = 0, ret;
	u32 n;

	if (!m->ops || !m->ops->write_pages)
		return 0;
	while ((n = collect_dirty(m, first, last, pages))) {
		ret = write_run(m, pages, n);
		if (ret && !err)
			err = ret;
	}
	spin_lock(&dirty_lock);
	if (!m->nr_dirty)
		list_del(&m->dirty_node);
	spin_unlock(&dirty_lock);
	return err;
}

int mapping_writeback(struct mapping *m)
{
	return mapping_writeback_range(m, 0, ~0ull - 1);
}

/* ---- file I/O ---- */

static long read_page_part(struct mapping *m, struct page *page, u64 pos, size_t n, struct iov_iter *it)
{
	u64 off = pos & ~PAGE_MASK;
	long done;

	if (page) {
		done = (long)copy_to_iter((char *)page_to_va(page) + off, n, it);
		page_put(page);
		return done;
	}
	if (!m->ops) /* a hole of a file in memory */
		return (long)iov_iter_zero(n, it);
	page = mapping_get_page(m, pos >> PAGE_SHIFT, false);
	if (IS_ERR(page))
		return PTR_ERR(page);
	done = (long)copy_to_iter((char *)page_to_va(page) + off, n, it);
	page_put(page);
	return done;
}

long mapping_read(struct mapping *m, u64 pos, struct iov_iter *it, u64 size)
{
	struct page *pages[16];
	long total = 0;

	while (it->count && pos < size) {
		u64 left = MIN(it->count, size - pos);
		u32 n = (u32)MIN((((pos & ~PAGE_MASK) + left + PAGE_SIZE - 1) >> PAGE_SHIFT), ARRAY_SIZE(pages)), i;
		long done = 0;

		mapping_peek_pages(m, pos >> PAGE_SHIFT, n, pages);
		for (i = 0; i < n; i++) {
			size_t part = MIN(PAGE_SIZE - (pos & ~PAGE_MASK), MIN(it->count, size - pos));

			done = read_page_part(m, pages[i], pos, part, it);
			if (done > 0) {
				total += done;
				pos += (u64)done;
			}
			if (done != (long)part)
				break;
		}
		if (i == n)
			continue;
		while (++i < n)
			if (pages[i])
				page_put(pages[i]);
		if (total)
			return total;
		return done < 0 ? done : -EFAULT;
	}
	return total;
}

/* A whole page that is not in the cache: filled before anyone can see it. Bytes taken from `it`, or -errno. */
static long write_new_page(struct mapping *m, u64 index, struct iov_iter *it)
{
	struct page *page = frame_alloc(0, 0), *other;
	size_t done;
	int err;

	if (!page)
		return -ENOMEM;
	done = copy_from_iter(page_to_va(page), PAGE_SIZE, it);
	err = -EEXIST;
	if (done == PAGE_SIZE) {
		page->flags = PG_UPTODATE;
		spin_lock(&m->lock);
		err = tree_add(m, index, page);
		spin_unlock(&m->lock);
	}
	if (!err) {
		page_mark_dirty(page);
	} else if (err == -EEXIST && done) { /* somebody was faster, or the copy stopped short */
		other = mapping_get_page(m, index, false);
		if (IS_ERR(other)) {
			err = (int)PTR_ERR(other);
		} else {
			memcpy(page_to_va(other), page_to_va(page), done);
			page_mark_dirty(other);
			page_put(other);
			err = 0;
		}
	}
	if (err)
		page->flags = 0;
	page_put(page);
	if (!done)
		return -EFAULT;
	return err ? err : (long)done;
}

static long write_page_part(struct mapping *m, u64 pos, size_t n, struct iov_iter *it)
{
	u64 index = pos >> PAGE_SHIFT, off = pos & ~PAGE_MASK;
	struct page *page = mapping_find_page(m, index);
	bool whole = n == PAGE_SIZE;
	size_t done;

	if (!page && whole)
		return write_new_page(m, index, it);
	if (page && !(page->flags & PG_UPTODATE)) {
		page_put(page);
		page = NULL;
	}
	if (!page) /* beyond the end there is nothing to read */
		page = mapping_get_page(m, index, (index << PAGE_SHIFT) >= READ_ONCE(m->inode->size));
	if (IS_ERR(page))
		return PTR_ERR(page);
	done = copy_from_iter((char *)page_to_va(page) + off, n, it);
	if (done)
		page_mark_dirty(page);
	page_put(page);
	return done ? (long)done : -EFAULT;
}

long mapping_write(struct mapping *m, u64 pos, struct iov_iter *it)
{
	long total = 0, done = 0;

	while (it->count) {
		size_t part = MIN(PAGE_SIZE - (pos & ~PAGE_MASK), it->count);

		done = write_page_part(m, pos, part, it);
		if (done < 0)
			break;
		total += done;
		pos += (u64)done;
		if (pos > m->inode->size)
			WRITE_ONCE(m->inode->size, pos);
		if (done < (long)part)
			break;
		if (fatal_signal_pending())
			break;
	}
	if (m->ops && m->nr_dirty > DIRTY_LIMIT)
		mapping_writeback(m);
	return total ? total : done;
}

/* ---- truncation ---- */

/* Drop what maps file pages [first, last]: all of it, or (cows false) only the file's own pages. */
static void unmap_vma_part(struct vma *vma, u64 start, u64 end, struct mapping *m, bool cows)
{
	struct mm *mm = vma->mm;

	if (cows) {
		zap_range(mm, start, end, false);
		return;
	}
	for (u64 va = start; va < end; va += PAGE_SIZE) {
		struct page *page;
		bool ours = false;
		u64 *ptep;

		spin_lock(&mm->pt_lock);
		ptep = pt_lookup(mm, va);
		if (ptep && pte_has_frame(*ptep)) {
			page = pa_to_page(pte_pa(*ptep));
			ours = page->mapping == m || (page->flags & PG_REMOVED);
		}
		spin_unlock(&mm->pt_lock);
		if (!ptep)
			va = (va & ~((PT_ENTRIES << PAGE_SHIFT) - 1)) + ((PT_ENTRIES - 1) << PAGE_SHIFT);
		else if (ours)
			zap_range(mm, va, va + PAGE_SIZE, false);
	}
}

static void unmap_pages(struct mapping *m, u64 first, u64 last, bool cows)
{
	struct vma *vma;

	if (list_empty(&m->i_mmap))
		return;
	mutex_lock(&m->i_mmap_lock);
	list_for_each(vma, &m->i_mmap, i_mmap_node) {
		u64 n = vma_pages(vma), lo = MAX(first, vma->pgoff), hi = MIN(last, vma->pgoff + n - 1);

		if (lo > hi)
			continue;
		unmap_vma_part(vma, vma->start + ((lo - vma->pgoff) << PAGE_SHIFT),
			       vma->start + ((hi - vma->pgoff + 1) << PAGE_SHIFT), m, cows || (vma->flags & VM_SHARED));
	}
	mutex_unlock(&m->i_mmap_lock);
}

void mapping_unmap_range(struct mapping *m, u64 first, u64 last)
{
	unmap_pages(m, first, last, true);
}

void mapping_switch(struct inode *inode, struct mapping *to)
{
	struct mapping *from = inode->mapping;
	struct vma *vma, *next;

	mutex_lock(&from->i_mmap_lock);
	mutex_lock(&to->i_mmap_lock); /* nobody else knows it yet */
	WRITE_ONCE(inode->mapping, to);
	list_for_each_safe(vma, next, &from->i_mmap, i_mmap_node) {
		if (vma->file->inode != inode)
			continue;
		/* A fault that is under way looks at the mapping once more. */
		unmap_vma_part(vma, vma->start, vma->end, from, false);
		list_move_tail(&vma->i_mmap_node, &to->i_mmap);
		if ((vma->flags & VM_SHARED) && (vma->flags & VM_MAYWRITE)) {
			from->writecount_shared--;
			to->writecount_shared++;
		}
	}
	mutex_unlock(&to->i_mmap_lock);
	mutex_unlock(&from->i_mmap_lock);
}

/* Take up to BATCH pages at or after *index, at most `last`, out of the tree; dirty ones too? */
static u32 remove_batch(struct mapping *m, u64 *index, u64 last, bool dirty, struct page **pages)
{
	u32 n = 0;

	while (n < BATCH) {
		struct page *page;

		spin_lock(&m->lock);
		page = radix_next(m->tree, index);
		if (!page || *index > last) {
			spin_unlock(&m->lock);
			break;
		}
		page_get(page);
		spin_unlock(&m->lock);
		page_lock(page); /* not while it is read or written */
		spin_lock(&m->lock);
		if (page->mapping == m && (dirty || !(page->flags & PG_DIRTY))) {
			tree_remove(m, page);
			pages[n++] = page;
		}
		spin_unlock(&m->lock);
		page_unlock(page);
		page_put(page);
		if (++*index == 0)
			break;
	}
	return n;
}

static void remove_pages(struct mapping *m, u64 first, u64 last, bool dirty)
{
	struct page *pages[BATCH];
	u64 index = first;
	u32 n;

	while ((n = remove_batch(m, &index, last, dirty, pages))) {
		/* Out of the tree first: a fault that is under way looks at page->mapping once more. */
		unmap_pages(m, first, index ? index - 1 : last, false);
		for (u32 i = 0; i < n; i++)
			page_put(pages[i]);
	}
}

static void remove_range(struct mapping *m, u64 first, u64 last, bool cows)
{
	if (first > last)
		return;
	remove_pages(m, first, last, true);
	unmap_pages(m, first, last, cows);
}

void mapping_invalidate(struct mapping *m)
{
	remove_pages(m, 0, ~0ull >> PAGE_SHIFT, false);
}

void mapping_refuse_window(struct mapping *m)
{
	bool was;

	spin_lock(&m->lock);
	was = m->no_window;
	m->no_window = true;
	spin_unlock(&m->lock);
	if (!was)
		mapping_invalidate(m);
}

static void zero_part(struct mapping *m, u64 pos, u64 end)
{
	struct page *page = mapping_find_page(m, pos >> PAGE_SHIFT);

	if (!page && m->ops && pos < m->inode->size) {
		page = mapping_get_page(m, pos >> PAGE_SHIFT, false);
		if (IS_ERR(page))
			page = NULL;
	}
	if (!page)
		return;
	memset((char *)page_to_va(page) + (pos & ~PAGE_MASK), 0, end - pos);
	page_mark_dirty(page);
	page_put(page);
}

void mapping_truncate(struct mapping *m, u64 new_size)
{
	u64 first = (new_size + PAGE_SIZE - 1) >> PAGE_SHIFT;

	remove_range(m, first, ~0ull >> PAGE_SHIFT, true);
	if (new_size & ~PAGE_MASK) {
		struct page *page = mapping_find_page(m, new_size >> PAGE_SHIFT);

		if (page) {
			memset((char *)page_to_va(page) + (new_size & ~PAGE_MASK), 0, PAGE_SIZE - (new_size & ~PAGE_MASK));
			page_put(page);
		}
	}
}

void mapping_punch(struct mapping *m, u64 start, u64 end)
{
	u64 first = PAGE_ALIGN_UP(start), last = PAGE_ALIGN_DOWN(end);

	if (start >= end)
		return;
	if (first > last) { /* within one page */
		zero_part(m, start, end);
		return;
	}
	if (start < first)
		zero_part(m, start, first);
	if (last < end)
		zero_part(m, last, end);
	if (first < last)
		remove_range(m, first >> PAGE_SHIFT, (last >> PAGE_SHIFT) - 1, false);
}

void mapping_destroy(struct mapping *m)
{
	remove_range(m, 0, ~0ull >> PAGE_SHIFT, true);
	spin_lock(&dirty_lock);
	list_del(&m->dirty_node);
	spin_unlock(&dirty_lock);
}

u64 mapping_next(struct mapping *m, u64 first, u64 last, bool present)
{
	u64 index = first;

	spin_lock(&m->lock);
	if (!present)
		index = radix_next_hole(m->tree, first, last);
	else if (!radix_next(m->tree, &index) || index > last)
		index = last + 1;
	spin_unlock(&m->lock);
	return index;
}

/* ---- faults ---- */

static struct page *filemap_fault(struct vma *vma, u64 pgoff, bool write)
{
	struct mapping *m = vma_mapping(vma);

	(void)write;
	if (!m || pgoff >= file_pages(m))
		return ERR_PTR(-ENXIO);
	return mapping_get_page(m, pgoff, false);
}

const struct vm_ops filemap_vm_ops = { .fault = filemap_fault };

/* ---- giving memory back ---- */

/* One clean page that only the cache holds: out. lru_lock held; m is the page's mapping. */
static bool evict(struct page *page, struct mapping *m)
{
	u32 one = 1;

	if (!spin_trylock(&m->lock))
		return false;
	if ((page->flags & (PG_LOCKED | PG_DIRTY | PG_WRITEBACK)) ||
	    !atomic_compare_exchange_strong(&page->ref.n, &one, 0)) {
		spin_unlock(&m->lock);
		return false;
	}
	radix_erase(&m->tree, page->index);
	list_del(&page->lru);
	page->mapping = NULL;
	count_pages(m, -1);
	spin_unlock(&m->lock);
	return true;
}

u64 pagecache_shrink(u64 n)
{
	LIST_HEAD(dead);
	u64 freed = 0, scan = n * 8 + 1024;

	spin_lock(&lru_lock);
	while (freed < n && scan-- && !list_empty(&lru)) {
		struct page *page = list_first(&lru, struct page, lru);

		if (flags_clear(page, PG_REFERENCED) & PG_REFERENCED || !evict(page, page->mapping)) {
			list_move_tail(&page->lru, &lru);
			continue;
		}
		list_add(&page->lru, &dead);
		freed++;
	}
	spin_unlock(&lru_lock);
	if (freed)
		frames_free_list(&dead);
	return freed;
}

/* One page of the window that only the cache holds: out. m->lock held. */
static bool drop_unused(struct mapping *m, struct page *page)
{
	u32 one = 1;

	if (!page_in_window(page) || (page->flags & PG_LOCKED) || !atomic_compare_exchange_strong(&page->ref.n, &one, 0))
		return false;
	radix_erase(&m->tree, page->index);
	count_pages(m, -1);
	return true;
}

void mapping_drop_unused(struct mapping *m, u64 first, u64 last)
{
	for (u64 index = first; index <= last; index++) {
		struct page *page;
		bool dropped;

		spin_lock(&m->lock);
		page = radix_next(m->tree, &index);
		dropped = page && index <= last && drop_unused(m, page);
		spin_unlock(&m->lock);
		if (!page)
			return;
		if (dropped)
			window_page_free(page);
	}
}

/* A mapped clean page's inode, referenced, or NULL when the LRU has none. */
static struct inode *pick_mapped(u64 *index)
{
	struct inode *inode = NULL;
	u32 scan = 1024;

	spin_lock(&lru_lock);
	while (scan-- && !inode && !list_empty(&lru)) {
		struct page *page = list_first(&lru, struct page, lru);

		list_move_tail(&page->lru, &lru);
		if (refcount_inc_not_zero(&page->mapping->inode->ref)) {
			inode = page->mapping->inode;
			*index = page->index;
		}
	}
	spin_unlock(&lru_lock);
	return inode;
}

/* What so many map (libc, the shell of a fork bomb) is dear to take away and wanted back at once: then somebody has to go. */
#define WIDELY_MAPPED 64u
static bool widely_mapped(struct mapping *m)
{
	struct list_head *n;
	u32 count = 0;

	mutex_lock(&m->i_mmap_lock);
	for (n = m->i_mmap.next; n != &m->i_mmap && count < WIDELY_MAPPED; n = n->next)
		count++;
	mutex_unlock(&m->i_mmap_lock);
	return count == WIDELY_MAPPED;
}

static struct inode *pick_dirty(void)
{
	struct inode *inode = NULL;
	struct mapping *m;

	spin_lock(&dirty_lock);
	list_for_each(m, &dirty_mappings, dirty_node) {
		if (m->inode && refcount_inc_not_zero(&m->inode->ref)) {
			inode = m->inode;
			list_move_tail(&m->dirty_node, &dirty_mappings);
			break;
		}
	}
	spin_unlock(&dirty_lock);
	return inode;
}

int pagecache_sync(struct super_block *sb)
{
	u32 rounds = 0;
	struct mapping *m;
	int err = 0;

	spin_lock(&dirty_lock);
	list_for_each(m, &dirty_mappings, dirty_node)
		rounds++;
	spin_unlock(&dirty_lock);
	/* Those that are dirtied meanwhile are not waited for. */
	while (rounds--) {
		struct inode *inode = pick_dirty();
		int ret = 0;

		if (!inode)
			break;
		if (!sb || inode->sb == sb)
			ret = mapping_writeback(inode->mapping);
		inode_put(inode);
		err = err ? err : ret;
	}
	return err;
}

/* Little is left of what runs: to take that, too, is to wait for it again with every step. Memory is short elsewhere. */
static bool cache_is_small(void)
{
	s64 floor = MIN((s64)frames_total() / 12, (64l << 20) / (s64)PAGE_SIZE);

	return pagecache_pages() - pagecache_shmem_pages() < floor;
}

u64 pagecache_reclaim(void)
{
	struct inode *inode = pick_dirty();
	u64 index;

	if (inode) {
		mapping_writeback(inode->mapping);
		inode_put(inode);
	}
	for (u32 i = 0; i < 64 && !cache_is_small() && (inode = pick_mapped(&index)); i++) {
		u64 first = index & ~(u64)(BATCH - 1);

		if (!widely_mapped(inode->mapping))
			unmap_pages(inode->mapping, first, first + BATCH - 1, false);
		inode_put(inode);
	}
	return pagecache_shrink(1024) + dcache_shrink(1024);
}
