/* User memory: the current address space directly, with a fixup for faults; another one through its tables. */
#include "platform/kvm/guest.h"

#include <asm/errno.h>

#include "base/memops.h"
#include "base/string.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/pagetable.h"

/* From here to uaccess_end() translations of c->as may be used (see guest_as.c). */
static void uaccess_begin(struct kvm_pcpu *c)
{
	struct kvm_comm *comm = c->comm;

	for (;;) {
		atomic_exchange(&comm->state, KVM_STATE_UACCESS);
		if (likely(!(atomic_load(&comm->kick) & KVM_KICK_FLUSH)))
			break;
		atomic_store(&comm->state, KVM_STATE_KERNEL);
		atomic_fetch_and(&comm->kick, ~(u32)KVM_KICK_FLUSH);
		kvm_as_flush_all(c);
	}
	if (c->flags & KVM_F_SMAP)
		__asm__ volatile("stac" : : : "memory");
}

static void uaccess_end(struct kvm_pcpu *c)
{
	if (c->flags & KVM_F_SMAP)
		__asm__ volatile("clac" : : : "memory");
	atomic_store_explicit(&c->comm->state, KVM_STATE_KERNEL, memory_order_release);
}

/* Make mm's memory directly accessible; false when it is another task's. */
static bool make_direct(struct kvm_pcpu *c, struct mm *mm)
{
	if (likely(c->as == mm->arch.priv))
		return true;
	if (current->mm != mm)
		return false;
	kvm_as_use(c, mm->arch.priv);
	return true;
}

/* Through the tables page by page, so that memcpy() can have the host copy: where ring 0 is emulated. */
static bool prefer_tables(size_t n)
{
	return unlikely(n >= MEM_BULK_MIN && mem_bulk_copy);
}

/* The part of [addr, addr + n) that lies below USER_MAX. */
static size_t user_part(u64 addr, size_t n)
{
	if (addr >= USER_MAX)
		return 0;
	return MIN(n, USER_MAX - addr);
}

/* Copies inside one page of another address space; false when it is not mapped so. */
static bool copy_page_remote(struct mm *mm, u64 addr, void *buf, size_t n, bool write)
{
	bool ok = false;
	u64 *pte;

	spin_lock(&mm->pt_lock);
	pte = pt_lookup(mm, addr);
	if (pte && pte_present(*pte) && (!write || (*pte & PTE_W))) {
		char *at = (char *)pa_to_va(pte_pa(*pte)) + (addr & ~PAGE_MASK);

		memcpy(write ? at : buf, write ? buf : at, n);
		ok = true;
	}
	spin_unlock(&mm->pt_lock);
	return ok;
}

static size_t copy_remote(struct mm *mm, u64 addr, void *buf, size_t n, bool write)
{
	size_t chunk;

	for (; n; n -= chunk, addr += chunk, buf = (char *)buf + chunk) {
		chunk = MIN(n, PAGE_SIZE - (addr & ~PAGE_MASK));
		if (!copy_page_remote(mm, addr, buf, chunk, write))
			break;
	}
	return n;
}

size_t kvm_copy_from_user(struct mm *mm, void *dst, u64 src, size_t n)
{
	struct kvm_pcpu *c = this_pcpu();
	size_t in = user_part(src, n), left;

	if (prefer_tables(in) || unlikely(!make_direct(c, mm)))
		return n - in + copy_remote(mm, src, dst, in, false);
	uaccess_begin(c);
	left = kvm_copy(dst, (const void *)src, in);
	uaccess_end(c);
	return n - in + left;
}

size_t kvm_copy_to_user(struct mm *mm, u64 dst, const void *src, size_t n)
{
	struct kvm_pcpu *c = this_pcpu();
	size_t in = user_part(dst, n), left;

	if (prefer_tables(in) || unlikely(!make_direct(c, mm)))
		return n - in + copy_remote(mm, dst, (void *)src, in, true);
	uaccess_begin(c);
	left = kvm_copy((void *)dst, src, in);
	uaccess_end(c);
	return n - in + left;
}

static int cmpxchg_remote(struct mm *mm, u64 addr, u32 old, u32 new, u32 *prev)
{
	int ret = -EFAULT;
	u64 *pte;

	spin_lock(&mm->pt_lock);
	pte = pt_lookup(mm, addr);
	if (pte && pte_present(*pte) && (*pte & PTE_W)) {
		_Atomic u32 *at = (void *)((char *)pa_to_va(pte_pa(*pte)) + (addr & ~PAGE_MASK));

		*prev = old;
		atomic_compare_exchange_strong(at, prev, new);
		ret = 0;
	}
	spin_unlock(&mm->pt_lock);
	return ret;
}

int kvm_cmpxchg_user32(struct mm *mm, u64 addr, u32 old, u32 new, u32 *prev)
{
	struct kvm_pcpu *c = this_pcpu();
	int ret;

	if (user_part(addr, 4) != 4 || (addr & 3))
		return -EFAULT;
	if (unlikely(!make_direct(c, mm)))
		return cmpxchg_remote(mm, addr, old, new, prev);
	uaccess_begin(c);
	ret = kvm_cmpxchg32((u32 *)addr, old, new, prev);
	uaccess_end(c);
	return ret;
}
