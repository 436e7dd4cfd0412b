/* seccomp(2), prctl(PR_SET_SECCOMP): strict mode, filters and their actions. */
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
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
static int confined_child(void (*fn)(void))
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
	int st = confined_child(strict_body);

	CHECK(WIFEXITED(st) && WEXITSTATUS(st) == 3);
	st = confined_child(strict_violation);
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

	EQ(confined_child(errno_body), 0);
	EQ(confined_child(trap_body), 0);
	st = confined_child(kill_body);
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
	EQ(confined_child(tsync_body), 0);
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

static int status_of(pid_t pid)
{
	int status;

	EQ(waitpid(pid, &status, 0), pid);
	return status;
}

/* ---- SECCOMP_RET_USER_NOTIF: seccomp_unotify(2) ---- */

static int notify_filter(unsigned flags, int nr)
{
	struct sock_filter code[] = { NR, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), RET(SECCOMP_RET_USER_NOTIF),
				      RET(SECCOMP_RET_ALLOW) };
	struct sock_fprog p = { sizeof(code) / sizeof(code[0]), code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &p);
}

/* The child passes its listener over a socket and makes the call; its status says what it saw. */
static pid_t supervised(int *listener, int nr, int (*body)(void))
{
	char c = 0, space[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space) };
	struct cmsghdr *h;
	int sv[2];
	pid_t pid;

	EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	pid = fork();
	if (!pid) {
		int fd = notify_filter(SECCOMP_FILTER_FLAG_NEW_LISTENER, nr);

		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &fd, sizeof(int));
		if (fd < 0 || sendmsg(sv[1], &m, 0) != 1)
			_exit(99);
		close(fd);
		_exit(body());
	}
	EQ(recvmsg(sv[0], &m, 0), 1);
	h = CMSG_FIRSTHDR(&m);
	CHECK(h && h->cmsg_type == SCM_RIGHTS);
	memcpy(listener, CMSG_DATA(h), sizeof(int));
	close(sv[0]);
	close(sv[1]);
	return pid;
}

static int ask_getppid(void)
{
	long r = syscall(SYS_getppid, 11, 22);

	return r == -1 ? errno : (int)r & 0xff;
}

static void notify_errors(void)
{
	struct seccomp_notif_sizes sizes;
	unsigned action = SECCOMP_RET_USER_NOTIF;
	int fd;
	pid_t child;

	EQ(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes), 0);
	EQ(sizes.seccomp_notif, sizeof(struct seccomp_notif));
	EQ(sizes.seccomp_notif_resp, sizeof(struct seccomp_notif_resp));
	EQ(sizes.seccomp_data, sizeof(struct seccomp_data));
	FAILS(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 1, &sizes), EINVAL);
	FAILS(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, 8), EFAULT);
	EQ(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action), 0);
	fflush(stdout);
	child = fork();
	if (!child) {
		check_failures = 0;
		FAILS(notify_filter(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC, SYS_getppid), EINVAL);
		FAILS(notify_filter(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, SYS_getppid), EINVAL);
		EQ(notify_filter(0, SYS_getppid), 0); /* nobody listens: */
		FAILS(syscall(SYS_getppid), ENOSYS);
		fd = notify_filter(SECCOMP_FILTER_FLAG_NEW_LISTENER, SYS_getpgrp);
		CHECK(fd >= 0);
		EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
		FAILS(notify_filter(SECCOMP_FILTER_FLAG_NEW_LISTENER, SYS_getpgrp), EBUSY);
		EQ(close(fd), 0);
		FAILS(syscall(SYS_getpgrp), ENOSYS);
		_exit(check_failures != 0);
	}
	EQ(status_of(child), 0);
}

static void notify_answers(void)
{
	static const struct {
		long val;
		int error;
		unsigned flags;
		int want; /* -1: what the call gives */
	} rows[] = { { 42, 0, 0, 42 }, { 0, -EXDEV, 0, EXDEV }, { 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE, -1 } };

	for (unsigned i = 0; i < 3; i++) {
		struct seccomp_notif n;
		struct seccomp_notif_resp r;
		int fd, status;
		pid_t pid = supervised(&fd, SYS_getppid, ask_getppid);

		memset(&n, 0, sizeof(n));
		n.pid = 1;
		FAILS(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &n), EINVAL);
		memset(&n, 0, sizeof(n));
		EQ(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &n), 0);
		EQ(n.pid, pid);
		EQ(n.data.nr, SYS_getppid);
		EQ(n.data.args[0], 11);
		EQ(n.data.args[1], 22);
		EQ(n.flags, 0);
		EQ(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &n.id), 0);
		memset(&r, 0, sizeof(r));
		r.id = n.id + 1;
		FAILS(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &r.id), ENOENT);
		FAILS(ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &r), ENOENT);
		r.id = n.id;
		r.flags = 2;
		FAILS(ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &r), EINVAL);
		r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		r.val = 1;
		FAILS(ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &r), EINVAL);
		r.val = rows[i].val;
		r.error = rows[i].error;
		r.flags = rows[i].flags;
		EQ(ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &r), 0);
		status = status_of(pid);
		CHECK(WIFEXITED(status));
		EQ(WEXITSTATUS(status), rows[i].want < 0 ? getpid() & 0xff : rows[i].want);
		memset(&n, 0, sizeof(n));
		FAILS(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &n), ENOENT); /* nobody is left */
		close(fd);
	}
}

static void notify_poll(void)
{
	struct seccomp_notif n;
	struct seccomp_notif_resp r = { 0 };
	int fd;
	pid_t pid = supervised(&fd, SYS_getppid, ask_getppid);
	struct pollfd p = { fd, POLLIN | POLLOUT, 0 };

	EQ(poll(&p, 1, -1), 1);
	EQ(p.revents, POLLIN);
	memset(&n, 0, sizeof(n));
	EQ(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &n), 0);
	EQ(poll(&p, 1, -1), 1);
	EQ(p.revents, POLLOUT);
	r.id = n.id;
	EQ(ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &r), 0);
	status_of(pid);
	EQ(poll(&p, 1, -1), 1);
	CHECK(p.revents & POLLHUP);
	FAILS(ioctl(fd, 0x5401), EINVAL);
	close(fd);
}

/* Killed while it asks: its id is not valid any more. */
static void notify_killed(void)
{
	struct seccomp_notif n;
	struct seccomp_notif_resp r = { 0 };
	int fd;
	pid_t pid = supervised(&fd, SYS_getppid, ask_getppid);

	memset(&n, 0, sizeof(n));
	EQ(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &n), 0);
	kill(pid, SIGKILL);
	EQ(status_of(pid), SIGKILL);
	r.id = n.id;
	FAILS(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &n.id), ENOENT);
	FAILS(ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &r), ENOENT);
	close(fd);
}

static volatile int interrupted;
static void on_signal(int sig)
{
	interrupted++;
}
static int call_interrupted(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	long r;

	sigaction(SIGUSR1, &sa, NULL);
	r = syscall(SYS_getppid);
	return interrupted == 1 && r == 7 ? 0 : 1;
}

/* A signal interrupts the wait; the call starts over and asks anew. */
static void notify_restart(void)
{
	struct seccomp_notif n, m;
	struct seccomp_notif_resp r = { 0 };
	int fd;
	pid_t pid = supervised(&fd, SYS_getppid, call_interrupted);

	memset(&n, 0, sizeof(n));
	memset(&m, 0, sizeof(m));
	EQ(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &n), 0);
	kill(pid, SIGUSR1);
	EQ(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &m), 0);
	CHECK(m.id != n.id);
	EQ(m.data.nr, SYS_getppid);
	r.id = m.id;
	r.val = 7;
	EQ(ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &r), 0);
	EQ(status_of(pid), 0);
	close(fd);
}

static int call_open(void)
{
	char c;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/no/such/file", O_RDONLY);

	if (fd < 0)
		return 1;
	if (read(fd, &c, 1) != 1 || c != 'y')
		return 2;
	if (read(200, &c, 1) != 1 || c != 'z')
		return 3;
	return fcntl(200, F_GETFD) == FD_CLOEXEC ? 0 : 4;
}

static void notify_addfd(void)
{
	struct seccomp_notif_addfd a = { 0 };
	struct seccomp_notif n;
	int fd, p[2];
	pid_t pid = supervised(&fd, SYS_openat, call_open);

	EQ(pipe(p), 0);
	EQ(write(p[1], "yz", 2), 2);
	memset(&n, 0, sizeof(n));
	EQ(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &n), 0);
	a.id = n.id + 1;
	a.srcfd = p[0];
	FAILS(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &a), ENOENT);
	a.id = n.id;
	a.srcfd = 4000;
	FAILS(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &a), EBADF);
	a.srcfd = p[0];
	a.flags = 8;
	FAILS(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &a), EINVAL);
	a.flags = 0;
	a.newfd = 200;
	FAILS(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &a), EINVAL);
	a.newfd_flags = O_NONBLOCK;
	FAILS(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &a), EINVAL);
	a.flags = SECCOMP_ADDFD_FLAG_SETFD;
	a.newfd_flags = O_CLOEXEC;
	EQ(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &a), 200);
	a.flags = SECCOMP_ADDFD_FLAG_SEND;
	a.newfd = 0;
	CHECK(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &a) > 0);
	EQ(status_of(pid), 0);
	close(fd);
	close(p[0]);
	close(p[1]);
}

/* ptrace(2), PTRACE_SECCOMP_GET_FILTER and PTRACE_SECCOMP_GET_METADATA: number 0 is the first that was installed. */
static void seen_by_tracer(void)
{
	struct sock_filter first[] = { RET(SECCOMP_RET_ALLOW) }, second[] = { NR, RET(SECCOMP_RET_ALLOW) }, got[8];
	struct { uint64_t off, flags; } md = { 1, 99 };
	int st;
	pid_t pid;

	if (geteuid())
		return;
	pid = fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		raise(SIGSTOP);
		INSTALL(first, 0);
		INSTALL(second, SECCOMP_FILTER_FLAG_LOG);
		raise(SIGSTOP);
		_exit(0);
	}
	EQ(waitpid(pid, &st, 0), pid);
	if (ptrace(PTRACE_SECCOMP_GET_FILTER, pid, 0, NULL) < 0 && errno == EIO) {
		printf("skip: a kernel without CONFIG_CHECKPOINT_RESTORE\n");
		kill(pid, SIGKILL);
		waitpid(pid, &st, 0);
		return;
	}
	FAILS(ptrace(PTRACE_SECCOMP_GET_FILTER, pid, 0, NULL), EINVAL); /* none yet */
	EQ(ptrace(PTRACE_CONT, pid, 0, 0), 0);
	EQ(waitpid(pid, &st, 0), pid);
	EQ(ptrace(PTRACE_SECCOMP_GET_FILTER, pid, 0, NULL), 1);
	EQ(ptrace(PTRACE_SECCOMP_GET_FILTER, pid, 1, NULL), 2);
	EQ(ptrace(PTRACE_SECCOMP_GET_FILTER, pid, 1, got), 2);
	CHECK(!memcmp(got, second, sizeof(second)));
	FAILS(ptrace(PTRACE_SECCOMP_GET_FILTER, pid, 2, NULL), ENOENT);
	FAILS(ptrace(PTRACE_SECCOMP_GET_FILTER, pid, 1, bad_address), EFAULT);
	EQ(ptrace(PTRACE_SECCOMP_GET_METADATA, pid, sizeof(md), &md), sizeof(md));
	EQ(md.flags, SECCOMP_FILTER_FLAG_LOG);
	md.off = 0;
	EQ(ptrace(PTRACE_SECCOMP_GET_METADATA, pid, sizeof(md), &md), sizeof(md));
	EQ(md.flags, 0);
	md.off = 7;
	FAILS(ptrace(PTRACE_SECCOMP_GET_METADATA, pid, sizeof(md), &md), ENOENT);
	FAILS(ptrace(PTRACE_SECCOMP_GET_METADATA, pid, 4, &md), EINVAL);
	FAILS(ptrace(PTRACE_SECCOMP_GET_METADATA, pid, sizeof(md), bad_address), EFAULT);
	EQ(kill(pid, SIGKILL), 0);
	EQ(waitpid(pid, &st, 0), pid);
}

int main(void)
{
	RUN(strict);
	RUN(actions);
	RUN(seen_by_tracer);
	RUN(threads);
	RUN(bad_programs);
	RUN(notify_errors);
	RUN(notify_answers);
	RUN(notify_poll);
	RUN(notify_killed);
	RUN(notify_restart);
	RUN(notify_addfd);
	DONE();
}
