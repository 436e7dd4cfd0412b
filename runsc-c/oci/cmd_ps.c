/* ps: the host processes that stand for a container's programs, by number or as ps(1) of the host shows them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "oci/oci.h"
#include "options.h"

enum { OPT_FORMAT = 'f', OPT_HELP = 256 };
#define PIDS_MAX 65536
#define ANCESTORS_MAX 64

static int help(void)
{
	printf("Usage: runsc-c ps [--format=table|json] ID [OPTION OF ps]...\n"
	       "The host's processes that stand for the programs of a container: the first one's, and that of each "
	       "exec. A table is what the host's\n"
	       "ps(1) prints of them, with -ef when no options are given.\n");
	return finish_stdout();
}

static pid_t parent_of(pid_t pid)
{
	char path[64], text[1024], *p;
	int parent = 0;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	if (f)
		fclose(f);
	text[n] = '\0';
	p = strrchr(text, ')');
	return p && sscanf(p + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

/* The sandbox, its helpers and the gofer come from init; an exec's process comes from who called exec. */
static bool is_helper(const struct container *c, pid_t pid)
{
	if (pid == c->pid)
		return false;
	for (u32 i = 0; i < ANCESTORS_MAX && pid > 1; i++) {
		pid = parent_of(pid);
		if (pid == c->pid)
			return true;
	}
	return false;
}

static s32 standing_pids(const struct container *c, pid_t *pids)
{
	s32 n = cgroup_pids(c, pids, PIDS_MAX), kept = 0;

	if (n < 0) {
		pids[0] = c->pid;
		return 1;
	}
	for (s32 i = 0; i < n; i++)
		if (!is_helper(c, pids[i]))
			pids[kept++] = pids[i];
	return kept;
}

static int print_json(const pid_t *pids, s32 n)
{
	printf("[");
	for (s32 i = 0; i < n; i++)
		printf("%s%d", i ? "," : "", pids[i]);
	printf("]\n");
	return finish_stdout();
}

/* ---- the table ---- */

/* The line's words up to the column; its number there. */
static pid_t pid_in(const char *line, u32 column)
{
	for (u32 i = 0; i < column; i++) {
		line += strspn(line, " ");
		line += strcspn(line, " ");
	}
	return (pid_t)strtol(line, NULL, 10);
}

/* Which column of the title is "PID"; -1: none. */
static int pid_column(const char *title)
{
	for (int i = 0; *title; i++) {
		size_t n;

		title += strspn(title, " ");
		n = strcspn(title, " \n");
		if (n == 3 && !strncmp(title, "PID", 3))
			return i;
		title += n;
		title += strspn(title, "\n");
	}
	return -1;
}

static bool has(const pid_t *pids, s32 n, pid_t pid)
{
	for (s32 i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

static FILE *start_ps(char **args, pid_t *child)
{
	int ends[2];

	if (pipe(ends) < 0)
		return NULL;
	*child = fork();
	if (!*child) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		execvp("ps", args);
		oci_fail("ps: %s", strerror(errno));
		_exit(127);
	}
	close(ends[1]);
	return *child < 0 ? NULL : fdopen(ends[0], "r");
}

static int print_lines(FILE *f, const pid_t *pids, s32 n)
{
	char *line = NULL;
	size_t size = 0;
	int column = getline(&line, &size, f) > 0 ? pid_column(line) : -2;

	if (column >= 0)
		printf("%s", line);
	while (getline(&line, &size, f) > 0)
		if (column >= 0 && has(pids, n, pid_in(line, (u32)column)))
			printf("%s", line);
	free(line);
	return column == -1 ? oci_fail("couldn't find PID field in ps output") : 0;
}

static int print_table(char **args, const pid_t *pids, s32 n)
{
	char *all[] = { (char *)"ps", (char *)"-ef", NULL };
	pid_t child = -1;
	int err, status = -1;
	FILE *f;

	if (args[1]) /* in place of the id */
		args[0] = (char *)"ps";
	f = start_ps(args[1] ? args : all, &child);
	if (!f)
		return oci_fail("ps: %s", strerror(errno));
	err = print_lines(f, pids, n);
	fclose(f);
	if (waitpid(child, &status, 0) < 0 || status)
		return err ? err : oci_fail("ps: exit status %d", WEXITSTATUS(status));
	return err ? err : finish_stdout();
}

int cmd_ps(int argc, char **argv)
{
	static const struct option options[] = { { "format", required_argument, NULL, OPT_FORMAT },
						 { "help", no_argument, NULL, OPT_HELP },
						 { 0 } };
	static struct container c;
	static pid_t pids[PIDS_MAX];
	bool json = false;
	s32 n;
	int o, err;

	while ((o = next_option(argc, argv, options, "ps")) != -1)
		switch (o) {
		case OPT_FORMAT:
			json = !strcmp(optarg, "json");
			if (!json && strcmp(optarg, "table"))
				return oci_fail("invalid format option");
			break;
		case OPT_HELP: return help();
		default: return 1;
		}
	if (argc - optind < 1)
		return oci_fail("ps: a container id is needed");
	err = container_look(&c, argv[optind]);
	if (err)
		return err;
	if (container_status(&c) == STATUS_STOPPED)
		return oci_fail("container not running");
	n = standing_pids(&c, pids);
	return json ? print_json(pids, n) : print_table(argv + optind, pids, n);
}
