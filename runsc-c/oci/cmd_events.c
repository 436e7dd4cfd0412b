/* events: what a container uses, as its cgroups count it, in the form that runc prints; and that a program of it was
 * killed for memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "oci/cgroup.h"
#include "oci/oci.h"
#include "options.h"

enum { OPT_STATS = 256, OPT_INTERVAL, OPT_HELP };

/* Where a number is: "a.b.c" in the document; the whole of a file, or behind a key in it, of version 1, else of
 * version 2. */
static const struct number {
	const char *path, *v1, *v1_key, *v2, *v2_key;
	u32 v2_factor; /* microseconds into nanoseconds */
} numbers[] = {
	{ "cpu.usage.total", "cpuacct.usage", NULL, "cpu.stat", "usage_usec", 1000 },
	{ "cpu.usage.kernel", "cpuacct.usage_sys", NULL, "cpu.stat", "system_usec", 1000 },
	{ "cpu.usage.user", "cpuacct.usage_user", NULL, "cpu.stat", "user_usec", 1000 },
	{ "cpu.throttling.periods", "cpu.stat", "nr_periods", "cpu.stat", "nr_periods", 1 },
	{ "cpu.throttling.throttledPeriods", "cpu.stat", "nr_throttled", "cpu.stat", "nr_throttled", 1 },
	{ "cpu.throttling.throttledTime", "cpu.stat", "throttled_time", "cpu.stat", "throttled_usec", 1000 },
	{ "memory.cache", "memory.stat", "cache", "memory.stat", "file", 1 },
	{ "memory.usage.limit", "memory.limit_in_bytes", NULL, "memory.max", NULL, 1 },
	{ "memory.usage.usage", "memory.usage_in_bytes", NULL, "memory.current", NULL, 1 },
	{ "memory.usage.max", "memory.max_usage_in_bytes", NULL, "memory.peak", NULL, 1 },
	{ "memory.usage.failcnt", "memory.failcnt", NULL, "memory.events", "max", 1 },
	{ "memory.swap.limit", "memory.memsw.limit_in_bytes", NULL, "memory.swap.max", NULL, 1 },
	{ "memory.swap.usage", "memory.memsw.usage_in_bytes", NULL, "memory.swap.current", NULL, 1 },
	{ "memory.swap.max", "memory.memsw.max_usage_in_bytes", NULL, NULL, NULL, 1 },
	{ "memory.swap.failcnt", "memory.memsw.failcnt", NULL, "memory.swap.events", "max", 1 },
	{ "pids.current", "pids.current", NULL, "pids.current", NULL, 1 },
	{ "pids.limit", "pids.max", NULL, "pids.max", NULL, 1 },
};

static FILE *open_file(const struct container *c, const char *file)
{
	const char *dir = file ? cgroup_dir_with(c, file) : NULL;
	char path[4400];

	if (!dir)
		return NULL;
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return fopen(path, "re");
}

/* "name value" lines. */
static bool keyed_number(const struct container *c, const char *file, const char *key, u64 *out)
{
	FILE *f = open_file(c, file);
	unsigned long long value;
	bool found = false;
	char name[64];

	while (f && !found && fscanf(f, "%63s %llu", name, &value) == 2)
		found = !strcmp(name, key);
	if (f)
		fclose(f);
	*out = value;
	return found;
}

static bool read_number(const struct container *c, const struct number *n, u64 *out)
{
	if (n->v1_key ? keyed_number(c, n->v1, n->v1_key, out) : cgroup_number(c, n->v1, out))
		return true;
	if (!n->v2 || !(n->v2_key ? keyed_number(c, n->v2, n->v2_key, out) : cgroup_number(c, n->v2, out)))
		return false;
	*out *= n->v2_factor;
	return true;
}

static struct json_object *part(struct json_object *o, const char *name, size_t n)
{
	struct json_object *found;
	char text[32];

	snprintf(text, sizeof(text), "%.*s", (int)n, name);
	if (json_object_object_get_ex(o, text, &found))
		return found;
	found = json_object_new_object();
	json_object_object_add(o, text, found);
	return found;
}

static void add_number(struct json_object *o, const char *path, u64 value)
{
	const char *dot;

	for (; (dot = strchr(path, '.')); path = dot + 1)
		o = part(o, path, (size_t)(dot - path));
	json_object_object_add(o, path, json_object_new_uint64(value));
}

static void add_each_cpu(struct json_object *data, const struct container *c)
{
	FILE *f = open_file(c, "cpuacct.usage_percpu");
	struct json_object *list = json_object_new_array();
	unsigned long long value;

	while (f && fscanf(f, "%llu", &value) == 1)
		json_object_array_add(list, json_object_new_uint64(value));
	if (f)
		fclose(f);
	if (json_object_array_length(list))
		json_object_object_add(part(part(data, "cpu", 3), "usage", 5), "percpu", list);
	else
		json_object_put(list);
}

static void add_raw_memory(struct json_object *data, const struct container *c)
{
	FILE *f = open_file(c, "memory.stat");
	struct json_object *raw = json_object_new_object();
	unsigned long long value;
	char name[64];

	while (f && fscanf(f, "%63s %llu", name, &value) == 2)
		json_object_object_add(raw, name, json_object_new_uint64(value));
	if (f)
		fclose(f);
	json_object_object_add(part(data, "memory", 6), "raw", raw);
}

static void add_io(struct json_object *list, unsigned major, unsigned minor, const char *op, u64 value)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "major", json_object_new_int64(major));
	json_object_object_add(o, "minor", json_object_new_int64(minor));
	json_object_object_add(o, "op", json_object_new_string(op));
	json_object_object_add(o, "value", json_object_new_uint64(value));
	json_object_array_add(list, o);
}

/* Version 1 has a line for each device and kind, version 2 one for each device: "8:0 rbytes=1 wbytes=2 ...". */
static struct json_object *block_io(const struct container *c, const char *v1, const char *read_key,
				    const char *write_key)
{
	FILE *f = open_file(c, v1);
	struct json_object *list = json_object_new_array();
	char line[512], op[32];
	unsigned major, minor;
	unsigned long long n;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%u:%u %31s %llu", &major, &minor, op, &n) == 4)
			add_io(list, major, minor, op, n);
	if (f)
		fclose(f);
	f = f ? NULL : open_file(c, "io.stat");
	while (f && fgets(line, sizeof(line), f)) {
		const char *r = strstr(line, read_key), *w = strstr(line, write_key);

		if (sscanf(line, "%u:%u", &major, &minor) != 2 || !r || !w)
			continue;
		add_io(list, major, minor, "Read", strtoull(r + strlen(read_key), NULL, 10));
		add_io(list, major, minor, "Write", strtoull(w + strlen(write_key), NULL, 10));
	}
	if (f)
		fclose(f);
	return list;
}

static struct json_object *stats(const struct container *c)
{
	struct json_object *data = json_object_new_object(), *block = json_object_new_object();
	u64 value;

	for (u32 i = 0; i < ARRAY_SIZE(numbers); i++)
		if (read_number(c, &numbers[i], &value))
			add_number(data, numbers[i].path, value);
	add_each_cpu(data, c);
	add_raw_memory(data, c);
	json_object_object_add(block, "ioServiceBytesRecursive",
			       block_io(c, "blkio.throttle.io_service_bytes_recursive", "rbytes=", "wbytes="));
	json_object_object_add(block, "ioServicedRecursive",
			       block_io(c, "blkio.throttle.io_serviced_recursive", "rios=", "wios="));
	json_object_object_add(data, "blkio", block);
	return data;
}

/* Consumes data, which may be NULL. */
static int print_event(const struct container *c, const char *type, struct json_object *data)
{
	struct json_object *event = json_object_new_object();

	json_object_object_add(event, "type", json_object_new_string(type));
	json_object_object_add(event, "id", json_object_new_string(c->id));
	if (data)
		json_object_object_add(event, "data", data);
	printf("%s\n", json_object_to_json_string_ext(event, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(event);
	return finish_stdout();
}

static u64 killed_for_memory(const struct container *c)
{
	u64 n = 0;

	return keyed_number(c, "memory.oom_control", "oom_kill", &n) || keyed_number(c, "memory.events", "oom_kill", &n)
		       ? n
		       : 0;
}

static int watch(const struct container *c, u32 seconds)
{
	u64 killed = killed_for_memory(c);

	for (;;) {
		int err = print_event(c, "stats", stats(c));

		if (err)
			return err;
		sleep(seconds);
		if (killed_for_memory(c) > killed)
			err = print_event(c, "oom", NULL);
		killed = killed_for_memory(c);
		if (err || container_status(c) == STATUS_STOPPED)
			return err;
	}
}

int cmd_events(int argc, char **argv)
{
	static const struct option options[] = { { "stats", no_argument, NULL, OPT_STATS },
						 { "interval", required_argument, NULL, OPT_INTERVAL },
						 { "help", no_argument, NULL, OPT_HELP },
						 { 0 } };
	static struct container c;
	bool once = false;
	u32 seconds = 5;
	char text[16];
	int o, err;

	while ((o = next_option(argc, argv, options, "events")) != -1)
		switch (o) {
		case OPT_STATS: once = true; break;
		case OPT_INTERVAL:
			snprintf(text, sizeof(text), "%.*s", (int)strcspn(optarg, "s"),
				 optarg); /* "5s" as runc has it */
			if (parse_number("--interval", text, 1, 86400, &seconds))
				return 1;
			break;
		case OPT_HELP:
			return printf("Usage: runsc-c events [--stats] [--interval=DURATION] ID\n"
				      "Print what a container uses, until it ends, and when one of its programs was "
				      "killed for memory.\n\n"
				      "  --stats               once\n"
				      "  --interval=DURATION   how often, in seconds (default: 5s)\n") < 0;
		default: return 1;
		}
	if (argc - optind != 1)
		return oci_fail("events: exactly one container id is needed");
	err = container_look(&c, argv[optind]);
	if (err)
		return err;
	if (container_status(&c) == STATUS_STOPPED)
		return oci_fail("container not running");
	return once ? print_event(&c, "stats", stats(&c)) : watch(&c, seconds);
}
