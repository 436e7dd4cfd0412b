/*
 * Address spaces: the hardware walks the sentry's own tables, so all there is to do is CR3 and stale translations.
 *
 * Shoot-down: a vCPU's `state` says whether it may be using user translations right now (in user mode, or in a user copy).
 * as_flush() sets KVM_KICK_FLUSH for each vCPU that has the tables loaded and waits only for those in one of these states;
 * the others flush before they enter one, as both do "write mine, barrier, read yours". Flushing happens in state KERNEL.
 */
#include "platform/kvm/guest.h"

#include <asm/errno.h>

#include "sentry/mm/mm.h"
#include "sentry/mm/pagetable.h"

/* Above this many pages, reloading CR3 is cheaper. */
#define INVLPG_MAX 32
#define SPINS_BEFORE_YIELD 200
#define SPINS_BEFORE_KICK (1000 * SPINS_BEFORE_YIELD)

static void as_put(struct kvm_as *as)
{
	struct mm tables = { .arch = { .root_pa = as->root_pa } };

	if (!refcount_dec_and_test(&as->ref))
		return;
	pt_free(&tables);
	kfree(as);
}

int kvm_as_create(struct mm *mm)
{
	struct kvm_as *as = kzalloc(sizeof(*as));

	if (!as)
		return -ENOMEM;
	refcount_set(&as->ref, 1);
	as->root_pa = mm->arch.root_pa;
	mm->arch.priv = as;
	return 0;
}

/* The tables were copied by the caller, and the parent's lost rights flushed. */
int kvm_as_fork(struct mm *parent, struct mm *child)
{
	(void)parent;
	return kvm_as_create(child);
}

/* The tables go when the last vCPU has left them: here, or in kvm_as_use(). */
void kvm_as_destroy(struct mm *mm)
{
	struct kvm_pcpu *c = this_pcpu();
	struct kvm_as *as = mm->arch.priv;

	if (!as)
		return;
	mm->arch.priv = NULL;
	mm->arch.root_pa = 0;
	if (c->as == as)
		kvm_as_use(c, NULL);
	as_put(as);
}

void kvm_as_fill(struct mm *mm, u64 addr, u64 pa, u64 npages, u32 prot)
{
	(void)mm;
	(void)addr;
	(void)pa;
	(void)npages;
	(void)prot;
}

void kvm_as_use(struct kvm_pcpu *c, struct kvm_as *as)
{
	struct kvm_as *old = c->as;
	u64 bit = 1ull << c->cpu;

	if (as == old)
		return;
	kvm_unready(c);
	if (as) {
		refcount_inc(&as->ref);
		atomic_fetch_or(&as->active, bit);
	}
	c->as = as;
	kvm_write_cr3(as ? as->root_pa : c->boot_root_pa);
	if (old) {
		atomic_fetch_and(&old->active, ~bit);
		as_put(old);
	}
}

void kvm_as_flush_all(struct kvm_pcpu *c)
{
	kvm_write_cr3(c->as ? c->as->root_pa : c->boot_root_pa);
}

bool kvm_take_kick(struct kvm_pcpu *c)
{
	u32 kick;

	if (!atomic_load_explicit(&c->comm->kick, memory_order_relaxed))
		return false;
	kick = atomic_exchange(&c->comm->kick, 0);
	if (kick & KVM_KICK_FLUSH)
		kvm_as_flush_all(c);
	return kick & KVM_KICK;
}

static bool uses_translations(struct kvm_comm *comm)
{
	u32 state = atomic_load(&comm->state);

	return (state == KVM_STATE_USER || state == KVM_STATE_UACCESS) &&
	       (atomic_load(&comm->kick) & KVM_KICK_FLUSH);
}

static void kick_out(u32 cpu)
{
	struct hc_kick req = { .cpu = cpu };

	if (atomic_load(&kvm_comm_of(cpu)->state) == KVM_STATE_USER)
		hostcall(HC_CPU_KICK, &req, sizeof(req));
}

static void flush_others(u64 cpus)
{
	for (u64 left = cpus; left; left &= left - 1) {
		u32 cpu = (u32)__builtin_ctzll(left);

		atomic_fetch_or(&kvm_comm_of(cpu)->kick, KVM_KICK_FLUSH);
		kick_out(cpu);
	}
	for (u64 left = cpus; left; left &= left - 1) {
		u32 cpu = (u32)__builtin_ctzll(left);
		struct kvm_comm *comm = kvm_comm_of(cpu);

		for (u32 spins = 1; uses_translations(comm); spins++) {
			if (spins % SPINS_BEFORE_YIELD) {
				__builtin_ia32_pause();
				continue;
			}
			if (spins % SPINS_BEFORE_KICK == 0) /* no wait hangs on one kick */
				kick_out(cpu);
			hostcall(HC_YIELD, NULL, 0);
		}
	}
}

void kvm_as_flush(struct mm *mm, u64 start, u64 end, int prot)
{
	struct kvm_pcpu *c = this_pcpu();
	struct kvm_as *as = mm->arch.priv;
	u64 others;

	(void)prot;
	if (!as)
		return;
	if (c->as == as) {
		if (end - start > INVLPG_MAX * PAGE_SIZE)
			kvm_as_flush_all(c);
		else
			for (u64 va = start; va < end; va += PAGE_SIZE)
				__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
	}
	atomic_thread_fence(memory_order_seq_cst);
	others = atomic_load(&as->active) & ~(1ull << c->cpu);
	if (others)
		flush_others(others);
}
