/* io_uring(7), io_uring_setup(2), io_uring_enter(2), io_uring_register(2). */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <liburing.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static struct io_uring ring;

static int setup(unsigned n, struct io_uring_params *p)
{
	return syscall(__NR_io_uring_setup, n, p);
}

static int enter(int fd, unsigned submit, unsigned min, unsigned flags)
{
	return syscall(__NR_io_uring_enter, fd, submit, min, flags, NULL, 0);
}

static struct io_uring_sqe *sqe(__u64 data)
{
	struct io_uring_sqe *s = io_uring_get_sqe(&ring);

	memset(s, 0, sizeof(*s));
	s->user_data = data;
	return s;
}
/* Prepare with liburing's function, which clears user_data in some versions: set it last. */
#define PREP(data, fn, ...)                                                             \
	({                                                                              \
		struct io_uring_sqe *s__ = sqe(0);                                      \
		fn(s__, ##__VA_ARGS__);                                                 \
		s__->user_data = (data);                                                \
		s__;                                                                    \
	})

/* The result of the request with this number, which must be among the completions that come; others are kept. */
static struct {
	__u64 data;
	int res;
	unsigned flags;
} seen[256];
static unsigned nseen;
static unsigned last_flags;
static int result(__u64 data)
{
	struct io_uring_cqe *c;
	struct __kernel_timespec limit = { .tv_sec = 20 };

	for (;;) {
		for (unsigned i = 0; i < nseen; i++)
			if (seen[i].data == data) {
				int res = seen[i].res;

				last_flags = seen[i].flags;
				memmove(&seen[i], &seen[i + 1], (--nseen - i) * sizeof(seen[0]));
				return res;
			}
		if (io_uring_wait_cqe_timeout(&ring, &c, &limit))
			return -9999;
		seen[nseen].data = c->user_data;
		seen[nseen].flags = c->flags;
		seen[nseen++].res = c->res;
		io_uring_cqe_seen(&ring, c);
	}
}

static int none_yet(void)
{
	struct io_uring_cqe *c;

	return !nseen && io_uring_peek_cqe(&ring, &c) == -EAGAIN;
}

/* Submit what is prepared and take the result of `data`. */
static int run(__u64 data)
{
	io_uring_submit(&ring);
	return result(data);
}

static void pass(void)
{
	struct timespec ts = { .tv_nsec = 20000000 };

	nanosleep(&ts, NULL);
}

static void fresh(unsigned flags)
{
	nseen = 0;
	if (io_uring_queue_init(16, &ring, flags))
		exit(77);
}

/* ---- setting up ---- */

static void setup_errors(void)
{
	struct io_uring_params p = { 0 };
	int fd;

	FAILS(setup(0, &p), EINVAL);
	FAILS(setup(32769, &p), EINVAL);
	FAILS(setup(8, NULL), EFAULT);
	FAILS(setup(8, (void *)-4096), EFAULT);
	p.flags = 1u << 31;
	FAILS(setup(8, &p), EINVAL);
	memset(&p, 0, sizeof(p));
	p.resv[1] = 1;
	FAILS(setup(8, &p), EINVAL);
	memset(&p, 0, sizeof(p));
	p.flags = IORING_SETUP_CQSIZE;
	FAILS(setup(8, &p), EINVAL);
	p.cq_entries = 4;
	FAILS(setup(8, &p), EINVAL);
	p.flags = IORING_SETUP_TASKRUN_FLAG;
	FAILS(setup(8, &p), EINVAL);
	p.flags = IORING_SETUP_DEFER_TASKRUN;
	FAILS(setup(8, &p), EINVAL);
	memset(&p, 0, sizeof(p));
	p.flags = IORING_SETUP_CLAMP;
	fd = setup(1 << 20, &p);
	CHECK(fd >= 0);
	EQ(p.sq_entries, 32768);
	EQ(p.cq_entries, 65536);
	close(fd);
}

static void setup_answers(void)
{
	struct io_uring_params p = { .flags = IORING_SETUP_CQSIZE, .cq_entries = 100 };
	int fd = setup(5, &p);

	CHECK(fd >= 0);
	EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EQ(p.sq_entries, 8);
	EQ(p.cq_entries, 128);
	CHECK(p.features & IORING_FEAT_SINGLE_MMAP);
	CHECK(p.features & IORING_FEAT_NODROP);
	CHECK(p.features & IORING_FEAT_SUBMIT_STABLE);
	CHECK(p.features & IORING_FEAT_RW_CUR_POS);
	CHECK(p.features & IORING_FEAT_FAST_POLL);
	CHECK(p.features & IORING_FEAT_EXT_ARG);
	CHECK(p.features & IORING_FEAT_CQE_SKIP);
	CHECK(p.sq_off.array && p.cq_off.cqes);
	close(fd);
}

static void mapping(void)
{
	struct io_uring_params p = { 0 };
	int fd = setup(8, &p);
	size_t len = p.sq_off.array + p.sq_entries * 4;
	char *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	char *cq = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_CQ_RING);

	CHECK(at != MAP_FAILED);
	CHECK(cq != MAP_FAILED);
	EQ(*(unsigned *)(at + p.sq_off.ring_entries), 8);
	EQ(*(unsigned *)(at + p.sq_off.ring_mask), 7);
	EQ(*(unsigned *)(at + p.cq_off.ring_entries), 16);
	EQ(*(unsigned *)(cq + p.cq_off.ring_mask), 15);
	*(unsigned *)(at + p.sq_off.array) = 3; /* one memory, two views */
	EQ(*(unsigned *)(cq + p.sq_off.array), 3);
	CHECK(mmap(NULL, 8 * 64, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES) != MAP_FAILED);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0x50000000) == MAP_FAILED);
	close(fd);
	EQ(*(unsigned *)(at + p.sq_off.ring_entries), 8); /* the mapping holds it */
	munmap(at, len), munmap(cq, len);
}

static void enter_errors(void)
{
	struct io_uring_params p = { 0 }, off = { .flags = IORING_SETUP_R_DISABLED };
	int fd = setup(8, &p), other = open("/dev/null", O_RDWR), disabled = setup(8, &off);

	FAILS(enter(999, 0, 0, 0), EBADF);
	FAILS(enter(other, 0, 0, 0), EOPNOTSUPP);
	FAILS(enter(fd, 0, 0, 1u << 31), EINVAL);
	EQ(enter(fd, 0, 0, 0), 0);
	EQ(enter(fd, 5, 0, 0), 0); /* nothing is there */
	FAILS(enter(disabled, 0, 0, 0), EBADFD);
	FAILS(syscall(__NR_io_uring_enter, fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, NULL, 3), EINVAL);
	FAILS(syscall(__NR_io_uring_enter, fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, (void *)-4096,
		      sizeof(struct io_uring_getevents_arg)), EFAULT);
	FAILS(syscall(__NR_io_uring_register, 999, IORING_REGISTER_PROBE, NULL, 0), EBADF);
	FAILS(syscall(__NR_io_uring_register, other, IORING_REGISTER_PROBE, NULL, 0), EOPNOTSUPP);
	FAILS(syscall(__NR_io_uring_register, fd, 10000, NULL, 0), EINVAL);
	FAILS(read(fd, &p, 8), EINVAL);
	close(fd), close(other), close(disabled);
}

/* ---- completions ---- */

static void nop(void)
{
	struct io_uring_cqe *c;

	fresh(0);
	sqe(7);
	sqe(8);
	EQ(io_uring_submit(&ring), 2);
	EQ(result(7), 0);
	EQ(result(8), 0);
	CHECK(none_yet());
	sqe(1)->opcode = 200;
	EQ(run(1), -EINVAL);
	sqe(2)->flags = 0x80;
	EQ(run(2), -EINVAL);
	sqe(3)->ioprio = 1;
	EQ(run(3), -EINVAL);
	sqe(4)->flags = IOSQE_BUFFER_SELECT;
	EQ(run(4), -EOPNOTSUPP);
	sqe(5)->personality = 9;
	EQ(run(5), -EINVAL);
	sqe(6)->flags = IOSQE_CQE_SKIP_SUCCESS;
	sqe(9);
	EQ(run(9), 0);
	CHECK(none_yet());
	sqe(1)->opcode = 200; /* an error ends the submission */
	sqe(2);
	EQ(io_uring_submit(&ring), 1);
	EQ(result(1), -EINVAL);
	EQ(io_uring_peek_cqe(&ring, &c), -EAGAIN);
	EQ(run(2), 0);
	io_uring_queue_exit(&ring);
}

static void submit_all(void)
{
	fresh(IORING_SETUP_SUBMIT_ALL);
	sqe(1)->opcode = 200;
	sqe(2);
	EQ(io_uring_submit(&ring), 2);
	EQ(result(1), -EINVAL);
	EQ(result(2), 0);
	io_uring_queue_exit(&ring);
}

static void overflow(void)
{
	struct io_uring_cqe *c;
	unsigned n = 0;

	nseen = 0;
	EQ(io_uring_queue_init(4, &ring, 0), 0); /* eight completions */
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 4; i++)
			sqe(100 + round * 4 + i);
		EQ(io_uring_submit(&ring), 4);
	}
	CHECK(*ring.sq.kflags & IORING_SQ_CQ_OVERFLOW);
	while (!io_uring_wait_cqe_nr(&ring, &c, 1)) {
		EQ(c->user_data, 100 + n); /* none is lost, all in order */
		io_uring_cqe_seen(&ring, c);
		if (++n == 20)
			break;
	}
	EQ(n, 20);
	CHECK(!(*ring.sq.kflags & IORING_SQ_CQ_OVERFLOW));
	io_uring_queue_exit(&ring);
}

static void large_entries(void)
{
	nseen = 0;
	EQ(io_uring_queue_init(4, &ring, IORING_SETUP_SQE128 | IORING_SETUP_CQE32), 0);
	for (int i = 0; i < 12; i++) {
		sqe(i);
		EQ(run(i), 0);
	}
	io_uring_queue_exit(&ring);
}

static void probe(void)
{
	struct io_uring_probe *p;

	fresh(0);
	p = io_uring_get_probe_ring(&ring);
	CHECK(p != NULL);
	for (int op = IORING_OP_NOP; op <= IORING_OP_SOCKET; op++)
		if (op != IORING_OP_URING_CMD)
			EQ(io_uring_opcode_supported(p, op), 1);
	EQ(io_uring_register_probe(&ring, p, 2), -EINVAL); /* must be zero */
	io_uring_free_probe(p);
	io_uring_queue_exit(&ring);
}

/* ---- files ---- */

static int temp(void)
{
	char name[128] = "/tmp/uring.XXXXXX";
	int fd = mkstemp(in_test_dir(name));

	unlink(name);
	return fd;
}

static void read_write(void)
{
	char buf[16] = { 0 }, b2[8] = { 0 };
	struct iovec v[2] = { { buf, 3 }, { b2, 3 } };
	int fd = temp(), ro = open("/proc/self/exe", O_RDONLY);

	fresh(0);
	PREP(1, io_uring_prep_write, fd, "hello world", 11, 0);
	EQ(run(1), 11);
	EQ(lseek(fd, 0, SEEK_CUR), 0);
	PREP(2, io_uring_prep_read, fd, buf, 5, 6);
	EQ(run(2), 5);
	CHECK(!memcmp(buf, "world", 5));
	PREP(3, io_uring_prep_readv, fd, v, 2, 0);
	EQ(run(3), 6);
	CHECK(!memcmp(buf, "hel", 3) && !memcmp(b2, "lo ", 3));
	PREP(4, io_uring_prep_writev, fd, v, 2, 20);
	EQ(run(4), 6);
	PREP(5, io_uring_prep_read, fd, buf, 4, -1); /* the file's own position */
	EQ(run(5), 4);
	EQ(lseek(fd, 0, SEEK_CUR), 4);
	PREP(6, io_uring_prep_read, fd, buf, 4, 100);
	EQ(run(6), 0);
	PREP(7, io_uring_prep_read, 999, buf, 4, 0);
	EQ(run(7), -EBADF);
	PREP(8, io_uring_prep_write, ro, buf, 4, 0);
	EQ(run(8), -EBADF);
	PREP(9, io_uring_prep_read, fd, (void *)8, 4, 0);
	EQ(run(9), -EFAULT);
	PREP(10, io_uring_prep_readv, fd, (void *)8, 1, 0);
	EQ(run(10), -EFAULT);
	PREP(11, io_uring_prep_write, fd, "end", 3, 0)->rw_flags = RWF_APPEND;
	EQ(run(11), 3);
	EQ(lseek(fd, 0, SEEK_END), 29);
	PREP(12, io_uring_prep_read, fd, buf, 4, 0)->rw_flags = 0x40000000;
	EQ(run(12), -EOPNOTSUPP);
	io_uring_queue_exit(&ring);
	close(fd), close(ro);
}

static void on_open_files(void)
{
	struct stat st;
	int fd = temp();

	fresh(0);
	PREP(1, io_uring_prep_fallocate, fd, 0, 0, 8192);
	EQ(run(1), 0);
	EQ(fstat(fd, &st), 0);
	EQ(st.st_size, 8192);
	PREP(2, io_uring_prep_fsync, fd, 0);
	EQ(run(2), 0);
	PREP(3, io_uring_prep_fsync, fd, IORING_FSYNC_DATASYNC);
	EQ(run(3), 0);
	PREP(4, io_uring_prep_fsync, fd, 8);
	EQ(run(4), -EINVAL);
	PREP(5, io_uring_prep_fadvise, fd, 0, 4096, POSIX_FADV_WILLNEED);
	EQ(run(5), 0);
	PREP(6, io_uring_prep_fadvise, fd, 0, 4096, 99);
	EQ(run(6), -EINVAL);
	PREP(7, io_uring_prep_sync_file_range, fd, 4096, 0, 0);
	EQ(run(7), 0);
	PREP(8, io_uring_prep_fallocate, fd, 0, 0, 0);
	EQ(run(8), -EINVAL);
	PREP(9, io_uring_prep_close, fd);
	EQ(run(9), 0);
	FAILS(close(fd), EBADF);
	PREP(10, io_uring_prep_close, fd);
	EQ(run(10), -EBADF);
	PREP(11, io_uring_prep_close, ring.ring_fd);
	EQ(run(11), -EBADF);
	PREP(12, io_uring_prep_fsync, 999, 0);
	EQ(run(12), -EBADF);
	io_uring_queue_exit(&ring);
}

static void names(void)
{
	char dir[128] = "/tmp/uring.XXXXXX";
	struct open_how how = { .flags = O_RDWR | O_CREAT, .mode = 0600 };
	struct statx sx;
	struct stat st;
	int d, fd;

	CHECK(mkdtemp(in_test_dir(dir)) != NULL);
	d = open(dir, O_RDONLY | O_DIRECTORY);
	fresh(0);
	PREP(1, io_uring_prep_openat, d, "a", O_RDWR | O_CREAT | O_EXCL, 0640);
	fd = run(1);
	CHECK(fd > 2);
	EQ(fstat(fd, &st), 0);
	EQ(st.st_mode & 0777, 0640 & ~022);
	close(fd);
	PREP(2, io_uring_prep_openat, d, "a", O_RDWR | O_CREAT | O_EXCL, 0640);
	EQ(run(2), -EEXIST);
	PREP(3, io_uring_prep_openat, d, "none", O_RDONLY, 0);
	EQ(run(3), -ENOENT);
	PREP(4, io_uring_prep_openat2, d, "b", &how);
	fd = run(4);
	CHECK(fd > 2);
	close(fd);
	how.resolve = 1u << 31;
	PREP(5, io_uring_prep_openat2, d, "b", &how);
	EQ(run(5), -EINVAL);
	PREP(6, io_uring_prep_statx, d, "b", 0, STATX_BASIC_STATS, &sx);
	EQ(run(6), 0);
	EQ(sx.stx_mode & 0777, 0600);
	PREP(7, io_uring_prep_statx, d, "none", 0, STATX_BASIC_STATS, &sx);
	EQ(run(7), -ENOENT);
	PREP(8, io_uring_prep_mkdirat, d, "dir", 0700);
	EQ(run(8), 0);
	PREP(9, io_uring_prep_mkdirat, d, "dir", 0700);
	EQ(run(9), -EEXIST);
	PREP(10, io_uring_prep_renameat, d, "b", d, "c", 0);
	EQ(run(10), 0);
	PREP(11, io_uring_prep_renameat, d, "a", d, "c", 1 /* RENAME_NOREPLACE */);
	EQ(run(11), -EEXIST);
	PREP(12, io_uring_prep_linkat, d, "c", d, "hard", 0);
	EQ(run(12), 0);
	EQ(fstatat(d, "c", &st, 0), 0);
	EQ(st.st_nlink, 2);
	PREP(13, io_uring_prep_symlinkat, "c", d, "soft");
	EQ(run(13), 0);
	EQ(fstatat(d, "soft", &st, AT_SYMLINK_NOFOLLOW), 0);
	CHECK(S_ISLNK(st.st_mode));
	PREP(14, io_uring_prep_unlinkat, d, "soft", 0);
	EQ(run(14), 0);
	PREP(15, io_uring_prep_unlinkat, d, "dir", 0);
	EQ(run(15), -EISDIR);
	PREP(16, io_uring_prep_unlinkat, d, "dir", AT_REMOVEDIR);
	EQ(run(16), 0);
	for (const char *const *n = (const char *const[]){ "a", "c", "hard", NULL }; *n; n++)
		EQ(unlinkat(d, *n, 0), 0);
	close(d);
	EQ(rmdir(dir), 0);
	io_uring_queue_exit(&ring);
}

static void attributes(void)
{
	char name[128] = "/tmp/uring.XXXXXX", buf[16];
	int fd = mkstemp(in_test_dir(name));

	fresh(0);
	if (setxattr(name, "user.t", "v", 1, 0) == 0) {
		PREP(1, io_uring_prep_setxattr, "user.a", "one", name, 0, 3);
		EQ(run(1), 0);
		PREP(2, io_uring_prep_fsetxattr, fd, "user.b", "two", 0, 3);
		EQ(run(2), 0);
		PREP(3, io_uring_prep_getxattr, "user.b", buf, name, sizeof(buf));
		EQ(run(3), 3);
		CHECK(!memcmp(buf, "two", 3));
		PREP(4, io_uring_prep_fgetxattr, fd, "user.a", buf, sizeof(buf));
		EQ(run(4), 3);
		CHECK(!memcmp(buf, "one", 3));
		PREP(5, io_uring_prep_fgetxattr, fd, "user.c", buf, sizeof(buf));
		EQ(run(5), -ENODATA);
	}
	io_uring_queue_exit(&ring);
	unlink(name);
	close(fd);
}

/* ---- what has to wait ---- */

static void pipe_read(void)
{
	char buf[8];
	int p[2];

	EQ(pipe(p), 0);
	fresh(0);
	PREP(1, io_uring_prep_read, p[0], buf, 4, 0);
	EQ(io_uring_submit(&ring), 1);
	CHECK(none_yet());
	EQ(write(p[1], "abcd", 4), 4);
	EQ(result(1), 4);
	CHECK(!memcmp(buf, "abcd", 4));
	PREP(2, io_uring_prep_read, p[0], buf, 4, 0)->rw_flags = RWF_NOWAIT;
	EQ(run(2), -EAGAIN);
	PREP(3, io_uring_prep_read, p[0], buf, 4, 0);
	EQ(io_uring_submit(&ring), 1);
	close(p[1]);
	EQ(result(3), 0); /* the end of the file wakes it too */
	io_uring_queue_exit(&ring);
	close(p[0]);
}

/* A blocking descriptor, and one that is not: both wait here. */
static void nonblocking_descriptor(void)
{
	int p[2], ev = eventfd(0, EFD_NONBLOCK);
	__u64 n = 5, got = 0;
	char c;

	EQ(pipe2(p, O_NONBLOCK), 0);
	fresh(0);
	PREP(1, io_uring_prep_read, p[0], &c, 1, 0);
	PREP(2, io_uring_prep_read, ev, &got, 8, 0);
	EQ(io_uring_submit(&ring), 2);
	CHECK(none_yet());
	EQ(write(p[1], "x", 1), 1);
	EQ(result(1), 1);
	EQ(write(ev, &n, 8), 8);
	EQ(result(2), 8);
	EQ(got, 5);
	io_uring_queue_exit(&ring);
	close(p[0]), close(p[1]), close(ev);
}

static void *write_soon(void *arg)
{
	pass();
	EQ(write(*(int *)arg, "x", 1), 1);
	return NULL;
}

static void waits(void)
{
	struct __kernel_timespec ts = { .tv_nsec = 30000000 };
	struct io_uring_cqe *c;
	pthread_t t;
	char b[2];
	int p[2];

	EQ(pipe(p), 0);
	fresh(0);
	EQ(io_uring_wait_cqe_timeout(&ring, &c, &ts), -ETIME);
	PREP(1, io_uring_prep_read, p[0], b, 1, 0);
	EQ(pthread_create(&t, NULL, write_soon, &p[1]), 0);
	EQ(io_uring_submit_and_wait(&ring, 1), 1);
	EQ(result(1), 1);
	pthread_join(t, NULL);
	io_uring_queue_exit(&ring);
	close(p[0]), close(p[1]);
}

static volatile int alarms;
static void on_alarm(int sig)
{
	alarms++;
}

static void interrupted(void)
{
	struct itimerval it = { .it_value.tv_usec = 30000 };
	struct sigaction sa = { .sa_handler = on_alarm };

	fresh(0);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	FAILS(enter(ring.ring_fd, 0, 1, IORING_ENTER_GETEVENTS), EINTR);
	EQ(alarms, 1);
	signal(SIGALRM, SIG_DFL);
	io_uring_queue_exit(&ring);
}

/* Forced to a worker: the same results. */
static void async(void)
{
	char buf[8];
	int p[2], fd = temp();

	EQ(pipe(p), 0);
	fresh(0);
	PREP(1, io_uring_prep_write, fd, "abc", 3, 0)->flags = IOSQE_ASYNC;
	EQ(run(1), 3);
	PREP(2, io_uring_prep_read, p[0], buf, 4, 0)->flags = IOSQE_ASYNC;
	PREP(3, io_uring_prep_read, fd, buf + 4, 3, 0)->flags = IOSQE_ASYNC;
	EQ(io_uring_submit(&ring), 2);
	EQ(result(3), 3);
	CHECK(none_yet());
	EQ(write(p[1], "wxyz", 4), 4);
	EQ(result(2), 4);
	CHECK(!memcmp(buf, "wxyzabc", 7));
	PREP(4, io_uring_prep_read, 999, buf, 1, 0)->flags = IOSQE_ASYNC;
	EQ(run(4), -EBADF);
	PREP(5, io_uring_prep_openat, AT_FDCWD, "/nonexistent", 0, 0)->flags = IOSQE_ASYNC;
	EQ(run(5), -ENOENT);
	io_uring_queue_exit(&ring);
	close(p[0]), close(p[1]), close(fd);
}

static void fifo(void)
{
	char name[128] = "/tmp/uring.XXXXXX";
	int fd = mkstemp(in_test_dir(name)), w, r;

	close(fd);
	unlink(name);
	if (mkfifo(name, 0600))
		return;
	fresh(0);
	PREP(1, io_uring_prep_openat, AT_FDCWD, name, O_RDONLY, 0);
	EQ(io_uring_submit(&ring), 1);
	w = open(name, O_WRONLY);
	r = result(1);
	CHECK(r > 2 && w > 2);
	close(w), close(r);
	unlink(name);
	io_uring_queue_exit(&ring);
}

static void polls(void)
{
	int p[2], fd = open("/dev/null", O_RDWR);
	char b[4];

	EQ(pipe(p), 0);
	fresh(0);
	PREP(1, io_uring_prep_poll_add, p[0], POLLIN);
	EQ(io_uring_submit(&ring), 1);
	CHECK(none_yet());
	EQ(write(p[1], "x", 1), 1);
	EQ(result(1), POLLIN);
	PREP(2, io_uring_prep_poll_add, p[0], POLLIN); /* at once */
	EQ(run(2), POLLIN);
	PREP(3, io_uring_prep_poll_add, p[1], POLLOUT);
	EQ(run(3), POLLOUT);
	EQ(read(p[0], b, 1), 1);
	PREP(4, io_uring_prep_poll_add, p[0], POLLIN);
	EQ(io_uring_submit(&ring), 1);
	PREP(5, io_uring_prep_poll_remove, 4);
	EQ(run(5), 0);
	EQ(result(4), -ECANCELED);
	PREP(6, io_uring_prep_poll_remove, 4);
	EQ(run(6), -ENOENT);
	PREP(7, io_uring_prep_poll_add, 999, POLLIN);
	EQ(run(7), -EBADF);
	PREP(8, io_uring_prep_poll_add, p[0], POLLIN);
	EQ(io_uring_submit(&ring), 1);
	close(p[1]);
	EQ(result(8), POLLHUP);
	io_uring_queue_exit(&ring);
	close(p[0]), close(fd);
}

static void poll_multishot(void)
{
	int p[2];
	char b[4];

	EQ(pipe(p), 0);
	fresh(0);
	PREP(1, io_uring_prep_poll_multishot, p[0], POLLIN);
	EQ(io_uring_submit(&ring), 1);
	for (int i = 0; i < 3; i++) {
		EQ(write(p[1], "x", 1), 1);
		EQ(result(1), POLLIN);
		CHECK(last_flags & IORING_CQE_F_MORE);
		EQ(read(p[0], b, 1), 1);
	}
	CHECK(none_yet());
	PREP(2, io_uring_prep_poll_remove, 1);
	EQ(run(2), 0);
	EQ(result(1), -ECANCELED);
	CHECK(!(last_flags & IORING_CQE_F_MORE));
	io_uring_queue_exit(&ring);
	close(p[0]), close(p[1]);
}

static void poll_update(void)
{
	int p[2];

	EQ(pipe(p), 0);
	fresh(0);
	PREP(1, io_uring_prep_poll_add, p[0], POLLIN);
	EQ(io_uring_submit(&ring), 1);
	PREP(2, io_uring_prep_poll_update, 1, 10, 0, IORING_POLL_UPDATE_USER_DATA);
	EQ(run(2), 0);
	CHECK(none_yet());
	EQ(write(p[1], "x", 1), 1);
	EQ(result(10), POLLIN);
	PREP(3, io_uring_prep_poll_update, 1, 10, 0, IORING_POLL_UPDATE_USER_DATA);
	EQ(run(3), -ENOENT);
	io_uring_queue_exit(&ring);
	close(p[0]), close(p[1]);
}

/* ---- time ---- */

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

static void timeouts(void)
{
	struct __kernel_timespec ts = { .tv_nsec = 30000000 }, long_ts = { .tv_sec = 100 }, bad = { .tv_sec = -1 }, at;
	struct timespec now;
	long long start = now_ms();

	fresh(0);
	PREP(1, io_uring_prep_timeout, &ts, 0, 0);
	EQ(run(1), -ETIME);
	CHECK(now_ms() - start >= 29);
	PREP(2, io_uring_prep_timeout, &long_ts, 2, 0); /* two completions are waited for */
	EQ(io_uring_submit(&ring), 1);
	sqe(3);
	EQ(run(3), 0);
	CHECK(none_yet());
	sqe(4);
	EQ(run(4), 0);
	EQ(result(2), 0);
	PREP(5, io_uring_prep_timeout, &bad, 0, 0);
	EQ(run(5), -EINVAL);
	PREP(6, io_uring_prep_timeout, NULL, 0, 0);
	EQ(run(6), -EFAULT);
	clock_gettime(CLOCK_REALTIME, &now);
	at = (struct __kernel_timespec){ now.tv_sec - 5, 0 };
	PREP(7, io_uring_prep_timeout, &at, 0, IORING_TIMEOUT_ABS | IORING_TIMEOUT_REALTIME);
	EQ(run(7), -ETIME);
	PREP(8, io_uring_prep_timeout, &ts, 0, IORING_TIMEOUT_BOOTTIME | IORING_TIMEOUT_REALTIME);
	EQ(run(8), -EINVAL);
	PREP(9, io_uring_prep_timeout, &long_ts, 0, 0);
	EQ(io_uring_submit(&ring), 1);
	PREP(10, io_uring_prep_timeout_remove, 9, 0);
	EQ(run(10), 0);
	EQ(result(9), -ECANCELED);
	PREP(11, io_uring_prep_timeout_remove, 9, 0);
	EQ(run(11), -ENOENT);
	PREP(12, io_uring_prep_timeout, &long_ts, 0, 0);
	EQ(io_uring_submit(&ring), 1);
	PREP(13, io_uring_prep_timeout_update, &ts, 12, 0);
	EQ(run(13), 0);
	EQ(result(12), -ETIME);
	io_uring_queue_exit(&ring);
}

static void link_timeouts(void)
{
	struct __kernel_timespec ts = { .tv_nsec = 30000000 }, long_ts = { .tv_sec = 100 };
	char b[2];
	int p[2];

	EQ(pipe(p), 0);
	fresh(0);
	PREP(1, io_uring_prep_read, p[0], b, 1, 0)->flags = IOSQE_IO_LINK;
	PREP(2, io_uring_prep_link_timeout, &ts, 0);
	EQ(io_uring_submit(&ring), 2);
	EQ(result(1), -ECANCELED);
	EQ(result(2), -ETIME);
	PREP(3, io_uring_prep_read, p[0], b, 1, 0)->flags = IOSQE_IO_LINK;
	PREP(4, io_uring_prep_link_timeout, &long_ts, 0);
	EQ(io_uring_submit(&ring), 2);
	EQ(write(p[1], "x", 1), 1);
	EQ(result(3), 1);
	EQ(result(4), -ECANCELED);
	PREP(5, io_uring_prep_link_timeout, &ts, 0);
	EQ(run(5), -EINVAL);
	sqe(6)->flags = IOSQE_IO_LINK;
	PREP(7, io_uring_prep_link_timeout, &ts, 0);
	EQ(io_uring_submit(&ring), 2);
	EQ(result(6), 0);
	EQ(result(7), -ECANCELED);
	PREP(8, io_uring_prep_read, p[0], b, 1, 0)->flags = IOSQE_IO_LINK | IOSQE_ASYNC; /* a worker is interrupted */
	PREP(9, io_uring_prep_link_timeout, &ts, 0);
	EQ(io_uring_submit(&ring), 2);
	EQ(result(8), -ECANCELED);
	result(9);
	io_uring_queue_exit(&ring);
	close(p[0]), close(p[1]);
}

/* ---- order ---- */

static void links(void)
{
	char buf[4] = { 0 };
	int fd = temp(), p[2];

	EQ(pipe(p), 0);
	fresh(0);
	PREP(1, io_uring_prep_write, fd, "abc", 3, 0)->flags = IOSQE_IO_LINK;
	PREP(2, io_uring_prep_read, fd, buf, 3, 0);
	EQ(io_uring_submit(&ring), 2);
	EQ(result(1), 3);
	EQ(result(2), 3);
	CHECK(!memcmp(buf, "abc", 3));
	PREP(3, io_uring_prep_read, 999, buf, 3, 0)->flags = IOSQE_IO_LINK;
	sqe(4)->flags = IOSQE_IO_LINK;
	sqe(5);
	sqe(6);
	EQ(io_uring_submit(&ring), 4);
	EQ(result(3), -EBADF);
	EQ(result(4), -ECANCELED);
	EQ(result(5), -ECANCELED);
	EQ(result(6), 0);
	PREP(7, io_uring_prep_read, 999, buf, 3, 0)->flags = IOSQE_IO_HARDLINK;
	sqe(8);
	EQ(io_uring_submit(&ring), 2);
	EQ(result(7), -EBADF);
	EQ(result(8), 0);
	PREP(9, io_uring_prep_read, fd, buf, 4, 1)->flags = IOSQE_IO_LINK; /* a short one breaks it */
	sqe(10);
	EQ(io_uring_submit(&ring), 2);
	EQ(result(9), 2);
	EQ(result(10), -ECANCELED);
	PREP(11, io_uring_prep_read, p[0], buf, 1, 0)->flags = IOSQE_IO_LINK; /* the second waits for the first */
	PREP(12, io_uring_prep_write, fd, "z", 1, 0);
	EQ(io_uring_submit(&ring), 2);
	CHECK(none_yet());
	EQ(write(p[1], "x", 1), 1);
	EQ(result(11), 1);
	EQ(result(12), 1);
	sqe(13)->flags = IOSQE_IO_LINK; /* a bad member: nothing of the chain runs */
	sqe(14)->opcode = 200;
	EQ(io_uring_submit(&ring), 2);
	EQ(result(13), -ECANCELED);
	EQ(result(14), -EINVAL);
	io_uring_queue_exit(&ring);
	close(fd), close(p[0]), close(p[1]);
}

static void drains(void)
{
	char b[2];
	int p[2];

	EQ(pipe(p), 0);
	fresh(0);
	PREP(1, io_uring_prep_read, p[0], b, 1, 0);
	sqe(2)->flags = IOSQE_IO_DRAIN;
	sqe(3);
	EQ(io_uring_submit(&ring), 3);
	CHECK(none_yet());
	EQ(write(p[1], "x", 1), 1);
	EQ(result(1), 1);
	EQ(result(2), 0);
	EQ(result(3), 0);
	sqe(4)->flags = IOSQE_IO_DRAIN; /* nothing to wait for */
	EQ(run(4), 0);
	io_uring_queue_exit(&ring);
	close(p[0]), close(p[1]);
}

static void cancels(void)
{
	char b[4];
	int p[2], q[2];

	EQ(pipe(p), 0);
	EQ(pipe(q), 0);
	fresh(0);
	PREP(1, io_uring_prep_read, p[0], b, 1, 0);
	EQ(io_uring_submit(&ring), 1);
	PREP(2, io_uring_prep_cancel64, 1, 0);
	EQ(run(2), 0);
	EQ(result(1), -ECANCELED);
	PREP(3, io_uring_prep_cancel64, 1, 0);
	EQ(run(3), -ENOENT);
	PREP(4, io_uring_prep_read, p[0], b, 1, 0);
	PREP(4, io_uring_prep_read, p[0], b, 1, 0);
	PREP(5, io_uring_prep_read, q[0], b, 1, 0);
	EQ(io_uring_submit(&ring), 3);
	PREP(6, io_uring_prep_cancel64, 4, IORING_ASYNC_CANCEL_ALL);
	EQ(run(6), 2);
	EQ(result(4), -ECANCELED);
	EQ(result(4), -ECANCELED);
	PREP(7, io_uring_prep_cancel_fd, q[0], 0);
	EQ(run(7), 0);
	EQ(result(5), -ECANCELED);
	PREP(8, io_uring_prep_cancel_fd, 999, 0);
	EQ(run(8), -EBADF);
	PREP(9, io_uring_prep_cancel64, 1, 1u << 20);
	EQ(run(9), -EINVAL);
	PREP(10, io_uring_prep_read, p[0], b, 1, 0);
	PREP(11, io_uring_prep_read, q[0], b, 1, 0);
	EQ(io_uring_submit(&ring), 2);
	PREP(12, io_uring_prep_cancel64, 0, IORING_ASYNC_CANCEL_ANY);
	EQ(run(12), 2);
	EQ(result(10), -ECANCELED);
	EQ(result(11), -ECANCELED);
	PREP(13, io_uring_prep_read, p[0], b, 1, 0)->flags = IOSQE_ASYNC; /* in a worker */
	EQ(io_uring_submit(&ring), 1);
	pass();
	PREP(14, io_uring_prep_cancel64, 13, 0);
	run(14); /* 0 or -EALREADY */
	result(13);
	CHECK(none_yet());
	io_uring_queue_exit(&ring);
	close(p[0]), close(p[1]), close(q[0]), close(q[1]);
}

/* ---- sockets ---- */

static int listener(struct sockaddr_in *a, socklen_t *len)
{
	int s = socket(AF_INET, SOCK_STREAM, 0);

	*a = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	*len = sizeof(*a);
	EQ(bind(s, (void *)a, *len), 0);
	EQ(listen(s, 8), 0);
	EQ(getsockname(s, (void *)a, len), 0);
	return s;
}

static void connections(void)
{
	struct sockaddr_in a, peer;
	socklen_t len, plen = sizeof(peer);
	int s = listener(&a, &len), c, conn;
	char buf[16];

	fresh(0);
	PREP(1, io_uring_prep_accept, s, (void *)&peer, &plen, SOCK_CLOEXEC);
	EQ(io_uring_submit(&ring), 1);
	CHECK(none_yet());
	PREP(2, io_uring_prep_socket, AF_INET, SOCK_STREAM, 0, 0);
	c = run(2);
	CHECK(c > 2);
	PREP(3, io_uring_prep_connect, c, (void *)&a, len);
	EQ(io_uring_submit(&ring), 1);
	EQ(result(3), 0);
	conn = result(1);
	CHECK(conn > 2);
	EQ(fcntl(conn, F_GETFD), FD_CLOEXEC);
	EQ(peer.sin_family, AF_INET);
	PREP(4, io_uring_prep_recv, conn, buf, sizeof(buf), 0);
	EQ(io_uring_submit(&ring), 1);
	CHECK(none_yet());
	PREP(5, io_uring_prep_send, c, "hello", 5, 0);
	EQ(run(5), 5);
	EQ(result(4), 5);
	CHECK(!memcmp(buf, "hello", 5));
	PREP(6, io_uring_prep_recv, conn, buf, 6, MSG_WAITALL);
	EQ(io_uring_submit(&ring), 1);
	EQ(send(c, "abc", 3, 0), 3);
	CHECK(none_yet());
	EQ(send(c, "def", 3, 0), 3);
	EQ(result(6), 6);
	CHECK(!memcmp(buf, "abcdef", 6));
	PREP(7, io_uring_prep_shutdown, c, SHUT_WR);
	EQ(run(7), 0);
	PREP(8, io_uring_prep_recv, conn, buf, 4, 0);
	EQ(run(8), 0);
	PREP(9, io_uring_prep_shutdown, c, 7);
	EQ(run(9), -EINVAL);
	PREP(10, io_uring_prep_recv, conn, buf, 4, MSG_DONTWAIT);
	EQ(run(10), 0);
	PREP(11, io_uring_prep_send, 0, "x", 1, 0)->fd = ring.ring_fd;
	EQ(run(11), -ENOTSOCK);
	close(s);
	PREP(12, io_uring_prep_socket, AF_INET, SOCK_STREAM, 0, 0);
	close(c);
	c = run(12);
	PREP(13, io_uring_prep_connect, c, (void *)&a, len);
	EQ(run(13), -ECONNREFUSED);
	close(c), close(conn);
	io_uring_queue_exit(&ring);
}

static void accept_multishot(void)
{
	struct sockaddr_in a;
	socklen_t len;
	int s = listener(&a, &len), c[3];

	fresh(0);
	PREP(1, io_uring_prep_multishot_accept, s, NULL, NULL, 0);
	EQ(io_uring_submit(&ring), 1);
	for (int i = 0; i < 3; i++) {
		int fd;

		c[i] = socket(AF_INET, SOCK_STREAM, 0);
		EQ(connect(c[i], (void *)&a, len), 0);
		fd = result(1);
		CHECK(fd > 2);
		CHECK(last_flags & IORING_CQE_F_MORE);
		close(fd), close(c[i]);
	}
	PREP(2, io_uring_prep_cancel64, 1, 0);
	EQ(run(2), 0);
	EQ(result(1), -ECANCELED);
	io_uring_queue_exit(&ring);
	close(s);
}

static void messages(void)
{
	char buf[16], got[16];
	struct iovec out = { "message", 7 }, in = { got, sizeof(got) };
	struct msghdr mo = { .msg_iov = &out, .msg_iovlen = 1 }, mi = { .msg_iov = &in, .msg_iovlen = 1 };
	int sv[2];

	EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv), 0);
	fresh(0);
	PREP(1, io_uring_prep_recvmsg, sv[1], &mi, 0);
	EQ(io_uring_submit(&ring), 1);
	CHECK(none_yet());
	PREP(2, io_uring_prep_sendmsg, sv[0], &mo, 0);
	EQ(run(2), 7);
	EQ(result(1), 7);
	CHECK(!memcmp(got, "message", 7));
	PREP(3, io_uring_prep_recvmsg, sv[1], &mi, MSG_DONTWAIT);
	EQ(run(3), -EAGAIN);
	PREP(4, io_uring_prep_write, sv[0], "w", 1, 0);
	EQ(run(4), 1);
	PREP(5, io_uring_prep_read, sv[1], buf, 4, 0);
	EQ(run(5), 1);
	close(sv[1]);
	PREP(6, io_uring_prep_send, sv[0], "x", 1, 0); /* no SIGPIPE */
	EQ(run(6), -ECONNREFUSED);
	io_uring_queue_exit(&ring);
	close(sv[0]);
}

/* ---- splice, epoll, other rings ---- */

static void splices(void)
{
	int p[2], q[2], fd = temp();
	char buf[8];

	EQ(pipe(p), 0);
	EQ(pipe(q), 0);
	EQ(write(fd, "abcdef", 6), 6);
	fresh(0);
	PREP(1, io_uring_prep_splice, fd, 2, p[1], -1, 3, 0);
	EQ(run(1), 3);
	PREP(2, io_uring_prep_tee, p[0], q[1], 10, 0);
	EQ(run(2), 3);
	EQ(read(q[0], buf, 8), 3);
	CHECK(!memcmp(buf, "cde", 3));
	PREP(3, io_uring_prep_splice, p[0], -1, fd, 0, 3, 0);
	EQ(run(3), 3);
	EQ(pread(fd, buf, 6, 0), 6);
	CHECK(!memcmp(buf, "cdedef", 6));
	PREP(4, io_uring_prep_splice, p[0], -1, fd, 0, 3, 0); /* waits for the pipe */
	EQ(io_uring_submit(&ring), 1);
	EQ(write(p[1], "zzz", 3), 3);
	EQ(result(4), 3);
	PREP(5, io_uring_prep_splice, 999, -1, p[1], -1, 3, 0);
	EQ(run(5), -EBADF);
	io_uring_queue_exit(&ring);
	close(p[0]), close(p[1]), close(q[0]), close(q[1]), close(fd);
}

static void with_epoll(void)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 3 }, got;
	int ep = epoll_create1(0), p[2];
	char b;

	EQ(pipe(p), 0);
	fresh(0);
	PREP(1, io_uring_prep_epoll_ctl, ep, p[0], EPOLL_CTL_ADD, &ev);
	EQ(run(1), 0);
	PREP(2, io_uring_prep_epoll_ctl, ep, p[0], EPOLL_CTL_ADD, &ev);
	EQ(run(2), -EEXIST);
	EQ(write(p[1], "x", 1), 1);
	EQ(epoll_wait(ep, &got, 1, -1), 1);
	EQ(got.data.u32, 3);
	EQ(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL), 0);
	EQ(read(p[0], &b, 1), 1);
	EQ(epoll_ctl(ep, EPOLL_CTL_ADD, ring.ring_fd, &ev), 0); /* a ring can be polled */
	EQ(epoll_wait(ep, &got, 1, 0), 0);
	PREP(3, io_uring_prep_read, p[0], &b, 1, 0);
	EQ(io_uring_submit(&ring), 1);
	EQ(write(p[1], "y", 1), 1);
	EQ(epoll_wait(ep, &got, 1, 10000), 1);
	EQ(result(3), 1);
	EQ(epoll_wait(ep, &got, 1, 0), 0);
	io_uring_queue_exit(&ring);
	close(ep), close(p[0]), close(p[1]);
}

static void rings_to_rings(void)
{
	struct io_uring other;
	struct io_uring_cqe *c;

	fresh(0);
	EQ(io_uring_queue_init(4, &other, 0), 0);
	PREP(1, io_uring_prep_msg_ring, other.ring_fd, 55, 77, 0);
	EQ(run(1), 0);
	EQ(io_uring_wait_cqe(&other, &c), 0);
	EQ(c->res, 55);
	EQ(c->user_data, 77);
	PREP(2, io_uring_prep_msg_ring, 0, 55, 77, 0);
	EQ(run(2), -EBADFD);
	io_uring_queue_exit(&other);
	io_uring_queue_exit(&ring);
}

/* ---- registered things ---- */

static void fixed_files(void)
{
	int fds[3] = { temp(), -1, temp() }, one = temp(), none = -1;
	char b[4];

	fresh(0);
	EQ(io_uring_unregister_files(&ring), -ENXIO);
	EQ(io_uring_register_files(&ring, fds, 3), 0);
	EQ(io_uring_register_files(&ring, fds, 3), -EBUSY);
	PREP(1, io_uring_prep_write, 0, "abc", 3, 0)->flags = IOSQE_FIXED_FILE;
	EQ(run(1), 3);
	EQ(pread(fds[0], b, 3, 0), 3);
	PREP(2, io_uring_prep_write, 1, "abc", 3, 0)->flags = IOSQE_FIXED_FILE;
	EQ(run(2), -EBADF);
	PREP(3, io_uring_prep_write, 3, "abc", 3, 0)->flags = IOSQE_FIXED_FILE;
	EQ(run(3), -EBADF);
	close(fds[0]); /* the ring keeps it */
	PREP(4, io_uring_prep_read, 0, b, 3, 0)->flags = IOSQE_FIXED_FILE;
	EQ(run(4), 3);
	EQ(io_uring_register_files_update(&ring, 1, &one, 1), 1);
	PREP(5, io_uring_prep_write, 1, "xy", 2, 0)->flags = IOSQE_FIXED_FILE;
	EQ(run(5), 2);
	EQ(pread(one, b, 2, 0), 2);
	EQ(io_uring_register_files_update(&ring, 0, &none, 1), 1);
	PREP(6, io_uring_prep_read, 0, b, 3, 0)->flags = IOSQE_FIXED_FILE;
	EQ(run(6), -EBADF);
	EQ(io_uring_register_files_update(&ring, 3, &one, 1), -EINVAL);
	PREP(7, io_uring_prep_openat_direct, AT_FDCWD, "/dev/zero", O_RDONLY, 0, 0);
	EQ(run(7), 0);
	PREP(8, io_uring_prep_read, 0, b, 4, 0)->flags = IOSQE_FIXED_FILE;
	EQ(run(8), 4);
	PREP(9, io_uring_prep_close_direct, 0);
	EQ(run(9), 0);
	PREP(10, io_uring_prep_close_direct, 0);
	EQ(run(10), -EBADF);
	PREP(11, io_uring_prep_openat_direct, AT_FDCWD, "/dev/zero", O_RDONLY, 0, 9);
	EQ(run(11), -EINVAL);
	EQ(io_uring_unregister_files(&ring), 0);
	PREP(12, io_uring_prep_read, 1, b, 3, 0)->flags = IOSQE_FIXED_FILE;
	EQ(run(12), -EBADF);
	fds[0] = 999;
	EQ(io_uring_register_files(&ring, fds, 1), -EBADF);
	EQ(io_uring_register_files_sparse(&ring, 4), 0);
	PREP(13, io_uring_prep_files_update, &one, 1, 2);
	EQ(run(13), 1);
	PREP(14, io_uring_prep_read, 2, b, 2, 0)->flags = IOSQE_FIXED_FILE;
	EQ(run(14), 2);
	io_uring_queue_exit(&ring);
	close(one), close(fds[2]);
}

static void fixed_buffers(void)
{
	static char mem[8192];
	struct iovec v = { mem, sizeof(mem) }, bad = { NULL, 4096 };
	int fd = temp();

	fresh(0);
	EQ(io_uring_unregister_buffers(&ring), -ENXIO);
	EQ(io_uring_register_buffers(&ring, &bad, 1), -EFAULT);
	EQ(io_uring_register_buffers(&ring, &v, 0), -EINVAL);
	EQ(io_uring_register_buffers(&ring, &v, 1), 0);
	EQ(io_uring_register_buffers(&ring, &v, 1), -EBUSY);
	strcpy(mem + 100, "fixed");
	PREP(1, io_uring_prep_write_fixed, fd, mem + 100, 5, 0, 0);
	EQ(run(1), 5);
	PREP(2, io_uring_prep_read_fixed, fd, mem, 5, 0, 0);
	EQ(run(2), 5);
	CHECK(!memcmp(mem, "fixed", 5));
	PREP(3, io_uring_prep_read_fixed, fd, mem, 5, 0, 1);
	EQ(run(3), -EFAULT);
	PREP(4, io_uring_prep_read_fixed, fd, mem + 8190, 5, 0, 0);
	EQ(run(4), -EFAULT);
	EQ(io_uring_unregister_buffers(&ring), 0);
	PREP(5, io_uring_prep_read_fixed, fd, mem, 5, 0, 0);
	EQ(run(5), -EFAULT);
	io_uring_queue_exit(&ring);
	close(fd);
}

static void provided_buffers(void)
{
	static char mem[4][16];
	int sv[2];

	EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	fresh(0);
	PREP(1, io_uring_prep_recv, sv[0], NULL, 16, 0)->flags = IOSQE_BUFFER_SELECT;
	EQ(write(sv[1], "abc", 3), 3);
	EQ(run(1), -ENOBUFS);
	PREP(2, io_uring_prep_provide_buffers, mem, 16, 4, 5, 10);
	EQ(run(2), 0);
	PREP(3, io_uring_prep_recv, sv[0], NULL, 16, 0);
	ring.sq.sqes[(ring.sq.sqe_tail - 1) & *ring.sq.kring_mask].flags = IOSQE_BUFFER_SELECT;
	ring.sq.sqes[(ring.sq.sqe_tail - 1) & *ring.sq.kring_mask].buf_group = 5;
	EQ(run(3), 3);
	CHECK(last_flags & IORING_CQE_F_BUFFER);
	EQ(last_flags >> IORING_CQE_BUFFER_SHIFT, 10);
	CHECK(!memcmp(mem[0], "abc", 3));
	PREP(4, io_uring_prep_remove_buffers, 10, 5);
	EQ(run(4), 3);
	PREP(5, io_uring_prep_remove_buffers, 1, 99);
	EQ(run(5), -ENOENT);
	io_uring_queue_exit(&ring);
	close(sv[0]), close(sv[1]);
}

static void buffer_ring(void)
{
	static char mem[4][16];
	struct io_uring_buf_ring *br = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	struct io_uring_buf_reg reg = { .ring_addr = (__u64)br, .ring_entries = 4, .bgid = 1 };
	int sv[2];

	EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	fresh(0);
	reg.ring_entries = 3;
	EQ(io_uring_register_buf_ring(&ring, &reg, 0), -EINVAL);
	reg.ring_entries = 4;
	EQ(io_uring_register_buf_ring(&ring, &reg, 0), 0);
	EQ(io_uring_register_buf_ring(&ring, &reg, 0), -EEXIST);
	io_uring_buf_ring_init(br);
	for (int i = 0; i < 4; i++)
		io_uring_buf_ring_add(br, mem[i], 16, 20 + i, 3, i);
	io_uring_buf_ring_advance(br, 4);
	PREP(1, io_uring_prep_recv_multishot, sv[0], NULL, 0, 0);
	ring.sq.sqes[(ring.sq.sqe_tail - 1) & *ring.sq.kring_mask].flags = IOSQE_BUFFER_SELECT;
	ring.sq.sqes[(ring.sq.sqe_tail - 1) & *ring.sq.kring_mask].buf_group = 1;
	EQ(io_uring_submit(&ring), 1);
	for (int i = 0; i < 3; i++) {
		EQ(write(sv[1], "data", 4), 4);
		EQ(result(1), 4);
		CHECK(last_flags & IORING_CQE_F_MORE);
		EQ(last_flags >> IORING_CQE_BUFFER_SHIFT, 20 + i);
		CHECK(!memcmp(mem[i], "data", 4));
	}
	close(sv[1]);
	EQ(result(1), 0);
	CHECK(!(last_flags & IORING_CQE_F_MORE));
	EQ(io_uring_unregister_buf_ring(&ring, 1), 0);
	EQ(io_uring_unregister_buf_ring(&ring, 2), -ENOENT);
	io_uring_queue_exit(&ring);
	close(sv[0]);
	munmap(br, 4096);
}

static void event_descriptor(void)
{
	int ev = eventfd(0, EFD_NONBLOCK), other = open("/dev/null", O_RDONLY);
	__u64 n = 0;

	fresh(0);
	EQ(io_uring_unregister_eventfd(&ring), -ENXIO);
	EQ(io_uring_register_eventfd(&ring, other), -EINVAL);
	EQ(io_uring_register_eventfd(&ring, 999), -EBADF);
	EQ(io_uring_register_eventfd(&ring, ev), 0);
	EQ(io_uring_register_eventfd(&ring, ev), -EBUSY);
	sqe(1);
	EQ(run(1), 0);
	EQ(read(ev, &n, 8), 8);
	CHECK(n >= 1);
	EQ(io_uring_cq_eventfd_toggle(&ring, false), 0);
	sqe(2);
	EQ(run(2), 0);
	FAILS(read(ev, &n, 8), EAGAIN);
	EQ(io_uring_unregister_eventfd(&ring), 0);
	io_uring_queue_exit(&ring);
	close(ev), close(other);
}

static void restrictions(void)
{
	struct io_uring_restriction r[2] = { { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_NOP },
					     { .opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_REGISTER_ENABLE_RINGS } };
	struct io_uring_params p = { .flags = IORING_SETUP_R_DISABLED };
	int fd = temp();

	nseen = 0;
	EQ(io_uring_queue_init_params(8, &ring, &p), 0);
	EQ(io_uring_register_restrictions(&ring, r, 2), 0);
	EQ(io_uring_register_restrictions(&ring, r, 2), -EBUSY);
	EQ(io_uring_enable_rings(&ring), 0);
	EQ(io_uring_enable_rings(&ring), -EBADFD);
	sqe(1);
	EQ(run(1), 0);
	PREP(2, io_uring_prep_fsync, fd, 0);
	EQ(run(2), -EACCES);
	EQ(io_uring_register_eventfd(&ring, fd), -EACCES);
	io_uring_queue_exit(&ring);
	fresh(0);
	EQ(io_uring_enable_rings(&ring), -EBADFD);
	EQ(io_uring_register_restrictions(&ring, r, 2), -EBADFD);
	io_uring_queue_exit(&ring);
	close(fd);
}

static void personalities(void)
{
	int id, fd;

	if (getuid())
		return;
	fresh(0);
	id = io_uring_register_personality(&ring);
	CHECK(id > 0);
	EQ(seteuid(1000), 0);
	PREP(1, io_uring_prep_openat, AT_FDCWD, "/etc/shadow", O_RDONLY, 0);
	EQ(run(1), -EACCES);
	PREP(2, io_uring_prep_openat, AT_FDCWD, "/etc/shadow", O_RDONLY, 0)->personality = id;
	fd = run(2);
	CHECK(fd > 2);
	close(fd);
	EQ(seteuid(0), 0);
	EQ(io_uring_unregister_personality(&ring, id), 0);
	EQ(io_uring_unregister_personality(&ring, id), -EINVAL);
	io_uring_queue_exit(&ring);
}

/* ---- ends ---- */

/* What is under way when a ring, a process or a program ends does not hold it up, nor the files it used. */
static void close_busy_ring(void)
{
	int p[2];
	char b[2];

	EQ(pipe(p), 0);
	fresh(0);
	PREP(1, io_uring_prep_read, p[0], b, 1, 0);
	PREP(2, io_uring_prep_read, p[0], b, 1, 0)->flags = IOSQE_ASYNC;
	PREP(3, io_uring_prep_poll_add, p[0], POLLIN);
	EQ(io_uring_submit(&ring), 3);
	io_uring_queue_exit(&ring);
	close(p[0]);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 1000 && write(p[1], "x", 1) == 1; i++) /* until the last reader has let go */
		pass();
	FAILS(write(p[1], "x", 1), EPIPE);
	close(p[1]);
}

static void exit_busy(void)
{
	int p[2], status;
	pid_t pid;
	char b;

	EQ(pipe(p), 0);
	pid = fork();
	if (!pid) {
		struct __kernel_timespec ts = { .tv_sec = 1000 };

		close(p[1]);
		fresh(0);
		PREP(1, io_uring_prep_read, p[0], &b, 1, 0);
		PREP(2, io_uring_prep_timeout, &ts, 0, 0);
		PREP(3, io_uring_prep_read, p[0], &b, 1, 0)->flags = IOSQE_ASYNC | IOSQE_IO_HARDLINK;
		PREP(4, io_uring_prep_read, p[0], &b, 1, 0);
		io_uring_submit(&ring);
		_exit(5);
	}
	EQ(waitpid(pid, &status, 0), pid);
	EQ(WEXITSTATUS(status), 5);
	close(p[0]), close(p[1]);
}

/* The same when the transfer waits for a fault that this very process should have served. */
static void exit_in_fault(void)
{
	int status, late = 0;
	pid_t pid = fork();

	if (!pid) {
		int fd = syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */), p[2];
		struct uffdio_api api = { .api = UFFD_API };
		struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
		void *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (fd < 0)
			fd = syscall(SYS_userfaultfd, O_CLOEXEC);
		reg.range.start = (unsigned long)m;
		reg.range.len = 4096;
		if (fd < 0 || pipe(p) || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
			_exit(0); /* not allowed here */
		fresh(0);
		PREP(1, io_uring_prep_read, p[0], m, 1, 0);
		io_uring_submit(&ring);
		if (write(p[1], "x", 1) != 1)
			_exit(1);
		pass(); /* by now it stands in the fault */
		_exit(0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0 && late++ < 500)
		pass();
	if (late >= 500)
		kill(pid, SIGKILL);
	CHECK(late < 500);
	EQ(status, 0);
}

static void exec_busy(void)
{
	int p[2], status;
	pid_t pid = fork();
	char b;

	if (!pid) {
		if (pipe(p))
			_exit(9);
		fresh(0);
		PREP(1, io_uring_prep_read, p[0], &b, 1, 0);
		PREP(2, io_uring_prep_read, p[0], &b, 1, 0)->flags = IOSQE_ASYNC;
		io_uring_submit(&ring);
		execl("/bin/true", "true", NULL);
		_exit(8);
	}
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
}

/* A ring is inherited: its requests act for who submits them. */
static void forked(void)
{
	int p[2], status;
	pid_t pid;

	EQ(pipe(p), 0);
	fresh(0);
	pid = fork();
	if (!pid) {
		char b[4] = "";

		close(p[1]);
		PREP(1, io_uring_prep_read, p[0], b, 4, 0);
		_exit(run(1) == 4 && !memcmp(b, "kids", 4) ? 0 : 1);
	}
	EQ(write(p[1], "kids", 4), 4);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
	io_uring_queue_exit(&ring);
	close(p[0]), close(p[1]);
}

static int thread_pipe[2];
static void *submit_and_leave(void *arg)
{
	static char b;

	PREP(1, io_uring_prep_read, thread_pipe[0], &b, 1, 0);
	io_uring_submit(&ring);
	return NULL;
}

/* What a thread has submitted is not carried out after its end. */
static void thread_ends(void)
{
	pthread_t t;

	EQ(pipe(thread_pipe), 0);
	fresh(0);
	EQ(pthread_create(&t, NULL, submit_and_leave, NULL), 0);
	EQ(pthread_join(t, NULL), 0);
	EQ(write(thread_pipe[1], "x", 1), 1);
	EQ(result(1), -ECANCELED);
	io_uring_queue_exit(&ring);
	close(thread_pipe[0]), close(thread_pipe[1]);
}

static void *other_issuer(void *arg)
{
	errno = 0;
	sqe(1);
	*(int *)arg = io_uring_submit(&ring);
	return NULL;
}

static void single_issuer(void)
{
	pthread_t t;
	int ret = 0;

	fresh(IORING_SETUP_SINGLE_ISSUER);
	sqe(2);
	EQ(run(2), 0);
	EQ(pthread_create(&t, NULL, other_issuer, &ret), 0);
	EQ(pthread_join(t, NULL), 0);
	EQ(ret, -EEXIST);
	io_uring_queue_exit(&ring);
}

/* Many requests on many pipes, answered by another thread in another order. */
static int many[32][2];
static void *answer(void *arg)
{
	for (int round = 0; round < 20; round++)
		for (int i = 0; i < 32; i++)
			if (write(many[i * 7 % 32][1], "x", 1) != 1)
				return "failed";
	return NULL;
}

static void crowd(void)
{
	unsigned count[32] = { 0 }, total = 0;
	struct io_uring_cqe *c;
	char b[32];
	pthread_t t;
	void *bad;

	EQ(io_uring_queue_init(32, &ring, 0), 0);
	nseen = 0;
	for (int i = 0; i < 32; i++) {
		EQ(pipe(many[i]), 0);
		PREP(i, io_uring_prep_read, many[i][0], &b[i], 1, 0);
	}
	EQ(io_uring_submit(&ring), 32);
	EQ(pthread_create(&t, NULL, answer, NULL), 0);
	while (total < 32 * 20) {
		if (io_uring_wait_cqe(&ring, &c))
			break;
		if (c->res != 1)
			break;
		total++;
		if (++count[c->user_data] < 20) {
			int i = c->user_data;

			PREP(i, io_uring_prep_read, many[i][0], &b[i], 1, 0);
			io_uring_submit(&ring);
		}
		io_uring_cqe_seen(&ring, c);
	}
	EQ(total, 32 * 20);
	EQ(pthread_join(t, &bad), 0);
	CHECK(!bad);
	io_uring_queue_exit(&ring);
	for (int i = 0; i < 32; i++)
		close(many[i][0]), close(many[i][1]);
}

/* ---- the submission queue watched, completions polled for ---- */

static void watched_queue(void)
{
	struct io_uring_params p = { .flags = IORING_SETUP_SQ_AFF };
	int fds[2], fd;
	char buf[8] = "";

	FAILS(setup(4, &p), EINVAL); /* without IORING_SETUP_SQPOLL */
	p = (struct io_uring_params){ .flags = IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF, .sq_thread_cpu = 100000 };
	FAILS(setup(4, &p), EINVAL);
	p = (struct io_uring_params){ .flags = IORING_SETUP_SQPOLL | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER };
	FAILS(setup(4, &p), EINVAL);
	p = (struct io_uring_params){ .flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 10 };
	fd = setup(4, &p);
	CHECK(fd >= 0 && p.features & IORING_FEAT_SQPOLL_NONFIXED);
	EQ(enter(fd, 3, 0, 0), 3); /* said to be submitted, by the thread */
	close(fd);
	p = (struct io_uring_params){ .flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 10 };
	EQ(io_uring_queue_init_params(8, &ring, &p), 0);
	nseen = 0;
	EQ(pipe(fds), 0);
	for (int i = 0; i < 20; i++) {
		PREP(1, io_uring_prep_nop);
		EQ(run(1), 0);
		if (i % 5 == 0)
			pass(); /* it sleeps, and has to be woken */
	}
	PREP(2, io_uring_prep_read, fds[0], buf, sizeof(buf), 0);
	io_uring_submit(&ring);
	pass();
	EQ(write(fds[1], "hello", 5), 5);
	EQ(result(2), 5);
	CHECK(!strcmp(buf, "hello"));
	PREP(3, io_uring_prep_read, -1, buf, sizeof(buf), 0);
	PREP(4, io_uring_prep_nop);
	EQ(run(3), -EBADF);
	EQ(result(4), 0);
	io_uring_queue_exit(&ring);
	close(fds[0]);
	close(fds[1]);
}

static void watched_queue_of_the_dead(void)
{
	struct io_uring_params p = { .flags = IORING_SETUP_SQPOLL };
	int sv[2], fd = -1, status;
	char ok = 0;

	/* The thread goes with the process that made it. */
	EQ(pipe(sv), 0);
	int pid = (int)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	if (!pid) {
		fd = setup(4, &p);
		ok = (char)fd;
		_exit(write(sv[1], &ok, 1) != 1);
	}
	waitpid(pid, &status, 0);
	EQ(status, 0);
	EQ(read(sv[0], &ok, 1), 1);
	fd = ok;
	pass();
	FAILS(enter(fd, 1, 0, IORING_ENTER_SQ_WAKEUP), EOWNERDEAD);
	close(fd);
	close(sv[0]);
	close(sv[1]);
}

static void polled_completions(void)
{
	int fds[2];
	char b[4];

	fresh(IORING_SETUP_IOPOLL);
	EQ(pipe(fds), 0);
	PREP(1, io_uring_prep_nop);
	EQ(run(1), 0);
	PREP(2, io_uring_prep_read, fds[0], b, 1, 0);
	EQ(run(2), -EOPNOTSUPP);
	PREP(3, io_uring_prep_fsync, fds[0], 0);
	EQ(run(3), -EINVAL);
	PREP(4, io_uring_prep_openat, AT_FDCWD, "/", O_RDONLY, 0);
	EQ(run(4), -EINVAL);
	EQ(enter(ring.ring_fd, 0, 1, IORING_ENTER_GETEVENTS), 0); /* nothing is on its way */
	io_uring_queue_exit(&ring);
	close(fds[0]);
	close(fds[1]);
}

/* ---- a task's own numbers for rings ---- */

static void registered_rings(void)
{
	struct io_uring_rsrc_update u[2] = { { .offset = ~0u }, { .offset = 5 } };

	fresh(0);
	u[0].data = u[1].data = (unsigned long)ring.ring_fd;
	EQ(syscall(__NR_io_uring_register, ring.ring_fd, IORING_REGISTER_RING_FDS, u, 2), 2);
	EQ(u[0].offset, 0);
	FAILS(syscall(__NR_io_uring_register, ring.ring_fd, IORING_REGISTER_RING_FDS, u, 17), EINVAL);
	FAILS(syscall(__NR_io_uring_register, ring.ring_fd, IORING_REGISTER_RING_FDS, u, 1), EBUSY);
	u[1] = (struct io_uring_rsrc_update){ .offset = 16, .data = (unsigned long)ring.ring_fd };
	FAILS(syscall(__NR_io_uring_register, ring.ring_fd, IORING_REGISTER_RING_FDS, u + 1, 1), EINVAL);
	EQ(enter(0, 0, 0, IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING), 0);
	EQ(enter(5, 0, 0, IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING), 0);
	FAILS(enter(1, 0, 0, IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING), EBADF);
	FAILS(enter(16, 0, 0, IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING), EINVAL);
	u[0] = (struct io_uring_rsrc_update){ .offset = 0 };
	EQ(syscall(__NR_io_uring_register, ring.ring_fd, IORING_UNREGISTER_RING_FDS, u, 1), 1);
	FAILS(enter(0, 0, 0, IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING), EBADF);
	EQ(enter(5, 0, 0, IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING), 0);
	io_uring_queue_exit(&ring);
}

static void cancel_and_wait(void)
{
	struct io_uring_sync_cancel_reg c = { .addr = 1, .fd = -1, .timeout = { -1, -1 } };
	int fds[2];
	char b;

	fresh(0);
	EQ(pipe(fds), 0);
	EQ(io_uring_register_sync_cancel(&ring, &c), -ENOENT);
	for (int async = 0; async < 2; async++) {
		PREP(1, io_uring_prep_read, fds[0], &b, 1, 0)->flags |= async ? IOSQE_ASYNC : 0;
		io_uring_submit(&ring);
		pass();
		EQ(io_uring_register_sync_cancel(&ring, &c), 0);
		CHECK(result(1) != 1);
	}
	c.flags = 1u << 20;
	EQ(io_uring_register_sync_cancel(&ring, &c), -EINVAL);
	/* All that workers are busy with. */
	for (int i = 0; i < 8; i++)
		PREP(10 + i, io_uring_prep_read, fds[0], &b, 1, 0)->flags |= IOSQE_ASYNC;
	io_uring_submit(&ring);
	pass();
	PREP(100, io_uring_prep_cancel64, 0, IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY);
	EQ(run(100), 8);
	for (int i = 0; i < 8; i++)
		CHECK(result(10 + i) < 0);
	io_uring_queue_exit(&ring);
	close(fds[0]);
	close(fds[1]);
}

/* ---- what is read when it is submitted, and who is told ---- */

static void submit_stable(void)
{
	int fds[2];
	char b[8] = "";
	struct iovec v = { b, 4 };

	fresh(0);
	EQ(pipe(fds), 0);
	PREP(1, io_uring_prep_readv, fds[0], &v, 1, 0)->flags |= IOSQE_ASYNC;
	io_uring_submit(&ring);
	v.iov_base = NULL;
	EQ(write(fds[1], "abcd", 4), 4);
	EQ(result(1), 4);
	CHECK(!strcmp(b, "abcd"));
	PREP(2, io_uring_prep_read, fds[0], b, 1, 0)->ioprio = 0xffff;
	EQ(run(2), -EINVAL);
	io_uring_queue_exit(&ring);
	close(fds[0]);
	close(fds[1]);
}

static void quiet_chains(void)
{
	struct __kernel_timespec soon = { .tv_nsec = 1000000 }, later = { .tv_sec = 50 };
	int fds[2];
	char b;

	fresh(0);
	EQ(pipe(fds), 0);
	/* The one that fails tells; those behind it do not when it would not have told of its success. */
	PREP(1, io_uring_prep_nop)->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
	PREP(2, io_uring_prep_read, -1, &b, 1, 0)->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
	PREP(3, io_uring_prep_nop);
	EQ(run(2), -EBADF);
	CHECK(none_yet());
	/* A link timeout that is to be quiet is so whether it fires or not. */
	PREP(4, io_uring_prep_read, fds[0], &b, 1, 0)->flags |= IOSQE_IO_LINK;
	PREP(5, io_uring_prep_link_timeout, &soon, 0)->flags |= IOSQE_CQE_SKIP_SUCCESS;
	CHECK(run(4) < 0);
	pass();
	CHECK(none_yet());
	EQ(write(fds[1], "x", 1), 1);
	PREP(6, io_uring_prep_read, fds[0], &b, 1, 0)->flags |= IOSQE_IO_LINK;
	PREP(7, io_uring_prep_link_timeout, &later, 0)->flags |= IOSQE_CQE_SKIP_SUCCESS;
	EQ(run(6), 1);
	pass();
	CHECK(none_yet());
	io_uring_queue_exit(&ring);
	close(fds[0]);
	close(fds[1]);
}

static void timeouts_end_waits(void)
{
	struct __kernel_timespec soon = { .tv_nsec = 10000000 };

	fresh(0);
	PREP(1, io_uring_prep_timeout, &soon, 0, 0);
	EQ(io_uring_submit(&ring), 1);
	EQ(enter(ring.ring_fd, 0, 4, IORING_ENTER_GETEVENTS), 0); /* three are missing */
	EQ(result(1), -ETIME);
	PREP(2, io_uring_prep_timeout, &soon, -1u, 0); /* more completions than will ever come */
	EQ(run(2), -ETIME);
	io_uring_queue_exit(&ring);
}

/* Those before a barrier end while those behind it come. */
static void drain_race(void)
{
	fresh(0);
	for (int round = 0; round < 300; round++) {
		for (int i = 0; i < 8; i++)
			PREP(i, io_uring_prep_nop)->flags |= IOSQE_ASYNC | (i == 4 ? IOSQE_IO_DRAIN : 0);
		EQ(io_uring_submit(&ring), 8);
		for (int i = 0; i < 8; i++)
			EQ(result(i), 0);
	}
	io_uring_queue_exit(&ring);
}

/* ---- more of messages and rings ---- */

static void zero_copy(void)
{
	int sv[2];
	char b[8] = "";

	fresh(0);
	EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	PREP(1, io_uring_prep_nop)->flags |= 0;
	EQ(run(1), 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int in = socket(AF_INET, SOCK_DGRAM, 0), out = socket(AF_INET, SOCK_DGRAM, 0);
	EQ(bind(in, (struct sockaddr *)&a, sizeof(a)), 0);
	EQ(getsockname(in, (struct sockaddr *)&a, &len), 0);
	struct io_uring_sqe *s = PREP(2, io_uring_prep_send_zc, out, "hello", 5, 0, 0);
	s->addr2 = (unsigned long)&a;
	s->addr_len = sizeof(a);
	EQ(run(2), 5);
	CHECK(last_flags & IORING_CQE_F_MORE);
	EQ(result(2), 0);
	CHECK(last_flags & IORING_CQE_F_NOTIF && !(last_flags & IORING_CQE_F_MORE));
	EQ(recv(in, b, sizeof(b), 0), 5);
	CHECK(!strcmp(b, "hello"));
	PREP(3, io_uring_prep_send_zc, out, "x", 1, 0, 0)->flags |= IOSQE_CQE_SKIP_SUCCESS;
	EQ(run(3), -EINVAL);
	PREP(4, io_uring_prep_nop);
	EQ(run(4), 0);
	io_uring_queue_exit(&ring);
	close(in);
	close(out);
	close(sv[0]);
	close(sv[1]);
}

static void message_into_provided_buffer(void)
{
	int sv[2];
	char pool[2][16] = { "", "" };
	struct iovec v = { NULL, 3 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	fresh(0);
	EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv), 0);
	PREP(1, io_uring_prep_provide_buffers, pool, 16, 2, 7, 0);
	EQ(run(1), 0);
	EQ(send(sv[1], "abcdef", 6, 0), 6);
	struct io_uring_sqe *s = PREP(2, io_uring_prep_recvmsg, sv[0], &m, 0);
	s->flags |= IOSQE_BUFFER_SELECT;
	s->buf_group = 7;
	EQ(run(2), 3);
	CHECK(last_flags & IORING_CQE_F_BUFFER);
	CHECK(!memcmp(pool[last_flags >> IORING_CQE_BUFFER_SHIFT], "abc", 4));
	CHECK(m.msg_flags & MSG_TRUNC);
	m.msg_iovlen = 2;
	s = PREP(3, io_uring_prep_recvmsg, sv[0], &m, 0);
	s->flags |= IOSQE_BUFFER_SELECT;
	s->buf_group = 7;
	EQ(run(3), -EINVAL);
	io_uring_queue_exit(&ring);
	close(sv[0]);
	close(sv[1]);
}

static void whole_messages(void)
{
	int sv[2];
	char b[8] = "";
	struct iovec v = { b, 6 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	fresh(0);
	EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	PREP(1, io_uring_prep_recvmsg, sv[0], &m, MSG_WAITALL);
	io_uring_submit(&ring);
	EQ(write(sv[1], "abc", 3), 3);
	pass();
	EQ(write(sv[1], "def", 3), 3);
	EQ(result(1), 6);
	CHECK(!strcmp(b, "abcdef"));
	io_uring_queue_exit(&ring);
	close(sv[0]);
	close(sv[1]);
}

static void files_between_rings(void)
{
	struct io_uring other;
	struct io_uring_cqe *c;
	int table[4] = { -1, -1, -1, -1 }, null = open("/dev/null", O_RDONLY);
	char b;

	fresh(0);
	EQ(io_uring_queue_init(4, &other, 0), 0);
	EQ(io_uring_register_files(&ring, table, 4), 0);
	EQ(io_uring_register_files(&other, table, 4), 0);
	EQ(io_uring_register_files_update(&ring, 2, &null, 1), 1);
	struct io_uring_sqe *s = PREP(1, io_uring_prep_msg_ring, other.ring_fd, 0, 77, 0);
	s->addr = IORING_MSG_SEND_FD;
	s->addr3 = 2;
	s->file_index = 1 + 3;
	EQ(run(1), 0);
	EQ(io_uring_wait_cqe(&other, &c), 0);
	EQ(c->user_data, 77);
	io_uring_cqe_seen(&other, c);
	s = io_uring_get_sqe(&other);
	io_uring_prep_read(s, 3, &b, 1, 0);
	s->flags |= IOSQE_FIXED_FILE;
	EQ(io_uring_submit(&other), 1);
	EQ(io_uring_wait_cqe(&other, &c), 0);
	EQ(c->res, 0);
	io_uring_cqe_seen(&other, c);
	s = PREP(2, io_uring_prep_msg_ring, other.ring_fd, 0, 77, 0);
	s->addr = IORING_MSG_SEND_FD;
	s->addr3 = 0;
	s->file_index = 1;
	EQ(run(2), -EBADF); /* an empty slot */
	/* Free slots are looked for in a range. */
	EQ(io_uring_register_file_alloc_range(&ring, 1, 1), 0);
	PREP(3, io_uring_prep_openat_direct, AT_FDCWD, "/dev/null", O_RDONLY, 0, 0)->file_index = IORING_FILE_INDEX_ALLOC;
	EQ(run(3), 1);
	PREP(4, io_uring_prep_openat_direct, AT_FDCWD, "/dev/null", O_RDONLY, 0, 0)->file_index = IORING_FILE_INDEX_ALLOC;
	EQ(run(4), -ENFILE);
	EQ(io_uring_register_file_alloc_range(&ring, 3, 2), -EINVAL);
	io_uring_queue_exit(&ring);
	io_uring_queue_exit(&other);
	close(null);
}

/* A descriptor of a ring cannot be sent, and a signalfd can be polled for where the submitter does not wait. */
static void odd_descriptors(void)
{
	char buf[CMSG_SPACE(sizeof(int))] = "";
	struct msghdr m = { .msg_control = buf, .msg_controllen = sizeof(buf) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	sigset_t set, old;
	int sv[2], sfd;

	fresh(0);
	EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv), 0);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &ring.ring_fd, sizeof(int));
	FAILS(sendmsg(sv[0], &m, 0), EINVAL); /* since Linux 6.8 */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &old);
	sfd = signalfd(-1, &set, SFD_NONBLOCK);
	PREP(1, io_uring_prep_poll_add, sfd, POLLIN);
	PREP(2, io_uring_prep_poll_multishot, sfd, POLLIN);
	io_uring_submit(&ring);
	kill(getpid(), SIGUSR1);
	pass();
	EQ(result(1), POLLIN);
	EQ(result(2), POLLIN);
	struct signalfd_siginfo info;
	EQ(read(sfd, &info, sizeof(info)), sizeof(info));
	sigprocmask(SIG_SETMASK, &old, NULL);
	io_uring_queue_exit(&ring);
	close(sfd);
	close(sv[0]);
	close(sv[1]);
}

int main(void)
{
	struct io_uring_params p = { 0 };

	if (setup(1, &p) < 0 && (errno == ENOSYS || errno == EPERM))
		return 77; /* the host has it switched off */
	umask(022);
	RUN(setup_errors);
	RUN(setup_answers);
	RUN(mapping);
	RUN(enter_errors);
	RUN(nop);
	RUN(submit_all);
	RUN(overflow);
	RUN(large_entries);
	RUN(probe);
	RUN(read_write);
	RUN(on_open_files);
	RUN(names);
	RUN(attributes);
	RUN(pipe_read);
	RUN(nonblocking_descriptor);
	RUN(waits);
	RUN(interrupted);
	RUN(async);
	RUN(fifo);
	RUN(polls);
	RUN(poll_multishot);
	RUN(poll_update);
	RUN(timeouts);
	RUN(link_timeouts);
	RUN(links);
	RUN(drains);
	RUN(cancels);
	RUN(connections);
	RUN(accept_multishot);
	RUN(messages);
	RUN(splices);
	RUN(with_epoll);
	RUN(rings_to_rings);
	RUN(fixed_files);
	RUN(fixed_buffers);
	RUN(provided_buffers);
	RUN(buffer_ring);
	RUN(event_descriptor);
	RUN(restrictions);
	RUN(personalities);
	RUN(close_busy_ring);
	RUN(exit_busy);
	RUN(exit_in_fault);
	RUN(exec_busy);
	RUN(forked);
	RUN(thread_ends);
	RUN(single_issuer);
	RUN(crowd);
	RUN(watched_queue);
	RUN(watched_queue_of_the_dead);
	RUN(polled_completions);
	RUN(registered_rings);
	RUN(cancel_and_wait);
	RUN(submit_stable);
	RUN(quiet_chains);
	RUN(timeouts_end_waits);
	RUN(drain_race);
	RUN(zero_copy);
	RUN(message_into_provided_buffer);
	RUN(whole_messages);
	RUN(files_between_rings);
	RUN(odd_descriptors);
	DONE();
}
