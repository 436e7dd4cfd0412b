/* linux.resources into the files of a container's cgroups: config-linux.md, "Control groups". */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "oci/cgroup.h"
#include "oci/oci.h"

/* In the file of version 1, or that of version 2 where there is none. `what`: for messages, below linux.resources. */
static int set(const struct container *c, const char *what, const char *v1, const char *v2, const char *text1,
	       const char *text2)
{
	const char *dir = cgroup_dir_with(c, v1);
	int err;

	if (dir) {
		err = cgroup_write(dir, v1, text1);
	} else {
		dir = v2 ? cgroup_dir_with(c, v2) : NULL;
		if (!dir)
			return oci_fail("linux.resources.%s: no cgroup controller of this host has it", what);
		err = cgroup_write(dir, v2, text2);
	}
	return err ? oci_fail("linux.resources.%s: %s: %s", what, text1, strerror(-err)) : 0;
}

static int set_limit(const struct container *c, const char *what, const char *v1, const char *v2, s64 value)
{
	char text1[32], text2[32];

	snprintf(text1, sizeof(text1), "%lld", (long long)value);
	snprintf(text2, sizeof(text2), value < 0 ? "max" : "%lld", (long long)value);
	return set(c, what, v1, v2, text1, text2);
}

static int set_memory(const struct container *c, struct json_object *memory, struct json_reader *r)
{
	s64 limit = 0, swap = 0, v;
	u64 swappiness;
	bool has_limit = json_s64(r, memory, "linux.resources.memory", "limit", &limit) && limit;
	bool has_swap = json_s64(r, memory, "linux.resources.memory", "swap", &swap) && swap;
	char text[32];
	int err = 0;

	/* Neither order suits both ways on v1: the limit may not be above that of memory and swap together. */
	if (has_limit && has_swap && cgroup_dir_with(c, "memory.memsw.limit_in_bytes")) {
		snprintf(text, sizeof(text), "%lld", (long long)limit);
		if (cgroup_write(cgroup_dir_with(c, "memory.limit_in_bytes"), "memory.limit_in_bytes", text) < 0)
			err = set_limit(c, "memory.swap", "memory.memsw.limit_in_bytes", NULL, swap);
	}
	if (!err && has_limit)
		err = set_limit(c, "memory.limit", "memory.limit_in_bytes", "memory.max", limit);
	if (!err && has_swap && cgroup_dir_with(c, "memory.memsw.limit_in_bytes"))
		err = set_limit(c, "memory.swap", "memory.memsw.limit_in_bytes", NULL, swap);
	else if (!err && has_swap && cgroup_dir_with(c, "memory.swap.max"))
		err = set_limit(c, "memory.swap", "-", "memory.swap.max", swap < 0 ? -1 : swap - limit);
	if (!err && json_s64(r, memory, "linux.resources.memory", "reservation", &v) && v)
		err = set_limit(c, "memory.reservation", "memory.soft_limit_in_bytes", "memory.low", v);
	if (!err && json_u64(r, memory, "linux.resources.memory", "swappiness", 100, &swappiness) &&
	    cgroup_dir_with(c, "memory.swappiness"))
		err = set_limit(c, "memory.swappiness", "memory.swappiness", NULL, (s64)swappiness);
	if (!err && json_flag(r, memory, "linux.resources.memory", "disableOOMKiller") &&
	    cgroup_dir_with(c, "memory.oom_control"))
		err = set_limit(c, "memory.disableOOMKiller", "memory.oom_control", NULL, 1);
	return err;
}

u64 cgroup_weight(u64 shares)
{
	return 1 + (MAX(shares, 2ull) - 2) * 9999 / 262142;
}

static int set_cpu(const struct container *c, struct json_object *cpu, struct json_reader *r)
{
	const char *text;
	s64 quota = 0, runtime;
	u64 shares, period = 100000, real_time;
	char v2[64];
	int err = 0;

	if (json_u64(r, cpu, "linux.resources.cpu", "shares", UINT32_MAX, &shares) && shares) {
		char v1[32];

		snprintf(v1, sizeof(v1), "%llu", (unsigned long long)shares);
		snprintf(v2, sizeof(v2), "%llu", (unsigned long long)cgroup_weight(shares));
		err = set(c, "cpu.shares", "cpu.shares", "cpu.weight", v1, v2);
	}
	json_u64(r, cpu, "linux.resources.cpu", "period", UINT32_MAX, &period);
	if (!err && json_s64(r, cpu, "linux.resources.cpu", "quota", &quota) && quota) {
		if (quota < 0)
			snprintf(v2, sizeof(v2), "max %llu", (unsigned long long)period);
		else
			snprintf(v2, sizeof(v2), "%lld %llu", (long long)quota, (unsigned long long)period);
		if (cgroup_dir_with(c, "cpu.cfs_period_us"))
			err = set_limit(c, "cpu.period", "cpu.cfs_period_us", NULL, (s64)period);
		if (!err) {
			char v1[32];

			snprintf(v1, sizeof(v1), "%lld", (long long)quota);
			err = set(c, "cpu.quota", "cpu.cfs_quota_us", "cpu.max", v1, v2);
		}
	}
	if (!err && json_u64(r, cpu, "linux.resources.cpu", "realtimePeriod", UINT32_MAX, &real_time) && real_time)
		err = set_limit(c, "cpu.realtimePeriod", "cpu.rt_period_us", NULL, (s64)real_time);
	if (!err && json_s64(r, cpu, "linux.resources.cpu", "realtimeRuntime", &runtime) && runtime)
		err = set_limit(c, "cpu.realtimeRuntime", "cpu.rt_runtime_us", NULL, runtime);
	if (!err && json_s64(r, cpu, "linux.resources.cpu", "idle", &runtime))
		err = set_limit(c, "cpu.idle", "cpu.idle", "cpu.idle", runtime);
	text = json_text(r, cpu, "linux.resources.cpu", "cpus");
	if (!err && text && *text)
		err = set(c, "cpu.cpus", "cpuset.cpus", "cpuset.cpus", text, text);
	text = json_text(r, cpu, "linux.resources.cpu", "mems");
	if (!err && text && *text)
		err = set(c, "cpu.mems", "cpuset.mems", "cpuset.mems", text, text);
	return err;
}

static int set_pids(const struct container *c, struct json_object *pids, struct json_reader *r)
{
	s64 limit = 0;
	char text[32];

	if (!json_s64(r, pids, "linux.resources.pids", "limit", &limit) || !limit)
		return 0;
	snprintf(text, sizeof(text), limit < 0 ? "max" : "%lld", (long long)limit);
	return set(c, "pids.limit", "pids.max", "pids.max", text, text);
}

/* ---- block I/O ---- */

/* A list of { major, minor, rate }: one line a device. In version 2, all rates of a device have one file. */
static int set_throttle(const struct container *c, struct json_object *block, const char *name, const char *v1,
			const char *v2, struct json_reader *r)
{
	struct json_object *list = json_member(r, block, "linux.resources.blockIO", name, json_type_array);
	char where[96], text1[96], text2[96];

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		u64 rate = 0;
		s64 dev[2];
		int err;

		snprintf(where, sizeof(where), "linux.resources.blockIO.%s[%zu]", name, i);
		if (!json_s64(r, o, where, "major", &dev[0]) || !json_s64(r, o, where, "minor", &dev[1]) ||
		    !json_u64(r, o, where, "rate", INT64_MAX, &rate)) {
			json_fail(r, "%s: major, minor and rate are needed", where);
			return 0;
		}
		snprintf(text1, sizeof(text1), "%lld:%lld %llu", (long long)dev[0], (long long)dev[1],
			 (unsigned long long)rate);
		snprintf(text2, sizeof(text2), "%lld:%lld %s=%llu", (long long)dev[0], (long long)dev[1], v2,
			 (unsigned long long)rate);
		err = set(c, where + strlen("linux.resources."), v1, "io.max", text1, text2);
		if (err)
			return err;
	}
	return 0;
}

static int set_block(const struct container *c, struct json_object *block, struct json_reader *r)
{
	static const char *const throttles[][3] = {
		{ "throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps" },
		{ "throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps" },
		{ "throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops" },
		{ "throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops" },
	};
	u64 weight = 0;
	int err = 0;

	if (json_u64(r, block, "linux.resources.blockIO", "weight", 1000, &weight) && weight)
		err = set_limit(c, "blockIO.weight",
				cgroup_dir_with(c, "blkio.bfq.weight") ? "blkio.bfq.weight" : "blkio.weight",
				"io.bfq.weight", (s64)weight);
	for (u32 i = 0; i < ARRAY_SIZE(throttles) && !err; i++)
		err = set_throttle(c, block, throttles[i][0], throttles[i][1], throttles[i][2], r);
	return err;
}

/* ---- huge pages, networks ---- */

static int set_huge_pages(const struct container *c, struct json_object *list, struct json_reader *r)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		char where[64], v1[64], v2[64], text[32];
		const char *size;
		u64 limit;
		int err;

		snprintf(where, sizeof(where), "linux.resources.hugepageLimits[%zu]", i);
		size = json_text(r, o, where, "pageSize");
		if (!size || strchr(size, '/') || strlen(size) > 16 ||
		    !json_u64(r, o, where, "limit", INT64_MAX, &limit)) {
			json_fail(r, "%s: pageSize and limit are needed", where);
			return 0;
		}
		snprintf(v1, sizeof(v1), "hugetlb.%s.limit_in_bytes", size);
		snprintf(v2, sizeof(v2), "hugetlb.%s.max", size);
		snprintf(text, sizeof(text), "%llu", (unsigned long long)limit);
		err = set(c, where + strlen("linux.resources."), v1, v2, text, text);
		if (err)
			return err;
	}
	return 0;
}

/* Marks of packets: version 1 alone has them. */
static int set_network(const struct container *c, struct json_object *network, struct json_reader *r)
{
	struct json_object *list = json_member(r, network, "linux.resources.network", "priorities", json_type_array);
	u64 class = 0, priority;
	char text[128];
	int err = 0;

	if (json_u64(r, network, "linux.resources.network", "classID", UINT32_MAX, &class) && class)
		err = set_limit(c, "network.classID", "net_cls.classid", NULL, (s64) class);
	for (size_t i = 0; !err && list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *name = json_text(r, o, "linux.resources.network.priorities", "name");

		if (!name || !json_u64(r, o, "linux.resources.network.priorities", "priority", UINT32_MAX, &priority)) {
			json_fail(r, "linux.resources.network.priorities[%zu]: name and priority are needed", i);
			return 0;
		}
		snprintf(text, sizeof(text), "%s %llu", name, (unsigned long long)priority);
		err = set(c, "network.priorities", "net_prio.ifpriomap", NULL, text, text);
	}
	return err;
}

/* ---- version 2 by the names of its files ---- */

static int set_unified(const struct container *c, struct json_object *unified, struct json_reader *r)
{
	if (!unified)
		return 0;
	json_object_object_foreach(unified, name, value) {
		int err;

		if (!json_object_is_type(value, json_type_string)) {
			json_fail(r, "linux.resources.unified.%s: a string is needed", name);
			return 0;
		}
		if (!cgroup_is_v2(c))
			return oci_fail(
				"linux.resources.unified: invalid configuration: cannot use unified on cgroup v1");
		if (strchr(name, '/') || !strcmp(name, ".."))
			return oci_fail("linux.resources.unified: \"%s\" must be a file name (no slashes)", name);
		err = cgroup_write(c->cgroups[0], name, json_object_get_string(value));
		if (err)
			return oci_fail("linux.resources.unified.%s: %s: %s", name, json_object_get_string(value),
					strerror(-err));
	}
	return 0;
}

int cgroup_update(const struct container *c, struct json_object *resources)
{
	static const struct {
		const char *name;
		enum json_type type;
		int (*set)(const struct container *c, struct json_object *part, struct json_reader *r);
	} parts[] = { { "memory", json_type_object, set_memory },
		      { "cpu", json_type_object, set_cpu },
		      { "pids", json_type_object, set_pids },
		      { "blockIO", json_type_object, set_block },
		      { "hugepageLimits", json_type_array, set_huge_pages },
		      { "network", json_type_object, set_network },
		      { "unified", json_type_object, set_unified } };
	struct json_reader r = { .document = "linux.resources" };
	int err = 0;

	for (u32 i = 0; i < ARRAY_SIZE(parts) && !err && !r.failed; i++) {
		struct json_object *part = json_member(&r, resources, "linux.resources", parts[i].name, parts[i].type);

		if (part)
			err = parts[i].set(c, part, &r);
	}
	return !err && r.failed ? oci_fail("%s", r.error) : err;
}
