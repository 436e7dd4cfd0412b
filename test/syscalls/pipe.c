/* pipe(7), fifo(7), poll(2), select(2), splice(2) and tee(2). */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static void *volatile bad_address = (void *)8;
static char big[1 << 20];

static void basic(void)
{
	char buf[64];
	int p[2], n;

	EQ(pipe(p), 0);
	EQ(write(p[1], "hello", 5), 5);
	EQ(write(p[1], " world", 6), 6);
	EQ(ioctl(p[0], FIONREAD, &n), 0);
	EQ(n, 11);
	EQ(read(p[0], buf, 4), 4);
	EQ(read(p[0], buf, sizeof(buf)), 7);
	CHECK(!memcmp(buf, "o world", 7));
	FAILS(read(p[1], buf, 1), EBADF);
	FAILS(write(p[0], buf, 1), EBADF);
	FAILS(lseek(p[0], 0, SEEK_SET), ESPIPE);
	EQ(close(p[1]), 0);
	EQ(read(p[0], buf, 1), 0);
	close(p[0]);
	FAILS(pipe2(p, 0x40000000), EINVAL);
	FAILS(pipe((int *)bad_address), EFAULT);
}

static void capacity(void)
{
	int p[2];

	EQ(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
	EQ(fcntl(p[0], F_GETFD), FD_CLOEXEC);
	EQ(fcntl(p[0], F_GETPIPE_SZ), 65536);
	EQ(write(p[1], big, sizeof(big)), 65536);
	FAILS(write(p[1], big, 1), EAGAIN);
	EQ(read(p[0], big, 4095), 4095);
	FAILS(write(p[1], big, 1), EAGAIN); /* no slot is free yet */
	EQ(read(p[0], big, 1), 1);
	EQ(write(p[1], big, 1), 1);
	EQ(fcntl(p[1], F_SETPIPE_SZ, 200000), 262144);
	EQ(write(p[1], big, sizeof(big)), 262144 - 65536);
	FAILS(fcntl(p[1], F_SETPIPE_SZ, 4096), EBUSY);
	FAILS(read(p[0], bad_address, 10), EFAULT);
	close(p[0]);
	close(p[1]);
	EQ(pipe2(p, O_NONBLOCK), 0);
	FAILS(read(p[0], big, 1), EAGAIN);
	close(p[0]);
	close(p[1]);
}

static void packets(void)
{
	char buf[16];
	int p[2];

	EQ(pipe2(p, O_DIRECT), 0);
	EQ(write(p[1], "abc", 3), 3);
	EQ(write(p[1], "defg", 4), 4);
	EQ(read(p[0], buf, sizeof(buf)), 3);
	EQ(read(p[0], buf, 2), 2); /* the rest of the packet is lost */
	EQ(fcntl(p[0], F_SETFL, O_NONBLOCK), 0);
	FAILS(read(p[0], buf, sizeof(buf)), EAGAIN);
	close(p[0]);
	close(p[1]);
}

static void broken(void)
{
	struct pollfd pfd;
	int p[2];

	signal(SIGPIPE, SIG_IGN);
	EQ(pipe(p), 0);
	close(p[0]);
	FAILS(write(p[1], "x", 1), EPIPE);
	pfd = (struct pollfd){ p[1], POLLOUT, 0 };
	EQ(poll(&pfd, 1, 0), 1);
	EQ(pfd.revents, POLLOUT | POLLERR);
	close(p[1]);
	EQ(pipe(p), 0);
	close(p[0]);
	if (!fork()) {
		signal(SIGPIPE, SIG_DFL);
		write(p[1], "x", 1);
		_exit(0);
	}
	int st;
	CHECK(wait(&st) > 0 && WIFSIGNALED(st) && WTERMSIG(st) == SIGPIPE);
	close(p[1]);
}

static void *writer(void *arg)
{
	int fd = *(int *)arg;

	for (int i = 0; i < 8; i++)
		if (write(fd, big, sizeof(big)) != sizeof(big))
			return (void *)1;
	close(fd);
	return NULL;
}

static void flow(void)
{
	static char buf[30000];
	long total = 0, n;
	pthread_t t;
	void *ret;
	int p[2];

	EQ(pipe(p), 0);
	pthread_create(&t, NULL, writer, &p[1]);
	while ((n = read(p[0], buf, sizeof(buf))) > 0)
		total += n;
	EQ(n, 0);
	EQ(total, 8 * sizeof(big));
	pthread_join(t, &ret);
	CHECK(!ret);
	close(p[0]);
}

static void polling(void)
{
	struct timespec ts = { 0, 20000000 }, a, b;
	struct timeval tv = { 0, 10000 };
	struct pollfd pfd[3];
	fd_set rd, wr;
	int p[2];

	EQ(pipe(p), 0);
	pfd[0] = (struct pollfd){ p[0], POLLIN, 0 };
	pfd[1] = (struct pollfd){ p[1], POLLOUT, 0 };
	pfd[2] = (struct pollfd){ 999, POLLIN, 0 };
	EQ(poll(pfd, 1, 0), 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	EQ(poll(pfd, 1, 30), 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	CHECK((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 >= 29);
	EQ(ppoll(pfd, 1, &ts, NULL), 0);
	EQ(poll(pfd, 2, -1), 1);
	EQ(pfd[1].revents, POLLOUT);
	EQ(poll(pfd, 3, -1), 2);
	EQ(pfd[2].revents, POLLNVAL);
	EQ(write(p[1], "x", 1), 1);
	EQ(poll(pfd, 1, -1), 1);
	EQ(pfd[0].revents, POLLIN);
	FD_ZERO(&rd);
	FD_ZERO(&wr);
	FD_SET(p[0], &rd);
	FD_SET(p[1], &wr);
	EQ(select(p[1] + 1, &rd, &wr, NULL, NULL), 2);
	CHECK(FD_ISSET(p[0], &rd) && FD_ISSET(p[1], &wr));
	EQ(read(p[0], big, 1), 1);
	FD_SET(p[0], &rd);
	EQ(select(p[1] + 1, &rd, NULL, NULL, &tv), 0);
	CHECK(!FD_ISSET(p[0], &rd) && tv.tv_sec == 0 && tv.tv_usec == 0);
	FD_SET(p[1] + 1, &rd);
	tv = (struct timeval){ 0, 0 };
	FAILS(select(p[1] + 2, &rd, NULL, NULL, &tv), EBADF);
	FAILS(select(-1, &rd, NULL, NULL, &tv), EINVAL);
	close(p[1]);
	EQ(poll(pfd, 1, -1), 1);
	EQ(pfd[0].revents, POLLHUP);
	close(p[0]);
}

static void on_signal(int sig) { (void)sig; }

static void interrupted(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct timespec ts = { 5, 0 };
	sigset_t block, none;
	struct pollfd pfd;
	int p[2];

	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigaction(SIGUSR1, &sa, NULL);
	EQ(pipe(p), 0);
	pfd = (struct pollfd){ p[0], POLLIN, 0 };
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
	FAILS(ppoll(&pfd, 1, &ts, &none), EINTR); /* never restarted, whatever SA_RESTART says */
	raise(SIGUSR1);
	FAILS(pselect(0, NULL, NULL, NULL, &ts, &none), EINTR);
	sigset_t now;
	sigprocmask(SIG_SETMASK, NULL, &now);
	CHECK(sigismember(&now, SIGUSR1));
	sigprocmask(SIG_UNBLOCK, &block, NULL);
	if (!fork()) {
		usleep(30000);
		kill(getppid(), SIGUSR1); /* read restarts */
		usleep(30000);
		write(p[1], "y", 1);
		_exit(0);
	}
	EQ(read(p[0], big, 1), 1);
	wait(NULL);
	close(p[0]);
	close(p[1]);
}

static void fifos(void)
{
	char path[] = "/tmp/fifoXXXXXX";
	struct pollfd pfd;
	int r, w;

	CHECK(mkdtemp(path));
	strcat(path, "");
	char name[64];
	snprintf(name, sizeof(name), "%s/f", path);
	EQ(mkfifo(name, 0600), 0);
	FAILS(open(name, O_WRONLY | O_NONBLOCK), ENXIO);
	r = open(name, O_RDONLY | O_NONBLOCK);
	CHECK(r >= 0);
	pfd = (struct pollfd){ r, POLLIN, 0 };
	EQ(poll(&pfd, 1, 0), 0); /* no writer yet: no hang-up */
	EQ(read(r, big, 1), 0);
	w = open(name, O_WRONLY);
	CHECK(w >= 0);
	FAILS(read(r, big, 1), EAGAIN);
	EQ(write(w, "abc", 3), 3);
	EQ(read(r, big, 10), 3);
	close(w);
	EQ(poll(&pfd, 1, 0), 1);
	EQ(pfd.revents, POLLHUP);
	close(r);
	if (!fork()) {
		w = open(name, O_WRONLY);
		write(w, "hi", 2);
		_exit(0);
	}
	r = open(name, O_RDONLY);
	EQ(read(r, big, 2), 2);
	EQ(read(r, big, 2), 0);
	wait(NULL);
	close(r);
	r = open(name, O_RDWR);
	CHECK(r >= 0);
	EQ(write(r, "z", 1), 1);
	EQ(read(r, big, 1), 1);
	close(r);
	unlink(name);
	rmdir(path);
}

static void splicing(void)
{
	char name[] = "/tmp/spliceXXXXXX", buf[64];
	int a[2], b[2], fd = mkstemp(name);
	off_t off = 0;

	EQ(pipe(a), 0);
	EQ(pipe(b), 0);
	EQ(write(fd, "0123456789", 10), 10);
	EQ(splice(fd, &off, a[1], NULL, 6, 0), 6);
	EQ(off, 6);
	EQ(tee(a[0], b[1], 100, 0), 6);
	EQ(write(a[1], "ab", 2), 2);
	EQ(read(a[0], buf, sizeof(buf)), 8);
	CHECK(!memcmp(buf, "012345ab", 8));
	EQ(splice(b[0], NULL, a[1], NULL, 4, 0), 4);
	EQ(read(a[0], buf, sizeof(buf)), 4);
	CHECK(!memcmp(buf, "0123", 4));
	off = 20;
	EQ(splice(b[0], NULL, fd, &off, 100, 0), 2);
	EQ(pread(fd, buf, 10, 20), 2);
	CHECK(!memcmp(buf, "45", 2));
	FAILS(splice(fd, NULL, fd, NULL, 1, 0), EINVAL);
	FAILS(splice(b[0], NULL, a[1], NULL, 4, SPLICE_F_NONBLOCK), EAGAIN);
	FAILS(splice(b[0], &off, a[1], NULL, 4, 0), ESPIPE);
	unlink(name);
	close(fd);
	close(a[0]), close(a[1]), close(b[0]), close(b[1]);
}

static volatile int io_sig, io_fd, io_band;

static void on_io(int sig, siginfo_t *info, void *ctx)
{
	(void)ctx;
	io_sig = sig;
	io_fd = info->si_fd;
	io_band = info->si_band;
}

static void driven(void)
{
	struct sigaction sa = { .sa_sigaction = on_io, .sa_flags = SA_SIGINFO };
	int p[2], sig = SIGRTMIN + 1;

	sigaction(SIGIO, &sa, NULL);
	sigaction(sig, &sa, NULL);
	EQ(pipe(p), 0);
	EQ(fcntl(p[0], F_SETOWN, getpid()), 0);
	EQ(fcntl(p[0], F_GETOWN), getpid());
	EQ(fcntl(p[0], F_SETFL, O_ASYNC | O_NONBLOCK), 0);
	EQ(fcntl(p[0], F_GETFL), O_ASYNC | O_NONBLOCK);
	EQ(write(p[1], "x", 1), 1);
	for (int i = 0; i < 100 && !io_sig; i++)
		usleep(1000);
	EQ(io_sig, SIGIO);
	EQ(read(p[0], big, 10), 1);
	io_sig = 0;
	EQ(fcntl(p[0], F_SETSIG, sig), 0);
	EQ(write(p[1], "x", 1), 1);
	for (int i = 0; i < 100 && !io_sig; i++)
		usleep(1000);
	EQ(io_sig, sig);
	EQ(io_fd, p[0]);
	CHECK(io_band & POLLIN);
	io_sig = 0;
	EQ(fcntl(p[0], F_SETFL, 0), 0);
	EQ(read(p[0], big, 10), 1);
	EQ(write(p[1], "x", 1), 1);
	usleep(10000);
	EQ(io_sig, 0);
	FAILS(fcntl(p[0], F_SETOWN, 0x7ffffff), ESRCH);
	close(p[0]), close(p[1]);
}

int main(void)
{
	RUN(basic);
	RUN(capacity);
	RUN(packets);
	RUN(broken);
	RUN(flow);
	RUN(polling);
	RUN(interrupted);
	RUN(fifos);
	RUN(splicing);
	RUN(driven);
	DONE();
}
