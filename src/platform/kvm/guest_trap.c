/* A fault in ring 0: on one of the instructions that may touch bad user memory, or a bug of the sentry. */
#include "platform/kvm/guest.h"

#include "base/log.h"
#include "sentry/kernel/task.h"

struct ex_entry {
	u64 from, to;
};
extern const struct ex_entry kvm_ex_table[], kvm_ex_table_end[];

static u64 read_cr2(void)
{
	u64 v;

	__asm__ volatile("mov %%cr2, %0" : "=r"(v));
	return v;
}

static void dump(const struct kvm_frame *f)
{
	klog_line(LOG_ERR, "vcpu %u: exception %lu in ring 0, error %#lx, cr2 %#lx", this_pcpu()->cpu, f->vector, f->error,
		  read_cr2());
	klog_line(LOG_ERR, "  rip %#lx rsp %#lx flags %#lx cs %#lx", f->rip, f->rsp, f->eflags, f->cs);
	klog_line(LOG_ERR, "  rax %#lx rbx %#lx rcx %#lx rdx %#lx", f->rax, f->rbx, f->rcx, f->rdx);
	klog_line(LOG_ERR, "  rsi %#lx rdi %#lx rbp %#lx r8 %#lx", f->rsi, f->rdi, f->rbp, f->r8);
	klog_line(LOG_ERR, "  r9 %#lx r10 %#lx r11 %#lx r12 %#lx", f->r9, f->r10, f->r11, f->r12);
	klog_line(LOG_ERR, "  r13 %#lx r14 %#lx r15 %#lx", f->r13, f->r14, f->r15);
	/* A leaf function may have no frame of its own: then its caller is here and not in the chain. */
	if (f->rsp >= KVM_KSTACKS && f->rsp < KVM_IMAGE_BASE && f->rsp % KSTACK_SIZE >= PAGE_SIZE)
		klog_line(LOG_ERR, "  at the top of the stack %#lx", *(const u64 *)f->rsp);
	if (f->rbp >= f->rsp && f->rbp - f->rsp < KSTACK_SIZE)
		log_trace((const u64 *)f->rbp);
}

void kvm_kernel_trap(struct kvm_frame *f)
{
	if (f->vector == X86_VEC_PF || f->vector == X86_VEC_GP)
		for (const struct ex_entry *e = kvm_ex_table; e < kvm_ex_table_end; e++)
			if (e->from == f->rip) {
				f->rip = e->to;
				return;
			}
	dump(f);
	panic("exception %lu in ring 0 at %#lx", f->vector, f->rip);
}
