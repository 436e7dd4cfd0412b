/* Reading the clocks: the TSC and the parameters in the clock page, which the host side keeps right (hostcall.h). */
#include "hostcall.h"
#include "platform/platform.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/timer.h"

static struct clock_page *clock_page(void)
{
	return pa_to_va(CLOCK_PAGE_PA);
}

/* The TSCs of two CPUs may differ by a few cycles; time never runs backwards past the base. */
static u64 ns_since_base(const struct clock_page *c)
{
	s64 cycles = (s64)(rdtsc() - c->base_tsc);

	return cycles > 0 ? (u64)(((unsigned __int128)(u64)cycles * c->mult) >> c->shift) : 0;
}

static u64 clock_read(const u64 *base)
{
	struct clock_page *c = clock_page();
	u32 seq;
	u64 ns;

	do {
		while ((seq = atomic_load_explicit(&c->seq, memory_order_acquire)) & 1)
			__builtin_ia32_pause();
		ns = *(const volatile u64 *)base + ns_since_base(c);
		atomic_thread_fence(memory_order_acquire);
	} while (atomic_load_explicit(&c->seq, memory_order_relaxed) != seq);
	return ns;
}

u64 clock_mono_ns(void)
{
	return clock_read(&clock_page()->mono_ns);
}

u64 clock_real_ns(void)
{
	return clock_read(&clock_page()->real_ns);
}

u64 clock_boot_ns(void)
{
	return clock_read(&clock_page()->boot_ns);
}

u64 ns_to_tsc(u64 ns)
{
	/* Ten bits below the point: gigahertz as cycles in 1024 ns. */
	u64 rate = (clock_page()->tsc_hz << 10) / NSEC_PER_SEC;

	return (u64)(((unsigned __int128)ns * rate) >> 10);
}
