#include "sentry/mm/pagetable.h"

#include <asm/errno.h>
#include <asm/mman.h>

#include "base/log.h"
#include "base/string.h"
#include "sentry/mm/mm.h"

u64 pt_kernel_entries[256];
static _Atomic s64 table_pages;

/* A table page keeps the number of its used entries in page->index. */
static struct page *table_page(const u64 *table)
{
	return pa_to_page(va_to_pa((const void *)((u64)table & PAGE_MASK)));
}

/*
 * Clear a new table by stores of the sentry, not by memset() (which the host may do for it) nor by trusting that a fresh frame reads as
 * zero. A KVM without nested paging keeps shadows of tables, found by their frame, and learns of changes from the guest's stores
 * alone: a frame that was a table before, and was wiped behind KVM's back, would still lead to the pages of its old owner.
 */
static void table_clear(u64 *table)
{
	u64 n = PT_ENTRIES;

	__asm__ volatile("rep stosq" : "+D"(table), "+c"(n) : "a"(0) : "memory");
}

static u64 *table_alloc(void)
{
	struct page *page = frame_alloc(0, 0);

	if (!page)
		return NULL;
	table_clear(page_to_va(page));
	page->index = 0;
	atomic_fetch_add_explicit(&table_pages, 1, memory_order_relaxed);
	return page_to_va(page);
}

/*
 * A KVM with shadow page tables keeps a table write-protected and emulates what is stored there; an application's first store into
 * the frame could be one that the emulator does not know (AVX-512). No processor's entry is written by one byte at an odd
 * place: by such a store KVM sees that the frame is a table no more (Linux, mmu.c: detect_write_misaligned).
 */
static void table_free(u64 *table)
{
	((volatile u8 *)table)[1] = 0;
	atomic_fetch_sub_explicit(&table_pages, 1, memory_order_relaxed);
	page_put(table_page(table));
}

s64 pt_pages(void)
{
	return atomic_load_explicit(&table_pages, memory_order_relaxed);
}

u64 pte_make(u64 pa, u32 prot)
{
	u64 pte = (pa & PTE_ADDR) | PTE_A | PTE_D;

	if (!(prot & (PROT_READ | PROT_WRITE | PROT_EXEC)))
		return pte | PTE_NONE | PTE_NX;
	pte |= PTE_P | PTE_U;
	if (prot & PROT_WRITE)
		pte |= PTE_W;
	if (!(prot & PROT_EXEC))
		pte |= PTE_NX;
	return pte;
}

u32 pte_prot(u64 pte)
{
	if (!(pte & PTE_P))
		return PROT_NONE;
	return PROT_READ | (pte & PTE_W ? PROT_WRITE : 0) | (pte & PTE_NX ? 0 : PROT_EXEC);
}

int pt_init(struct mm *mm)
{
	u64 *root = table_alloc();

	if (!root)
		return -ENOMEM;
	memcpy(root + 256, pt_kernel_entries, sizeof(pt_kernel_entries));
	mm->arch.root_pa = va_to_pa(root);
	return 0;
}

static inline u32 level_index(u64 va, int level)
{
	return (va >> (12 + 9 * level)) & 511;
}
static inline u64 level_span(int level)
{
	return 1ull << (12 + 9 * level);
}
static inline u64 *entry_table(u64 entry)
{
	return pa_to_va(entry & PTE_ADDR);
}

/* A table is emptied by stores of the sentry before its page is given back. A KVM without nested page tables follows these stores
 * in its shadow of the table, but not what its host writes there; and clearing a new table may be the host's (guest_bulk.c). */
static void free_level(u64 *table, int level)
{
	u32 n = level == 3 ? 256 : 512;

	BUG_ON(!level && table_page(table)->index);
	if (level > 0 && table_page(table)->index)
		for (u32 i = 0; i < n; i++)
			if (table[i] & PTE_P) {
				free_level(entry_table(table[i]), level - 1);
				WRITE_ONCE(table[i], 0);
			}
	table_free(table);
}

void pt_free(struct mm *mm)
{
	if (mm->arch.root_pa)
		free_level(pa_to_va(mm->arch.root_pa), 3);
	mm->arch.root_pa = 0;
}

u64 *pt_lookup(struct mm *mm, u64 va)
{
	u64 *table = pa_to_va(mm->arch.root_pa);

	for (int level = 3; level > 0; level--) {
		u64 entry = table[level_index(va, level)];

		if (!(entry & PTE_P))
			return NULL;
		table = entry_table(entry);
	}
	return &table[level_index(va, 0)];
}

u64 *pt_walk_alloc(struct mm *mm, u64 va)
{
	u64 *table = pa_to_va(mm->arch.root_pa);

	for (int level = 3; level > 0; level--) {
		u64 *entry = &table[level_index(va, level)];

		if (!(*entry & PTE_P)) {
			u64 *next = table_alloc();

			if (!next)
				return NULL;
			WRITE_ONCE(*entry, va_to_pa(next) | PTE_P | PTE_W | PTE_U | PTE_A);
			table_page(table)->index++;
		}
		table = entry_table(*entry);
	}
	return &table[level_index(va, 0)];
}

u64 pt_empty_run(struct mm *mm, u64 va, u64 max)
{
	u64 *pte = pt_lookup(mm, va);
	u64 room = PT_ENTRIES - level_index(va, 0), n = 0;

	max = MIN(max, room);
	if (!pte)
		return max;
	while (n < max && !pte[n])
		n++;
	return n;
}

void pt_set(u64 *ptep, u64 pte)
{
	struct page *page = table_page(ptep);

	if (!*ptep && pte)
		page->index++;
	else if (*ptep && !pte)
		page->index--;
	WRITE_ONCE(*ptep, pte);
}

int pt_map(struct mm *mm, u64 va, u64 pa, u64 npages, u32 prot, u64 soft, u64 *done)
{
	u64 template = pte_make(0, prot) | soft, n = 0;

	while (n < npages) {
		u64 *pte = pt_walk_alloc(mm, va + n * PAGE_SIZE);
		u64 run;

		if (!pte) {
			*done = n;
			return -ENOMEM;
		}
		run = MIN(npages - n, PT_ENTRIES - level_index(va + n * PAGE_SIZE, 0));
		table_page(pte)->index += run;
		for (u64 i = 0; i < run; i++, n++)
			WRITE_ONCE(pte[i], template | (pa + n * PAGE_SIZE));
	}
	*done = n;
	return 0;
}

static void visit_level(u64 *table, int level, u64 start, u64 end, pt_visit_fn fn, void *arg)
{
	u64 span = level_span(level);

	for (u64 va = start; va < end; va = (va & ~(span - 1)) + span) {
		u64 *entry = &table[level_index(va, level)];

		if (!*entry)
			continue;
		if (level)
			visit_level(entry_table(*entry), level - 1, va, MIN(end, (va & ~(span - 1)) + span), fn, arg);
		else if (pte_has_frame(*entry))
			fn(arg, va, entry);
	}
}

void pt_for_each(struct mm *mm, u64 start, u64 end, pt_visit_fn fn, void *arg)
{
	visit_level(pa_to_va(mm->arch.root_pa), 3, start, end, fn, arg);
}

struct unmap_state {
	pt_unmap_fn fn;
	void *arg;
	struct list_head *tables;
	u64 stopped_at; /* 0: not stopped */
};

static void unmap_last_level(u64 *table, u64 start, u64 end, struct unmap_state *s)
{
	struct page *page = table_page(table);

	for (u64 va = start; va < end && page->index; va += PAGE_SIZE) {
		u64 *entry = &table[level_index(va, 0)], old = *entry;

		if (!old)
			continue;
		WRITE_ONCE(*entry, 0);
		page->index--;
		if (pte_has_frame(old) && !s->fn(s->arg, va, old)) {
			s->stopped_at = va + PAGE_SIZE;
			return;
		}
	}
}

static void unmap_level(u64 *table, int level, u64 start, u64 end, struct unmap_state *s)
{
	u64 span = level_span(level), next;

	if (!level) {
		unmap_last_level(table, start, end, s);
		return;
	}
	for (u64 va = start; va < end && !s->stopped_at; va = next) {
		u64 *entry = &table[level_index(va, level)], *below;

		next = (va & ~(span - 1)) + span;
		if (!*entry)
			continue;
		below = entry_table(*entry);
		unmap_level(below, level - 1, va, MIN(end, next), s);
		if (s->tables && !table_page(below)->index) {
			WRITE_ONCE(*entry, 0);
			table_page(table)->index--;
			list_add(&table_page(below)->lru, s->tables);
		}
	}
}

u64 pt_unmap(struct mm *mm, u64 start, u64 end, pt_unmap_fn fn, void *arg, struct list_head *tables)
{
	struct unmap_state s = { .fn = fn, .arg = arg, .tables = tables };

	unmap_level(pa_to_va(mm->arch.root_pa), 3, start, end, &s);
	return s.stopped_at ? s.stopped_at : end;
}

void pt_free_tables(struct list_head *tables)
{
	struct page *page, *tmp;

	list_for_each_safe(page, tmp, tables, lru) {
		list_del(&page->lru);
		table_free(page_to_va(page));
	}
}

struct protect_state {
	u32 prot;
	bool changed;
};

static void protect_one(void *arg, u64 va, u64 *pte)
{
	struct protect_state *s = arg;
	u64 old = *pte, new = pte_make(pte_pa(old), s->prot) | (old & (PTE_SPECIAL | PTE_UFFD_WP));

	(void)va;
	if (!(old & PTE_W))
		new &= ~PTE_W;
	if (new == old)
		return;
	WRITE_ONCE(*pte, new);
	s->changed = true;
}

bool pt_protect(struct mm *mm, u64 start, u64 end, u32 prot)
{
	struct protect_state s = { .prot = prot };

	pt_for_each(mm, start, end, protect_one, &s);
	return s.changed;
}

static void count_page(struct page *page, struct pt_copied *count)
{
	page_get(page);
	if (!page->mapping)
		count->anon++;
	else if (page->mapping->ops)
		count->file++;
	else
		count->shmem++;
}

/* Copy n entries of one last-level table into the child's. */
static void copy_last_level(u64 *from, u64 *to, u64 n, bool cow, struct pt_copied *count)
{
	u64 used = 0;

	for (u64 i = 0; i < n; i++) {
		u64 pte = from[i];

		if (!pte_has_frame(pte))
			continue;
		if (cow && (pte & PTE_W)) {
			pte &= ~PTE_W;
			WRITE_ONCE(from[i], pte);
			count->protected = true;
		}
		if (!(pte & PTE_SPECIAL))
			count_page(pa_to_page(pte_pa(pte)), count);
		WRITE_ONCE(to[i], pte);
		used++;
	}
	table_page(to)->index += used;
}

/* The next address >= va, below end, that has a last-level table; `end` when there is none. */
static u64 next_table(struct mm *mm, u64 va, u64 end)
{
	while (va < end) {
		u64 *table = pa_to_va(mm->arch.root_pa);
		int level = 3;

		for (; level > 0; level--) {
			u64 entry = table[level_index(va, level)];

			if (!(entry & PTE_P))
				break;
			table = entry_table(entry);
		}
		if (!level)
			return va;
		va = (va & ~(level_span(level) - 1)) + level_span(level);
	}
	return end;
}

int pt_copy(struct mm *parent, struct mm *child, u64 start, u64 end, bool cow, struct pt_copied *count)
{
	for (u64 va = next_table(parent, start, end); va < end;) {
		u64 next = MIN(end, (va & ~(level_span(1) - 1)) + level_span(1));
		u64 *from = pt_lookup(parent, va), *to;

		if (table_page(from)->index) {
			to = pt_walk_alloc(child, va);
			if (!to)
				return -ENOMEM;
			copy_last_level(from, to, (next - va) >> PAGE_SHIFT, cow, count);
		}
		va = next_table(parent, next, end);
	}
	return 0;
}

u64 pt_move(struct mm *mm, u64 from, u64 to, u64 len)
{
	for (u64 off = 0; off < len; off += PAGE_SIZE) {
		u64 *src, *dst;

		off = next_table(mm, from + off, from + len) - from;
		if (off >= len)
			break;
		src = pt_lookup(mm, from + off);
		if (!*src)
			continue;
		dst = pt_walk_alloc(mm, to + off);
		if (!dst)
			return off;
		pt_set(dst, *src);
		pt_set(src, 0);
	}
	return len;
}
