/* install, uninstall: the runtime's entry in Docker's daemon.json (dockerd(8)); all else in the file stays as it is. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "oci/json.h"
#include "oci/oci.h"
#include "options.h"

#define DAEMON_JSON "/etc/docker/daemon.json"

struct entry {
	const char *file, *name;
	bool clobber;
	char **args; /* of the runtime, NULL-terminated */
};

static int help(const char *command)
{
	bool install = !strcmp(command, "install");

	printf("Usage: runsc-c %s [OPTION]...%s\n"
	       "%s\n\n"
	       "  --runtime=NAME     as \"docker run --runtime\" calls it; runsc-c by default\n"
	       "  --config=FILE      " DAEMON_JSON " by default\n",
	       command, install ? " [-- ARGUMENT...]" : "",
	       install ? "Make this executable a runtime of Docker: an entry in its daemon.json. The arguments are given to it at each call,\n"
			 "such as --platform=ptrace."
		       : "Take the entry out of Docker's daemon.json.");
	if (install)
		printf("  --clobber          replace an entry that says something else\n");
	return finish_stdout();
}

/* 1: help was printed. */
static int parse(int argc, char **argv, struct entry *e, bool install)
{
	enum { OPT_RUNTIME = 256, OPT_CONFIG, OPT_CLOBBER };
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "runtime", required_argument, NULL, OPT_RUNTIME },
		{ "config", required_argument, NULL, OPT_CONFIG },
		{ "clobber", no_argument, NULL, OPT_CLOBBER },
		{ 0 },
	};
	int c;

	*e = (struct entry){ .file = DAEMON_JSON, .name = "runsc-c" };
	while ((c = next_option(argc, argv, options, argv[0])) != -1)
		switch (c) {
		case 'h': return 1;
		case OPT_RUNTIME: e->name = optarg; break;
		case OPT_CONFIG: e->file = optarg; break;
		case OPT_CLOBBER: e->clobber = true; break;
		default: return -1;
		}
	if (!*e->name)
		return -oci_fail("%s: --runtime: an empty name", argv[0]);
	if (optind < argc && (!install || strcmp(argv[optind - 1], "--") != 0))
		return -oci_fail("%s: %s: no argument is expected%s", argv[0], argv[optind], install ? "; the runtime's own come behind \"--\"" : "");
	e->args = argv + optind;
	return 0;
}

/* The file's document, a new one where there is no file; NULL after a printed error. */
static struct json_object *load(const struct entry *e, struct json_reader *r)
{
	struct json_object *doc;

	if (access(e->file, F_OK) < 0 && errno == ENOENT)
		return json_object_new_object();
	doc = json_load(r, e->file);
	if (!doc || !json_object_is_type(doc, json_type_object)) {
		oci_fail("%s%s", r->failed ? "" : e->file, r->failed ? r->error : ": the document is no object");
		json_object_put(doc);
		return NULL;
	}
	json_member(r, doc, "", "runtimes", json_type_object);
	if (!r->failed)
		return doc;
	oci_fail("%s", r->error);
	json_object_put(doc);
	return NULL;
}

/* The folder of a file that is to be made: Docker's is not there before somebody configures it. */
static void make_folder(const char *file)
{
	char dir[4096];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", file);
	slash = strrchr(dir, '/');
	if (slash && slash != dir) {
		*slash = '\0';
		mkdir(dir, 0755);
	}
}

/* The file keeps its mode, and a link leads where it did. */
static int replace(const char *file, const char *text)
{
	char *target = realpath(file, NULL);
	struct stat st;
	mode_t mask;
	int err;

	if (!target) {
		make_folder(file);
		return write_file_atomically(file, text, 0644);
	}
	if (stat(target, &st) < 0)
		st.st_mode = 0644;
	mask = umask(~st.st_mode & 0777);
	err = write_file_atomically(target, text, 0644);
	umask(mask);
	if (!err && chmod(target, st.st_mode & 07777) < 0)
		err = -errno;
	free(target);
	return err;
}

static int save(const struct entry *e, struct json_object *doc)
{
	const int flags = JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE;
	const char *text = json_object_to_json_string_ext(doc, flags);
	char *line = malloc(strlen(text) + 2);
	int err = line ? 0 : -ENOMEM;

	if (line) {
		sprintf(line, "%s\n", text);
		err = replace(e->file, line);
		free(line);
	}
	return err ? oci_fail("%s: %s", e->file, strerror(-err)) : 0;
}

static struct json_object *new_entry(const struct entry *e, const char *exe)
{
	struct json_object *o = json_object_new_object(), *args = json_object_new_array();

	json_object_object_add(o, "path", json_object_new_string(exe));
	for (char **a = e->args; *a; a++)
		json_object_array_add(args, json_object_new_string(*a));
	if (*e->args)
		json_object_object_add(o, "runtimeArgs", args);
	else
		json_object_put(args);
	return o;
}

int cmd_install(int argc, char **argv)
{
	struct json_object *doc, *runtimes, *old, *fresh;
	struct json_reader r = { 0 };
	char exe[4096] = "";
	struct entry e;
	int err = parse(argc, argv, &e, true);

	if (err)
		return err > 0 ? help("install") : 1;
	if (readlink("/proc/self/exe", exe, sizeof(exe) - 1) < 0)
		return oci_fail("install: /proc/self/exe: %s", strerror(errno));
	r.document = e.file;
	doc = load(&e, &r);
	if (!doc)
		return 1;
	fresh = new_entry(&e, exe);
	runtimes = json_object_object_get(doc, "runtimes");
	if (!runtimes) {
		runtimes = json_object_new_object();
		json_object_object_add(doc, "runtimes", runtimes);
	}
	old = json_object_object_get(runtimes, e.name);
	if (old && !json_object_equal(old, fresh) && !e.clobber) {
		err = oci_fail("%s: runtimes.%s is there already and says something else: --clobber replaces it", e.file, e.name);
		json_object_put(fresh);
	} else {
		json_object_object_add(runtimes, e.name, fresh);
		err = save(&e, doc);
	}
	json_object_put(doc);
	if (!err)
		printf("%s: runtime %s is %s. Let dockerd read it: systemctl reload docker\n", e.file, e.name, exe);
	return err ? err : finish_stdout();
}

int cmd_uninstall(int argc, char **argv)
{
	struct json_object *doc, *runtimes;
	struct json_reader r = { 0 };
	const char *used;
	struct entry e;
	int err = parse(argc, argv, &e, false);

	if (err)
		return err > 0 ? help("uninstall") : 1;
	r.document = e.file;
	doc = load(&e, &r);
	if (!doc)
		return 1;
	runtimes = json_object_object_get(doc, "runtimes");
	used = json_text(&r, doc, "", "default-runtime");
	if (!runtimes || !json_object_object_get(runtimes, e.name)) {
		err = oci_fail("%s: there is no runtimes.%s", e.file, e.name);
	} else if (used && !strcmp(used, e.name)) {
		err = oci_fail("%s: default-runtime is %s: name another one first", e.file, e.name);
	} else {
		json_object_object_del(runtimes, e.name);
		if (!json_object_object_length(runtimes))
			json_object_object_del(doc, "runtimes");
		err = save(&e, doc);
	}
	json_object_put(doc);
	if (!err)
		printf("%s: runtime %s is gone. Let dockerd read it: systemctl reload docker\n", e.file, e.name);
	return err ? err : finish_stdout();
}
