/* /sys/devices/system/cpu/cpu.../cache: the caches of the host's processor, as CPUID tells of them. */
#include <cpuid.h>
#include <linux/stat.h>

#include "base/string.h"
#include "fs/proc/seq.h"
#include "fs/sys/sysfs.h"
#include "hostcall.h"
#include "sentry/kernel/task.h"

#define MAX_CACHES 8u
#define LEAF_INTEL 4u
#define LEAF_AMD 0x8000001du

struct cache {
	u32 type, level, line, ways, sets, sharers, number;
};
enum field { LEVEL, TYPE, SIZE, LINE, WAYS, SETS, PARTITION, ID, SHARED_LIST, SHARED_MAP, NFIELDS };

struct cache_file { /* one file of one cache of one processor */
	struct text_file file;
	const struct cache *cache;
	u32 cpu;
	enum field field;
};

static struct cache caches[MAX_CACHES];
static u32 ncaches;
static struct cache_file *files_of[MAX_CPUS]; /* made with the first mount */

static void read_leaf(u32 leaf)
{
	u32 a, b, c, d;

	for (u32 i = 0; i < MAX_CACHES; i++) {
		__cpuid_count(leaf, i, a, b, c, d);
		if (!(a & 31))
			break;
		caches[ncaches++] = (struct cache){ .type = a & 31, .level = a >> 5 & 7, .line = (b & 0xfff) + 1,
						    .ways = (b >> 22 & 0x3ff) + 1, .sets = c + 1, .sharers = (a >> 14 & 0xfff) + 1,
						    .number = i };
	}
}

/* Intel SDM vol. 2, CPUID leaf 4; AMD APM vol. 3, Fn8000_001D: the same layout. */
static void read_caches(void)
{
	u32 a, b, c, d;

	__cpuid(0, a, b, c, d);
	if (a >= LEAF_INTEL)
		read_leaf(LEAF_INTEL);
	__cpuid(0x80000000u, a, b, c, d);
	if (!ncaches && a >= LEAF_AMD)
		read_leaf(LEAF_AMD);
}

/* The processors that share it: a block whose size is a power of two, cut to those there are. */
static void sharers(const struct cache_file *f, u32 *first, u32 *last)
{
	u32 n = 1;

	while (n < f->cache->sharers)
		n <<= 1;
	*first = f->cpu & ~(n - 1);
	*last = MIN(*first + n, num_cpus()) - 1;
}

static int show(struct seq *s, struct inode *inode)
{
	static const char *const types[] = { "", "Data", "Instruction", "Unified" };
	const struct cache_file *f = container_of((struct text_file *)inode->priv, struct cache_file, file);
	const struct cache *c = f->cache;
	u32 first, last;

	sharers(f, &first, &last);
	switch (f->field) {
	case LEVEL:
		seq_printf(s, "%u\n", c->level);
		break;
	case TYPE:
		seq_printf(s, "%s\n", types[c->type & 3]);
		break;
	case SIZE:
		seq_printf(s, "%luK\n", (u64)c->line * c->ways * c->sets / 1024);
		break;
	case LINE:
		seq_printf(s, "%u\n", c->line);
		break;
	case WAYS:
		seq_printf(s, "%u\n", c->ways);
		break;
	case SETS:
		seq_printf(s, "%u\n", c->sets);
		break;
	case PARTITION:
		seq_puts(s, "1\n");
		break;
	case ID:
		seq_printf(s, "%u\n", first);
		break;
	case SHARED_LIST:
		seq_cpu_list(s, first, last);
		break;
	default:
		seq_cpu_mask(s, first, last);
	}
	return 0;
}

void sysfs_add_caches(struct dentry *cpu_dir, u32 cpu)
{
	static const char *const names[NFIELDS] = { "level", "type", "size", "coherency_line_size", "ways_of_associativity", "number_of_sets",
						    "physical_line_partition", "id", "shared_cpu_list", "shared_cpu_map" };
	struct dentry *dir, *one;
	struct cache_file *f = files_of[cpu];
	char name[16];

	if (!ncaches)
		read_caches();
	if (!f)
		f = files_of[cpu] = kmalloc(MAX(ncaches, 1u) * NFIELDS * sizeof(*f));
	if (!ncaches || !f)
		return;
	dir = simple_add_dir(cpu_dir, "cache", 0755);
	for (u32 i = 0; i < ncaches; i++) {
		ksnprintf(name, sizeof(name), "index%u", i);
		one = simple_add_dir(dir, name, 0755);
		for (u32 n = 0; n < NFIELDS; n++, f++) {
			*f = (struct cache_file){ { show, NULL }, &caches[i], cpu, n };
			sysfs_add_text(one, names[n], &f->file);
		}
	}
}
