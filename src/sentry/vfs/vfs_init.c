/* The tree that a sandbox starts with. */
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/stat.h>

#include "base/string.h"
#include "fs/dev/dev.h"
#include "fs/gofer/gofer_fs.h"
#include "fs/memfs/memfs.h"
#include "fs/mqueue/mqueue.h"
#include "fs/proc/proc.h"
#include "fs/sys/sysfs.h"
#include "hostcall.h"
#include "sentry/vfs/internal.h"

/* mkdir -p for the sentry's own mount points; what exists already is fine. */
static void make_directories(const char *path)
{
	char *copy = kstrdup(path);

	for (char *p = copy ? copy + 1 : NULL; p && *p; p++) {
		struct path made;
		char *slash = kstrchr(p, '/');

		if (slash)
			*slash = 0;
		if (path_lookup(AT_FDCWD, copy, LOOKUP_FOLLOW, &made) == 0)
			path_put(&made);
		else
			kern_mkdir(copy, 0755);
		if (!slash)
			break;
		*slash = '/';
		p = slash;
	}
	kfree(copy);
}

/* The place of a file to be mounted: an empty one is made where there is none. */
static void make_file(const char *path)
{
	char *dir = kstrdup(path), *slash = NULL;
	struct path made;

	if (!path_lookup(AT_FDCWD, path, LOOKUP_FOLLOW, &made)) {
		path_put(&made);
		goto out;
	}
	for (char *p = dir; p && *p; p++)
		if (*p == '/')
			slash = p;
	if (slash && slash != dir) {
		*slash = 0;
		make_directories(dir);
	}
	if (!kern_mknod(path, S_IFREG | 0644, 0, &made))
		path_put(&made);
out:
	kfree(dir);
}

static const char *boot_text(u64 off)
{
	return (const char *)boot_params + off;
}

static void mount_boot_entry(const struct boot_mount *bm)
{
	static const char *const types[] = {
		[BOOT_MOUNT_GOFER] = "gofer", [BOOT_MOUNT_TMPFS] = "tmpfs", [BOOT_MOUNT_PROC] = "proc", [BOOT_MOUNT_SYSFS] = "sysfs",
		[BOOT_MOUNT_DEV] = "devtmpfs", [BOOT_MOUNT_DEVPTS] = "devpts", [BOOT_MOUNT_MQUEUE] = "mqueue",
	};
	struct memfs_data overlay = { .lower_tree = bm->gofer_tree, .has_lower = true };
	const char *target = boot_text(bm->target_off), *type = bm->overlay ? "overlay" : types[bm->kind];
	void *data = bm->kind != BOOT_MOUNT_GOFER ? NULL : bm->overlay ? (void *)&overlay : (void *)&bm->gofer_tree;
	int err;

	if (init_root.mnt && bm->is_file)
		make_file(target);
	else if (init_root.mnt)
		make_directories(target);
	err = kern_mount_at(type, type, target, bm->flags, boot_text(bm->options_off), data);
	if (err)
		klog(LOG_ERR, "cannot mount %s at %s: error %d", type, target, -err);
}

void vfs_init(void)
{
	const struct boot_mount *bm;

	supers_init();
	dcache_init();
	mount_init();
	tmpfs_register();
	overlay_register();
	gofer_register();
	proc_register();
	sysfs_register();
	dev_register();
	devpts_register();
	mqueue_register();
	anon_init();
	bm = (const struct boot_mount *)((const char *)boot_params + boot_params->mounts_off);
	for (u32 i = 0; i < boot_params->nmounts; i++) {
		mount_boot_entry(&bm[i]);
		BUG_ON(!init_root.mnt);
	}
}
