/* state, list, spec: what is asked. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "oci/oci.h"
#include "options.h"

enum { OPT_FORMAT = 'f', OPT_QUIET = 'q', OPT_BUNDLE = 'b', OPT_HELP = 256 };

static int print_json(struct json_object *o)
{
	printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE | JSON_C_TO_STRING_SPACED));
	json_object_put(o);
	return finish_stdout();
}

int cmd_state(int argc, char **argv)
{
	static struct container c;
	int err;

	if (argc == 2 && !strcmp(argv[1], "--help"))
		return printf("Usage: runsc-c state ID\nPrint the state of a container as the runtime-spec has it.\n") < 0;
	if (argc != 2)
		return oci_fail("state: exactly one container id is needed");
	err = container_look(&c, argv[1]);
	return err ? err : print_json(container_state(&c, container_status(&c)));
}

/* Names of the state folders; malloc'ed. */
static char **container_names(u32 *n)
{
	struct dirent **found;
	int count = scandir(oci_options.root, &found, NULL, alphasort);
	char **names = calloc((size_t)MAX(count, 0) + 1, sizeof(*names));

	*n = 0;
	for (int i = 0; i < count; i++) {
		if (names && found[i]->d_name[0] != '.')
			names[(*n)++] = strdup(found[i]->d_name);
		free(found[i]);
	}
	if (count >= 0)
		free(found);
	return names;
}

int cmd_list(int argc, char **argv)
{
	static const struct option options[] = { { "format", required_argument, NULL, OPT_FORMAT }, { "quiet", no_argument, NULL, OPT_QUIET },
						 { "help", no_argument, NULL, OPT_HELP }, { 0 } };
	struct json_object *all = json_object_new_array();
	static struct container c;
	bool json = false, quiet = false;
	char **names;
	u32 n;
	int o;

	while ((o = next_option(argc, argv, options, "list")) != -1)
		switch (o) {
		case OPT_FORMAT:
			json = !strcmp(optarg, "json");
			if (!json && strcmp(optarg, "table"))
				return oci_fail("invalid format option");
			break;
		case OPT_QUIET: quiet = true; break;
		case OPT_HELP: return printf("Usage: runsc-c list [--format=table|json] [--quiet]\nThe containers below --root.\n") < 0;
		default: return 1;
		}
	names = container_names(&n);
	if (!json && !quiet)
		printf("%-20s %-10s %-10s %-30s %-32s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER");
	for (u32 i = 0; i < n; i++) {
		enum container_status s;

		if (container_look(&c, names[i]))
			continue;
		s = container_status(&c);
		if (quiet)
			printf("%s\n", c.id);
		else if (json)
			json_object_array_add(all, container_state(&c, s));
		else
			printf("%-20s %-10d %-10s %-30s %-32s %s\n", c.id, s == STATUS_STOPPED ? 0 : c.pid, container_status_name(s), c.bundle,
			       c.created, "root");
	}
	if (json)
		printf("%s\n", n ? json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : "null");
	return finish_stdout();
}

/* ---- spec ---- */

int cmd_spec(int argc, char **argv)
{
	static const struct option options[] = { { "bundle", required_argument, NULL, OPT_BUNDLE }, { "help", no_argument, NULL, OPT_HELP }, { 0 } };
	const char *bundle = ".";
	char path[4200];
	size_t n = strlen(spec_template);
	int o, fd;

	while ((o = next_option(argc, argv, options, "spec")) != -1)
		switch (o) {
		case OPT_BUNDLE: bundle = optarg; break;
		case OPT_HELP: return printf("Usage: runsc-c spec [--bundle=DIR]\nWrite a config.json to start from.\n") < 0;
		default: return 1;
		}
	snprintf(path, sizeof(path), "%s/config.json", bundle);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 && errno == EEXIST)
		return oci_fail("File %s exists. Remove it first", path);
	if (fd < 0 || write(fd, spec_template, n) != (ssize_t)n || close(fd) < 0)
		return oci_fail("%s: %s", path, strerror(errno));
	return 0;
}
