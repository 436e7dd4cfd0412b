/* mkdir(2), rmdir(2), unlink(2), link(2), rename(2), mknod(2), getdents(2), chdir(2), getcwd(3), path_resolution(7). */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void *volatile bad_address = (void *)8;
static char dir[128] = "/tmp/nameiXXXXXX";

static void touch(const char *name) { close(open(name, O_CREAT | O_WRONLY, 0644)); }

static nlink_t links(const char *name)
{
	struct stat st = { 0 };

	EQ(lstat(name, &st), 0);
	return st.st_nlink;
}

static ino_t inode(const char *name)
{
	struct stat st = { 0 };

	EQ(lstat(name, &st), 0);
	return st.st_ino;
}

static void directories(void)
{
	struct stat st;

	umask(022);
	EQ(mkdir("d", 0777), 0);
	EQ(stat("d", &st), 0);
	EQ(st.st_mode, S_IFDIR | 0755);
	FAILS(mkdir("d", 0777), EEXIST);
	FAILS(mkdir("d/", 0777), EEXIST);
	FAILS(mkdir("missing/x", 0777), ENOENT);
	FAILS(mkdir("", 0777), ENOENT);
	FAILS(mkdir(".", 0777), EEXIST);
	FAILS(mkdir("..", 0777), EEXIST);
	FAILS(mkdir("/", 0777), EEXIST);
	FAILS(mkdir((char *)bad_address, 0777), EFAULT);
	EQ(mkdir("e/", 0700), 0);
	EQ(rmdir("e/"), 0);
	EQ(mkdir("s", 01777), 0);
	EQ(stat("s", &st), 0);
	EQ(st.st_mode, S_IFDIR | 01755);
	EQ(rmdir("s"), 0);
	touch("f");
	FAILS(mkdir("f/x", 0777), ENOTDIR);
	FAILS(rmdir("f"), ENOTDIR);
	FAILS(rmdir("f/"), ENOTDIR);
	FAILS(rmdir("missing"), ENOENT);
	FAILS(rmdir("d/."), EINVAL);
	FAILS(rmdir("d/.."), ENOTEMPTY);
	FAILS(rmdir("/"), EBUSY);
	touch("d/f");
	FAILS(rmdir("d"), ENOTEMPTY);
	FAILS(unlink("d"), EISDIR);
	FAILS(unlink("d/"), EISDIR);
	FAILS(unlink("f/"), ENOTDIR);
	FAILS(unlink("."), EISDIR);
	FAILS(unlink("missing"), ENOENT);
	FAILS(unlink(""), ENOENT);
	EQ(unlinkat(AT_FDCWD, "d/f", 0), 0);
	FAILS(unlinkat(AT_FDCWD, "d", 0), EISDIR);
	FAILS(unlinkat(AT_FDCWD, "f", AT_REMOVEDIR), ENOTDIR);
	FAILS(unlinkat(AT_FDCWD, "f", 1), EINVAL);
	EQ(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR), 0);
	EQ(unlink("f"), 0);
	FAILS(stat("f", &st), ENOENT);
}

static void hard_links(void)
{
	touch("a");
	EQ(link("a", "b"), 0);
	EQ(links("a"), 2);
	EQ(inode("a"), inode("b"));
	FAILS(link("a", "b"), EEXIST);
	FAILS(link("missing", "c"), ENOENT);
	FAILS(link("a", "missing/c"), ENOENT);
	FAILS(link("a", "c/"), ENOENT);
	EQ(mkdir("d", 0755), 0);
	FAILS(link("d", "e"), EPERM);
	FAILS(link("a", "/dev/shm/x"), EXDEV);
	EQ(symlink("a", "l"), 0);
	EQ(link("l", "l2"), 0);
	EQ(links("l"), 2);
	EQ(linkat(AT_FDCWD, "l", AT_FDCWD, "a3", AT_SYMLINK_FOLLOW), 0);
	EQ(links("a"), 3);
	FAILS(linkat(AT_FDCWD, "a", AT_FDCWD, "x", 0x1), EINVAL);
	EQ(unlink("a3"), 0);
	EQ(unlink("l2"), 0);
	EQ(unlink("l"), 0);
	EQ(unlink("a"), 0);
	EQ(links("b"), 1);
	EQ(unlink("b"), 0);
	EQ(rmdir("d"), 0);
}

static void renames(void)
{
	ino_t ino;

	touch("a");
	ino = inode("a");
	EQ(rename("a", "b"), 0);
	EQ(inode("b"), ino);
	FAILS(access("a", F_OK), ENOENT);
	FAILS(rename("a", "c"), ENOENT);
	touch("a");
	EQ(rename("b", "a"), 0);
	EQ(inode("a"), ino);
	EQ(link("a", "a2"), 0);
	EQ(rename("a", "a2"), 0); /* the same file: nothing happens */
	EQ(access("a", F_OK), 0);
	EQ(unlink("a2"), 0);
	EQ(mkdir("d", 0755), 0);
	EQ(mkdir("d/e", 0755), 0);
	FAILS(rename("d", "d/e/f"), EINVAL);
	FAILS(rename("d/e", "d"), ENOTEMPTY);
	FAILS(rename("a", "d"), EISDIR);
	FAILS(rename("d", "a"), ENOTDIR);
	FAILS(rename("a/", "b"), ENOTDIR);
	FAILS(rename("a", "b/"), ENOTDIR);
	FAILS(rename(".", "x"), EBUSY);
	FAILS(rename("d/..", "x"), EBUSY);
	FAILS(rename("a", ""), ENOENT);
	EQ(mkdir("g", 0755), 0);
	EQ(links("d"), 3);
	EQ(rename("d/e", "g"), 0); /* over an empty directory */
	EQ(links("d"), 2);
	EQ(links("g"), 2);
	EQ(rename("g", "d/g"), 0);
	EQ(links("d"), 3);
	touch("d/g/f");
	EQ(mkdir("h", 0755), 0);
	FAILS(rename("h", "d/g"), ENOTEMPTY);
	EQ(rename("d/g", "h/"), 0);
	EQ(access("h/f", F_OK), 0);
	FAILS(rename("a", "/proc/x"), EXDEV);
	EQ(unlink("h/f"), 0);
	EQ(rmdir("h"), 0);
	EQ(rmdir("d"), 0);
	EQ(unlink("a"), 0);
}

static void renames2(void)
{
	ino_t a, b;

	touch("a");
	EQ(mkdir("b", 0755), 0);
	touch("b/x");
	a = inode("a");
	b = inode("b");
	FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
	EQ(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE), 0);
	EQ(renameat2(AT_FDCWD, "c", AT_FDCWD, "b", RENAME_EXCHANGE), 0);
	EQ(inode("b"), a);
	EQ(inode("c"), b);
	EQ(access("c/x", F_OK), 0);
	FAILS(renameat2(AT_FDCWD, "b", AT_FDCWD, "missing", RENAME_EXCHANGE), ENOENT);
	FAILS(renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
	FAILS(renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_EXCHANGE | RENAME_WHITEOUT), EINVAL);
	FAILS(renameat2(AT_FDCWD, "b", AT_FDCWD, "c", 1 << 20), EINVAL);
	if (!geteuid() && !renameat2(AT_FDCWD, "b", AT_FDCWD, "moved", RENAME_WHITEOUT)) { /* not every file system has it */
		struct stat st;

		EQ(lstat("b", &st), 0);
		EQ(st.st_mode, S_IFCHR);
		EQ(st.st_rdev, 0);
		EQ(rename("moved", "b"), 0);
	}
	FAILS(renameat2(AT_FDCWD, "b", AT_FDCWD, "c", 0x100), EINVAL);
	EQ(unlink("c/x"), 0);
	EQ(rmdir("c"), 0);
	EQ(unlink("b"), 0);
}

static void moved_directory(void)
{
	char buf[256], want[300];

	EQ(mkdir("p", 0755), 0);
	EQ(mkdir("p/q", 0755), 0);
	EQ(chdir("p/q"), 0);
	EQ(rename("../../p", "../../r"), 0);
	CHECK(getcwd(buf, sizeof(buf)));
	sprintf(want, "%s/r/q", dir);
	CHECK(!strcmp(buf, want));
	touch("../f");
	EQ(chdir(dir), 0);
	EQ(access("r/f", F_OK), 0);
	EQ(unlink("r/f"), 0);
	EQ(rmdir("r/q"), 0);
	EQ(rmdir("r"), 0);
}

static void nodes(void)
{
	struct stat st;
	int fd;

	EQ(mknod("f", S_IFREG | 0640, 0), 0);
	EQ(stat("f", &st), 0);
	EQ(st.st_mode, S_IFREG | 0640);
	EQ(mkfifo("p", 0600), 0);
	EQ(stat("p", &st), 0);
	EQ(st.st_mode, S_IFIFO | 0600);
	FAILS(mkfifo("p", 0600), EEXIST);
	FAILS(mknod("x", S_IFDIR | 0700, 0), EPERM);
	FAILS(mknod("x", 0170000, 0), EINVAL);
	EQ(mknod("s", S_IFSOCK | 0600, 0), 0);
	FAILS(open("s", O_RDONLY), ENXIO);
	if (mknod("null", S_IFCHR | 0666, makedev(1, 3)) == 0) {
		EQ(stat("null", &st), 0);
		EQ(st.st_rdev, makedev(1, 3));
		EQ(unlink("null"), 0);
	}
	fd = open("p", O_RDONLY | O_NONBLOCK);
	CHECK(fd >= 0);
	close(fd);
	EQ(unlink("f"), 0);
	EQ(unlink("p"), 0);
	EQ(unlink("s"), 0);
}

struct dirent64_ {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

static void listings(void)
{
	char buf[4096], name[32];
	struct dirent64_ *d;
	struct dirent *e;
	int fd, n, seen = 0;
	DIR *dp;
	long where = 0;

	EQ(mkdir("d", 0755), 0);
	fd = open("d", O_RDONLY | O_DIRECTORY);
	n = (int)syscall(SYS_getdents64, fd, buf, sizeof(buf));
	EQ(n, 48);
	EQ(syscall(SYS_getdents64, fd, buf, sizeof(buf)), 0);
	for (int i = 0; i < 500; i++) {
		sprintf(name, "d/file-%d", i);
		touch(name);
	}
	EQ(mkdir("d/sub", 0755), 0);
	EQ(symlink("x", "d/link"), 0);
	EQ(lseek(fd, 0, SEEK_SET), 0);
	FAILS(syscall(SYS_getdents64, fd, buf, 10), EINVAL);
	FAILS(syscall(SYS_getdents64, fd, bad_address, 4096), EFAULT);
	while ((n = (int)syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0)
		for (int at = 0; at < n; at += d->reclen) {
			d = (struct dirent64_ *)(buf + at);
			seen++;
			if (!strcmp(d->name, "sub"))
				EQ(d->type, DT_DIR);
			if (!strcmp(d->name, "link"))
				EQ(d->type, DT_LNK);
			if (!strcmp(d->name, "file-7")) {
				EQ(d->type, DT_REG);
				EQ(d->ino, inode("d/file-7"));
			}
		}
	EQ(n, 0);
	EQ(seen, 504);
	close(fd);
	FAILS(syscall(SYS_getdents64, fd, buf, sizeof(buf)), EBADF);
	/* Removal while reading loses and repeats no other entry; seekdir(3) leads back. */
	dp = opendir("d");
	seen = 0;
	while ((e = readdir(dp))) {
		if (seen == 100)
			where = telldir(dp);
		if (!strncmp(e->d_name, "file-", 5)) {
			sprintf(name, "d/%s", e->d_name);
			EQ(unlink(name), 0);
		}
		seen++;
	}
	EQ(seen, 504);
	CHECK(where != 0);
	rewinddir(dp);
	for (seen = 0; (e = readdir(dp)); seen++)
		;
	EQ(seen, 4);
	closedir(dp);
	EQ(unlink("d/link"), 0);
	EQ(rmdir("d/sub"), 0);
	fd = open("d", O_RDONLY | O_DIRECTORY);
	EQ(rmdir("d"), 0);
	FAILS(syscall(SYS_getdents64, fd, buf, sizeof(buf)), ENOENT);
	close(fd);
	touch("f");
	fd = open("f", O_RDONLY);
	FAILS(syscall(SYS_getdents64, fd, buf, sizeof(buf)), ENOTDIR);
	close(fd);
	unlink("f");
}

static void working_directory(void)
{
	char buf[256];
	int fd;

	EQ(mkdir("w", 0755), 0);
	touch("f");
	FAILS(chdir("f"), ENOTDIR);
	FAILS(chdir("missing"), ENOENT);
	EQ(chdir("w"), 0);
	EQ(syscall(SYS_getcwd, buf, sizeof(buf)), strlen(dir) + 3);
	FAILS(syscall(SYS_getcwd, buf, 5), ERANGE);
	FAILS(syscall(SYS_getcwd, bad_address, 256), EFAULT);
	EQ(chdir("./././.."), 0);
	fd = open("w", O_RDONLY);
	EQ(fchdir(fd), 0);
	EQ(chdir(".."), 0);
	close(fd);
	fd = open("f", O_RDONLY);
	FAILS(fchdir(fd), ENOTDIR);
	close(fd);
	FAILS(fchdir(-1), EBADF);
	EQ(chdir("/../.."), 0);
	EQ(syscall(SYS_getcwd, buf, sizeof(buf)), 2);
	EQ(chdir(dir), 0);
	EQ(unlink("f"), 0);
	EQ(rmdir("w"), 0);
}

static void roots(void)
{
	int status;

	if (geteuid())
		return;
	EQ(mkdir("jail", 0755), 0);
	EQ(mkdir("jail/in", 0755), 0);
	touch("jail/f");
	EQ(symlink("/f", "jail/abs"), 0);
	if (!fork()) {
		char buf[64];
		int before = check_failures;

		EQ(chroot("jail"), 0);
		EQ(chdir("/in"), 0);
		EQ(syscall(SYS_getcwd, buf, sizeof(buf)), 4);
		EQ(chdir("/.."), 0);
		EQ(access("f", F_OK), 0);
		EQ(access("../../../f", F_OK), 0);
		EQ(access("abs", F_OK), 0);
		FAILS(access("/proc", F_OK), ENOENT);
		_exit(check_failures != before);
	}
	wait(&status);
	EQ(status, 0);
	EQ(unlink("jail/abs"), 0);
	EQ(unlink("jail/f"), 0);
	EQ(rmdir("jail/in"), 0);
	EQ(rmdir("jail"), 0);
}

static void long_names(void)
{
	char name[256], path[600];

	memset(name, 'n', 255);
	name[255] = 0;
	EQ(mkdir(name, 0755), 0);
	sprintf(path, "%s/%s", name, name);
	touch(path);
	EQ(access(path, F_OK), 0);
	EQ(rename(path, "short"), 0);
	EQ(rename("short", path), 0);
	EQ(unlink(path), 0);
	EQ(rmdir(name), 0);
}

/* A tree deeper than any path name: it can be made, walked back and removed. */
static void deep_tree(void)
{
	int depth = 0;

	for (; depth < 1500; depth++) {
		if (mkdir("deep-directory", 0755) || chdir("deep-directory"))
			break;
	}
	EQ(depth, 1500);
	touch("f");
	EQ(access("f", F_OK), 0);
	EQ(unlink("f"), 0);
	for (; depth > 0; depth--) {
		if (chdir("..") || rmdir("deep-directory"))
			break;
	}
	EQ(depth, 0);
	EQ(chdir(dir), 0);
}

static volatile int stop;

static void *renamer(void *arg)
{
	while (!stop) {
		rename("race/a/x", "race/b/x");
		rename("race/b/x", "race/a/x");
		rename("race/a", "race/c");
		rename("race/c", "race/a");
	}
	return NULL;
}

static void *maker(void *arg)
{
	char name[64];

	for (int i = 0; i < 300; i++) {
		sprintf(name, "race/%s-%d", (char *)arg, i);
		close(open(name, O_CREAT | O_EXCL | O_RDWR, 0600));
		if (unlink(name))
			return (void *)1;
	}
	return NULL;
}

static void races(void)
{
	pthread_t t[4];
	void *failed;

	EQ(mkdir("race", 0755), 0);
	EQ(mkdir("race/a", 0755), 0);
	EQ(mkdir("race/b", 0755), 0);
	EQ(mkdir("race/a/x", 0755), 0);
	pthread_create(&t[0], NULL, renamer, NULL);
	pthread_create(&t[1], NULL, renamer, NULL);
	pthread_create(&t[2], NULL, maker, "m");
	pthread_create(&t[3], NULL, maker, "n");
	for (int i = 2; i < 4; i++) {
		pthread_join(t[i], &failed);
		CHECK(!failed);
	}
	stop = 1;
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	rename("race/c", "race/a");
	rename("race/b/x", "race/a/x");
	EQ(rmdir("race/a/x"), 0);
	EQ(rmdir("race/a"), 0);
	EQ(rmdir("race/b"), 0);
	EQ(rmdir("race"), 0);
}

/* rename(2): what slashes and dots are told with each of the flags. */
static void exchanged_slashes(void)
{
	char base[128] = "/tmp/exchangeXXXXXX", f[160], d[160], slash[160];

	if (!mkdtemp(in_test_dir(base)))
		return;
	snprintf(f, sizeof(f), "%s/f", base);
	snprintf(d, sizeof(d), "%s/d", base);
	snprintf(slash, sizeof(slash), "%s/d/", base);
	close(open(f, O_CREAT | O_WRONLY, 0600));
	EQ(mkdir(d, 0700), 0);
	FAILS(rename(f, slash), ENOTDIR);
	EQ(syscall(SYS_renameat2, AT_FDCWD, f, AT_FDCWD, slash, 2 /* RENAME_EXCHANGE */), 0);
	snprintf(slash, sizeof(slash), "%s/d/", base); /* the file is there now */
	FAILS(syscall(SYS_renameat2, AT_FDCWD, f, AT_FDCWD, slash, 2), ENOTDIR);
	snprintf(slash, sizeof(slash), "%s/.", base);
	FAILS(syscall(SYS_renameat2, AT_FDCWD, slash, AT_FDCWD, slash, 1 /* RENAME_NOREPLACE */), EBUSY);
	FAILS(syscall(SYS_renameat2, AT_FDCWD, d, AT_FDCWD, slash, 1), EEXIST);
	EQ(unlink(d), 0);
	EQ(rmdir(f), 0);
	EQ(rmdir(base), 0);
}

int main(void)
{
	CHECK(mkdtemp(in_test_dir(dir)));
	EQ(chdir(dir), 0);
	RUN(directories);
	RUN(hard_links);
	RUN(renames);
	RUN(renames2);
	RUN(moved_directory);
	RUN(nodes);
	RUN(listings);
	RUN(working_directory);
	RUN(roots);
	RUN(long_names);
	RUN(deep_tree);
	RUN(races);
	EQ(chdir("/"), 0);
	EQ(rmdir(dir), 0);
	RUN(exchanged_slashes);
	DONE();
}
