/* The mount tree, between mount.c and the files of its system calls. namespace_lock is held where a line says "locked". */
#ifndef SENTRY_MOUNT_TREE_H
#define SENTRY_MOUNT_TREE_H

#include <linux/mount.h>

#include "sentry/kernel/ns.h"
#include "sentry/vfs/internal.h"

struct nsproxy;

struct mount_ns {
	struct ns_common c; /* first */
	struct mount *root;
	struct list_head mounts; /* of mount.ns_node, parents first; namespace_lock */
};

#define MNT_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME)

extern struct mutex namespace_lock;
extern struct mount_ns init_mount_ns;
void mount_ns_free(struct ns_common *n);
struct mount_ns *current_mount_ns(void);

bool may_mount_type(const char *type); /* of the caller's user namespace; sys_mount.c */
void mount_put(struct mount *m);
/* A new super block of `type` and a mount of it that hangs nowhere; ERR_PTR(-errno). */
struct mount *new_mount(const char *type, const char *source, u32 flags, const char *options, void *data);
struct mount *clone_mount(struct mount *m, struct dentry *root);		    /* shows the subtree at root; NULL: no memory */
struct mount *copy_tree(struct mount *m, struct dentry *root, bool recursive);	    /* locked; with what is mounted below */
/* Hang m and what is below it at a place; the reference goes to the tree. Locked. 0 or -errno, and then nothing is consumed. */
int attach_tree(struct mount *m, const struct path *at);
int may_attach(struct mount *m, const struct path *at); /* its check alone, before what is mounted is unhooked */
/* Its deed alone: hang m, whose reference goes to the tree, at `at`, and all of its tree into the namespace of that place. */
void hang_mount(struct mount *m, struct mount *parent, struct dentry *at);
void detach_tree(struct mount *m); /* locked: m and all below it leave the tree; m itself loses the tree's reference */
void unhook_mount(struct mount *m); /* locked: m leaves its parent with all below it, and keeps the tree's reference */
bool uncovers_locked(struct mount *m, struct dentry *root);
struct mount *next_mount(struct mount *m, struct mount *top); /* locked: depth first; NULL at the end */
bool mount_is_below(struct mount *m, struct mount *top);    /* locked */

#endif
