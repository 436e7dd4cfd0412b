/*
 * Interface 1: what a platform does for the sentry.
 *
 * The sentry owns the truth about an address space: a four-level page table in x86-64 format in sandbox memory
 * (src/sentry/mm/pagetable.h). On KVM the hardware walks that very table. Elsewhere the host mappings of a stub
 * process behave as a TLB in front of it: filled on faults, flushed when entries change. So the platform's
 * memory calls are exactly those of a software-managed TLB.
 *
 * Calls are made with the sentry's own kernel stack and may not sleep unless the line says so.
 */
#ifndef PLATFORM_PLATFORM_H
#define PLATFORM_PLATFORM_H

#include "base/types.h"

struct mm;
struct page;

/* Application addresses live in [USER_MIN, USER_MAX). Above USER_MAX the platform may hide its own page. */
#define USER_MIN 0x10000ul
#define TASK_SIZE_MAX 0x00007ffffffff000ul /* of Linux: what a base may point to */
#define USER_MAX (TASK_SIZE_MAX - 0x100000ul)

/* The general registers of a task, laid out as Linux's struct user_regs_struct (PTRACE_GETREGS). fs_base and gs_base are current
 * only after fpu_save(), bases_save() or switch_out(). */
struct user_regs {
	u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	u64 orig_rax, rip, cs, eflags, rsp, ss;
	u64 fs_base, gs_base;
	u64 ds, es, fs, gs;
};

enum trap_kind {
	TRAP_SYSCALL,	/* number in regs.orig_rax, regs.rax is -ENOSYS; rip stands behind the instruction */
	TRAP_PAGE_FAULT, /* addr, error: bits as in the x86 page-fault error code */
	TRAP_EXCEPTION, /* vector, error: another CPU exception, rip as the CPU leaves it */
	TRAP_INTERRUPT, /* a kick or the timer; nothing of the task's doing */
	TRAP_INT80,	/* the 32-bit system-call gate */
	TRAP_GONE,	/* what stands for the address space on the host was killed from outside: the task can only end */
};

#define PF_PRESENT 0x1u
#define PF_WRITE 0x2u
#define PF_USER 0x4u
#define PF_INSTR 0x10u

#define X86_VEC_DE 0
#define X86_VEC_DB 1
#define X86_VEC_BP 3
#define X86_VEC_OF 4
#define X86_VEC_BR 5
#define X86_VEC_UD 6
#define X86_VEC_DF 8
#define X86_VEC_SS 12
#define X86_VEC_GP 13
#define X86_VEC_PF 14
#define X86_VEC_MF 16
#define X86_VEC_AC 17
#define X86_VEC_XM 19

struct trap {
	u32 kind; /* enum trap_kind */
	u32 vector;
	u64 error;
	u64 addr; /* CR2, or si_addr of the fault */
};

/*
 * The user half of a task, embedded in struct task. Only the vCPU that runs the task touches it, or whoever holds
 * the task stopped. `fpu` points to platform->fpu_size bytes in XSAVE standard format, 64-byte aligned, owned by
 * the task; it is current only after fpu_save().
 */
struct user_ctx {
	struct user_regs regs;
	struct trap trap;
	void *fpu;
	bool fpu_in_cpu;   /* the live FPU state may be newer than *fpu (platform's field) */
	s32 fpu_cpu;	   /* which vCPU or stub holds it; -1 none (platform's field) */
	bool single_step;  /* trap after one instruction. Set before the first enter, or after a *_save() */
	bool regs_dirty;   /* the sentry changed registers beyond rax/rip (a hint: load everything) */
	struct debug_regs *debug; /* hardware breakpoints of a tracer; NULL: none. Only where platform->debug_regs */
	u64 syscall_rip;   /* rip of the SYSCALL instruction's end, set with TRAP_SYSCALL, for restarts */
};

/* As the CPU has them: breakpoints of user code by address. dr6 says which were met, and is gathered until it is cleared. */
struct debug_regs {
	u64 addr[4], dr6, dr7;
};
#define DR6_TRAPS 0xfull
#define DR6_STEP 0x4000ull
#define DR7_ENABLED 0xffull

struct platform_ops {
	const char *name; /* "kvm", "ptrace" */
	u32 fpu_size;	  /* bytes of an XSAVE area; 64-byte aligned */
	u64 fpu_xcr0;	  /* enabled state components */
	/* Pages of a file, cached ones, that are mapped around a fault, and at the start of a new mapping to be run (of one to be read
	 * FAULT_AROUND_MAX). Faults are dear on some platforms. A power of two up to FAULT_AROUND_MAX; the second may be 0: none. */
	u32 fault_around, map_ahead;
	bool debug_regs; /* user_ctx.debug is honoured */
#define FAULT_AROUND_MAX 64u

	/* --- address spaces. mm->as is the platform's. The mm lock is held by the caller unless noted. --- */
	/* Make a new, empty one for mm; 0 or -ENOMEM/-EAGAIN. May sleep. */
	int (*as_create)(struct mm *mm);
	/* Child becomes a copy of parent's translations as they stand (after write-protection). May sleep. */
	int (*as_fork)(struct mm *parent, struct mm *child);
	/* No task runs in it any more. Called without the mm lock. */
	void (*as_destroy)(struct mm *mm);
	/* Entries for [addr, addr + npages pages) became present, on physically contiguous frames starting at `pa`
	 * with the same protection (PROT_* bits). A hint to load the translation; the platform may ignore it and
	 * take a fault. AS_FILL_LATER in prot: nobody is known to wait for it. */
#define AS_FILL_LATER 0x1000u
	void (*as_fill)(struct mm *mm, u64 addr, u64 pa, u64 npages, u32 prot);
	/* Entries in [start, end) were removed or lost rights: no vCPU may use the old ones once this returns.
	 * `prot` >= 0: they are still there, with these PROT_* rights now (an mprotect or write-protect); -1: gone. */
	void (*as_flush)(struct mm *mm, u64 start, u64 end, int prot);

	/* --- running --- */
	/* Run the current task's user context until it traps; fills ctx->trap. Interrupts as soon as a kick arrives.
	 * A trap of a kind that the platform handles by itself (filling from the page table) never comes out. */
	void (*enter_user)(struct user_ctx *ctx, struct mm *mm);
	/* Bring what the CPU holds of the current task into ctx: the FPU state into ctx->fpu, and fs_base and gs_base, which an
	 * application may change by itself; or the bases alone, also before they are set; or drop the FPU state, so that the next
	 * enter loads ctx->fpu. */
	void (*fpu_save)(struct user_ctx *ctx);
	void (*bases_save)(struct user_ctx *ctx);
	void (*fpu_reload)(struct user_ctx *ctx);
	/* The initial FPU state into a buffer (fninit, MXCSR 0x1f80). */
	void (*fpu_init)(void *fpu);
	/* A task leaves this vCPU, or may be taken to another one from now on: called by the scheduler before that can
	 * happen, also when it goes idle. */
	void (*switch_out)(struct user_ctx *ctx);

	/* --- user memory of the current task's mm, or another's. No faulting in, no sleeping: bytes NOT copied are
	 * returned; the caller (sentry/mm/usercopy.c) makes the page present and continues. --- */
	size_t (*copy_from_user)(struct mm *mm, void *dst, u64 src, size_t n);
	size_t (*copy_to_user)(struct mm *mm, u64 dst, const void *src, size_t n);
	/* *addr == old ? *addr = new; previous value in *prev. 0 or -EFAULT when not present/writable. 4-aligned. */
	int (*cmpxchg_user32)(struct mm *mm, u64 addr, u32 old, u32 new, u32 *prev);

	/* --- vCPUs --- */
	/* Make vCPU `cpu` leave user mode or idle soon. Callable from any vCPU, itself included. Never lost. */
	void (*kick)(u32 cpu);
	/* Sleep until a kick, an event in the event ring, or the absolute monotonic time (ns; ~0ull: none). */
	void (*idle)(u32 cpu, u64 deadline_ns);

	/* --- kernel stacks: KSTACK_SIZE bytes, aligned to KSTACK_SIZE, the lowest page a guard. NULL when out of memory. --- */
	void *(*kstack_alloc)(void);
	void (*kstack_free)(void *base);
};

/* The same counter in every vCPU, and in the application (clock_page.base_tsc). */
static inline u64 rdtsc(void)
{
	return __builtin_ia32_rdtsc();
}

/* Set by the platform before sentry_boot(). */
extern const struct platform_ops *platform;

/* Per-platform private state in struct mm: what the platform needs, no more. */
struct mm_arch {
	u64 root_pa;	   /* physical address of the top-level table; set by pagetable.c before as_create */
	void *priv;	   /* platform's object */
	_Atomic u64 active; /* bit per vCPU that runs in it or may hold translations of it */
	u64 asid;	   /* PCID or generation */
};

/* Virtual address in the sentry of physical (memory-file) offset pa. */
extern char *direct_map;
static inline void *pa_to_va(u64 pa) { return direct_map + pa; }
static inline u64 va_to_pa(const void *va) { return (u64)((const char *)va - direct_map); }

#endif
