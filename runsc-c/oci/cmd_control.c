/* kill, delete, pause, resume: what is done to a container that exists. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "oci/oci.h"
#include "options.h"

enum { OPT_ALL = 'a', OPT_FORCE = 'f', OPT_HELP = 256 };

/*
 * To every program. SIGKILL to the one process that holds the sandbox is enough. A container that is paused gets it when it goes on.
 */
static int signal_all(const struct container *c, enum container_status s, int sig)
{
	int fd = ask_send(c, HC_ASK_SIGNAL_ALL, (u32)sig, -1), err;

	if (fd < 0)
		return oci_fail("the container's process does not answer: %s", strerror(errno));
	if (s == STATUS_PAUSED) {
		close(fd);
		return 0;
	}
	err = ask_answer(fd);
	if (err == -EPIPE) /* the signal was its end */
		return 0;
	return err ? oci_fail("signals for all processes: %s", err == -ETIMEDOUT ? "the sandbox does not answer" : strerror(-err)) : 0;
}

int cmd_kill(int argc, char **argv)
{
	static const struct option options[] = { { "all", no_argument, NULL, OPT_ALL }, { "help", no_argument, NULL, OPT_HELP }, { 0 } };
	static struct container c;
	enum container_status s;
	bool all = false;
	int sig, o, err;

	while ((o = next_option(argc, argv, options, "kill")) != -1) {
		if (o == OPT_HELP)
			return printf("Usage: runsc-c kill [--all] ID [SIGNAL]\n"
				      "Send a signal (TERM by default; a number or a name) to the container's first program.\n\n"
				      "  -a, --all   to all of its programs\n") < 0;
		if (o != OPT_ALL)
			return 1;
		all = true;
	}
	if (argc - optind < 1 || argc - optind > 2)
		return oci_fail("kill: a container id and perhaps a signal are needed");
	sig = parse_signal(argc - optind == 2 ? argv[optind + 1] : "");
	if (sig < 0)
		return oci_fail("unknown signal \"%s\"", argv[optind + 1]);
	err = container_open(&c, argv[optind]);
	if (err)
		return err;
	s = container_status(&c);
	if (s == STATUS_STOPPED)
		return all ? 0 : oci_fail("container not running");
	if (all && sig != SIGKILL && s != STATUS_CREATED)
		return signal_all(&c, s, sig);
	if (kill(c.pid, sig) < 0)
		return oci_fail("%s", errno == ESRCH ? "no such process" : strerror(errno));
	if (s == STATUS_PAUSED && sig == SIGKILL)
		cgroup_freeze(&c, false);
	return 0;
}

/* SIGKILL, and wait until it is gone. */
static int end_container(const struct container *c)
{
	int fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		return 0;
	if (process_start_time(c->pid) == c->start_time && kill(c->pid, SIGKILL) == 0) {
		if (cgroup_frozen(c))
			cgroup_freeze(c, false);
		if (poll(&p, 1, 10000) == 0)
			return oci_fail("container %s: process %d does not end", c->id, (int)c->pid);
	}
	close(fd);
	return 0;
}

int cmd_delete(int argc, char **argv)
{
	static const struct option options[] = { { "force", no_argument, NULL, OPT_FORCE }, { "help", no_argument, NULL, OPT_HELP }, { 0 } };
	static struct container c;
	enum container_status s;
	bool force = false;
	char path[4200];
	int o, err;

	while ((o = next_option(argc, argv, options, "delete")) != -1) {
		if (o == OPT_HELP)
			return printf("Usage: runsc-c delete [--force] ID\nForget a container that has stopped; --force ends it first.\n") < 0;
		if (o != OPT_FORCE)
			return 1;
		force = true;
	}
	if (argc - optind != 1)
		return oci_fail("delete: exactly one container id is needed");
	snprintf(path, sizeof(path), "%s/%s", oci_options.root, argv[optind]);
	if (force && access(path, F_OK) < 0)
		return 0;
	err = container_open(&c, argv[optind]);
	if (err && force && access(c.dir, F_OK) < 0)
		return 0;
	if (err && force && c.lock >= 0) {
		oci_warn("container %s: its state cannot be read; what is left of it is removed", c.id);
		return container_remove(&c);
	}
	if (err)
		return err;
	s = container_status(&c);
	if (s != STATUS_STOPPED && s != STATUS_CREATED && !force)
		return oci_fail("cannot delete container %s that is not stopped: %s", c.id, container_status_name(s));
	if (s != STATUS_STOPPED)
		err = end_container(&c);
	if (err)
		return err;
	cgroup_remove(&c);
	hooks_run(c.hooks, "poststop", &c, STATUS_STOPPED);
	return container_remove(&c);
}

static int freeze(int argc, char **argv, bool frozen)
{
	static struct container c;
	enum container_status s;
	int err;

	if (argc == 2 && !strcmp(argv[1], "--help"))
		return printf("Usage: runsc-c %s ID\n", argv[0]) < 0;
	if (argc != 2)
		return oci_fail("%s: exactly one container id is needed", argv[0]);
	err = container_open(&c, argv[1]);
	if (err)
		return err;
	s = container_status(&c);
	if (frozen ? s != STATUS_RUNNING && s != STATUS_CREATED : s != STATUS_PAUSED)
		return oci_fail("container not %s", frozen ? "running" : "paused");
	return cgroup_freeze(&c, frozen);
}

int cmd_pause(int argc, char **argv)
{
	return freeze(argc, argv, true);
}

int cmd_resume(int argc, char **argv)
{
	return freeze(argc, argv, false);
}

int cmd_checkpoint(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--help"))
		return printf("Usage: runsc-c %s\nNot built yet: a sandbox cannot be saved and brought back.\n", argv[0]) < 0;
	return oci_fail("%s: not built yet: a sandbox cannot be saved and brought back", argv[0]);
}
