#include "host/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY 65534
#define ALL_IDS 4294967295u

#define NS_REST (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

static pid_t clone_with(u64 flags, int *pidfd)
{
	struct clone_args args = { .flags = flags | CLONE_CLEAR_SIGHAND | CLONE_PIDFD, .exit_signal = SIGCHLD, .pidfd = (u64)pidfd };

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

pid_t spawn_isolated(struct isolation *iso, enum spawn_identity identity, bool new_network)
{
	/* A network namespace costs more than all the others together; the gofer's filter has no socket call at all. */
	const u64 rest = new_network ? NS_REST | CLONE_NEWNET : NS_REST;
	/* From everything to nothing: some hosts refuse user namespaces, some (containers) the others. */
	const u64 attempts[] = { CLONE_NEWUSER | rest, rest, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID, 0 };
	pid_t pid = -1;

	for (u32 i = 0; i < ARRAY_SIZE(attempts) && pid < 0; i++) {
		*iso = (struct isolation){
			.user_ns = attempts[i] & CLONE_NEWUSER,
			.mount_ns = attempts[i] & CLONE_NEWNS,
			.become_nobody = geteuid() == 0,
		};
		pid = clone_with(attempts[i], &iso->pidfd);
	}
	return pid;
}

/* Its pid as /proc has it, which may be that of an outer pid namespace: our own is nobody's whose /proc we see. */
static pid_t pid_in_proc(const struct isolation *iso)
{
	char path[64], line[256];
	int pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", iso->pidfd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Pid: %d", &pid) == 1)
			break;
	if (f)
		fclose(f);
	return pid;
}

static int write_file(pid_t pid, const char *name, const char *text)
{
	char path[64];
	int fd, err = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* Every id that this namespace has, mapped to itself: what is left where "all of them" is refused (a container). */
static int write_same_map(pid_t pid, const char *name)
{
	char path[64], text[1024];
	unsigned inside, outside, count;
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "0 0 %u", ALL_IDS);
	if (!write_file(pid, name, path))
		return 0;
	snprintf(path, sizeof(path), "/proc/self/%s", name);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fscanf(f, "%u %u %u", &inside, &outside, &count) == 3 && n < sizeof(text) - 48)
		n += (size_t)sprintf(text + n, "%u %u %u\n", inside, inside, count);
	fclose(f);
	return write_file(pid, name, text);
}

static int write_one_map(pid_t pid, const char *name, unsigned id)
{
	char text[64];

	snprintf(text, sizeof(text), "%u %u 1", id, id);
	return write_file(pid, name, text);
}

static int write_maps(pid_t pid, enum spawn_identity identity)
{
	bool root = geteuid() == 0;
	int err;

	if (root && identity == SPAWN_SAME) {
		err = write_same_map(pid, "uid_map");
		return err ? err : write_same_map(pid, "gid_map");
	}
	if (root && !write_one_map(pid, "uid_map", NOBODY))
		return write_one_map(pid, "gid_map", NOBODY);
	/* Without rights over groups a map may be written only once they cannot be dropped (user_namespaces(7)). */
	err = write_file(pid, "setgroups", "deny");
	if (!err)
		err = write_one_map(pid, "uid_map", geteuid());
	return err ? err : write_one_map(pid, "gid_map", getegid());
}

int spawn_map_ids(const struct isolation *iso, enum spawn_identity identity, int go)
{
	int err = iso->user_ns ? write_maps(pid_in_proc(iso), identity) : 0;

	if (!err && write(go, "g", 1) != 1)
		err = -errno;
	return err;
}
