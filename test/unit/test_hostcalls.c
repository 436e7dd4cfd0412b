/*
 * The host side of the hostcall boundary, called as a hostile sentry would call it. Run with "poll" it takes the engine
 * without io_uring.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "gofer.h"
#include "host/async.h"
#include "host/clock.h"
#include "host/cpu.h"
#include "host/events.h"
#include "host/exit.h"
#include "host/handle.h"
#include "host/hostcalls.h"
#include "host/hostmem.h"
#include "host/serve.h"

#define MEM (64ull << 20)
#define BUF 0x800000ull /* where the tests' data lies in sandbox memory */
#define CALL(nr, req) hostcall_dispatch(0, nr, &(req), sizeof(req))

static int control[2], gofer[2];
static bool poll_engine;

static char *at(u64 off)
{
	return hostmem.base + off;
}

static hc_handle file_handle(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	s64 h;

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	lseek(fd, 0, SEEK_SET);
	h = handle_add(fd, HANDLE_FILE, false);
	assert_true(h >= 0);
	return (hc_handle)h;
}

static void close_handle(hc_handle h)
{
	struct hc_file2 req = { .handle = h };

	assert_int_equal(CALL(HC_CLOSE, req), 0);
}

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
}

/* The next event of the ring, waiting as the sentry would. */
static struct hc_event next_event(void)
{
	struct hc_event_ring *ring = hostmem_ring();
	u32 head = ring->head;

	while (ring->tail == head) {
		struct hc_wait wait = { .cpu = 0, .deadline_ns = now_ns() + 5000000000ull };

		assert_int_equal(CALL(HC_CPU_WAIT, wait), 0);
		assert_true(now_ns() < wait.deadline_ns);
	}
	ring->head = head + 1;
	return ring->ev[head % HC_RING_SIZE];
}

static void test_numbers_and_lengths(void **state)
{
	u8 req[2048] = { 0 };

	assert_int_equal(hostcall_dispatch(0, HC_NR, req, 0), -ENOSYS);
	assert_int_equal(hostcall_dispatch(0, ~0u, req, 0), -ENOSYS);
	assert_int_equal(hostcall_dispatch(0, HC_FPU_GET, req, 0), -ENOSYS);
	for (u32 nr = 0; nr < HC_NR; nr++) {
		if (nr == HC_FPU_GET || nr == HC_FPU_SET)
			continue;
		assert_int_equal(hostcall_dispatch(0, nr, req, 3), -EINVAL);
		assert_int_equal(hostcall_dispatch(0, nr, req, sizeof(req)), -EINVAL);
	}
}

static void test_memory_ranges(void **state)
{
	static const struct hc_mem bad[] = {
		{ MEM, 1 }, { MEM - 1, 2 }, { 0, MEM + 1 }, { ~0ull, 1 }, { 1, ~0ull }, { ~0ull, ~0ull }, { 1ull << 63, 1ull << 63 },
	};
	hc_handle h = file_handle("x");

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		struct hc_mem mem = bad[i];
		struct hc_rw rw = { .handle = h, .off = mem.off, .len = mem.len };
		struct hc_rwv rwv = { .handle = h, .nsegs = 2, .segs = { { BUF, 1 }, { mem.off, mem.len } } };
		struct hc_gofer req = { .req_off = mem.off, .req_len = mem.len, .rep_off = BUF, .rep_cap = 4096 };
		struct hc_gofer rep = { .req_off = BUF, .req_len = 128, .rep_off = mem.off, .rep_cap = mem.len };
		struct hc_submit sub = { .op = HC_OP_READV, .io = rwv };

		assert_int_equal(CALL(HC_LOG, mem), -EFAULT);
		assert_int_equal(CALL(HC_RANDOM, mem), -EFAULT);
		assert_int_equal(CALL(HC_MEM_RELEASE, mem), -EFAULT);
		assert_int_equal(CALL(HC_PREAD, rw), -EFAULT);
		assert_int_equal(CALL(HC_PWRITE, rw), -EFAULT);
		assert_int_equal(CALL(HC_PREADV, rwv), -EFAULT);
		assert_int_equal(CALL(HC_PWRITEV, rwv), -EFAULT);
		assert_int_equal(CALL(HC_GOFER, req), -EFAULT);
		assert_int_equal(CALL(HC_GOFER, rep), -EFAULT);
		assert_int_equal(CALL(HC_SUBMIT, sub), -EFAULT);
	}
	close_handle(h);
}

static void test_release(void **state)
{
	struct hc_mem req = { BUF, 8192 };

	memset(at(BUF), 1, 8192);
	assert_int_equal(CALL(HC_MEM_RELEASE, req), 0);
	assert_int_equal(*at(BUF), 0);
	req.off = BUF + 1;
	assert_int_equal(CALL(HC_MEM_RELEASE, req), -EINVAL);
	req = (struct hc_mem){ BUF, 100 };
	assert_int_equal(CALL(HC_MEM_RELEASE, req), -EINVAL);
	/* The shared pages are the host's too. */
	req = (struct hc_mem){ CLOCK_PAGE_PA, 4096 };
	assert_int_equal(CALL(HC_MEM_RELEASE, req), -EFAULT);
}

static void test_read_write(void **state)
{
	hc_handle h = file_handle("hello, world");
	struct hc_rw rw = { .handle = h, .pos = 7, .off = BUF, .len = 100 };
	struct hc_rwv v = { .handle = h, .pos = 0, .nsegs = 2, .segs = { { BUF, 3 }, { BUF + 100, 2 } } };

	assert_int_equal(CALL(HC_PREAD, rw), 5);
	assert_memory_equal(at(BUF), "world", 5);
	rw.flags = HC_RW_NOWAIT;
	assert_int_equal(CALL(HC_PREAD, rw), 5);
	assert_int_equal(CALL(HC_PREADV, v), 5);
	assert_memory_equal(at(BUF), "hel", 3);
	assert_memory_equal(at(BUF + 100), "lo", 2);
	v.nsegs = HC_SEGS_MAX + 1;
	assert_int_equal(CALL(HC_PREADV, v), -EINVAL);
	v.nsegs = 0;
	assert_int_equal(CALL(HC_PREADV, v), -EINVAL);
	v.nsegs = 2;
	v.segs[0].len = v.segs[1].len = HC_RW_MAX / 2 + 1;
	assert_int_equal(CALL(HC_PREADV, v), -EINVAL);
	rw.len = HC_RW_MAX + 1;
	assert_int_equal(CALL(HC_PREAD, rw), -EINVAL);
	rw.len = 1;
	rw.flags = 1u << 31;
	assert_int_equal(CALL(HC_PREAD, rw), -EINVAL);
	rw.flags = 0;
	rw.pos = 1ull << 63;
	assert_int_equal(CALL(HC_PREAD, rw), -EINVAL);
	rw = (struct hc_rw){ .handle = h, .pos = ~0ull, .off = BUF, .len = 4 };
	assert_int_equal(CALL(HC_PREAD, rw), 4);
	assert_int_equal(CALL(HC_PREAD, rw), 4); /* the stream position moved */
	assert_memory_equal(at(BUF), "o, w", 4);
	close_handle(h);
}

static void test_handles(void **state)
{
	hc_handle h = file_handle("x"), next;
	struct hc_rw rw = { .handle = h, .off = BUF, .len = 1 };
	struct hc_file2 f = { .handle = h };
	struct hc_file4 a = { .handle = h, .mode = ~0u };
	static const hc_handle bad[] = { HC_NO_HANDLE, 0xffff, 0x7fffffff, 0x80000000 };

	assert_int_equal(CALL(HC_PREAD, rw), 1);
	f.arg = 1ull << 63;
	assert_int_equal(CALL(HC_FTRUNCATE, f), -EINVAL);
	f.arg = 3;
	assert_int_equal(CALL(HC_FTRUNCATE, f), 0);
	assert_int_equal(CALL(HC_FSIZE, f), 3);
	assert_int_equal(CALL(HC_FSYNC, f), 0);
	assert_int_equal(CALL(HC_FALLOCATE, a), -EOPNOTSUPP);
	close_handle(h);
	assert_int_equal(CALL(HC_PREAD, rw), -EBADF);
	next = file_handle("y");
	assert_int_not_equal(next, h); /* same slot, another generation */
	assert_int_equal(CALL(HC_PREAD, rw), -EBADF);
	assert_int_equal(CALL(HC_CLOSE, f), -EBADF);
	close_handle(next);
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		rw.handle = f.handle = bad[i];
		assert_int_equal(CALL(HC_PREAD, rw), -EBADF);
		assert_int_equal(CALL(HC_CLOSE, f), -EBADF);
		assert_int_equal(CALL(HC_FSIZE, f), -EBADF);
	}
}

static void test_streams(void **state)
{
	int p[2];
	hc_handle h;
	struct hc_rw rw;
	struct hc_file2 f;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	h = (hc_handle)handle_add(p[0], HANDLE_STREAM, false);
	rw = (struct hc_rw){ .handle = h, .flags = HC_RW_NOWAIT, .pos = ~0ull, .off = BUF, .len = 10 };
	f = (struct hc_file2){ .handle = h };
	assert_int_equal(CALL(HC_PREAD, rw), -EAGAIN);
	assert_int_equal(write(p[1], "ab", 2), 2);
	assert_int_equal(CALL(HC_PREAD, rw), 2);
	rw.pos = 0;
	assert_int_equal(CALL(HC_PREAD, rw), -ESPIPE);
	assert_int_equal(CALL(HC_FTRUNCATE, f), -EINVAL);
	assert_int_equal(CALL(HC_FSIZE, f), -EINVAL);
	close(p[1]);
	rw.pos = ~0ull;
	assert_int_equal(CALL(HC_PREAD, rw), 0);
	close_handle(h);
}

static void test_wait_and_kick(void **state)
{
	struct hc_wait wait = { .cpu = 0, .deadline_ns = ~0ull };
	struct hc_kick kick = { .cpu = 0 };
	u64 t0;

	assert_int_equal(CALL(HC_CPU_KICK, kick), 0);
	assert_int_equal(CALL(HC_CPU_WAIT, wait), 0); /* the kick came before: no wait */
	wait.deadline_ns = t0 = now_ns();
	assert_int_equal(CALL(HC_CPU_WAIT, wait), 0); /* nothing left, but the time is up */
	wait.deadline_ns = t0 + 3000000;
	assert_int_equal(CALL(HC_CPU_WAIT, wait), 0);
	assert_true(now_ns() >= wait.deadline_ns);
	wait.cpu = 1;
	assert_int_equal(CALL(HC_CPU_WAIT, wait), -EINVAL);
	assert_int_equal(CALL(HC_TIMER_SET, wait), -EINVAL);
	kick.cpu = 2;
	assert_int_equal(CALL(HC_CPU_KICK, kick), -EINVAL);
	kick.cpu = ~0u;
	assert_int_equal(CALL(HC_CPU_KICK, kick), -EINVAL);
}

#define ROUNDS 20000
static void *kicker(void *arg)
{
	host_vcpu_thread_init(1);
	for (u32 i = 0; i < ROUNDS; i++) {
		struct hc_kick kick = { .cpu = 0 };
		struct hc_wait wait = { .cpu = 1, .deadline_ns = now_ns() + 5000000000ull };

		hostcall_dispatch(1, HC_CPU_KICK, &kick, sizeof(kick));
		hostcall_dispatch(1, HC_CPU_WAIT, &wait, sizeof(wait));
		if (now_ns() >= wait.deadline_ns)
			return (void *)1l;
	}
	return NULL;
}

/* Two vCPUs hand a kick to and fro: a lost one stops them. */
static void test_no_kick_is_lost(void **state)
{
	pthread_t thread;
	void *lost;

	assert_int_equal(pthread_create(&thread, NULL, kicker, NULL), 0);
	for (u32 i = 0; i < ROUNDS; i++) {
		struct hc_wait wait = { .cpu = 0, .deadline_ns = now_ns() + 5000000000ull };
		struct hc_kick kick = { .cpu = 1 };

		assert_int_equal(CALL(HC_CPU_WAIT, wait), 0);
		assert_true(now_ns() < wait.deadline_ns);
		assert_int_equal(CALL(HC_CPU_KICK, kick), 0);
	}
	pthread_join(thread, &lost);
	assert_null(lost);
}

static _Atomic u32 kicks;
static void count_kick(u32 cpu)
{
	kicks++;
}

static void test_timer(void **state)
{
	struct hc_wait timer = { .cpu = 0, .deadline_ns = now_ns() + 2000000 }, wait = { .cpu = 0, .deadline_ns = ~0ull };

	kicks = 0;
	host_set_platform_kick(count_kick);
	assert_int_equal(CALL(HC_TIMER_SET, timer), 0);
	while (!kicks)
		;
	assert_true(now_ns() >= timer.deadline_ns);
	assert_int_equal(CALL(HC_CPU_WAIT, wait), 0); /* the timer's kick is one */
	timer.deadline_ns = now_ns() + 1000000;
	assert_int_equal(CALL(HC_TIMER_SET, timer), 0);
	timer.deadline_ns = ~0ull;
	assert_int_equal(CALL(HC_TIMER_SET, timer), 0); /* off again */
	timer.deadline_ns = 0; /* long past: at once */
	kicks = 0;
	assert_int_equal(CALL(HC_TIMER_SET, timer), 0);
	while (!kicks)
		;
	assert_int_equal(CALL(HC_CPU_WAIT, wait), 0);
	host_set_platform_kick(NULL);
}

static void test_submit_file(void **state)
{
	hc_handle h = file_handle("asynchronous");
	struct hc_submit sub = { .op = HC_OP_READ, .cookie = 77, .io = { .handle = h, .pos = 1, .nsegs = 1, .segs = { { BUF, 5 } } } };
	struct hc_event ev;

	assert_int_equal(CALL(HC_SUBMIT, sub), 0);
	ev = next_event();
	assert_int_equal(ev.kind, HC_EV_COMPLETION);
	assert_int_equal(ev.cookie, 77);
	assert_int_equal(ev.result, 5);
	assert_memory_equal(at(BUF), "synch", 5);
	sub.op = HC_OP_WRITEV;
	sub.io.pos = 0;
	assert_int_equal(CALL(HC_SUBMIT, sub), 0);
	assert_int_equal(next_event().result, 5);
	sub.op = HC_OP_FSYNC;
	assert_int_equal(CALL(HC_SUBMIT, sub), 0);
	assert_int_equal(next_event().result, 0);
	sub.op = HC_OP_POLL + 1;
	assert_int_equal(CALL(HC_SUBMIT, sub), -EINVAL);
	sub.op = HC_OP_READ;
	sub.io.flags = 64;
	assert_int_equal(CALL(HC_SUBMIT, sub), -EINVAL);
	close_handle(h);
	sub.io.flags = 0;
	assert_int_equal(CALL(HC_SUBMIT, sub), -EBADF);
}

static void test_submit_stream(void **state)
{
	struct hc_submit sub = { .op = HC_OP_READ, .cookie = 1, .io = { .pos = ~0ull, .nsegs = 1, .segs = { { BUF, 100 } } } };
	struct hc_cancel cancel = { .cookie = 1 };
	struct hc_event ev;
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	sub.io.handle = (hc_handle)handle_add(p[0], HANDLE_STREAM, false);
	assert_int_equal(CALL(HC_SUBMIT, sub), 0);
	assert_int_equal(write(p[1], "late", 4), 4);
	ev = next_event();
	assert_int_equal(ev.result, 4);
	assert_memory_equal(at(BUF), "late", 4);

	assert_int_equal(CALL(HC_SUBMIT, sub), 0);
	assert_int_equal(CALL(HC_CANCEL, cancel), 0);
	assert_int_equal(next_event().result, -ECANCELED);
	assert_int_equal(CALL(HC_CANCEL, cancel), -ENOENT);

	sub.op = HC_OP_POLL;
	sub.poll_events = EPOLLIN;
	assert_int_equal(CALL(HC_SUBMIT, sub), 0);
	assert_int_equal(write(p[1], "z", 1), 1);
	assert_int_equal(next_event().result & EPOLLIN, EPOLLIN);
	close(p[1]);
	close_handle(sub.io.handle);
}

static void test_too_many_submissions(void **state)
{
	struct hc_submit sub = { .op = HC_OP_POLL, .poll_events = EPOLLIN };
	int p[2], started = 0;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	sub.io.handle = (hc_handle)handle_add(p[0], HANDLE_STREAM, false);
	for (int i = 0; i < 3 * ASYNC_MAX; i++) {
		s64 ret = CALL(HC_SUBMIT, sub);

		if (ret == -EBUSY)
			break;
		assert_int_equal(ret, 0);
		started++;
	}
	assert_in_range(started, 1, ASYNC_MAX);
	close(p[1]);
	for (int i = 0; i < started; i++)
		next_event();
	close_handle(sub.io.handle);
}

/* A head that the sentry never could have reached: events are lost, nothing else happens. */
static void test_hostile_ring(void **state)
{
	struct hc_event_ring *ring = hostmem_ring();
	u32 head = ring->head;

	ring->head = head + 1000000;
	events_push(HC_EV_SIGNAL, 0, 15);
	ring->tail = 12345; /* the host keeps its own */
	ring->head = head;
	events_push(HC_EV_SIGNAL, 0, 2);
	assert_int_equal(next_event().result, 2);
}

static void *fake_gofer(void *arg)
{
	struct { struct gofer_rep rep; char body[8]; } reply = { .rep = { .len = sizeof(reply) }, .body = "reply" };
	struct iovec iov = { &reply, sizeof(reply) };
	union { struct cmsghdr align; char buf[CMSG_SPACE(sizeof(int))]; } c = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c) };
	char req[256];
	int files[2] = { memfd_create("regular", MFD_CLOEXEC), open("/dev/null", O_RDONLY | O_CLOEXEC) };

	c.align.cmsg_level = SOL_SOCKET;
	c.align.cmsg_type = SCM_RIGHTS;
	c.align.cmsg_len = CMSG_LEN(sizeof(int));
	for (int i = 0; i < 2; i++) {
		memcpy(CMSG_DATA(&c.align), &files[i], sizeof(int));
		if (recv(gofer[1], req, sizeof(req), 0) <= 0 || sendmsg(gofer[1], &msg, 0) < 0)
			return NULL;
	}
	return NULL;
}

static void test_gofer_relay(void **state)
{
	struct hc_gofer req = { .req_off = BUF, .req_len = sizeof(struct gofer_req), .rep_off = BUF + 4096, .rep_cap = 4096 };
	struct hc_file2 f = { 0 };
	pthread_t thread;

	pthread_create(&thread, NULL, fake_gofer, NULL);
	assert_int_equal(CALL(HC_GOFER, req), sizeof(struct gofer_rep) + 8);
	assert_string_equal(at(BUF + 4096 + sizeof(struct gofer_rep)), "reply");
	assert_int_not_equal(req.handle, HC_NO_HANDLE);
	f.handle = req.handle;
	assert_int_equal(CALL(HC_FSIZE, f), 0);
	close_handle(req.handle);
	/* A device instead of a regular file never becomes a handle. */
	assert_int_equal(CALL(HC_GOFER, req), sizeof(struct gofer_rep) + 8);
	assert_int_equal(req.handle, HC_NO_HANDLE);
	pthread_join(thread, NULL);
	req.req_len = 3;
	assert_int_equal(CALL(HC_GOFER, req), -EINVAL);
	req.req_len = GOFER_MSG_MAX + 1;
	assert_int_equal(CALL(HC_GOFER, req), -EINVAL);
	req = (struct hc_gofer){ .req_off = BUF, .req_len = sizeof(struct gofer_req), .rep_off = BUF, .rep_cap = 4 };
	assert_int_equal(CALL(HC_GOFER, req), -EINVAL);
	close(gofer[1]);
	req.rep_cap = 4096;
	assert_int_equal(CALL(HC_GOFER, req), -EIO);
}

static void test_terminal(void **state)
{
	int master, slave;
	struct hc_tty req = { .op = HC_TTY_GETWINSZ };
	hc_handle file = file_handle("x");

	assert_int_equal(openpty(&master, &slave, NULL, NULL, &(struct winsize){ .ws_row = 24, .ws_col = 80 }), 0);
	req.handle = (hc_handle)handle_add(slave, HANDLE_TTY, false);
	assert_int_equal(CALL(HC_TTY_IOCTL, req), 0);
	assert_int_equal(((u16 *)req.data)[0], 24);
	assert_int_equal(((u16 *)req.data)[1], 80);
	req.op = HC_TTY_GETS;
	assert_int_equal(CALL(HC_TTY_IOCTL, req), 0);
	req.op = HC_TTY_SETSW;
	assert_int_equal(CALL(HC_TTY_IOCTL, req), 0);
	req.op = HC_TTY_INQ + 1;
	assert_int_equal(CALL(HC_TTY_IOCTL, req), -EINVAL);
	close_handle(req.handle);
	req = (struct hc_tty){ .op = HC_TTY_GETS, .handle = file };
	assert_int_equal(CALL(HC_TTY_IOCTL, req), -ENOTTY);
	close_handle(file);
	close(master);
}

static void test_clock(void **state)
{
	struct clock_page *page = hostmem_clock();
	u64 before, said, after, last = 0;

	for (int i = 0; i < 200; i++) {
		if (i % 10 == 0)
			assert_int_equal(hostcall_dispatch(0, HC_CLOCK, NULL, 0), 0);
		before = now_ns();
		said = page->mono_ns + (u64)((unsigned __int128)(__builtin_ia32_rdtsc() - page->base_tsc) * page->mult >> page->shift);
		after = now_ns();
		assert_int_equal(page->seq & 1, 0);
		assert_true(said >= last);
		last = said;
		assert_in_range(said, before - 100000, after + 100000);
	}
}

static void no_control(void)
{
}

static int setup(void **state)
{
	struct clock_sample start = clock_sample();

	if (hostmem_create(MEM, true) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gofer))
		return -1;
	host_exit_init(control[1], open("/dev/null", O_WRONLY), false, NULL);
	serve_gofer_channel(0, gofer[0]);
	usleep(1000);
	clock_init(start, 0);
	if (host_cpu_init(2) || async_init(control[1], no_control, poll_engine) || async_start())
		return -1;
	host_vcpu_thread_init(0);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_and_lengths), cmocka_unit_test(test_memory_ranges), cmocka_unit_test(test_release),
		cmocka_unit_test(test_read_write), cmocka_unit_test(test_handles), cmocka_unit_test(test_streams),
		cmocka_unit_test(test_wait_and_kick), cmocka_unit_test(test_no_kick_is_lost), cmocka_unit_test(test_timer),
		cmocka_unit_test(test_submit_file), cmocka_unit_test(test_submit_stream),
		cmocka_unit_test(test_too_many_submissions), cmocka_unit_test(test_hostile_ring),
		cmocka_unit_test(test_gofer_relay), cmocka_unit_test(test_terminal), cmocka_unit_test(test_clock),
	};
	void *mode = argc > 1 ? argv[1] : NULL;
	int failed;

	if (mode && strcmp(mode, "poll"))
		return 2;
	poll_engine = mode != NULL;
	failed = cmocka_run_group_tests(tests, setup, NULL);
	return failed != 0;
}
