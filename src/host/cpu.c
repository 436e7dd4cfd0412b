#include "host/cpu.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "host/events.h"

#define TIMER_SIGNAL (SIGRTMIN + 3)
#define SIGNAL_STACK (32u << 10) /* a frame with AVX-512 and AMX state takes 11 KiB */
#define NS 1000000000ull

/* Each on cache lines of its own: every wait and kick writes here. */
static struct host_cpu {
	_Atomic u32 kicked; /* futex */
	bool has_timer;
	timer_t timer;
	pid_t tid;
} cpus[MAX_CPUS] __attribute__((aligned(128)));

static u32 ncpus;
static _Atomic u64 waiting; /* bit a vCPU in host_cpu_wait() */
static _Atomic u32 last_any;
static host_kick_fn platform_kick;
static char signal_stacks[MAX_CPUS][SIGNAL_STACK];

u32 host_ncpus(void)
{
	return ncpus;
}

void host_set_platform_kick(host_kick_fn fn)
{
	platform_kick = fn;
}

void host_kick(u32 cpu)
{
	struct host_cpu *c = &cpus[cpu];

	if (!atomic_exchange(&c->kicked, 1) && atomic_load(&waiting) & 1ull << cpu)
		syscall(SYS_futex, &c->kicked, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	if (platform_kick)
		platform_kick(cpu);
}

void host_kick_any(void)
{
	u64 idle = atomic_load(&waiting);

	if (idle)
		host_kick((u32)__builtin_ctzll(idle));
	else /* all busy: not always the same one */
		host_kick(atomic_fetch_add(&last_any, 1) % ncpus);
}

static void on_timer(int sig, siginfo_t *info, void *uc)
{
	int saved = errno;

	host_kick((u32)info->si_value.sival_int);
	errno = saved;
}

int host_cpu_init(u32 n)
{
	struct sigaction sa = { .sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };

	ncpus = n;
	sigfillset(&sa.sa_mask);
	return sigaction(TIMER_SIGNAL, &sa, NULL) < 0 ? -errno : 0;
}

void host_vcpu_thread_init(u32 cpu)
{
	/* Under ptrace a vCPU thread runs on the sentry's small stacks: handlers get one of their own. */
	stack_t ss = { .ss_sp = signal_stacks[cpu], .ss_size = SIGNAL_STACK };
	sigset_t set;

	sigaltstack(&ss, NULL);
	cpus[cpu].tid = (pid_t)syscall(SYS_gettid);
	sigemptyset(&set);
	sigaddset(&set, TIMER_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static bool take_kick(struct host_cpu *c)
{
	return atomic_load_explicit(&c->kicked, memory_order_relaxed) && atomic_exchange(&c->kicked, 0);
}

s64 host_cpu_wait(u32 cpu, u64 deadline_ns)
{
	struct host_cpu *c = &cpus[cpu];
	struct timespec ts = { (time_t)(deadline_ns / NS), (long)(deadline_ns % NS) };

	if (take_kick(c) || events_pending())
		return 0;
	atomic_fetch_or(&waiting, 1ull << cpu);
	/* Looked at again: whoever produced before the line above saw nobody waiting. */
	if (!events_pending())
		while (!atomic_load(&c->kicked))
			if (syscall(SYS_futex, &c->kicked, FUTEX_WAIT_BITSET_PRIVATE, 0, deadline_ns == ~0ull ? NULL : &ts, NULL,
				    FUTEX_BITSET_MATCH_ANY) < 0 &&
			    errno == ETIMEDOUT)
				break;
	atomic_fetch_and(&waiting, ~(1ull << cpu));
	take_kick(c);
	return 0;
}

/* The timer is made by the thread that it interrupts, the first time that it wants one. */
static int make_timer(struct host_cpu *c, u32 cpu)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TIMER_SIGNAL };

	ev.sigev_value.sival_int = (int)cpu;
	ev._sigev_un._tid = c->tid;
	if (timer_create(CLOCK_MONOTONIC, &ev, &c->timer) < 0)
		return -errno;
	c->has_timer = true;
	return 0;
}

s64 host_cpu_set_timer(u32 cpu, u64 deadline_ns)
{
	struct host_cpu *c = &cpus[cpu];
	struct itimerspec it = { 0 };

	if (!c->has_timer) {
		int err = deadline_ns == ~0ull ? 0 : make_timer(c, cpu);

		if (err || !c->has_timer)
			return err;
	}
	if (deadline_ns != ~0ull) {
		/* Zero would disarm it: a time long past does the same as the first nanosecond. */
		it.it_value.tv_sec = (time_t)(deadline_ns / NS);
		it.it_value.tv_nsec = (long)(deadline_ns % NS) | 1;
	}
	return timer_settime(c->timer, TIMER_ABSTIME, &it, NULL) < 0 ? -errno : 0;
}
