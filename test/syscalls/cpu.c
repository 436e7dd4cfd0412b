/* What a program may not do to the CPU: privileged instructions, addresses of the kernel, selectors, flags, bases. */
#include <asm/prctl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define KERNEL 0xffffffff81000000ul
#define DIRECT_MAP 0xffff888000000000ul
#define NOT_CANONICAL 0x4141414141414141ul
#define LAST_PAGE 0x7ffffffff000ul /* never mapped */

static uint64_t operand;

/* Run fn in a process of its own: the signal that ended it, or 1000 + its status. */
static int end_of(void (*fn)(void))
{
	struct rlimit none = { 0, 0 };
	pid_t pid = fork();
	int st;

	if (!pid) {
		setrlimit(RLIMIT_CORE, &none);
		alarm(10);
		fn();
		_exit(0);
	}
	waitpid(pid, &st, 0);
	return WIFSIGNALED(st) ? WTERMSIG(st) : 1000 + WEXITSTATUS(st);
}

#define CODE(name, text) \
	static void name(void) { __asm__ volatile(text ::"r"(operand) : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "memory", "cc"); }
CODE(do_hlt, "hlt")
CODE(do_cli, "cli")
CODE(do_sti, "sti")
CODE(do_in, "mov $0x80, %%edx; in %%dx, %%al")
CODE(do_out, "mov $0x80, %%edx; out %%al, %%dx")
CODE(do_outs, "mov $0xe9, %%edx; mov %%rsp, %%rsi; outsl")
CODE(do_read_cr0, "mov %%cr0, %%rax")
CODE(do_read_cr3, "mov %%cr3, %%rax")
CODE(do_write_cr3, "mov $0x1000, %%eax; mov %%rax, %%cr3")
CODE(do_write_cr4, "xor %%eax, %%eax; mov %%rax, %%cr4")
CODE(do_write_dr7, "mov $0x400, %%eax; mov %%rax, %%dr7")
CODE(do_lgdt, "lgdt -64(%%rsp)")
CODE(do_lidt, "lidt -64(%%rsp)")
CODE(do_lldt, "xor %%eax, %%eax; lldt %%ax")
CODE(do_ltr, "mov $0x40, %%eax; ltr %%ax")
CODE(do_lmsw, "mov $1, %%eax; lmsw %%ax")
CODE(do_clts, "clts")
CODE(do_rdmsr, "mov $0xc0000080, %%ecx; rdmsr")
CODE(do_wrmsr, "mov $0xc0000082, %%ecx; xor %%eax, %%eax; xor %%edx, %%edx; wrmsr")
CODE(do_invlpg, "invlpg (%%rsp)")
CODE(do_invd, "invd")
CODE(do_wbinvd, "wbinvd")
CODE(do_swapgs, "swapgs")
CODE(do_sysret, "lea 1f(%%rip), %%rcx; mov $0x202, %%r11d; sysretq; 1:")
CODE(do_xsetbv, "xor %%ecx, %%ecx; mov $1, %%eax; xor %%edx, %%edx; xsetbv")
CODE(do_ud2, "ud2")
CODE(do_int3, "int3")
CODE(do_icebp, ".byte 0xf1")
CODE(do_int_pf, "int $14")
CODE(do_int_df, "int $8")
CODE(do_int_apic, "int $0x20")
CODE(do_int_high, "int $0xff")
CODE(do_lock_prefix, ".byte 0xf0, 0x90")
CODE(do_too_long, ".fill 15, 1, 0x66; nop")
CODE(do_iret_ring0, "pushq $0x10; push %%rsp; pushq $0x202; pushq $0x8; lea 1f(%%rip), %%rax; push %%rax; iretq; 1:")
CODE(do_far_ring0, "pushq $0x8; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:")
CODE(do_divide, "xor %%ecx, %%ecx; xor %%edx, %%edx; mov $1, %%eax; div %%ecx")
/* Where the answer is the CPU's or the host's to give, but the sandbox lives on. */
CODE(do_vmcall, "xor %%eax, %%eax; vmcall")
CODE(do_vmmcall, "xor %%eax, %%eax; vmmcall")
CODE(do_sysenter, "mov $1, %%eax; xor %%ebp, %%ebp; sysenter")
CODE(do_int80, "mov $1, %%eax; mov $7, %%ebx; int $0x80")
CODE(do_rdpmc, "xor %%ecx, %%ecx; rdpmc")
CODE(do_monitor, "mov %%rsp, %%rax; xor %%ecx, %%ecx; xor %%edx, %%edx; monitor")
CODE(do_mwait, "xor %%eax, %%eax; xor %%ecx, %%ecx; mwait")
CODE(do_smsw, "smsw %%rax; sgdt -64(%%rsp); sidt -64(%%rsp); str %%eax; sldt %%eax")
CODE(do_cpuid, "xor %%eax, %%eax; cpuid; mov $0x40000000, %%eax; cpuid")
CODE(do_syscall_wild, "mov $0x41414141, %%eax; syscall; mov $-1, %%rax; syscall; mov $0x40000027, %%eax; syscall")

static void privileged_instructions(void)
{
	static const struct {
		const char *name;
		void (*fn)(void);
		int sig;
	} list[] = {
#define I(name, sig) { #name, do_##name, sig }
		I(hlt, SIGSEGV), I(cli, SIGSEGV), I(sti, SIGSEGV), I(in, SIGSEGV), I(out, SIGSEGV), I(outs, SIGSEGV), I(read_cr0, SIGSEGV),
		I(read_cr3, SIGSEGV), I(write_cr3, SIGSEGV), I(write_cr4, SIGSEGV), I(write_dr7, SIGSEGV), I(lgdt, SIGSEGV), I(lidt, SIGSEGV),
		I(lldt, SIGSEGV), I(ltr, SIGSEGV), I(lmsw, SIGSEGV), I(clts, SIGSEGV), I(rdmsr, SIGSEGV), I(wrmsr, SIGSEGV), I(invlpg, SIGSEGV),
		I(invd, SIGSEGV), I(wbinvd, SIGSEGV), I(swapgs, SIGSEGV), I(sysret, SIGSEGV), I(xsetbv, SIGSEGV), I(ud2, SIGILL), I(int3, SIGTRAP),
		I(icebp, SIGTRAP), I(int_pf, SIGSEGV), I(int_df, SIGSEGV), I(int_apic, SIGSEGV), I(int_high, SIGSEGV), I(lock_prefix, SIGILL),
		I(too_long, SIGSEGV), I(iret_ring0, SIGSEGV), I(far_ring0, SIGSEGV), I(divide, SIGFPE), I(syscall_wild, 1000),
	};

	for (unsigned i = 0; i < sizeof(list) / sizeof(*list); i++) {
		int sig = end_of(list[i].fn);

		if (sig == SIGILL && !strncmp(list[i].name, "int_", 4))
			continue; /* a KVM that emulates ring 0 knows no gate for INT n, and calls it undefined */
		if (sig != list[i].sig)
			printf("%s: %d, not %d\n", list[i].name, sig, list[i].sig);
		CHECK(sig == list[i].sig);
	}
}

static void host_specific_instructions(void)
{
	static void (*const list[])(void) = { do_vmcall, do_vmmcall, do_sysenter, do_int80, do_rdpmc, do_monitor, do_mwait, do_smsw, do_cpuid };

	for (unsigned i = 0; i < sizeof(list) / sizeof(*list); i++) {
		int sig = end_of(list[i]);

		CHECK(sig == SIGSEGV || sig == SIGILL || sig == SIGSYS || sig == 1000 || sig == 1007);
	}
}

/* ---- addresses ---- */

static void read_it(void)
{
	*(volatile char *)operand;
}
static void write_it(void)
{
	*(volatile char *)operand = 1;
}
CODE(jump_to_it, "jmp *%0")
CODE(return_to_it, "push %0; ret")
CODE(push_there, "mov %%rsp, %%r12; mov %0, %%rsp; push %%rax; mov %%r12, %%rsp")
CODE(call_there, "mov %%rsp, %%r12; mov %0, %%rsp; mov $39, %%eax; syscall; mov %%r12, %%rsp")
CODE(fault_there, "mov %0, %%rsp; ud2")

static volatile sig_atomic_t seen_code;
static volatile uint64_t seen_address;

static void report(int sig, siginfo_t *info, void *uc)
{
	/* On a stack of its own: 16 for a kernel's word, 32 for an address as given. */
	_exit((info->si_code == SI_KERNEL ? 16 : 0) | ((uint64_t)info->si_addr == operand ? 32 : 0) | (sig == SIGBUS ? 64 : 0));
}

static void with_handler(void)
{
	static char stack[65536];
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction sa = { .sa_sigaction = report, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigaltstack(&ss, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}
#define HANDLED(fn) static void fn##_handled(void) { with_handler(); fn(); }
HANDLED(read_it)
HANDLED(write_it)
HANDLED(jump_to_it)
HANDLED(push_there)

static void forbidden_addresses(void)
{
	static const uint64_t list[] = { KERNEL, DIRECT_MAP, 0xffffffffff600000ul - 4096, 0xfffffffffffff000ul, 0xffffffffffffffffull,
					 0xffff800000000000ul, LAST_PAGE, 0xffffc00000000000ul };

	for (unsigned i = 0; i < sizeof(list) / sizeof(*list); i++) {
		operand = list[i];
		EQ(end_of(read_it), SIGSEGV);
		EQ(end_of(write_it), SIGSEGV);
		EQ(end_of(jump_to_it), SIGSEGV);
		EQ(end_of(return_to_it), SIGSEGV);
		EQ(end_of(fault_there), SIGILL);
	}
}

static void addresses_in_siginfo(void)
{
	operand = KERNEL;
	EQ(end_of(read_it_handled), 1000 + 32);
	EQ(end_of(write_it_handled), 1000 + 32);
	EQ(end_of(jump_to_it_handled), 1000 + 32);
	operand = NOT_CANONICAL;
	EQ(end_of(read_it_handled), 1000 + 16);
	EQ(end_of(write_it_handled), 1000 + 16);
	EQ(end_of(jump_to_it_handled), 1000 + 16);
	EQ(end_of(push_there_handled), 1000 + 16 + 64); /* #SS */
}

static void ignore(int sig)
{
}

static void frame_there(void)
{
	struct sigaction sa = { .sa_handler = ignore };

	sigaction(SIGILL, &sa, NULL);
	fault_there();
}

static void stacks(void)
{
	static const uint64_t list[] = { 0, 8, KERNEL, DIRECT_MAP, NOT_CANONICAL, 0x800000000000ul, LAST_PAGE, ~0ul, ~7ul };

	for (unsigned i = 0; i < sizeof(list) / sizeof(*list); i++) {
		operand = list[i];
		EQ(end_of(call_there), 1000); /* a system call needs no stack */
		EQ(end_of(fault_there), SIGILL);
		EQ(end_of(frame_there), SIGSEGV); /* a signal frame does */
	}
}

/* ---- segments, flags, bases ---- */

CODE(load_ds, "mov %%ds, %%eax; mov $0x2b, %%eax; mov %%eax, %%ds; mov %%eax, %%es; xor %%eax, %%eax; mov %%eax, %%ds; mov %%eax, %%es")
CODE(load_bad_ds, "mov $0xfff8, %%eax; mov %%eax, %%ds")
CODE(load_kernel_ss, "mov $0x18, %%eax; mov %%eax, %%ss")
CODE(load_null_ss, "xor %%eax, %%eax; mov %%eax, %%ss")
CODE(load_ldt_ds, "mov $7, %%eax; mov %%eax, %%ds")
CODE(load_null_gs, "xor %%eax, %%eax; mov %%eax, %%gs; mov $39, %%eax; syscall")
CODE(load_user_gs, "mov $0x2b, %%eax; mov %%eax, %%gs; mov $39, %%eax; syscall; mov %%gs, %%eax; cmp $0x2b, %%eax; je 1f; ud2; 1:")
CODE(set_tf, "pushf; orl $0x100, (%%rsp); popf; nop")
CODE(set_tf_call, "pushf; orl $0x100, (%%rsp); popf; mov $39, %%eax; syscall")
CODE(set_ac, "pushf; orl $0x40000, (%%rsp); popf; mov -15(%%rsp), %%eax")
CODE(set_nt, "pushf; orl $0x4000, (%%rsp); popf; mov $39, %%eax; syscall; mov $102, %%eax; syscall")
CODE(set_df, "std; mov $39, %%eax; syscall; cld")
CODE(set_iopl, "pushf; orl $0x3000, (%%rsp); popf; mov $39, %%eax; syscall; mov $0x80, %%edx; in %%dx, %%al")
CODE(set_all, "pushf; orq $0x3f7ed5, (%%rsp); andl $~0x100, (%%rsp); popf; mov $39, %%eax; syscall")
CODE(to_compat_mode, "pushq $0x2b; push %%rsp; pushq $0x202; pushq $0x23; push %0; iretq")

static void selectors(void)
{
	EQ(end_of(load_ds), 1000);
	EQ(end_of(load_bad_ds), SIGSEGV);
	EQ(end_of(load_kernel_ss), SIGSEGV);
	EQ(end_of(load_null_ss), SIGSEGV);
	EQ(end_of(load_ldt_ds), SIGSEGV);
	EQ(end_of(load_null_gs), 1000);
	EQ(end_of(load_user_gs), 1000);
}

static void flags(void)
{
	EQ(end_of(set_tf), SIGTRAP);
	EQ(end_of(set_tf_call), SIGTRAP);
	EQ(end_of(set_ac), SIGBUS);
	EQ(end_of(set_nt), 1000);
	EQ(end_of(set_df), 1000);
	EQ(end_of(set_iopl), SIGSEGV);
	EQ(end_of(set_all), 1000);
}

/* 32-bit code: a host may run it, but it has no way to a system call of the host. */
static void compat_mode(void)
{
	static const uint8_t exit_by_int80[] = { 0xb8, 1, 0, 0, 0, 0xbb, 42, 0, 0, 0, 0xcd, 0x80, 0x0f, 0x0b };
	static const uint8_t exit_by_sysenter[] = { 0xb8, 1, 0, 0, 0, 0xbb, 42, 0, 0, 0, 0x89, 0xe5, 0x0f, 0x34, 0x0f, 0x0b };
	static const uint8_t spin_and_fault[] = { 0xb9, 0, 0, 1, 0, 0xe2, 0xfe, 0x0f, 0x0b };
	uint8_t *low = mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	int sig;

	operand = (uint64_t)low;
	memcpy(low, exit_by_int80, sizeof(exit_by_int80));
	sig = end_of(to_compat_mode);
	CHECK(sig == SIGSEGV || sig == SIGILL || sig == SIGSYS || sig == 1042); /* 1042: a native kernel with 32-bit calls */
	memcpy(low, exit_by_sysenter, sizeof(exit_by_sysenter));
	sig = end_of(to_compat_mode);
	CHECK(sig == SIGSEGV || sig == SIGILL || sig == SIGSYS || sig == 1042);
	memcpy(low, spin_and_fault, sizeof(spin_and_fault));
	sig = end_of(to_compat_mode);
	CHECK(sig == SIGILL || sig == SIGSEGV);
	munmap(low, 4096);
}

static void bases(void)
{
	static const uint64_t bad[] = { KERNEL, DIRECT_MAP, NOT_CANONICAL, 0x800000000000ul, 0x7ffffffff000ul, ~0ul };
	uint64_t fs = 0;

	EQ(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs), 0);
	CHECK(fs != 0);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		FAILS(syscall(SYS_arch_prctl, ARCH_SET_FS, bad[i]), EPERM);
		FAILS(syscall(SYS_arch_prctl, ARCH_SET_GS, bad[i]), EPERM);
		FAILS(syscall(SYS_arch_prctl, ARCH_GET_FS, bad[i]), EFAULT);
	}
	EQ(syscall(SYS_arch_prctl, ARCH_SET_GS, 0x7fffffffe000ul), 0);
	EQ(syscall(SYS_arch_prctl, ARCH_GET_GS, &fs), 0);
	EQ(fs, 0x7fffffffe000ul);
	EQ(syscall(SYS_arch_prctl, ARCH_SET_GS, 0), 0);
}

CODE(write_gs, "wrgsbase %0; mov $39, %%eax; syscall; mov $102, %%eax; syscall; rdgsbase %%rcx; cmp %0, %%rcx; je 1f; ud2; 1:")
CODE(write_fs, "wrfsbase %0; mov $39, %%eax; syscall; ud2")

static void write_gs_signal(void)
{
	struct sigaction sa = { .sa_handler = ignore, .sa_flags = SA_RESTART };

	sigaction(SIGUSR1, &sa, NULL);
	__asm__ volatile("wrgsbase %0" ::"r"(operand));
	kill(getpid(), SIGUSR1);
	sched_yield();
	for (volatile int i = 0; i < 30000000; i++) /* long enough to be preempted */
		;
	write_gs();
}

static void bases_by_instruction(void)
{
	static const uint64_t any[] = { 0, 0x1234, 0x7fffffffe000, KERNEL, DIRECT_MAP, 0xffff800000000000ul, ~0ul };

	if (!(getauxval(AT_HWCAP2) & 2)) /* HWCAP2_FSGSBASE */
		return;
	for (unsigned i = 0; i < sizeof(any) / sizeof(*any); i++) {
		operand = any[i];
		EQ(end_of(write_gs), 1000);
		EQ(end_of(write_fs), SIGILL);
	}
	operand = KERNEL;
	EQ(end_of(write_gs_signal), 1000);
	operand = NOT_CANONICAL;
	EQ(end_of(write_gs), SIGSEGV);
}

int main(void)
{
	RUN(privileged_instructions);
	RUN(host_specific_instructions);
	RUN(forbidden_addresses);
	RUN(addresses_in_siginfo);
	RUN(stacks);
	RUN(selectors);
	RUN(flags);
	RUN(compat_mode);
	RUN(bases);
	RUN(bases_by_instruction);
	DONE();
}
