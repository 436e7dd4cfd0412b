/*
 * The virtual file system: mounts, dentries, inodes, open files, and what a file system implements.
 *
 * Objects: super_block 1-n inode; dentry (name in a parent) -> inode or negative; mount = (super_block root shown at a
 * dentry of another mount); file = an open description; files = a descriptor table.
 * Lock order: rename_lock (mutex, one a super block) -> inode->lock of a directory, ancestors first -> inode->lock of a
 * child -> dcache_lock (spin). namespace_lock (rwsem) guards the mount tree and is taken before any inode lock.
 */
#ifndef SENTRY_VFS_H
#define SENTRY_VFS_H

#include "base/list.h"
#include "base/lock.h"
#include "base/types.h"
#include "sentry/kernel/wait.h"
#include "sentry/mm/mm.h"

struct dentry;
struct path;
struct file;
struct inode;
struct mount;
struct super_block;
struct vma;
struct iattr;
struct kstatfs;
struct poll_table;
struct fasync;
struct flock_state;
struct notify_marks;

struct timespec_k {
	s64 sec;
	s64 nsec;
};

struct kstat { /* everything statx can say */
	u64 ino, dev, rdev, size, blocks;
	u32 mode, nlink, uid, gid, blksize;
	struct timespec_k atime, mtime, ctime, btime;
	u64 attributes, attributes_mask; /* STATX_ATTR_* */
	u64 mnt_id;
};
struct iattr {
	u32 valid; /* ATTR_* */
	u32 mode, uid, gid;
	u64 size;
	struct timespec_k atime, mtime;
	struct file *file; /* ftruncate: the open file, or NULL */
};
enum { ATTR_MODE = 1, ATTR_UID = 2, ATTR_GID = 4, ATTR_SIZE = 8, ATTR_ATIME = 16, ATTR_MTIME = 32, ATTR_ATIME_SET = 64,
       ATTR_MTIME_SET = 128, ATTR_FORCE = 256, ATTR_CTIME = 512 };

struct kstatfs {
	u64 type, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen, frsize, flags;
};

struct inode_ops {
	/* Directories. `dentry` is negative (create...) or to be filled (lookup); parent's lock held. lookup calls
	 * d_set_inode(dentry, inode-or-NULL); 0 or -errno (ENOENT is not an error: a negative dentry). */
	int (*lookup)(struct inode *dir, struct dentry *dentry);
	int (*create)(struct inode *dir, struct dentry *dentry, u32 mode);
	int (*mkdir)(struct inode *dir, struct dentry *dentry, u32 mode);
	int (*mknod)(struct inode *dir, struct dentry *dentry, u32 mode, u64 rdev);
	int (*symlink)(struct inode *dir, struct dentry *dentry, const char *target);
	int (*link)(struct inode *dir, struct dentry *dentry, struct inode *inode);
	int (*unlink)(struct inode *dir, struct dentry *dentry);
	int (*rmdir)(struct inode *dir, struct dentry *dentry);
	int (*rename)(struct inode *from_dir, struct dentry *from, struct inode *to_dir, struct dentry *to, u32 flags);
	int (*tmpfile)(struct inode *dir, u32 mode, struct inode **out); /* O_TMPFILE */
	/* Symlinks: an allocated string for the caller to kfree, or ERR_PTR. */
	char *(*readlink)(struct inode *inode);
	/* Magic links (/proc/pid/fd/N, cwd, exe, root): the object itself. When set, readlink is only for show. */
	int (*get_link)(struct inode *inode, struct path *out);
	/* All. NULL means the generic one on the inode's own fields. */
	int (*permission)(struct inode *inode, u32 mask); /* MAY_* */
	int (*getattr)(struct inode *inode, struct kstat *st);
	int (*setattr)(struct inode *inode, const struct iattr *attr);
	long (*getxattr)(struct inode *inode, const char *name, void *buf, size_t size);
	int (*setxattr)(struct inode *inode, const char *name, const void *buf, size_t size, u32 flags);
	long (*listxattr)(struct inode *inode, char *buf, size_t size);
	int (*removexattr)(struct inode *inode, const char *name);
	/* Is a cached dentry still right (proc, gofer shared)? NULL: always. */
	bool (*revalidate)(struct dentry *dentry);
	/* A hint: the components of these paths will be looked up one after the other, from dir downwards; `open`: and the file at the end of
	 * the last of them opened for reading. No lock held. May be NULL. */
	void (*prefetch)(struct inode *dir, const char *const *paths, u32 n, bool open);
};
enum { MAY_EXEC = 1, MAY_WRITE = 2, MAY_READ = 4, MAY_APPEND = 8 };

/* readdir: emit(ctx, name, len, pos-of-next, ino, DT_type) false = full, stop without advancing */
struct dir_context {
	bool (*emit)(struct dir_context *ctx, const char *name, u32 len, u64 next_pos, u64 ino, u32 type);
	u64 pos;
};
struct file_ops {
	int (*open)(struct inode *inode, struct file *file); /* file->inode, flags set */
	void (*release)(struct file *file);		      /* last reference */
	int (*flush)(struct file *file);		      /* each close(2), which returns what this does */
	/* pos: in/out; the file's own position or a local one. Bytes, 0 at end, or -errno. */
	long (*read)(struct file *file, struct iov_iter *to, u64 *pos);
	long (*write)(struct file *file, struct iov_iter *from, u64 *pos);
	s64 (*llseek)(struct file *file, s64 off, int whence); /* NULL: -ESPIPE; generic_file_llseek for files */
	int (*iterate)(struct file *file, struct dir_context *ctx);
	u32 (*poll)(struct file *file, struct poll_table *pt); /* EPOLL* bits now; registers on pt when not NULL. NULL: always ready */
	long (*ioctl)(struct file *file, u32 cmd, u64 arg);    /* NULL: -ENOTTY */
	int (*mmap)(struct file *file, struct vma *vma);       /* sets vma->ops; NULL: -ENODEV */
	int (*fsync)(struct file *file, bool data_only);
	int (*fallocate)(struct file *file, u32 mode, u64 off, u64 len);
	int (*setfl)(struct file *file, u32 flags);
	/* Text for /proc/pid/fdinfo/N behind the common lines: its length; may be NULL. */
	int (*show_fdinfo)(struct file *file, char *buf, size_t size);
};

struct super_ops {
	int (*statfs)(struct super_block *sb, struct kstatfs *st);
	void (*evict_inode)(struct inode *inode); /* last reference gone: free private data, pages */
	int (*sync)(struct super_block *sb); /* what was written back: to stable storage. NULL: memory */
	void (*put_super)(struct super_block *sb);
	void (*show_options)(struct super_block *sb, char *buf, size_t size);
};
struct fs_type {
	const char *name;
	bool nodev;
	/* Mount: fills sb->root and ops. `source`, `options` may be "" but not NULL; `data` for the sentry's own mounts. */
	int (*fill_super)(struct super_block *sb, const char *source, const char *options, void *data);
};
void register_fs(const struct fs_type *t);

struct super_block {
	refcount_t ref;
	const struct fs_type *type;
	const struct super_ops *ops;
	struct dentry *root;
	u64 dev; /* st_dev, new encoding */
	u64 magic;
	u32 flags; /* SB_* = MS_* */
	struct mutex rename_lock;
	_Atomic u64 next_ino;
	void *priv;
	char *source;
	struct list_head node; /* of all super blocks; inode.c */
};

struct inode {
	refcount_t ref;
	struct super_block *sb;
	const struct inode_ops *iop;
	const struct file_ops *fop;
	struct mutex lock;
	u64 ino, rdev, version;
	u64 size; /* i_size: inode->lock to change */
	u64 blocks;
	u32 mode, nlink, uid, gid, blksize;
	u32 flags;
	u32 fsflags; /* FS_*_FL: ioctl_iflags(2) */
	u8 rw_hint;  /* F_SET_RW_HINT */
	struct timespec_k atime, mtime, ctime, btime;
	struct mapping *mapping; /* page cache, or NULL */
	struct pipe *pipe;	 /* FIFOs */
	void *sock;		 /* bound Unix socket */
	struct flock_state *flocks;
	struct notify_marks *marks;
	s32 writecount; /* writers; <0: being executed (ETXTBSY) */
	void *priv;
	struct list_head evict_node;
};
enum { INODE_LINKABLE = 1u << 31 /* flags: made by O_TMPFILE, link(2) may give it a name */,
       INODE_FSFLAGS = 1u << 30 /* fsflags can be asked for and set */ };
struct inode *inode_alloc(struct super_block *sb); /* ref 1, ino assigned */
static inline struct inode *inode_get(struct inode *i) { refcount_inc(&i->ref); return i; }
void inode_put(struct inode *i);
struct timespec_k current_time(void);

struct dentry {
	refcount_t ref; /* 0: cached for later, on the LRU */
	struct dentry *parent; /* itself for a root; dcache_lock */
	struct inode *inode;   /* NULL: negative */
	struct super_block *sb;
	struct hlist_node hash;
	struct list_head sibling, children; /* dcache_lock */
	struct list_head lru;
	u32 hashval, name_len;
	u32 flags; /* DCACHE_* */
	_Atomic u32 nmounts; /* mounts on it, in any mount */
	const char *name;
	char inline_name[32];
	void *priv;
};
enum { DCACHE_UNHASHED = 1, DCACHE_LRU = 2 /* on the list of what may go */, DCACHE_NOCACHE = 4, DCACHE_KEEP = 8 /* watched: stays in the cache */,
       DCACHE_PINNED = 16 /* libfs.c: a reference keeps it while its file system is there */ };
struct dentry *dentry_get(struct dentry *d);
void dentry_put(struct dentry *d);
void d_set_inode(struct dentry *d, struct inode *inode); /* consumes the inode reference */
struct dentry *d_make_root(struct inode *inode);
struct dentry *d_alloc_anon(struct super_block *sb, struct inode *inode, const char *name); /* pipes, sockets: name for /proc/fd */
/* What is looked up afresh each time (DCACHE_NOCACHE), and what is so above it, is found again while it is in use: it is mounted on. */
void d_make_findable(struct dentry *d);
void d_drop(struct dentry *d); /* out of the cache: the next lookup asks the file system */
struct dentry *d_lookup(struct dentry *parent, const char *name, u32 len); /* cache only; reference */

u64 dcache_shrink(u64 n); /* forget up to n unused names; returns how many. Sleeps */

struct path {
	struct mount *mnt;
	struct dentry *dentry;
};
void path_get(const struct path *p);
void path_put(const struct path *p);
/* The absolute name as seen from the current task's root into buf; the start is returned (inside buf), or ERR_PTR.
 * " (deleted)" is appended for unlinked ones. */
char *d_path(const struct path *p, char *buf, size_t size);

struct file {
	refcount_t ref;
	const struct file_ops *fop;
	struct path path;
	struct inode *inode;
	_Atomic u32 flags; /* O_* status flags */
	u32 mode;	   /* FMODE_* */
	struct mutex pos_lock;
	u64 pos;
	void *priv;
	struct list_head epoll_items; /* epoll.c */
	spinlock_t lock;	      /* owner, epoll_items */
	s32 owner_pid, owner_type, owner_sig; /* F_SETOWN: signed as Linux */
	struct pid *owner;
	u32 owner_uid, owner_euid; /* of who set the owner */
	struct fasync *async;	   /* fasync.c: O_ASYNC; lock */
	u32 wb_seen; /* the last failure of write-back that it was told; pagecache.c */
	u64 ra_next; /* readahead: expected next page */
	u32 ra_size;
};
enum { FMODE_READ = 1, FMODE_WRITE = 2, FMODE_EXEC = 4, FMODE_PATH = 8, FMODE_LSEEK = 16, FMODE_PREAD = 32, FMODE_STREAM = 64,
       FMODE_DISSOLVE = 128 /* the file stands for a mount that hangs nowhere */,
       FMODE_DENY_WRITE = 256 /* counted as an execution in inode->writecount */, FMODE_OPENED = 512 /* by name: close is told */,
       FMODE_NONOTIFY = 1024 /* for who reads events: fanotify(7) */, FMODE_WRITER = 2048 /* counted in inode->writecount */ };
static inline struct file *file_get(struct file *f) { refcount_inc(&f->ref); return f; }
void file_put(struct file *f);
int file_deny_write(struct file *f); /* it is being executed; -ETXTBSY */
bool file_direct_allowed(const struct file *f, u32 flags); /* O_DIRECT, if it is among the flags */
void file_allow_write(struct file *f);
/* On success the file owns `priv` and file_on_inode() consumes the inode reference; on ERR_PTR nothing is consumed. */
/* Make an open file on an anonymous inode (pipes, sockets, eventfd, ...): `name` shows as "anon_inode:[name]". */
struct file *anon_file(const char *name, const struct file_ops *fop, void *priv, u32 flags);
struct inode *anon_inode_new(u32 mode); /* a fresh inode of the anonymous super block (sockets, pipes: own ino) */
/* The same on a name that is there; the reference on the path stays the caller's. */
struct file *file_on_path(const struct path *path, const struct file_ops *fop, void *priv, u32 flags);
struct file *file_on_inode(struct inode *inode, const char *name, const struct file_ops *fop, void *priv, u32 flags);

/* ---- descriptor tables (file.c) ---- */
struct files;
struct files *files_create(void);
struct files *files_copy(struct files *old); /* dup_fd */
struct files *files_get(struct files *f);
void files_put(struct files *f);
void files_close_on_exec(struct files *f);
struct file *fget(s32 fd);     /* of the current task; reference; NULL when bad or O_PATH */
struct file *fget_raw(s32 fd); /* O_PATH allowed */
/* The same for the length of one system call: without a reference when no other task can close the descriptor meanwhile.
 * End with fdput() in the same task; nothing in between may replace or share the table. */
struct fd {
	struct file *file; /* NULL: bad */
	bool counted;
};
struct fd fdget(s32 fd);
static inline void fdput(struct fd f)
{
	if (f.counted)
		file_put(f.file);
}
s32 fd_alloc_install(struct file *f, u32 o_cloexec, s32 from); /* consumes no reference on error; -EMFILE */
s32 fd_reserve(u32 o_cloexec, s32 from);
void fd_install(s32 fd, struct file *f); /* consumes the reference */
void fd_unreserve(s32 fd);
long fd_close(s32 fd);
long replace_fd(s32 fd, struct file *f, bool cloexec); /* as dup2(2); consumes the reference; fd or -errno */
/* For /proc: the file at fd of another table, with a reference; next open fd >= from or -1. */
struct file *files_peek(struct files *fs, s32 fd, u32 *fd_flags);
s32 files_next(struct files *fs, s32 from);
u32 files_size(struct files *fs); /* descriptors that it has room for just now */

struct fs_state {
	refcount_t ref;
	spinlock_t lock;
	struct path root, cwd;
	u32 umask;
};
struct fs_state *fs_state_copy(struct fs_state *old);
struct fs_state *fs_state_get(struct fs_state *f);
void fs_state_put(struct fs_state *f);

/* ---- path walking (path.c) ---- */
enum { LOOKUP_FOLLOW = 1, LOOKUP_DIRECTORY = 2, LOOKUP_EMPTY = 4, LOOKUP_PARENT = 8, LOOKUP_NO_SYMLINKS = 16, LOOKUP_BENEATH = 32,
       LOOKUP_IN_ROOT = 64, LOOKUP_NO_XDEV = 128, LOOKUP_NO_MAGICLINKS = 256,
       LOOKUP_READ = 512 /* a hint: to be opened for reading */, LOOKUP_CACHED = 1024 /* -EAGAIN for what a file system must be asked */ };
/* Resolve a kernel string from dirfd (AT_FDCWD or a descriptor). 0 with a referenced path, or -errno. Sleeps. */
int path_lookup(s32 dirfd, const char *name, u32 flags, struct path *out);
int user_path_lookup(s32 dirfd, u64 uname, u32 flags, struct path *out);
/* Open by kernel name (exec, init). O_* flags. */
struct file *file_open(s32 dirfd, const char *name, u32 flags, u32 mode);
struct file *file_open_path(const struct path *p, u32 flags);
/* mknod(2) by kernel name from the current directory, umask applied: 0 with the new node's path (bind of Unix sockets). */
int kern_mknod(const char *name, u32 mode, u64 rdev, struct path *out);
int inode_permission(struct inode *inode, u32 mask);
int vfs_getattr(const struct path *p, struct kstat *st);
int notify_change(struct dentry *d, const struct iattr *attr);
void touch_atime(struct file *f);
char *getname(u64 uname);    /* PATH_MAX string from user memory, kfree it; ERR_PTR(-EFAULT/-ENAMETOOLONG/-ENOENT for "") */
char *getname_empty(u64 uname); /* "" allowed */

/* Kernel-side I/O on an open file (exec, core dumps): bytes or -errno. */
long kernel_read(struct file *f, void *buf, size_t n, u64 pos);
long kernel_write(struct file *f, const void *buf, size_t n, u64 pos);
/* Bodies of read(2)/write(2) on a file with the checks of vfs_read: used by splice, sendfile, io_uring. */
long vfs_read(struct file *f, struct iov_iter *it, u64 *pos);
long vfs_write(struct file *f, struct iov_iter *it, u64 *pos);
/* 0, or -EOPNOTSUPP: RWF_* that f cannot have. */
long vfs_rw_flags(const struct file *f, u32 flags, bool write);
/* preadv2(2) and pwritev2(2): pos -1 is the file's own; flags are RWF_*. */
long vfs_rw(struct file *f, struct iov_iter *it, s64 pos, u32 flags, bool write);
int file_fallocate(struct file *f, u32 mode, s64 off, s64 len);
long file_sync_range(struct file *f, s64 off, s64 len, u32 flags);
long file_fadvise(struct file *f, u64 off, s64 len, s32 advice);
/* Bodies of splice(2) and tee(2); a position of NULL is the file's own, and a pipe has none. */
long splice_files(struct file *in, u64 *in_off, struct file *out, u64 *out_off, u64 n, u32 flags);
long tee_files(struct file *in, struct file *out, u64 n, u32 flags);
s64 generic_file_llseek(struct file *f, s64 off, int whence);
s64 noop_llseek(struct file *f, s64 off, int whence);

/* ---- mounts (mount.c) ---- */
struct mount_ns;
struct nsproxy;
struct user_ns;
struct fs_state;
struct mount {
	refcount_t ref;
	struct super_block *sb;
	struct dentry *root;	   /* what of sb is shown (bind mounts: a subtree) */
	struct dentry *mountpoint; /* in parent; namespace_lock */
	struct mount *parent;
	struct list_head children, child_node, ns_node;
	struct hlist_node hash;
	struct mount_ns *ns;
	u32 flags; /* MNT_* as MS_* bits: RDONLY NOSUID NODEV NOEXEC ... */
	s32 id;
	u32 peer_group, propagation;
	/* mount_namespaces(7), "Restrictions": what came from a namespace of another user namespace. */
	bool locked;	  /* stays where it is */
	bool foreign;	  /* its file system is somebody else's */
	u32 locked_flags; /* MS_* that cannot be cleared */
	bool internal; /* of anonymous files: not to be seen, bound or moved */
	struct mount *copy; /* while a tree is copied; namespace_lock */
	char *devname;
};
/* Mount `type` at an absolute path for the sentry itself. */
/* CLONE_NEWNS: give `ns`, which nobody sees yet, a copy of its mounts, and move fs over. 0 or -errno. */
int mount_ns_unshare(struct nsproxy *ns, struct fs_state *fs, struct user_ns *owner);
int mount_ns_enter(struct mount_ns *ns, struct fs_state *fs); /* setns(2): root and working directory are its root */
int kern_mount_at(const char *type, const char *source, const char *target, u32 flags, const char *options, void *data);
void vfs_init(void); /* builds the root from boot_params: gofer root under overlay, /proc /dev /sys /tmp ... */

/* ---- readiness (poll.c): how epoll, poll and select listen to a file ---- */
struct poll_table {
	/* Called by file_ops.poll for each wait queue that signals readiness. */
	void (*queue)(struct poll_table *pt, struct file *file, struct waitq *q);
	u32 events; /* of interest */
};
static inline void poll_wait(struct file *file, struct waitq *q, struct poll_table *pt)
{
	if (pt && pt->queue && q)
		pt->queue(pt, file, q);
}

/* ---- simple in-memory directories for pseudo file systems (libfs.c) ---- */
int simple_setattr(struct inode *i, const struct iattr *a);
struct dentry *simple_add_dir(struct dentry *parent, const char *name, u32 mode);
struct dentry *simple_add_file(struct dentry *parent, const char *name, u32 mode, const struct file_ops *fop, void *priv);
struct dentry *simple_add_symlink(struct dentry *parent, const char *name, const char *target);
struct dentry *simple_add_node(struct dentry *parent, const char *name, u32 mode, u64 rdev);
void simple_remove(struct dentry *parent, const char *name); /* unlink one entry, as a device goes away */
int simple_fill_super(struct super_block *sb, u64 magic);

/* ---- device numbers ---- */
void register_chrdev(u32 major, u32 minor_first, u32 minor_count, const struct file_ops *fop);
const struct file_ops *chrdev_fops(u64 rdev); /* NULL: -ENXIO */
#define MKDEV(ma, mi) ((((u64)(ma)&0xfff) << 8) | ((u64)(mi)&0xff) | (((u64)(mi)&~0xffull) << 12))
static inline u32 dev_major(u64 d) { return (u32)((d >> 8) & 0xfff); }
static inline u32 dev_minor(u64 d) { return (u32)((d & 0xff) | ((d >> 12) & ~0xffull)); }

#endif
