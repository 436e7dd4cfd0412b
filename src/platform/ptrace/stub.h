/* The stub page and the ops page, at the same addresses in every unit, above what an application can have. */
#ifndef PLATFORM_PTRACE_STUB_H
#define PLATFORM_PTRACE_STUB_H

#include "platform/platform.h"

#define STUB_CODE_ADDR (USER_MAX + 0x40000ul)
#define STUB_OPS_ADDR (STUB_CODE_ADDR + PAGE_SIZE)
#define OPS_SIZE (2 * PAGE_SIZE)
#define STUB_AREA_END (STUB_OPS_ADDR + OPS_SIZE)
#define STUB_TASK_SIZE 0x7ffffffff000ul
#define STUB_MEM_FD 0 /* sandbox memory in every stub */
#define STUB_CTL_FD 1 /* stub page and ops pages */

extern const char stub_code[], stub_code_single[], stub_code_batch[], stub_code_sleep[], stub_code_end[];
#define STUB_SINGLE (STUB_CODE_ADDR + (u64)(stub_code_single - stub_code))
#define STUB_BATCH (STUB_CODE_ADDR + (u64)(stub_code_batch - stub_code))

struct stub_op {
	u64 nr; /* ~0: end of the batch */
	u64 arg[6];
	u64 pad;
};
#define OPS_MAX (OPS_SIZE / sizeof(struct stub_op) - 1)
_Static_assert(sizeof(struct stub_op) == 64, "stub.S walks it");

#endif
