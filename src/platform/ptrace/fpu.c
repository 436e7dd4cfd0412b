/*
 * FPU state lives in the stub while its task stays on this vCPU; it is fetched when the task leaves or the sentry asks.
 * A stub still has a context's state as long as it says so (fpu_owner) and the context agrees (fpu_cpu).
 */
#include <cpuid.h>
#include <linux/elf.h>

#include "platform/ptrace/internal.h"

#ifndef NT_X86_XSTATE
#define NT_X86_XSTATE 0x202
#endif
#define LEGACY_SIZE 512u /* FXSAVE area */
#define HEADER_SIZE 64u
#define X87_SSE 3u
#define FCW_DEFAULT 0x37fu
#define MXCSR_DEFAULT 0x1f80u
#define MXCSR_OFFSET 24

u32 pt_fpu_size = LEGACY_SIZE + HEADER_SIZE;
u64 pt_fpu_xcr0 = X87_SSE;

/* The size of the standard format for what XCR0 enables: leaf 0xd, EBX (Intel SDM 1, 13.2). */
void fpu_probe(void)
{
	u32 a, b, c, d, lo, hi;

	if (!__get_cpuid_count(1, 0, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	pt_fpu_xcr0 = (u64)hi << 32 | lo;
	if (__get_cpuid_count(0xd, 0, &a, &b, &c, &d) && b > pt_fpu_size)
		pt_fpu_size = b;
}

void pt_fpu_init(void *fpu)
{
	u8 *area = fpu;
	u64 components = X87_SSE;
	u16 fcw = FCW_DEFAULT;
	u32 mxcsr = MXCSR_DEFAULT;

	memset(area, 0, pt_fpu_size);
	memcpy(area, &fcw, sizeof(fcw));
	memcpy(area + MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
	memcpy(area + LEGACY_SIZE, &components, sizeof(components));
}

static s64 transfer(u64 request, struct stub *stub, struct user_ctx *ctx)
{
	struct host_iovec iov = { ctx->fpu, pt_fpu_size };

	return sys_ptrace(request, stub->tid, NT_X86_XSTATE, &iov);
}

bool fpu_is_loaded(const struct stub *stub, const struct user_ctx *ctx, const struct vcpu *v)
{
	return stub->fpu_owner == ctx && ctx->fpu_cpu == (s32)v->cpu;
}

static void now_in(struct stub *stub, struct user_ctx *ctx, struct vcpu *v)
{
	stub->fpu_owner = ctx;
	ctx->fpu_cpu = (s32)v->cpu;
	ctx->fpu_in_cpu = true;
	v->fpu_stub = stub;
}

bool fpu_load(struct stub *stub, struct user_ctx *ctx, struct vcpu *v)
{
	if (transfer(PTRACE_SETREGSET, stub, ctx) < 0) {
		/* Reserved bits that XRSTOR refuses. */
		pt_fpu_init(ctx->fpu);
		if (transfer(PTRACE_SETREGSET, stub, ctx) < 0)
			return false;
	}
	now_in(stub, ctx, v);
	return true;
}

/* ---- by the stub itself ---- */

static u64 page_addr(const struct unit *unit, const struct stub *stub)
{
	return STUB_FPU_ADDR + stub_number(unit, stub) * PAGE_SIZE;
}

bool fpu_load_by_page(struct unit *unit, struct stub *stub, struct user_ctx *ctx, struct vcpu *v, struct user_regs *regs)
{
	struct fpu_page *page = &unit->fpu[stub_number(unit, stub)];

	/* The page would be seen by whoever steps through it, and its code is 64-bit. */
	if (pt_fpu_size > sizeof(page->area) || pt_fpu_xcr0 >> 32 || ctx->single_step || ctx->debug || stub->debug.dr7 ||
	    (regs->eflags & EFLAGS_TF) || regs->cs != USER_CS)
		return false;
	memcpy(page->code, stub_fpu_code, (u64)(stub_fpu_code_end - stub_fpu_code));
	memcpy(page->area, ctx->fpu, pt_fpu_size);
	page->rax = regs->rax;
	page->rip = regs->rip;
	regs->rax = ~0ull;
	regs->rip = page_addr(unit, stub);
	stub->in_fpu_page = true;
	now_in(stub, ctx, v);
	return true;
}

void fpu_page_cancel(struct stub *stub, struct user_ctx *ctx)
{
	stub->in_fpu_page = false;
	stub->fpu_owner = NULL;
	pt_fpu_reload(ctx);
}

bool fpu_page_unfinished(struct unit *unit, struct stub *stub, struct user_ctx *ctx)
{
	stub->in_fpu_page = false;
	if (stub->regs.rip - page_addr(unit, stub) >= (u64)(stub_fpu_code_end - stub_fpu_code))
		return false;
	fpu_page_cancel(stub, ctx);
	return true;
}

void fpu_pages_clear(struct unit *unit)
{
	for (u32 i = 0; i < pt_config.ncpus * STUBS_PER_VCPU; i++)
		if (unit->fpu[i].rip) /* was used: the unit's next address space may read it */
			memset(&unit->fpu[i], 0, sizeof(struct fpu_page));
}

void pt_fpu_save(struct user_ctx *ctx)
{
	struct stub *stub = this_vcpu()->fpu_stub;

	if (!ctx->fpu_in_cpu)
		return;
	ctx->fpu_in_cpu = false;
	if (stub && stub->fpu_owner == ctx)
		transfer(PTRACE_GETREGSET, stub, ctx);
}

void pt_fpu_reload(struct user_ctx *ctx)
{
	ctx->fpu_in_cpu = false;
	ctx->fpu_cpu = -1;
}

/* The next vCPU cannot ask this stub, which has another tracer, so the state goes along with the task. */
void pt_switch_out(struct user_ctx *ctx)
{
	pt_fpu_save(ctx);
}
