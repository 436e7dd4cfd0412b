/*
 * The gofer protocol: what the sentry asks of the process that owns the container's files.
 *
 * A request is a header and a body; names are NUL-free bytes with their length, one path component each ("." and ".."
 * and '/' are refused), never a path. A node is named by an id that the gofer gave out; id 1 + n is the root of tree n.
 * The gofer keeps an O_PATH descriptor for each node until FORGET. A reply is a header (status) and a body.
 * Requests are handled one after the other on each channel (one channel a vCPU).
 *
 * The body of a request begins behind sizeof(struct gofer_req), that of a reply behind sizeof(struct gofer_rep), whatever
 * the operation. `len` counts both parts. No padding between names.
 *
 * WALK resolves paths, from `node` each; their names follow each other, an empty one begins the next path. The reply has a step for
 * each name that was met, once for those that paths share: a new node with its attributes and a link's target, or why there is none. A path
 * ends at its last name, at an error, or at what is no directory; with GOFER_WALK_FOLLOW symbolic links are gone through, within the tree,
 * and the names in them are steps as well. GOFER_WALK_OPEN: the file that the last path ends at, if it is a regular one, is opened for
 * reading, and passed. What does not fit into `max` bytes of reply (0: GOFER_MSG_MAX) is left out.
 * SYMLINK: the name, then the target up to the end. LINK: `node` under to_name in to_node; name_len 0.
 * RENAME: name in `node` to to_name in to_node. READDIR: `max` bytes of reply at most (0: GOFER_MSG_MAX); "." and ".." are
 * not given. GETXATTR and LISTXATTR with size 0 ask for the length alone. OPEN and CREATE pass a descriptor with the reply;
 * only regular files are ever opened. Trees that are read-only answer -EROFS to every change, and to SYNC.
 */
#ifndef INCLUDE_GOFER_H
#define INCLUDE_GOFER_H

#include "base/types.h"

#define GOFER_MSG_MAX (128u << 10)
#define GOFER_NAME_MAX 255

enum gofer_op {
	GOFER_WALK = 1,	/* node, names -> steps */
	GOFER_GETATTR,
	GOFER_SETATTR,	/* mode, uid, gid, size, times by mask */
	GOFER_OPEN,	/* node, O_ACCMODE|O_TRUNC|O_APPEND flags -> descriptor */
	GOFER_CREATE,	/* node, name, flags, mode, uid, gid -> node + attributes + descriptor */
	GOFER_READDIR,	/* node, cookie -> entries with attributes (struct gofer_dirent), batched */
	GOFER_READLINK,
	GOFER_MKDIR,
	GOFER_SYMLINK,
	GOFER_LINK,
	GOFER_MKNOD,
	GOFER_UNLINK,	/* node, name, AT_REMOVEDIR */
	GOFER_RENAME,
	GOFER_STATFS,
	GOFER_FORGET,	/* a batch of node ids */
	GOFER_GETXATTR,
	GOFER_LISTXATTR,
	GOFER_SETXATTR,
	GOFER_REMOVEXATTR,
	GOFER_CONNECT,	/* refused unless host sockets are allowed */
	GOFER_SYNC,	/* node, to stable storage; whole: all of its file system */
	GOFER_OP_NR
};

struct gofer_attr {
	u64 ino, dev, rdev;
	u64 size, blocks;
	u32 mode, nlink, uid, gid, blksize, pad;
	s64 atime_s, mtime_s, ctime_s, btime_s;
	u32 atime_ns, mtime_ns, ctime_ns, btime_ns;
};

struct gofer_req {
	u32 op, len; /* len: whole message */
	u64 node;
	union {
		struct { u32 flags, max; } walk;	/* then {u16 len; bytes} each */
		struct { u32 mask, mode, uid, gid; u64 size; s64 atime_s, mtime_s; u32 atime_ns, mtime_ns; } setattr;
		struct { u32 flags, mode, uid, gid, name_len, pad; } create; /* open, create, mkdir, symlink, mknod, unlink; then the name */
		struct { u64 cookie; u32 max, pad; } readdir;
		struct { u64 to_node; u32 flags, name_len, to_name_len, pad; } rename; /* rename, link; then both names */
		struct { u32 n, pad; } forget;		/* then u64 ids */
		struct { u32 name_len, size, flags, pad; } xattr; /* then name, then value */
		struct { u32 mode, uid, gid, name_len; u64 rdev; } mknod;
		struct { u32 whole, pad; } sync;
		u64 raw[8];
	};
};
enum { GOFER_WALK_FOLLOW = 1, GOFER_WALK_OPEN = 2 };
enum { GOFER_SET_MODE = 1, GOFER_SET_UID = 2, GOFER_SET_GID = 4, GOFER_SET_SIZE = 8, GOFER_SET_ATIME = 16,
       GOFER_SET_MTIME = 32, GOFER_SET_ATIME_NOW = 64, GOFER_SET_MTIME_NOW = 128 };

struct gofer_rep {
	s32 status; /* 0 or -errno */
	u32 len;    /* whole message */
	union {
		struct { u32 nsteps, pad; } walk;			   /* then struct gofer_step records */
		struct { struct gofer_attr attr; u64 node; } node;	   /* getattr, setattr, create, mkdir, ... */
		struct { u32 n, eof; u64 next_cookie; } readdir;	   /* then struct gofer_dirent records */
		struct { u32 size, pad; } data;				   /* readlink, xattrs: then the bytes */
		struct { u64 type, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen, frsize, flags; } statfs;
	};
};
#define GOFER_STEPS_MAX 48
enum { GOFER_UNDER_START = -1, GOFER_UNDER_ROOT = -2 };
struct gofer_step { /* 8-byte aligned records */
	u64 node;   /* 0: none, for `err` */
	struct gofer_attr attr;
	s32 under;  /* the directory: a step before this one, or GOFER_UNDER_* */
	s32 err;
	u16 reclen, name_len, target_len;
	u8 opened;  /* the descriptor is this one's */
	char bytes[]; /* the name, then a symbolic link's target */
};
struct gofer_dirent { /* 8-byte aligned records */
	u64 cookie;
	u64 node; /* 0: attributes not given */
	struct gofer_attr attr;
	u16 reclen, name_len;
	u8 type; /* DT_* */
	char name[];
};

#endif
