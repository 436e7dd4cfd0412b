/* What boot.c calls, in its order; each is defined by the subsystem of its name. None may sleep but those of init's task. */
#ifndef SENTRY_BOOT_H
#define SENTRY_BOOT_H

#include "base/types.h"

void random_init(void); /* seed the generator from boot_params */
void pid_init(void);
void signal_init(void);
void futex_init(void);
void net_init(void);

/* sched.c: the current stack becomes that of this vCPU's idle task. */
void sched_boot_cpu(u32 cpu);
__noreturn void sched_idle_loop(void);

#endif
