/*
 * The file window: physical addresses behind sandbox memory, in which the host maps pages of its files (HC_WINDOW_MAP). The
 * page cache shows large files that it does not write from there instead of copying them in: sandboxes then share the host's own page cache, and a
 * page costs a translation, not a copy.
 *
 * The window is divided into blocks; a block shows WINDOW_BLOCK_PAGES pages of one file. Its frames have a struct page like
 * others, are never written, never anonymous, and lie on no LRU. A block lives as long as its file's inode, or until another
 * file needs it and nobody maps its pages.
 */
#ifndef SENTRY_WINDOW_H
#define SENTRY_WINDOW_H

#include "hostcall.h"
#include "sentry/mm/mm.h"

#define WINDOW_MIN_SIZE (64ul << 10) /* smaller files are copied: that costs less than a mapping */

struct window_file { /* in the inode of a file that may be shown so */
	u32 id;	      /* the host's number for it + 1; 0: not opened */
	bool refused; /* the host does not map this file */
	void *blocks; /* radix tree of its blocks, by their place in the file */
};

extern struct page *window_first, *window_end;
static inline bool page_in_window(const struct page *page) { return page >= window_first && page < window_end; }

void window_init(u64 pa, u64 size);
/* Frames for up to n pages of the file from `index` on, each with one reference, as many as are to be had in one block: perhaps none.
 * h: the file's handle, for the first time. Sleeps not; makes hostcalls. */
u32 window_frames(struct window_file *wf, struct mapping *m, hc_handle h, u64 index, struct page **pages, u32 n);
/* The pages, which window_frames() gave and which follow each other, are in the host's memory: reads them if need be. 0 or -errno. */
int window_fetch(hc_handle h, struct page **pages, u32 n);
/* The inode goes away, or its file is shown anew from here on. Its pages that are in use stay as they are. */
void window_file_release(struct window_file *wf);
/* The last reference of a page is gone. */
void window_page_free(struct page *page);

#endif
