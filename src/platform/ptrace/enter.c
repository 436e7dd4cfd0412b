/* Running a task: resume its stub, wait for the trap, say what it was. */
#include <asm/siginfo.h>

#include "platform/ptrace/internal.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/pagetable.h"

#define USER_DEBUGREG 848u /* offset of u_debugreg in struct user */
#define SYSCALL_STOP (SIGTRAP | 0x80)

/* The stub's registers become the task's: nothing, one of them, or all. False: the stub died. */
static bool load_regs(struct stub *stub, struct user_ctx *ctx)
{
	struct user_regs *regs = &ctx->regs;

	if (stub->regs_valid) {
		bool same_rax = stub->regs.rax == regs->rax;

		stub->regs.rax = regs->rax;
		stub->regs.orig_rax = regs->orig_rax;
		if (!memcmp(&stub->regs, regs, sizeof(*regs)))
			return same_rax || sys_ptrace(PTRACE_POKEUSR, stub->tid, __builtin_offsetof(struct user_regs, rax),
					  (void *)regs->rax) >= 0;
	}
	stub->regs = *regs;
	stub->regs.orig_rax = ~0ull; /* no restart by the host (its signal code looks at this) */
	if (sys_ptrace(PTRACE_SETREGS, stub->tid, 0, &stub->regs) < 0) {
		/* Selectors or bases that the host refuses: as IRET would fault, but with what it does accept. */
		stub->regs.cs = USER_CS;
		stub->regs.ss = USER_DS;
		stub->regs.ds = stub->regs.es = stub->regs.fs = stub->regs.gs = 0;
		if (stub->regs.fs_base >= STUB_TASK_SIZE)
			stub->regs.fs_base = 0;
		if (stub->regs.gs_base >= STUB_TASK_SIZE)
			stub->regs.gs_base = 0;
		if (sys_ptrace(PTRACE_SETREGS, stub->tid, 0, &stub->regs) < 0)
			return false;
	}
	stub->regs_valid = true;
	return true;
}

static bool poke_debug(struct stub *stub, u32 i, u64 val)
{
	return sys_ptrace(PTRACE_POKEUSR, stub->tid, USER_DEBUGREG + 8 * i, (void *)val) >= 0;
}

/* The stub's breakpoints become the task's: off while the addresses change. What the host refuses stays off. */
static void load_debug(struct stub *stub, const struct user_ctx *ctx)
{
	static const struct debug_regs none;
	const struct debug_regs *want = ctx->debug ? ctx->debug : &none;
	struct debug_regs *have = &stub->debug;
	bool same = have->dr7 == want->dr7;

	for (u32 i = 0; i < 4; i++)
		same &= have->addr[i] == want->addr[i];
	if (likely(same))
		return;
	if (have->dr7)
		poke_debug(stub, 7, 0);
	for (u32 i = 0; i < 4; i++)
		if (have->addr[i] != want->addr[i])
			poke_debug(stub, i, want->addr[i]);
	if (want->dr7)
		poke_debug(stub, 7, want->dr7);
	*have = *want;
}

/* A debug trap: which breakpoint it was. */
static void save_debug(struct stub *stub, struct user_ctx *ctx)
{
	u64 dr6 = 0;

	if (likely(!ctx->debug))
		return;
	if (sys_ptrace(PTRACE_PEEKUSR, stub->tid, USER_DEBUGREG + 8 * 6, &dr6) >= 0)
		ctx->debug->dr6 |= dr6 & (DR6_TRAPS | DR6_STEP);
	poke_debug(stub, 6, 0);
}

/* Registers and vector state. */
static bool load_state(struct unit *unit, struct stub *stub, struct user_ctx *ctx, struct vcpu *v)
{
	struct user_regs regs;

	if (likely(fpu_is_loaded(stub, ctx, v))) {
		ctx->fpu_in_cpu = true;
		v->fpu_stub = stub;
		return load_regs(stub, ctx);
	}
	regs = ctx->regs;
	if (fpu_load_by_page(unit, stub, ctx, v, &regs)) {
		regs.orig_rax = ~0ull;
		stub->regs_valid = false;
		if (sys_ptrace(PTRACE_SETREGS, stub->tid, 0, &regs) >= 0)
			return true;
		fpu_page_cancel(stub, ctx); /* registers that the host refuses: as load_regs() does it */
	}
	return fpu_load(stub, ctx, v) && load_regs(stub, ctx);
}

/* The decoders below: true when ctx->trap is for the sentry, false to go on. */
static bool trap_is(struct user_ctx *ctx, u32 kind, u32 vector, u64 error, u64 addr)
{
	ctx->trap = (struct trap){ .kind = kind, .vector = vector, .error = error, .addr = addr };
	return true;
}

/* The stub's process died: the host's OOM killer, or someone with a kill(1). */
static bool gone(struct user_ctx *ctx, struct unit *unit)
{
	unit->dead = true;
	return trap_is(ctx, TRAP_GONE, 0, 0, 0);
}

static bool exception(struct user_ctx *ctx, u32 vector, u64 error)
{
	return trap_is(ctx, TRAP_EXCEPTION, vector, error, 0);
}

/* SYSCALL is 0f 05; INT 0x80 (cd 80) and SYSENTER (0f 34) stop alike. */
static bool trap_syscall(struct user_ctx *ctx, struct mm *mm)
{
	u8 code[2] = { 0x0f, 0x05 };

	ctx->syscall_rip = ctx->regs.rip;
	peek_code(mm, ctx->regs.rip - 2, code, 2);
	ctx->regs.rax = (u64)-ENOSYS;
	return trap_is(ctx, code[0] == 0xcd || code[1] == 0x34 ? TRAP_INT80 : TRAP_SYSCALL, 0, 0, 0);
}

static bool is_fetch(const struct user_regs *regs, u64 addr)
{
	/* An instruction at the end of a page runs into the next one. */
	return addr == regs->rip || (addr > regs->rip && addr - regs->rip < 15 && !(addr & ~PAGE_MASK));
}

/*
 * A SIGSEGV has no error code for its tracer, so the kind of access is found out: fetches by the address, writes by the
 * instruction. What stays unsure is taken for a read and filled; if the same access faults again on a page that is there
 * (SEGV_ACCERR), it is a write.
 */
static bool trap_fault(struct user_ctx *ctx, struct mm *mm, struct unit *unit, struct vcpu *v, u64 addr,
		       bool mapped)
{
	const struct user_regs *regs = &ctx->regs;
	bool again = v->retry_rip == regs->rip && v->retry_addr == addr;
	bool exec = false, write = false;
	u64 error = PF_USER, *pte;
	u8 code[15];
	size_t len;

	len = peek_code(mm, regs->rip, code, sizeof(code));
	if (is_fetch(regs, addr)) {
		spin_lock(&mm->pt_lock);
		pte = addr < USER_MAX ? pt_lookup(mm, addr) : NULL;
		exec = !pte || !pte_present(*pte) || (*pte & PTE_NX);
		spin_unlock(&mm->pt_lock);
		/* An executable page that is only not filled yet needs no decision. */
		if (!exec && !again && fill_from_table(unit, mm, addr, false, true))
			goto filled;
	}
	if (!exec) {
		enum access access = decode_access(code, len, regs, addr);

		write = access == ACCESS_WRITE || (mapped && again && v->retries >= 2);
	}
	if (fill_from_table(unit, mm, addr, write, exec) && v->retries < 4)
		goto filled;
	v->retry_rip = v->retry_addr = 0;
	v->retries = 0;
	if (addr < USER_MAX) {
		spin_lock(&mm->pt_lock);
		pte = pt_lookup(mm, addr);
		if (pte && pte_present(*pte))
			error |= PF_PRESENT;
		spin_unlock(&mm->pt_lock);
	}
	if (write)
		error |= PF_WRITE;
	if (exec)
		error |= PF_INSTR;
	return trap_is(ctx, TRAP_PAGE_FAULT, X86_VEC_PF, error, addr);
filled:
	v->retries = again ? v->retries + 1 : 1;
	v->retry_rip = regs->rip;
	v->retry_addr = addr;
	v->stats.fills++;
	return false;
}

/* A signal that the stub got from its own doing. si_code tells faults from what someone sent. */
static bool trap_signal(struct user_ctx *ctx, struct mm *mm, struct unit *unit, struct vcpu *v, struct stub *stub, u32 sig)
{
	struct host_siginfo info = { 0 };

	if (sys_ptrace(PTRACE_GETSIGINFO, stub->tid, 0, &info) < 0)
		return gone(ctx, unit);
	if (info.code <= 0) /* kill(2) and the like, from outside */
		return false;
	switch (sig) {
	case SIGSEGV:
		v->stats.faults++;
		if (info.code == SI_KERNEL)
			return exception(ctx, X86_VEC_GP, 0);
		return trap_fault(ctx, mm, unit, v, info.addr, info.code == SEGV_ACCERR);
	case SIGBUS:
		return exception(ctx, info.code == BUS_ADRALN ? X86_VEC_AC : X86_VEC_SS, 0);
	case SIGTRAP:
		save_debug(stub, ctx);
		return exception(ctx, info.code == SI_KERNEL ? X86_VEC_BP : X86_VEC_DB, 0);
	case SIGFPE:
		if (info.code == FPE_INTDIV || info.code == FPE_INTOVF)
			return exception(ctx, X86_VEC_DE, 0);
		/* x87 and SIMD give the same signal; the x87 status word's summary bit tells. */
		pt_fpu_save(ctx);
		return exception(ctx, ((u16 *)ctx->fpu)[1] & 0x80 ? X86_VEC_MF : X86_VEC_XM, 0);
	case SIGILL:
		return exception(ctx, X86_VEC_UD, 0);
	case SIGSYS: /* the vsyscall page, which the host would emulate */
		return exception(ctx, X86_VEC_GP, 0);
	}
	return false;
}

/* Sort out why the stub stopped. True: ctx->trap is for the sentry. */
static bool handle_stop(struct user_ctx *ctx, struct mm *mm, struct unit *unit, struct vcpu *v, struct stub *stub,
			s32 status)
{
	u32 sig = status_signal(status);

	if (!status_stopped(status) || sys_ptrace(PTRACE_GETREGS, stub->tid, 0, &stub->regs) < 0)
		return gone(ctx, unit);
	stub->regs_valid = true;
	if (unlikely(stub->in_fpu_page) && fpu_page_unfinished(unit, stub, ctx)) {
		if (sig == SIGSEGV) /* reserved bits that XRSTOR refuses */
			pt_fpu_init(ctx->fpu);
		if (sig != KICK_SIGNAL)
			return false;
	} else {
		ctx->regs = stub->regs;
	}
	if (likely(sig == SYSCALL_STOP)) {
		v->stats.syscalls++;
		v->retry_rip = 0;
		return trap_syscall(ctx, mm);
	}
	if (sig == KICK_SIGNAL) {
		v->stats.kicks++;
		if (!atomic_exchange(&v->kicked, 0))
			return false; /* answered before it arrived */
		return trap_is(ctx, TRAP_INTERRUPT, 0, 0, 0);
	}
	if (status >> 16)
		return false;
	if (sig == SIGSEGV || sig == SIGBUS || sig == SIGTRAP || sig == SIGFPE || sig == SIGILL || sig == SIGSYS) {
		if (sig != SIGSEGV)
			v->stats.exceptions++;
		return trap_signal(ctx, mm, unit, v, stub, sig);
	}
	return false;
}

/* Bring the unit up to date and get this vCPU's stub; from then on this vCPU counts as running in it. */
static struct stub *begin_user(struct unit *unit, struct mm *mm, struct vcpu *v, const struct user_ctx *ctx)
{
	struct stub *stub;

	if (unlikely(unit->prefill))
		unit_prefill(unit, mm);
	spin_lock(&unit->lock);
	stub = unit_get_stub(unit, v, ctx);
	if (stub && unlikely(unit->urgent) && unit->nops && !ops_run(unit, stub, v)) {
		unit->dead = true;
		stub = NULL;
	}
	if (stub)
		atomic_fetch_or(&unit->in_user, 1ull << v->cpu);
	spin_unlock(&unit->lock);
	return stub;
}

static void end_user(struct unit *unit, struct vcpu *v)
{
	atomic_fetch_and(&unit->in_user, ~(1ull << v->cpu));
}

/* One resume of the stub; false when a kick came first. */
static bool resume(struct unit *unit, struct stub *stub, struct vcpu *v, struct user_ctx *ctx, s32 *status)
{
	bool go;

	atomic_store(&v->run, (u64)unit->pid << 32 | (u32)stub->tid);
	go = !atomic_load(&v->kicked);
	if (go) {
		v->stats.resumes++;
		*status = (s32)sys_ptrace(ctx->single_step ? PTRACE_SYSEMU_SINGLESTEP : PTRACE_SYSEMU, stub->tid, 0, NULL);
		if (!*status)
			*status = sys_wait(stub->tid);
	}
	atomic_store_explicit(&v->run, 0, memory_order_release);
	return go;
}

void pt_enter_user(struct user_ctx *ctx, struct mm *mm)
{
	struct vcpu *v = this_vcpu();
	struct unit *unit = mm->arch.priv;

	place_check(v);
	for (;;) {
		struct stub *stub;
		s32 status = 0;
		bool ran;

		if (unlikely(atomic_load_explicit(&v->kicked, memory_order_relaxed)) && atomic_exchange(&v->kicked, 0)) {
			trap_is(ctx, TRAP_INTERRUPT, 0, 0, 0);
			return;
		}
		stub = begin_user(unit, mm, v, ctx);
		if (unlikely(!stub)) {
			gone(ctx, unit);
			return;
		}
		place_stub(v, stub);
		if (unlikely(!load_state(unit, stub, ctx, v))) {
			end_user(unit, v);
			gone(ctx, unit);
			return;
		}
		if (unlikely(ctx->debug || stub->debug.dr7))
			load_debug(stub, ctx);
		ran = resume(unit, stub, v, ctx, &status);
		end_user(unit, v);
		if (unlikely(!ran)) {
			if (stub->in_fpu_page)
				fpu_page_cancel(stub, ctx);
			continue;
		}
		if (handle_stop(ctx, mm, unit, v, stub, status))
			return;
	}
}
