/*
 * Microbenchmarks: micro NAME COUNT runs one operation COUNT times and prints nanoseconds per operation; micro alone lists
 * the names. The same static binary runs natively and in any sandbox.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *self;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void null_call(long n)
{
	while (n--)
		syscall(SYS_getppid);
}

static void unknown_call(long n)
{
	while (n--)
		syscall(449 + 100);
}

static void clock_call(long n)
{
	struct timespec t;

	while (n--)
		syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
}

static void read_zero(long n)
{
	int fd = open("/dev/zero", O_RDONLY);
	char c;

	while (n--)
		if (read(fd, &c, 1) != 1)
			die("read");
	close(fd);
}

static void pipe_rw(long n)
{
	int p[2];
	char c = 0;

	if (pipe(p))
		die("pipe");
	while (n--)
		if (write(p[1], &c, 1) != 1 || read(p[0], &c, 1) != 1)
			die("pipe rw");
	close(p[0]);
	close(p[1]);
}

static void ping_pong(int a_in, int a_out, int b_in, int b_out, long n)
{
	pid_t child = fork();
	char c = 0;

	if (child < 0)
		die("fork");
	if (!child) {
		while (n--)
			if (read(b_in, &c, 1) != 1 || write(b_out, &c, 1) != 1)
				_exit(1);
		_exit(0);
	}
	while (n--)
		if (write(a_out, &c, 1) != 1 || read(a_in, &c, 1) != 1)
			die("ping-pong");
	waitpid(child, NULL, 0);
}

static void pipe_pp(long n)
{
	int p[2], q[2];

	if (pipe(p) || pipe(q))
		die("pipe");
	ping_pong(q[0], p[1], p[0], q[1], n);
}

static void unix_pp(long n)
{
	int s[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s))
		die("socketpair");
	ping_pong(s[0], s[0], s[1], s[1], n);
}

static _Atomic uint32_t turn;

static void futex_wait_for(uint32_t want)
{
	uint32_t v;

	while ((v = turn) != want)
		syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, v, NULL, NULL, 0);
}

static void *futex_peer(void *arg)
{
	for (long n = (long)arg; n--;) {
		futex_wait_for(1);
		turn = 0;
		syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
	return NULL;
}

static void futex_pp(long n)
{
	pthread_t t;

	pthread_create(&t, NULL, futex_peer, (void *)n);
	for (long i = n; i--;) {
		turn = 1;
		syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		futex_wait_for(0);
	}
	pthread_join(t, NULL);
}

static void futex_wake(long n)
{
	uint32_t word = 0;

	while (n--) {
		syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
	}
}

static void fork_wait(long n)
{
	while (n--) {
		pid_t child = fork();

		if (!child)
			_exit(0);
		if (child < 0 || waitpid(child, NULL, 0) != child)
			die("fork");
	}
}

static void fork_exec(long n)
{
	while (n--) {
		pid_t child = fork();

		if (!child) {
			execl(self, self, "null", "0", (char *)NULL);
			_exit(127);
		}
		if (child < 0 || waitpid(child, NULL, 0) != child)
			die("fork");
	}
}

static void *nothing(void *arg) { return arg; }

static void thread(long n)
{
	pthread_t t;

	while (n--) {
		if (pthread_create(&t, NULL, nothing, NULL))
			die("pthread_create");
		pthread_join(t, NULL);
	}
}

static void map_touch(long n)
{
	while (n--) {
		char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			die("mmap");
		*p = 1;
		munmap(p, 4096);
	}
}

static void touch(long n)
{
	char *p = mmap(NULL, (size_t)n * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	for (long i = 0; i < n; i++)
		p[i * 4096] = 1;
	munmap(p, (size_t)n * 4096);
}

static void protect(long n)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (*p = 1; n--;) {
		mprotect(p, 4096, PROT_READ);
		mprotect(p, 4096, PROT_READ | PROT_WRITE);
		*p = 2;
	}
}

static void open_close(long n)
{
	while (n--) {
		int fd = open("/etc/passwd", O_RDONLY);

		if (fd < 0)
			die("open");
		close(fd);
	}
}

static void do_stat(long n)
{
	struct stat st;

	while (n--)
		if (stat("/etc/passwd", &st))
			die("stat");
}

static void read64k(long n)
{
	static char buf[65536];
	char name[] = "/tmp/bench.XXXXXX";
	int fd = mkstemp(name);

	if (fd < 0)
		die("mkstemp");
	unlink(name);
	for (int i = 0; i < 16; i++)
		if (write(fd, buf, sizeof(buf)) != sizeof(buf))
			die("write");
	while (n--)
		if (pread(fd, buf, sizeof(buf), (n & 15) * 65536) != sizeof(buf))
			die("pread");
	close(fd);
}

static volatile sig_atomic_t got;
static void on_signal(int sig) { got++; }

static void signal_self(long n)
{
	pid_t pid = getpid();

	signal(SIGUSR1, on_signal);
	while (n--)
		kill(pid, SIGUSR1);
}

static const struct {
	const char *name;
	void (*fn)(long n);
} benches[] = {
	{ "null", null_call }, { "unknown", unknown_call }, { "clock", clock_call }, { "zero", read_zero }, { "pipe", pipe_rw },
	{ "pipe-pp", pipe_pp }, { "unix-pp", unix_pp }, { "futex-pp", futex_pp }, { "futex", futex_wake }, { "fork", fork_wait },
	{ "fork-exec", fork_exec }, { "thread", thread }, { "map-touch", map_touch }, { "touch", touch }, { "mprotect", protect },
	{ "open", open_close }, { "stat", do_stat }, { "read64k", read64k }, { "signal", signal_self },
};

int main(int argc, char **argv)
{
	long n = argc > 2 ? atol(argv[2]) : 1000;

	self = argv[0];
	for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
		uint64_t start;

		if (argc < 2) {
			puts(benches[i].name);
			continue;
		}
		if (strcmp(argv[1], benches[i].name))
			continue;
		start = now();
		benches[i].fn(n);
		if (n)
			printf("%.1f\n", (double)(now() - start) / (double)n);
		return 0;
	}
	return argc > 1;
}
