/* Between the files of memfs. */
#ifndef FS_MEMFS_INTERNAL_H
#define FS_MEMFS_INTERNAL_H

#include <linux/errno.h>
#include <linux/stat.h>

#include "base/rbtree.h"
#include "fs/memfs/memfs.h"
#include "sentry/vfs/internal.h"

struct entry { /* a name in a directory */
	struct rb_node node;
	struct inode *inode; /* reference; NULL: a whiteout, what is below does not show */
	u32 len;
	bool below; /* the lower directory has the name, or may have it */
	char name[];
};
struct xattr {
	struct list_head node;
	char *name;
	void *value; /* NULL: removed, hides a lower one */
	size_t size;
};
struct mem { /* inode->priv */
	struct inode *lower; /* what is shown until changed; reference; NULL: all is our own */
	struct rb_root entries;	/* directories: own entries and whiteouts, by name */
	u32 nentries;	     /* without whiteouts */
	bool opaque;	     /* a directory that shows nothing of lower */
	bool own_data;	     /* a file whose contents were copied up */
	struct mapping own;
	char *target;	     /* symbolic links of our own */
	struct list_head xattrs;
	_Atomic u64 charged; /* pages of contents counted in the super block */
	/* Where a lower-only inode stands, to be entered there when it is changed: */
	struct inode *parent; /* reference; NULL once it is an entry of its directory */
	char *name;
};
struct mem_super { /* sb->priv */
	u64 max_pages, max_inodes;
	_Atomic u64 pages, inodes; /* in use */
	u32 root_mode;
	bool sized; /* by an option */
	bool overlay;
};
static inline struct mem_super *mem_super_of(const struct inode *i) { return i->sb->priv; }
static inline struct mem *mem_of(const struct inode *i) { return i->priv; }

/* inode.c */
struct inode *mem_new_inode(struct super_block *sb, u32 mode, u64 rdev);
struct inode *mem_wrap_lower(struct super_block *sb, struct inode *lower);
/* The inode (and its directories) is about to change: let it be found again although nothing refers to it. */
int mem_persist(struct inode *i);
/* Its name went: whatever is changed by those who have it open still, it does not come back. */
void mem_forget_place(struct inode *i);
int mem_copy_up(struct inode *i); /* file contents; inode->lock held */
void mem_own_contents(struct inode *i); /* from here on the contents are our own; inode->lock held */
void mem_evict(struct inode *i);

#define ENTRY_SIZE 20u /* what a name adds to the size of a directory of tmpfs */
/* Count the pages that a file has now. */
void mem_charge(struct inode *i);

/* super.c */
int overlay_fill_super(struct super_block *sb, const char *source, const char *options, void *data);

/* dir.c */
extern const struct inode_ops mem_dir_iops;
extern const struct file_ops mem_dir_fops;
struct entry *mem_find(struct inode *dir, const char *name, u32 len);
/* Consumes the inode; NULL: a whiteout. below: what a name that is new here stands over. */
int mem_insert(struct inode *dir, const char *name, u32 len, struct inode *inode, bool below);
void mem_free_entries(struct inode *dir);
int mem_setattr(struct inode *i, const struct iattr *a);

/* file.c */
extern const struct inode_ops mem_file_iops, mem_link_iops, mem_special_iops;
extern const struct file_ops mem_file_fops;

/* xattr.c */
long mem_getxattr(struct inode *i, const char *name, void *buf, size_t size);
int mem_setxattr(struct inode *i, const char *name, const void *value, size_t size, u32 flags);
long mem_listxattr(struct inode *i, char *buf, size_t size);
int mem_removexattr(struct inode *i, const char *name);
void mem_free_xattrs(struct mem *m);

#endif
