/*
 * The ptrace platform on its own: a sentry of one file that makes address spaces by hand and runs machine code in them.
 * Prints one line a failed check, and with "bench" what a trap costs.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "host/hostcalls.h"
#include "host/window.h"
#include "platform/ptrace/ptrace_host.h"
#include "platform/ptrace/stub.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/pagetable.h"

#define MEM_SIZE (256ul << 20)
#define CODE 0x400000ul
#define DATA 0x500000ul
#define STACK_PAGE 0x600000ul
#define NCPUS 2u
#define READ PROT_READ
#define RW (PROT_READ | PROT_WRITE)
#define RX (PROT_READ | PROT_EXEC)

/* --- what the sentry would bring along --- */
struct page *memmap;
static _Atomic u64 next_frame = 0x400000;
static struct boot_params *params;
static _Atomic u32 failures;
static bool bench;

void sentry_boot(struct boot_params *bp, u32 cpu);

struct page *frame_alloc(u32 order, u32 flags)
{
	u64 pa = atomic_fetch_add(&next_frame, PAGE_SIZE << order);

	(void)flags; /* the memory file reads as zero */
	return pa < MEM_SIZE ? pa_to_page(pa) : NULL;
}
void panic(const char *fmt, ...)
{
	fprintf(stderr, "panic: %s\n", fmt);
	abort();
}

void page_put(struct page *p)
{
	(void)p;
}

/* --- the host side's part --- */
static _Atomic u32 wake_word[NCPUS];
bool window_look(u64 off, struct window_view *view)
{
	return false;
}

s64 hostcall_dispatch(u32 cpu, u32 nr, void *req, size_t len)
{
	(void)len;
	switch (nr) {
	case HC_YIELD:
		sched_yield();
		return 0;
	case HC_CPU_KICK:
		atomic_store(&wake_word[((struct hc_kick *)req)->cpu], 1);
		return syscall(SYS_futex, &wake_word[((struct hc_kick *)req)->cpu], FUTEX_WAKE, 1);
	case HC_CPU_WAIT:
		while (!atomic_exchange(&wake_word[cpu], 0))
			syscall(SYS_futex, &wake_word[cpu], FUTEX_WAIT, 0, NULL);
		return 0;
	}
	return -ENOSYS;
}
void host_set_platform_kick(host_kick_fn fn)
{
	(void)fn;
}
void host_vcpu_thread_init(u32 cpu)
{
	(void)cpu;
}
__noreturn void host_fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	exit(2);
}

#define CHECK(cond)                                                                     \
	do {                                                                            \
		if (!(cond)) {                                                          \
			printf("%s:%d: failed: %s\n", __func__, __LINE__, #cond);       \
			atomic_fetch_add(&failures, 1);                                 \
		}                                                                       \
	} while (0)
#define CHECK_EQ(a, b)                                                                  \
	do {                                                                            \
		u64 a_ = (u64)(a), b_ = (u64)(b);                                       \
		if (a_ != b_) {                                                         \
			printf("%s:%d: %s is %#lx, not %#lx\n", __func__, __LINE__, #a, a_, b_); \
			atomic_fetch_add(&failures, 1);                                 \
		}                                                                       \
	} while (0)

/* --- tasks and address spaces by hand --- */
struct test_task {
	struct user_ctx ctx;
	_Alignas(64) u8 fpu[16384];
};

extern const char code_start[], code_syscalls[], code_load[], code_store[], code_push[], code_int3[], code_ud2[], code_div[],
	code_hlt[], code_spin[], code_int80[], code_movs[], code_fpu_set[], code_fpu_get[], code_inc[], code_avx_store[],
	code_end[];
__asm__(".section .rodata\n"
	"code_start:\n"
	"code_syscalls: mov $39, %eax; syscall; jmp code_syscalls\n"
	"code_load: mov (%rdi), %rax; syscall\n"
	"code_store: mov %rsi, (%rdi); syscall\n"
	"code_push: push %rsi; syscall\n"
	"code_int3: int3\n"
	"code_ud2: ud2\n"
	"code_div: xor %ecx, %ecx; div %ecx\n"
	"code_hlt: hlt\n"
	"code_spin: incq (%rdi); jmp code_spin\n"
	"code_int80: mov $20, %eax; int $0x80\n"
	"code_movs: rep movsb; syscall\n"
	"code_fpu_set: movq %rdi, %xmm5; movq %rsi, %xmm15; syscall\n"
	"code_fpu_get: movq %xmm5, %rdi; movq %xmm15, %rsi; syscall\n"
	"code_inc: lock incl (%rdi); syscall\n"
	"code_avx_store: vmovdqu %ymm0, (%rdi); syscall\n"
	"code_end:\n"
	".text\n");
#define AT(label) (CODE + (u64)(label - code_start))

static u64 new_frames(u32 n)
{
	return atomic_fetch_add(&next_frame, n * PAGE_SIZE);
}

static void map(struct mm *mm, u64 va, u64 pa, u64 n, u32 prot)
{
	u64 done;

	spin_lock(&mm->pt_lock);
	CHECK_EQ(pt_map(mm, va, pa, n, prot, 0, &done), 0);
	spin_unlock(&mm->pt_lock);
}

static bool forget_entry(void *arg, u64 va, u64 pte)
{
	(void)arg, (void)va, (void)pte;
	return true;
}
static void unmap(struct mm *mm, u64 start, u64 end)
{
	spin_lock(&mm->pt_lock);
	pt_unmap(mm, start, end, forget_entry, NULL, NULL);
	spin_unlock(&mm->pt_lock);
	platform->as_flush(mm, start, end, -1);
}

static u64 code_pa;
static struct mm *new_mm(void)
{
	struct mm *mm = calloc(1, sizeof(*mm));

	CHECK_EQ(pt_init(mm), 0);
	CHECK_EQ(platform->as_create(mm), 0);
	map(mm, CODE, code_pa, 1, RX);
	return mm;
}

static struct test_task *new_task(u64 rip)
{
	struct test_task *t = aligned_alloc(64, sizeof(*t));

	memset(t, 0, sizeof(*t));
	t->ctx.regs = (struct user_regs){ .rip = rip, .cs = 0x33, .ss = 0x2b, .eflags = 0x202 };
	t->ctx.fpu = t->fpu;
	t->ctx.fpu_cpu = -1;
	platform->fpu_init(t->fpu);
	return t;
}

static u32 run(struct test_task *t, struct mm *mm)
{
	platform->enter_user(&t->ctx, mm);
	return t->ctx.trap.kind;
}
static u32 run_at(struct test_task *t, struct mm *mm, u64 rip, u64 rdi, u64 rsi)
{
	t->ctx.regs.rip = rip;
	t->ctx.regs.rdi = rdi;
	t->ctx.regs.rsi = rsi;
	return run(t, mm);
}

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
}
static void report(const char *what, u64 start, u64 n)
{
	if (bench)
		printf("%-32s %8.2f us\n", what, (double)(now_ns() - start) / 1000 / (double)n);
}

/* --- the tests --- */
static void test_syscalls(void)
{
	struct mm *mm = new_mm();
	struct test_task *t = new_task(AT(code_syscalls)), *u = new_task(AT(code_syscalls));
	u64 n = bench ? 100000 : 1000, start;

	CHECK_EQ(run(t, mm), TRAP_SYSCALL);
	CHECK_EQ(t->ctx.regs.orig_rax, 39);
	CHECK_EQ(t->ctx.regs.rax, (u64)-ENOSYS);
	CHECK_EQ(t->ctx.regs.rip, AT(code_syscalls) + 7);
	start = now_ns();
	for (u64 i = 0; i < n; i++) {
		t->ctx.regs.rax = i;
		run(t, mm);
	}
	report("null call", start, n);
	CHECK_EQ(t->ctx.trap.kind, TRAP_SYSCALL);
	start = now_ns();
	for (u64 i = 0; i < n / 10; i++) {
		struct test_task *x = i & 1 ? u : t;

		x->ctx.regs.rax = i;
		run(x, mm);
		platform->switch_out(&x->ctx);
	}
	report("two threads in turn", start, n / 10);
	CHECK_EQ(run_at(t, mm, AT(code_int80), 0, 0), TRAP_INT80);
	platform->as_destroy(mm);
}

static void check_fault(struct test_task *t, struct mm *mm, u64 rip, u64 rdi, u64 addr, u64 error)
{
	CHECK_EQ(run_at(t, mm, rip, rdi, 0x1234), TRAP_PAGE_FAULT);
	CHECK_EQ(t->ctx.trap.addr, addr);
	CHECK_EQ(t->ctx.trap.error, error);
	CHECK_EQ(t->ctx.regs.rip, rip);
}

static void test_faults(void)
{
	struct mm *mm = new_mm();
	struct test_task *t = new_task(0);
	u64 pa = new_frames(8);

	check_fault(t, mm, AT(code_load), DATA, DATA, PF_USER);
	check_fault(t, mm, AT(code_store), DATA + 8, DATA + 8, PF_USER | PF_WRITE);
	check_fault(t, mm, AT(code_inc), DATA + 8, DATA + 8, PF_USER | PF_WRITE);
	check_fault(t, mm, AT(code_avx_store), DATA + 8, DATA + 8, PF_USER | PF_WRITE);
	check_fault(t, mm, 0x700000, 0, 0x700000, PF_USER | PF_INSTR);
	t->ctx.regs.rsp = STACK_PAGE;
	check_fault(t, mm, AT(code_push), 0, STACK_PAGE - 8, PF_USER | PF_WRITE);
	map(mm, DATA, pa, 4, READ);
	CHECK_EQ(run_at(t, mm, AT(code_load), DATA, 0), TRAP_SYSCALL);
	CHECK_EQ(t->ctx.regs.orig_rax, 0);
	check_fault(t, mm, AT(code_store), DATA, DATA, PF_USER | PF_WRITE | PF_PRESENT);
	check_fault(t, mm, DATA, 0, DATA, PF_USER | PF_INSTR | PF_PRESENT);
	/* copy on write: another frame, writable, without a hint */
	unmap(mm, DATA, DATA + PAGE_SIZE);
	map(mm, DATA, pa + 5 * PAGE_SIZE, 1, RW);
	CHECK_EQ(run_at(t, mm, AT(code_store), DATA, 77), TRAP_SYSCALL);
	CHECK_EQ(*(u64 *)pa_to_va(pa + 5 * PAGE_SIZE), 77);
	CHECK_EQ(*(u64 *)pa_to_va(pa), 0);
	/* a string move: source missing, then destination read-only */
	t->ctx.regs.rcx = 8;
	CHECK_EQ(run_at(t, mm, AT(code_movs), DATA, 0x710000), TRAP_PAGE_FAULT);
	CHECK_EQ(t->ctx.trap.error & PF_WRITE, 0);
	t->ctx.regs.rcx = 8;
	CHECK_EQ(run_at(t, mm, AT(code_movs), DATA + PAGE_SIZE, DATA), TRAP_PAGE_FAULT);
	CHECK_EQ(t->ctx.trap.error, PF_USER | PF_WRITE | PF_PRESENT);
	/* wild addresses */
	check_fault(t, mm, AT(code_store), STUB_OPS_ADDR, STUB_OPS_ADDR, PF_USER | PF_WRITE);
	CHECK_EQ(run_at(t, mm, AT(code_load), 0x8000000000000000ull, 0), TRAP_EXCEPTION);
	CHECK_EQ(t->ctx.trap.vector, X86_VEC_GP);
	platform->as_destroy(mm);
}

static void check_exception(struct test_task *t, struct mm *mm, u64 rip, u32 vector, u64 rip_after)
{
	CHECK_EQ(run_at(t, mm, rip, 0, 0), TRAP_EXCEPTION);
	CHECK_EQ(t->ctx.trap.vector, vector);
	CHECK_EQ(t->ctx.regs.rip, rip_after);
}

static void test_exceptions(void)
{
	struct mm *mm = new_mm();
	struct test_task *t = new_task(0);

	check_exception(t, mm, AT(code_int3), X86_VEC_BP, AT(code_int3) + 1);
	check_exception(t, mm, AT(code_ud2), X86_VEC_UD, AT(code_ud2));
	check_exception(t, mm, AT(code_div), X86_VEC_DE, AT(code_div) + 2);
	check_exception(t, mm, AT(code_hlt), X86_VEC_GP, AT(code_hlt));
	t->ctx.single_step = true;
	check_exception(t, mm, AT(code_syscalls), X86_VEC_DB, AT(code_syscalls) + 5);
	t->ctx.single_step = false;
	/* the stub page is visible, and its system calls are emulated as any other */
	t->ctx.regs.rax = __NR_munmap;
	CHECK_EQ(run_at(t, mm, STUB_SINGLE, CODE, PAGE_SIZE), TRAP_SYSCALL);
	CHECK_EQ(t->ctx.regs.orig_rax, __NR_munmap);
	CHECK_EQ(run_at(t, mm, AT(code_int3), 0, 0), TRAP_EXCEPTION);
	/* selectors that cannot be loaded */
	t->ctx.regs.cs = 0x10;
	CHECK_EQ(run_at(t, mm, AT(code_int3), 0, 0), TRAP_EXCEPTION);
	/* the vsyscall page of the host */
	CHECK(run_at(t, mm, 0xffffffffff600000ull, 0, 0) != TRAP_SYSCALL);
	platform->as_destroy(mm);
}

static void test_fpu(void)
{
	struct mm *mm = new_mm(), *other = new_mm();
	struct test_task *a = new_task(0), *b = new_task(0);

	CHECK_EQ(run_at(a, mm, AT(code_fpu_set), 11, 22), TRAP_SYSCALL);
	platform->switch_out(&a->ctx);
	CHECK_EQ(run_at(b, mm, AT(code_fpu_get), 1, 1), TRAP_SYSCALL);
	CHECK_EQ(b->ctx.regs.rdi, 0);
	CHECK_EQ(run_at(b, mm, AT(code_fpu_set), 33, 44), TRAP_SYSCALL);
	platform->switch_out(&b->ctx);
	CHECK_EQ(run_at(a, mm, AT(code_fpu_get), 0, 0), TRAP_SYSCALL);
	CHECK_EQ(a->ctx.regs.rdi, 11);
	CHECK_EQ(a->ctx.regs.rsi, 22);
	/* the sentry changes it (a signal frame) and the task goes on elsewhere */
	platform->fpu_save(&a->ctx);
	CHECK_EQ(*(u64 *)(a->fpu + 160 + 5 * 16), 11);
	*(u64 *)(a->fpu + 160 + 5 * 16) = 55;
	platform->fpu_reload(&a->ctx);
	CHECK_EQ(run_at(a, other, AT(code_fpu_get), 0, 0), TRAP_SYSCALL);
	CHECK_EQ(a->ctx.regs.rdi, 55);
	platform->as_destroy(mm);
	platform->as_destroy(other);
}

static void test_protect_and_fork(void)
{
	struct mm *mm = new_mm(), *child = new_mm();
	struct test_task *t = new_task(0), *c = new_task(0);
	u64 pa = new_frames(4);
	struct pt_copied copied = { 0 };

	map(mm, DATA, pa, 1, RW);
	map(mm, DATA + 2 * PAGE_SIZE, pa + PAGE_SIZE, 1, RW);
	CHECK_EQ(run_at(t, mm, AT(code_store), DATA, 1), TRAP_SYSCALL);
	CHECK_EQ(run_at(t, mm, AT(code_store), DATA + 2 * PAGE_SIZE, 2), TRAP_SYSCALL);
	/* fork: both lose the right to write, over a range with a hole */
	unmap(child, CODE, CODE + PAGE_SIZE);
	CHECK_EQ(pt_copy(mm, child, 0, USER_MAX, true, &copied), 0);
	platform->as_flush(mm, DATA, DATA + 4 * PAGE_SIZE, READ);
	CHECK_EQ(platform->as_fork(mm, child), 0);
	check_fault(t, mm, AT(code_store), DATA + 2 * PAGE_SIZE, DATA + 2 * PAGE_SIZE, PF_USER | PF_WRITE | PF_PRESENT);
	check_fault(c, child, AT(code_store), DATA, DATA, PF_USER | PF_WRITE | PF_PRESENT);
	CHECK_EQ(run_at(c, child, AT(code_load), DATA + 2 * PAGE_SIZE, 0), TRAP_SYSCALL);
	CHECK_EQ(c->ctx.regs.orig_rax, 2);
	platform->as_destroy(child);
	/* the pooled process comes back empty */
	child = calloc(1, sizeof(*child));
	CHECK_EQ(pt_init(child), 0);
	CHECK_EQ(platform->as_create(child), 0);
	CHECK_EQ(run_at(c, child, AT(code_load), DATA, 0), TRAP_PAGE_FAULT);
	CHECK_EQ(c->ctx.trap.error, PF_USER | PF_INSTR);
	platform->as_destroy(child);
	platform->as_destroy(mm);
}

static void test_many_runs(void)
{
	struct mm *mm = new_mm();
	struct test_task *t = new_task(0);
	u64 pa = new_frames(600), start = now_ns();

	/* more fills than the queue holds, none contiguous */
	for (u64 i = 0; i < 300; i++) {
		map(mm, DATA + i * PAGE_SIZE, pa + i * 2 * PAGE_SIZE, 1, RW);
		platform->as_fill(mm, DATA + i * PAGE_SIZE, pa + i * 2 * PAGE_SIZE, 1, RW);
	}
	for (u64 i = 0; i < 300; i++)
		CHECK_EQ(run_at(t, mm, AT(code_store), DATA + i * PAGE_SIZE, i), TRAP_SYSCALL);
	for (u64 i = 0; i < 300; i++)
		CHECK_EQ(*(u64 *)pa_to_va(pa + i * 2 * PAGE_SIZE), i);
	report("store in 300 scattered pages", start, 300);
	platform->as_destroy(mm);
}

static void test_usermem(void)
{
	struct mm *mm = new_mm();
	u64 pa = new_frames(4);
	char buf[100];
	u32 prev;

	map(mm, DATA, pa, 1, RW);
	map(mm, DATA + PAGE_SIZE, pa + 3 * PAGE_SIZE, 1, READ);
	memset(buf, 'x', sizeof(buf));
	CHECK_EQ(platform->copy_to_user(mm, DATA + PAGE_SIZE - 50, buf, 100), 50);
	CHECK_EQ(*((char *)pa_to_va(pa) + PAGE_SIZE - 1), 'x');
	CHECK_EQ(platform->copy_from_user(mm, buf, DATA + PAGE_SIZE - 50, 100), 0);
	CHECK_EQ(buf[49], 'x');
	CHECK_EQ(buf[50], 0);
	CHECK_EQ(platform->copy_from_user(mm, buf, USER_MAX, 4), 4);
	CHECK_EQ(platform->copy_from_user(mm, buf, ~0ull - 1, 4), 4);
	CHECK_EQ(platform->cmpxchg_user32(mm, DATA, 0, 5, &prev), 0);
	CHECK_EQ(platform->cmpxchg_user32(mm, DATA, 0, 6, &prev), 0);
	CHECK_EQ(prev, 5);
	CHECK_EQ(platform->cmpxchg_user32(mm, DATA + PAGE_SIZE, 0, 6, &prev), -EFAULT);
	platform->as_destroy(mm);
}

static void bench_memory(void)
{
	struct mm *mm = new_mm();
	struct test_task *t = new_task(0);
	u64 pa = new_frames(1), n = bench ? 5000 : 50, start = now_ns();

	for (u64 i = 0; i < n; i++) {
		CHECK_EQ(run_at(t, mm, AT(code_store), DATA, i), TRAP_PAGE_FAULT);
		map(mm, DATA, pa, 1, RW);
		platform->as_fill(mm, DATA, pa, 1, RW);
		CHECK_EQ(run_at(t, mm, AT(code_store), DATA, i), TRAP_SYSCALL);
		unmap(mm, DATA, DATA + PAGE_SIZE);
	}
	report("fault, fill, call, unmap", start, n);
	platform->as_destroy(mm);
	start = now_ns();
	for (u64 i = 0; i < n / 10; i++) {
		mm = new_mm();
		run_at(t, mm, AT(code_syscalls), 0, 0);
		platform->as_destroy(mm);
		unmap(&(struct mm){ .arch = { .root_pa = va_to_pa(params) } }, 0, 0);
	}
	report("address space from the pool", start, n / 10);
}

/* --- two vCPUs --- */
static struct mm *shared_mm;
static _Atomic u32 phase; /* odd: vCPU 1 works */
static struct test_task *_Atomic handed;
static _Atomic u64 seen;

static void wait_phase(u32 p)
{
	while (atomic_load(&phase) < p)
		sched_yield();
}

/* vCPU 1: spins in user mode until it is interrupted or faults. */
static void other_cpu(void)
{
	struct test_task *t = new_task(0);

	wait_phase(1);
	CHECK_EQ(run_at(t, shared_mm, AT(code_spin), DATA, 0), TRAP_INTERRUPT);
	atomic_store(&phase, 2);
	wait_phase(3);
	CHECK_EQ(run_at(t, shared_mm, AT(code_spin), DATA, 0), TRAP_PAGE_FAULT);
	CHECK_EQ(t->ctx.trap.addr, DATA);
	atomic_store(&phase, 4);
	wait_phase(5);
	/* the task that ran on vCPU 0 goes on here, with its registers and vectors */
	CHECK_EQ(run_at(handed, shared_mm, AT(code_fpu_get), 0, 0), TRAP_SYSCALL);
	CHECK_EQ(handed->ctx.regs.rdi, 123);
	CHECK_EQ(run_at(handed, shared_mm, AT(code_fpu_set), 321, 0), TRAP_SYSCALL);
	platform->switch_out(&handed->ctx);
	atomic_store(&phase, 6);
	platform->idle(1, ~0ull);
	atomic_store(&phase, 8);
	/* both vCPUs hammer one address space; 0 kicks 1 all the time */
	u32 interrupts = 0;

	for (u32 calls = 0; calls < 3000;) {
		u32 kind = run_at(t, shared_mm, AT(code_syscalls), 0, 0);

		if (kind == TRAP_INTERRUPT)
			interrupts++;
		else if (kind == TRAP_SYSCALL)
			calls++;
		else
			CHECK_EQ(kind, TRAP_SYSCALL);
	}
	CHECK(interrupts > 0);
	atomic_store(&phase, 9);
	for (;;)
		platform->idle(1, ~0ull);
}

static void wait_value(u64 pa)
{
	u64 v = READ_ONCE(*(u64 *)pa_to_va(pa));

	while (READ_ONCE(*(u64 *)pa_to_va(pa)) < v + 1000)
		sched_yield();
}

static void test_two_cpus(void)
{
	struct test_task *t = new_task(0);
	u64 pa = new_frames(2);

	shared_mm = new_mm();
	map(shared_mm, DATA, pa, 1, RW);
	atomic_store(&phase, 1);
	wait_value(pa);
	platform->kick(1);
	wait_phase(2);
	atomic_store(&phase, 3);
	wait_value(pa);
	unmap(shared_mm, DATA, DATA + PAGE_SIZE);
	seen = *(u64 *)pa_to_va(pa);
	wait_phase(4);
	CHECK_EQ(*(u64 *)pa_to_va(pa), seen);
	CHECK_EQ(run_at(t, shared_mm, AT(code_fpu_set), 123, 0), TRAP_SYSCALL);
	platform->switch_out(&t->ctx);
	handed = t;
	atomic_store(&phase, 5);
	wait_phase(6);
	CHECK_EQ(run_at(t, shared_mm, AT(code_fpu_get), 0, 0), TRAP_SYSCALL);
	CHECK_EQ(t->ctx.regs.rdi, 321);
	platform->kick(1);
	wait_phase(8);
	for (u64 i = 0; atomic_load(&phase) < 9; i++) {
		platform->kick(1);
		map(shared_mm, DATA, pa, 1, RW);
		CHECK_EQ(run_at(t, shared_mm, AT(code_store), DATA, i), TRAP_SYSCALL);
		CHECK_EQ(*(u64 *)pa_to_va(pa), i);
		unmap(shared_mm, DATA, DATA + PAGE_SIZE);
	}
}

static void test_kstacks(void)
{
	char *a = platform->kstack_alloc(), *b = platform->kstack_alloc();

	CHECK(a && b && a != b);
	CHECK_EQ((u64)a & (0x8000 - 1), 0);
	a[PAGE_SIZE] = a[0x7fff] = 1;
	platform->kstack_free(a);
	CHECK(platform->kstack_alloc() == a);
	platform->kstack_free(b);
}

void sentry_boot(struct boot_params *bp, u32 cpu)
{
	struct ptrace_stats st;

	(void)bp;
	if (cpu)
		other_cpu();
	code_pa = new_frames(1);
	memcpy(pa_to_va(code_pa), code_start, (size_t)(code_end - code_start));
	test_syscalls();
	test_faults();
	test_exceptions();
	test_fpu();
	test_protect_and_fork();
	test_many_runs();
	test_usermem();
	bench_memory();
	test_kstacks();
	test_two_cpus();
	ptrace_get_stats(&st);
	if (bench)
		printf("%lu resumes, %lu fills, %lu injections of %lu calls, %lu units\n", st.resumes, st.fills,
		       st.injections, st.ops, st.units);
	ptrace_kill_all();
	fflush(stdout);
	exit(failures ? 1 : 0);
}

static void *vcpu_thread(void *arg)
{
	ptrace_run_vcpu(params, (u32)(u64)arg);
}

int main(int argc, char **argv)
{
	int fd = (int)syscall(SYS_memfd_create, "memory", 0);
	const char *what = "";
	pthread_t thread;
	char *mem;
	int ret;

	bench = argc > 1 && !strcmp(argv[1], "bench");
	if (fd < 0 || ftruncate(fd, MEM_SIZE) < 0)
		return 2;
	mem = mmap(NULL, MEM_SIZE, RW, MAP_SHARED | MAP_NORESERVE, fd, 0);
	memmap = calloc(MEM_SIZE / PAGE_SIZE, sizeof(*memmap));
	params = (struct boot_params *)mem;
	ret = ptrace_prepare(&(struct ptrace_config){ .mem_fd = fd, .mem = mem, .mem_size = MEM_SIZE, .ncpus = NCPUS,
						      .no_pinning = argc > 2 },
			     &what);
	if (ret < 0) {
		printf("ptrace_prepare: %s: %s\n", what, strerror(-ret));
		return 2;
	}
	for (u64 i = 0; i < NCPUS; i++)
		pthread_create(&thread, NULL, vcpu_thread, (void *)i);
	pthread_join(thread, NULL);
}
