/* The page cache's inner interface: what other memory code needs beyond mm.h. */
#ifndef SENTRY_PAGECACHE_H
#define SENTRY_PAGECACHE_H

#include "sentry/mm/mm.h"

struct file;
struct super_block;

/* Drop up to n clean, unmapped pages of caches that have a backing store. Frames freed. Never sleeps. */
u64 pagecache_shrink(u64 n);
/* The same with all means: writes dirty pages back and unmaps clean ones. Sleeps; no locks held. Frames freed. */
u64 pagecache_reclaim(void);
/* Pages in all caches, and those of caches without a backing store (tmpfs, shared memory). */
s64 pagecache_pages(void);
s64 pagecache_shmem_pages(void);
/* Read pages [first, first + n) into the cache ahead of use; errors do not matter. */
void mapping_readahead(struct mapping *m, u64 first, u64 n);
/* The pages of [first, first + n) that are there and uptodate, each with a reference, else NULL. Never sleeps. */
void mapping_peek_pages(struct mapping *m, u64 first, u32 n, struct page **out);
/* Mark dirty: the page will be written back. A no-op when memory is the store. */
void page_mark_dirty(struct page *page);
/* Write back all dirty pages of a file system's files; NULL: of all. The first error. Sleeps. */
int pagecache_sync(struct super_block *sb);
/* Write-back failed: each file open on it is told once, by fsync(2); when none is, the next that opens it. */
void mapping_failed(struct mapping *m, int err);
void mapping_opened(struct mapping *m, struct file *file);
int mapping_tell(struct mapping *m, struct file *file); /* 0: no failure that it does not know */
/* Drop those pages of [first, last] that lie in the file window and that nobody maps. */
void mapping_drop_unused(struct mapping *m, u64 first, u64 last);
/* Drop the clean pages: the store changed. */
void mapping_invalidate(struct mapping *m);
/* No frame of the file window from here on, and none that is there already: the pages may be written. Sleeps. */
void mapping_refuse_window(struct mapping *m);
/* Write back the dirty pages in [first, last]. */
int mapping_writeback_range(struct mapping *m, u64 first, u64 last);

#endif
