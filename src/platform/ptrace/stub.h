/* The stub page and the ops page, at the same addresses in every unit, above what an application can have. */
#ifndef PLATFORM_PTRACE_STUB_H
#define PLATFORM_PTRACE_STUB_H

#include "platform/platform.h"

#define STUB_CODE_ADDR (USER_MAX + 0x40000ul)
#define STUB_OPS_ADDR (STUB_CODE_ADDR + PAGE_SIZE)
#define OPS_SIZE (2 * PAGE_SIZE)
#define STUB_FPU_ADDR (STUB_OPS_ADDR + OPS_SIZE) /* a page a stub */
#define STUBS_PER_VCPU 2u
#define STUB_AREA_END (STUB_FPU_ADDR + MAX_CPUS * STUBS_PER_VCPU * PAGE_SIZE)
#define STUB_TASK_SIZE 0x7ffffffff000ul
#define STUB_MEM_FD 0 /* sandbox memory in every stub */
#define STUB_CTL_FD 1 /* stub page and ops pages */
#define STUB_SOCK_FD 2 /* by which files of the window come; they have the numbers from here on */

extern const char stub_code[], stub_code_single[], stub_code_batch[], stub_code_sleep[], stub_code_end[];
extern const char stub_fpu_code[], stub_fpu_code_end[];
#define STUB_SINGLE (STUB_CODE_ADDR + (u64)(stub_code_single - stub_code))
#define STUB_BATCH (STUB_CODE_ADDR + (u64)(stub_code_batch - stub_code))

struct stub_op {
	u64 nr; /* ~0: end of the batch */
	u64 arg[6];
	u64 pad;
};
/* Loads the vector state, then the last two registers: a tenth of what PTRACE_SETREGSET takes. Code and data in one page. */
struct fpu_page {
	char code[64];
	u64 rax, rip;
	char pad[48];
	char area[PAGE_SIZE - 128]; /* XSAVE, standard format */
};
_Static_assert(__builtin_offsetof(struct fpu_page, rax) == 64, "stub.S");
_Static_assert(__builtin_offsetof(struct fpu_page, area) == 128, "stub.S");
#define OPS_MAX (OPS_SIZE / sizeof(struct stub_op) - 1)
_Static_assert(sizeof(struct stub_op) == 64, "stub.S walks it");
_Static_assert(STUB_AREA_END < TASK_SIZE_MAX, "behind what an application can have");

#endif
