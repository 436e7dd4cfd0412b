/* create, start, run: a container's way to its first program. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "oci/flags.h"
#include "oci/oci.h"
#include "options.h"

struct create_options {
	const char *bundle, *pid_file, *console_socket;
	bool detach, keep;
};
enum { OPT_BUNDLE = 'b', OPT_DETACH = 'd', OPT_PID_FILE = 256, OPT_CONSOLE, OPT_IGNORED, OPT_PRESERVE, OPT_KEEP, OPT_HELP };

static const struct option options[] = {
	{ "bundle", required_argument, NULL, OPT_BUNDLE },
	{ "pid-file", required_argument, NULL, OPT_PID_FILE },
	{ "console-socket", required_argument, NULL, OPT_CONSOLE },
	{ "detach", no_argument, NULL, OPT_DETACH },
	{ "keep", no_argument, NULL, OPT_KEEP },
	{ "preserve-fds", required_argument, NULL, OPT_PRESERVE },
	{ "no-pivot", no_argument, NULL, OPT_IGNORED },	      /* the host's root is not touched */
	{ "no-new-keyring", no_argument, NULL, OPT_IGNORED }, /* keys are the sandbox's own */
	{ "no-subreaper", no_argument, NULL, OPT_IGNORED },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static int help(const char *name, const char *what)
{
	printf("Usage: runsc-c %s [OPTION]... ID\n%s\n\n"
	       "  -b, --bundle=DIR         the bundle; by default the working directory\n"
	       "      --pid-file=FILE      where to write the pid of the container's process\n"
	       "      --console-socket=S   Unix socket that gets the terminal's master\n"
	       "%s"
	       "      --help               this text\n",
	       name, what, strcmp(name, "run") ? "" : "  -d, --detach             do not wait for it\n      --keep               do not delete it at the end\n");
	return 0;
}

static int parse(int argc, char **argv, const char *what, struct create_options *o, const char **id)
{
	int c;

	*o = (struct create_options){ .bundle = "." };
	while ((c = next_option(argc, argv, options, argv[0])) != -1)
		switch (c) {
		case OPT_BUNDLE: o->bundle = optarg; break;
		case OPT_PID_FILE: o->pid_file = optarg; break;
		case OPT_CONSOLE: o->console_socket = optarg; break;
		case OPT_DETACH: o->detach = true; break;
		case OPT_KEEP: o->keep = true; break;
		case OPT_IGNORED: break;
		case OPT_PRESERVE:
			if (strcmp(optarg, "0"))
				return oci_fail("--preserve-fds: the sandbox takes no descriptors but the standard ones");
			break;
		case OPT_HELP: return help(argv[0], what) - 1;
		default: return 1;
		}
	if (argc - optind != 1)
		return oci_fail("%s: exactly one container id is needed", argv[0]);
	*id = argv[optind];
	return 0;
}

static int write_pid_file(const char *path, pid_t pid)
{
	char text[16];
	int err;

	if (!path)
		return 0;
	snprintf(text, sizeof(text), "%d", (int)pid);
	err = write_file_atomically(path, text, 0644);
	return err ? oci_fail("--pid-file: %s: %s", path, strerror(-err)) : 0;
}

static void set_created(struct container *c)
{
	struct timespec ts;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(c->created, sizeof(c->created), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(c->created + n, sizeof(c->created) - n, ".%09ldZ", ts.tv_nsec);
}

/* What is neither obeyed nor refused is said. */
static void warn_of_ignored(const struct spec *spec)
{
	static const char *const ignored[] = { "timeOffsets" };
	static const char *const labels[] = { "apparmorProfile", "selinuxLabel" };
	static const char *const ignored_resources[] = { "rdma" };
	struct json_object *linux_part = NULL, *o;

	json_object_object_get_ex(spec->document, "linux", &linux_part);
	for (u32 i = 0; linux_part && i < ARRAY_SIZE(ignored); i++)
		if (json_object_object_get_ex(linux_part, ignored[i], &o) && o && json_object_get_type(o) == json_type_object &&
		    json_object_object_length(o))
			oci_warn("linux.%s: left out: the sandbox has none of its own", ignored[i]);
	if (linux_part && json_object_object_get_ex(linux_part, "mountLabel", &o) && o && json_object_get_string_len(o))
		oci_warn("linux.mountLabel: left out: there is no SELinux inside the sandbox");
	for (u32 i = 0; spec->resources && i < ARRAY_SIZE(ignored_resources); i++)
		if (json_object_object_get_ex(spec->resources, ignored_resources[i], &o) && o)
			oci_warn("linux.resources.%s: left out", ignored_resources[i]);
	for (u32 i = 0; i < ARRAY_SIZE(labels); i++)
		if (json_object_object_get_ex(spec->document, "process", &o) && json_object_object_get_ex(o, labels[i], &o) && o)
			oci_warn("process.%s: left out: programs run inside the sandbox, where no such profile holds", labels[i]);
}

/* A step of init_spawn()'s process. To one that gave up already nothing can be said, but it has said why. */
static int let_go(int go, int ready)
{
	if (write(go, "g", 1) != 1 && errno != EPIPE)
		return oci_fail("the container's process: %s", strerror(errno));
	return init_wait_ready(ready);
}

static int make_process(struct container *c, struct spec *spec, const struct create_options *o, bool foreground)
{
	struct init_request req = { .spec = spec, .container = c, .console_socket = o->console_socket,
				    .keep_terminal = foreground && !o->console_socket };
	int go, ready, err;
	bool joined;

	if (spec->process.terminal && !o->console_socket && !foreground)
		return oci_fail("cannot allocate tty if runc will detach without setting console socket");
	if (!spec->process.terminal && o->console_socket)
		return oci_fail("cannot use console socket if runc will not detach or allocate tty");
	if (container_mark_created(c))
		return 1;
	c->pid = init_spawn(&req, &go, &ready, &joined);
	if (c->pid < 0) {
		c->pid = 0;
		return oci_fail("starting the container's process: %s", strerror(errno));
	}
	c->start_time = process_start_time(c->pid);
	err = joined ? 0 : cgroup_join(c, c->pid);
	if (!err)
		err = container_save(c);
	oci_debug("container %s: process %d, in its cgroups", c->id, (int)c->pid);
	if (!err)
		err = hooks_run(spec->hooks, "prestart", c, STATUS_CREATING);
	if (!err)
		err = hooks_run(spec->hooks, "createRuntime", c, STATUS_CREATING);
	if (!err)
		err = let_go(go, ready);
	if (!err)
		err = hooks_run(spec->hooks, "createContainer", c, STATUS_CREATING);
	if (!err)
		err = let_go(go, ready);
	close(go);
	close(ready);
	return err ? err : write_pid_file(o->pid_file, c->pid);
}

static void undo(struct container *c)
{
	if (c->pid) {
		kill(c->pid, SIGKILL);
		waitpid(c->pid, NULL, 0);
	}
	cgroup_remove(c);
	container_remove(c);
}

static int create(struct container *c, const char *id, const struct create_options *o, bool foreground)
{
	struct json_reader r = { 0 };
	static struct spec spec;
	char bundle[PATH_MAX];
	int err;

	if (!realpath(o->bundle, bundle))
		return oci_fail("--bundle: %s: %s", o->bundle, strerror(errno));
	if (!spec_load(&spec, bundle, &r) || !namespaces_open(&spec.namespaces, &r))
		return oci_fail("%s", r.error);
	err = flags_read_annotations(spec.annotations);
	if (!err)
		err = hooks_check(spec.hooks);
	if (!err)
		err = container_new(c, id);
	if (err)
		return err;
	snprintf(c->bundle, sizeof(c->bundle), "%s", bundle);
	snprintf(c->rootfs, sizeof(c->rootfs), "%s", spec.rootfs);
	c->annotations = spec.annotations;
	c->hooks = spec.hooks;
	json_object_object_get_ex(spec.document, "process", &c->process);
	spec_add_home(&spec.process, spec.rootfs);
	set_created(c);
	warn_of_ignored(&spec);
	err = cgroup_create(c, &spec);
	if (!err)
		err = make_process(c, &spec, o, foreground);
	if (err)
		undo(c);
	return err;
}

int cmd_create(int argc, char **argv)
{
	static struct container c;
	struct create_options o;
	const char *id;
	int err = parse(argc, argv, "Make a container from a bundle; start runs it.", &o, &id);

	if (!err)
		err = create(&c, id, &o, false);
	return err < 0 ? 0 : err;
}

static int start(struct container *c)
{
	enum container_status s = container_status(c);
	int err;

	if (s == STATUS_STOPPED)
		return oci_fail("cannot start a container that has stopped");
	if (s != STATUS_CREATED)
		return oci_fail("cannot start an already running container");
	err = hooks_run(c->hooks, "startContainer", c, STATUS_CREATED);
	if (err) { /* the container is stopped (runtime-spec, "Lifecycle") */
		kill(c->pid, SIGKILL);
		return err;
	}
	err = init_start(c);
	if (!err)
		container_mark_started(c);
	if (!err)
		hooks_run(c->hooks, "poststart", c, STATUS_RUNNING); /* a failure is said, and no more (runtime-spec, "Lifecycle") */
	return err;
}

int cmd_start(int argc, char **argv)
{
	static struct container c;
	int err;

	if (argc != 2 || !strcmp(argv[1], "--help"))
		return argc == 2 ? printf("Usage: runsc-c start ID\nRun the program of a created container.\n") < 0
				 : oci_fail("start: exactly one container id is needed");
	err = container_open(&c, argv[1]);
	return err ? err : start(&c);
}

int cmd_run(int argc, char **argv)
{
	static struct container c;
	struct create_options o;
	const char *id;
	int err = parse(argc, argv, "Make a container from a bundle and run it.", &o, &id), status;

	if (err)
		return err < 0 ? 0 : err;
	block_all_signals(); /* before there is a child whose end could be missed */
	err = create(&c, id, &o, !o.detach);
	if (!err) {
		err = start(&c);
		if (err)
			undo(&c);
	}
	if (err || o.detach)
		return err;
	container_close(&c);
	status = wait_as_shell(c.pid);
	if (!o.keep) {
		cgroup_remove(&c);
		hooks_run(c.hooks, "poststop", &c, STATUS_STOPPED);
		container_remove(&c);
	}
	return status;
}
