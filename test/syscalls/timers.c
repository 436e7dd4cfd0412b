/* Clocks, sleeps and timers: clock_gettime(2), clock_nanosleep(2), setitimer(2), timer_create(2), timerfd(2), eventfd(2). */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static void *volatile bad_address = (void *)8;

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void burn(long ms)
{
	struct timespec a, b;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	while ((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < ms);
}

static void clocks(void)
{
	struct timespec a, b;
	struct timeval tv;
	clockid_t id;

	for (int i = 0; i <= 11; i++) {
		if (i == 10) {
			FAILS(syscall(SYS_clock_gettime, i, &a), EINVAL);
			continue;
		}
		if (i == 8 || i == 9) /* native Linux lacks them where there is no real-time clock */
			continue;
		EQ(syscall(SYS_clock_gettime, i, &a), 0);
		EQ(syscall(SYS_clock_getres, i, &b), 0);
		CHECK(b.tv_sec == 0 && b.tv_nsec > 0);
	}
	FAILS(syscall(SYS_clock_gettime, 99, &a), EINVAL);
	FAILS(syscall(SYS_clock_gettime, 0, bad_address), EFAULT);
	EQ(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &a), 0);
	for (int i = 0; i < 1000; i++) {
		clock_gettime(CLOCK_MONOTONIC, &b);
		CHECK(b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec));
		a = b;
	}
	EQ(syscall(SYS_gettimeofday, &tv, NULL), 0);
	clock_gettime(CLOCK_REALTIME, &a);
	CHECK(a.tv_sec - tv.tv_sec <= 1);
	CHECK(labs(time(NULL) - a.tv_sec) <= 1);
	CHECK(a.tv_sec > 1600000000);
	EQ(clock_getcpuclockid(getpid(), &id), 0);
	EQ(clock_gettime(id, &a), 0);
	EQ(pthread_getcpuclockid(pthread_self(), &id), 0);
	EQ(clock_gettime(id, &a), 0);
	EQ(clock_getcpuclockid(0x3ffffff, &id), ESRCH);
	FAILS(clock_settime(CLOCK_MONOTONIC, &a), EINVAL);
	struct timex tx = { 0 };
	CHECK(adjtimex(&tx) >= 0);
	CHECK(tx.tick == 10000);
}

static void cpu_clock(void)
{
	struct timespec a, b;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	usleep(100000);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	CHECK((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 80);
	burn(30);
}

static void sleeps(void)
{
	struct timespec ts = { 0, 30000000 }, bad = { 0, -1 };
	long t = now_ms();

	EQ(nanosleep(&ts, NULL), 0);
	CHECK(now_ms() - t >= 29);
	FAILS(nanosleep(&bad, NULL), EINVAL);
	FAILS(nanosleep(bad_address, NULL), EFAULT);
	EQ(clock_nanosleep(99, 0, &ts, NULL), EINVAL);
	EQ(clock_nanosleep(CLOCK_MONOTONIC_COARSE, 0, &ts, NULL), EOPNOTSUPP);
	EQ(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &ts, NULL), EINVAL);
	EQ(clock_nanosleep(CLOCK_REALTIME, 0, &bad, NULL), EINVAL);
	for (int clock = 0; clock <= 7; clock++) {
		if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME)
			continue;
		clock_gettime(clock, &ts);
		ts.tv_nsec += 30000000;
		if (ts.tv_nsec >= 1000000000)
			ts.tv_sec++, ts.tv_nsec -= 1000000000;
		t = now_ms();
		EQ(clock_nanosleep(clock, TIMER_ABSTIME, &ts, NULL), 0);
		CHECK(now_ms() - t >= 28);
		EQ(clock_nanosleep(clock, TIMER_ABSTIME, &ts, NULL), 0); /* past */
	}
}

/* ---- interval timers ---- */

static volatile sig_atomic_t fired, overruns;
static volatile int value;
static void on_signal(int sig)
{
	fired++;
}
static void on_info(int sig, siginfo_t *info, void *uc)
{
	fired++;
	overruns += info->si_overrun;
	value = info->si_value.sival_int;
	if (info->si_code != SI_TIMER)
		value = -1;
}

static void handle(int sig)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	sigaction(sig, &sa, NULL);
	fired = 0;
}

static void wait_fired(int n, int ms)
{
	for (long t = now_ms(); fired < n && now_ms() - t < ms;)
		usleep(1000);
}

static void itimers(void)
{
	struct itimerval it = { { 0, 10000 }, { 0, 20000 } }, old, off = { 0 };

	handle(SIGALRM);
	EQ(setitimer(ITIMER_REAL, &it, NULL), 0);
	EQ(getitimer(ITIMER_REAL, &old), 0);
	EQ(old.it_interval.tv_usec, 10000);
	CHECK(old.it_value.tv_usec > 0 && old.it_value.tv_usec <= 20000);
	wait_fired(5, 5000);
	CHECK(fired >= 5);
	EQ(setitimer(ITIMER_REAL, &off, &old), 0);
	fired = 0;
	usleep(50000);
	EQ(fired, 0);
	FAILS(setitimer(5, &it, NULL), EINVAL);
	it.it_value.tv_usec = 1000000;
	FAILS(setitimer(ITIMER_REAL, &it, NULL), EINVAL);
	EQ(alarm(100), 0);
	EQ(alarm(0), 100);
	EQ(alarm(0), 0);
}

static void virtual_itimers(void)
{
	struct itimerval it = { { 0, 0 }, { 0, 30000 } }, off = { 0 };
	long t;

	handle(SIGPROF);
	EQ(setitimer(ITIMER_PROF, &it, NULL), 0);
	usleep(100000);
	EQ(fired, 0);
	for (t = now_ms(); !fired && now_ms() - t < 10000;)
		;
	EQ(fired, 1);
	handle(SIGVTALRM);
	it.it_interval.tv_usec = 10000;
	EQ(setitimer(ITIMER_VIRTUAL, &it, NULL), 0);
	for (t = now_ms(); fired < 3 && now_ms() - t < 20000;)
		for (volatile int i = 0; i < 1000000; i++)
			;
	CHECK(fired >= 3);
	EQ(setitimer(ITIMER_VIRTUAL, &off, NULL), 0);
}

static void cpu_limit(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct rlimit lim = { 1, 2 };

		signal(SIGXCPU, SIG_IGN);
		setrlimit(RLIMIT_CPU, &lim);
		for (;;)
			;
	}
	EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ---- POSIX timers ---- */

static void posix_timers(void)
{
	struct sigaction sa = { .sa_sigaction = on_info, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 55 };
	struct itimerspec it = { { 0, 10000000 }, { 0, 20000000 } }, cur;
	sigset_t set;
	timer_t t;

	fired = overruns = 0;
	sigaction(SIGRTMIN, &sa, NULL);
	EQ(timer_create(CLOCK_MONOTONIC, &ev, &t), 0);
	EQ(timer_gettime(t, &cur), 0);
	CHECK(cur.it_value.tv_sec == 0 && cur.it_value.tv_nsec == 0);
	EQ(timer_settime(t, 0, &it, NULL), 0);
	EQ(timer_gettime(t, &cur), 0);
	CHECK(cur.it_value.tv_nsec > 0 && cur.it_value.tv_nsec <= 20000000 && cur.it_interval.tv_nsec == 10000000);
	wait_fired(3, 5000);
	CHECK(fired >= 3);
	EQ(value, 55);
	/* blocked: one signal, the rest are overruns */
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fired = overruns = 0;
	usleep(105000);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	CHECK(fired >= 1 && fired <= 2);
	CHECK(overruns >= 7);
	CHECK(timer_getoverrun(t) >= 0);
	memset(&it, 0, sizeof(it));
	EQ(timer_settime(t, 0, &it, &cur), 0);
	CHECK(cur.it_interval.tv_nsec == 10000000);
	it.it_value.tv_nsec = 1000000000;
	FAILS(timer_settime(t, 0, &it, NULL), EINVAL);
	EQ(timer_delete(t), 0);
	FAILS(syscall(SYS_timer_delete, 12345), EINVAL);
	FAILS(syscall(SYS_timer_gettime, 12345, &it), EINVAL);
	ev.sigev_signo = 99;
	FAILS(timer_create(CLOCK_MONOTONIC, &ev, &t), EINVAL);
	ev.sigev_signo = SIGRTMIN;
	FAILS(timer_create(99, &ev, &t), EINVAL);
	/* absolute, in the past */
	EQ(timer_create(CLOCK_REALTIME, &ev, &t), 0);
	fired = 0;
	it = (struct itimerspec){ { 0, 0 }, { 1, 0 } };
	EQ(timer_settime(t, TIMER_ABSTIME, &it, NULL), 0);
	wait_fired(1, 2000);
	EQ(fired, 1);
	EQ(timer_delete(t), 0);
}

static volatile pid_t fired_in;
static void on_thread(int sig)
{
	fired_in = (pid_t)syscall(SYS_gettid);
}
static void *timer_thread(void *arg)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	struct itimerspec it = { { 0, 0 }, { 0, 20000000 } };
	timer_t t;

	signal(SIGUSR1, on_thread);
	ev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	EQ(timer_create(CLOCK_MONOTONIC, &ev, &t), 0);
	EQ(timer_settime(t, 0, &it, NULL), 0);
	for (int i = 0; i < 2000 && !fired_in; i++)
		usleep(1000);
	EQ(fired_in, syscall(SYS_gettid));
	EQ(timer_delete(t), 0);
	return NULL;
}

static void thread_timer(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	timer_t t;
	pthread_t th;

	pthread_create(&th, NULL, timer_thread, NULL);
	pthread_join(th, NULL);
	ev._sigev_un._tid = 0x3ffffff;
	FAILS(timer_create(CLOCK_MONOTONIC, &ev, &t), EINVAL);
}

static void cpu_timer(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
	struct itimerspec it = { { 0, 0 }, { 0, 50000000 } };
	timer_t t;

	handle(SIGUSR2);
	EQ(timer_create(CLOCK_PROCESS_CPUTIME_ID, &ev, &t), 0);
	EQ(timer_settime(t, 0, &it, NULL), 0);
	usleep(100000);
	EQ(fired, 0);
	for (long b = now_ms(); !fired && now_ms() - b < 10000;)
		;
	EQ(fired, 1);
	EQ(timer_delete(t), 0);
}

/* ---- timerfd ---- */

static void timer_fd(void)
{
	struct itimerspec it = { { 0, 10000000 }, { 0, 20000000 } }, cur;
	struct pollfd pf;
	uint64_t n;
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);

	CHECK(fd >= 0);
	FAILS(read(fd, &n, 8), EAGAIN);
	FAILS(read(fd, &n, 4), EINVAL);
	EQ(timerfd_settime(fd, 0, &it, &cur), 0);
	EQ(timerfd_gettime(fd, &cur), 0);
	CHECK(cur.it_value.tv_nsec > 0 && cur.it_value.tv_nsec <= 20000000);
	pf = (struct pollfd){ .fd = fd, .events = POLLIN };
	EQ(poll(&pf, 1, 5000), 1);
	EQ(read(fd, &n, 8), 8);
	CHECK(n >= 1);
	usleep(55000);
	EQ(read(fd, &n, 8), 8);
	CHECK(n >= 4);
	memset(&it, 0, sizeof(it));
	EQ(timerfd_settime(fd, 0, &it, NULL), 0);
	EQ(poll(&pf, 1, 30), 0);
	it.it_value.tv_nsec = 1;
	EQ(timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL), 0);
	EQ(poll(&pf, 1, 5000), 1);
	EQ(read(fd, &n, 8), 8);
	EQ(n, 1);
	close(fd);
	FAILS(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
	FAILS(timerfd_create(99, 0), EINVAL);
	FAILS(timerfd_settime(0, 0, &it, NULL), EINVAL);
	FAILS(timerfd_settime(99, 0, &it, NULL), EBADF);
	fd = timerfd_create(CLOCK_REALTIME, 0);
	it.it_value.tv_nsec = 20000000;
	EQ(timerfd_settime(fd, 0, &it, NULL), 0);
	EQ(read(fd, &n, 8), 8); /* blocks */
	EQ(n, 1);
	close(fd);
}

/* ---- eventfd ---- */

static void *writer(void *arg)
{
	uint64_t one = 1;

	usleep(30000);
	EQ(write(*(int *)arg, &one, 8), 8);
	return NULL;
}

static void event_fd(void)
{
	struct pollfd pf;
	struct epoll_event ee = { .events = EPOLLIN };
	uint64_t n;
	pthread_t t;
	int ep, fd = eventfd(5, EFD_NONBLOCK);

	EQ(read(fd, &n, 8), 8);
	EQ(n, 5);
	FAILS(read(fd, &n, 8), EAGAIN);
	FAILS(read(fd, &n, 7), EINVAL);
	n = ~0ull;
	FAILS(write(fd, &n, 8), EINVAL);
	n = ~0ull - 1;
	EQ(write(fd, &n, 8), 8);
	n = 1;
	FAILS(write(fd, &n, 8), EAGAIN);
	pf = (struct pollfd){ .fd = fd, .events = POLLIN | POLLOUT };
	EQ(poll(&pf, 1, 0), 1);
	EQ(pf.revents, POLLIN);
	EQ(read(fd, &n, 8), 8);
	CHECK(n == ~0ull - 1);
	EQ(poll(&pf, 1, 0), 1);
	EQ(pf.revents, POLLOUT);
	close(fd);
	fd = eventfd(2, EFD_SEMAPHORE);
	EQ(read(fd, &n, 8), 8);
	EQ(n, 1);
	EQ(read(fd, &n, 8), 8);
	pthread_create(&t, NULL, writer, &fd);
	EQ(read(fd, &n, 8), 8);
	EQ(n, 1);
	pthread_join(t, NULL);
	ep = epoll_create1(0);
	EQ(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ee), 0);
	EQ(epoll_wait(ep, &ee, 1, 0), 0);
	pthread_create(&t, NULL, writer, &fd);
	EQ(epoll_wait(ep, &ee, 1, 5000), 1);
	pthread_join(t, NULL);
	close(ep);
	close(fd);
	FAILS(eventfd(0, 2), EINVAL);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	RUN(clocks);
	RUN(cpu_clock);
	RUN(sleeps);
	RUN(itimers);
	RUN(virtual_itimers);
	RUN(cpu_limit);
	RUN(posix_timers);
	RUN(thread_timer);
	RUN(cpu_timer);
	RUN(timer_fd);
	RUN(event_fd);
	DONE();
}
