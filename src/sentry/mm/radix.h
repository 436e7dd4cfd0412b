/* A radix tree from 64-bit indices to pointers, 64 slots a node. No locking; nodes come from a kmem_cache and never sleep. */
#ifndef SENTRY_RADIX_H
#define SENTRY_RADIX_H

#include "base/types.h"

void radix_init(void); /* makes the node cache; once */
void *radix_lookup(void *root, u64 index);
int radix_insert(void **root, u64 index, void *item); /* 0, -ENOMEM, -EEXIST */
void *radix_erase(void **root, u64 index);	       /* what was there, or NULL */
/* The first item at or after *index, whose index is stored there; NULL: none. */
void *radix_next(void *root, u64 *index);
/* The first index in [first, last] without an item; last + 1 when there is none. */
u64 radix_next_hole(void *root, u64 first, u64 last);

#endif
