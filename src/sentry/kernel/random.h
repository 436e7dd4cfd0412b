/* The sentry's random generator: getrandom(2), /dev/urandom, AT_RANDOM, address layout. */
#ifndef SENTRY_RANDOM_H
#define SENTRY_RANDOM_H

#include "base/types.h"

void random_bytes(void *buf, size_t n);
u64 random_u64(void);

#endif
