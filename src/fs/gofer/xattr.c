/* Extended attributes of the host's files. */
#include "base/string.h"
#include "fs/gofer/internal.h"

/* Begin a request about a name, with a value behind it; room for `reply` bytes. */
static int begin(struct inode *i, struct rpc *r, u32 op, const char *name, const void *value, size_t size, size_t reply)
{
	size_t len = strlen(name);
	u64 node;
	int err = gofer_node(i, &node);

	if (!err)
		err = rpc_begin(r, op, node, PAGE_SIZE + len + size + reply);
	if (err)
		return err;
	r->req->xattr.name_len = (u32)len;
	r->req->xattr.size = (u32)MAX(size, reply);
	rpc_add(r, name, len);
	rpc_add(r, value, size);
	return 0;
}

/* The bytes of a reply into buf; size 0 asks for their number. */
static long take(struct rpc *r, void *buf, size_t size)
{
	long ret = rpc_call(r);

	if (!ret) {
		ret = (long)r->rep->data.size;
		if (size && (u64)ret > MIN(size, r->rep->len - sizeof(*r->rep)))
			ret = -ERANGE;
		else if (size)
			memcpy(buf, r->rep + 1, (size_t)ret);
	}
	rpc_end(r);
	return ret;
}

long gofer_getxattr(struct inode *i, const char *name, void *buf, size_t size)
{
	struct rpc r;
	int err = begin(i, &r, GOFER_GETXATTR, name, "", 0, size);

	return err ? err : take(&r, buf, size);
}

long gofer_listxattr(struct inode *i, char *buf, size_t size)
{
	struct rpc r;
	int err = begin(i, &r, GOFER_LISTXATTR, "", "", 0, size);

	return err ? err : take(&r, buf, size);
}

/* A change, in a tree that takes it. */
static int change(struct inode *i, u32 op, const char *name, const void *value, size_t size, u32 flags)
{
	struct rpc r;
	int err = gsuper_of(i)->readonly ? -EROFS : begin(i, &r, op, name, value, size, 0);

	if (err)
		return err;
	r.req->xattr.flags = flags;
	err = rpc_call(&r);
	rpc_end(&r);
	return err;
}

int gofer_setxattr(struct inode *i, const char *name, const void *value, size_t size, u32 flags)
{
	return change(i, GOFER_SETXATTR, name, value, size, flags);
}

int gofer_removexattr(struct inode *i, const char *name) { return change(i, GOFER_REMOVEXATTR, name, "", 0, 0); }
