#include "host/hostmem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/window.h"

struct hostmem hostmem = { .fd = -1 };

/* Small sandboxes stay in small pages; what grows beyond gets huge ones, and then one host fault brings 512 pages. */
#define SMALL_PAGES_END (16ul << 20)

/* Address space for memory and window; less window, or none, where there is little. Aligned, so that a huge page here is one for a
 * guest too. */
static char *reserve(u64 size, u64 *window)
{
	for (*window = MIN(2 * size, HC_WINDOW_MAX);; *window = *window > size ? *window / 4 / HOSTMEM_UNIT * HOSTMEM_UNIT : 0) {
		u64 want = size + *window + HOSTMEM_UNIT, skip;
		char *raw = mmap(NULL, want, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (raw == MAP_FAILED && *window)
			continue;
		if (raw == MAP_FAILED)
			return NULL;
		skip = -(u64)raw & (HOSTMEM_UNIT - 1);
		if (skip)
			munmap(raw, skip);
		munmap(raw + want - (HOSTMEM_UNIT - skip), HOSTMEM_UNIT - skip);
		return raw + skip;
	}
}

static int create_file(u64 size)
{
	int fd = memfd_create("runsc-c memory", MFD_CLOEXEC), err;
	u64 window;
	char *base;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0)
		goto fail;
	base = reserve(size, &window);
	if (!base || mmap(base, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0) == MAP_FAILED)
		goto fail;
	hostmem = (struct hostmem){ fd, base, size, window };
	return 0;
fail:
	err = -errno;
	close(fd);
	return err;
}

static int create_private(u64 size)
{
	u64 window;
	char *base = reserve(size, &window);

	if (!base || mmap(base, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		return -errno;
	hostmem = (struct hostmem){ -1, base, size, window };
	/* Refused where the host has no huge pages: no matter. */
	madvise(hostmem.base, MIN(size, SMALL_PAGES_END), MADV_NOHUGEPAGE);
	if (size > SMALL_PAGES_END)
		madvise(hostmem.base + SMALL_PAGES_END, size - SMALL_PAGES_END, MADV_HUGEPAGE);
	return 0;
}

int hostmem_create(u64 size, bool shared)
{
	int err = shared ? create_file(size) : create_private(size);

	/* A core dump of the sandbox process must not carry the memory of what runs in it. */
	if (!err)
		madvise(hostmem.base, size, MADV_DONTDUMP);
	return err;
}

int hostmem_release(u64 off, u64 len)
{
	int ret = hostmem.fd >= 0 ? fallocate(hostmem.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len) :
				    madvise(hostmem.base + off, len, MADV_DONTNEED);

	return ret < 0 ? -errno : 0;
}

s64 hostmem_iovec(const struct hc_seg *segs, u32 nsegs, bool source, struct iovec *iov)
{
	u64 total = 0;

	if (nsegs == 0 || nsegs > HC_SEGS_MAX)
		return -EINVAL;
	for (u32 i = 0; i < nsegs; i++) {
		if (!hostmem_inside(segs[i].off, segs[i].len) && !(source && window_readable(segs[i].off, segs[i].len)))
			return -EFAULT;
		if (segs[i].len > HC_RW_MAX - total)
			return -EINVAL;
		total += segs[i].len;
		iov[i] = (struct iovec){ hostmem.base + segs[i].off, segs[i].len };
	}
	return (s64)total;
}
