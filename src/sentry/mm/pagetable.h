/*
 * Page tables: the truth about an address space, four levels in x86-64 format, in sandbox memory on every platform.
 *
 * Locking: mm->pt_lock (spin) guards every entry and is a leaf but for the frame allocator. Table pages are freed only under
 * mm->lock held for writing and after as_flush(); so a walk is safe under mm->lock (either way) or under pt_lock.
 * Whoever uses a frame found in an entry without holding mm->lock for writing keeps pt_lock while using it, or takes a
 * reference under pt_lock. Each entry that has a frame counts one reference on it, except PTE_SPECIAL ones.
 * platform->as_fill() is called with pt_lock held; as_flush() without it, and before the frames are given back.
 */
#ifndef SENTRY_PAGETABLE_H
#define SENTRY_PAGETABLE_H

#include "base/list.h"
#include "base/types.h"

struct mm;

#define PTE_P 0x1ull
#define PTE_W 0x2ull
#define PTE_U 0x4ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTE_G 0x100ull
#define PTE_NONE 0x200ull    /* software: PROT_NONE over a frame that stays; PTE_P is clear */
#define PTE_SPECIAL 0x400ull /* software: the frame is not reference counted */
#define PTE_UFFD_WP 0x800ull /* software: userfaultfd(2) wants to hear of a write */
#define PTE_NX (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull
#define PT_ENTRIES 512ul

/* The upper half of every top-level table: set by the KVM platform before the first mm_create(), zero elsewhere. */
extern u64 pt_kernel_entries[256];

static inline bool pte_present(u64 pte) { return pte & PTE_P; }
static inline bool pte_has_frame(u64 pte) { return pte & (PTE_P | PTE_NONE); }
static inline u64 pte_pa(u64 pte) { return pte & PTE_ADDR; }
/* An entry for frame `pa` with PROT_* rights; accessed and dirty are preset so that the CPU never writes entries. */
u64 pte_make(u64 pa, u32 prot);
/* The PROT_* bits that the entry grants. */
u32 pte_prot(u64 pte);

int pt_init(struct mm *mm);  /* the top-level table: sets mm->arch.root_pa. 0 or -ENOMEM */
void pt_free(struct mm *mm); /* all table pages; entries must have been unmapped */

/* The last-level entry for va, or NULL when there is no table for it. */
u64 *pt_lookup(struct mm *mm, u64 va);
/* The same, making the tables. NULL: out of memory. */
u64 *pt_walk_alloc(struct mm *mm, u64 va);
/* How many consecutive entries from va on are empty, at most max, never beyond the last-level table of va. */
u64 pt_empty_run(struct mm *mm, u64 va, u64 max);
/* Map contiguous frames. Entries must be empty; references are the caller's gift. 0, or -ENOMEM with nothing mapped beyond *done. */
int pt_map(struct mm *mm, u64 va, u64 pa, u64 npages, u32 prot, u64 soft, u64 *done);
/* Set one entry found by pt_lookup()/pt_walk_alloc(), keeping the table's count of used entries. */
void pt_set(u64 *ptep, u64 pte);

/* Call fn for each entry in [start, end) that has a frame; fn may change *pte but not empty it. */
typedef void (*pt_visit_fn)(void *arg, u64 va, u64 *pte);
void pt_for_each(struct mm *mm, u64 start, u64 end, pt_visit_fn fn, void *arg);
/* Empty the entries in [start, end), calling fn with each old entry that had a frame. Stops early, returning the
 * address to go on from, when fn says false (that entry is done). Emptied table pages are moved to `tables` (free them
 * with pt_free_tables() after as_flush()); NULL keeps them, which callers without mm->lock for writing must. */
typedef bool (*pt_unmap_fn)(void *arg, u64 va, u64 pte);
u64 pt_unmap(struct mm *mm, u64 start, u64 end, pt_unmap_fn fn, void *arg, struct list_head *tables);
void pt_free_tables(struct list_head *tables);
/* Take rights away (never adds PROT_WRITE to an entry). True when an entry changed. */
bool pt_protect(struct mm *mm, u64 start, u64 end, u32 prot);
/* Fork: child gets parent's entries in [start, end), each frame one more reference; with `cow` both lose PTE_W.
 * Both mms locked for writing. 0 or -ENOMEM. */
struct pt_copied {
	bool protected; /* an entry of the parent lost PTE_W */
	s64 anon, file, shmem;
};
int pt_copy(struct mm *parent, struct mm *child, u64 start, u64 end, bool cow, struct pt_copied *count);
/* Move the entries of [from, from + len) to `to` (mremap). Returns the bytes moved: less than len when out of memory. */
u64 pt_move(struct mm *mm, u64 from, u64 to, u64 len);
/* Pages used by tables, for meminfo. */
s64 pt_pages(void);

#endif
