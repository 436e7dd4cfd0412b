/* Arguments for the system-call fuzzer. */
#ifndef TEST_FUZZ_ARGS_H
#define TEST_FUZZ_ARGS_H

#include <stdint.h>

struct rng {
	uint64_t state;
};

static inline uint64_t rnd(struct rng *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545f4914f6cdd1dull;
}

static inline int chance(struct rng *r, unsigned one_in)
{
	return (rnd(r) >> 20) % one_in == 0;
}

void prepare_memory(void);
void prepare_files(void);
/* One descriptor of every kind there is. */
void open_files(struct rng *r);
/* Arguments of the kinds that the table names, for the call of that name. */
void make_args(struct rng *r, const char *name, const char *kinds, uint64_t a[6]);

#endif
