/*
 * The clock page: the TSC's rate and the clocks at one moment of it, so that the sentry and applications read clocks without
 * a call. The rate is measured from the command's start on and again at hostcalls that happen anyway: ever more exact, and an
 * idle sandbox is not woken for it.
 */
#ifndef HOST_CLOCK_H
#define HOST_CLOCK_H

#include "base/types.h"

struct clock_sample {
	u64 tsc, mono_ns;
};
/* The TSC and CLOCK_MONOTONIC at the same moment, to some 20 ns. */
struct clock_sample clock_sample(void);

/* Fill the page. `first`: an early sample; tsc_offset: guest TSC minus host TSC. */
void clock_init(struct clock_sample first, s64 tsc_offset);
void clock_refresh(void);
/* The same when enough time has passed since the last one; costs a rdtsc. */
void clock_refresh_if_due(void);
u64 clock_tsc_hz(void);

#endif
