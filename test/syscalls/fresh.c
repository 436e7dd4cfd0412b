/*
 * New memory is zero and private memory stays one's own, while processes and threads come and go on all CPUs: what stale
 * translations break first. Each process lays its memory out differently, so that page tables are reused for other places.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define PAGE 4096ul
#define AREA 0x20000000000ul /* nobody else's addresses */
#define AREA_SIZE (4ul << 30)
#define SLOT (2ul << 20) /* what one last-level table maps */
#define SLOTS 8		 /* in each GiB of the area */
#define TOUCHES 12
#define WORKERS 3
#define ROUNDS 8

static char bss[64 * PAGE];
static char *self;

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static bool reserve_area(void)
{
	return mmap((void *)AREA, AREA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
		    -1, 0) == (void *)AREA &&
	       !madvise((void *)AREA, AREA_SIZE, MADV_RANDOM);
}

/* Touch slots of the area in an order of one's own: each reads zero at first, and then what was written. 0: all is well. */
static int touch_area(uint32_t seed, uint64_t mark)
{
	uint64_t *at[TOUCHES];
	uint64_t seen = 0; /* slots, a bit each */
	int bad = 0;

	for (int i = 0; i < TOUCHES; i++) {
		uint32_t slot = next_random(&seed) % (4 * SLOTS);

		at[i] = (uint64_t *)(AREA + (slot % 4ul << 30) + slot / 4 * SLOT);
		bad |= __atomic_fetch_or(at[i], mark, __ATOMIC_SEQ_CST) != (seen >> slot & 1 ? mark : 0);
		seen |= 1ull << slot;
	}
	for (int i = 0; i < TOUCHES; i++)
		bad |= *(volatile uint64_t *)at[i] != mark;
	return bad;
}

/* `work` in several processes at once, each with its own number. */
static void in_workers(int (*work)(int))
{
	for (int w = 0; w < WORKERS; w++)
		if (!fork()) {
			alarm(50);
			_exit(work(w));
		}
	for (int w = 0; w < WORKERS; w++) {
		int status = -1;

		wait(&status);
		EQ(status, 0);
	}
}

static int wait_ok(pid_t pid)
{
	int status = -1;

	return pid > 0 && waitpid(pid, &status, 0) == pid && !status ? 0 : 1;
}

static int round_nr;

static int touch_once(int w)
{
	uint32_t seed = (uint32_t)(round_nr * WORKERS + w + 1);

	return touch_area(seed * 64, seed | 1ull << 63);
}

static void first_touch_of_forked_processes_finds_zeros(void)
{
	for (round_nr = 0; round_nr < ROUNDS; round_nr++)
		in_workers(touch_once);
}

/* The other half of the next test: a new program. */
static int fresh_program(uint32_t seed)
{
	for (unsigned i = 0; i < sizeof(bss); i += 64)
		if (bss[i])
			return 2;
	memset(bss, 0x5a, sizeof(bss));
	char *heap = sbrk(16 * PAGE);

	for (unsigned i = 0; i < 16 * PAGE; i += 64)
		if (heap[i])
			return 3;
	memset(heap, 0x5b, 16 * PAGE);
	return !reserve_area() || touch_area(seed, seed | 1ull << 62) ? 4 : 0;
}

static int exec_rounds(int w)
{
	int bad = 0;

	for (int i = 0; i < ROUNDS / 2; i++) {
		pid_t pid = fork();

		if (!pid) {
			char seed[16];

			snprintf(seed, sizeof(seed), "%d", w << 16 | i);
			execl(self, self, seed, NULL);
			_exit(127);
		}
		bad |= wait_ok(pid);
	}
	return bad;
}

static void bss_and_heap_of_new_programs_are_zero(void)
{
	in_workers(exec_rounds);
}

/* Parent and child write the same private page in turns of their own. */
static int cow_rounds(int w)
{
	static uint64_t page[8][PAGE / 8];
	int bad = 0;

	for (uint64_t i = 1; i <= ROUNDS; i++) {
		pid_t pid;

		for (int p = 0; p < 8; p++)
			page[p][w] = i;
		pid = fork();
		if (!pid) {
			for (int p = 0; p < 8; p++)
				bad |= page[p][w] != i;
			for (int p = 0; p < 8; p++)
				page[p][w] = ~i;
			_exit(bad);
		}
		for (int p = 0; p < 8; p++)
			page[p][w] = i + 1000;
		for (int p = 0; p < 8; p++)
			bad |= page[p][w] != i + 1000;
		bad |= wait_ok(pid);
		for (int p = 0; p < 8; p++)
			bad |= page[p][w] != i + 1000;
	}
	return bad;
}

static void private_memory_after_fork_is_ones_own(void)
{
	in_workers(cow_rounds);
}

/* Threads write while one of them forks: neither loses a write, nor does a child see one made after the fork. */
struct counters {
	volatile bool stop;
	int bad;
	volatile uint64_t *words;
};

static void *count_up(void *arg)
{
	struct counters *c = arg;
	uint64_t n = 0;

	while (!c->stop) {
		n++;
		for (int p = 0; p < 4; p++) {
			if (c->words[p * PAGE / 8] != n - 1)
				c->bad = 1;
			c->words[p * PAGE / 8] = n;
		}
	}
	return NULL;
}

static int child_sees_one_moment(volatile uint64_t *words)
{
	uint64_t seen[4];

	for (int p = 0; p < 4; p++)
		seen[p] = words[p * PAGE / 8];
	for (int k = 0; k < 200; k++)
		for (int p = 0; p < 4; p++)
			if (words[p * PAGE / 8] != seen[p])
				return 1;
	return 0;
}

static int thread_rounds(int w)
{
	struct counters c = { .stop = false };
	pthread_t thread;
	int bad = 0;

	(void)w;
	c.words = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_create(&thread, NULL, count_up, &c);
	for (int i = 0; i < ROUNDS; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(child_sees_one_moment(c.words));
		bad |= wait_ok(pid);
	}
	c.stop = true;
	pthread_join(thread, NULL);
	return bad | c.bad;
}

static void writes_of_threads_survive_fork(void)
{
	in_workers(thread_rounds);
}

/* Threads of one process map, use and unmap the same address in turn with others: no page of another's is seen. */
static void *map_unmap(void *arg)
{
	uint64_t mark = (uint64_t)arg;
	long bad = 0;

	for (uint64_t i = 0; i < 5 * ROUNDS; i++) {
		volatile uint64_t *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		bad |= p[0] | p[PAGE / 8];
		p[0] = p[PAGE / 8] = mark + i;
		if (i % 3 == 0) {
			madvise((void *)p, PAGE, MADV_DONTNEED);
			bad |= p[0];
			p[0] = mark + i;
		}
		bad |= p[0] != mark + i || p[PAGE / 8] != mark + i;
		munmap((void *)p, 2 * PAGE);
	}
	return (void *)bad;
}

static int map_rounds(int w)
{
	pthread_t threads[2];
	long bad = 0;

	for (uint64_t i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, map_unmap, (void *)((i + 1) << 32 | (uint64_t)w << 48));
	for (int i = 0; i < 2; i++) {
		void *result;

		pthread_join(threads[i], &result);
		bad |= (long)result;
	}
	return bad != 0;
}

static void threads_that_map_and_unmap_see_zeros(void)
{
	in_workers(map_rounds);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return fresh_program((uint32_t)atoi(argv[1]));
	self = argv[0];
	EQ(reserve_area(), true);
	RUN(first_touch_of_forked_processes_finds_zeros);
	RUN(bss_and_heap_of_new_programs_are_zero);
	RUN(private_memory_after_fork_is_ones_own);
	RUN(writes_of_threads_survive_fork);
	RUN(threads_that_map_and_unmap_see_zeros);
	DONE();
}
