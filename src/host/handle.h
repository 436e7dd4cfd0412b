/*
 * Handles: the sentry's names for the sandbox process' descriptors. An index with a generation, so that a stale one is
 * refused rather than taken for its successor.
 *
 * One thread may close a handle while another uses it: the other's call then fails, or hits the file that took the same
 * descriptor number. Both files are the sandbox's own, and the kernel checks the access mode of what it is given.
 */
#ifndef HOST_HANDLE_H
#define HOST_HANDLE_H

#include "hostcall.h"

enum handle_kind {
	HANDLE_FREE,
	HANDLE_FILE,   /* regular: has positions, never waits for a peer */
	HANDLE_STREAM, /* pipe, socket, character device */
	HANDLE_TTY,
	HANDLE_SOCKET, /* made by HC_SOCK_OPEN or accepted: for the calls on sockets alone */
};
struct handle {
	int fd;
	u8 kind;	 /* enum handle_kind */
	bool nonblock;	 /* O_NONBLOCK is set on this open file, which is ours alone */
};
#define HANDLE_MAX 65536u

/* Take over `fd`. The handle, or -ENFILE (the descriptor stays the caller's). */
s64 handle_add(int fd, enum handle_kind kind, bool nonblock);
/* A copy of what the handle stands for; 0 or -EBADF. */
int handle_get(hc_handle h, struct handle *out);
/* As above, and of one kind; -EINVAL for another. */
int handle_get_kind(hc_handle h, enum handle_kind kind, struct handle *out);
/* Free it and give its descriptor to the caller, who closes it. */
int handle_remove(hc_handle h, struct handle *out);
static inline u32 handle_index(hc_handle h) { return h & 0xffff; }

#endif
