/* rt_sigreturn(2) with frames that no kernel wrote, and what a debugger may not put into registers. */
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

#define KERNEL 0xffffffff81000000ul
#define NOT_CANONICAL 0x4141414141414141ul

static void (*forge)(ucontext_t *uc);

static void handler(int sig, siginfo_t *info, void *uc)
{
	forge(uc);
}

/* What becomes of a process whose signal frame was changed so: the signal that ends it, or 1000 + its status. */
static int end_of(void (*fn)(ucontext_t *uc))
{
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	struct rlimit none = { 0, 0 };
	pid_t pid = fork();
	int st;

	if (!pid) {
		setrlimit(RLIMIT_CORE, &none);
		alarm(10);
		forge = fn;
		sigaction(SIGUSR1, &sa, NULL);
		raise(SIGUSR1);
		_exit(0);
	}
	waitpid(pid, &st, 0);
	return WIFSIGNALED(st) ? WTERMSIG(st) : 1000 + WEXITSTATUS(st);
}

static void nothing(ucontext_t *uc) {}
static void kernel_rip(ucontext_t *uc) { uc->uc_mcontext.gregs[REG_RIP] = (greg_t)KERNEL; }
static void wild_rip(ucontext_t *uc) { uc->uc_mcontext.gregs[REG_RIP] = (greg_t)NOT_CANONICAL; }
static void null_rip(ucontext_t *uc) { uc->uc_mcontext.gregs[REG_RIP] = 0; }
static void kernel_rsp(ucontext_t *uc) { uc->uc_mcontext.gregs[REG_RSP] = (greg_t)KERNEL; }
static void wild_rsp(ucontext_t *uc) { uc->uc_mcontext.gregs[REG_RSP] = (greg_t)NOT_CANONICAL; }
static void kernel_cs(ucontext_t *uc) { ((uint16_t *)&uc->uc_mcontext.gregs[REG_CSGSFS])[0] = 0x10; }
static void kernel_cs0(ucontext_t *uc) { ((uint16_t *)&uc->uc_mcontext.gregs[REG_CSGSFS])[0] = 0x8; }
static void null_ss(ucontext_t *uc) { ((uint16_t *)&uc->uc_mcontext.gregs[REG_CSGSFS])[3] = 0; }
static void flags_all(ucontext_t *uc) { uc->uc_mcontext.gregs[REG_EFL] |= 0x3f7000; }
static void flags_none(ucontext_t *uc) { uc->uc_mcontext.gregs[REG_EFL] = 0; }
static void flag_trap(ucontext_t *uc) { uc->uc_mcontext.gregs[REG_EFL] |= 0x100; }
static void fp_null(ucontext_t *uc) { uc->uc_mcontext.fpregs = NULL; }
static void fp_wild(ucontext_t *uc) { uc->uc_mcontext.fpregs = (void *)64; }
static void fp_kernel(ucontext_t *uc) { uc->uc_mcontext.fpregs = (void *)KERNEL; }
static void fp_unaligned(ucontext_t *uc) { uc->uc_mcontext.fpregs = (void *)((char *)uc->uc_mcontext.fpregs + 8); }
static void fp_mxcsr(ucontext_t *uc) { uc->uc_mcontext.fpregs->mxcsr = 0xffffffff; }

static uint64_t *header(ucontext_t *uc) { return (uint64_t *)((char *)uc->uc_mcontext.fpregs + 512); }
static uint32_t *software(ucontext_t *uc) { return (uint32_t *)((char *)uc->uc_mcontext.fpregs + 464); }
static void xs_reserved(ucontext_t *uc) { header(uc)[2] = 1; }
static void xs_compact(ucontext_t *uc) { header(uc)[1] = 1ull << 63; }
static void xs_ignored(ucontext_t *uc) { header(uc)[3] = 1; }
static void xs_features(ucontext_t *uc) { header(uc)[0] = ~0ull; }
static void xs_all_features(ucontext_t *uc)
{
	header(uc)[0] = ~0ull;
	memset(software(uc) + 2, 0xff, 8);
}
static void sw_magic(ucontext_t *uc) { software(uc)[0] = 0; }
static void sw_size_large(ucontext_t *uc) { software(uc)[4] = 0xffffffff; }
static void sw_size_small(ucontext_t *uc) { software(uc)[4] = 8; }
static void sw_extended(ucontext_t *uc) { software(uc)[1] = 0xffffffff; }
static void fp_noise(ucontext_t *uc)
{
	unsigned char *p = (unsigned char *)uc->uc_mcontext.fpregs;

	for (int i = 32; i < 464; i++) /* registers are data */
		p[i] = (unsigned char)(i * 37);
}
static void fp_at_the_edge(ucontext_t *uc)
{
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(p + 4096, 4096);
	memcpy(p + 4096 - 512, uc->uc_mcontext.fpregs, 512); /* the header and all behind is not there */
	uc->uc_mcontext.fpregs = (void *)(p + 4096 - 512);
}
static void mask_all(ucontext_t *uc) { memset(&uc->uc_sigmask, 0xff, 8); }
static void wild_stack(ucontext_t *uc)
{
	uc->uc_stack.ss_sp = (void *)KERNEL;
	uc->uc_stack.ss_size = ~0ul;
	uc->uc_stack.ss_flags = 0x7fffffff;
}
static void unmapped_frame(ucontext_t *uc)
{
	__asm__ volatile("mov %0, %%rsp; mov $15, %%eax; syscall" ::"r"(4096ul) : "rax");
}
static void kernel_frame(ucontext_t *uc)
{
	__asm__ volatile("mov %0, %%rsp; mov $15, %%eax; syscall" ::"r"(KERNEL) : "rax");
}
static void twice(ucontext_t *uc)
{
	static volatile int depth;

	if (!depth++)
		raise(SIGUSR1);
}

static void forged_frames(void)
{
	static const struct {
		const char *name;
		void (*fn)(ucontext_t *uc);
		int end;
	} list[] = {
#define F(name, end) { #name, name, end }
		F(nothing, 1000), F(kernel_rip, SIGSEGV), F(wild_rip, SIGSEGV), F(null_rip, SIGSEGV), F(kernel_rsp, SIGSEGV), F(wild_rsp, SIGBUS),
		F(flags_none, 1000), F(flag_trap, SIGTRAP), F(fp_null, 1000), F(fp_wild, SIGSEGV), F(fp_kernel, SIGSEGV),
		F(fp_unaligned, SIGSEGV), F(fp_mxcsr, SIGSEGV), F(xs_reserved, SIGSEGV), F(xs_compact, SIGSEGV), F(xs_features, SIGSEGV), F(xs_ignored, 1000),
		F(sw_magic, 1000), F(sw_size_large, 1000), F(sw_size_small, 1000), F(fp_noise, 1000), F(mask_all, 1000),
		F(wild_stack, 1000), F(unmapped_frame, SIGSEGV), F(kernel_frame, SIGSEGV),
	};
	static void (*const survived[])(ucontext_t *) = { kernel_cs, kernel_cs0, null_ss, flags_all, xs_all_features, sw_extended, fp_at_the_edge, twice };

	for (unsigned i = 0; i < sizeof(list) / sizeof(*list); i++) {
		int end = end_of(list[i].fn);

		if (end != list[i].end)
			printf("%s: %d, not %d\n", list[i].name, end, list[i].end);
		CHECK(end == list[i].end);
	}
	for (unsigned i = 0; i < sizeof(survived) / sizeof(*survived); i++) {
		int end = end_of(survived[i]);

		CHECK(end == 1000 || end == SIGSEGV || end == SIGBUS || end == SIGTRAP);
	}
}

/* ---- a debugger ---- */

static void forged_registers(void)
{
	struct user_regs_struct regs, good;
	pid_t pid = fork();
	int st;

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(0);
	}
	EQ(waitpid(pid, &st, 0), pid);
	EQ(ptrace(PTRACE_GETREGS, pid, 0, &good), 0);
	regs = good;
	regs.cs = 0x10;
	FAILS(ptrace(PTRACE_SETREGS, pid, 0, &regs), EIO);
	regs = good;
	regs.ss = 0x18;
	FAILS(ptrace(PTRACE_SETREGS, pid, 0, &regs), EIO);
	regs = good;
	regs.fs_base = KERNEL;
	FAILS(ptrace(PTRACE_SETREGS, pid, 0, &regs), EIO);
	regs = good;
	regs.gs_base = NOT_CANONICAL;
	FAILS(ptrace(PTRACE_SETREGS, pid, 0, &regs), EIO);
	regs = good;
	regs.eflags = ~0ull;
	EQ(ptrace(PTRACE_SETREGS, pid, 0, &regs), 0);
	EQ(ptrace(PTRACE_GETREGS, pid, 0, &regs), 0);
	EQ(regs.eflags & 0x23000, 0); /* IOPL, VM */
	FAILS(ptrace(PTRACE_POKEUSER, pid, sizeof(struct user), 1), EIO);
	FAILS(ptrace(PTRACE_POKEUSER, pid, 3, 1), EIO);
	FAILS(ptrace(PTRACE_PEEKUSER, pid, -8, 0), EIO);
	EQ(ptrace(PTRACE_SETREGS, pid, 0, &good), 0);
	EQ(ptrace(PTRACE_CONT, pid, 0, 0), 0);
	EQ(waitpid(pid, &st, 0), pid);
	EQ(st, 0);
}

int main(void)
{
	RUN(forged_frames);
	RUN(forged_registers);
	DONE();
}
