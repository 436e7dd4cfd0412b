/*
 * Page faults. All work is done under mm->lock for reading, so several vCPUs fault in one address space at a time; each change
 * of an entry is made under pt_lock after looking again at what it was.
 */
#include <asm/errno.h>
#include <asm/mman.h>
#include <asm/siginfo.h>
#include <asm/signal.h>

#include "base/log.h"
#include "base/string.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/frames.h"
#include "sentry/mm/internal.h"
#include "sentry/mm/pagecache.h"
#include "sentry/mm/pagetable.h"
#include "sentry/mm/userfault.h"
#include "sentry/vfs/vfs.h"

/* Anonymous memory is mapped in runs: RUN_FIRST pages at the first fault, more while faults follow each other. */
#define RUN_FIRST 16u
#define RUN_MAX 512u
/* Pages shown the page of zeros around a fault, and exclusive pages made writable around one. */
#define AROUND 16u
/* Pages of a new mapping that are copied before they are written. */
#define COPY_AHEAD 16u

/* Collects as_fill() calls for neighbouring pages on neighbouring frames. */
struct fill {
	struct mm *mm;
	u64 addr, pa, n;
	u32 prot;
	u32 later; /* AS_FILL_LATER, or 0 */
};

static void fill_flush(struct fill *f)
{
	if (f->n)
		platform->as_fill(f->mm, f->addr, f->pa, f->n, f->prot | f->later);
	f->n = 0;
}

static void fill_add(struct fill *f, u64 addr, u64 pte)
{
	u64 pa = pte_pa(pte);
	u32 prot = pte_prot(pte);

	if (!pte_present(pte))
		return;
	if (f->n && f->addr + f->n * PAGE_SIZE == addr && f->pa + f->n * PAGE_SIZE == pa && f->prot == prot) {
		f->n++;
		return;
	}
	fill_flush(f);
	f->addr = addr;
	f->pa = pa;
	f->prot = prot;
	f->n = 1;
}

/* ---- anonymous memory ---- */

/* How many pages the next run of this VMA should have: grows while faults come in sequence, up or down. */
static u32 run_length(struct vma *vma, u64 addr)
{
	u32 run = vma->fault_run;

	if (!run)
		run = RUN_FIRST;
	else if (addr == vma->fault_hi || addr == vma->fault_lo - PAGE_SIZE)
		run = MIN(run * 4, RUN_MAX);
	else
		run = MAX(run / 2, 1u);
	if (vma->flags & VM_RAND_READ)
		run = 1;
	vma->fault_run = run;
	return run;
}

/* The largest aligned run around addr, of at most 2^order pages, that lies in the VMA and has no entries. pt_lock held. */
static u64 empty_window(struct mm *mm, struct vma *vma, u64 addr, u32 *order)
{
	for (u32 o = *order;; o--) {
		u64 size = PAGE_SIZE << o, lo = addr & ~(size - 1);

		if (!o || (lo >= vma->start && lo + size <= vma->end && pt_empty_run(mm, lo, 1ull << o) == 1ull << o)) {
			*order = o;
			return lo;
		}
	}
}

static u32 log2_u32(u32 n)
{
	return 31 - (u32)__builtin_clz(n);
}

static int anon_write_fault(struct mm *mm, struct vma *vma, u64 addr)
{
	u32 order = log2_u32(run_length(vma, addr));
	u64 lo, done = 0, n;
	struct page *page;
	int err;

	spin_lock(&mm->pt_lock);
	lo = empty_window(mm, vma, addr, &order);
	spin_unlock(&mm->pt_lock);
	page = frame_alloc(order, FRAME_ZERO);
	if (!page && order) {
		order = 0;
		lo = addr;
		page = frame_alloc(0, FRAME_ZERO);
	}
	if (!page)
		return -ENOMEM;
	n = 1ull << order;
	spin_lock(&mm->pt_lock);
	if (pt_empty_run(mm, lo, n) < n) { /* another vCPU was here: the access is tried again */
		spin_unlock(&mm->pt_lock);
		frames_free_block(page, order);
		return 0;
	}
	err = pt_map(mm, lo, page_to_pa(page), n, vma->prot, 0, &done);
	if (done) {
		atomic_fetch_add_explicit(&mm->rss_anon, (s64)done, memory_order_relaxed);
		platform->as_fill(mm, lo, page_to_pa(page), done, vma->prot);
	}
	spin_unlock(&mm->pt_lock);
	for (u64 i = done; i < n; i++)
		page_put(&page[i]);
	vma->fault_lo = lo;
	vma->fault_hi = lo + n * PAGE_SIZE;
	return err;
}

/* Reading memory never written shows the one page of zeros. */
static int anon_read_fault(struct mm *mm, struct vma *vma, u64 addr)
{
	u64 pte = pte_make(page_to_pa(zero_page), vma->prot & ~PROT_WRITE) | PTE_SPECIAL, *ptep;
	u32 order = log2_u32(AROUND);
	u64 lo;
	int err = -ENOMEM;

	spin_lock(&mm->pt_lock);
	lo = empty_window(mm, vma, addr, &order);
	ptep = pt_walk_alloc(mm, lo);
	if (ptep) {
		for (u64 i = 0; i < 1ull << order; i++)
			if (!ptep[i])
				pt_set(&ptep[i], pte);
		platform->as_fill(mm, addr, page_to_pa(zero_page), 1, vma->prot & ~PROT_WRITE);
		err = 0;
	}
	spin_unlock(&mm->pt_lock);
	return err;
}

/* ---- copy on write ---- */

/* May an entry on this page be made writable in place? Only by being the sole owner of an anonymous frame. */
static bool page_exclusive(u64 pte)
{
	struct page *page = pa_to_page(pte_pa(pte));

	return !(pte & PTE_SPECIAL) && page_is_anon(page) && refcount_read(&page->ref) == 1;
}

/* Make addr, and its neighbours that are exclusive too, writable. pt_lock held; *ptep is addr's entry. */
static void reuse_around(struct mm *mm, struct vma *vma, u64 addr, u64 *ptep)
{
	struct fill fill = { .mm = mm };
	u64 lo = MAX(addr & ~(AROUND * PAGE_SIZE - 1), vma->start);
	u64 hi = MIN((addr & ~(AROUND * PAGE_SIZE - 1)) + AROUND * PAGE_SIZE, vma->end);
	u64 *first = ptep - ((addr - lo) >> PAGE_SHIFT);

	for (u64 va = lo; va < hi; va += PAGE_SIZE) {
		u64 *p = &first[(va - lo) >> PAGE_SHIFT];

		if (!pte_present(*p) || !page_exclusive(*p) || ((vma->flags & VM_UFFD_WP) && (*p & PTE_UFFD_WP)))
			continue;
		WRITE_ONCE(*p, pte_make(pte_pa(*p), vma->prot));
		fill_add(&fill, va, *p);
	}
	fill_flush(&fill);
}

/* Replace the shared page at addr by a copy of our own. `old` is its entry; pt_lock held, and released. */
static int cow_copy(struct mm *mm, struct vma *vma, u64 addr, u64 *ptep, u64 old)
{
	struct page *from = pa_to_page(pte_pa(old)), *to;
	bool special = old & PTE_SPECIAL;

	if (!special)
		page_get(from);
	spin_unlock(&mm->pt_lock);
	to = frame_alloc(0, from == zero_page ? FRAME_ZERO : 0);
	if (to && from != zero_page)
		memcpy(page_to_va(to), page_to_va(from), PAGE_SIZE);
	spin_lock(&mm->pt_lock);
	if (!to || *ptep != old) {
		spin_unlock(&mm->pt_lock);
		if (!special)
			page_put(from);
		if (to)
			page_put(to);
		return to ? 0 : -ENOMEM;
	}
	WRITE_ONCE(*ptep, pte_make(page_to_pa(to), vma->prot));
	if (!special)
		mm_rss_add(mm, from, -1);
	mm_rss_add(mm, to, 1);
	spin_unlock(&mm->pt_lock);
	/* Every thread must see the copy before the original may change. */
	platform->as_flush(mm, addr, addr + PAGE_SIZE, -1);
	spin_lock(&mm->pt_lock);
	if (pte_pa(*ptep) == page_to_pa(to))
		platform->as_fill(mm, addr, page_to_pa(to), 1, pte_prot(*ptep));
	spin_unlock(&mm->pt_lock);
	if (!special) {
		page_put(from); /* the entry's */
		page_put(from); /* ours */
	}
	return 0;
}

#define COW_RUN 8u

/* A private page of a file, that is shown and may be copied. */
static bool shows_file(u64 pte)
{
	return pte_present(pte) && !(pte & (PTE_W | PTE_SPECIAL | PTE_UFFD_WP)) && pa_to_page(pte_pa(pte))->mapping;
}

/* The order of the run of such pages at addr: a program's data, which its relocation will write one page after the other. */
static u32 file_run(const struct vma *vma, u64 addr, const u64 *ptep)
{
	u64 room = MIN((vma->end - addr) >> PAGE_SHIFT, PT_ENTRIES - ((addr >> PAGE_SHIFT) & (PT_ENTRIES - 1)));
	u32 n = 0;

	while (n < MIN(room, (u64)COW_RUN) && shows_file(ptep[n]))
		n++;
	return n ? log2_u32(n) : 0;
}

/* As cow_copy(), for 2^order pages of a file. Where a trap is dear, fewer of them are worth copies too many. */
static int cow_copy_run(struct mm *mm, u64 addr, u64 *ptep, u32 prot, u32 order)
{
	u64 old[COW_RUN], n = 1ull << order, end = addr + n * PAGE_SIZE;
	struct page *from[COW_RUN], *to;
	bool same = true;

	for (u64 i = 0; i < n; i++) {
		old[i] = ptep[i];
		from[i] = pa_to_page(pte_pa(old[i]));
		page_get(from[i]);
	}
	spin_unlock(&mm->pt_lock);
	to = frame_alloc(order, 0);
	for (u64 i = 0; to && i < n; i++)
		memcpy(page_to_va(&to[i]), page_to_va(from[i]), PAGE_SIZE);
	spin_lock(&mm->pt_lock);
	for (u64 i = 0; i < n; i++)
		same &= ptep[i] == old[i];
	for (u64 i = 0; to && same && i < n; i++) {
		WRITE_ONCE(ptep[i], pte_make(page_to_pa(&to[i]), prot));
		mm_rss_add(mm, from[i], -1);
		mm_rss_add(mm, &to[i], 1);
	}
	spin_unlock(&mm->pt_lock);
	if (to && same) {
		platform->as_flush(mm, addr, end, -1);
		spin_lock(&mm->pt_lock);
		for (u64 i = 0; i < n; i++)
			same &= ptep[i] == pte_make(page_to_pa(&to[i]), prot);
		if (same)
			platform->as_fill(mm, addr, page_to_pa(to), n, prot);
		spin_unlock(&mm->pt_lock);
		for (u64 i = 0; i < n; i++)
			page_put(from[i]); /* the entry's */
	} else if (to) {
		frames_free_block(to, order);
	}
	for (u64 i = 0; i < n; i++)
		page_put(from[i]); /* ours */
	return to ? 0 : -ENOMEM;
}

/* A present page of a shared file mapping is written for the first time since it was clean. pt_lock held, and released. */
static int shared_write(struct mm *mm, struct vma *vma, u64 addr, u64 *ptep, u64 old)
{
	struct page *page = pa_to_page(pte_pa(old));
	int err = 0;

	page_get(page);
	spin_unlock(&mm->pt_lock);
	if (vma->ops->page_mkwrite)
		err = vma->ops->page_mkwrite(vma, page);
	spin_lock(&mm->pt_lock);
	if (!err && *ptep == old) {
		page_mark_dirty(page);
		WRITE_ONCE(*ptep, pte_make(pte_pa(old), vma->prot) | (old & PTE_SPECIAL));
		platform->as_fill(mm, addr, pte_pa(old), 1, vma->prot);
	}
	spin_unlock(&mm->pt_lock);
	page_put(page);
	return err;
}

/* ---- files ---- */

/* The rights to map a page of `vma` with; a clean page of a file with a backing store stays read-only until written. */
static u32 file_page_prot(const struct vma *vma, const struct page *page, bool write)
{
	struct mapping *m = page->mapping;

	if (!(vma->flags & VM_SHARED))
		return vma->prot & ~PROT_WRITE;
	if (write || ((!m || !m->ops) && !vma->ops->page_mkwrite))
		return vma->prot;
	return vma->prot & ~PROT_WRITE;
}

/* Map what the cache has around addr. pt_lock held; ptep is addr's entry. */
static void map_around(struct mm *mm, struct vma *vma, u64 addr, u64 *ptep, u32 later)
{
	struct mapping *m = vma_mapping(vma);
	u64 window = platform->fault_around * PAGE_SIZE, lo = MAX(addr & ~(window - 1), vma->start);
	u64 hi = MIN((addr & ~(window - 1)) + window, vma->end);
	u64 *first = ptep - ((addr - lo) >> PAGE_SHIFT), size_pages = (m->inode->size + PAGE_SIZE - 1) >> PAGE_SHIFT;
	u64 from = vma_pgoff(vma, lo);
	u32 n = (u32)((hi - lo) >> PAGE_SHIFT);
	struct page *pages[FAULT_AROUND_MAX];
	struct fill fill = { .mm = mm, .later = later };

	mapping_peek_pages(m, from, n, pages);
	for (u32 i = 0; i < n; i++) {
		if (pages[i] && !first[i] && from + i < size_pages) {
			pt_set(&first[i], pte_make(page_to_pa(pages[i]), file_page_prot(vma, pages[i], false)));
			mm_rss_add(mm, pages[i], 1);
			pages[i] = NULL;
		}
		if (pte_present(first[i]))
			fill_add(&fill, lo + i * PAGE_SIZE, first[i]);
	}
	fill_flush(&fill);
	for (u32 i = 0; i < n; i++)
		if (pages[i])
			page_put(pages[i]); /* never the last: the cache has one */
}

/* A program's data, small and shown by the window: relocation will write to most of it, and so it is copied at once, in one piece. */
static void copy_ahead(struct mm *mm, struct vma *vma, struct mapping *m)
{
	u64 n = (vma->end - vma->start) >> PAGE_SHIFT, have = 0, done = 0;
	struct page *pages[COPY_AHEAD] = { NULL }, *to;

	mapping_readahead(m, vma->pgoff, n);
	mapping_peek_pages(m, vma->pgoff, (u32)n, pages);
	while (have < n && pages[have])
		have++;
	to = have ? frame_alloc(log2_u32((u32)have * 2 - 1), 0) : NULL;
	for (u64 i = 0; i < n; i++) {
		if (to && i < have)
			memcpy(page_to_va(&to[i]), page_to_va(pages[i]), PAGE_SIZE);
		if (pages[i])
			page_put(pages[i]);
	}
	if (!to)
		return;
	spin_lock(&mm->pt_lock);
	pt_map(mm, vma->start, page_to_pa(to), have, vma->prot, 0, &done);
	if (done)
		platform->as_fill(mm, vma->start, page_to_pa(to), done, vma->prot | AS_FILL_LATER);
	spin_unlock(&mm->pt_lock);
	atomic_fetch_add_explicit(&mm->rss_anon, (s64)done, memory_order_relaxed);
	for (u64 i = done; i < 1ull << log2_u32((u32)have * 2 - 1); i++)
		page_put(&to[i]);
}

/* A new mapping of a file to read or run: what the cache has of its first pages is mapped at once, more of what is run. */
void file_map_ahead(struct mm *mm, u64 addr)
{
	struct vma *vma = platform->map_ahead ? vma_find(mm, addr) : NULL;
	struct mapping *m;
	u64 *ptep, end, n;

	if (!vma || !vma->file || vma->ops != &filemap_vm_ops || !(vma->flags & (VM_READ | VM_EXEC)) ||
	    vma->flags & (VM_SHARED | VM_RAND_READ))
		return;
	m = vma_mapping(vma);
	if (vma->flags & VM_WRITE) {
		if (m->ra_min && vma->start == addr && vma->end - addr <= COPY_AHEAD * PAGE_SIZE)
			copy_ahead(mm, vma, m);
		return;
	}
	n = vma->flags & VM_EXEC ? platform->map_ahead : FAULT_AROUND_MAX;
	end = MIN(vma->end, addr + n * PAGE_SIZE);
	if (m->ra_min) /* in the window, which costs no copies */
		mapping_readahead(m, vma_pgoff(vma, addr), (end - addr) >> PAGE_SHIFT);
	spin_lock(&mm->pt_lock);
	while (addr < end && (ptep = pt_walk_alloc(mm, addr))) {
		map_around(mm, vma, addr, ptep, AS_FILL_LATER);
		addr = (addr | (platform->fault_around * PAGE_SIZE - 1)) + 1;
	}
	spin_unlock(&mm->pt_lock);
}

/* Put `page` (a reference is given) at addr if the entry is still empty and the page still in its file. */
static int install_page(struct mm *mm, struct vma *vma, u64 addr, struct page *page, u32 prot, struct mapping *was)
{
	bool cached = was && vma->ops->fault == filemap_vm_ops.fault;
	u64 *ptep, soft = 0;
	int err = 0;

	spin_lock(&mm->pt_lock);
	ptep = pt_walk_alloc(mm, addr);
	if (!ptep || *ptep || READ_ONCE(page->mapping) != was || (cached && was != vma_mapping(vma))) {
		err = ptep ? 0 : -ENOMEM;
		spin_unlock(&mm->pt_lock);
		page_put(page);
		return err;
	}
	if (vma->ops == &special_vm_ops)
		soft = PTE_SPECIAL;
	if (was && prot & PROT_WRITE)
		page_mark_dirty(page); /* here: a write-back that cleans it will find the entry */
	pt_set(ptep, pte_make(page_to_pa(page), prot) | soft);
	if (!soft)
		mm_rss_add(mm, page, 1);
	if (cached)
		map_around(mm, vma, addr, ptep, 0);
	else
		platform->as_fill(mm, addr, page_to_pa(page), 1, prot);
	spin_unlock(&mm->pt_lock);
	if (soft)
		page_put(page); /* the VMA's private data hold it */
	return 0;
}

static int file_fault(struct mm *mm, struct vma *vma, u64 addr, bool write)
{
	bool copy = write && !(vma->flags & VM_SHARED);
	struct page *page = vma->ops->fault(vma, vma_pgoff(vma, addr), write && !copy);
	struct mapping *m;
	int err;

	if (IS_ERR(page))
		return (int)PTR_ERR(page);
	m = READ_ONCE(page->mapping);
	if (copy) {
		struct page *own = frame_alloc(0, 0);

		if (own)
			memcpy(page_to_va(own), page_to_va(page), PAGE_SIZE);
		page_put(page);
		return own ? install_page(mm, vma, addr, own, vma->prot, NULL) : -ENOMEM;
	}
	if (!m && vma_mapping(vma) && vma->ops == &filemap_vm_ops) { /* truncated meanwhile: look again */
		page_put(page);
		return 0;
	}
	if (write && vma->ops->page_mkwrite) {
		err = vma->ops->page_mkwrite(vma, page);
		if (err) {
			page_put(page);
			return err;
		}
	}
	return install_page(mm, vma, addr, page, file_page_prot(vma, page, write), m);
}

/* ---- the one entry ---- */

/* Is the page in no table of this mapping nor, for shared memory, in its file? */
static bool userfault_missing(struct vma *vma, u64 addr)
{
	struct mapping *m = vma_mapping(vma);
	struct page *page = NULL;

	if (m)
		mapping_peek_pages(m, vma_pgoff(vma, addr), 1, &page);
	if (page)
		page_put(page);
	return !page;
}

int handle_fault(struct mm *mm, struct vma *vma, u64 addr, bool write)
{
	u64 *ptep, pte;

	addr &= PAGE_MASK;
	spin_lock(&mm->pt_lock);
	ptep = pt_lookup(mm, addr);
	pte = ptep ? *ptep : 0;
	if (!pte_has_frame(pte)) {
		spin_unlock(&mm->pt_lock);
		if ((vma->flags & VM_UFFD_MISSING) && userfault_missing(vma, addr))
			return FAULT_USERFAULT;
		if (!vma_is_anon(vma))
			return file_fault(mm, vma, addr, write);
		return write ? anon_write_fault(mm, vma, addr) : anon_read_fault(mm, vma, addr);
	}
	if (!pte_present(pte) && vma->prot) { /* rights came back after PROT_NONE */
		pte = pte_make(pte_pa(pte), vma->prot & ~PROT_WRITE) | (pte & (PTE_SPECIAL | PTE_UFFD_WP));
		WRITE_ONCE(*ptep, pte);
	}
	if (!write || (pte & PTE_W)) { /* another vCPU was first, or the platform lost its translation */
		if (pte_present(pte))
			platform->as_fill(mm, addr, pte_pa(pte), 1, pte_prot(pte));
		spin_unlock(&mm->pt_lock);
		return 0;
	}
	if ((vma->flags & VM_UFFD_WP) && (pte & PTE_UFFD_WP)) {
		spin_unlock(&mm->pt_lock);
		return FAULT_USERFAULT;
	}
	if (vma->flags & VM_SHARED)
		return shared_write(mm, vma, addr, ptep, pte);
	if (!page_exclusive(pte)) {
		u32 order = platform->map_ahead && !vma->uffd ? file_run(vma, addr, ptep) : 0;

		if (order) {
			int err = cow_copy_run(mm, addr, ptep, vma->prot, order);

			if (err != -ENOMEM)
				return err;
			spin_lock(&mm->pt_lock);
			if (*ptep != pte) {
				spin_unlock(&mm->pt_lock);
				return 0;
			}
		}
		return cow_copy(mm, vma, addr, ptep, pte);
	}
	if (vma->prot & PROT_WRITE)
		reuse_around(mm, vma, addr, ptep);
	spin_unlock(&mm->pt_lock);
	return 0;
}

int expand_stack(struct mm *mm, struct vma *vma, u64 addr)
{
	struct vma *prev = vma_prev(vma);
	u64 grow, size;

	addr &= PAGE_MASK;
	if (addr >= vma->start)
		return 0;
	if (addr < USER_MIN)
		return -EPERM;
	if (prev && (prev->flags & (VM_READ | VM_WRITE | VM_EXEC)) && !(prev->flags & VM_GROWSDOWN) &&
	    addr < prev->end + STACK_GUARD_GAP)
		return -ENOMEM;
	if (prev && addr < prev->end)
		return -ENOMEM;
	grow = (vma->start - addr) >> PAGE_SHIFT;
	size = vma->end - addr;
	if (size > rlimit(3 /* RLIMIT_STACK */) || !may_expand_vm(mm, vma->flags, grow) ||
	    mlock_future_check(mm, vma->flags, grow << PAGE_SHIFT))
		return -ENOMEM;
	vma_resize(vma, addr, vma->end);
	vma_account(mm, vma->flags, (s64)grow);
	return 0;
}

static bool access_allowed(const struct vma *vma, u32 error)
{
	if (error & PF_WRITE)
		return vma->flags & VM_WRITE;
	if (error & PF_INSTR)
		return vma->flags & VM_EXEC;
	return vma->flags & (VM_READ | VM_WRITE | VM_EXEC);
}

/* The VMA for a fault at addr, a stack grown if need be. Returns with mm->lock held for reading, or NULL without it. */
static struct vma *lock_fault_vma(struct mm *mm, u64 addr)
{
	struct vma *vma;
	bool stack;
	int err;

	down_read(&mm->lock);
	vma = vma_find(mm, addr);
	if (vma && vma->start <= addr)
		return vma;
	stack = vma && (vma->flags & VM_GROWSDOWN);
	up_read(&mm->lock);
	if (!stack)
		return NULL;
	down_write(&mm->lock);
	vma = vma_find(mm, addr);
	err = -EFAULT;
	if (vma && (vma->flags & VM_GROWSDOWN))
		err = expand_stack(mm, vma, addr);
	if (err || vma->start > addr) {
		up_write(&mm->lock);
		return NULL;
	}
	downgrade_write(&mm->lock);
	return vma;
}

/* Let the reader of a userfaultfd deal with it, and try again. mm->lock is held, and released. */
static int ask_user(struct mm *mm, struct vma *vma, u64 addr, bool write)
{
	struct uffd_wait wait;
	int queued = userfault_queue(&wait, mm, vma, addr, write);

	up_read(&mm->lock);
	if (queued > 0)
		userfault_wait(&wait);
	return MIN(queued, 0);
}

int mm_fault(struct mm *mm, u64 addr, u32 error, int *sig, int *code)
{
	struct vma *vma = addr < USER_MAX ? lock_fault_vma(mm, addr) : NULL;
	int err;

	*sig = SIGSEGV;
	*code = SEGV_MAPERR;
	if (!vma)
		return -EFAULT;
	if (!access_allowed(vma, error)) {
		up_read(&mm->lock);
		*code = SEGV_ACCERR;
		return -EFAULT;
	}
	err = handle_fault(mm, vma, addr, error & PF_WRITE);
	if (err == FAULT_USERFAULT) {
		*sig = SIGBUS;
		*code = BUS_ADRERR;
		return ask_user(mm, vma, addr, error & PF_WRITE);
	}
	up_read(&mm->lock);
	if (current->mm == mm)
		current->min_flt++;
	if (!err)
		return 0;
	if (err == -ENOMEM) {
		/* The access is tried again, by the victim on its way out too: it has a signal to look at first. */
		if (!fatal_signal_pending() && !pagecache_reclaim())
			oom_kill();
		if (!fatal_signal_pending())
			sched_yield_current();
		return 0;
	}
	if (err == -ERESTARTSYS || err == -EINTR)
		return 0;
	*sig = err == -EFAULT ? SIGSEGV : SIGBUS;
	*code = err == -EFAULT ? SEGV_ACCERR : BUS_ADRERR;
	return err;
}

int mm_populate(struct mm *mm, u64 start, u64 end, bool stop_on_error)
{
	int err = 0;

	down_read(&mm->lock);
	while (start < end) {
		struct vma *vma = vma_find(mm, start);
		bool write;

		if (!vma || vma->start >= end)
			break;
		start = MAX(start, vma->start);
		write = (vma->flags & (VM_WRITE | VM_SHARED)) == VM_WRITE;
		if (!(vma->flags & (VM_READ | VM_WRITE | VM_EXEC)) || (vma->flags & VM_IO)) {
			start = vma->end;
			continue;
		}
		for (; start < MIN(end, vma->end); start += PAGE_SIZE) {
			u64 *ptep;
			bool there;

			spin_lock(&mm->pt_lock);
			ptep = pt_lookup(mm, start);
			there = ptep && pte_present(*ptep) && (!write || (*ptep & PTE_W));
			spin_unlock(&mm->pt_lock);
			err = there ? 0 : handle_fault(mm, vma, start, write);
			if (err > 0)
				err = -EFAULT;
			if (err || fatal_signal_pending())
				break;
		}
		if (fatal_signal_pending())
			err = -EINTR;
		if (err && (stop_on_error || err == -EINTR))
			break;
		if (err)
			start += PAGE_SIZE;
	}
	up_read(&mm->lock);
	return stop_on_error ? err : 0;
}

struct page *mm_get_page(struct mm *mm, u64 addr, bool write, bool force)
{
	struct vma *vma = vma_find(mm, addr);
	u32 need = write ? VM_WRITE : VM_READ, may = write ? VM_MAYWRITE : VM_MAYREAD;

	if (!vma || vma->start > addr || (vma->flags & VM_IO))
		return ERR_PTR(-EFAULT);
	if (!(vma->flags & need) && !(force && (vma->flags & may) && !(write && (vma->flags & VM_SHARED))))
		return ERR_PTR(-EFAULT);
	for (u32 tries = 0; tries < 64; tries++) {
		struct page *page = NULL;
		u64 *ptep, pte;
		int err;

		spin_lock(&mm->pt_lock);
		ptep = pt_lookup(mm, addr);
		pte = ptep ? *ptep : 0;
		if (pte_has_frame(pte) &&
		    (!write || (pte & PTE_W) || (!(vma->flags & (VM_WRITE | VM_SHARED)) && page_exclusive(pte)))) {
			page = pa_to_page(pte_pa(pte));
			page_get(page);
		}
		spin_unlock(&mm->pt_lock);
		if (page)
			return page;
		err = handle_fault(mm, vma, addr, write);
		if (err)
			return ERR_PTR(err < 0 ? err : -EFAULT);
	}
	return ERR_PTR(-EFAULT);
}
