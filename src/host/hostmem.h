/*
 * Sandbox memory on the host side: one sparse memory file, mapped once. The sentry names bytes of it by offset and
 * length; these are the only doors from such a pair to a pointer.
 */
#ifndef HOST_HOSTMEM_H
#define HOST_HOSTMEM_H

#include <sys/uio.h>

#include "hostcall.h"

struct hostmem {
	int fd;	    /* -1: private memory */
	char *base; /* read-write, all of it */
	u64 size;   /* a multiple of 2 MiB */
	u64 window; /* bytes of the file window behind it (window.h); nothing is there but what is mapped */
};
extern struct hostmem hostmem;

#define HOSTMEM_UNIT (2ul << 20)
#define HOSTMEM_MIN (16ul << 20)
#define HOSTMEM_MAX (64ul << 30)

/* Create and map it, the file window behind it where address space allows; 0 or -errno. Nothing is touched. Shared: a memory file that other processes can map (ptrace's stubs);
 * otherwise memory of this process alone, where the host can use huge pages. */
int hostmem_create(u64 size, bool shared);
/* Give the pages back to the host; they read as zero afterwards. Page-aligned offset and length. */
int hostmem_release(u64 off, u64 len);

static inline bool hostmem_inside(u64 off, u64 len)
{
	return off <= hostmem.size && len <= hostmem.size - off;
}

/* NULL when any byte of it lies outside. What is there may change at any time: read each byte once. */
static inline void *hostmem_at(u64 off, u64 len)
{
	return hostmem_inside(off, len) ? hostmem.base + off : NULL;
}

/* Segments into an iovec; total bytes, or -EINVAL/-EFAULT. nsegs is untrusted. source: data comes from there, so what the file window
 * shows will do too. */
s64 hostmem_iovec(const struct hc_seg *segs, u32 nsegs, bool source, struct iovec *iov);

static inline struct boot_params *hostmem_boot_params(void)
{
	return (struct boot_params *)(hostmem.base + BOOT_PARAMS_PA);
}
static inline struct clock_page *hostmem_clock(void)
{
	return (struct clock_page *)(hostmem.base + CLOCK_PAGE_PA);
}
static inline struct hc_event_ring *hostmem_ring(void)
{
	return (struct hc_event_ring *)(hostmem.base + EVENT_RING_PA);
}

#endif
