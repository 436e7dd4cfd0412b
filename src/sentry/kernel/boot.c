/* The order in which the sentry comes up. */
#include <linux/errno.h>

#include "base/log.h"
#include "hostcall.h"
#include "sentry/kernel/boot.h"
#include "sentry/kernel/settings.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/trace/trace.h"
#include "sentry/vfs/vfs.h"

struct boot_params *boot_params;
static _Atomic bool sentry_ready;

static void check_boot_params(const struct boot_params *bp)
{
	BUG_ON(bp->magic != BOOT_MAGIC || bp->abi != HOSTCALL_ABI);
	BUG_ON(bp->ncpus == 0 || bp->ncpus > MAX_CPUS);
}

static void init_subsystems(struct boot_params *bp)
{
	log_level = bp->log_level;
	trace_flags = (bp->strace ? TRACE_STRACE : 0) | (bp->stats ? TRACE_STATS : 0);
	mm_init();
	log_init();
	random_init();
	sched_init(bp->ncpus);
	sched_boot_cpu(0);
	pid_init();
	signal_init();
	futex_init();
}

/* What may sleep: mounting asks the gofer, and the first program is read from it. */
static void start_userland(void *unused)
{
	long err;

	vfs_init();
	net_init();
	settings_init();
	err = start_init();
	if (err) {
		struct hc_exit req = { .status = err == -ENOENT ? 127 : 126 };

		hostcall(HC_EXIT, &req, sizeof(req));
	}
}

/* Asleep: the first vCPU may need this host CPU, and a spinning neighbour is a slow start. */
static void wait_until_ready(u32 cpu)
{
	struct hc_wait wait = { .cpu = cpu, .deadline_ns = ~0ull };

	while (!atomic_load_explicit(&sentry_ready, memory_order_acquire))
		hostcall(HC_CPU_WAIT, &wait, sizeof(wait));
}

static void wake_others(u32 ncpus)
{
	for (u32 cpu = 1; cpu < ncpus; cpu++) {
		struct hc_kick kick = { .cpu = cpu };

		hostcall(HC_CPU_KICK, &kick, sizeof(kick));
	}
}

/* The first vCPU builds everything and then, as every other, becomes its own idle task. */
void sentry_boot(struct boot_params *bp, u32 cpu)
{
	if (cpu == 0) {
		boot_params = bp;
		check_boot_params(bp);
		init_subsystems(bp);
		BUG_ON(!kthread_create(start_userland, NULL, "init"));
		atomic_store_explicit(&sentry_ready, true, memory_order_release);
		wake_others(bp->ncpus);
	} else {
		wait_until_ready(cpu);
		sched_boot_cpu(cpu);
	}
	sched_idle_loop();
}
