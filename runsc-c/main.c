#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "host/exit.h"
#include "oci/flags.h"
#include "oci/oci.h"
#include "standard_files.h"
#include "title.h"
#include "version.h"

static const struct command commands[] = {
	{ "do", "run a command in a sandbox made for it", cmd_do },
	{ "run", "make a container from an OCI bundle and run it", cmd_run },
	{ "create", "make a container from an OCI bundle", cmd_create },
	{ "start", "run the program of a created container", cmd_start },
	{ "exec", "start a further program in a container", cmd_exec },
	{ "state", "print the state of a container", cmd_state },
	{ "kill", "send a signal to a container", cmd_kill },
	{ "delete", "forget a stopped container", cmd_delete },
	{ "list", "list the containers", cmd_list },
	{ "ps", "list the host's processes of a container", cmd_ps },
	{ "pause", "stop all processes of a container", cmd_pause },
	{ "resume", "let them go on", cmd_resume },
	{ "update", "change the limits of a container", cmd_update },
	{ "events", "print what a container uses", cmd_events },
	{ "checkpoint", "not built yet", cmd_checkpoint },
	{ "restore", "not built yet", cmd_checkpoint },
	{ "debug", "stacks of a sandbox's tasks; what it logs from now on", cmd_debug },
	{ "spec", "write a config.json to start from", cmd_spec },
	{ "features", "say what this runtime can do", cmd_features },
	{ "platforms", "say which platforms work here, and which one \"auto\" takes", cmd_platforms },
	{ "check", "say what this host offers to a sandbox, and what each lack costs", cmd_check },
	{ "install", "make this a runtime of Docker", cmd_install },
	{ "uninstall", "make it none", cmd_uninstall },
};

struct clock_sample program_start;

int fail(const char *fmt, ...)
{
	char line[1024] = "runsc-c: ";
	int skip = (int)strlen(line), n;
	va_list ap;

	va_start(ap, fmt);
	n = vsnprintf(line + skip, sizeof(line) - 1 - (size_t)skip, fmt, ap);
	va_end(ap);
	oci_log_error(line + skip);
	n = MIN(skip + n, (int)sizeof(line) - 2);
	line[n++] = '\n';
	host_complain(line, (size_t)n);
	return STATUS_FAILED;
}

int finish_stdout(void)
{
	if (fflush(stdout) || ferror(stdout))
		return fail("standard output: %s", strerror(errno));
	return 0;
}

static int usage(void)
{
	printf("Usage: runsc-c COMMAND [OPTION]... [ARGUMENT]...\n"
	       "Run programs on an application kernel of their own.\n\n"
	       "Commands:\n");
	for (u32 i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-12s %s\n", commands[i].name, commands[i].summary);
	printf("\nOptions, before the command:\n"
	       "  --help               this text; \"runsc-c COMMAND --help\" describes a command\n"
	       "  --version            the version, and that of the OCI runtime-spec\n"
	       "For containers, in %s by their names, or as annotations %s*:\n", CONFIG_FILE, ANNOTATION_PREFIX);
	flags_help();
	return finish_stdout();
}

static int version(void)
{
	printf("runsc-c version %s\nspec: %s\n", RUNSC_C_VERSION, SPEC_VERSION);
	return finish_stdout();
}

int main(int argc, char **argv)
{
	int at = 1;

	program_start = clock_sample();
	standard_files_check();
	title_init(argc, argv);
	if (argc < 2)
		return fail("no command given; \"runsc-c --help\" lists them");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return usage();
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-v"))
		return version();
	at = oci_parse_globals(argc, argv);
	if (at < 0)
		return STATUS_FAILED;
	if (at >= argc)
		return fail("no command given; \"runsc-c --help\" lists them");
	for (u32 i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[at], commands[i].name))
			return commands[i].run(argc - at, argv + at);
	return fail("%s: no such command; \"runsc-c --help\" lists the commands", argv[at]);
}
