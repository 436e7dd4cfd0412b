/* The files of /proc that speak of the whole machine. */
#include <linux/errno.h>
#include <linux/stat.h>
#include <linux/time.h>

#include "base/string.h"
#include "fs/proc/proc.h"
#include "hostcall.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/loadavg.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/uts.h"
#include "sentry/trace/trace.h"

static int show_cpuinfo(struct seq *s, struct inode *inode)
{
	const struct boot_params *bp = boot_params;

	for (u32 cpu = 0; cpu < num_cpus(); cpu++)
		seq_printf(s,
			   "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: %s\n"
			   "stepping\t: %u\ncpu MHz\t\t: %lu.%03lu\ncache size\t: %u KB\nphysical id\t: 0\nsiblings\t: %u\n"
			   "core id\t\t: %u\ncpu cores\t: %u\napicid\t\t: %u\ninitial apicid\t: %u\nfpu\t\t: yes\n"
			   "fpu_exception\t: yes\ncpuid level\t: 13\nwp\t\t: yes\nflags\t\t: %s\nbugs\t\t:\n"
			   "bogomips\t: %lu.%02lu\nclflush size\t: 64\ncache_alignment\t: 64\n"
			   "address sizes\t: 48 bits physical, 48 bits virtual\npower management:\n\n",
			   cpu, bp->cpu_vendor, bp->cpu_family, bp->cpu_model_id, bp->cpu_model, bp->cpu_stepping,
			   bp->cpu_khz / 1000, bp->cpu_khz % 1000, bp->cpu_cache_kb, num_cpus(), cpu, num_cpus(), cpu, cpu,
			   bp->cpu_flags, bp->cpu_khz / 500, bp->cpu_khz % 500 / 5);
	return 0;
}

static void put_slab_kind(void *ctx, const struct slab_kind *k)
{
	char name[32];

	if (!kstrcmp(k->name, "kmalloc"))
		ksnprintf(name, sizeof(name), "kmalloc-%u", k->size);
	else
		kstrlcpy(name, k->name, sizeof(name));
	seq_printf(ctx, "%-17s %6u %6u %6u %4u %4u : tunables    0    0    0 : slabdata %6u %6u      0\n", name, k->active, k->slabs * k->per_slab,
		   k->size, k->per_slab, k->pages, k->slabs, k->slabs);
}

static int show_slabinfo(struct seq *s, struct inode *inode)
{
	seq_puts(s, "slabinfo - version: 2.1\n# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> "
		    "<batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>\n");
	slab_census(put_slab_kind, s);
	return 0;
}

static int show_meminfo(struct seq *s, struct inode *inode)
{
	struct meminfo mi;
	u64 total, free, available;

	mm_meminfo(&mi);
	total = mi.total << 2;
	free = mi.free << 2;
	available = MIN(total, free + (mi.cached << 2)); /* cached pages that are the host's take no memory of the sandbox */
	seq_printf(s,
		   "MemTotal:       %8lu kB\nMemFree:        %8lu kB\nMemAvailable:   %8lu kB\nBuffers:               0 kB\n"
		   "Cached:         %8lu kB\nSwapCached:            0 kB\nActive:         %8lu kB\nInactive:              0 kB\n"
		   "Active(anon):   %8lu kB\nInactive(anon):        0 kB\nActive(file):   %8lu kB\nInactive(file):        0 kB\n"
		   "Unevictable:           0 kB\nMlocked:               0 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\n"
		   "Dirty:                 0 kB\nWriteback:             0 kB\nAnonPages:      %8lu kB\nMapped:         %8lu kB\n"
		   "Shmem:          %8lu kB\nKReclaimable:          0 kB\nSlab:           %8lu kB\nSReclaimable:          0 kB\n"
		   "SUnreclaim:     %8lu kB\nKernelStack:           0 kB\nPageTables:     %8lu kB\nNFS_Unstable:          0 kB\n"
		   "Bounce:                0 kB\nWritebackTmp:          0 kB\nCommitLimit:    %8lu kB\nCommitted_AS:   %8lu kB\n"
		   "VmallocTotal:   34359738367 kB\nVmallocUsed:           0 kB\nVmallocChunk:          0 kB\nPercpu:                0 kB\n"
		   "AnonHugePages:         0 kB\nShmemHugePages:        0 kB\nFileHugePages:         0 kB\nHugePages_Total:       0\n"
		   "HugePages_Free:        0\nHugePages_Rsvd:        0\nHugePages_Surp:        0\nHugepagesize:       2048 kB\n"
		   "Hugetlb:               0 kB\n",
		   total, free, available, mi.cached << 2, (mi.anon + mi.cached) << 2, mi.anon << 2,
		   mi.cached << 2, mi.anon << 2, mi.mapped << 2, mi.shmem << 2, mi.slab << 2, mi.slab << 2,
		   mi.page_tables << 2, total / 2, mi.anon << 2);
	return 0;
}

static u64 ticks(u64 ns) { return ns / (NSEC_PER_SEC / 100); }

/* proc_stat(5): user, nice, system, idle and the rest, in hundredths of a second. */
static void show_times(struct seq *s, const char *name, u64 user, u64 system, u64 total)
{
	seq_printf(s, "%s %lu 0 %lu %lu 0 0 0 0 0 0\n", name, ticks(user), ticks(system), ticks(total - MIN(total, user + system)));
}

static u32 all_times(u64 *user, u64 *system)
{
	u32 running = 0;
	u64 u, k;

	*user = *system = 0;
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		running += sched_cpu_times(cpu, &u, &k);
		*user += u;
		*system += k;
	}
	return running;
}

static int show_stat(struct seq *s, struct inode *inode)
{
	u64 up = clock_boot_ns(), user, system;
	u32 running = all_times(&user, &system);
	char name[16];

	show_times(s, "cpu ", user, system, up * num_cpus());
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		sched_cpu_times(cpu, &user, &system);
		ksnprintf(name, sizeof(name), "cpu%u", cpu);
		show_times(s, name, user, system, up);
	}
	seq_printf(s,
		   "intr 0\nctxt %lu\nbtime %lu\nprocesses %lu\nprocs_running %u\nprocs_blocked 0\n"
		   "softirq 0 0 0 0 0 0 0 0 0 0 0\n",
		   stat_counters[STAT_SWITCH], (clock_real_ns() - clock_read_ns(CLOCK_BOOTTIME)) / NSEC_PER_SEC, stat_counters[STAT_FORK], running);
	return 0;
}

static int show_uptime(struct seq *s, struct inode *inode)
{
	u64 up = clock_read_ns(CLOCK_BOOTTIME), user, system, idle;

	all_times(&user, &system);
	idle = up * num_cpus() - MIN(up * num_cpus(), user + system);
	seq_printf(s, "%lu.%02lu %lu.%02lu\n", up / NSEC_PER_SEC, up % NSEC_PER_SEC / 10000000, idle / NSEC_PER_SEC,
		   idle % NSEC_PER_SEC / 10000000);
	return 0;
}

static int show_loadavg(struct seq *s, struct inode *inode)
{
	u64 user, system, avg[3];

	loadavg_get(avg);
	for (u32 i = 0; i < 3; i++) {
		u64 a = avg[i] + (1u << LOADAVG_SHIFT) / 200; /* rounded to hundredths */

		seq_printf(s, "%lu.%02lu ", a >> LOADAVG_SHIFT, ((a & ((1u << LOADAVG_SHIFT) - 1)) * 100) >> LOADAVG_SHIFT);
	}
	seq_printf(s, "%u/%u %d\n", all_times(&user, &system), READ_ONCE(nr_threads), pid_last(task_pid_ns(current)));
	return 0;
}

static int show_version(struct seq *s, struct inode *inode)
{
	seq_printf(s, "Linux version %s (runsc-c) (gcc) %s\n", UTS_RELEASE, UTS_VERSION);
	return 0;
}

static int show_filesystems(struct seq *s, struct inode *inode)
{
	seq_puts(s, "nodev\tproc\nnodev\tsysfs\nnodev\tcgroup2\nnodev\ttmpfs\nnodev\tdevtmpfs\nnodev\tdevpts\nnodev\toverlay\n");
	return 0;
}

static int show_cmdline(struct seq *s, struct inode *inode)
{
	seq_puts(s, "BOOT_IMAGE=/runsc-c\n");
	return 0;
}

static int show_swaps(struct seq *s, struct inode *inode)
{
	seq_puts(s, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
	return 0;
}

static int show_partitions(struct seq *s, struct inode *inode)
{
	seq_puts(s, "major minor  #blocks  name\n\n");
	return 0;
}

static int show_devices(struct seq *s, struct inode *inode)
{
	seq_puts(s, "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n");
	return 0;
}

static int show_cgroups(struct seq *s, struct inode *inode)
{
	seq_puts(s, "#subsys_name\thierarchy\tnum_cgroups\tenabled\n");
	return 0;
}

static int show_vmstat(struct seq *s, struct inode *inode)
{
	struct meminfo mi;

	mm_meminfo(&mi);
	seq_printf(s, "nr_free_pages %lu\nnr_anon_pages %lu\nnr_mapped %lu\nnr_file_pages %lu\nnr_shmem %lu\npgfault %lu\n", mi.free,
		   mi.anon, mi.mapped, mi.cached, mi.shmem, stat_counters[STAT_PAGE_FAULT]);
	return 0;
}

static int show_empty(struct seq *s, struct inode *inode) { return 0; }

void proc_add_files(struct dentry *root)
{
	static const struct {
		const char *name;
		struct text_file file;
	} files[] = {
		{ "cpuinfo", { show_cpuinfo, NULL } },	   { "meminfo", { show_meminfo, NULL } },
		{ "stat", { show_stat, NULL } },	   { "uptime", { show_uptime, NULL } },
		{ "loadavg", { show_loadavg, NULL } },	   { "version", { show_version, NULL } },
		{ "filesystems", { show_filesystems, NULL } }, { "cmdline", { show_cmdline, NULL } },
		{ "swaps", { show_swaps, NULL } },	   { "partitions", { show_partitions, NULL } },
		{ "devices", { show_devices, NULL } },	   { "cgroups", { show_cgroups, NULL } },
		{ "vmstat", { show_vmstat, NULL } },	   { "diskstats", { show_empty, NULL } },
		{ "modules", { show_empty, NULL } },	   { "locks", { show_empty, NULL } },
	};

	static const struct text_file slabinfo = { show_slabinfo, NULL };

	simple_add_file(root, "slabinfo", S_IFREG | 0400, &text_fops, (void *)&slabinfo);
	for (u32 i = 0; i < ARRAY_SIZE(files); i++)
		simple_add_file(root, files[i].name, S_IFREG | 0444, &text_fops, (void *)&files[i].file);
}
