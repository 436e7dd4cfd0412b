/*
 * A strict part of TOML 1.0: comments, [table] of one name, and `key = value` with strings ("basic" with \b \t \n \f \r \" \\ and \uXXXX, or
 * 'literal'), integers in decimal, and booleans. What TOML has beyond that is an error and not skipped.
 */
#ifndef RUNSC_C_OCI_TOML_H
#define RUNSC_C_OCI_TOML_H

#include "base/types.h"

enum toml_type { TOML_STRING, TOML_INTEGER, TOML_BOOLEAN };
struct toml_item {
	const char *table, *key; /* table "": before the first */
	enum toml_type type;
	const char *text; /* of a string; else as it is written */
	s64 number;	  /* of an integer; of a boolean 0 or 1 */
	u32 line, key_column, column; /* where the key and the value stand, from 1; columns are bytes */
};
struct toml_reader {
	const char *file; /* for messages */
	/* An item; false when it is wrong, after toml_fail(). */
	bool (*item)(struct toml_reader *r, const struct toml_item *item);
	char error[512]; /* "FILE:LINE:COLUMN: ..." */
};

bool toml_parse(struct toml_reader *r, const char *text, size_t n);
/* Always false. */
bool toml_fail(struct toml_reader *r, u32 line, u32 column, const char *fmt, ...) __printf(4, 5);

#endif
