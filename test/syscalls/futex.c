/* futex(2): waiting and waking, requeueing, PI, robust lists, futex_waitv(2). */
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static long futex(void *addr, int op, unsigned val, const void *timeout, void *addr2, unsigned val3)
{
	return syscall(SYS_futex, addr, op, val, timeout, addr2, val3);
}

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void errors(void)
{
	struct timespec bad = { 0, 1000000000 }, soon = { 0, 1000000 };
	unsigned word = 5;

	FAILS(futex(&word, FUTEX_WAIT, 4, NULL, NULL, 0), EAGAIN);
	FAILS(futex(&word, FUTEX_WAIT, 5, &bad, NULL, 0), EINVAL);
	FAILS(futex(&word, FUTEX_WAIT, 5, &soon, NULL, 0), ETIMEDOUT);
	FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 5, &soon, NULL, 0), ETIMEDOUT);
	FAILS(futex((char *)&word + 1, FUTEX_WAIT, 5, NULL, NULL, 0), EINVAL);
	FAILS(futex((void *)8, FUTEX_WAIT, 5, NULL, NULL, 0), EFAULT);
	FAILS(futex((void *)8, FUTEX_WAIT_PRIVATE, 5, NULL, NULL, 0), EFAULT);
	FAILS(futex((void *)8, FUTEX_WAKE, 1, NULL, NULL, 0), EFAULT);
	EQ(futex((void *)8, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
	FAILS(futex(&word, FUTEX_WAIT_BITSET, 5, NULL, NULL, 0), EINVAL);
	FAILS(futex(&word, 99, 5, NULL, NULL, 0), ENOSYS);
	FAILS(futex(&word, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 4, NULL, NULL, 0), ENOSYS);
	EQ(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
	struct timespec past = { 1, 0 };
	FAILS(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5, &past, NULL, ~0u), ETIMEDOUT);
	FAILS(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &word, 4), EAGAIN);
}

static void timeouts(void)
{
	unsigned word = 0;
	struct timespec ts;
	long t = now_ms();

	ts = (struct timespec){ 0, 50000000 };
	FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0), ETIMEDOUT);
	CHECK(now_ms() - t >= 49);
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 50000000;
	if (ts.tv_nsec >= 1000000000)
		ts.tv_sec++, ts.tv_nsec -= 1000000000;
	t = now_ms();
	FAILS(futex(&word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &ts, NULL, 1), ETIMEDOUT);
	CHECK(now_ms() - t >= 49);
}

/* ---- wake counts ---- */

static unsigned fut, fut2;
static volatile int woken, asleep;

static void *waiter(void *arg)
{
	__atomic_fetch_add(&asleep, 1, __ATOMIC_SEQ_CST);
	if (!futex(&fut, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, (unsigned)(uintptr_t)arg))
		__atomic_fetch_add(&woken, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void start(pthread_t *t, int n, unsigned mask)
{
	asleep = woken = 0;
	for (int i = 0; i < n; i++)
		pthread_create(&t[i], NULL, waiter, (void *)(uintptr_t)mask);
	while (asleep < n)
		usleep(1000);
	usleep(100000);
}

static void wait_for(volatile int *v, int want)
{
	for (int i = 0; i < 5000 && *v != want; i++)
		usleep(1000);
	EQ(*v, want);
}

static void wake_counts(void)
{
	pthread_t t[10];

	start(t, 10, ~0u);
	EQ(futex(&fut, FUTEX_WAKE_PRIVATE, 3, NULL, NULL, 0), 3);
	wait_for(&woken, 3);
	EQ(futex(&fut, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)4, &fut2, 0), 5);
	wait_for(&woken, 4);
	EQ(futex(&fut, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 2);
	EQ(futex(&fut2, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 4);
	wait_for(&woken, 10);
	for (int i = 0; i < 10; i++)
		pthread_join(t[i], NULL);
	start(t, 2, 4);
	EQ(futex(&fut, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 3), 0);
	EQ(futex(&fut, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 6), 2);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

static void wake_op(void)
{
	pthread_t t[2];

	start(t, 2, ~0u);
	fut2 = 7;
	/* fut2 += 3; wake one of fut; and, as the old value was 7, one of fut2 */
	EQ(futex(&fut, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &fut2, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 7)), 1);
	EQ(fut2, 10);
	EQ(futex(&fut2, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &fut, FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 0)), 1);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	FAILS(futex(&fut, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, (void *)8, FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_EQ, 0)), EFAULT);
	FAILS(futex(&fut, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &fut2, 0x70000000), ENOSYS);
	fut = fut2 = 0;
}

/* ---- between processes ---- */

static void shared(void)
{
	unsigned *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid = fork();

	if (!pid) {
		while (!__atomic_load_n(p, __ATOMIC_SEQ_CST))
			futex(p, FUTEX_WAIT, 0, NULL, NULL, 0);
		_exit(3);
	}
	usleep(50000);
	EQ(futex(p, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0); /* another key */
	__atomic_store_n(p, 1, __ATOMIC_SEQ_CST);
	EQ(futex(p, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
	EQ(waitpid(pid, &status, 0), pid);
	EQ(WEXITSTATUS(status), 3);
	munmap(p, 4096);
}

static void on_alarm(int sig)
{
}

static void interrupted(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval it = { .it_value = { 0, 20000 } };
	struct timespec ts = { 5, 0 };
	unsigned word = 0;

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	FAILS(futex(&word, FUTEX_WAIT, 0, NULL, NULL, 0), EINTR);
	setitimer(ITIMER_REAL, &it, NULL);
	FAILS(futex(&word, FUTEX_WAIT, 0, &ts, NULL, 0), EINTR);
}

/* ---- mutexes and condition variables of libc ---- */

static pthread_mutex_t m;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static long counter;

static void *adder(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		pthread_mutex_lock(&m);
		counter++;
		if (i % 100 == 0)
			pthread_cond_broadcast(&c);
		pthread_mutex_unlock(&m);
	}
	return NULL;
}

static void contend(int protocol)
{
	pthread_mutexattr_t a;
	pthread_t t[4];

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setprotocol(&a, protocol);
	pthread_mutex_init(&m, &a);
	counter = 0;
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, adder, NULL);
	pthread_mutex_lock(&m);
	while (counter < 5000)
		pthread_cond_wait(&c, &m);
	pthread_mutex_unlock(&m);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	EQ(counter, 8000);
	pthread_mutex_destroy(&m);
}

static void plain_mutex(void)
{
	contend(PTHREAD_PRIO_NONE);
}

static void pi_mutex(void)
{
	contend(PTHREAD_PRIO_INHERIT);
}

/* ---- PI ---- */

static unsigned pi_word;
static void *pi_holder(void *arg)
{
	EQ(futex(&pi_word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0);
	asleep = 1;
	usleep(100000);
	if (!arg)
		EQ(futex(&pi_word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
	return NULL; /* or die with it */
}

static void pi_calls(void)
{
	unsigned tid = (unsigned)syscall(SYS_gettid);
	struct timespec ts;
	pthread_t t;

	pi_word = 0;
	EQ(futex(&pi_word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0);
	EQ(pi_word, tid);
	FAILS(futex(&pi_word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EDEADLK);
	EQ(futex(&pi_word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
	EQ(pi_word, 0);
	FAILS(futex(&pi_word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EPERM);
	EQ(futex(&pi_word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), 0);
	EQ(futex(&pi_word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
	pi_word = 0x3fffffff;
	FAILS(futex(&pi_word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), ESRCH);
	pi_word = 0;
	asleep = 0;
	pthread_create(&t, NULL, pi_holder, NULL);
	while (!asleep)
		usleep(1000);
	FAILS(futex(&pi_word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), EAGAIN);
	clock_gettime(CLOCK_REALTIME, &ts);
	FAILS(futex(&pi_word, FUTEX_LOCK_PI, 0, &ts, NULL, 0), ETIMEDOUT);
	EQ(futex(&pi_word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0);
	EQ(pi_word & FUTEX_TID_MASK, tid);
	EQ(futex(&pi_word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
	pthread_join(t, NULL);
	EQ(pi_word, 0);
	/* the owner dies while we wait */
	asleep = 0;
	pthread_create(&t, NULL, pi_holder, (void *)1);
	while (!asleep)
		usleep(1000);
	EQ(futex(&pi_word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0);
	EQ(pi_word & FUTEX_TID_MASK, tid);
	CHECK(pi_word & FUTEX_OWNER_DIED);
	pthread_join(t, NULL);
	pi_word = 0;
}

static unsigned cond_word;
static void *requeue_waiter(void *arg)
{
	__atomic_fetch_add(&asleep, 1, __ATOMIC_SEQ_CST);
	EQ(futex(&cond_word, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, NULL, &pi_word, 0), 0);
	EQ(pi_word & FUTEX_TID_MASK, syscall(SYS_gettid));
	__atomic_fetch_add(&woken, 1, __ATOMIC_SEQ_CST);
	EQ(futex(&pi_word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
	return NULL;
}

static void requeue_pi(void)
{
	pthread_t t[3];

	pi_word = cond_word = 0;
	asleep = woken = 0;
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, requeue_waiter, NULL);
	while (asleep < 3)
		usleep(1000);
	usleep(100000);
	EQ(futex(&pi_word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
	FAILS(futex(&cond_word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), EINVAL);
	EQ(futex(&cond_word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)10, &pi_word, 0), 3);
	EQ(woken, 0);
	EQ(futex(&pi_word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
	wait_for(&woken, 3);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

/* ---- robust ---- */

static void *robust_dier(void *arg)
{
	pthread_mutex_lock(arg);
	return NULL;
}

static void robust_one(int shared_flag, int protocol)
{
	pthread_mutexattr_t a;
	pthread_mutex_t *r = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_t t;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&a, shared_flag);
	pthread_mutexattr_setprotocol(&a, protocol);
	EQ(pthread_mutex_init(r, &a), 0);
	pthread_create(&t, NULL, robust_dier, r);
	pthread_join(t, NULL);
	EQ(pthread_mutex_lock(r), EOWNERDEAD);
	EQ(pthread_mutex_consistent(r), 0);
	EQ(pthread_mutex_unlock(r), 0);
	if (shared_flag == PTHREAD_PROCESS_SHARED) {
		pid_t pid = fork();

		if (!pid) {
			pthread_mutex_lock(r);
			usleep(100000);
			kill(getpid(), SIGKILL);
		}
		usleep(50000);
		int e = pthread_mutex_lock(r);
		CHECK(e == EOWNERDEAD || e == 0); /* 0: we came first */
		if (e == EOWNERDEAD)
			EQ(pthread_mutex_consistent(r), 0);
		EQ(pthread_mutex_unlock(r), 0);
		EQ(waitpid(pid, NULL, 0), pid);
	}
	munmap(r, 4096);
}

static void robust(void)
{
	struct robust_list_head *head;
	size_t len;

	robust_one(PTHREAD_PROCESS_PRIVATE, PTHREAD_PRIO_NONE);
	robust_one(PTHREAD_PROCESS_SHARED, PTHREAD_PRIO_NONE);
	robust_one(PTHREAD_PROCESS_SHARED, PTHREAD_PRIO_INHERIT);
	EQ(syscall(SYS_get_robust_list, 0, &head, &len), 0);
	EQ(len, sizeof(*head));
	FAILS(syscall(SYS_set_robust_list, head, len + 1), EINVAL);
	FAILS(syscall(SYS_get_robust_list, 0x3ffffff, &head, &len), ESRCH);
}

/* ---- many ---- */

struct waitv {
	uint64_t val, uaddr;
	uint32_t flags, reserved;
};

static void *wake_third(void *arg)
{
	usleep(50000);
	futex(arg, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	return NULL;
}

static void waitv(void)
{
	unsigned words[4] = { 1, 2, 3, 4 };
	struct waitv w[4];
	struct timespec ts;
	pthread_t t;

	for (int i = 0; i < 4; i++)
		w[i] = (struct waitv){ words[i], (uintptr_t)&words[i], 2 | FUTEX_PRIVATE_FLAG, 0 };
	pthread_create(&t, NULL, wake_third, &words[2]);
	EQ(syscall(449, w, 4, 0, NULL, CLOCK_MONOTONIC), 2);
	pthread_join(t, NULL);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	FAILS(syscall(449, w, 4, 0, &ts, CLOCK_MONOTONIC), ETIMEDOUT);
	w[1].val = 77;
	FAILS(syscall(449, w, 4, 0, NULL, CLOCK_MONOTONIC), EAGAIN);
	FAILS(syscall(449, w, 0, 0, NULL, CLOCK_MONOTONIC), EINVAL);
	FAILS(syscall(449, w, 129, 0, NULL, CLOCK_MONOTONIC), EINVAL);
	w[0].flags = 1;
	FAILS(syscall(449, w, 4, 0, NULL, CLOCK_MONOTONIC), EINVAL);
}

static void ping_pong(void)
{
	unsigned *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = fork();

	for (unsigned i = 0; i < 2000; i++) {
		if (!pid) {
			while (__atomic_load_n(p, __ATOMIC_SEQ_CST) != 2 * i)
				futex(p, FUTEX_WAIT, 2 * i - 1, NULL, NULL, 0);
			__atomic_store_n(p, 2 * i + 1, __ATOMIC_SEQ_CST);
		} else {
			while (__atomic_load_n(p, __ATOMIC_SEQ_CST) != 2 * i + 1)
				futex(p, FUTEX_WAIT, 2 * i, NULL, NULL, 0);
			__atomic_store_n(p, 2 * i + 2, __ATOMIC_SEQ_CST);
		}
		futex(p, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
	if (!pid)
		_exit(0);
	EQ(*p, 4000);
	EQ(waitpid(pid, NULL, 0), pid);
	munmap(p, 4096);
}

/* futex(2), sched(7): a real-time waiter is woken before those that came earlier. */
static unsigned order_word;
static _Atomic int woken_first, waiting;

static void *ordered_waiter(void *arg)
{
	struct sched_param p = { .sched_priority = (int)(long)arg };
	int zero = 0;

	if (p.sched_priority && pthread_setschedparam(pthread_self(), SCHED_FIFO, &p))
		return arg;
	atomic_fetch_add(&waiting, 1);
	syscall(SYS_futex, &order_word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	atomic_compare_exchange_strong(&woken_first, &zero, (int)(long)arg + 1);
	return NULL;
}

static void priority_order(void)
{
	static const long prios[] = { 0, 3, 7, 0 };
	pthread_t t[4];
	void *refused;

	for (int i = 0; i < 4; i++) {
		pthread_create(&t[i], NULL, ordered_waiter, (void *)prios[i]);
		while (atomic_load(&waiting) < i + 1)
			usleep(1000);
		usleep(20000);
	}
	EQ(syscall(SYS_futex, &order_word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 1);
	while (!atomic_load(&woken_first))
		usleep(1000);
	EQ(woken_first, 7 + 1);
	EQ(syscall(SYS_futex, &order_word, FUTEX_WAKE_PRIVATE, 4, NULL, NULL, 0), 3);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &refused);
		EQ((long)refused, 0);
	}
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	RUN(errors);
	RUN(timeouts);
	RUN(wake_counts);
	RUN(wake_op);
	RUN(shared);
	RUN(interrupted);
	RUN(plain_mutex);
	RUN(pi_mutex);
	RUN(pi_calls);
	RUN(requeue_pi);
	RUN(robust);
	RUN(waitv);
	RUN(priority_order);
	RUN(ping_pong);
	DONE();
}
