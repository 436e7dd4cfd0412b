/* Values of options. Each 0, or a status with one line printed that names the option and the value. */
#ifndef RUNSC_C_OPTIONS_H
#define RUNSC_C_OPTIONS_H

#include <getopt.h>

#include "base/types.h"

/* getopt_long(3) over the options before the first other argument, with error lines of our own. A `val` below 256 is the short form. -1 at the end, '?' after a
 * printed error. `command` begins the lines. */
int next_option(int argc, char **argv, const struct option *options, const char *command);

int parse_size(const char *option, const char *text, u64 *out);	   /* bytes, with K, M or G */
int parse_number(const char *option, const char *text, u32 min, u32 max, u32 *out);
int parse_network(const char *text, bool *host_sockets); /* --network */
/* An existing directory, as an absolute path without links; malloc'ed. */
int parse_directory(const char *option, const char *text, char **out);

#endif
