/*
 * The master stub: forked once, before the lock-down, it gives up everything and falls asleep in the stub page.
 * All stubs descend from it, so they have no capability, no descriptor but two memory files and a socket, and its seccomp filter.
 */
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/rseq.h>
#include <linux/sched.h>
#include <linux/seccomp.h>

#include "platform/ptrace/control.h"
#include "platform/ptrace/internal.h"

#define FIELD(name) ((u32)__builtin_offsetof(struct seccomp_data, name))
#define LOAD(off) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, off)
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
/* Skip `n` instructions unless the accumulator is k. */
#define UNLESS(k, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, 0, n)
#define IF(k, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, n, 0)

/*
 * What may be injected. System calls of the application never come here: PTRACE_SYSEMU takes them before. The default is a
 * trap, because the host emulates the old vsyscall page in the kernel, under the filter: it must not run either.
 */
static const struct sock_filter stub_filter[] = {
	LOAD(FIELD(arch)),
	IF(AUDIT_ARCH_X86_64, 1),
	RETURN(SECCOMP_RET_KILL_PROCESS),
	LOAD(FIELD(nr)),
	IF(__NR_munmap, 17),
	IF(__NR_mprotect, 16),
	IF(__NR_pause, 15),
	IF(__NR_close, 14),
	UNLESS(__NR_mmap, 3),
	LOAD(FIELD(args[3])), /* of a file, and it has only those it was given: never anonymous memory */
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_ANONYMOUS, 0, 11),
	RETURN(SECCOMP_RET_TRAP),
	UNLESS(__NR_recvmsg, 3),
	LOAD(FIELD(args[0])),
	IF(STUB_SOCK_FD, 7),
	RETURN(SECCOMP_RET_TRAP),
	UNLESS(__NR_clone, 4),
	LOAD(FIELD(args[0])),
	IF(CLONE_UNIT, 3),
	IF(CLONE_SPARE, 2),
	RETURN(SECCOMP_RET_TRAP),
	RETURN(SECCOMP_RET_TRAP),
	RETURN(SECCOMP_RET_ALLOW),
};

static _Alignas(16) char master_stack[8192];

static void die(void)
{
	sys_call1(__NR_exit_group, 1);
}
static void need(s64 ret)
{
	if (ret < 0)
		die();
}

static void drop_rights(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = { 0 };
	struct host_iovec no_core = { 0 }; /* the same shape as struct rlimit64 */
	struct sock_fprog prog = { ARRAY_SIZE(stub_filter), (struct sock_filter *)stub_filter };

	need(sys_call4(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0));
	sys_call0(__NR_setsid); /* no signals from the terminal: an untraced spare would die of them */
	sys_call4(__NR_prlimit64, 0, RLIMIT_CORE, &no_core, 0);
	need(sys_call2(__NR_capset, &head, none));
	/* A change of ids made the memory undumpable, which forbids ptrace(2). */
	need(sys_call4(__NR_prctl, PR_SET_DUMPABLE, 1, 0, 0));
	need(sys_call6(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0));
	if (sys_call3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog) < 0)
		need(sys_call3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog));
}

static void only_three_files(void)
{
	s64 mem = sys_call3(__NR_fcntl, pt_config.mem_fd, 0 /* F_DUPFD */, 16);
	s64 ctl = sys_call3(__NR_fcntl, pt_control_fd, 0, 16);

	s64 sock = sys_call3(__NR_fcntl, pt_window_socket[1], 0, 16);

	need(mem);
	need(ctl);
	need(sock);
	need(sys_call2(__NR_dup2, mem, STUB_MEM_FD));
	need(sys_call2(__NR_dup2, ctl, STUB_CTL_FD));
	need(sys_call2(__NR_dup2, sock, STUB_SOCK_FD));
	need(sys_call3(__NR_close_range, STUB_SOCK_FD + 1, ~0u, 0));
}

/* libc's restartable-sequences area was inherited with the rest; the kernel would write to it after it is unmapped, and
 * kill the stub for that. rseq(2); the symbols are glibc's (2.35 on), and without them there is no area. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));
#define RSEQ_AREA_SIZE 32u
#define RSEQ_SIGNATURE 0x53053053u

static void drop_rseq(void)
{
	char *area;

	if (!&__rseq_offset || !__rseq_size)
		return;
	__asm__("mov %%fs:0, %0" : "=r"(area));
	area += __rseq_offset;
	if (sys_call4(__NR_rseq, area, RSEQ_AREA_SIZE, RSEQ_FLAG_UNREGISTER, RSEQ_SIGNATURE) < 0)
		need(sys_call4(__NR_rseq, area, __rseq_size, RSEQ_FLAG_UNREGISTER, RSEQ_SIGNATURE));
}

static void map_stub_pages(void)
{
	need(sys_call6(__NR_mmap, STUB_CODE_ADDR, PAGE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, STUB_CTL_FD,
		       0));
	need(sys_call6(__NR_mmap, STUB_OPS_ADDR, OPS_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, STUB_CTL_FD,
		       control_unit_offset(0)));
}

/* Runs in the new process, on a stack of its own: the stub pages may fall on the inherited one. */
static __noreturn void master_main(void)
{
	u64 no_signals = 0;

	sys_call4(__NR_rt_sigprocmask, SIG_SETMASK, &no_signals, 0, sizeof(no_signals));
	drop_rseq();
	only_three_files();
	map_stub_pages();
	drop_rights();
	atomic_store(&pt_control->ready, 1);
	__asm__ volatile("jmp *%0" : : "r"(STUB_CODE_ADDR + (u64)(stub_code_sleep - stub_code)));
	__builtin_unreachable();
}

/* The stub page may be entered from here on: what is left of the sandbox's image is unmapped by injected calls. */
static int master_strip(struct unit *unit, struct stub *stub)
{
	s64 ret = stub_syscall(stub, __NR_munmap, 0, STUB_CODE_ADDR, 0, 0, 0, 0);

	if (!ret)
		ret = stub_syscall(stub, __NR_munmap, STUB_AREA_END, STUB_TASK_SIZE - STUB_AREA_END, 0, 0, 0, 0);
	if (!ret)
		ret = window_prepare(unit, stub);
	unit->has_ops = true;
	return (int)MIN(ret, 0);
}

static int master_take_locked(struct unit *unit, struct vcpu *v)
{
	bool first = !unit->nstubs;
	struct stub *stub;

	if (first)
		unit->has_ops = true;
	stub = unit_get_stub(unit, v, NULL);
	if (!stub)
		return -ESRCH;
	return first ? master_strip(unit, stub) : 0;
}

int master_take(struct vcpu *v)
{
	const u64 nap[2] = { 0, 50000 }; /* struct timespec: the master's filter has no futex(2), so nobody wakes us */
	struct unit *unit = unit_master();
	s32 status = 0;
	int ret;

	while (!atomic_load(&pt_control->ready)) {
		if (sys_call4(__NR_wait4, unit->pid, &status, WAIT_ALL_CLONES | 1 /* WNOHANG */, 0))
			return -ESRCH;
		sys_call4(__NR_futex, &pt_control->ready, FUTEX_WAIT, 0, nap);
	}
	spin_lock(&unit->lock);
	ret = master_take_locked(unit, v);
	spin_unlock(&unit->lock);
	v->master = unit;
	return ret;
}

int master_start(const char **what)
{
	struct unit *unit = unit_master();
	s64 pid;

	*what = "a socket for the stubs";
	pid = window_socket();
	if (pid < 0)
		return (int)pid;
	memcpy(pt_control->code, stub_code, (u64)(stub_code_end - stub_code));
	/* fork(2) without an exit signal: nobody expects SIGCHLD */
	pid = sys6(__NR_clone, 0, 0, 0, 0, 0, 0);
	if (!pid) {
		__asm__ volatile("mov %0, %%rsp; xor %%ebp, %%ebp; call *%1"
				 :
				 : "r"(master_stack + sizeof(master_stack)), "r"(master_main)
				 : "memory");
		__builtin_unreachable();
	}
	if (pid < 0) {
		*what = "fork of the master stub";
		return (int)pid;
	}
	unit->pid = unit->spare = (s32)pid;
	sys_call1(__NR_close, pt_window_socket[1]);
	return 0;
}
