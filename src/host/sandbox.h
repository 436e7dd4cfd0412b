/*
 * The sandbox process and the gofer, as the command starts them: what each is given, and their main functions. Both are forked
 * from the command (one executable, no exec), single-threaded until they have locked themselves down.
 */
#ifndef HOST_SANDBOX_H
#define HOST_SANDBOX_H

#include "host/clock.h"
#include "host/handle.h"
#include "hostcall.h"

enum sandbox_platform { SANDBOX_PTRACE, SANDBOX_KVM };

#define SANDBOX_TREES_MAX 64 /* host trees that a sandbox sees */
#define SANDBOX_MOUNTS_MAX 256

struct sandbox_tree {
	const char *path; /* on the host */
	bool readonly;
};
struct sandbox_config;
struct sandbox_mount {
	enum boot_mount_kind kind;
	const char *target, *options; /* options NULL: none */
	const char *source;	      /* what is shown for it; NULL: the kind's name */
	u32 flags;		      /* MS_* */
	u32 tree;		      /* of BOOT_MOUNT_GOFER */
	bool overlay, is_file;
};

struct sandbox_device {
	const char *path;
	u32 mode, major, minor, uid, gid;
};
#define SANDBOX_SETTINGS_MAX 48

struct sandbox_config {
	enum sandbox_platform platform;
	u32 ncpus;
	u64 mem_size;
	char **argv; /* NULL-terminated; argv[0] is the program */
	char **envp;
	const char *cwd;
	const char *hostname;
	const char *domainname;
	u32 ntrees;
	struct sandbox_tree trees[SANDBOX_TREES_MAX];
	u32 nmounts;
	struct sandbox_mount mounts[SANDBOX_MOUNTS_MAX]; /* in their order; 0 is the root */
	u64 caps[5]; /* of the program: bounding, effective, inheritable, permitted, ambient */
	u32 ngroups;
	const u32 *groups; /* supplementary ones */
	bool no_new_privs;
	const void *seccomp; /* struct sock_filter[seccomp_len]: a filter for all of the sandbox's programs */
	u32 seccomp_len;
	u64 ignored_signals; /* as in boot_params */
	void (*forked)(const struct sandbox_config *cfg); /* in the command's process, when the other two have been made; or NULL */
	void (*ready)(void); /* there, too, when all is made and the first program waits for HC_ASK_START; NULL: it is not held */
	bool own_pid_namespace; /* of a container: the first process is its init (pid_namespaces(7)) */
	bool own_network; /* the command is in a network namespace that is not the host's: the sandbox needs no other */
	bool host_sockets; /* its sockets are the host's, in the command's network namespace, which it stays in */
	u32 nsettings;
	struct boot_setting settings[SANDBOX_SETTINGS_MAX]; /* of sysctl.def */
	u32 ndevices;
	const struct sandbox_device *devices;
	s32 oom_score_adj;
	struct hc_scheduling scheduling;
	struct boot_limits limits; /* of the cgroup that it is in */
	int oom_adj_fd; /* the command's /proc/self/oom_score_adj when its cgroup limits memory, or -1 */
	bool contained; /* all signals of the command's process are for process 1 */
	u64 (*rlimits)[2]; /* RLIMIT_*: soft, hard; NULL: this process' */
	bool strace, stats, no_uring;
	u32 kvm_without; /* KVM_WITHOUT_* */
	int log_fd;	/* --debug-log, or -1 */
	int start_fd;	/* what goes wrong before the first program runs is written here rather than to standard error; or -1 */
	int listener;	/* socket for those who start further programs, or -1 (the command's process alone has it) */
	u32 umask, uid, gid;
	bool stdio_closed[3]; /* the command was started without it */
	bool stdio_nonblock[3]; /* an open file of our own, with O_NONBLOCK */
	struct clock_sample start;
};

/* A process made by spawn_isolated(): which of its namespaces are its own. */
struct isolation {
	bool user_ns, mount_ns;
	bool become_nobody; /* started by root: give the user id up too */
	int pidfd;	    /* of the process, for who made it */
};

/* fds: control socket; go: a pipe that gets one byte when the id maps are written; channels: one a vCPU. */
__noreturn void sandbox_main(const struct sandbox_config *cfg, const struct isolation *iso, int control, int go,
			     const int *channels);
__noreturn void gofer_main(const struct sandbox_config *cfg, const struct isolation *iso, int go, const int *channels);

/* What a standard file is, without a handle for it. own_nonblock: O_NONBLOCK was set by us. */
void stdio_describe(struct hc_stdio *s, int fd, bool own_nonblock);
enum handle_kind stdio_handle_kind(enum hc_stdio_kind kind);
/* Add a tree (its number, or -1 when there are too many) and a mount (false likewise). */
s32 sandbox_add_tree(struct sandbox_config *cfg, const char *path, bool readonly);
bool sandbox_add_mount(struct sandbox_config *cfg, const struct sandbox_mount *m);

/* boot_params.c: everything the sentry is told. first_free: where its memory starts. 0 or -E2BIG. */
int boot_params_fill(const struct sandbox_config *cfg, u64 first_free);

#endif
