/*
 * The virtual dynamic shared object, vdso(7): clocks read in user mode from the clock page, which is mapped right below it.
 * Runs in the application, with the application's registers and stack.
 */
#include <asm/unistd.h>
#include <linux/time.h>
#include <linux/time_types.h>

#include "hostcall.h"
#include "sentry/kernel/vdso/offsets.h"

#define NSEC 1000000000ull

extern const char image_start[] __attribute__((visibility("hidden")));

static inline const struct clock_page *clock_page(void)
{
	const char *p = image_start;

	__asm__("" : "+r"(p)); /* for the compiler this is not a step out of image_start[] */
	return (const struct clock_page *)(p - 4096);
}

static inline const struct time_offsets *offsets(void)
{
	return (const struct time_offsets *)((const char *)clock_page() - 4096);
}

static inline u64 read_tsc(void)
{
	u32 lo, hi;

	__asm__ volatile("lfence\n\trdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (u64)hi << 32 | lo;
}

static long syscall2(long nr, long a, long b)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "0"(nr), "D"(a), "S"(b) : "rcx", "r11", "memory");
	return ret;
}

enum base { MONO, REAL, BOOT, TAI };

static u64 read_clock(enum base base)
{
	const struct clock_page *c = clock_page();
	u64 ns, tsc;
	u32 seq;
	s64 cycles;

	do {
		while ((seq = atomic_load_explicit(&c->seq, memory_order_acquire)) & 1)
			__builtin_ia32_pause();
		tsc = read_tsc();
		cycles = (s64)(tsc - *(const volatile u64 *)&c->base_tsc);
		ns = base == MONO ? c->mono_ns : base == BOOT ? c->boot_ns : c->real_ns;
		if (base == TAI)
			ns += (u64)c->tai_offset_s * NSEC;
		if (cycles > 0)
			ns += (u64)(((unsigned __int128)(u64)cycles * c->mult) >> c->shift);
		atomic_thread_fence(memory_order_acquire);
	} while (atomic_load_explicit(&c->seq, memory_order_relaxed) != seq);
	return ns;
}

/* A division by a constant, but 64 by 64: the compiler makes it a multiplication. */
static void split(u64 ns, struct __kernel_timespec *ts)
{
	ts->tv_sec = (long long)(ns / NSEC);
	ts->tv_nsec = (long long)(ns % NSEC);
}

int __vdso_clock_gettime(int clock, struct __kernel_timespec *ts);
int __vdso_clock_gettime(int clock, struct __kernel_timespec *ts)
{
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		split(read_clock(REAL), ts);
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
		split(read_clock(MONO) + (u64)offsets()->mono, ts);
		return 0;
	case CLOCK_BOOTTIME:
		split(read_clock(BOOT) + (u64)offsets()->boot, ts);
		return 0;
	case CLOCK_TAI:
		split(read_clock(TAI), ts);
		return 0;
	default:
		return (int)syscall2(__NR_clock_gettime, clock, (long)ts);
	}
}

int __vdso_clock_getres(int clock, struct __kernel_timespec *ts);
int __vdso_clock_getres(int clock, struct __kernel_timespec *ts)
{
	return (int)syscall2(__NR_clock_getres, clock, (long)ts);
}

int __vdso_gettimeofday(struct __kernel_old_timeval *tv, struct timezone *tz);
int __vdso_gettimeofday(struct __kernel_old_timeval *tv, struct timezone *tz)
{
	if (tv) {
		u64 ns = read_clock(REAL);

		tv->tv_sec = (long)(ns / NSEC);
		tv->tv_usec = (long)(ns % NSEC / 1000);
	}
	if (tz)
		*tz = (struct timezone){ 0 };
	return 0;
}

long __vdso_time(long *t);
long __vdso_time(long *t)
{
	long now = (long)(read_clock(REAL) / NSEC);

	if (t)
		*t = now;
	return now;
}

/* Which vCPU runs this, only the sentry knows. */
long __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused);
long __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused)
{
	return syscall2(__NR_getcpu, (long)cpu, (long)node);
}

#define ALIAS(name, of) extern __typeof__(of) name __attribute__((weak, alias(#of)))
ALIAS(clock_gettime, __vdso_clock_gettime);
ALIAS(clock_getres, __vdso_clock_getres);
ALIAS(gettimeofday, __vdso_gettimeofday);
ALIAS(time, __vdso_time);
ALIAS(getcpu, __vdso_getcpu);
