#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "choose.h"
#include "command.h"
#include "host/hostmem.h"
#include "options.h"
#include "settings.h"
#include "platform/kvm/kvm_host.h"
#include "run.h"
#include "standard_files.h"

enum { OPT_PLATFORM = 256, OPT_CWD, OPT_ENV, OPT_ROOT, OPT_RW, OPT_STRACE, OPT_LOG, OPT_STATS, OPT_CPUS, OPT_MEMORY, OPT_NO_URING, OPT_KVM_WITHOUT, OPT_NETWORK, OPT_HELP };

static const struct option options[] = {
	{ "platform", required_argument, NULL, OPT_PLATFORM },
	{ "cwd", required_argument, NULL, OPT_CWD },
	{ "env", required_argument, NULL, OPT_ENV },
	{ "root", required_argument, NULL, OPT_ROOT },
	{ "rw", required_argument, NULL, OPT_RW },
	{ "strace", no_argument, NULL, OPT_STRACE },
	{ "debug-log", required_argument, NULL, OPT_LOG },
	{ "stats", no_argument, NULL, OPT_STATS },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "no-io-uring", no_argument, NULL, OPT_NO_URING },
	{ "kvm-without", required_argument, NULL, OPT_KVM_WITHOUT },
	{ "network", required_argument, NULL, OPT_NETWORK },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static int help(void)
{
	printf("Usage: runsc-c do [OPTION]... COMMAND [ARGUMENT]...\n"
	       "Run COMMAND in a sandbox over a read-only view of this host's files: what it writes goes to memory, and its status\n"
	       "is this command's own. Status 125: runsc-c itself failed; 126: COMMAND cannot be run; 127: it was not found.\n\n"
	       "  --platform=NAME    auto (default), kvm or ptrace; see \"runsc-c platforms\"\n"
	       "  --cwd=DIR          working directory inside; by default the present one,\n"
	       "                     or / when the sandbox does not have it\n"
	       "  --env=NAME=VALUE   set a variable (NAME alone: remove it); may be repeated\n"
	       "  --root=DIR         the root directory, in place of this host's\n"
	       "  --rw=DIR           a directory that is written through to the host; may be repeated\n"
	       "  --cpus=N           virtual CPUs; by default as many as this process may use\n"
	       "  --memory=SIZE      most memory the sandbox may have, with K, M or G; by default the host's\n"
	       "  --network=KIND     none (default): a loopback link inside the sandbox, and nothing else; host-sockets: the\n"
	       "                     network namespace that this command is in\n"
	       "  --strace           print every system call to the debug log or standard error\n"
	       "  --stats            print what was counted to standard error at the end\n"
	       "  --debug-log=FILE   messages of the sandbox\n"
	       "  --no-io-uring      do without io_uring, as on hosts that have none\n"
	       "  --kvm-without=LIST do without these features of the CPU or of KVM, as on hosts that\n"
	       "                     lack them: %s\n"
	       "  --help             this text\n",
	       kvm_without_names());
	return finish_stdout();
}

static int set_variable(const char *assignment)
{
	char *name = strdup(assignment), *value = strchr(name, '=');

	if (!*name || value == name) {
		free(name);
		return fail("--env: '%s' has no name: give NAME=VALUE, or NAME to remove it", assignment);
	}
	if (value) {
		*value = '\0';
		setenv(name, value + 1, 1);
	} else {
		unsetenv(name);
	}
	free(name);
	return 0;
}

static int open_log(const char *path, int *fd)
{
	*fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	return *fd < 0 ? fail("--debug-log: %s: %s", path, strerror(errno)) : 0;
}

static int add_tree(struct sandbox_config *cfg, const char *text)
{
	char *path;
	int err = parse_directory("--rw", text, &path);

	if (err)
		return err;
	if (sandbox_add_tree(cfg, path, false) < 0)
		return fail("--rw: %s: more than %d directories", text, SANDBOX_TREES_MAX - 1);
	return 0;
}

static int set_memory(struct sandbox_config *cfg, const char *text)
{
	int err = parse_size("--memory", text, &cfg->mem_size);

	if (err)
		return err;
	cfg->mem_size = cfg->mem_size / HOSTMEM_UNIT * HOSTMEM_UNIT;
	if (cfg->mem_size < HOSTMEM_MIN || cfg->mem_size > HOSTMEM_MAX)
		return fail("--memory: %s: the sandbox takes from %luM to %luG", text, HOSTMEM_MIN >> 20, HOSTMEM_MAX >> 30);
	return 0;
}

static int set_without(struct sandbox_config *cfg, const char *list)
{
	char bad[64];

	if (kvm_without_parse(list, &cfg->kvm_without, bad, sizeof(bad)))
		return 0;
	return fail("--kvm-without: '%s' is none of %s", bad, kvm_without_names());
}

/* One option; 0, or a status. */
static int take(int c, struct sandbox_config *cfg, const char **platform)
{
	char *dir;
	int err;

	switch (c) {
	case OPT_PLATFORM:
		*platform = optarg;
		return 0;
	case OPT_CWD:
		cfg->cwd = optarg;
		return optarg[0] == '/' ? 0 : fail("--cwd: %s: not an absolute path", optarg);
	case OPT_ENV:
		return set_variable(optarg);
	case OPT_ROOT:
		err = parse_directory("--root", optarg, &dir);
		if (!err)
			cfg->trees[0].path = dir;
		return err;
	case OPT_RW:
		return add_tree(cfg, optarg);
	case OPT_STRACE:
		cfg->strace = true;
		return 0;
	case OPT_LOG:
		return open_log(optarg, &cfg->log_fd);
	case OPT_STATS:
		cfg->stats = true;
		return 0;
	case OPT_CPUS:
		return parse_number("--cpus", optarg, 1, MAX_CPUS, &cfg->ncpus);
	case OPT_MEMORY:
		return set_memory(cfg, optarg);
	case OPT_NO_URING:
		cfg->no_uring = true;
		return 0;
	case OPT_KVM_WITHOUT:
		return set_without(cfg, optarg);
	case OPT_NETWORK:
		return parse_network(optarg, &cfg->host_sockets);
	}
	return STATUS_FAILED;
}

static u32 usable_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return (u32)MIN(CPU_COUNT(&set), MAX_CPUS);
}

static u64 host_memory(void)
{
	struct sysinfo info;
	u64 total = sysinfo(&info) < 0 ? HOSTMEM_MIN : (u64)info.totalram * info.mem_unit;

	total = MIN(total, HOSTMEM_MAX) / HOSTMEM_UNIT * HOSTMEM_UNIT;
	return MAX(total, HOSTMEM_MIN);
}

static bool is_inside(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (path[n] == '/' || !path[n] || n == 1);
}

/* Where we are, if the sandbox has that directory: its own file systems hide the host's, and another root has other ones. */
static const char *default_cwd(const struct sandbox_config *cfg)
{
	static const char *const own[] = { "/tmp", "/proc", "/sys", "/dev" };
	static char cwd[4096];

	if (!getcwd(cwd, sizeof(cwd)) || cwd[0] != '/')
		return "/";
	for (u32 i = 1; i < cfg->ntrees; i++)
		if (is_inside(cwd, cfg->trees[i].path))
			return cwd;
	for (u32 i = 0; i < ARRAY_SIZE(own); i++)
		if (is_inside(cwd, own[i]) && strcmp(cwd, own[i]))
			return "/";
	return strcmp(cfg->trees[0].path, "/") ? "/" : cwd;
}

/* The root in an overlay, the sandbox's own file systems, and the trees that are written through at their own places. */
static void add_mounts(struct sandbox_config *cfg)
{
	static const struct sandbox_mount own[] = {
		{ BOOT_MOUNT_GOFER, "/", .overlay = true },
		{ BOOT_MOUNT_PROC, "/proc", .flags = MS_NOSUID | MS_NODEV | MS_NOEXEC },
		{ BOOT_MOUNT_SYSFS, "/sys", .flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY },
		{ BOOT_MOUNT_CGROUP, "/sys/fs/cgroup", .flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY },
		{ BOOT_MOUNT_DEV, "/dev", "mode=755", .flags = MS_NOSUID },
		{ BOOT_MOUNT_DEVPTS, "/dev/pts", .flags = MS_NOSUID | MS_NOEXEC },
		{ BOOT_MOUNT_MQUEUE, "/dev/mqueue", .flags = MS_NOSUID | MS_NODEV | MS_NOEXEC },
		{ BOOT_MOUNT_TMPFS, "/dev/shm", "mode=1777", .flags = MS_NOSUID | MS_NODEV },
		{ BOOT_MOUNT_TMPFS, "/tmp", "mode=1777", .flags = MS_NOSUID | MS_NODEV },
	};

	for (u32 i = 0; i < ARRAY_SIZE(own); i++)
		sandbox_add_mount(cfg, &own[i]);
	for (u32 i = 1; i < cfg->ntrees; i++)
		sandbox_add_mount(cfg, &(struct sandbox_mount){ BOOT_MOUNT_GOFER, cfg->trees[i].path, .tree = i });
}

/* Root inside has every capability, anybody else none, as after login. */
static void set_capabilities(struct sandbox_config *cfg)
{
	u64 all = (1ull << (CAP_LAST_CAP + 1)) - 1, own = cfg->uid ? 0 : all;

	memcpy(cfg->caps, (u64[5]){ all, own, 0, own, 0 }, sizeof(cfg->caps));
}

/* What is ignored stays so over execve(2), and nohup(1) counts on that. */
static u64 ignored_signals(void)
{
	struct sigaction sa;
	u64 set = 0;

	for (int sig = 1; sig < _NSIG; sig++)
		if (!sigaction(sig, NULL, &sa) && sa.sa_handler == SIG_IGN)
			set |= 1ull << (sig - 1);
	return set;
}

static void fill_in(struct sandbox_config *cfg)
{
	static char hostname[65];
	struct start_settings settings = { 0 };

	if (!cfg->cwd)
		cfg->cwd = default_cwd(cfg);
	gethostname(hostname, sizeof(hostname) - 1);
	cfg->hostname = hostname;
	cfg->umask = umask(0);
	umask(cfg->umask);
	cfg->uid = getuid();
	cfg->gid = getgid();
	cfg->ignored_signals = ignored_signals();
	set_capabilities(cfg);
	add_mounts(cfg);
	if (cfg->host_sockets)
		settings_of_host_network(&settings);
	settings_apply(&settings, cfg);
	cfg->envp = environ;
	cfg->start = program_start;
	for (int fd = 0; fd < 3; fd++) {
		cfg->stdio_closed[fd] = standard_file_closed(fd);
		cfg->stdio_nonblock[fd] = standard_file_own_nonblock(fd);
	}
}

int cmd_do(int argc, char **argv)
{
	struct sandbox_config cfg = { .ncpus = usable_cpus(), .mem_size = host_memory(), .ntrees = 1, .trees = { { "/", true } }, .log_fd = -1, .start_fd = -1, .listener = -1, .oom_adj_fd = -1 };
	const char *platform = "auto";
	int c, err;

	while ((c = next_option(argc, argv, options, "do")) != -1) {
		if (c == OPT_HELP)
			return help();
		err = take(c, &cfg, &platform);
		if (err)
			return err;
	}
	if (optind == argc)
		return fail("do: no command given; \"runsc-c do --help\" explains");
	cfg.argv = argv + optind;
	if (!cfg.argv[0][0])
		return fail("do: the command is an empty string");
	err = choose_platform(platform, &cfg.platform);
	if (err)
		return err;
	fill_in(&cfg);
	return run_sandbox(&cfg);
}
