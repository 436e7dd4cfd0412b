#include "oci/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void json_fail(struct json_reader *r, const char *fmt, ...)
{
	va_list ap;

	if (r->failed)
		return;
	r->failed = true;
	va_start(ap, fmt);
	vsnprintf(r->error, sizeof(r->error), fmt, ap);
	va_end(ap);
}

/* ---- what json-c would let pass ---- */

/* Bytes of the UTF-8 character at p, 0 when it is none: no overlong forms, no surrogates (RFC 3629). */
static size_t utf8_length(const u8 *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;

	if (!n || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90))
		return 0;
	return n;
}

struct scan {
	const u8 *text;
	size_t at, size;
	u32 line;
};

/* From behind the opening quote to behind the closing one. */
static const char *scan_string(struct scan *s)
{
	while (s->at < s->size) {
		const u8 *p = s->text + s->at;
		size_t n;

		if (*p == '"') {
			s->at++;
			return NULL;
		}
		if (*p < 0x20)
			return "a control character in a string";
		if (*p == '\\') {
			if (s->size - s->at >= 6 && !memcmp(p, "\\u0000", 6))
				return "a NUL in a string";
			s->at += 2;
			continue;
		}
		n = utf8_length(p, s->size - s->at);
		if (!n)
			return "a string that is not UTF-8";
		s->at += n;
	}
	return "a string without an end";
}

static const char *scan_word(struct scan *s)
{
	static const char *const words[] = { "true", "false", "null" };
	const char *p = (const char *)s->text + s->at;

	for (u32 i = 0; i < ARRAY_SIZE(words); i++) {
		size_t n = strlen(words[i]);

		if (s->size - s->at >= n && !memcmp(p, words[i], n)) {
			s->at += n;
			return NULL;
		}
	}
	return "a word that is none of true, false and null";
}

/* Integers beyond 64 bits would be clamped without a word. */
static const char *scan_number(struct scan *s)
{
	const char *p = (const char *)s->text + s->at;
	size_t n = 0;
	char copy[64], *end;

	while (s->at + n < s->size && p[n] && strchr("+-0123456789.eE", p[n]))
		n++;
	if (n >= sizeof(copy))
		return "a number that is too long";
	memcpy(copy, p, n);
	copy[n] = '\0';
	errno = 0;
	if (!strpbrk(copy, ".eE")) {
		if (copy[0] == '-')
			strtoll(copy, &end, 10);
		else
			strtoull(copy, &end, 10);
		if (errno || *end)
			return "a number that 64 bits do not hold";
	}
	s->at += n;
	return NULL;
}

static const char *scan_document(struct scan *s)
{
	u32 depth = 0;

	while (s->at < s->size) {
		u8 c = s->text[s->at];
		const char *wrong = NULL;

		if (c == '"') {
			s->at++;
			wrong = scan_string(s);
		} else if (c == '{' || c == '[') {
			s->at++;
			if (++depth > JSON_DEPTH)
				wrong = "too many levels";
		} else if (c == '}' || c == ']') {
			s->at++;
			if (depth-- == 0)
				wrong = "a closing bracket too many";
		} else if (c == '-' || (c >= '0' && c <= '9')) {
			wrong = scan_number(s);
		} else if (c && strchr(" \t\r\n:,", c)) {
			s->line += c == '\n';
			s->at++;
		} else {
			wrong = scan_word(s);
		}
		if (wrong)
			return wrong;
	}
	return NULL;
}

struct json_object *json_parse(struct json_reader *r, const char *text, size_t n)
{
	struct scan s = { .text = (const u8 *)text, .size = n, .line = 1 };
	const char *wrong = scan_document(&s);
	struct json_tokener *t;
	struct json_object *o;

	if (wrong) {
		json_fail(r, "%s: line %u: %s", r->document, s.line, wrong);
		return NULL;
	}
	t = json_tokener_new_ex(JSON_DEPTH + 1);
	if (!t) {
		json_fail(r, "%s: out of memory", r->document);
		return NULL;
	}
	json_tokener_set_flags(t, JSON_TOKENER_STRICT);
	o = json_tokener_parse_ex(t, text, (int)n);
	if (json_tokener_get_error(t) == json_tokener_continue) /* a lone number has no end before the end of the text */
		o = json_tokener_parse_ex(t, "", -1);
	if (json_tokener_get_error(t) != json_tokener_success) {
		json_fail(r, "%s: at byte %zu: %s", r->document, json_tokener_get_parse_end(t), json_tokener_error_desc(json_tokener_get_error(t)));
		json_object_put(o);
		o = NULL;
	}
	json_tokener_free(t);
	return o;
}

/* A file, or "-" for standard input, whose length nobody knows before. */
static int open_document(struct json_reader *r, const char *path)
{
	struct stat st;
	int fd;

	if (!strcmp(path, "-"))
		return dup(STDIN_FILENO);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		json_fail(r, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		json_fail(r, "%s: not a regular file", path);
	else
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static char *read_whole(struct json_reader *r, const char *path, size_t *size)
{
	int fd = open_document(r, path);
	char *text = fd < 0 ? NULL : malloc(JSON_FILE_MAX + 1);
	size_t n = 0;
	ssize_t got;

	if (!text)
		return NULL;
	do {
		got = read(fd, text + n, JSON_FILE_MAX + 1 - n);
		n += got > 0 ? (size_t)got : 0;
	} while ((got > 0 && n <= JSON_FILE_MAX) || (got < 0 && errno == EINTR));
	close(fd);
	if (got < 0)
		json_fail(r, "%s: %s", path, strerror(errno));
	else if (n > JSON_FILE_MAX)
		json_fail(r, "%s: larger than %u MiB", path, JSON_FILE_MAX >> 20);
	if (r->failed) {
		free(text);
		return NULL;
	}
	*size = n;
	return text;
}

struct json_object *json_load(struct json_reader *r, const char *path)
{
	struct json_object *o;
	size_t n;
	char *text;

	r->document = path;
	text = read_whole(r, path, &n);
	o = text ? json_parse(r, text, n) : NULL;
	free(text);
	return o;
}

/* ---- members ---- */

static const char *dot(const char *where)
{
	return *where ? "." : "";
}

struct json_object *json_member(struct json_reader *r, struct json_object *o, const char *where, const char *name, enum json_type type)
{
	struct json_object *m;

	if (r->failed || !o || !json_object_object_get_ex(o, name, &m) || !m)
		return NULL;
	if (json_object_is_type(m, type))
		return m;
	json_fail(r, "%s: %s%s%s: a value of type %s is needed, not %s", r->document, where, dot(where), name, json_type_to_name(type),
		  json_type_to_name(json_object_get_type(m)));
	return NULL;
}

const char *json_text(struct json_reader *r, struct json_object *o, const char *where, const char *name)
{
	struct json_object *m = json_member(r, o, where, name, json_type_string);

	return m ? json_object_get_string(m) : NULL;
}

bool json_flag(struct json_reader *r, struct json_object *o, const char *where, const char *name)
{
	struct json_object *m = json_member(r, o, where, name, json_type_boolean);

	return m && json_object_get_boolean(m);
}

bool json_u64(struct json_reader *r, struct json_object *o, const char *where, const char *name, u64 max, u64 *out)
{
	struct json_object *m = json_member(r, o, where, name, json_type_int);

	if (!m)
		return false;
	*out = json_object_get_uint64(m);
	if (json_object_get_int64(m) >= 0 && *out <= max)
		return true;
	json_fail(r, "%s: %s%s%s: not a number from 0 to %llu", r->document, where, dot(where), name, (unsigned long long)max);
	return false;
}

bool json_s64(struct json_reader *r, struct json_object *o, const char *where, const char *name, s64 *out)
{
	struct json_object *m = json_member(r, o, where, name, json_type_int);

	if (m)
		*out = json_object_get_int64(m);
	return m != NULL;
}

char **json_texts(struct json_reader *r, struct json_object *o, const char *where, const char *name)
{
	struct json_object *m = json_member(r, o, where, name, json_type_array);
	size_t n = m ? json_object_array_length(m) : 0;
	char **v = m ? calloc(n + 1, sizeof(*v)) : NULL;

	for (size_t i = 0; v && i < n; i++) {
		struct json_object *item = json_object_array_get_idx(m, i);

		if (!json_object_is_type(item, json_type_string)) {
			json_fail(r, "%s: %s%s%s[%zu]: a string is needed", r->document, where, dot(where), name, i);
			free(v);
			return NULL;
		}
		v[i] = (char *)json_object_get_string(item);
	}
	return v;
}
