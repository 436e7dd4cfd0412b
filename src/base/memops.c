/* memcpy and its kin for the ring-0 image, by string instructions: short in code, fast on CPUs with ERMS, and one
 * emulated instruction each where ring 0 is emulated. */
#include "base/memops.h"

#include "base/string.h"

bool (*mem_bulk_copy)(void *dst, const void *src, size_t n);
bool (*mem_bulk_fill)(void *dst, int c, size_t n);

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	void *d = dst;
	size_t words = n >> 3, rest = n & 7;

	if (unlikely(n >= MEM_BULK_MIN && mem_bulk_copy) && mem_bulk_copy(dst, src, n))
		return dst;
	__asm__ volatile("rep movsq" : "+D"(d), "+S"(src), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(rest) : : "memory");
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	u8 *d = dst;
	const u8 *s = src;

	if (d <= s || d >= s + n)
		return memcpy(dst, src, n);
	while (n--)
		d[n] = s[n];
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	void *d = dst;
	u64 pattern = 0x0101010101010101ull * (u8)c;
	size_t words = n >> 3, rest = n & 7;

	if (unlikely(n >= MEM_BULK_MIN && mem_bulk_fill) && mem_bulk_fill(dst, c, n))
		return dst;
	__asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(pattern) : "memory");
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(rest) : "a"(pattern) : "memory");
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;

	for (; n; x++, y++, n--)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}
