/*
 * The load averages of proc_loadavg(5) and sysinfo(2): tasks that ran or could have, averaged with a decay over 1, 5 and 15
 * minutes. What ran comes from the CPU time that was used since the last sample, so that samples may be late: one is taken by
 * the first task switch, or reader, after each five seconds, and a sandbox that sleeps is not woken for them.
 */
#include "sentry/kernel/loadavg.h"
#include "base/lock.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task.h"

#define SAMPLE_NS (5 * NSEC_PER_SEC)
#define ONE (1u << LOADAVG_SHIFT)

u64 loadavg_due; /* TSC */
static spinlock_t load_lock;
static u64 last_ns, last_cpu_ns, averages[3];

/* x^n, with LOADAVG_SHIFT bits below the point. */
static u64 power(u64 x, u64 n)
{
	u64 r = ONE;

	for (; n; n >>= 1, x = (x * x + ONE / 2) >> LOADAVG_SHIFT)
		if (n & 1)
			r = (r * x + ONE / 2) >> LOADAVG_SHIFT;
	return r;
}

void loadavg_sample(void)
{
	static const u64 decay[3] = { 1884, 2014, 2037 }; /* of five seconds: ONE / exp(5 s / 1, 5, 15 min) */
	u64 now = clock_mono_ns(), cpu = 0, waiting = 0, user, system, active, n;

	for (u32 i = 0; i < num_cpus(); i++) {
		u32 running = sched_cpu_times(i, &user, &system);

		cpu += user + system;
		waiting += running > 1 ? running - 1 : 0;
	}
	spin_lock(&load_lock);
	n = (now - last_ns) / SAMPLE_NS;
	if (n && now > last_ns) {
		active = MIN((cpu - MIN(cpu, last_cpu_ns)) / ((now - last_ns) >> LOADAVG_SHIFT), (u64)num_cpus() << LOADAVG_SHIFT) +
			 (waiting << LOADAVG_SHIFT);
		for (u32 i = 0; i < 3; i++) {
			u64 keep = power(decay[i], n), next = averages[i] * keep + active * (ONE - keep);

			averages[i] = (next + (active >= averages[i] ? ONE - 1 : 0)) >> LOADAVG_SHIFT;
		}
		last_ns = now;
		last_cpu_ns = cpu;
	}
	WRITE_ONCE(loadavg_due, rdtsc() + ns_to_tsc(SAMPLE_NS - MIN(now - last_ns, SAMPLE_NS - 1)));
	spin_unlock(&load_lock);
}

void loadavg_get(u64 avg[3])
{
	loadavg_check(rdtsc());
	for (u32 i = 0; i < 3; i++)
		avg[i] = READ_ONCE(averages[i]);
}
