/*
 * Running user mode, around the code of entry.S.
 *
 * What a vCPU needs in order to run a task - its tables in CR3, its vector state, its segment bases - is loaded by kvm_prepare() and
 * stays: c->ctx says for whom. Then the way in is a comparison. Whatever takes some of it away calls kvm_unready() first. Meanwhile
 * the bases are the CPU's alone: with CR4.FSGSBASE the application changes them without us.
 */
#include "platform/kvm/guest.h"

#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

#define MSR_FS_BASE 0xc0000100u
#define MSR_KERNEL_GS_BASE 0xc0000102u /* the user's, while in ring 0 */
#define EFLAGS_TF 0x100ull

extern char kvm_syscall_entry[];

static void load_bases(struct kvm_pcpu *c, const struct user_regs *regs)
{
	if (c->fs_base != regs->fs_base) {
		if (c->flags & KVM_F_FSGSBASE)
			__asm__ volatile("wrfsbase %0" : : "r"(regs->fs_base));
		else
			kvm_wrmsr(MSR_FS_BASE, regs->fs_base);
		c->fs_base = regs->fs_base;
	}
	if (c->gs_base != regs->gs_base) {
		kvm_wrmsr(MSR_KERNEL_GS_BASE, regs->gs_base);
		c->gs_base = regs->gs_base;
	}
}

static void save_bases(struct kvm_pcpu *c, struct user_regs *regs)
{
	if (!(c->flags & KVM_F_FSGSBASE))
		return;
	__asm__ volatile("rdfsbase %0\n\t"
			 "swapgs\n\t"
			 "rdgsbase %1\n\t"
			 "swapgs"
			 : "=r"(c->fs_base), "=r"(c->gs_base));
	regs->fs_base = c->fs_base;
	regs->gs_base = c->gs_base;
}

void kvm_unready(struct kvm_pcpu *c)
{
	if (!c->ctx)
		return;
	save_bases(c, &c->ctx->regs);
	c->ctx = NULL;
}

void kvm_bases_save(struct user_ctx *ctx)
{
	struct kvm_pcpu *c = this_pcpu();

	if (c->ctx == ctx)
		kvm_unready(c);
}

static void kvm_prepare(struct kvm_pcpu *c, struct user_ctx *ctx, struct mm *mm)
{
	kvm_unready(c);
	kvm_as_use(c, mm->arch.priv);
	if (c->fpu_owner != ctx || ctx->fpu_cpu != (s32)c->cpu)
		kvm_fpu_load(c, ctx);
	ctx->fpu_in_cpu = true;
	load_bases(c, &ctx->regs);
	c->mm = mm;
	c->ctx = ctx;
}

void kvm_enter_unready(struct user_ctx *ctx, struct mm *mm)
{
	struct kvm_pcpu *c = this_pcpu();
	bool own_tf = ctx->regs.eflags & EFLAGS_TF;

	kvm_prepare(c, ctx, mm);
	if (likely(!ctx->single_step)) {
		kvm_enter_ready(ctx);
		return;
	}
	ctx->regs.eflags |= EFLAGS_TF;
	kvm_enter_ready(ctx);
	if (!own_tf)
		ctx->regs.eflags &= ~EFLAGS_TF;
	kvm_unready(c); /* the next step comes by here again */
}

/* Where ring 0 is emulated, SYSCALL jumps to LSTAR without leaving ring 3: a page fault there is the system call. */
static bool syscall_by_fault(struct kvm_pcpu *c, struct user_ctx *ctx)
{
	struct user_regs *regs = &ctx->regs;

	if (!(c->flags & KVM_F_EMULATED) || ctx->trap.addr != (u64)kvm_syscall_entry || regs->rip != ctx->trap.addr)
		return false;
	regs->rip = regs->rcx;
	regs->eflags = regs->r11;
	regs->cs = KVM_USER_CS;
	regs->ss = KVM_USER_DS;
	regs->orig_rax = regs->rax;
	regs->rax = (u64)-38; /* -ENOSYS */
	return true;
}

/* There too, INT 0x80 in ring 3 arrives as an invalid opcode, because of the way its host uses that vector itself. */
static bool int80_by_fault(struct kvm_pcpu *c, struct user_ctx *ctx, struct mm *mm)
{
	u8 code[2];

	if (!(c->flags & KVM_F_EMULATED) || kvm_copy_from_user(mm, code, ctx->regs.rip, sizeof(code)) ||
	    code[0] != 0xcd || code[1] != KVM_VEC_INT80)
		return false;
	ctx->regs.rip += sizeof(code);
	return true;
}

/* Anything but a plain SYSCALL. False: nothing for the sentry, go back to user mode. */
static bool decode_trap(struct kvm_pcpu *c, struct user_ctx *ctx, struct mm *mm, u32 how)
{
	struct trap *trap = &ctx->trap;

	trap->vector = how;
	switch (how) {
	case X86_VEC_PF:
		trap->kind = TRAP_PAGE_FAULT;
		if (syscall_by_fault(c, ctx)) {
			trap->kind = TRAP_SYSCALL;
			ctx->syscall_rip = ctx->regs.rip;
		}
		return true;
	case KVM_VEC_KICK:
	case KVM_ENTER_KICKED:
		trap->kind = TRAP_INTERRUPT;
		return kvm_take_kick(c);
	case KVM_VEC_INT80:
		trap->kind = TRAP_INT80;
		ctx->regs.orig_rax = ctx->regs.rax;
		return true;
	case KVM_ENTER_BAD_RIP:
		trap->kind = TRAP_EXCEPTION;
		trap->vector = X86_VEC_GP;
		trap->error = 0;
		return true;
	default:
		trap->kind = TRAP_EXCEPTION;
		if (how == X86_VEC_UD && int80_by_fault(c, ctx, mm)) {
			trap->kind = TRAP_INT80;
			ctx->regs.orig_rax = ctx->regs.rax;
		}
		return true;
	}
}

void kvm_user_trapped(struct user_ctx *ctx, u32 how)
{
	struct kvm_pcpu *c = this_pcpu();

	if (!decode_trap(c, ctx, c->mm, how))
		kvm_enter_user(ctx, c->mm);
}
