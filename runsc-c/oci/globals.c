/* Options before the command, and how a command of the OCI runtime says that it failed. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "oci/oci.h"
#include "options.h"

static pid_t command_pid;
struct oci_options oci_options = { .platform = "auto", .host_sockets = true };

enum { OPT_ROOT = 256, OPT_LOG, OPT_LOG_FORMAT, OPT_DEBUG, OPT_PLATFORM, OPT_STRACE, OPT_DEBUG_LOG, OPT_SYSTEMD, OPT_NETWORK, OPT_IGNORED };

static const struct option options[] = {
	{ "root", required_argument, NULL, OPT_ROOT },
	{ "log", required_argument, NULL, OPT_LOG },
	{ "log-format", required_argument, NULL, OPT_LOG_FORMAT },
	{ "debug", no_argument, NULL, OPT_DEBUG },
	{ "platform", required_argument, NULL, OPT_PLATFORM },
	{ "strace", no_argument, NULL, OPT_STRACE },
	{ "debug-log", required_argument, NULL, OPT_DEBUG_LOG },
	{ "network", required_argument, NULL, OPT_NETWORK },
	{ "systemd-cgroup", no_argument, NULL, OPT_SYSTEMD },
	{ "rootless", required_argument, NULL, OPT_IGNORED }, /* what it may not do is found out by trying */
	{ "criu", required_argument, NULL, OPT_IGNORED },
	{ 0 },
};

static const char *default_root(void)
{
	static char path[4096];
	const char *run = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0 || !run)
		return "/run/runsc-c";
	snprintf(path, sizeof(path), "%s/runsc-c", run);
	return path;
}

int oci_parse_globals(int argc, char **argv)
{
	int c;

	command_pid = getpid();
	oci_options.root = default_root();
	while ((c = next_option(argc, argv, options, "runsc-c")) != -1)
		switch (c) {
		case OPT_ROOT: oci_options.root = optarg; break;
		case OPT_LOG: oci_options.log = optarg; break;
		case OPT_LOG_FORMAT:
			oci_options.log_json = !strcmp(optarg, "json");
			if (!oci_options.log_json && strcmp(optarg, "text"))
				return -oci_fail("--log-format: '%s' is neither text nor json", optarg);
			break;
		case OPT_DEBUG: oci_options.debug = true; break;
		case OPT_PLATFORM: oci_options.platform = optarg; break;
		case OPT_STRACE: oci_options.strace = true; break;
		case OPT_DEBUG_LOG: oci_options.debug_log = optarg; break;
		case OPT_SYSTEMD: return -oci_fail("--systemd-cgroup: cgroups are made without systemd; use the cgroupfs driver of the engine");
		case OPT_NETWORK:
			if (parse_network(optarg, &oci_options.host_sockets))
				return -1;
			break;
		case OPT_IGNORED: break;
		default: return -1;
		}
	if (oci_options.root[0] != '/')
		return -oci_fail("--root: %s: an absolute path is needed", oci_options.root);
	c = optind;
	optind = 0; /* the command has options of its own */
	return c;
}

static void append_to_log(const char *level, const char *text)
{
	int fd = open(oci_options.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	char when[40];
	time_t now = time(NULL);
	struct tm tm;

	if (fd < 0)
		return;
	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (oci_options.log_json) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "level", json_object_new_string(level));
		json_object_object_add(o, "msg", json_object_new_string(text));
		json_object_object_add(o, "time", json_object_new_string(when));
		dprintf(fd, "%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(o);
	} else {
		dprintf(fd, "time=\"%s\" level=%s msg=\"%s\"\n", when, level, text);
	}
	close(fd);
}

static const char *prefix = "";

void oci_fail_with(const char *words)
{
	prefix = words;
}

int oci_fail(const char *fmt, ...)
{
	char text[2048];
	size_t n = (size_t)snprintf(text, sizeof(text), "%s", prefix);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - n, fmt, ap);
	va_end(ap);
	dprintf(STDERR_FILENO, "runsc-c: %s\n", text);
	oci_log_error(text);
	return 1;
}

/* The container's own process is in its root, where the path means another file. */
void oci_log_error(const char *text)
{
	if (oci_options.log && getpid() == command_pid)
		append_to_log("error", text);
}

void oci_warn(const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (oci_options.log)
		append_to_log("warning", text);
	else
		dprintf(STDERR_FILENO, "runsc-c: warning: %s\n", text);
}
