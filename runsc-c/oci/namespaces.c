#include "oci/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static const struct {
	const char *type;
	u32 kind;
} kinds[] = { { "pid", CLONE_NEWPID }, { "network", CLONE_NEWNET }, { "mount", CLONE_NEWNS }, { "ipc", CLONE_NEWIPC },
	      { "uts", CLONE_NEWUTS }, { "user", CLONE_NEWUSER }, { "cgroup", CLONE_NEWCGROUP }, { "time", CLONE_NEWTIME } };

static u32 kind_of(const char *type)
{
	for (u32 i = 0; type && i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(type, kinds[i].type))
			return kinds[i].kind;
	return 0;
}

static const char *name_of(u32 kind)
{
	for (u32 i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].kind == kind)
			return kinds[i].type;
	return "?";
}

void namespaces_read(struct namespaces *ns, struct json_object *linux_part, struct json_reader *r)
{
	struct json_object *list = json_member(r, linux_part, "linux", "namespaces", json_type_array);
	u32 seen = 0;

	for (size_t i = 0; list && i < json_object_array_length(list) && !r->failed; i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *type, *path;
		char where[48];
		u32 kind;

		snprintf(where, sizeof(where), "linux.namespaces[%zu]", i);
		type = json_text(r, o, where, "type");
		path = json_text(r, o, where, "path");
		kind = kind_of(type);
		if (!kind)
			json_fail(r, "%s: linux.namespaces[%zu].type: %s: no such namespace", r->document, i, type ? type : "(missing)");
		else if (seen & kind)
			json_fail(r, "%s: linux.namespaces[%zu].type: %s is there twice", r->document, i, type);
		else if (path && path[0] != '/')
			json_fail(r, "%s: linux.namespaces[%zu].path: %s: an absolute path is needed", r->document, i, path);
		else if (path && kind == CLONE_NEWNS)
			json_fail(r, "%s: linux.namespaces[%zu].path: the sandbox cannot have another's mounts", r->document, i);
		if (r->failed)
			return;
		seen |= kind;
		if (path) {
			ns->joined[ns->njoined].kind = kind;
			ns->joined[ns->njoined].path = path;
			ns->joined[ns->njoined++].fd = -1;
		} else {
			ns->made |= kind;
		}
	}
}

bool namespaces_has(const struct namespaces *ns, u32 kind)
{
	for (u32 i = 0; i < ns->njoined; i++)
		if (ns->joined[i].kind == kind)
			return true;
	return ns->made & kind;
}

bool namespaces_open(struct namespaces *ns, struct json_reader *r)
{
	for (u32 i = 0; i < ns->njoined; i++) {
		const char *path = ns->joined[i].path;
		int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), kind = fd < 0 ? -1 : ioctl(fd, NS_GET_NSTYPE);

		if (fd < 0)
			json_fail(r, "%s: linux.namespaces: %s: %s: %s", r->document, name_of(ns->joined[i].kind), path, strerror(errno));
		else if (kind != (int)ns->joined[i].kind)
			json_fail(r, "%s: linux.namespaces: %s: %s is no %s namespace", r->document, name_of(ns->joined[i].kind), path,
				  name_of(ns->joined[i].kind));
		if (r->failed)
			return false;
		ns->joined[i].fd = fd;
	}
	return true;
}

static int joined_pid(const struct namespaces *ns)
{
	for (u32 i = 0; i < ns->njoined; i++)
		if (ns->joined[i].kind == CLONE_NEWPID)
			return ns->joined[i].fd;
	return -1;
}

int namespaces_enter_pid(const struct namespaces *ns)
{
	int fd = joined_pid(ns);

	return fd >= 0 && setns(fd, CLONE_NEWPID) < 0 ? -errno : 0;
}

void namespaces_leave_pid(const struct namespaces *ns)
{
	int fd = joined_pid(ns) >= 0 ? open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	setns(fd, CLONE_NEWPID);
	close(fd);
}

int namespaces_enter(const struct namespaces *ns, const char **what)
{
	for (u32 i = 0; i < ns->njoined; i++) {
		u32 kind = ns->joined[i].kind;

		/* Users inside are the sandbox's own, whatever they are outside. */
		if (kind != CLONE_NEWPID && kind != CLONE_NEWUSER && setns(ns->joined[i].fd, (int)kind) < 0) {
			*what = ns->joined[i].path;
			return -errno;
		}
		close(ns->joined[i].fd);
	}
	return 0;
}

void namespaces_raise_loopback(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	ioctl(fd, SIOCSIFFLAGS, &lo);
	close(fd);
}
