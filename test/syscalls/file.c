/* open(2), read(2), write(2), lseek(2), dup(2), fcntl(2), truncate(2), fallocate(2), sendfile(2), copy_file_range(2). */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void *volatile bad_address = (void *)8;
static volatile int too_many = 1025;
static char dir[128] = "/tmp/fileXXXXXX";

static int make(const char *name, const char *text)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0);
	if (*text)
		EQ(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static void open_errors(void)
{
	char longname[300], *deep = malloc(5000);
	int fd;

	FAILS(open("missing", O_RDONLY), ENOENT);
	FAILS(open("", O_RDONLY), ENOENT);
	FAILS(open((char *)bad_address, O_RDONLY), EFAULT);
	FAILS(open("missing/x", O_RDONLY), ENOENT);
	fd = make("f", "hello");
	FAILS(open("f/x", O_RDONLY), ENOTDIR);
	FAILS(open("f/", O_RDONLY), ENOTDIR);
	FAILS(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	FAILS(open("f", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	FAILS(open("new/", O_CREAT | O_RDWR, 0600), EISDIR);
	FAILS(open(".", O_RDWR), EISDIR);
	FAILS(open(".", O_WRONLY), EISDIR);
	FAILS(open(".", O_RDONLY | O_CREAT, 0600), EISDIR);
	EQ(mkdir("sub", 0755), 0);
	FAILS(open("sub", O_RDONLY | O_CREAT, 0600), EISDIR);
	FAILS(open("sub", O_RDONLY | O_TRUNC), EISDIR);
	memset(longname, 'a', sizeof(longname));
	longname[256] = 0;
	FAILS(open(longname, O_RDONLY), ENAMETOOLONG);
	FAILS(open(longname, O_RDWR | O_CREAT, 0600), ENAMETOOLONG);
	longname[255] = 0;
	FAILS(open(longname, O_RDONLY), ENOENT);
	memset(deep, '/', 4999);
	deep[4999] = 0;
	FAILS(open(deep, O_RDONLY), ENAMETOOLONG);
	deep[4095] = 0;
	close(fd);
	fd = open(deep, O_RDONLY);
	CHECK(fd >= 0);
	close(fd);
	FAILS(openat(-7, "f", O_RDONLY), EBADF);
	fd = open("f", O_RDONLY);
	FAILS(openat(fd, "x", O_RDONLY), ENOTDIR);
	close(fd);
	fd = open(".", O_RDONLY);
	EQ(openat(fd, "f", O_RDONLY) >= 0, 1);
	close(fd + 1);
	FAILS(read(fd, longname, 10), EISDIR);
	FAILS(write(fd, longname, 10), EBADF);
	close(fd);
	EQ(rmdir("sub"), 0);
	EQ(unlink("f"), 0);
	free(deep);
}

static void symlinks(void)
{
	char buf[64];
	int fd = make("target", "x");

	close(fd);
	EQ(symlink("target", "link"), 0);
	EQ(symlink("link", "link2"), 0);
	EQ(symlink("loop", "loop"), 0);
	EQ(symlink("nowhere", "dangling"), 0);
	FAILS(symlink("x", "link"), EEXIST);
	FAILS(symlink("", "empty"), ENOENT);
	FAILS(open("loop", O_RDONLY), ELOOP);
	FAILS(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
	/* A link to a directory is none, and is followed for a slash behind it. */
	EQ(mkdir("linked", 0755), 0);
	EQ(symlink("linked", "dirlink"), 0);
	FAILS(open("dirlink", O_RDONLY | O_NOFOLLOW | O_DIRECTORY), ENOTDIR);
	FAILS(open("dirlink", O_PATH | O_NOFOLLOW | O_DIRECTORY), ENOTDIR);
	fd = open("dirlink/", O_PATH | O_NOFOLLOW | O_DIRECTORY);
	EQ(fd >= 0, 1);
	close(fd);
	fd = open("dirlink", O_RDONLY | O_DIRECTORY);
	EQ(fd >= 0, 1);
	close(fd);
	/* A name with a slash behind it is not for a file to be made, whatever there is. */
	FAILS(open("dangling/", O_WRONLY | O_CREAT, 0600), EISDIR);
	FAILS(open("target/", O_WRONLY | O_CREAT, 0600), EISDIR);
	FAILS(open("loop/", O_WRONLY | O_CREAT, 0600), EISDIR);
	FAILS(open("dirlink/", O_RDONLY | O_CREAT, 0600), EISDIR);
	FAILS(open("dirlink/", O_RDONLY | O_CREAT | O_EXCL, 0600), EISDIR);
	FAILS(open("linked/..", O_RDONLY | O_CREAT | O_EXCL, 0600), EEXIST);
	FAILS(open("linked/.", O_RDONLY | O_CREAT, 0600), EISDIR);
	FAILS(open("linked", O_RDONLY | O_CREAT | O_EXCL, 0600), EEXIST);
	FAILS(access("nowhere", F_OK), ENOENT);
	EQ(unlink("dirlink"), 0);
	EQ(rmdir("linked"), 0);
	FAILS(open("dangling", O_RDONLY), ENOENT);
	FAILS(open("dangling", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	FAILS(open("link/", O_RDONLY), ENOTDIR);
	FAILS(open("link2/x", O_RDONLY), ENOTDIR);
	fd = open("link2", O_RDONLY);
	EQ(read(fd, buf, 10), 1);
	close(fd);
	fd = open("dangling", O_RDWR | O_CREAT, 0600);
	CHECK(fd >= 0);
	close(fd);
	EQ(access("nowhere", F_OK), 0);
	EQ(readlink("link2", buf, sizeof(buf)), 4);
	CHECK(!memcmp(buf, "link", 4));
	EQ(readlink("link2", buf, 2), 2);
	FAILS(readlink("target", buf, 10), EINVAL);
	FAILS(readlink("link", buf, 0), EINVAL);
	FAILS(readlink("link", buf, -1), EINVAL);
	fd = open("link", O_PATH | O_NOFOLLOW);
	CHECK(fd >= 0);
	EQ(readlinkat(fd, "", buf, sizeof(buf)), 6);
	FAILS(read(fd, buf, 1), EBADF);
	close(fd);
	/* 40 links are followed, a 41st is not; path_resolution(7). */
	EQ(symlink("target", "s0"), 0);
	for (int i = 1; i < 42; i++) {
		char from[16], to[16];

		sprintf(from, "s%d", i - 1);
		sprintf(to, "s%d", i);
		EQ(symlink(from, to), 0);
	}
	EQ(access("s39", F_OK), 0);
	FAILS(access("s40", F_OK), ELOOP);
	for (int i = 0; i < 42; i++) {
		sprintf(buf, "s%d", i);
		EQ(unlink(buf), 0);
	}
	EQ(mkdir("d", 0755), 0);
	EQ(symlink("d/", "dl"), 0);
	EQ(symlink("dl/../d/../target", "via"), 0);
	EQ(access("via", F_OK), 0);
	EQ(access("dl/.././link2", F_OK), 0);
	FAILS(rmdir("dl"), ENOTDIR);
	FAILS(unlink("dl/"), ENOTDIR);
	unlink("via");
	unlink("dl");
	rmdir("d");
	unlink("nowhere");
	unlink("dangling");
	unlink("loop");
	unlink("link2");
	unlink("link");
	unlink("target");
}

static void positions(void)
{
	char buf[64];
	int fd = make("f", "0123456789");

	EQ(lseek(fd, 0, SEEK_CUR), 10);
	EQ(lseek(fd, 3, SEEK_SET), 3);
	EQ(read(fd, buf, 2), 2);
	CHECK(!memcmp(buf, "34", 2));
	EQ(lseek(fd, -1, SEEK_END), 9);
	EQ(read(fd, buf, 10), 1);
	EQ(read(fd, buf, 10), 0);
	FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
	FAILS(lseek(fd, 0, 99), EINVAL);
	FAILS(lseek(-1, 0, SEEK_SET), EBADF);
	EQ(pread(fd, buf, 3, 4), 3);
	CHECK(!memcmp(buf, "456", 3));
	EQ(lseek(fd, 0, SEEK_CUR), 10);
	FAILS(pread(fd, buf, 3, -1), EINVAL);
	EQ(pwrite(fd, "XY", 2, 20), 2);
	EQ(lseek(fd, 0, SEEK_END), 22);
	EQ(pread(fd, buf, 30, 8), 14);
	CHECK(!memcmp(buf, "89\0\0\0\0\0\0\0\0\0\0XY", 14));
	EQ(lseek(fd, 2, SEEK_SET), 2);
	FAILS(read(fd, bad_address, 10), EFAULT);
	FAILS(pread(fd, bad_address, 10, 0), EFAULT);
	FAILS(write(fd, bad_address, 10), EFAULT);
	EQ(pread(fd, bad_address, 0, 0), 0);
	EQ(pread(fd, buf, 10, 100), 0);
	FAILS(lseek(fd, 100, SEEK_DATA), ENXIO);
	FAILS(lseek(fd, 22, SEEK_HOLE), ENXIO);
	EQ(lseek(fd, 0, SEEK_DATA), 0);
	EQ(lseek(fd, 21, SEEK_HOLE), 22);
	close(fd);
	unlink("f");
}

static void vectors(void)
{
	char a[4], b[8];
	struct iovec v[3] = { { "ab", 2 }, { "", 0 }, { "cdef", 4 } }, r[2] = { { a, 4 }, { b, 8 } }, bad[2] = { { a, 4 }, { (void *)8, 8 } };
	int fd = make("f", "");

	EQ(writev(fd, v, 3), 6);
	EQ(lseek(fd, 0, SEEK_SET), 0);
	EQ(readv(fd, r, 2), 6);
	CHECK(!memcmp(a, "abcd", 4) && !memcmp(b, "ef", 2));
	EQ(preadv(fd, r, 2, 2), 4);
	EQ(pwritev(fd, v, 3, 6), 6);
	EQ(preadv2(fd, r, 2, 6, 0), 6);
	EQ(lseek(fd, 1, SEEK_SET), 1);
	EQ(preadv2(fd, r, 2, -1, 0), 11);
	EQ(lseek(fd, 0, SEEK_CUR), 12);
	FAILS(preadv2(fd, r, 2, 0, 0x4000), EOPNOTSUPP);
	FAILS(readv(fd, r, -1), EINVAL);
	FAILS(readv(fd, r, too_many), EINVAL);
	EQ(readv(fd, r, 0), 0);
	FAILS(readv(fd, bad_address, 1), EFAULT);
	EQ(lseek(fd, 0, SEEK_SET), 0);
	EQ(readv(fd, bad, 2), 4);
	FAILS(preadv(fd, r, 2, -1), EINVAL);
	close(fd);
	unlink("f");
}

static void modes(void)
{
	char buf[16];
	int fd = make("f", "hello"), g;

	close(fd);
	fd = open("f", O_RDONLY);
	FAILS(write(fd, "x", 1), EBADF);
	FAILS(ftruncate(fd, 0), EINVAL);
	close(fd);
	fd = open("f", O_WRONLY);
	FAILS(read(fd, buf, 1), EBADF);
	close(fd);
	fd = open("f", O_WRONLY | O_APPEND);
	g = open("f", O_RDWR);
	EQ(write(fd, " world", 6), 6);
	EQ(lseek(fd, 0, SEEK_CUR), 11);
	EQ(lseek(fd, 0, SEEK_SET), 0);
	EQ(write(fd, "!", 1), 1);
	EQ(pread(g, buf, 16, 0), 12);
	EQ(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND), O_WRONLY | O_APPEND);
	EQ(fcntl(fd, F_SETFL, 0), 0);
	EQ(fcntl(fd, F_GETFL) & O_APPEND, 0);
	EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	close(g);
	g = open("f", O_RDWR | O_TRUNC);
	EQ(lseek(g, 0, SEEK_END), 0);
	close(g);
	close(fd);
	EQ(chmod("f", 0), 0);
	unlink("f");
	FAILS(close(fd), EBADF);
	FAILS(read(fd, buf, 1), EBADF);
	FAILS(fcntl(fd, F_GETFL), EBADF);
}

static void descriptors(void)
{
	int fd = make("f", "abc"), d, e;

	d = dup(fd);
	CHECK(d > fd);
	EQ(lseek(d, 1, SEEK_SET), 1);
	EQ(lseek(fd, 0, SEEK_CUR), 1);
	EQ(dup2(fd, fd), fd);
	FAILS(dup3(fd, fd, 0), EINVAL);
	FAILS(dup3(fd, d, 0x1234), EINVAL);
	EQ(dup3(fd, d, O_CLOEXEC), d);
	EQ(fcntl(d, F_GETFD), FD_CLOEXEC);
	EQ(fcntl(d, F_SETFD, 0), 0);
	EQ(fcntl(d, F_GETFD), 0);
	e = fcntl(fd, F_DUPFD, 100);
	EQ(e, 100);
	EQ(fcntl(fd, F_DUPFD_CLOEXEC, 100), 101);
	EQ(fcntl(101, F_GETFD), FD_CLOEXEC);
	FAILS(fcntl(fd, F_DUPFD, -1), EINVAL);
	FAILS(fcntl(fd, F_DUPFD, 1 << 30), EINVAL);
	FAILS(dup2(fd, -1), EBADF);
	FAILS(dup2(-1, 5), EBADF);
	FAILS(dup2(fd, 1 << 30), EBADF);
	EQ(syscall(SYS_close_range, 100, 101, 0), 0);
	FAILS(fcntl(100, F_GETFD), EBADF);
	EQ(dup2(fd, 200), 200);
	EQ(syscall(SYS_close_range, 150, ~0u, 4), 0);
	EQ(fcntl(200, F_GETFD), FD_CLOEXEC);
	FAILS(syscall(SYS_close_range, 5, 4, 0), EINVAL);
	close(200);
	FAILS(fcntl(fd, 9999, 0), EINVAL);
	close(d);
	close(fd);
	unlink("f");
}

static void sizes(void)
{
	struct stat st;
	char buf[16];
	int fd = make("f", "0123456789");

	EQ(ftruncate(fd, 4), 0);
	EQ(fstat(fd, &st), 0);
	EQ(st.st_size, 4);
	EQ(ftruncate(fd, 8), 0);
	EQ(pread(fd, buf, 16, 0), 8);
	CHECK(!memcmp(buf, "0123\0\0\0\0", 8));
	FAILS(ftruncate(fd, -1), EINVAL);
	FAILS(truncate("f", -1), EINVAL);
	FAILS(truncate("missing", 0), ENOENT);
	FAILS(truncate(".", 0), EISDIR);
	EQ(truncate("f", 2), 0);
	EQ(fstat(fd, &st), 0);
	EQ(st.st_size, 2);
	EQ(fallocate(fd, 0, 0, 8192), 0);
	EQ(fstat(fd, &st), 0);
	EQ(st.st_size, 8192);
	EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, 8192, 4096), 0);
	EQ(fstat(fd, &st), 0);
	EQ(st.st_size, 8192);
	EQ(pwrite(fd, "abc", 3, 4096), 3);
	EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096), 0);
	EQ(pread(fd, buf, 3, 4096), 3);
	CHECK(!memcmp(buf, "\0\0\0", 3));
	FAILS(fallocate(fd, 0, -1, 10), EINVAL);
	FAILS(fallocate(fd, 0, 0, 0), EINVAL);
	FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10), EOPNOTSUPP);
	close(fd);
	fd = open("f", O_RDONLY);
	FAILS(fallocate(fd, 0, 0, 10), EBADF);
	close(fd);
	unlink("f");
}

static void size_limit(void)
{
	struct rlimit rl = { 100, 100 };
	char buf[200] = { 0 };
	int status;

	if (!fork()) {
		int fd = make("f", "");

		setrlimit(RLIMIT_FSIZE, &rl);
		signal(SIGXFSZ, SIG_IGN);
		EQ(write(fd, buf, 200), 100);
		FAILS(write(fd, buf, 1), EFBIG);
		FAILS(ftruncate(fd, 101), EFBIG);
		signal(SIGXFSZ, SIG_DFL);
		if (check_failures)
			_exit(1);
		write(fd, buf, 1);
		_exit(2);
	}
	wait(&status);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
	unlink("f");
}

static void unlinked(void)
{
	struct stat st;
	char buf[300], name[64];
	int fd = make("gone", "data"), n;

	EQ(unlink("gone"), 0);
	EQ(fstat(fd, &st), 0);
	EQ(st.st_nlink, 0);
	EQ(pread(fd, buf, 10, 0), 4);
	EQ(pwrite(fd, "more", 4, 4), 4);
	sprintf(name, "/proc/self/fd/%d", fd);
	n = (int)readlink(name, buf, sizeof(buf) - 1);
	buf[n > 0 ? n : 0] = 0;
	CHECK(strstr(buf, "/gone (deleted)"));
	FAILS(linkat(AT_FDCWD, name, AT_FDCWD, "back", AT_SYMLINK_FOLLOW), ENOENT);
	close(fd);
	EQ(mkdir("d", 0700), 0);
	EQ(chdir("d"), 0);
	EQ(rmdir("../d"), 0);
	FAILS(open("x", O_CREAT | O_RDWR, 0600), ENOENT);
	FAILS(mkdir("x", 0700), ENOENT);
	CHECK(!getcwd(buf, sizeof(buf)) || strstr(buf, "unreachable"));
	EQ(chdir(dir), 0);
}

static void tmpfile_flag(void)
{
	struct stat st;
	char name[64];
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);

	if (fd < 0 && errno == EOPNOTSUPP)
		return;
	CHECK(fd >= 0);
	EQ(write(fd, "abc", 3), 3);
	EQ(fstat(fd, &st), 0);
	EQ(st.st_nlink, 0);
	sprintf(name, "/proc/self/fd/%d", fd);
	EQ(linkat(AT_FDCWD, name, AT_FDCWD, "kept", AT_SYMLINK_FOLLOW), 0);
	EQ(fstat(fd, &st), 0);
	EQ(st.st_nlink, 1);
	close(fd);
	EQ(stat("kept", &st), 0);
	EQ(st.st_size, 3);
	unlink("kept");
	FAILS(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
}

static void copies(void)
{
	char buf[32];
	int in = make("in", "0123456789"), out = make("out", "");
	off_t off = 2;
	loff_t a = 1, b = 3;

	EQ(sendfile(out, in, &off, 5), 5);
	EQ(off, 7);
	EQ(pread(out, buf, 32, 0), 5);
	CHECK(!memcmp(buf, "23456", 5));
	EQ(lseek(in, 8, SEEK_SET), 8);
	EQ(sendfile(out, in, NULL, 100), 2);
	EQ(sendfile(out, in, NULL, 100), 0);
	EQ(lseek(out, 0, SEEK_CUR), 7);
	FAILS(sendfile(-1, in, NULL, 1), EBADF);
	off = -1;
	FAILS(sendfile(out, in, &off, 1), EINVAL);
	EQ(copy_file_range(in, &a, out, &b, 4, 0), 4);
	EQ(a, 5);
	EQ(b, 7);
	EQ(pread(out, buf, 32, 0), 7);
	CHECK(!memcmp(buf, "2341234", 7));
	FAILS(copy_file_range(in, &a, out, &b, 4, 1), EINVAL);
	a = 0;
	b = 1;
	FAILS(copy_file_range(in, &a, in, &b, 4, 0), EINVAL);
	close(in);
	close(out);
	unlink("in");
	unlink("out");
}

static void openat2_scopes(void)
{
	struct open_how how = { .flags = O_RDONLY, .resolve = RESOLVE_BENEATH };
	int d, fd;

#define OPENAT2(path) syscall(SYS_openat2, d, path, &how, sizeof(how))
	EQ(mkdir("root", 0755), 0);
	EQ(mkdir("root/sub", 0755), 0);
	close(make("root/f", "in"));
	close(make("f", "out"));
	EQ(symlink("../f", "root/up"), 0);
	EQ(symlink("/f", "root/abs"), 0);
	EQ(symlink("sub/../f", "root/inside"), 0);
	d = open("root", O_PATH);
	fd = OPENAT2("sub/../f");
	CHECK(fd >= 0);
	close(fd);
	fd = OPENAT2("inside");
	CHECK(fd >= 0);
	close(fd);
	FAILS(OPENAT2("../f"), EXDEV);
	FAILS(OPENAT2("up"), EXDEV);
	FAILS(OPENAT2("abs"), EXDEV);
	FAILS(OPENAT2("/f"), EXDEV);
	how.resolve = RESOLVE_IN_ROOT;
	fd = OPENAT2("abs");
	CHECK(fd >= 0);
	close(fd);
	fd = OPENAT2("../../f");
	CHECK(fd >= 0);
	close(fd);
	how.resolve = RESOLVE_NO_SYMLINKS;
	FAILS(OPENAT2("inside"), ELOOP);
	how.resolve = RESOLVE_NO_XDEV;
	FAILS(OPENAT2("/proc/self/comm"), EXDEV);
	how.resolve = RESOLVE_NO_MAGICLINKS;
	FAILS(OPENAT2("/proc/self/cwd/f"), ELOOP);
	how.resolve = 0x8000;
	FAILS(OPENAT2("f"), EINVAL);
	how.resolve = 0;
	how.mode = 0600;
	FAILS(OPENAT2("f"), EINVAL);
	FAILS(syscall(SYS_openat2, d, "f", &how, 8), EINVAL);
	close(d);
	unlink("root/up");
	unlink("root/abs");
	unlink("root/inside");
	unlink("root/f");
	unlink("f");
	rmdir("root/sub");
	rmdir("root");
}

static void busy_text(void)
{
	int fd = make("prog", "#!/bin/true\n"), status;

	EQ(fchmod(fd, 0755), 0);
	if (!fork()) {
		execl("./prog", "prog", NULL);
		_exit(errno == ETXTBSY ? 42 : 1);
	}
	wait(&status);
	EQ(WEXITSTATUS(status), 42);
	close(fd);
	FAILS(open("/proc/self/exe", O_RDWR), ETXTBSY);
	unlink("prog");
}

static void file_ioctls(void)
{
	int fd = make("f", "0123456789"), n = 0;

	EQ(lseek(fd, 4, SEEK_SET), 4);
	EQ(ioctl(fd, FIONREAD, &n), 0);
	EQ(n, 6);
	EQ(ioctl(fd, FIOCLEX), 0);
	EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EQ(ioctl(fd, FIONCLEX), 0);
	EQ(fcntl(fd, F_GETFD), 0);
	n = 1;
	EQ(ioctl(fd, FIONBIO, &n), 0);
	EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	FAILS(ioctl(fd, 0x12345678, 0), ENOTTY);
	FAILS(ioctl(-1, FIONREAD, &n), EBADF);
	EQ(fsync(fd), 0);
	EQ(fdatasync(fd), 0);
	EQ(syncfs(fd), 0);
	EQ(sync_file_range(fd, 0, 0, 7), 0);
	FAILS(fsync(-1), EBADF);
	close(fd);
	unlink("f");
}

static void mapped(void)
{
	char *p, buf[8];
	int fd = make("f", "hello");

	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	memcpy(p, "HELLO", 5);
	EQ(pread(fd, buf, 8, 0), 5);
	CHECK(!memcmp(buf, "HELLO", 5));
	EQ(pwrite(fd, "there", 5, 0), 5);
	CHECK(!memcmp(p, "there", 5));
	EQ(msync(p, 4096, MS_SYNC), 0);
	munmap(p, 4096);
	close(fd);
	unlink("f");
}

static int shared_fd;

static void *appender(void *arg)
{
	for (int i = 0; i < 200; i++)
		if (write(shared_fd, arg, 8) != 8)
			return (void *)1;
	return NULL;
}

/* Appends of several threads neither overlap nor get lost; write(2). */
static void appends(void)
{
	pthread_t t[4];
	void *failed;
	char word[8];
	int n = 0;

	close(make("f", ""));
	shared_fd = open("f", O_RDWR | O_APPEND);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, appender, (char *[]){ "aaaaaaaa", "bbbbbbbb", "cccccccc", "dddddddd" }[i]);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &failed);
		CHECK(!failed);
	}
	EQ(lseek(shared_fd, 0, SEEK_SET), 0);
	while (read(shared_fd, word, 8) == 8) {
		CHECK(word[0] == word[7]);
		n++;
	}
	EQ(n, 800);
	close(shared_fd);
	unlink("f");
}

/* FS_IOC_FIEMAP */
static void extents(void)
{
	union {
		struct fiemap f;
		char room[sizeof(struct fiemap) + 8 * sizeof(struct fiemap_extent)];
	} m = { .f = { .fm_length = ~0ull, .fm_flags = FIEMAP_FLAG_SYNC, .fm_extent_count = 8 } };
	struct fiemap_extent *e = m.f.fm_extents;
	int fd = open("map", O_CREAT | O_RDWR | O_TRUNC, 0600), p[2];
	char page[4096] = "x";

	EQ(pwrite(fd, page, sizeof(page), 0), sizeof(page));
	EQ(pwrite(fd, page, sizeof(page), 1 << 20), sizeof(page));
	if (ioctl(fd, FS_IOC_FIEMAP, &m) < 0 && errno == EOPNOTSUPP) {
		close(fd), unlink("map");
		return; /* not this file system */
	}
	EQ(m.f.fm_mapped_extents, 2);
	EQ(e[0].fe_logical, 0);
	EQ(e[0].fe_length, 4096);
	CHECK(!(e[0].fe_flags & FIEMAP_EXTENT_LAST));
	EQ(e[1].fe_logical, 1 << 20);
	CHECK(e[1].fe_flags & FIEMAP_EXTENT_LAST);
	m.f.fm_extent_count = 0; /* how many? */
	EQ(ioctl(fd, FS_IOC_FIEMAP, &m), 0);
	EQ(m.f.fm_mapped_extents, 2);
	m.f.fm_extent_count = 1;
	EQ(ioctl(fd, FS_IOC_FIEMAP, &m), 0);
	EQ(m.f.fm_mapped_extents, 1);
	m.f.fm_extent_count = 8;
	m.f.fm_start = 8192;
	EQ(ioctl(fd, FS_IOC_FIEMAP, &m), 0);
	EQ(m.f.fm_mapped_extents, 1);
	EQ(e[0].fe_logical, 1 << 20);
	m.f.fm_length = 0;
	FAILS(ioctl(fd, FS_IOC_FIEMAP, &m), EINVAL);
	m.f.fm_length = 4096;
	m.f.fm_start = 0;
	m.f.fm_flags = 1u << 30;
	FAILS(ioctl(fd, FS_IOC_FIEMAP, &m), EBADR);
	EQ(m.f.fm_flags, 1u << 30);
	FAILS(ioctl(fd, FS_IOC_FIEMAP, -4096), EFAULT);
	EQ(pipe(p), 0);
	CHECK(ioctl(p[0], FS_IOC_FIEMAP, &m) == -1);
	close(p[0]), close(p[1]);
	close(fd), unlink("map");
}

int main(void)
{
	CHECK(mkdtemp(in_test_dir(dir)));
	EQ(chdir(dir), 0);
	RUN(open_errors);
	RUN(symlinks);
	RUN(positions);
	RUN(vectors);
	RUN(modes);
	RUN(descriptors);
	RUN(sizes);
	RUN(size_limit);
	RUN(unlinked);
	RUN(tmpfile_flag);
	RUN(copies);
	RUN(openat2_scopes);
	RUN(busy_text);
	RUN(file_ioctls);
	RUN(extents);
	RUN(mapped);
	RUN(appends);
	EQ(chdir("/"), 0);
	EQ(rmdir(dir), 0);
	DONE();
}
