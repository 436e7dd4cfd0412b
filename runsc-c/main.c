#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "standard_files.h"
#include "version.h"

static const struct command commands[] = {
	{ "do", "run a command in a sandbox made for it", cmd_do },
	{ "platforms", "say which platforms work here, and which one \"auto\" takes", cmd_platforms },
};

struct clock_sample program_start;

int fail(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	dprintf(STDERR_FILENO, "runsc-c: %s\n", line);
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
	printf("\nOptions:\n"
	       "  --help       this text; \"runsc-c COMMAND --help\" describes a command\n"
	       "  --version    the version\n");
	return finish_stdout();
}

static int version(void)
{
	printf("runsc-c %s\n", RUNSC_C_VERSION);
	return finish_stdout();
}

int main(int argc, char **argv)
{
	program_start = clock_sample();
	standard_files_check();
	if (argc < 2)
		return fail("no command given; \"runsc-c --help\" lists them");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return usage();
	if (!strcmp(argv[1], "--version"))
		return version();
	for (u32 i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	return fail("%s: no such %s; \"runsc-c --help\" lists the commands", argv[1], argv[1][0] == '-' ? "option" : "command");
}
