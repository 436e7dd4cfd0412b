/* mprotect(2), pkey_mprotect(2), msync(2), mincore(2), mlock(2) and its kin. */
#include <asm/errno.h>
#include <linux/capability.h>
#include <linux/mman.h>
#include <linux/resource.h>

#include "base/log.h"
#include "base/string.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/frames.h"
#include "sentry/mm/internal.h"
#include "sentry/mm/pagecache.h"
#include "sentry/mm/pagetable.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"

/* ---- mprotect ---- */

struct reprotect {
	struct vma *vma;
	bool lost; /* some entry lost a right */
	struct { u64 addr, pa, n; u32 prot; } fill;
};

/* New rights for one entry; write rights only where no copy is due and no dirty mark is missed. */
static void reprotect_entry(void *arg, u64 va, u64 *pte)
{
	struct reprotect *r = arg;
	struct vma *vma = r->vma;
	struct page *page = pa_to_page(pte_pa(*pte));
	u64 old = *pte, new;
	u32 prot = vma->prot;

	(void)va;
	if (old & (PTE_SPECIAL | PTE_UFFD_WP))
		prot &= ~PROT_WRITE;
	else if (vma->flags & VM_SHARED)
		prot &= page->mapping && page->mapping->ops && !(old & PTE_W) ? ~PROT_WRITE : ~0u;
	else if (!page_is_anon(page) || refcount_read(&page->ref) != 1)
		prot &= ~PROT_WRITE;
	new = pte_make(pte_pa(old), prot) | (old & (PTE_SPECIAL | PTE_UFFD_WP));
	if (new == old)
		return;
	WRITE_ONCE(*pte, new);
	if (pte_prot(old) & ~pte_prot(new))
		r->lost = true;
}

static void apply_protection(struct vma *vma, u32 old_prot)
{
	struct reprotect r = { .vma = vma };
	struct mm *mm = vma->mm;

	spin_lock(&mm->pt_lock);
	pt_for_each(mm, vma->start, vma->end, reprotect_entry, &r);
	spin_unlock(&mm->pt_lock);
	/* Rights that were only gained need no flush: a stale translation faults, and is then refreshed. */
	if (r.lost)
		platform->as_flush(mm, vma->start, vma->end, (int)(vma->prot & (old_prot | ~PROT_WRITE)));
}

static long protect_vma(struct vma *vma, u32 prot)
{
	u32 old_prot = vma->prot, flags = (vma->flags & ~(VM_READ | VM_WRITE | VM_EXEC)) | prot_vm_flags(prot);
	struct mm *mm = vma->mm;
	u64 pages = vma_pages(vma);

	if (flags == vma->flags)
		return 0;
	if ((flags & VM_WRITE) && !(vma->flags & (VM_WRITE | VM_SHARED))) {
		if (mm->data_vm + pages > rlimit(RLIMIT_DATA) >> PAGE_SHIFT && !(flags & VM_GROWSDOWN))
			return -ENOMEM;
		if (!(flags & (VM_NORESERVE | VM_ACCOUNT))) {
			if (!overcommit_ok(pages))
				return -ENOMEM;
			flags |= VM_ACCOUNT;
		}
	}
	vma_account(mm, vma->flags, -(s64)pages);
	vma->flags = flags;
	vma->prot = vm_flags_prot(flags);
	vma_account(mm, vma->flags, (s64)pages);
	apply_protection(vma, old_prot);
	return 0;
}

static long do_mprotect(struct mm *mm, u64 start, u64 end, u32 prot)
{
	struct vma *vma = vma_find(mm, start);
	u64 at = start;
	long err = 0;

	if (!vma)
		return -ENOMEM;
	if (prot & PROT_GROWSDOWN) {
		if (vma->start >= end)
			return -ENOMEM;
		if (!(vma->flags & VM_GROWSDOWN))
			return -EINVAL;
		at = start = vma->start;
	} else if (vma->start > start) {
		return -ENOMEM;
	}
	while (at < end && !err) {
		vma = vma_find(mm, at);
		if (!vma || vma->start > at)
			return -ENOMEM;
		if (prot_vm_flags(prot) & ~(vma->flags >> 4) & (VM_READ | VM_WRITE | VM_EXEC))
			return -EACCES;
		if (vma_split_range(mm, at, MIN(end, vma->end)))
			return -ENOMEM;
		vma = vma_find(mm, at);
		at = vma->end;
		err = protect_vma(vma, prot);
	}
	return err;
}

static long mprotect_range(u64 start, u64 len, u32 prot)
{
	struct mm *mm = current->mm;
	u32 grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
	u64 end;
	long err;

	if (grows == (PROT_GROWSDOWN | PROT_GROWSUP))
		return -EINVAL;
	if (start & ~PAGE_MASK)
		return -EINVAL;
	if (!len)
		return 0;
	end = start + PAGE_ALIGN_UP(len);
	if (end <= start)
		return -ENOMEM;
	if (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM | PROT_GROWSDOWN | PROT_GROWSUP))
		return -EINVAL;
	if (grows == PROT_GROWSUP)
		return -EINVAL;
	if ((current->proc->personality & 0x0400000 /* READ_IMPLIES_EXEC */) && (prot & PROT_READ))
		prot |= PROT_EXEC;
	down_write(&mm->lock);
	err = do_mprotect(mm, start, end, prot);
	vma_merge_range(mm, start, end);
	up_write(&mm->lock);
	return err;
}

SYSCALL3(mprotect, u64, start, u64, len, u64, prot)
{
	return mprotect_range(start, len, (u32)prot);
}

/* No protection keys, as on a CPU without them (pkeys(7)): there is no key but 0. */
SYSCALL4(pkey_mprotect, u64, start, u64, len, u64, prot, s32, pkey)
{
	if (start & ~PAGE_MASK)
		return -EINVAL;
	return pkey == -1 || pkey == 0 || !len ? mprotect_range(start, len, (u32)prot) : -EINVAL;
}

SYSCALL2(pkey_alloc, u64, flags, u64, rights)
{
	return -EINVAL; /* Linux finds a key here, and then that the CPU has none to set */
}

SYSCALL1(pkey_free, s32, pkey)
{
	return -EINVAL;
}

/* ---- msync ---- */

SYSCALL3(msync, u64, start, u64, len, s32, flags)
{
	struct mm *mm = current->mm;
	bool unmapped = false;
	u64 end;
	int err = 0;

	if (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC))
		return -EINVAL;
	if ((start & ~PAGE_MASK) || ((flags & MS_ASYNC) && (flags & MS_SYNC)))
		return -EINVAL;
	end = start + PAGE_ALIGN_UP(len);
	if (end < start)
		return -ENOMEM;
	while (start < end && !err) {
		struct file *file = NULL;
		struct vma *vma;
		u64 stop;

		down_read(&mm->lock);
		vma = vma_find(mm, start);
		if (!vma || vma->start >= end) {
			up_read(&mm->lock);
			return -ENOMEM;
		}
		if (vma->start > start) {
			unmapped = true;
			start = vma->start;
		}
		stop = MIN(vma->end, end);
		if ((flags & MS_INVALIDATE) && (vma->flags & VM_LOCKED))
			err = -EBUSY;
		else if ((flags & MS_SYNC) && vma->file && (vma->flags & VM_SHARED))
			file = file_get(vma->file);
		up_read(&mm->lock);
		if (file) {
			err = file->fop->fsync ? file->fop->fsync(file, true) : 0;
			file_put(file);
		}
		start = stop;
	}
	return err ? err : unmapped ? -ENOMEM : 0;
}

/* ---- mincore ---- */

static void mincore_vma(struct vma *vma, u64 start, u64 n, u8 *vec)
{
	struct mapping *m = vma_mapping(vma);

	for (u64 i = 0; i < n; i++) {
		u64 va = start + i * PAGE_SIZE, *ptep;

		spin_lock(&vma->mm->pt_lock);
		ptep = pt_lookup(vma->mm, va);
		vec[i] = ptep && pte_has_frame(*ptep);
		spin_unlock(&vma->mm->pt_lock);
		if (!vec[i] && m) {
			struct page *page;

			mapping_peek_pages(m, vma_pgoff(vma, va), 1, &page);
			vec[i] = page != NULL;
			if (page)
				page_put(page);
		}
	}
}

SYSCALL3(mincore, u64, start, u64, len, u64, uvec)
{
	struct mm *mm = current->mm;
	u64 pages;
	u8 vec[512];

	if (start & ~PAGE_MASK)
		return -EINVAL;
	if (!access_ok(start, len))
		return -ENOMEM;
	pages = PAGE_ALIGN_UP(len) >> PAGE_SHIFT;
	if (!access_ok(uvec, pages))
		return -EFAULT;
	while (pages) {
		struct vma *vma;
		u64 n = 0;

		down_read(&mm->lock);
		vma = vma_find(mm, start);
		if (vma && vma->start <= start) {
			n = MIN(pages, MIN(sizeof(vec), (vma->end - start) >> PAGE_SHIFT));
			mincore_vma(vma, start, n, vec);
		}
		up_read(&mm->lock);
		if (!n)
			return -ENOMEM;
		if (copy_to_user(uvec, vec, n))
			return -EFAULT;
		uvec += n;
		start += n << PAGE_SHIFT;
		pages -= n;
	}
	return 0;
}

/* ---- mlock ---- */

/* Change VM_LOCKED bits over [start, end). mm->lock held for writing. */
static long set_locked(struct mm *mm, u64 start, u64 end, u32 lock_flags)
{
	struct vma *vma = vma_find(mm, start);
	u64 at = start;
	long err;

	if (!vma || vma->start > start)
		return -ENOMEM;
	err = vma_split_range(mm, start, end);
	while (!err && at < end) {
		vma = vma_find(mm, at);
		if (!vma || vma->start > at) {
			err = -ENOMEM;
			break;
		}
		at = vma->end;
		if ((vma->flags & VM_IO) || vma->ops == &special_vm_ops)
			continue;
		vma_account(mm, vma->flags, -(s64)vma_pages(vma));
		vma->flags = (vma->flags & ~(VM_LOCKED | VM_LOCKONFAULT)) | lock_flags;
		vma_account(mm, vma->flags, (s64)vma_pages(vma));
	}
	vma_merge_range(mm, start, end);
	return err;
}

/* Pages of [start, end) that are locked already. */
static u64 locked_within(struct mm *mm, u64 start, u64 end)
{
	u64 n = 0;

	for (struct vma *vma = vma_find(mm, start); vma && vma->start < end; vma = vma_next(vma))
		if (vma->flags & VM_LOCKED)
			n += (MIN(vma->end, end) - MAX(vma->start, start)) >> PAGE_SHIFT;
	return n;
}

static bool can_mlock(void)
{
	return rlimit(RLIMIT_MEMLOCK) || capable(CAP_IPC_LOCK);
}

static long do_mlock(u64 start, u64 len, u32 lock_flags)
{
	struct mm *mm = current->mm;
	u64 limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT, locked;
	long err = -ENOMEM;

	if (!can_mlock())
		return -EPERM;
	len = PAGE_ALIGN_UP(len + (start & ~PAGE_MASK));
	start &= PAGE_MASK;
	if (start + len < start)
		return -EINVAL;
	if (!len)
		return 0;
	down_write(&mm->lock);
	locked = mm->locked_vm + (len >> PAGE_SHIFT);
	if (locked > limit && !capable(CAP_IPC_LOCK))
		locked -= locked_within(mm, start, start + len);
	if (locked <= limit || capable(CAP_IPC_LOCK))
		err = set_locked(mm, start, start + len, lock_flags);
	up_write(&mm->lock);
	if (err || (lock_flags & VM_LOCKONFAULT))
		return err;
	err = mm_populate(mm, start, start + len, true);
	return err == -EFAULT || err == -ENXIO ? -ENOMEM : err == -ENOMEM ? -EAGAIN : err;
}

SYSCALL2(mlock, u64, start, u64, len)
{
	return do_mlock(start, len, VM_LOCKED);
}

SYSCALL3(mlock2, u64, start, u64, len, s32, flags)
{
	if (flags & ~MLOCK_ONFAULT)
		return -EINVAL;
	return do_mlock(start, len, VM_LOCKED | (flags & MLOCK_ONFAULT ? VM_LOCKONFAULT : 0));
}

SYSCALL2(munlock, u64, start, u64, len)
{
	struct mm *mm = current->mm;
	long err = 0;

	len = PAGE_ALIGN_UP(len + (start & ~PAGE_MASK));
	start &= PAGE_MASK;
	if (start + len < start)
		return -EINVAL;
	down_write(&mm->lock);
	if (len)
		err = set_locked(mm, start, start + len, 0);
	up_write(&mm->lock);
	return err;
}

static void lock_all(struct mm *mm, u32 lock_flags)
{
	struct vma *vma, *next;

	for (vma = vma_first(mm); vma; vma = next) {
		next = vma_next(vma);
		if ((vma->flags & VM_IO) || vma->ops == &special_vm_ops)
			continue;
		vma_account(mm, vma->flags, -(s64)vma_pages(vma));
		vma->flags = (vma->flags & ~(VM_LOCKED | VM_LOCKONFAULT)) | lock_flags;
		vma_account(mm, vma->flags, (s64)vma_pages(vma));
	}
	vma_merge_range(mm, 0, USER_MAX);
}

SYSCALL1(mlockall, s32, flags)
{
	struct mm *mm = current->mm;
	u32 lock_flags = VM_LOCKED | (flags & MCL_ONFAULT ? VM_LOCKONFAULT : 0);
	long err = 0;

	if (!flags || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) || flags == MCL_ONFAULT)
		return -EINVAL;
	if (!can_mlock())
		return -EPERM;
	down_write(&mm->lock);
	if ((flags & MCL_CURRENT) && mm->total_vm > rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT && !capable(CAP_IPC_LOCK))
		err = -ENOMEM;
	if (!err) {
		mm->def_flags = flags & MCL_FUTURE ? lock_flags : 0;
		if (flags & MCL_CURRENT)
			lock_all(mm, lock_flags);
	}
	up_write(&mm->lock);
	if (!err && (flags & MCL_CURRENT) && !(flags & MCL_ONFAULT))
		mm_populate(mm, 0, USER_MAX, false);
	return err;
}

SYSCALL0(munlockall)
{
	struct mm *mm = current->mm;

	down_write(&mm->lock);
	mm->def_flags = 0;
	lock_all(mm, 0);
	up_write(&mm->lock);
	return 0;
}
