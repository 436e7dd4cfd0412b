/*
 * One processor acts on another: a thread takes pages or rights away while another uses them, and what is gone when the call
 * returns is gone for everybody; signals and the ends of sleeps reach threads that never call.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "check.h"

#define P 4096l
#define ROUNDS 150

static char *page;	     /* PAGES of it */
#define PAGES 3
static _Atomic long floor_;  /* no smaller value may be seen any more */
static _Atomic long touches, faults, stale;
static _Atomic int stop;
static _Thread_local sigjmp_buf on_fault;

static void fault(int sig)
{
	siglongjmp(on_fault, sig);
}

static void catch_faults(void)
{
	struct sigaction sa = { .sa_handler = fault, .sa_flags = SA_NODEFER };

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

static void nap(void)
{
	struct timespec ts = { .tv_nsec = 200000 };

	nanosleep(&ts, NULL);
}

/* Until the other thread has used the page, or failed to, some times more. */
static void wait_for_use(void)
{
	long from = touches + faults;

	while (touches + faults < from + 2 && !stop)
		nap();
}

static void *reader(void *arg)
{
	while (!stop) {
		if (sigsetjmp(on_fault, 1)) {
			faults++;
			continue;
		}
		for (long i = 0; i < PAGES; i++) {
			long least = floor_, v = *(_Atomic long *)(page + i * P);

			stale += v && v < least;
		}
		touches++;
	}
	return arg;
}

static void *writer(void *arg)
{
	while (!stop) {
		if (sigsetjmp(on_fault, 1)) {
			faults++;
			nap();
			continue;
		}
		for (long i = 0; i < PAGES; i++)
			(*(_Atomic long *)(page + i * P))++;
		touches++;
	}
	return arg;
}

static void with(void *(*other)(void *), void (*fn)(void))
{
	pthread_t t;

	page = mmap(NULL, PAGES * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stop = 0;
	touches = faults = stale = floor_ = 0;
	catch_faults();
	EQ(pthread_create(&t, NULL, other, NULL), 0);
	wait_for_use();
	fn();
	stop = 1;
	EQ(pthread_join(t, NULL), 0);
	CHECK(touches > 0);
	munmap(page, PAGES * P);
}

static void replace_pages(void)
{
	for (long g = 1; g <= ROUNDS; g++) {
		for (long i = 0; i < PAGES; i++)
			*(_Atomic long *)(page + i * P) = g;
		if (g % 16 == 0)
			wait_for_use();
		EQ(munmap(page, PAGES * P), 0);
		CHECK(mmap(page, PAGES * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page);
		floor_ = g + 1;
	}
}

static void unmapped_pages_are_gone(void)
{
	with(reader, replace_pages);
	EQ(stale, 0);
}

static void drop_pages(void)
{
	for (long g = 1; g <= ROUNDS; g++) {
		for (long i = 0; i < PAGES; i++)
			*(_Atomic long *)(page + i * P) = g;
		if (g % 16 == 0)
			wait_for_use();
		EQ(madvise(page, PAGES * P, MADV_DONTNEED), 0);
		floor_ = g + 1;
	}
}

static void dropped_pages_are_gone(void)
{
	with(reader, drop_pages);
	EQ(stale, 0);
}

static void move_pages(void)
{
	char *old = page, *to = mmap(NULL, PAGES * P, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (long g = 1; g <= ROUNDS; g++) {
		for (long i = 0; i < PAGES; i++)
			*(_Atomic long *)(page + i * P) = g;
		if (g % 16 == 0)
			wait_for_use();
		CHECK(mremap(old, PAGES * P, PAGES * P, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
		CHECK(mmap(old, PAGES * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == old);
		floor_ = g + 1;
	}
	munmap(to, PAGES * P);
}

static void moved_pages_are_gone(void)
{
	with(reader, move_pages);
	EQ(stale, 0);
}

static void take_the_right_to_write(void)
{
	for (long g = 1; g <= ROUNDS / 3; g++) {
		long seen[PAGES];

		EQ(mprotect(page, PAGES * P, PROT_READ), 0);
		for (long i = 0; i < PAGES; i++)
			seen[i] = *(_Atomic long *)(page + i * P);
		nap();
		for (long i = 0; i < PAGES; i++)
			EQ(*(_Atomic long *)(page + i * P), seen[i]);
		EQ(mprotect(page, PAGES * P, PROT_READ | PROT_WRITE), 0);
		if (g % 8 == 0)
			wait_for_use();
	}
}

static void no_writes_after_mprotect(void)
{
	with(writer, take_the_right_to_write);
	CHECK(faults > 0);
}

/* What the child has is what was there at the fork, whatever the parent's other thread writes meanwhile. */
static void fork_beside_the_writer(void)
{
	for (int g = 0; g < ROUNDS / 5; g++) {
		int status = 0;
		pid_t child = fork();

		if (!child) {
			long seen[PAGES];

			for (long i = 0; i < PAGES; i++)
				seen[i] = *(_Atomic long *)(page + i * P);
			nap();
			for (long i = 0; i < PAGES; i++)
				if (*(_Atomic long *)(page + i * P) != seen[i])
					_exit(1);
			_exit(0);
		}
		EQ(waitpid(child, &status, 0), child);
		EQ(status, 0);
	}
}

static void no_writes_into_the_child(void)
{
	with(writer, fork_beside_the_writer);
	EQ(faults, 0);
}

static _Atomic long heard;
static _Atomic int hearer;

static void hear(int sig)
{
	heard++;
}

/* Never in a system call after its start: only an interrupt brings it a signal. */
static void *busy(void *arg)
{
	hearer = (int)syscall(SYS_gettid);
	while (!stop)
		touches++;
	return arg;
}

/* One at a time: a kick that gets lost is not made good by the next. */
static void a_busy_thread_hears_every_signal(void)
{
	struct sigaction sa = { .sa_handler = hear };
	struct timespec start, now;
	long waited = 0;
	pthread_t t;

	sigaction(SIGUSR1, &sa, NULL);
	stop = 0;
	EQ(pthread_create(&t, NULL, busy, NULL), 0);
	while (!hearer)
		nap();
	for (long n = 1; n <= 2 * ROUNDS && waited < 10; n++) {
		EQ(syscall(SYS_tgkill, getpid(), hearer, SIGUSR1), 0);
		clock_gettime(CLOCK_MONOTONIC, &start);
		do {
			sched_yield();
			clock_gettime(CLOCK_MONOTONIC, &now);
			waited = now.tv_sec - start.tv_sec;
		} while (heard < n && waited < 10);
	}
	EQ(heard, 2 * ROUNDS);
	stop = 1;
	EQ(pthread_join(t, NULL), 0);
}

/* It sleeps while the other is busy: the end of its sleep has to interrupt, when they share a processor. */
static void a_sleeper_wakes_beside_a_busy_thread(void)
{
	struct timespec start, now;
	cpu_set_t one, before;
	pthread_t t;

	sched_getaffinity(0, sizeof(before), &before);
	CPU_ZERO(&one);
	for (int cpu = 0; !CPU_COUNT(&one); cpu++)
		if (CPU_ISSET(cpu, &before))
			CPU_SET(cpu, &one);
	EQ(sched_setaffinity(0, sizeof(one), &one), 0);
	stop = 0;
	hearer = 0;
	EQ(pthread_create(&t, NULL, busy, NULL), 0);
	while (!hearer)
		nap();
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < 20; i++)
		nap();
	clock_gettime(CLOCK_MONOTONIC, &now);
	CHECK(now.tv_sec - start.tv_sec < 10);
	stop = 1;
	EQ(pthread_join(t, NULL), 0);
	sched_setaffinity(0, sizeof(before), &before);
}

int main(void)
{
	RUN(unmapped_pages_are_gone);
	RUN(dropped_pages_are_gone);
	RUN(moved_pages_are_gone);
	RUN(no_writes_after_mprotect);
	RUN(no_writes_into_the_child);
	RUN(a_busy_thread_hears_every_signal);
	RUN(a_sleeper_wakes_beside_a_busy_thread);
	DONE();
}
