/*
 * The file window on the host side (sentry/mm/window.h says what it is for): pages of files mapped behind sandbox memory, read-only.
 * All calls from any thread.
 */
#ifndef HOST_WINDOW_H
#define HOST_WINDOW_H

#include "base/types.h"

#define WINDOW_FILES_MAX 4096u

/* Before the lock-down: what to do when a file has become shorter than what is mapped of it (SIGBUS). */
int host_window_init(void);

/* What a block shows. */
struct window_view {
	u32 file;	/* number, */
	u32 generation; /* which may have been another file's before */
	int fd;		/* valid as long as the block is mapped */
	u64 pos;	/* in the file, of the byte asked for */
	u64 len;	/* bytes from there to the end of the block */
};
bool window_look(u64 off, struct window_view *view);
/* All of the range is shown, by one block or several. */
bool window_readable(u64 off, u64 len);
/* A guest met a page that is not there: show zeros where files have become shorter. True: something was done. */
bool window_repair(void);

#endif
