/* Requests that change a tree; gofer.c has refused them for read-only ones. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/gofer/gofer_priv.h"

#define MODE_BITS 07777u

static int begin(struct node *dir, const char *p, size_t len, char *name)
{
	int err = take_name(p, len, name);

	if (err)
		return err;
	if (dir->type != S_IFDIR)
		return -ENOTDIR;
	return dir->opaque ? -EPERM : node_fd(dir);
}

/* The first name of the body. The directory's descriptor, or -errno. */
static int begin_create(struct node *dir, struct request *r, u32 len, char *name)
{
	return len > r->body_len ? -EINVAL : nodes_crowded(dir) ? -EMFILE : begin(dir, r->body, len, name);
}

/* A new file is the sandbox user's, with exactly the mode asked for; chown takes set-id bits away, so the mode comes last. */
static int set_owner(int dirfd, const char *name, u32 mode, u32 uid, u32 gid, bool link)
{
	if ((uid != gofer_uid || gid != gofer_gid) && fchownat(dirfd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != EPERM)
		return -errno;
	if (!link && mode & (S_ISUID | S_ISGID | S_ISVTX) && fchmodat(dirfd, name, mode & MODE_BITS, 0) < 0)
		return -errno;
	return 0;
}

/* The node of what has just been made. */
static int finish_create(struct node *dir, int dirfd, const char *name, struct request *r)
{
	struct gofer_attr attr;
	struct node *n;
	int fd = open_beneath(dirfd, name, O_PATH | O_NOFOLLOW, 0), err;

	if (fd < 0)
		return fd;
	err = attr_of(fd, "", &attr, NULL);
	if (err) {
		close(fd);
		return err;
	}
	n = node_make(dir, name, strlen(name), fd, &attr);
	if (IS_ERR(n))
		return (int)PTR_ERR(n);
	r->rep->node.attr = attr;
	r->rep->node.node = node_id(n);
	return 0;
}

static int open_existing(int dirfd, const char *name, u32 flags)
{
	struct gofer_attr attr;
	int err = attr_of(dirfd, name, &attr, NULL);

	if (err)
		return err;
	/* Opening anything else does things: a FIFO wakes its writer, a device may rewind. */
	if (!S_ISREG(attr.mode))
		return S_ISDIR(attr.mode) ? -EISDIR : S_ISLNK(attr.mode) ? -ELOOP : -EACCES;
	return open_beneath(dirfd, name, (flags & (O_ACCMODE | O_TRUNC | O_APPEND)) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
}

int op_create(struct node *n, struct request *r)
{
	u32 flags = r->req->create.flags, mode = r->req->create.mode & MODE_BITS;
	char name[GOFER_NAME_MAX + 1];
	int dirfd = begin_create(n, r, r->req->create.name_len, name), fd, err = 0;

	if (dirfd < 0)
		return dirfd;
	fd = open_beneath(dirfd, name, (flags & (O_ACCMODE | O_APPEND)) | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode);
	if (fd == -EEXIST && !(flags & O_EXCL))
		fd = open_existing(dirfd, name, flags);
	else if (fd >= 0)
		err = set_owner(dirfd, name, mode, r->req->create.uid, r->req->create.gid, false);
	if (fd < 0)
		return fd;
	r->pass_fd = fd;
	return err ? err : finish_create(n, dirfd, name, r);
}

int op_mkdir(struct node *n, struct request *r)
{
	u32 mode = r->req->create.mode & MODE_BITS;
	char name[GOFER_NAME_MAX + 1];
	int dirfd = begin_create(n, r, r->req->create.name_len, name), err;

	if (dirfd < 0)
		return dirfd;
	if (mkdirat(dirfd, name, mode) < 0)
		return -errno;
	err = set_owner(dirfd, name, mode, r->req->create.uid, r->req->create.gid, false);
	return err ? err : finish_create(n, dirfd, name, r);
}

int op_symlink(struct node *n, struct request *r)
{
	char name[GOFER_NAME_MAX + 1], target[4096];
	u32 name_len = r->req->create.name_len;
	int dirfd = begin_create(n, r, name_len, name), err;
	size_t len;

	if (dirfd < 0)
		return dirfd;
	len = r->body_len - name_len;
	if (len == 0 || len >= sizeof(target) || memchr(r->body + name_len, '\0', len))
		return len >= sizeof(target) ? -ENAMETOOLONG : -EINVAL;
	memcpy(target, r->body + name_len, len);
	target[len] = '\0';
	if (symlinkat(target, dirfd, name) < 0)
		return -errno;
	err = set_owner(dirfd, name, 0, r->req->create.uid, r->req->create.gid, true);
	return err ? err : finish_create(n, dirfd, name, r);
}

int op_mknod(struct node *n, struct request *r)
{
	u32 mode = r->req->mknod.mode, type = mode & S_IFMT;
	char name[GOFER_NAME_MAX + 1];
	int dirfd = begin_create(n, r, r->req->mknod.name_len, name), err;

	if (dirfd < 0)
		return dirfd;
	/* Devices of the host are no business of a sandbox. */
	if (type != S_IFIFO && type != S_IFSOCK && type != S_IFREG)
		return -EPERM;
	if (mknodat(dirfd, name, type | (mode & MODE_BITS), 0) < 0)
		return -errno;
	err = set_owner(dirfd, name, mode, r->req->mknod.uid, r->req->mknod.gid, false);
	return err ? err : finish_create(n, dirfd, name, r);
}

/* The second directory of a rename or link, and the second name. */
static int begin_target(struct request *r, char *name, struct node **dir)
{
	u32 len = r->req->rename.name_len, to_len = r->req->rename.to_name_len;

	*dir = node_get(r->req->rename.to_node);
	if (!*dir)
		return -ESTALE;
	if (node_readonly(*dir))
		return -EROFS;
	if (len > r->body_len || to_len > r->body_len - len)
		return -EINVAL;
	return begin(*dir, r->body + len, to_len, name);
}

int op_link(struct node *n, struct request *r)
{
	char name[GOFER_NAME_MAX + 1], path[16];
	struct node *dir;
	int dirfd = begin_target(r, name, &dir), err;

	if (dirfd < 0)
		return dirfd;
	if (dir->tree != n->tree)
		return -EXDEV;
	if (n->type == S_IFDIR)
		return -EPERM;
	err = proc_name(n, path);
	if (err)
		return err;
	if (linkat(gofer_proc_fd, path, dirfd, name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return finish_create(dir, dirfd, name, r);
}

int op_rename(struct node *n, struct request *r)
{
	char name[GOFER_NAME_MAX + 1], to_name[GOFER_NAME_MAX + 1];
	struct node *to;
	int fd = begin_create(n, r, r->req->rename.name_len, name), to_fd;

	if (fd < 0)
		return fd;
	to_fd = begin_target(r, to_name, &to);
	if (to_fd < 0)
		return to_fd;
	if (to->tree != n->tree)
		return -EXDEV;
	if (r->req->rename.flags & ~(u32)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	return syscall(SYS_renameat2, fd, name, to_fd, to_name, r->req->rename.flags) < 0 ? -errno : 0;
}

int op_unlink(struct node *n, struct request *r)
{
	u32 flags = r->req->create.flags;
	char name[GOFER_NAME_MAX + 1];
	int dirfd = begin_create(n, r, r->req->create.name_len, name);

	if (dirfd < 0)
		return dirfd;
	if (flags & ~(u32)AT_REMOVEDIR)
		return -EINVAL;
	return unlinkat(dirfd, name, (int)flags) < 0 ? -errno : 0;
}

static struct timespec time_of(u32 mask, u32 set, u32 now, s64 s, u32 ns)
{
	if (mask & now)
		return (struct timespec){ 0, UTIME_NOW };
	if (mask & set)
		return (struct timespec){ s, ns };
	return (struct timespec){ 0, UTIME_OMIT };
}

static int set_size(struct node *n, u64 size)
{
	int fd, err;

	if (n->type != S_IFREG)
		return -EINVAL;
	if ((s64)size < 0)
		return -EINVAL;
	fd = reopen(n, O_WRONLY);
	if (fd < 0)
		return fd;
	err = ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
	close(fd);
	return err;
}

int op_setattr(struct node *n, struct request *r)
{
	u32 mask = r->req->setattr.mask;
	char path[16];
	int fd = node_fd(n), err = 0;

	if (fd < 0)
		return fd;
	if (mask & (GOFER_SET_UID | GOFER_SET_GID) &&
	    fchownat(fd, "", mask & GOFER_SET_UID ? r->req->setattr.uid : ~0u, mask & GOFER_SET_GID ? r->req->setattr.gid : ~0u,
		     AT_EMPTY_PATH) < 0)
		return -errno;
	if (mask & GOFER_SET_MODE) {
		err = n->type == S_IFLNK ? -EOPNOTSUPP : proc_name(n, path);
		if (!err && fchmodat(gofer_proc_fd, path, r->req->setattr.mode & MODE_BITS, 0) < 0)
			err = -errno;
	}
	if (!err && mask & GOFER_SET_SIZE)
		err = set_size(n, r->req->setattr.size);
	if (!err && mask & (GOFER_SET_ATIME | GOFER_SET_MTIME | GOFER_SET_ATIME_NOW | GOFER_SET_MTIME_NOW)) {
		struct timespec ts[2] = {
			time_of(mask, GOFER_SET_ATIME, GOFER_SET_ATIME_NOW, r->req->setattr.atime_s, r->req->setattr.atime_ns),
			time_of(mask, GOFER_SET_MTIME, GOFER_SET_MTIME_NOW, r->req->setattr.mtime_s, r->req->setattr.mtime_ns),
		};

		if (utimensat(fd, "", ts, AT_EMPTY_PATH) < 0)
			err = -errno;
	}
	return err ? err : reply_node(r, n);
}
