/* Between the files of the VFS. */
#ifndef SENTRY_VFS_INTERNAL_H
#define SENTRY_VFS_INTERNAL_H

#include <linux/errno.h>

#include "base/log.h"

#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"

/* ---- dcache.c ---- */
void dcache_init(void);
extern spinlock_t dcache_lock; /* hash, tree links, LRU; a leaf */
/* A new unhashed dentry with a reference on its parent (parent may be NULL: a scratch one). NULL: no memory. */
struct dentry *d_alloc(struct super_block *sb, struct dentry *parent, const char *name, u32 len);
void d_add(struct dentry *d); /* into the hash: others find it */
/* The cached child of a directory, without a reference; dcache_lock held. NULL: not cached. */
struct dentry *d_find_locked(struct dentry *parent, const char *name, u32 len);
/* Give `d` the place of `target`, which leaves the cache or takes the place of d. */
void d_move(struct dentry *d, struct dentry *target, bool exchange);
void d_prune_children(struct dentry *dir);    /* forget the unused names in a directory that is no more */
void d_prune_super(struct super_block *sb);   /* forget all unused names of a file system */
bool d_ancestor(struct dentry *ancestor, struct dentry *d);

/* ---- inode.c ---- */
void supers_init(void);
struct super_block *sb_create(const struct fs_type *t, const char *source);
int sb_sync(struct super_block *sb); /* what is dirty, to stable storage */
void sb_sync_all(void);
void sb_put(struct super_block *sb);
const struct fs_type *find_fs(const char *name);
int may_create(struct inode *dir);
int may_delete(struct inode *dir, struct inode *victim, bool is_dir);

/* ---- libfs.c ---- */
void simple_release(struct super_block *sb); /* the entries that simple_add_*() made: the file system goes away */

/* ---- path.c ---- */
enum { LAST_NORM, LAST_DOT, LAST_DOTDOT, LAST_ROOT };
struct nameidata {
	struct path path; /* where the walk stands; referenced */
	struct path root; /* of this walk; referenced, or empty until it is needed */
	u32 flags;	  /* LOOKUP_* */
	u32 depth;	  /* symbolic links followed */
	const char *last; /* LOOKUP_PARENT: the last component, inside the caller's string */
	u32 last_len, last_type;
	bool trailing_slash;
	const char *last_owned; /* a link's target that `last` points into; the caller of path_parent() frees it */
};
/* Walk to the parent of the last component. On success nd->path is the parent; release with nd_put(). */
int path_parent(s32 dirfd, const char *name, u32 flags, struct nameidata *nd);
void nd_put(struct nameidata *nd);
/* The child of a directory, cached or asked of the file system; perhaps negative; reference. dir->inode->lock held or
 * not as `locked` says. */
struct dentry *lookup_one(struct dentry *dir, const char *name, u32 len, bool locked);
/* Follow a symbolic link that stands in nd->path; consumes its reference. 0 with the name to walk next in *target, for the
 * caller to kfree, or NULL there: a magic link, nd->path is what it leads to. */
int nd_follow(struct nameidata *nd, struct dentry *link, char **target);
/* Continue the walk of nd at nd->path with `name`. */
int nd_walk(struct nameidata *nd, const char *name);
struct path current_root(void);
/* Cross whatever is mounted on p. */
void follow_mounts(struct path *p);
bool path_is_deleted(const struct path *p);
/* A name from user memory without an allocation when it is short. The name, or ERR_PTR; name_end() after success only. */
struct name_buf {
	char *name;
	char small[256];
};
char *name_begin(struct name_buf *b, u64 uname, bool empty_allowed);
void name_end(struct name_buf *b);

/* ---- mount.c ---- */
int mnt_want_write(const struct path *p); /* 0 or -EROFS */
struct mount *lookup_mount(struct mount *parent, struct dentry *at); /* reference or NULL */
struct mount *find_mount_locked(struct mount *parent, struct dentry *at); /* dcache_lock held; no reference */
void mount_init(void);
struct mount *internal_mount(struct super_block *sb, struct dentry *root); /* consumes root; NULL: no memory */
void dissolve_mount(struct mount *m); /* a file that stood for a mount that hangs nowhere goes away */
extern struct path init_root;
int kern_mkdir(const char *name, u32 mode); /* namei.c */
void anon_init(void);

/* ---- open.c ---- */
struct file *file_open_event(const struct path *p, u32 flags); /* as fanotify(7) opens what an event is about */

/* ---- file.c ---- */
struct file *file_alloc(void);
int open_flags_to_mode(u32 flags);
long fd_get_flags(s32 fd);
long fd_set_flags(s32 fd, bool cloexec);

/* ---- flock.c ---- */
void locks_remove_posix(struct file *f, struct files *owner);
void locks_remove_file(struct file *f);
long fcntl_lock(struct file *f, u32 cmd, u64 arg);
void locks_free(struct inode *inode);

#endif
