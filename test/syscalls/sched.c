/* sched(7) and its calls, getpriority(2), setpriority(2), ioprio_set(2), getrlimit(2), prlimit(2), getrusage(2), times(2). */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define BAD ((void *)8)
#define NO_PID 0x3fffff

/* ---- policies ---- */

static void ranges(void)
{
	EQ(sched_get_priority_max(SCHED_OTHER), 0);
	EQ(sched_get_priority_min(SCHED_OTHER), 0);
	EQ(sched_get_priority_max(SCHED_BATCH), 0);
	EQ(sched_get_priority_max(SCHED_IDLE), 0);
	EQ(sched_get_priority_max(SCHED_FIFO), 99);
	EQ(sched_get_priority_min(SCHED_FIFO), 1);
	EQ(sched_get_priority_max(SCHED_RR), 99);
	EQ(sched_get_priority_min(SCHED_RR), 1);
	EQ(sched_get_priority_max(6 /* SCHED_DEADLINE */), 0);
	FAILS(sched_get_priority_max(4), EINVAL);
	FAILS(sched_get_priority_min(99), EINVAL);
	FAILS(sched_get_priority_max(-1), EINVAL);
}

static void policies(void)
{
	struct sched_param p = { 0 };

	EQ(sched_getscheduler(0), SCHED_OTHER);
	EQ(sched_getparam(0, &p), 0);
	EQ(p.sched_priority, 0);
	p.sched_priority = 1;
	FAILS(sched_setscheduler(0, SCHED_OTHER, &p), EINVAL);
	FAILS(sched_setscheduler(0, SCHED_BATCH, &p), EINVAL);
	FAILS(sched_setscheduler(0, SCHED_IDLE, &p), EINVAL);
	p.sched_priority = 0;
	FAILS(sched_setscheduler(0, SCHED_FIFO, &p), EINVAL);
	FAILS(sched_setscheduler(0, SCHED_RR, &p), EINVAL);
	p.sched_priority = 100;
	FAILS(sched_setscheduler(0, SCHED_FIFO, &p), EINVAL);
	p.sched_priority = 0;
	FAILS(sched_setscheduler(0, 77, &p), EINVAL);
	FAILS(sched_setscheduler(0, -1, &p), EINVAL);
	FAILS(sched_setscheduler(-1, SCHED_OTHER, &p), EINVAL);
	FAILS(sched_setscheduler(NO_PID, SCHED_OTHER, &p), ESRCH);
	FAILS(sched_setscheduler(0, SCHED_OTHER, NULL), EINVAL);
	FAILS(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, BAD), EFAULT);
	FAILS(sched_getscheduler(-1), EINVAL);
	FAILS(sched_getscheduler(NO_PID), ESRCH);
	FAILS(sched_getparam(0, NULL), EINVAL);
	FAILS(syscall(SYS_sched_getparam, 0, BAD), EFAULT);
	FAILS(sched_getparam(-1, &p), EINVAL);
	FAILS(sched_getparam(NO_PID, &p), ESRCH);
	FAILS(sched_setparam(0, NULL), EINVAL);
	FAILS(sched_setparam(-1, &p), EINVAL);
	EQ(sched_setparam(0, &p), 0);
	p.sched_priority = 5;
	FAILS(sched_setparam(0, &p), EINVAL);
}

static void changes(void)
{
	struct sched_param p = { 0 };
	pid_t pid;

	EQ(sched_setscheduler(0, SCHED_BATCH, &p), 0);
	EQ(sched_getscheduler(0), SCHED_BATCH);
	EQ(sched_setscheduler(0, SCHED_IDLE, &p), 0);
	EQ(sched_getscheduler(0), SCHED_IDLE);
	p.sched_priority = 3;
	EQ(sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &p), 0);
	EQ(sched_getscheduler(0), SCHED_FIFO | SCHED_RESET_ON_FORK);
	EQ(sched_getparam(0, &p), 0);
	EQ(p.sched_priority, 3);
	p.sched_priority = 4;
	EQ(sched_setparam(0, &p), 0);
	EQ(sched_getparam(0, &p), 0);
	EQ(p.sched_priority, 4);
	pid = fork();
	if (!pid)
		_exit(sched_getscheduler(0) == SCHED_OTHER ? 0 : 1);
	int status;
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
}

static void unprivileged(void)
{
	struct sched_param p = { .sched_priority = 1 };
	struct rlimit none = { 0, 0 };
	cpu_set_t set;

	EQ(setrlimit(RLIMIT_RTPRIO, &none), 0);
	EQ(setrlimit(RLIMIT_NICE, &none), 0);
	EQ(setuid(65534), 0);
	FAILS(sched_setscheduler(0, SCHED_FIFO, &p), EPERM);
	FAILS(setpriority(PRIO_PROCESS, 0, -1), EACCES);
	EQ(setpriority(PRIO_PROCESS, 0, 5), 0);
	FAILS(setpriority(PRIO_PROCESS, 0, 4), EACCES);
	FAILS(setpriority(PRIO_PROCESS, getppid(), 10), EPERM);
	p.sched_priority = 0;
	FAILS(sched_setscheduler(getppid(), SCHED_BATCH, &p), EPERM);
	EQ(sched_setscheduler(0, SCHED_BATCH, &p), 0);
	EQ(sched_getaffinity(0, sizeof(set), &set), 0);
	EQ(sched_setaffinity(0, sizeof(set), &set), 0);
	FAILS(sched_setaffinity(getppid(), sizeof(set), &set), EPERM);
	EQ(sched_getaffinity(getppid(), sizeof(set), &set), 0);
}

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

static void attributes(void)
{
	struct attr a = { 0 };

	EQ(syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0), 0);
	CHECK(a.size >= 48);
	EQ(a.policy, SCHED_OTHER);
	EQ(a.nice, 0);
	FAILS(syscall(SYS_sched_getattr, 0, &a, 47, 0), EINVAL);
	FAILS(syscall(SYS_sched_getattr, 0, &a, 5000, 0), EINVAL);
	FAILS(syscall(SYS_sched_getattr, 0, NULL, sizeof(a), 0), EINVAL);
	FAILS(syscall(SYS_sched_getattr, 0, &a, sizeof(a), 1), EINVAL);
	FAILS(syscall(SYS_sched_getattr, -1, &a, sizeof(a), 0), EINVAL);
	FAILS(syscall(SYS_sched_getattr, NO_PID, &a, sizeof(a), 0), ESRCH);
	FAILS(syscall(SYS_sched_getattr, 0, BAD, sizeof(a), 0), EFAULT);
	memset(&a, 0, sizeof(a));
	a.size = 48;
	a.nice = 7;
	EQ(syscall(SYS_sched_setattr, 0, &a, 0), 0);
	errno = 0;
	EQ(getpriority(PRIO_PROCESS, 0), 7);
	FAILS(syscall(SYS_sched_setattr, 0, &a, 1), EINVAL);
	FAILS(syscall(SYS_sched_setattr, 0, NULL, 0), EINVAL);
	FAILS(syscall(SYS_sched_setattr, 0, BAD, 0), EFAULT);
	FAILS(syscall(SYS_sched_setattr, -1, &a, 0), EINVAL);
	FAILS(syscall(SYS_sched_setattr, NO_PID, &a, 0), ESRCH);
	a.size = 20;
	FAILS(syscall(SYS_sched_setattr, 0, &a, 0), E2BIG);
	EQ(a.size, sizeof(a));
	a.size = 48;
	a.policy = 99;
	FAILS(syscall(SYS_sched_setattr, 0, &a, 0), EINVAL);
	a.policy = SCHED_OTHER;
	a.flags = 0x1000;
	FAILS(syscall(SYS_sched_setattr, 0, &a, 0), EINVAL);
	a.flags = 0;
	a.policy = SCHED_FIFO;
	a.priority = 100;
	FAILS(syscall(SYS_sched_setattr, 0, &a, 0), EINVAL);
}

/* sched(7), SCHED_DEADLINE: what is admitted. */
static void deadlines(void)
{
	struct { unsigned size, policy; unsigned long flags; int nice; unsigned priority; unsigned long runtime, deadline, period; } a, got;
	struct sched_param zero = { 0 };
	cpu_set_t one, all;
	struct timespec ts;
	int st;
	pid_t pid;

	memset(&a, 0, sizeof(a));
	a.size = 48;
	a.policy = 6;
	FAILS(syscall(SYS_sched_setattr, 0, &a, 0), EINVAL); /* no deadline */
	a.runtime = 10000000;
	a.deadline = 5000000;
	FAILS(syscall(SYS_sched_setattr, 0, &a, 0), EINVAL); /* sooner than it can be */
	a.deadline = 30000000;
	a.period = 20000000;
	FAILS(syscall(SYS_sched_setattr, 0, &a, 0), EINVAL);
	a.period = 30000000;
	a.runtime = 1000;
	FAILS(syscall(SYS_sched_setattr, 0, &a, 0), EINVAL);
	a.runtime = 3000000;
	a.priority = 1;
	FAILS(syscall(SYS_sched_setattr, 0, &a, 0), EINVAL);
	a.priority = 0;
	FAILS(sched_setscheduler(0, 6, &zero), EINVAL);
	sched_getaffinity(0, sizeof(all), &all);
	if (CPU_COUNT(&all) > 1) {
		CPU_ZERO(&one);
		CPU_SET(0, &one);
		EQ(sched_setaffinity(0, sizeof(one), &one), 0);
		FAILS(syscall(SYS_sched_setattr, 0, &a, 0), EPERM);
		EQ(sched_setaffinity(0, sizeof(all), &all), 0);
	}
	EQ(syscall(SYS_sched_setattr, 0, &a, 0), 0);
	EQ(sched_getscheduler(0), 6);
	EQ(syscall(SYS_sched_getattr, 0, &got, sizeof(got), 0), 0);
	EQ(got.policy, 6);
	EQ(got.runtime, 3000000);
	EQ(got.deadline, 30000000);
	EQ(got.period, 30000000);
	FAILS(fork(), EAGAIN);
	if (CPU_COUNT(&all) > 1)
		FAILS(sched_setaffinity(0, sizeof(one), &one), EBUSY);
	FAILS(sched_setparam(0, &zero), EINVAL);
	EQ(sched_rr_get_interval(0, &ts), 0);
	EQ(ts.tv_nsec, 0);
	a.flags = 1; /* SCHED_FLAG_RESET_ON_FORK */
	EQ(syscall(SYS_sched_setattr, 0, &a, 0), 0);
	pid = fork();
	if (!pid)
		_exit(sched_getscheduler(0) != SCHED_OTHER);
	EQ(waitpid(pid, &st, 0), pid);
	EQ(st, 0);
	EQ(sched_setscheduler(0, SCHED_OTHER, &zero), 0);
	a.flags = 0;
	if (!setresuid(1000, 1000, 1000))
		FAILS(syscall(SYS_sched_setattr, 0, &a, 0), EPERM);
}

static void interval(void)
{
	struct timespec ts;
	struct sched_param p = { .sched_priority = 1 };

	EQ(sched_rr_get_interval(0, &ts), 0);
	FAILS(sched_rr_get_interval(-1, &ts), EINVAL);
	FAILS(sched_rr_get_interval(NO_PID, &ts), ESRCH);
	FAILS(syscall(SYS_sched_rr_get_interval, 0, BAD), EFAULT);
	EQ(sched_setscheduler(0, SCHED_RR, &p), 0);
	EQ(sched_rr_get_interval(0, &ts), 0);
	CHECK(ts.tv_sec == 0 && ts.tv_nsec > 0);
	EQ(sched_setscheduler(0, SCHED_FIFO, &p), 0);
	EQ(sched_rr_get_interval(0, &ts), 0);
	CHECK(ts.tv_sec == 0 && ts.tv_nsec == 0);
	EQ(sched_yield(), 0);
}

/* ---- affinity ---- */

static void affinity(void)
{
	cpu_set_t set, one, got;
	unsigned char big[1024];
	unsigned cpu, node;
	int first = -1;

	CPU_ZERO(&set);
	EQ(sched_getaffinity(0, sizeof(set), &set), 0);
	CHECK(CPU_COUNT(&set) >= 1);
	CHECK(syscall(SYS_sched_getaffinity, 0, sizeof(set), &set) >= 8); /* the raw call: how much it wrote */
	EQ(syscall(SYS_sched_getaffinity, 0, sizeof(big), big) % 8, 0);
	FAILS(syscall(SYS_sched_getaffinity, 0, 0, &set), EINVAL);
	FAILS(syscall(SYS_sched_getaffinity, 0, 9, &set), EINVAL);
	FAILS(syscall(SYS_sched_getaffinity, 0, sizeof(set), BAD), EFAULT);
	FAILS(sched_getaffinity(NO_PID, sizeof(set), &set), ESRCH);
	for (int i = CPU_SETSIZE - 1; i >= 0; i--)
		if (CPU_ISSET(i, &set))
			first = i;
	CPU_ZERO(&one);
	FAILS(sched_setaffinity(0, sizeof(one), &one), EINVAL);
	CPU_SET(CPU_SETSIZE - 1, &one); /* there is none */
	FAILS(sched_setaffinity(0, sizeof(one), &one), EINVAL);
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	EQ(sched_setaffinity(0, sizeof(one), &one), 0);
	EQ(sched_getaffinity(0, sizeof(got), &got), 0);
	CHECK(CPU_EQUAL(&one, &got));
	EQ(sched_getcpu(), first);
	EQ(syscall(SYS_getcpu, &cpu, &node, NULL), 0);
	EQ(cpu, first);
	EQ(syscall(SYS_getcpu, NULL, NULL, NULL), 0);
	FAILS(syscall(SYS_getcpu, BAD, NULL, NULL), EFAULT);
	FAILS(syscall(SYS_sched_setaffinity, 0, sizeof(one), BAD), EFAULT);
	FAILS(sched_setaffinity(NO_PID, sizeof(set), &set), ESRCH);
	EQ(sched_setaffinity(0, 1, &set), 0); /* a short mask is filled up with zeros */
	EQ(sched_setaffinity(0, sizeof(set), &set), 0);
	EQ(sched_setaffinity(getpid(), sizeof(set), &set), 0);
}

static void inherited_affinity(void)
{
	cpu_set_t set, got;
	int status, first = 0;
	pid_t pid;

	EQ(sched_getaffinity(0, sizeof(set), &set), 0);
	while (!CPU_ISSET(first, &set))
		first++;
	CPU_ZERO(&set);
	CPU_SET(first, &set);
	EQ(sched_setaffinity(0, sizeof(set), &set), 0);
	pid = fork();
	if (!pid)
		_exit(sched_getaffinity(0, sizeof(got), &got) || !CPU_EQUAL(&set, &got));
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
}

/* ---- nice values ---- */

static void priorities(void)
{
	errno = 0;
	EQ(getpriority(PRIO_PROCESS, 0), 0);
	EQ(syscall(SYS_getpriority, PRIO_PROCESS, 0), 20); /* the raw call: 20 - nice */
	EQ(setpriority(PRIO_PROCESS, 0, 3), 0);
	EQ(getpriority(PRIO_PROCESS, getpid()), 3);
	EQ(setpriority(PRIO_PROCESS, 0, 100), 0);
	EQ(getpriority(PRIO_PROCESS, 0), 19); /* clamped */
	EQ(setpriority(PRIO_PROCESS, 0, -100), 0);
	EQ(getpriority(PRIO_PROCESS, 0), -20);
	EQ(nice(5), -15);
	EQ(nice(0), -15);
	FAILS(getpriority(7, 0), EINVAL);
	FAILS(setpriority(7, 0, 0), EINVAL);
	FAILS(getpriority(PRIO_PROCESS, NO_PID), ESRCH);
	FAILS(setpriority(PRIO_PROCESS, NO_PID, 0), ESRCH);
	FAILS(getpriority(PRIO_PGRP, NO_PID), ESRCH);
	FAILS(getpriority(PRIO_USER, 0x7ffffff), ESRCH);
	FAILS(setpriority(PRIO_PROCESS, -1, 0), ESRCH);
	EQ(setpgid(0, 0), 0);
	EQ(setpriority(PRIO_PGRP, 0, 2), 0);
	EQ(getpriority(PRIO_PGRP, 0), 2);
	EQ(getpriority(PRIO_PGRP, getpid()), 2);
	CHECK(getpriority(PRIO_USER, 0) <= 2);
}

static void inherited_nice(void)
{
	int status;
	pid_t pid;

	EQ(setpriority(PRIO_PROCESS, 0, 11), 0);
	pid = fork();
	if (!pid)
		_exit(getpriority(PRIO_PROCESS, 0) == 11 ? 0 : 1);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
}

/* ioprio_set(2) */
static void io_priorities(void)
{
	int best4 = 2 << 13 | 4, idle = 3 << 13, rt = 1 << 13 | 2;

	EQ(syscall(SYS_ioprio_set, 1, 0, best4), 0);
	EQ(syscall(SYS_ioprio_get, 1, 0), best4);
	EQ(syscall(SYS_ioprio_set, 1, 0, idle), 0);
	EQ(syscall(SYS_ioprio_get, 1, 0), idle);
	EQ(syscall(SYS_ioprio_set, 1, 0, rt), 0);
	EQ(syscall(SYS_ioprio_get, 1, getpid()), rt);
	EQ(syscall(SYS_ioprio_set, 1, 0, 0), 0);
	FAILS(syscall(SYS_ioprio_set, 1, 0, 7), EINVAL); /* no class, but a level */
	FAILS(syscall(SYS_ioprio_set, 1, 0, 5 << 13), EINVAL);
	FAILS(syscall(SYS_ioprio_set, 9, 0, best4), EINVAL);
	FAILS(syscall(SYS_ioprio_get, 9, 0), EINVAL);
	FAILS(syscall(SYS_ioprio_get, 1, NO_PID), ESRCH);
	FAILS(syscall(SYS_ioprio_set, 1, NO_PID, best4), ESRCH);
}

/* ---- limits ---- */

static void limits(void)
{
	struct rlimit r, s;

	for (int i = 0; i < 16; i++) {
		EQ(getrlimit(i, &r), 0);
		CHECK(r.rlim_cur <= r.rlim_max);
		EQ(prlimit(0, i, NULL, &s), 0);
		CHECK(r.rlim_cur == s.rlim_cur && r.rlim_max == s.rlim_max);
	}
	FAILS(getrlimit(16, &r), EINVAL);
	FAILS(getrlimit(-1, &r), EINVAL);
	FAILS(setrlimit(16, &r), EINVAL);
	FAILS(syscall(SYS_getrlimit, RLIMIT_NOFILE, BAD), EFAULT);
	FAILS(syscall(SYS_setrlimit, RLIMIT_NOFILE, BAD), EFAULT);
	FAILS(prlimit(0, 16, NULL, &r), EINVAL);
	FAILS(prlimit(NO_PID, RLIMIT_CORE, NULL, &r), ESRCH);
	FAILS(syscall(SYS_prlimit64, 0, RLIMIT_CORE, BAD, NULL), EFAULT);
	FAILS(syscall(SYS_prlimit64, 0, RLIMIT_CORE, NULL, BAD), EFAULT);
	r.rlim_cur = 11;
	r.rlim_max = 10;
	FAILS(setrlimit(RLIMIT_CORE, &r), EINVAL);
	EQ(getrlimit(RLIMIT_NOFILE, &r), 0);
	r.rlim_max = r.rlim_cur = 1u << 31;
	FAILS(setrlimit(RLIMIT_NOFILE, &r), EPERM); /* above nr_open, for anybody */
	EQ(prlimit(getpid(), RLIMIT_CORE, &(struct rlimit){ 5, 10 }, &s), 0);
	EQ(getrlimit(RLIMIT_CORE, &r), 0);
	CHECK(r.rlim_cur == 5 && r.rlim_max == 10);
}

static void limits_unprivileged(void)
{
	struct rlimit r = { 5, 10 };

	EQ(setrlimit(RLIMIT_CORE, &r), 0);
	EQ(setuid(65534), 0);
	r.rlim_cur = 10;
	EQ(setrlimit(RLIMIT_CORE, &r), 0);
	r.rlim_max = 11;
	FAILS(setrlimit(RLIMIT_CORE, &r), EPERM);
	r.rlim_cur = 1;
	r.rlim_max = 5;
	EQ(setrlimit(RLIMIT_CORE, &r), 0);
	FAILS(prlimit(getppid(), RLIMIT_CORE, NULL, &r), EPERM);
	FAILS(prlimit(1, RLIMIT_CORE, &r, NULL), EPERM);
}

static void limit_of_files(void)
{
	struct rlimit r = { 10, 10 };
	int fd = -1, last = -1;

	EQ(setrlimit(RLIMIT_NOFILE, &r), 0);
	while ((fd = dup(0)) >= 0)
		last = fd;
	CHECK(fd < 0);
	FAILS(dup(0), EMFILE);
	EQ(last, 9);
	FAILS(dup2(0, 10), EBADF);
	EQ(dup2(0, 9), 9);
	FAILS(pipe((int[2]){ 0 }), EMFILE);
}

static void limit_of_size(void)
{
	struct rlimit r = { 10, RLIM_INFINITY };
	char name[] = "/tmp/limitXXXXXX";
	int fd = mkstemp(name);

	unlink(name);
	signal(SIGXFSZ, SIG_IGN);
	EQ(setrlimit(RLIMIT_FSIZE, &r), 0);
	EQ(write(fd, "0123456789ab", 12), 10);
	FAILS(write(fd, "x", 1), EFBIG);
	FAILS(ftruncate(fd, 11), EFBIG);
	EQ(ftruncate(fd, 10), 0);
	EQ(pwrite(fd, "x", 1, 9), 1);
	FAILS(pwrite(fd, "x", 1, 10), EFBIG);
}

static void signal_of_size(void)
{
	struct rlimit r = { 0, RLIM_INFINITY };
	char name[] = "/tmp/limitXXXXXX";
	int fd = mkstemp(name), status;
	pid_t pid;

	unlink(name);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		setrlimit(RLIMIT_FSIZE, &r);
		_exit((int)write(fd, "x", 1));
	}
	EQ(waitpid(pid, &status, 0), pid);
	EQ(WTERMSIG(status), SIGXFSZ);
	close(fd);
}

/* ---- usage ---- */

static void usage(void)
{
	struct rusage u, v;
	struct tms t;
	volatile unsigned long x = 0;

	EQ(getrusage(RUSAGE_SELF, &u), 0);
	for (int i = 0; i < 30000000; i++)
		x += i;
	EQ(getrusage(RUSAGE_SELF, &v), 0);
	CHECK(v.ru_utime.tv_sec * 1000000 + v.ru_utime.tv_usec > u.ru_utime.tv_sec * 1000000 + u.ru_utime.tv_usec);
	CHECK(v.ru_maxrss > 0);
	CHECK(v.ru_minflt >= u.ru_minflt);
	EQ(getrusage(RUSAGE_THREAD, &u), 0);
	EQ(getrusage(RUSAGE_CHILDREN, &u), 0);
	FAILS(getrusage(2, &u), EINVAL);
	FAILS(getrusage(-2, &u), EINVAL);
	FAILS(syscall(SYS_getrusage, RUSAGE_SELF, BAD), EFAULT);
	CHECK(times(&t) != (clock_t)-1);
	CHECK(times(NULL) != (clock_t)-1);
	FAILS(syscall(SYS_times, BAD), EFAULT);
	CHECK(t.tms_utime >= 0 && t.tms_cutime >= 0);
}

static void usage_of_children(void)
{
	struct rusage u;
	struct tms t;
	int status;
	pid_t pid;

	EQ(getrusage(RUSAGE_CHILDREN, &u), 0);
	EQ(u.ru_utime.tv_sec, 0);
	EQ(u.ru_maxrss, 0);
	pid = fork();
	if (!pid) {
		clock_t start = clock();

		while (clock() - start < CLOCKS_PER_SEC / 20)
			;
		_exit(0);
	}
	usleep(1000);
	EQ(getrusage(RUSAGE_CHILDREN, &u), 0);
	EQ(u.ru_utime.tv_usec, 0); /* not before it is waited for */
	EQ(waitpid(pid, &status, 0), pid);
	EQ(getrusage(RUSAGE_CHILDREN, &u), 0);
	CHECK(u.ru_utime.tv_usec + u.ru_stime.tv_usec >= 40000);
	CHECK(u.ru_maxrss > 0);
	times(&t);
	CHECK(t.tms_cutime + t.tms_cstime >= 4);
}

/* proc_stat(5): user, nice, system and idle of all processors, in ticks. */
static void all_ticks(unsigned long long t[4])
{
	FILE *f = fopen("/proc/stat", "re");

	CHECK(f && fscanf(f, "cpu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3]) == 4);
	if (f)
		fclose(f);
}

static void ticks_of_processors(void)
{
	unsigned long long before[4] = { 0 }, after[4] = { 0 };
	clock_t begin = clock();

	all_ticks(before);
	while (clock() - begin < CLOCKS_PER_SEC / 4)
		;
	all_ticks(after);
	CHECK(after[0] + after[2] >= before[0] + before[2] + 20); /* a quarter of a second is 25 of them */
	CHECK(after[3] >= before[3]);
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
	RUN(ranges);
	CHILD(policies);
	CHILD(changes);
	CHILD(unprivileged);
	CHILD(attributes);
	CHILD(interval);
	CHILD(deadlines);
	CHILD(affinity);
	CHILD(inherited_affinity);
	CHILD(priorities);
	CHILD(inherited_nice);
	CHILD(io_priorities);
	CHILD(limits);
	CHILD(limits_unprivileged);
	CHILD(limit_of_files);
	CHILD(limit_of_size);
	RUN(signal_of_size);
	CHILD(usage);
	CHILD(usage_of_children);
	CHILD(ticks_of_processors);
	DONE();
}
