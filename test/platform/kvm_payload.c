/*
 * A sentry of one file for the KVM platform's own test: it runs in ring 0 through the same entry code, with the real page
 * tables, and checks every way into and out of user mode. A failed check ends the VM with the line number as status.
 */
#include <asm/errno.h>
#include <asm/mman.h>

#include "base/log.h"
#include "base/string.h"
#include "hostcall.h"
#include "platform/kvm/guest.h"
#include "platform/platform.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/pagetable.h"

#define CODE 0x400000ul
#define DATA 0x600000ul
#define STACK 0x7ff000ul
#define FLAGS 0x202

struct page *memmap;
struct boot_params *boot_params;
static u64 next_frame;
static struct mm mm, other_mm;
static struct task tasks[2];
static _Atomic u32 step;

static __noreturn void leave(u32 status)
{
	struct hc_exit req = { .status = status };

	for (;;)
		hostcall(HC_EXIT, &req, sizeof(req));
}
#define CHECK(cond)                                                                     \
	do {                                                                            \
		if (!(cond)) {                                                          \
			klog_line(LOG_ERR, "line %d: %s", __LINE__, #cond);             \
			leave(1);                                                       \
		}                                                                       \
	} while (0)

/* ---- what the rest of the sentry would give ---- */
struct page *frame_alloc(u32 order, u32 flags)
{
	struct page *page = pa_to_page(next_frame);

	next_frame += PAGE_SIZE << order;
	if (flags & FRAME_ZERO)
		memset(page_to_va(page), 0, PAGE_SIZE << order);
	refcount_set(&page->ref, 1);
	return page;
}
void page_put(struct page *page)
{
	if (refcount_dec_and_test(&page->ref))
		page->flags = 0;
}
void *kzalloc(size_t n)
{
	BUG_ON(n > PAGE_SIZE);
	return page_to_va(frame_alloc(0, FRAME_ZERO));
}
void kfree(void *p)
{
	(void)p;
}

static void make_mm(struct mm *m)
{
	CHECK(!pt_init(m));
	CHECK(!platform->as_create(m));
}
static void *map(struct mm *m, u64 va, u32 prot)
{
	struct page *page = frame_alloc(0, FRAME_ZERO);
	u64 done;

	CHECK(!pt_map(m, va, page_to_pa(page), 1, prot, 0, &done));
	return page_to_va(page);
}

/* User code, copied to CODE. */
extern const char user_syscalls[], user_syscalls_end[], user_spin[], user_xmm[], user_touch[];
__asm__(".section .rodata\n"
	"user_syscalls:\n"
	"1: mov $39, %eax\n syscall\n jmp 1b\n"
	"user_spin:\n"
	"1: pause\n jmp 1b\n"
	"user_xmm:\n"
	"movq %rdi, %xmm7\n mov $1, %eax\n syscall\n movq %xmm7, %rsi\n mov $2, %eax\n syscall\n jmp user_xmm\n"
	"user_touch:\n"
	"1: mov (%rdi), %rax\n inc %rbx\n jmp 1b\n"
	"user_ymm: vmovq %rdi, %xmm7\n vinsertf128 $1, %xmm7, %ymm7, %ymm7\n mov $1, %eax\n syscall\n"
	"vextractf128 $1, %ymm7, %xmm6\n vmovq %xmm6, %rsi\n mov $2, %eax\n syscall\n"
	"user_zmm: vpbroadcastq %rdi, %zmm17\n kmovw %edi, %k3\n mov $1, %eax\n syscall\n"
	"vextracti64x4 $1, %zmm17, %ymm1\n vmovq %xmm1, %rsi\n kmovw %k3, %edx\n mov $2, %eax\n syscall\n"
	"user_div: xor %ecx, %ecx\n div %ecx\n"
	"user_ud: ud2\n"
	"user_int3: int3\n"
	"user_int80: int $0x80\n"
	"user_cli: cli\n"
	"user_fsgs: rdfsbase %rax\n rdgsbase %rdx\n mov %fs:8, %rsi\n mov %gs:16, %rdi\n mov $0x1230, %ebx\n wrfsbase %rbx\n"
	" add $8, %rbx\n wrgsbase %rbx\n syscall\n"
	"user_syscalls_end:\n"
	".text\n");
extern const char user_div[], user_ud[], user_int3[], user_int80[], user_cli[], user_fsgs[], user_ymm[], user_zmm[];

static void set_up(struct task *t, const char *code)
{
	struct user_regs *r = &t->ctx.regs;

	platform->bases_save(&t->ctx);
	memset(r, 0, sizeof(*r));
	r->rip = CODE + (u64)(code - user_syscalls);
	r->rsp = STACK;
	r->cs = KVM_USER_CS;
	r->ss = KVM_USER_DS;
	r->eflags = FLAGS;
	t->ctx.single_step = false;
}

static void run(struct task *t)
{
	platform->enter_user(&t->ctx, t->mm);
}

static void make_task(struct task *t, u32 cpu, struct mm *m)
{
	t->mm = m;
	t->cpu = cpu;
	t->ctx.fpu = page_to_va(frame_alloc(0, FRAME_ZERO));
	t->ctx.fpu_cpu = -1;
	platform->fpu_init(t->ctx.fpu);
}

static void test_syscalls(struct task *t)
{
	struct user_regs *r = &t->ctx.regs;
	struct user_regs before;
	u64 start;

	set_up(t, user_syscalls);
	for (u64 *w = &r->r15; w <= &r->rdi; w++)
		*w = 0x1111111111111111ull * (u64)(w - &r->r15);
	before = *r;
	run(t);
	CHECK(t->ctx.trap.kind == TRAP_SYSCALL);
	CHECK(r->orig_rax == 39 && r->rax == (u64)-ENOSYS);
	CHECK(r->rip == CODE + 7 && r->rcx == r->rip && r->r11 == (r->eflags & ~0x10000ull) && r->rsp == STACK);
	CHECK(r->r15 == before.r15 && r->rbx == before.rbx && r->rdi == before.rdi && r->r8 == before.r8);
	CHECK(r->rbp == before.rbp && r->rsi == before.rsi && r->rdx == before.rdx && r->r9 == before.r9);
	start = rdtsc();
	for (u32 i = 0; i < 1000; i++) {
		run(t);
		CHECK(t->ctx.trap.kind == TRAP_SYSCALL && r->orig_rax == 39);
	}
	klog_line(LOG_INFO, "1000 system calls: %lu cycles each", (rdtsc() - start) / 1000);
}

static void test_exceptions(struct task *t)
{
	set_up(t, user_div);
	run(t);
	CHECK(t->ctx.trap.kind == TRAP_EXCEPTION && t->ctx.trap.vector == X86_VEC_DE);
	set_up(t, user_ud);
	run(t);
	CHECK(t->ctx.trap.kind == TRAP_EXCEPTION && t->ctx.trap.vector == X86_VEC_UD);
	set_up(t, user_int3);
	run(t);
	CHECK(t->ctx.trap.kind == TRAP_EXCEPTION && t->ctx.trap.vector == X86_VEC_BP);
	CHECK(t->ctx.regs.rip == CODE + (u64)(user_int3 - user_syscalls) + 1);
	set_up(t, user_int80);
	run(t);
	CHECK(t->ctx.trap.kind == TRAP_INT80);
	set_up(t, user_cli);
	t->ctx.regs.eflags |= 0x3000; /* IOPL must not get through */
	run(t);
	CHECK(t->ctx.trap.kind == TRAP_EXCEPTION && t->ctx.trap.vector == X86_VEC_GP);
	set_up(t, user_spin);
	t->ctx.regs.rip = 0x8000000000000000ull;
	run(t);
	CHECK(t->ctx.trap.kind == TRAP_EXCEPTION && t->ctx.trap.vector == X86_VEC_GP);
	set_up(t, user_spin);
	t->ctx.single_step = true;
	run(t);
	CHECK(t->ctx.trap.kind == TRAP_EXCEPTION && t->ctx.trap.vector == X86_VEC_DB);
	CHECK(!(t->ctx.regs.eflags & 0x100));
}

static void test_page_faults(struct task *t)
{
	set_up(t, user_touch);
	t->ctx.regs.rdi = 0x900008;
	run(t);
	CHECK(t->ctx.trap.kind == TRAP_PAGE_FAULT && t->ctx.trap.addr == 0x900008);
	CHECK((t->ctx.trap.error & 0x1f) == PF_USER);
	t->ctx.regs.rdi = KVM_DIRECT_MAP;
	run(t);
	CHECK(t->ctx.trap.kind == TRAP_PAGE_FAULT || t->ctx.trap.vector == X86_VEC_GP);
	set_up(t, user_spin);
	t->ctx.regs.rip = DATA;
	run(t);
	CHECK(t->ctx.trap.kind == TRAP_PAGE_FAULT && t->ctx.trap.addr == DATA && (t->ctx.trap.error & PF_INSTR));
}

static void test_user_access(struct task *t)
{
	char buf[64], *page = map(&mm, DATA + 0x10000, PROT_READ);
	u32 prev;

	memset(buf, 7, sizeof(buf));
	CHECK(!platform->copy_to_user(&mm, DATA, "hello, world", 13));
	CHECK(!platform->copy_from_user(&mm, buf, DATA, 13));
	CHECK(!memcmp(buf, "hello, world", 13));
	CHECK(!platform->copy_from_user(&mm, buf, DATA, 8) && !memcmp(buf, "hello, w", 8));
	CHECK(platform->copy_from_user(&mm, buf, 0x900000, 64) == 64);
	CHECK(platform->copy_from_user(&mm, buf, 0x900000, 8) == 8);
	CHECK(platform->copy_from_user(&mm, buf, 0x900000, 4) == 4);
	CHECK(platform->copy_from_user(&mm, buf, DATA + PAGE_SIZE - 20, 64) == 44);
	CHECK(platform->copy_from_user(&mm, buf, DATA + PAGE_SIZE - 3, 8) > 0);
	CHECK(platform->copy_from_user(&mm, buf, KVM_DIRECT_MAP, 64) == 64);
	CHECK(platform->copy_to_user(&mm, ~0ul - 10, buf, 64) == 64);
	CHECK(platform->copy_to_user(&mm, DATA + 0x10000, buf, 64) == 64);
	page[5] = 9;
	CHECK(!platform->copy_from_user(&mm, buf, DATA + 0x10000, 64) && buf[5] == 9);
	CHECK(!platform->cmpxchg_user32(&mm, DATA, 1, 2, &prev) && prev != 1);
	CHECK(!platform->cmpxchg_user32(&mm, DATA, prev, 2, &prev));
	CHECK(!platform->cmpxchg_user32(&mm, DATA, 2, 3, &prev) && prev == 2);
	CHECK(platform->cmpxchg_user32(&mm, 0x900000, 2, 3, &prev) == -EFAULT);
	CHECK(platform->cmpxchg_user32(&mm, DATA + 0x10000, 0, 3, &prev) == -EFAULT);
	/* another address space */
	map(&other_mm, DATA, PROT_READ | PROT_WRITE);
	CHECK(!platform->copy_to_user(&other_mm, DATA + 100, "other", 6));
	CHECK(!platform->copy_from_user(&other_mm, buf, DATA + 100, 6) && !memcmp(buf, "other", 6));
	CHECK(!platform->copy_from_user(&mm, buf, DATA + 100, 6) && memcmp(buf, "other", 6));
	CHECK(platform->copy_from_user(&other_mm, buf, DATA + PAGE_SIZE - 20, 64) == 44);
	CHECK(t->mm == &mm);
}

static void test_bases(struct task *t)
{
	u64 v[4] = { 1, 0xabc, 3, 4 };

	CHECK(!platform->copy_to_user(&mm, DATA, v, sizeof(v)));
	set_up(t, user_fsgs);
	t->ctx.regs.fs_base = DATA;
	t->ctx.regs.gs_base = DATA + 8;
	run(t);
	if (t->ctx.trap.kind == TRAP_SYSCALL) {
		CHECK(t->ctx.regs.orig_rax == DATA && t->ctx.regs.rdx == DATA + 8);
		CHECK(t->ctx.regs.rsi == 0xabc && t->ctx.regs.rdi == 4);
	} else {
		CHECK(t->ctx.trap.vector == X86_VEC_UD); /* no FSGSBASE */
	}
	platform->bases_save(&t->ctx);
	if (this_pcpu()->flags & KVM_F_FSGSBASE)
		CHECK(t->ctx.regs.fs_base == 0x1230 && t->ctx.regs.gs_base == 0x1238);
	else
		CHECK(t->ctx.regs.fs_base == DATA && t->ctx.regs.gs_base == DATA + 8);
}

static void test_fpu(struct task *t)
{
	static struct task two;

	make_task(&two, 0, &mm);
	set_up(t, user_xmm);
	set_up(&two, user_xmm);
	t->ctx.regs.rdi = 0x1234567;
	two.ctx.regs.rdi = 0x7654321;
	run(t);
	CHECK(t->ctx.regs.orig_rax == 1);
	platform->switch_out(&t->ctx);
	run(&two);
	CHECK(two.ctx.regs.orig_rax == 1);
	platform->switch_out(&two.ctx);
	run(t);
	CHECK(t->ctx.regs.orig_rax == 2 && t->ctx.regs.rsi == 0x1234567);
	platform->switch_out(&t->ctx);
	run(&two);
	CHECK(two.ctx.regs.orig_rax == 2 && two.ctx.regs.rsi == 0x7654321);
	platform->fpu_save(&two.ctx);
	CHECK(*(u64 *)((char *)two.ctx.fpu + 160 + 7 * 16) == 0x7654321);
	*(u64 *)((char *)two.ctx.fpu + 160 + 7 * 16) = 77;
	platform->fpu_reload(&two.ctx);
	two.ctx.regs.rip = CODE + (u64)(user_xmm - user_syscalls) + 5 + 5 + 2;
	run(&two);
	CHECK(two.ctx.regs.orig_rax == 2 && two.ctx.regs.rsi == 77);
	platform->switch_out(&two.ctx);
}

/* AVX and AVX-512 state survives another task on the vCPU. */
static void test_wide_fpu(struct task *t, const char *code)
{
	static struct task two;

	if (!two.mm)
		make_task(&two, 0, &mm);
	set_up(t, code);
	set_up(&two, code);
	t->ctx.regs.rdi = 0x12345;
	two.ctx.regs.rdi = 0x54321;
	run(t);
	CHECK(t->ctx.regs.orig_rax == 1);
	platform->switch_out(&t->ctx);
	run(&two);
	platform->switch_out(&two.ctx);
	run(t);
	CHECK(t->ctx.regs.orig_rax == 2 && t->ctx.regs.rsi == 0x12345);
	if (code == user_zmm)
		CHECK(t->ctx.regs.rdx == 0x2345);
	platform->switch_out(&t->ctx);
	run(&two);
	CHECK(two.ctx.regs.orig_rax == 2 && two.ctx.regs.rsi == 0x54321);
	platform->switch_out(&two.ctx);
}

static void test_kick(struct task *t)
{
	struct hc_wait in_20ms = { .deadline_ns = 20000000 }; /* the harness counts from now */

	set_up(t, user_spin);
	for (u32 i = 0; i < 5; i++) {
		hostcall(HC_TIMER_SET, &in_20ms, sizeof(in_20ms));
		run(t);
		CHECK(t->ctx.trap.kind == TRAP_INTERRUPT);
	}
	platform->kick(0);
	run(t);
	CHECK(t->ctx.trap.kind == TRAP_INTERRUPT);
	hostcall(HC_TIMER_SET, &in_20ms, sizeof(in_20ms));
	platform->idle(0, ~0ull);
}

static void test_kstacks(void)
{
	char *a = platform->kstack_alloc(), *b = platform->kstack_alloc();

	CHECK(a && b && a != b && !((u64)a & (KSTACK_SIZE - 1)));
	memset(a + PAGE_SIZE, 1, KSTACK_SIZE - PAGE_SIZE);
	memset(b + PAGE_SIZE, 2, KSTACK_SIZE - PAGE_SIZE);
	CHECK(a[PAGE_SIZE] == 1 && a[KSTACK_SIZE - 1] == 1);
	platform->kstack_free(a);
	CHECK(platform->kstack_alloc() == a);
}

/* vCPU 1 reads a page in user mode while vCPU 0 takes it away and gives another one, again and again. */
static void test_shootdown(void)
{
	u64 *pte, va = DATA + 0x20000;

	map(&mm, va, PROT_READ);
	atomic_store(&step, 1);
	while (atomic_load(&step) != 2)
		hostcall(HC_YIELD, NULL, 0);
	for (u32 i = 0; i < 20; i++) {
		pte = pt_lookup(&mm, va);
		pt_set(pte, 0);
		platform->as_flush(&mm, va, va + PAGE_SIZE, -1);
		atomic_store(&step, 3); /* vCPU 1 must have trapped, or trap before it reads again */
		while (atomic_load(&step) != 4)
			hostcall(HC_YIELD, NULL, 0);
		pt_set(pte, pte_make(page_to_pa(frame_alloc(0, FRAME_ZERO)), PROT_READ));
		atomic_store(&step, 5);
		while (atomic_load(&step) != 6)
			hostcall(HC_YIELD, NULL, 0);
	}
	atomic_store(&step, 7);
	platform->kick(1);
}

static __noreturn void cpu1(struct task *t)
{
	while (atomic_load(&step) != 1)
		hostcall(HC_YIELD, NULL, 0);
	make_task(t, 1, &mm);
	set_up(t, user_touch);
	t->ctx.regs.rdi = DATA + 0x20000;
	atomic_store(&step, 2);
	while (atomic_load(&step) != 7) {
		run(t);
		if (t->ctx.trap.kind == TRAP_INTERRUPT)
			continue;
		CHECK(t->ctx.trap.kind == TRAP_PAGE_FAULT && t->ctx.trap.addr == DATA + 0x20000);
		while (atomic_load(&step) != 3)
			hostcall(HC_YIELD, NULL, 0);
		atomic_store(&step, 4);
		while (atomic_load(&step) != 5)
			hostcall(HC_YIELD, NULL, 0);
		atomic_store(&step, 6);
	}
	for (;;)
		platform->idle(1, ~0ull);
}

static bool forget_entry(void *arg, u64 va, u64 pte)
{
	(void)arg;
	(void)va;
	(void)pte;
	return true;
}

void sentry_boot(struct boot_params *bp, u32 cpu)
{
	struct task *t = &tasks[cpu];
	u64 sp;

	__asm__("mov %%rsp, %0" : "=r"(sp));
	*(struct task **)((sp | (KSTACK_SIZE - 1)) - 15) = t;
	if (cpu)
		cpu1(t);
	log_level = LOG_INFO;
	boot_params = bp;
	next_frame = ALIGN_UP(bp->first_free_pa + (1ul << 20), PAGE_SIZE);
	memmap = pa_to_va(next_frame);
	next_frame += (bp->mem_size >> PAGE_SHIFT) * sizeof(struct page);
	next_frame = PAGE_ALIGN_UP(next_frame);
	log_init();
	make_mm(&mm);
	make_mm(&other_mm);
	memcpy(map(&mm, CODE, PROT_READ | PROT_EXEC), user_syscalls, (size_t)(user_syscalls_end - user_syscalls));
	map(&mm, DATA, PROT_READ | PROT_WRITE);
	map(&mm, STACK - PAGE_SIZE, PROT_READ | PROT_WRITE);
	make_task(t, 0, &mm);
	klog_line(LOG_INFO, "vCPU 0 is up, %u vCPUs", bp->ncpus);
	test_user_access(t);
	test_syscalls(t);
	test_exceptions(t);
	test_page_faults(t);
	test_bases(t);
	test_fpu(t);
	if (platform->fpu_xcr0 & 4)
		test_wide_fpu(t, user_ymm);
	if ((platform->fpu_xcr0 & 0xe0) == 0xe0)
		test_wide_fpu(t, user_zmm);
	test_kick(t);
	test_kstacks();
	if (bp->ncpus > 1)
		test_shootdown();
	pt_unmap(&other_mm, 0, USER_MAX, forget_entry, NULL, NULL);
	platform->as_destroy(&other_mm);
	klog_line(LOG_INFO, "all well");
	if (bp->argc == 2)
		*(volatile char *)((char *)platform->kstack_alloc() + 8) = 1; /* the guard page: must panic */
	leave(0);
}
