/* The tree that a sandbox starts with. */
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/mount.h>
#include <linux/stat.h>

#include "base/string.h"
#include "fs/cgroup/cgroup2.h"
#include "fs/dev/dev.h"
#include "fs/gofer/gofer_fs.h"
#include "fs/memfs/memfs.h"
#include "fs/mqueue/mqueue.h"
#include "fs/proc/proc.h"
#include "fs/sys/sysfs.h"
#include "hostcall.h"
#include "base/log.h"
#include "sentry/vfs/internal.h"
#include "sentry/trace/names.h"
#include "sentry/vfs/mount_tree.h"

#define LINKS_MAX 40

/* The symbolic link at path, or NULL. */
static char *read_link(const char *path)
{
	struct path at;
	char *text = NULL;

	if (path_lookup(AT_FDCWD, path, 0, &at))
		return NULL;
	if (S_ISLNK(at.dentry->inode->mode) && !at.dentry->inode->iop->get_link && at.dentry->inode->iop->readlink)
		text = at.dentry->inode->iop->readlink(at.dentry->inode);
	path_put(&at);
	return text;
}

static bool exists(const char *path)
{
	struct path at;

	if (path_lookup(AT_FDCWD, path, LOOKUP_FOLLOW, &at))
		return false;
	path_put(&at);
	return true;
}

/* path, whose first n bytes name a link to text, by way of that link. */
static char *follow(const char *path, u32 n, const char *text)
{
	char *buf = kmalloc(PATH_MAX);
	u32 dir = n;

	while (dir && path[dir - 1] != '/')
		dir--;
	if (buf && ksnprintf(buf, PATH_MAX, "%.*s%s%s", text[0] == '/' ? 0 : (int)dir, path, text, path + n) < PATH_MAX)
		return buf;
	kfree(buf);
	return NULL;
}

/*
 * Where a mount at path is to be: a link whose target is not there leads, inside the root, to what will be made there, as a link to what exists
 * leads to that. To be freed; NULL: no memory, or too many links.
 */
static char *mount_place(const char *path)
{
	char *now = kstrdup(path), *next = now;

	for (u32 links = 0, n = 1; now && now[n - 1]; n++) {
		char c = now[n], *text = NULL;

		if (c && c != '/')
			continue;
		now[n] = 0;
		if (!exists(now))
			text = read_link(now);
		now[n] = c;
		if (!text)
			continue;
		next = links++ < LINKS_MAX ? follow(now, n, text) : NULL;
		kfree(text);
		kfree(now);
		now = next;
		n = 0;
	}
	return now;
}

/* mkdir -p for the sentry's own mount points; what exists already is fine. */
static void make_directories(const char *path)
{
	char *copy = kstrdup(path);

	for (char *p = copy ? copy + 1 : NULL; p && *p; p++) {
		char *slash = kstrchr(p, '/');

		if (slash)
			*slash = 0;
		if (!exists(copy))
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

	if (exists(path))
		goto out;
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

/* A tree that is not what was asked for is not to be run in. */
static __printf(2, 3) __noreturn void give_up(int err, const char *fmt, ...)
{
	struct hc_exit req = { .status = 1 };
	static char line[2048];
	char why[64];
	va_list ap;

	va_start(ap, fmt);
	kvsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	errno_words(err, why, sizeof(why));
	klog(LOG_ERR, "%.1700s: %s", line, why);
	hostcall(HC_EXIT, &req, sizeof(req));
	panic("HC_EXIT returned");
}

/* ---- what config.json masks and makes read-only ---- */

static int hang(struct mount *m, const struct path *at)
{
	int err = m ? 0 : -ENOMEM;

	mutex_lock(&namespace_lock);
	if (!err)
		err = attach_tree(m, at);
	mutex_unlock(&namespace_lock);
	if (err && m)
		mount_put(m);
	return err;
}

/* A file shows /dev/null, a directory an empty one. */
static int mask(const char *target, const struct path *at)
{
	struct path null;
	int err;

	if (S_ISDIR(at->dentry->inode->mode))
		return kern_mount_at("tmpfs", "tmpfs", target, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "", NULL);
	err = path_lookup(AT_FDCWD, "/dev/null", LOOKUP_FOLLOW, &null);
	if (err)
		return err;
	err = hang(clone_mount(null.mnt, null.dentry), at);
	path_put(&null);
	return err;
}

static int make_readonly(const struct path *at)
{
	struct mount *copy;

	if (at->dentry == at->mnt->root) {
		at->mnt->flags |= MS_RDONLY;
		return 0;
	}
	copy = copy_tree(at->mnt, at->dentry, true);
	if (copy)
		copy->flags |= MS_RDONLY;
	return hang(copy, at);
}

static void restrict_path(const struct boot_mount *bm)
{
	const char *target = boot_text(bm->target_off);
	struct path at;
	int err = path_lookup(AT_FDCWD, target, LOOKUP_FOLLOW, &at);

	if (err == -ENOENT || err == -ENOTDIR)
		return;
	if (!err) {
		err = bm->kind == BOOT_MOUNT_MASK ? mask(target, &at) : make_readonly(&at);
		path_put(&at);
	}
	if (err) /* not to be had half */
		give_up(-err, "%.1000s cannot be %s", target, bm->kind == BOOT_MOUNT_MASK ? "masked" : "made read-only");
}

/* ---- mounts ---- */

static void mount_boot_entry(const struct boot_mount *bm)
{
	static const char *const types[] = {
		[BOOT_MOUNT_GOFER] = "gofer", [BOOT_MOUNT_TMPFS] = "tmpfs", [BOOT_MOUNT_PROC] = "proc", [BOOT_MOUNT_SYSFS] = "sysfs",
		[BOOT_MOUNT_DEV] = "tmpfs", [BOOT_MOUNT_DEVPTS] = "devpts", [BOOT_MOUNT_MQUEUE] = "mqueue", [BOOT_MOUNT_CGROUP] = "cgroup2",
	};
	struct memfs_data overlay = { .lower_tree = bm->gofer_tree, .has_lower = true };
	const char *place = boot_text(bm->target_off), *type = bm->overlay ? "overlay" : types[bm->kind];
	void *data = bm->kind != BOOT_MOUNT_GOFER ? NULL : bm->overlay ? (void *)&overlay : (void *)&bm->gofer_tree;
	const char *source = boot_text(bm->source_off);
	char *target = init_root.mnt ? mount_place(place) : kstrdup(place);
	int err = target ? 0 : -ELOOP;

	if (!err && init_root.mnt && bm->is_file)
		make_file(target);
	else if (!err && init_root.mnt)
		make_directories(target);
	if (!err)
		err = kern_mount_at(type, *source ? source : type, target, bm->flags, boot_text(bm->options_off), data);
	if (!err && bm->kind == BOOT_MOUNT_DEV) {
		struct path at;

		err = path_lookup(AT_FDCWD, target, LOOKUP_FOLLOW, &at);
		if (!err) {
			err = dev_populate(at.dentry);
			path_put(&at);
		}
	}
	if (err)
		give_up(-err, "error mounting \"%.200s\" to rootfs at \"%.1000s\"", *source ? source : type, place);
	kfree(target);
}

/* config-linux.md, "Devices". What is there already stays. */
static void make_device(const struct boot_device *bd)
{
	const struct iattr a = { .valid = ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_FORCE, .mode = bd->mode, .uid = bd->uid, .gid = bd->gid };
	const char *name = boot_text(bd->path_off);
	u32 parent = (u32)strlen(name);
	char *dir = kstrdup(name);
	struct path made;
	int err;

	while (parent && name[parent] != '/')
		parent--;
	if (dir && parent) {
		dir[parent] = 0;
		make_directories(dir);
	}
	kfree(dir);
	err = kern_mknod(name, bd->mode, MKDEV(bd->major, bd->minor), &made);
	if (err) {
		if (err != -EADDRINUSE)
			klog(LOG_ERR, "cannot make the device %s: error %d", name, -err);
		return;
	}
	notify_change(made.dentry, &a);
	path_put(&made);
}

/* What the start is known to look for, asked for in one go: the mount points, the working directory, the program. */
static void prefetch_start(const struct boot_mount *bm, u32 n)
{
	struct inode *root = init_root.dentry->inode;
	const char **paths = kmalloc((n + 2) * sizeof(*paths)), *exe = boot_text(boot_params->exe_off);
	u32 npaths = 0;

	if (!paths || !root->iop->prefetch)
		goto out;
	for (u32 i = 0; i < n; i++)
		paths[npaths++] = boot_text(bm[i].target_off);
	paths[npaths++] = boot_text(boot_params->cwd_off);
	if (*exe == '/')
		paths[npaths++] = exe;
	root->iop->prefetch(root, paths, npaths, *exe == '/');
out:
	kfree(paths);
}

void vfs_init(void)
{
	const struct boot_device *bd = (const struct boot_device *)boot_text(boot_params->devices_off);
	const struct boot_mount *bm;
	u32 made = 0;

	supers_init();
	dcache_init();
	mount_init();
	tmpfs_register();
	overlay_register();
	gofer_register();
	proc_register();
	sysfs_register();
	cgroup2_register();
	dev_register();
	devpts_register();
	mqueue_register();
	anon_init();
	bm = (const struct boot_mount *)((const char *)boot_params + boot_params->mounts_off);
	for (u32 i = 0; i < boot_params->nmounts; i++) {
		if (bm[i].kind == BOOT_MOUNT_MASK || bm[i].kind == BOOT_MOUNT_READONLY) {
			while (made < boot_params->ndevices) /* they are not in the way of these */
				make_device(&bd[made++]);
			restrict_path(&bm[i]);
		} else {
			mount_boot_entry(&bm[i]);
		}
		BUG_ON(!init_root.mnt);
		if (i == 0)
			prefetch_start(bm + 1, boot_params->nmounts - 1);
	}
	while (made < boot_params->ndevices)
		make_device(&bd[made++]);
}
