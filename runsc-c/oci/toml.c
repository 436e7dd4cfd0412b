#include "oci/toml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 64
#define VALUE_MAX_BYTES 4096
#define ITEMS_MAX 256

struct parser {
	struct toml_reader *r;
	const char *at, *end, *line_start;
	u32 line;
	char table[NAME_MAX_BYTES], key[NAME_MAX_BYTES], value[VALUE_MAX_BYTES];
	u32 nseen;
	char seen[ITEMS_MAX][2 * NAME_MAX_BYTES]; /* "table.key", and "table" for the tables */
};

bool toml_fail(struct toml_reader *r, u32 line, u32 column, const char *fmt, ...)
{
	int n = snprintf(r->error, sizeof(r->error), "%s:%u:%u: ", r->file, line, column);
	va_list ap;

	va_start(ap, fmt);
	if (n < (int)sizeof(r->error))
		vsnprintf(r->error + n, sizeof(r->error) - (size_t)n, fmt, ap);
	va_end(ap);
	return false;
}

static u32 column(const struct parser *p)
{
	return (u32)(p->at - p->line_start) + 1;
}

static int peek(const struct parser *p)
{
	return p->at < p->end ? (unsigned char)*p->at : -1;
}

#define fail_here(p, ...) toml_fail((p)->r, (p)->line, column(p), __VA_ARGS__)

static void skip_blanks(struct parser *p)
{
	while (peek(p) == ' ' || peek(p) == '\t')
		p->at++;
}

static bool is_end_of_line(const struct parser *p)
{
	return p->at == p->end || *p->at == '\n' || (*p->at == '\r' && p->at + 1 < p->end && p->at[1] == '\n');
}

/* What may follow on a line: blanks and a comment. */
static bool end_line(struct parser *p)
{
	skip_blanks(p);
	if (peek(p) == '#')
		for (; !is_end_of_line(p); p->at++)
			if ((unsigned char)*p->at < 0x20 && *p->at != '\t')
				return fail_here(p, "a control character in a comment");
	if (!is_end_of_line(p))
		return fail_here(p, "the end of the line is expected");
	if (p->at < p->end)
		p->at += *p->at == '\r' ? 2 : 1;
	p->line++;
	p->line_start = p->at;
	return true;
}

static bool read_name(struct parser *p, char *out)
{
	size_t n = 0;

	while (p->at + n < p->end &&
	       (strchr("_-", p->at[n]) || (p->at[n] >= '0' && p->at[n] <= '9') ||
		(p->at[n] >= 'a' && p->at[n] <= 'z') || (p->at[n] >= 'A' && p->at[n] <= 'Z')) &&
	       p->at[n])
		n++;
	if (!n)
		return fail_here(p, "a name is expected: letters, digits, _ and -");
	if (n >= NAME_MAX_BYTES)
		return fail_here(p, "a name of more than %d characters", NAME_MAX_BYTES - 1);
	memcpy(out, p->at, n);
	out[n] = '\0';
	p->at += n;
	return true;
}

static bool remember(struct parser *p, const char *name, u32 at)
{
	for (u32 i = 0; i < p->nseen; i++)
		if (!strcmp(p->seen[i], name))
			return toml_fail(p->r, p->line, at, "%s is there twice", name);
	if (p->nseen == ITEMS_MAX)
		return toml_fail(p->r, p->line, at, "more than %d items", ITEMS_MAX);
	snprintf(p->seen[p->nseen++], sizeof(p->seen[0]), "%s", name);
	return true;
}

static bool read_table(struct parser *p)
{
	u32 at = column(p);

	p->at++;
	skip_blanks(p);
	if (!read_name(p, p->table))
		return false;
	skip_blanks(p);
	if (peek(p) == '.')
		return fail_here(p, "tables inside tables are not known");
	if (peek(p) != ']')
		return fail_here(p, "']' is expected");
	p->at++;
	return remember(p, p->table, at) && end_line(p);
}

/* ---- values ---- */

static bool add_byte(struct parser *p, size_t *n, int c)
{
	if (*n >= VALUE_MAX_BYTES - 1)
		return fail_here(p, "a string of more than %d bytes", VALUE_MAX_BYTES - 1);
	p->value[(*n)++] = (char)c;
	return true;
}

/* \uXXXX as UTF-8. */
static bool add_code(struct parser *p, size_t *n)
{
	unsigned code = 0;

	for (u32 i = 0; i < 4; i++) {
		int c = peek(p), digit = -1;

		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if (c > 0 && (c | 32) >= 'a' && (c | 32) <= 'f')
			digit = (c | 32) - 'a' + 10;
		if (digit < 0)
			return fail_here(p, "four hexadecimal digits are expected");
		code = code << 4 | (unsigned)digit;
		p->at++;
	}
	if (!code || (code >= 0xd800 && code < 0xe000))
		return fail_here(p, "\\u%04X is no character", code);
	if (code < 0x80)
		return add_byte(p, n, (int)code);
	if (code < 0x800)
		return add_byte(p, n, (int)(0xc0 | code >> 6)) && add_byte(p, n, (int)(0x80 | (code & 0x3f)));
	return add_byte(p, n, (int)(0xe0 | code >> 12)) && add_byte(p, n, (int)(0x80 | (code >> 6 & 0x3f))) &&
	       add_byte(p, n, (int)(0x80 | (code & 0x3f)));
}

static bool add_escape(struct parser *p, size_t *n)
{
	static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
	int c = peek(p);
	const char *found = c > 0 ? strchr(from, c) : NULL;

	if (c == 'u') {
		p->at++;
		return add_code(p, n);
	}
	if (!found)
		return fail_here(p, "no such escape");
	p->at++;
	return add_byte(p, n, to[found - from]);
}

static bool read_string(struct parser *p, struct toml_item *item)
{
	char quote = *p->at++;
	size_t n = 0;

	while (peek(p) != quote) {
		int c = peek(p);

		if (is_end_of_line(p))
			return fail_here(p, "the string does not end on its line");
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return fail_here(p, "a control character in a string");
		p->at++;
		if (c == '\\' && quote == '"' ? !add_escape(p, &n) : !add_byte(p, &n, c))
			return false;
	}
	p->at++;
	p->value[n] = '\0';
	item->type = TOML_STRING;
	return true;
}

/* A word: true, false, or a number. */
static bool read_word(struct parser *p, struct toml_item *item)
{
	const char *start = p->at;
	size_t n = 0, digits;
	char *end;

	while (start + n < p->end && !strchr(" \t\r\n#", start[n]) && start[n])
		n++;
	if (!n || n > 24)
		return fail_here(p, "a value is expected: a string, true, false or a number");
	memcpy(p->value, start, n);
	p->value[n] = '\0';
	item->type = TOML_BOOLEAN;
	item->number = !strcmp(p->value, "true");
	digits = strspn(p->value + strspn(p->value, "+-"), "0123456789");
	if (item->number == 0 && strcmp(p->value, "false")) {
		const char *first = p->value + (p->value[0] == '+' || p->value[0] == '-');

		errno = 0;
		item->type = TOML_INTEGER;
		item->number = strtoll(p->value, &end, 10);
		if (*end || !digits || errno || (*first == '0' && digits > 1))
			return fail_here(p, "%s: a string in quotes, true, false or a decimal number is expected",
					 p->value);
	}
	p->at += n;
	return true;
}

static bool read_item(struct parser *p)
{
	struct toml_item item = {
		.table = p->table, .key = p->key, .text = p->value, .line = p->line, .key_column = column(p)
	};
	char name[2 * NAME_MAX_BYTES];

	if (!read_name(p, p->key))
		return false;
	skip_blanks(p);
	if (peek(p) == '.')
		return fail_here(p, "keys with dots are not known: write a [table]");
	if (peek(p) != '=')
		return fail_here(p, "'=' is expected");
	p->at++;
	skip_blanks(p);
	item.column = column(p);
	if (!(peek(p) == '"' || peek(p) == '\'' ? read_string(p, &item) : read_word(p, &item)))
		return false;
	snprintf(name, sizeof(name), "%s.%s", p->table, p->key);
	if (!remember(p, *p->table ? name : name + 1, item.key_column) || !end_line(p))
		return false;
	return p->r->item(p->r, &item);
}

bool toml_parse(struct toml_reader *r, const char *text, size_t n)
{
	struct parser *p = calloc(1, sizeof(*p));
	bool good = p;

	if (!p)
		return toml_fail(r, 0, 0, "%s", strerror(ENOMEM));
	*p = (struct parser){ .r = r, .at = text, .end = text + n, .line_start = text, .line = 1 };
	while (good && p->at < p->end) {
		skip_blanks(p);
		if (peek(p) == '[')
			good = read_table(p);
		else if (peek(p) == '#' || is_end_of_line(p))
			good = end_line(p);
		else
			good = read_item(p);
	}
	free(p);
	return good;
}
