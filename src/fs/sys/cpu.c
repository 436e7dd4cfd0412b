/*
 * /sys/devices/system/cpu and node: every processor of the sandbox is a core of its own of one package, all memory is
 * one node. See the kernel's Documentation/ABI/stable/sysfs-devices-system-cpu and sysfs-devices-node, and cputopology.
 */
#include <linux/stat.h>

#include "base/string.h"
#include "fs/proc/seq.h"
#include "fs/sys/sysfs.h"
#include "hostcall.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

enum topology { SELF, SELF_LIST, ALL, ALL_LIST, NUMBER, PACKAGE };
static const struct {
	const char *name;
	enum topology what;
} topology_files[] = {
    {"core_id", NUMBER},
    {"physical_package_id", PACKAGE},
    {"die_id", PACKAGE},
    {"thread_siblings", SELF},
    {"thread_siblings_list", SELF_LIST},
    {"core_cpus", SELF},
    {"core_cpus_list", SELF_LIST},
    {"core_siblings", ALL},
    {"core_siblings_list", ALL_LIST},
    {"package_cpus", ALL},
    {"package_cpus_list", ALL_LIST},
    {"die_cpus", ALL},
    {"die_cpus_list", ALL_LIST},
};
#define NTOPOLOGY ARRAY_SIZE(topology_files)

struct topology_file {
	struct text_file file;
	u32 cpu;
	enum topology what;
};
static struct topology_file *topology_of[MAX_CPUS]; /* made with the first mount */

void seq_cpu_list(struct seq *s, u32 first, u32 last)
{
	if (first == last)
		seq_printf(s, "%u\n", first);
	else
		seq_printf(s, "%u-%u\n", first, last);
}

/* As many digits as there are processors for, as Linux writes a bitmap. */
void seq_cpu_mask(struct seq *s, u32 first, u32 last)
{
	u64 mask = (last - first == 63 ? ~0ul : (1ul << (last - first + 1)) - 1) << first;
	u32 n = num_cpus();

	if (n > 32)
		seq_printf(s, "%0*x,%08x\n", (int)(n - 32 + 3) / 4, (u32)(mask >> 32), (u32)mask);
	else
		seq_printf(s, "%0*x\n", (int)(n + 3) / 4, (u32)mask);
}

static int show_topology(struct seq *s, struct inode *inode)
{
	const struct topology_file *f = container_of((struct text_file *)inode->priv, struct topology_file, file);

	switch (f->what) {
	case SELF:
		seq_cpu_mask(s, f->cpu, f->cpu);
		break;
	case SELF_LIST:
		seq_cpu_list(s, f->cpu, f->cpu);
		break;
	case ALL:
		seq_cpu_mask(s, 0, num_cpus() - 1);
		break;
	case ALL_LIST:
		seq_cpu_list(s, 0, num_cpus() - 1);
		break;
	case NUMBER:
		seq_printf(s, "%u\n", f->cpu);
		break;
	case PACKAGE:
		seq_puts(s, "0\n");
	}
	return 0;
}

static int show_all_list(struct seq *s, struct inode *inode)
{
	seq_cpu_list(s, 0, num_cpus() - 1);
	return 0;
}

static int show_all_mask(struct seq *s, struct inode *inode)
{
	seq_cpu_mask(s, 0, num_cpus() - 1);
	return 0;
}

static int show_max(struct seq *s, struct inode *inode)
{
	seq_printf(s, "%u\n", MAX_CPUS - 1);
	return 0;
}

static int show_none(struct seq *s, struct inode *inode)
{
	seq_puts(s, "\n");
	return 0;
}

static int show_zero(struct seq *s, struct inode *inode)
{
	seq_puts(s, "0\n");
	return 0;
}

static int show_distance(struct seq *s, struct inode *inode)
{
	seq_puts(s, "10\n");
	return 0;
}

static int show_node_memory(struct seq *s, struct inode *inode)
{
	struct meminfo mi;

	mm_meminfo(&mi);
	seq_printf(s,
		   "Node 0 MemTotal:       %8lu kB\nNode 0 MemFree:        %8lu kB\nNode 0 MemUsed:        %8lu kB\n"
		   "Node 0 FilePages:      %8lu kB\nNode 0 AnonPages:      %8lu kB\nNode 0 Shmem:          %8lu kB\n"
		   "Node 0 PageTables:     %8lu kB\nNode 0 Slab:           %8lu kB\nNode 0 HugePages_Total:     0\n"
		   "Node 0 HugePages_Free:      0\nNode 0 HugePages_Surp:      0\n",
		   mi.total << 2, mi.free << 2, (mi.total - mi.free) << 2, mi.cached << 2, mi.anon << 2, mi.shmem << 2,
		   mi.page_tables << 2, mi.slab << 2);
	return 0;
}

/* Nothing counts where pages come from: with one node they all hit. */
static int show_numastat(struct seq *s, struct inode *inode)
{
	seq_puts(s, "numa_hit 0\nnuma_miss 0\nnuma_foreign 0\ninterleave_hit 0\nlocal_node 0\nother_node 0\n");
	return 0;
}

static const struct text_file all_list = {show_all_list, NULL}, all_mask = {show_all_mask, NULL},
			      max = {show_max, NULL}, none = {show_none, NULL}, zero = {show_zero, NULL},
			      distance = {show_distance, NULL}, node_memory = {show_node_memory, NULL},
			      numastat = {show_numastat, NULL};

static void add_topology(struct dentry *cpu_dir, u32 cpu)
{
	struct dentry *dir = simple_add_dir(cpu_dir, "topology", 0755);
	struct topology_file *f = topology_of[cpu];

	if (!f)
		f = topology_of[cpu] = kmalloc(NTOPOLOGY * sizeof(*f));
	if (!f)
		return;
	for (u32 i = 0; i < NTOPOLOGY; i++) {
		f[i] = (struct topology_file){{show_topology, NULL}, cpu, topology_files[i].what};
		sysfs_add_text(dir, topology_files[i].name, &f[i].file);
	}
}

void sysfs_add_cpus(struct dentry *system)
{
	struct dentry *cpus = simple_add_dir(system, "cpu", 0755), *cpu;
	char name[16];

	sysfs_add_text(cpus, "online", &all_list);
	sysfs_add_text(cpus, "possible", &all_list);
	sysfs_add_text(cpus, "present", &all_list);
	sysfs_add_text(cpus, "offline", &none);
	sysfs_add_text(cpus, "isolated", &none);
	sysfs_add_text(cpus, "kernel_max", &max);
	for (u32 i = 0; i < num_cpus(); i++) {
		ksnprintf(name, sizeof(name), "cpu%u", i);
		cpu = simple_add_dir(cpus, name, 0755);
		add_topology(cpu, i);
		sysfs_add_caches(cpu, i);
		simple_add_symlink(cpu, "node0", "../../node/node0");
	}
}

void sysfs_add_nodes(struct dentry *system)
{
	static const char *const sets[] = {"online", "possible", "has_cpu", "has_memory", "has_normal_memory"};
	static char names[MAX_CPUS][8], targets[MAX_CPUS][24];
	struct dentry *nodes = simple_add_dir(system, "node", 0755), *node = simple_add_dir(nodes, "node0", 0755);

	for (u32 i = 0; i < ARRAY_SIZE(sets); i++)
		sysfs_add_text(nodes, sets[i], &zero);
	sysfs_add_text(node, "cpulist", &all_list);
	sysfs_add_text(node, "cpumap", &all_mask);
	sysfs_add_text(node, "distance", &distance);
	sysfs_add_text(node, "meminfo", &node_memory);
	sysfs_add_text(node, "numastat", &numastat);
	for (u32 i = 0; i < num_cpus(); i++) {
		ksnprintf(names[i], sizeof(names[i]), "cpu%u", i);
		ksnprintf(targets[i], sizeof(targets[i]), "../../cpu/cpu%u", i);
		simple_add_symlink(node, names[i], targets[i]);
	}
}
