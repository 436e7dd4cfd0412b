/* Access to the memory of the current task: the platform copies what is present, the rest is faulted in. */
#include "sentry/mm/usercopy.h"

#include <asm/errno.h>

#include "base/string.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/frames.h"

bool access_ok(u64 addr, u64 len)
{
	return len <= USER_MAX && addr <= USER_MAX - len;
}

/* Make the page at addr present. False: the access is wrong, or the task is being killed. */
static bool fault_in(struct mm *mm, u64 addr, bool write)
{
	int sig, code;

	if (mm_fault(mm, addr, PF_USER | (write ? PF_WRITE : 0), &sig, &code))
		return false;
	return !fatal_signal_pending();
}

static __attribute__((noinline)) size_t copy_in_slow(struct mm *mm, void *dst, u64 src, size_t n, size_t left)
{
	for (;;) {
		dst = (char *)dst + (n - left);
		src += n - left;
		n = left;
		if (!left || !fault_in(mm, src, false))
			return n;
		left = platform->copy_from_user(mm, dst, src, n);
	}
}

static __attribute__((noinline)) size_t copy_out_slow(struct mm *mm, u64 dst, const void *src, size_t n, size_t left)
{
	for (;;) {
		src = (const char *)src + (n - left);
		dst += n - left;
		n = left;
		if (!left || !fault_in(mm, dst, true))
			return n;
		left = platform->copy_to_user(mm, dst, src, n);
	}
}

/* Bytes not copied. */
static size_t copy_in(void *dst, u64 src, size_t n)
{
	struct mm *mm = current->mm;
	size_t left;

	if (unlikely(!mm || !access_ok(src, n)))
		return n;
	left = platform->copy_from_user(mm, dst, src, n);
	return likely(!left) ? 0 : copy_in_slow(mm, dst, src, n, left);
}

static size_t copy_out(u64 dst, const void *src, size_t n)
{
	struct mm *mm = current->mm;
	size_t left;

	if (unlikely(!mm || !access_ok(dst, n)))
		return n;
	left = platform->copy_to_user(mm, dst, src, n);
	return likely(!left) ? 0 : copy_out_slow(mm, dst, src, n, left);
}

size_t copy_from_user_part(void *dst, u64 src, size_t n)
{
	return n - copy_in(dst, src, n);
}

size_t copy_to_user_part(u64 dst, const void *src, size_t n)
{
	return n - copy_out(dst, src, n);
}

int copy_from_user(void *dst, u64 src, size_t n)
{
	size_t left = copy_in(dst, src, n);

	if (likely(!left))
		return 0;
	memset((char *)dst + (n - left), 0, left);
	return -EFAULT;
}

int copy_to_user(u64 dst, const void *src, size_t n)
{
	return copy_out(dst, src, n) ? -EFAULT : 0;
}

int clear_user(u64 dst, size_t n)
{
	while (n) {
		size_t part = MIN(n, PAGE_SIZE);

		if (copy_out(dst, page_to_va(zero_page), part))
			return -EFAULT;
		dst += part;
		n -= part;
	}
	return 0;
}

long strncpy_from_user(char *dst, u64 src, size_t size)
{
	size_t done = 0;

	/* Up to the end of a page at a time: what follows the string may not be mapped. */
	while (done < size) {
		size_t part = MIN(size - done, MIN(PAGE_SIZE - ((src + done) & ~PAGE_MASK), 256ul)), len;

		if (copy_in(dst + done, src + done, part))
			return -EFAULT;
		len = kstrnlen(dst + done, part);
		if (len < part)
			return (long)(done + len);
		done += part;
	}
	return -ENAMETOOLONG;
}

int cmpxchg_user32(u64 addr, u32 old, u32 new, u32 *prev)
{
	struct mm *mm = current->mm;

	if (!mm || !access_ok(addr, sizeof(u32)) || (addr & 3))
		return -EFAULT;
	while (platform->cmpxchg_user32(mm, addr, old, new, prev))
		if (!fault_in(mm, addr, true))
			return -EFAULT;
	return 0;
}
