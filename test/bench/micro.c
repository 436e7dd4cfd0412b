/*
 * Microbenchmarks: micro NAME COUNT runs one operation COUNT times and prints nanoseconds per operation; micro alone lists
 * the names. The same static binary runs natively and in any sandbox.
 *
 * micro --steps NAME COUNT ROUNDS... is for test/bench/icount: it takes the time-stamp counter for clock, and before and after each
 * operation's rounds it says a line and waits for one, so that exits can be counted from outside meanwhile. The line after is
 * the least round's ticks per operation.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *self;
static int by_ticks;
static uint64_t left_out, paused_at; /* preparations that are not the operation's */

static uint64_t now(void)
{
	struct timespec t;

	if (by_ticks)
		return __builtin_ia32_rdtsc();
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void pause_clock(void) { paused_at = now(); }
static void resume_clock(void) { left_out += now() - paused_at; }

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void empty_loop(long n)
{
	while (n--)
		__asm__ volatile("");
}

static void null_call(long n)
{
	while (n--)
		syscall(SYS_getpid);
}

static void unknown_call(long n)
{
	while (n--)
		syscall(449 + 100);
}

static void clock_vdso(long n)
{
	struct timespec t;

	while (n--)
		clock_gettime(CLOCK_MONOTONIC, &t);
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

/* The first round trip finds both sides started and their pages present: it is not counted. */
static void ping_pong(int a_in, int a_out, int b_in, int b_out, long n)
{
	pid_t child;
	char c = 0;

	pause_clock();
	child = fork();
	if (child < 0)
		die("fork");
	if (!child) {
		for (n++; n--;)
			if (read(b_in, &c, 1) != 1 || write(b_out, &c, 1) != 1)
				_exit(1);
		_exit(0);
	}
	for (long i = 0; i <= n; i++) {
		if (i == 1)
			resume_clock();
		if (write(a_out, &c, 1) != 1 || read(a_in, &c, 1) != 1)
			die("ping-pong");
	}
	pause_clock();
	waitpid(child, NULL, 0);
	close(a_in);
	if (a_out != a_in)
		close(a_out);
	close(b_in);
	if (b_out != b_in)
		close(b_out);
	resume_clock();
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

static void tcp_pp(long n)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int l, a, b;

	pause_clock();
	l = socket(AF_INET, SOCK_STREAM, 0);
	a = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(l, (struct sockaddr *)&addr, len) || listen(l, 1) || getsockname(l, (struct sockaddr *)&addr, &len) ||
	    connect(a, (struct sockaddr *)&addr, len) || (b = accept(l, NULL, NULL)) < 0)
		die("TCP");
	resume_clock();
	ping_pong(a, a, b, b, n);
	close(l);
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

static void vfork_exec(long n)
{
	while (n--) {
		pid_t child = vfork();

		if (!child) {
			execl(self, self, "null", "0", (char *)NULL);
			_exit(127);
		}
		if (child < 0 || waitpid(child, NULL, 0) != child)
			die("vfork");
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

static void map(long n)
{
	while (n--) {
		void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			die("mmap");
		munmap(p, 4096);
	}
}

static char *pages(long n, int fd)
{
	int flags = MAP_PRIVATE | (fd < 0 ? MAP_ANONYMOUS : 0);
	char *p;

	pause_clock();
	p = mmap(NULL, (size_t)n * 4096, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (p == MAP_FAILED)
		die("mmap");
	madvise(p, (size_t)n * 4096, MADV_NOHUGEPAGE);
	resume_clock();
	return p;
}

static void no_pages(char *p, long n)
{
	pause_clock();
	munmap(p, (size_t)n * 4096);
	resume_clock();
}

static void touch(long n)
{
	char *p = pages(n, -1);

	for (long i = 0; i < n; i++)
		p[i * 4096] = 1;
	no_pages(p, n);
}

/* Written in the child, and the parent has them still. */
static void copy_on_write(long n)
{
	char *p = pages(n, -1);
	uint64_t *spent;
	pid_t child;

	pause_clock();
	spent = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(p, 1, (size_t)n * 4096);
	*spent = 0;
	child = fork();
	if (!child) {
		uint64_t start = now();

		for (long i = 0; i < n; i++)
			p[i * 4096] = 2;
		*spent = now() - start;
		_exit(0);
	}
	if (child < 0 || waitpid(child, NULL, 0) != child)
		die("fork");
	resume_clock();
	left_out -= *spent;
	munmap(spent, 4096);
	no_pages(p, n);
}

static int cached_file(void)
{
	static char buf[65536];
	char name[] = "/tmp/bench.XXXXXX";
	int fd = mkstemp(name);

	if (fd < 0)
		die("mkstemp");
	unlink(name);
	for (int i = 0; i < 64; i++)
		if (write(fd, buf, sizeof(buf)) != sizeof(buf))
			die("write");
	return fd;
}

/* One touch in 16 pages: what is mapped around it is another fault spared. */
static void fault_file(long n)
{
	volatile char sink;
	int fd;

	pause_clock();
	fd = cached_file();
	resume_clock();
	while (n > 0) {
		char *p = pages(1024, fd);

		for (long i = 0; i < 64 && n > 0; i++, n--)
			sink = p[i * 65536];
		no_pages(p, 1024);
	}
	(void)sink;
	close(fd);
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

/* $BENCH_FILE where /etc/passwd is on a slow file system. */
static const char *plain_file(void)
{
	const char *name = getenv("BENCH_FILE");

	return name ? name : "/etc/passwd";
}

static void open_close(long n)
{
	const char *name = plain_file();

	while (n--) {
		int fd = open(name, O_RDONLY);

		if (fd < 0)
			die("open");
		close(fd);
	}
}

static void do_stat(long n)
{
	const char *name = plain_file();
	struct stat st;

	while (n--)
		if (stat(name, &st))
			die("stat");
}

static void read64k(long n)
{
	static char buf[65536];
	int fd;

	pause_clock();
	fd = cached_file();
	resume_clock();
	while (n--)
		if (pread(fd, buf, sizeof(buf), (n & 15) * 65536) != sizeof(buf))
			die("pread");
	close(fd);
}

/* How much longer than asked for. */
static void oversleep(long n)
{
	struct timespec ms = { .tv_nsec = 1000000 };

	prctl(PR_SET_TIMERSLACK, 1);
	while (n--) {
		nanosleep(&ms, NULL);
		left_out += 1000000;
	}
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
	{ "empty", empty_loop }, { "null", null_call }, { "unknown", unknown_call }, { "vdso", clock_vdso }, { "clock", clock_call }, { "zero", read_zero }, { "pipe", pipe_rw },
	{ "pipe-pp", pipe_pp }, { "unix-pp", unix_pp }, { "tcp-pp", tcp_pp }, { "futex-pp", futex_pp }, { "futex", futex_wake }, { "fork", fork_wait },
	{ "fork-exec", fork_exec }, { "vfork-exec", vfork_exec }, { "thread", thread }, { "map", map }, { "map-touch", map_touch }, { "touch", touch }, { "cow", copy_on_write }, { "file", fault_file }, { "mprotect", protect },
	{ "open", open_close }, { "stat", do_stat }, { "read64k", read64k }, { "signal", signal_self }, { "sleep", oversleep },
};

static double run(void (*fn)(long n), long n)
{
	uint64_t start;

	left_out = 0;
	start = now();
	fn(n);
	return (double)(now() - start - left_out) / (double)n;
}

static void (*find(const char *name))(long n)
{
	for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++)
		if (!strcmp(name, benches[i].name))
			return benches[i].fn;
	fprintf(stderr, "micro: no operation %s\n", name);
	exit(1);
}

static void say_and_wait(double value)
{
	char c;

	printf("%.1f\n", value);
	fflush(stdout);
	if (read(0, &c, 1) != 1)
		exit(1);
}

static int steps(char **args)
{
	by_ticks = 1;
	for (; args[0] && args[1] && args[2]; args += 3) {
		void (*fn)(long n) = find(args[0]);
		long n = atol(args[1]);
		double least = run(fn, n); /* once for caches, page tables and whatever grows */

		say_and_wait(0);
		for (long round = atol(args[2]); round--;) {
			double each = run(fn, n);

			if (each < least)
				least = each;
		}
		say_and_wait(least);
	}
	return 0;
}

int main(int argc, char **argv)
{
	self = argv[0];
	if (argc > 1 && !strcmp(argv[1], "--steps"))
		return steps(argv + 2);
	if (argc > 1) {
		long n = argc > 2 ? atol(argv[2]) : 1000;
		void (*fn)(long n) = find(argv[1]);

		if (n)
			printf("%.1f\n", run(fn, n));
		return 0;
	}
	for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++)
		puts(benches[i].name);
	return 0;
}
