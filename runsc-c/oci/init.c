/*
 * The host process that stands for a container: engines know its pid, reap it, and read its cgroup. It holds the sandbox and the gofer as
 * its children and ends as the container's first process did.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "choose.h"
#include "command.h"
#include "host/exit.h"
#include "host/hostmem.h"
#include "oci/network.h"
#include "oci/oci.h"
#include "relay.h"
#include "run.h"
#include "standard_files.h"

static int ready_fd;
static struct start_settings settings;

sigset_t block_all_signals(void)
{
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return set;
}

int wait_as_shell(pid_t pid)
{
	sigset_t set = block_all_signals();
	siginfo_t info;
	int status;

	for (;;) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		if (sigwaitinfo(&set, &info) > 0 && info.si_signo != SIGCHLD)
			kill(pid, info.si_signo);
	}
}

/* The reason goes to whoever creates the container. */
static __noreturn __printf(1, 2) void give_up(const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (write(ready_fd, text, (size_t)MIN(n, (int)sizeof(text) - 1)) < 0)
		_exit(1);
	_exit(1);
}

/* ---- the terminal ---- */

static void send_master(const char *path, int master)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct iovec iov = { (char *)"/dev/ptmx", 9 };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct cmsghdr *c = &control.align;

	if (strlen(path) >= sizeof(a.sun_path))
		give_up("--console-socket: %s: the path is too long for a socket", path);
	strcpy(a.sun_path, path);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &master, sizeof(int));
	if (fd < 0 || connect(fd, (void *)&a, sizeof(a)) < 0 || sendmsg(fd, &msg, MSG_NOSIGNAL) < 0)
		give_up("--console-socket: %s: %s", path, strerror(errno));
	close(fd);
}

void init_take_terminal(const char *socket_path, const struct spec_process *p, int ready)
{
	struct winsize size = { .ws_row = (unsigned short)p->rows, .ws_col = (unsigned short)p->columns };
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave = -1, unlock = 0;

	ready_fd = ready;
	if (master >= 0 && !ioctl(master, TIOCSPTLCK, &unlock))
		slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		give_up("a terminal for the container: %s", strerror(errno));
	if (size.ws_row || size.ws_col)
		ioctl(slave, TIOCSWINSZ, &size);
	send_master(socket_path, master);
	for (int fd = 0; fd < 3; fd++)
		dup2(slave, fd);
	close(slave);
	close(master);
	ioctl(STDIN_FILENO, TIOCSCTTY, 0);
}

/* ---- what the sandbox is told ---- */

static void add_mount(struct sandbox_config *cfg, const struct sandbox_mount *m)
{
	if (!sandbox_add_mount(cfg, m))
		give_up("mounts: more than %d", SANDBOX_MOUNTS_MAX);
}

static void add_bind(struct sandbox_config *cfg, const struct spec_mount *m, const char *bundle)
{
	char joined[PATH_MAX], *source;
	struct stat st;
	s32 tree;

	snprintf(joined, sizeof(joined), "%s%s%s", m->source[0] == '/' ? "" : bundle, m->source[0] == '/' ? "" : "/", m->source);
	source = realpath(joined, NULL);
	if (!source || stat(source, &st) < 0)
		give_up("mounts: %s: source %s: %s", m->target, joined, strerror(errno));
	tree = sandbox_add_tree(cfg, source, m->flags & MS_RDONLY);
	if (tree < 0)
		give_up("mounts: more than %d bind mounts", SANDBOX_TREES_MAX - 1);
	add_mount(cfg, &(struct sandbox_mount){ BOOT_MOUNT_GOFER, m->target, .flags = m->flags, .tree = (u32)tree,
						.is_file = !S_ISDIR(st.st_mode) });
}

static void add_special(struct sandbox_config *cfg, const struct spec_mount *m)
{
	static const struct {
		const char *type;
		enum boot_mount_kind kind;
	} kinds[] = { { "proc", BOOT_MOUNT_PROC }, { "sysfs", BOOT_MOUNT_SYSFS }, { "devpts", BOOT_MOUNT_DEVPTS },
		      { "mqueue", BOOT_MOUNT_MQUEUE }, { "devtmpfs", BOOT_MOUNT_DEV }, { "tmpfs", BOOT_MOUNT_TMPFS },
		      { "cgroup", BOOT_MOUNT_CGROUP }, { "cgroup2", BOOT_MOUNT_CGROUP } };

	/* Where an engine asks for an empty /dev, the runtime is to fill it (runtime-spec, "Default Devices"). */
	if (!strcmp(m->target, "/dev")) {
		add_mount(cfg, &(struct sandbox_mount){ BOOT_MOUNT_DEV, "/dev", m->data, .source = m->source, .flags = m->flags });
		return;
	}
	for (u32 i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(m->type, kinds[i].type)) {
			add_mount(cfg, &(struct sandbox_mount){ kinds[i].kind, m->target, m->data, m->source, m->flags });
			return;
		}
	give_up("mounts: %s: no file system of type %s inside the sandbox", m->target, m->type);
}

/* The limits of config.json, for the view that programs have of them. */
static struct boot_limits read_limits(const struct spec *spec)
{
	struct json_reader r = { .document = "config.json" };
	struct json_object *resources = spec->resources;
	struct json_object *memory = json_member(&r, resources, "", "memory", json_type_object), *cpu = json_member(&r, resources, "", "cpu", json_type_object);
	struct json_object *pids = json_member(&r, resources, "", "pids", json_type_object);
	struct boot_limits l = { 0 };
	u64 shares;
	s64 v;

	if (json_s64(&r, memory, "", "limit", &v) && v > 0)
		l.memory_max = (u64)v;
	if (json_s64(&r, cpu, "", "quota", &v) && v > 0)
		l.cpu_quota_us = (u64)v;
	json_u64(&r, cpu, "", "period", UINT32_MAX, &l.cpu_period_us);
	if (json_u64(&r, cpu, "", "shares", UINT32_MAX, &shares) && shares)
		l.cpu_weight = cgroup_weight(shares);
	if (l.cpu_quota_us && !l.cpu_period_us)
		l.cpu_period_us = 100000;
	if (json_s64(&r, pids, "", "limit", &v) && v > 0)
		l.pids_max = (u64)v;
	return l;
}

static void add_mounts(struct sandbox_config *cfg, const struct init_request *req)
{
	const struct spec *spec = req->spec;
	bool overlay = spec->root_readonly || !strcmp(oci_options.overlay, "root");

	sandbox_add_tree(cfg, spec->rootfs, overlay);
	/* A root that is not to be written may lack mount points: they are made above it, in memory. */
	add_mount(cfg, &(struct sandbox_mount){ BOOT_MOUNT_GOFER, "/", .overlay = overlay });
	for (u32 i = 0; i < spec->nmounts; i++) {
		if (spec->mounts[i].is_bind)
			add_bind(cfg, &spec->mounts[i], req->container->bundle);
		else
			add_special(cfg, &spec->mounts[i]);
	}
	if (spec->root_readonly)
		add_mount(cfg, &(struct sandbox_mount){ BOOT_MOUNT_READONLY, "/" });
	for (char **p = spec->masked_paths; p && *p; p++)
		add_mount(cfg, &(struct sandbox_mount){ BOOT_MOUNT_MASK, *p });
	for (char **p = spec->readonly_paths; p && *p; p++)
		add_mount(cfg, &(struct sandbox_mount){ BOOT_MOUNT_READONLY, *p });
}

static bool has_host_sockets(void)
{
	return !strcmp(oci_options.network, "host-sockets");
}

static u32 usable_cpus(void)
{
	cpu_set_t set;
	u32 n = sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : (u32)MIN(CPU_COUNT(&set), MAX_CPUS);

	return oci_options.vcpus ? MIN(n, oci_options.vcpus) : n;
}

#define MEMORY_RESERVE (4ull << 20)

static u64 memory_size(const struct container *c)
{
	struct sysinfo info;
	u64 total = sysinfo(&info) < 0 ? HOSTMEM_MIN : (u64)info.totalram * info.mem_unit, limit;
	bool limited = false;

	if ((cgroup_number(c, "memory.limit_in_bytes", &limit) || cgroup_number(c, "memory.max", &limit)) && limit < total) {
		total = limit;
		limited = true;
	}
	/* The host charges more to the cgroup than what programs see: its processes there, their page tables. */
	if (limited)
		total -= MIN(total, MEMORY_RESERVE + total / 32);
	return MAX(MIN(total, HOSTMEM_MAX) / HOSTMEM_UNIT * HOSTMEM_UNIT, HOSTMEM_MIN);
}

static int open_log(const struct container *c)
{
	char path[PATH_MAX];

	if (!oci_options.debug_log)
		return -1;
	snprintf(path, sizeof(path), "%s/%s.log", oci_options.debug_log, c->id);
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

static void fill_config(struct sandbox_config *cfg, const struct init_request *req)
{
	const struct spec_process *p = &req->spec->process;
	static char hostname[65];

	gethostname(hostname, sizeof(hostname) - 1);
	*cfg = (struct sandbox_config){
		.ncpus = usable_cpus(), .mem_size = memory_size(req->container), .argv = p->args, .envp = p->env, .cwd = p->cwd,
		.hostname = req->spec->hostname ? req->spec->hostname : hostname, .domainname = req->spec->domainname,
		.ngroups = p->ngroups, .groups = p->groups, .no_new_privs = p->no_new_privs, .contained = true,
		.seccomp = req->spec->seccomp.program, .seccomp_len = req->spec->seccomp.len,
		.limits = read_limits(req->spec),
		.own_pid_namespace = req->spec->namespaces.made & CLONE_NEWPID,
		.own_network = namespaces_has(&req->spec->namespaces, CLONE_NEWNET), .host_sockets = has_host_sockets(),
		.ndevices = req->spec->ndevices, .devices = req->spec->devices, .oom_score_adj = p->oom_score_adj, .scheduling = p->scheduling,
		.rlimits = (u64(*)[2])p->rlimits, .strace = oci_options.strace, .log_fd = open_log(req->container),
		.umask = p->umask == ~0u ? 022 : p->umask, .uid = p->uid, .gid = p->gid, .start = program_start,
	};
	memcpy(cfg->caps, p->caps, sizeof(cfg->caps));
	for (int fd = 0; fd < 3; fd++) {
		cfg->stdio_closed[fd] = standard_file_closed(fd);
		cfg->stdio_nonblock[fd] = standard_file_own_nonblock(fd);
	}
	cfg->oom_adj_fd = cfg->limits.memory_max ? open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC) : -1;
	settings_apply(&settings, cfg);
	add_mounts(cfg, req);
}

/* ---- our own mounts ---- */

/*
 * Engines look into a container by way of its process: they join its mount namespace and read /proc there (podman top), or copy files to what
 * is its root (podman cp). So it has that root, and the /proc of its pid namespace; sandbox and gofer have theirs already.
 */
static void enter_root(const struct sandbox_config *cfg)
{
	const char *root = cfg->trees[0].path;

	if (mount(root, root, NULL, MS_BIND | MS_REC, NULL) < 0 || chdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0) {
		oci_warn("%s: engines do not see it as the container's root: %s", root, strerror(errno));
		return;
	}
	if (access("/proc", F_OK) == 0 && mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		oci_warn("/proc of the container's process: %s", strerror(errno));
}

/* ---- before it starts ---- */

static const char *env_path(char **env)
{
	for (; *env; env++)
		if (!strncmp(*env, "PATH=", 5))
			return *env + 5;
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* Is it there and executable, below the container's root? Mounts may hide or bring it: then only the start can tell. */
static int try_program(int root, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	struct stat st;
	int err = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode) || !(st.st_mode & 0111))
		err = -EACCES;
	close(fd);
	return err;
}

static bool below_a_mount(const struct spec *spec, const char *path)
{
	for (u32 i = 0; i < spec->nmounts; i++) {
		size_t n = strlen(spec->mounts[i].target);

		if (!strncmp(path, spec->mounts[i].target, n) && (!path[n] || path[n] == '/'))
			return true;
	}
	return false;
}

static void check_program(const struct spec *spec)
{
	const char *program = spec->process.args[0], *path = env_path(spec->process.env);
	int root = open(spec->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC), err = -ENOENT;
	char joined[PATH_MAX];

	if (strchr(program, '/')) {
		snprintf(joined, sizeof(joined), "%s%s%s", program[0] == '/' ? "" : spec->process.cwd, program[0] == '/' ? "" : "/", program);
		err = try_program(root, joined);
		if (err && !below_a_mount(spec, joined))
			give_up("exec: \"%s\": %s", program, err == -ENOENT ? "stat: no such file or directory" :
				err == -EACCES ? "permission denied" : strerror(-err));
	} else {
		bool hidden = false;

		for (const char *p = path; p && err; p = strchr(p, ':') ? strchr(p, ':') + 1 : NULL) {
			snprintf(joined, sizeof(joined), "%.*s/%s", (int)strcspn(p, ":"), p, program);
			hidden |= below_a_mount(spec, joined);
			err = try_program(root, joined);
		}
		if (err && !hidden)
			give_up("exec: \"%s\": executable file not found in $PATH", program);
	}
	close(root);
}

/* Where exec finds us (relay.h). */
static int listen_for_exec(const struct container *c)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int dir = open(c->dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/control.sock", dir); /* the folder's own path may be too long */
	if (dir < 0 || fd < 0 || bind(fd, (void *)&a, sizeof(a)) < 0 || listen(fd, 64) < 0)
		give_up("%s/control.sock: %s", c->dir, strerror(errno));
	close(dir);
	return fd;
}

/* All is made; only start is missing. */
static void is_ready(void)
{
	host_exit_report_start(-1);
	if (write(ready_fd, "", 1) != 1)
		_exit(1);
	close(ready_fd);
}

/* Hooks, which run before "go", find the process in them. */
static void enter_namespaces(const struct spec *spec)
{
	const char *what = "";
	int err = namespaces_enter(&spec->namespaces, &what);

	if (err)
		give_up("linux.namespaces: joining %s: %s", what, strerror(-err));
	if (spec->namespaces.made & CLONE_NEWNET)
		namespaces_raise_loopback();
	settings = spec->settings;
	err = network_prepare(spec, has_host_sockets(), &settings, &what);
	if (err)
		give_up("linux.sysctl: sysctl \"%s\": %s", what, err == -EPERM ? "not allowed in the host's network namespace" : strerror(-err));
	if (spec->namespaces.made & CLONE_NEWUTS &&
	    ((spec->hostname && sethostname(spec->hostname, strlen(spec->hostname)) < 0) ||
	     (spec->domainname && setdomainname(spec->domainname, strlen(spec->domainname)) < 0)))
		give_up("hostname or domainname: %s", strerror(errno));
}

static __noreturn void init_main(const struct init_request *req, int go)
{
	static struct sandbox_config cfg;
	enum sandbox_platform platform;
	char byte;

	setsid();
	enter_namespaces(req->spec);
	if (read(go, &byte, 1) != 1)
		_exit(1);
	if (req->spec->namespaces.made & CLONE_NEWCGROUP && unshare(CLONE_NEWCGROUP) < 0) /* only now it is in its cgroup */
		give_up("linux.namespaces: cgroup: %s", strerror(errno));
	if (req->spec->process.terminal && !req->keep_terminal)
		init_take_terminal(req->console_socket, &req->spec->process, ready_fd);
	check_program(req->spec);
	if (choose_platform(oci_options.platform, &platform))
		give_up("platform %s: not usable here; \"runsc-c platforms\" says why", oci_options.platform);
	fill_config(&cfg, req);
	cfg.platform = platform;
	cfg.listener = listen_for_exec(req->container);
	if (namespaces_has(&req->spec->namespaces, CLONE_NEWPID) && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		cfg.forked = enter_root;
	if (write(ready_fd, "", 1) != 1 || read(go, &byte, 1) != 1 || chdir("/") < 0)
		_exit(1);
	cfg.start_fd = ready_fd;
	cfg.ready = is_ready;
	host_exit_report_start(ready_fd);
	_exit(run_sandbox(&cfg));
}

static pid_t clone_init(const struct init_request *req, bool *joined)
{
	const u32 kinds = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
	struct clone_args args = { .flags = CLONE_CLEAR_SIGHAND | (req->spec->namespaces.made & kinds), .exit_signal = SIGCHLD };
	int cgroup = cgroup_open_only(req->container);
	pid_t pid = -1;

	*joined = cgroup >= 0;
	if (cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (u64)cgroup;
		pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
		args.flags &= ~(u64)CLONE_INTO_CGROUP;
	}
	if (pid < 0) { /* before Linux 5.7, or no such cgroup */
		*joined = false;
		pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	}
	if (cgroup >= 0)
		close(cgroup);
	return pid;
}

pid_t init_spawn(const struct init_request *req, int *go, int *ready, bool *joined)
{
	const struct namespaces *ns = &req->spec->namespaces;
	int gate[2], report[2], err;
	pid_t pid;

	if (pipe2(gate, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0)
		return -1;
	errno = -namespaces_enter_pid(ns);
	if (errno)
		return -1;
	network_remember();
	pid = clone_init(req, joined);
	err = errno;
	if (!pid) {
		close(gate[1]);
		close(report[0]);
		if (req->container->lock >= 0)
			close(req->container->lock); /* a lock of the open file: it would stay with us */
		ready_fd = report[1];
		init_main(req, gate[0]);
	}
	namespaces_leave_pid(ns);
	errno = err;
	close(gate[0]);
	close(report[1]);
	*go = gate[1];
	*ready = report[0];
	return pid;
}

/* Lines as they would be on standard error: one says why, those before an end that is well are warnings. */
static int end_of_start(char *text, bool well)
{
	static const char command[] = "runsc-c: ";
	char *line, *rest = text, *why = NULL;

	while ((line = strsep(&rest, "\n"))) {
		if (!strncmp(line, command, sizeof(command) - 1))
			line += sizeof(command) - 1;
		if (*line && well)
			oci_warn("%s", line);
		else if (*line && !why)
			why = line;
	}
	if (well)
		return 0;
	return why ? oci_fail("unable to start container process: %s", why) : oci_fail("the container's process ended before it was ready");
}

int init_wait_ready(int ready)
{
	char text[4097];
	size_t n = 0;
	ssize_t got;

	while (n < sizeof(text) - 1 && (got = read(ready, text + n, sizeof(text) - 1 - n)) > 0) {
		n += (size_t)got;
		if (!text[n - 1])
			return end_of_start(text, true);
	}
	text[n] = '\0';
	return end_of_start(text, false);
}

static const char *text_of(struct json_object *o)
{
	return o && json_object_get_string(o) ? json_object_get_string(o) : "";
}

int init_start(const struct container *c)
{
	struct json_object *args = json_object_object_get(c->process, "args"), *cwd = json_object_object_get(c->process, "cwd");
	int fd = ask_send(c, HC_ASK_START, 0, -1);
	struct relay_answer a;
	char text[4096];

	if (fd < 0 || ask_receive(fd, -1, &a))
		return oci_fail("the container's process ended before it was started");
	if (!a.value || a.value == EALREADY)
		return 0;
	describe_failed_exec(&a, text_of(args ? json_object_array_get_idx(args, 0) : NULL), text_of(cwd), text, sizeof(text));
	return oci_fail("unable to start container process: %s", text);
}
