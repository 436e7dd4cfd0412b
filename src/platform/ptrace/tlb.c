/* Address spaces: the stub's host mappings as a TLB in front of the sentry's page table. */
#include <linux/mman.h>

#include "platform/ptrace/internal.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/pagetable.h"

#define PREFILL_OPS 96u
#define PTE_RIGHTS (PTE_P | PTE_W | PTE_U | PTE_NX)

int pt_as_create(struct mm *mm)
{
	struct unit *unit = unit_alloc(this_vcpu());

	if (!unit)
		return -EAGAIN;
	mm->arch.priv = unit;
	return 0;
}

/* A pooled process filled from the child's page table in one batch costs less than forking the parent's stub and ending
 * it later; the batch is made up when the child first runs. */
int pt_as_fork(struct mm *parent, struct mm *child)
{
	struct unit *unit;
	int ret;

	(void)parent;
	if (!child->arch.priv) {
		ret = pt_as_create(child);
		if (ret < 0)
			return ret;
	}
	unit = child->arch.priv;
	unit->prefill = true;
	return 0;
}

void pt_as_destroy(struct mm *mm)
{
	struct unit *unit = mm->arch.priv;

	mm->arch.priv = NULL;
	if (unit)
		unit_free(unit);
}

void pt_as_fill(struct mm *mm, u64 addr, u64 pa, u64 npages, u32 prot)
{
	struct unit *unit = mm->arch.priv;

	if (!unit || addr >= USER_MAX || npages > (USER_MAX - addr) >> PAGE_SHIFT)
		return;
	spin_lock(&unit->lock);
	ops_fill(unit, addr, pa, npages, prot & ~AS_FILL_LATER);
	if (!(prot & AS_FILL_LATER))
		unit->urgent = true;
	spin_unlock(&unit->lock);
}

struct protect_walk {
	struct unit *unit;
	u64 start, end; /* the run so far */
	u32 prot;
};

static void protect_flush(struct protect_walk *w)
{
	if (w->end > w->start)
		ops_protect(w->unit, w->start, w->end, w->prot);
}

/* Only what is in the page table can be mapped in the stub; mprotect(2) fails over holes. */
static void protect_one(void *arg, u64 va, u64 *pte)
{
	struct protect_walk *w = arg;

	(void)pte;
	if (va == w->end) {
		w->end += PAGE_SIZE;
		return;
	}
	protect_flush(w);
	w->start = va;
	w->end = va + PAGE_SIZE;
}

static void queue_protect(struct unit *unit, struct mm *mm, u64 start, u64 end, u32 prot)
{
	struct protect_walk w = { .unit = unit, .prot = prot };

	pt_for_each(mm, start, end, protect_one, &w);
	protect_flush(&w);
}

void pt_as_flush(struct mm *mm, u64 start, u64 end, int prot)
{
	struct unit *unit = mm->arch.priv;
	struct vcpu *v = this_vcpu();
	u64 others;

	end = MIN(end, USER_MAX);
	if (!unit || start >= end)
		return;
	/* Rights to write may be the VMA's and not yet each entry's (copy on write): let faults bring them. */
	if (prot >= 0 && !(prot & PROT_WRITE)) {
		spin_lock(&mm->pt_lock);
		spin_lock(&unit->lock);
		queue_protect(unit, mm, start, end, (u32)prot);
		spin_unlock(&mm->pt_lock);
	} else {
		spin_lock(&unit->lock);
		ops_unmap(unit, start, end);
	}
	others = atomic_load(&unit->in_user) & ~(1ull << v->cpu);
	if (others) {
		struct stub *stub = unit_get_stub(unit, v, NULL);

		if (!stub || !ops_run(unit, stub, v))
			unit->dead = true;
	}
	spin_unlock(&unit->lock);
}

/* Do entries `a` and `b`, n pages apart, continue one mapping? */
static bool same_run(u64 a, u64 b, u64 n)
{
	return (b & PTE_RIGHTS) == (a & PTE_RIGHTS) && pte_pa(b) == pte_pa(a) + n * PAGE_SIZE;
}

static void fill_run(struct unit *unit, u64 addr, const u64 *pte)
{
	u64 index = (addr >> PAGE_SHIFT) & (PT_ENTRIES - 1), before = 0, after = 1;

	while (before < index && same_run(pte[-(s64)before - 1], pte[0], before + 1))
		before++;
	while (index + after < PT_ENTRIES && same_run(pte[0], pte[after], after))
		after++;
	ops_fill(unit, addr - before * PAGE_SIZE, pte_pa(*pte) - before * PAGE_SIZE, before + after, pte_prot(*pte));
}

bool fill_from_table(struct unit *unit, struct mm *mm, u64 addr, bool write, bool exec)
{
	bool ok = false;
	u64 *pte;

	if (addr >= USER_MAX)
		return false;
	addr &= PAGE_MASK;
	spin_lock(&mm->pt_lock);
	pte = pt_lookup(mm, addr);
	if (pte && (*pte & (PTE_P | PTE_U)) == (PTE_P | PTE_U) && (!write || (*pte & PTE_W)) &&
	    (!exec || !(*pte & PTE_NX))) {
		spin_lock(&unit->lock);
		if (!ops_will_fill(unit, addr))
			fill_run(unit, addr, pte);
		unit->urgent = true;
		spin_unlock(&unit->lock);
		ok = true;
	}
	spin_unlock(&mm->pt_lock);
	return ok;
}

struct prefill_walk {
	struct unit *unit;
	u64 addr, pa, pages, rights; /* the run so far */
};

static void prefill_flush(struct prefill_walk *w)
{
	if (w->pages && w->unit->nops < PREFILL_OPS)
		ops_fill(w->unit, w->addr, w->pa, w->pages, pte_prot(w->rights));
	w->pages = 0;
}

static void prefill_one(void *arg, u64 va, u64 *pte)
{
	struct prefill_walk *w = arg;

	if (!(*pte & PTE_P) || w->unit->nops >= PREFILL_OPS)
		return;
	if (w->pages && va == w->addr + w->pages * PAGE_SIZE && (*pte & PTE_RIGHTS) == w->rights &&
	    pte_pa(*pte) == w->pa + w->pages * PAGE_SIZE) {
		w->pages++;
		return;
	}
	prefill_flush(w);
	w->addr = va;
	w->pa = pte_pa(*pte);
	w->rights = *pte & PTE_RIGHTS;
	w->pages = 1;
}

void unit_prefill(struct unit *unit, struct mm *mm)
{
	struct prefill_walk w = { .unit = unit };

	spin_lock(&mm->pt_lock);
	spin_lock(&unit->lock);
	if (unit->prefill) {
		unit->prefill = false;
		pt_for_each(mm, 0, USER_MAX, prefill_one, &w);
		prefill_flush(&w);
	}
	spin_unlock(&unit->lock);
	spin_unlock(&mm->pt_lock);
}
