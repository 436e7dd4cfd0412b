/*
 * vCPU threads on the host side: waiting, kicks, timers.
 *
 * A kick is a flag and a wake-up: whoever waits takes the flag, and a flag set while nobody waits ends the next wait at
 * once. So no kick is lost, and one too many costs a look around.
 */
#ifndef HOST_CPU_H
#define HOST_CPU_H

#include "host/hostcalls.h"

/* Signal of the vCPUs' timers; its handler kicks the vCPU. Installed before threads exist. */
int host_cpu_init(u32 ncpus);
u32 host_ncpus(void);

s64 host_cpu_wait(u32 cpu, u64 deadline_ns);
s64 host_cpu_set_timer(u32 cpu, u64 deadline_ns);

#endif
