#include "host/clock.h"

#include <cpuid.h>
#include <pthread.h>
#include <time.h>

#include "host/hostmem.h"

#define NS 1000000000ull
#define SHIFT 32
#define TRIES 5
#define FIRST_REFRESH (20 * 1000 * 1000ull) /* ns; then ever longer, up to the last */
#define LAST_REFRESH (16 * NS)
#define SLEW_SPAN (NS / 2) /* a clock that is ahead is slowed for so long */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct clock_sample first, base; /* base: what the page says */
static s64 offset;
static u64 mult;      /* of the page */
static u64 true_mult; /* as measured */
static u64 interval = FIRST_REFRESH;
static _Atomic u64 due_tsc;

static u64 tsc_now(void)
{
	return __builtin_ia32_rdtsc();
}

static u64 clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (u64)ts.tv_sec * NS + (u64)ts.tv_nsec;
}

struct clock_sample clock_sample(void)
{
	struct clock_sample best = { 0 };
	u64 best_width = ~0ull;

	for (int i = 0; i < TRIES; i++) {
		u64 before = tsc_now(), ns = clock_ns(CLOCK_MONOTONIC), after = tsc_now();

		if (after - before < best_width) {
			best_width = after - before;
			best = (struct clock_sample){ before + (after - before) / 2, ns };
		}
	}
	return best;
}

static u64 scale(u64 ticks, u64 m)
{
	return (u64)((unsigned __int128)ticks * m >> SHIFT);
}

/* The rate as the CPU itself says it (leaf 15H), in ns per tick << SHIFT; 0 when it does not. */
static u64 cpuid_mult(void)
{
	u32 denominator, numerator, crystal_hz, edx;

	if (__get_cpuid_max(0, NULL) < 0x15)
		return 0;
	__cpuid(0x15, denominator, numerator, crystal_hz, edx);
	if (!denominator || !numerator || !crystal_hz)
		return 0;
	return (u64)(((unsigned __int128)NS << SHIFT) * denominator / ((unsigned __int128)crystal_hz * numerator));
}

static void publish(struct clock_sample now)
{
	struct clock_page *page = hostmem_clock();
	u32 seq = atomic_load_explicit(&page->seq, memory_order_relaxed) | 1;
	s64 real = (s64)clock_ns(CLOCK_REALTIME), boot = (s64)clock_ns(CLOCK_BOOTTIME), mono = (s64)clock_ns(CLOCK_MONOTONIC);

	atomic_store_explicit(&page->seq, seq, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	page->shift = SHIFT;
	page->mult = mult;
	page->base_tsc = now.tsc + (u64)offset;
	page->mono_ns = now.mono_ns;
	page->real_ns = now.mono_ns + (u64)(real - mono);
	page->boot_ns = now.mono_ns + (u64)(boot - mono);
	page->tai_offset_s = (s64)(clock_ns(CLOCK_TAI) / NS) - real / (s64)NS;
	page->tsc_hz = clock_tsc_hz();
	atomic_store_explicit(&page->seq, seq + 1, memory_order_release);
	base = now;
	atomic_store_explicit(&due_tsc, now.tsc + (u64)(((unsigned __int128)interval << SHIFT) / true_mult),
			      memory_order_relaxed);
}

void clock_init(struct clock_sample early, s64 tsc_offset)
{
	struct clock_sample now = clock_sample();

	first = early;
	offset = tsc_offset;
	true_mult = cpuid_mult();
	if (!true_mult)
		true_mult = (u64)(((unsigned __int128)(now.mono_ns - first.mono_ns) << SHIFT) / (now.tsc - first.tsc));
	mult = true_mult;
	publish(now);
}

/* The clock must never step back: when the page is ahead of the host, time goes on from there, slower for a while. */
static struct clock_sample without_step_back(struct clock_sample now)
{
	u64 said = base.mono_ns + scale(now.tsc - base.tsc, mult), ahead;

	mult = true_mult;
	if (said <= now.mono_ns)
		return now;
	ahead = MIN(said - now.mono_ns, SLEW_SPAN / 4);
	mult = true_mult - (u64)((unsigned __int128)true_mult * ahead / SLEW_SPAN);
	now.mono_ns = said;
	return now;
}

void clock_refresh(void)
{
	struct clock_sample now;

	if (pthread_mutex_trylock(&lock)) /* another vCPU is at it */
		return;
	now = clock_sample();
	if (now.mono_ns - first.mono_ns > FIRST_REFRESH / 2)
		true_mult = (u64)(((unsigned __int128)(now.mono_ns - first.mono_ns) << SHIFT) / (now.tsc - first.tsc));
	now = without_step_back(now);
	interval = mult != true_mult ? SLEW_SPAN : MIN(interval * 2, LAST_REFRESH);
	publish(now);
	pthread_mutex_unlock(&lock);
}

void clock_refresh_if_due(void)
{
	if (tsc_now() >= atomic_load_explicit(&due_tsc, memory_order_relaxed))
		clock_refresh();
}

u64 clock_tsc_hz(void)
{
	return (u64)(((unsigned __int128)NS << SHIFT) / true_mult);
}
