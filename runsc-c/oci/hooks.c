/* Hooks (runtime-spec, config.md "POSIX-platform Hooks"): programs of the host, with the container's state on their stdin. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "oci/oci.h"

enum hook_place { HOOK_HOST, HOOK_NAMESPACES /* the host's files, the container's namespaces */, HOOK_INSIDE };

struct hook {
	const char *path;
	char **args, **env;
	s64 timeout_s; /* 0: none */
};

static bool read_hook(struct hook *h, struct json_object *o, const char *where, struct json_reader *r)
{
	*h = (struct hook){ .path = json_text(r, o, where, "path") };
	if (!h->path || h->path[0] != '/')
		json_fail(r, "%s.path: an absolute path is needed", where);
	h->args = json_texts(r, o, where, "args");
	h->env = json_texts(r, o, where, "env");
	if (json_s64(r, o, where, "timeout", &h->timeout_s) && h->timeout_s <= 0)
		json_fail(r, "%s.timeout: not above zero", where);
	return !r->failed;
}

/*
 * createContainer is called in the runtime's files, but runs in the container's namespaces (config.md, "CreateContainer Hooks"). The
 * mount namespace of its process still shows the host's root then. The pid namespace is left alone: that is of a process' children.
 */
static void enter_container(pid_t pid)
{
	static const char *const names[] = { "uts", "ipc", "net", "mnt" };
	bool same[ARRAY_SIZE(names)];
	int fds[ARRAY_SIZE(names)];
	char path[64];

	for (u32 i = 0; i < ARRAY_SIZE(names); i++) {
		struct stat own, its;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		same[i] = stat(path, &own) == 0;
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, names[i]);
		fds[i] = open(path, O_RDONLY | O_CLOEXEC);
		same[i] = same[i] && fds[i] >= 0 && fstat(fds[i], &its) == 0 && own.st_dev == its.st_dev && own.st_ino == its.st_ino;
	}
	for (u32 i = 0; i < ARRAY_SIZE(names); i++) /* to enter one's own takes a privilege, too */
		if (!same[i] && (fds[i] < 0 || setns(fds[i], 0) < 0)) {
			dprintf(STDERR_FILENO, "runsc-c: hook: the container's %s namespace: %s\n", names[i], strerror(errno));
			_exit(126);
		}
}

/* startContainer is a program of the container: it runs inside, as the runtime's own rights there are. */
static __noreturn void exec_inside(const struct hook *h, const struct container *c)
{
	struct spec_process p = { .args = h->args, .env = h->env, .cwd = "/", .umask = ~0u };
	char *no_env[] = { NULL }, *own_name[] = { (char *)h->path, NULL };

	if (!p.env)
		p.env = no_env;
	if (!p.args)
		p.args = own_name;
	for (u32 i = 0; i < 4; i++) /* all but the ambient ones */
		p.caps[i] = (2ull << CAP_LAST_CAP) - 1;
	for (u32 i = 0; i < SPEC_RLIMITS; i++) {
		struct rlimit r;

		getrlimit((__rlimit_resource_t)i, &r);
		p.rlimits[i][0] = r.rlim_cur;
		p.rlimits[i][1] = r.rlim_max;
	}
	exec_program(c, &p, h->path);
}

static __noreturn void exec_hook(const struct hook *h, int input, const struct container *c, enum hook_place place)
{
	char *no_env[] = { NULL }, *own_name[] = { (char *)h->path, NULL };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(input, STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	if (place == HOOK_INSIDE)
		exec_inside(h, c);
	if (place == HOOK_NAMESPACES)
		enter_container(c->pid);
	execve(h->path, h->args ? h->args : own_name, h->env ? h->env : no_env);
	dprintf(STDERR_FILENO, "runsc-c: hook %s: %s\n", h->path, strerror(errno));
	_exit(127);
}

/* Its wait status; killed when its time is over. */
static int wait_hook(pid_t pid, const struct hook *h, bool *late)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), status = 0;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	*late = h->timeout_s && poll(&p, 1, (int)MIN(h->timeout_s, INT32_MAX / 1000) * 1000) == 0;
	if (*late)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (fd >= 0)
		close(fd);
	return status;
}

static int run_hook(const struct hook *h, const char *where, const char *state, const struct container *c, enum hook_place place)
{
	/* A file: a hook that does not read a pipe would hold us up before its time is counted. */
	int input = memfd_create("state", MFD_CLOEXEC), status;
	size_t n = strlen(state);
	bool late;
	pid_t pid;

	if (input < 0 || pwrite(input, state, n, 0) != (ssize_t)n)
		return oci_fail("%s: the state for it: %s", where, strerror(errno));
	pid = fork();
	if (pid < 0)
		return oci_fail("%s: %s", where, strerror(errno));
	if (!pid)
		exec_hook(h, input, c, place);
	close(input);
	status = wait_hook(pid, h, &late);
	if (late)
		return oci_fail("%s: %s: took longer than %lld s", where, h->path, (long long)h->timeout_s);
	if (WIFSIGNALED(status))
		return oci_fail("%s: %s: killed by signal %d", where, h->path, WTERMSIG(status));
	return WEXITSTATUS(status) ? oci_fail("%s: %s: exit status %d", where, h->path, WEXITSTATUS(status)) : 0;
}

int hooks_run(struct json_object *hooks, const char *name, const struct container *c, enum container_status s)
{
	struct json_reader r = { .document = "config.json" };
	struct json_object *list = json_member(&r, hooks, "hooks", name, json_type_array), *state;
	enum hook_place place = !strcmp(name, "createContainer") ? HOOK_NAMESPACES : !strcmp(name, "startContainer") ? HOOK_INSIDE : HOOK_HOST;
	int err = 0;

	if (r.failed)
		return oci_fail("%s", r.error);
	if (!list)
		return 0;
	state = container_state(c, s);
	for (size_t i = 0; i < json_object_array_length(list) && !err; i++) {
		struct hook h;
		char where[80];

		snprintf(where, sizeof(where), "hooks.%s[%zu]", name, i);
		if (read_hook(&h, json_object_array_get_idx(list, i), where, &r))
			err = run_hook(&h, where, json_object_to_json_string_ext(state, JSON_C_TO_STRING_PLAIN),
				       c, place);
		else
			err = oci_fail("%s", r.error);
		free(h.args);
		free(h.env);
	}
	json_object_put(state);
	return err;
}

int hooks_check(struct json_object *hooks)
{
	static const char *const names[] = { "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop" };
	struct json_reader r = { .document = "config.json" };

	for (u32 k = 0; k < ARRAY_SIZE(names); k++) {
		struct json_object *list = json_member(&r, hooks, "hooks", names[k], json_type_array);
		size_t n = list ? json_object_array_length(list) : 0;

		for (size_t i = 0; i < n && !r.failed; i++) {
			struct hook h;
			char where[80];

			snprintf(where, sizeof(where), "hooks.%s[%zu]", names[k], i);
			read_hook(&h, json_object_array_get_idx(list, i), where, &r);
			free(h.args);
			free(h.env);
		}
	}
	return r.failed ? oci_fail("%s", r.error) : 0;
}
