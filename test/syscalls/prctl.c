/* prctl(2), capget(2), capset(2), personality(2), arch_prctl(2). */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/ucontext.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define BAD ((void *)8)

static void names(void)
{
	char name[17] = "xxxxxxxxxxxxxxxx";

	EQ(prctl(PR_SET_NAME, "a name that is too long"), 0);
	EQ(prctl(PR_GET_NAME, name), 0);
	EQ(strcmp(name, "a name that is "), 0);
	EQ(prctl(PR_SET_NAME, ""), 0);
	EQ(prctl(PR_GET_NAME, name), 0);
	EQ(name[0], 0);
	FAILS(prctl(PR_SET_NAME, BAD), EFAULT);
	FAILS(prctl(PR_GET_NAME, BAD), EFAULT);
}

static void unknown(void)
{
	FAILS(prctl(0, 0, 0, 0, 0), EINVAL);
	FAILS(prctl(-1, 0, 0, 0, 0), EINVAL);
	FAILS(prctl(9999, 0, 0, 0, 0), EINVAL);
}

static void parent_death(void)
{
	int sig = -1;

	EQ(prctl(PR_GET_PDEATHSIG, &sig), 0);
	EQ(sig, 0);
	EQ(prctl(PR_SET_PDEATHSIG, SIGUSR1), 0);
	EQ(prctl(PR_GET_PDEATHSIG, &sig), 0);
	EQ(sig, SIGUSR1);
	FAILS(prctl(PR_SET_PDEATHSIG, 65), EINVAL);
	FAILS(prctl(PR_SET_PDEATHSIG, -1), EINVAL);
	FAILS(prctl(PR_GET_PDEATHSIG, BAD), EFAULT);
	EQ(prctl(PR_SET_PDEATHSIG, 64), 0);
	pid_t pid = fork();
	if (!pid) {
		prctl(PR_GET_PDEATHSIG, &sig);
		_exit(sig); /* not inherited */
	}
	int status;
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
	EQ(prctl(PR_SET_PDEATHSIG, 0), 0);
}

static void dumpable(void)
{
	EQ(prctl(PR_GET_DUMPABLE), 1);
	EQ(prctl(PR_SET_DUMPABLE, 0), 0);
	EQ(prctl(PR_GET_DUMPABLE), 0);
	EQ(prctl(PR_SET_DUMPABLE, 1), 0);
	FAILS(prctl(PR_SET_DUMPABLE, 2), EINVAL);
	FAILS(prctl(PR_SET_DUMPABLE, -1), EINVAL);
	EQ(setuid(0), 0);
	EQ(prctl(PR_GET_DUMPABLE), 1);
	EQ(seteuid(65534), 0);
	EQ(prctl(PR_GET_DUMPABLE), 0); /* or what suid_dumpable says: 0 */
}

static void new_privileges(void)
{
	EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	FAILS(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0), EINVAL);
	FAILS(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
	FAILS(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0), EINVAL);
	FAILS(prctl(PR_SET_NO_NEW_PRIVS, 2, 0, 0, 0), EINVAL);
	EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	pid_t pid = fork();
	if (!pid)
		_exit(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	int status;
	EQ(waitpid(pid, &status, 0), pid);
	EQ(WEXITSTATUS(status), 1);
}

static void subreaper(void)
{
	int on = -1, status, p[2];
	pid_t pid, orphan;

	EQ(prctl(PR_GET_CHILD_SUBREAPER, &on), 0);
	EQ(on, 0);
	EQ(prctl(PR_SET_CHILD_SUBREAPER, 5), 0);
	EQ(prctl(PR_GET_CHILD_SUBREAPER, &on), 0);
	EQ(on, 1);
	FAILS(prctl(PR_GET_CHILD_SUBREAPER, BAD), EFAULT);
	EQ(pipe(p), 0);
	pid = fork();
	if (!pid) {
		orphan = fork();
		if (!orphan) {
			char c;

			close(p[1]);
			read(p[0], &c, 1); /* until the parent is gone */
			_exit(33);
		}
		_exit(0);
	}
	EQ(waitpid(pid, &status, 0), pid);
	close(p[1]);
	orphan = waitpid(-1, &status, 0);
	CHECK(orphan > 0);
	EQ(WEXITSTATUS(status), 33);
	EQ(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

static void slack(void)
{
	EQ(prctl(PR_GET_TIMERSLACK), 50000);
	EQ(prctl(PR_SET_TIMERSLACK, 1234), 0);
	EQ(prctl(PR_GET_TIMERSLACK), 1234);
	EQ(prctl(PR_SET_TIMERSLACK, 0), 0); /* the default again */
	EQ(prctl(PR_GET_TIMERSLACK), 50000);
}

static void keep_caps(void)
{
	EQ(prctl(PR_GET_KEEPCAPS), 0);
	EQ(prctl(PR_SET_KEEPCAPS, 1), 0);
	EQ(prctl(PR_GET_KEEPCAPS), 1);
	FAILS(prctl(PR_SET_KEEPCAPS, 2), EINVAL);
	EQ(prctl(PR_SET_KEEPCAPS, 0), 0);
}

static void secure_bits(void)
{
	EQ(prctl(PR_GET_SECUREBITS), 0);
	EQ(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS), 0);
	EQ(prctl(PR_GET_KEEPCAPS), 1);
	EQ(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED), 0);
	EQ(prctl(PR_GET_SECUREBITS), SECBIT_NOROOT | SECBIT_NOROOT_LOCKED);
	FAILS(prctl(PR_SET_SECUREBITS, 0), EPERM);
	FAILS(prctl(PR_SET_SECUREBITS, 1u << 30), EPERM);
}

static void bounding_set(void)
{
	EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 1);
	FAILS(prctl(PR_CAPBSET_READ, 64), EINVAL);
	FAILS(prctl(PR_CAPBSET_READ, -1), EINVAL);
	EQ(prctl(PR_CAPBSET_DROP, CAP_CHOWN), 0);
	EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 0);
	EQ(prctl(PR_CAPBSET_DROP, CAP_CHOWN), 0);
	FAILS(prctl(PR_CAPBSET_DROP, 64), EINVAL);
	EQ(setuid(65534), 0);
	FAILS(prctl(PR_CAPBSET_DROP, CAP_KILL), EPERM);
	EQ(prctl(PR_CAPBSET_READ, CAP_KILL), 1);
}

static void ambient(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 0);
	FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0), EPERM); /* not inheritable */
	FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 64, 0, 0), EINVAL);
	FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 1, 0), EINVAL);
	FAILS(prctl(PR_CAP_AMBIENT, 99, CAP_KILL, 0, 0), EINVAL);
	FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 1, 0, 0), EINVAL);
	EQ(syscall(SYS_capget, &h, d), 0);
	d[0].inheritable |= 1 << CAP_KILL;
	EQ(syscall(SYS_capset, &h, d), 0);
	EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0), 0);
	EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 1);
	EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_KILL, 0, 0), 0);
	EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 0);
	EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0), 0);
	EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), 0);
	EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 0);
}

static void capabilities(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2], e[2];

	EQ(syscall(SYS_capget, &h, d), 0);
	CHECK(d[0].effective & 1 << CAP_KILL);
	h.version = 0;
	FAILS(syscall(SYS_capget, &h, d), EINVAL);
	EQ(h.version, _LINUX_CAPABILITY_VERSION_3); /* what it should have been */
	h.version = 0;
	EQ(syscall(SYS_capget, &h, NULL), 0);
	EQ(h.version, _LINUX_CAPABILITY_VERSION_3);
	FAILS(syscall(SYS_capget, BAD, d), EFAULT);
	FAILS(syscall(SYS_capget, &h, BAD), EFAULT);
	h.pid = -1;
	FAILS(syscall(SYS_capget, &h, d), EINVAL);
	h.pid = 0x3fffff;
	FAILS(syscall(SYS_capget, &h, d), ESRCH);
	h.pid = getppid();
	EQ(syscall(SYS_capget, &h, e), 0);
	FAILS(syscall(SYS_capset, &h, e), EPERM);
	h.pid = 0;
	d[0].effective &= ~(1u << CAP_KILL);
	EQ(syscall(SYS_capset, &h, d), 0);
	d[0].permitted &= ~(1u << CAP_KILL);
	EQ(syscall(SYS_capset, &h, d), 0);
	d[0].permitted |= 1u << CAP_KILL;
	FAILS(syscall(SYS_capset, &h, d), EPERM);
	d[0].permitted &= ~(1u << CAP_KILL);
	d[0].effective |= 1u << CAP_KILL;
	FAILS(syscall(SYS_capset, &h, d), EPERM);
	h.version = _LINUX_CAPABILITY_VERSION_1;
	EQ(syscall(SYS_capget, &h, e), 0);
	EQ(e[0].permitted & 1 << CAP_KILL, 0);
}

static void lost_with_uid(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	EQ(seteuid(65534), 0);
	EQ(syscall(SYS_capget, &h, d), 0);
	EQ(d[0].effective, 0);
	CHECK(d[0].permitted != 0);
	EQ(seteuid(0), 0);
	EQ(syscall(SYS_capget, &h, d), 0);
	CHECK(d[0].effective != 0);
	EQ(prctl(PR_SET_KEEPCAPS, 1), 0);
	EQ(setuid(65534), 0);
	EQ(syscall(SYS_capget, &h, d), 0);
	EQ(d[0].effective, 0);
	CHECK(d[0].permitted != 0);
}

static void odds(void)
{
	EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
	EQ(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
	EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
	FAILS(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0), EINVAL);
	EQ(prctl(PR_GET_TSC, &(int){ 0 }), 0);
	FAILS(prctl(PR_SET_TSC, 9), EINVAL);
	FAILS(prctl(PR_GET_UNALIGN, &(int){ 0 }), EINVAL);
	FAILS(prctl(PR_GET_FPEMU, &(int){ 0 }), EINVAL);
	EQ(prctl(PR_GET_TIMING), 0);
	EQ(prctl(PR_SET_TIMING, 0), 0);
	FAILS(prctl(PR_SET_TIMING, 1), EINVAL);
	EQ(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_DEFAULT);
	EQ(prctl(PR_GET_SECCOMP), 0);
	FAILS(prctl(PR_SET_SECCOMP, 99), EINVAL);
	FAILS(prctl(PR_SET_MM, PR_SET_MM_BRK, 1, 0, 1), EINVAL);
}

static void anon_names(void)
{
	char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, 4096, "a name") == -1 && errno == EINVAL)
		return; /* a kernel built without */
	FAILS(prctl(PR_SET_VMA, 99, p, 4096, "x"), EINVAL);
	FAILS(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, 4096, "bad[name"), EINVAL);
	FAILS(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p + 1, 4096, "x"), EINVAL);
	EQ(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, 4096, NULL), 0);
	munmap(p, 4096);
}

static void personalities(void)
{
	EQ(personality(0xffffffff), 0);
	EQ(personality(ADDR_NO_RANDOMIZE), 0);
	EQ(personality(0xffffffff), ADDR_NO_RANDOMIZE);
	pid_t pid = fork();
	if (!pid)
		_exit(personality(0xffffffff) == ADDR_NO_RANDOMIZE ? 0 : 1);
	int status;
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
	EQ(personality(0), ADDR_NO_RANDOMIZE);
}

static void segment_bases(void)
{
	unsigned long fs = 0, gs = 1;

	EQ(syscall(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, &fs), 0);
	CHECK(fs != 0);
	EQ(syscall(SYS_arch_prctl, 0x1004 /* ARCH_GET_GS */, &gs), 0);
	EQ(gs, 0);
	EQ(syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, &gs), 0);
	EQ(syscall(SYS_arch_prctl, 0x1004, &gs), 0);
	EQ(gs, (unsigned long)&gs);
	FAILS(syscall(SYS_arch_prctl, 0x1001, -1ul), EPERM);
	FAILS(syscall(SYS_arch_prctl, 0x1002, 1ul << 63), EPERM);
	FAILS(syscall(SYS_arch_prctl, 0x1003, BAD), EFAULT);
	FAILS(syscall(SYS_arch_prctl, 0x9999, 0), EINVAL);
	EQ(syscall(SYS_arch_prctl, 0x1001, 0), 0);
}

/* What a thread has of its own. */
static void *thread(void *arg)
{
	char name[16];

	prctl(PR_GET_NAME, name);
	if (strcmp(name, "both"))
		return (void *)1;
	prctl(PR_SET_NAME, "mine");
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return NULL;
}

static void of_threads(void)
{
	pthread_t t;
	char name[16];
	void *ret;

	EQ(prctl(PR_SET_NAME, "both"), 0);
	EQ(pthread_create(&t, NULL, thread, NULL), 0);
	EQ(pthread_join(t, &ret), 0);
	EQ((long)ret, 0);
	EQ(prctl(PR_GET_NAME, name), 0);
	EQ(strcmp(name, "both"), 0);
	EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
}

/* PR_SET_SYSCALL_USER_DISPATCH */
static volatile char dispatch;
static volatile int caught, caught_nr, caught_code;
static void on_sys(int sig, siginfo_t *si, void *context)
{
	dispatch = 0;
	caught++;
	caught_nr = si->si_syscall;
	caught_code = si->si_code;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = 4711;
}

static void user_dispatch(void)
{
	struct sigaction sa = { .sa_sigaction = on_sys, .sa_flags = SA_SIGINFO };
	pid_t pid;
	long ret;
	int status;

	FAILS(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 1l, 0l, 0l), EINVAL);
	FAILS(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0l, 0l, &dispatch), EINVAL);
	FAILS(prctl(PR_SET_SYSCALL_USER_DISPATCH, 5, 0, 0, &dispatch), EINVAL);
	FAILS(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 1l, -1l, &dispatch), EINVAL);
	FAILS(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0l, 0l, -1l), EFAULT);
	EQ(sigaction(SIGSYS, &sa, NULL), 0);
	EQ(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0l, 0l, &dispatch), 0);
	EQ(getppid() > 0, 1); /* let through */
	EQ(caught, 0);
	dispatch = 1;
	ret = syscall(SYS_getppid);
	EQ(ret, 4711);
	EQ(caught, 1);
	EQ(caught_nr, SYS_getppid);
	EQ(caught_code, 2 /* SYS_USER_DISPATCH */);
	dispatch = 1;
	ret = syscall(999999); /* whether it exists or not */
	EQ(caught, 2);
	EQ(caught_nr, 999999);
	pid = fork(); /* a child starts without */
	if (!pid) {
		dispatch = 1;
		_exit(getppid() == 4711);
	}
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
	EQ(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0l, 0l, 0l), 0);
	dispatch = 1;
	CHECK(syscall(SYS_getppid) != 4711);
	EQ(caught, 2);
	pid = fork();
	if (!pid) { /* no such selector */
		prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0l, 0l, &dispatch);
		dispatch = 7;
		_exit(0);
	}
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	EQ(WTERMSIG(status), SIGSYS);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid()) {
		printf("needs root\n");
		return 0;
	}
#define CHILD(test)                                                                     \
	do {                                                                            \
		int before__ = check_failures;                                          \
		in_child(test);                                                         \
		printf("%s %s\n", check_failures == before__ ? "ok" : "FAIL", #test);   \
	} while (0)
	CHILD(names);
	RUN(unknown);
	CHILD(parent_death);
	CHILD(dumpable);
	CHILD(new_privileges);
	CHILD(subreaper);
	CHILD(slack);
	CHILD(keep_caps);
	CHILD(secure_bits);
	CHILD(bounding_set);
	CHILD(ambient);
	CHILD(capabilities);
	CHILD(lost_with_uid);
	CHILD(odds);
	RUN(anon_names);
	CHILD(personalities);
	CHILD(segment_bases);
	CHILD(of_threads);
	CHILD(user_dispatch);
	DONE();
}
