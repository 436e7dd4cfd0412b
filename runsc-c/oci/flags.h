/*
 * The options before a command: one table (flags.c), from which the command line, --help, the configuration file and the annotations of a
 * container are read.
 */
#ifndef RUNSC_C_OCI_FLAGS_H
#define RUNSC_C_OCI_FLAGS_H

#include "base/types.h"

struct json_object;

#define CONFIG_FILE "/etc/runsc-c/config.toml"
#define ANNOTATION_PREFIX "dev.runsc-c."

/* Read those of the command line, and for what it leaves open the configuration file. The index of the command's name in argv, or a
 * negative status after a printed error. */
int flags_parse(int argc, char **argv);
/* What the annotations of config.json change for this container. 0 or a status. */
int flags_read_annotations(struct json_object *annotations);
void flags_help(void);

#endif
