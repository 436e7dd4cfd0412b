/* A container's state: one folder below --root, with state.json, the lock, and the FIFO that start opens. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "oci/oci.h"

static bool name_ok(const char *id)
{
	return *id && strlen(id) < 250 && strcmp(id, ".") && strcmp(id, "..") &&
	       strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+.-") == strlen(id);
}

static int set_place(struct container *c, const char *id)
{
	memset(c, 0, sizeof(*c));
	c->lock = -1;
	if (!name_ok(id))
		return oci_fail("container id '%s': letters, digits and _ + . - only, at most 249", id);
	snprintf(c->id, sizeof(c->id), "%s", id);
	if ((size_t)snprintf(c->dir, sizeof(c->dir), "%s/%s", oci_options.root, id) >= sizeof(c->dir) - 64)
		return oci_fail("--root: %.64s...: the path is too long", oci_options.root);
	return 0;
}

static int missing(const struct container *c)
{
	return oci_fail("container \"%s\" does not exist", c->id);
}

/* Whoever had it may have deleted the container meanwhile: then the lock is of a file that is gone. */
static int take_lock(struct container *c)
{
	char path[4200];
	struct stat st;

	snprintf(path, sizeof(path), "%s/lock", c->dir);
	c->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (c->lock < 0 && (errno == ENOSPC || errno == EDQUOT) && rmdir(c->dir) == 0) { /* of a create that had no room for more */
		errno = ENOSPC;
		return oci_fail("%s: %s", path, strerror(errno));
	}
	if (c->lock < 0 && errno == ENOENT)
		return missing(c);
	if (c->lock < 0 || flock(c->lock, LOCK_EX) < 0 || fstat(c->lock, &st) < 0)
		return oci_fail("%s: %s", path, strerror(errno));
	return st.st_nlink ? 0 : missing(c);
}

static int make_root(void)
{
	char path[4096];

	if ((size_t)snprintf(path, sizeof(path), "%s", oci_options.root) >= sizeof(path))
		return oci_fail("--root: the path is too long");
	for (char *p = path + 1; *p; p++)
		if (*p == '/') {
			*p = '\0';
			mkdir(path, 0711);
			*p = '/';
		}
	if (mkdir(path, 0711) < 0 && errno != EEXIST)
		return oci_fail("--root: %s: %s", path, strerror(errno));
	return 0;
}

int container_new(struct container *c, const char *id)
{
	int err = set_place(c, id);

	if (!err)
		err = make_root();
	if (err)
		return err;
	if (mkdir(c->dir, 0711) < 0)
		return errno == EEXIST ? oci_fail("container with id exists: %s", id) : oci_fail("%s: %s", c->dir, strerror(errno));
	return take_lock(c);
}

/* Unlocked before it is closed: a child that was frozen as soon as it was in its cgroup may have the open file still. */
void container_close(struct container *c)
{
	if (c->lock >= 0) {
		flock(c->lock, LOCK_UN);
		close(c->lock);
	}
	c->lock = -1;
}

/* Everything in it: a writer that was killed leaves its file, too. */
static int empty_folder(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && unlinkat(dirfd(d), e->d_name, 0) < 0 && errno != ENOENT)
			err = -errno;
	closedir(d);
	return err;
}

int container_remove(struct container *c)
{
	for (u32 tries = 0; tries < 100; tries++) { /* somebody may be opening the lock just now */
		int err = empty_folder(c->dir);

		if (err && err != -ENOENT)
			return oci_fail("%s: %s", c->dir, strerror(-err));
		if (rmdir(c->dir) == 0 || errno == ENOENT)
			return 0;
		if (errno != ENOTEMPTY)
			break;
	}
	return oci_fail("%s: %s", c->dir, strerror(errno));
}

int write_file_atomically(const char *path, const char *text, mode_t mode)
{
	char tmp[4400];
	size_t n = strlen(text);
	int fd, err = 0;

	snprintf(tmp, sizeof(tmp), "%s.%d", path, (int)getpid());
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	if (write(fd, text, n) != (ssize_t)n)
		err = errno ? -errno : -EIO;
	if (close(fd) < 0 && !err)
		err = -errno;
	if (!err && rename(tmp, path) < 0)
		err = -errno;
	if (err)
		unlink(tmp);
	return err;
}

/* ---- state.json ---- */

int container_save(const struct container *c)
{
	struct json_object *o = json_object_new_object(), *cgroups = json_object_new_array();
	char path[4200];
	int err;

	json_object_object_add(o, "id", json_object_new_string(c->id));
	json_object_object_add(o, "pid", json_object_new_int(c->pid));
	json_object_object_add(o, "startTime", json_object_new_uint64(c->start_time));
	json_object_object_add(o, "bundle", json_object_new_string(c->bundle));
	json_object_object_add(o, "rootfs", json_object_new_string(c->rootfs));
	json_object_object_add(o, "created", json_object_new_string(c->created));
	for (u32 i = 0; i < c->ncgroups; i++)
		json_object_array_add(cgroups, json_object_new_string(c->cgroups[i]));
	json_object_object_add(o, "cgroups", cgroups);
	if (c->annotations)
		json_object_object_add(o, "annotations", json_object_get(c->annotations));
	if (c->hooks)
		json_object_object_add(o, "hooks", json_object_get(c->hooks));
	if (c->process)
		json_object_object_add(o, "process", json_object_get(c->process));
	snprintf(path, sizeof(path), "%s/state.json", c->dir);
	err = write_file_atomically(path, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY), 0600); /* environments hold secrets */
	json_object_put(o);
	return err ? oci_fail("%s: %s", path, strerror(-err)) : 0;
}

static void copy_text(char *to, size_t size, struct json_reader *r, struct json_object *o, const char *name)
{
	const char *text = json_text(r, o, "", name);

	snprintf(to, size, "%s", text ? text : "");
}

static void read_state(struct container *c, struct json_object *o, struct json_reader *r)
{
	char **cgroups = json_texts(r, o, "", "cgroups");
	s64 pid = 0;

	json_s64(r, o, "", "pid", &pid);
	c->pid = (pid_t)pid;
	json_u64(r, o, "", "startTime", UINT64_MAX, &c->start_time);
	copy_text(c->bundle, sizeof(c->bundle), r, o, "bundle");
	copy_text(c->rootfs, sizeof(c->rootfs), r, o, "rootfs");
	copy_text(c->created, sizeof(c->created), r, o, "created");
	c->annotations = json_object_get(json_member(r, o, "", "annotations", json_type_object));
	c->hooks = json_object_get(json_member(r, o, "", "hooks", json_type_object));
	c->process = json_object_get(json_member(r, o, "", "process", json_type_object));
	for (; cgroups && cgroups[c->ncgroups] && c->ncgroups < CONTAINER_CGROUPS_MAX; c->ncgroups++)
		snprintf(c->cgroups[c->ncgroups], sizeof(c->cgroups[0]), "%s", cgroups[c->ncgroups]);
	free(cgroups);
}

/* False: there is no state.json, of a create that was killed or is not that far. */
static bool load_state(struct container *c, int *err)
{
	struct json_reader r = { 0 };
	struct json_object *o;
	char path[4200];

	*err = 0;
	snprintf(path, sizeof(path), "%s/state.json", c->dir);
	if (access(path, F_OK) < 0)
		return false;
	o = json_load(&r, path);
	if (o)
		read_state(c, o, &r);
	json_object_put(o);
	if (r.failed)
		*err = oci_fail("%s", r.error);
	return true;
}

int container_open(struct container *c, const char *id)
{
	int err = set_place(c, id);

	if (err)
		return err;
	if (access(c->dir, F_OK) < 0)
		return missing(c);
	err = take_lock(c);
	if (!err)
		load_state(c, &err);
	return err;
}

int container_look(struct container *c, const char *id)
{
	int err = set_place(c, id);

	if (err)
		return err;
	return load_state(c, &err) ? err : missing(c);
}

/* ---- status ---- */

u64 process_start_time(pid_t pid)
{
	char path[64], text[1024], *p;
	unsigned long long start = 0;
	char state = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	p = strrchr(text, ')'); /* the name may have blanks; fields from the third on follow: state, and starttime as the 22nd */
	if (!p || sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &state, &start) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : start;
}

#define MARK_PATH_MAX 4200
static void mark_path(const struct container *c, char *path)
{
	snprintf(path, MARK_PATH_MAX, "%s/created", c->dir);
}

int container_mark_created(const struct container *c)
{
	char path[MARK_PATH_MAX];
	int fd;

	mark_path(c, path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return oci_fail("%s: %s", path, strerror(errno));
	close(fd);
	return 0;
}

void container_mark_started(const struct container *c)
{
	char path[MARK_PATH_MAX];

	mark_path(c, path);
	unlink(path);
}

enum container_status container_status(const struct container *c)
{
	char path[MARK_PATH_MAX];

	if (!c->pid || process_start_time(c->pid) != c->start_time)
		return STATUS_STOPPED;
	if (cgroup_frozen(c))
		return STATUS_PAUSED;
	mark_path(c, path);
	return access(path, F_OK) < 0 ? STATUS_RUNNING : STATUS_CREATED;
}

const char *container_status_name(enum container_status s)
{
	static const char *const names[] = { "creating", "created", "running", "paused", "stopped" };

	return names[s];
}

struct json_object *container_state(const struct container *c, enum container_status s)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "ociVersion", json_object_new_string(SPEC_VERSION));
	json_object_object_add(o, "id", json_object_new_string(c->id));
	json_object_object_add(o, "pid", json_object_new_int(s == STATUS_STOPPED ? 0 : c->pid));
	json_object_object_add(o, "status", json_object_new_string(container_status_name(s)));
	json_object_object_add(o, "bundle", json_object_new_string(c->bundle));
	json_object_object_add(o, "rootfs", json_object_new_string(c->rootfs));
	json_object_object_add(o, "created", json_object_new_string(c->created));
	if (c->annotations)
		json_object_object_add(o, "annotations", json_object_get(c->annotations));
	json_object_object_add(o, "owner", json_object_new_string(""));
	return o;
}
