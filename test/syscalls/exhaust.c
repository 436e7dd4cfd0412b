/* Running out: of processes, threads, descriptors, memory, names, links and vectors. Refused in time, and all well afterwards. */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define NOBODY 61234 /* a user with no other process */

static void limit(int which, rlim_t value)
{
	struct rlimit rl = { value, value };

	EQ(setrlimit(which, &rl), 0);
}

/* In a child: limits and identities end with it. */
static void in_bounded_child(void (*fn)(void))
{
	int st;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		check_failures = 0;
		alarm(50);
		fn();
		fflush(stdout);
		_exit(check_failures != 0);
	}
	EQ(waitpid(pid, &st, 0), pid);
	EQ(st, 0);
}

static void fork_until_refused(void)
{
	int n = 0, st;
	pid_t pid;

	limit(RLIMIT_NPROC, 40);
	if (!geteuid())
		EQ(setresuid(NOBODY, NOBODY, NOBODY), 0);
	while (n < 100 && (pid = fork()) >= 0) {
		if (!pid)
			for (;;)
				pause();
		n++;
	}
	CHECK(n < 40 && errno == EAGAIN);
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM); /* the children ignore nothing */
	while (n-- > 0)
		wait(&st);
	pid = fork();
	if (!pid)
		_exit(0);
	EQ(waitpid(pid, &st, 0), pid);
}

static void fork_bomb(void)
{
	setpgid(0, 0);
	fork_until_refused();
}

static void *sleep_on(void *arg)
{
	pause();
	return NULL;
}

static void thread_bomb(void)
{
	pthread_attr_t attr;
	pthread_t t;
	int n = 0, err = 0;

	limit(RLIMIT_NPROC, 40);
	if (!geteuid())
		EQ(setresuid(NOBODY, NOBODY, NOBODY), 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	while (n < 100 && !(err = pthread_create(&t, &attr, sleep_on, NULL)))
		n++;
	CHECK(n < 40);
	EQ(err, EAGAIN);
}

static void descriptors(void)
{
	int p[2], fds[64], n = 0;

	limit(RLIMIT_NOFILE, 32);
	while (n < 64 && (fds[n] = open("/dev/null", O_RDONLY)) >= 0)
		n++;
	CHECK(n < 32 && errno == EMFILE);
	FAILS(pipe(p), EMFILE);
	FAILS(socket(AF_UNIX, SOCK_STREAM, 0), EMFILE);
	FAILS(socketpair(AF_UNIX, SOCK_STREAM, 0, p), EMFILE);
	FAILS(dup(0), EMFILE);
	FAILS(fcntl(0, F_DUPFD, 0), EMFILE);
	FAILS(fcntl(0, F_DUPFD, 32), EINVAL);
	FAILS(dup2(0, 32), EBADF);
	FAILS(epoll_create1(0), EMFILE);
	FAILS(eventfd(0, 0), EMFILE);
	FAILS(timerfd_create(CLOCK_MONOTONIC, 0), EMFILE);
	FAILS(memfd_create("x", 0), EMFILE);
	FAILS(open("/tmp/exhaust-not-made", O_CREAT | O_EXCL | O_RDWR, 0600), EMFILE);
	FAILS(access("/tmp/exhaust-not-made", F_OK), ENOENT);
	close(fds[--n]);
	FAILS(pipe(p), EMFILE); /* one is not enough, and is not lost */
	EQ(open("/dev/null", O_RDONLY), fds[n]);
}

static void address_space(void)
{
	char *p;
	int n = 0;

	limit(RLIMIT_AS, 64 << 20);
	while (n < 100 && (p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED)
		p[0] = 1, n++;
	CHECK(n < 64 && errno == ENOMEM);
	FAILS((long)sbrk(2 << 20), ENOMEM);
	CHECK(malloc(64 << 20) == NULL);
}

static void wide_mappings(void)
{
	static const struct { unsigned long addr, len; int err; } list[] = {
		{ 0, ~0ul, ENOMEM }, { 0, 1ul << 47, ENOMEM }, { 0, 1ul << 63, ENOMEM }, { 0, 0, EINVAL },
		{ 0x7ffffffff000, 4096, ENOMEM }, { 0xffff800000000000, 4096, ENOMEM }, { 0x7fffffffe000, 8192, ENOMEM },
		{ ~0xffful, 4096, ENOMEM },
	};

	for (unsigned i = 0; i < sizeof(list) / sizeof(*list); i++) {
		FAILS((long)mmap((void *)list[i].addr, list[i].len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | (list[i].addr ? MAP_FIXED : 0), -1, 0), list[i].err);
		CHECK(munmap((void *)list[i].addr, list[i].len) == -1 && errno == EINVAL);
		if (!list[i].addr)
			continue; /* what lies in between would be changed before the gap is noticed */
		CHECK(mprotect((void *)list[i].addr, list[i].len, PROT_READ) == -1);
		CHECK(madvise((void *)list[i].addr, list[i].len, MADV_DONTNEED) == -1);
		CHECK(mlock((void *)list[i].addr, list[i].len) == -1);
		CHECK(msync((void *)list[i].addr, list[i].len, MS_SYNC) == -1);
	}
}

static volatile int forever = 1;
static void recurse(volatile char *up)
{
	volatile char here[4096];

	here[0] = up ? up[0] : 1;
	if (forever)
		recurse(here);
	here[1] = 1;
}

static void deep_stack(void)
{
	int st;
	pid_t pid = fork();

	if (!pid) {
		limit(RLIMIT_CORE, 0);
		recurse(NULL);
	}
	EQ(waitpid(pid, &st, 0), pid);
	CHECK(WIFSIGNALED(st) && WTERMSIG(st) == SIGSEGV);
}

#define DEPTH 600
static void deep_directories(void)
{
	char dir[] = "/tmp/exhaust-XXXXXX", cwd[PATH_MAX], name[] = "a-name-of-some-length";
	int i;

	CHECK(mkdtemp(dir) != NULL);
	EQ(chdir(dir), 0);
	for (i = 0; i < DEPTH; i++)
		if (mkdir(name, 0700) || chdir(name))
			break;
	EQ(i, DEPTH);
	FAILS(syscall(SYS_getcwd, cwd, sizeof(cwd)), ENAMETOOLONG);
	for (i = 0; i < DEPTH; i++)
		if (chdir("..") || rmdir(name))
			break;
	EQ(i, DEPTH);
	EQ(chdir("/"), 0);
	EQ(rmdir(dir), 0);
}

static void link_chain(void)
{
	char dir[] = "/tmp/exhaust-XXXXXX", name[32], target[32];

	CHECK(mkdtemp(dir) != NULL);
	EQ(chdir(dir), 0);
	close(open("l0", O_CREAT | O_WRONLY, 0600));
	for (int i = 1; i <= 41; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		snprintf(target, sizeof(target), "l%d", i - 1);
		EQ(symlink(target, name), 0);
	}
	EQ(access("l40", F_OK), 0);
	FAILS(access("l41", F_OK), ELOOP);
	EQ(symlink("self", "self"), 0);
	FAILS(open("self", O_RDONLY), ELOOP);
	for (int i = 0; i <= 41; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		unlink(name);
	}
	unlink("self");
	EQ(chdir("/"), 0);
	EQ(rmdir(dir), 0);
}

static void vectors(void)
{
	static struct iovec v[IOV_MAX + 1];
	int p[2];

	EQ(pipe(p), 0);
	for (int i = 0; i <= IOV_MAX; i++)
		v[i] = (struct iovec){ "x", 1 };
	FAILS(syscall(SYS_writev, p[1], v, IOV_MAX + 1), EINVAL);
	FAILS(syscall(SYS_writev, p[1], v, -1), EINVAL);
	EQ(writev(p[1], v, IOV_MAX), IOV_MAX);
	v[0].iov_len = ~0ul;
	FAILS(writev(p[1], v, 2), EINVAL);
	v[0] = (struct iovec){ (void *)8, 1ul << 62 };
	FAILS(writev(p[1], v, 1), EFAULT);
	v[0] = (struct iovec){ (void *)0xffff800000000000, 16 };
	FAILS(writev(p[1], v, 1), EFAULT);
	FAILS(readv(p[0], (void *)8, 1), EFAULT);
	close(p[0]);
	close(p[1]);
}

static void fork_bomb_test(void) { in_bounded_child(fork_bomb); }
static void thread_bomb_test(void) { in_bounded_child(thread_bomb); }
static void descriptors_test(void) { in_bounded_child(descriptors); }
static void address_space_test(void) { in_bounded_child(address_space); }

int main(void)
{
	RUN(fork_bomb_test);
	RUN(thread_bomb_test);
	RUN(descriptors_test);
	RUN(address_space_test);
	RUN(wide_mappings);
	RUN(deep_stack);
	RUN(deep_directories);
	RUN(link_chain);
	RUN(vectors);
	DONE();
}
