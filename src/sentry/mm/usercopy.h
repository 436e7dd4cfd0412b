/* Partial copies, for code that reports how far it came. */
#ifndef SENTRY_USERCOPY_H
#define SENTRY_USERCOPY_H

#include "sentry/mm/mm.h"

/* Bytes copied, fewer than n when an address is bad. */
size_t copy_from_user_part(void *dst, u64 src, size_t n);
size_t copy_to_user_part(u64 dst, const void *src, size_t n);

#endif
