/* For system-call tests: plain programs that pass on native Linux and inside the sandbox alike. */
#ifndef TEST_SYSCALLS_CHECK_H
#define TEST_SYSCALLS_CHECK_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int check_failures;

/*
 * A fact is one check of a result against Linux: a place in the source where CHECK, EQ or FAILS stands. Counted are the places
 * that were reached, however often, by this program or by a child it forked.
 */
struct check_place {
	char reached;
};
#define CHECK_PLACE()                                                                   \
	do {                                                                            \
		static struct check_place place__ __attribute__((section("check_places"), used)); \
		check_reached(&place__);                                                \
	} while (0)
extern struct check_place __start_check_places[], __stop_check_places[];
static char *check_map; /* shared with children */

__attribute__((constructor)) static void check_begin(void)
{
	size_t n = (size_t)(__stop_check_places - __start_check_places);

	check_map = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static inline void check_reached(const struct check_place *p)
{
	if (check_map != MAP_FAILED)
		check_map[p - __start_check_places] = 1;
}

static inline void check_facts(void)
{
	long n = __stop_check_places - __start_check_places, reached = 0;

	for (long i = 0; check_map != MAP_FAILED && i < n; i++)
		reached += check_map[i];
	printf("facts: %ld of %ld\n", reached, n);
}

/* The template of a temporary name, 128 bytes, below $TEST_DIR when that is set. */
static inline char *in_test_dir(char *template)
{
	const char *place = getenv("TEST_DIR");
	char name[128];

	if (place) {
		snprintf(name, sizeof(name), "%.90s%s", place, strrchr(template, '/'));
		strcpy(template, name);
	}
	return template;
}

#define CHECK(cond)                                                                     \
	do {                                                                            \
		CHECK_PLACE();                                                          \
		if (!(cond)) {                                                          \
			check_failures++;                                               \
			printf("%s:%d: %s: failed: %s (errno %d %s)\n", __FILE__, __LINE__, __func__, #cond, errno, \
			       strerror(errno));                                        \
		}                                                                       \
	} while (0)
/* A call gives this value; both are shown when not. */
#define EQ(call, want)                                                                  \
	do {                                                                            \
		CHECK_PLACE();                                                          \
		errno = 0;                                                              \
		long long got__ = (long long)(call), want__ = (long long)(want);        \
		if (got__ != want__) {                                                  \
			check_failures++;                                               \
			printf("%s:%d: %s: %s gave %lld, not %lld (errno %d %s)\n", __FILE__, __LINE__, __func__, #call, got__, \
			       want__, errno, strerror(errno));                         \
		}                                                                       \
	} while (0)
/* A call fails with this errno. */
#define FAILS(call, e)                                                                  \
	do {                                                                            \
		CHECK_PLACE();                                                          \
		errno = 0;                                                              \
		long long got__ = (long long)(call);                                    \
		if (got__ != -1 || errno != (e)) {                                      \
			check_failures++;                                               \
			printf("%s:%d: %s: %s gave %lld errno %d (%s), not %s\n", __FILE__, __LINE__, __func__, #call, got__, errno, \
			       strerror(errno), #e);                                    \
		}                                                                       \
	} while (0)

/* Run fn in a child, so that nothing stays changed; its failed checks count as one here. */
static inline void in_child(void (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		check_failures = 0;
		fn();
		fflush(stdout);
		_exit(check_failures ? 1 : 0);
	}
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
}

#define RUN(test)                                                                       \
	do {                                                                            \
		int before__ = check_failures;                                          \
		test();                                                                 \
		printf("%s %s\n", check_failures == before__ ? "ok" : "FAIL", #test);   \
		fflush(stdout);                                                         \
	} while (0)
#define DONE()                                                                          \
	do {                                                                            \
		check_facts();                                                          \
		return check_failures ? 1 : 0;                                          \
	} while (0)

#endif
