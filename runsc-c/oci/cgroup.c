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

#include "oci/cgroup.h"
#include "oci/oci.h"

struct hierarchy {
	char mount[512], controllers[256]; /* v1: "cpu,cpuacct"; v2: "" */
	bool v2;
};
#define HIERARCHIES_MAX CONTAINER_CGROUPS_MAX

int cgroup_write(const char *dir, const char *file, const char *text)
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
			cgroup_write(dir, files[i], text);
}

static int make_directories(const struct hierarchy *h, const char *dir)
{
	static const char *const children_use[] = { "+cpu", "+memory", "+pids", "+io", "+cpuset", "+hugetlb", "+rdma" };
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
			for (u32 i = 0; i < ARRAY_SIZE(children_use); i++)
				cgroup_write(path, "cgroup.subtree_control", children_use[i]);
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
	int err;

	if (spec->cgroups_path && !safe_path(spec->cgroups_path))
		return oci_fail("linux.cgroupsPath: %s: '..' has no place there", spec->cgroups_path);
	for (u32 i = 0; i < n; i++)
		if (!place(&h[i], spec->cgroups_path, c->id, c->cgroups[i], sizeof(c->cgroups[i])))
			return oci_fail("linux.cgroupsPath: the path is too long");
	c->ncgroups = n;
	err = container_save(c); /* whoever ends us now can find what there is to remove */
	c->ncgroups = 0;
	for (u32 i = 0; i < n && !err; i++) {
		const char *dir = c->cgroups[i];

		err = make_directories(&h[i], dir);
		if ((err == -EROFS || err == -EACCES || err == -EPERM) && strcmp(oci_options.rootless, "false")) {
			/* Not ours to change: go without, as an unprivileged runtime does. */
			oci_warn("cgroup %s: %s: this controller is left out", dir, strerror(-err));
			err = 0;
			continue;
		}
		if (err)
			return oci_fail("cgroup %s: %s", dir, strerror(-err));
		memmove(c->cgroups[c->ncgroups++], dir, sizeof(c->cgroups[0]));
	}
	if (err)
		return err;
	if (cgroup_frozen(c)) /* it is somebody else's: ours would wait for ever */
		return oci_fail("the container's cgroup is unexpectedly frozen");
	return spec->resources ? cgroup_update(c, spec->resources) : 0;
}

/* The directory that has this file. */
const char *cgroup_dir_with(const struct container *c, const char *file)
{
	char path[4400];

	for (u32 i = 0; i < c->ncgroups; i++) {
		snprintf(path, sizeof(path), "%s/%s", c->cgroups[i], file);
		if (access(path, F_OK) == 0)
			return c->cgroups[i];
	}
	return NULL;
}

/* ---- who is in ---- */

int cgroup_join(const struct container *c, pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	for (u32 i = 0; i < c->ncgroups; i++) {
		int err = cgroup_write(c->cgroups[i], "cgroup.procs", text);

		if (err)
			return oci_fail("cgroup %s: joining: %s", c->cgroups[i], strerror(-err));
	}
	return 0;
}

bool cgroup_is_v2(const struct container *c)
{
	struct statfs fs;

	return c->ncgroups == 1 && statfs(c->cgroups[0], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

int cgroup_open_only(const struct container *c)
{
	return !cgroup_is_v2(c) ? -1 : open(c->cgroups[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* The last of a container's processes leave a moment after their parent. */
void cgroup_remove(const struct container *c)
{
	for (u32 i = 0; i < c->ncgroups; i++)
		for (u32 tries = 0; rmdir(c->cgroups[i]) < 0 && errno == EBUSY; tries++) {
			if (tries == 2000) {
				oci_warn("cgroup %s: still in use", c->cgroups[i]);
				break;
			}
			usleep(1000);
		}
}

int cgroup_freeze(const struct container *c, bool frozen)
{
	const char *dir = cgroup_dir_with(c, "freezer.state"), *file = "freezer.state", *want = frozen ? "FROZEN" : "THAWED";
	char text[64];
	int err;

	if (!dir) {
		file = "cgroup.freeze";
		want = frozen ? "1" : "0";
		dir = cgroup_dir_with(c, file);
	}
	if (!dir)
		return oci_fail("no cgroup of this container can be frozen");
	err = cgroup_write(dir, file, want);
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
	const char *dir = cgroup_dir_with(c, "freezer.state");
	char text[256];

	if (dir)
		return read_text(dir, "freezer.state", text, sizeof(text)) && strcmp(text, "THAWED");
	dir = cgroup_dir_with(c, "cgroup.freeze");
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
	const char *dir = cgroup_dir_with(c, file);
	char text[64], *end;

	if (!dir || !read_text(dir, file, text, sizeof(text)))
		return false;
	*out = strtoull(text, &end, 10);
	return end != text;
}
