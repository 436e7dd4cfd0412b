/* state, list, events, spec: what is asked. */
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

enum { OPT_FORMAT = 'f', OPT_QUIET = 'q', OPT_BUNDLE = 'b', OPT_HELP = 256, OPT_STATS, OPT_INTERVAL };

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

/* ---- events ---- */

static void add_number(struct json_object *o, const char *name, const struct container *c, const char *v1, const char *v2)
{
	u64 v;

	if (cgroup_number(c, v1, &v) || (v2 && cgroup_number(c, v2, &v)))
		json_object_object_add(o, name, json_object_new_uint64(v));
}

static struct json_object *stats(const struct container *c)
{
	struct json_object *event = json_object_new_object(), *data = json_object_new_object(), *cpu = json_object_new_object();
	struct json_object *usage = json_object_new_object(), *memory = json_object_new_object(), *pids = json_object_new_object();
	struct json_object *m = json_object_new_object();

	add_number(usage, "total", c, "cpuacct.usage", NULL);
	json_object_object_add(cpu, "usage", usage);
	add_number(m, "usage", c, "memory.usage_in_bytes", "memory.current");
	add_number(m, "limit", c, "memory.limit_in_bytes", "memory.max");
	add_number(m, "max", c, "memory.max_usage_in_bytes", "memory.peak");
	json_object_object_add(memory, "usage", m);
	add_number(pids, "current", c, "pids.current", NULL);
	add_number(pids, "limit", c, "pids.max", NULL);
	json_object_object_add(data, "cpu", cpu);
	json_object_object_add(data, "memory", memory);
	json_object_object_add(data, "pids", pids);
	json_object_object_add(event, "type", json_object_new_string("stats"));
	json_object_object_add(event, "id", json_object_new_string(c->id));
	json_object_object_add(event, "data", data);
	return event;
}

static int print_stats(const char *id)
{
	static struct container c;
	struct json_object *o;
	int err = container_look(&c, id);

	if (err)
		return err;
	if (container_status(&c) == STATUS_STOPPED)
		return oci_fail("container not running");
	o = stats(&c);
	printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return finish_stdout();
}

int cmd_events(int argc, char **argv)
{
	static const struct option options[] = { { "stats", no_argument, NULL, OPT_STATS }, { "interval", required_argument, NULL, OPT_INTERVAL },
						 { "help", no_argument, NULL, OPT_HELP }, { 0 } };
	bool once = false;
	u32 seconds = 5;
	char text[16];
	int o, err;

	while ((o = next_option(argc, argv, options, "events")) != -1)
		switch (o) {
		case OPT_STATS: once = true; break;
		case OPT_INTERVAL:
			snprintf(text, sizeof(text), "%.*s", (int)strcspn(optarg, "s"), optarg); /* "5s" as runc has it */
			if (parse_number("--interval", text, 1, 86400, &seconds))
				return 1;
			break;
		case OPT_HELP: return printf("Usage: runsc-c events [--stats] [--interval=DURATION] ID\nPrint what a container uses, again and again.\n") < 0;
		default: return 1;
		}
	if (argc - optind != 1)
		return oci_fail("events: exactly one container id is needed");
	for (;;) {
		err = print_stats(argv[optind]);
		if (err || once)
			return err;
		sleep(seconds);
	}
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
