/*
 * Inside the gofer. One thread; every request is hostile.
 *
 * Objects: a *tree* is a directory of the host given to the sandbox; a *node* a file beneath one. A node of a read-only tree
 * is a name under its parent with the identity (device, inode) that it had when it was given out; its O_PATH descriptor is
 * opened when first needed, checked against that identity, and may be closed again when there are too many. So a listing of
 * a large directory costs no descriptors. A node of a tree that can be written keeps its descriptor from the start, for its
 * name may go.
 */
#ifndef HOST_GOFER_PRIV_H
#define HOST_GOFER_PRIV_H

#include <sys/stat.h>

#include "gofer.h"
#include "host/sandbox.h"

struct tree {
	bool readonly;
};
extern struct tree gofer_trees[SANDBOX_TREES_MAX];
extern u32 gofer_ntrees;
/* /proc/self/fd: the way from an O_PATH descriptor to an open file. It is the working directory, too; -1: none. */
extern int gofer_proc_fd;
extern u32 gofer_uid, gofer_gid; /* our own */

struct node {
	u32 index, generation;
	u32 pins;	/* children */
	bool given;	/* the sandbox has not forgotten it */
	bool opaque;	/* the root of a mount that is not for the sandbox (proc, sysfs, ...): an empty directory */
	u8 tree;
	int fd;		/* O_PATH, or -1 */
	u32 type;	/* S_IFMT bits */
	u64 dev, ino;
	struct node *parent; /* NULL: root of a tree, or free */
	struct node *prev, *next; /* by last use, while fd may be closed; free list by next */
	char *name;
};

/* node.c */
int nodes_init(const int *tree_fds); /* node 1 + n: root of tree n */
struct node *node_get(u64 id);
static inline u64 node_id(const struct node *n) { return (u64)n->generation << 32 | n->index; }
struct node *node_root(const struct node *n); /* of its tree */
static inline bool node_readonly(const struct node *n) { return gofer_trees[n->tree].readonly; }
/* The node's descriptor, good until the end of the request; -errno. */
int node_fd(struct node *n);
/* Are there so many open that no further child can be kept? What is known can still be opened. */
bool nodes_crowded(const struct node *parent);
/* A child of a directory, whether or not it is known already. fd >= 0 is taken over. ERR_PTR(). */
/* -EMFILE: of a writable tree, and nodes_crowded(). */
struct node *node_make(struct node *parent, const char *name, size_t len, int fd, const struct gofer_attr *attr);
void node_forget(u64 id);
void nodes_trim(void); /* between requests */

/* Flags of statx(2) turned into what goes over the wire. */
int attr_of(int fd, const char *name, struct gofer_attr *attr, bool *mount_root);
/* The mount whose root this is has no place in a sandbox. */
bool mount_is_foreign(int fd);
int open_beneath(int dir, const char *name, u64 flags, u32 mode);

/* A request, its body, and the reply being made. */
struct request {
	const struct gofer_req *req;
	const char *body;
	size_t body_len;
	struct gofer_rep *rep;
	char *out;	/* the reply's body */
	size_t out_len, out_cap;
	int pass_fd;	/* goes with the reply; -1: none */
};
/* One component: checked, NUL-terminated copy in buf[GOFER_NAME_MAX + 1]. */
int take_name(const char *p, size_t len, char *buf);

/* walk.c, readdir.c, file.c, change.c: each 0 or -errno. `n` is req->node, found. */
int op_walk(struct node *n, struct request *r);
int op_readdir(struct node *n, struct request *r);
void readdir_forget(const struct node *n);
int op_getattr(struct node *n, struct request *r);
int op_open(struct node *n, struct request *r);
int op_readlink(struct node *n, struct request *r);
int op_statfs(struct node *n, struct request *r);
int op_getxattr(struct node *n, struct request *r);
int op_listxattr(struct node *n, struct request *r);
int op_create(struct node *n, struct request *r);
int op_setattr(struct node *n, struct request *r);
int op_mkdir(struct node *n, struct request *r);
int op_symlink(struct node *n, struct request *r);
int op_link(struct node *n, struct request *r);
int op_mknod(struct node *n, struct request *r);
int op_unlink(struct node *n, struct request *r);
int op_rename(struct node *n, struct request *r);
int op_setxattr(struct node *n, struct request *r);
int op_removexattr(struct node *n, struct request *r);
int op_sync(struct node *n, struct request *r);

/* file.c: an open file of a node; the access mode and O_TRUNC, O_APPEND of `flags` count. */
int reopen(struct node *n, u32 flags);
/* The reply of everything that makes or looks at one node. */
int reply_node(struct request *r, struct node *n);
/* The path, relative to gofer_proc_fd, of a node's descriptor. -errno. */
int proc_name(struct node *n, char buf[16]);

#endif
