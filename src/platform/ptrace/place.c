/*
 * Which host CPU a vCPU runs on. A stub and its tracer never run at the same time, and when both are on one CPU a trap is
 * two context switches (8 us); when the host places them on two it is two wake-ups of idle CPUs (60 us). So both are
 * bound to one CPU. When others compete for that CPU (seen by involuntary context switches), both float for a few traps,
 * and stay where the host has put them.
 */
#include <linux/resource.h>
#include <linux/time.h>

#include "platform/ptrace/internal.h"

#define CHECK_TSC (200ull << 20) /* about 70 ms */
#define COMPETITION 8u		 /* involuntary switches between two checks */
#define FLOAT_TRAPS 4u
#define MASK_WORDS 16u

static u64 allowed[MASK_WORDS]; /* CPUs that the host gave us: sched_setaffinity(2) */

static void bind(s32 tid, s32 cpu)
{
	u64 one[MASK_WORDS] = { 0 };

	if (cpu >= 0)
		one[cpu / 64] = 1ull << (cpu % 64);
	sys_call3(__NR_sched_setaffinity, tid, sizeof(one), cpu >= 0 ? one : allowed);
}

static s32 nth_allowed(u32 n)
{
	u32 count = 0, i;

	for (i = 0; i < MASK_WORDS; i++)
		count += (u32)__builtin_popcountll(allowed[i]);
	if (count <= 1)
		return -1; /* nothing to choose */
	n %= count;
	for (i = 0; i < MASK_WORDS * 64; i++)
		if ((allowed[i / 64] >> (i % 64) & 1) && !n--)
			return (s32)i;
	return -1;
}

void place_init(struct vcpu *v)
{
	v->host_cpu = -1;
	if (pt_config.no_pinning || sys_call3(__NR_sched_getaffinity, 0, sizeof(allowed), allowed) < 0)
		return;
	v->host_cpu = nth_allowed(v->cpu);
	if (v->host_cpu >= 0)
		bind(0, v->host_cpu);
}

void place_stub(struct vcpu *v, struct stub *stub)
{
	s32 want = v->floating ? -1 : v->host_cpu;

	if (likely(stub->pinned == want))
		return;
	bind(stub->tid, want);
	stub->pinned = want;
}

static void settle(struct vcpu *v)
{
	u32 cpu = 0;

	sys_call3(__NR_getcpu, &cpu, 0, 0);
	v->host_cpu = (s32)cpu;
	bind(0, v->host_cpu);
}

static void look_around(struct vcpu *v)
{
	struct rusage usage;
	u64 count;

	if (sys_call2(__NR_getrusage, RUSAGE_THREAD, &usage) < 0)
		return;
	count = (u64)usage.ru_nivcsw - v->last_nivcsw;
	v->last_nivcsw = (u64)usage.ru_nivcsw;
	if (count < COMPETITION)
		return;
	v->floating = FLOAT_TRAPS;
	bind(0, -1);
}

void place_check(struct vcpu *v)
{
	u64 now;

	if (v->host_cpu < 0)
		return;
	if (unlikely(v->floating)) {
		if (!--v->floating)
			settle(v);
		return;
	}
	now = __builtin_ia32_rdtsc();
	if (likely(now - v->last_place_tsc < CHECK_TSC))
		return;
	v->last_place_tsc = now;
	look_around(v);
}
