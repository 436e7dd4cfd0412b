#include "oci/devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static u32 kind_of(const char *type)
{
	if (!type || !type[0] || type[1])
		return 0;
	return type[0] == 'c' || type[0] == 'u' ? S_IFCHR : type[0] == 'b' ? S_IFBLK : type[0] == 'p' ? S_IFIFO : 0;
}

static void read_device(struct sandbox_device *d, struct json_object *o, size_t i, struct json_reader *r)
{
	u64 mode = 0666, major = 0, minor = 0, uid = 0, gid = 0;
	char where[48];
	u32 kind;

	snprintf(where, sizeof(where), "linux.devices[%zu]", i);
	kind = kind_of(json_text(r, o, where, "type"));
	d->path = json_text(r, o, where, "path");
	if (!kind)
		json_fail(r, "%s: linux.devices[%zu].type: one of c, u, b and p is needed", r->document, i);
	if (!d->path || d->path[0] != '/')
		json_fail(r, "%s: linux.devices[%zu].path: an absolute path is needed", r->document, i);
	if ((!json_u64(r, o, where, "major", 0xfff, &major) || !json_u64(r, o, where, "minor", 0xfffff, &minor)) && kind != S_IFIFO)
		json_fail(r, "%s: linux.devices[%zu]: major and minor are needed", r->document, i);
	json_u64(r, o, where, "fileMode", UINT32_MAX, &mode);
	json_u64(r, o, where, "uid", UINT32_MAX, &uid);
	json_u64(r, o, where, "gid", UINT32_MAX, &gid);
	d->mode = kind | ((u32)mode & 07777);
	d->major = (u32)major;
	d->minor = (u32)minor;
	d->uid = (u32)uid;
	d->gid = (u32)gid;
}

struct sandbox_device *devices_read(u32 *n, struct json_object *linux_part, struct json_reader *r)
{
	struct json_object *list = json_member(r, linux_part, "linux", "devices", json_type_array);
	size_t count = list ? json_object_array_length(list) : 0;
	struct sandbox_device *devices = count ? calloc(count, sizeof(*devices)) : NULL;

	*n = 0;
	for (size_t i = 0; devices && i < count; i++)
		read_device(&devices[i], json_object_array_get_idx(list, i), i, r);
	if (devices && !r->failed)
		*n = (u32)count;
	return devices;
}
