/*
 * The signal frame of x86-64, as the kernel ABI lays it out: <asm/sigcontext.h>, <asm/ucontext.h>.
 * From high to low addresses: the XSAVE area (64-byte aligned) with its magic words, then struct rt_frame.
 */
#include <asm/signal.h>
#include <asm-generic/siginfo.h>
#include <linux/errno.h>

#include "base/string.h"
#include "sentry/kernel/ptrace_internal.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"

#define RED_ZONE 128u
#define XSTATE_MAGIC1 0x46505853u
#define XSTATE_MAGIC2 0x46505845u
#define XSTATE_MAGIC2_SIZE 4u
#define XSAVE_SW_OFFSET 464u /* bytes of the FXSAVE image that software may use */
#define XSAVE_HDR_OFFSET 512u
#define XSAVE_HDR_SIZE 64u
#define XFEATURE_FPSSE 3ull
#define UC_XSTATE 1ull
#define UC_SS 2ull
#define UC_SS_STRICT 4ull
#define USER_CS_SEL 0x33
#define USER_SS_SEL 0x2b

#define EF_TF 0x100ull
#define EF_DF 0x400ull
#define EF_RF 0x10000ull
/* CF PF AF ZF SF TF DF OF RF AC: what a handler may change */
#define EF_USER 0x50dd5ull

struct sw_bytes { /* struct _fpx_sw_bytes */
	u32 magic1, extended_size;
	u64 xfeatures;
	u32 xstate_size, padding[7];
};
struct xsave_hdr {
	u64 xstate_bv, xcomp_bv, reserved[6];
};
struct sigcontext_k {
	u64 r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
	u16 cs, gs, fs, ss;
	u64 err, trapno, oldmask, cr2, fpstate, reserved[8];
};
struct ucontext_k {
	u64 flags, link;
	struct sigaltstack_val stack;
	struct sigcontext_k mc;
	sigset64 mask;
};
struct rt_frame {
	u64 restorer;
	struct ucontext_k uc;
	siginfo_t_k info;
};
_Static_assert(sizeof(struct sw_bytes) == 48, "_fpx_sw_bytes");
_Static_assert(sizeof(struct sigcontext_k) == 256, "sigcontext");
_Static_assert(sizeof(struct rt_frame) == 440, "rt_sigframe");

/* ---- the alternate stack: sigaltstack(2) ---- */

static bool inside_altstack(const struct task *t, u64 sp)
{
	return sp > t->altstack.sp && sp - t->altstack.sp <= t->altstack.size;
}

/* With SS_AUTODISARM the stack is free for use again as soon as a handler runs on it. */
bool on_sig_stack(const struct task *t, u64 sp)
{
	return !(t->altstack.flags & SS_AUTODISARM) && inside_altstack(t, sp);
}

u32 sas_ss_flags(const struct task *t, u64 sp)
{
	if (!t->altstack.size)
		return SS_DISABLE;
	return on_sig_stack(t, sp) ? SS_ONSTACK : 0;
}

/* ---- building ---- */

static u32 xstate_bytes(void)
{
	return platform->fpu_size;
}

/* Where the frame goes; 0 when it does not fit. */
static u64 frame_position(const struct task *t, const struct ksignal *ks, u64 *fpstate)
{
	u64 sp = t->ctx.regs.rsp;
	bool alt = on_sig_stack(t, sp);

	sp -= RED_ZONE;
	if ((ks->action.flags & SA_ONSTACK) && !sas_ss_flags(t, sp)) {
		sp = t->altstack.sp + t->altstack.size;
		alt = true;
	}
	sp = (sp - xstate_bytes() - XSTATE_MAGIC2_SIZE) & ~63ull;
	*fpstate = sp;
	/* After the call that the handler's entry looks like, the stack is 16-aligned. */
	sp = ((sp - sizeof(struct rt_frame)) & ~15ull) - 8;
	if (alt && !inside_altstack(t, sp))
		return 0;
	return access_ok(sp, sizeof(struct rt_frame)) ? sp : 0;
}

static void fill_sw_bytes(struct sw_bytes *sw)
{
	*sw = (struct sw_bytes){
		.magic1 = XSTATE_MAGIC1,
		.extended_size = xstate_bytes() + XSTATE_MAGIC2_SIZE,
		.xfeatures = platform->fpu_xcr0 | XFEATURE_FPSSE,
		.xstate_size = xstate_bytes(),
	};
}

static int put_fpstate(struct task *t, u64 addr)
{
	char *fpu = t->ctx.fpu;
	struct xsave_hdr *hdr = (struct xsave_hdr *)(fpu + XSAVE_HDR_OFFSET);
	u32 magic2 = XSTATE_MAGIC2;

	platform->fpu_save(&t->ctx);
	/* The image is the task's own and about to be replaced: mark it in place, and copy once. */
	fill_sw_bytes((struct sw_bytes *)(fpu + XSAVE_SW_OFFSET));
	hdr->xstate_bv |= XFEATURE_FPSSE;
	if (copy_to_user(addr, fpu, xstate_bytes()) || put_user(magic2, addr + xstate_bytes()))
		return -EFAULT;
	return 0;
}

static void fill_sigcontext(struct sigcontext_k *sc, const struct task *t, u64 fpstate)
{
	const struct user_regs *r = &t->ctx.regs;
	const struct trap *trap = &t->ctx.trap;

	*sc = (struct sigcontext_k){
		.r8 = r->r8, .r9 = r->r9, .r10 = r->r10, .r11 = r->r11, .r12 = r->r12, .r13 = r->r13, .r14 = r->r14,
		.r15 = r->r15, .rdi = r->rdi, .rsi = r->rsi, .rbp = r->rbp, .rbx = r->rbx, .rdx = r->rdx, .rax = r->rax,
		.rcx = r->rcx, .rsp = r->rsp, .rip = r->rip, .eflags = r->eflags, .cs = USER_CS_SEL, .ss = USER_SS_SEL,
		.fpstate = fpstate,
	};
	if (trap->kind == TRAP_PAGE_FAULT || trap->kind == TRAP_EXCEPTION) {
		sc->err = trap->error;
		sc->trapno = trap->kind == TRAP_PAGE_FAULT ? X86_VEC_PF : trap->vector;
		sc->cr2 = trap->kind == TRAP_PAGE_FAULT ? trap->addr : 0;
	}
}

static void enter_handler(struct task *t, const struct ksignal *ks, u64 frame)
{
	struct user_regs *r = &t->ctx.regs;

	r->rdi = (u64)ks->sig;
	r->rsi = frame + offsetof(struct rt_frame, info);
	r->rdx = frame + offsetof(struct rt_frame, uc);
	r->rax = 0;
	r->rsp = frame;
	r->rip = ks->action.handler;
	r->eflags &= ~(EF_DF | EF_RF | EF_TF);
	r->cs = USER_CS_SEL;
	r->ss = USER_SS_SEL;
	t->ctx.regs_dirty = true;
	platform->fpu_init(t->ctx.fpu);
	platform->fpu_reload(&t->ctx);
}

int setup_rt_frame(struct task *t, const struct ksignal *ks)
{
	u64 fpstate, at = frame_position(t, ks, &fpstate);
	struct rt_frame f;

	if (!at || !(ks->action.flags & SA_RESTORER) || put_fpstate(t, fpstate))
		return -EFAULT;
	f.restorer = ks->action.restorer;
	f.uc.flags = UC_XSTATE | UC_SS | UC_SS_STRICT;
	f.uc.link = 0;
	f.uc.stack = (struct sigaltstack_val){ .sp = t->altstack.sp, .flags = t->altstack.flags, .size = t->altstack.size };
	f.uc.mask = t->restore_mask ? t->saved_mask : t->blocked;
	fill_sigcontext(&f.uc.mc, t, fpstate);
	f.info = ks->info;
	if (copy_to_user(at, &f, sizeof(f)))
		return -EFAULT;
	enter_handler(t, ks, at);
	return 0;
}

/* ---- returning: rt_sigreturn(2) ---- */

static u32 mxcsr_mask(const struct task *t)
{
	u32 mask = *(const u32 *)((const char *)t->ctx.fpu + 28);

	return mask ? mask : 0xffbf;
}

/* Is there extended state behind the FXSAVE image? As far as Linux trusts the magic words. */
static bool has_xstate(u64 addr, const struct sw_bytes *sw)
{
	u32 magic2;

	if (sw->magic1 != XSTATE_MAGIC1 || sw->xstate_size < XSAVE_HDR_OFFSET + XSAVE_HDR_SIZE ||
	    sw->xstate_size > xstate_bytes() || sw->xstate_size > sw->extended_size)
		return false;
	return !get_user(magic2, addr + sw->xstate_size) && magic2 == XSTATE_MAGIC2;
}

/* What XRSTOR would refuse must not reach it. */
static int check_xstate(const struct task *t, const char *fpu, u64 xfeatures)
{
	const struct xsave_hdr *hdr = (const struct xsave_hdr *)(fpu + XSAVE_HDR_OFFSET);

	if (*(const u32 *)(fpu + 24) & ~mxcsr_mask(t))
		return -EINVAL;
	if (hdr->xstate_bv & ~xfeatures || hdr->xcomp_bv)
		return -EINVAL;
	for (u32 i = 0; i < ARRAY_SIZE(hdr->reserved); i++)
		if (hdr->reserved[i])
			return -EINVAL;
	return 0;
}

int fpu_set_user_image(struct task *t, const void *image, u32 n)
{
	char *fpu = t->ctx.fpu;
	u32 mask = mxcsr_mask(t);
	int err = n < XSAVE_HDR_OFFSET + XSAVE_HDR_SIZE ? -EINVAL :
							  check_xstate(t, image, platform->fpu_xcr0 | XFEATURE_FPSSE);

	if (err)
		return err;
	if (n < xstate_bytes()) /* the rest stays */
		platform->fpu_save(&t->ctx);
	memcpy(fpu, image, MIN(n, xstate_bytes()));
	*(u32 *)(fpu + 28) = mask;
	platform->fpu_reload(&t->ctx);
	return 0;
}

static int load_xstate(struct task *t, u64 addr, const struct sw_bytes *sw)
{
	u32 size = sw ? sw->xstate_size : XSAVE_HDR_OFFSET;
	char *buf = kmalloc(xstate_bytes());
	struct xsave_hdr *hdr;
	int err = -EFAULT;

	if (!buf)
		return -ENOMEM;
	hdr = (struct xsave_hdr *)(buf + XSAVE_HDR_OFFSET);
	if (!copy_from_user(buf, addr, size)) {
		memset(buf + size, 0, xstate_bytes() - size);
		/* XRSTOR looks at all of xstate_bv, whatever it is to load, and at no more than 16 bytes behind it. */
		memset(hdr->reserved + 1, 0, sizeof(hdr->reserved) - sizeof(hdr->reserved[0]));
		err = sw && hdr->xstate_bv & ~(platform->fpu_xcr0 | XFEATURE_FPSSE) ? -EINVAL : 0;
		if (sw)
			hdr->xstate_bv &= sw->xfeatures;
		else
			hdr->xstate_bv = XFEATURE_FPSSE;
		if (!err)
			err = fpu_set_user_image(t, buf, xstate_bytes());
	}
	kfree(buf);
	return err;
}

static int restore_fpstate(struct task *t, u64 addr)
{
	struct sw_bytes sw;

	if (!addr) {
		platform->fpu_init(t->ctx.fpu);
		platform->fpu_reload(&t->ctx);
		return 0;
	}
	if ((addr & 63) || get_user(sw, addr + XSAVE_SW_OFFSET))
		return -EFAULT;
	return load_xstate(t, addr, has_xstate(addr, &sw) ? &sw : NULL);
}

static void restore_regs(struct task *t, const struct sigcontext_k *sc)
{
	struct user_regs *r = &t->ctx.regs;

	r->r8 = sc->r8;
	r->r9 = sc->r9;
	r->r10 = sc->r10;
	r->r11 = sc->r11;
	r->r12 = sc->r12;
	r->r13 = sc->r13;
	r->r14 = sc->r14;
	r->r15 = sc->r15;
	r->rdi = sc->rdi;
	r->rsi = sc->rsi;
	r->rbp = sc->rbp;
	r->rbx = sc->rbx;
	r->rdx = sc->rdx;
	r->rax = sc->rax;
	r->rcx = sc->rcx;
	r->rsp = sc->rsp;
	r->rip = sc->rip;
	r->eflags = (r->eflags & ~EF_USER) | (sc->eflags & EF_USER);
	r->orig_rax = ~0ull; /* no system call to restart */
	t->ctx.regs_dirty = true;
}

static long bad_frame(struct task *t)
{
	force_signal(SIGSEGV, SI_KERNEL, 0);
	return (long)t->ctx.regs.rax;
}

SYSCALL0(rt_sigreturn)
{
	struct task *t = current;
	u64 at = t->ctx.regs.rsp - sizeof(u64);
	struct ucontext_k uc;

	if (copy_from_user(&uc, at + offsetof(struct rt_frame, uc), sizeof(uc)) || uc.mc.rip >= USER_MAX)
		return bad_frame(t);
	set_current_blocked(uc.mask);
	restore_regs(t, &uc.mc);
	t->restart.fn = NULL;
	if (restore_fpstate(t, uc.mc.fpstate))
		return bad_frame(t);
	do_sigaltstack(t, &uc.stack, NULL, t->ctx.regs.rsp);
	return (long)t->ctx.regs.rax;
}
