/*
 * The control file: the stub page, then for each unit its ops page pair and the fpu pages of its stubs. The sandbox has it
 * mapped read-write, stubs read-only.
 */
#ifndef PLATFORM_PTRACE_CONTROL_H
#define PLATFORM_PTRACE_CONTROL_H

#include "platform/ptrace/internal.h"

#define MAX_UNITS 16384u /* unit 0 is the master */

struct control {
	char code[PAGE_SIZE];
	_Atomic u32 ready; /* the master is asleep in the stub page */
	char pad[PAGE_SIZE - sizeof(u32)];
	char units[]; /* MAX_UNITS times control_unit_size() */
};

extern struct control *pt_control;
extern int pt_control_fd;

static inline u64 control_unit_size(void)
{
	return OPS_SIZE + (u64)pt_config.ncpus * STUBS_PER_VCPU * PAGE_SIZE;
}
static inline u64 control_unit_offset(u32 unit)
{
	return __builtin_offsetof(struct control, units) + unit * control_unit_size();
}

int master_take(struct vcpu *v); /* the vCPU's own stub in the master */

/* What a clone may share; the stubs' filter knows these two. */
#define CLONE_UNIT (CLONE_PARENT | CLONE_FILES | CLONE_FS | CLONE_UNTRACED)
#define CLONE_SPARE                                                                     \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_UNTRACED)

#endif
