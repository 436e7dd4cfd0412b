#include "shim/command.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim/container.h"
#include "shim/shim.h"

static struct command *running;
static u32 numbers;

static __noreturn void exec_command(const struct command *c)
{
	const struct container *ct = c->container;
	const char *argv[COMMAND_ARGS + 12];
	int n = 0, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	argv[n++] = ct->binary;
	argv[n++] = "--root";
	argv[n++] = ct->root;
	argv[n++] = "--log";
	argv[n++] = c->log;
	argv[n++] = "--log-format";
	argv[n++] = "json";
	if (ct->config) {
		argv[n++] = "--config";
		argv[n++] = ct->config;
	}
	if (ct->systemd_cgroup)
		argv[n++] = "--systemd-cgroup";
	for (u32 i = 0; i < COMMAND_ARGS && c->args[i]; i++)
		argv[n++] = c->args[i];
	argv[n] = NULL;
	for (int fd = 0; fd < 3; fd++)
		if (dup2(c->stdio[fd] < 0 ? null : c->stdio[fd], fd) < 0)
			_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	execvp(ct->binary, (char **)argv);
	_exit(127);
}

/* The last line of its log that is an error. */
static char *last_error(const struct command *c)
{
	char *log = read_text(c->log), *rest = log, *line, *why = NULL;

	while ((line = strsep(&rest, "\n"))) {
		struct json_object *o = json_tokener_parse(line), *level = json_object_object_get(o, "level"),
				   *msg = json_object_object_get(o, "msg");

		if (level && msg && !strcmp(json_object_get_string(level), "error")) {
			free(why);
			why = copy_of(json_object_get_string(msg));
		}
		json_object_put(o);
	}
	free(log);
	return why;
}

static void finish(struct command *c, int status)
{
	bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	if (!ok)
		c->why = last_error(c);
	if (!ok && !c->why)
		c->why = WIFSIGNALED(status)
			     ? text("%s %s was killed by signal %d", c->container->binary, c->args[0], WTERMSIG(status))
			 : WEXITSTATUS(status) == 127
			     ? text("%s cannot be executed", c->container->binary)
			     : text("%s %s: exit status %d", c->container->binary, c->args[0], WEXITSTATUS(status));
	unlink(c->log);
	free(c->log);
	c->done(c, ok);
	for (u32 i = 0; i < ARRAY_SIZE(c->owned); i++)
		free(c->owned[i]);
	free(c->why);
	free(c);
}

static struct command *begin(const struct command *like)
{
	struct command *c = must(malloc(sizeof(*c)));

	*c = *like;
	c->log = text("%s/log-%u.json", c->container->bundle, numbers++);
	unlink(c->log);
	c->pid = fork();
	if (!c->pid)
		exec_command(c);
	for (int fd = 0; fd < 3; fd++)
		if (c->stdio[fd] >= 0)
			close(c->stdio[fd]);
	return c;
}

void command_start(const struct command *like)
{
	struct command *c = begin(like);

	if (c->pid < 0) {
		c->why = text("fork: %m");
		finish(c, 127 << 8);
		return;
	}
	c->next = running;
	running = c;
}

bool command_ended(pid_t pid, int status)
{
	for (struct command **p = &running; *p; p = &(*p)->next)
		if ((*p)->pid == pid) {
			struct command *c = *p;

			*p = c->next;
			finish(c, status);
			return true;
		}
	return false;
}

bool command_running(void)
{
	return running;
}

static bool run_ok;
static char *run_why;

static void run_done(struct command *c, bool ok)
{
	run_ok = ok;
	run_why = c->why;
	c->why = NULL;
}

bool command_run(const struct container *container, const char *const *args, char **why)
{
	struct command like = {.container = container, .stdio = {-1, -1, -1}, .done = run_done}, *c;
	int status = 127 << 8;

	for (u32 i = 0; args[i]; i++)
		like.args[i] = args[i];
	c = begin(&like);
	while (c->pid > 0 && waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	finish(c, status);
	*why = run_why;
	return run_ok;
}
