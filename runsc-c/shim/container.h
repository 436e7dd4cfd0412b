/* The containers of this shim, and their processes. */
#ifndef SHIM_CONTAINER_H
#define SHIM_CONTAINER_H

#include <sys/types.h>
#include <time.h>

#include "messages.pb-c.h"
#include "shim/io.h"
#include "shim/loop.h"
#include "shim/ttrpc.h"

enum process_state { PROCESS_NEW /* pid not known */, PROCESS_CREATED, PROCESS_RUNNING, PROCESS_STOPPED };

struct waiting {
	struct call *call;
	struct waiting *next;
};

struct process {
	struct container *container;
	char *exec_id; /* "": the container's first */
	enum process_state state;
	bool starting; /* its start has not been told yet: its end comes after it */
	pid_t pid;
	u32 exit_status;
	struct timespec exited_at;
	struct stdio io;
	char *spec; /* of an exec: process.json's text */
	size_t spec_len;
	struct waiting *waiting;
	struct process *next;
};

struct container {
	char *id, *bundle;
	char *binary, *root, *config; /* of runsc-c; config may be NULL */
	bool systemd_cgroup, no_new_keyring;
	bool paused, deleting;
	bool mounted;		   /* its root file system, by us */
	struct process *processes; /* the first of all is the last */
	struct watch oom;
	u64 oom_kills;
	struct container *next;
};
extern struct container *containers;

struct container *container_find(const char *id);
struct container *container_new(const char *id, const char *bundle);
void container_free(struct container *c);
struct process *process_find(struct container *c, const char *exec_id);
struct process *process_new(struct container *c, const char *exec_id);
void process_free(struct process *p);
/* A pid file says which one it is: false when there is none. An end that was seen before is taken note of. */
bool process_set_pid(struct process *p, const char *pid_file);
/* A child of ours ended. */
void process_reaped(pid_t pid, int status);
/* Its start has been told: so may be its end. */
void process_started(struct process *p);
/* Answered at its end. */
void process_wait(struct process *p, struct call *call);

/* rootfs.c: what is mounted below the bundle. NULL, or the error's text (malloc'ed). */
char *rootfs_mount(const struct container *c, Mount *const *mounts, size_t n);
void rootfs_unmount(const char *bundle);

/* stats.c: cgroups of a process, and the metrics as containerd wants them; the folder of a controller ("" for cgroup
 * v2), or NULL, malloc'ed. */
char *cgroup_folder(pid_t pid, const char *controller);
void stats_answer(struct container *c, struct call *call);

/* oom.c: TaskOOM events from now on. */
void oom_watch(struct container *c);

#endif
