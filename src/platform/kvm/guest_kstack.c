/*
 * Kernel stacks: slots of KSTACK_SIZE in a region of their own, mapped by 4 KiB pages, the lowest page of each left out.
 * A freed stack keeps its pages and is used again first: unmapping would need a shoot-down on every vCPU.
 */
#include "platform/kvm/guest.h"

#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/pagetable.h"

#define KSTACK_REGION (512ul << 30) /* one top-level entry */

static spinlock_t kstack_lock;
static u64 *pdpt;
static u64 next_slot;	  /* first address never used */
static void **free_stacks; /* each holds the next in its first mapped word */

void kvm_kstack_setup(struct kvm_pcpu *c)
{
	pdpt = pa_to_va(c->kstack_pdpt_pa);
	next_slot = KVM_KSTACKS;
}

static u64 *next_level(u64 *table, u32 index)
{
	if (!(table[index] & PTE_P)) {
		struct page *page = frame_alloc(0, FRAME_ZERO);

		if (!page)
			return NULL;
		WRITE_ONCE(table[index], page_to_pa(page) | PTE_P | PTE_W | PTE_A);
	}
	return pa_to_va(table[index] & PTE_ADDR);
}

static bool map_page(u64 va)
{
	u64 *pd = next_level(pdpt, (va >> 30) & 511), *pt;
	struct page *page;

	if (!pd)
		return false;
	pt = next_level(pd, (va >> 21) & 511);
	if (!pt)
		return false;
	if (pt[(va >> 12) & 511] & PTE_P)
		return true; /* an earlier try got this far */
	page = frame_alloc(0, 0);
	if (!page)
		return false;
	WRITE_ONCE(pt[(va >> 12) & 511], page_to_pa(page) | PTE_P | PTE_W | PTE_A | PTE_D | PTE_G | PTE_NX);
	return true;
}

static void *new_stack(void)
{
	u64 base = next_slot;

	if (base >= KVM_KSTACKS + KSTACK_REGION)
		return NULL;
	for (u64 va = base + PAGE_SIZE; va < base + KSTACK_SIZE; va += PAGE_SIZE)
		if (!map_page(va))
			return NULL;
	next_slot = base + KSTACK_SIZE;
	return (void *)base;
}

void *kvm_kstack_alloc(void)
{
	void *base;

	spin_lock(&kstack_lock);
	if (free_stacks) {
		base = (char *)free_stacks - PAGE_SIZE;
		free_stacks = *free_stacks;
	} else {
		base = new_stack();
	}
	spin_unlock(&kstack_lock);
	return base;
}

void kvm_kstack_free(void *base)
{
	void **link = (void **)((char *)base + PAGE_SIZE);

	spin_lock(&kstack_lock);
	*link = free_stacks;
	free_stacks = link;
	spin_unlock(&kstack_lock);
}
