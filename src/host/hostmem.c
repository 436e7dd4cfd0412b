#include "host/hostmem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <unistd.h>

struct hostmem hostmem = { .fd = -1 };

int hostmem_create(u64 size)
{
	int fd = memfd_create("runsc-c memory", MFD_CLOEXEC);
	void *base;
	int err;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0)
		goto fail;
	base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (base == MAP_FAILED)
		goto fail;
	/* A core dump of the sandbox process must not carry the memory of what runs in it. */
	madvise(base, size, MADV_DONTDUMP);
	hostmem = (struct hostmem){ fd, base, size };
	return 0;
fail:
	err = -errno;
	close(fd);
	return err;
}

int hostmem_release(u64 off, u64 len)
{
	return fallocate(hostmem.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len) < 0 ? -errno : 0;
}

s64 hostmem_iovec(const struct hc_seg *segs, u32 nsegs, struct iovec *iov)
{
	u64 total = 0;

	if (nsegs == 0 || nsegs > HC_SEGS_MAX)
		return -EINVAL;
	for (u32 i = 0; i < nsegs; i++) {
		void *p = hostmem_at(segs[i].off, segs[i].len);

		if (!p)
			return -EFAULT;
		if (segs[i].len > HC_RW_MAX - total)
			return -EINVAL;
		total += segs[i].len;
		iov[i] = (struct iovec){ p, segs[i].len };
	}
	return (s64)total;
}
