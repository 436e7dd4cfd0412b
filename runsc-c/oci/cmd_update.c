/* update: limits of a container that exists, as a document or one by one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "oci/oci.h"
#include "options.h"

enum { OPT_RESOURCES = 'r', OPT_HELP = 256, OPT_LIMIT };

/* Options as runc has them, and what they are in linux.resources. */
static const struct limit {
	const char *option, *part, *member;
	bool is_text;
	const char *help;
} limits[] = {
	{ "blkio-weight", "blockIO", "weight", false, "weight for block I/O, from 10 to 1000" },
	{ "cpu-period", "cpu", "period", false, "period of the CPU quota, in microseconds" },
	{ "cpu-quota", "cpu", "quota", false, "CPU time in a period, in microseconds; -1: no limit" },
	{ "cpu-share", "cpu", "shares", false, "weight for CPU time" },
	{ "cpu-rt-period", "cpu", "realtimePeriod", false, "the same for real-time programs" },
	{ "cpu-rt-runtime", "cpu", "realtimeRuntime", false, "the same for real-time programs" },
	{ "cpuset-cpus", "cpu", "cpus", true, "CPUs to use" },
	{ "cpuset-mems", "cpu", "mems", true, "memory nodes to use" },
	{ "memory", "memory", "limit", false, "most memory, in bytes; -1: no limit" },
	{ "memory-reservation", "memory", "reservation", false, "memory that it may keep under pressure, in bytes" },
	{ "memory-swap", "memory", "swap", false, "most memory and swap together, in bytes; -1: no limit" },
	{ "pids-limit", "pids", "limit", false, "most processes and threads; -1: no limit" },
};

static int help(void)
{
	printf("Usage: runsc-c update --resources=FILE ID\n       runsc-c update OPTION... ID\nChange the limits of a "
	       "container.\n\n"
	       "  -r, --resources=FILE      the linux.resources of a config.json, what does not change left out; -: "
	       "standard input\n");
	for (u32 i = 0; i < ARRAY_SIZE(limits); i++)
		printf("  --%s=%-*s %s\n", limits[i].option, (int)(22 - strlen(limits[i].option)),
		       limits[i].is_text ? "LIST" : "N", limits[i].help);
	return finish_stdout();
}

static int add_limit(struct json_object *resources, const struct limit *l, const char *text)
{
	struct json_object *part, *value;
	char *end;
	long long n;

	if (!json_object_object_get_ex(resources, l->part, &part)) {
		part = json_object_new_object();
		json_object_object_add(resources, l->part, part);
	}
	errno = 0;
	n = strtoll(text, &end, 10);
	if (!l->is_text && (!*text || *end || errno))
		return oci_fail("update: --%s: '%s' is not a number", l->option, text);
	value = l->is_text ? json_object_new_string(text) : json_object_new_int64(n);
	json_object_object_add(part, l->member, value);
	return 0;
}

int cmd_update(int argc, char **argv)
{
	static struct option options[ARRAY_SIZE(limits) + 3] = {
		{ "resources", required_argument, NULL, OPT_RESOURCES }, { "help", no_argument, NULL, OPT_HELP }
	};
	static struct container c;
	static struct json_reader r;
	struct json_object *resources = json_object_new_object();
	const char *file = NULL;
	int o, err = 0;

	for (u32 i = 0; i < ARRAY_SIZE(limits); i++)
		options[2 + i] = (struct option){ limits[i].option, required_argument, NULL, OPT_LIMIT + (int)i };
	while (!err && (o = next_option(argc, argv, options, "update")) != -1) {
		if (o == OPT_HELP)
			return help();
		if (o == OPT_RESOURCES)
			file = optarg;
		else if (o >= OPT_LIMIT)
			err = add_limit(resources, &limits[o - OPT_LIMIT], optarg);
		else
			err = 1;
	}
	if (err)
		return err;
	if (argc - optind != 1 || (!file && !json_object_object_length(resources)))
		return oci_fail("update: one container id, and --resources or limits are needed");
	err = container_open(&c, argv[optind]);
	if (err)
		return err;
	if (container_status(&c) == STATUS_STOPPED)
		return oci_fail("container not running");
	if (file) { /* as runc: the other options are ignored then */
		json_object_put(resources);
		resources = json_load(&r, file);
	}
	return resources ? cgroup_update(&c, resources) : oci_fail("%s", r.error);
}
