/* The root file system as containerd's snapshotter names it: mounts to be made at the bundle's rootfs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "messages.pb-c.h"
#include "shim/container.h"
#include "shim/shim.h"

#define PAGE 4096

static const struct {
	const char *name;
	unsigned long set, clear;
} flags[] = {
    {"ro", MS_RDONLY, 0},
    {"rw", 0, MS_RDONLY},
    {"bind", MS_BIND, 0},
    {"rbind", MS_BIND | MS_REC, 0},
    {"nosuid", MS_NOSUID, 0},
    {"suid", 0, MS_NOSUID},
    {"nodev", MS_NODEV, 0},
    {"dev", 0, MS_NODEV},
    {"noexec", MS_NOEXEC, 0},
    {"exec", 0, MS_NOEXEC},
    {"sync", MS_SYNCHRONOUS, 0},
    {"async", 0, MS_SYNCHRONOUS},
    {"dirsync", MS_DIRSYNC, 0},
    {"noatime", MS_NOATIME, 0},
    {"atime", 0, MS_NOATIME},
    {"nodiratime", MS_NODIRATIME, 0},
    {"diratime", 0, MS_NODIRATIME},
    {"relatime", MS_RELATIME, 0},
    {"norelatime", 0, MS_RELATIME},
    {"strictatime", MS_STRICTATIME, 0},
    {"nostrictatime", 0, MS_STRICTATIME},
    {"defaults", 0, 0},
};

/* Flags off, the rest joined by commas. */
static unsigned long parse_options(const Mount *m, char **data)
{
	unsigned long mask = 0;
	char *joined = copy_of("");

	for (size_t i = 0; i < m->n_options; i++) {
		bool known = false;

		for (u32 k = 0; k < ARRAY_SIZE(flags) && !known; k++)
			if (!strcmp(flags[k].name, m->options[i])) {
				mask = (mask & ~flags[k].clear) | flags[k].set;
				known = true;
			}
		if (!known) {
			char *longer = text("%s%s%s", joined, *joined ? "," : "", m->options[i]);

			free(joined);
			joined = longer;
		}
	}
	*data = joined;
	return mask;
}

static char *mount_one(const char *at, const Mount *m)
{
	char *data, *why = NULL, *target = m->target[0] ? text("%s/%s", at, m->target) : copy_of(at);
	unsigned long mask = parse_options(m, &data);

	if (strlen(data) >= PAGE) /* the kernel would cut them off */
		why = text("mounting the root file system: its options are longer than a page");
	else if (mount(m->source, target, m->type, mask, data) < 0)
		why = text("mounting %s (%s) at %s: %m", m->source, m->type, target);
	else if (mask & MS_BIND && mask & MS_RDONLY && mount(NULL, target, NULL, MS_REMOUNT | mask, NULL) < 0)
		why = text("making %s read-only: %m", target);
	free(target);
	free(data);
	return why;
}

char *rootfs_mount(const struct container *c, Mount *const *mounts, size_t n)
{
	char *at = text("%s/rootfs", c->bundle), *why = NULL;

	if (n && mkdir(at, 0711) < 0 && errno != EEXIST)
		why = text("%s: %m", at);
	for (size_t i = 0; i < n && !why; i++)
		why = mount_one(at, mounts[i]);
	if (why)
		rootfs_unmount(c->bundle);
	free(at);
	return why;
}

void rootfs_unmount(const char *bundle)
{
	char *at = text("%s/rootfs", bundle);

	while (umount2(at, UMOUNT_NOFOLLOW | MNT_DETACH) == 0)
		;
	free(at);
}
