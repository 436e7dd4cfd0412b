/* Extended attributes of memfs: a list of our own over those of the lower inode. inode->lock guards the list. */
#include <linux/xattr.h>

#include "base/string.h"
#include "fs/memfs/internal.h"

static spinlock_t list_lock = SPINLOCK_INIT; /* readers come without inode->lock */

static struct xattr *find(struct mem *m, const char *name)
{
	struct xattr *x;

	list_for_each(x, &m->xattrs, node)
		if (!kstrcmp(x->name, name))
			return x;
	return NULL;
}

long mem_getxattr(struct inode *i, const char *name, void *buf, size_t size)
{
	struct mem *m = mem_of(i);
	struct xattr *x;
	long ret;

	spin_lock(&list_lock);
	x = find(m, name);
	if (!x)
		ret = -ENODATA;
	else if (!x->value)
		ret = -ENODATA;
	else if (size && size < x->size)
		ret = -ERANGE;
	else {
		ret = (long)x->size;
		if (size)
			memcpy(buf, x->value, x->size);
	}
	spin_unlock(&list_lock);
	if (!x && m->lower && m->lower->iop->getxattr)
		ret = m->lower->iop->getxattr(m->lower, name, buf, size);
	return ret;
}

static void free_xattr(struct xattr *x)
{
	kfree(x->name);
	kfree(x->value);
	kfree(x);
}

void mem_free_xattrs(struct mem *m)
{
	struct xattr *x, *tmp;

	list_for_each_safe(x, tmp, &m->xattrs, node)
		free_xattr(x);
}

/* Put a record in place of an older one; a NULL value hides the lower one. */
static int put(struct inode *i, const char *name, const void *value, size_t size)
{
	struct mem *m = mem_of(i);
	struct xattr *x = kzalloc(sizeof(*x)), *old;

	if (x) {
		list_init(&x->node);
		x->name = kstrdup(name);
		x->value = value ? kmalloc(size ? size : 1) : NULL;
		x->size = size;
	}
	if (!x || !x->name || (value && !x->value)) {
		if (x)
			free_xattr(x);
		return -ENOMEM;
	}
	if (value)
		memcpy(x->value, value, size);
	spin_lock(&list_lock);
	old = find(m, name);
	if (old)
		list_del(&old->node);
	list_add_tail(&x->node, &m->xattrs);
	spin_unlock(&list_lock);
	if (old)
		free_xattr(old);
	i->ctime = current_time();
	return 0;
}

int mem_setxattr(struct inode *i, const char *name, const void *value, size_t size, u32 flags)
{
	bool exists = mem_getxattr(i, name, NULL, 0) >= 0;
	int err;

	if (flags & XATTR_CREATE && exists)
		return -EEXIST;
	if (flags & XATTR_REPLACE && !exists)
		return -ENODATA;
	err = mem_persist(i);
	return err ? err : put(i, name, value ? value : "", size);
}

int mem_removexattr(struct inode *i, const char *name)
{
	int err;

	if (mem_getxattr(i, name, NULL, 0) < 0)
		return -ENODATA;
	err = mem_persist(i);
	return err ? err : put(i, name, NULL, 0);
}

long mem_listxattr(struct inode *i, char *buf, size_t size)
{
	struct mem *m = mem_of(i);
	struct xattr *x;
	size_t n = 0;
	long ret = 0;

	spin_lock(&list_lock);
	list_for_each(x, &m->xattrs, node) {
		size_t len = strlen(x->name) + 1;

		if (!x->value)
			continue;
		if (size && n + len > size)
			ret = -ERANGE;
		else if (size)
			memcpy(buf + n, x->name, len);
		n += len;
	}
	spin_unlock(&list_lock);
	return ret ? ret : (long)n;
}
