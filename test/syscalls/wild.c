/*
 * Wild pointers: every call that takes pointers, with one of them at a time pointing where nothing of the program is. execve(2) and its like
 * say EFAULT; what says something else stands in the table with it.
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <linux/stat.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

/*
 * A letter for each argument: - a value; i a structure that is read, o one that is written, s a string; I and O the same where a single
 * byte is enough, or nothing is said of how much is accessed: no pointer to a last byte.
 */
struct call {
	int nr;
	const char *name, *kinds;
	long a[6];
	int says; /* EFAULT when 0 */
};

static char *edge;     /* the last byte of a mapping, behind which nothing may be accessed */
static char *readonly; /* a page */
static char *buf;      /* 64 KiB, zeros */

static long call(const struct call *c, int which, unsigned long pointer)
{
	long a[6];

	memcpy(a, c->a, sizeof(a));
	a[which] = (long)pointer;
	return syscall(c->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void one(const struct call *c, int which, const char *what, unsigned long pointer)
{
	int says = c->says ? c->says : EFAULT;
	long ret;

	memset(buf, 0, 4096);
	*edge = 'x';
	errno = 0;
	ret = call(c, which, pointer);
	CHECK_PLACE();
	if (ret == -1 && errno == says)
		return;
	printf("%s with %s as argument %d gave %ld errno %d (%s), not errno %d\n", c->name, what, which + 1, ret, errno, strerror(errno), says);
	check_failures++;
}

static void try(const struct call *c)
{
	for (int i = 0; c->kinds[i]; i++) {
		char kind = c->kinds[i];

		if (kind == '-')
			continue;
		one(c, i, "address 1", 1);
		one(c, i, "a kernel address", 0xffff800000000000);
		one(c, i, "the highest address", 0xfffffffffffff000);
		one(c, i, "an address that is not canonical", 0x4141414141414141);
		if (kind == 'i' || kind == 'o' || kind == 's')
			one(c, i, "the last byte of a mapping", (unsigned long)edge);
		if (kind == 'o' || kind == 'O')
			one(c, i, "memory to be read only", (unsigned long)readonly);
	}
}

static void try_all(const struct call *c, unsigned long n)
{
	for (; n; n--, c++)
		try(c);
}

#define C(name, kinds, ...) { SYS_##name, #name, kinds, { __VA_ARGS__ }, 0 }
#define X(says, name, kinds, ...) { SYS_##name, #name, kinds, { __VA_ARGS__ }, says }
#define B ((long)buf)
#define PATH ((long)"/")
#define ALL(table) try_all(table, sizeof(table) / sizeof(table[0]))

static void files(void)
{
	int zero = open("/dev/zero", O_RDWR), mem = memfd_create("wild", 0), dir = open("/proc/self", O_RDONLY | O_DIRECTORY);
	int shm = open("/dev/shm", O_RDONLY);
	long one_iov = (long)&(struct iovec){ buf, 8 }, four = 4, attr = (long)&(long[4]){ 1 /* MOUNT_ATTR_RDONLY */ };
	const struct call calls[] = {
		C(read, "-O-", zero, B, 8), C(write, "-I-", mem, B, 8), C(open, "s--", PATH, O_RDONLY), C(stat, "so", PATH, B), C(fstat, "-o", mem, B),
		C(lstat, "so", PATH, B), C(pread64, "-O--", zero, B, 8, 0), C(pwrite64, "-I--", mem, B, 8, 0), C(readv, "-i-", zero, one_iov, 1),
		C(writev, "-i-", mem, one_iov, 1), C(access, "s-", PATH, F_OK), C(getcwd, "O-", B, 4096), C(truncate, "s-", PATH, 0),
		C(getdents, "-O-", dir, B, 4096), C(getdents64, "-O-", dir, B, 4096), C(chdir, "s", PATH), C(rename, "ss", PATH, PATH),
		C(mkdir, "s-", PATH, 0755), C(rmdir, "s", PATH), C(creat, "s-", PATH, 0644), C(link, "ss", PATH, PATH), C(unlink, "s", PATH),
		C(symlink, "ss", PATH, PATH), C(readlink, "s--", PATH, B, 100), C(readlink, "-O-", (long)"/proc/self/exe", B, 100),
		C(chmod, "s-", PATH, 0755), C(chown, "s--", PATH, -1, -1), C(lchown, "s--", PATH, -1, -1), C(mknod, "s--", PATH, S_IFREG | 0644, 0),
		C(statfs, "so", PATH, B), C(fstatfs, "-o", mem, B), C(utime, "si", PATH, B), C(utimes, "si", PATH, B), C(futimesat, "-si", AT_FDCWD, PATH, B),
		C(chroot, "s", PATH), C(sendfile, "--i-", mem, zero, (long)&four, 0), C(openat, "-s--", AT_FDCWD, PATH, 0, 0), C(mkdirat, "-s-", AT_FDCWD, PATH, 0755),
		C(mknodat, "-s--", AT_FDCWD, PATH, S_IFREG | 0644, 0), C(fchownat, "-s---", AT_FDCWD, PATH, -1, -1, 0), C(newfstatat, "-so-", AT_FDCWD, PATH, B, 0),
		C(unlinkat, "-s-", AT_FDCWD, PATH, 0), C(renameat, "-s-s", AT_FDCWD, PATH, AT_FDCWD, PATH), C(linkat, "-s-s-", AT_FDCWD, PATH, AT_FDCWD, PATH, 0),
		C(symlinkat, "s-s", PATH, AT_FDCWD, PATH), C(readlinkat, "-s--", AT_FDCWD, PATH, B, 100), C(fchmodat, "-s-", AT_FDCWD, PATH, 0755),
		C(faccessat, "-s-", AT_FDCWD, PATH, F_OK), C(faccessat2, "-s--", AT_FDCWD, PATH, F_OK, 0), C(utimensat, "-si-", AT_FDCWD, PATH, B, 0),
		C(renameat2, "-s-s-", AT_FDCWD, PATH, AT_FDCWD, PATH, 0), C(statx, "-s--o", AT_FDCWD, PATH, 0, STATX_BASIC_STATS, B),
		C(openat2, "-si-", AT_FDCWD, PATH, B, sizeof(struct open_how)), C(preadv, "-i---", zero, one_iov, 1, 0, 0), C(pwritev, "-i---", mem, one_iov, 1, 0, 0),
		C(preadv2, "-i----", zero, one_iov, 1, 0, 0, 0), C(pwritev2, "-i----", mem, one_iov, 1, 0, 0, 0),
		C(copy_file_range, "-i-i--", mem, (long)&four, mem, (long)&four, 1, 0), C(memfd_create, "s-", PATH, 0), C(name_to_handle_at, "-s---", AT_FDCWD, PATH, B, B, 0),
		C(name_to_handle_at, "--oo-", shm, (long)"", B, B, AT_EMPTY_PATH), C(open_by_handle_at, "-i-", mem, B, 0), C(umount2, "s-", PATH, 0),
		C(mount, "s-s--", PATH, PATH, PATH, 0, 0), C(mount, "-s--I", PATH, PATH, (long)"tmpfs", 0, PATH), C(pivot_root, "ss", PATH, PATH),
		C(open_tree, "-s-", AT_FDCWD, PATH, 0), C(move_mount, "-s-s-", AT_FDCWD, PATH, AT_FDCWD, PATH, 0), C(fsopen, "s-", PATH, 0), C(fspick, "-s-", AT_FDCWD, PATH, 0),
		C(mount_setattr, "-s-i-", AT_FDCWD, PATH, 0, attr, 32),
	};

	CHECK(zero >= 0 && shm >= 0 && mem >= 0 && dir >= 0);
	ALL(calls);
	close(shm);
	close(zero);
	close(mem);
	close(dir);
}

static void attributes(void)
{
	int mem = memfd_create("wild", 0);
	long name = (long)"user.x";
	const struct call calls[] = {
		C(setxattr, "ss---", PATH, name, B, 8, 0), C(setxattr, "--I--", PATH, name, B, 8, 0), C(lsetxattr, "ssI--", PATH, name, B, 8, 0),
		C(fsetxattr, "-sI--", mem, name, B, 8, 0), C(getxattr, "ss--", PATH, name, B, 8), C(lgetxattr, "ss--", PATH, name, B, 8),
		C(fgetxattr, "-s--", mem, name, B, 8), C(listxattr, "s--", PATH, B, 100), C(llistxattr, "s--", PATH, B, 100), C(removexattr, "ss", PATH, name),
		C(lremovexattr, "ss", PATH, name), C(fremovexattr, "-s", mem, name),
	};

	ALL(calls);
	close(mem);
}

static void descriptors(void)
{
	int p[2], ep = epoll_create1(0), in = inotify_init1(0), sv[2], tfd = timerfd_create(CLOCK_MONOTONIC, 0), mem = memfd_create("wild", 0);
	long flock = (long)&(struct flock){ .l_type = F_WRLCK }, fd = (long)&(struct pollfd){ .fd = -1 }, zero = (long)&(struct timespec){ 0 }, off = (long)&(long){ 0 };
	long iov = (long)&(struct iovec){ buf, 8 };

	int fan = (int)syscall(SYS_fanotify_init, 2 /* NONBLOCK */, O_RDONLY);

	CHECK(!pipe(p) && !socketpair(AF_UNIX, SOCK_DGRAM, 0, sv) && ep >= 0 && in >= 0 && tfd >= 0);
	CHECK(write(p[1], "xx", 2) == 2);
	const struct call calls[] = {
		C(pipe, "o", B), C(pipe2, "o-", B, 0), C(poll, "i--", fd, 1, 0), C(ppoll, "i----", fd, 1, zero, 0, 8), C(ppoll, "--ii-", fd, 1, zero, (long)buf, 8),
		C(select, "-oooi", 8, B, B, B, B), C(pselect6, "-oooi-", 8, B, B, B, zero, 0), C(pselect6, "-----i", 0, 0, 0, 0, zero, B), C(epoll_ctl, "---i", ep, EPOLL_CTL_ADD, p[0], B),
		C(epoll_pwait, "----i-", ep, B, 1, 0, B, 8), C(epoll_pwait2, "---i--", ep, B, 1, zero, 0, 8), C(signalfd, "-i-", -1, B, 8), C(signalfd4, "-i--", -1, B, 8, 0),
		C(timerfd_settime, "--io", tfd, 0, B, B), C(timerfd_gettime, "-o", tfd, B), C(inotify_add_watch, "-s-", in, PATH, IN_OPEN), C(fcntl, "--i", mem, F_SETLK, flock),
		C(fcntl, "--i", mem, F_GETLK, flock), C(fcntl, "--i", mem, F_OFD_SETLK, flock), C(fcntl, "--o", mem, F_GETOWN_EX, B), C(fcntl, "--i", mem, F_SETOWN_EX, B),
		C(ioctl, "--o", p[0], FIONREAD, B), C(ioctl, "--i", p[0], FIONBIO, B), C(splice, "-o----", mem, off, p[1], 0, 1, 0), C(splice, "---o--", p[0], 0, mem, off, 1, 0),
		C(vmsplice, "-i--", p[1], iov, 1, 0), C(read, "-O-", p[0], B, 1),
	};

	ALL(calls);
	EQ(write(sv[0], "x", 1), 1);
	if (fan >= 0) {
		const struct call more = C(fanotify_mark, "----s", fan, 1 /* ADD */, 0x20 /* OPEN */, AT_FDCWD, PATH);

		try(&more);
		close(fan);
	}
	FAILS(recv(sv[1], (void *)1, 1, MSG_PEEK), EFAULT);
	for (int i = 0; i < 2; i++) {
		close(p[i]);
		close(sv[i]);
	}
	close(ep);
	close(in);
	close(tfd);
	close(mem);
}

static void sockets(void)
{
	int sv[2], l = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_INET, SOCK_DGRAM, 0);
	long name = (long)buf, len = (long)&(socklen_t){ 16 }, v = (long)&(int){ 0 }, msg = (long)&(struct msghdr){ 0 }, mmsg = (long)&(struct mmsghdr){ 0 };

	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, sv) && l >= 0 && u >= 0);
	const struct call calls[] = {
		C(socketpair, "---o", AF_UNIX, SOCK_STREAM, 0, B), C(bind, "-i-", u, name, 16), C(connect, "-i-", u, name, 16), C(getsockname, "-oo", u, name, len),
		C(sendto, "-I----", sv[0], B, 4, 0, 0, 0), C(sendto, "----i-", u, B, 4, 0, name, 16), C(setsockopt, "---i-", u, SOL_SOCKET, SO_RCVBUF, v, 4),
		C(getsockopt, "---oo", u, SOL_SOCKET, SO_RCVBUF, v, len), C(sendmsg, "-i-", sv[0], msg, 0), C(recvmsg, "-i-", sv[0], msg, MSG_DONTWAIT),
		C(sendmmsg, "-i--", sv[0], mmsg, 1, 0), C(recvmmsg, "-i---", sv[0], mmsg, 1, MSG_DONTWAIT, 0), C(recvmmsg, "----i", sv[0], mmsg, 1, MSG_DONTWAIT, B),
	};

	ALL(calls);
	FAILS(getpeername(u, (void *)1, (void *)1), ENOTCONN); /* comes first */
	close(sv[0]);
	close(sv[1]);
	close(l);
	close(u);
}

static void processes(void)
{
	long iov = (long)&(struct iovec){ buf, 8 }, argv = (long)&(char *[2]){ "x", NULL }, args = (long)&(struct clone_args){ 0 };
	long attr = (long)&(struct sched_attr){ .size = sizeof(struct sched_attr) };
	long caps = (long)&(unsigned[2]){ 0x20080522 };
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	const struct call calls[] = {
		C(rt_sigaction, "-io-", SIGUSR1, B, B, 8), C(rt_sigprocmask, "-io-", SIG_BLOCK, B, B, 8), C(rt_sigpending, "o-", B, 8), C(rt_sigtimedwait, "i-i-", B, 0, B, 8),
		C(rt_sigqueueinfo, "--i", getpid(), 0, B), C(rt_tgsigqueueinfo, "---i", getpid(), getpid(), 0, B), C(rt_sigsuspend, "i-", B, 8), C(sigaltstack, "i-", B, 0), C(sigaltstack, "-o", 0, B),
		C(execve, "s--", PATH, argv, 0), C(execve, "-ii", (long)"/bin/sh", argv, argv), C(execveat, "-s---", AT_FDCWD, PATH, argv, 0, 0), C(uname, "o", B),
		C(gettimeofday, "oo", B, B), C(getrlimit, "-o", RLIMIT_CORE, B), C(setrlimit, "-i", RLIMIT_CORE, B), C(prlimit64, "--io", 0, RLIMIT_CORE, 0, 0),
		C(getrusage, "-o", RUSAGE_SELF, B), C(sysinfo, "o", B), C(times, "o", B), C(setgroups, "-i", 1, B), C(getresuid, "ooo", B, B, B),
		C(getresgid, "ooo", B, B, B), C(capget, "io", caps, B), C(capset, "i-", B, B), C(sched_setparam, "-i", 0, B), C(sched_getparam, "-o", 0, B),
		C(sched_setscheduler, "--i", 0, 0 /* SCHED_OTHER */, B), C(sched_rr_get_interval, "-o", 0, B), C(sched_setaffinity, "--i", 0, 128, B), C(sched_getaffinity, "--o", 0, 128, B),
		C(sched_setattr, "-i-", 0, attr, 0), C(sched_getattr, "-o--", 0, attr, sizeof(struct sched_attr), 0), C(prctl, "-o---", PR_GET_NAME, B), C(prctl, "-s---", PR_SET_NAME, PATH),
		C(prctl, "-o---", PR_GET_PDEATHSIG, B), C(prctl, "-o---", PR_GET_CHILD_SUBREAPER, B), C(arch_prctl, "-o", 0x1003, B), C(sethostname, "I-", B, 4), C(setdomainname, "I-", B, 4),
		C(process_vm_readv, "-i----", getpid(), iov, 1, iov, 1, 0), C(process_vm_readv, "---i--", getpid(), iov, 1, iov, 1, 0),
		C(process_vm_writev, "-i-i--", getpid(), iov, 1, iov, 1, 0), C(clone3, "i-", args, sizeof(struct clone_args)), C(getcpu, "oo-", B, B, 0), C(getrandom, "O--", B, 8, 0),
		C(get_robust_list, "-oo", 0, B, B), C(getitimer, "-o", ITIMER_REAL, B), C(setitimer, "-io", ITIMER_REAL, B, B), C(time, "o", B),
		C(pidfd_send_signal, "--i-", pidfd, 0, B, 0), C(landlock_create_ruleset, "i--", B, 8, 0), C(seccomp, "--i", 2 /* GET_ACTION_AVAIL */, 0, B),
	};

	ALL(calls);
	close(pidfd);
}

static void times_and_ipc(void)
{
	long ts = (long)&(struct timespec){ 0 }, sembuf = (long)&(struct sembuf){ 0 };
	int sem = semget(IPC_PRIVATE, 1, 0600), msg = msgget(IPC_PRIVATE, 0600), shm = shmget(IPC_PRIVATE, 4096, 0600), timer;
	struct { long type; char text[8]; } m = { 1, "text" };

	CHECK(sem >= 0 && msg >= 0 && shm >= 0);
	EQ(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &timer), 0);
	const struct call calls[] = {
		C(nanosleep, "i-", ts, 0), C(clock_nanosleep, "--i-", CLOCK_MONOTONIC, 0, ts, 0), C(clock_gettime, "-o", CLOCK_REALTIME, B), C(clock_getres, "-o", CLOCK_REALTIME, B),
		C(clock_settime, "-i", CLOCK_REALTIME, B), C(adjtimex, "o", B), C(clock_adjtime, "-o", CLOCK_REALTIME, B), C(timer_create, "-i-", CLOCK_MONOTONIC, B, B), C(timer_create, "--o", CLOCK_MONOTONIC, 0, B),
		C(timer_settime, "--io", timer, 0, B, B), C(timer_gettime, "-o", timer, B), C(semop, "-i-", sem, sembuf, 1), C(semtimedop, "-i-i", sem, sembuf, 1, ts),
		C(semctl, "---o", sem, 0, IPC_STAT, B), C(semctl, "---o", sem, 0, GETALL, B), C(semctl, "---i", sem, 0, SETALL, B), C(semctl, "---i", sem, 0, IPC_SET, B),
		C(msgsnd, "-i--", msg, (long)&m, 4, IPC_NOWAIT), C(msgctl, "--o", msg, IPC_STAT, B), C(msgctl, "--i", msg, IPC_SET, B), C(shmctl, "--o", shm, IPC_STAT, B),
		C(shmctl, "--i", shm, IPC_SET, B), C(mq_open, "s---", (long)"q", O_RDONLY, 0600, 0), C(mq_unlink, "s", (long)"q"), 		C(futex, "---i--", B, FUTEX_WAIT, 0, ts), C(futex_waitv, "i----", B, 1, 0, 0, 0), C(add_key, "ss---", (long)"user", (long)"wild", B, 4, -2), C(add_key, "--I--", (long)"user", (long)"wild", B, 4, -2),
		C(request_key, "ss--", (long)"user", (long)"wild", 0, 0), C(keyctl, "-s---", 1, (long)"x"), C(sched_rr_get_interval, "-o", 0, B),
	};

	ALL(calls);
	FAILS(syscall(SYS_futex, (void *)0xffff800000000000, FUTEX_WAIT, 1, NULL), EFAULT);
	FAILS(syscall(SYS_futex, (void *)1, FUTEX_WAIT, 1, NULL), EINVAL); /* alignment comes first */
	EQ(msgsnd(msg, &m, 4, IPC_NOWAIT), 0);
	FAILS(syscall(SYS_msgrcv, msg, 1, 4, 0, IPC_NOWAIT), EFAULT);
	EQ(msgctl(msg, IPC_RMID, NULL), 0);
	EQ(semctl(sem, 0, IPC_RMID), 0);
	EQ(shmctl(shm, IPC_RMID, NULL), 0);
	EQ(syscall(SYS_timer_delete, timer), 0);
}

/* Rings and contexts. */
static void rings(void)
{
	aio_context_t ctx = 0;
	int ring;

	EQ(syscall(SYS_io_setup, 4, &ctx), 0);
	ring = (int)syscall(SYS_io_uring_setup, 4, buf);
	const struct call calls[] = {
		C(io_setup, "-o", 4, B), C(io_submit, "--i", (long)ctx, 1, B), C(io_cancel, "-i-", (long)ctx, B, B), C(io_getevents, "----i", (long)ctx, 0, 1, B, B),
		C(io_pgetevents, "-----i", (long)ctx, 0, 1, B, 0, B),
	}, uring[] = {
		C(io_uring_setup, "-o", 4, B), C(io_uring_register, "--i-", ring, IORING_REGISTER_BUFFERS, B, 1), C(io_uring_register, "--i-", ring, IORING_REGISTER_FILES, B, 1),
		C(io_uring_register, "--i-", ring, IORING_REGISTER_EVENTFD, B, 1), C(io_uring_register, "--o-", ring, IORING_REGISTER_PROBE, B, 8),
	};

	ALL(calls);
	if (ring >= 0)
		ALL(uring);
	else
		printf("skip: no io_uring here\n");
	close(ring);
	EQ(syscall(SYS_io_destroy, ctx), 0);
}

static void memory(void)
{
	const struct call calls[] = {
		C(mincore, "--O", (long)buf, 4096, B), C(get_mempolicy, "oo---", B, B, 64, 0, 0), C(set_mempolicy, "-i-", 2, B, 64), C(mbind, "---i--", (long)buf, 4096, 2, B, 64, 0),
		C(move_pages, "--i-o-", 0, 1, B, 0, B, 0),
	};
	const long wild[] = { 1, 0x4141414141414141, (long)0xffff800000000000 };

	ALL(calls);
	for (int i = 0; i < 3; i++) {
		FAILS(syscall(SYS_munmap, wild[i], 4096), EINVAL);
		FAILS(syscall(SYS_mprotect, wild[i], 4096, 1), i < 2 ? EINVAL : ENOMEM);
		FAILS(syscall(SYS_madvise, wild[i], 4096, 4), i < 2 ? EINVAL : ENOMEM);
		FAILS(syscall(SYS_msync, wild[i], 4096, 1), i < 2 ? EINVAL : ENOMEM);
		FAILS(syscall(SYS_mremap, wild[i], 4096, 8192, 1), i < 2 ? EINVAL : EFAULT);
		FAILS(syscall(SYS_mincore, wild[i], 4096, buf), i < 2 ? EINVAL : ENOMEM);
	}
}

int main(void)
{
	char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	EQ(mprotect(p + 4096, 61440, PROT_NONE), 0);
	edge = p + 4095;
	readonly = mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	buf = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(readonly != MAP_FAILED && buf != MAP_FAILED);
	alarm(50);
	RUN(files);
	RUN(attributes);
	RUN(descriptors);
	RUN(sockets);
	RUN(processes);
	RUN(times_and_ipc);
	RUN(rings);
	RUN(memory);
	DONE();
}
