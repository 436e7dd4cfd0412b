/*
 * exec: a further program in a running container. A host process of its own stands for it, in the container's cgroups and pid
 * namespace, which engines reap as they do the container's: it asks the container's process (relay.h) and waits for the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/sandbox.h"
#include "oci/oci.h"
#include "options.h"
#include "relay.h"
#include "title.h"

struct exec_options {
	const char *process_file, *pid_file, *console_socket, *cwd, *user;
	bool detach, terminal, no_new_privs, ignore_paused;
	char **env, **caps; /* additions; NULL-terminated */
	u32 nenv, ncaps, ngroups, *groups;
};
enum { OPT_DETACH = 'd', OPT_TTY = 't', OPT_PROCESS = 'p', OPT_ENV = 'e', OPT_USER = 'u', OPT_GROUP = 'g', OPT_CAP = 'c', OPT_PID_FILE = 256,
       OPT_CONSOLE, OPT_CWD, OPT_PRESERVE, OPT_NO_NEW_PRIVS, OPT_LABEL, OPT_CGROUP, OPT_IGNORE_PAUSED, OPT_IGNORED, OPT_HELP };

static const struct option options[] = {
	{ "process", required_argument, NULL, OPT_PROCESS }, { "pid-file", required_argument, NULL, OPT_PID_FILE },
	{ "console-socket", required_argument, NULL, OPT_CONSOLE }, { "detach", no_argument, NULL, OPT_DETACH },
	{ "tty", no_argument, NULL, OPT_TTY }, { "env", required_argument, NULL, OPT_ENV }, { "cwd", required_argument, NULL, OPT_CWD },
	{ "user", required_argument, NULL, OPT_USER }, { "additional-gids", required_argument, NULL, OPT_GROUP },
	{ "cap", required_argument, NULL, OPT_CAP }, { "no-new-privs", no_argument, NULL, OPT_NO_NEW_PRIVS },
	{ "preserve-fds", required_argument, NULL, OPT_PRESERVE }, { "apparmor", required_argument, NULL, OPT_LABEL },
	{ "process-label", required_argument, NULL, OPT_LABEL }, { "cgroup", required_argument, NULL, OPT_CGROUP },
	{ "ignore-paused", no_argument, NULL, OPT_IGNORE_PAUSED }, { "no-subreaper", no_argument, NULL, OPT_IGNORED },
	{ "help", no_argument, NULL, OPT_HELP }, { 0 },
};

static int help(void)
{
	printf("Usage: runsc-c exec [OPTION]... ID COMMAND [ARGUMENT]...\n"
	       "       runsc-c exec --process=FILE [OPTION]... ID\n"
	       "Start a further program in a running container.\n\n"
	       "  -p, --process=FILE          the process object of the runtime-spec that describes it\n"
	       "  -d, --detach                do not wait for it\n"
	       "  -t, --tty                   with a terminal\n"
	       "      --console-socket=S      Unix socket that gets the terminal's master\n"
	       "      --pid-file=FILE         where to write the pid of the process that stands for it\n"
	       "      --cwd=DIR               working directory\n"
	       "  -e, --env=NAME=VALUE        a variable; may be repeated\n"
	       "  -u, --user=UID[:GID]        who runs it\n"
	       "  -g, --additional-gids=GID   a further group; may be repeated\n"
	       "  -c, --cap=NAME              a further capability; may be repeated\n"
	       "      --no-new-privs          it gains no rights by what it executes\n"
	       "      --ignore-paused         in a paused container, too: it starts when that goes on\n"
	       "      --apparmor=PROFILE, --process-label=LABEL\n"
	       "                              left out with a warning, as those of config.json are\n"
	       "      --preserve-fds=0, --cgroup=/\n"
	       "                              other values are refused: the sandbox takes the standard files alone, and is in one cgroup\n");
	return 0;
}

static int add_group(struct exec_options *o, const char *text)
{
	return parse_number("--additional-gids", text, 0, UINT32_MAX - 1, &o->groups[o->ngroups++]);
}

static int parse(int argc, char **argv, struct exec_options *o)
{
	int c;

	o->env = calloc((size_t)argc + 1, sizeof(*o->env));
	o->caps = calloc((size_t)argc + 1, sizeof(*o->caps));
	o->groups = calloc((size_t)argc + 1, sizeof(*o->groups));
	while ((c = next_option(argc, argv, options, "exec")) != -1)
		switch (c) {
		case OPT_PROCESS: o->process_file = optarg; break;
		case OPT_PID_FILE: o->pid_file = optarg; break;
		case OPT_CONSOLE: o->console_socket = optarg; break;
		case OPT_DETACH: o->detach = true; break;
		case OPT_TTY: o->terminal = true; break;
		case OPT_ENV: o->env[o->nenv++] = optarg; break;
		case OPT_CWD: o->cwd = optarg; break;
		case OPT_USER: o->user = optarg; break;
		case OPT_CAP: o->caps[o->ncaps++] = optarg; break;
		case OPT_GROUP:
			if (add_group(o, optarg))
				return 1;
			break;
		case OPT_NO_NEW_PRIVS: o->no_new_privs = true; break;
		case OPT_IGNORE_PAUSED: o->ignore_paused = true; break;
		case OPT_PRESERVE:
			if (strcmp(optarg, "0"))
				return oci_fail("--preserve-fds: the sandbox takes no descriptors but the standard ones");
			break;
		case OPT_CGROUP:
			if (strcmp(optarg, "/"))
				return oci_fail(
					"--cgroup: %s: all programs of a container are in the cgroup of its sandbox",
					optarg);
			break;
		case OPT_LABEL:
			oci_warn("exec: %s: left out: the program runs inside the sandbox, where no such profile holds",
				 optarg);
			break;
		case OPT_IGNORED: break;
		case OPT_HELP: return help() - 1;
		default: return 1;
		}
	if (argc == optind)
		return oci_fail("a container id and a command (or --process) are needed");
	if (!o->process_file && argc - optind < 2)
		return oci_fail("process args cannot be empty");
	return 0;
}

/* ---- what to run ---- */

static char **join_env(char **base, const struct exec_options *o)
{
	u32 n = 0;
	char **all;

	while (base && base[n])
		n++;
	all = calloc(n + o->nenv + 1, sizeof(*all));
	if (all && base)
		memcpy(all, base, n * sizeof(*all));
	if (all)
		memcpy(all + n, o->env, o->nenv * sizeof(*all));
	return all;
}

static int set_user(struct spec_process *p, const char *text)
{
	char *colon = strchr(text, ':'), copy[32];

	if (!text)
		return 0;
	snprintf(copy, sizeof(copy), "%.*s", colon ? (int)(colon - text) : 31, text);
	if (parse_number("--user", copy, 0, UINT32_MAX - 1, &p->uid))
		return 1;
	return colon && parse_number("--user", colon + 1, 0, UINT32_MAX - 1, &p->gid);
}

static void add_groups(struct spec_process *p, const struct exec_options *o)
{
	u32 *all = calloc((size_t)p->ngroups + o->ngroups + 1, sizeof(*all));

	if (!all)
		return;
	if (p->ngroups)
		memcpy(all, p->groups, p->ngroups * sizeof(*all));
	memcpy(all + p->ngroups, o->groups, o->ngroups * sizeof(*all));
	p->groups = all;
	p->ngroups += o->ngroups;
}

static void add_caps(struct spec_process *p, char **names)
{
	static const u32 sets[] = { 0, 1, 3 }; /* bounding, effective, permitted */
	cap_value_t cap;

	for (; *names; names++) {
		if (cap_from_name(*names, &cap)) {
			oci_warn("ignoring unknown or unavailable capabilities: [%s]", *names);
			continue;
		}
		for (u32 i = 0; i < ARRAY_SIZE(sets); i++)
			p->caps[sets[i]] |= 1ull << cap;
	}
}

/* What the container's own process has and a document need not repeat: runc takes these from the container, and no others. */
static int read_file(struct spec_process *p, const char *file)
{
	static struct json_reader r;
	struct json_object *document = json_load(&r, file);
	u32 umask = p->umask;

	p->uid = p->gid = p->ngroups = 0;
	p->rows = p->columns = 0;
	if (document)
		spec_read_process(p, document, &r);
	if (p->umask == ~0u)
		p->umask = umask;
	return r.failed ? oci_fail("%s", r.error) : 0;
}

static int read_process(struct spec_process *p, const struct exec_options *o, const struct container *c, char **args)
{
	static struct json_reader r = { .document = "state.json" };

	spec_default_process(p);
	spec_read_process(p, c->process, &r);
	if (r.failed)
		return oci_fail("%s", r.error);
	if (o->process_file)
		return read_file(p, o->process_file);
	p->terminal = o->terminal;
	p->no_new_privs |= o->no_new_privs;
	p->args = args;
	p->env = join_env(p->env, o);
	if (o->cwd)
		p->cwd = o->cwd;
	if (p->cwd[0] != '/')
		return oci_fail("Cwd must be an absolute path");
	add_groups(p, o);
	add_caps(p, o->caps);
	return o->user ? set_user(p, o->user) : 0;
}

static int check_env(char **env)
{
	for (; *env; env++)
		if (!strchr(*env, '='))
			return oci_fail("unable to start container process: invalid environment variable: \"%s\"", *env);
	return 0;
}

/* ---- the request ---- */

struct pen {
	char *at, *end;
	bool full;
};

static void put(struct pen *p, const void *data, size_t n)
{
	if (p->full || n > (size_t)(p->end - p->at)) {
		p->full = true;
		return;
	}
	memcpy(p->at, data, n);
	p->at += n;
}

static u32 put_strings(struct pen *p, char **v)
{
	u32 n = 0;

	for (; v && v[n]; n++)
		put(p, v[n], strlen(v[n]) + 1);
	return n;
}

static char request[sizeof(struct control_msg) + SPAWN_MAX] __attribute__((aligned(8)));

/* Bytes of the message, or 0: it is too long. */
static size_t make_request(const struct spec_process *p, const char *exe)
{
	struct control_msg *m = (struct control_msg *)request;
	struct hc_spawn *s = (struct hc_spawn *)(m + 1);
	struct pen pen = { (char *)s->data, request + sizeof(request), false };

	m->kind = CONTROL_SPAWN;
	s->uid = p->uid;
	s->gid = p->gid;
	s->umask = p->umask == ~0u ? 022 : p->umask;
	s->no_new_privs = p->no_new_privs;
	s->oom_score_adj = p->oom_score_adj;
	s->scheduling = p->scheduling;
	memcpy(s->caps, p->caps, sizeof(s->caps));
	memcpy(s->rlimits, p->rlimits, sizeof(s->rlimits));
	s->ngroups = p->ngroups;
	put(&pen, p->groups, p->ngroups * sizeof(u32));
	put(&pen, exe, strlen(exe) + 1);
	put(&pen, p->cwd, strlen(p->cwd) + 1);
	s->argc = put_strings(&pen, p->args);
	s->envc = put_strings(&pen, p->env);
	for (int fd = 0; fd < 3; fd++)
		stdio_describe(&s->stdio[fd], fd, false);
	return pen.full ? 0 : (size_t)(pen.at - request);
}

static bool send_request(int fd, size_t n)
{
	struct iovec iov = { request, n };
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(3 * sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = &control.align;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(3 * sizeof(int));
	memcpy(CMSG_DATA(c), (const int[3]){ 0, 1, 2 }, 3 * sizeof(int));
	return sendmsg(fd, &msg, MSG_NOSIGNAL) == (ssize_t)n;
}

/* ---- the process that stands for it ---- */

static void forward(int signals, int fd)
{
	struct signalfd_siginfo info;

	while (read(signals, &info, sizeof(info)) == sizeof(info)) {
		struct control_msg m = { CONTROL_SPAWN_SIGNAL, info.ssi_signo, .terminal = info.ssi_code == SI_KERNEL };

		if (info.ssi_signo != SIGCHLD)
			send(fd, &m, sizeof(m), MSG_NOSIGNAL);
	}
}

static __noreturn void answer_failed(int ready, const struct spec_process *p, const struct relay_answer *a)
{
	char text[4096];

	describe_failed_exec(a, p->args[0], p->cwd, text, sizeof(text));
	dprintf(ready < 0 ? STDERR_FILENO : ready, ready < 0 ? "runsc-c: %s\n" : "%s", text);
	_exit(255);
}

/* ready: of who waits for the start, or -1. */
static __noreturn void stand(int fd, int ready, const struct spec_process *p)
{
	struct pollfd polls[2] = { { .fd = fd, .events = POLLIN }, { .events = POLLIN } };
	struct relay_answer a;
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	polls[1].fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	for (;;) {
		if (poll(polls, 2, -1) < 0 && errno != EINTR)
			_exit(255);
		forward(polls[1].fd, fd);
		if (!polls[0].revents)
			continue;
		if (recv(fd, &a, sizeof(a), 0) != sizeof(a)) /* the container is gone, and everything in it with it */
			_exit(137);
		switch (a.state) {
		case SPAWN_STARTED:
			title_set(p->args);
			if (ready < 0)
				break;
			if (write(ready, "", 1) != 1)
				_exit(255);
			close(ready);
			break;
		case SPAWN_FAILED:
		case SPAWN_NO_CWD:
			answer_failed(ready, p, &a);
		case SPAWN_EXITED:
			_exit((int)a.value);
		default:
			_exit(128 + (int)a.value);
		}
	}
}

/* The program's own is inside; the host's is that of who stands for it. */
static void set_oom_score(s32 score)
{
	FILE *f = fopen("/proc/self/oom_score_adj", "r+e");
	s32 now = score;

	if (!f)
		return;
	if (fscanf(f, "%d", &now) == 1 && now != score) {
		rewind(f);
		if (fprintf(f, "%d", score) < 0 || fflush(f))
			oci_warn("exec: process.oomScoreAdj: %d holds inside alone: %s", score, strerror(errno));
	}
	fclose(f);
}

static __noreturn void proxy_main(const struct container *c, const struct spec_process *p, const struct exec_options *o,
				  int go, int ready)
{
	char byte;
	size_t n;
	int fd;

	setsid();
	set_oom_score(p->oom_score_adj);
	if (read(go, &byte, 1) != 1)
		_exit(255);
	if (p->terminal && o->console_socket)
		init_take_terminal(o->console_socket, p, ready);
	fd = ask_connect(c);
	n = make_request(p, p->args[0]);
	if (!n)
		dprintf(ready, "the arguments and the environment are larger than %u bytes", SPAWN_MAX);
	else if (fd < 0 || !send_request(fd, n))
		dprintf(ready, "the container's process does not answer: %s", strerror(errno));
	else
		stand(fd, ready, p);
	_exit(255);
}

__noreturn void exec_program(const struct container *c, const struct spec_process *p, const char *exe)
{
	int fd = ask_connect(c);
	size_t n = make_request(p, exe);

	if (fd < 0 || !n || !send_request(fd, n)) {
		dprintf(STDERR_FILENO, "runsc-c: %s: the container's process does not answer: %s\n", exe, n ? strerror(errno) : "too long");
		_exit(255);
	}
	stand(fd, -1, p);
}

/* In the container's pid namespace, if it has one of its own. */
static void enter_pid_namespace(const struct container *c)
{
	int fd = (int)syscall(SYS_pidfd_open, c->pid, 0);

	if (fd >= 0) {
		if (setns(fd, CLONE_NEWPID) < 0 && errno != EINVAL)
			oci_warn("exec: the container's pid namespace: %s", strerror(errno));
		close(fd);
	}
}

static pid_t spawn(const struct container *c, const struct spec_process *p, const struct exec_options *o, int *go, int *ready)
{
	int gate[2], report[2];
	pid_t pid;

	if (pipe2(gate, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0)
		return -1;
	enter_pid_namespace(c);
	pid = fork();
	if (!pid) {
		close(gate[1]);
		close(report[0]);
		if (c->lock >= 0)
			close(c->lock);
		proxy_main(c, p, o, gate[0], report[1]);
	}
	close(gate[0]);
	close(report[1]);
	*go = gate[1];
	*ready = report[0];
	return pid;
}

static int start(struct container *c, const struct spec_process *p, const struct exec_options *o, pid_t *pid)
{
	int go = -1, ready = -1, err;
	char text[16];

	*pid = spawn(c, p, o, &go, &ready);
	if (*pid < 0)
		return oci_fail("exec: %s", strerror(errno));
	err = cgroup_join(c, *pid);
	if (!err && write(go, "g", 1) != 1)
		err = oci_fail("exec: the process that stands for the program ended early");
	close(go);
	container_close(c); /* a sandbox that is paused or hangs keeps us, and nobody else */
	if (!err)
		err = init_wait_ready(ready);
	close(ready);
	if (err) { /* it would keep the container's pid namespace from ending */
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, 0);
	}
	if (err || !o->pid_file)
		return err;
	snprintf(text, sizeof(text), "%d", (int)*pid);
	err = write_file_atomically(o->pid_file, text, 0644);
	return err ? oci_fail("--pid-file: %s: %s", o->pid_file, strerror(-err)) : 0;
}

static int check_status(enum container_status s, const struct exec_options *o)
{
	switch (s) {
	case STATUS_CREATED:
	case STATUS_RUNNING: return 0;
	case STATUS_PAUSED:
		return o->ignore_paused
			       ? 0
			       : oci_fail("cannot exec in a paused container (use --ignore-paused to override)");
	case STATUS_STOPPED: return oci_fail("cannot exec in a stopped container: it is not running");
	default: return oci_fail("cannot exec in a container that is being created");
	}
}

static int exec_in(struct container *c, int argc, char **argv, bool *detach, pid_t *pid)
{
	struct exec_options o = { 0 };
	struct spec_process p;
	int err = parse(argc, argv, &o);

	*detach = o.detach;
	if (!err)
		err = container_open(c, argv[optind]);
	if (err)
		return err;
	err = check_status(container_status(c), &o);
	if (!err)
		err = read_process(&p, &o, c, argv + optind + 1);
	if (!err)
		err = check_env(p.env);
	if (!err && p.terminal && o.detach && !o.console_socket)
		err = oci_fail("cannot allocate tty if runc will detach without setting console socket");
	if (err)
		return err;
	spec_add_home(&p, c->rootfs);
	block_all_signals();
	return start(c, &p, &o, pid);
}

int cmd_exec(int argc, char **argv)
{
	static struct container c;
	bool detach;
	pid_t pid;
	int err;

	oci_fail_with("exec failed: ");
	err = exec_in(&c, argc, argv, &detach, &pid);
	if (err) /* the status as runc has it, and as engines look for it */
		return err < 0 ? 0 : 255;
	return detach ? 0 : wait_as_shell(pid);
}
