#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "host/gofer/gofer_priv.h"

/* The directory that was read last stays open: the next batch goes on there. */
static struct {
	const struct node *node;
	int fd;
	u64 cookie;
} last = { .fd = -1 };

static char buffer[32 << 10];

static void close_last(void)
{
	if (last.fd >= 0)
		close(last.fd);
	last.fd = -1;
	last.node = NULL;
}

void readdir_forget(const struct node *n)
{
	if (last.node == n)
		close_last();
}

static int open_at(struct node *n, u64 cookie)
{
	int fd;

	if (last.node == n && last.cookie == cookie)
		return 0;
	if (last.node != n) {
		close_last();
		fd = node_fd(n);
		if (fd < 0)
			return fd;
		last.fd = open_beneath(fd, ".", O_RDONLY | O_DIRECTORY | O_NOATIME, 0);
		if (last.fd == -EPERM) /* O_NOATIME is for the owner */
			last.fd = open_beneath(fd, ".", O_RDONLY | O_DIRECTORY, 0);
		if (last.fd < 0)
			return last.fd;
		last.node = n;
		last.cookie = 0;
		if (cookie == 0)
			return 0;
	}
	last.cookie = cookie;
	return lseek(last.fd, (off_t)cookie, SEEK_SET) < 0 ? -errno : 0;
}

/* Attributes of an entry, and a node for it. Not for trees that are written: their nodes cost a descriptor each. */
static void describe(struct node *dir, struct gofer_dirent *e)
{
	bool mount_root = false;
	struct node *n;

	if (!node_readonly(dir) || attr_of(last.fd, e->name, &e->attr, &mount_root))
		return;
	n = node_make(dir, e->name, e->name_len, -1, &e->attr);
	if (IS_ERR(n))
		return;
	if (mount_root) {
		int fd = node_fd(n);

		n->opaque = fd < 0 || mount_is_foreign(fd);
	}
	e->node = node_id(n);
	e->type = (u8)(n->type >> 12);
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* False: no room in the reply. */
static bool emit(struct node *dir, struct request *r, const struct dirent64 *d)
{
	struct gofer_dirent *e = (struct gofer_dirent *)(r->out + r->out_len);
	size_t len = strlen(d->d_name), reclen = ALIGN_UP(sizeof(*e) + len + 1, (size_t)8);

	if (is_dots(d->d_name) || len > GOFER_NAME_MAX)
		return true;
	if (r->out_cap - r->out_len < reclen)
		return false;
	memset(e, 0, reclen);
	e->cookie = (u64)d->d_off;
	e->attr.ino = d->d_ino;
	e->reclen = (u16)reclen;
	e->name_len = (u16)len;
	e->type = d->d_type;
	memcpy(e->name, d->d_name, len);
	describe(dir, e);
	r->out_len += reclen;
	r->rep->readdir.n++;
	return true;
}

/* One buffer of the kernel's. 1: go on, 0: the end, -ENOSPC: the reply is full, or another error. */
static int batch(struct node *n, struct request *r)
{
	ssize_t got = getdents64(last.fd, buffer, sizeof(buffer));

	if (got <= 0)
		return got < 0 ? -errno : 0;
	for (ssize_t at = 0; at < got;) {
		const struct dirent64 *d = (const struct dirent64 *)(buffer + at);

		if (!emit(n, r, d))
			return -ENOSPC;
		last.cookie = (u64)d->d_off;
		at += d->d_reclen;
	}
	return 1;
}

int op_readdir(struct node *n, struct request *r)
{
	int err;

	if (n->type != S_IFDIR)
		return -ENOTDIR;
	if (r->req->readdir.max)
		r->out_cap = MIN(r->out_cap, (size_t)r->req->readdir.max);
	r->rep->readdir.n = 0;
	r->rep->readdir.eof = 1;
	r->rep->readdir.next_cookie = r->req->readdir.cookie;
	if (n->opaque)
		return 0;
	err = open_at(n, r->req->readdir.cookie);
	if (err)
		return err;
	do
		err = batch(n, r);
	while (err == 1);
	r->rep->readdir.eof = err == 0;
	r->rep->readdir.next_cookie = last.cookie;
	if (err == -ENOSPC) {
		u64 cookie = last.cookie;

		if (!r->rep->readdir.n)
			return -EINVAL; /* no room for a single entry */
		/* The kernel is further than the reply. */
		return lseek(last.fd, (off_t)cookie, SEEK_SET) < 0 ? -errno : 0;
	}
	close_last();
	return err;
}
