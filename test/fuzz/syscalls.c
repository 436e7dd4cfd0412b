/*
 * A system-call fuzzer, to be run as the first program of a sandbox:
 *   runsc-c do fuzz_syscalls [-s SEED] [-n BATCHES] [-o CALLS] [-t THREADS] [-p PROCESSES] [-c NAME] [-m MS]
 * A batch is some processes with some threads each, in namespaces of their own, that make random calls of the one
 * table with arguments of the kinds it names. After a batch every process is killed and must be gone. Batch i of seed
 * S is batch 0 of seed S + i. Anything that a program may see is right here; what is looked for is a sandbox that
 * panics, hangs or keeps memory.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "args.h"

static const struct call {
	int nr, served;
	const char *name, *args;
} calls[] = {
#define SYS(nr, name, args, ...) { nr, 1, #name, args },
#define REFUSED(nr, name, args, ...) { nr, 0, #name, args },
#include "sentry/sys/table.def"
};
#define CALLS (sizeof(calls) / sizeof(*calls))

static unsigned batches = 100, ops = 1500, threads = 3, processes = 2, batch_ms = 1500;
static uint64_t seed = 1;
static const char *only;

/* ---- one call ---- */

static __thread sigjmp_buf recover;
static __thread volatile sig_atomic_t can_recover;

/* A new task of these ends at once, before it touches a stack that it may share. */
static int makes_task(const char *name)
{
	return !strcmp(name, "clone") || !strcmp(name, "clone3") || !strcmp(name, "fork") || !strcmp(name, "vfork");
}

static long raw_call(long nr, const uint64_t *a, long leave)
{
	register uint64_t r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
	register long r12 __asm__("r12") = leave;
	long ret;

	__asm__ volatile("syscall\n"
			 "	test %%rax, %%rax\n"
			 "	jnz 1f\n"
			 "	test %%r12, %%r12\n"
			 "	jz 1f\n"
			 "	xor %%edi, %%edi\n"
			 "2:	mov $60, %%eax\n"
			 "	syscall\n"
			 "	jmp 2b\n"
			 "1:"
			 : "=a"(ret), "+r"(r10), "+r"(r8), "+r"(r9)
			 : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r12)
			 : "rcx", "r11", "memory");
	return ret;
}

/* In a process of its own: what ends or replaces the caller. */
static int wants_own_process(const char *name)
{
	return !strcmp(name, "exit") || !strcmp(name, "exit_group") || !strncmp(name, "execve", 6) ||
	       !strcmp(name, "rt_sigreturn") || !strcmp(name, "seccomp");
}

static void one_call(struct rng *r)
{
	const struct call *c = &calls[rnd(r) % CALLS];
	uint64_t a[6] = { 0 };

	while (only && strcmp(c->name, only))
		c = &calls[rnd(r) % CALLS];
	if (!c->served && !chance(r, 20))
		return;
	make_args(r, c->name, c->args, a);
	if (wants_own_process(c->name)) {
		pid_t pid = chance(r, 4) ? fork() : -1;

		if (pid)
			return;
		raw_call(c->nr, a, 0);
		_exit(0);
	}
	if (!strcmp(c->name, "fork") && chance(r, 3)) { /* a child that goes on for a little */
		if (!fork()) {
			r->state ^= (uint64_t)getpid() << 32;
			for (int i = 0; i < 40; i++)
				one_call(r);
			_exit(0);
		}
		return;
	}
	if (!strcmp(c->name, "vfork") || !strcmp(c->name, "pause") || !strcmp(c->name, "rt_sigsuspend"))
		if (!chance(r, 10))
			return;
	raw_call(c->nr, a, makes_task(c->name));
}

static void on_signal(int sig)
{
	if ((sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE || sig == SIGSYS || sig == SIGTRAP) && can_recover)
		siglongjmp(recover, 1);
	if (sig == SIGSEGV || sig == SIGBUS || sig == SIGILL)
		_exit(1);
}

static void handle_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

	for (int sig = 1; sig <= 64; sig++)
		sigaction(sig, &sa, NULL);
}

/* What blocks is interrupted before long, in each thread. */
static void keep_ticking(void)
{
	struct itimerspec it = { { 0, 3000000 }, { 0, 3000000 } };
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };
	int id;

	ev._sigev_un._tid = gettid();
	if (!syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id))
		syscall(SYS_timer_settime, id, 0, &it, NULL);
}

static void *thread_main(void *arg)
{
	struct rng r = { (uint64_t)arg };
	stack_t ss = { .ss_size = 65536, .ss_sp = malloc(65536) };

	sigaltstack(&ss, NULL);
	for (volatile unsigned i = 0; i < ops; i++) {
		if (i % 300 == 0) {
			handle_signals();
			open_files(&r);
			keep_ticking();
		}
		if (sigsetjmp(recover, 0) || i % 8 == 0)
			sigprocmask(SIG_SETMASK, &(sigset_t){ 0 }, NULL);
		can_recover = 1;
		one_call(&r);
		can_recover = 0;
	}
	return NULL;
}

/* ---- a batch ---- */

static void run_process(uint64_t s)
{
	struct rng r = { s };
	struct rlimit rl = { 1 << 30, RLIM_INFINITY };
	pthread_t t[16];

	rnd(&r);
	prepare_memory();
	setrlimit(RLIMIT_AS, &rl);
	rl.rlim_cur = 300;
	setrlimit(RLIMIT_NPROC, &rl);
	for (int fd = 0; fd < 3; fd++)
		dup2(open("/dev/null", O_RDWR), fd);
	if (chance(&r, 4) && setresuid(1000, 1000, 1000))
		_exit(2);
	handle_signals();
	for (unsigned i = 1; i < threads; i++)
		pthread_create(&t[i], NULL, thread_main, (void *)(rnd(&r) | 1));
	thread_main((void *)(rnd(&r) | 1));
	_exit(0);
}

static void run_batch(uint64_t s)
{
	setsid(); /* kill(0) is for the batch */
	if (unshare(CLONE_NEWNS) || mount("none", "/tmp", "tmpfs", 0, NULL) || chdir("/tmp")) {
		perror("fuzz_syscalls: a batch of its own");
		_exit(3);
	}
	chmod("/tmp", 0777);
	prepare_files();
	for (unsigned i = 1; i < processes; i++)
		if (!fork())
			run_process(s * 0x9e3779b97f4a7c15ull + i);
	run_process(s * 0x9e3779b97f4a7c15ull);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Wait until no process but this one is left. */
static int reap(int64_t until, int *any)
{
	int left = 1;

	while (left && now_ms() < until) {
		pid_t pid = waitpid(-1, NULL, __WALL | WNOHANG);

		left = pid >= 0;
		if (pid > 0 && any)
			*any = pid;
		if (!pid)
			usleep(2000);
	}
	return !left;
}

static char queues[] = "/tmp/queues"; /* where POSIX message queues are seen; a batch has a /tmp of its own */

/* System V IPC outlives its users. */
static void remove_ipc(void)
{
	for (int i = 0; i < 4096; i++) {
		char buf[256];
		int shm = shmctl(i, SHM_STAT, (void *)buf), msg = msgctl(i, MSG_STAT, (void *)buf), sem = semctl(i, 0, SEM_STAT, buf);

		if (shm >= 0)
			shmctl(shm, IPC_RMID, NULL);
		if (msg >= 0)
			msgctl(msg, IPC_RMID, NULL);
		if (sem >= 0)
			semctl(sem, 0, IPC_RMID);
	}
}

/*
 * So do files that were made outside the batch's own /tmp, by relative names from wherever the batch changed to. The
 * root is an overlay, which numbers what was made in it from 2^44 on; on /dev/shm all is made here.
 */
static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	return at->level ? remove(path) : 0;
}

/* Below a directory: what has a number from first_ino on; of /dev what is no device. */
static void remove_in(const char *dir, unsigned long long first_ino)
{
	struct stat top, st;
	DIR *d = lstat(dir, &top) || !S_ISDIR(top.st_mode) ? NULL : opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[600];

		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || lstat(path, &st) || st.st_dev != top.st_dev ||
		    st.st_ino < first_ino || (!strcmp(dir, "/dev") && (S_ISCHR(st.st_mode) || S_ISLNK(st.st_mode))))
			continue;
		nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
		if (remove(path))
			printf("cannot remove %s: %s\n", path, strerror(errno));
	}
	if (d)
		closedir(d);
}

static void remove_left(void)
{
	static const char *const dirs[] = { "/", "/usr", "/usr/bin", "/usr/lib", "/etc", "/bin" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		remove_in(dirs[i], 1ull << 44);
	remove_in("/dev", 0);
	remove_in("/dev/shm", 0);
	remove_in(queues, 0);
}

static void batch(uint64_t s)
{
	pid_t pid = fork();
	int64_t start = now_ms();

	if (!pid)
		run_batch(s);
	if (pid < 0) {
		printf("FAIL batch of seed %llu: fork: %s\n", (unsigned long long)s, strerror(errno));
		exit(1);
	}
	if (reap(start + batch_ms, NULL))
		return;
	for (int64_t until = now_ms() + 60000; now_ms() < until;) {
		kill(-1, SIGKILL);
		if (reap(now_ms() + 500, NULL))
			return;
	}
	printf("FAIL batch of seed %llu: a killed process does not go away\n", (unsigned long long)s);
	fflush(stdout);
	if (system("for p in /proc/[0-9]*; do cat $p/status; ls $p/task; cat $p/task/*/stat; done"))
		exit(1);
	exit(1);
}

/* What memory there is, and what holds the rest. */
static void show_memory(const char *when)
{
	char line[128], name[32];
	FILE *f = fopen("/proc/meminfo", "r");
	long kb;

	printf("%s:", when);
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%31[^:]: %ld", name, &kb) == 2 && (!strcmp(name, "MemFree") || !strcmp(name, "Cached") ||
		    !strcmp(name, "AnonPages") || !strcmp(name, "Shmem") || !strcmp(name, "Slab") || !strcmp(name, "PageTables")))
			printf(" %s %ld", name, kb);
	if (f)
		fclose(f);
	printf("\n");
	fflush(stdout);
}

/* Which kinds of kernel objects have become more since the first look: what is kept for ever shows here. */
static void census(const char *when)
{
	static struct {
		char name[32];
		unsigned active;
	} first[64];
	static unsigned kinds;
	char line[256], name[32];
	FILE *f, *drop;
	unsigned active, size;

	if (kinds)
		printf("%s, objects more:", when);
	drop = fopen("/proc/sys/vm/drop_caches", "w"); /* what is only kept for later */
	if (drop) {
		fputs("2\n", drop);
		fclose(drop);
	}
	f = fopen("/proc/slabinfo", "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%31s %u %*u %u", name, &active, &size) != 3)
			continue;
		for (unsigned i = 0; i < 64; i++) {
			if (!first[i].name[0] && i == kinds) {
				strcpy(first[i].name, name);
				first[i].active = active;
				kinds++;
			}
			if (strcmp(first[i].name, name))
				continue;
			if (active > first[i].active)
				printf(" %s +%u", name, active - first[i].active);
			break;
		}
	}
	if (f)
		fclose(f);
	printf("\n");
	fflush(stdout);
}

static void options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "s:n:o:t:p:c:m:")) != -1) {
		unsigned long v = optarg ? strtoul(optarg, NULL, 0) : 0;

		switch (c) {
		case 's': seed = v; break;
		case 'n': batches = (unsigned)v; break;
		case 'o': ops = (unsigned)v; break;
		case 't': threads = v < 16 ? (unsigned)v : 16; break;
		case 'p': processes = (unsigned)v; break;
		case 'm': batch_ms = (unsigned)v; break;
		case 'c': only = optarg; break;
		default: exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	options(argc, argv);
	if (getpid() != 1) {
		fprintf(stderr, "fuzz_syscalls: it would harm this system: run it as the first program of a sandbox\n");
		return 2;
	}
	if (mkdir(queues, 0755) || mount("none", queues, "mqueue", 0, NULL))
		perror("fuzz_syscalls: message queues");
	for (unsigned i = 0; i < batches; i++) {
		char when[64];

		snprintf(when, sizeof(when), "before seed %llu", (unsigned long long)(seed + i));
		if (i % 20 == 0) {
			show_memory(when);
			if (i)
				census(when);
		}
		if (i == 1)
			census(when); /* what a first time sets up stays */
		batch(seed + i);
		remove_ipc();
		remove_left();
	}
	show_memory("after");
	census("after");
	printf("ok %u batches from seed %llu\n", batches, (unsigned long long)seed);
	return 0;
}
