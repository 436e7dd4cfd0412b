/* namespaces(7), user_namespaces(7), pid_namespaces(7), unshare(2), setns(2), ioctl_ns(2). Run by root. */
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), n, e;

	if (fd < 0)
		return -1;
	n = (int)write(fd, text, strlen(text));
	e = errno;
	close(fd);
	errno = e;
	return n < 0 ? -1 : 0;
}

static int read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, buf, size - 1);
	close(fd);
	buf[n > 0 ? n : 0] = 0;
	return (int)n;
}

static unsigned long ns_ino(const char *name)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	return stat(path, &st) ? 0 : st.st_ino;
}

/* ---- /proc/PID/ns ---- */

static void links(void)
{
	static const char *const names[] = { "cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "time_for_children",
					     "user", "uts" };
	char path[64], text[64], want[64];
	struct stat st, lst;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		n = readlink(path, text, sizeof(text) - 1);
		CHECK(n > 0);
		text[n > 0 ? n : 0] = 0;
		EQ(stat(path, &st), 0);
		EQ(lstat(path, &lst), 0);
		CHECK(S_ISLNK(lst.st_mode));
		CHECK(S_ISREG(st.st_mode));
		EQ(st.st_mode & 07777, 0444);
		snprintf(want, sizeof(want), "%.*s:[%lu]", (int)strcspn(names[i], "_"), names[i], (unsigned long)st.st_ino);
		EQ(strcmp(text, want), 0);
	}
}

static void open_twice(void)
{
	int a = open("/proc/self/ns/uts", O_RDONLY), b = open("/proc/self/ns/uts", O_RDONLY);
	struct stat x, y;
	char c;

	CHECK(a >= 0 && b >= 0);
	EQ(fstat(a, &x), 0);
	EQ(fstat(b, &y), 0);
	CHECK(x.st_ino == y.st_ino && x.st_dev == y.st_dev);
	FAILS(read(a, &c, 1), EINVAL);
	close(a);
	close(b);
}

static void kinds(void)
{
	static const struct {
		const char *name;
		int flag;
	} k[] = { { "ipc", CLONE_NEWIPC }, { "net", CLONE_NEWNET }, { "uts", CLONE_NEWUTS }, { "mnt", CLONE_NEWNS },
		  { "pid", CLONE_NEWPID }, { "user", CLONE_NEWUSER }, { "cgroup", CLONE_NEWCGROUP } };
	char path[64];

	for (unsigned i = 0; i < sizeof(k) / sizeof(k[0]); i++) {
		int fd;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", k[i].name);
		fd = open(path, O_RDONLY);
		CHECK(fd >= 0);
		EQ(ioctl(fd, NS_GET_NSTYPE), k[i].flag);
		FAILS(ioctl(fd, 0x5401), ENOTTY);
		if (k[i].flag != CLONE_NEWUSER && k[i].flag != CLONE_NEWPID)
			FAILS(ioctl(fd, NS_GET_PARENT), EINVAL);
		close(fd);
	}
}

/* ---- unshare(2) ---- */

static void unshare_errors(void)
{
	FAILS(unshare(0x1), EINVAL);
	FAILS(unshare(CLONE_PARENT), EINVAL);
	FAILS(unshare(CLONE_PIDFD), EINVAL);
	EQ(unshare(0), 0);
	EQ(unshare(CLONE_FILES), 0);
	EQ(unshare(CLONE_FS), 0);
	EQ(unshare(CLONE_SYSVSEM), 0);
	EQ(unshare(CLONE_VM), 0); /* alone: nothing to do */
	EQ(unshare(CLONE_SIGHAND), 0);
	EQ(unshare(CLONE_THREAD), 0);
}

static void *wait_for_byte(void *arg)
{
	char c;

	return (void *)(long)read(*(int *)arg, &c, 1);
}

static void unshare_threads(void)
{
	int p[2];
	pthread_t t;

	EQ(pipe(p), 0);
	EQ(pthread_create(&t, NULL, wait_for_byte, &p[0]), 0);
	FAILS(unshare(CLONE_THREAD), EINVAL);
	FAILS(unshare(CLONE_SIGHAND), EINVAL);
	FAILS(unshare(CLONE_VM), EINVAL);
	FAILS(unshare(CLONE_NEWUSER), EINVAL);
	EQ(unshare(CLONE_FS), 0);
	EQ(unshare(CLONE_NEWUTS), 0);
	EQ(write(p[1], "x", 1), 1);
	pthread_join(t, NULL);
}

static void unprivileged(void)
{
	EQ(setuid(65534), 0);
	FAILS(unshare(CLONE_NEWUTS), EPERM);
	FAILS(unshare(CLONE_NEWIPC), EPERM);
	FAILS(unshare(CLONE_NEWNET), EPERM);
	FAILS(unshare(CLONE_NEWNS), EPERM);
	FAILS(unshare(CLONE_NEWPID), EPERM);
	FAILS(unshare(CLONE_NEWCGROUP), EPERM);
	FAILS(sethostname("x", 1), EPERM);
	FAILS(mount("none", "/tmp", "tmpfs", 0, NULL), EPERM);
	EQ(unshare(CLONE_NEWUSER | CLONE_NEWUTS), 0);
	EQ(sethostname("inner", 5), 0);
}

static void one_kind(const char *name, int flag)
{
	unsigned long before = ns_ino(name), user = ns_ino("user");

	EQ(unshare(flag), 0);
	CHECK(ns_ino(name) != before);
	EQ(ns_ino("user"), user);
}
static void new_uts(void) { one_kind("uts", CLONE_NEWUTS); }
static void new_ipc(void) { one_kind("ipc", CLONE_NEWIPC); }
static void new_net(void) { one_kind("net", CLONE_NEWNET); }
static void new_mnt(void) { one_kind("mnt", CLONE_NEWNS); }
static void new_cgroup(void) { one_kind("cgroup", CLONE_NEWCGROUP); }
static void each_kind(void)
{
	in_child(new_uts);
	in_child(new_ipc);
	in_child(new_net);
	in_child(new_mnt);
	in_child(new_cgroup);
}

static void uts(void)
{
	struct utsname u, v;

	EQ(uname(&u), 0);
	EQ(unshare(CLONE_NEWUTS), 0);
	EQ(uname(&v), 0);
	EQ(strcmp(u.nodename, v.nodename), 0);
	EQ(sethostname("elsewhere", 9), 0);
	EQ(setdomainname("there", 5), 0);
	EQ(uname(&v), 0);
	EQ(strcmp(v.nodename, "elsewhere"), 0);
	EQ(strcmp(v.domainname, "there"), 0);
	FAILS(sethostname("x", -1), EINVAL);
	FAILS(sethostname("x", 65), EINVAL);
	FAILS(sethostname((char *)8, 5), EFAULT);
}

static void uts_outside(void)
{
	struct utsname u, v;

	EQ(uname(&u), 0);
	in_child(uts);
	EQ(uname(&v), 0);
	EQ(strcmp(u.nodename, v.nodename), 0);
}

/* ---- IPC ---- */

static void ipc(void)
{
	int q = msgget(4711, IPC_CREAT | 0600), s = semget(4711, 1, IPC_CREAT | 0600), m = shmget(4711, 4096, IPC_CREAT | 0600);
	struct msqid_ds ds;
	mqd_t mq = mq_open("/ns_test", O_CREAT | O_RDWR, 0600, NULL);

	CHECK(q >= 0 && s >= 0 && m >= 0 && mq != -1);
	EQ(unshare(CLONE_NEWIPC), 0);
	FAILS(msgget(4711, 0), ENOENT);
	FAILS(semget(4711, 1, 0), ENOENT);
	FAILS(shmget(4711, 4096, 0), ENOENT);
	FAILS(msgctl(q, IPC_STAT, &ds), EINVAL);
	FAILS(mq_open("/ns_test", O_RDWR), ENOENT);
	EQ(mq_close(mq), 0); /* what is open stays so */
	q = msgget(4711, IPC_CREAT | IPC_EXCL | 0600);
	CHECK(q >= 0);
	CHECK(shmget(4711, 8192, IPC_CREAT | IPC_EXCL | 0600) >= 0);
}

static void ipc_outside(void)
{
	int id;

	in_child(ipc);
	id = shmget(4711, 4096, 0); /* that of before, by its size */
	CHECK(id >= 0);
	EQ(shmctl(id, IPC_RMID, NULL), 0);
	id = semget(4711, 1, 0);
	CHECK(id >= 0);
	EQ(semctl(id, 0, IPC_RMID), 0);
	id = msgget(4711, 0);
	CHECK(id >= 0);
	EQ(msgctl(id, IPC_RMID, NULL), 0);
	EQ(mq_unlink("/ns_test"), 0);
}

/* ---- user namespaces ---- */

static void user_fresh(void)
{
	char text[256];
	struct stat st;
	gid_t groups[4];

	EQ(setgroups(0, NULL), 0);
	EQ(unshare(CLONE_NEWUSER), 0);
	EQ(getuid(), 65534); /* not mapped */
	EQ(geteuid(), 65534);
	EQ(getgid(), 65534);
	EQ(read_file("/proc/self/uid_map", text, sizeof(text)), 0);
	EQ(stat("/", &st), 0);
	EQ(st.st_uid, 65534);
	EQ(st.st_gid, 65534);
	FAILS(setuid(0), EINVAL);
	FAILS(setresuid(0, -1, -1), EINVAL);
	FAILS(setgid(0), EINVAL);
	FAILS(setgroups(0, NULL), EPERM);
	EQ(getgroups(4, groups), 0);
	EQ(prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN), 1);
	FAILS(sethostname("x", 1), EPERM); /* that is the parent's */
	FAILS(chown("/", 0, 0), EINVAL);
}

static void map_self(unsigned inside)
{
	char text[64];

	snprintf(text, sizeof(text), "%u 0 1", inside);
	EQ(write_file("/proc/self/setgroups", "deny"), 0);
	EQ(write_file("/proc/self/uid_map", text), 0);
	EQ(write_file("/proc/self/gid_map", text), 0);
}

static void user_mapped(void)
{
	char text[256];
	unsigned first, lower, count;
	struct stat st;

	EQ(unshare(CLONE_NEWUSER), 0);
	map_self(1000);
	EQ(getuid(), 1000);
	EQ(getgid(), 1000);
	EQ(stat("/", &st), 0);
	EQ(st.st_uid, 1000);
	EQ(read_file("/proc/self/uid_map", text, sizeof(text)), 33);
	EQ(sscanf(text, "%u %u %u", &first, &lower, &count), 3);
	EQ(first, 1000);
	EQ(lower, 0);
	EQ(count, 1);
	EQ(read_file("/proc/self/setgroups", text, sizeof(text)), 5);
	EQ(strcmp(text, "deny\n"), 0);
	FAILS(write_file("/proc/self/uid_map", "1000 0 1"), EPERM); /* once */
	FAILS(write_file("/proc/self/gid_map", "1000 0 1"), EPERM);
	FAILS(write_file("/proc/self/setgroups", "allow"), EPERM);
	FAILS(write_file("/proc/self/setgroups", "deny"), EPERM); /* after the map */
	FAILS(setgroups(0, NULL), EPERM);
	EQ(setuid(1000), 0);
	FAILS(setuid(0), EINVAL);
	EQ(setresgid(1000, 1000, 1000), 0);
}

static void user_root(void)
{
	EQ(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS), 0);
	map_self(0);
	EQ(getuid(), 0);
	EQ(sethostname("mine", 4), 0);
	EQ(mount("none", "/tmp", "tmpfs", 0, NULL), 0);
	EQ(close(open("/tmp/a", O_CREAT | O_WRONLY, 0644)), 0);
	EQ(umount("/tmp"), 0);
	FAILS(mount("none", "/tmp", "devtmpfs", 0, NULL), EPERM);
	EQ(prctl(PR_CAPBSET_DROP, CAP_CHOWN), 0);
	EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 0);
	FAILS(mknod("/tmp/null", S_IFCHR | 0666, 0x103), EPERM);
	FAILS(setpriority(0, 0, -20), EACCES);
	EQ(chroot("/"), 0);
}

/* mount_namespaces(7): what came from outside can be covered, but not uncovered or loosened. */
static void locked_mounts(void)
{
	EQ(unshare(CLONE_NEWNS), 0);
	EQ(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	EQ(mount("none", "/mnt", "tmpfs", 0, NULL), 0);
	EQ(mkdir("/mnt/a", 0755), 0);
	EQ(mkdir("/mnt/b", 0755), 0);
	EQ(mount("none", "/mnt/a", "tmpfs", MS_RDONLY | MS_NOSUID, NULL), 0);
	EQ(unshare(CLONE_NEWUSER | CLONE_NEWNS), 0);
	map_self(0);
	FAILS(umount("/mnt/a"), EINVAL);
	FAILS(umount2("/mnt/a", MNT_DETACH), EINVAL);
	FAILS(mount(NULL, "/mnt/a", NULL, MS_REMOUNT | MS_BIND, NULL), EPERM);
	FAILS(mount(NULL, "/mnt/a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), EPERM);
	EQ(mount(NULL, "/mnt/a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL), 0);
	FAILS(mount(NULL, "/mnt/a", NULL, MS_REMOUNT, NULL), EPERM);
	FAILS(mount("/mnt/a", "/mnt/b", NULL, MS_MOVE, NULL), EINVAL);
	FAILS(mount("/mnt", "/tmp", NULL, MS_BIND, NULL), EINVAL); /* it would show what /mnt/a covers */
	EQ(mount("/mnt", "/tmp", NULL, MS_BIND | MS_REC, NULL), 0);
	FAILS(umount("/tmp/a"), EINVAL);
	EQ(umount2("/tmp", MNT_DETACH), 0);
	EQ(mount("none", "/mnt/b", "tmpfs", MS_RDONLY, NULL), 0); /* one's own */
	EQ(mount(NULL, "/mnt/b", NULL, MS_REMOUNT, NULL), 0);
	EQ(umount("/mnt/b"), 0);
	FAILS(open("/mnt/a/x", O_CREAT | O_WRONLY, 0600), EROFS);
}

static void bad_maps(void)
{
	EQ(unshare(CLONE_NEWUSER), 0);
	FAILS(write_file("/proc/self/uid_map", "0"), EINVAL);
	FAILS(write_file("/proc/self/uid_map", "0 0"), EINVAL);
	FAILS(write_file("/proc/self/uid_map", "0 0 0"), EINVAL);
	FAILS(write_file("/proc/self/uid_map", "0 0 1 1"), EINVAL);
	FAILS(write_file("/proc/self/uid_map", "x 0 1"), EINVAL);
	FAILS(write_file("/proc/self/uid_map", "0 0 1\n1 0 1"), EINVAL);
	FAILS(write_file("/proc/self/uid_map", "0 0 2\n1 5 1"), EINVAL);
	FAILS(write_file("/proc/self/uid_map", "4294967295 0 1"), EINVAL);
	FAILS(write_file("/proc/self/uid_map", "4294967294 0 2"), EINVAL);
	FAILS(write_file("/proc/self/setgroups", "maybe"), EINVAL);
	FAILS(write_file("/proc/self/uid_map", "0 0 2"), EPERM); /* more than oneself */
	FAILS(write_file("/proc/self/uid_map", "0 1 1"), EPERM); /* another */
	FAILS(write_file("/proc/self/gid_map", "0 0 1"), EPERM); /* setgroups is not denied */
}

/* The parent maps many ids for a child. */
static void map_from_outside(void)
{
	int go[2], ready[2], status;
	char path[64], c;
	pid_t pid;

	EQ(pipe(go), 0);
	EQ(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		int bad = unshare(CLONE_NEWUSER);

		bad |= write(ready[1], "x", 1) != 1;
		bad |= read(go[0], &c, 1) != 1;
		bad |= getuid() != 0;
		bad |= setgroups(1, (gid_t[]){ 5 });
		bad |= setresgid(7, 7, 7) || setresuid(7, 7, 7);
		bad |= getuid() != 7 || getgid() != 7;
		bad |= setuid(0) != -1;
		_exit(bad ? 1 : 0);
	}
	EQ(read(ready[0], &c, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	EQ(write_file(path, "0 0 5\n5 1005 10"), 0);
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	EQ(write_file(path, "0 0 100\n"), 0);
	FAILS(write_file(path, "0 0 100\n"), EPERM);
	EQ(write(go[1], "x", 1), 1);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
}

static void nested(void)
{
	char text[128];
	unsigned first, lower, count;

	EQ(unshare(CLONE_NEWUSER), 0);
	FAILS(unshare(CLONE_NEWUSER), EPERM); /* one without a name here */
	map_self(5);
	EQ(unshare(CLONE_NEWUSER), 0);
	FAILS(write_file("/proc/self/uid_map", "9 0 1"), EPERM); /* 0 is not a name in the parent */
	EQ(write_file("/proc/self/uid_map", "9 5 1"), 0);
	EQ(getuid(), 9);
	CHECK(read_file("/proc/self/uid_map", text, sizeof(text)) > 0);
	EQ(sscanf(text, "%u %u %u", &first, &lower, &count), 3);
	EQ(first, 9);
	EQ(lower, 5);
}

static void files_in_user_ns(void)
{
	char name[] = "/tmp/ns_fileXXXXXX";
	int fd = mkstemp(name);
	struct stat st;

	CHECK(fd >= 0);
	EQ(fchown(fd, 1234, 1234), 0);
	EQ(fchmod(fd, 0600), 0);
	EQ(unshare(CLONE_NEWUSER), 0);
	map_self(0);
	EQ(stat(name, &st), 0);
	EQ(st.st_uid, 65534); /* its owner has no name here, */
	FAILS(open(name, O_RDONLY), EACCES); /* and capabilities do not reach it */
	FAILS(chmod(name, 0644), EPERM);
	FAILS(chown(name, 0, 0), EPERM);
	FAILS(chown(name, 1234, -1), EINVAL);
	close(fd);
}

static void remove_files(void)
{
	in_child(files_in_user_ns);
	EQ(system("rm -f /tmp/ns_file??????"), 0);
}

/* ---- pid namespaces ---- */

static char stack[65536] __attribute__((aligned(16)));

static int child_of_ns(void *arg)
{
	int status;
	pid_t pid;

	check_failures = 0;
	EQ(getpid(), 1);
	EQ(syscall(SYS_gettid), 1);
	EQ(getppid(), 0);
	EQ(getpgid(0), 0);
	EQ(getsid(0), 0);
	FAILS(kill(2, 0), ESRCH);
	EQ(kill(1, 0), 0);
	EQ(kill(1, SIGKILL), 0); /* nothing happens */
	EQ(kill(1, SIGTERM), 0);
	EQ(raise(SIGSTOP), 0);
	FAILS(setpgid(0, 5), EPERM);
	EQ(setsid(), 1);
	EQ(getpgid(0), 1);
	EQ(getsid(0), 1);
	pid = fork();
	if (!pid)
		_exit(getpid() == 2 && getppid() == 1 ? 0 : 1);
	EQ(pid, 2);
	EQ(waitpid(-1, &status, 0), 2);
	EQ(status, 0);
	/* an orphan comes to process 1 */
	pid = fork();
	if (!pid) {
		if (!fork()) {
			while (getppid() != 1)
				sched_yield();
			_exit(42);
		}
		_exit(0);
	}
	EQ(waitpid(pid, &status, 0), pid);
	EQ(waitpid(-1, &status, 0), pid + 1);
	EQ(WEXITSTATUS(status), 42);
	FAILS(waitpid(-1, &status, 0), ECHILD);
	fflush(stdout);
	return check_failures ? 1 : 0;
}

static void pid_ns(void)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = clone(child_of_ns, stack + sizeof(stack), CLONE_NEWPID | SIGCHLD, NULL);
	CHECK(pid > 0);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
}

static int sleeper(void *arg)
{
	int *fds = arg;

	if (!fork()) {
		write(fds[1], "x", 1);
		for (;;)
			pause();
	}
	write(fds[1], "x", 1);
	for (;;)
		pause();
	return 0;
}

/* When its first process dies, everything in the namespace dies. */
static void pid_ns_ends(void)
{
	int p[2], status;
	char c;
	pid_t pid;

	EQ(pipe(p), 0);
	pid = clone(sleeper, stack + sizeof(stack), CLONE_NEWPID | SIGCHLD, p);
	close(p[1]);
	EQ(read(p[0], &c, 1), 1);
	EQ(read(p[0], &c, 1), 1);
	EQ(kill(pid, SIGTERM), 0); /* no handler: not even from outside */
	EQ(kill(pid, SIGKILL), 0);
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	EQ(read(p[0], &c, 1), 0); /* all writers are gone */
	close(p[0]);
}

static int last_info_pid = -1;
static void on_info(int sig, siginfo_t *info, void *uc)
{
	last_info_pid = info->si_pid;
}

static int signalled_from_outside(void *arg)
{
	struct sigaction sa = { .sa_sigaction = on_info, .sa_flags = SA_SIGINFO };
	int *p = arg;

	sigaction(SIGUSR1, &sa, NULL);
	write(p[1], "x", 1);
	while (last_info_pid < 0)
		usleep(1000);
	return last_info_pid; /* 0: somebody whom one cannot name */
}

static void pid_ns_signal(void)
{
	int p[2], status;
	pid_t pid;
	char c;

	EQ(pipe(p), 0);
	pid = clone(signalled_from_outside, stack + sizeof(stack), CLONE_NEWPID | SIGCHLD, p);
	EQ(read(p[0], &c, 1), 1);
	EQ(kill(pid, SIGUSR1), 0);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
	close(p[0]);
	close(p[1]);
}

static void unshare_pid(void)
{
	unsigned long mine = ns_ino("pid");
	int status;
	pid_t pid, me = getpid();

	EQ(unshare(CLONE_NEWPID), 0);
	EQ(getpid(), me);
	EQ(ns_ino("pid"), mine);
	FAILS(unshare(CLONE_NEWPID), EINVAL);
	FAILS(syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, stack + sizeof(stack), 0, 0, 0), EINVAL);
	pid = fork();
	if (!pid) {
		if (getpid() != 1 || getppid() != 0)
			_exit(1);
		_exit(7);
	}
	EQ(waitpid(pid, &status, 0), pid);
	EQ(WEXITSTATUS(status), 7);
	FAILS(fork(), ENOMEM); /* its first process is gone */
}

static void set_tid(void)
{
	struct clone_args_k {
		unsigned long flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
	} a = { .flags = CLONE_NEWPID, .exit_signal = SIGCHLD };
	pid_t tids[3] = { 1, 0, 0 };
	int status;
	long pid;

	a.set_tid = (unsigned long)tids;
	a.set_tid_size = 1;
	pid = syscall(SYS_clone3, &a, sizeof(a));
	if (!pid)
		_exit(getpid() == 1 ? 0 : 1);
	CHECK(pid > 0);
	EQ(waitpid((pid_t)pid, &status, 0), pid);
	EQ(status, 0);
	tids[0] = 5;
	FAILS(syscall(SYS_clone3, &a, sizeof(a)), EINVAL); /* the first one is 1 */
	a.set_tid_size = 33;
	FAILS(syscall(SYS_clone3, &a, sizeof(a)), EINVAL);
	a.set_tid_size = 0;
	FAILS(syscall(SYS_clone3, &a, sizeof(a)), EINVAL);
	a.flags = 0;
	a.set_tid_size = 1;
	tids[0] = getpid();
	FAILS(syscall(SYS_clone3, &a, sizeof(a)), EEXIST);
	tids[0] = 0;
	FAILS(syscall(SYS_clone3, &a, sizeof(a)), EINVAL);
}

static void clone_errors(void)
{
	FAILS(syscall(SYS_clone, CLONE_NEWNS | CLONE_FS | SIGCHLD, 0, 0, 0, 0), EINVAL);
	FAILS(syscall(SYS_clone, CLONE_NEWUSER | CLONE_FS | SIGCHLD, 0, 0, 0, 0), EINVAL);
	FAILS(syscall(SYS_clone, CLONE_NEWPID | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, 0, 0, 0, 0), EINVAL);
	FAILS(syscall(SYS_clone, CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, 0, 0, 0, 0), EINVAL);
	FAILS(syscall(SYS_clone, CLONE_NEWIPC | CLONE_SYSVSEM | SIGCHLD, 0, 0, 0, 0), EINVAL);
}

/* ---- setns(2) ---- */

static void setns_errors(void)
{
	int fd = open("/dev/null", O_RDONLY), u = open("/proc/self/ns/uts", O_RDONLY), user = open("/proc/self/ns/user", O_RDONLY);

	FAILS(setns(-1, 0), EBADF);
	FAILS(setns(fd, 0), EINVAL);
	FAILS(setns(u, CLONE_NEWNET), EINVAL);
	FAILS(setns(u, 0x1), EINVAL);
	EQ(setns(u, 0), 0);
	EQ(setns(u, CLONE_NEWUTS), 0);
	FAILS(setns(user, 0), EINVAL); /* one is in it */
	EQ(seteuid(65534), 0);
	FAILS(setns(u, 0), EPERM);
	EQ(seteuid(0), 0);
	close(fd);
	close(u);
	close(user);
}

static void setns_back(void)
{
	static const char *const names[] = { "uts", "ipc", "net", "cgroup", "mnt" };
	static const int flags[] = { CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWCGROUP, CLONE_NEWNS };
	char path[64];

	for (int i = 0; i < 5; i++) {
		unsigned long before = ns_ino(names[i]);
		int fd;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		fd = open(path, O_RDONLY);
		EQ(unshare(flags[i]), 0);
		CHECK(ns_ino(names[i]) != before);
		EQ(setns(fd, flags[i]), 0);
		EQ(ns_ino(names[i]), before);
		close(fd);
	}
}

/* Into a living child's, by file and by pidfd. */
static void setns_child(void)
{
	int p[2], fd, status, pidfd;
	struct utsname u;
	char path[64], c;
	pid_t pid;

	EQ(pipe(p), 0);
	pid = fork();
	if (!pid) {
		unshare(CLONE_NEWUTS | CLONE_NEWIPC);
		sethostname("childs", 6);
		write(p[1], "x", 1);
		pause();
	}
	EQ(read(p[0], &c, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/ns/uts", pid);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	EQ(setns(fd, CLONE_NEWUTS), 0);
	EQ(uname(&u), 0);
	EQ(strcmp(u.nodename, "childs"), 0);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	FAILS(setns(pidfd, 0), EINVAL);
	EQ(setns(pidfd, CLONE_NEWUTS | CLONE_NEWIPC), 0);
	EQ(kill(pid, SIGKILL), 0);
	EQ(waitpid(pid, &status, 0), pid);
	FAILS(setns(pidfd, CLONE_NEWUTS), ESRCH);
	EQ(uname(&u), 0); /* the descriptor and ourselves keep it */
	EQ(strcmp(u.nodename, "childs"), 0);
}

static void setns_pid(void)
{
	unsigned long mine = ns_ino("pid");
	int p[2], fd, status;
	char path[64], c;
	pid_t pid, other;

	EQ(pipe(p), 0);
	pid = clone(sleeper, stack + sizeof(stack), CLONE_NEWPID | SIGCHLD, p);
	EQ(read(p[0], &c, 1), 1);
	EQ(read(p[0], &c, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	fd = open(path, O_RDONLY);
	EQ(setns(fd, CLONE_NEWPID), 0);
	EQ(ns_ino("pid"), mine); /* for children only */
	CHECK(ns_ino("pid_for_children") != mine);
	other = fork();
	if (!other)
		_exit(getpid() == 3 && getppid() == 0 ? 0 : 1);
	EQ(waitpid(other, &status, 0), other);
	EQ(status, 0);
	EQ(kill(pid, SIGKILL), 0);
	EQ(waitpid(pid, &status, 0), pid);
	FAILS(fork(), ENOMEM);
}

static void setns_user(void)
{
	int p[2], fd, status;
	char path[64], c;
	pid_t pid;

	EQ(pipe(p), 0);
	pid = fork();
	if (!pid) {
		unshare(CLONE_NEWUSER);
		write_file("/proc/self/uid_map", "3 0 1");
		write(p[1], "x", 1);
		pause();
	}
	EQ(read(p[0], &c, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = open(path, O_RDONLY);
	EQ(setns(fd, CLONE_NEWUSER), 0);
	EQ(getuid(), 3);
	FAILS(sethostname("x", 1), EPERM);
	EQ(kill(pid, SIGKILL), 0);
	EQ(waitpid(pid, &status, 0), pid);
}

static void owner_ioctls(void)
{
	uid_t uid = 99;
	int u, fd, parent;
	struct stat a, b;

	u = open("/proc/self/ns/user", O_RDONLY);
	FAILS(ioctl(u, NS_GET_PARENT), EPERM);
	FAILS(ioctl(u, NS_GET_USERNS), EPERM);
	EQ(unshare(CLONE_NEWUTS), 0);
	fd = open("/proc/self/ns/uts", O_RDONLY);
	FAILS(ioctl(fd, NS_GET_OWNER_UID, &uid), EINVAL);
	parent = ioctl(fd, NS_GET_USERNS);
	CHECK(parent >= 0);
	EQ(fstat(parent, &a), 0);
	EQ(fstat(u, &b), 0);
	EQ(a.st_ino, b.st_ino);
	EQ(ioctl(parent, NS_GET_OWNER_UID, &uid), 0);
	EQ(uid, 0);
}

/* ---- network ---- */

static void net(void)
{
	struct sockaddr_storage a = { .ss_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), other;
	socklen_t len = sizeof(sa_family_t) + 8;

	memcpy((char *)&a + sizeof(sa_family_t), "\0ns_test", 8);
	EQ(bind(fd, (struct sockaddr *)&a, len), 0);
	EQ(listen(fd, 1), 0);
	other = socket(AF_UNIX, SOCK_STREAM, 0);
	EQ(connect(other, (struct sockaddr *)&a, len), 0);
	close(other);
	EQ(unshare(CLONE_NEWNET), 0);
	other = socket(AF_UNIX, SOCK_STREAM, 0);
	FAILS(connect(other, (struct sockaddr *)&a, len), ECONNREFUSED); /* abstract names are the namespace's */
	EQ(bind(other, (struct sockaddr *)&a, len), 0);
	close(other);
	close(fd);
}

/* A new namespace's loopback is down, and its ports are its own. */
static void net_ports(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(40123), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct ifreq ifr = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_STREAM, 0), other, udp;

	EQ(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	EQ(listen(fd, 5), 0);
	EQ(unshare(CLONE_NEWNET), 0);
	other = socket(AF_INET, SOCK_STREAM, 0);
	FAILS(connect(other, (struct sockaddr *)&a, sizeof(a)), ENETUNREACH);
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	FAILS(sendto(udp, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)), ENETUNREACH);
	EQ(ioctl(other, SIOCGIFFLAGS, &ifr), 0);
	EQ(ifr.ifr_flags, IFF_LOOPBACK);
	ifr.ifr_flags |= IFF_UP;
	EQ(ioctl(other, SIOCSIFFLAGS, &ifr), 0);
	EQ(ioctl(other, SIOCGIFFLAGS, &ifr), 0);
	EQ(ifr.ifr_flags, IFF_LOOPBACK | IFF_UP | IFF_RUNNING);
	FAILS(connect(other, (struct sockaddr *)&a, sizeof(a)), ECONNREFUSED);
	close(other);
	other = socket(AF_INET, SOCK_STREAM, 0);
	EQ(bind(other, (struct sockaddr *)&a, sizeof(a)), 0); /* where another holds it outside */
	EQ(listen(other, 5), 0);
	close(udp);
	udp = socket(AF_INET, SOCK_STREAM, 0);
	EQ(connect(udp, (struct sockaddr *)&a, sizeof(a)), 0);
	EQ(setuid(65534), 0);
	FAILS(ioctl(other, SIOCSIFFLAGS, &ifr), EPERM);
}

/* The first fork into a namespace fails late: there will be no process 1, and nobody else in its place. */
static void no_first(void)
{
	EQ(unshare(CLONE_NEWPID), 0);
	FAILS(syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, 8L, 0, 0), EFAULT);
	FAILS(fork(), ENOMEM);
	FAILS(fork(), ENOMEM);
}
static void pid_ns_without_first(void) { in_child(no_first); }

/* SO_PEERCRED and SCM_CREDENTIALS name a peer as the reader's namespaces do. */
static int peer_in_ns(void *arg)
{
	int *sv = arg;
	struct ucred c = { -1, -1, -1 };
	char space[CMSG_SPACE(sizeof(c))] = { 0 }, byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space) };
	struct cmsghdr *h;

	check_failures = 0;
	EQ(write_file("/proc/self/uid_map", "7 0 1"), 0);
	EQ(recvmsg(sv[1], &m, 0), 1);
	h = CMSG_FIRSTHDR(&m);
	CHECK(h && h->cmsg_type == SCM_CREDENTIALS);
	memcpy(&c, CMSG_DATA(h), sizeof(c));
	EQ(c.pid, 0); /* outside */
	EQ(c.uid, 7);
	EQ(c.gid, 65534); /* not mapped */
	c = (struct ucred){ getpid(), 7, 65534 };
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_CREDENTIALS;
	h->cmsg_len = CMSG_LEN(sizeof(c));
	memcpy(CMSG_DATA(h), &c, sizeof(c));
	m.msg_controllen = sizeof(space);
	FAILS(sendmsg(sv[1], &m, 0), EINVAL); /* a group without a meaning */
	EQ(write(sv[1], "x", 1), 1);
	fflush(stdout);
	return check_failures ? 1 : 0;
}

static void peers(void)
{
	int sv[2], on = 1, status;
	struct ucred c = { -1, -1, -1 };
	char space[CMSG_SPACE(sizeof(c))] = { 0 }, byte = 'y';
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space) };
	pid_t pid;

	EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	EQ(setsockopt(sv[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	EQ(setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	fflush(stdout);
	pid = clone(peer_in_ns, stack + sizeof(stack), CLONE_NEWPID | CLONE_NEWUSER | SIGCHLD, sv);
	EQ(write(sv[0], "x", 1), 1);
	EQ(recvmsg(sv[0], &m, 0), 1);
	memcpy(&c, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(c));
	EQ(c.pid, pid);
	EQ(c.uid, 0);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
	close(sv[0]);
	close(sv[1]);
}

/* Who holds a lock, made a segment, used a semaphore or a queue: as the one who asks knows that process. */
static void pids_of_objects(void)
{
	struct flock mine = { .l_type = F_WRLCK, .l_len = 10 }, its = { .l_type = F_WRLCK, .l_start = 20, .l_len = 10 }, ask;
	int file = memfd_create("locks", 0), shm = shmget(IPC_PRIVATE, 4096, 0600), sem = semget(IPC_PRIVATE, 2, 0600);
	int msg = msgget(IPC_PRIVATE, 0600), up[2], down[2], status;
	struct { long type; char text[4]; } m = { 1, "abc" };
	struct sembuf op = { 1, 1, 0 };
	struct shmid_ds sd;
	struct msqid_ds md;
	pid_t pid;
	char c;

	EQ(pipe(up), 0);
	EQ(pipe(down), 0);
	EQ(fcntl(file, F_SETLK, &mine), 0);
	EQ(unshare(CLONE_NEWPID), 0);
	pid = fork(); /* number 1 of a namespace */
	if (!pid) {
		ask = mine;
		EQ(fcntl(file, F_GETLK, &ask), 0);
		EQ(ask.l_type, F_WRLCK);
		EQ(ask.l_pid, 0); /* nobody known here */
		EQ(shmctl(shm, IPC_STAT, &sd), 0);
		EQ(sd.shm_cpid, 0);
		EQ(fcntl(file, F_SETLK, &its), 0);
		EQ(shmdt(shmat(shm, NULL, 0)), 0);
		EQ(shmctl(shm, IPC_STAT, &sd), 0);
		EQ(sd.shm_lpid, 1);
		EQ(semop(sem, &op, 1), 0);
		EQ(semctl(sem, 1, GETPID), 1);
		EQ(msgsnd(msg, &m, 4, 0), 0);
		EQ(msgctl(msg, IPC_STAT, &md), 0);
		EQ(md.msg_lspid, 1);
		EQ(md.msg_lrpid, 0);
		EQ(write(up[1], "x", 1), 1);
		EQ(read(down[0], &c, 1), 1);
		_exit(check_failures ? 1 : 0);
	}
	EQ(read(up[0], &c, 1), 1);
	ask = its;
	EQ(fcntl(file, F_GETLK, &ask), 0);
	EQ(ask.l_type, F_WRLCK);
	EQ(ask.l_pid, pid);
	EQ(shmctl(shm, IPC_STAT, &sd), 0);
	EQ(sd.shm_cpid, getpid());
	EQ(sd.shm_lpid, pid);
	EQ(semctl(sem, 1, GETPID), pid);
	EQ(semctl(sem, 0, GETPID), 0);
	EQ(msgctl(msg, IPC_STAT, &md), 0);
	EQ(md.msg_lspid, pid);
	EQ(write(down[1], "x", 1), 1);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
	shmctl(shm, IPC_RMID, NULL);
	semctl(sem, 0, IPC_RMID);
	msgctl(msg, IPC_RMID, NULL);
}

/* time_namespaces(7) */
static long long seconds(int clock)
{
	struct timespec ts;

	if (syscall(SYS_clock_gettime, clock, &ts))
		return -1;
	return ts.tv_sec;
}

static long long library_seconds(int clock) /* by the vDSO */
{
	struct timespec ts;

	return clock_gettime(clock, &ts) ? -1 : ts.tv_sec;
}

static long start_time(void)
{
	char buf[1024], *p;
	long v = -1;

	read_file("/proc/self/stat", buf, sizeof(buf));
	p = strrchr(buf, ')');
	sscanf(p ? p + 2 : "", "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %ld", &v);
	return v / sysconf(_SC_CLK_TCK);
}

static void in_shifted_time(long long mono, long long boot)
{
	struct timespec ts = { 0 }, past;
	struct itimerspec it = { { 0, 0 }, { 0, 0 } };
	char buf[64];
	int fd = timerfd_create(CLOCK_MONOTONIC, 0), word = 0;
	unsigned long long n;
	long up = -1;

	CHECK(seconds(CLOCK_MONOTONIC) - mono >= 10000 && seconds(CLOCK_MONOTONIC) - mono < 10060);
	CHECK(library_seconds(CLOCK_MONOTONIC) - mono >= 10000 && library_seconds(CLOCK_MONOTONIC) - mono < 10060);
	CHECK(library_seconds(CLOCK_MONOTONIC_RAW) - mono > 9900);
	CHECK(library_seconds(CLOCK_MONOTONIC_COARSE) - mono >= 9999);
	CHECK(seconds(CLOCK_BOOTTIME) - boot >= 20000 && seconds(CLOCK_BOOTTIME) - boot < 20060);
	CHECK(library_seconds(CLOCK_BOOTTIME) - boot >= 20000 && library_seconds(CLOCK_BOOTTIME) - boot < 20060);
	read_file("/proc/uptime", buf, sizeof(buf));
	sscanf(buf, "%ld", &up);
	CHECK(up - boot >= 20000 && up - boot < 20060);
	CHECK(start_time() - boot >= 20000);
	/* Times that are said are of these clocks as well: all of them are past. */
	clock_gettime(CLOCK_MONOTONIC, &past);
	EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &past, NULL), 0);
	it.it_value = past;
	EQ(timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL), 0);
	EQ(read(fd, &n, sizeof(n)), 8);
	FAILS(syscall(SYS_futex, &word, 9 /* FUTEX_WAIT_BITSET */, 0, &past, NULL, ~0), ETIMEDOUT);
	/* And one that is to come: 20 ms. */
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_nsec += 20000000;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL), 0);
	clock_gettime(CLOCK_MONOTONIC, &past);
	CHECK(past.tv_sec > ts.tv_sec || (past.tv_sec == ts.tv_sec && past.tv_nsec >= ts.tv_nsec));
	close(fd);
}

static void shifted_time(void)
{
	long long mono = seconds(CLOCK_MONOTONIC), boot = seconds(CLOCK_BOOTTIME);
	char buf[256];
	pid_t pid;
	int st;

	FAILS(write_file("/proc/self/timens_offsets", "monotonic 1 0\n"), EACCES); /* the first namespace has processes in it */
	fflush(stdout);
	pid = fork();
	if (!pid) {
		check_failures = 0;
		if (unshare(CLONE_NEWTIME))
			_exit(77);
		EQ(read_file("/proc/self/timens_offsets", buf, sizeof(buf)) > 0, 1);
		EQ(strcmp(buf, "monotonic           0         0\nboottime            0         0\n"), 0);
		FAILS(write_file("/proc/self/timens_offsets", "monotonic 1\n"), EINVAL);
		FAILS(write_file("/proc/self/timens_offsets", "realtime 1 0\n"), EINVAL);
		FAILS(write_file("/proc/self/timens_offsets", "monotonic 1 1000000000\n"), EINVAL);
		FAILS(write_file("/proc/self/timens_offsets", "monotonic 1 x\n"), EINVAL);
		FAILS(write_file("/proc/self/timens_offsets", "monotonic 9000000000 0\n"), ERANGE);
		FAILS(write_file("/proc/self/timens_offsets", "monotonic -9000000000 0\n"), ERANGE);
		EQ(write_file("/proc/self/timens_offsets", "monotonic 1 5\n"), 0);
		EQ(write_file("/proc/self/timens_offsets", "1 10000 0\nboottime 20000 7\n"), 0);
		EQ(read_file("/proc/self/timens_offsets", buf, sizeof(buf)) > 0, 1);
		EQ(strcmp(buf, "monotonic       10000         0\nboottime        20000         7\n"), 0);
		CHECK(seconds(CLOCK_MONOTONIC) - mono < 60); /* it is of the children */
		pid = fork();
		if (!pid) {
			in_shifted_time(mono, boot);
			FAILS(write_file("/proc/self/timens_offsets", "monotonic 1 0\n"), EACCES);
			pid = fork();
			if (!pid) {
				in_shifted_time(mono, boot);
				_exit(check_failures != 0);
			}
			EQ(waitpid(pid, &st, 0), pid);
			_exit(check_failures != 0 || st != 0);
		}
		EQ(waitpid(pid, &st, 0), pid);
		EQ(st, 0);
		EQ(setns(open("/proc/self/ns/time_for_children", O_RDONLY), CLONE_NEWTIME), 0);
		in_shifted_time(mono, boot);
		_exit(check_failures != 0);
	}
	EQ(waitpid(pid, &st, 0), pid);
	if (WIFEXITED(st) && WEXITSTATUS(st) == 77)
		printf("skip: no time namespaces here\n");
	else
		EQ(st, 0);
	CHECK(library_seconds(CLOCK_MONOTONIC) - mono < 60);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid()) {
		printf("needs root\n");
		return 0;
	}
	RUN(links);
	RUN(open_twice);
	RUN(kinds);
	RUN(unshare_errors);
#define CHILD(test)                                                                     \
	do {                                                                            \
		int before__ = check_failures;                                          \
		in_child(test);                                                         \
		printf("%s %s\n", check_failures == before__ ? "ok" : "FAIL", #test);   \
	} while (0)
	CHILD(unshare_threads);
	CHILD(unprivileged);
	RUN(each_kind);
	RUN(uts_outside);
	RUN(ipc_outside);
	CHILD(user_fresh);
	CHILD(user_mapped);
	CHILD(user_root);
	CHILD(locked_mounts);
	CHILD(bad_maps);
	RUN(map_from_outside);
	CHILD(nested);
	RUN(remove_files);
	RUN(pid_ns);
	RUN(pid_ns_ends);
	RUN(pid_ns_without_first);
	RUN(pid_ns_signal);
	CHILD(unshare_pid);
	RUN(set_tid);
	RUN(clone_errors);
	CHILD(setns_errors);
	CHILD(setns_back);
	CHILD(setns_child);
	CHILD(setns_pid);
	CHILD(setns_user);
	CHILD(owner_ioctls);
	CHILD(pids_of_objects);
	CHILD(net);
	RUN(peers);
	CHILD(net_ports);
	RUN(shifted_time);
	DONE();
}
