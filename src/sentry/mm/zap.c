/*
 * Taking translations away. A frame may be given back only when no vCPU can still reach it through an old translation, so
 * frames are gathered, the range is flushed once, and then the frames are freed.
 */
#include "base/log.h"
#include "sentry/mm/frames.h"
#include "sentry/mm/internal.h"
#include "sentry/mm/pagetable.h"
#include "sentry/mm/window.h"

/* So much of a range is taken under one hold of pt_lock. */
#define ZAP_CHUNK (64ul << 20)

void mm_rss_add(struct mm *mm, const struct page *page, s64 n)
{
	struct mapping *m = READ_ONCE(page->mapping);

	if (!m)
		atomic_fetch_add_explicit(&mm->rss_anon, n, memory_order_relaxed);
	else if (m->ops)
		atomic_fetch_add_explicit(&mm->rss_file, n, memory_order_relaxed);
	else
		atomic_fetch_add_explicit(&mm->rss_shmem, n, memory_order_relaxed);
}

void gather_start(struct mmu_gather *g, struct mm *mm)
{
	g->mm = mm;
	g->start = ~0ull;
	g->end = 0;
	list_init(&g->dead);
	list_init(&g->tables);
	g->anon = g->file = g->shmem = 0;
	g->no_flush = false;
	g->n = 0;
}

/* Called under pt_lock with each removed entry. */
static bool gather_entry(void *arg, u64 va, u64 pte)
{
	struct mmu_gather *g = arg;
	struct page *page = pa_to_page(pte_pa(pte));

	g->start = MIN(g->start, va);
	g->end = MAX(g->end, va + PAGE_SIZE);
	if (pte & PTE_SPECIAL)
		return true;
	if (page_is_anon(page))
		g->anon++;
	else if (!page->mapping || page->mapping->ops)
		g->file++;
	else
		g->shmem++;
	/* A last reference has nobody who could take another: the frame waits on the list for the flush. */
	if (refcount_read(&page->ref) == 1 && !page->mapping && !page_in_window(page)) {
		refcount_set(&page->ref, 0);
		list_add_tail(&page->lru, &g->dead);
		return true;
	}
	g->shared[g->n++] = page;
	return g->n < GATHER_BATCH;
}

void gather_finish(struct mmu_gather *g)
{
	struct mm *mm = g->mm;
	u64 rss = (u64)(atomic_load(&mm->rss_anon) + atomic_load(&mm->rss_file) + atomic_load(&mm->rss_shmem));

	mm->hiwater_rss = MAX(mm->hiwater_rss, rss);
	if (g->start < g->end && !g->no_flush)
		platform->as_flush(mm, g->start, g->end, -1);
	for (u32 i = 0; i < g->n; i++)
		page_put(g->shared[i]);
	g->n = 0;
	if (!list_empty(&g->dead))
		frames_free_list(&g->dead);
	pt_free_tables(&g->tables);
	g->start = ~0ull;
	g->end = 0;
	atomic_fetch_sub_explicit(&mm->rss_anon, g->anon, memory_order_relaxed);
	atomic_fetch_sub_explicit(&mm->rss_file, g->file, memory_order_relaxed);
	atomic_fetch_sub_explicit(&mm->rss_shmem, g->shmem, memory_order_relaxed);
	g->anon = g->file = g->shmem = 0;
}

void gather_range(struct mmu_gather *g, u64 start, u64 end, bool tables)
{
	while (start < end) {
		u64 stop = MIN(end, (start & ~(ZAP_CHUNK - 1)) + ZAP_CHUNK), from = start;

		spin_lock(&g->mm->pt_lock);
		start = pt_unmap(g->mm, start, stop, gather_entry, g, tables ? &g->tables : NULL);
		spin_unlock(&g->mm->pt_lock);
		if (!list_empty(&g->tables)) { /* CPUs cache upper levels too, even above empty tables */
			g->start = MIN(g->start, from);
			g->end = MAX(g->end, start);
		}
		if (g->n == GATHER_BATCH)
			gather_finish(g);
	}
}

void zap_range(struct mm *mm, u64 start, u64 end, bool tables)
{
	struct mmu_gather g;

	gather_start(&g, mm);
	gather_range(&g, start, end, tables);
	gather_finish(&g);
}

static void count_entry(void *arg, u64 va, u64 *pte)
{
	(void)va;
	*(u64 *)arg += !(*pte & PTE_SPECIAL);
}

static void count_anon(void *arg, u64 va, u64 *pte)
{
	(void)va;
	*(u64 *)arg += !(*pte & PTE_SPECIAL) && page_is_anon(pa_to_page(pte_pa(*pte)));
}

u64 vma_anon_pages(struct vma *vma)
{
	u64 n = 0;

	spin_lock(&vma->mm->pt_lock);
	pt_for_each(vma->mm, vma->start, vma->end, count_anon, &n);
	spin_unlock(&vma->mm->pt_lock);
	return n;
}

u64 vma_resident_pages(struct vma *vma)
{
	u64 n = 0;

	spin_lock(&vma->mm->pt_lock);
	pt_for_each(vma->mm, vma->start, vma->end, count_entry, &n);
	spin_unlock(&vma->mm->pt_lock);
	return n;
}
