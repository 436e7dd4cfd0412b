/* Looking at a node and opening it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "host/gofer/gofer_priv.h"

int reply_node(struct request *r, struct node *n)
{
	int fd = node_fd(n);

	if (fd < 0)
		return fd;
	r->rep->node.node = node_id(n);
	return attr_of(fd, "", &r->rep->node.attr, NULL);
}

int proc_name(struct node *n, char buf[16])
{
	int fd = node_fd(n);

	if (fd < 0)
		return fd;
	if (gofer_proc_fd < 0)
		return -EOPNOTSUPP;
	snprintf(buf, 16, "%d", fd);
	return 0;
}

int reopen(struct node *n, u32 flags)
{
	/* O_NONBLOCK: leases and mandatory locks of the host must not stop the gofer. */
	struct open_how how = { .flags = (flags & (O_ACCMODE | O_TRUNC | O_APPEND)) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK };
	char name[16];
	int err = proc_name(n, name), fd;

	if (err == -EOPNOTSUPP && n->parent) /* no /proc on this host: by name, which open_node() has just checked */
		fd = open_beneath(n->parent->fd, n->name, how.flags | O_NOFOLLOW, 0);
	else if (err)
		return err;
	else
		fd = (int)syscall(SYS_openat2, gofer_proc_fd, name, &how, sizeof(how));
	return fd == -1 ? -errno : fd;
}

int op_getattr(struct node *n, struct request *r)
{
	return reply_node(r, n);
}

int op_open(struct node *n, struct request *r)
{
	u32 flags = r->req->create.flags;
	int fd;

	if (n->type != S_IFREG)
		return n->type == S_IFDIR ? -EISDIR : n->type == S_IFLNK ? -ELOOP : -EACCES;
	if (node_readonly(n) && ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC))
		return -EROFS;
	fd = reopen(n, flags);
	if (fd < 0)
		return fd;
	r->pass_fd = fd;
	r->rep->node.node = node_id(n);
	return attr_of(fd, "", &r->rep->node.attr, NULL);
}

int op_readlink(struct node *n, struct request *r)
{
	int fd = node_fd(n);
	ssize_t len;

	if (fd < 0)
		return fd;
	if (n->type != S_IFLNK)
		return -EINVAL;
	len = readlinkat(fd, "", r->out, r->out_cap);
	if (len < 0)
		return -errno;
	r->rep->data.size = (u32)len;
	r->out_len = (size_t)len;
	return 0;
}

int op_statfs(struct node *n, struct request *r)
{
	struct statfs s;
	int fd = node_fd(n);

	if (fd < 0)
		return fd;
	if (fstatfs(fd, &s) < 0)
		return -errno;
	r->rep->statfs.type = (u64)s.f_type;
	r->rep->statfs.bsize = (u64)s.f_bsize;
	r->rep->statfs.blocks = s.f_blocks;
	r->rep->statfs.bfree = s.f_bfree;
	r->rep->statfs.bavail = s.f_bavail;
	r->rep->statfs.files = s.f_files;
	r->rep->statfs.ffree = s.f_ffree;
	memcpy(&r->rep->statfs.fsid, &s.f_fsid, sizeof(s.f_fsid));
	r->rep->statfs.namelen = (u64)s.f_namelen;
	r->rep->statfs.frsize = (u64)s.f_frsize;
	r->rep->statfs.flags = (u64)s.f_flags;
	return 0;
}

int op_sync(struct node *n, struct request *r)
{
	int fd, err;

	if (n->type != S_IFDIR && n->type != S_IFREG)
		return -EINVAL;
	fd = reopen(n, O_RDONLY);
	if (fd < 0)
		return fd;
	err = (r->req->sync.whole ? syncfs(fd) : fsync(fd)) < 0 ? -errno : 0;
	close(fd);
	return err;
}

/* Attribute names: as long as xattr(7) says, and none of the host's own management. */
static int take_xattr_name(struct request *r, char *buf)
{
	u32 len = r->req->xattr.name_len;

	if (len == 0 || len > 255 || len > r->body_len || memchr(r->body, '\0', len))
		return -EINVAL;
	memcpy(buf, r->body, len);
	buf[len] = '\0';
	return strncmp(buf, "trusted.", 8) ? 0 : -ENODATA;
}

static int reply_data(struct request *r, ssize_t n, u32 size)
{
	if (n < 0)
		return -errno;
	r->rep->data.size = (u32)n;
	r->out_len = size ? (size_t)n : 0;
	return 0;
}

int op_getxattr(struct node *n, struct request *r)
{
	char name[256], path[16];
	u32 size = (u32)MIN((size_t)r->req->xattr.size, r->out_cap);
	int err = take_xattr_name(r, name);

	if (!err && n->type == S_IFLNK)
		err = -ENODATA;
	if (!err)
		err = proc_name(n, path);
	return err ? err : reply_data(r, getxattr(path, name, r->out, size), size);
}

int op_listxattr(struct node *n, struct request *r)
{
	u32 size = (u32)MIN((size_t)r->req->xattr.size, r->out_cap);
	char path[16];
	int err;

	if (n->type == S_IFLNK) {
		r->rep->data.size = 0;
		return 0;
	}
	err = proc_name(n, path);
	return err ? err : reply_data(r, listxattr(path, r->out, size), size);
}

int op_setxattr(struct node *n, struct request *r)
{
	u32 at = r->req->xattr.name_len;
	char name[256], path[16];
	int err = take_xattr_name(r, name);

	if (!err && (strncmp(name, "user.", 5) || n->type == S_IFLNK))
		err = -EPERM;
	if (!err && r->body_len - at < r->req->xattr.size)
		err = -EINVAL;
	if (!err)
		err = proc_name(n, path);
	if (err)
		return err;
	return setxattr(path, name, r->body + at, r->req->xattr.size, (int)r->req->xattr.flags) < 0 ? -errno : 0;
}

int op_removexattr(struct node *n, struct request *r)
{
	char name[256], path[16];
	int err = take_xattr_name(r, name);

	if (!err && (strncmp(name, "user.", 5) || n->type == S_IFLNK))
		err = -EPERM;
	if (!err)
		err = proc_name(n, path);
	if (err)
		return err;
	return removexattr(path, name) < 0 ? -errno : 0;
}
