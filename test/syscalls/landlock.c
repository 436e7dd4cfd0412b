/* landlock(7), landlock_create_ruleset(2), landlock_add_rule(2), landlock_restrict_self(2). */
#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define ALL ((LANDLOCK_ACCESS_FS_REFER << 1) - 1)
#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE)

static char dir[128] = "/tmp/landlock.XXXXXX";

static int create(const void *attr, size_t size, unsigned flags)
{
	return syscall(SYS_landlock_create_ruleset, attr, size, flags);
}

static int ruleset(unsigned long long handled)
{
	struct landlock_ruleset_attr a = { .handled_access_fs = handled };

	return create(&a, sizeof(a), 0);
}

static int add_fd(int rs, int fd, unsigned long long allowed)
{
	struct landlock_path_beneath_attr a = { .allowed_access = allowed, .parent_fd = fd };

	return syscall(SYS_landlock_add_rule, rs, LANDLOCK_RULE_PATH_BENEATH, &a, 0);
}

static void allow(int rs, const char *path, unsigned long long allowed)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	EQ(add_fd(rs, fd, allowed), 0);
	close(fd);
}

static int restrict_self(int rs, unsigned flags)
{
	return syscall(SYS_landlock_restrict_self, rs, flags);
}

static void confine(int rs)
{
	EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	EQ(restrict_self(rs, 0), 0);
	close(rs);
}

static int touch(const char *name)
{
	int fd = open(name, O_CREAT | O_WRONLY, 0600);

	return fd < 0 ? -1 : close(fd);
}

/* open() and close(), or the error */
static int opens(const char *name, int flags)
{
	int fd = open(name, flags);

	return fd < 0 ? -1 : close(fd);
}

static void rulesets(void)
{
	struct {
		struct landlock_ruleset_attr a;
		char more[64];
	} large = { .a.handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE };
	int fd;

	CHECK(create(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 2);
	FAILS(create(&large, 0, LANDLOCK_CREATE_RULESET_VERSION), EINVAL);
	FAILS(create(NULL, 8, LANDLOCK_CREATE_RULESET_VERSION), EINVAL);
	FAILS(create(NULL, 0, 1u << 30), EINVAL);
	FAILS(create(NULL, 0, 0), EFAULT);
	FAILS(create(&large, 7, 0), EINVAL);
	FAILS(create(NULL, 8, 0), EFAULT);
	FAILS(create(&large, 4097, 0), E2BIG);
	FAILS(ruleset(0), ENOMSG);
	FAILS(ruleset(1ull << 63), EINVAL);
	fd = create(&large, sizeof(large), 0);
	CHECK(fd >= 0);
	close(fd);
	large.more[60] = 1;
	FAILS(create(&large, sizeof(large), 0), E2BIG);
	fd = ruleset(ALL);
	CHECK(fd >= 0);
	EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	FAILS(read(fd, &large, 8), EINVAL);
	close(fd);
}

static void rules(void)
{
	struct landlock_path_beneath_attr a = { .allowed_access = READ };
	int rs = ruleset(ALL), some = ruleset(LANDLOCK_ACCESS_FS_EXECUTE), d = open(dir, O_PATH), f, p[2], null = open("/dev/null", O_RDWR);

	EQ(touch("file"), 0);
	f = open("file", O_PATH);
	a.parent_fd = d;
	EQ(syscall(SYS_landlock_add_rule, rs, LANDLOCK_RULE_PATH_BENEATH, &a, 0), 0);
	FAILS(syscall(SYS_landlock_add_rule, rs, LANDLOCK_RULE_PATH_BENEATH, &a, 1), EINVAL);
	FAILS(syscall(SYS_landlock_add_rule, -1, LANDLOCK_RULE_PATH_BENEATH, &a, 0), EBADF);
	FAILS(syscall(SYS_landlock_add_rule, null, LANDLOCK_RULE_PATH_BENEATH, &a, 0), EBADFD);
	FAILS(syscall(SYS_landlock_add_rule, rs, 0, &a, 0), EINVAL);
	FAILS(syscall(SYS_landlock_add_rule, rs, 99, &a, 0), EINVAL);
	FAILS(syscall(SYS_landlock_add_rule, rs, LANDLOCK_RULE_PATH_BENEATH, NULL, 0), EFAULT);
	FAILS(add_fd(rs, d, 0), ENOMSG);
	FAILS(add_fd(some, d, LANDLOCK_ACCESS_FS_READ_FILE), EINVAL); /* not handled */
	FAILS(add_fd(rs, -1, READ), EBADF);
	FAILS(add_fd(rs, rs, READ), EBADFD);
	FAILS(add_fd(rs, f, LANDLOCK_ACCESS_FS_READ_DIR), EINVAL); /* not for a file */
	EQ(add_fd(rs, f, LANDLOCK_ACCESS_FS_READ_FILE), 0);
	EQ(add_fd(rs, f, LANDLOCK_ACCESS_FS_WRITE_FILE), 0); /* adds to it */
	EQ(pipe(p), 0);
	FAILS(add_fd(rs, p[0], LANDLOCK_ACCESS_FS_READ_FILE), EBADFD);
	close(p[0]), close(p[1]), close(rs), close(some), close(d), close(f), close(null);
	EQ(unlink("file"), 0);
}

static void restricting(void)
{
	int rs = ruleset(ALL), null = open("/dev/null", O_RDONLY);

	if (!geteuid()) {
		EQ(setuid(1000), 0);
		FAILS(restrict_self(rs, 0), EPERM); /* neither privileged nor no_new_privs */
	}
	EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	FAILS(restrict_self(rs, 1u << 30), EINVAL);
	FAILS(restrict_self(-1, 0), EBADF);
	FAILS(restrict_self(null, 0), EBADFD);
	EQ(restrict_self(rs, 0), 0);
	for (int i = 1; i < 16; i++)
		EQ(restrict_self(rs, 0), 0);
	FAILS(restrict_self(rs, 0), E2BIG);
}

static void prepare(void)
{
	EQ(mkdir("ro", 0755), 0);
	EQ(mkdir("rw", 0755), 0);
	EQ(mkdir("rw/deep", 0755), 0);
	EQ(mkdir("no", 0755), 0);
	EQ(touch("ro/f"), 0);
	EQ(touch("rw/f"), 0);
	EQ(touch("no/f"), 0);
}

static void reading_and_writing(void)
{
	int rs = ruleset(READ | WRITE), early, p[2], m;
	char c;

	early = open("no/f", O_RDWR);
	allow(rs, "ro", READ);
	allow(rs, "rw", READ | WRITE);
	confine(rs);
	EQ(opens("ro/f", O_RDONLY), 0);
	FAILS(opens("ro/f", O_WRONLY), EACCES);
	FAILS(opens("ro/f", O_RDWR), EACCES);
	EQ(opens("ro", O_RDONLY | O_DIRECTORY), 0);
	EQ(opens("rw/f", O_RDWR), 0);
	EQ(opens("rw/deep", O_RDONLY), 0);
	FAILS(opens("no/f", O_RDONLY), EACCES);
	FAILS(opens("no", O_RDONLY | O_DIRECTORY), EACCES);
	FAILS(opens(".", O_RDONLY | O_DIRECTORY), EACCES);
	FAILS(opens("/", O_RDONLY | O_DIRECTORY), EACCES);
	EQ(opens("no/f", O_PATH), 0); /* not an access */
	EQ(access("no/f", R_OK), 0);
	EQ(touch("rw/new"), 0);
	EQ(touch("rw/deep/new"), 0);
	FAILS(touch("ro/new"), EACCES);
	FAILS(touch("no/new"), EACCES);
	EQ(unlink("rw/new"), 0);
	EQ(unlink("rw/deep/new"), 0);
	FAILS(unlink("ro/f"), EACCES);
	EQ(mkdir("no/d", 0755), 0); /* not handled */
	EQ(rmdir("no/d"), 0);
	EQ(write(early, "x", 1), 1); /* what was open stays so */
	close(early);
	EQ(pipe(p), 0); /* files in no hierarchy */
	m = memfd_create("m", 0);
	CHECK(m >= 0);
	EQ(write(m, "x", 1), 1);
	EQ(write(p[1], "x", 1), 1);
	EQ(read(p[0], &c, 1), 1);
}

static void making(void)
{
	int rs = ruleset(ALL), s;
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	allow(rs, "rw", LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REMOVE_DIR);
	allow(rs, "ro", LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE);
	confine(rs);
	EQ(mkdir("rw/d", 0755), 0);
	EQ(rmdir("rw/d"), 0);
	EQ(symlink("x", "rw/s"), 0);
	FAILS(unlink("rw/s"), EACCES);
	FAILS(mkfifo("rw/p", 0600), EACCES);
	FAILS(mknod("rw/r", S_IFREG | 0600, 0), EACCES);
	FAILS(touch("rw/r"), EACCES);
	FAILS(opens("rw/f", O_RDONLY), EACCES);
	EQ(mkfifo("ro/p", 0600), 0);
	EQ(unlink("ro/p"), 0);
	FAILS(mkdir("ro/d", 0755), EACCES);
	FAILS(symlink("x", "ro/s"), EACCES);
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(a.sun_path, "rw/sock");
	FAILS(bind(s, (void *)&a, sizeof(a)), EACCES);
	strcpy(a.sun_path, "ro/sock");
	EQ(bind(s, (void *)&a, sizeof(a)), 0);
	EQ(unlink("ro/sock"), 0);
	close(s);
	if (!geteuid()) {
		FAILS(mknod("rw/c", S_IFCHR | 0600, 0x103), EACCES);
		FAILS(mknod("rw/b", S_IFBLK | 0600, 0x103), EACCES);
	}
}

static void moving(void)
{
	int rs = ruleset(ALL);

	allow(rs, "rw", READ | WRITE | LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR);
	allow(rs, "ro", READ);
	confine(rs);
	EQ(rename("rw/f", "rw/g"), 0);
	EQ(rename("rw/g", "rw/deep/g"), 0); /* REFER on both sides */
	EQ(link("rw/deep/g", "rw/f"), 0);
	EQ(unlink("rw/deep/g"), 0);
	FAILS(rename("ro/f", "rw/x"), EACCES); /* may not be taken away */
	FAILS(rename("rw/f", "ro/x"), EACCES);
	FAILS(link("ro/f", "rw/x"), EXDEV);
	FAILS(rename("no/f", "no/g"), EACCES);
	EQ(rename("rw/deep", "rw/deeper"), 0);
	EQ(rename("rw/deeper", "rw/deep"), 0);
}

/* Without LANDLOCK_ACCESS_FS_REFER being handled nothing moves between folders. */
static void no_refer(void)
{
	int rs = ruleset(LANDLOCK_ACCESS_FS_EXECUTE);

	confine(rs);
	EQ(rename("rw/f", "rw/g"), 0);
	EQ(rename("rw/g", "rw/f"), 0);
	FAILS(rename("rw/f", "rw/deep/f"), EXDEV);
	FAILS(link("rw/f", "rw/deep/f"), EXDEV);
}

static int runs(const char *program)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		execl(program, program, NULL);
		_exit(errno);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static void executing(void)
{
	int rs = ruleset(LANDLOCK_ACCESS_FS_EXECUTE);

	EQ(runs("/bin/true"), 0);
	allow(rs, "rw", LANDLOCK_ACCESS_FS_EXECUTE);
	confine(rs);
	EQ(runs("/bin/true"), EACCES);
}

/* Each layer has a say, and children have it too. */
static void layers(void)
{
	int a = ruleset(LANDLOCK_ACCESS_FS_READ_FILE), b = ruleset(LANDLOCK_ACCESS_FS_READ_FILE), status;
	pid_t pid;

	allow(a, "ro", LANDLOCK_ACCESS_FS_READ_FILE);
	allow(a, "rw", LANDLOCK_ACCESS_FS_READ_FILE);
	allow(b, "rw", LANDLOCK_ACCESS_FS_READ_FILE);
	confine(a);
	EQ(opens("ro/f", O_RDONLY), 0);
	confine(b);
	FAILS(opens("ro/f", O_RDONLY), EACCES);
	EQ(opens("rw/f", O_RDONLY), 0);
	pid = fork();
	if (!pid) {
		FAILS(opens("ro/f", O_RDONLY), EACCES);
		EQ(opens("rw/f", O_RDONLY), 0);
		_exit(check_failures ? 1 : 0);
	}
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
}

/* A rule on a file reaches it alone, whatever its folder. */
static void single_files(void)
{
	int rs = ruleset(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE);

	EQ(touch("no/other"), 0);
	allow(rs, "no/f", LANDLOCK_ACCESS_FS_READ_FILE);
	confine(rs);
	EQ(opens("no/f", O_RDONLY), 0);
	FAILS(opens("no/f", O_WRONLY), EACCES);
	FAILS(opens("no/other", O_RDONLY), EACCES);
	EQ(unlink("no/other"), 0);
}

/* Rules follow the file, through links and mounts. */
static void other_names(void)
{
	int rs = ruleset(LANDLOCK_ACCESS_FS_READ_FILE);

	EQ(symlink("../no/f", "rw/link"), 0);
	EQ(symlink("../ro/f", "rw/link2"), 0);
	allow(rs, "ro", LANDLOCK_ACCESS_FS_READ_FILE);
	confine(rs);
	FAILS(opens("rw/link", O_RDONLY), EACCES);
	EQ(opens("rw/link2", O_RDONLY), 0);
	EQ(opens("rw/../ro/f", O_RDONLY), 0);
	EQ(unlink("rw/link"), 0);
	EQ(unlink("rw/link2"), 0);
}

static void mounting(void)
{
	if (geteuid())
		return;
	EQ(restrict_self(ruleset(LANDLOCK_ACCESS_FS_EXECUTE), 0), 0);
	FAILS(mount("none", "no", "tmpfs", 0, ""), EPERM);
	FAILS(umount2("/", MNT_DETACH), EPERM);
	FAILS(syscall(SYS_pivot_root, ".", "."), EPERM);
}

/* The confined may not trace those outside. */
static void tracing(void)
{
	pid_t outside = fork();

	if (!outside) {
		pause();
		_exit(0);
	}
	confine(ruleset(LANDLOCK_ACCESS_FS_EXECUTE));
	FAILS(ptrace(PTRACE_ATTACH, outside, 0, 0), EPERM);
	kill(outside, SIGKILL);
	EQ(waitpid(outside, NULL, 0), outside);
	outside = fork(); /* inside, this one */
	if (!outside) {
		pause();
		_exit(0);
	}
	EQ(ptrace(PTRACE_ATTACH, outside, 0, 0), 0);
	kill(outside, SIGKILL);
	EQ(waitpid(outside, NULL, __WALL), outside);
}

int main(void)
{
	if (create(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 0 && (errno == ENOSYS || errno == EOPNOTSUPP))
		return 77;
	CHECK(mkdtemp(in_test_dir(dir)));
	EQ(chdir(dir), 0);
	umask(022);
	prepare();
#define CHILD(test)                                                                     \
	do {                                                                            \
		int before__ = check_failures;                                          \
		in_child(test);                                                         \
		printf("%s %s\n", check_failures == before__ ? "ok" : "FAIL", #test);   \
	} while (0)
	RUN(rulesets);
	RUN(rules);
	CHILD(restricting);
	CHILD(reading_and_writing);
	CHILD(making);
	CHILD(moving);
	CHILD(no_refer);
	CHILD(executing);
	CHILD(layers);
	CHILD(single_files);
	CHILD(other_names);
	CHILD(mounting);
	CHILD(tracing);
	for (const char *const *n = (const char *const[]){ "ro/f", "rw/f", "no/f", "rw/s", NULL }; *n; n++)
		EQ(unlink(*n), 0);
	for (const char *const *n = (const char *const[]){ "rw/deep", "ro", "rw", "no", NULL }; *n; n++)
		EQ(rmdir(*n), 0);
	EQ(chdir("/"), 0);
	EQ(rmdir(dir), 0);
	DONE();
}
