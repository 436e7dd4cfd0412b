#include "host/lockdown.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY 65534

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int close_others(int *keep, u32 n)
{
	unsigned from = 3;

	qsort(keep, n, sizeof(*keep), by_number);
	for (u32 i = 0; i < n; i++) {
		if (keep[i] < (int)from)
			continue;
		if (keep[i] > (int)from && close_range(from, (unsigned)keep[i] - 1, 0) < 0)
			return -errno;
		from = (unsigned)keep[i] + 1;
	}
	return close_range(from, ~0u, 0) < 0 ? -errno : 0;
}

/* Handlers are gone since the fork (CLONE_CLEAR_SIGHAND). The command has the signals and passes them on; a write to a closed
 * pipe is an error here, not a death. */
static void reset_signals(void)
{
	sigset_t none;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int lockdown_begin(int *keep, u32 n, const char **what)
{
	reset_signals();
	setsid();
	umask(0);
	*what = "PR_SET_PDEATHSIG";
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	*what = "close_range";
	return close_others(keep, n);
}

int lockdown_identity(const struct isolation *iso, int go, bool nobody, const char **what)
{
	struct pollfd alive = { .fd = go };
	char byte;
	ssize_t n;

	do
		n = read(go, &byte, 1);
	while (n < 0 && errno == EINTR);
	*what = "waiting for the id maps";
	if (n != 1)
		return n < 0 ? -errno : -EPIPE;
	if (nobody && iso->become_nobody) {
		*what = "becoming nobody";
		/* EINVAL: a namespace that does not know nobody; the process stays what it is there, without capabilities. */
		if ((setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
		     setresuid(NOBODY, NOBODY, NOBODY) < 0) &&
		    errno != EINVAL)
			return -errno;
		/* A change of ids resets both. Stubs inherit the first: tracing them needs it. */
		prctl(PR_SET_DUMPABLE, 1);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	/* The command keeps its end as long as it lives. If it died before the signal was asked for, none will come. */
	*what = "looking for the command";
	if (poll(&alive, 1, 0) < 0 || (alive.revents & POLLHUP))
		return -EPIPE;
	close(go);
	return 0;
}

int lockdown_root(const struct isolation *iso, const char **what)
{
	static const char *const dirs[] = { "/proc", "/tmp", "/usr", "/dev" };
	const char *at = NULL;

	if (!iso->mount_ns)
		return 0;
	*what = "making mounts private";
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	for (u32 i = 0; i < ARRAY_SIZE(dirs) && !at; i++)
		if (!mount("empty", dirs[i], "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,nr_inodes=1"))
			at = dirs[i];
	*what = "mounting the empty root";
	if (!at)
		return -errno;
	/* The old root lands on top of the new one and goes from there (pivot_root(2), "pivot_root(\".\", \".\")"). */
	*what = "pivot_root";
	if (chdir(at) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return -errno;
	*what = "detaching the old root";
	return umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ? -errno : 0;
}

/* Of `caps`, those that the process has stay. */
static int drop_capabilities(const int *caps, u32 n)
{
	cap_t now = cap_get_proc(), set = cap_init();
	int err = now && set ? 0 : -ENOMEM;

	for (u32 i = 0; i < n && !err; i++) {
		cap_flag_value_t have = CAP_CLEAR;

		cap_get_flag(now, caps[i], CAP_PERMITTED, &have);
		if (have == CAP_SET && (cap_set_flag(set, CAP_PERMITTED, 1, &caps[i], CAP_SET) < 0 ||
					cap_set_flag(set, CAP_EFFECTIVE, 1, &caps[i], CAP_SET) < 0))
			err = -errno;
	}
	if (!err && cap_set_proc(set) < 0)
		err = -errno;
	cap_free(now);
	cap_free(set);
	return err;
}

int lockdown_privileges(const int *caps, u32 n, const char **what)
{
	/* The bounding set is for exec, which comes to nothing here: dropped where we may, for whoever looks at it. */
	for (cap_value_t cap = 0; !cap_drop_bound(cap); cap++)
		;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	*what = "dropping capabilities";
	if (drop_capabilities(caps, n))
		return -EPERM;
	*what = "PR_SET_NO_NEW_PRIVS";
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

int lockdown_seccomp(const struct sock_filter *filter, size_t n, const char **what)
{
	struct sock_fprog prog = { .len = (unsigned short)n, .filter = (struct sock_filter *)filter };

	*what = "installing the seccomp filter";
	/* SPEC_ALLOW: the filter is no reason to slow the whole process down against Spectre v4; the sentry's user mode is
	 * another process or a guest. */
	if (!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog))
		return 0;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0 ? -errno : 0;
}
