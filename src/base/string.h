/* The C string functions the sentry uses; built into libsentry.a because it has no libc. */
#ifndef BASE_STRING_H
#define BASE_STRING_H

#include "base/types.h"

/* Under the ptrace platform libc supplies these; in the ring-0 image src/base/string.c does. */
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);

size_t kstrnlen(const char *s, size_t max);
int kstrcmp(const char *a, const char *b);
int kstrncmp(const char *a, const char *b, size_t n);
char *kstrchr(const char *s, int c);
char *kstrrchr(const char *s, int c);
/* Copy with truncation; always terminates when size > 0. Returns strlen(src). */
size_t kstrlcpy(char *dst, const char *src, size_t size);

/* printf into a buffer: %d %i %u %x %X %o %c %s %p %% with flags "-0 +#", width, precision, and h hh l ll z j t.
 * Always terminates when size > 0; returns the length the whole text would have had. */
int ksnprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
int kvsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
/* Like ksnprintf, but returns what was stored (never more than size - 1). */
int kscnprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
/* Decimal (base 10), octal or hexadecimal; whole string, optional trailing newline. 0 or -EINVAL/-ERANGE. */
int kstrtou64(const char *s, unsigned base, u64 *out);
int kstrtos64(const char *s, unsigned base, s64 *out);

#endif
