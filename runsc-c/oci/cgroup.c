/*
 * The container's cgroups: version 1 (a hierarchy a controller), version 2, or both at once (hybrid). See cgroups(7), runtime-spec
 * config-linux.md "Control groups". Devices need no rules: the sandbox has none of the host's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oci/oci.h"

struct hierarchy {
	char mount[512], controllers[256]; /* v1: "cpu,cpuacct"; v2: "" */
	bool v2;
};
#define HIERARCHIES_MAX CONTAINER_CGROUPS_MAX

static int write_text(const char *dir, const char *file, const char *text)
{
	char path[4400];
	int fd, err = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static bool read_text(const char *dir, const char *file, char *out, size_t size)
{
	char path[4400];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, out, size - 1);
	close(fd);
	if (n < 0)
		return false;
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return true;
}

/* ---- where they are ---- */

/* The mount is what is seen at its path: another may lie on top. */
static bool is_visible(const struct hierarchy *h)
{
	struct statfs fs;

	return !statfs(h->mount, &fs) && fs.f_type == (h->v2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC);
}

static u32 find_hierarchies(struct hierarchy *h)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096];
	u32 n = 0;

	while (f && n < HIERARCHIES_MAX && fgets(line, sizeof(line), f)) {
		char type[32], options[256], *tail = strstr(line, " - ");

		if (!tail || sscanf(line, "%*d %*d %*s %*s %511s", h[n].mount) != 1 ||
		    sscanf(tail + 3, "%31s %*s %255s", type, options) != 2)
			continue;
		h[n].v2 = !strcmp(type, "cgroup2");
		if ((!h[n].v2 && strcmp(type, "cgroup")) || !is_visible(&h[n]))
			continue;
		h[n].controllers[0] = '\0';
		if (!h[n].v2) {
			char *p = strncmp(options, "rw,", 3) && strncmp(options, "ro,", 3) ? options : options + 3;

			snprintf(h[n].controllers, sizeof(h[n].controllers), "%s", p);
		}
		n++;
	}
	if (f)
		fclose(f);
	return n;
}

bool cgroup_describe(char *out, size_t size)
{
	static struct hierarchy h[HIERARCHIES_MAX];
	u32 n = find_hierarchies(h), writable = 0;
	bool v2 = false, v1 = false;
	char list[512] = "";

	for (u32 i = 0; i < n; i++) {
		size_t used = strlen(list);
		char available[256] = "";

		v2 = v2 || h[i].v2;
		v1 = v1 || !h[i].v2;
		writable += access(h[i].mount, W_OK) == 0;
		if (h[i].v2)
			read_text(h[i].mount, "cgroup.controllers", available, sizeof(available));
		snprintf(list + used, sizeof(list) - used, " %s", h[i].v2 ? available : h[i].controllers);
	}
	snprintf(out, size, "%s%s%s", !n ? "none is mounted" : v1 && v2 ? "versions 1 and 2:" : v2 ? "version 2:" : "version 1:", list,
		 n && !writable ? ": may not be written" : "");
	return n && writable;
}

static bool has_controller(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (!strncmp(p, name, n) && (p[n] == ',' || !p[n]))
			return true;
	return false;
}

/* Our own place in a hierarchy: where a container without a path goes. */
static void own_place(const struct hierarchy *h, char *out, size_t size)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[4096];

	snprintf(out, size, "/");
	while (f && fgets(line, sizeof(line), f)) {
		char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		if (h->v2 ? !controllers[1] : controllers[1] && has_controller(h->controllers, controllers + 1)) {
			snprintf(out, size, "%s", path);
			break;
		}
	}
	if (f)
		fclose(f);
}

/* A new v1 cpuset is empty, and nothing can join it before it has CPUs and nodes. */
static void inherit_cpuset(const char *dir)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	char parent[4096], text[1024];

	snprintf(parent, sizeof(parent), "%s", dir);
	*strrchr(parent, '/') = '\0';
	for (u32 i = 0; i < ARRAY_SIZE(files); i++)
		if (read_text(dir, files[i], text, sizeof(text)) && !*text && read_text(parent, files[i], text, sizeof(text)))
			write_text(dir, files[i], text);
}

static int make_directories(const struct hierarchy *h, const char *dir)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s", dir);
	for (char *p = path + strlen(h->mount) + 1;; p++) {
		bool last = !*p;

		if (*p && *p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -errno;
		if (has_controller(h->controllers, "cpuset"))
			inherit_cpuset(path);
		if (last)
			return 0;
		if (h->v2) /* what its children may use; those that are not there are refused one by one */
			for (const char *const *c = (const char *const[]){ "+cpu", "+memory", "+pids", "+io", "+cpuset", NULL }; *c; c++)
				write_text(path, "cgroup.subtree_control", *c);
		*p = '/';
	}
}

static bool safe_path(const char *path)
{
	for (const char *p = path; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
		if (!strncmp(p, "..", 2) && (p[2] == '/' || !p[2]))
			return false;
	return true;
}

/* The container's directory in a hierarchy. False: the path is too long. */
static bool place(const struct hierarchy *h, const char *wanted, const char *id, char *out, size_t size)
{
	char own[1024] = "";
	int n;

	if (wanted) {
		n = snprintf(out, size, "%s%s%s", h->mount, wanted[0] == '/' ? "" : "/", wanted);
	} else {
		own_place(h, own, sizeof(own));
		n = snprintf(out, size, "%s%s/%s", h->mount, strcmp(own, "/") ? own : "", id);
	}
	return (size_t)n < size - 256; /* files below it are opened */
}

int cgroup_create(struct container *c, const struct spec *spec)
{
	static struct hierarchy h[HIERARCHIES_MAX];
	u32 n = find_hierarchies(h);

	if (spec->cgroups_path && !safe_path(spec->cgroups_path))
		return oci_fail("linux.cgroupsPath: %s: '..' has no place there", spec->cgroups_path);
	for (u32 i = 0; i < n; i++) {
		char dir[sizeof(c->cgroups[0])];
		int err;

		if (!place(&h[i], spec->cgroups_path, c->id, dir, sizeof(dir)))
			return oci_fail("linux.cgroupsPath: the path is too long");
		err = make_directories(&h[i], dir);
		if (err == -EROFS || err == -EACCES || err == -EPERM) { /* not ours to change: go without, as an unprivileged runtime does */
			oci_warn("cgroup %s: %s: this controller is left out", dir, strerror(-err));
			continue;
		}
		if (err)
			return oci_fail("cgroup %s: %s", dir, strerror(-err));
		memcpy(c->cgroups[c->ncgroups++], dir, sizeof(dir));
	}
	return spec->resources ? cgroup_update(c, spec->resources) : 0;
}

/* The directory that has this file. */
static const char *dir_with(const struct container *c, const char *file)
{
	char path[4400];

	for (u32 i = 0; i < c->ncgroups; i++) {
		snprintf(path, sizeof(path), "%s/%s", c->cgroups[i], file);
		if (access(path, F_OK) == 0)
			return c->cgroups[i];
	}
	return NULL;
}

/* ---- limits ---- */

static int set(const struct container *c, const char *what, const char *v1, const char *v2, const char *text1, const char *text2)
{
	const char *dir = dir_with(c, v1);
	int err;

	if (dir) {
		err = write_text(dir, v1, text1);
	} else {
		dir = v2 ? dir_with(c, v2) : NULL;
		if (!dir)
			return oci_fail("linux.resources.%s: no cgroup controller of this host has it", what);
		err = write_text(dir, v2, text2);
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
	bool has_limit = json_s64(r, memory, "linux.resources.memory", "limit", &limit) && limit;
	bool has_swap = json_s64(r, memory, "linux.resources.memory", "swap", &swap) && swap;
	char text[32];
	int err = 0;

	/* Neither order suits both ways on v1: the limit may not be above that of memory and swap together. */
	if (has_limit && has_swap && dir_with(c, "memory.memsw.limit_in_bytes")) {
		snprintf(text, sizeof(text), "%lld", (long long)limit);
		if (write_text(dir_with(c, "memory.limit_in_bytes"), "memory.limit_in_bytes", text) < 0)
			err = set_limit(c, "memory.swap", "memory.memsw.limit_in_bytes", NULL, swap);
	}
	if (!err && has_limit)
		err = set_limit(c, "memory.limit", "memory.limit_in_bytes", "memory.max", limit);
	if (!err && has_swap && dir_with(c, "memory.memsw.limit_in_bytes"))
		err = set_limit(c, "memory.swap", "memory.memsw.limit_in_bytes", NULL, swap);
	else if (!err && has_swap && dir_with(c, "memory.swap.max"))
		err = set_limit(c, "memory.swap", "-", "memory.swap.max", swap < 0 ? -1 : swap - limit);
	if (!err && json_s64(r, memory, "linux.resources.memory", "reservation", &v) && v)
		err = set_limit(c, "memory.reservation", "memory.soft_limit_in_bytes", "memory.low", v);
	return err;
}

u64 cgroup_weight(u64 shares)
{
	return 1 + (MAX(shares, 2ull) - 2) * 9999 / 262142;
}

static int set_cpu(const struct container *c, struct json_object *cpu, struct json_reader *r)
{
	const char *text;
	s64 quota = 0;
	u64 shares, period = 100000;
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
		if (dir_with(c, "cpu.cfs_period_us"))
			err = set_limit(c, "cpu.period", "cpu.cfs_period_us", NULL, (s64)period);
		if (!err) {
			char v1[32];

			snprintf(v1, sizeof(v1), "%lld", (long long)quota);
			err = set(c, "cpu.quota", "cpu.cfs_quota_us", "cpu.max", v1, v2);
		}
	}
	text = json_text(r, cpu, "linux.resources.cpu", "cpus");
	if (!err && text && *text)
		err = set(c, "cpu.cpus", "cpuset.cpus", "cpuset.cpus", text, text);
	text = json_text(r, cpu, "linux.resources.cpu", "mems");
	if (!err && text && *text)
		err = set(c, "cpu.mems", "cpuset.mems", "cpuset.mems", text, text);
	return err;
}

static int set_others(const struct container *c, struct json_object *resources, struct json_reader *r)
{
	struct json_object *pids = json_member(r, resources, "linux.resources", "pids", json_type_object);
	struct json_object *block = json_member(r, resources, "linux.resources", "blockIO", json_type_object);
	s64 limit = 0;
	u64 weight = 0;
	int err = 0;

	if (json_s64(r, pids, "linux.resources.pids", "limit", &limit) && limit) {
		char text[32];

		snprintf(text, sizeof(text), limit < 0 ? "max" : "%lld", (long long)limit);
		err = set(c, "pids.limit", "pids.max", "pids.max", text, text);
	}
	if (!err && json_u64(r, block, "linux.resources.blockIO", "weight", 1000, &weight) && weight)
		err = set_limit(c, "blockIO.weight", dir_with(c, "blkio.bfq.weight") ? "blkio.bfq.weight" : "blkio.weight", "io.bfq.weight",
				(s64)weight);
	return err;
}

int cgroup_update(const struct container *c, struct json_object *resources)
{
	struct json_reader r = { .document = "linux.resources" };
	int err = set_memory(c, json_member(&r, resources, "linux.resources", "memory", json_type_object), &r);

	if (!err)
		err = set_cpu(c, json_member(&r, resources, "linux.resources", "cpu", json_type_object), &r);
	if (!err)
		err = set_others(c, resources, &r);
	return !err && r.failed ? oci_fail("%s", r.error) : err;
}

/* ---- who is in ---- */

int cgroup_join(const struct container *c, pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	for (u32 i = 0; i < c->ncgroups; i++) {
		int err = write_text(c->cgroups[i], "cgroup.procs", text);

		if (err)
			return oci_fail("cgroup %s: joining: %s", c->cgroups[i], strerror(-err));
	}
	return 0;
}

int cgroup_open_only(const struct container *c)
{
	struct statfs fs;

	if (c->ncgroups != 1 || statfs(c->cgroups[0], &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
		return -1;
	return open(c->cgroups[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* The last of a container's processes leave a moment after their parent. */
void cgroup_remove(const struct container *c)
{
	for (u32 i = 0; i < c->ncgroups; i++)
		for (u32 tries = 0; rmdir(c->cgroups[i]) < 0 && errno == EBUSY; tries++) {
			if (tries == 500) {
				oci_warn("cgroup %s: still in use", c->cgroups[i]);
				break;
			}
			usleep(1000);
		}
}

int cgroup_freeze(const struct container *c, bool frozen)
{
	const char *dir = dir_with(c, "freezer.state"), *file = "freezer.state", *want = frozen ? "FROZEN" : "THAWED";
	char text[64];
	int err;

	if (!dir) {
		file = "cgroup.freeze";
		want = frozen ? "1" : "0";
		dir = dir_with(c, file);
	}
	if (!dir)
		return oci_fail("no cgroup of this container can be frozen");
	err = write_text(dir, file, want);
	if (err)
		return oci_fail("%s/%s: %s", dir, file, strerror(-err));
	for (u32 tries = 0; tries < 2000; tries++) {
		if (!strcmp(file, "cgroup.freeze") ? cgroup_frozen(c) == frozen : read_text(dir, file, text, sizeof(text)) && !strcmp(text, want))
			return 0;
		usleep(1000);
	}
	return oci_fail("%s/%s: the processes do not become %s", dir, file, want);
}

bool cgroup_frozen(const struct container *c)
{
	const char *dir = dir_with(c, "freezer.state");
	char text[256];

	if (dir)
		return read_text(dir, "freezer.state", text, sizeof(text)) && strcmp(text, "THAWED");
	dir = dir_with(c, "cgroup.freeze");
	return dir && read_text(dir, "cgroup.freeze", text, sizeof(text)) && !strcmp(text, "1");
}

s32 cgroup_pids(const struct container *c, pid_t *pids, u32 max)
{
	char path[4400];
	u32 n = 0;
	FILE *f;
	int pid;

	if (!c->ncgroups)
		return -1;
	snprintf(path, sizeof(path), "%s/cgroup.procs", c->cgroups[0]);
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (n < max && fscanf(f, "%d", &pid) == 1)
		pids[n++] = pid;
	fclose(f);
	return (s32)n;
}

bool cgroup_number(const struct container *c, const char *file, u64 *out)
{
	const char *dir = dir_with(c, file);
	char text[64], *end;

	if (!dir || !read_text(dir, file, text, sizeof(text)))
		return false;
	*out = strtoull(text, &end, 10);
	return end != text;
}
