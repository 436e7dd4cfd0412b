/* The tree that a sandbox starts with. */
#include <linux/fcntl.h>
#include <linux/mount.h>

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

static void mount_or_say(const char *type, const char *source, const char *target, u32 flags, const char *options, void *data)
{
	int err;

	if (init_root.mnt)
		make_directories(target);
	err = kern_mount_at(type, source, target, flags, options, data);
	if (err)
		klog(LOG_ERR, "cannot mount %s at %s: error %d", type, target, -err);
}

static void mount_boot_entry(const struct boot_mount *bm)
{
	const char *target = (const char *)boot_params + bm->target_off;
	struct memfs_data overlay = { .lower_tree = bm->gofer_tree, .has_lower = true };
	u32 flags = bm->readonly && !bm->overlay ? MS_RDONLY : 0;

	if (bm->kind == BOOT_MOUNT_TMPFS)
		mount_or_say("tmpfs", "tmpfs", target, MS_NOSUID | MS_NODEV, "", NULL);
	else if (bm->overlay)
		mount_or_say("overlay", "overlay", target, flags, "", &overlay);
	else
		mount_or_say("gofer", "gofer", target, flags, "", (void *)&bm->gofer_tree);
}

void vfs_init(void)
{
	const struct boot_mount *bm;

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
	mount_boot_entry(bm);
	BUG_ON(!init_root.mnt);
	mount_or_say("proc", "proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "", NULL);
	mount_or_say("sysfs", "sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, "", NULL);
	mount_or_say("devtmpfs", "devtmpfs", "/dev", MS_NOSUID, "", NULL);
	mount_or_say("devpts", "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "", NULL);
	mount_or_say("mqueue", "mqueue", "/dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, "", NULL);
	mount_or_say("tmpfs", "shm", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777", NULL);
	mount_or_say("tmpfs", "tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777", NULL);
	for (u32 i = 1; i < boot_params->nmounts; i++)
		mount_boot_entry(&bm[i]);
}
