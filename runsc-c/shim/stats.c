/* Metrics of a container's cgroup, in the messages that containerd has for cgroup v1 and v2. */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "messages.pb-c.h"
#include "shim/container.h"
#include "shim/shim.h"

/* ---- where it is ---- */

/* Is `controller` one of a list with commas? */
static bool listed(const char *list, const char *controller)
{
	size_t n = strlen(controller);

	for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (!strncmp(p, controller, n) && (p[n] == ',' || !p[n]))
			return true;
	return false;
}

/* Where its hierarchy is mounted, and what of it; "" is cgroup v2's. */
static char *mount_point(const char *controller)
{
	FILE *f = setmntent("/proc/self/mounts", "r");
	struct mntent *m;
	char *found = NULL;

	while (f && !found && (m = getmntent(f)))
		if (!strcmp(m->mnt_type, *controller ? "cgroup" : "cgroup2") &&
		    (!*controller || listed(m->mnt_opts, controller)))
			found = copy_of(m->mnt_dir);
	if (f)
		endmntent(f);
	return found;
}

/* Lines of /proc/PID/cgroup: number, controllers, path. */
static char *path_in_hierarchy(pid_t pid, const char *controller)
{
	char *name = text("/proc/%d/cgroup", (int)pid), *all = read_text(name), *rest = all, *line, *found = NULL;

	while (!found && (line = strsep(&rest, "\n"))) {
		char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		if (*controller ? listed(controllers + 1, controller) : !controllers[1])
			found = copy_of(path);
	}
	free(all);
	free(name);
	return found;
}

char *cgroup_folder(pid_t pid, const char *controller)
{
	char *path = path_in_hierarchy(pid, controller), *at = path ? mount_point(controller) : NULL,
	     *dir = at ? text("%s%s", at, path) : NULL;

	free(path);
	free(at);
	return dir;
}

/* ---- what it says ---- */

static char *read_in(const char *dir, const char *file)
{
	char *path = text("%s/%s", dir, file), *s = read_text(path);

	free(path);
	return s;
}

/* "max" is as large as it can be. */
static u64 number_of(const char *s)
{
	return s && !strncmp(s, "max", 3) ? ~0ull : s ? strtoull(s, NULL, 10) : 0;
}

static u64 number_in(const char *dir, const char *file)
{
	char *s = read_in(dir, file);
	u64 n = number_of(s);

	free(s);
	return n;
}

struct field {
	const char *name;
	size_t offset; /* of a u64 */
};

/* A file of lines "NAME NUMBER". */
static void read_fields(const char *dir, const char *file, const struct field *fields, u32 n, void *to)
{
	char *all = read_in(dir, file), *rest = all, *line;

	while ((line = strsep(&rest, "\n"))) {
		char *value = strchr(line, ' ');

		if (!value)
			continue;
		*value++ = '\0';
		for (u32 i = 0; i < n; i++)
			if (!strcmp(fields[i].name, line)) {
				u64 v = number_of(value);

				memcpy((char *)to + fields[i].offset, &v, sizeof(v));
			}
	}
	free(all);
}

static bool pids(PidsStat *p, const char *dir)
{
	if (!dir)
		return false;
	p->current = number_in(dir, "pids.current");
	p->limit = number_in(dir, "pids.max");
	if (p->limit == ~0ull) /* none, as containerd says it */
		p->limit = 0;
	return true;
}

static void answer(struct call *call, const char *type, const ProtobufCMessage *m)
{
	StatsResponse r = STATS_RESPONSE__INIT;
	Any any = ANY__INIT;

	any.type_url = (char *)type;
	any.value.len = protobuf_c_message_get_packed_size(m);
	any.value.data = must(malloc(any.value.len + 1));
	protobuf_c_message_pack(m, any.value.data);
	r.stats = &any;
	call_answer(call, &r.base);
	free(any.value.data);
}

/* ---- cgroup v1 ---- */

#define M(name, member)                                                                                                \
	{                                                                                                              \
		name, offsetof(MemoryV1, member)                                                                       \
	}
static const struct field memory_v1[] = {
    M("cache", cache),
    M("rss", rss),
    M("rss_huge", rss_huge),
    M("mapped_file", mapped_file),
    M("dirty", dirty),
    M("writeback", writeback),
    M("pgpgin", pg_pg_in),
    M("pgpgout", pg_pg_out),
    M("pgfault", pg_fault),
    M("pgmajfault", pg_maj_fault),
    M("inactive_anon", inactive_anon),
    M("active_anon", active_anon),
    M("inactive_file", inactive_file),
    M("active_file", active_file),
    M("unevictable", unevictable),
    M("hierarchical_memory_limit", hierarchical_memory_limit),
    M("hierarchical_memsw_limit", hierarchical_swap_limit),
    M("total_cache", total_cache),
    M("total_rss", total_rss),
    M("total_rss_huge", total_rss_huge),
    M("total_mapped_file", total_mapped_file),
    M("total_dirty", total_dirty),
    M("total_writeback", total_writeback),
    M("total_pgpgin", total_pg_pg_in),
    M("total_pgpgout", total_pg_pg_out),
    M("total_pgfault", total_pg_fault),
    M("total_pgmajfault", total_pg_maj_fault),
    M("total_inactive_anon", total_inactive_anon),
    M("total_active_anon", total_active_anon),
    M("total_inactive_file", total_inactive_file),
    M("total_active_file", total_active_file),
    M("total_unevictable", total_unevictable),
};
#undef M

static void memory_entry(MemoryEntryV1 *e, const char *dir, const char *prefix)
{
	const struct {
		const char *name;
		u64 *to;
	} files[] = {{"limit_in_bytes", &e->limit},
		     {"usage_in_bytes", &e->usage},
		     {"max_usage_in_bytes", &e->max},
		     {"failcnt", &e->failcnt}};
	char name[64];

	memory_entry_v1__init(e);
	for (u32 i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(name, sizeof(name), "%s.%s", prefix, files[i].name);
		*files[i].to = number_in(dir, name);
	}
}

/* Lines "MAJOR:MINOR OPERATION BYTES". */
static size_t read_blkio(const char *dir, const char *file, BlkioEntryV1 ***out)
{
	char *all = read_in(dir, file), *rest = all, *line;
	BlkioEntryV1 **v = NULL;
	size_t n = 0;

	while ((line = strsep(&rest, "\n"))) {
		unsigned major, minor;
		unsigned long long value;
		char op[16];

		if (sscanf(line, "%u:%u %15s %llu", &major, &minor, op, &value) != 4)
			continue;
		v = must(realloc(v, (n + 1) * sizeof(*v)));
		v[n] = must(malloc(sizeof(**v)));
		blkio_entry_v1__init(v[n]);
		v[n]->op = copy_of(op);
		v[n]->major = major;
		v[n]->minor = minor;
		v[n]->value = value;
		n++;
	}
	free(all);
	*out = v;
	return n;
}

static void free_blkio(BlkioEntryV1 **v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(v[i]->op);
		free(v[i]);
	}
	free(v);
}

static size_t read_per_cpu(const char *dir, u64 **out)
{
	char *all = read_in(dir, "cpuacct.usage_percpu"), *rest = all, *word;
	u64 *v = NULL;
	size_t n = 0;

	while ((word = strsep(&rest, " \n")))
		if (*word) {
			v = must(realloc(v, (n + 1) * sizeof(*v)));
			v[n++] = number_of(word);
		}
	free(all);
	*out = v;
	return n;
}

static void cpu_v1(CpuV1 *cpu, CpuUsageV1 *usage, ThrottleV1 *throttle, const char *dir)
{
	static const struct field throttled[] = {{"nr_periods", offsetof(ThrottleV1, periods)},
						 {"nr_throttled", offsetof(ThrottleV1, throttled_periods)},
						 {"throttled_time", offsetof(ThrottleV1, throttled_time)}};

	cpu_v1__init(cpu);
	cpu_usage_v1__init(usage);
	throttle_v1__init(throttle);
	usage->total = number_in(dir, "cpuacct.usage");
	usage->user = number_in(dir, "cpuacct.usage_user");
	usage->kernel = number_in(dir, "cpuacct.usage_sys");
	usage->n_per_cpu = read_per_cpu(dir, &usage->per_cpu);
	cpu->usage = usage;
	cpu->throttling = throttle;
	read_fields(dir, "cpu.stat", throttled, ARRAY_SIZE(throttled), throttle);
}

static void answer_v1(pid_t pid, const char *memory_dir, struct call *call)
{
	char *pids_dir = cgroup_folder(pid, "pids"), *cpu_dir = cgroup_folder(pid, "cpuacct"),
	     *blkio_dir = cgroup_folder(pid, "blkio");
	MetricsV1 m = METRICS_V1__INIT;
	PidsStat p = PIDS_STAT__INIT;
	CpuV1 cpu;
	CpuUsageV1 usage;
	ThrottleV1 throttle;
	MemoryV1 memory = MEMORY_V1__INIT;
	MemoryEntryV1 entries[4];
	BlkioV1 blkio = BLKIO_V1__INIT;

	m.pids = pids(&p, pids_dir) ? &p : NULL;
	if (cpu_dir) {
		cpu_v1(&cpu, &usage, &throttle, cpu_dir);
		m.cpu = &cpu;
	}
	read_fields(memory_dir, "memory.stat", memory_v1, ARRAY_SIZE(memory_v1), &memory);
	memory_entry(memory.usage = &entries[0], memory_dir, "memory");
	memory_entry(memory.swap = &entries[1], memory_dir, "memory.memsw");
	memory_entry(memory.kernel = &entries[2], memory_dir, "memory.kmem");
	memory_entry(memory.kernel_tcp = &entries[3], memory_dir, "memory.kmem.tcp");
	m.memory = &memory;
	if (blkio_dir) {
		blkio.n_io_service_bytes_recursive =
		    read_blkio(blkio_dir, "blkio.throttle.io_service_bytes", &blkio.io_service_bytes_recursive);
		blkio.n_io_serviced_recursive =
		    read_blkio(blkio_dir, "blkio.throttle.io_serviced", &blkio.io_serviced_recursive);
		m.blkio = &blkio;
	}
	answer(call, "io.containerd.cgroups.v1.Metrics", &m.base);
	free_blkio(blkio.io_service_bytes_recursive, blkio.n_io_service_bytes_recursive);
	free_blkio(blkio.io_serviced_recursive, blkio.n_io_serviced_recursive);
	if (cpu_dir)
		free(usage.per_cpu);
	free(pids_dir);
	free(cpu_dir);
	free(blkio_dir);
}

/* ---- cgroup v2 ---- */

#define M(member)                                                                                                      \
	{                                                                                                              \
#member, offsetof(MemoryV2, member)                                                                    \
	}
static const struct field memory_v2[] = {
    M(anon),
    M(file),
    M(kernel_stack),
    M(slab),
    M(sock),
    M(shmem),
    M(file_mapped),
    M(file_dirty),
    M(file_writeback),
    M(anon_thp),
    M(inactive_anon),
    M(active_anon),
    M(inactive_file),
    M(active_file),
    M(unevictable),
    M(slab_reclaimable),
    M(slab_unreclaimable),
    M(pgfault),
    M(pgmajfault),
    M(workingset_refault),
    M(workingset_activate),
    M(workingset_nodereclaim),
    M(pgrefill),
    M(pgscan),
    M(pgsteal),
    M(pgactivate),
    M(pgdeactivate),
    M(pglazyfree),
    M(pglazyfreed),
    M(thp_fault_alloc),
    M(thp_collapse_alloc),
};
#undef M
#define C(member)                                                                                                      \
	{                                                                                                              \
#member, offsetof(CpuV2, member)                                                                       \
	}
static const struct field cpu_v2[] = {C(usage_usec), C(user_usec),    C(system_usec),
				      C(nr_periods), C(nr_throttled), C(throttled_usec)};
#undef C
#define E(member)                                                                                                      \
	{                                                                                                              \
#member, offsetof(EventsV2, member)                                                                    \
	}
static const struct field events_v2[] = {E(low), E(high), E(max), E(oom), E(oom_kill)};
#undef E

/* Lines "MAJOR:MINOR rbytes=N wbytes=N rios=N wios=N ...". */
static size_t read_io(const char *dir, IoEntryV2 ***out)
{
	char *all = read_in(dir, "io.stat"), *rest = all, *line;
	IoEntryV2 **v = NULL;
	size_t n = 0;

	while ((line = strsep(&rest, "\n"))) {
		IoEntryV2 e = IO_ENTRY_V2__INIT;
		unsigned long long rb = 0, wb = 0, ri = 0, wi = 0;
		unsigned major, minor;

		if (sscanf(line, "%u:%u rbytes=%llu wbytes=%llu rios=%llu wios=%llu", &major, &minor, &rb, &wb, &ri,
			   &wi) != 6)
			continue;
		e.major = major;
		e.minor = minor;
		e.rbytes = rb;
		e.wbytes = wb;
		e.rios = ri;
		e.wios = wi;
		v = must(realloc(v, (n + 1) * sizeof(*v)));
		v[n] = must(malloc(sizeof(e)));
		*v[n++] = e;
	}
	free(all);
	*out = v;
	return n;
}

static void answer_v2(const char *dir, struct call *call)
{
	MetricsV2 m = METRICS_V2__INIT;
	PidsStat p = PIDS_STAT__INIT;
	CpuV2 cpu = CPU_V2__INIT;
	MemoryV2 memory = MEMORY_V2__INIT;
	EventsV2 events = EVENTS_V2__INIT;
	IoV2 io = IO_V2__INIT;

	pids(&p, dir);
	read_fields(dir, "cpu.stat", cpu_v2, ARRAY_SIZE(cpu_v2), &cpu);
	read_fields(dir, "memory.stat", memory_v2, ARRAY_SIZE(memory_v2), &memory);
	read_fields(dir, "memory.events", events_v2, ARRAY_SIZE(events_v2), &events);
	memory.usage = number_in(dir, "memory.current");
	memory.usage_limit = number_in(dir, "memory.max");
	memory.swap_usage = number_in(dir, "memory.swap.current");
	memory.swap_limit = number_in(dir, "memory.swap.max");
	io.n_usage = read_io(dir, &io.usage);
	m.pids = &p;
	m.cpu = &cpu;
	m.memory = &memory;
	m.memory_events = &events;
	m.io = &io;
	answer(call, "io.containerd.cgroups.v2.Metrics", &m.base);
	for (size_t i = 0; i < io.n_usage; i++)
		free(io.usage[i]);
	free(io.usage);
}

void stats_answer(struct container *c, struct call *call)
{
	pid_t pid = process_find(c, "")->pid;
	char *v1 = cgroup_folder(pid, "memory"), *v2 = v1 ? NULL : cgroup_folder(pid, "");

	if (v1)
		answer_v1(pid, v1, call);
	else if (v2)
		answer_v2(v2, call);
	else
		call_fail(call, RPC_NOT_FOUND, "container %s: no cgroup that could be measured: not found", c->id);
	free(v1);
	free(v2);
}
