/* What src/sentry/mm needs around it, faked: vCPUs with software TLBs, files that are only inodes. */
#ifndef TEST_MM_FAKE_H
#define TEST_MM_FAKE_H

#include "base/types.h"
#include "sentry/mm/mm.h"

/* Sandbox memory of `bytes`, mm_init() done. Once a program. */
void fake_boot(u64 bytes);
#define FAKE_CPUS 4u
/* Run fn on a kernel stack, with a current task on this vCPU. One thread a vCPU at a time. */
void fake_run(u32 cpu, void (*fn)(void));
/* Access one word as the CPU would: TLB, page table, then mm_fault(). 0, or the signal. */
int fake_write(struct mm *mm, u64 va, u64 value);
int fake_read(struct mm *mm, u64 va, u64 *value);

#endif
