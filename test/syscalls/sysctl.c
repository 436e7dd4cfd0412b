/* Settings of /proc/sys: proc(5), and what they do: sysvipc(7), mq_overview(7), ip(7), uname(2), namespaces(7). */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <linux/capability.h>

#include "check.h"

/* The whole file, its newline cut. */
static const char *get(const char *name)
{
	static char text[256], path[128];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	fd = open(path, O_RDONLY);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n < 0 ? 0 : n] = 0;
	text[strcspn(text, "\n")] = 0;
	return text;
}

/* 0 or -1 with errno. */
static int set(const char *name, const char *value)
{
	char path[128];
	int fd, err = 0;

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	fd = open(path, O_WRONLY | O_TRUNC);
	if (fd < 0)
		return -1;
	if (write(fd, value, strlen(value)) != (ssize_t)strlen(value))
		err = errno;
	close(fd);
	errno = err;
	return err ? -1 : 0;
}

static int is(const char *name, const char *value)
{
	return !strcmp(get(name), value);
}

static void drop(int cap)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	EQ(syscall(SYS_capget, &h, d), 0);
	d[cap / 32].effective &= ~(1u << (cap % 32));
	EQ(syscall(SYS_capset, &h, d), 0);
}

static void writing(void)
{
	EQ(set("kernel/msgmax", "4000\n"), 0);
	CHECK(is("kernel/msgmax", "4000"));
	EQ(set("kernel/msgmax", "0x1000"), 0);
	CHECK(is("kernel/msgmax", "4096"));
	EQ(set("kernel/msgmax", "  5000  \n"), 0);
	CHECK(is("kernel/msgmax", "5000"));
	FAILS(set("kernel/msgmax", "x"), EINVAL);
	FAILS(set("kernel/msgmax", "-1"), EINVAL);
	FAILS(set("kernel/msgmax", "99999999999"), EINVAL);
	CHECK(is("kernel/msgmax", "5000"));
	EQ(set("kernel/sem", "100 200"), 0); /* the rest stays */
	CHECK(is("kernel/sem", "100\t200\t500\t32000"));
	FAILS(set("kernel/ostype", "BSD"), EACCES);
	CHECK(is("kernel/ostype", "Linux"));
	FAILS(set("kernel/nosuch", "1"), ENOENT);
	FAILS(open("/proc/sys/kernel/new", O_CREAT | O_WRONLY, 0600), ENOENT);
	FAILS(mkdir("/proc/sys/new", 0700), ENOENT);
	FAILS(unlink("/proc/sys/kernel/msgmax"), EACCES);
	FAILS(chmod("/proc/sys/kernel/msgmax", 0666), EPERM);
}

static void tree(void)
{
	struct stat st;
	struct dirent *e;
	DIR *d = opendir("/proc/sys/kernel");
	int msgmax = 0, random = 0, type = 0;
	ino_t ino = 0;

	CHECK(d);
	while (d && (e = readdir(d))) {
		msgmax += !strcmp(e->d_name, "msgmax");
		if (!strcmp(e->d_name, "msgmax"))
			ino = e->d_ino;
		random += !strcmp(e->d_name, "random");
		if (!strcmp(e->d_name, "random"))
			type = e->d_type;
	}
	closedir(d);
	EQ(msgmax, 1);
	EQ(random, 1);
	EQ(type, DT_DIR);
	EQ(stat("/proc/sys/kernel/msgmax", &st), 0);
	EQ(st.st_ino, ino);
	EQ(st.st_mode, S_IFREG | 0644);
	EQ(st.st_size, 0);
	EQ(st.st_rdev, 0);
	EQ(stat("/proc/sys/kernel", &st), 0);
	EQ(st.st_mode, S_IFDIR | 0555);
	EQ(access("/proc/sys/kernel/random/uuid", R_OK), 0);
	FAILS(access("/proc/sys/kernel/random/uuid", W_OK), EACCES);
	FAILS(access("/proc/sys/kernel/msgmax/x", F_OK), ENOTDIR);
}

static void messages(void)
{
	struct {
		long type;
		char text[200];
	} m = { 1, "" };
	struct msqid_ds ds;
	int q;

	CHECK(is("kernel/msgmax", "8192")); /* a new namespace has the first values */
	EQ(set("kernel/msgmax", "100"), 0);
	EQ(set("kernel/msgmnb", "150"), 0);
	EQ(set("kernel/msgmni", "1"), 0);
	q = msgget(IPC_PRIVATE, 0600);
	CHECK(q >= 0);
	FAILS(msgget(IPC_PRIVATE, 0600), ENOSPC);
	FAILS(msgsnd(q, &m, 101, IPC_NOWAIT), EINVAL);
	EQ(msgsnd(q, &m, 100, IPC_NOWAIT), 0);
	FAILS(msgsnd(q, &m, 100, IPC_NOWAIT), EAGAIN);
	EQ(msgctl(q, IPC_STAT, &ds), 0);
	EQ(ds.msg_qbytes, 150);
	EQ(msgctl(q, IPC_RMID, NULL), 0);
	q = msgget(IPC_PRIVATE, 0600);
	CHECK(q >= 0);
	EQ(unshare(CLONE_NEWIPC), 0);
	CHECK(is("kernel/msgmax", "8192"));
}

static void semaphores(void)
{
	struct sembuf ops[3] = { { 0, 1, 0 }, { 0, 1, 0 }, { 0, 1, 0 } };
	int a;

	EQ(set("kernel/sem", "5 8 2 2"), 0);
	FAILS(semget(IPC_PRIVATE, 6, 0600), EINVAL);
	a = semget(IPC_PRIVATE, 5, 0600);
	CHECK(a >= 0);
	FAILS(semget(IPC_PRIVATE, 4, 0600), ENOSPC); /* SEMMNS */
	FAILS(semop(a, ops, 3), E2BIG);
	EQ(semop(a, ops, 2), 0);
	CHECK(semget(IPC_PRIVATE, 1, 0600) >= 0);
	FAILS(semget(IPC_PRIVATE, 1, 0600), ENOSPC); /* SEMMNI */
	EQ(semctl(a, 0, IPC_RMID), 0);
	CHECK(semget(IPC_PRIVATE, 5, 0600) >= 0);
}

static void segments(void)
{
	struct shmid_ds ds;
	void *p;
	int a;

	EQ(set("kernel/shmmax", "8192"), 0);
	EQ(set("kernel/shmall", "3"), 0);
	EQ(set("kernel/shmmni", "2"), 0);
	FAILS(shmget(IPC_PRIVATE, 8193, 0600), EINVAL);
	a = shmget(IPC_PRIVATE, 8192, 0600);
	CHECK(a >= 0);
	FAILS(shmget(IPC_PRIVATE, 8192, 0600), ENOSPC); /* shmall */
	CHECK(shmget(IPC_PRIVATE, 4096, 0600) >= 0);
	EQ(set("kernel/shmall", "100"), 0);
	FAILS(shmget(IPC_PRIVATE, 4096, 0600), ENOSPC); /* shmmni */
	EQ(set("kernel/shm_rmid_forced", "1"), 0);
	FAILS(set("kernel/shm_rmid_forced", "2"), EINVAL);
	p = shmat(a, NULL, 0);
	CHECK(p != (void *)-1);
	EQ(shmdt(p), 0);
	FAILS(shmctl(a, IPC_STAT, &ds), EINVAL); /* gone with its last attachment */
}

/* A namespace that goes while a segment of it is attached. */
static void segment_outlives(void)
{
	int a = shmget(IPC_PRIVATE, 4096, 0600);
	char *p = shmat(a, NULL, 0);

	CHECK(p != (void *)-1);
	EQ(unshare(CLONE_NEWIPC), 0);
	for (int i = 0; i < 3; i++) { /* others take its place in the table */
		int pid = fork(), status;

		if (!pid) {
			p[0]++;
			_exit(unshare(CLONE_NEWIPC) || shmget(IPC_PRIVATE, 4096, 0600) < 0);
		}
		waitpid(pid, &status, 0);
		EQ(status, 0);
	}
	EQ(p[0], 3);
	EQ(shmdt(p), 0);
	CHECK(shmget(IPC_PRIVATE, 4096, 0600) >= 0);
}

static void queues(void)
{
	struct mq_attr a = { .mq_maxmsg = 6, .mq_msgsize = 128 };
	mqd_t q;

	drop(CAP_SYS_RESOURCE);
	EQ(set("fs/mqueue/msg_max", "5"), 0);
	EQ(set("fs/mqueue/queues_max", "1"), 0);
	EQ(set("fs/mqueue/msg_default", "3"), 0);
	FAILS(set("fs/mqueue/msgsize_max", "127"), EINVAL);
	FAILS(mq_open("/a", O_CREAT | O_RDWR, 0600, &a), EINVAL);
	q = mq_open("/a", O_CREAT | O_RDWR, 0600, NULL);
	CHECK(q >= 0);
	EQ(mq_getattr(q, &a), 0);
	EQ(a.mq_maxmsg, 3);
	FAILS(mq_open("/b", O_CREAT | O_RDWR, 0600, NULL), ENOSPC);
	mq_close(q);
	EQ(mq_unlink("/a"), 0);
	CHECK(mq_open("/b", O_CREAT | O_RDWR, 0600, NULL) >= 0);
}

static int bind_to(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int s = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(s, (struct sockaddr *)&a, sizeof(a)) < 0) {
		int err = errno;

		close(s);
		errno = err;
		return -1;
	}
	getsockname(s, (struct sockaddr *)&a, &len);
	return ntohs(a.sin_port);
}

static void ports(void)
{
	EQ(set("net/ipv4/ip_local_port_range", "50000 50003"), 0);
	CHECK(is("net/ipv4/ip_local_port_range", "50000\t50003"));
	FAILS(set("net/ipv4/ip_local_port_range", "50002 50000"), EINVAL);
	FAILS(set("net/ipv4/ip_local_port_range", "1 70000"), EINVAL);
	for (int i = 0; i < 2; i++) {
		int port = bind_to(0);

		CHECK(port >= 50000 && port <= 50003);
	}
	EQ(set("net/core/somaxconn", "7"), 0);
	CHECK(is("net/core/somaxconn", "7"));
	drop(CAP_NET_BIND_SERVICE);
	FAILS(bind_to(80), EACCES);
	EQ(set("net/ipv4/ip_unprivileged_port_start", "80"), 0);
	EQ(bind_to(80), 80);
	FAILS(bind_to(79), EACCES);
}

static void names(void)
{
	struct utsname u;

	EQ(set("kernel/hostname", "one\ntwo"), 0);
	EQ(set("kernel/domainname", "example.org"), 0);
	EQ(uname(&u), 0);
	CHECK(!strcmp(u.nodename, "one"));
	CHECK(is("kernel/hostname", "one"));
	CHECK(is("kernel/domainname", "example.org"));
}

/* In a child with namespaces of its own, so that nothing of the machine changes. */
#define APART(flags, fn) static void fn##_apart(void) { EQ(unshare(flags), 0); fn(); } static void in_child_##fn(void) { in_child(fn##_apart); }
APART(CLONE_NEWIPC, writing)
APART(CLONE_NEWIPC, messages)
APART(CLONE_NEWIPC, semaphores)
APART(CLONE_NEWIPC, segments)
APART(CLONE_NEWIPC, segment_outlives)
APART(CLONE_NEWIPC, queues)
APART(CLONE_NEWNET, ports)
APART(CLONE_NEWUTS, names)

int main(void)
{
	RUN(tree);
	RUN(in_child_writing);
	RUN(in_child_messages);
	RUN(in_child_semaphores);
	RUN(in_child_segments);
	RUN(in_child_segment_outlives);
	RUN(in_child_queues);
	RUN(in_child_ports);
	RUN(in_child_names);
	DONE();
}
