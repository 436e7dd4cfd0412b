/* Bulk copies by the host half: where ring 0 is emulated, one exit is cheaper than 64 words. */
#include "platform/kvm/guest.h"

#include "base/memops.h"

static u64 mem_size, map_size; /* of memory; with the file window behind it, which is only read */

/* Offset into sandbox memory, or false for what the direct map does not cover (the image, kernel stacks, user memory). */
static bool in_direct_map(const void *p, size_t n, u64 limit, u64 *pa)
{
	*pa = (u64)p - KVM_DIRECT_MAP;
	return *pa < limit && n <= limit - *pa;
}

static bool bulk_copy(void *dst, const void *src, size_t n)
{
	struct kvm_hc_copy req = { .len = n };

	return in_direct_map(dst, n, mem_size, &req.dst) && in_direct_map(src, n, map_size, &req.src) &&
	       !hostcall(KVM_HC_COPY, &req, sizeof(req));
}

static bool bulk_fill(void *dst, int c, size_t n)
{
	struct kvm_hc_copy req = { .src = (u8)c, .len = n };

	return in_direct_map(dst, n, mem_size, &req.dst) && !hostcall(KVM_HC_FILL, &req, sizeof(req));
}

void kvm_bulk_setup(const struct boot_params *bp)
{
	mem_size = bp->mem_size;
	map_size = mem_size + bp->window_size;
	mem_bulk_copy = bulk_copy;
	mem_bulk_fill = bulk_fill;
}
