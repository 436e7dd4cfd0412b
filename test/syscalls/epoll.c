/* epoll(7). */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static int add(int ep, int fd, unsigned events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static int mod(int ep, int fd, unsigned events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
}

static void control(void)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), p[2], fd = open("/proc/self/exe", O_RDONLY);
	struct epoll_event ev[4];

	CHECK(ep >= 0);
	EQ(fcntl(ep, F_GETFD), FD_CLOEXEC);
	FAILS(epoll_create1(1), EINVAL);
	FAILS(epoll_create(0), EINVAL);
	EQ(pipe(p), 0);
	EQ(add(ep, p[0], EPOLLIN), 0);
	FAILS(add(ep, p[0], EPOLLIN), EEXIST);
	FAILS(mod(ep, p[1], EPOLLOUT), ENOENT);
	FAILS(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL), ENOENT);
	FAILS(add(ep, ep, EPOLLIN), EINVAL);
	FAILS(add(ep, fd, EPOLLIN), EPERM);
	FAILS(add(ep, 999, EPOLLIN), EBADF);
	FAILS(add(p[0], p[1], EPOLLIN), EINVAL);
	FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], NULL), EFAULT);
	FAILS(epoll_wait(ep, ev, 0, 0), EINVAL);
	FAILS(epoll_wait(p[0], ev, 1, 0), EINVAL);
	FAILS(epoll_wait(ep, (void *)-4096, 1, 0), EFAULT);
	EQ(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL), 0);
	close(p[0]), close(p[1]), close(ep), close(fd);
}

static void modes(void)
{
	int ep = epoll_create1(0), p[2];
	struct epoll_event ev[4];
	char c;

	EQ(pipe(p), 0);
	EQ(add(ep, p[0], EPOLLIN), 0);
	EQ(epoll_wait(ep, ev, 4, 0), 0);
	EQ(write(p[1], "ab", 2), 2);
	EQ(epoll_wait(ep, ev, 4, -1), 1);
	EQ(ev[0].events, EPOLLIN);
	EQ(ev[0].data.fd, p[0]);
	EQ(epoll_wait(ep, ev, 4, 0), 1); /* level: still */
	EQ(mod(ep, p[0], EPOLLIN | EPOLLET), 0);
	EQ(epoll_wait(ep, ev, 4, 0), 1); /* a change reports anew */
	EQ(epoll_wait(ep, ev, 4, 0), 0); /* edge */
	EQ(write(p[1], "c", 1), 1);
	EQ(epoll_wait(ep, ev, 4, 0), 1); /* every write is an edge */
	EQ(epoll_wait(ep, ev, 4, 0), 0);
	EQ(mod(ep, p[0], EPOLLIN | EPOLLONESHOT), 0);
	EQ(epoll_wait(ep, ev, 4, 0), 1);
	EQ(epoll_wait(ep, ev, 4, 0), 0);
	EQ(write(p[1], "d", 1), 1);
	EQ(epoll_wait(ep, ev, 4, 0), 0); /* off until re-armed */
	EQ(mod(ep, p[0], EPOLLIN | EPOLLONESHOT), 0);
	EQ(epoll_wait(ep, ev, 4, 0), 1);
	EQ(mod(ep, p[0], EPOLLIN), 0);
	while (read(p[0], &c, 1) == 1 && c != 'd')
		;
	EQ(epoll_wait(ep, ev, 4, 0), 0);
	close(p[1]);
	EQ(epoll_wait(ep, ev, 4, 0), 1);
	EQ(ev[0].events, EPOLLHUP);
	close(p[0]); /* the last reference: the item goes */
	EQ(epoll_wait(ep, ev, 4, 0), 0);
	close(ep);
}

static void many(void)
{
	int ep = epoll_create1(0), fd[20];
	struct epoll_event ev[32];
	unsigned seen = 0;

	for (int i = 0; i < 20; i++) {
		fd[i] = eventfd(1, 0);
		EQ(add(ep, fd[i], EPOLLIN), 0);
	}
	EQ(epoll_wait(ep, ev, 32, 0), 20);
	/* Small batches are fair: all are seen in turn. */
	for (int i = 0; i < 4; i++) {
		EQ(epoll_wait(ep, ev, 5, 0), 5);
		for (int k = 0; k < 5; k++)
			for (int j = 0; j < 20; j++)
				if (fd[j] == ev[k].data.fd)
					seen |= 1u << j;
	}
	EQ(seen, (1u << 20) - 1);
	for (int i = 0; i < 20; i++)
		close(fd[i]);
	EQ(epoll_wait(ep, ev, 32, 0), 0);
	close(ep);
}

static void nesting(void)
{
	int ep[8], p[2];
	struct epoll_event ev;
	struct pollfd pfd;

	EQ(pipe(p), 0);
	for (int i = 0; i < 8; i++)
		ep[i] = epoll_create1(0);
	EQ(add(ep[0], p[0], EPOLLIN), 0);
	EQ(add(ep[1], ep[0], EPOLLIN), 0);
	FAILS(add(ep[0], ep[1], EPOLLIN), ELOOP);
	pfd = (struct pollfd){ ep[1], POLLIN, 0 };
	EQ(poll(&pfd, 1, 0), 0);
	EQ(write(p[1], "x", 1), 1);
	EQ(poll(&pfd, 1, 100), 1);
	EQ(epoll_wait(ep[1], &ev, 1, 0), 1);
	EQ(ev.data.fd, ep[0]);
	int failed = 0;
	for (int i = 2; i < 8; i++)
		failed |= add(ep[i], ep[i - 1], EPOLLIN) != 0;
	CHECK(failed); /* depth is limited */
	char c;
	EQ(read(p[0], &c, 1), 1);
	EQ(epoll_wait(ep[1], &ev, 1, 0), 0);
	for (int i = 0; i < 8; i++)
		close(ep[i]);
	close(p[0]), close(p[1]);
}

static int wake_fd;

static void *waker(void *arg)
{
	(void)arg;
	usleep(30000);
	eventfd_write(wake_fd, 1);
	return NULL;
}

static void blocking(void)
{
	struct timespec a, b, ts = { 0, 30000000 };
	int ep = epoll_create1(0);
	struct epoll_event ev;
	pthread_t t;
	sigset_t mask;

	wake_fd = eventfd(0, 0);
	EQ(add(ep, wake_fd, EPOLLIN), 0);
	pthread_create(&t, NULL, waker, NULL);
	EQ(epoll_wait(ep, &ev, 1, 5000), 1);
	pthread_join(t, NULL);
	eventfd_t v;
	eventfd_read(wake_fd, &v);
	clock_gettime(CLOCK_MONOTONIC, &a);
	EQ(epoll_wait(ep, &ev, 1, 40), 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	CHECK((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 >= 39);
	sigemptyset(&mask);
	EQ(epoll_pwait2(ep, &ev, 1, &ts, &mask), 0);
	/* Added from another thread while someone waits. */
	close(wake_fd);
	close(ep);
}

static void on_signal(int sig) { (void)sig; }

static void masks(void)
{
	int ep = epoll_create1(0);
	struct epoll_event ev;
	sigset_t block, none, now;

	signal(SIGUSR1, on_signal);
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
	FAILS(epoll_pwait(ep, &ev, 1, 5000, &none), EINTR);
	sigprocmask(SIG_SETMASK, NULL, &now);
	CHECK(sigismember(&now, SIGUSR1));
	sigprocmask(SIG_UNBLOCK, &block, NULL);
	close(ep);
}

static void exclusive(void)
{
	int ep = epoll_create1(0), ep2 = epoll_create1(0), p[2];
	struct epoll_event ev;

	EQ(pipe(p), 0);
	EQ(add(ep, p[0], EPOLLIN | EPOLLEXCLUSIVE), 0);
	EQ(add(ep2, p[0], EPOLLIN | EPOLLEXCLUSIVE), 0);
	FAILS(mod(ep, p[0], EPOLLIN), EINVAL);
	FAILS(mod(ep, p[0], EPOLLIN | EPOLLEXCLUSIVE), EINVAL);
	FAILS(add(ep, p[1], EPOLLOUT | EPOLLONESHOT | EPOLLEXCLUSIVE), EINVAL);
	FAILS(add(ep, ep2, EPOLLIN | EPOLLEXCLUSIVE), EINVAL);
	EQ(write(p[1], "x", 1), 1);
	EQ(epoll_wait(ep, &ev, 1, 0) + epoll_wait(ep2, &ev, 1, 0) >= 1, 1);
	close(ep), close(ep2), close(p[0]), close(p[1]);
}

int main(void)
{
	RUN(control);
	RUN(modes);
	RUN(many);
	RUN(nesting);
	RUN(blocking);
	RUN(masks);
	RUN(exclusive);
	DONE();
}
