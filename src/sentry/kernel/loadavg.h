#ifndef SENTRY_LOADAVG_H
#define SENTRY_LOADAVG_H

#include "base/types.h"

#define LOADAVG_SHIFT 11 /* bits below the point */

extern u64 loadavg_due;
void loadavg_sample(void);
/* Called where the time is known anyway. No run queue is locked. */
static inline void loadavg_check(u64 tsc)
{
	if (unlikely(tsc >= READ_ONCE(loadavg_due)))
		loadavg_sample();
}
void loadavg_get(u64 avg[3]);

#endif
