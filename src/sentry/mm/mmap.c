/* mmap(2), munmap(2), brk(2) and the limits that they keep. */
#include <asm/errno.h>
#include <linux/mman.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/resource.h>

#include "base/log.h"
#include "base/string.h"
#include "hostcall.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/frames.h"
#include "sentry/mm/internal.h"
#include "sentry/mm/pagetable.h"
#include "sentry/mm/shmem.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/vfs.h"

#define MAP_TYPE_MASK 0x0fu
#define MAX_FILE_PAGES ((1ull << (63 - PAGE_SHIFT)) - 1) /* a file ends below the greatest loff_t */
#define MAP_KNOWN_FLAGS                                                                        \
	(MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE | MAP_GROWSDOWN | MAP_LOCKED | \
	 MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB | MAP_32BIT | (0x3fu << MAP_HUGE_SHIFT))

u64 mm_mmap_top(struct mm *mm)
{
	return mm->mmap_base ? mm->mmap_base : USER_MAX - (128ul << 20);
}

/* ---- limits ---- */

/* A single mapping larger than all memory, of the machine where a container is limited to less, is refused, as vm.overcommit_memory=0 does (proc(5)). */
bool overcommit_ok(u64 pages)
{
	return pages <= MAX(frames_total(), boot_params->machine_memory >> PAGE_SHIFT) || settings.overcommit_memory == 1;
}

bool may_expand_vm(struct mm *mm, u32 flags, u64 pages)
{
	if (mm->total_vm + pages > rlimit(RLIMIT_AS) >> PAGE_SHIFT)
		return false;
	if ((flags & (VM_WRITE | VM_SHARED | VM_GROWSDOWN)) == VM_WRITE &&
	    mm->data_vm + pages > rlimit(RLIMIT_DATA) >> PAGE_SHIFT)
		return false;
	return true;
}

long mlock_future_check(struct mm *mm, u32 flags, u64 bytes)
{
	if (!(flags & VM_LOCKED))
		return 0;
	if (mm->locked_vm + (bytes >> PAGE_SHIFT) > rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT && !capable(CAP_IPC_LOCK))
		return -EAGAIN;
	return 0;
}

/* ---- where ---- */

static long find_area(struct mm *mm, u64 addr, u64 len, u32 flags)
{
	u64 found;

	if (len > USER_MAX - USER_MIN)
		return -ENOMEM;
	if (flags & MAP_FIXED) {
		if (addr & ~PAGE_MASK)
			return -EINVAL;
		if (addr > USER_MAX - len)
			return -ENOMEM;
		return addr < USER_MIN ? -EPERM : (long)addr;
	}
	if (flags & MAP_32BIT) { /* the second gigabyte, from below (mmap(2)) */
		found = vma_find_gap(mm, len, 0x40000000, 0x80000000, true);
		return found ? (long)found : -ENOMEM;
	}
	if (addr) {
		struct vma *vma;

		addr = MAX(PAGE_ALIGN_UP(addr), USER_MIN);
		vma = vma_find(mm, addr);
		if (addr <= USER_MAX - len && (!vma || vma_gap_start(vma) >= addr + len)) {
			struct vma *prev = vma ? vma_prev(vma) : NULL;

			if (!prev || prev->end <= addr)
				return (long)addr;
		}
	}
	found = vma_find_gap(mm, len, USER_MIN, mm_mmap_top(mm), false);
	if (!found) /* the lower part is full: what lies above the base, up to the stack, is left */
		found = vma_find_gap(mm, len, mm_mmap_top(mm), USER_MAX, true);
	return found ? (long)found : -ENOMEM;
}

/* ---- what ---- */

static long file_flags(struct file *file, u32 prot, u32 flags, u32 *vm_flags)
{
	u32 type = flags & MAP_TYPE_MASK;

	if (type == MAP_SHARED_VALIDATE) {
		if (flags & ~(MAP_KNOWN_FLAGS | MAP_SHARED_VALIDATE))
			return -EOPNOTSUPP;
		type = MAP_SHARED;
	}
	if (type != MAP_SHARED && type != MAP_PRIVATE)
		return -EINVAL;
	if (type == MAP_SHARED) {
		if ((prot & PROT_WRITE) && !(file->mode & FMODE_WRITE))
			return -EACCES;
		*vm_flags |= VM_SHARED | VM_MAYSHARE;
		if (!(file->mode & FMODE_WRITE))
			*vm_flags &= ~VM_MAYWRITE;
	}
	if (!(file->mode & FMODE_READ))
		return -EACCES;
	if (file->path.mnt && (file->path.mnt->flags & MS_NOEXEC)) {
		if (prot & PROT_EXEC)
			return -EPERM;
		*vm_flags &= ~VM_MAYEXEC;
	}
	if (!file->fop->mmap)
		return -ENODEV;
	return flags & MAP_GROWSDOWN ? -EINVAL : 0;
}

static long anon_flags(u32 flags, u32 *vm_flags)
{
	u32 type = flags & MAP_TYPE_MASK;

	if (type == MAP_SHARED) {
		if (flags & MAP_GROWSDOWN)
			return -EINVAL;
		*vm_flags |= VM_SHARED | VM_MAYSHARE;
		return 0;
	}
	return type == MAP_PRIVATE ? 0 : -EINVAL;
}

/* Enlarge the anonymous VMA right below instead of making a new one. */
static bool extend_prev(struct mm *mm, u64 addr, u64 len, u32 vm_flags)
{
	struct vma *next = vma_find(mm, addr), *prev = next ? vma_prev(next) : NULL;

	if (!next) {
		prev = vma_find(mm, addr - 1);
	}
	if (!prev || prev->end != addr || prev->file || prev->ops || prev->flags != vm_flags || prev->anon_name)
		return false;
	vma_resize(prev, prev->start, addr + len);
	return true;
}

/* Make the VMA; the range is free. */
static long map_region(struct mm *mm, u64 addr, u64 len, u32 vm_flags, struct file *file, u64 pgoff)
{
	struct vma *vma;
	int err;

	if (!file && !(vm_flags & VM_GROWSDOWN) && extend_prev(mm, addr, len, vm_flags)) {
		vma_account(mm, vm_flags, (s64)(len >> PAGE_SHIFT));
		vma_merge_range(mm, addr + len, addr + len);
		return (long)addr;
	}
	vma = vma_alloc(mm, addr, addr + len, vm_flags);
	if (!vma)
		return -ENOMEM;
	if (file) {
		vma->file = file_get(file);
		vma->pgoff = pgoff;
		err = file->fop->mmap(file, vma);
		if (err) {
			vma->ops = NULL;
			vma_free(vma);
			return err;
		}
	}
	vma_link(mm, vma);
	vma_account(mm, vma->flags, (s64)(len >> PAGE_SHIFT));
	vma_merge_range(mm, addr, addr + len);
	if (file)
		file_map_ahead(mm, addr);
	return (long)addr;
}

/* mm->lock held for writing; len is page aligned. */
static long do_mmap(struct mm *mm, u64 addr, u64 len, u32 prot, u32 flags, struct file *file, u64 pgoff)
{
	u32 vm_flags = prot_vm_flags(prot) | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | (u32)mm->def_flags;
	struct vma *there;
	long err, at;

	if (mm->nvmas >= MAX_MAP_COUNT)
		return -ENOMEM;
	at = find_area(mm, addr, len, flags);
	if (at < 0)
		return at;
	there = vma_find(mm, (u64)at);
	if ((flags & MAP_FIXED_NOREPLACE) && there && there->start < (u64)at + len)
		return -EEXIST;
	if (flags & MAP_LOCKED)
		vm_flags |= VM_LOCKED;
	if ((flags & MAP_LOCKED) && !capable(CAP_IPC_LOCK) && !rlimit(RLIMIT_MEMLOCK))
		return -EPERM;
	err = mlock_future_check(mm, vm_flags, len);
	if (err)
		return err;
	if (file && pgoff + (len >> PAGE_SHIFT) > MAX_FILE_PAGES)
		return -EOVERFLOW;
	err = file ? file_flags(file, prot, flags, &vm_flags) : anon_flags(flags, &vm_flags);
	if (err)
		return err;
	if ((flags & MAP_GROWSDOWN) && !file)
		vm_flags |= VM_GROWSDOWN;
	if (flags & MAP_NORESERVE)
		vm_flags |= VM_NORESERVE;
	if (!may_expand_vm(mm, vm_flags, len >> PAGE_SHIFT))
		return -ENOMEM;
	if ((vm_flags & (VM_WRITE | VM_SHARED | VM_NORESERVE)) == VM_WRITE) {
		if (!overcommit_ok(len >> PAGE_SHIFT))
			return -ENOMEM;
		vm_flags |= VM_ACCOUNT;
	}
	if (there && there->start < (u64)at + len) {
		err = do_munmap(mm, (u64)at, len);
		if (err)
			return err;
	}
	return map_region(mm, (u64)at, len, vm_flags, file, pgoff);
}

long mm_mmap(struct mm *mm, u64 addr, u64 len, u32 prot, u32 flags, struct file *file, u64 off)
{
	struct file *shared = NULL;
	bool populate = flags & MAP_POPULATE && !(flags & MAP_NONBLOCK);
	long at;

	if (!len)
		return -EINVAL;
	if (PAGE_ALIGN_UP(len) < len)
		return -ENOMEM;
	len = PAGE_ALIGN_UP(len);
	if (off & ~PAGE_MASK)
		return -EINVAL;
	if (flags & MAP_FIXED_NOREPLACE)
		flags |= MAP_FIXED;
	if (!file && (flags & MAP_TYPE_MASK) == MAP_SHARED) {
		if (len > USER_MAX || (!(flags & MAP_NORESERVE) && !overcommit_ok(len >> PAGE_SHIFT)))
			return -ENOMEM;
		/* Memory that is shared through fork is a file without a name, as in Linux. */
		shared = shmem_file_new("/dev/zero (deleted)", len);
		if (IS_ERR(shared))
			return PTR_ERR(shared);
		file = shared;
		off = 0;
	}
	down_write(&mm->lock);
	at = do_mmap(mm, addr, len, prot, flags, file, off >> PAGE_SHIFT);
	populate |= at >= 0 && (mm->def_flags & VM_LOCKED) && !(mm->def_flags & VM_LOCKONFAULT);
	up_write(&mm->lock);
	if (shared)
		file_put(shared);
	if (at >= 0 && (populate || (flags & MAP_LOCKED)))
		mm_populate(mm, (u64)at, (u64)at + len, false);
	return at;
}

SYSCALL6(mmap, u64, addr, u64, len, u64, prot, u64, flags, s32, fd, u64, off)
{
	struct file *file = NULL;
	long ret;

	if (off & ~PAGE_MASK)
		return -EINVAL;
	if (!(flags & MAP_ANONYMOUS)) {
		file = fget(fd);
		if (!file)
			return -EBADF;
		if (flags & MAP_HUGETLB) {
			file_put(file);
			return -EINVAL;
		}
	} else if (flags & MAP_HUGETLB) {
		return len ? -ENOMEM : -EINVAL; /* no huge pages are set aside */
	}
	if ((current->proc->personality & 0x0400000 /* READ_IMPLIES_EXEC */) && (prot & PROT_READ))
		prot |= PROT_EXEC;
	ret = mm_mmap(current->mm, addr, len, (u32)prot & (PROT_READ | PROT_WRITE | PROT_EXEC),
		      (u32)flags, file, off);
	if (file)
		file_put(file);
	return ret;
}

/* ---- munmap ---- */

long do_munmap(struct mm *mm, u64 start, u64 len)
{
	u64 end = start + len;
	struct vma *vma = vma_find(mm, start), *next;
	struct mmu_gather g;

	if (!vma || vma->start >= end)
		return 0;
	if (start > vma->start && end < vma->end && mm->nvmas >= MAX_MAP_COUNT)
		return -ENOMEM;
	if (vma_split_range(mm, start, end))
		return -ENOMEM;
	gather_start(&g, mm);
	for (vma = vma_find(mm, start); vma && vma->start < end; vma = next) {
		next = vma_next(vma);
		/* First out of the file's list, so that truncation does not look for entries while tables go. */
		vma_unlink(vma);
		vma_account(mm, vma->flags, -(s64)vma_pages(vma));
		gather_range(&g, vma->start, vma->end, true);
		vma_free(vma);
	}
	gather_finish(&g);
	return 0;
}

long mm_munmap(struct mm *mm, u64 addr, u64 len)
{
	long err;

	if ((addr & ~PAGE_MASK) || addr > USER_MAX || len > USER_MAX - addr)
		return -EINVAL;
	len = PAGE_ALIGN_UP(len);
	if (!len)
		return -EINVAL;
	down_write(&mm->lock);
	err = do_munmap(mm, addr, len);
	up_write(&mm->lock);
	return err;
}

SYSCALL2(munmap, u64, addr, u64, len)
{
	return mm_munmap(current->mm, addr, len);
}

/* ---- brk ---- */

long mm_brk(struct mm *mm, u64 brk)
{
	u32 flags = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_ACCOUNT;
	u64 old_end, new_end;
	struct vma *next;
	bool populate = false;
	long ret;

	down_write(&mm->lock);
	flags |= (u32)mm->def_flags;
	ret = (long)mm->brk;
	if (brk < mm->start_brk || brk > USER_MAX)
		goto out;
	if (brk - mm->start_brk > rlimit(RLIMIT_DATA))
		goto out;
	old_end = PAGE_ALIGN_UP(mm->brk);
	new_end = PAGE_ALIGN_UP(brk);
	if (new_end < old_end && do_munmap(mm, new_end, old_end - new_end))
		goto out;
	if (new_end > old_end) {
		u64 len = new_end - old_end;

		next = vma_find(mm, old_end);
		if (next && vma_gap_start(next) < new_end + PAGE_SIZE)
			goto out;
		if (mlock_future_check(mm, flags, len) || !may_expand_vm(mm, flags, len >> PAGE_SHIFT) ||
		    !overcommit_ok(len >> PAGE_SHIFT) || mm->nvmas >= MAX_MAP_COUNT)
			goto out;
		if (map_region(mm, old_end, len, flags, NULL, 0) < 0)
			goto out;
		populate = flags & VM_LOCKED;
	}
	mm->brk = brk;
	ret = (long)brk;
out:
	up_write(&mm->lock);
	if (populate)
		mm_populate(mm, old_end, new_end, false);
	return ret;
}

SYSCALL1(brk, u64, brk)
{
	return mm_brk(current->mm, brk);
}

/* ---- mappings of the sentry's own frames ---- */

struct special_map {
	refcount_t ref;
	u32 n;
	const char *name;
	struct page *page[];
};

static struct page *special_fault(struct vma *vma, u64 pgoff, bool write)
{
	struct special_map *s = vma->priv;

	if (pgoff >= s->n || write)
		return ERR_PTR(-ENXIO);
	page_get(s->page[pgoff]);
	return s->page[pgoff];
}

static void special_open(struct vma *vma)
{
	refcount_inc(&((struct special_map *)vma->priv)->ref);
}

static void special_close(struct vma *vma)
{
	struct special_map *s = vma->priv;

	if (!refcount_dec_and_test(&s->ref))
		return;
	for (u32 i = 0; i < s->n; i++)
		page_put(s->page[i]);
	kfree(s);
}

static const char *special_name(struct vma *vma)
{
	return ((struct special_map *)vma->priv)->name;
}

const struct vm_ops special_vm_ops = {
	.fault = special_fault,
	.open = special_open,
	.close = special_close,
	.name = special_name,
};

bool mm_is_mapped_as(struct mm *mm, u64 addr, const char *name)
{
	struct vma *vma;
	bool is;

	down_read(&mm->lock);
	vma = vma_find(mm, addr);
	is = vma && vma->start == addr && vma->end == addr + PAGE_SIZE && vma->ops == &special_vm_ops && special_name(vma) == name;
	up_read(&mm->lock);
	return is;
}

static struct special_map *special_new(struct page *const *pages, u32 n, const char *name)
{
	struct special_map *s = kmalloc(sizeof(*s) + n * sizeof(s->page[0]));

	if (!s)
		return NULL;
	refcount_set(&s->ref, 1);
	s->n = n;
	s->name = name;
	for (u32 i = 0; i < n; i++) {
		s->page[i] = pages[i];
		page_get(pages[i]);
	}
	return s;
}

long mm_map_pages(struct mm *mm, u64 addr, struct page *const *pages, u32 n, u32 prot, const char *name)
{
	u64 len = (u64)n << PAGE_SHIFT;
	struct special_map *s = special_new(pages, n, name);
	struct vma *vma = NULL;
	long at;

	if (!s)
		return -ENOMEM;
	down_write(&mm->lock);
	at = find_area(mm, addr, len, 0);
	if (at >= 0)
		vma = vma_alloc(mm, (u64)at, (u64)at + len,
				prot_vm_flags(prot) | VM_MAYREAD | VM_MAYEXEC | VM_DONTEXPAND);
	if (vma) {
		u64 done;

		vma->ops = &special_vm_ops;
		vma->priv = s;
		vma_link(mm, vma);
		vma_account(mm, vma->flags, n);
		spin_lock(&mm->pt_lock);
		for (u32 i = 0; i < n; i++) /* what is not mapped now comes by a fault */
			if (!pt_map(mm, (u64)at + i * PAGE_SIZE, page_to_pa(pages[i]), 1, prot, PTE_SPECIAL, &done))
				platform->as_fill(mm, (u64)at + i * PAGE_SIZE, page_to_pa(pages[i]), 1, prot);
		spin_unlock(&mm->pt_lock);
	} else {
		for (u32 i = 0; i < n; i++)
			page_put(pages[i]);
		kfree(s);
	}
	up_write(&mm->lock);
	return vma || at < 0 ? at : -ENOMEM;
}
