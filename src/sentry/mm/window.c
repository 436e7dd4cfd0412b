#include "sentry/mm/window.h"

#include <asm/errno.h>

#include "base/log.h"
#include "base/string.h"
#include "sentry/kernel/events.h"
#include "sentry/mm/pagecache.h"
#include "sentry/mm/radix.h"
#include "sentry/vfs/vfs.h"

#define RECLAIM_TRIES 256u
#define WINDOW_READ_AHEAD 64u /* pages: more than when each is a copy */

struct block {
	struct window_file *owner; /* NULL: none any more; window_lock */
	struct mapping *mapping;   /* the owner's; window_lock */
	u64 index;		   /* of the block in the file */
	_Atomic u32 live;	   /* the owner, pages with references, and who looks at it; 0: free */
	u32 next_free;		   /* number + 1 */
};

static spinlock_t window_lock = SPINLOCK_INIT;
static struct block *blocks;
static u32 nblocks, used, first_free /* number + 1 */, hand;
struct page *window_first, *window_end;

void window_init(u64 pa, u64 size)
{
	nblocks = (u32)(size / HC_WINDOW_BLOCK);
	if (!nblocks)
		return;
	blocks = vmalloc_pages(nblocks * sizeof(*blocks));
	if (!blocks)
		return;
	window_first = pa_to_page(pa);
	window_end = window_first + (u64)nblocks * WINDOW_BLOCK_PAGES;
}

static struct page *block_pages(const struct block *b)
{
	return window_first + (u64)(b - blocks) * WINDOW_BLOCK_PAGES;
}

static struct block *block_of(const struct page *page)
{
	return &blocks[(u64)(page - window_first) / WINDOW_BLOCK_PAGES];
}

/* ---- life of a block ---- */

static void give_back(struct block *b)
{
	spin_lock(&window_lock);
	b->next_free = first_free;
	first_free = (u32)(b - blocks) + 1;
	spin_unlock(&window_lock);
}

static void block_put(struct block *b)
{
	struct hc_mem req = { .off = page_to_pa(block_pages(b)), .len = HC_WINDOW_BLOCK };

	if (atomic_fetch_sub(&b->live, 1) != 1)
		return;
	hostcall(HC_WINDOW_UNMAP, &req, sizeof(req));
	give_back(b);
}

void window_page_free(struct page *page)
{
	block_put(block_of(page));
}

/* Take the block from its owner, if nothing else holds it (or whatever holds it, when the owner itself goes). window_lock held. */
static bool disown(struct block *b, bool always)
{
	if (!b->owner || (!always && atomic_load(&b->live) != 1))
		return false;
	radix_erase(&b->owner->blocks, b->index);
	b->owner = NULL;
	b->mapping = NULL;
	return true;
}

/* One block of a file that lives on and is not used just now. */
static bool reclaim_one(struct block *b)
{
	struct inode *inode = NULL;
	struct mapping *m;
	bool got;
	u64 first;

	spin_lock(&window_lock);
	m = b->mapping;
	first = b->index * WINDOW_BLOCK_PAGES;
	if (b->owner && refcount_inc_not_zero(&m->inode->ref))
		inode = m->inode;
	spin_unlock(&window_lock);
	if (!inode)
		return false;
	mapping_drop_unused(m, first, first + WINDOW_BLOCK_PAGES - 1);
	spin_lock(&window_lock);
	got = disown(b, false);
	spin_unlock(&window_lock);
	inode_put(inode);
	if (got)
		block_put(b);
	return got;
}

static struct block *take_free(void)
{
	struct block *b = NULL;

	spin_lock(&window_lock);
	if (first_free) {
		b = &blocks[first_free - 1];
		first_free = b->next_free;
	} else if (used < nblocks) {
		b = &blocks[used++];
	}
	spin_unlock(&window_lock);
	return b;
}

static struct block *block_alloc(void)
{
	struct block *b = take_free();

	for (u32 i = 0; !b && i < MIN(nblocks, RECLAIM_TRIES); i++) {
		u32 n = __atomic_fetch_add(&hand, 1, __ATOMIC_RELAXED) % nblocks;

		if (reclaim_one(&blocks[n]))
			b = take_free();
	}
	return b;
}

/* ---- a file's blocks ---- */

static struct block *block_find(struct window_file *wf, u64 index)
{
	struct block *b;

	spin_lock(&window_lock);
	b = radix_lookup(wf->blocks, index);
	if (b)
		atomic_fetch_add(&b->live, 1);
	spin_unlock(&window_lock);
	return b;
}

static bool open_file(struct window_file *wf, struct mapping *m, hc_handle h)
{
	struct hc_file2 req = { .handle = h };
	s64 id = hostcall(HC_WINDOW_OPEN, &req, sizeof(req));

	spin_lock(&window_lock);
	if (id < 0) {
		wf->refused = true;
	} else if (!wf->id) {
		wf->id = (u32)id + 1;
		id = -1;
	}
	m->ra_min = wf->refused ? 0 : WINDOW_READ_AHEAD;
	spin_unlock(&window_lock);
	if (id >= 0) { /* somebody was faster */
		req = (struct hc_file2){ .arg = (u64)id };
		hostcall(HC_WINDOW_CLOSE, &req, sizeof(req));
	}
	return !wf->refused;
}

/* The block that shows the file from index * WINDOW_BLOCK_PAGES on, with a hold; NULL: not to be had. */
static struct block *block_get(struct window_file *wf, struct mapping *m, u64 index)
{
	struct block *b = block_find(wf, index), *new;
	u32 id = READ_ONCE(wf->id);
	struct hc_window req = { .file = id - 1, .pos = index * HC_WINDOW_BLOCK };
	int err;

	if (b || !id)
		return b;
	new = block_alloc();
	if (!new)
		return NULL;
	req.off = page_to_pa(block_pages(new));
	if (hostcall(HC_WINDOW_MAP, &req, sizeof(req)) < 0) {
		give_back(new);
		return NULL;
	}
	spin_lock(&window_lock);
	err = wf->id == id ? radix_insert(&wf->blocks, index, new) : -ESTALE; /* the file was given up meanwhile */
	atomic_store(&new->live, err ? 1 : 2);
	if (!err) {
		new->owner = wf;
		new->mapping = m;
		new->index = index;
	}
	spin_unlock(&window_lock);
	if (!err)
		return new;
	block_put(new);
	return err == -EEXIST ? block_find(wf, index) : NULL;
}

/* Of a page that nobody has. */
static bool claim(struct block *b, struct page *page)
{
	u32 none = 0;

	if (!atomic_compare_exchange_strong(&page->ref.n, &none, 1))
		return false;
	atomic_fetch_add(&b->live, 1);
	page->flags = 0;
	page->mapping = NULL;
	list_init(&page->lru);
	return true;
}

u32 window_frames(struct window_file *wf, struct mapping *m, hc_handle h, u64 index, struct page **pages, u32 n)
{
	u32 at = (u32)(index % WINDOW_BLOCK_PAGES), got = 0;
	struct block *b;

	if (!window_first || wf->refused || (!wf->id && !open_file(wf, m, h)))
		return 0;
	b = block_get(wf, m, index / WINDOW_BLOCK_PAGES);
	if (!b)
		return 0;
	for (; got < n && at + got < WINDOW_BLOCK_PAGES; got++) {
		pages[got] = &block_pages(b)[at + got];
		if (!claim(b, pages[got]))
			break;
	}
	block_put(b);
	return got;
}

/* Have the host read the file's pages, without waiting in it: into one frame of ours, again and again. */
static int read_from_disk(hc_handle h, struct page **pages, u32 n)
{
	struct page *scratch = frame_alloc(0, 0);
	struct hc_submit *s = kzalloc(sizeof(*s));
	s64 got = -ENOMEM;

	if (s && scratch) {
		s->op = HC_OP_READV;
		s->io.handle = h;
		s->io.pos = pages[0]->index << PAGE_SHIFT;
		s->io.nsegs = n;
		for (u32 i = 0; i < n; i++)
			s->io.segs[i] = (struct hc_seg){ page_to_pa(scratch), PAGE_SIZE };
		got = host_io(s, false);
	}
	kfree(s);
	if (scratch)
		page_put(scratch);
	return got < 0 ? (int)got : 0;
}

int window_fetch(hc_handle h, struct page **pages, u32 n)
{
	struct hc_window_fetch req = { .off = page_to_pa(pages[0]), .len = (u64)n << PAGE_SHIFT, .nowait = 1 };
	int err = (int)hostcall(HC_WINDOW_FETCH, &req, sizeof(req));

	if (err == -EAGAIN) {
		err = read_from_disk(h, pages, n);
		req.nowait = 0;
		if (!err)
			err = (int)hostcall(HC_WINDOW_FETCH, &req, sizeof(req));
	}
	for (u32 i = 0; i < n && !err; i++)
		pages[i]->flags |= PG_UPTODATE;
	return err;
}

/* The file's first block, taken from it. */
static struct block *take_block(struct window_file *wf)
{
	struct block *b;
	u64 index = 0;

	spin_lock(&window_lock);
	b = radix_next(wf->blocks, &index);
	if (b)
		disown(b, true);
	spin_unlock(&window_lock);
	return b;
}

void window_file_release(struct window_file *wf)
{
	struct hc_file2 req = { 0 };
	struct block *b;
	u32 id;

	spin_lock(&window_lock);
	id = wf->id;
	wf->id = 0; /* from here on no block comes to it */
	spin_unlock(&window_lock);
	while ((b = take_block(wf)))
		block_put(b);
	req.arg = id - 1;
	if (id)
		hostcall(HC_WINDOW_CLOSE, &req, sizeof(req));
}
