/* Cursors over vectors of user or kernel buffers. */
#include <asm/errno.h>

#include "base/string.h"
#include "sentry/mm/frames.h"
#include "sentry/mm/usercopy.h"

void iov_iter_kernel(struct iov_iter *it, struct iovec_k *storage, void *buf, size_t n)
{
	*storage = (struct iovec_k){ .base = (u64)buf, .len = n };
	*it = (struct iov_iter){ .kernel = true, .iov = storage, .nr = 1, .count = n };
}

int iov_iter_user(struct iov_iter *it, struct iovec_k *storage, u64 base, size_t n)
{
	n = MIN(n, MAX_RW_COUNT);
	if (!access_ok(base, n))
		return -EFAULT;
	*storage = (struct iovec_k){ .base = base, .len = n };
	*it = (struct iov_iter){ .iov = storage, .nr = 1, .count = n };
	return 0;
}

int iov_iter_import(struct iov_iter *it, u64 uvec, u32 nr, struct iovec_k *fast, struct iovec_k **storage)
{
	struct iovec_k *v = fast;
	u64 total = 0;
	int err = 0;

	*storage = fast;
	if (nr > IOV_MAX_K)
		return -EINVAL;
	if (nr > 8 && !(v = kmalloc(nr * sizeof(*v))))
		return -ENOMEM;
	if (copy_from_user(v, uvec, nr * sizeof(*v)))
		err = -EFAULT;
	for (u32 i = 0; i < nr && !err; i++) {
		if ((s64)v[i].len < 0)
			err = -EINVAL;
		else if (!access_ok(v[i].base, v[i].len))
			err = -EFAULT;
		if (v[i].len > MAX_RW_COUNT - total)
			v[i].len = MAX_RW_COUNT - total;
		total += v[i].len;
	}
	if (err) {
		if (v != fast)
			kfree(v);
		return err;
	}
	*storage = v;
	*it = (struct iov_iter){ .iov = v, .nr = nr, .count = total };
	return 0;
}

void iov_iter_advance(struct iov_iter *it, size_t n)
{
	n = MIN(n, it->count);
	it->count -= n;
	while (n) {
		size_t here = it->iov->len - it->iov_off;

		if (n < here) {
			it->iov_off += n;
			return;
		}
		n -= here;
		it->iov_off = 0;
		it->iov++;
		it->nr--;
	}
}

/* The current piece, at most n bytes, empty vectors skipped; 0 at the end. */
static size_t iov_piece(struct iov_iter *it, size_t n, u64 *base)
{
	if (!it->count)
		return 0;
	while (it->iov_off == it->iov->len) {
		it->iov_off = 0;
		it->iov++;
		it->nr--;
	}
	*base = it->iov->base + it->iov_off;
	return MIN(n, MIN(it->iov->len - it->iov_off, it->count));
}

size_t copy_to_iter(const void *src, size_t n, struct iov_iter *it)
{
	size_t done = 0, part, ok;
	u64 base;

	while (done < n && (part = iov_piece(it, n - done, &base))) {
		ok = part;
		if (it->kernel)
			memcpy((void *)base, (const char *)src + done, part);
		else
			ok = copy_to_user_part(base, (const char *)src + done, part);
		iov_iter_advance(it, ok);
		done += ok;
		if (ok < part)
			break;
	}
	return done;
}

size_t copy_from_iter(void *dst, size_t n, struct iov_iter *it)
{
	size_t done = 0, part, ok;
	u64 base;

	while (done < n && (part = iov_piece(it, n - done, &base))) {
		ok = part;
		if (it->kernel)
			memcpy((char *)dst + done, (const void *)base, part);
		else
			ok = copy_from_user_part((char *)dst + done, base, part);
		iov_iter_advance(it, ok);
		done += ok;
		if (ok < part)
			break;
	}
	return done;
}

size_t iov_iter_zero(size_t n, struct iov_iter *it)
{
	size_t done = 0;

	while (done < n) {
		size_t part = MIN(n - done, PAGE_SIZE), ok = copy_to_iter(page_to_va(zero_page), part, it);

		done += ok;
		if (ok < part)
			break;
	}
	return done;
}

int iov_iter_fault_in(struct iov_iter *it, size_t n, bool write)
{
	struct iov_iter probe = *it;
	u64 base;
	size_t part;
	char byte;

	if (it->kernel)
		return 0;
	while (n && (part = iov_piece(&probe, MIN(n, PAGE_SIZE), &base))) {
		if (!copy_from_user_part(&byte, base, 1))
			return -EFAULT;
		/* Writing back what was read would race with other threads; a compare-exchange of a value with itself does not. */
		if (write) {
			u32 word;

			if (cmpxchg_user32(base & ~3ull, 0, 0, &word))
				return -EFAULT;
		}
		iov_iter_advance(&probe, part);
		n -= part;
	}
	return 0;
}
