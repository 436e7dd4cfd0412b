#include "oci/network.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>


static struct stat ours;

void network_remember(void)
{
	stat("/proc/self/ns/net", &ours);
}

static bool is_ours(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) < 0 || (st.st_dev == ours.st_dev && st.st_ino == ours.st_ino);
}

static int write_setting(const char *name, const char *value)
{
	char path[512];
	size_t n = (size_t)snprintf(path, sizeof(path), "/proc/sys/%s", name), len = strlen(value);
	int fd, err = 0;

	if (n >= sizeof(path) || strstr(name, ".."))
		return -EINVAL;
	/* sysctl(8): dots part the names; a slash stands for a dot within one. */
	for (char *p = path + strlen("/proc/sys/"); *p; p++)
		*p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (write(fd, value, len) != (ssize_t)len)
		err = -errno;
	close(fd);
	return err;
}

static int write_settings(const struct spec *spec, bool own, const char **what)
{
	struct json_object *linux_part = NULL, *sysctls = NULL;

	json_object_object_get_ex(spec->document, "linux", &linux_part);
	if (!linux_part || !json_object_object_get_ex(linux_part, "sysctl", &sysctls) || !sysctls)
		return 0;
	json_object_object_foreach(sysctls, name, value) {
		int err;

		if (strncmp(name, "net.", 4))
			continue;
		*what = name;
		if (!json_object_is_type(value, json_type_string))
			return -EINVAL;
		err = own ? write_setting(name, json_object_get_string(value)) : -EPERM;
		if (err)
			return err;
	}
	return 0;
}

int network_prepare(const struct spec *spec, bool host_sockets, struct start_settings *settings, const char **what)
{
	bool own = !is_ours();
	int err = write_settings(spec, own, what);

	if (err)
		return err;
	if (host_sockets)
		settings_of_host_network(settings);
	if (own && host_sockets) { /* a host whose settings cannot be written keeps them */
		write_setting("net.ipv4.ip_unprivileged_port_start", "0");
		write_setting("net.ipv4.ping_group_range", "0 2147483647");
	}
	return 0;
}
