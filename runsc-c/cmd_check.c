/* check: what of this host the sandbox builds on, tried one by one, and what it costs where it is missing. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/io_uring.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "oci/oci.h"
#include "options.h"
#include "platform/probe.h"

static int help(void)
{
	printf("Usage: runsc-c check\n"
	       "Try what this host offers to a sandbox, and say of what is missing what that costs.\n"
	       "The status is 0 when sandboxes can be run.\n");
	return finish_stdout();
}

/* What was found, or why it was not, in words. True: it is there. */
typedef bool (*trial)(char *how, size_t size);

static bool says(char *how, size_t size, bool works)
{
	snprintf(how, size, "%s", works ? "works" : strerror(errno));
	return works;
}

static bool try_kernel(char *how, size_t size)
{
	struct open_how beneath = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH };
	struct utsname u;
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, ".", &beneath, sizeof(beneath));
	bool ok = fd >= 0 && close_range(~0u, ~0u, 0) == 0;
	int err = errno;

	uname(&u);
	if (fd >= 0)
		close(fd);
	snprintf(how, size, "%s %s%s%s", u.sysname, u.release, ok ? "" : ": openat2(2) and close_range(2): ", ok ? "" : strerror(err));
	return ok;
}

/* In a child, which has nothing to lose: what it returns is an errno. */
static bool try_in_child(int (*attempt)(int), int flags, char *how, size_t size)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(attempt(flags));
	if (pid < 0)
		return says(how, size, false);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
	return says(how, size, errno == 0);
}

static int unshare_all(int flags) { return unshare(flags) < 0 ? errno : 0; }

/* As the gofer does it: a user has the right in a namespace of its own. */
static int clone_mounts(int flags)
{
	if (unshare(flags) < 0)
		return errno;
	return syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE) < 0 ? errno : 0;
}

static bool try_user_ns(char *how, size_t size) { return try_in_child(unshare_all, CLONE_NEWUSER, how, size); }

static bool try_other_ns(char *how, size_t size)
{
	const int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

	return try_in_child(unshare_all, flags | CLONE_NEWUSER, how, size) || try_in_child(unshare_all, flags, how, size);
}

static bool try_mounts(char *how, size_t size)
{
	return try_in_child(clone_mounts, CLONE_NEWUSER | CLONE_NEWNS, how, size) || try_in_child(clone_mounts, CLONE_NEWNS, how, size);
}

static bool try_seccomp(char *how, size_t size)
{
	u32 action = SECCOMP_RET_TRAP;

	return says(how, size, !syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
}

static bool try_memfd(char *how, size_t size)
{
	int fd = memfd_create("runsc-c check", MFD_CLOEXEC);
	bool ok = says(how, size, fd >= 0);

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool try_uring(char *how, size_t size)
{
	struct io_uring_params p = { .flags = IORING_SETUP_R_DISABLED };
	int fd = (int)syscall(SYS_io_uring_setup, 4, &p);
	bool ok = says(how, size, fd >= 0);

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool try_cgroups(char *how, size_t size) { return cgroup_describe(how, size); }

static bool try_descriptors(char *how, size_t size)
{
	struct rlimit r = { 0 };

	getrlimit(RLIMIT_NOFILE, &r);
	snprintf(how, size, "up to %llu a process", (unsigned long long)r.rlim_max);
	return r.rlim_max >= 4096;
}

static bool try_ptrace(char *how, size_t size)
{
	struct probe_result r = { 0 };

	probe_ptrace(&r);
	snprintf(how, size, "%s", r.ptrace_how);
	return r.ptrace_works;
}

static bool try_kvm(char *how, size_t size)
{
	struct probe_result r = { 0 };

	probe_kvm(&r);
	snprintf(how, size, "%s", r.kvm_how);
	return r.kvm == KVM_HARDWARE || r.kvm == KVM_EMULATED;
}

static const struct {
	const char *name;
	trial works;
	bool needed;
	const char *cost; /* of the lack */
} trials[] = {
	{ "kernel", try_kernel, true, "Linux 5.9 or later is needed" },
	{ "kvm", try_kvm, false, "sandboxes run on ptrace, where a system call costs some 10 us more" },
	{ "ptrace", try_ptrace, false, "only KVM can run sandboxes; in a container, allow the ptrace(2) call" },
	{ "seccomp", try_seccomp, true, "the sandbox cannot be locked: a kernel with CONFIG_SECCOMP_FILTER is needed" },
	{ "memfd", try_memfd, true, "a sandbox has no memory without it" },
	{ "user namespaces", try_user_ns, false, "one layer less: the sandbox's processes are nobody's, in the host's user namespace; without root there are no containers" },
	{ "namespaces", try_other_ns, false, "layers less: the sandbox's processes see the host's mounts, pids and network, though seccomp lets them reach none" },
	{ "mount trees", try_mounts, false, "the gofer opens its trees by path, and the kernel does not guard read-only ones a second time" },
	{ "io_uring", try_uring, false, "file I/O that waits goes by a thread and one call each" },
	{ "cgroups", try_cgroups, false, "containers whose config.json sets limits are refused" },
	{ "descriptors", try_descriptors, false, "fewer files open at a time; raise the hard limit (ulimit -Hn)" },
};

int cmd_check(int argc, char **argv)
{
	static const struct option options[] = { { "help", no_argument, NULL, 'h' }, { 0 } };
	bool needs_met = true, kvm = false, ptrace = false;
	int c, err;

	while ((c = next_option(argc, argv, options, "check")) != -1)
		return c == 'h' ? help() : STATUS_FAILED;
	if (optind < argc)
		return fail("check: %s: no arguments are expected", argv[optind]);
	for (u32 i = 0; i < ARRAY_SIZE(trials); i++) {
		char how[256] = "";
		bool works = trials[i].works(how, sizeof(how));

		printf("%-16s %-4s %s\n", trials[i].name, works ? "yes" : "no", how);
		if (!works)
			printf("%-16s      %s\n", "", trials[i].cost);
		needs_met = needs_met && (works || !trials[i].needed);
		kvm = kvm || (works && trials[i].works == try_kvm);
		ptrace = ptrace || (works && trials[i].works == try_ptrace);
	}
	printf("%s\n", !needs_met ? "Sandboxes cannot be run here." : kvm || ptrace ? "Sandboxes can be run here."
										    : "Sandboxes cannot be run here: there is no platform.");
	err = finish_stdout();
	return err ? err : needs_met && (kvm || ptrace) ? 0 : STATUS_FAILED;
}
