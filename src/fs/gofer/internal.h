/* Between the files of the gofer's client. */
#ifndef FS_GOFER_INTERNAL_H
#define FS_GOFER_INTERNAL_H

#include <linux/errno.h>
#include <linux/stat.h>

#include "fs/gofer/gofer_fs.h"
#include "gofer.h"
#include "hostcall.h"
#include "sentry/mm/window.h"
#include "sentry/kernel/events.h"
#include "sentry/vfs/internal.h"

struct listing; /* a directory as the gofer listed it */
struct ahead;	/* names that were walked before they were looked up */

struct gnode { /* inode->priv */
	struct inode *inode;
	u64 node;	      /* the gofer's id; 0: not asked for yet */
	struct inode *parent; /* reference, with name: how to ask for the node */
	char *name;
	struct listing *listing; /* of a read-only tree's directory; inode->lock */
	struct ahead *ahead;	 /* inode->lock */
	char *target;		 /* of a symbolic link, once read */
	struct mapping mapping;
	struct window_file window;
	struct mutex open_lock;
	hc_handle handle, write_handle; /* HC_NO_HANDLE: not open */
	u32 io;				/* transfers under way; handle_lock */
	/* Of a tree that others change: what the host said last, and when. */
	u64 host_ino, host_dev, checked_ns;
	struct timespec_k host_mtime;
	u64 host_size;
	struct hlist_node same;	/* by ino and dev; inode.c */
	bool counted;		/* among the nodes that the gofer keeps open */
	_Atomic u32 changes; /* made here: what the host said before one of them is old */
	struct list_head lru;		/* open handles, oldest last; handle_lock */
};
struct gsuper { /* sb->priv */
	u32 tree;
	bool readonly;
	u64 dev; /* of the root, on the host */
	_Atomic u32 changes; /* of names, made here: what was walked before one of them is old */
};
static inline struct gnode *gnode_of(const struct inode *i) { return i->priv; }
static inline struct gsuper *gsuper_of(const struct inode *i) { return i->sb->priv; }

/* ---- rpc.c ---- */
/* A request being made: one buffer for it and its reply. */
struct rpc {
	char *buf;
	struct page *page; /* 1 << order of them */
	u32 order;
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
void rpc_forget_all(void); /* the batch goes now */

/* ---- inode.c ---- */
/* Has the gofer so many files open that it may not be able to open more? Forget what nobody uses; sleeps. */
bool gofer_is_crowded(void);
void gofer_make_room(void);
/* The number that a file of the host shows with inside. */
u64 gofer_ino(struct super_block *sb, const struct gofer_attr *a);
/* A new node of the gofer's, with its attributes. */
struct walked {
	u64 node;
	struct gofer_attr attr;
};
/* One step of a walk: a name in dir. 0 or -errno. */
int gofer_walk_one(u64 dir, const char *name, u32 len, struct walked *out);
/* The live inode, with a reference, of what the host has under these numbers; NULL: none. */
struct inode *gofer_find_inode(const struct super_block *sb, const struct gofer_attr *a);
int gofer_node(struct inode *i, u64 *node); /* the id, asked for when it is not known */
struct inode *gofer_new_inode(struct super_block *sb, u64 node, const struct gofer_attr *a, struct inode *parent, const char *name,
			      u32 len);
void gofer_apply_attr(struct inode *i, const struct gofer_attr *a);
extern const struct super_ops gofer_super_ops;
/* The host's attributes were asked for again, when g->changes was `changes`: take them over, and drop cached contents that the
 * host changed. */
void gofer_refresh(struct inode *i, const struct gofer_attr *a, u32 changes);
/* To stable storage on the host: a directory, or (whole) the file system it is in. Nothing to do in read-only trees. */
int gofer_sync_node(struct inode *i, bool whole);
u64 gofer_fresh_ns(const struct inode *i); /* how long what the host said of it is taken to hold */
bool gofer_revalidate(struct dentry *d);
int gofer_getattr(struct inode *i, struct kstat *st);

/* ---- dir.c ---- */
/* Of trees that nobody changes, and of those that others may change too. */
extern const struct inode_ops gofer_dir_iops, gofer_rw_dir_iops;
extern const struct file_ops gofer_dir_fops;
void gofer_listing_free(struct listing *l);

/* ---- ahead.c ---- */
void gofer_prefetch(struct inode *dir, const char *const *paths, u32 n, bool open);
/* A lookup in dir, answered from what was walked ahead. False: ask. dir->lock held. */
bool gofer_take_ahead(struct inode *dir, struct dentry *d, int *err);
void gofer_ahead_free(struct ahead *a);

/* ---- file.c ---- */
extern const struct inode_ops gofer_file_iops, gofer_link_iops, gofer_rw_file_iops, gofer_rw_link_iops;
extern const struct file_ops gofer_file_fops;
extern const struct mapping_ops gofer_mapping_ops;
void gofer_close_handles(struct gnode *g);
void gofer_close_handle(hc_handle h); /* HC_NO_HANDLE: nothing */
/* A descriptor of i, for reading or for both, that came with an answer: taken over, and *h none, unless it has one. */
void gofer_give_handle(struct inode *i, hc_handle *h, bool writes);
int gofer_setattr(struct inode *i, const struct iattr *a);

/* ---- xattr.c ---- */
long gofer_getxattr(struct inode *i, const char *name, void *buf, size_t size);
int gofer_setxattr(struct inode *i, const char *name, const void *value, size_t size, u32 flags);
long gofer_listxattr(struct inode *i, char *buf, size_t size);
int gofer_removexattr(struct inode *i, const char *name);

#endif
