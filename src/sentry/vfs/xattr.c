/* Extended attributes: xattr(7). */
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/stat.h>
#include <linux/xattr.h>

#include "base/string.h"
#include "sentry/sys/syscall.h"
#include "sentry/vfs/internal.h"

#define NAME_SIZE (XATTR_NAME_MAX + 1)

/* Who may touch a name: user.* by file permission on files and directories, trusted.* by the administrator. */
static int check_name(struct inode *i, const char *name, u32 mask)
{
	if (!kstrcmp(name, XATTR_TRUSTED_PREFIX) || !kstrcmp(name, XATTR_USER_PREFIX) || !kstrcmp(name, XATTR_SECURITY_PREFIX))
		return -EINVAL;
	if (!kstrncmp(name, XATTR_TRUSTED_PREFIX, XATTR_TRUSTED_PREFIX_LEN))
		return capable(CAP_SYS_ADMIN) ? 0 : mask & MAY_WRITE ? -EPERM : -ENODATA;
	if (!kstrncmp(name, XATTR_USER_PREFIX, XATTR_USER_PREFIX_LEN)) {
		if (!S_ISREG(i->mode) && !S_ISDIR(i->mode))
			return mask & MAY_WRITE ? -EPERM : -ENODATA;
		return inode_permission(i, mask);
	}
	if (!kstrncmp(name, XATTR_SECURITY_PREFIX, XATTR_SECURITY_PREFIX_LEN))
		return mask & MAY_WRITE && !capable(kstrcmp(name, XATTR_NAME_CAPS) ? CAP_SYS_ADMIN : CAP_SETFCAP) ? -EPERM : 0;
	return -EOPNOTSUPP;
}

/* capabilities(7), "File capability versioning": what is no such attribute cannot be set. */
static long check_caps(const void *value, u64 size)
{
	const struct vfs_cap_data *d = value;
	u32 revision = size >= sizeof(d->magic_etc) ? d->magic_etc & VFS_CAP_REVISION_MASK : 0;

	if (!(size == XATTR_CAPS_SZ_2 && revision == VFS_CAP_REVISION_2) && !(size == XATTR_CAPS_SZ_3 && revision == VFS_CAP_REVISION_3))
		return -EINVAL;
	return capable(CAP_SETFCAP) ? 0 : -EPERM;
}

static char *get_name(u64 uname)
{
	char *name = kmalloc(NAME_SIZE);
	long n;

	if (!name)
		return ERR_PTR(-ENOMEM);
	n = strncpy_from_user(name, uname, NAME_SIZE);
	if (n > 0)
		return name;
	kfree(name);
	return ERR_PTR(n == -EFAULT ? -EFAULT : -ERANGE);
}

static long do_get(const struct path *p, u64 uname, u64 ubuf, u64 size)
{
	struct inode *i = p->dentry->inode;
	char *name = get_name(uname), *buf = NULL;
	long ret;

	if (IS_ERR(name))
		return PTR_ERR(name);
	size = MIN(size, XATTR_SIZE_MAX);
	ret = check_name(i, name, MAY_READ);
	if (!ret && (!i->iop || !i->iop->getxattr))
		ret = -EOPNOTSUPP;
	if (!ret && size && !(buf = kmalloc(size)))
		ret = -ENOMEM;
	if (!ret)
		ret = i->iop->getxattr(i, name, buf, size);
	if (ret > 0 && size && copy_to_user(ubuf, buf, (size_t)ret))
		ret = -EFAULT;
	kfree(buf);
	kfree(name);
	return ret;
}

static long do_set(const struct path *p, u64 uname, u64 uvalue, u64 size, u32 flags)
{
	struct inode *i = p->dentry->inode;
	char *name, *value = NULL;
	long ret;

	if (flags & ~(u32)(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	if (size > XATTR_SIZE_MAX)
		return -E2BIG;
	name = get_name(uname);
	if (IS_ERR(name))
		return PTR_ERR(name);
	ret = mnt_want_write(p);
	if (!ret && size) {
		value = kmalloc(size);
		ret = !value ? -ENOMEM : copy_from_user(value, uvalue, size);
	}
	if (!ret && size && !kstrcmp(name, XATTR_NAME_CAPS))
		ret = check_caps(value, size);
	if (!ret)
		ret = check_name(i, name, MAY_WRITE);
	if (!ret) {
		mutex_lock(&i->lock);
		ret = i->iop && i->iop->setxattr ? i->iop->setxattr(i, name, value, size, flags) : -EOPNOTSUPP;
		mutex_unlock(&i->lock);
	}
	kfree(value);
	kfree(name);
	return ret;
}

static long do_list(const struct path *p, u64 ubuf, u64 size)
{
	struct inode *i = p->dentry->inode;
	char *buf = NULL;
	long ret;

	if (!i->iop || !i->iop->listxattr)
		return 0;
	size = MIN(size, XATTR_LIST_MAX);
	if (size && !(buf = kmalloc(size)))
		return -ENOMEM;
	ret = i->iop->listxattr(i, buf, size);
	if (ret > 0 && size && copy_to_user(ubuf, buf, (size_t)ret))
		ret = -EFAULT;
	kfree(buf);
	return ret;
}

static long do_removex(const struct path *p, u64 uname)
{
	struct inode *i = p->dentry->inode;
	char *name = get_name(uname);
	long ret;

	if (IS_ERR(name))
		return PTR_ERR(name);
	ret = mnt_want_write(p);
	if (!ret)
		ret = check_name(i, name, MAY_WRITE);
	if (!ret) {
		mutex_lock(&i->lock);
		ret = i->iop && i->iop->removexattr ? i->iop->removexattr(i, name) : -EOPNOTSUPP;
		mutex_unlock(&i->lock);
	}
	kfree(name);
	return ret;
}

#define BY_NAME(upath, lookup, expr)                                                    \
	({ struct path p; long r__ = user_path_lookup(AT_FDCWD, upath, lookup, &p);     \
	   if (!r__) { r__ = expr; path_put(&p); } r__; })
#define BY_FD(fd, expr)                                                                 \
	({ struct file *f__ = fget(fd); long r__ = -EBADF;                              \
	   if (f__) { struct path p = f__->path; r__ = expr; file_put(f__); } r__; })

SYSCALL4(getxattr, u64, path, u64, name, u64, buf, u64, n) { return BY_NAME(path, LOOKUP_FOLLOW, do_get(&p, name, buf, n)); }
SYSCALL4(lgetxattr, u64, path, u64, name, u64, buf, u64, n) { return BY_NAME(path, 0, do_get(&p, name, buf, n)); }
SYSCALL4(fgetxattr, s32, fd, u64, name, u64, buf, u64, n) { return BY_FD(fd, do_get(&p, name, buf, n)); }
SYSCALL5(setxattr, u64, path, u64, name, u64, v, u64, n, u32, fl) { return BY_NAME(path, LOOKUP_FOLLOW, do_set(&p, name, v, n, fl)); }
SYSCALL5(lsetxattr, u64, path, u64, name, u64, v, u64, n, u32, fl) { return BY_NAME(path, 0, do_set(&p, name, v, n, fl)); }
SYSCALL5(fsetxattr, s32, fd, u64, name, u64, v, u64, n, u32, fl) { return BY_FD(fd, do_set(&p, name, v, n, fl)); }
SYSCALL3(listxattr, u64, path, u64, buf, u64, n) { return BY_NAME(path, LOOKUP_FOLLOW, do_list(&p, buf, n)); }
SYSCALL3(llistxattr, u64, path, u64, buf, u64, n) { return BY_NAME(path, 0, do_list(&p, buf, n)); }
SYSCALL3(flistxattr, s32, fd, u64, buf, u64, n) { return BY_FD(fd, do_list(&p, buf, n)); }
SYSCALL2(removexattr, u64, path, u64, name) { return BY_NAME(path, LOOKUP_FOLLOW, do_removex(&p, name)); }
SYSCALL2(lremovexattr, u64, path, u64, name) { return BY_NAME(path, 0, do_removex(&p, name)); }
SYSCALL2(fremovexattr, s32, fd, u64, name) { return BY_FD(fd, do_removex(&p, name)); }
