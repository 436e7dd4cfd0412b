/* mount(2), umount2(2), pivot_root(2), mount_namespaces(7): all in a namespace of its own. */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char dir[] = "/tmp/mountXXXXXX";

static void touch(const char *name) { close(open(name, O_CREAT | O_WRONLY, 0644)); }

static int mounted(const char *what)
{
	char line[1024], want[256];
	FILE *f = fopen("/proc/self/mounts", "r");
	int n = 0;

	sprintf(want, " %s/%s ", dir, what);
	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, want) != NULL;
	if (f)
		fclose(f);
	return n;
}

static void memory(void)
{
	struct statfs s;
	struct stat a, b;

	EQ(mkdir("t", 0755), 0);
	touch("t/below");
	EQ(stat("t", &a), 0);
	EQ(mount("none", "t", "tmpfs", 0, "mode=0700"), 0);
	EQ(stat("t", &b), 0);
	CHECK(a.st_dev != b.st_dev);
	EQ(b.st_mode & 07777, 0700);
	EQ(statfs("t", &s), 0);
	EQ(s.f_type, 0x01021994);
	FAILS(access("t/below", F_OK), ENOENT);
	touch("t/in");
	EQ(mounted("t"), 1);
	FAILS(rmdir("t"), EBUSY);
	FAILS(rename("t", "u"), EBUSY);
	FAILS(rename("t/in", "out"), EXDEV);
	EQ(chdir("t"), 0);
	FAILS(umount2("../t", 0), EBUSY);
	EQ(chdir(".."), 0);
	EQ(umount2("t", 0), 0);
	FAILS(umount2("t", 0), EINVAL);
	EQ(access("t/below", F_OK), 0);
	FAILS(access("t/in", F_OK), ENOENT);
	EQ(mounted("t"), 0);
	unlink("t/below");
	rmdir("t");
}

static void errors(void)
{
	touch("f");
	mkdir("d", 0755);
	FAILS(mount("none", "missing", "tmpfs", 0, ""), ENOENT);
	FAILS(mount("none", "f", "tmpfs", 0, ""), ENOTDIR);
	FAILS(mount("none", "d", "nosuchfs", 0, ""), ENODEV);
	FAILS(mount("none", "d", NULL, 0, ""), EINVAL);
	FAILS(mount("missing", "d", NULL, MS_BIND, NULL), ENOENT);
	FAILS(mount("f", "d", NULL, MS_BIND, NULL), ENOTDIR);
	FAILS(umount2("d", 0), EINVAL);
	FAILS(umount2("d", 0x1000), EINVAL);
	FAILS(mount(NULL, "d", NULL, MS_REMOUNT, NULL), EINVAL);
	unlink("f");
	rmdir("d");
}

static void flags(void)
{
	int fd;

	mkdir("r", 0755);
	EQ(mount("none", "r", "tmpfs", 0, ""), 0);
	touch("r/f");
	EQ(mount(NULL, "r", NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	FAILS(open("r/f", O_RDWR), EROFS);
	FAILS(open("r/new", O_CREAT | O_RDWR, 0600), EROFS);
	FAILS(unlink("r/f"), EROFS);
	FAILS(mkdir("r/d", 0755), EROFS);
	FAILS(chmod("r/f", 0600), EROFS);
	FAILS(access("r/f", W_OK), EROFS);
	FAILS(truncate("r/f", 0), EROFS);
	fd = open("r/f", O_RDONLY);
	CHECK(fd >= 0);
	close(fd);
	EQ(mount(NULL, "r", NULL, MS_REMOUNT | MS_NOEXEC | MS_NODEV, NULL), 0);
	fd = open("r/prog", O_CREAT | O_RDWR, 0755);
	CHECK(fd >= 0);
	write(fd, "#!/bin/sh\n", 10);
	close(fd);
	FAILS(execl("r/prog", "prog", NULL), EACCES);
	FAILS(access("r/prog", X_OK), EACCES);
	if (mknod("r/null", S_IFCHR | 0666, 0x103) == 0)
		FAILS(open("r/null", O_RDWR), EACCES);
	EQ(umount2("r", 0), 0);
	rmdir("r");
}

static void binds(void)
{
	mkdir("a", 0755);
	mkdir("a/sub", 0755);
	mkdir("b", 0755);
	touch("a/f");
	touch("file");
	EQ(mount("a", "b", NULL, MS_BIND, NULL), 0);
	EQ(access("b/f", F_OK), 0);
	touch("b/g");
	EQ(access("a/g", F_OK), 0);
	EQ(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
	FAILS(unlink("b/g"), EROFS);
	EQ(unlink("a/g"), 0);
	EQ(mount("a/f", "file", NULL, MS_BIND, NULL), 0);
	FAILS(unlink("file"), EBUSY);
	EQ(umount2("file", 0), 0);
	EQ(umount2("b", 0), 0);
	/* With what is mounted below, and without. */
	EQ(mount("none", "a/sub", "tmpfs", 0, ""), 0);
	touch("a/sub/x");
	EQ(mount("a", "b", NULL, MS_BIND, NULL), 0);
	FAILS(access("b/sub/x", F_OK), ENOENT);
	EQ(umount2("b", 0), 0);
	EQ(mount("a", "b", NULL, MS_BIND | MS_REC, NULL), 0);
	EQ(access("b/sub/x", F_OK), 0);
	FAILS(umount2("b", 0), EBUSY);
	EQ(umount2("b", MNT_DETACH), 0);
	EQ(mounted("b"), 0);
	EQ(mounted("b/sub"), 0);
	EQ(access("a/sub/x", F_OK), 0);
	/* Moving. */
	EQ(mount("a/sub", "b", NULL, MS_MOVE, NULL), 0);
	EQ(access("b/x", F_OK), 0);
	FAILS(access("a/sub/x", F_OK), ENOENT);
	EQ(umount2("b", 0), 0);
	unlink("file");
	unlink("a/f");
	rmdir("a/sub");
	rmdir("a");
	rmdir("b");
}

static void lazy(void)
{
	int fd;

	mkdir("l", 0755);
	EQ(mount("none", "l", "tmpfs", 0, ""), 0);
	fd = open("l/f", O_CREAT | O_RDWR, 0600);
	FAILS(umount2("l", 0), EBUSY);
	EQ(umount2("l", MNT_DETACH), 0);
	EQ(write(fd, "still", 5), 5);
	FAILS(access("l/f", F_OK), ENOENT);
	close(fd);
	rmdir("l");
}

static void stacked(void)
{
	mkdir("s", 0755);
	EQ(mount("none", "s", "tmpfs", 0, ""), 0);
	touch("s/one");
	EQ(mount("none", "s", "tmpfs", 0, ""), 0);
	FAILS(access("s/one", F_OK), ENOENT);
	EQ(mounted("s"), 2);
	EQ(umount2("s", 0), 0);
	EQ(access("s/one", F_OK), 0);
	EQ(umount2("s", 0), 0);
	rmdir("s");
}

static void namespaces(void)
{
	int status;

	mkdir("n", 0755);
	if (!fork()) {
		check_failures = 0;
		EQ(unshare(CLONE_NEWNS), 0);
		EQ(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
		EQ(mount("none", "n", "tmpfs", 0, ""), 0);
		touch("n/inside");
		EQ(mounted("n"), 1);
		fflush(stdout);
		_exit(!!check_failures);
	}
	wait(&status);
	EQ(status, 0);
	EQ(mounted("n"), 0);
	FAILS(access("n/inside", F_OK), ENOENT);
	rmdir("n");
}

static void pivot(void)
{
	int status;

	mkdir("new", 0755);
	if (!fork()) {
		check_failures = 0;
		EQ(unshare(CLONE_NEWNS), 0);
		EQ(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
		FAILS(syscall(SYS_pivot_root, "/", "/"), EBUSY);
		EQ(mount("none", "new", "tmpfs", 0, ""), 0);
		EQ(mkdir("new/old", 0755), 0);
		FAILS(syscall(SYS_pivot_root, "new", "/proc"), EINVAL);
		EQ(syscall(SYS_pivot_root, "new", "new/old"), 0);
		EQ(access("/old/tmp", F_OK), 0);
		FAILS(access("/tmp", F_OK), ENOENT);
		EQ(umount2("/old", MNT_DETACH), 0);
		FAILS(access("/old/tmp", F_OK), ENOENT);
		EQ(chdir("/"), 0);
		EQ(rmdir("/old"), 0);
		fflush(stdout);
		_exit(!!check_failures);
	}
	wait(&status);
	EQ(status, 0);
	rmdir("new");
}

/* fspick(2): a mounted file system made read-only, and back. */
static void picked(void)
{
	int fd;

	EQ(mkdir("p", 0755), 0);
	EQ(mkdir("plain", 0755), 0);
	EQ(mount("none", "p", "tmpfs", 0, ""), 0);
	FAILS(syscall(SYS_fspick, AT_FDCWD, "p", 0x100), EINVAL);
	FAILS(syscall(SYS_fspick, AT_FDCWD, "missing", 0), ENOENT);
	FAILS(syscall(SYS_fspick, AT_FDCWD, "plain", 0), EINVAL); /* nothing is mounted there */
	FAILS(syscall(SYS_fspick, -1, "p", 0), EBADF);
	fd = syscall(SYS_fspick, AT_FDCWD, "p", 1 /* FSPICK_CLOEXEC */);
	CHECK(fd >= 0);
	EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	FAILS(syscall(SYS_fsconfig, fd, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0), EBUSY);
	FAILS(syscall(SYS_fsmount, fd, 0, 0), EBUSY);
	EQ(syscall(SYS_fsconfig, fd, 0 /* FSCONFIG_SET_FLAG */, "ro", NULL, 0), 0);
	EQ(syscall(SYS_fsconfig, fd, 7 /* FSCONFIG_CMD_RECONFIGURE */, NULL, NULL, 0), 0);
	FAILS(open("p/new", O_CREAT | O_WRONLY, 0600), EROFS);
	EQ(syscall(SYS_fsconfig, fd, 0, "rw", NULL, 0), 0);
	EQ(syscall(SYS_fsconfig, fd, 7, NULL, NULL, 0), 0);
	close(fd);
	fd = open("p/new", O_CREAT | O_WRONLY, 0600);
	CHECK(fd >= 0);
	close(fd);
	EQ(umount2("p", 0), 0);
	EQ(rmdir("p"), 0);
	EQ(rmdir("plain"), 0);
}

/* Objects of this kind, slabinfo(5); 0 where they are called otherwise. */
static long objects(const char *kind)
{
	char line[256], name[64];
	FILE *f = fopen("/proc/slabinfo", "r");
	long n, found = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %ld", name, &n) == 2 && !strcmp(name, kind))
			found = n;
	if (f)
		fclose(f);
	return found;
}

/*
 * A mount namespace cannot be shown in itself; another kind can. Of two mount namespaces one can be shown in the other: which, goes
 * by numbers that were the order of age once (before Linux 6.18).
 */
static void shown_namespaces(void)
{
	int ready[2], done[2], status, in_parent;
	char name[64], c;
	pid_t pid;

	touch("ns");
	FAILS(mount("/proc/self/ns/mnt", "ns", NULL, MS_BIND, NULL), EINVAL);
	EQ(mount("/proc/self/ns/uts", "ns", NULL, MS_BIND, NULL), 0);
	EQ(umount2("ns", 0), 0);
	EQ(pipe(ready), 0);
	EQ(pipe(done), 0);
	pid = fork();
	if (!pid) {
		snprintf(name, sizeof(name), "/proc/%d/ns/mnt", getppid());
		if (unshare(CLONE_NEWNS))
			_exit(2);
		status = mount(name, "ns", NULL, MS_BIND, NULL) == 0;
		if (write(ready[1], "r", 1) != 1)
			_exit(2);
		close(done[1]);
		if (read(done[0], &c, 1))
			_exit(2);
		_exit(status);
	}
	close(ready[1]);
	EQ(read(ready[0], &c, 1), 1);
	snprintf(name, sizeof(name), "/proc/%d/ns/mnt", pid);
	in_parent = mount(name, "ns", NULL, MS_BIND, NULL) == 0;
	if (in_parent)
		EQ(umount2("ns", 0), 0);
	close(done[1]);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(WEXITSTATUS(status) + in_parent, 1);
	close(ready[0]);
	close(done[0]);
	EQ(unlink("ns"), 0);
}

/* A file system that goes away takes its fixed names along. */
static void given_back(void)
{
	static const char *const types[] = { "proc", "sysfs", "devtmpfs", "tmpfs" };
	long before = 0;

	EQ(mkdir("g", 0755), 0);
	for (int i = 0; i < 4; i++) {
		for (int n = 0; n < 12; n++) {
			if (n == 2)
				before = objects("inode");
			if (mount("none", "g", types[i], 0, ""))
				break; /* not all can be mounted everywhere */
			EQ(umount2("g", 0), 0);
		}
		CHECK(objects("inode") - before < 20);
	}
	EQ(rmdir("g"), 0);
}

/* move_mount(2): what cannot be moved stays where it is, with what is mounted below it. */
static void moved_nowhere(void)
{
	int gone;

	EQ(mkdir("m", 0755), 0);
	EQ(mkdir("n", 0755), 0);
	touch("file");
	EQ(mount("none", "m", "tmpfs", 0, NULL), 0);
	EQ(mkdir("m/in", 0755), 0);
	EQ(mount("none", "m/in", "tmpfs", 0, NULL), 0);
	touch("m/in/x");
	FAILS(syscall(SYS_move_mount, AT_FDCWD, "m", AT_FDCWD, "file", 0), EINVAL);
	EQ(access("m/in/x", F_OK), 0);
	FAILS(mount("m", "file", NULL, MS_MOVE, NULL), EINVAL);
	EQ(access("m/in/x", F_OK), 0);
	gone = open("n", O_PATH | O_DIRECTORY);
	EQ(rmdir("n"), 0);
	FAILS(syscall(SYS_move_mount, AT_FDCWD, "m", gone, "", 0x40 /* MOVE_MOUNT_T_EMPTY_PATH */), ENOENT);
	EQ(access("m/in/x", F_OK), 0);
	EQ(close(gone), 0);
	EQ(umount2("m", MNT_DETACH), 0);
	EQ(rmdir("m"), 0);
	EQ(unlink("file"), 0);
}

/* Names that come and go in a directory of an overlay leave nothing behind in it. */
static void names_that_went(void)
{
	long before = 0;
	char name[64];

	for (int i = 0; i < 3000; i++) {
		if (i == 1000)
			before = objects("kmalloc-64");
		sprintf(name, "/var/tmp/come-and-go-%d", i);
		if (mkdir(name, 0755))
			break; /* a /var/tmp that is not for us */
		EQ(rmdir(name), 0);
	}
	CHECK(before < 100 || objects("kmalloc-64") - before < 900);
}

/* A file of /proc/PID can be covered, and is itself again afterwards. */
static void over_proc(void)
{
	char name[160], text[32] = "", own[32] = "";
	int fd;

	snprintf(name, sizeof(name), "%s/cover", dir);
	fd = open(name, O_CREAT | O_WRONLY, 0600);
	EQ(write(fd, "covered", 7), 7);
	close(fd);
	EQ(mount(name, "/proc/self/comm", NULL, MS_BIND, NULL), 0);
	fd = open("/proc/self/comm", O_RDONLY);
	EQ(read(fd, text, sizeof(text)), 7);
	EQ(memcmp(text, "covered", 7), 0);
	close(fd);
	EQ(umount("/proc/self/comm"), 0);
	fd = open("/proc/self/comm", O_RDONLY);
	CHECK(read(fd, own, sizeof(own)) > 0);
	CHECK(strncmp(own, "covered", 7));
	close(fd);
	EQ(unlink(name), 0);
}

int main(void)
{
	CHECK(mkdtemp(dir));
	EQ(chdir(dir), 0);
	if (unshare(CLONE_NEWNS)) {
		printf("skip: no mount namespaces here\n");
		rmdir(dir);
		return 0;
	}
	EQ(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	RUN(memory);
	RUN(errors);
	RUN(flags);
	RUN(binds);
	RUN(lazy);
	RUN(stacked);
	RUN(namespaces);
	RUN(pivot);
	RUN(picked);
	RUN(shown_namespaces);
	RUN(given_back);
	RUN(moved_nowhere);
	RUN(names_that_went);
	RUN(over_proc);
	EQ(chdir("/"), 0);
	EQ(rmdir(dir), 0);
	DONE();
}
