/*
 * cgroup2: one cgroup, the container's, as it looks from inside its cgroup namespace; read-only. Limits are those that the host enforces
 * on the sandbox (boot_params.limits), so runtimes size their heaps and pools by them. Kernel documentation, admin-guide/cgroup-v2.
 */
#include "fs/cgroup/cgroup2.h"

#include <linux/errno.h>
#include <linux/magic.h>
#include <linux/stat.h>

#include "fs/proc/seq.h"
#include "hostcall.h"
#include "sentry/kernel/boot.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

static void put_limit(struct seq *s, u64 limit)
{
	if (limit)
		seq_printf(s, "%lu\n", limit);
	else
		seq_puts(s, "max\n");
}

/* What all has always. */
#define FIXED(name, text)                                                               \
	static int show_##name(struct seq *s, struct inode *inode)                      \
	{                                                                               \
		seq_puts(s, text);                                                      \
		return 0;                                                               \
	}
FIXED(controllers, "cpuset cpu memory pids\n")
FIXED(nothing, "")
FIXED(domain, "domain\n")
FIXED(events, "populated 1\nfrozen 0\n")
FIXED(descendants, "nr_descendants 0\nnr_dying_descendants 0\n")
FIXED(zero, "0\n")
FIXED(max, "max\n")
FIXED(memory_events, "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n")
FIXED(pids_events, "max 0\n")

static int show_procs(struct seq *s, struct inode *inode)
{
	const struct pid_ns *ns = task_pid_ns(current);

	for (s32 nr = next_tgid(ns, 1); nr > 0; nr = next_tgid(ns, nr + 1))
		seq_printf(s, "%d\n", nr);
	return 0;
}

static int show_cpu_max(struct seq *s, struct inode *inode)
{
	const struct boot_limits *l = &boot_params->limits;

	if (l->cpu_quota_us)
		seq_printf(s, "%lu %lu\n", l->cpu_quota_us, l->cpu_period_us);
	else
		seq_printf(s, "max %lu\n", l->cpu_period_us ? l->cpu_period_us : 100000);
	return 0;
}

static int show_cpu_weight(struct seq *s, struct inode *inode)
{
	seq_printf(s, "%lu\n", boot_params->limits.cpu_weight ? boot_params->limits.cpu_weight : 100);
	return 0;
}

static int show_cpu_stat(struct seq *s, struct inode *inode)
{
	u64 user = 0, system = 0, u, k;

	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		sched_cpu_times(cpu, &u, &k);
		user += u / NSEC_PER_USEC;
		system += k / NSEC_PER_USEC;
	}
	seq_printf(s, "usage_usec %lu\nuser_usec %lu\nsystem_usec %lu\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n", user + system, user, system);
	return 0;
}

static int show_cpus(struct seq *s, struct inode *inode)
{
	if (num_cpus() > 1)
		seq_printf(s, "0-%u\n", num_cpus() - 1);
	else
		seq_puts(s, "0\n");
	return 0;
}

static int show_memory_max(struct seq *s, struct inode *inode)
{
	put_limit(s, boot_params->limits.memory_max);
	return 0;
}

static int show_memory_current(struct seq *s, struct inode *inode)
{
	struct meminfo mi;

	mm_meminfo(&mi);
	seq_printf(s, "%lu\n", (mi.total - mi.free) << PAGE_SHIFT);
	return 0;
}

static int show_memory_stat(struct seq *s, struct inode *inode)
{
	struct meminfo mi;

	mm_meminfo(&mi);
	seq_printf(s, "anon %lu\nfile %lu\nslab %lu\nshmem %lu\npagetables %lu\nfile_mapped %lu\n", mi.anon << PAGE_SHIFT, mi.cached << PAGE_SHIFT,
		   mi.slab << PAGE_SHIFT, mi.shmem << PAGE_SHIFT, mi.page_tables << PAGE_SHIFT, mi.mapped << PAGE_SHIFT);
	return 0;
}

static int show_pids_max(struct seq *s, struct inode *inode)
{
	put_limit(s, boot_params->limits.pids_max);
	return 0;
}

static int show_pids_current(struct seq *s, struct inode *inode)
{
	seq_printf(s, "%u\n", READ_ONCE(nr_threads));
	return 0;
}

static const struct {
	const char *name;
	struct text_file file;
} files[] = {
	{ "cgroup.controllers", { show_controllers, NULL } },
	{ "cgroup.subtree_control", { show_nothing, NULL } },
	{ "cgroup.type", { show_domain, NULL } },
	{ "cgroup.procs", { show_procs, NULL } },
	{ "cgroup.events", { show_events, NULL } },
	{ "cgroup.stat", { show_descendants, NULL } },
	{ "cgroup.freeze", { show_zero, NULL } },
	{ "cgroup.max.depth", { show_max, NULL } },
	{ "cgroup.max.descendants", { show_max, NULL } },
	{ "cpu.max", { show_cpu_max, NULL } },
	{ "cpu.weight", { show_cpu_weight, NULL } },
	{ "cpu.stat", { show_cpu_stat, NULL } },
	{ "cpuset.cpus.effective", { show_cpus, NULL } },
	{ "cpuset.mems.effective", { show_zero, NULL } },
	{ "memory.max", { show_memory_max, NULL } },
	{ "memory.high", { show_max, NULL } },
	{ "memory.low", { show_zero, NULL } },
	{ "memory.min", { show_zero, NULL } },
	{ "memory.current", { show_memory_current, NULL } },
	{ "memory.stat", { show_memory_stat, NULL } },
	{ "memory.events", { show_memory_events, NULL } },
	{ "memory.swap.max", { show_zero, NULL } },
	{ "memory.swap.current", { show_zero, NULL } },
	{ "pids.max", { show_pids_max, NULL } },
	{ "pids.current", { show_pids_current, NULL } },
	{ "pids.events", { show_pids_events, NULL } },
};

static int cgroup2_fill_super(struct super_block *sb, const char *source, const char *options, void *data)
{
	int err = simple_fill_super(sb, CGROUP2_SUPER_MAGIC);

	for (u32 i = 0; i < ARRAY_SIZE(files) && !err; i++)
		if (!simple_add_file(sb->root, files[i].name, S_IFREG | 0444, &text_fops, (void *)&files[i].file))
			err = -ENOMEM;
	return err;
}

void cgroup2_register(void)
{
	static const struct fs_type cgroup2 = { .name = "cgroup2", .nodev = true, .fill_super = cgroup2_fill_super };

	register_fs(&cgroup2);
}
