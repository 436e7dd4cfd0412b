/* The files behind /proc/PID/ns: they keep a namespace alive, and setns(2) and ioctl_ns(2) take them. */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <linux/stat.h>

#include "base/string.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/mount_tree.h"

static struct mount *nsfs;

struct ns_common *ns_of_inode(const struct inode *i)
{
	return nsfs && i->sb == nsfs->sb ? i->priv : NULL;
}

struct ns_common *ns_of_file(const struct file *f)
{
	return ns_of_inode(f->inode);
}

static long open_ns(struct ns_common *n)
{
	struct path p;
	struct file *f;
	long fd = ns_path(n, &p);

	if (fd)
		return fd;
	f = file_open_path(&p, O_RDONLY);
	path_put(&p);
	if (IS_ERR(f))
		return PTR_ERR(f);
	fd = fd_alloc_install(f, O_CLOEXEC, 0);
	if (fd < 0)
		file_put(f);
	return fd;
}

/* ioctl_ns(2): relatives that the caller may not see are not told. */
static long ns_ioctl(struct file *f, u32 cmd, u64 arg)
{
	struct ns_common *n = f->inode->priv;
	struct pid_ns *p;

	switch (cmd) {
	case NS_GET_USERNS:
		if (!n->owner || !user_ns_is_below(n->owner, current->cred->user_ns))
			return -EPERM;
		return open_ns(&n->owner->c);
	case NS_GET_PARENT:
		if (n->kind == NS_USER)
			return !n->owner || !user_ns_is_below(n->owner, current->cred->user_ns) ? -EPERM : open_ns(&n->owner->c);
		if (n->kind != NS_PID)
			return -EINVAL;
		p = container_of(n, struct pid_ns, c)->parent;
		return p && pid_ns_is_below(p, task_pid_ns(current)) ? open_ns(&p->c) : -EPERM;
	case NS_GET_NSTYPE:
		return (long)ns_kind_flag(n->kind);
	case NS_GET_OWNER_UID:
		if (n->kind != NS_USER)
			return -EINVAL;
		return put_user(uid_out(container_of(n, struct user_ns, c)->uid), arg);
	default:
		return -ENOTTY;
	}
}

static const struct file_ops ns_fops = { .ioctl = ns_ioctl };

static void ns_evict(struct inode *i)
{
	ns_put(i->priv);
}

static struct super_ops ns_super_ops;

static int fill_super(struct super_block *sb, const char *source, const char *options, void *data)
{
	int err = simple_fill_super(sb, NSFS_MAGIC);

	if (err)
		return err;
	ns_super_ops = *sb->ops;
	ns_super_ops.evict_inode = ns_evict;
	sb->ops = &ns_super_ops;
	return 0;
}

/* The one mount that all of them lie in; made when the first is asked for. */
static struct mount *ns_mount(void)
{
	static const struct fs_type type = { .name = "nsfs", .nodev = true, .fill_super = fill_super };
	static bool registered;
	struct mount *m;

	mutex_lock(&namespace_lock);
	if (!nsfs) {
		if (!registered)
			register_fs(&type);
		registered = true;
		m = new_mount("nsfs", "nsfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "", NULL);
		nsfs = IS_ERR(m) ? NULL : m;
	}
	m = nsfs;
	mutex_unlock(&namespace_lock);
	return m;
}

int ns_path(struct ns_common *n, struct path *out)
{
	struct mount *m = ns_mount();
	struct inode *i = m ? inode_alloc(m->sb) : NULL;
	char name[48];

	if (!i)
		return -ENOMEM;
	ns_get(n);
	i->priv = n;
	i->ino = n->ino;
	i->mode = S_IFREG | 0444;
	i->nlink = 1;
	i->fop = &ns_fops;
	ksnprintf(name, sizeof(name), "%s:[%lu]", ns_kind_name(n->kind), n->ino);
	out->dentry = d_alloc_anon(m->sb, i, name);
	if (!out->dentry) {
		inode_put(i);
		return -ENOMEM;
	}
	refcount_inc(&m->ref);
	out->mnt = m;
	return 0;
}
