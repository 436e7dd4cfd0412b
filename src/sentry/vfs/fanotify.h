/*
 * fanotify(7), between its two files and for inotify.c, which knows where things happen. A group is a descriptor: its marks and its queue.
 * A mark stands on an inode (a reference), a mount or a super block (none: it goes with them).
 * Locks: fan_lock (spin) guards all groups' marks, then group->lock (spin) its queue.
 */
#ifndef SENTRY_FANOTIFY_H
#define SENTRY_FANOTIFY_H

#include <linux/fanotify.h>

#include "sentry/vfs/handle.h"
#include "sentry/vfs/vfs.h"

#define FAN_PATH_EVENTS (FAN_ACCESS | FAN_MODIFY | FAN_CLOSE | FAN_OPEN | FAN_OPEN_EXEC)
#define FAN_NAME_EVENTS (FAN_MOVE | FAN_CREATE | FAN_DELETE)
#define FAN_INODE_EVENTS (FAN_NAME_EVENTS | FAN_ATTRIB | FAN_MOVE_SELF | FAN_DELETE_SELF)
#define FAN_PERM_EVENTS (FAN_OPEN_PERM | FAN_ACCESS_PERM | FAN_OPEN_EXEC_PERM)

struct fan_mark {
	struct list_head node; /* of its group; fan_lock */
	u32 type;	       /* FAN_MARK_INODE, _MOUNT, _FILESYSTEM */
	void *object;
	u32 mask, ignored, flags; /* flags: FAN_MARK_IGNORED_SURV_MODIFY */
};
struct fan_event {
	refcount_t ref; /* the queue, and who waits for an answer */
	struct list_head node, wait_node;
	struct fan_group *group; /* of a question; while it is waited for */
	u32 mask;
	s32 pid; /* in the first namespace */
	struct path path; /* references; or the handle below */
	struct inode_handle handle;
	u64 dev;
	s32 fd;	     /* of a question that was read */
	u32 answer;  /* FAN_ALLOW, FAN_DENY; 0: none yet */
};
struct fan_group {
	struct list_head node, marks; /* fan_lock */
	u32 nmarks;
	u32 flags, event_flags; /* fanotify_init(2) */
	bool unprivileged;
	u32 uid;
	spinlock_t lock;
	struct list_head events, asked; /* asked: questions that were read */
	u32 nevents;
	struct waitq wait, answers;
	refcount_t ref; /* the file, and who waits for an answer */
};

static inline bool fan_by_handle(const struct fan_group *g) { return g->flags & FAN_REPORT_FID; }

/* fanotify.c: what happens, and marks. mnt NULL: it is not known by which mount. */
void fanotify_event(struct mount *mnt, struct dentry *d, u32 mask);
void fanotify_on_inode(struct inode *i, u32 mask); /* to those who want handles */
void fanotify_forget(void *object);		   /* an inode, mount or super block goes away */
void fanotify_forget_inodes(struct super_block *sb);
void fan_enlist(struct fan_group *g);
void fan_delist(struct fan_group *g); /* with all its marks */
long fan_add_mark(struct fan_group *g, u32 flags, void *object, u32 mask);
long fan_remove_mark(struct fan_group *g, u32 flags, void *object, u32 mask);
void fan_flush_marks(struct fan_group *g, u32 type);
int fan_show_marks(struct fan_group *g, char *buf, size_t size);
void fan_event_put(struct fan_event *e);
void fan_group_put(struct fan_group *g);

#endif
