/* What the files of mm/ share with each other. */
#ifndef SENTRY_MM_INTERNAL_H
#define SENTRY_MM_INTERNAL_H

#include "sentry/kernel/settings.h"
#include "sentry/mm/mm.h"

#define MAX_MAP_COUNT settings.max_map_count
#define STACK_GUARD_GAP (256 * PAGE_SIZE)

/* ---- vma.c; mm->lock held for writing ---- */
struct vma *vma_alloc(struct mm *mm, u64 start, u64 end, u32 flags);
void vma_free(struct vma *vma); /* drops file, name and, by ops->close, what ops->open took */
void vma_link(struct mm *mm, struct vma *vma);
void vma_link_fork(struct mm *mm, struct vma *vma, struct vma *original);
void vma_unlink(struct vma *vma);
struct vma *vma_prev(struct vma *vma);
/* Cut at addr (inside vma): vma keeps the lower part, the upper one is returned; NULL: out of memory. */
struct vma *vma_split(struct vma *vma, u64 addr);
/* Make [start, end) end at VMA boundaries. 0, -ENOMEM. */
int vma_split_range(struct mm *mm, u64 start, u64 end);
/* Join the VMAs around [start, end) that are alike. Pointers to VMAs there become invalid. */
void vma_merge_range(struct mm *mm, u64 start, u64 end);
/* Change a linked VMA's range (growth, brk). */
void vma_resize(struct vma *vma, u64 start, u64 end);
/* A copy for fork, split or mremap: not linked; file and ops references taken. */
struct vma *vma_dup(struct vma *vma, struct mm *mm);
struct mapping *vma_mapping(const struct vma *vma);
void vma_i_mmap_lock(struct vma *vma); /* its mapping's i_mmap_lock, if it has a mapping */
void vma_i_mmap_unlock(struct vma *vma);
void vma_i_mmap_add(struct vma *vma, struct vma *after);
/* A free range of len bytes in [low, high): the highest, or the lowest with bottom_up; 0: none. */
u64 vma_find_gap(struct mm *mm, u64 len, u64 low, u64 high, bool bottom_up);
u64 vma_gap_start(const struct vma *vma); /* start, less the guard gap of a growing stack */
static inline u64 vma_pages(const struct vma *vma) { return (vma->end - vma->start) >> PAGE_SHIFT; }
static inline u64 vma_pgoff(const struct vma *vma, u64 addr)
{
	return vma->pgoff + ((addr - vma->start) >> PAGE_SHIFT);
}
static inline bool vma_is_anon(const struct vma *vma) { return !vma->ops; }
u32 vm_flags_prot(u32 flags); /* PROT_* of VM_READ... */
u32 prot_vm_flags(u32 prot);
/* Add to (sign +1) or take from (-1) total_vm and its kin. */
void vma_account(struct mm *mm, u32 flags, s64 pages);

/* ---- zap.c: taking translations away, and giving frames back after the flush ---- */
#define GATHER_BATCH 96
struct mmu_gather {
	struct mm *mm;
	u64 start, end; /* to flush; empty when start >= end */
	struct list_head dead, tables;
	s64 anon, file, shmem;
	bool no_flush; /* nobody will run there again */
	u32 n;
	struct page *shared[GATHER_BATCH];
};
void gather_start(struct mmu_gather *g, struct mm *mm);
void gather_range(struct mmu_gather *g, u64 start, u64 end, bool tables);
void gather_finish(struct mmu_gather *g);
/* Drop the entries of [start, end); `tables` frees emptied tables (mm->lock held for writing). */
void zap_range(struct mm *mm, u64 start, u64 end, bool tables);
void mm_rss_add(struct mm *mm, const struct page *page, s64 n);

/* ---- mmap.c, brk ---- */
long do_munmap(struct mm *mm, u64 start, u64 len); /* mm->lock held for writing */
bool may_expand_vm(struct mm *mm, u32 flags, u64 pages);
bool overcommit_ok(u64 pages);
u64 mm_mmap_top(struct mm *mm);
long mlock_future_check(struct mm *mm, u32 flags, u64 bytes);

/* ---- fault.c ---- */
/* Make the page at addr present for reading or writing. mm->lock held (reading is enough). 0 or -errno: -EFAULT bad rights,
 * -ENXIO beyond the file, -ENOMEM, other I/O errors; FAULT_USERFAULT. */
int handle_fault(struct mm *mm, struct vma *vma, u64 addr, bool write);
/* Present the pages of [start, end) as mlock(2) and MAP_POPULATE do. Takes mm->lock. 0 or -errno. */
void file_map_ahead(struct mm *mm, u64 addr); /* mm->lock held for writing */
int mm_populate(struct mm *mm, u64 start, u64 end, bool stop_on_error);
/* A reference to the page at addr, faulted in as needed; *vmap is its VMA. mm->lock held. `force` overrides rights as
 * ptrace may. ERR_PTR(-errno). */
struct page *mm_get_page(struct mm *mm, u64 addr, bool write, bool force);
int expand_stack(struct mm *mm, struct vma *vma, u64 addr); /* mm->lock held for writing */

void mm_caches_init(void);
void slab_init(void);
s64 slab_pages(void);
void pagecache_init(void);

extern const struct vm_ops special_vm_ops;

#endif
