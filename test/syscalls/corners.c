/* Corner cases of calls on files: which error comes first, and what few programs ask for. */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/membarrier.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>

#include "check.h"

static char dir[128];
static int fd, pipes[2];

static void prepare(void)
{
	strcpy(dir, "/dev/shm/corners-XXXXXX"); /* a tmpfs, natively too */
	CHECK(mkdtemp(dir) && !chdir(dir));
	fd = open("f", O_RDWR | O_CREAT, 0644);
	EQ(write(fd, "hello world", 11), 11);
	EQ(symlink("f", "link"), 0);
	EQ(pipe(pipes), 0);
}

/* read(2): "EINVAL ... or the file offset is not suitably aligned" nor has a place; pwrite(2), lseek(2) */
static void positions(void)
{
	char c[8] = "";
	loff_t far = -1, zero = 0;
	int d = open(".", O_RDONLY);

	FAILS(pread(fd, c, 5, INT64_MAX), EINVAL);
	FAILS(pwrite(fd, c, 5, INT64_MAX), EINVAL);
	EQ(pread(fd, c, 0, INT64_MAX), 0);
	EQ(lseek(d, 10000, SEEK_SET), 10000);
	close(d);
	FAILS(copy_file_range(fd, &far, fd, &zero, 1, 0), EOVERFLOW);
	FAILS(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0x7ffffffffffff000) == MAP_FAILED ? -1 : 0, EOVERFLOW);
	FAILS(syscall(SYS_readahead, fd, 0L, -1L), EINVAL);
}

/* lseek(2) on descriptors of events does nothing, pread(2) fails */
static void events_do_not_seek(void)
{
	sigset_t s;
	int fds[5] = { eventfd(0, EFD_NONBLOCK), timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), epoll_create1(0), inotify_init1(IN_NONBLOCK) };
	char buf[256];

	sigemptyset(&s);
	fds[4] = signalfd(-1, &s, SFD_NONBLOCK);
	for (int i = 0; i < 4; i++) {
		EQ(lseek(fds[i], 100, SEEK_SET), 0);
		CHECK(pread(fds[i], buf, sizeof(buf), 0) == -1 && (errno == ESPIPE || errno == EINVAL));
		FAILS(splice(fds[i], NULL, pipes[1], NULL, 8, SPLICE_F_NONBLOCK), EINVAL);
		lseek(fd, 0, SEEK_SET);
		CHECK(sendfile(fds[i], fd, NULL, 8) == -1 && (errno == EINVAL || errno == EBADF));
	}
	EQ(lseek(fds[4], 100, SEEK_SET), 0);
	for (int i = 0; i < 5; i++)
		close(fds[i]);
}

/* fcntl(2), "File read/write hints" */
static void write_hints(void)
{
	uint64_t hint = RWH_WRITE_LIFE_SHORT;

	EQ(fcntl(fd, F_SET_RW_HINT, &hint), 0);
	hint = 77;
	EQ(fcntl(fd, F_GET_RW_HINT, &hint), 0);
	EQ(hint, RWH_WRITE_LIFE_SHORT);
	hint = 6;
	FAILS(fcntl(fd, F_SET_RW_HINT, &hint), EINVAL);
	FAILS(fcntl(fd, F_GET_RW_HINT, (void *)1), EFAULT);
	hint = 0;
	EQ(fcntl(fd, F_SET_RW_HINT, &hint), 0);
}

/* ioctl_iflags(2); tmpfs knows them since Linux 6.0 */
static void inode_flags(void)
{
	struct fsxattr x;
	int flags = -1, other;

	EQ(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
	EQ(flags & (FS_IMMUTABLE_FL | FS_APPEND_FL), 0);
	flags = FS_NODUMP_FL;
	EQ(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
	flags = 0;
	EQ(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
	EQ(flags & FS_NODUMP_FL, FS_NODUMP_FL);
	EQ(ioctl(fd, FS_IOC_FSGETXATTR, &x), 0);
	EQ(x.fsx_xflags & FS_XFLAG_NODUMP, FS_XFLAG_NODUMP);
	FAILS(ioctl(fd, FS_IOC_GETFLAGS, (void *)1), EFAULT);
	FAILS(ioctl(pipes[0], FS_IOC_GETFLAGS, &flags), ENOTTY);
	flags = FS_COMPR_FL;
	FAILS(ioctl(fd, FS_IOC_SETFLAGS, &flags), EOPNOTSUPP);
	FAILS(ioctl(pipes[0], FIOQSIZE, &x), ENOTTY);
	flags = 1;
	FAILS(ioctl(fd, FIOASYNC, &flags), ENOTTY);
	FAILS(ioctl(fd, FICLONE, fd), EOPNOTSUPP);
	other = open("immutable", O_RDWR | O_CREAT, 0644);
	flags = FS_IMMUTABLE_FL;
	if (ioctl(other, FS_IOC_SETFLAGS, &flags)) {
		CHECK(errno == EPERM); /* without CAP_LINUX_IMMUTABLE */
		close(other);
		return;
	}
	FAILS(open("immutable", O_WRONLY), EPERM);
	FAILS(unlink("immutable"), EPERM);
	FAILS(chmod("immutable", 0600), EPERM);
	FAILS(rename("immutable", "x"), EPERM);
	flags = FS_APPEND_FL;
	EQ(ioctl(other, FS_IOC_SETFLAGS, &flags), 0);
	FAILS(open("immutable", O_WRONLY), EPERM);
	FAILS(truncate("immutable", 0), EPERM);
	EQ(close(open("immutable", O_WRONLY | O_APPEND)), 0);
	flags = 0;
	EQ(ioctl(other, FS_IOC_SETFLAGS, &flags), 0);
	EQ(unlink("immutable"), 0);
	close(other);
}

/* openat2(2): RESOLVE_CACHED, and what O_PATH takes */
static void cached_names(void)
{
	struct open_how how = { .flags = O_RDONLY, .resolve = RESOLVE_CACHED };
	int got = (int)syscall(SYS_openat2, AT_FDCWD, "f", &how, sizeof(how));

	CHECK(got >= 0);
	close(got);
	how.flags = O_RDONLY | O_TRUNC;
	FAILS(syscall(SYS_openat2, AT_FDCWD, "f", &how, sizeof(how)), EAGAIN);
	how.flags = O_RDWR | O_CREAT;
	FAILS(syscall(SYS_openat2, AT_FDCWD, "other", &how, sizeof(how)), EAGAIN);
	how = (struct open_how){ .flags = O_PATH | O_RDWR };
	FAILS(syscall(SYS_openat2, AT_FDCWD, "f", &how, sizeof(how)), EINVAL);
}

static void orders(void)
{
	int path = open("f", O_PATH), d = open(".", O_RDONLY), in = inotify_init();
	char buf[16];
	struct iovec v = { buf, 1 };

	FAILS(readlinkat(path, "", buf, 10), ENOENT);
	FAILS(readlink("", buf, 10), ENOENT);
	FAILS(readlink("f", buf, 10), EINVAL);
	FAILS(syscall(SYS_utimensat, path, NULL, NULL, 0), EBADF);
	FAILS(vmsplice(pipes[1], &v, 1, 0x10), EINVAL);
	FAILS(splice(d, NULL, pipes[1], NULL, 8, 0), EINVAL);
	FAILS(copy_file_range(fd, NULL, d, NULL, 1, 0), EISDIR);
	EQ(inotify_add_watch(in, "f", IN_ONESHOT), 1);
	EQ(msync((void *)0x10000, -1ul, MS_SYNC), 0); /* no page, when the length is rounded up */
	FAILS(setxattr("f", "security.capability", "v", 1, 0), EINVAL);
	FAILS(syscall(SYS_pkey_alloc, 0, 4), EINVAL);
	close(path);
	close(d);
	close(in);
}

/* open_by_handle_at(2) */
static void handles(void)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = { .h.handle_bytes = 0 };
	int mount, d = open(".", O_RDONLY), got, path = open("f", O_PATH);
	struct stat a, b;

	FAILS(name_to_handle_at(AT_FDCWD, "f", &u.h, &mount, 0), EOVERFLOW);
	CHECK(u.h.handle_bytes >= 8 && u.h.handle_bytes <= MAX_HANDLE_SZ);
	EQ(name_to_handle_at(AT_FDCWD, "f", &u.h, &mount, 0), 0);
	FAILS(name_to_handle_at(AT_FDCWD, "", &u.h, &mount, 0), ENOENT);
	EQ(name_to_handle_at(path, "", &u.h, &mount, AT_EMPTY_PATH), 0);
	FAILS(name_to_handle_at(AT_FDCWD, "f", &u.h, &mount, 0x8000), EINVAL);
	FAILS(name_to_handle_at(AT_FDCWD, "f", (void *)1, &mount, 0), EFAULT);
	FAILS(name_to_handle_at(AT_FDCWD, "f", &u.h, (void *)1, 0), EFAULT);
	got = open_by_handle_at(d, &u.h, O_RDONLY);
	if (got < 0) {
		CHECK(errno == EPERM); /* without CAP_DAC_READ_SEARCH */
	} else {
		CHECK(!fstat(got, &a) && !fstat(fd, &b) && a.st_ino == b.st_ino && a.st_dev == b.st_dev);
		close(got);
		FAILS(open_by_handle_at(-1, &u.h, O_RDONLY), EBADF);
		FAILS(open_by_handle_at(d, (void *)1, O_RDONLY), EFAULT);
		EQ(name_to_handle_at(AT_FDCWD, ".", &u.h, &mount, 0), 0);
		got = open_by_handle_at(d, &u.h, O_RDONLY | O_DIRECTORY);
		CHECK(got >= 0 && !faccessat(got, "f", R_OK, 0));
		close(got);
		u.h.f_handle[5] ^= 0x55;
		FAILS(open_by_handle_at(d, &u.h, O_RDONLY), ESTALE);
		u.h.handle_bytes = 0;
		FAILS(open_by_handle_at(d, &u.h, O_RDONLY), EINVAL);
	}
	u.h.handle_bytes = MAX_HANDLE_SZ + 1;
	FAILS(name_to_handle_at(AT_FDCWD, "f", &u.h, &mount, 0), EINVAL);
	u.h.handle_bytes = MAX_HANDLE_SZ;
	FAILS(name_to_handle_at(AT_FDCWD, "/proc/self/status", &u.h, &mount, 0), EOPNOTSUPP);
	close(d);
	close(path);
}

/* membarrier(2): MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, since Linux 5.10 */
static void rseq_barriers(void)
{
	CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) & MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ);
	FAILS(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0), EPERM);
	EQ(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0), 0);
	EQ(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0), 0);
	EQ(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, MEMBARRIER_CMD_FLAG_CPU, 0), 0);
	FAILS(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 2, 0), EINVAL);
	FAILS(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, MEMBARRIER_CMD_FLAG_CPU, 0), EINVAL);
}

/* proc_loadavg(5), getloadavg(3): the same in both, and above nothing after more than a sample's time of work */
static void load_averages(void)
{
	double proc = -1;
	struct sysinfo si;
	struct timespec a, b;
	FILE *f;

	clock_gettime(CLOCK_MONOTONIC, &a);
	do
		clock_gettime(CLOCK_MONOTONIC, &b);
	while ((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 5600);
	f = fopen("/proc/loadavg", "r");
	CHECK(f && fscanf(f, "%lf", &proc) == 1 && proc > 0.0);
	CHECK(!sysinfo(&si) && si.loads[0] > 0);
	CHECK((double)si.loads[0] / 65536 - proc < 0.2 && proc - (double)si.loads[0] / 65536 < 0.2);
	fclose(f);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	prepare();
	RUN(positions);
	RUN(events_do_not_seek);
	RUN(write_hints);
	RUN(inode_flags);
	RUN(cached_names);
	RUN(orders);
	RUN(handles);
	RUN(rseq_barriers);
	RUN(load_averages);
	unlink("f");
	unlink("link");
	CHECK(!chdir("/") && !rmdir(dir));
	DONE();
}
