/* seccomp(2), prctl(PR_SET_SECCOMP): strict mode, filters and their actions. */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void *volatile bad_address = (void *)8;
static volatile sig_atomic_t sys_nr, sys_data, sys_arch;

#define NR BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define ARG0 BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args))
#define RET(v) BPF_STMT(BPF_RET | BPF_K, (v))
#define IF_EQ(v, t, f) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (v), (t), (f))

static long install(struct sock_filter *f, unsigned short n, unsigned flags)
{
	struct sock_fprog p = { n, f };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &p);
}
#define INSTALL(f, flags) install(f, sizeof(f) / sizeof((f)[0]), flags)

/* The wait status of a child that runs fn; fn's failed checks become status 1. */
static int in_child(void (*fn)(void))
{
	pid_t p = fork();
	int st;

	if (!p) {
		check_failures = 0;
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		fn();
		fflush(stdout);
		_exit(check_failures ? 1 : 0);
	}
	waitpid(p, &st, 0);
	return st;
}

static void strict_body(void)
{
	EQ(prctl(PR_GET_SECCOMP), 0);
	EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT), 0);
	syscall(SYS_exit, 3);
}

static void strict_violation(void)
{
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	syscall(SYS_getpid);
	syscall(SYS_exit, 0);
}

static void strict(void)
{
	int st = in_child(strict_body);

	CHECK(WIFEXITED(st) && WEXITSTATUS(st) == 3);
	st = in_child(strict_violation);
	CHECK(WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL);
}

static void errno_body(void)
{
	struct sock_filter f[] = { NR, IF_EQ(SYS_getppid, 0, 1), RET(SECCOMP_RET_ERRNO | 77), RET(SECCOMP_RET_ALLOW) };
	struct sock_filter arg[] = { NR, IF_EQ(SYS_close, 0, 3), ARG0, IF_EQ(1234, 0, 1), RET(SECCOMP_RET_ERRNO | 5),
				     RET(SECCOMP_RET_ALLOW) };
	pid_t p;
	int st;

	EQ(INSTALL(f, 0), 0);
	EQ(prctl(PR_GET_SECCOMP), 2);
	FAILS(syscall(SYS_getppid), 77);
	CHECK(getpid() > 0);
	EQ(INSTALL(arg, 0), 0);
	FAILS(close(1234), 5);
	FAILS(close(1235), EBADF);
	FAILS(syscall(SYS_getppid), 77);
	p = fork(); /* filters are inherited */
	if (!p)
		_exit(syscall(SYS_getppid) == -1 && errno == 77 ? 0 : 1);
	waitpid(p, &st, 0);
	EQ(st, 0);
}

static void on_sigsys(int sig, siginfo_t *si, void *context)
{
	(void)sig;
	(void)context;
	sys_nr = si->si_syscall;
	sys_data = si->si_errno;
	sys_arch = si->si_code == 1 && si->si_arch == AUDIT_ARCH_X86_64;
}

static void trap_body(void)
{
	struct sock_filter f[] = { NR, IF_EQ(SYS_getppid, 0, 1), RET(SECCOMP_RET_TRAP | 9), RET(SECCOMP_RET_ALLOW) };
	struct sigaction sa = { .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO };

	sigaction(SIGSYS, &sa, NULL);
	EQ(INSTALL(f, 0), 0);
	syscall(SYS_getppid);
	EQ(sys_nr, SYS_getppid);
	EQ(sys_data, 9);
	EQ(sys_arch, 1);
}

static void kill_body(void)
{
	struct sock_filter f[] = { NR, IF_EQ(SYS_getppid, 0, 1), RET(SECCOMP_RET_KILL_PROCESS), RET(SECCOMP_RET_ALLOW) };

	INSTALL(f, 0);
	syscall(SYS_getppid);
}

static void actions(void)
{
	int st;

	EQ(in_child(errno_body), 0);
	EQ(in_child(trap_body), 0);
	st = in_child(kill_body);
	CHECK(WIFSIGNALED(st) && WTERMSIG(st) == SIGSYS);
}

static void *call_getppid(void *arg)
{
	int *go = arg;

	while (!__atomic_load_n(go, __ATOMIC_ACQUIRE))
		;
	return (void *)(long)(syscall(SYS_getppid) == -1 ? errno : 0);
}

static void tsync_body(void)
{
	struct sock_filter f[] = { NR, IF_EQ(SYS_getppid, 0, 1), RET(SECCOMP_RET_ERRNO | 66), RET(SECCOMP_RET_ALLOW) };
	static int go;
	pthread_t t;
	void *result;

	pthread_create(&t, NULL, call_getppid, &go);
	EQ(INSTALL(f, SECCOMP_FILTER_FLAG_TSYNC), 0);
	__atomic_store_n(&go, 1, __ATOMIC_RELEASE);
	pthread_join(t, &result);
	EQ((long)result, 66);
}

static void threads(void)
{
	EQ(in_child(tsync_body), 0);
}

static void bad_programs(void)
{
	struct sock_filter no_return[] = { NR };
	struct sock_filter far[] = { IF_EQ(0, 9, 0), RET(0) };
	struct sock_filter unaligned[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 1), RET(0) };
	struct sock_filter outside[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, sizeof(struct seccomp_data)), RET(0) };
	struct sock_filter half[] = { BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0), RET(0) };
	struct sock_filter zero[] = { BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), RET(0) };
	uint32_t action = SECCOMP_RET_ERRNO;

	FAILS(INSTALL(no_return, 0), EINVAL);
	FAILS(INSTALL(far, 0), EINVAL);
	FAILS(INSTALL(unaligned, 0), EINVAL);
	FAILS(INSTALL(outside, 0), EINVAL);
	FAILS(INSTALL(half, 0), EINVAL);
	FAILS(INSTALL(zero, 0), EINVAL);
	FAILS(install(zero, 0, 0), EINVAL);
	FAILS(install(bad_address, 1, 0), EFAULT);
	FAILS(INSTALL(zero, 0x80000000u), EINVAL);
	FAILS(syscall(SYS_seccomp, 99, 0, NULL), EINVAL);
	FAILS(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL), EINVAL);
	EQ(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action), 0);
	action = 0x12340000;
	FAILS(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action), EOPNOTSUPP);
}

int main(void)
{
	RUN(strict);
	RUN(actions);
	RUN(threads);
	RUN(bad_programs);
	DONE();
}
