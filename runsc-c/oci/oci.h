/* What the commands of the OCI runtime share: global options, how they fail, a container's place. */
#ifndef RUNSC_C_OCI_OCI_H
#define RUNSC_C_OCI_OCI_H

#include <signal.h>
#include <sys/types.h>

#include "hostcall.h"
#include "oci/spec.h"

/* Options before the command, as runc has them: flags.c says what they mean. */
struct oci_options {
	const char *config, *root;
	const char *log; /* NULL: errors go to stderr alone */
	const char *log_format, *platform, *network, *overlay, *file_access, *host_uds, *rootless;
	const char *debug_log; /* NULL: none */
	bool debug, strace, systemd_cgroup;
	u32 vcpus;
};
extern struct oci_options oci_options;

/* Parse them; the index of the command's name in argv, or a negative status after a printed error. */
int oci_parse_globals(int argc, char **argv);

/* One line to stderr and to --log. Always 1, for `return oci_fail(...)`. */
int oci_fail(const char *fmt, ...) __printf(1, 2);
void oci_warn(const char *fmt, ...) __printf(1, 2);
/* To --log alone, and with --debug alone. */
void oci_debug(const char *fmt, ...) __printf(1, 2);
/* Words that begin all further errors: those of exec have them, and engines look for them. */
void oci_fail_with(const char *prefix);
/* A line that was printed already, for --log. */
void oci_log_error(const char *text);

/* ---- container.c ---- */
#define CONTAINER_CGROUPS_MAX 20

enum container_status { STATUS_CREATING, STATUS_CREATED, STATUS_RUNNING, STATUS_PAUSED, STATUS_STOPPED };
struct container {
	char id[256];
	char dir[4096]; /* its state folder */
	int lock;	/* of the folder, held while the command works; -1 */
	pid_t pid;	/* the host process that stands for it; 0: none yet */
	u64 start_time; /* of that process: a pid may be used again */
	char bundle[4096], rootfs[4096], created[40];
	char cgroups[CONTAINER_CGROUPS_MAX][4096]; /* its directories */
	u32 ncgroups;
	struct json_object *annotations; /* may be NULL */
	struct json_object *hooks;
	struct json_object *process; /* of its config.json, for exec: that file may have changed since, or gone */
};
/* A new one's folder. 0 or a status with the error printed: bad name, name in use. */
int container_new(struct container *c, const char *id);
/* An existing one, locked. 0 or a status. */
int container_open(struct container *c, const char *id);
/* As it is now, without its lock: hooks ask for the state while create holds that. */
int container_look(struct container *c, const char *id);
int container_save(const struct container *c);
void container_close(struct container *c);
int container_remove(struct container *c); /* the folder */
enum container_status container_status(const struct container *c);
const char *container_status_name(enum container_status s);
/* The mark in its folder that tells a created container from a running one. 0 or a status. */
int container_mark_created(const struct container *c);
void container_mark_started(const struct container *c);
/* The document of `state`, also given to hooks. */
struct json_object *container_state(const struct container *c, enum container_status s);
u64 process_start_time(pid_t pid); /* 0: it is gone or a zombie */
/* Write a file whole or not at all. 0 or -errno. */
int write_file_atomically(const char *path, const char *text, mode_t mode);

/* ---- cgroup.c ---- */
/* Make the container's cgroups and put its limits there. 0 or a status. */
int cgroup_create(struct container *c, const struct spec *spec);
/* CPU shares of version 1, [2, 262144], as a weight of version 2, [1, 10000]: the way that runc does it. */
u64 cgroup_weight(u64 shares);
/* Versions and controllers that this host has, in words. True: they can be used. */
bool cgroup_describe(char *out, size_t size);
int cgroup_update(const struct container *c, struct json_object *resources);
int cgroup_join(const struct container *c, pid_t pid);
/* Of a container with one cgroup, of version 2: its directory, to be born in (CLONE_INTO_CGROUP); else -1. Joining later costs the host
 * a grace period. */
int cgroup_open_only(const struct container *c);
void cgroup_remove(const struct container *c);
/* 0 or a status. */
int cgroup_freeze(const struct container *c, bool frozen);
bool cgroup_frozen(const struct container *c);
/* Pids in it; how many (at most max), or -1 when there is no cgroup. */
s32 cgroup_pids(const struct container *c, pid_t *pids, u32 max);
/* The number in a file of the controller that has it, or false. */
bool cgroup_number(const struct container *c, const char *file, u64 *out);

/* ---- hooks.c ---- */
/* All of them can be run. 0 or a status: before there is a container. */
int hooks_check(struct json_object *hooks);
/* Run hooks.NAME in order, each with the state on stdin. 0 or a status. */
int hooks_run(struct json_object *hooks, const char *name, const struct container *c, enum container_status s);

/* ---- cmd_exec.c ---- */
/* This process becomes the one that stands for a program inside: p's, of which the file is exe. */
__noreturn void exec_program(const struct container *c, const struct spec_process *p, const char *exe);

/* ---- init.c ---- */
struct init_request {
	struct spec *spec; /* its namespaces are open */
	const struct container *container;
	const char *console_socket; /* or NULL */
	bool keep_terminal;	    /* run in the foreground: our standard files are the terminal */
};
/*
 * Start the process that stands for the container. A byte of `go` and it enters the container; another, once it is ready, and it makes the
 * sandbox, whose first program is held until init_start(), and is ready again. Its pid, or -1. *joined: it is in its cgroup already.
 */
pid_t init_spawn(const struct init_request *req, int *go, int *ready, bool *joined);
/* Wait until it is ready. 0 or a status with its error printed. */
int init_wait_ready(int ready);
/* A new terminal: its master goes to the socket, its slave becomes the standard files and the controlling terminal. A failure is
 * written to `ready`, and the process ends. */
void init_take_terminal(const char *socket_path, const struct spec_process *p, int ready);
/* Wait for a child and pass all signals on to it; its status as a shell has it. Block them before the child is made. */
int wait_as_shell(pid_t pid);
sigset_t block_all_signals(void);
/* Let it start. 0 or a status. */
int init_start(const struct container *c);

/* ---- ask.c ---- */
struct relay_answer;
/* A connection to the process that stands for the container; -1 with errno. */
int ask_connect(const struct container *c);
/* Ask the sandbox; `text` gets the answer's text (-1: there is none). The connection that the answer comes over, or -1. */
int ask_send(const struct container *c, enum hc_ask ask, u32 value, int text);
/* Wait for it: 0, -errno, -EPIPE when the sandbox is gone, or -ETIMEDOUT when it says nothing. The connection is closed. */
#define ASK_TIMEOUT_MS 10000
int ask_answer(int fd);
/* The answer itself; -1: however long it takes. 0, -EPIPE or -ETIMEDOUT. */
int ask_receive(int fd, int timeout_ms, struct relay_answer *a);
/* Why a program was not started, in the words of runc: engines take the status of the whole from them. */
void describe_failed_exec(const struct relay_answer *a, const char *program, const char *cwd, char *buf, size_t size);

/* ---- signals.c ---- */
/* A number, or a name with or without SIG; "": SIGTERM. -1: neither. */
int parse_signal(const char *text);

/* ---- commands ---- */
int cmd_create(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_exec(int argc, char **argv);
int cmd_start(int argc, char **argv);
int cmd_kill(int argc, char **argv);
int cmd_delete(int argc, char **argv);
int cmd_state(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_update(int argc, char **argv);
int cmd_checkpoint(int argc, char **argv); /* and restore */
int cmd_debug(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_spec(int argc, char **argv);
int cmd_features(int argc, char **argv);
int cmd_install(int argc, char **argv);
int cmd_uninstall(int argc, char **argv);

#endif
