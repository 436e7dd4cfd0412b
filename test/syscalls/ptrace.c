/* ptrace(2): stops, events, registers, attaching; and what seccomp(2) hands to a tracer. */
#include <elf.h>
#include <linux/filter.h>
#include <linux/ptrace.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static long pt(long request, pid_t pid, long addr, long data)
{
	return syscall(SYS_ptrace, request, pid, addr, data);
}

static volatile long cell = 0x1234;
static volatile int handled;
static void on_usr1(int sig)
{
	handled++;
}

/* A child that stopped itself under TRACEME. */
static pid_t traced_child(void (*body)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		pt(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		body();
		_exit(7);
	}
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	return pid;
}

static void finish(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	EQ(waitpid(pid, &status, __WALL), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void body_cell(void)
{
	_exit(cell == 0x5678 ? 0 : 1);
}

static void memory(void)
{
	pid_t pid = traced_child(body_cell);
	long word = 0;
	int status;

	EQ(pt(PTRACE_PEEKDATA, pid, (long)&cell, (long)&word), 0);
	EQ(word, 0x1234);
	FAILS(pt(PTRACE_PEEKDATA, pid, 8, (long)&word), EIO);
	EQ(pt(PTRACE_POKEDATA, pid, (long)&cell, 0x5678), 0);
	EQ(cell, 0x1234);
	EQ(pt(PTRACE_CONT, pid, 0, 0), 0);
	FAILS(pt(PTRACE_PEEKDATA, pid, (long)&cell, (long)&word), ESRCH);
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void body_call(void)
{
	syscall(SYS_getpid);
	long r = syscall(SYS_getppid);
	_exit(r == 4242 ? 0 : 1);
}

static void system_calls(void)
{
	struct ptrace_syscall_info info;
	struct user_regs_struct regs;
	pid_t pid = traced_child(body_call);
	int status, seen = 0, entering = 1;

	EQ(pt(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD), 0);
	FAILS(pt(PTRACE_SETOPTIONS, pid, 0, 0x40000000), EINVAL);
	for (;;) {
		EQ(pt(PTRACE_SYSCALL, pid, 0, 0), 0);
		if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
			break;
		EQ(WSTOPSIG(status), SIGTRAP | 0x80);
		EQ(pt(PTRACE_GETREGS, pid, 0, (long)&regs), 0);
		memset(&info, 0, sizeof(info));
		CHECK(pt(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), (long)&info) > 0);
		EQ(info.op, entering ? PTRACE_SYSCALL_INFO_ENTRY : PTRACE_SYSCALL_INFO_EXIT);
		if (entering) {
			EQ((long)regs.rax, -ENOSYS);
			EQ(info.entry.nr, regs.orig_rax);
		}
		if (regs.orig_rax == SYS_getppid && !entering) {
			EQ(regs.rax, getpid());
			regs.rax = 4242;
			EQ(pt(PTRACE_SETREGS, pid, 0, (long)&regs), 0);
			seen = 1;
		}
		entering = !entering;
	}
	EQ(seen, 1);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void body_emulated(void)
{
	_exit(syscall(5555, 1, 2) == 77 ? 0 : 1);
}

static void emulation(void)
{
	struct user_regs_struct regs;
	pid_t pid = traced_child(body_emulated);
	int status;

	do { /* until the unknown call */
		EQ(pt(PTRACE_SYSEMU, pid, 0, 0), 0);
		EQ(waitpid(pid, &status, 0), pid);
		EQ(pt(PTRACE_GETREGS, pid, 0, (long)&regs), 0);
	} while (regs.orig_rax != 5555 && regs.orig_rax < 500 && WIFSTOPPED(status));
	EQ(regs.orig_rax, 5555);
	EQ(regs.rsi, 2);
	regs.rax = 77;
	EQ(pt(PTRACE_SETREGS, pid, 0, (long)&regs), 0);
	EQ(pt(PTRACE_CONT, pid, 0, 0), 0);
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void body_loop(void)
{
	for (;;)
		__asm__ volatile("nop; nop; nop; nop");
}

static void single_step(void)
{
	pid_t pid = traced_child(body_loop);
	struct user_regs_struct regs;
	siginfo_t info;
	unsigned long last = 0;
	int status, moved = 0;

	for (int i = 0; i < 30; i++) {
		EQ(pt(PTRACE_SINGLESTEP, pid, 0, 0), 0);
		EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
		EQ(pt(PTRACE_GETREGS, pid, 0, (long)&regs), 0);
		EQ(regs.eflags & 0x100, 0);
		moved += regs.rip != last;
		last = regs.rip;
	}
	CHECK(moved >= 28);
	EQ(pt(PTRACE_GETSIGINFO, pid, 0, (long)&info), 0);
	EQ(info.si_signo, SIGTRAP);
	EQ(info.si_code, TRAP_TRACE);
	finish(pid);
}

static void body_breakpoint(void)
{
	__asm__ volatile("int3");
	_exit(0);
}

static void breakpoint(void)
{
	pid_t pid = traced_child(body_breakpoint);
	siginfo_t info;
	int status;

	EQ(pt(PTRACE_CONT, pid, 0, 0), 0);
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
	EQ(pt(PTRACE_GETSIGINFO, pid, 0, (long)&info), 0);
	EQ(info.si_code, SI_KERNEL);
	EQ(pt(PTRACE_CONT, pid, 0, 0), 0); /* the trap is not passed on */
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void body_signal(void)
{
	signal(SIGUSR1, on_usr1);
	raise(SIGUSR1);
	raise(SIGUSR1);
	_exit(handled);
}

static void signals(void)
{
	pid_t pid = traced_child(body_signal);
	siginfo_t info;
	int status;

	EQ(pt(PTRACE_CONT, pid, 0, 0), 0);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(WSTOPSIG(status), SIGUSR1);
	EQ(pt(PTRACE_GETSIGINFO, pid, 0, (long)&info), 0);
	EQ(info.si_signo, SIGUSR1);
	EQ(info.si_pid, pid);
	EQ(pt(PTRACE_CONT, pid, 0, 0), 0); /* swallowed */
	EQ(waitpid(pid, &status, 0), pid);
	EQ(pt(PTRACE_CONT, pid, 0, SIGUSR1), 0); /* delivered */
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

static void fpu_and_regsets(void)
{
	static unsigned char buf[16384];
	struct iovec iov = { buf, sizeof(buf) };
	struct user_fpregs_struct fp;
	struct user_regs_struct regs;
	pid_t pid = traced_child(body_loop);
	long word;

	EQ(pt(PTRACE_GETREGSET, pid, NT_PRSTATUS, (long)&iov), 0);
	EQ(iov.iov_len, sizeof(regs));
	memcpy(&regs, buf, sizeof(regs));
	EQ(pt(PTRACE_PEEKUSR, pid, offsetof(struct user_regs_struct, rip), (long)&word), 0);
	EQ(word, regs.rip);
	EQ(regs.cs, 0x33);
	EQ(regs.ss, 0x2b);
	FAILS(pt(PTRACE_PEEKUSR, pid, 3, (long)&word), EIO);
	iov.iov_len = sizeof(buf);
	EQ(pt(PTRACE_GETREGSET, pid, NT_X86_XSTATE, (long)&iov), 0);
	CHECK(iov.iov_len >= 576);
	CHECK((*(uint64_t *)(buf + 464) & 3) == 3);
	EQ(pt(PTRACE_SETREGSET, pid, NT_X86_XSTATE, (long)&iov), 0);
	EQ(pt(PTRACE_GETFPREGS, pid, 0, (long)&fp), 0);
	EQ(fp.mxcsr & 0x1f80, 0x1f80);
	fp.xmm_space[0] = 0xabcd;
	EQ(pt(PTRACE_SETFPREGS, pid, 0, (long)&fp), 0);
	memset(&fp, 0, sizeof(fp));
	EQ(pt(PTRACE_GETFPREGS, pid, 0, (long)&fp), 0);
	EQ(fp.xmm_space[0], 0xabcd);
	FAILS(pt(PTRACE_GETREGSET, pid, 0x7777, (long)&iov), EINVAL);
	regs.fs_base = 0xffff800000000000ul;
	FAILS(pt(PTRACE_SETREGS, pid, 0, (long)&regs), EIO);
	finish(pid);
}

/* ---- events ---- */

static void body_fork(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(9);
	waitpid(pid, NULL, 0);
	execl("/proc/self/exe", "ptrace", "exit", NULL);
	_exit(1);
}

static void events(void)
{
	pid_t pid = traced_child(body_fork), child = 0, p;
	int status, forks = 0, execs = 0, exits = 0, child_exited = 0;
	long message = 0;

	EQ(pt(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL), 0);
	EQ(pt(PTRACE_CONT, pid, 0, 0), 0);
	while ((p = waitpid(-1, &status, __WALL)) > 0) {
		int sig = 0;

		if (!WIFSTOPPED(status)) {
			if (p == pid) {
				CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 23);
				break;
			}
			child_exited++;
			EQ(WEXITSTATUS(status), 9);
			continue;
		}
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_FORK << 8)) {
			forks++;
			EQ(pt(PTRACE_GETEVENTMSG, p, 0, (long)&message), 0);
			child = (pid_t)message;
		} else if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8)) {
			execs++;
			EQ(pt(PTRACE_GETEVENTMSG, p, 0, (long)&message), 0);
			EQ(message, pid);
		} else if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8)) {
			exits++;
			EQ(pt(PTRACE_GETEVENTMSG, p, 0, (long)&message), 0);
			EQ(message, p == pid ? 23 << 8 : 9 << 8);
		} else if (WSTOPSIG(status) != SIGSTOP) {
			sig = WSTOPSIG(status);
		}
		EQ(pt(PTRACE_CONT, p, 0, sig), 0);
	}
	EQ(forks, 1);
	EQ(execs, 1);
	EQ(exits, 2);
	EQ(child_exited, 1);
	CHECK(child > 0);
}

static void *idle_thread(void *arg)
{
	usleep(20000);
	return NULL;
}

static void body_threads(void)
{
	pthread_t t;

	pthread_create(&t, NULL, idle_thread, NULL);
	pthread_join(t, NULL);
	_exit(0);
}

static void thread_events(void)
{
	pid_t pid = traced_child(body_threads), p, tid = 0;
	int status, clones = 0, thread_exits = 0;
	long message;

	EQ(pt(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACECLONE), 0);
	EQ(pt(PTRACE_CONT, pid, 0, 0), 0);
	while ((p = waitpid(-1, &status, __WALL)) > 0) {
		if (!WIFSTOPPED(status)) {
			if (p == pid)
				break;
			EQ(p, tid);
			thread_exits++;
			continue;
		}
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_CLONE << 8)) {
			clones++;
			EQ(pt(PTRACE_GETEVENTMSG, p, 0, (long)&message), 0);
			tid = (pid_t)message;
		}
		EQ(pt(PTRACE_CONT, p, 0, 0), 0);
	}
	EQ(clones, 1);
	EQ(thread_exits, 1);
	CHECK(WIFEXITED(status));
}

/* ---- attaching ---- */

static pid_t spinner(void)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			usleep(1000);
	}
	return pid;
}

static void attach(void)
{
	pid_t pid = spinner();
	int status;

	EQ(pt(PTRACE_ATTACH, pid, 0, 0), 0);
	FAILS(pt(PTRACE_ATTACH, pid, 0, 0), EPERM);
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	EQ(pt(PTRACE_DETACH, pid, 0, 0), 0);
	FAILS(pt(PTRACE_CONT, pid, 0, 0), ESRCH);
	/* a process stopped by job control */
	kill(pid, SIGSTOP);
	EQ(waitpid(pid, &status, WUNTRACED), pid);
	EQ(pt(PTRACE_ATTACH, pid, 0, 0), 0);
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	EQ(pt(PTRACE_DETACH, pid, 0, 0), 0);
	kill(pid, SIGCONT);
	finish(pid);
	FAILS(pt(PTRACE_ATTACH, getpid(), 0, 0), EPERM);
	FAILS(pt(PTRACE_ATTACH, 0x3ffffff, 0, 0), ESRCH);
	FAILS(pt(PTRACE_CONT, getpid(), 0, 0), ESRCH);
}

static void seize(void)
{
	pid_t pid = spinner();
	int status;

	FAILS(pt(PTRACE_SEIZE, pid, 1, 0), EIO);
	EQ(pt(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD), 0);
	EQ(pt(PTRACE_INTERRUPT, pid, 0, 0), 0);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status >> 8, SIGTRAP | PTRACE_EVENT_STOP << 8);
	EQ(pt(PTRACE_CONT, pid, 0, 0), 0);
	/* a group stop is reported as such, and a listener hears of its end */
	kill(pid, SIGSTOP);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status >> 8, SIGSTOP);
	EQ(pt(PTRACE_CONT, pid, 0, SIGSTOP), 0);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status >> 8, SIGSTOP | PTRACE_EVENT_STOP << 8);
	EQ(pt(PTRACE_LISTEN, pid, 0, 0), 0);
	EQ(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGCONT);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status >> 8, SIGTRAP | PTRACE_EVENT_STOP << 8);
	EQ(pt(PTRACE_CONT, pid, 0, 0), 0);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status >> 8, SIGCONT);
	finish(pid);
}

static void tracer_dies(void)
{
	pid_t target = spinner(), tracer;
	int status;

	tracer = fork();
	if (!tracer) {
		if (pt(PTRACE_SEIZE, target, 0, PTRACE_O_EXITKILL))
			_exit(1);
		_exit(0);
	}
	EQ(waitpid(tracer, &status, 0), tracer);
	EQ(status, 0);
	EQ(waitpid(target, &status, 0), target);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ---- seccomp ---- */

static void body_seccomp(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | 99),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { 4, f };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
	_exit(syscall(SYS_getppid) == 31337 ? 0 : 1);
}

static void seccomp_trace(void)
{
	pid_t pid = traced_child(body_seccomp);
	struct user_regs_struct regs;
	long message;
	int status;

	EQ(pt(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESECCOMP), 0);
	EQ(pt(PTRACE_CONT, pid, 0, 0), 0);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status >> 8, SIGTRAP | PTRACE_EVENT_SECCOMP << 8);
	EQ(pt(PTRACE_GETEVENTMSG, pid, 0, (long)&message), 0);
	EQ(message, 99);
	EQ(pt(PTRACE_GETREGS, pid, 0, (long)&regs), 0);
	EQ(regs.orig_rax, SYS_getppid);
	regs.orig_rax = ~0ul; /* no call, but a result */
	regs.rax = 31337;
	EQ(pt(PTRACE_SETREGS, pid, 0, (long)&regs), 0);
	EQ(pt(PTRACE_CONT, pid, 0, 0), 0);
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void body_filtered(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 33),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { 4, code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
	raise(SIGUSR2); /* the tracer suspends the filter here */
	_exit(syscall(SYS_getppid) > 0 ? 0 : 1);
}

/* PTRACE_O_SUSPEND_SECCOMP: filters sleep as long as the option is set */
static void suspend_seccomp(void)
{
	pid_t pid = traced_child(body_filtered);
	int status;

	EQ(pt(PTRACE_CONT, pid, 0, 0), 0);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(WSTOPSIG(status), SIGUSR2);
	if (pt(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_SUSPEND_SECCOMP) < 0) {
		CHECK(errno == EPERM || errno == EINVAL); /* needs CAP_SYS_ADMIN and CONFIG_CHECKPOINT_RESTORE */
		finish(pid);
		return;
	}
	EQ(pt(PTRACE_CONT, pid, 0, 0), 0);
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void body_stop(void)
{
	raise(SIGSTOP);
}

/* PTRACE_GET_RSEQ_CONFIGURATION: as much as the caller has room for, and how much there is */
static void rseq_configuration(void)
{
	struct {
		uint64_t pointer;
		uint32_t size, signature, flags, pad;
	} conf;
	pid_t pid = traced_child(body_stop);
	long n;

	memset(&conf, 0xff, sizeof(conf));
	n = pt(PTRACE_GET_RSEQ_CONFIGURATION, pid, sizeof(conf), (long)&conf);
	if (n == -1 && errno == EIO) { /* Linux without CONFIG_RSEQ */
		finish(pid);
		return;
	}
	EQ(n, 24);
	EQ(conf.flags, 0);
	CHECK(!conf.pointer == !conf.size);
	memset(&conf, 0xff, sizeof(conf));
	EQ(pt(PTRACE_GET_RSEQ_CONFIGURATION, pid, 8, (long)&conf), 24);
	EQ(conf.size, 0xffffffff);
	finish(pid);
}

static void *fork_a_tracee(void *arg)
{
	int status;
	pid_t pid;

	usleep(20000); /* the leader is gone, most likely */
	pid = fork();
	if (!pid) {
		if (pt(PTRACE_TRACEME, 0, 0, 0))
			_exit(1);
		raise(SIGSTOP);
		usleep(20000);
		_exit(6);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		_exit(2);
	_exit(0); /* which lets the tracee go */
}

/* TRACEME where the parent's leader is dead: another thread traces, and what it leaves can still be waited for. */
static void parent_without_leader(void)
{
	int status;
	pthread_t t;
	pid_t pid;

	EQ(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	pid = fork();
	if (!pid) {
		pthread_create(&t, NULL, fork_a_tracee, NULL);
		syscall(SYS_exit, 0);
	}
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
	pid = waitpid(-1, &status, 0);
	CHECK(pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 6);
	FAILS(waitpid(-1, &status, 0), ECHILD);
	EQ(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
}

/* A dead child that a stranger traces: once the tracer has waited, nobody has to, if the parent ignores SIGCHLD. */
static void tracee_of_an_indifferent_parent(void)
{
	int status, p[2];
	char c = 1;
	pid_t pid, tracer;

	EQ(pipe(p), 0);
	signal(SIGCHLD, SIG_IGN);
	pid = fork();
	if (!pid) {
		read(p[0], &c, 1);
		_exit(3);
	}
	tracer = fork();
	if (!tracer) {
		if (pt(PTRACE_SEIZE, pid, 0, 0) || write(p[1], &c, 1) != 1 || waitpid(pid, &status, 0) != pid || status != 3 << 8)
			_exit(1);
		_exit(0);
	}
	FAILS(waitpid(-1, &status, 0), ECHILD);
	FAILS(kill(pid, 0), ESRCH);
	signal(SIGCHLD, SIG_DFL);
	close(p[0]);
	close(p[1]);
}

/* ---- debug registers: u_debugreg of struct user ---- */

#define DEBUGREG(i) (offsetof(struct user, u_debugreg) + 8 * (i))

static volatile long watched, unwatched;
static void __attribute__((noinline)) reached(void)
{
	unwatched++;
	__asm__ volatile("");
}

static void body_watched(void)
{
	unwatched = 1;
	watched = 5;
	if (watched == 5)
		reached();
	_exit(watched == 5 && unwatched == 2 ? 0 : 1);
}

static long word_of(pid_t pid, volatile long *addr)
{
	long word = -1;

	EQ(pt(PTRACE_PEEKDATA, pid, (long)addr, (long)&word), 0);
	return word;
}

static void debug_registers(void)
{
	pid_t pid = traced_child(body_watched);
	struct user_regs_struct regs;
	unsigned long dr6 = 0;
	siginfo_t info;
	int status;

	if (pt(PTRACE_POKEUSR, pid, DEBUGREG(0), (long)&watched) < 0) {
		CHECK(errno == EINVAL); /* a platform without */
		finish(pid);
		return;
	}
	FAILS(pt(PTRACE_POKEUSR, pid, DEBUGREG(4), 1), EIO);
	FAILS(pt(PTRACE_POKEUSR, pid, DEBUGREG(0) + 1, 1), EIO);
	FAILS(pt(PTRACE_POKEUSR, pid, DEBUGREG(7), 2u << 16 | 1), EINVAL);  /* of a port */
	FAILS(pt(PTRACE_POKEUSR, pid, DEBUGREG(7), 12u << 16 | 1), EINVAL); /* an instruction, with a length */
	EQ(pt(PTRACE_POKEUSR, pid, DEBUGREG(7), 9u << 16 | 1), 0);	      /* eight bytes, written */
	EQ(pt(PTRACE_CONT, pid, 0, 0), 0);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status >> 8, SIGTRAP);
	EQ(pt(PTRACE_GETSIGINFO, pid, 0, (long)&info), 0);
	EQ(info.si_code, 4 /* TRAP_HWBKPT */);
	EQ(pt(PTRACE_PEEKUSR, pid, DEBUGREG(6), (long)&dr6), 0);
	EQ(dr6 & 15, 1);
	EQ(word_of(pid, &watched), 5);
	EQ(word_of(pid, &unwatched), 1);
	EQ(pt(PTRACE_POKEUSR, pid, DEBUGREG(6), 0), 0);
	EQ(pt(PTRACE_POKEUSR, pid, DEBUGREG(7), 0), 0);
	EQ(pt(PTRACE_POKEUSR, pid, DEBUGREG(1), (long)reached), 0);
	EQ(pt(PTRACE_POKEUSR, pid, DEBUGREG(7), 4), 0); /* before an instruction */
	EQ(pt(PTRACE_CONT, pid, 0, 0), 0);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status >> 8, SIGTRAP);
	EQ(pt(PTRACE_GETREGS, pid, 0, (long)&regs), 0);
	EQ(regs.rip, (long)reached);
	EQ(word_of(pid, &unwatched), 1);
	EQ(pt(PTRACE_PEEKUSR, pid, DEBUGREG(6), (long)&dr6), 0);
	EQ(dr6 & 15, 2);
	EQ(pt(PTRACE_POKEUSR, pid, DEBUGREG(7), 0), 0);
	EQ(pt(PTRACE_CONT, pid, 0, 0), 0);
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return 23; /* executed by `events` */
	setvbuf(stdout, NULL, _IOLBF, 0);
	RUN(memory);
	RUN(system_calls);
	RUN(emulation);
	RUN(single_step);
	RUN(breakpoint);
	RUN(signals);
	RUN(fpu_and_regsets);
	RUN(events);
	RUN(thread_events);
	RUN(attach);
	RUN(seize);
	RUN(tracer_dies);
	RUN(seccomp_trace);
	RUN(suspend_seccomp);
	RUN(rseq_configuration);
	RUN(parent_without_leader);
	RUN(tracee_of_an_indifferent_parent);
	RUN(debug_registers);
	DONE();
}
