/* Between the files of the gofer's client. */
#ifndef FS_GOFER_INTERNAL_H
#define FS_GOFER_INTERNAL_H

#include <linux/errno.h>
#include <linux/stat.h>

#include "fs/gofer/gofer_fs.h"
#include "gofer.h"
#include "hostcall.h"
#include "sentry/kernel/events.h"
#include "sentry/vfs/internal.h"

struct listing; /* a directory as the gofer listed it */

struct gnode { /* inode->priv */
	u64 node;	      /* the gofer's id; 0: not asked for yet */
	struct inode *parent; /* reference, with name: how to ask for the node */
	char *name;
	struct listing *listing; /* of a read-only tree's directory; inode->lock */
	char *target;		 /* of a symbolic link, once read */
	struct mapping mapping;
	struct mutex open_lock;
	hc_handle handle, write_handle; /* HC_NO_HANDLE: not open */
	u32 io;				/* transfers under way; handle_lock */
	struct list_head lru;		/* open handles, oldest last; handle_lock */
};
struct gsuper { /* sb->priv */
	u32 tree;
	bool readonly;
};
static inline struct gnode *gnode_of(const struct inode *i) { return i->priv; }
static inline struct gsuper *gsuper_of(const struct inode *i) { return i->sb->priv; }

/* ---- rpc.c ---- */
/* A request being made: one buffer for it and its reply. */
struct rpc {
	char *buf;
	size_t cap; /* bytes of buf: request first, the reply replaces it */
	struct gofer_req *req;
	struct gofer_rep *rep;
	hc_handle handle; /* that came with the reply, or HC_NO_HANDLE */
};
int rpc_begin(struct rpc *r, u32 op, u64 node, size_t reply_cap);
/* Append a name; the space was checked against NAME_MAX by the VFS. */
int rpc_add(struct rpc *r, const void *bytes, size_t n);
int rpc_call(struct rpc *r); /* 0, or the gofer's -errno, or -EIO */
void rpc_end(struct rpc *r);
void rpc_forget(u64 node); /* batched */

/* ---- inode.c ---- */
int gofer_node(struct inode *i, u64 *node); /* the id, asked for when it is not known */
struct inode *gofer_new_inode(struct super_block *sb, u64 node, const struct gofer_attr *a, struct inode *parent, const char *name,
			      u32 len);
void gofer_apply_attr(struct inode *i, const struct gofer_attr *a);
extern const struct super_ops gofer_super_ops;

/* ---- dir.c ---- */
extern const struct inode_ops gofer_dir_iops;
extern const struct file_ops gofer_dir_fops;
void gofer_listing_free(struct listing *l);

/* ---- file.c ---- */
extern const struct inode_ops gofer_file_iops, gofer_link_iops;
extern const struct file_ops gofer_file_fops;
extern const struct mapping_ops gofer_mapping_ops;
void gofer_close_handles(struct gnode *g);
int gofer_setattr(struct inode *i, const struct iattr *a);

#endif
