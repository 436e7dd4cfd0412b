/* User memory: the current address space directly, with a fixup for faults; another one through its tables. */
#include "platform/kvm/guest.h"

#include <asm/errno.h>

#include "base/memops.h"
#include "base/string.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/pagetable.h"

/* Someone waits for this vCPU to drop translations before it uses more of them: called from kvm_copy() and kvm_cmpxchg32(). */
void kvm_flush_own(void)
{
	struct kvm_pcpu *c = this_pcpu();

	atomic_store(&c->comm->state, KVM_STATE_KERNEL);
	atomic_fetch_and(&c->comm->kick, ~(u32)KVM_KICK_FLUSH);
	kvm_as_flush_all(c);
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

/* Loaded in this CPU, and not for the host half to copy. */
static bool is_direct(const struct mm *mm, u64 addr, size_t n)
{
	return likely(this_pcpu()->as == mm->arch.priv) && !prefer_tables(n) && n <= USER_MAX && addr <= USER_MAX - n;
}

static size_t copy_from_slow(struct mm *mm, void *dst, u64 src, size_t n)
{
	size_t in = user_part(src, n);

	if (prefer_tables(in) || !make_direct(this_pcpu(), mm))
		return n - in + copy_remote(mm, src, dst, in, false);
	return n - in + kvm_copy(dst, (const void *)src, in);
}

static size_t copy_to_slow(struct mm *mm, u64 dst, const void *src, size_t n)
{
	size_t in = user_part(dst, n);

	if (prefer_tables(in) || !make_direct(this_pcpu(), mm))
		return n - in + copy_remote(mm, dst, (void *)src, in, true);
	return n - in + kvm_copy((void *)dst, src, in);
}

size_t kvm_copy_from_user(struct mm *mm, void *dst, u64 src, size_t n)
{
	if (likely(is_direct(mm, src, n)))
		return kvm_copy(dst, (const void *)src, n);
	return copy_from_slow(mm, dst, src, n);
}

size_t kvm_copy_to_user(struct mm *mm, u64 dst, const void *src, size_t n)
{
	if (likely(is_direct(mm, dst, n)))
		return kvm_copy((void *)dst, src, n);
	return copy_to_slow(mm, dst, src, n);
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
	if (user_part(addr, 4) != 4 || (addr & 3))
		return -EFAULT;
	if (unlikely(!make_direct(this_pcpu(), mm)))
		return cmpxchg_remote(mm, addr, old, new, prev);
	return kvm_cmpxchg32((u32 *)addr, old, new, prev);
}
