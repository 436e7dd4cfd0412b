#include "oci/flags.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oci/oci.h"
#include "oci/toml.h"
#include "options.h"

enum flag_type { FLAG_BOOL, FLAG_TEXT, FLAG_CHOICE, FLAG_NUMBER, FLAG_IGNORED };
/* Where it may stand beside the command line. */
enum { IN_FILE = 1, IN_ANNOTATION = 2 };

static const struct flag {
	const char *name;
	enum flag_type type;
	const char *values;   /* FLAG_CHOICE: "a|b"; else what help calls the value */
	const char *fallback; /* as it would be written; NULL: none, or worked out */
	u32 where;
	const char *safe; /* values that an annotation may have without leave, for they make no sandbox weaker: "a|b" */
	size_t to;	  /* in oci_options: bool, const char * or u32 */
	const char *help;
} flags[] = {
#define TO(member) offsetof(struct oci_options, member)
	{ "config", FLAG_TEXT, "FILE", CONFIG_FILE, 0, NULL, TO(config), "the configuration file" },
	{ "root", FLAG_TEXT, "DIR", NULL, IN_FILE, NULL, TO(root),
	  "where the state of containers is kept; /run/runsc-c" },
	{ "log", FLAG_TEXT, "FILE", NULL, IN_FILE, NULL, TO(log), "errors and warnings are appended there" },
	{ "log-format", FLAG_CHOICE, "text|json", "text", IN_FILE, NULL, TO(log_format), "how" },
	{ "debug", FLAG_BOOL, NULL, "false", IN_FILE, NULL, TO(debug), "what is done is written to --log, too" },
	{ "platform", FLAG_CHOICE, "auto|kvm|ptrace", "auto", IN_FILE | IN_ANNOTATION, "", TO(platform),
	  "what sandboxes run on" },
	{ "network", FLAG_CHOICE, "host-sockets|none", "host-sockets", IN_FILE | IN_ANNOTATION, "none", TO(network),
	  "sockets of the network namespace of config.json, or a loopback link alone" },
	{ "overlay", FLAG_CHOICE, "none|root", "none", IN_FILE | IN_ANNOTATION, "root", TO(overlay),
	  "root: what is written to the root goes to memory, and ends with the container" },
	{ "file-access", FLAG_CHOICE, "shared|exclusive", "shared", IN_FILE | IN_ANNOTATION, "shared", TO(file_access),
	  "shared: files may change on the host meanwhile; exclusive is refused" },
	{ "host-uds", FLAG_CHOICE, "none|open|create|all", "none", IN_FILE | IN_ANNOTATION, "none", TO(host_uds),
	  "Unix sockets of the host; all but none are refused" },
	{ "vcpus", FLAG_NUMBER, "N", "0", IN_FILE | IN_ANNOTATION, "", TO(vcpus),
	  "most virtual CPUs of a sandbox; 0: as many as it may use" },
	{ "strace", FLAG_BOOL, NULL, "false", IN_FILE | IN_ANNOTATION, "false|true", TO(strace),
	  "print every system call to the debug log or the container's standard error" },
	{ "debug-log", FLAG_TEXT, "DIR", NULL, IN_FILE | IN_ANNOTATION, "", TO(debug_log),
	  "messages of the sandboxes, a file a container" },
	{ "rootless", FLAG_CHOICE, "auto|true|false", "auto", IN_FILE, NULL, TO(rootless),
	  "false: cgroups that may not be made are an error, and not left out" },
	{ "systemd-cgroup", FLAG_BOOL, NULL, "false", IN_FILE, NULL, TO(systemd_cgroup),
	  "refused: cgroups are made without systemd" },
	{ "criu", FLAG_IGNORED, "FILE", NULL, 0, NULL, 0,
	  "taken for the sake of callers that have it; nothing uses it" },
};
#define NFLAGS ARRAY_SIZE(flags)
#define FIRST_OPTION 256

static u64 given;	 /* bit i: flags[i] is on the command line */
static u64 may_annotate; /* the configuration file gives leave */

static bool one_of(const char *list, const char *value)
{
	size_t n = strlen(value);

	for (const char *p = list; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
		if (n && !strncmp(p, value, n) && (p[n] == '|' || !p[n]))
			return true;
	return false;
}

static const char *type_name(const struct flag *f)
{
	switch (f->type) {
	case FLAG_BOOL: return "true or false";
	case FLAG_NUMBER: return "a number from 0 to 64";
	default: return f->values;
	}
}

/* `where`: what the message begins with. */
static int set(const struct flag *f, const char *value, const char *where)
{
	void *to = (char *)&oci_options + f->to;
	char *end;

	switch (f->type) {
	case FLAG_IGNORED: return 0;
	case FLAG_TEXT:
		*(const char **)to = strdup(value);
		return *value ? 0 : oci_fail("%s: is empty", where);
	case FLAG_CHOICE:
		if (!one_of(f->values, value))
			break;
		*(const char **)to = strdup(value);
		return 0;
	case FLAG_BOOL:
		if (!one_of("true|false", value))
			break;
		*(bool *)to = !strcmp(value, "true");
		return 0;
	case FLAG_NUMBER:
		*(u32 *)to = (u32)strtoul(value, &end, 10);
		if (!*value || *end || value[0] < '0' || value[0] > '9' || *(u32 *)to > MAX_CPUS)
			break;
		return 0;
	}
	return oci_fail("%s: '%s' is not %s%s", where, value, f->type == FLAG_CHOICE ? "one of " : "", type_name(f));
}

static const struct flag *find(const char *name)
{
	for (u32 i = 0; i < NFLAGS; i++)
		if (!strcmp(flags[i].name, name))
			return &flags[i];
	return NULL;
}

/* ---- the configuration file ---- */

static bool set_from_file(struct toml_reader *r, const struct toml_item *item, const struct flag *f)
{
	static const enum toml_type wanted[] = { [FLAG_BOOL] = TOML_BOOLEAN,
						 [FLAG_TEXT] = TOML_STRING,
						 [FLAG_CHOICE] = TOML_STRING,
						 [FLAG_NUMBER] = TOML_INTEGER };
	static const char *const names[] = {
		[TOML_STRING] = "a string in quotes", [TOML_INTEGER] = "a number", [TOML_BOOLEAN] = "true or false"
	};
	bool is_word =
		f->type == FLAG_CHOICE && one_of(f->values, "true") && item->type == TOML_BOOLEAN; /* rootless = true */
	char where[600];

	if (item->type != wanted[f->type] && !is_word)
		return toml_fail(r, item->line, item->column, "%s: %s is expected", f->name, names[wanted[f->type]]);
	if (given >> (f - flags) & 1)
		return true;
	snprintf(where, sizeof(where), "%s:%u:%u: %s", r->file, item->line, item->column, f->name);
	return set(f, item->text, where) == 0; /* it has printed why, and r->error is empty */
}

static bool allow_annotations(struct toml_reader *r, const struct toml_item *item, u64 which)
{
	if (item->type != TOML_BOOLEAN)
		return toml_fail(r, item->line, item->column, "%s: true or false is expected", item->key);
	may_annotate = item->number ? may_annotate | which : may_annotate & ~which;
	return true;
}

static bool on_item(struct toml_reader *r, const struct toml_item *item)
{
	const struct flag *f = find(item->key);

	if (!*item->table && !strcmp(item->key, "allow-annotations"))
		return allow_annotations(r, item, ~0ull);
	if (!strcmp(item->table, "annotations") && f && f->where & IN_ANNOTATION)
		return allow_annotations(r, item, 1ull << (f - flags));
	if (!*item->table && f && f->where & IN_FILE)
		return set_from_file(r, item, f);
	if (*item->table && strcmp(item->table, "annotations"))
		return toml_fail(r, item->line, 1, "[%s]: no such table; [annotations] is the only one", item->table);
	return toml_fail(r, item->line, item->key_column, "%s: %s", item->key,
			 f ? *item->table ? "no annotation can set it" : "cannot be set here" : "no such option");
}

/* Whoever can write the file rules over every container. */
static int check_owner(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return oci_fail("%s: not a regular file", path);
	if (st.st_mode & (S_IWGRP | S_IWOTH) || (st.st_uid && st.st_uid != geteuid()))
		return oci_fail("%s: others may write to it: it is not trusted", path);
	return 0;
}

static int read_config(void)
{
	static char text[64 << 10];
	struct toml_reader r = { .file = oci_options.config, .item = on_item };
	bool is_default = !(given & 1);
	int fd = open(r.file, O_RDONLY | O_NONBLOCK | O_CLOEXEC), err;
	ssize_t n;

	if (fd < 0 && is_default && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
		return 0;
	if (fd < 0)
		return oci_fail("%s: %s", r.file, strerror(errno));
	err = check_owner(fd, r.file);
	n = err ? 0 : read(fd, text, sizeof(text));
	close(fd);
	if (err)
		return err;
	if (n < 0 || n == sizeof(text))
		return oci_fail("%s: %s", r.file, n < 0 ? strerror(errno) : "the file is too large");
	if (toml_parse(&r, text, (size_t)n))
		return 0;
	return r.error[0] ? oci_fail("%s", r.error) : 1;
}

/* ---- the whole ---- */

/* What is understood and not there. */
static int refuse(void)
{
	if (oci_options.root[0] != '/')
		return oci_fail("--root: %s: an absolute path is needed", oci_options.root);
	if (oci_options.systemd_cgroup)
		return oci_fail(
			"--systemd-cgroup: cgroups are made without systemd; use the cgroupfs driver of the engine");
	if (strcmp(oci_options.file_access, "shared"))
		return oci_fail("--file-access=%s: files of the host are always asked for anew",
				oci_options.file_access);
	if (strcmp(oci_options.host_uds, "none"))
		return oci_fail("--host-uds=%s: Unix sockets of the host cannot be reached from inside",
				oci_options.host_uds);
	return 0;
}

static const char *default_root(void)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	char *path;

	if (geteuid() == 0 || !run || asprintf(&path, "%s/runsc-c", run) < 0)
		return "/run/runsc-c";
	return path;
}

static int set_defaults(void)
{
	int err = 0;

	oci_options.root = default_root();
	for (u32 i = 0; i < NFLAGS && !err; i++)
		err = flags[i].fallback ? set(&flags[i], flags[i].fallback, flags[i].name) : 0;
	return err;
}

static int read_command_line(int argc, char **argv)
{
	static struct option options[NFLAGS + 1];
	int c, err = 0;

	for (u32 i = 0; i < NFLAGS; i++)
		options[i] = (struct option){ flags[i].name,
					      flags[i].type == FLAG_BOOL ? optional_argument : required_argument, NULL,
					      FIRST_OPTION + (int)i };
	while (!err && (c = next_option(argc, argv, options, "runsc-c")) != -1) {
		const struct flag *f = &flags[c - FIRST_OPTION];
		char where[64];

		if (c < FIRST_OPTION)
			return 1;
		snprintf(where, sizeof(where), "--%s", f->name);
		given |= 1ull << (f - flags);
		err = set(f, optarg ? optarg : "true", where);
	}
	return err;
}

int flags_parse(int argc, char **argv)
{
	int err = set_defaults(), at;

	if (!err)
		err = read_command_line(argc, argv);
	at = optind;
	optind = 0; /* the command has options of its own */
	if (!err)
		err = read_config();
	if (!err)
		err = refuse();
	return err ? -err : at;
}

int flags_read_annotations(struct json_object *annotations)
{
	const size_t n = strlen(ANNOTATION_PREFIX);
	char where[128];
	int err;

	if (!annotations)
		return 0;
	json_object_object_foreach(annotations, name, value) {
		const struct flag *f = strncmp(name, ANNOTATION_PREFIX, n) ? NULL : find(name + n);
		const char *text = json_object_get_string(value);

		if (strncmp(name, ANNOTATION_PREFIX, n))
			continue;
		if (!f || !(f->where & IN_ANNOTATION))
			return oci_fail("annotations: %.100s: %s", name,
					f ? "no annotation can set it" : "no such option");
		if (!one_of(f->safe, text) && !(may_annotate >> (f - flags) & 1))
			return oci_fail("annotations: %s=%.100s: not without leave: \"allow-annotations = true\", or "
					"%s in [annotations], in %s",
					name, text, f->name, oci_options.config);
		snprintf(where, sizeof(where), "annotations: %s", name);
		err = set(f, text, where);
		if (err)
			return err;
	}
	return refuse();
}

void flags_help(void)
{
	for (u32 i = 0; i < NFLAGS; i++) {
		const struct flag *f = &flags[i];
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", f->name, f->values ? "=" : "", f->values ? f->values : "");
		printf("  %-32s %s%s%s%s\n", left, f->help, f->fallback && f->type != FLAG_BOOL ? " (default: " : "",
		       f->fallback && f->type != FLAG_BOOL ? f->fallback : "",
		       f->fallback && f->type != FLAG_BOOL ? ")" : "");
	}
}
