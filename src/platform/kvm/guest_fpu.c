/*
 * Vector and x87 state. Ring 0 never touches it, so it stays in the CPU until another task enters user mode there.
 * Where ring 0 is emulated, XSAVE is not among the known instructions: the host half reads and writes the state.
 */
#include "platform/kvm/guest.h"

#include "base/log.h"
#include "base/string.h"

#define XSAVE_HDR 512
#define FCW_INIT 0x37f
#define MXCSR_INIT 0x1f80u
#define XSTATE_FPSSE 3ull

static void state_to_memory(struct kvm_pcpu *c, void *fpu)
{
	struct hc_mem req = { va_to_pa(fpu), c->fpu_size };

	if (c->flags & KVM_F_EMULATED) {
		if (hostcall(HC_FPU_GET, &req, sizeof(req)) < 0)
			panic("cannot read the vector state");
	} else if (c->flags & KVM_F_XSAVE) {
		__asm__ volatile("xsave64 (%0)"
				 :
				 : "r"(fpu), "a"((u32)c->xcr0), "d"((u32)(c->xcr0 >> 32))
				 : "memory");
	} else {
		__asm__ volatile("fxsave64 (%0)" : : "r"(fpu) : "memory");
		*(u64 *)((char *)fpu + XSAVE_HDR) = XSTATE_FPSSE;
	}
}

static bool state_from_memory(struct kvm_pcpu *c, void *fpu)
{
	struct hc_mem req = { va_to_pa(fpu), c->fpu_size };

	if (c->flags & KVM_F_EMULATED)
		return hostcall(HC_FPU_SET, &req, sizeof(req)) >= 0;
	if (c->flags & KVM_F_XSAVE)
		return !kvm_xrstor(fpu, c->xcr0);
	return !kvm_fxrstor(fpu);
}

/* A state that the CPU refuses (made up by a signal handler) becomes the initial one. */
void kvm_fpu_load(struct kvm_pcpu *c, struct user_ctx *ctx)
{
	if (!state_from_memory(c, ctx->fpu)) {
		kvm_fpu_init(ctx->fpu);
		if (!state_from_memory(c, ctx->fpu))
			panic("cannot load the initial vector state");
	}
	c->fpu_owner = ctx;
	ctx->fpu_cpu = (s32)c->cpu;
}

void kvm_fpu_save(struct user_ctx *ctx)
{
	struct kvm_pcpu *c = this_pcpu();

	if (!ctx->fpu_in_cpu || c->fpu_owner != ctx)
		return;
	kvm_unready(c);
	state_to_memory(c, ctx->fpu);
	ctx->fpu_in_cpu = false;
}

void kvm_fpu_reload(struct user_ctx *ctx)
{
	struct kvm_pcpu *c = this_pcpu();

	kvm_bases_save(ctx);
	if (c->fpu_owner == ctx)
		c->fpu_owner = NULL;
	ctx->fpu_in_cpu = false;
	ctx->fpu_cpu = -1;
}

void kvm_fpu_init(void *fpu)
{
	char *area = fpu;

	memset(area, 0, this_pcpu()->fpu_size);
	*(u16 *)area = FCW_INIT;
	*(u32 *)(area + 24) = MXCSR_INIT;
	*(u32 *)(area + 28) = 0xffff; /* MXCSR_MASK */
	*(u64 *)(area + XSAVE_HDR) = XSTATE_FPSSE;
}

void kvm_switch_out(struct user_ctx *ctx)
{
	kvm_fpu_save(ctx);
	kvm_bases_save(ctx);
}
