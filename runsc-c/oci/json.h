/*
 * JSON from outside, read strictly: RFC 8259 as it stands (UTF-8, no control characters in strings, 64-bit integers exact), and at
 * most JSON_DEPTH levels. json-c alone lets much of that pass. Of two members of a name the last holds, as it does for runc (crun takes the
 * first; the RFC leaves it open). Errors name the place in the document.
 */
#ifndef RUNSC_C_OCI_JSON_H
#define RUNSC_C_OCI_JSON_H

#include <json-c/json.h>

#include "base/types.h"

#define JSON_DEPTH 32
#define JSON_FILE_MAX (8u << 20)

/* Where a reader stands. The first error stays; later reads give nothing. */
struct json_reader {
	const char *document; /* for messages: a file's name */
	char error[512];
	bool failed;
};

/* The whole file ("-": standard input), or NULL with r->error. Free with json_object_put(). */
struct json_object *json_load(struct json_reader *r, const char *path);
struct json_object *json_parse(struct json_reader *r, const char *text, size_t n);

/* A member of the type asked for; NULL when it is missing, null or of another type (then r has failed). `where` is the JSON
 * path of the object, for messages: "process.user". Strings belong to the document and have no NUL inside. */
struct json_object *json_member(struct json_reader *r, struct json_object *o, const char *where, const char *name, enum json_type type);
const char *json_text(struct json_reader *r, struct json_object *o, const char *where, const char *name);
bool json_flag(struct json_reader *r, struct json_object *o, const char *where, const char *name);
/* False: it is missing. */
bool json_u64(struct json_reader *r, struct json_object *o, const char *where, const char *name, u64 max, u64 *out);
bool json_s64(struct json_reader *r, struct json_object *o, const char *where, const char *name, s64 *out);
/* A NULL-terminated vector (malloc'ed; the strings are the document's) of an array of strings; NULL when it is missing. */
char **json_texts(struct json_reader *r, struct json_object *o, const char *where, const char *name);
void json_fail(struct json_reader *r, const char *fmt, ...) __printf(2, 3);

#endif
