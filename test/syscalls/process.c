/* fork(2), clone(2), clone3, vfork(2), wait4(2), waitid(2), exit, reparenting, prctl(2), pidfds, sessions and groups. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static void *volatile bad_address = (void *)8;
static char stack[65536] __attribute__((aligned(16)));

static void msleep(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000l };

	nanosleep(&ts, NULL);
}

static pid_t child_exits(int code)
{
	pid_t p = fork();

	if (!p)
		_exit(code);
	return p;
}

static pid_t child_sleeps(void)
{
	pid_t p = fork();

	if (!p) {
		for (;;)
			pause();
	}
	return p;
}

static void status(void)
{
	int st;
	pid_t p = child_exits(42);

	EQ(waitpid(p, &st, 0), p);
	CHECK(WIFEXITED(st) && WEXITSTATUS(st) == 42);
	FAILS(waitpid(p, &st, 0), ECHILD);
	FAILS(waitpid(-1, &st, 0), ECHILD);
	FAILS(waitpid(-1, &st, 0x10), EINVAL);
	FAILS(waitpid(-2147483647 - 1, &st, 0), ESRCH);
	p = child_exits(300);
	EQ(waitpid(-1, &st, 0), p);
	EQ(WEXITSTATUS(st), 300 & 255);
	p = child_sleeps();
	EQ(waitpid(p, &st, WNOHANG), 0);
	EQ(kill(p, SIGTERM), 0);
	EQ(waitpid(0, &st, 0), p);
	CHECK(WIFSIGNALED(st) && WTERMSIG(st) == SIGTERM);
	p = child_exits(0);
	FAILS(wait4(p, bad_address, 0, NULL), EFAULT);
	FAILS(waitpid(p, &st, 0), ECHILD); /* it was reaped all the same */
}

static void stops(void)
{
	int st;
	pid_t p = child_sleeps();

	EQ(kill(p, SIGSTOP), 0);
	EQ(waitpid(p, &st, WUNTRACED), p);
	CHECK(WIFSTOPPED(st) && WSTOPSIG(st) == SIGSTOP);
	EQ(waitpid(p, &st, WUNTRACED | WNOHANG), 0); /* reported once */
	EQ(kill(p, SIGCONT), 0);
	EQ(waitpid(p, &st, WCONTINUED), p);
	CHECK(WIFCONTINUED(st));
	EQ(waitpid(p, &st, WCONTINUED | WNOHANG), 0);
	EQ(kill(p, SIGSTOP), 0);
	EQ(waitpid(p, &st, WUNTRACED), p);
	EQ(kill(p, SIGKILL), 0); /* also when stopped */
	EQ(waitpid(p, &st, 0), p);
	EQ(WTERMSIG(st), SIGKILL);
}

static void by_waitid(void)
{
	siginfo_t si;
	struct rusage ru;
	pid_t p = child_exits(7);

	memset(&si, 1, sizeof(si));
	EQ(waitid(P_PID, (id_t)p, &si, WEXITED | WNOWAIT), 0);
	EQ(si.si_pid, p);
	EQ(si.si_signo, SIGCHLD);
	EQ(si.si_code, CLD_EXITED);
	EQ(si.si_status, 7);
	EQ(syscall(SYS_waitid, P_ALL, 0, &si, WEXITED, &ru), 0);
	EQ(si.si_pid, p);
	FAILS(waitid(P_ALL, 0, &si, WEXITED), ECHILD);
	FAILS(waitid(P_ALL, 0, &si, 0), EINVAL);
	FAILS(waitid(P_PID, 0, &si, WEXITED), EINVAL);
	FAILS(waitid((idtype_t)9, 1, &si, WEXITED), EINVAL);
	p = child_sleeps();
	memset(&si, 1, sizeof(si));
	EQ(waitid(P_PID, (id_t)p, &si, WEXITED | WNOHANG), 0);
	EQ(si.si_pid, 0);
	EQ(si.si_signo, 0);
	EQ(kill(p, SIGABRT), 0);
	EQ(waitid(P_PGID, (id_t)getpgrp(), &si, WEXITED), 0);
	EQ(si.si_pid, p);
	CHECK(si.si_code == CLD_KILLED || si.si_code == CLD_DUMPED);
	EQ(si.si_status, SIGABRT);
}

static void ignoring_children(void)
{
	int st;
	pid_t p;

	signal(SIGCHLD, SIG_IGN);
	p = child_exits(1);
	FAILS(waitpid(p, &st, 0), ECHILD);
	signal(SIGCHLD, SIG_DFL);
}

static void vfork_shares(void)
{
	static volatile int shared;
	pid_t p;
	int st;

	shared = 1;
	p = vfork();
	if (!p) {
		shared = 2;
		_exit(5);
	}
	EQ(shared, 2);
	EQ(waitpid(p, &st, 0), p);
	EQ(WEXITSTATUS(st), 5);
}

static int write_shared(void *arg)
{
	*(volatile int *)arg = 99;
	return 3;
}

static void clone_flags(void)
{
	static volatile int value, ptid, ctid;
	int st;
	pid_t p = clone(write_shared, stack + sizeof(stack), CLONE_VM | SIGCHLD | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
			(void *)&value, &ptid, NULL, &ctid);

	EQ(waitpid(p, &st, 0), p);
	EQ(WEXITSTATUS(st), 3);
	EQ(value, 99);
	EQ(ptid, p);
	/* An exit signal other than SIGCHLD makes it a clone child. */
	p = clone(write_shared, stack + sizeof(stack), CLONE_VM, (void *)&value);
	CHECK(p > 0);
	FAILS(waitpid(p, &st, WNOHANG), ECHILD);
	EQ(waitpid(p, &st, __WCLONE), p);
	p = clone(write_shared, stack + sizeof(stack), CLONE_VM, (void *)&value);
	EQ(waitpid(p, &st, __WALL), p);
	FAILS(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0), EINVAL);
	FAILS(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0), EINVAL);
	FAILS(syscall(SYS_clone, CLONE_FS | CLONE_NEWNS, 0, 0, 0, 0), EINVAL);
}

static void by_clone3(void)
{
	struct clone_args a = { .exit_signal = SIGCHLD };
	int pidfd = -1, st;
	siginfo_t si = { 0 };
	long p;

	FAILS(syscall(SYS_clone3, &a, 8), EINVAL);
	FAILS(syscall(SYS_clone3, bad_address, sizeof(a)), EFAULT);
	FAILS(syscall(SYS_clone3, &a, 5000), E2BIG);
	a.exit_signal = 100;
	FAILS(syscall(SYS_clone3, &a, sizeof(a)), EINVAL);
	a.exit_signal = SIGCHLD;
	a.stack = (uint64_t)stack;
	FAILS(syscall(SYS_clone3, &a, sizeof(a)), EINVAL); /* no stack_size */
	a.stack = 0;
	a.flags = CLONE_PIDFD;
	a.pidfd = (uint64_t)&pidfd;
	p = syscall(SYS_clone3, &a, sizeof(a));
	if (!p)
		_exit(11);
	CHECK(p > 0 && pidfd >= 0);
	EQ(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
	EQ(waitid((idtype_t)P_PIDFD, (id_t)pidfd, &si, WEXITED), 0);
	EQ(si.si_pid, p);
	EQ(si.si_status, 11);
	close(pidfd);
	FAILS(waitid((idtype_t)P_PIDFD, (id_t)pidfd, &si, WEXITED), EBADF);
	EQ(waitpid(-1, &st, WNOHANG), -1);
}

static void pidfds(void)
{
	pid_t p = child_sleeps();
	int fd = (int)syscall(SYS_pidfd_open, p, 0), pipefd[2], copy;
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	CHECK(fd >= 0);
	EQ(poll(&pfd, 1, 0), 0);
	EQ(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), 0);
	EQ(syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0), 0);
	EQ(poll(&pfd, 1, 5000), 1);
	CHECK(pfd.revents & POLLIN);
	EQ(waitpid(p, NULL, 0), p);
	FAILS(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0), ESRCH);
	close(fd);
	FAILS(syscall(SYS_pidfd_open, p, 0), ESRCH);
	FAILS(syscall(SYS_pidfd_open, 0, 0), EINVAL);
	FAILS(syscall(SYS_pidfd_open, getpid(), 1), EINVAL);
	FAILS(syscall(SYS_pidfd_send_signal, 0, SIGTERM, NULL, 0), EBADF);
	copy = open("/proc/self", O_RDONLY | O_DIRECTORY);
	EQ(syscall(SYS_pidfd_send_signal, copy, 0, NULL, 0), 0);
	FAILS(syscall(SYS_pidfd_getfd, copy, 0, 0), EBADF);
	close(copy);
	copy = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
	FAILS(syscall(SYS_pidfd_send_signal, copy, 0, NULL, 0), EBADF);
	close(copy);
	EQ(pipe(pipefd), 0);
	fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	copy = (int)syscall(SYS_pidfd_getfd, fd, pipefd[1], 0);
	CHECK(copy >= 0 && copy != pipefd[1]);
	EQ(write(copy, "x", 1), 1);
	FAILS(syscall(SYS_pidfd_getfd, fd, 999, 0), EBADF);
	close(copy);
	close(fd);
	close(pipefd[0]);
	close(pipefd[1]);
}

static void sessions(void)
{
	pid_t p = fork();
	int st;

	if (!p) {
		if (setsid() != getpid() || getsid(0) != getpid() || getpgrp() != getpid())
			_exit(1);
		if (setsid() != -1 || errno != EPERM)
			_exit(2);
		if (setpgid(0, 0) != -1 || errno != EPERM) /* a session leader */
			_exit(3);
		_exit(0);
	}
	EQ(waitpid(p, &st, 0), p);
	EQ(st, 0);
	p = child_sleeps();
	EQ(setpgid(p, p), 0);
	EQ(getpgid(p), p);
	EQ(getsid(p), getsid(0));
	FAILS(setpgid(p, 999999), EPERM);
	FAILS(setpgid(p, -1), EINVAL);
	FAILS(setpgid(999999, 0), ESRCH);
	FAILS(getpgid(999999), ESRCH);
	EQ(kill(-p, SIGKILL), 0);
	EQ(waitpid(-p, &st, 0), p);
	FAILS(kill(-p, 0), ESRCH);
}

static void orphans(void)
{
	int p[2], st;
	pid_t child, reported = 0;
	char c;

	EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	EQ(pipe(p), 0);
	child = fork();
	if (!child) {
		if (!fork()) { /* the grandchild outlives its parent */
			pid_t me = getpid();

			close(p[0]);
			while (getppid() == (int)child)
				;
			msleep(20);
			if (write(p[1], &me, sizeof(me)) != sizeof(me))
				_exit(1);
			_exit(9);
		}
		_exit(0);
	}
	close(p[1]);
	EQ(waitpid(child, &st, 0), child);
	EQ(read(p[0], &reported, sizeof(reported)), sizeof(reported));
	EQ(waitpid(-1, &st, 0), reported); /* it is ours now */
	EQ(WEXITSTATUS(st), 9);
	EQ(read(p[0], &c, 1), 0);
	close(p[0]);
	EQ(prctl(PR_GET_CHILD_SUBREAPER, &st), 0);
	EQ(st, 1);
	EQ(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

static void parent_death_signal(void)
{
	int p[2], sig;
	pid_t child;
	char c;

	EQ(pipe(p), 0);
	child = fork();
	if (!child) {
		if (!fork()) {
			close(p[0]);
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			c = 'r';
			if (write(p[1], &c, 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		if (read(p[0], &c, 1) != 1)
			_exit(1);
		_exit(0);
	}
	close(p[1]);
	waitpid(child, NULL, 0);
	EQ(read(p[0], &c, 1), 0); /* the grandchild died and its end of the pipe with it */
	close(p[0]);
	EQ(prctl(PR_GET_PDEATHSIG, &sig), 0);
	EQ(sig, 0);
	FAILS(prctl(PR_SET_PDEATHSIG, 100), EINVAL);
}

static void *exits_alone(void *arg)
{
	syscall(SYS_exit, 0);
	return arg;
}

static void *sleeps(void *arg)
{
	pause();
	return arg;
}

static void thread_exits(void)
{
	pid_t p = fork();
	pthread_t t;
	int st;

	if (!p) { /* the leader leaves, another thread ends the process later */
		pthread_create(&t, NULL, sleeps, NULL);
		syscall(SYS_exit, 4);
	}
	msleep(50);
	EQ(waitpid(p, &st, WNOHANG), 0);
	EQ(kill(p, SIGTERM), 0);
	EQ(waitpid(p, &st, 0), p);
	EQ(WTERMSIG(st), SIGTERM);
	p = fork();
	if (!p) {
		pthread_create(&t, NULL, sleeps, NULL);
		pthread_create(&t, NULL, exits_alone, NULL);
		msleep(20);
		_exit(6); /* exit_group */
	}
	EQ(waitpid(p, &st, 0), p);
	EQ(WEXITSTATUS(st), 6);
}

static void *execs(void *arg)
{
	char *argv[] = { "sh", "-c", "exit 8", NULL };

	execv("/bin/sh", argv);
	return arg;
}

/* execve(2): all other threads are destroyed, and the caller gets the leader's number. */
static void thread_execs(void)
{
	pid_t p = fork();
	pthread_t t;
	int st;

	if (!p) {
		for (int i = 0; i < 5; i++)
			pthread_create(&t, NULL, sleeps, NULL);
		pthread_create(&t, NULL, execs, NULL);
		for (;;)
			pause();
	}
	EQ(waitpid(p, &st, 0), p);
	EQ(WEXITSTATUS(st), 8);
}

static void names(void)
{
	char buf[16] = { 0 };

	EQ(prctl(PR_SET_NAME, "a-very-long-thread-name"), 0);
	EQ(prctl(PR_GET_NAME, buf), 0);
	CHECK(!strcmp(buf, "a-very-long-thr"));
	FAILS(prctl(PR_SET_NAME, bad_address), EFAULT);
	FAILS(prctl(9999, 0), EINVAL);
	EQ(prctl(PR_GET_DUMPABLE), 1);
	EQ(prctl(PR_SET_DUMPABLE, 0), 0);
	EQ(prctl(PR_GET_DUMPABLE), 0);
	FAILS(prctl(PR_SET_DUMPABLE, 5), EINVAL);
	EQ(prctl(PR_SET_DUMPABLE, 1), 0);
	EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	FAILS(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
	EQ(prctl(PR_GET_TIMERSLACK), 50000);
}

static void usage(void)
{
	struct rusage before, after;
	struct tms tms;
	struct timeval start, now;
	int st;
	pid_t p;

	EQ(getrusage(RUSAGE_SELF, &before), 0);
	gettimeofday(&start, NULL);
	do
		gettimeofday(&now, NULL);
	while ((now.tv_sec - start.tv_sec) * 1000000 + now.tv_usec - start.tv_usec < 100000);
	EQ(getrusage(RUSAGE_SELF, &after), 0);
	CHECK((after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 + after.ru_utime.tv_usec - before.ru_utime.tv_usec +
		      (after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000000 + after.ru_stime.tv_usec -
		      before.ru_stime.tv_usec > 20000);
	CHECK(after.ru_maxrss > 0);
	FAILS(getrusage(5, &after), EINVAL);
	FAILS(getrusage(RUSAGE_SELF, bad_address), EFAULT);
	EQ(getrusage(RUSAGE_THREAD, &after), 0);
	CHECK(times(&tms) != (clock_t)-1);
	p = child_exits(0);
	EQ(wait4(p, &st, 0, &after), p);
}

static void many_forks(void)
{
	pid_t p[100];
	int st;

	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 100; i++)
			CHECK((p[i] = child_exits(i)) > 0);
		for (int i = 99; i >= 0; i--) {
			if (waitpid(p[i], &st, 0) != p[i] || WEXITSTATUS(st) != i)
				CHECK(!"every child reports its own status");
		}
	}
}

static void signals_of_death(void)
{
	static const int sigs[] = { SIGHUP, SIGINT, SIGSEGV, SIGPIPE, SIGUSR1, SIGKILL, SIGALRM };
	int st;

	for (unsigned i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		pid_t p = child_sleeps();

		EQ(kill(p, sigs[i]), 0);
		EQ(waitpid(p, &st, 0), p);
		EQ(WTERMSIG(st), sigs[i]);
	}
}

int main(void)
{
	RUN(status);
	RUN(stops);
	RUN(by_waitid);
	RUN(ignoring_children);
	RUN(vfork_shares);
	RUN(clone_flags);
	RUN(by_clone3);
	RUN(pidfds);
	RUN(sessions);
	RUN(orphans);
	RUN(parent_death_signal);
	RUN(thread_exits);
	RUN(thread_execs);
	RUN(names);
	RUN(usage);
	RUN(many_forks);
	RUN(signals_of_death);
	DONE();
}
