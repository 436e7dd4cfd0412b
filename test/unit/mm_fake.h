/* What src/sentry/mm needs around it, faked: one vCPU, a software TLB, files that are only inodes. */
#ifndef TEST_MM_FAKE_H
#define TEST_MM_FAKE_H

#include "base/types.h"
#include "sentry/mm/mm.h"

/* Sandbox memory of `bytes`, mm_init() done. Once a program. */
void fake_boot(u64 bytes);
/* Run fn on a kernel stack, with a current task. */
void fake_run(void (*fn)(void));
/* Access one word as the CPU would: TLB, page table, then mm_fault(). 0, or the signal. */
int fake_write(struct mm *mm, u64 va, u64 value);
int fake_read(struct mm *mm, u64 va, u64 *value);

#endif
