#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "host/gofer/gofer_priv.h"

int take_name(const char *p, size_t len, char *buf)
{
	if (len == 0)
		return -ENOENT;
	if (len > GOFER_NAME_MAX)
		return -ENAMETOOLONG;
	if (memchr(p, '\0', len) || memchr(p, '/', len))
		return -EINVAL;
	memcpy(buf, p, len);
	buf[len] = '\0';
	return strcmp(buf, ".") && strcmp(buf, "..") ? 0 : -EINVAL;
}

/* One step down. Read-only: one statx by name; the descriptor comes when it is needed. */
static struct node *step(struct node *dir, const char *name, size_t len, struct gofer_attr *attr)
{
	int dirfd = node_fd(dir), fd = -1, err;
	bool mount_root = false;
	struct node *n;

	if (dirfd < 0)
		return ERR_PTR(dirfd);
	if (!node_readonly(dir)) {
		fd = open_beneath(dirfd, name, O_PATH | O_NOFOLLOW, 0);
		if (fd < 0)
			return ERR_PTR(fd);
	}
	err = fd < 0 ? attr_of(dirfd, name, attr, &mount_root) : attr_of(fd, "", attr, &mount_root);
	if (err) {
		if (fd >= 0)
			close(fd);
		return ERR_PTR(err);
	}
	n = node_make(dir, name, len, fd, attr);
	if (!IS_ERR(n) && mount_root) {
		fd = node_fd(n);
		n->opaque = fd < 0 || mount_is_foreign(fd);
	}
	return n;
}

/* The next {u16 len; bytes} of the body. */
static int next_name(struct request *r, size_t *at, char *name, size_t *len)
{
	u16 n;

	if (r->body_len - *at < sizeof(n))
		return -EINVAL;
	memcpy(&n, r->body + *at, sizeof(n));
	*at += sizeof(n);
	if (r->body_len - *at < n)
		return -EINVAL;
	*len = n;
	*at += n;
	return take_name(r->body + *at - n, n, name);
}

int op_walk(struct node *n, struct request *r)
{
	char name[GOFER_NAME_MAX + 1];
	u32 left = r->req->walk.nnames, done = 0;
	size_t at = 0, len;
	int err = 0;

	for (; left && !err; left--) {
		struct gofer_walked *w = (struct gofer_walked *)(r->out + r->out_len);
		struct node *next;

		if (r->out_cap - r->out_len < sizeof(*w))
			break;
		if (n->type != S_IFDIR) {
			err = n->type == S_IFLNK ? 0 : -ENOTDIR;
			break;
		}
		err = next_name(r, &at, name, &len);
		if (err)
			break;
		next = n->opaque ? ERR_PTR(-ENOENT) : step(n, name, len, &w->attr);
		if (IS_ERR(next)) {
			err = (int)PTR_ERR(next);
			break;
		}
		w->node = node_id(next);
		r->out_len += sizeof(*w);
		done++;
		n = next;
	}
	r->rep->walk.ndone = done;
	r->rep->walk.stop_errno = err;
	return 0;
}
