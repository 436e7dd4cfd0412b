/* Calls that answer a question or refuse: uname(2), sysinfo(2), getrandom(2), kcmp(2), membarrier(2), rseq(2), syslog(2) ... */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <stdbool.h>

#include "check.h"

#define BAD ((void *)8)
#define NO_PID 0x3fffff

static int status_of(pid_t pid)
{
	int status;

	EQ(waitpid(pid, &status, 0), pid);
	return status;
}

static void system_information(void)
{
	struct utsname u;
	struct sysinfo s;

	EQ(uname(&u), 0);
	EQ(strcmp(u.sysname, "Linux"), 0);
	EQ(strcmp(u.machine, "x86_64"), 0);
	CHECK(u.release[0] >= '4' && u.version[0]);
	FAILS(syscall(SYS_uname, BAD), EFAULT);
	memset(&s, 0, sizeof(s));
	EQ(sysinfo(&s), 0);
	CHECK(s.totalram > 0 && s.freeram <= s.totalram && s.mem_unit > 0);
	CHECK(s.procs > 0);
	FAILS(syscall(SYS_sysinfo, BAD), EFAULT);
}

static void random_bytes(void)
{
	unsigned char a[256] = { 0 }, b[256] = { 0 };

	EQ(getrandom(a, sizeof(a), 0), 256);
	EQ(getrandom(b, sizeof(b), GRND_NONBLOCK), 256);
	CHECK(memcmp(a, b, sizeof(a)));
	EQ(getrandom(a, 0, 0), 0);
	EQ(getrandom(a, 16, GRND_RANDOM), 16);
	EQ(getrandom(a, 16, GRND_INSECURE), 16);
	FAILS(getrandom(a, 16, 0x100), EINVAL);
	FAILS(getrandom(a, 16, GRND_RANDOM | GRND_INSECURE), EINVAL);
	FAILS(syscall(SYS_getrandom, BAD, 16, 0), EFAULT);
}

static void compare(void)
{
	int fd = dup(0), other = open("/dev/null", O_RDONLY);
	pid_t me = getpid(), pid;

	EQ(syscall(SYS_kcmp, me, me, KCMP_FILE, 0, fd), 0);
	CHECK(syscall(SYS_kcmp, me, me, KCMP_FILE, 0, other) > 0);
	EQ(syscall(SYS_kcmp, me, me, KCMP_VM, 0, 0), 0);
	FAILS(syscall(SYS_kcmp, me, me, KCMP_FILE, 0, 4000), EBADF);
	FAILS(syscall(SYS_kcmp, me, me, 99, 0, 0), EINVAL);
	FAILS(syscall(SYS_kcmp, NO_PID, me, KCMP_VM, 0, 0), ESRCH);
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	CHECK(syscall(SYS_kcmp, me, pid, KCMP_VM, 0, 0) > 0);
	CHECK(syscall(SYS_kcmp, me, pid, KCMP_FILES, 0, 0) > 0);
	CHECK(syscall(SYS_kcmp, me, pid, KCMP_FS, 0, 0) > 0);
	CHECK(syscall(SYS_kcmp, me, pid, KCMP_SIGHAND, 0, 0) > 0);
	EQ(syscall(SYS_kcmp, me, pid, KCMP_FILE, 0, 0), 0);
	kill(pid, SIGKILL);
	status_of(pid);
	close(fd);
	close(other);
}

static void barriers(void)
{
	long cmds = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	CHECK(cmds > 0 && cmds & MEMBARRIER_CMD_GLOBAL && cmds & MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	FAILS(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 1, 0), EINVAL);
	FAILS(syscall(SYS_membarrier, 0x40000000, 0, 0), EINVAL);
	EQ(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0), 0);
	if (!fork()) {
		int bad = syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != -1 || errno != EPERM;

		bad |= syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0;
		bad |= syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0;
		bad |= syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) != -1 || errno != EPERM;
		bad |= syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) != 0;
		bad |= syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) != 0;
		_exit(bad);
	}
	int status;
	wait(&status);
	EQ(status, 0);
}

static void refused(void)
{
	FAILS(syscall(SYS_create_module, "x", 0), ENOSYS);
	FAILS(syscall(SYS_nfsservctl, 0, 0, 0), ENOSYS);
	FAILS(syscall(SYS_getpmsg, 0, 0, 0, 0, 0), ENOSYS);
	FAILS(syscall(SYS_afs_syscall), ENOSYS);
	FAILS(syscall(SYS_vserver), ENOSYS);
	FAILS(syscall(SYS_security), ENOSYS);
	FAILS(syscall(SYS_tuxcall), ENOSYS);
	FAILS(syscall(100000), ENOSYS);
	FAILS(syscall(-1), ENOSYS);
	FAILS(syscall(400), ENOSYS); /* a hole in the table */
	FAILS(syscall(423 - 1000), ENOSYS);
}

/* ---- process_vm_readv(2) ---- */

static void other_memory(void)
{
	static char here[64] = "in the parent";
	char buf[64] = { 0 };
	struct iovec l = { buf, sizeof(buf) }, r = { here, sizeof(here) }, two[2] = { { buf, 4 }, { buf + 32, 4 } };
	pid_t pid = fork();

	if (!pid) {
		pause();
		_exit(0);
	}
	strcpy(here, "changed after");
	EQ(process_vm_readv(pid, &l, 1, &r, 1, 0), 64);
	EQ(strcmp(buf, "in the parent"), 0);
	EQ(process_vm_readv(pid, two, 2, &r, 1, 0), 8);
	EQ(memcmp(buf + 32, "he p", 4), 0);
	strcpy(buf, "written");
	EQ(process_vm_writev(pid, &l, 1, &r, 1, 0), 64);
	memset(buf, 0, sizeof(buf));
	EQ(process_vm_readv(pid, &l, 1, &r, 1, 0), 64);
	EQ(strcmp(buf, "written"), 0);
	EQ(strcmp(here, "changed after"), 0);
	FAILS(process_vm_readv(pid, &l, 1, &r, 1, 1), EINVAL);
	FAILS(process_vm_readv(NO_PID, &l, 1, &r, 1, 0), ESRCH);
	FAILS(process_vm_readv(pid, &l, 1, &(struct iovec){ BAD, 8 }, 1, 0), EFAULT);
	FAILS(process_vm_readv(pid, &l, 1025, &r, 1, 0), EINVAL);
	FAILS(process_vm_readv(pid, &l, 1, &r, 1025, 0), EINVAL);
	EQ(process_vm_readv(pid, &l, 0, &r, 1, 0), 0);
	EQ(process_vm_readv(pid, &l, 1, &r, 0, 0), 0);
	kill(pid, SIGKILL);
	status_of(pid);
}

/* ---- poll(2), ppoll(2), select(2), pselect(2) with a signal mask ---- */

static volatile int hits;
static void on_signal(int sig)
{
	hits++;
}

static void masks_of_waits(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct timespec zero = { 0, 0 }, bad = { 0, 1000000000 }, negative = { -1, 0 };
	sigset_t usr1, none;
	fd_set set;
	struct epoll_event ev;
	int ep = epoll_create1(0);

	sigaction(SIGUSR1, &sa, NULL);
	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	hits = 0;
	raise(SIGUSR1);
	EQ(hits, 0);
	FAILS(ppoll(NULL, 0, NULL, &none), EINTR);
	EQ(hits, 1);
	raise(SIGUSR1);
	FAILS(pselect(0, NULL, NULL, NULL, NULL, &none), EINTR);
	EQ(hits, 2);
	raise(SIGUSR1);
	FAILS(epoll_pwait(ep, &ev, 1, -1, &none), EINTR);
	EQ(hits, 3);
	raise(SIGUSR1);
	FAILS(sigsuspend(&none), EINTR);
	EQ(hits, 4);
	raise(SIGUSR1);
	EQ(ppoll(NULL, 0, &zero, &usr1), 0); /* stays blocked */
	EQ(hits, 4);
	EQ(ppoll(NULL, 0, &zero, &none), -1); /* pending: even without a wait */
	EQ(hits, 5);
	FAILS(ppoll(NULL, 0, &bad, NULL), EINVAL);
	FAILS(ppoll(NULL, 0, &negative, NULL), EINVAL);
	FAILS(syscall(SYS_ppoll, NULL, 0, &zero, &none, 4), EINVAL);
	FAILS(syscall(SYS_ppoll, NULL, 0, BAD, NULL, 8), EFAULT);
	FAILS(syscall(SYS_ppoll, NULL, 0, &zero, BAD, 8), EFAULT);
	FD_ZERO(&set);
	FAILS(pselect(0, &set, NULL, NULL, &bad, NULL), EINVAL);
	FAILS(pselect(-1, &set, NULL, NULL, &zero, NULL), EINVAL);
	FAILS(select(-1, &set, NULL, NULL, &(struct timeval){ 0, 0 }), EINVAL);
	FAILS(select(0, NULL, NULL, NULL, &(struct timeval){ -1, 0 }), EINVAL);
	FD_SET(900, &set); /* beyond what the table has room for: not looked at */
	EQ(select(901, &set, NULL, NULL, &(struct timeval){ 0, 0 }), 0);
	FD_ZERO(&set);
	FD_SET(60, &set);
	FAILS(select(61, &set, NULL, NULL, &(struct timeval){ 0, 0 }), EBADF);
	EQ(select(0, NULL, NULL, NULL, &(struct timeval){ 0, 1000 }), 0);
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
	close(ep);
}

static void remaining_time(void)
{
	struct timeval tv = { 5, 0 };
	int p[2];
	fd_set set;

	EQ(pipe(p), 0);
	EQ(write(p[1], "x", 1), 1);
	FD_ZERO(&set);
	FD_SET(p[0], &set);
	EQ(select(p[0] + 1, &set, NULL, NULL, &tv), 1);
	CHECK(tv.tv_sec >= 4); /* select(2): Linux says what was left */
	CHECK(FD_ISSET(p[0], &set));
	close(p[0]);
	close(p[1]);
}

static void poll_results(void)
{
	int p[2];
	struct pollfd f[3];
	struct rlimit_k {
		unsigned long cur, max;
	} r;

	EQ(pipe(p), 0);
	f[0] = (struct pollfd){ p[0], POLLIN, 0 };
	f[1] = (struct pollfd){ -5, POLLIN, 0x7f };
	f[2] = (struct pollfd){ 999, POLLIN, 0 };
	EQ(poll(f, 3, 0), 1);
	EQ(f[0].revents, 0);
	EQ(f[1].revents, 0);
	EQ(f[2].revents, POLLNVAL);
	close(p[1]);
	EQ(poll(f, 1, -1), 1);
	EQ(f[0].revents, POLLHUP);
	close(p[0]);
	EQ(pipe(p), 0);
	close(p[0]);
	f[0] = (struct pollfd){ p[1], POLLOUT, 0 };
	EQ(poll(f, 1, -1), 1);
	EQ(f[0].revents, POLLOUT | POLLERR);
	close(p[1]);
	FAILS(syscall(SYS_poll, BAD, 1, 0), EFAULT);
	EQ(syscall(SYS_getrlimit, 7, &r), 0);
	FAILS(syscall(SYS_poll, f, (unsigned)r.cur + 1, 0), EINVAL);
	EQ(poll(NULL, 0, 1), 0);
}

/* ---- time ---- */

static void times_of_day(void)
{
	struct timeval tv;
	struct timezone tz;
	struct timespec ts;
	time_t t;

	EQ(gettimeofday(&tv, &tz), 0);
	EQ(time(&t), t);
	CHECK(t - tv.tv_sec <= 1 && t >= tv.tv_sec);
	EQ(clock_gettime(CLOCK_REALTIME, &ts), 0);
	CHECK(ts.tv_sec - tv.tv_sec <= 1);
	FAILS(syscall(SYS_clock_gettime, 99, &ts), EINVAL);
	FAILS(syscall(SYS_clock_gettime, CLOCK_REALTIME, BAD), EFAULT);
	FAILS(syscall(SYS_gettimeofday, BAD, NULL), EFAULT);
	FAILS(syscall(SYS_time, BAD), EFAULT);
	FAILS(syscall(SYS_clock_getres, 99, &ts), EINVAL);
	EQ(syscall(SYS_clock_getres, CLOCK_MONOTONIC, NULL), 0);
	EQ(clock_getres(CLOCK_MONOTONIC, &ts), 0);
	EQ(ts.tv_sec, 0);
	EQ(ts.tv_nsec, 1);
	FAILS(syscall(SYS_clock_settime, CLOCK_MONOTONIC, &ts), EINVAL);
	ts.tv_nsec = 1000000000;
	FAILS(syscall(SYS_clock_settime, CLOCK_REALTIME, &ts), EINVAL);
	FAILS(syscall(SYS_clock_settime, CLOCK_REALTIME, BAD), EFAULT);
	FAILS(syscall(SYS_nanosleep, BAD, NULL), EFAULT);
	FAILS(nanosleep(&ts, NULL), EINVAL);
	ts = (struct timespec){ -1, 0 };
	FAILS(nanosleep(&ts, NULL), EINVAL);
	EQ(clock_nanosleep(99, 0, &ts, NULL), EINVAL);
	EQ(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &ts, NULL), EINVAL);
	ts = (struct timespec){ 0, 0 };
	EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL), 0); /* long past */
}

static void alarms(void)
{
	struct itimerval it, old;

	signal(SIGALRM, on_signal);
	EQ(alarm(100), 0);
	EQ(alarm(0), 100);
	EQ(alarm(0), 0);
	it = (struct itimerval){ { 0, 0 }, { 0, 1000000 } };
	FAILS(setitimer(ITIMER_REAL, &it, NULL), EINVAL);
	it = (struct itimerval){ { 0, 0 }, { -1, 0 } };
	FAILS(setitimer(ITIMER_REAL, &it, NULL), EINVAL);
	it = (struct itimerval){ { 0, 0 }, { 50, 0 } };
	FAILS(setitimer(7, &it, NULL), EINVAL);
	FAILS(getitimer(7, &it), EINVAL);
	FAILS(syscall(SYS_getitimer, ITIMER_REAL, BAD), EFAULT);
	FAILS(syscall(SYS_setitimer, ITIMER_REAL, BAD, NULL), EFAULT);
	EQ(setitimer(ITIMER_REAL, &it, NULL), 0);
	EQ(getitimer(ITIMER_REAL, &old), 0);
	CHECK(old.it_value.tv_sec >= 49 && old.it_value.tv_sec <= 50);
	pid_t pid = fork();
	if (!pid) {
		getitimer(ITIMER_REAL, &old);
		_exit(old.it_value.tv_sec != 0); /* not inherited */
	}
	EQ(status_of(pid), 0);
	memset(&it, 0, sizeof(it));
	EQ(setitimer(ITIMER_REAL, &it, &old), 0);
	CHECK(old.it_value.tv_sec >= 49);
	hits = 0;
	it.it_value.tv_usec = 2000;
	EQ(setitimer(ITIMER_REAL, &it, NULL), 0);
	FAILS(pause(), EINTR);
	EQ(hits, 1);
}

/* ---- waitid(2), wait4(2) ---- */

static void waits(void)
{
	siginfo_t info;
	int status;
	pid_t pid;

	FAILS(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), ECHILD);
	FAILS(waitid(P_ALL, 0, &info, 0), EINVAL);
	FAILS(waitid(P_ALL, 0, &info, WNOHANG), EINVAL);
	FAILS(waitid(P_ALL, 0, &info, WEXITED | 0x100000), EINVAL);
	FAILS(waitid(99, 0, &info, WEXITED), EINVAL);
	FAILS(waitid(P_PID, 0, &info, WEXITED), EINVAL);
	FAILS(waitid(P_PID, -5, &info, WEXITED), EINVAL);
	FAILS(waitid(P_PGID, -5, &info, WEXITED), EINVAL);
	FAILS(waitid(P_PIDFD, -1, &info, WEXITED), EINVAL);
	FAILS(waitid(P_PIDFD, 4000, &info, WEXITED), EBADF);
	FAILS(waitid(P_PIDFD, 0, &info, WEXITED), EBADF);
	FAILS(waitpid(-1, &status, WEXITED | 0x100), EINVAL);
	FAILS(waitpid(INT_MIN, &status, 0), ESRCH);
	FAILS(waitpid(getpid(), &status, 0), ECHILD);
	pid = fork();
	if (!pid)
		_exit(300 & 0xff);
	memset(&info, 0xff, sizeof(info));
	EQ(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
	EQ(info.si_pid, pid);
	EQ(info.si_signo, SIGCHLD);
	EQ(info.si_code, CLD_EXITED);
	EQ(info.si_status, 44);
	EQ(info.si_uid, getuid());
	EQ(waitid(P_PID, pid, &info, WEXITED), 0);
	FAILS(waitid(P_PID, pid, &info, WEXITED), ECHILD);
	pid = fork();
	if (!pid)
		pause();
	memset(&info, 0xff, sizeof(info));
	EQ(waitid(P_PID, pid, &info, WEXITED | WNOHANG), 0);
	EQ(info.si_pid, 0); /* nothing yet */
	EQ(info.si_signo, 0);
	EQ(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGSTOP);
	EQ(waitid(P_PID, pid, &info, WSTOPPED), 0);
	EQ(info.si_code, CLD_STOPPED);
	EQ(info.si_status, SIGSTOP);
	kill(pid, SIGCONT);
	EQ(waitid(P_PID, pid, &info, WCONTINUED), 0);
	EQ(info.si_code, CLD_CONTINUED);
	EQ(info.si_status, SIGCONT);
	kill(pid, SIGKILL);
	EQ(waitid(P_PGID, 0, &info, WEXITED), 0);
	EQ(info.si_code, CLD_KILLED);
	EQ(info.si_status, SIGKILL);
	FAILS(syscall(SYS_wait4, -1, BAD, 0, NULL), ECHILD);
	pid = fork();
	if (!pid)
		_exit(0);
	FAILS(syscall(SYS_wait4, pid, BAD, 0, NULL), EFAULT);
}

/* ---- threads ---- */

static void *holder(void *arg)
{
	*(pid_t *)arg = gettid();
	pause();
	return NULL;
}

static void thread_ids(void)
{
	volatile pid_t tid = 0;
	pthread_t t;

	EQ(gettid(), getpid());
	EQ(pthread_create(&t, NULL, holder, (void *)&tid), 0);
	while (!tid)
		sched_yield();
	CHECK(tid != getpid());
	EQ(tgkill(getpid(), tid, 0), 0);
	FAILS(tgkill(getpid() + 1, tid, 0), ESRCH);
	FAILS(tgkill(0, tid, 0), EINVAL);
	FAILS(tgkill(getpid(), 0, 0), EINVAL);
	FAILS(tgkill(getpid(), tid, 65), EINVAL);
	FAILS(tgkill(getpid(), tid, -1), EINVAL);
	EQ(syscall(SYS_tkill, tid, 0), 0);
	FAILS(syscall(SYS_tkill, 0, 0), EINVAL);
	FAILS(syscall(SYS_tkill, NO_PID, 0), ESRCH);
	EQ(kill(tid, 0), 0); /* a thread's number finds its process */
	EQ(getpgid(tid), getpgid(0));
	FAILS(setpgid(tid, 0), EINVAL);
	EQ(syscall(SYS_pidfd_open, tid, 0), -1);
	CHECK(errno == EINVAL || errno == ENOENT); /* the latter since Linux 6.9 */
	pthread_cancel(t);
	pthread_join(t, NULL);
}

/* What /proc/PID/fdinfo says of descriptors of a kind: proc(5), pidfd_open(2). */
static bool fdinfo_has(int fd, const char *what)
{
	char path[64], text[4096] = "";
	int f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = open(path, O_RDONLY);
	if (f < 0 || read(f, text, sizeof(text) - 1) < 0)
		return false;
	close(f);
	return strstr(text, what);
}

static void descriptor_information(void)
{
	int e = eventfd(5, 0), p = (int)syscall(SYS_pidfd_open, getpid(), 0), ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 0x77 };
	char want[64];

	CHECK(fdinfo_has(e, "pos:\t0\n"));
	CHECK(fdinfo_has(e, "eventfd-count:                5\n"));
	snprintf(want, sizeof(want), "Pid:\t%d\n", getpid());
	CHECK(fdinfo_has(p, want));
	CHECK(fdinfo_has(p, "NSpid:\t"));
	EQ(epoll_ctl(ep, EPOLL_CTL_ADD, e, &ev), 0);
	snprintf(want, sizeof(want), "tfd: %8d", e);
	CHECK(fdinfo_has(ep, want));
	close(e), close(p), close(ep);
}

/* sysfs(5): processors, links and devices. */
static bool starts(const char *path, const char *with)
{
	char text[256] = "";
	int f = open(path, O_RDONLY);

	if (f < 0 || read(f, text, sizeof(text) - 1) < 0)
		return false;
	close(f);
	return !strncmp(text, with, strlen(with));
}

static void system_files(void)
{
	char target[128] = "";
	struct stat st;

	CHECK(starts("/sys/devices/system/cpu/cpu0/topology/physical_package_id", "0\n"));
	CHECK(starts("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0"));
	CHECK(starts("/sys/devices/system/cpu/online", "0"));
	CHECK(starts("/sys/devices/system/node/node0/cpulist", "0"));
	CHECK(starts("/sys/devices/system/node/node0/distance", "10"));
	CHECK(starts("/sys/class/net/lo/uevent", "INTERFACE=lo\nIFINDEX="));
	CHECK(readlink("/sys/class/net/lo", target, sizeof(target) - 1) > 0);
	EQ(strcmp(target, "../../devices/virtual/net/lo"), 0);
	CHECK(starts("/sys/dev/char/1:3/uevent", "MAJOR=1\nMINOR=3\nDEVNAME=null\n"));
	CHECK(starts("/sys/class/mem/zero/dev", "1:5\n"));
	EQ(stat("/sys/class/net/lo/mtu", &st), 0);
	EQ(st.st_size, 4096);
}

/* The order of checks, call by call: what is wrong first in the manual pages' words is what is told. */
static void order_of_checks(void)
{
	char name[128] = "/tmp/orderXXXXXX", link[160], buf[8];
	struct timespec omit[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };
	struct msghdr m = { 0 };
	int fd = mkstemp(in_test_dir(name)), dir = open("/", O_RDONLY), memory = memfd_create("order", 0), p[2], links;

	EQ(fcntl(fd, F_GETFL) & O_NOFOLLOW, 0); /* O_CREAT | O_EXCL */
	FAILS(open("/nosuch", O_TMPFILE | O_RDONLY), EINVAL);
	FAILS(fcntl(dir, F_SETFL, O_DIRECT), EINVAL);
	FAILS(open("/", O_RDONLY | O_DIRECT), EINVAL);
	FAILS(kill(999999, 99), ESRCH);
	FAILS(kill(getpid(), 99), EINVAL);
	FAILS(syscall(SYS_tgkill, getpid(), 999999, 99), ESRCH);
	FAILS(sendmsg(-1, &m, (int)0x80000000), EINVAL);
	FAILS(recvmsg(-1, &m, (int)0x80000000), EINVAL);
	FAILS(sync_file_range(-1, 0, 0, 64), EBADF);
	EQ(syscall(SYS_flock, -1, 32), 0); /* LOCK_MAND, which is no more */
	FAILS(mknod((char *)8, S_IFLNK | 0600, 0), EINVAL);
	EQ(utimensat(-1, "nosuch", omit, -1), 0);
	FAILS(utimensat(-1, "nosuch", (void *)8, -1), EFAULT);
	FAILS(clock_settime(CLOCK_PROCESS_CPUTIME_ID, &(struct timespec){ 1, 0 }), EINVAL);
	FAILS(clock_settime(-6, &(struct timespec){ 1, 0 }), EPERM); /* the same clock by its process */
	FAILS(syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &omit[0], NULL), EOPNOTSUPP);
	FAILS(syscall(SYS_copy_file_range, -1, NULL, -1, NULL, 1ul, 1), EBADF);
	EQ(pipe(p), 0);
	FAILS(copy_file_range(fd, NULL, p[0], NULL, 1, 0), EINVAL);
	EQ(write(fd, "order", 5), 5);
	FAILS(copy_file_range(fd, &(off_t){ 0 }, memory, NULL, 5, 0), EXDEV);
	snprintf(link, sizeof(link), "%s.link", name);
	EQ(symlink(name, link), 0);
	links = open(link, O_PATH | O_NOFOLLOW);
	FAILS(syscall(SYS_execveat, links, "", (char *[]){ "x", NULL }, (char *[]){ NULL }, AT_EMPTY_PATH), ELOOP);
	EQ(write(memory, "no program", 10), 10);
	FAILS(syscall(SYS_execveat, memory, "", (char *[]){ "x", NULL }, (char *[]){ NULL }, AT_EMPTY_PATH), ENOEXEC); /* though open for writing */
	EQ(read(p[0], buf, 0), 0);
	EQ(unlink(link), 0);
	EQ(unlink(name), 0);
	close(fd), close(dir), close(memory), close(p[0]), close(p[1]), close(links);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	RUN(system_information);
	RUN(random_bytes);
	RUN(compare);
	RUN(barriers);
	RUN(refused);
	RUN(other_memory);
	RUN(masks_of_waits);
	RUN(remaining_time);
	RUN(poll_results);
	RUN(times_of_day);
	RUN(alarms);
	RUN(waits);
	RUN(thread_ids);
	RUN(descriptor_information);
	RUN(system_files);
	RUN(order_of_checks);
	DONE();
}
