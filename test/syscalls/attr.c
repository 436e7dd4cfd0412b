/* stat(2), statx(2), chmod(2), chown(2), utimensat(2), access(2), umask(2), xattr(7), statfs(2), credentials in inode(7). */
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <linux/magic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

#include "check.h"

static void *volatile bad_address = (void *)8;
static char dir[128] = "/tmp/attrXXXXXX";

static void touch(const char *name) { close(open(name, O_CREAT | O_WRONLY, 0644)); }

static struct stat stat_of(const char *name)
{
	struct stat st = { 0 };

	EQ(lstat(name, &st), 0);
	return st;
}

/* Run a test with other ids, in a process of its own. */
#define AS_USER(uid, gid)                                                               \
	for (pid_t pid__ = fork(), once__ = 1; once__; ({ int s__; fflush(stdout); if (!pid__) _exit(!!check_failures); waitpid(pid__, &s__, 0); \
	     CHECK(s__ == 0); once__ = 0; }))                                            \
		if (!pid__ && ({ check_failures = 0; setgroups_none(); CHECK(!setresgid(gid, gid, gid)); CHECK(!setresuid(uid, uid, uid)); 1; }))

static void setgroups_none(void) { syscall(SYS_setgroups, 0, NULL); }

static void stats(void)
{
	struct stat st, st2;
	int fd;

	touch("f");
	EQ(stat("f", &st), 0);
	EQ(st.st_mode, S_IFREG | 0644);
	EQ(st.st_nlink, 1);
	EQ(st.st_size, 0);
	CHECK(st.st_blksize > 0);
	fd = open("f", O_RDWR);
	EQ(write(fd, "hello", 5), 5);
	EQ(fstat(fd, &st2), 0);
	EQ(st2.st_ino, st.st_ino);
	EQ(st2.st_dev, st.st_dev);
	EQ(st2.st_size, 5);
	FAILS(stat("missing", &st), ENOENT);
	FAILS(stat("", &st), ENOENT);
	FAILS(stat("f", (struct stat *)bad_address), EFAULT);
	FAILS(stat((char *)bad_address, &st), EFAULT);
	FAILS(fstat(-1, &st), EBADF);
	FAILS(fstatat(AT_FDCWD, "f", &st, 0x1), EINVAL);
	EQ(fstatat(fd, "", &st, AT_EMPTY_PATH), 0);
	EQ(st.st_size, 5);
	FAILS(fstatat(fd, "", &st, 0), ENOENT);
	EQ(symlink("f", "l"), 0);
	EQ(lstat("l", &st), 0);
	CHECK(S_ISLNK(st.st_mode));
	EQ(st.st_size, 1);
	EQ(fstatat(AT_FDCWD, "l", &st, AT_SYMLINK_NOFOLLOW), 0);
	CHECK(S_ISLNK(st.st_mode));
	EQ(unlink("l"), 0);
	close(fd);
	EQ(unlink("f"), 0);
}

static void statxs(void)
{
	struct statx sx;
	struct stat st;

	touch("f");
	EQ(stat("f", &st), 0);
	EQ(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &sx), 0);
	EQ(sx.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
	EQ(sx.stx_ino, st.st_ino);
	EQ(sx.stx_mode, st.st_mode);
	EQ(sx.stx_mtime.tv_sec, st.st_mtim.tv_sec);
	EQ(sx.stx_mtime.tv_nsec, st.st_mtim.tv_nsec);
	FAILS(statx(AT_FDCWD, "f", 0x1, STATX_ALL, &sx), EINVAL);
	FAILS(statx(AT_FDCWD, "f", AT_STATX_SYNC_TYPE, STATX_ALL, &sx), EINVAL);
	FAILS(statx(AT_FDCWD, "f", 0, 0x80000000u, &sx), EINVAL);
	FAILS(statx(AT_FDCWD, "missing", 0, STATX_ALL, &sx), ENOENT);
	FAILS(statx(AT_FDCWD, "f", 0, STATX_ALL, (struct statx *)bad_address), EFAULT);
	EQ(unlink("f"), 0);
}

static void modes(void)
{
	int fd;

	umask(0);
	fd = open("f", O_CREAT | O_RDWR, 07777);
	EQ(stat_of("f").st_mode & 07777, 07777);
	EQ(fchmod(fd, 0600), 0);
	EQ(stat_of("f").st_mode & 07777, 0600);
	EQ(chmod("f", 04755), 0);
	EQ(stat_of("f").st_mode & 07777, 04755);
	EQ(fchmodat(AT_FDCWD, "f", 0444, 0), 0);
	FAILS(chmod("missing", 0600), ENOENT);
	FAILS(fchmod(-1, 0600), EBADF);
	EQ(umask(077), 0);
	EQ(umask(01777), 077);
	EQ(umask(022), 0777);
	close(fd);
	fd = open("f", O_PATH);
	FAILS(fchmod(fd, 0600), EBADF);
	close(fd);
	EQ(unlink("f"), 0);
}

static void owners(void)
{
	if (geteuid())
		return;
	touch("f");
	EQ(chmod("f", 06755), 0);
	EQ(chown("f", 1000, 2000), 0);
	EQ(stat_of("f").st_uid, 1000);
	EQ(stat_of("f").st_gid, 2000);
	EQ(stat_of("f").st_mode & 07777, 0755); /* chown(2): the set-id bits go */
	EQ(chown("f", -1, 3000), 0);
	EQ(stat_of("f").st_uid, 1000);
	EQ(stat_of("f").st_gid, 3000);
	EQ(symlink("f", "l"), 0);
	EQ(lchown("l", 5, 6), 0);
	EQ(stat_of("l").st_uid, 5);
	EQ(stat_of("f").st_uid, 1000);
	EQ(fchownat(AT_FDCWD, "l", 7, 8, AT_SYMLINK_NOFOLLOW), 0);
	EQ(stat_of("l").st_gid, 8);
	FAILS(fchownat(AT_FDCWD, "l", 7, 8, 0x1), EINVAL);
	EQ(chmod(".", 0777), 0);
	AS_USER(1000, 1000)
	{
		EQ(chmod("f", 0600), 0);
		FAILS(chown("f", 1001, -1), EPERM);
		FAILS(chown("f", -1, 5), EPERM);
		EQ(chown("f", -1, 1000), 0);
		EQ(chown("f", -1, -1), 0);
	}
	AS_USER(1001, 1001)
	{
		FAILS(chmod("f", 0777), EPERM);
		FAILS(open("f", O_RDONLY), EACCES);
		FAILS(truncate("f", 0), EACCES);
	}
	EQ(unlink("l"), 0);
	EQ(unlink("f"), 0);
}

static void group_bit(void)
{
	if (geteuid())
		return;
	EQ(mkdir("g", 0755), 0);
	EQ(chown("g", -1, 777), 0);
	EQ(chmod("g", 02777), 0);
	EQ(mkdir("g/sub", 0755), 0);
	touch("g/f");
	EQ(stat_of("g/sub").st_gid, 777);
	EQ(stat_of("g/sub").st_mode & 07777, 02755);
	EQ(stat_of("g/f").st_gid, 777);
	EQ(unlink("g/f"), 0);
	EQ(rmdir("g/sub"), 0);
	EQ(rmdir("g"), 0);
	/* A write by another takes the set-id bits away; write(2). */
	touch("s");
	EQ(chmod("s", 06777), 0);
	AS_USER(1001, 1001)
	{
		int fd = open("s", O_WRONLY);

		EQ(write(fd, "x", 1), 1);
		EQ(stat_of("s").st_mode & 07777, 0777);
		close(fd);
	}
	EQ(unlink("s"), 0);
}

static void permissions(void)
{
	if (geteuid())
		return;
	EQ(chmod(".", 0755), 0);
	EQ(mkdir("p", 0711), 0);
	touch("p/f");
	EQ(chmod("p/f", 0640), 0);
	EQ(chown("p/f", 0, 500), 0);
	EQ(mkdir("closed", 0700), 0);
	touch("closed/f");
	AS_USER(1000, 500)
	{
		int fd = open("p/f", O_RDONLY);

		CHECK(fd >= 0);
		FAILS(open("p/f", O_RDWR), EACCES);
		FAILS(open("p", O_RDONLY), EACCES);
		FAILS(open("closed/f", O_RDONLY), EACCES);
		FAILS(stat("closed/f", &(struct stat){ 0 }), EACCES);
		FAILS(chdir("closed"), EACCES);
		FAILS(open("p/new", O_CREAT | O_RDWR, 0600), EACCES);
		FAILS(unlink("p/f"), EACCES);
		FAILS(mkdir("x", 0700), EACCES);
		FAILS(rename("p/f", "p/g"), EACCES);
		EQ(access("p/f", R_OK), 0);
		FAILS(access("p/f", W_OK), EACCES);
		FAILS(access("p/f", X_OK), EACCES);
	}
	EQ(access("p/f", R_OK | W_OK), 0);
	FAILS(access("p/f", X_OK), EACCES); /* no execute bit at all: not even root */
	FAILS(access("p/f", 8), EINVAL);
	EQ(chmod("p/f", 0100), 0);
	EQ(access("p/f", X_OK), 0);
	EQ(unlink("p/f"), 0);
	EQ(rmdir("p"), 0);
	EQ(unlink("closed/f"), 0);
	EQ(rmdir("closed"), 0);
}

static void sticky(void)
{
	if (geteuid())
		return;
	EQ(mkdir("t", 0777), 0);
	EQ(chmod("t", 01777), 0);
	touch("t/a");
	EQ(chown("t/a", 1000, 1000), 0);
	EQ(mkdir("t/d", 0777), 0);
	AS_USER(1001, 1001)
	{
		FAILS(unlink("t/a"), EPERM);
		FAILS(rename("t/a", "t/b"), EPERM);
		FAILS(rmdir("t/d"), EPERM);
		touch("t/mine");
		FAILS(rename("t/mine", "t/a"), EPERM);
		EQ(unlink("t/mine"), 0);
	}
	AS_USER(1000, 1000) { EQ(unlink("t/a"), 0); }
	EQ(rmdir("t/d"), 0);
	EQ(rmdir("t"), 0);
}

static void real_and_effective(void)
{
	if (geteuid())
		return;
	touch("f");
	EQ(chmod("f", 0600), 0);
	EQ(setresuid(1000, 0, 0), 0);
	FAILS(access("f", R_OK), EACCES); /* with the real id */
	EQ(syscall(SYS_faccessat2, AT_FDCWD, "f", R_OK, AT_EACCESS), 0);
	EQ(setresuid(0, 0, 0), 0);
	EQ(unlink("f"), 0);
}

static void times(void)
{
	struct timespec t[2] = { { 1000, 5 }, { 2000, 6 } };
	struct timeval tv[2] = { { 10, 1 }, { 20, 2 } };
	struct utimbuf ub = { 3, 4 };
	struct stat st;
	time_t now = time(NULL);

	touch("f");
	EQ(utimensat(AT_FDCWD, "f", t, 0), 0);
	st = stat_of("f");
	EQ(st.st_atim.tv_sec, 1000);
	EQ(st.st_atim.tv_nsec, 5);
	EQ(st.st_mtim.tv_sec, 2000);
	CHECK(st.st_ctim.tv_sec >= now - 1);
	t[0].tv_nsec = UTIME_OMIT;
	t[1].tv_nsec = UTIME_NOW;
	EQ(utimensat(AT_FDCWD, "f", t, 0), 0);
	st = stat_of("f");
	EQ(st.st_atim.tv_sec, 1000);
	CHECK(st.st_mtim.tv_sec >= now - 1);
	t[0].tv_nsec = 1000000000;
	FAILS(utimensat(AT_FDCWD, "f", t, 0), EINVAL);
	FAILS(utimensat(AT_FDCWD, "missing", NULL, 0), ENOENT);
	FAILS(utimensat(AT_FDCWD, "f", (struct timespec *)bad_address, 0), EFAULT);
	FAILS(utimensat(AT_FDCWD, "f", NULL, 0x1), EINVAL);
	EQ(utimes("f", tv), 0);
	EQ(stat_of("f").st_mtim.tv_sec, 20);
	EQ(stat_of("f").st_mtim.tv_nsec, 2000);
	EQ(utime("f", &ub), 0);
	EQ(stat_of("f").st_mtim.tv_sec, 4);
	EQ(utime("f", NULL), 0);
	CHECK(stat_of("f").st_mtim.tv_sec >= now - 1);
	EQ(unlink("f"), 0);
}

static void times_follow(void)
{
	struct timespec old[2] = { { 1, 0 }, { 1, 0 } };
	int fd;

	EQ(mkdir("d", 0755), 0);
	EQ(utimensat(AT_FDCWD, "d", old, 0), 0);
	touch("d/f");
	CHECK(stat_of("d").st_mtim.tv_sec > 1);
	EQ(utimensat(AT_FDCWD, "d/f", old, 0), 0);
	fd = open("d/f", O_RDWR);
	EQ(write(fd, "x", 1), 1);
	CHECK(stat_of("d/f").st_mtim.tv_sec > 1);
	EQ(futimens(fd, old), 0);
	EQ(ftruncate(fd, 0), 0);
	CHECK(stat_of("d/f").st_mtim.tv_sec > 1);
	EQ(utimensat(AT_FDCWD, "d", old, 0), 0);
	EQ(unlink("d/f"), 0);
	CHECK(stat_of("d").st_mtim.tv_sec > 1);
	EQ(fstat(fd, &(struct stat){ 0 }), 0);
	close(fd);
	EQ(rmdir("d"), 0);
}

static void attributes(void)
{
	char buf[64];
	ssize_t n;

	touch("f");
	if (setxattr("f", "trusted.test", "value", 5, 0)) {
		EQ(unlink("f"), 0);
		return;
	}
	EQ(getxattr("f", "trusted.test", buf, sizeof(buf)), 5);
	CHECK(!memcmp(buf, "value", 5));
	EQ(getxattr("f", "trusted.test", NULL, 0), 5);
	FAILS(getxattr("f", "trusted.test", buf, 2), ERANGE);
	FAILS(getxattr("f", "trusted.none", buf, 2), ENODATA);
	FAILS(setxattr("f", "trusted.test", "x", 1, XATTR_CREATE), EEXIST);
	FAILS(setxattr("f", "trusted.none", "x", 1, XATTR_REPLACE), ENODATA);
	FAILS(setxattr("f", "nonsense.x", "x", 1, 0), EOPNOTSUPP);
	FAILS(setxattr("f", "trusted.", "x", 1, 0), EINVAL);
	FAILS(getxattr("f", "user.", buf, 2), EINVAL);
	FAILS(setxattr("f", "trusted.test", "x", 1, 0x10), EINVAL);
	FAILS(setxattr("f", "", "x", 1, 0), ERANGE);
	n = listxattr("f", buf, sizeof(buf));
	CHECK(n >= 13 && memmem(buf, (size_t)n, "trusted.test", 13));
	EQ(removexattr("f", "trusted.test"), 0);
	FAILS(removexattr("f", "trusted.test"), ENODATA);
	FAILS(getxattr("missing", "trusted.test", buf, 2), ENOENT);
	EQ(unlink("f"), 0);
}

static void file_systems(void)
{
	struct statfs a, b;
	int ends[2];
	int fd = open(".", O_RDONLY);

	EQ(statfs("/", &a), 0);
	CHECK(a.f_blocks > a.f_bfree); /* something is always in use */
	EQ(statfs(".", &a), 0);
	EQ(fstatfs(fd, &b), 0);
	EQ(a.f_type, b.f_type);
	CHECK(a.f_bsize > 0);
	CHECK(a.f_namelen >= 255);
	EQ(statfs("/proc", &a), 0);
	EQ(a.f_type, 0x9fa0);
	FAILS(statfs("missing", &a), ENOENT);
	FAILS(statfs(".", (struct statfs *)bad_address), EFAULT);
	FAILS(fstatfs(-1, &a), EBADF);
	EQ(pipe(ends), 0);
	EQ(fstatfs(ends[0], &a), 0);
	EQ(a.f_type, PIPEFS_MAGIC);
	close(ends[0]);
	close(ends[1]);
	EQ((ends[0] = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0, 1);
	EQ(fstatfs(ends[0], &a), 0);
	EQ(a.f_type, SOCKFS_MAGIC);
	close(ends[0]);
	EQ((ends[0] = epoll_create1(0)) >= 0, 1);
	EQ(fstatfs(ends[0], &a), 0);
	EQ(a.f_type, ANON_INODE_FS_MAGIC);
	close(ends[0]);
	close(fd);
}

int main(void)
{
	CHECK(mkdtemp(in_test_dir(dir)));
	EQ(chdir(dir), 0);
	EQ(chmod(dir, 0755), 0);
	RUN(stats);
	RUN(statxs);
	RUN(modes);
	RUN(owners);
	RUN(group_bit);
	RUN(permissions);
	RUN(sticky);
	RUN(real_and_effective);
	RUN(times);
	RUN(times_follow);
	RUN(attributes);
	RUN(file_systems);
	EQ(chdir("/"), 0);
	EQ(rmdir(dir), 0);
	DONE();
}
