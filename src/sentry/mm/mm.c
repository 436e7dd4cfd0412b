/* Address spaces: making, forking and taking them down. */
#include <asm/errno.h>
#include <asm/mman.h>

#include "base/log.h"
#include "base/string.h"
#include "hostcall.h"
#include "sentry/kernel/aio.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/frames.h"
#include "sentry/mm/internal.h"
#include "sentry/mm/pagecache.h"
#include "sentry/mm/pagetable.h"
#include "sentry/mm/userfault.h"
#include "sentry/mm/window.h"
#include "sentry/vfs/vfs.h"

void mm_init(void)
{
	frames_init(boot_params->first_free_pa, boot_params->mem_size, boot_params->window_size);
	if (boot_params->host_mem_total)
		frames_set_limit(boot_params->host_mem_total >> PAGE_SHIFT);
	slab_init();
	mm_caches_init();
	pagecache_init();
	window_init(boot_params->mem_size, boot_params->window_size);
}

static struct mm *mm_new(void)
{
	struct mm *mm = kzalloc(sizeof(*mm));

	if (!mm)
		return NULL;
	refcount_set(&mm->ref, 1);
	atomic_store(&mm->users, 1);
	rwsem_init(&mm->lock);
	spin_lock_init(&mm->pt_lock);
	mm->dump_filter = DUMP_DEFAULT;
	if (pt_init(mm)) {
		kfree(mm);
		return NULL;
	}
	return mm;
}

struct mm *mm_create(void)
{
	struct mm *mm;
	int err;

	/* The first address space is made when the scheduler is up: from here on each vCPU knows its number. */
	if (!frames_percpu)
		frames_use_percpu();
	mm = mm_new();
	if (!mm)
		return NULL;
	err = platform->as_create(mm);
	if (err) {
		pt_free(mm);
		kfree(mm);
		return NULL;
	}
	return mm;
}

void mm_get(struct mm *mm)
{
	refcount_inc(&mm->ref);
}

void mm_put(struct mm *mm)
{
	if (!mm || !refcount_dec_and_test(&mm->ref))
		return;
	platform->as_destroy(mm);
	pt_free(mm);
	kfree(mm);
}

void mm_users_get(struct mm *mm)
{
	atomic_fetch_add(&mm->users, 1);
	mm_get(mm);
}

/* Nobody will run in it again: drop everything with one pass and no flush; as_destroy() forgets the translations. */
static void unmap_all(struct mm *mm)
{
	struct mmu_gather g;
	struct vma *vma;

	down_write(&mm->lock);
	gather_start(&g, mm);
	g.no_flush = true;
	vma_for_each(vma, mm)
		gather_range(&g, vma->start, vma->end, false);
	while ((vma = vma_first(mm))) {
		vma_unlink(vma);
		vma_free(vma);
	}
	gather_finish(&g);
	mm->total_vm = mm->locked_vm = mm->data_vm = mm->stack_vm = mm->exec_vm = 0;
	up_write(&mm->lock);
}

void mm_users_put(struct mm *mm)
{
	struct file *exe;

	if (!mm)
		return;
	if (atomic_fetch_sub(&mm->users, 1) == 1) {
		aio_exit(mm);
		unmap_all(mm);
		exe = mm->exe_file;
		mm->exe_file = NULL;
		if (exe)
			file_put(exe);
	}
	mm_put(mm);
}

/* ---- fork ---- */

static void copy_fields(struct mm *to, const struct mm *from)
{
	to->mmap_base = from->mmap_base;
	to->dump_filter = from->dump_filter;
	to->start_code = from->start_code;
	to->end_code = from->end_code;
	to->start_data = from->start_data;
	to->end_data = from->end_data;
	to->start_brk = from->start_brk;
	to->brk = from->brk;
	to->start_stack = from->start_stack;
	to->arg_start = from->arg_start;
	to->arg_end = from->arg_end;
	to->env_start = from->env_start;
	to->env_end = from->env_end;
	memcpy(to->saved_auxv, from->saved_auxv, sizeof(to->saved_auxv));
	to->vdso_base = from->vdso_base;
}

/* Pages that parent and child will both write at once: copied now, which saves each of them a fault. Ascending. */
struct hot_pages {
	u32 n;
	u64 addr[3];
};

static void find_hot_pages(const struct mm *parent, struct hot_pages *hot)
{
	u64 sp = current->ctx.regs.rsp & PAGE_MASK, tls = current->ctx.regs.fs_base & PAGE_MASK;

	hot->n = 0;
	if (current->mm != parent)
		return;
	if (tls < sp - PAGE_SIZE)
		hot->addr[hot->n++] = tls;
	hot->addr[hot->n++] = sp - PAGE_SIZE;
	hot->addr[hot->n++] = sp;
	if (tls > sp)
		hot->addr[hot->n++] = tls;
}

/* Give the child its own copy of a page that the parent alone has, and may write. False: it is not such a page. */
static bool fork_hot_page(struct vma *vma, struct vma *child_vma, u64 addr, struct pt_copied *count)
{
	struct mm *parent = vma->mm, *child = child_vma->mm;
	struct page *from, *to = NULL;
	u64 *ptep, *child_ptep;

	spin_lock(&parent->pt_lock);
	ptep = pt_lookup(parent, addr);
	if (ptep && pte_present(*ptep) && (*ptep & PTE_W) && !(*ptep & PTE_SPECIAL)) {
		from = pa_to_page(pte_pa(*ptep));
		if (page_is_anon(from) && refcount_read(&from->ref) == 1)
			to = frame_alloc(0, 0);
		child_ptep = to ? pt_walk_alloc(child, addr) : NULL;
		if (child_ptep) {
			memcpy(page_to_va(to), page_to_va(from), PAGE_SIZE);
			pt_set(child_ptep, pte_make(page_to_pa(to), child_vma->prot));
			count->anon++;
		} else if (to) {
			page_put(to);
			to = NULL;
		}
	}
	spin_unlock(&parent->pt_lock);
	return to;
}

static int fork_range(struct vma *vma, struct mm *child, u64 start, u64 end, struct pt_copied *count)
{
	bool cow = (vma->flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE;
	struct mm *parent = vma->mm;
	int err;

	if (start >= end)
		return 0;
	count->protected = false;
	spin_lock(&parent->pt_lock);
	err = pt_copy(parent, child, start, end, cow, count);
	spin_unlock(&parent->pt_lock);
	if (count->protected)
		platform->as_flush(parent, start, end, (int)(vma->prot & ~PROT_WRITE));
	return err;
}

/* Private memory is shared copy-on-write; shared memory is found again by faults. */
static int fork_vma(struct vma *vma, struct mm *child, const struct hot_pages *hot, struct pt_copied *count)
{
	struct vma *copy = vma_dup(vma, child);
	u64 at = vma->start;
	int err = 0;

	if (!copy)
		return -ENOMEM;
	copy->flags &= ~(VM_LOCKED | VM_LOCKONFAULT);
	userfault_forget(copy);
	copy->fault_lo = copy->fault_hi = copy->fault_run = 0;
	vma_link_fork(child, copy, vma);
	vma_account(child, copy->flags, (s64)vma_pages(copy));
	if (vma->flags & (VM_SHARED | VM_WIPEONFORK))
		return 0;
	for (u32 i = 0; i < hot->n && !err; i++) {
		if (hot->addr[i] < at || hot->addr[i] >= vma->end || !fork_hot_page(vma, copy, hot->addr[i], count))
			continue;
		err = fork_range(vma, child, at, hot->addr[i], count);
		at = hot->addr[i] + PAGE_SIZE;
	}
	return err ? err : fork_range(vma, child, at, vma->end, count);
}

struct mm *mm_fork(struct mm *parent)
{
	struct pt_copied count = { 0 };
	struct mm *child = mm_new();
	struct hot_pages hot;
	struct vma *vma;
	int err = 0;

	if (!child)
		return ERR_PTR(-ENOMEM);
	find_hot_pages(parent, &hot);
	down_write(&parent->lock);
	copy_fields(child, parent);
	if (parent->exe_file)
		child->exe_file = file_get(parent->exe_file);
	vma_for_each(vma, parent) {
		if (vma->flags & VM_DONTCOPY)
			continue;
		err = fork_vma(vma, child, &hot, &count);
		if (err)
			break;
	}
	atomic_store(&child->rss_anon, count.anon);
	atomic_store(&child->rss_file, count.file);
	atomic_store(&child->rss_shmem, count.shmem);
	if (!err)
		err = platform->as_fork(parent, child);
	up_write(&parent->lock);
	if (!err)
		return child;
	unmap_all(child);
	if (child->exe_file)
		file_put(child->exe_file);
	pt_free(child);
	kfree(child);
	return ERR_PTR(err);
}

void mm_meminfo(struct meminfo *mi)
{
	s64 cached = pagecache_pages(), shmem = pagecache_shmem_pages(), used;

	mi->total = frames_total();
	mi->free = frames_free_count();
	mi->cached = (u64)MAX(cached, 0l);
	mi->shmem = (u64)MAX(shmem, 0l);
	mi->slab = (u64)slab_pages();
	mi->page_tables = (u64)pt_pages();
	used = (s64)(mi->total - mi->free - mi->cached - mi->slab - mi->page_tables);
	mi->anon = (u64)MAX(used, 0l);
	mi->mapped = 0;
}
