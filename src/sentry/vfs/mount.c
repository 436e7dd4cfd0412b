/* The mount tree: mount(2), umount(2), mount_namespaces(7); and the tree that a sandbox starts with. */
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/stat.h>

#include "base/string.h"
#include "fs/dev/dev.h"
#include "fs/memfs/memfs.h"
#include "fs/mqueue/mqueue.h"
#include "fs/gofer/gofer_fs.h"
#include "fs/proc/proc.h"
#include "fs/sys/sysfs.h"
#include "hostcall.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/internal.h"

/* mount_lock guards the hash and the links of the tree; a leaf. namespace_lock serialises changes. */
static spinlock_t mount_lock = SPINLOCK_INIT;
static struct mutex namespace_lock;
#define MOUNT_BUCKETS 64u
static struct hlist_head mount_hash[MOUNT_BUCKETS];
static struct list_head all_mounts = LIST_HEAD_INIT(all_mounts);
static s32 next_id = 20;
struct path init_root;

static struct hlist_head *bucket(const struct mount *parent, const struct dentry *at)
{
	return &mount_hash[(((u64)parent >> 6) ^ ((u64)at >> 6)) % MOUNT_BUCKETS];
}

static void mount_free(struct mount *m)
{
	dentry_put(m->root);
	sb_put(m->sb);
	kfree(m->devname);
	kfree(m);
}

static void mount_put(struct mount *m)
{
	if (refcount_dec_and_test(&m->ref))
		mount_free(m);
}

void path_put(const struct path *p)
{
	if (p->dentry)
		dentry_put(p->dentry);
	if (p->mnt)
		mount_put(p->mnt);
}

struct mount *lookup_mount(struct mount *parent, struct dentry *at)
{
	struct mount *m;

	spin_lock(&mount_lock);
	hlist_for_each(m, bucket(parent, at), hash)
		if (m->parent == parent && m->mountpoint == at) {
			refcount_inc(&m->ref);
			break;
		}
	spin_unlock(&mount_lock);
	return m;
}

int mnt_want_write(const struct path *p)
{
	return (p->mnt && p->mnt->flags & MS_RDONLY) || p->dentry->sb->flags & MS_RDONLY ? -EROFS : 0;
}

/* Consumes the references to sb and root. */
static struct mount *mount_alloc(struct super_block *sb, struct dentry *root, u32 flags, const char *devname)
{
	struct mount *m = kzalloc(sizeof(*m));

	if (!m) {
		dentry_put(root);
		sb_put(sb);
		return NULL;
	}
	refcount_set(&m->ref, 1);
	m->sb = sb;
	m->root = root;
	m->flags = flags;
	m->devname = kstrdup(devname);
	list_init(&m->children);
	list_init(&m->child_node);
	list_init(&m->ns_node);
	spin_lock(&mount_lock);
	m->id = next_id++;
	spin_unlock(&mount_lock);
	return m;
}

/* Hang m, whose reference goes to the tree, at `at`. */
static void attach(struct mount *m, const struct path *at)
{
	refcount_inc(&at->mnt->ref);
	spin_lock(&mount_lock);
	m->parent = at->mnt;
	m->mountpoint = dentry_get(at->dentry);
	at->dentry->nmounts++;
	hlist_add(&m->hash, bucket(m->parent, m->mountpoint));
	list_add_tail(&m->child_node, &at->mnt->children);
	list_add_tail(&m->ns_node, &all_mounts);
	spin_unlock(&mount_lock);
}

/* Take m out of the tree and drop the tree's references. namespace_lock held. */
static void detach(struct mount *m)
{
	struct mount *parent = m->parent;
	struct dentry *at = m->mountpoint;

	spin_lock(&mount_lock);
	hlist_del(&m->hash);
	list_del(&m->child_node);
	list_del(&m->ns_node);
	at->nmounts--;
	m->parent = NULL;
	m->mountpoint = NULL;
	spin_unlock(&mount_lock);
	dentry_put(at);
	mount_put(parent);
	mount_put(m);
}

static struct mount *new_mount(const char *type, const char *source, u32 flags, const char *options, void *data)
{
	const struct fs_type *t = find_fs(type);
	struct super_block *sb;
	int err;

	if (!t)
		return ERR_PTR(-ENODEV);
	sb = sb_create(t, source);
	if (!sb)
		return ERR_PTR(-ENOMEM);
	sb->flags = flags & MS_RDONLY;
	err = t->fill_super(sb, source, options, data);
	if (err) {
		sb_put(sb);
		return ERR_PTR(err);
	}
	return mount_alloc(sb, dentry_get(sb->root), flags, source) ?: ERR_PTR(-ENOMEM);
}

int kern_mount_at(const char *type, const char *source, const char *target, u32 flags, const char *options, void *data)
{
	struct mount *m = new_mount(type, source, flags, options, data);
	struct path at;
	int err;

	if (IS_ERR(m))
		return (int)PTR_ERR(m);
	if (!init_root.mnt) {
		init_root = (struct path){ m, dentry_get(m->root) };
		spin_lock(&mount_lock);
		list_add_tail(&m->ns_node, &all_mounts);
		spin_unlock(&mount_lock);
		return 0;
	}
	err = path_lookup(AT_FDCWD, target, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &at);
	if (err) {
		mount_put(m);
		return err;
	}
	mutex_lock(&namespace_lock);
	attach(m, &at);
	mutex_unlock(&namespace_lock);
	path_put(&at);
	return 0;
}

/* ---- the sandbox's tree ---- */

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
	mutex_init(&namespace_lock);
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

/* ---- system calls ---- */

#define MNT_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME)

static int remount(const struct path *at, u32 flags)
{
	if (at->dentry != at->mnt->root)
		return -EINVAL;
	at->mnt->flags = flags & MNT_FLAGS;
	return 0;
}

static int graft(struct mount *m, const struct path *at)
{
	if (S_ISDIR(m->root->inode->mode) != S_ISDIR(at->dentry->inode->mode)) {
		mount_put(m);
		return -ENOTDIR;
	}
	mutex_lock(&namespace_lock);
	attach(m, at);
	mutex_unlock(&namespace_lock);
	return 0;
}

static int bind(const char *source, const struct path *at)
{
	struct path from;
	struct mount *m;
	int err = path_lookup(AT_FDCWD, source, LOOKUP_FOLLOW, &from);

	if (err)
		return err;
	refcount_inc(&from.mnt->sb->ref);
	m = mount_alloc(from.mnt->sb, dentry_get(from.dentry), from.mnt->flags, from.mnt->devname ?: "none");
	path_put(&from);
	return m ? graft(m, at) : -ENOMEM;
}

static int move_mount(const char *source, const struct path *at)
{
	struct path from;
	int err = path_lookup(AT_FDCWD, source, LOOKUP_FOLLOW, &from);

	if (err)
		return err;
	if (from.dentry != from.mnt->root || !from.mnt->parent) {
		path_put(&from);
		return -EINVAL;
	}
	for (struct mount *m = at->mnt; m; m = m->parent)
		if (m == from.mnt) {
			path_put(&from);
			return -ELOOP;
		}
	mutex_lock(&namespace_lock);
	refcount_inc(&from.mnt->ref);
	detach(from.mnt);
	attach(from.mnt, at);
	mutex_unlock(&namespace_lock);
	path_put(&from);
	return 0;
}

static int do_mount(const char *source, const struct path *at, const char *type, u64 flags, const char *options)
{
	struct mount *m;

	if (flags & MS_REMOUNT)
		return remount(at, (u32)flags);
	if (flags & MS_BIND)
		return bind(source, at);
	if (flags & (MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE))
		return 0; /* one namespace: propagation has nowhere to go */
	if (flags & MS_MOVE)
		return move_mount(source, at);
	m = new_mount(type, source, (u32)flags & MNT_FLAGS, options, NULL);
	return IS_ERR(m) ? (int)PTR_ERR(m) : graft(m, at);
}

/* A string argument that may be NULL. */
static char *optional_string(u64 uaddr)
{
	return uaddr ? getname_empty(uaddr) : kstrdup("");
}

SYSCALL5(mount, u64, usource, u64, utarget, u64, utype, u64, flags, u64, udata)
{
	char *type = optional_string(utype), *source = optional_string(usource), *options = optional_string(udata);
	struct path at;
	int err = -ENOMEM;

	if (IS_ERR_OR_NULL(type) || IS_ERR_OR_NULL(source) || IS_ERR_OR_NULL(options)) {
		err = IS_ERR(type) ? (int)PTR_ERR(type) : IS_ERR(source) ? (int)PTR_ERR(source) : IS_ERR(options) ? -EFAULT : -ENOMEM;
	} else {
		err = user_path_lookup(AT_FDCWD, utarget, LOOKUP_FOLLOW, &at);
		if (!err) {
			if ((flags & MS_MGC_MSK) == MS_MGC_VAL)
				flags &= ~(u64)MS_MGC_MSK;
			err = capable(CAP_SYS_ADMIN) ? do_mount(source, &at, type, flags, options) : -EPERM;
			path_put(&at);
		}
	}
	if (!IS_ERR(type))
		kfree(type);
	if (!IS_ERR(source))
		kfree(source);
	if (!IS_ERR(options))
		kfree(options);
	return err;
}

#define MNT_FORCE_ 1
#define MNT_DETACH_ 2
#define MNT_EXPIRE_ 4
#define UMOUNT_NOFOLLOW_ 8

SYSCALL2(umount2, u64, utarget, s32, flags)
{
	struct path at;
	int err;

	if (flags & ~(MNT_FORCE_ | MNT_DETACH_ | MNT_EXPIRE_ | UMOUNT_NOFOLLOW_))
		return -EINVAL;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	err = user_path_lookup(AT_FDCWD, utarget, flags & UMOUNT_NOFOLLOW_ ? 0 : LOOKUP_FOLLOW, &at);
	if (err)
		return err;
	mutex_lock(&namespace_lock);
	if (at.dentry != at.mnt->root || !at.mnt->parent)
		err = -EINVAL;
	else if (!(flags & MNT_DETACH_) && (!list_empty(&at.mnt->children) || refcount_read(&at.mnt->ref) > 2))
		err = -EBUSY; /* the tree's reference and ours are two */
	else
		detach(at.mnt);
	mutex_unlock(&namespace_lock);
	path_put(&at);
	return err;
}

/* ---- /proc/mounts ---- */

static void show_flags(struct seq *s, u32 flags)
{
	seq_puts(s, flags & MS_RDONLY ? "ro" : "rw");
	if (flags & MS_NOSUID)
		seq_puts(s, ",nosuid");
	if (flags & MS_NODEV)
		seq_puts(s, ",nodev");
	if (flags & MS_NOEXEC)
		seq_puts(s, ",noexec");
	seq_puts(s, flags & MS_NOATIME ? ",noatime" : ",relatime");
}

static void show_mount(struct seq *s, struct mount *m, enum mounts_format format)
{
	struct path p = { m, m->root };

	if (format == MOUNTS) {
		seq_escaped(s, m->devname && *m->devname ? m->devname : "none", " \t\n\\");
		seq_puts(s, " ");
		seq_path(s, &p, " \t\n\\");
		seq_printf(s, " %s ", m->sb->type->name);
		show_flags(s, m->flags);
		seq_puts(s, " 0 0\n");
		return;
	}
	seq_printf(s, "%d %d %u:%u / ", m->id, m->parent ? m->parent->id : 1, dev_major(m->sb->dev), dev_minor(m->sb->dev));
	seq_path(s, &p, " \t\n\\");
	seq_puts(s, " ");
	show_flags(s, m->flags);
	seq_printf(s, " - %s ", m->sb->type->name);
	seq_escaped(s, m->devname && *m->devname ? m->devname : "none", " \t\n\\");
	seq_puts(s, m->sb->flags & MS_RDONLY ? " ro\n" : " rw\n");
}

int show_mounts(struct seq *s, enum mounts_format format)
{
	struct mount *m;

	mutex_lock(&namespace_lock);
	list_for_each(m, &all_mounts, ns_node)
		show_mount(s, m, format);
	mutex_unlock(&namespace_lock);
	return 0;
}
