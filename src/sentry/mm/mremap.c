/* mremap(2): resize in place, or move translations to another place. */
#include <asm/errno.h>
#include <linux/mman.h>
#include <linux/resource.h>

#include "sentry/kernel/task.h"
#include "sentry/mm/internal.h"
#include "sentry/mm/pagetable.h"
#include "sentry/mm/userfault.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"

struct remap {
	u64 addr, old_len, new_len, new_addr;
	u32 flags;
};

/* Translations go over under the file's lock: truncation must find each page at one of the two places. */
static int move_entries(struct vma *from, struct vma *to, u64 addr, u64 len)
{
	struct mm *mm = from->mm;
	u64 moved;

	vma_i_mmap_lock(from);
	spin_lock(&mm->pt_lock);
	moved = pt_move(mm, addr, to->start, len);
	if (moved < len) /* out of memory for tables: back again, which needs none */
		pt_move(mm, to->start, addr, moved);
	spin_unlock(&mm->pt_lock);
	vma_i_mmap_unlock(from);
	platform->as_flush(mm, addr, addr + len, -1);
	return moved < len ? -ENOMEM : 0;
}

/* Move [addr, +old_len) of vma to new_addr (free, or freed by the caller), with new_len bytes there. */
static long move_vma(struct mm *mm, struct vma *vma, const struct remap *r, u64 new_addr)
{
	struct vma *to;
	int err;

	if (mm->nvmas >= MAX_MAP_COUNT - 3)
		return -ENOMEM;
	to = vma_dup(vma, mm);
	if (!to)
		return -ENOMEM;
	if (vma->file)
		to->pgoff = vma_pgoff(vma, r->addr);
	to->start = new_addr;
	to->end = new_addr + r->new_len;
	userfault_forget(to);
	to->fault_lo = to->fault_hi = to->fault_run = 0;
	vma_link(mm, to);
	err = move_entries(vma, to, r->addr, MIN(r->old_len, r->new_len));
	if (err) {
		vma_unlink(to);
		vma_free(to);
		return err;
	}
	vma_account(mm, to->flags, (s64)(r->new_len >> PAGE_SHIFT));
	if (r->flags & MREMAP_DONTUNMAP) {
		if (vma->flags & VM_LOCKED) {
			mm->locked_vm -= vma_pages(vma);
			vma->flags &= ~(VM_LOCKED | VM_LOCKONFAULT);
		}
	} else {
		err = do_munmap(mm, r->addr, r->old_len);
	}
	vma_merge_range(mm, new_addr, new_addr + r->new_len);
	return err ? err : (long)new_addr;
}

static long check_vma(struct mm *mm, struct vma *vma, const struct remap *r)
{
	if (!vma || vma->start > r->addr)
		return -EFAULT;
	/* old_len 0 doubles a shared mapping; of a private one it would make a fresh mapping */
	if (!r->old_len && !(vma->flags & VM_SHARED))
		return -EINVAL;
	if ((r->flags & MREMAP_DONTUNMAP) && (vma->flags & (VM_DONTEXPAND | VM_IO)))
		return -EINVAL;
	if (r->old_len > vma->end - r->addr)
		return -EFAULT;
	if (r->new_len == r->old_len)
		return 0;
	if (vma->file && vma_pgoff(vma, r->addr) + (r->new_len >> PAGE_SHIFT) < vma_pgoff(vma, r->addr))
		return -EINVAL;
	if (vma->flags & (VM_DONTEXPAND | VM_IO))
		return -EFAULT;
	if (r->new_len > r->old_len) {
		u64 more = r->new_len - r->old_len;

		if (mlock_future_check(mm, vma->flags, more))
			return -EAGAIN;
		if (!may_expand_vm(mm, vma->flags, more >> PAGE_SHIFT))
			return -ENOMEM;
		if ((vma->flags & VM_ACCOUNT) && !overcommit_ok(r->new_len >> PAGE_SHIFT))
			return -ENOMEM;
	}
	return 0;
}

static long remap_to(struct mm *mm, const struct remap *r)
{
	u64 addr = r->new_addr;
	struct vma *vma;
	struct remap part = *r;
	long err;

	if (addr & ~PAGE_MASK)
		return -EINVAL;
	if (r->new_len > USER_MAX || addr > USER_MAX - r->new_len)
		return -EINVAL;
	if (addr < USER_MIN)
		return -EPERM;
	if (r->addr + r->old_len > addr && addr + r->new_len > r->addr)
		return -EINVAL;
	if (mm->nvmas + 2 >= MAX_MAP_COUNT - 3)
		return -ENOMEM;
	err = do_munmap(mm, addr, r->new_len);
	if (!err && r->old_len > r->new_len) {
		err = do_munmap(mm, r->addr + r->new_len, r->old_len - r->new_len);
		part.old_len = r->new_len;
	}
	if (err)
		return err;
	vma = vma_find(mm, r->addr);
	err = check_vma(mm, vma, &part);
	return err ? err : move_vma(mm, vma, &part, addr);
}

static bool can_grow_in_place(struct vma *vma, u64 end)
{
	struct vma *next = vma_next(vma);

	return end > vma->end && end <= USER_MAX && (!next || vma_gap_start(next) >= end);
}

static long remap(struct mm *mm, const struct remap *r, u64 *populate)
{
	struct vma *vma;
	u64 at;
	long err;

	vma = vma_find(mm, r->addr);
	if (!vma || vma->start > r->addr)
		return -EFAULT;
	if (r->flags & MREMAP_FIXED)
		return remap_to(mm, r);
	if (r->old_len >= r->new_len && !(r->flags & MREMAP_DONTUNMAP)) {
		if (r->old_len > r->new_len) {
			err = do_munmap(mm, r->addr + r->new_len, r->old_len - r->new_len);
			if (err)
				return err;
		}
		return (long)r->addr;
	}
	err = check_vma(mm, vma, r);
	if (err)
		return err;
	if (r->old_len == vma->end - r->addr && r->old_len && !(r->flags & MREMAP_DONTUNMAP) &&
	    can_grow_in_place(vma, r->addr + r->new_len)) {
		u64 more = (r->new_len - r->old_len) >> PAGE_SHIFT;

		vma_resize(vma, vma->start, r->addr + r->new_len);
		vma_account(mm, vma->flags, (s64)more);
		vma_merge_range(mm, r->addr, r->addr + r->new_len);
		*populate = r->addr + r->old_len;
		return (long)r->addr;
	}
	if (!(r->flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	at = vma_find_gap(mm, r->new_len, USER_MIN, mm_mmap_top(mm), false);
	return at ? move_vma(mm, vma, r, at) : -ENOMEM;
}

SYSCALL5(mremap, u64, addr, u64, old_len, u64, new_len, u64, flags, u64, new_addr)
{
	struct remap r = { .addr = addr, .old_len = PAGE_ALIGN_UP(old_len), .new_len = PAGE_ALIGN_UP(new_len),
			   .new_addr = new_addr, .flags = (u32)flags };
	struct mm *mm = current->mm;
	u64 populate = 0;
	bool locked = false;
	long ret;

	if (flags & ~(u64)(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP))
		return -EINVAL;
	if ((flags & MREMAP_FIXED) && !(flags & MREMAP_MAYMOVE))
		return -EINVAL;
	if ((flags & MREMAP_DONTUNMAP) && (!(flags & MREMAP_MAYMOVE) || old_len != new_len))
		return -EINVAL;
	if (addr & ~PAGE_MASK || (flags & MREMAP_DONTUNMAP && new_addr & ~PAGE_MASK))
		return -EINVAL;
	if (!r.new_len || r.addr + r.old_len < r.addr)
		return -EINVAL;
	down_write(&mm->lock);
	ret = remap(mm, &r, &populate);
	if (ret >= 0) {
		struct vma *vma = vma_find(mm, (u64)ret);

		locked = vma && (vma->flags & VM_LOCKED) && !(vma->flags & VM_LOCKONFAULT);
	}
	up_write(&mm->lock);
	if (ret >= 0 && locked && r.new_len > r.old_len)
		mm_populate(mm, (u64)ret + r.old_len, (u64)ret + r.new_len, false);
	return ret;
}
