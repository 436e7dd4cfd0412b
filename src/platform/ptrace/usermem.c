/* User memory through the page table and the sandbox's mapping of all memory. */
#include "platform/ptrace/internal.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/pagetable.h"

#define LOCK_BATCH 16u /* pages copied under one hold of the page-table lock */

/* The bytes at addr with these rights, or NULL. mm->pt_lock held. */
static char *user_page(struct mm *mm, u64 addr, u64 rights)
{
	u64 *pte;

	if (addr >= USER_MAX)
		return NULL;
	pte = pt_lookup(mm, addr);
	if (!pte || (*pte & rights) != rights)
		return NULL;
	return (char *)pa_to_va(pte_pa(*pte)) + (addr & ~PAGE_MASK);
}

/* Bytes not copied. */
static size_t copy_user(struct mm *mm, u64 uaddr, char *kaddr, size_t n, bool to_user)
{
	u64 rights = PTE_P | PTE_U | (to_user ? PTE_W : 0);

	while (n) {
		u32 batch = LOCK_BATCH;

		spin_lock(&mm->pt_lock);
		for (; n && batch; batch--) {
			size_t len = MIN(n, PAGE_SIZE - (uaddr & ~PAGE_MASK));
			char *page = user_page(mm, uaddr, rights);

			if (!page) {
				spin_unlock(&mm->pt_lock);
				return n;
			}
			if (to_user)
				memcpy(page, kaddr, len);
			else
				memcpy(kaddr, page, len);
			uaddr += len;
			kaddr += len;
			n -= len;
		}
		spin_unlock(&mm->pt_lock);
	}
	return 0;
}

size_t pt_copy_from_user(struct mm *mm, void *dst, u64 src, size_t n)
{
	return copy_user(mm, src, dst, n, false);
}

size_t pt_copy_to_user(struct mm *mm, u64 dst, const void *src, size_t n)
{
	return copy_user(mm, dst, (char *)src, n, true);
}

size_t peek_code(struct mm *mm, u64 rip, u8 *buf, size_t n)
{
	return n - copy_user(mm, rip, (char *)buf, n, false);
}

int pt_cmpxchg_user32(struct mm *mm, u64 addr, u32 old, u32 new, u32 *prev)
{
	_Atomic u32 *word;

	spin_lock(&mm->pt_lock);
	word = (_Atomic u32 *)user_page(mm, addr, PTE_P | PTE_U | PTE_W);
	if (word) {
		*prev = old;
		atomic_compare_exchange_strong(word, prev, new);
	}
	spin_unlock(&mm->pt_lock);
	return word ? 0 : -EFAULT;
}
