/*
 * The guest half of the KVM platform: runs in ring 0 as part of the sentry.
 *
 * Objects: a struct kvm_pcpu a vCPU (GS base); a struct kvm_as an address space, referenced by its mm and by every vCPU that
 * has it in CR3, so that its tables outlive the last CPU that may walk them.
 * No lock is held across a call into the sentry. kstack_lock is a leaf.
 */
#ifndef PLATFORM_KVM_GUEST_H
#define PLATFORM_KVM_GUEST_H

#include "base/lock.h"
#include "base/types.h"
#include "hostcall.h"
#include "platform/kvm/abi.h"
#include "platform/platform.h"

struct kvm_as {
	refcount_t ref;
	_Atomic u64 active; /* bit a vCPU that has it in CR3 */
	u64 root_pa;
};

struct kvm_frame { /* as trap_in_kernel pushes it */
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error, rip, cs, eflags, rsp, ss;
};

static inline struct kvm_pcpu *this_pcpu(void)
{
	struct kvm_pcpu *c;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(c));
	return c;
}
static inline struct kvm_comm *kvm_comm_of(u32 cpu)
{
	return (struct kvm_comm *)(KVM_DIRECT_MAP + COMM_PA + (u64)cpu * PAGE_SIZE);
}
static inline void kvm_wrmsr(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}
static inline void kvm_write_cr3(u64 v)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(v) : "memory");
}

/* entry.S */
void kvm_enter_user(struct user_ctx *ctx, struct mm *mm);
void kvm_enter_ready(struct user_ctx *ctx);
size_t kvm_copy(void *dst, const void *src, size_t n);
int kvm_cmpxchg32(u32 *addr, u32 old, u32 new, u32 *prev);
int kvm_xrstor(const void *area, u64 mask);
int kvm_fxrstor(const void *area);

/* guest_boot.c */
void kvm_guest_main(struct kvm_pcpu *c) __noreturn;
/* guest_run.c */
void kvm_enter_unready(struct user_ctx *ctx, struct mm *mm);
void kvm_user_trapped(struct user_ctx *ctx, u32 how);
void kvm_unready(struct kvm_pcpu *c); /* before anything that kvm_prepare() sees to changes */
void kvm_bases_save(struct user_ctx *ctx);
/* guest_trap.c */
void kvm_kernel_trap(struct kvm_frame *f);

/* guest_as.c */
int kvm_as_create(struct mm *mm);
int kvm_as_fork(struct mm *parent, struct mm *child);
void kvm_as_destroy(struct mm *mm);
void kvm_as_fill(struct mm *mm, u64 addr, u64 pa, u64 npages, u32 prot);
void kvm_as_flush(struct mm *mm, u64 start, u64 end, int prot);
void kvm_as_use(struct kvm_pcpu *c, struct kvm_as *as); /* NULL: the boot tables */
void kvm_as_flush_all(struct kvm_pcpu *c);
/* Act on and clear the kick word; true when someone wants the vCPU back in the sentry. State must be KERNEL. */
bool kvm_take_kick(struct kvm_pcpu *c);

/* guest_uaccess.c */
void kvm_flush_own(void);
size_t kvm_copy_from_user(struct mm *mm, void *dst, u64 src, size_t n);
size_t kvm_copy_to_user(struct mm *mm, u64 dst, const void *src, size_t n);
int kvm_cmpxchg_user32(struct mm *mm, u64 addr, u32 old, u32 new, u32 *prev);

/* guest_bulk.c: only where ring 0 is emulated */
void kvm_bulk_setup(const struct boot_params *bp);

/* guest_fpu.c */
void kvm_fpu_load(struct kvm_pcpu *c, struct user_ctx *ctx);
void kvm_fpu_save(struct user_ctx *ctx);
void kvm_fpu_reload(struct user_ctx *ctx);
void kvm_fpu_init(void *fpu);
void kvm_switch_out(struct user_ctx *ctx);

/* guest_kstack.c */
void kvm_kstack_setup(struct kvm_pcpu *c);
void *kvm_kstack_alloc(void);
void kvm_kstack_free(void *base);

#endif
