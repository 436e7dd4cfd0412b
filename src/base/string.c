#include "base/string.h"

#include <linux/errno.h>

size_t kstrnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

int kstrcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (u8)*a - (u8)*b;
}

int kstrncmp(const char *a, const char *b, size_t n)
{
	for (; n; a++, b++, n--)
		if (*a != *b || !*a)
			return (u8)*a - (u8)*b;
	return 0;
}

char *kstrchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)s;
		if (!*s)
			return NULL;
	}
}

char *kstrrchr(const char *s, int c)
{
	const char *last = NULL;

	for (;; s++) {
		if (*s == (char)c)
			last = s;
		if (!*s)
			return (char *)last;
	}
}

size_t kstrlcpy(char *dst, const char *src, size_t size)
{
	size_t n = strlen(src);

	if (size) {
		size_t k = MIN(n, size - 1);

		memcpy(dst, src, k);
		dst[k] = 0;
	}
	return n;
}

/* ---- formatted printing ---- */

struct out {
	char *buf;
	size_t size, len;
};

struct spec {
	bool left, zero, plus, space, alt;
	int width, precision; /* precision < 0: none given */
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void pad(struct out *o, char c, int n)
{
	while (n-- > 0)
		put(o, c);
}

static void put_text(struct out *o, const struct spec *s, const char *text, int len)
{
	if (!s->left)
		pad(o, ' ', s->width - len);
	for (int i = 0; i < len; i++)
		put(o, text[i]);
	if (s->left)
		pad(o, ' ', s->width - len);
}

static void put_number(struct out *o, const struct spec *s, u64 v, bool negative, unsigned base, bool upper)
{
	static const char lower_digits[] = "0123456789abcdef", upper_digits[] = "0123456789ABCDEF";
	const char *digits = upper ? upper_digits : lower_digits;
	char tmp[24];
	const char *prefix = "";
	int n = 0, zeros, prefix_len, total;

	if (negative)
		prefix = "-";
	else if (s->plus)
		prefix = "+";
	else if (s->space)
		prefix = " ";
	else if (s->alt && base == 16 && v)
		prefix = upper ? "0X" : "0x";
	else if (s->alt && base == 8)
		prefix = "0";
	for (u64 x = v; x; x /= base)
		tmp[n++] = digits[x % base];
	if (!n && s->precision)
		tmp[n++] = '0';
	prefix_len = (int)strlen(prefix);
	zeros = s->precision > n ? s->precision - n : 0;
	if (s->zero && !s->left && s->precision < 0 && s->width > n + prefix_len)
		zeros = s->width - n - prefix_len;
	total = n + zeros + prefix_len;
	if (!s->left)
		pad(o, ' ', s->width - total);
	for (const char *p = prefix; *p; p++)
		put(o, *p);
	pad(o, '0', zeros);
	while (n)
		put(o, tmp[--n]);
	if (s->left)
		pad(o, ' ', s->width - total);
}

static const char *parse_spec(const char *f, struct spec *s, va_list *ap)
{
	*s = (struct spec){ .precision = -1 };
	for (;; f++) {
		if (*f == '-')
			s->left = true;
		else if (*f == '0')
			s->zero = true;
		else if (*f == '+')
			s->plus = true;
		else if (*f == ' ')
			s->space = true;
		else if (*f == '#')
			s->alt = true;
		else
			break;
	}
	if (*f == '*') {
		s->width = va_arg(*ap, int);
		if (s->width < 0) {
			s->left = true;
			s->width = -s->width;
		}
		f++;
	} else {
		for (; *f >= '0' && *f <= '9'; f++)
			s->width = s->width * 10 + (*f - '0');
	}
	if (*f == '.') {
		s->precision = 0;
		if (*++f == '*') {
			s->precision = va_arg(*ap, int);
			f++;
		} else {
			for (; *f >= '0' && *f <= '9'; f++)
				s->precision = s->precision * 10 + (*f - '0');
		}
	}
	return f;
}

/* Length in bytes of the integer that a length modifier names; *f is moved behind it. */
static int parse_length(const char **f)
{
	int bytes = 4;

	for (;; ++*f) {
		if (**f == 'l' || **f == 'z' || **f == 'j' || **f == 't')
			bytes = 8;
		else if (**f == 'h')
			bytes = bytes == 2 ? 1 : 2;
		else
			return bytes;
	}
}

static s64 sign_extend(u64 v, int bytes)
{
	switch (bytes) {
	case 1:
		return (s8)v;
	case 2:
		return (s16)v;
	case 4:
		return (s32)v;
	default:
		return (s64)v;
	}
}

static void put_conversion(struct out *o, struct spec *s, char conv, int bytes, va_list *ap)
{
	u64 v;

	switch (conv) {
	case 'd':
	case 'i': {
		s64 sv = sign_extend(bytes == 8 ? va_arg(*ap, u64) : va_arg(*ap, u32), bytes);

		put_number(o, s, sv < 0 ? -(u64)sv : (u64)sv, sv < 0, 10, false);
		return;
	}
	case 'u':
	case 'x':
	case 'X':
	case 'o':
		v = bytes == 8 ? va_arg(*ap, u64) : va_arg(*ap, u32);
		if (bytes < 4)
			v &= (1u << (8 * bytes)) - 1;
		s->plus = s->space = false;
		put_number(o, s, v, false, conv == 'u' ? 10 : conv == 'o' ? 8 : 16, conv == 'X');
		return;
	case 'p':
		s->alt = true;
		put_number(o, s, (u64)va_arg(*ap, void *), false, 16, false);
		return;
	case 'c': {
		char c = (char)va_arg(*ap, int);

		put_text(o, s, &c, 1);
		return;
	}
	case 's': {
		const char *t = va_arg(*ap, const char *);

		if (!t)
			t = "(null)";
		put_text(o, s, t, (int)(s->precision >= 0 ? kstrnlen(t, (size_t)s->precision) : strlen(t)));
		return;
	}
	default:
		put(o, conv);
	}
}

int kvsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	struct out o = { buf, size, 0 };
	va_list ap;

	va_copy(ap, args);
	for (const char *f = fmt; *f; f++) {
		struct spec s;
		int bytes;

		if (*f != '%') {
			put(&o, *f);
			continue;
		}
		f = parse_spec(f + 1, &s, &ap);
		bytes = parse_length(&f);
		if (!*f)
			break;
		put_conversion(&o, &s, *f, bytes, &ap);
	}
	va_end(ap);
	if (size)
		buf[MIN(o.len, size - 1)] = 0;
	return (int)o.len;
}

int ksnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = kvsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return n;
}

int kscnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = kvsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return size ? (int)MIN((size_t)n, size - 1) : 0;
}

/* ---- numbers from text ---- */

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

int kstrtou64(const char *s, unsigned base, u64 *out)
{
	u64 v = 0;
	bool any = false;

	if (!base)
		base = s[0] != '0' ? 10 : s[1] == 'x' || s[1] == 'X' ? 16 : 8;
	if (base == 16 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		s += 2;
	for (; digit_value(*s) < (int)base; s++) {
		if (__builtin_mul_overflow(v, (u64)base, &v) || __builtin_add_overflow(v, (u64)digit_value(*s), &v))
			return -ERANGE;
		any = true;
	}
	if (*s == '\n')
		s++;
	if (!any || *s)
		return -EINVAL;
	*out = v;
	return 0;
}

int kstrtos64(const char *s, unsigned base, s64 *out)
{
	bool negative = *s == '-';
	u64 v;
	int err;

	if (*s == '-' || *s == '+')
		s++;
	err = kstrtou64(s, base, &v);
	if (err)
		return err;
	if (v > (u64)INT64_MAX + negative)
		return -ERANGE;
	*out = negative ? (s64)-v : (s64)v;
	return 0;
}
