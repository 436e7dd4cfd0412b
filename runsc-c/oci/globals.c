/* Options before the command, and how a command of the OCI runtime says that it failed. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "oci/flags.h"
#include "oci/oci.h"

static pid_t command_pid;
struct oci_options oci_options;

int oci_parse_globals(int argc, char **argv)
{
	int at;

	command_pid = getpid();
	at = flags_parse(argc, argv);
	for (int i = at; oci_options.debug && at >= 0 && i < argc; i++)
		oci_debug("argument %d: %s", i - at, argv[i]);
	return at;
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
	if (!strcmp(oci_options.log_format, "json")) {
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

void oci_debug(const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	if (!oci_options.debug || !oci_options.log || getpid() != command_pid)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	append_to_log("debug", text);
}
