#include "options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"

/* "+:" and the letters of those that have one as their value. */
static void short_options(const struct option *options, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "+:");

	for (; options->name && n + 3 < size; options++)
		if (options->val < 256)
			n += (size_t)snprintf(out + n, size - n, "%c%s", options->val, options->has_arg == required_argument ? ":" : "");
}

int next_option(int argc, char **argv, const struct option *options, const char *command)
{
	int at = optind ? optind : 1, c;
	char letters[64];

	opterr = 0;
	short_options(options, letters, sizeof(letters));
	c = getopt_long(argc, argv, letters, options, NULL);
	if (c == ':')
		fail("%s: %s: an argument is missing", command, argv[optind - 1]);
	else if (c == '?')
		fail("%s: %s: no such option, or not with an argument; \"runsc-c %s --help\" lists them", command, argv[at], command);
	return c == ':' ? '?' : c;
}

int parse_size(const char *option, const char *text, u64 *out)
{
	char *end;
	u64 n, unit = 1;

	errno = 0;
	n = strtoull(text, &end, 10);
	switch (*end) {
	case 'G':
	case 'g':
		unit <<= 10;
		__attribute__((fallthrough));
	case 'M':
	case 'm':
		unit <<= 10;
		__attribute__((fallthrough));
	case 'K':
	case 'k':
		unit <<= 10;
		end++;
	}
	if (end == text || *end || text[0] == '-' || errno || n > ~0ull / unit)
		return fail("%s: '%s' is not a size (a number, with K, M or G)", option, text);
	*out = n * unit;
	return 0;
}

int parse_number(const char *option, const char *text, u32 min, u32 max, u32 *out)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (end == text || *end || text[0] == '-' || errno || n < min || n > max)
		return fail("%s: '%s' is not a number from %u to %u", option, text, min, max);
	*out = (u32)n;
	return 0;
}

int parse_network(const char *text, bool *host_sockets)
{
	*host_sockets = !strcmp(text, "host-sockets");
	if (!*host_sockets && strcmp(text, "none"))
		return fail("--network: '%s' is neither host-sockets nor none", text);
	return 0;
}

int parse_directory(const char *option, const char *text, char **out)
{
	struct stat st;
	char *path = realpath(text, NULL);

	if (!path || stat(path, &st) < 0)
		return fail("%s: %s: %s", option, text, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return fail("%s: %s: %s", option, text, strerror(ENOTDIR));
	*out = path;
	return 0;
}
