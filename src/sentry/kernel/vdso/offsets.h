/* The page below the clock page: what the clocks of a time namespace are shifted by, in ns. Read by the vDSO. */
#ifndef SENTRY_VDSO_OFFSETS_H
#define SENTRY_VDSO_OFFSETS_H

#include "base/types.h"

struct time_offsets {
	s64 mono, boot;
};

#endif
