/*
 * Memory: frames, kernel allocations, address spaces, user access, page cache.
 *
 * Sandbox memory is one sparse memory file; a frame is a page of it. `struct page` describes a frame.
 * Lock order: mm->lock -> mapping->i_mmap_lock -> mm->pt_lock -> mapping->lock -> frame allocator lock. Page contents of the cache: PG_LOCKED while read in.
 */
#ifndef SENTRY_MM_H
#define SENTRY_MM_H

#include "base/list.h"
#include "base/lock.h"
#include "base/rbtree.h"
#include "base/types.h"
#include "platform/platform.h"
#include "sentry/kernel/wait.h"

struct file;
struct inode;
struct uffd_ctx;
struct mapping;
struct vma;

/* ---- frames (frames.c) ---- */
struct page {
	refcount_t ref;	  /* 0: free. Each PTE, the page cache and each holder count one */
	u32 flags;	  /* PG_*; atomically changed */
	struct mapping *mapping; /* page cache owner, or NULL: anonymous or kernel */
	u64 index;		 /* page index in mapping */
	struct list_head lru;	 /* allocator's free list; page cache's dirty or LRU list */
};
enum { PG_LOCKED = 1, PG_UPTODATE = 2, PG_DIRTY = 4, PG_ERROR = 8, PG_WRITEBACK = 16, PG_ZERO = 32 /* known to read as zero */,
       PG_SLAB = 64, PG_REFERENCED = 128 };
extern struct page *memmap; /* memmap[pa >> PAGE_SHIFT] */
static inline struct page *pa_to_page(u64 pa) { return &memmap[pa >> PAGE_SHIFT]; }
static inline u64 page_to_pa(const struct page *p) { return (u64)(p - memmap) << PAGE_SHIFT; }
static inline void *page_to_va(const struct page *p) { return pa_to_va(page_to_pa(p)); }

/* Frames of [first_free_pa, mem_size); what follows, the file window, is described too and window.c's. */
void frames_init(u64 first_free_pa, u64 mem_size, u64 window_size);
/* 2^order physically contiguous frames, each with ref 1. NULL: out of memory (the caller reports ENOMEM or OOM-kills). */
enum { FRAME_ZERO = 1 };
struct page *frame_alloc(u32 order, u32 flags);
static inline void page_get(struct page *p) { refcount_inc(&p->ref); }
void page_put(struct page *p); /* frees at zero */
u64 frames_free_count(void);
u64 frames_total(void);
void page_lock(struct page *p); /* sleeps */
void page_unlock(struct page *p);

/* ---- kernel memory (slab.c): never sleeps, NULL on failure, 16-byte aligned ---- */
void *kmalloc(size_t n) __attribute__((malloc));
void *kzalloc(size_t n) __attribute__((malloc));
void *krealloc(void *p, size_t old, size_t n);
void kfree(void *p);
char *kstrdup(const char *s);
char *kstrndup(const char *s, size_t n);
struct kmem_cache; /* for objects allocated by the thousand */
struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align);
void *kmem_cache_alloc(struct kmem_cache *c); /* zeroed */
void kmem_cache_free(struct kmem_cache *c, void *p);
/* What kernel memory is used for; counts are those of a moment. */
struct slab_kind {
	const char *name;
	u32 size, per_slab, pages, slabs, active;
};
void slab_census(void (*tell)(void *ctx, const struct slab_kind *k), void *ctx);
void *vmalloc_pages(size_t bytes); /* large, physically contiguous, zeroed; free with vfree_pages */
void vfree_pages(void *p, size_t bytes);

/* ---- address spaces ---- */
struct mm {
	refcount_t ref;	  /* the structure: users, and what only remembers it (userfaultfd) */
	_Atomic u32 users; /* tasks, and who has task_get_mm(); at zero the VMAs go away */
	struct rwsem lock; /* VMAs, page tables, the fields below */
	spinlock_t pt_lock;  /* page-table entries; see pagetable.h */
	struct rb_root vmas; /* by address, augmented by the largest gap below */
	u32 nvmas;
	struct mm_arch arch; /* page-table root and the platform's state */
	u64 mmap_base;	     /* top-down allocation starts here */
	u64 start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
	u64 arg_start, arg_end, env_start, env_end;
	u64 saved_auxv[48];
	u64 total_vm, locked_vm, data_vm, stack_vm, exec_vm; /* pages */
	_Atomic s64 rss_anon, rss_file, rss_shmem;
	u64 hiwater_rss;
	struct file *exe_file;
	u64 vdso_base;
	u64 def_flags;
	u32 dump_filter; /* /proc/PID/coredump_filter: core(5) */
	void *membarrier_state, *aio;
};
static inline u64 mm_peak_rss(struct mm *mm)
{
	u64 now = (u64)(mm->rss_anon + mm->rss_file + mm->rss_shmem);

	return MAX(now, mm->hiwater_rss);
}
#define DUMP_ANON_PRIVATE 1u
#define DUMP_ANON_SHARED 2u
#define DUMP_FILE_PRIVATE 4u
#define DUMP_FILE_SHARED 8u
#define DUMP_ELF_HEADERS 16u
#define DUMP_DEFAULT 0x33u
#define DUMP_MASK 0x1ffu
struct vm_ops {
	/* Give the page at `pgoff` of the file, uptodate, with a reference; or ERR_PTR(-errno): -ENXIO beyond the end (SIGBUS).
	 * Called with mm->lock held for reading. NULL: anonymous memory. */
	struct page *(*fault)(struct vma *vma, u64 pgoff, bool write);
	/* A shared page becomes writable: mark dirty, times. 0 or -errno. May be NULL. */
	int (*page_mkwrite)(struct vma *vma, struct page *page);
	void (*open)(struct vma *vma);	/* copied or split */
	void (*close)(struct vma *vma);
	const char *(*name)(struct vma *vma); /* for /proc/pid/maps when there is no file */
};
struct vma {
	struct rb_node node;
	u64 start, end;
	u64 gap;     /* free bytes below start, what a stack below may grow into left out */
	u64 max_gap; /* augmented: the largest gap of the subtree */
	u32 flags;   /* VM_* */
	u32 prot;    /* PROT_* of the page tables */
	u64 pgoff;   /* page offset of start in the file */
	struct mm *mm;
	struct file *file; /* reference, or NULL */
	const struct vm_ops *ops; /* NULL: private anonymous */
	void *priv;
	char *anon_name;
	struct uffd_ctx *uffd; /* registered with userfaultfd(2) */
	struct list_head i_mmap_node; /* in mapping->i_mmap; mapping->i_mmap_lock */
	/* The last run of frames that faults mapped, [fault_lo, fault_hi): hints only. */
	u64 fault_lo, fault_hi;
	u32 fault_run;
};
enum { VM_READ = 1, VM_WRITE = 2, VM_EXEC = 4, VM_SHARED = 8, VM_MAYREAD = 0x10, VM_MAYWRITE = 0x20, VM_MAYEXEC = 0x40,
       VM_MAYSHARE = 0x80, VM_GROWSDOWN = 0x100, VM_UFFD_MISSING = 0x200, VM_UFFD_WP = 0x1000, VM_LOCKED = 0x2000, VM_IO = 0x4000, VM_SEQ_READ = 0x8000, VM_RAND_READ = 0x10000, VM_DONTCOPY = 0x20000,
       VM_DONTEXPAND = 0x40000, VM_LOCKONFAULT = 0x80000, VM_ACCOUNT = 0x100000, VM_NORESERVE = 0x200000, VM_DONTDUMP = 0x4000000,
       VM_WIPEONFORK = 0x2000000, VM_HUGEPAGE = 0x20000000, VM_NOHUGEPAGE = 0x40000000 };

struct mm *mm_create(void); /* empty, ref and users 1 */
struct mm *mm_fork(struct mm *parent); /* current's; COW copy or ERR_PTR */
void mm_get(struct mm *mm);
void mm_put(struct mm *mm);
void mm_users_get(struct mm *mm);
void mm_users_put(struct mm *mm); /* the last one unmaps everything; also drops a ref */
struct vma *vma_find(struct mm *mm, u64 addr);	/* first with end > addr; lock held */
#define vma_for_each(vma, mm)                                                           \
	for (vma = vma_first(mm); vma; vma = vma_next(vma))
struct vma *vma_first(struct mm *mm);
struct vma *vma_next(struct vma *vma);
u64 vma_resident_pages(struct vma *vma);
u64 vma_anon_pages(struct vma *vma); /* those of them that are its own, not a file's */ /* present in the page table; mm lock held */

/* mmap(2) for the sentry's own callers: address or -errno. Takes mm->lock. prot PROT_*, flags MAP_*. */
long mm_mmap(struct mm *mm, u64 addr, u64 len, u32 prot, u32 flags, struct file *file, u64 off);
long mm_munmap(struct mm *mm, u64 addr, u64 len);
long mm_brk(struct mm *mm, u64 brk);
/* A special mapping over given frames (vDSO, clock page): pages[] get a reference each. */
long mm_map_pages(struct mm *mm, u64 addr, struct page *const *pages, u32 n, u32 prot, const char *name);
bool mm_is_mapped_as(struct mm *mm, u64 addr, const char *name); /* one page of those, with this very name */
/* prctl(PR_SET_VMA_ANON_NAME) for the current task; name is checked and at most 79 bytes, NULL removes it. */
long mm_set_anon_name(u64 start, u64 len, const char *name);
/* Drop translations of a file range in every mm that maps it (truncate): unmaps pages [first, last]. */
void mapping_unmap_range(struct mapping *m, u64 first, u64 last);

/* Resolve a fault. error: PF_* bits. 0: retry the access; else the signal to raise in *sig and its si_code. Sleeps. */
int mm_fault(struct mm *mm, u64 addr, u32 error, int *sig, int *code);
/* Read or write another address space (ptrace, /proc/pid/mem, process_vm_*): bytes done, or -errno if none. */
long mm_access(struct mm *mm, u64 addr, void *buf, size_t n, bool write, bool force);

/* ---- user memory of the current task (usercopy.c). Sleep (faults); no spinlock may be held. ---- */
int copy_from_user(void *dst, u64 src, size_t n); /* 0 or -EFAULT; on error the rest of dst is zeroed */
int copy_to_user(u64 dst, const void *src, size_t n);
int clear_user(u64 dst, size_t n);
/* Length without NUL, or -EFAULT; -ENAMETOOLONG when no NUL within size. */
long strncpy_from_user(char *dst, u64 src, size_t size);
#define get_user(x, uaddr) copy_from_user(&(x), (uaddr), sizeof(x))
#define put_user(x, uaddr)                                                              \
	({ __typeof__(x) v__ = (x); copy_to_user((uaddr), &v__, sizeof(v__)); })
/* Atomic 32-bit operations on user memory; fault in as needed. 0 or -EFAULT. */
int cmpxchg_user32(u64 addr, u32 old, u32 new, u32 *prev);
bool access_ok(u64 addr, u64 len); /* inside the application's range */

/* ---- an I/O cursor over user or kernel memory ---- */
struct iovec_k {
	u64 base, len;
};
struct iov_iter {
	bool kernel;		    /* base is a sentry address */
	const struct iovec_k *iov; /* copied in, total <= MAX_RW_COUNT */
	u32 nr;
	u64 iov_off; /* in iov[0] */
	u64 count;   /* bytes left */
};
#define MAX_RW_COUNT 0x7ffff000ul
#define IOV_MAX_K 1024
void iov_iter_kernel(struct iov_iter *it, struct iovec_k *storage, void *buf, size_t n);
/* One user buffer; n clipped to MAX_RW_COUNT; -EFAULT when out of range. */
int iov_iter_user(struct iov_iter *it, struct iovec_k *storage, u64 base, size_t n);
/* A user iovec array; `*storage` is `fast` (8 entries) or allocated: kfree it when != fast. -EINVAL/-EFAULT as readv(2). */
int iov_iter_import(struct iov_iter *it, u64 uvec, u32 nr, struct iovec_k *fast, struct iovec_k **storage);
/* Bytes copied; short on a bad address. */
size_t copy_to_iter(const void *src, size_t n, struct iov_iter *it);
size_t copy_from_iter(void *dst, size_t n, struct iov_iter *it);
size_t iov_iter_zero(size_t n, struct iov_iter *it);
void iov_iter_advance(struct iov_iter *it, size_t n);
/* Fault in the first bytes of the iterator (before taking page locks). 0 or -EFAULT. */
int iov_iter_fault_in(struct iov_iter *it, size_t n, bool write);

/* ---- page cache (pagecache.c) ---- */
struct mapping_ops {
	/* Frames for up to n pages from index on that need no allocation, each with one reference; 0: none. May be NULL. */
	u32 (*frames)(struct mapping *m, u64 index, struct page **pages, u32 n);
	/* Fill pages[0..n) (consecutive, locked, not uptodate) from the backing store; zero what lies beyond the end; set
	 * PG_UPTODATE on each. May sleep. NULL: a missing page is zero (tmpfs). 0 or -errno. */
	int (*read_pages)(struct mapping *m, struct page **pages, u32 n);
	/* Write n consecutive dirty pages back; len: bytes of them inside the file. NULL: memory is the store (tmpfs). */
	int (*write_pages)(struct mapping *m, struct page **pages, u32 n, u64 len);
};
struct mapping {
	struct inode *inode;
	const struct mapping_ops *ops;
	spinlock_t lock;
	void *tree; /* radix tree of pages; mapping->lock */
	u64 nrpages;
	struct list_head dirty; /* of page.lru */
	struct mutex i_mmap_lock; /* after mm->lock; VMAs that map it keep their range and entries while it is held */
	struct list_head i_mmap; /* VMAs that map it; see vma.c */
	s64 writecount_shared;	 /* writable shared mappings; <0 denied (sealed) */
	u64 ra_next;		 /* read-ahead: the page after the last batch, its size, and the least */
	u32 ra_size, ra_min;
	bool no_window; /* may be written: no frames of the file window */
	u32 nr_dirty;
	_Atomic u32 writing; /* write-backs under way: pages that are clean and not yet in the store */
	u32 wb_failures; /* of write-back, counted; the last one's error, and has a file been told it? */
	s32 wb_err;
	bool wb_untold;
	struct list_head dirty_node; /* in the list of mappings with dirty pages */
};
void mapping_init(struct mapping *m, struct inode *inode, const struct mapping_ops *ops);
/* The page at index, uptodate, with a reference; reads ahead. ERR_PTR(-errno). `create`: for writing a whole page, no read. */
struct page *mapping_get_page(struct mapping *m, u64 index, bool create);
struct page *mapping_find_page(struct mapping *m, u64 index); /* only if present; reference */
/* Generic file I/O through the cache; size is the inode's. Bytes or -errno. Inode lock held for writing. */
long mapping_read(struct mapping *m, u64 pos, struct iov_iter *it, u64 size);
long mapping_write(struct mapping *m, u64 pos, struct iov_iter *it);
void mapping_truncate(struct mapping *m, u64 new_size); /* drop pages beyond; zero the tail of the last */
void mapping_punch(struct mapping *m, u64 start, u64 end);
/* From here on the inode's pages are those of `to`: what was mapped from its old mapping through it is found there again; private
 * copies stay. Copy-up of an overlay. inode->lock held. */
void mapping_switch(struct inode *inode, struct mapping *to);
int mapping_writeback(struct mapping *m); /* all dirty pages, now */
void mapping_destroy(struct mapping *m);  /* no users left */
/* First page in [first, last] that is present (data) or absent (hole): SEEK_DATA/SEEK_HOLE. */
u64 mapping_next(struct mapping *m, u64 first, u64 last, bool present);
/* vm_ops.fault for files whose pages live in the page cache. */
extern const struct vm_ops filemap_vm_ops;

/* OOM: pick and kill a process as Linux would, log Linux's message. Called without locks. */
void oom_kill(void);
void mm_init(void);
struct meminfo { u64 total, free, cached, anon, slab, shmem, page_tables, mapped; }; /* pages */
void mm_meminfo(struct meminfo *mi);

#endif
