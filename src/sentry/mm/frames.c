/*
 * The frame allocator: buddies over sparse memory (Knuth, The Art of Computer Programming vol. 1, 2.5).
 *
 * Memory above the high-water mark was never used: it reads as zero and costs the host nothing, nor do the parts of memmap that
 * describe it. Free blocks below it are kept in two sets, known-zero and dirty. When much dirty memory is free it goes back to
 * the host in blocks, and is known-zero again. Single frames pass through a cache of each vCPU, so that most faults
 * and frees take no shared lock.
 */
#include "sentry/mm/frames.h"

#include "base/log.h"
#include "base/string.h"
#include "hostcall.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/pagecache.h"
#include "sentry/mm/window.h"

/* Dirty free frames: above HIGH, blocks go back to the host until LOW are left. */
#define RELEASE_HIGH 16384u
#define RELEASE_LOW 8192u
#define RELEASE_MIN_ORDER 3u

/* Up to here clearing is cheaper than having the host back fresh memory. */
#define CLEAR_MAX_ORDER 5u

#define PCP_MAX 128u
#define PCP_BATCH_ORDER 5u

struct page *memmap;
struct page *zero_page;
bool frames_percpu;

enum { SET_DIRTY, SET_ZERO };

static struct {
	spinlock_t lock;
	struct list_head free[2][FRAME_MAX_ORDER + 1];
	u32 nonempty[2]; /* bit per order */
	u64 nfree[2];	 /* frames in each set */
	u64 first, high_water, end; /* frame numbers */
	u64 limit;	 /* frames that may be in use */
	bool releasing;
} zone;

/* Frames of one vCPU, at hand without the lock. */
static struct pcp {
	u32 count;
	struct page *page[PCP_MAX];
} pcps[MAX_CPUS];

static void block_insert(u64 pfn, u32 order, u32 set)
{
	struct page *page = &memmap[pfn];

	page->flags = PG_BUDDY | (set == SET_ZERO ? PG_ZERO : 0);
	page->index = order;
	list_add(&page->lru, &zone.free[set][order]);
	zone.nonempty[set] |= 1u << order;
	zone.nfree[set] += 1ull << order;
}

static void block_remove(struct page *page, u32 order, u32 set)
{
	list_del(&page->lru);
	page->flags = 0;
	if (list_empty(&zone.free[set][order]))
		zone.nonempty[set] &= ~(1u << order);
	zone.nfree[set] -= 1ull << order;
}

/* Free a block, joining it with its free buddies of the same set. zone.lock held. */
static void block_free(u64 pfn, u32 order, u32 set)
{
	u32 want = PG_BUDDY | (set == SET_ZERO ? PG_ZERO : 0);

	while (order < FRAME_MAX_ORDER) {
		u64 buddy = pfn ^ (1ull << order);
		struct page *page = &memmap[buddy];

		if (buddy < zone.first || buddy + (1ull << order) > zone.high_water)
			break;
		if (page->flags != want || page->index != order)
			break;
		block_remove(page, order, set);
		pfn &= ~(1ull << order);
		order++;
	}
	block_insert(pfn, order, set);
}

/* Free an arbitrary range as the largest aligned blocks. */
static void range_free(u64 pfn, u64 end, u32 set)
{
	while (pfn < end) {
		u32 order = pfn ? (u32)__builtin_ctzll(pfn) : FRAME_MAX_ORDER;

		order = MIN(order, FRAME_MAX_ORDER);
		while (pfn + (1ull << order) > end)
			order--;
		block_free(pfn, order, set);
		pfn += 1ull << order;
	}
}

static struct page *take_from_set(u32 order, u32 set)
{
	u32 fit = zone.nonempty[set] >> order, have;
	struct page *page;

	if (!fit)
		return NULL;
	have = order + (u32)__builtin_ctz(fit);
	page = list_first(&zone.free[set][have], struct page, lru);
	block_remove(page, have, set);
	while (have > order) {
		have--;
		block_insert((u64)(page - memmap) + (1ull << have), have, set);
	}
	return page;
}

static struct page *take_untouched(u32 order)
{
	u64 pfn = ALIGN_UP(zone.high_water, 1ull << order), old = zone.high_water;

	if (pfn + (1ull << order) > zone.end)
		return NULL;
	zone.high_water = pfn + (1ull << order);
	range_free(old, pfn, SET_ZERO);
	return &memmap[pfn];
}

static u64 in_use(void)
{
	return zone.high_water - zone.first - zone.nfree[SET_DIRTY] - zone.nfree[SET_ZERO];
}

/* A block, with *zero telling whether it reads as zero. Small requests reuse memory that the host has backed already;
 * large zero ones prefer memory that need not be cleared. */
static struct page *block_take(u32 order, bool want_zero, bool *zero)
{
	u32 first = want_zero && order > CLEAR_MAX_ORDER ? SET_ZERO : SET_DIRTY;
	struct page *page = NULL;

	spin_lock(&zone.lock);
	if (in_use() + (1ull << order) <= zone.limit) {
		page = take_from_set(order, first);
		*zero = page && first == SET_ZERO;
		if (!page && first == SET_DIRTY) {
			page = take_from_set(order, SET_ZERO);
			*zero = true;
		}
		if (!page) {
			page = take_untouched(order);
			*zero = true;
		}
		if (!page && first == SET_ZERO) {
			page = take_from_set(order, SET_DIRTY);
			*zero = false;
		}
	}
	spin_unlock(&zone.lock);
	return page;
}

static void frame_hand_out(struct page *page)
{
	refcount_set(&page->ref, 1);
	page->flags = 0;
	page->mapping = NULL;
	page->index = 0;
	list_init(&page->lru);
}

/* Hand back the largest dirty blocks to the host. Called without the lock. */
static void release_dirty(void)
{
	spin_lock(&zone.lock);
	if (zone.releasing || zone.nfree[SET_DIRTY] <= RELEASE_HIGH) {
		spin_unlock(&zone.lock);
		return;
	}
	zone.releasing = true;
	while (zone.nfree[SET_DIRTY] > RELEASE_LOW) {
		u32 mask = zone.nonempty[SET_DIRTY], order;
		struct page *page;
		struct hc_mem req;
		s64 err;

		/* Crumbs are worth their hostcalls only when there are very many. */
		if (zone.nfree[SET_DIRTY] < 8 * RELEASE_HIGH)
			mask &= ~((1u << RELEASE_MIN_ORDER) - 1);
		if (!mask)
			break;
		order = 31 - (u32)__builtin_clz(mask);
		page = list_last(&zone.free[SET_DIRTY][order], struct page, lru);
		block_remove(page, order, SET_DIRTY);
		spin_unlock(&zone.lock);
		req = (struct hc_mem){ .off = page_to_pa(page), .len = PAGE_SIZE << order };
		err = hostcall(HC_MEM_RELEASE, &req, sizeof(req));
		spin_lock(&zone.lock);
		block_free((u64)(page - memmap), order, err < 0 ? SET_DIRTY : SET_ZERO);
		if (err < 0)
			break;
	}
	zone.releasing = false;
	spin_unlock(&zone.lock);
}

static struct pcp *this_pcp(void)
{
	return frames_percpu ? &pcps[this_cpu_id()] : NULL;
}

static void pcp_refill(struct pcp *pcp)
{
	u32 order = PCP_BATCH_ORDER;
	struct page *page = NULL;
	bool zero = false;

	/* Dirty frames first: the host has backed them. Else a fresh block, so that neighbours stay neighbours. */
	spin_lock(&zone.lock);
	while (pcp->count < PCP_MAX / 4 && zone.nfree[SET_DIRTY] && in_use() < zone.limit)
		pcp->page[pcp->count++] = take_from_set(0, SET_DIRTY);
	spin_unlock(&zone.lock);
	if (pcp->count)
		return;
	while (!(page = block_take(order, false, &zero)))
		if (!order--)
			return;
	for (u64 i = 1ull << order; i-- > 0;) {
		page[i].flags = zero ? PG_ZERO : 0;
		pcp->page[pcp->count++] = &page[i];
	}
}

static struct page *pcp_alloc(struct pcp *pcp, bool *zero)
{
	struct page *page;

	if (!pcp->count)
		pcp_refill(pcp);
	if (!pcp->count)
		return NULL;
	page = pcp->page[--pcp->count];
	*zero = page->flags & PG_ZERO;
	return page;
}

static void pcp_drain(struct pcp *pcp, u32 keep)
{
	bool release;

	spin_lock(&zone.lock);
	while (pcp->count > keep) {
		struct page *page = pcp->page[--pcp->count];

		block_free((u64)(page - memmap), 0, page->flags & PG_ZERO ? SET_ZERO : SET_DIRTY);
	}
	release = zone.nfree[SET_DIRTY] > RELEASE_HIGH;
	spin_unlock(&zone.lock);
	if (release)
		release_dirty();
}

struct page *frame_alloc(u32 order, u32 flags)
{
	struct pcp *pcp = order ? NULL : this_pcp();
	struct page *page;
	bool zero = false;

	if (order > FRAME_MAX_ORDER)
		return NULL;
	page = pcp ? pcp_alloc(pcp, &zero) : block_take(order, flags & FRAME_ZERO, &zero);
	if (unlikely(!page) && pagecache_shrink(MAX(1ull << order, 256)))
		page = block_take(order, flags & FRAME_ZERO, &zero);
	if (unlikely(!page))
		return NULL;
	for (u64 i = 0; i < 1ull << order; i++)
		frame_hand_out(&page[i]);
	if ((flags & FRAME_ZERO) && !zero)
		memset(page_to_va(page), 0, PAGE_SIZE << order);
	return page;
}

static void frame_free_one(struct page *page)
{
	struct pcp *pcp;

	if (unlikely(page_in_window(page))) {
		window_page_free(page);
		return;
	}
	pcp = this_pcp();
	page->flags = 0;
	page->mapping = NULL;
	if (!pcp) {
		spin_lock(&zone.lock);
		block_free((u64)(page - memmap), 0, SET_DIRTY);
		spin_unlock(&zone.lock);
		return;
	}
	if (pcp->count == PCP_MAX)
		pcp_drain(pcp, PCP_MAX / 2);
	pcp->page[pcp->count++] = page;
}

void page_put(struct page *page)
{
	if (refcount_dec_and_test(&page->ref))
		frame_free_one(page);
}

void frames_free_run(struct page *page, u64 n)
{
	u64 pfn = (u64)(page - memmap);
	bool release;

	for (u64 i = 0; i < n; i++) {
		refcount_set(&page[i].ref, 0);
		page[i].flags = 0;
		page[i].mapping = NULL;
	}
	spin_lock(&zone.lock);
	range_free(pfn, pfn + n, SET_DIRTY);
	release = zone.nfree[SET_DIRTY] > RELEASE_HIGH;
	spin_unlock(&zone.lock);
	if (release)
		release_dirty();
}

void frames_free_block(struct page *page, u32 order)
{
	frames_free_run(page, 1ull << order);
}

void frames_free_list(struct list_head *pages)
{
	struct page *page, *tmp;
	u32 n = 0;

	spin_lock(&zone.lock);
	list_for_each_safe(page, tmp, pages, lru) {
		page->flags = 0;
		page->mapping = NULL;
		block_free((u64)(page - memmap), 0, SET_DIRTY);
		if (++n % 512 == 0) { /* let others in */
			spin_unlock(&zone.lock);
			spin_lock(&zone.lock);
		}
	}
	spin_unlock(&zone.lock);
	list_init(pages);
	release_dirty();
}

u64 frames_total(void)
{
	return zone.limit;
}

u64 frames_free_count(void)
{
	u64 used, cached = 0;

	spin_lock(&zone.lock);
	used = in_use();
	spin_unlock(&zone.lock);
	for (u32 i = 0; i < MAX_CPUS; i++)
		cached += READ_ONCE(pcps[i].count);
	return used > zone.limit ? 0 : MIN(zone.limit, zone.limit - used + cached);
}

void frames_use_percpu(void)
{
	frames_percpu = true;
}

void frames_set_limit(u64 frames)
{
	zone.limit = MIN(frames, zone.end - zone.first);
}

void frames_init(u64 first_free_pa, u64 mem_size, u64 window_size)
{
	u64 map_bytes = PAGE_ALIGN_UP(((mem_size + window_size) >> PAGE_SHIFT) * sizeof(struct page));

	for (u32 set = 0; set < 2; set++)
		for (u32 order = 0; order <= FRAME_MAX_ORDER; order++)
			list_init(&zone.free[set][order]);
	memmap = pa_to_va(PAGE_ALIGN_UP(first_free_pa));
	zone.first = (PAGE_ALIGN_UP(first_free_pa) + map_bytes) >> PAGE_SHIFT;
	zone.high_water = zone.first;
	zone.end = mem_size >> PAGE_SHIFT;
	if (zone.first >= zone.end)
		panic("sandbox memory of %llu bytes is too small", (unsigned long long)mem_size);
	zone.limit = zone.end - zone.first;
	/* What lies before is nobody's to free, wherever it is mapped (the clock page). */
	for (u64 pfn = 0; pfn < PAGE_ALIGN_UP(first_free_pa) >> PAGE_SHIFT; pfn++)
		refcount_set(&memmap[pfn].ref, 1);
	zero_page = frame_alloc(0, FRAME_ZERO);
}
