/* What the memory code needs of the frame allocator beyond mm.h. */
#ifndef SENTRY_FRAMES_H
#define SENTRY_FRAMES_H

#include "sentry/mm/mm.h"

#define FRAME_MAX_ORDER 18u /* 1 GiB */
enum {
	PG_BUDDY = 0x100, /* head of a free block */
	PG_REMOVED = 0x200, /* was a page of a file: out of its mapping, perhaps not yet unmapped */
};

/* Private memory: a frame that belongs to no file, nor ever did. */
static inline bool page_is_anon(const struct page *page)
{
	return !page->mapping && !(page->flags & PG_REMOVED);
}

/* Give back 2^order frames that frame_alloc() gave as one block; each must have exactly one reference. */
void frames_free_block(struct page *page, u32 order);
/* The same for n neighbouring frames. */
void frames_free_run(struct page *page, u64 n);
/* Give back a list (of page.lru) of order-0 frames whose references are gone already. */
void frames_free_list(struct list_head *pages);
/* From now on this_cpu_id() is right: use the per-vCPU caches. */
void frames_use_percpu(void);
/* No more than so many frames in use at once, however sparse memory is. */
void frames_set_limit(u64 frames);
extern bool frames_percpu;
/* A frame of zeros for reading, never counted (map it with PTE_SPECIAL). */
extern struct page *zero_page;

#endif
