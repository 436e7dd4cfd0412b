/* execve(2), execveat(2), auxiliary vector, scripts, close-on-exec, vdso(7). */
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

static char dir[] = "/tmp/exec-test-XXXXXX";
static char path[300];
static void *volatile bad_address = (void *)8;

static const char *in_dir(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void put_file(const char *name, const void *data, size_t n, mode_t mode)
{
	int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0 && write(fd, data, n) == (ssize_t)n);
	fchmod(fd, mode);
	close(fd);
}

/* Run and give the exit status; -1 and the child's errno as 1000 + errno. */
static int run(const char *file, char *const argv[], char *const envp[])
{
	pid_t p = fork();
	int st;

	if (!p) {
		execve(file, argv, envp);
		_exit(errno);
	}
	waitpid(p, &st, 0);
	return WIFSIGNALED(st) ? 1000 + WTERMSIG(st) : WEXITSTATUS(st);
}

static char *const no_env[] = { NULL };
static char *const plain[] = { "x", NULL };

static void errors(void)
{
	FAILS(execve("/nonexistent/x", plain, no_env), ENOENT);
	FAILS(execve("/", plain, no_env), EACCES);
	FAILS(execve("", plain, no_env), ENOENT);
	FAILS(execve(bad_address, plain, no_env), EFAULT);
	FAILS(execve("/bin/sh", bad_address, no_env), EFAULT);
	put_file("noexec", "hello", 5, 0644);
	FAILS(execve(in_dir("noexec"), plain, no_env), EACCES);
	put_file("text", "hello", 5, 0755);
	FAILS(execve(in_dir("text"), plain, no_env), ENOEXEC);
	put_file("empty", "", 0, 0755);
	FAILS(execve(in_dir("empty"), plain, no_env), ENOEXEC);
	FAILS(execve("/etc/passwd/x", plain, no_env), ENOTDIR);
	put_file("elf", "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\76\0", 20, 0755);
	FAILS(execve(in_dir("elf"), plain, no_env), ENOEXEC);
}

static void busy_text(void)
{
	int fd;

	put_file("busy", "#!/bin/sh\n", 10, 0755);
	fd = open(in_dir("busy"), O_WRONLY);
	FAILS(execve(path, plain, no_env), ETXTBSY);
	close(fd);
	EQ(run(path, plain, no_env), 0);
}

/* A program that lies in memory and has no name. */
static void memory_file(void)
{
	int fd = memfd_create("program", MFD_CLOEXEC), from = open("/bin/true", O_RDONLY), st;
	char buf[4096], link[64];
	ssize_t n;
	pid_t pid;

	while ((n = read(from, buf, sizeof(buf))) > 0)
		EQ(write(fd, buf, n), n);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	pid = fork(); /* open for writing: ETXTBSY, but for a time not in Linux 6.11 and after */
	if (!pid) {
		execve(link, plain, no_env);
		_exit(errno == ETXTBSY ? 0 : 1);
	}
	EQ(waitpid(pid, &st, 0), pid);
	EQ(st, 0);
	n = open(link, O_RDONLY | O_CLOEXEC);
	CHECK(n >= 0);
	close(fd);
	close(from);
	pid = fork();
	if (!pid) {
		syscall(SYS_execveat, (int)n, "", plain, no_env, AT_EMPTY_PATH);
		_exit(99);
	}
	waitpid(pid, &st, 0);
	EQ(st, 0);
	close(n);
}

/* Files that are nowhere in the tree, by their magic links: nothing to mount or to mount on. */
static void mount_anonymous(void)
{
	int p[2], fd = memfd_create("m", 0);
	char link[64];

	EQ(pipe(p), 0);
	if (geteuid())
		return;
	for (int i = 0; i < 2; i++) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", i ? p[0] : fd);
		FAILS(mount("none", link, NULL, MS_PRIVATE, NULL), EINVAL);
		FAILS(mount("none", link, NULL, MS_REMOUNT, NULL), EINVAL);
		EQ(mount(link, link, NULL, MS_BIND, NULL), -1);
		CHECK(errno == EINVAL || errno == ENOENT); /* the latter in newer kernels */
		FAILS(mount(link, link, NULL, MS_MOVE, NULL), EINVAL);
		FAILS(umount2(link, MNT_DETACH), EINVAL);
		FAILS(syscall(SYS_pivot_root, link, link), ENOTDIR);
		FAILS(chroot(link), ENOTDIR);
		FAILS(chdir(link), ENOTDIR);
	}
	close(fd);
	close(p[0]);
	close(p[1]);
}

/* Whoever looks at a process must not keep its memory, nor its program busy. */
static void look_at(pid_t pid)
{
	static const char *const files[] = { "stat", "status", "maps", "statm", "exe", "mem", "cmdline", "auxv" };
	char name[64], buf[4096];
	struct iovec local = { buf, 8 }, remote = { (void *)environ, 8 };
	int fd;

	for (unsigned i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(name, sizeof(name), "/proc/%d/%s", pid, files[i]);
		fd = open(name, O_RDONLY);
		CHECK(fd >= 0);
		read(fd, buf, sizeof(buf));
		close(fd);
	}
	process_vm_readv(pid, &local, 1, &remote, 1, 0);
	syscall(SYS_move_pages, pid, 0, NULL, NULL, NULL, 0);
	syscall(SYS_migrate_pages, pid, 0, NULL, NULL);
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	CHECK(fd >= 0);
	syscall(SYS_process_madvise, fd, &remote, 1, 20 /* MADV_COLD */, 0);
	syscall(SYS_process_mrelease, fd, 0);
	close(fd);
}

/* A running program is not written over; its interpreter and what it has opened may be. */
static void busy_while_running(void)
{
	char *args[] = { "sleep", "1000", NULL };
	int p[2], st;
	char c;
	pid_t pid;

	put_file("running", "", 0, 0755);
	EQ(system("cat /bin/sleep >\"$(ls -d /tmp/exec-test-*/running)\""), 0);
	EQ(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		execve(in_dir("running"), args, no_env);
		_exit(1);
	}
	close(p[1]);
	EQ(read(p[0], &c, 1), 0); /* closed by the exec */
	close(p[0]);
	FAILS(open(in_dir("running"), O_WRONLY), ETXTBSY);
	FAILS(open(path, O_RDWR), ETXTBSY);
	FAILS(open(path, O_RDONLY | O_TRUNC), ETXTBSY);
	FAILS(truncate(path, 0), ETXTBSY);
	st = open(path, O_RDONLY);
	CHECK(st >= 0);
	close(st);
	look_at(pid);
	kill(pid, SIGKILL);
	waitpid(pid, &st, 0);
	st = open(in_dir("running"), O_WRONLY | O_TRUNC);
	CHECK(st >= 0);
	close(st);
}

static void scripts(void)
{
	char text[400], *args[] = { "ignored", "a", "b c", NULL };

	put_file("s1", "#!/bin/sh\nexit 3\n", 17, 0755);
	EQ(run(in_dir("s1"), plain, no_env), 3);
	put_file("s2", "#! /bin/sh -e  \nfalse\nexit 4\n", 29, 0755);
	EQ(run(in_dir("s2"), plain, no_env), 1);
	strcpy(text, "#!/bin/sh\n[ $# = 2 ] && [ \"$1\" = a ] && [ \"$2\" = 'b c' ] && case $0 in */s3) exit 9;; esac\nexit 1\n");
	put_file("s3", text, strlen(text), 0755);
	EQ(run(in_dir("s3"), args, no_env), 9);
	/* A script of a script. */
	snprintf(text, sizeof(text), "#!%s/s3\n", dir);
	put_file("s4", text, strlen(text), 0755);
	CHECK(run(in_dir("s4"), plain, no_env) == 1);
	/* An interpreter that is itself. */
	snprintf(text, sizeof(text), "#!%s/s5\n", dir);
	put_file("s5", text, strlen(text), 0755);
	EQ(run(in_dir("s5"), plain, no_env), ELOOP);
	put_file("s6", "#!/nonexistent\n", 15, 0755);
	EQ(run(in_dir("s6"), plain, no_env), ENOENT);
	put_file("s7", "#!\n", 3, 0755);
	EQ(run(in_dir("s7"), plain, no_env), ENOEXEC);
}

static void limits(void)
{
	static char big[200000];
	char *args[3] = { "x", big, NULL };
	char **many = calloc(3000, sizeof(char *));

	memset(big, 'a', sizeof(big) - 1);
	EQ(run("/bin/true", args, no_env), E2BIG); /* one string over 128 KiB */
	big[131071] = 0;
	EQ(run("/bin/true", args, no_env), 0);
	for (int i = 0; i < 2999; i++)
		many[i] = big + 131071 - 1000;
	EQ(run("/bin/true", many, no_env), E2BIG); /* 3 MB against a quarter of 8 MiB of stack */
	many[1500] = NULL;
	EQ(run("/bin/true", many, no_env), 0);
	free(many);
}

static void descriptors(void)
{
	int keep = open("/dev/null", O_RDONLY), drop = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char cmd[100], *args[] = { "sh", "-c", cmd, NULL };

	snprintf(cmd, sizeof(cmd), "[ -e /proc/self/fd/%d ] && [ ! -e /proc/self/fd/%d ]", keep, drop);
	EQ(run("/bin/sh", args, no_env), 0);
	close(keep);
	close(drop);
}

static void at_calls(void)
{
	int fd = open("/bin/true", O_PATH | O_CLOEXEC), dirfd = open("/bin", O_PATH | O_DIRECTORY), st;
	pid_t p;

	p = fork();
	if (!p) {
		syscall(SYS_execveat, fd, "", plain, no_env, AT_EMPTY_PATH);
		_exit(100);
	}
	waitpid(p, &st, 0);
	EQ(st, 0);
	p = fork();
	if (!p) {
		syscall(SYS_execveat, dirfd, "true", plain, no_env, 0);
		_exit(100);
	}
	waitpid(p, &st, 0);
	EQ(st, 0);
	FAILS(syscall(SYS_execveat, fd, "", plain, no_env, 0), ENOENT);
	FAILS(syscall(SYS_execveat, 999, "true", plain, no_env, 0), EBADF);
	FAILS(syscall(SYS_execveat, dirfd, "true", plain, no_env, 0x40000), EINVAL);
	put_file("script", "#!/bin/sh\nexit 5\n", 17, 0755);
	close(fd);
	fd = open(in_dir("script"), O_RDONLY | O_CLOEXEC);
	FAILS(syscall(SYS_execveat, fd, "", plain, no_env, AT_EMPTY_PATH), ENOENT); /* the script could not be read */
	close(fd);
	close(dirfd);
}

static void handler(int sig)
{
	(void)sig;
}

static void signals_after_exec(void)
{
	/* Ignored signals stay ignored, the mask stays, handlers go. */
	char *ignored[] = { "grep", "-q", "^SigIgn:.*[13579bdf]...$", "/proc/self/status", NULL };
	char *blocked[] = { "grep", "-q", "^SigBlk:.*[2367abef]..$", "/proc/self/status", NULL };
	char *caught[] = { "grep", "-q", "^SigCgt:.*[89abcdef]..$", "/proc/self/status", NULL };
	sigset_t set, old;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR2, handler);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &old);
	EQ(run("/bin/grep", ignored, no_env), 0);
	EQ(run("/bin/grep", blocked, no_env), 0);
	EQ(run("/bin/grep", caught, no_env), 1);
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
}

static void auxiliary_vector(void)
{
	const Elf64_Ehdr *vdso = (const void *)getauxval(AT_SYSINFO_EHDR);

	EQ(getauxval(AT_PAGESZ), 4096);
	EQ(getauxval(AT_CLKTCK), 100);
	EQ(getauxval(AT_UID), getuid());
	EQ(getauxval(AT_EGID), getegid());
	EQ(getauxval(AT_SECURE), 0);
	CHECK(getauxval(AT_RANDOM) != 0);
	CHECK(!strcmp((const char *)getauxval(AT_PLATFORM), "x86_64"));
	CHECK(strstr((const char *)getauxval(AT_EXECFN), "sys_exec") != NULL);
	CHECK(getauxval(AT_MINSIGSTKSZ) >= 1024);
	CHECK(getauxval(AT_PHDR) != 0 && getauxval(AT_PHNUM) > 0 && getauxval(AT_ENTRY) != 0);
	CHECK(vdso && !memcmp(vdso->e_ident, ELFMAG, SELFMAG));
}

static void vdso_clock(void)
{
	struct timespec a, b;

	for (int clock = 0; clock < 2; clock++) {
		EQ(syscall(SYS_clock_gettime, clock, &a), 0);
		EQ(clock_gettime(clock, &b), 0);
		CHECK(b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec));
		CHECK(b.tv_sec - a.tv_sec < 2);
		EQ(syscall(SYS_clock_gettime, clock, &a), 0);
		CHECK(a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec >= b.tv_nsec));
	}
	CHECK(labs(time(NULL) - b.tv_sec) >= 0);
}

int main(void)
{
	CHECK(mkdtemp(dir) != NULL);
	RUN(errors);
	RUN(memory_file);
	RUN(mount_anonymous);
	RUN(busy_text);
	RUN(busy_while_running);
	RUN(scripts);
	RUN(limits);
	RUN(descriptors);
	RUN(at_calls);
	RUN(signals_after_exec);
	RUN(auxiliary_vector);
	RUN(vdso_clock);
	char cmd[100];
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	EQ(system(cmd), 0);
	DONE();
}
