/*
 * Inside the ptrace platform.
 *
 * Objects: a *unit* is one host process whose memory is an application address space; a *stub* is a thread of it, traced
 * by one vCPU thread, in which that vCPU runs tasks that have this address space. A vCPU makes a second one when it meets
 * a second task, so two threads that take turns there leave their registers where they are (4 us a switch). A unit that
 * may get more stubs keeps one *spare* thread, untraced, asleep in the stub page: a vCPU that needs one seizes it and leaves
 * a new spare behind. So no vCPU ever waits for another one.
 *
 * A unit's memory calls are gathered in its *ops page* and run in one go by a loop in the stub page. The ops page is
 * read-only for the unit; the application may see it and the stub page, and neither helps it: every system call that
 * it makes there is emulated (PTRACE_SYSEMU) like any other.
 *
 * Deferral: while no vCPU is in user mode in a unit, its memory calls only queue; whoever enters next runs them first.
 * A queue of nothing but fills that nobody waits for (AS_FILL_LATER) waits even longer: for the next fault.
 *
 * Locks: mm->pt_lock -> unit->lock -> pool lock. unit->lock is held over the injection itself (some 10 us).
 */
#ifndef PLATFORM_PTRACE_INTERNAL_H
#define PLATFORM_PTRACE_INTERNAL_H

#include <asm/unistd.h>

#include "base/list.h"
#include "base/lock.h"
#include "base/string.h"
#include "base/types.h"
#include "hostcall.h"
#include "platform/platform.h"
#include "platform/ptrace/ptrace_host.h"
#include "platform/ptrace/stub.h"
#include "platform/ptrace/sys.h"

#define EFLAGS_TF 0x100u
#define USER_CS 0x33u /* the host kernel's 64-bit selectors */
#define USER_DS 0x2bu

struct stub {
	s32 tid; /* 0: not there */
	s32 pinned; /* host CPU it is bound to; -1 none */
	bool regs_valid; /* `regs` is what the stub holds */
	struct debug_regs debug; /* what it holds; dr6 is not used */
	struct user_regs regs;
	const struct user_ctx *fpu_owner; /* whose state its FPU holds, if that context agrees (fpu_cpu) */
	bool in_fpu_page; /* resumed there: it may not have come to application code yet */
	u64 last_turn; /* vcpu.turns when it was chosen last */
};

struct unit {
	spinlock_t lock;
	u32 index;    /* its slot of the control file and in the tables */
	s32 pid;      /* thread group; 0: slot unused */
	s32 spare;    /* tid of the untraced thread, or 0 */
	u32 nstubs;
	bool dead;    /* a stub was killed from outside: no use */
	bool has_ops; /* its ops page is mapped (not yet in a new process) */
	bool prefill; /* a new copy: queue the page table's runs at the first entry */
	bool collapsed; /* everything was unmapped for want of host mappings, and nothing filled since */
	bool urgent; /* the queue has to run before application code does; AS_FILL_LATER can wait for a fault */
	u32 nops;
	struct stub_op *ops;	 /* the sandbox's view of the ops page, */
	struct fpu_page *fpu;	 /* and of the fpu pages, in the order of its stubs */
	_Atomic u64 in_user;	 /* vCPUs that may run application code right now */
	struct unit *next;	 /* pool */
};

struct vcpu {
	u32 cpu;
	s32 host_cpu; /* pinned there; -1: not */
	struct unit *master; /* where new units are forked */
	struct stub *fpu_stub; /* the stub that ran last */
	_Atomic u32 kicked;
	_Atomic u32 idle;
	_Atomic u64 run; /* thread group << 32 | tid of the stub that runs; 0 none */
	u64 last_place_tsc;
	u64 last_nivcsw;
	u64 turns;    /* stubs chosen so far */
	u32 floating; /* round trips left in which the host may place us anew */
	u64 retry_rip, retry_addr; /* the last fault that was filled */
	u32 retries;
	struct ptrace_stats stats;
} __attribute__((aligned(128)));

extern struct ptrace_config pt_config;
extern struct vcpu pt_vcpus[MAX_CPUS];
struct vcpu *this_vcpu(void);

/* master.c */
int master_start(const char **what);
int seize_stub(s32 tid);

/* unit.c */
int units_init(const char **what);
struct unit *unit_master(void);
/* The vCPU's stub that has ctx's registers, or the best to load them into; ctx NULL: any. unit->lock held; NULL: it died. */
struct stub *unit_get_stub(struct unit *unit, struct vcpu *v, const struct user_ctx *ctx);
struct unit *unit_alloc(struct vcpu *v);			      /* clean; NULL: the host refuses another process */
void unit_free(struct unit *unit);
void unit_kill_all(void);

/* ops.c: unit->lock held by the caller of each */
void ops_fill(struct unit *unit, u64 addr, u64 pa, u64 npages, u32 prot);
bool ops_will_fill(const struct unit *unit, u64 addr); /* the queue's last word on addr is a fill */
void ops_unmap(struct unit *unit, u64 start, u64 end);
void ops_protect(struct unit *unit, u64 start, u64 end, u32 prot);
void ops_reset(struct unit *unit); /* everything unmapped */
bool ops_run(struct unit *unit, struct stub *stub, struct vcpu *v); /* false: the stub died */
/* One system call in a stub; -ESRCH when it died. */
s64 stub_syscall(struct stub *stub, u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f);

/* tlb.c */
int pt_as_create(struct mm *mm);
int pt_as_fork(struct mm *parent, struct mm *child);
void pt_as_destroy(struct mm *mm);
void pt_as_fill(struct mm *mm, u64 addr, u64 pa, u64 npages, u32 prot);
void pt_as_flush(struct mm *mm, u64 start, u64 end, int prot);
void unit_prefill(struct unit *unit, struct mm *mm);
/* The page table allows this access: queue a fill around it. False: the sentry must see the fault. */
bool fill_from_table(struct unit *unit, struct mm *mm, u64 addr, bool write, bool exec);

/* window.c */
extern s32 pt_window_socket[2]; /* ours, the stubs' */
int window_socket(void);
int window_prepare(struct unit *master, struct stub *stub); /* a page for messages, in the master alone */
/* Where a stub finds sandbox memory `pa`: descriptor and offset. Returns the bytes that follow there, 0: nowhere. */
u64 window_place(u64 pa, s32 *fd, u64 *off);

/* enter.c */
void pt_enter_user(struct user_ctx *ctx, struct mm *mm);

/* fpu.c */
void fpu_probe(void);
extern u32 pt_fpu_size;
extern u64 pt_fpu_xcr0;
void pt_fpu_init(void *fpu);
void pt_fpu_save(struct user_ctx *ctx);
void pt_fpu_reload(struct user_ctx *ctx);
void pt_switch_out(struct user_ctx *ctx);
/* The stub has the context's vector state from its last turn. */
bool fpu_is_loaded(const struct stub *stub, const struct user_ctx *ctx, const struct vcpu *v);
bool fpu_load(struct stub *stub, struct user_ctx *ctx, struct vcpu *v);
/* Prepare the fpu page instead: resumed with *regs the stub loads the state itself. False: it cannot. */
bool fpu_load_by_page(struct unit *unit, struct stub *stub, struct user_ctx *ctx, struct vcpu *v, struct user_regs *regs);
/* It was stopped before it came out of the page: true, and the context's state is in ctx->fpu again. */
bool fpu_page_unfinished(struct unit *unit, struct stub *stub, struct user_ctx *ctx);
void fpu_page_cancel(struct stub *stub, struct user_ctx *ctx);
void fpu_pages_clear(struct unit *unit);
/* unit.c */
u32 stub_number(const struct unit *unit, const struct stub *stub); /* 0 .. ncpus * STUBS_PER_VCPU */

/* usermem.c */
size_t pt_copy_from_user(struct mm *mm, void *dst, u64 src, size_t n);
size_t pt_copy_to_user(struct mm *mm, u64 dst, const void *src, size_t n);
int pt_cmpxchg_user32(struct mm *mm, u64 addr, u32 old, u32 new, u32 *prev);
/* At most n bytes of code at rip, for the decoder. */
size_t peek_code(struct mm *mm, u64 rip, u8 *buf, size_t n);

/* kstack.c */
int kstack_init(void);
void *pt_kstack_alloc(void);
void pt_kstack_free(void *base);

/* place.c */
void place_init(struct vcpu *v);
void place_check(struct vcpu *v); /* now and then, before entering user mode */
void place_stub(struct vcpu *v, struct stub *stub);

/* decode.c */
enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_UNSURE };
/* Does the instruction in code[0..len) write at addr? UNSURE is always allowed. */
enum access decode_access(const u8 *code, size_t len, const struct user_regs *regs, u64 addr);

#endif
