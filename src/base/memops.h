/* Bulk copies of the ring-0 image where the CPU's own are slow (an emulated ring 0 takes some 0.5 us a word). */
#ifndef BASE_MEMOPS_H
#define BASE_MEMOPS_H

#include "base/types.h"

#define MEM_BULK_MIN 256

/* NULL: the CPU does it. They return false for memory that they cannot reach; overlapping is fine. */
extern bool (*mem_bulk_copy)(void *dst, const void *src, size_t n);
extern bool (*mem_bulk_fill)(void *dst, int c, size_t n);

#endif
