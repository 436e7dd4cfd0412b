/* credentials(7), capabilities(7), setuid(2) and its kin, rlimits, priorities, affinity. Needs root. */
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void *volatile bad_address = (void *)8;

static void expect_uids(uid_t r, uid_t e, uid_t s)
{
	uid_t a, b, c;

	EQ(getresuid(&a, &b, &c), 0);
	EQ(a, r);
	EQ(b, e);
	EQ(c, s);
}

static void drop_all(void)
{
	EQ(syscall(SYS_setuid, 1000), 0);
	expect_uids(1000, 1000, 1000);
	FAILS(syscall(SYS_setuid, 0), EPERM);
	FAILS(syscall(SYS_setresuid, 0, -1, -1), EPERM);
	EQ(syscall(SYS_setresuid, 1000, -1, 1000), 0);
	FAILS(syscall(SYS_setgroups, 0, NULL), EPERM);
	FAILS(sethostname("x", 1), EPERM);
	FAILS(setpriority(PRIO_PROCESS, 0, -5), EACCES);
	EQ(setpriority(PRIO_PROCESS, 0, 5), 0);
}

static void effective_only(void)
{
	EQ(syscall(SYS_setresuid, -1, 1000, -1), 0);
	expect_uids(0, 1000, 0);
	FAILS(syscall(SYS_sethostname, "x", 1), EPERM); /* effective capabilities went */
	EQ(syscall(SYS_setresuid, -1, 0, -1), 0);
	expect_uids(0, 0, 0);
}

static void swap_with_setreuid(void)
{
	EQ(syscall(SYS_setresuid, 1000, 1001, 1001), 0);
	EQ(syscall(SYS_setreuid, 1001, 1000), 0);
	expect_uids(1001, 1000, 1000);
	FAILS(syscall(SYS_setreuid, 1002, -1), EPERM);
}

static void fsuid(void)
{
	EQ(setfsuid(1000), 0);
	EQ(setfsuid((uid_t)-1), 1000);
	EQ(setfsgid(1000), 0);
	EQ(setfsgid((gid_t)-1), 1000);
}

static void groups(void)
{
	gid_t want[3] = { 30, 10, 20 }, got[3];

	EQ(syscall(SYS_setgroups, 3, want), 0);
	EQ(syscall(SYS_getgroups, 0, NULL), 3);
	FAILS(syscall(SYS_getgroups, 2, got), EINVAL);
	EQ(syscall(SYS_getgroups, 3, got), 3);
	CHECK(got[0] == 10 && got[1] == 20 && got[2] == 30);
	FAILS(syscall(SYS_setgroups, 70000, want), EINVAL);
	FAILS(syscall(SYS_setgroups, 3, bad_address), EFAULT);
	EQ(syscall(SYS_setresgid, 1, 2, 3), 0);
	EQ(getgid(), 1);
	EQ(getegid(), 2);
}

static void caps(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	EQ(syscall(SYS_capget, &h, d), 0);
	CHECK(d[0].effective == d[0].permitted && d[0].effective != 0);
	d[0].effective &= ~(1u << CAP_SYS_ADMIN);
	EQ(syscall(SYS_capset, &h, d), 0);
	FAILS(sethostname("x", 1), EPERM);
	d[0].permitted &= ~(1u << CAP_SYS_ADMIN);
	EQ(syscall(SYS_capset, &h, d), 0);
	d[0].permitted |= 1u << CAP_SYS_ADMIN;
	FAILS(syscall(SYS_capset, &h, d), EPERM);
	h.version = 1;
	FAILS(syscall(SYS_capget, &h, d), EINVAL);
	EQ(h.version, _LINUX_CAPABILITY_VERSION_3);
	h.pid = 999999;
	FAILS(syscall(SYS_capget, &h, d), ESRCH);
	EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 1);
	EQ(prctl(PR_CAPBSET_DROP, CAP_CHOWN), 0);
	EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 0);
	FAILS(prctl(PR_CAPBSET_READ, 63), EINVAL);
}

static void keep_caps(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	EQ(prctl(PR_SET_KEEPCAPS, 1), 0);
	EQ(syscall(SYS_setresuid, 1000, 1000, 1000), 0);
	EQ(syscall(SYS_capget, &h, d), 0);
	CHECK(d[0].permitted != 0 && d[0].effective == 0);
	d[0].inheritable = d[0].permitted;
	d[1].inheritable = d[1].permitted;
	EQ(syscall(SYS_capset, &h, d), 0);
	EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0), 0);
	EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 1);
	EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), 0);
	EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 0);
}

static void kill_permission(void)
{
	int alive[2];
	char byte;
	pid_t p;

	EQ(pipe(alive), 0);
	p = fork();
	if (!p) { /* the parent may not kill it any more: its end of the pipe tells when it is gone */
		close(alive[1]);
		_exit((int)read(alive[0], &byte, 1));
	}
	EQ(syscall(SYS_setresuid, 1000, 1000, 1000), 0);
	FAILS(kill(p, SIGTERM), EPERM);
	FAILS(kill(p, 0), EPERM);
	FAILS(kill(p, 99), EINVAL);
	if (!fork()) {
		_exit(0);
	}
	(void)p;
}

static void rlimits(void)
{
	struct rlimit l, m;

	EQ(getrlimit(RLIMIT_NOFILE, &l), 0);
	m = l;
	m.rlim_cur = 50;
	EQ(setrlimit(RLIMIT_NOFILE, &m), 0);
	EQ(getrlimit(RLIMIT_NOFILE, &m), 0);
	EQ(m.rlim_cur, 50);
	FAILS(dup2(0, 50), EBADF);
	m.rlim_cur = 60;
	m.rlim_max = 40;
	FAILS(setrlimit(RLIMIT_NOFILE, &m), EINVAL);
	FAILS(getrlimit(99, &m), EINVAL);
	FAILS(syscall(SYS_prlimit64, 999999, RLIMIT_NOFILE, NULL, &m), ESRCH);
	FAILS(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, bad_address, NULL), EFAULT);
	EQ(syscall(SYS_setresuid, 1000, 1000, 1000), 0);
	m = l;
	m.rlim_max = l.rlim_max - 1;
	m.rlim_cur = 50;
	EQ(setrlimit(RLIMIT_NOFILE, &m), 0);
	m.rlim_max = l.rlim_max;
	FAILS(setrlimit(RLIMIT_NOFILE, &m), EPERM);
}

static void scheduling(void)
{
	struct sched_param sp = { 0 };
	cpu_set_t set;
	unsigned cpu;

	EQ(sched_getaffinity(0, sizeof(set), &set), 0);
	CHECK(CPU_COUNT(&set) > 0);
	CPU_ZERO(&set);
	FAILS(sched_setaffinity(0, sizeof(set), &set), EINVAL);
	FAILS(sched_setaffinity(999999, sizeof(set), &set), ESRCH);
	CPU_SET(0, &set);
	EQ(sched_setaffinity(0, sizeof(set), &set), 0);
	EQ(syscall(SYS_getcpu, &cpu, NULL, NULL), 0);
	EQ(cpu, 0);
	EQ(sched_getcpu(), 0);
	FAILS(syscall(SYS_sched_getaffinity, 0, 0, &set), EINVAL);
	EQ(sched_getscheduler(0), SCHED_OTHER);
	EQ(sched_get_priority_max(SCHED_FIFO), 99);
	EQ(sched_get_priority_min(SCHED_RR), 1);
	FAILS(sched_get_priority_max(77), EINVAL);
	sp.sched_priority = 10;
	FAILS(sched_setscheduler(0, SCHED_OTHER, &sp), EINVAL);
	EQ(sched_setscheduler(0, SCHED_RR, &sp), 0);
	EQ(sched_getscheduler(0), SCHED_RR);
	EQ(sched_getparam(0, &sp), 0);
	EQ(sp.sched_priority, 10);
	sp.sched_priority = 0;
	EQ(sched_setscheduler(0, SCHED_BATCH, &sp), 0);
	EQ(sched_yield(), 0);
	EQ(setpriority(PRIO_PROCESS, 0, 7), 0);
	EQ(getpriority(PRIO_PROCESS, 0), 7);
	FAILS(getpriority(9, 0), EINVAL);
	FAILS(getpriority(PRIO_PROCESS, 999999), ESRCH);
	EQ(setpriority(PRIO_PROCESS, 0, 100), 0);
	EQ(getpriority(PRIO_PROCESS, 0), 19);
}

static void system_facts(void)
{
	struct utsname u;
	struct sysinfo si;

	EQ(uname(&u), 0);
	CHECK(!strcmp(u.sysname, "Linux") && !strcmp(u.machine, "x86_64"));
	FAILS(uname(bad_address), EFAULT);
	EQ(sysinfo(&si), 0);
	CHECK(si.totalram > 0 && si.freeram <= si.totalram && si.procs > 0 && si.mem_unit > 0);
	EQ(syscall(SYS_getrandom, &u, sizeof(u), 0), sizeof(u));
	FAILS(syscall(SYS_getrandom, &u, 1, 64), EINVAL);
	FAILS(syscall(SYS_getrandom, bad_address, 10, 0), EFAULT);
	EQ(syscall(SYS_personality, 0xffffffff), 0);
	EQ(syscall(SYS_membarrier, 8, 0, 0) == -1, 1); /* not registered */
	EQ(syscall(SYS_membarrier, 16, 0, 0), 0);
	EQ(syscall(SYS_membarrier, 8, 0, 0), 0);
	EQ(syscall(SYS_kcmp, getpid(), getpid(), 0, 1, 1), 0);
	FAILS(syscall(SYS_kcmp, getpid(), getpid(), 0, 1, 999), EBADF);
}

int main(void)
{
	in_child(drop_all);
	in_child(effective_only);
	in_child(swap_with_setreuid);
	in_child(fsuid);
	in_child(groups);
	in_child(caps);
	in_child(keep_caps);
	in_child(kill_permission);
	in_child(rlimits);
	in_child(scheduling);
	in_child(system_facts);
	printf("%s cred\n", check_failures ? "FAIL" : "ok");
	DONE();
}
