/* debug: looks into the sandbox of a running container, and changes what it logs. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "command.h"
#include "elf_names.h"
#include "oci/oci.h"
#include "options.h"

enum { OPT_STACKS = 256, OPT_LOG_LEVEL, OPT_STRACE, OPT_HELP };

static int help(void)
{
	printf("Usage: runsc-c debug OPTION... ID\n"
	       "Look into the sandbox of a running container.\n\n"
	       "  --stacks            what each task is doing, and where in the sentry it waits\n"
	       "  --log-level=LEVEL   error, warning, info or debug: what the sentry says from now on\n"
	       "  --strace=on|off     print every system call from now on\n\n"
	       "What is logged goes to the file of --debug-log; without one, to the container's standard error.\n");
	return finish_stdout();
}

/* A line of the stack of a task has an address: its name, if this executable still has names and the sentry runs from
 * it. */
static void print_line(char *line)
{
	char *end, name[128];
	u64 at;

	for (char *p = line; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f) /* what the sandbox says is not to be trusted */
			*p = '?';
	at = strncmp(line, "    0x", 6) ? 0 : strtoull(line + 4, &end, 16);
	if (at && !*end && elf_name(at, name, sizeof(name)))
		printf("%s %s\n", line, name);
	else
		printf("%s\n", line);
}

/* Line by line, as long as something comes. */
static void copy_text(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char line[512];
	u32 n = 0;
	char c;

	while (poll(&p, 1, ASK_TIMEOUT_MS) > 0 && read(fd, &c, 1) == 1) {
		if (c != '\n')
			line[n++] = c;
		if (c != '\n' && n < sizeof(line) - 1)
			continue;
		line[n] = '\0';
		print_line(line);
		n = 0;
	}
	close(fd);
}

static int ask(const struct container *c, enum hc_ask question, u32 value, bool text)
{
	int ends[2] = { -1, -1 }, fd, err;

	if (text && pipe2(ends, O_CLOEXEC) < 0)
		return oci_fail("%s", strerror(errno));
	fd = ask_send(c, question, value, ends[1]);
	if (fd < 0)
		return oci_fail("the container's process does not answer: %s", strerror(errno));
	if (text) {
		close(ends[1]);
		copy_text(ends[0]);
	}
	err = ask_answer(fd);
	return err ? oci_fail("debug: %s", err == -EPIPE       ? "the container ended meanwhile"
					   : err == -ETIMEDOUT ? "the sandbox does not answer: it hangs"
							       : strerror(-err))
		   : 0;
}

static int parse_level(const char *text)
{
	static const char *const names[] = {
		[LOG_ERR] = "error", [LOG_WARN] = "warning", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"
	};

	for (u32 i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(text, names[i]))
			return (int)i;
	oci_fail("--log-level: '%s' is none of error, warning, info, debug", text);
	return -1;
}

int cmd_debug(int argc, char **argv)
{
	static const struct option options[] = { { "stacks", no_argument, NULL, OPT_STACKS },
						 { "log-level", required_argument, NULL, OPT_LOG_LEVEL },
						 { "strace", required_argument, NULL, OPT_STRACE },
						 { "help", no_argument, NULL, OPT_HELP },
						 { 0 } };
	static struct container c;
	int level = -1, strace = -1, o, err;
	enum container_status s;
	bool stacks = false;

	while ((o = next_option(argc, argv, options, "debug")) != -1)
		switch (o) {
		case OPT_STACKS: stacks = true; break;
		case OPT_LOG_LEVEL:
			level = parse_level(optarg);
			if (level < 0)
				return 1;
			break;
		case OPT_STRACE:
			strace = !strcmp(optarg, "on");
			if (!strace && strcmp(optarg, "off"))
				return oci_fail("--strace: '%s' is neither on nor off", optarg);
			break;
		case OPT_HELP: return help();
		default: return 1;
		}
	if (argc - optind != 1 || (!stacks && level < 0 && strace < 0))
		return oci_fail(
			"debug: exactly one container id, and one of --stacks, --log-level, --strace are needed");
	err = container_look(&c, argv[optind]);
	if (err)
		return err;
	s = container_status(&c);
	if (s != STATUS_RUNNING)
		return oci_fail("container not running: it is %s", container_status_name(s));
	if (level >= 0)
		err = ask(&c, HC_ASK_LOG_LEVEL, (u32)level, false);
	if (!err && strace >= 0)
		err = ask(&c, HC_ASK_STRACE, (u32)strace, false);
	if (!err && stacks)
		err = ask(&c, HC_ASK_STACKS, 0, true);
	return err ? err : finish_stdout();
}
