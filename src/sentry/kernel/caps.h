/* The capability calls of prctl(2). */
#ifndef SENTRY_CAPS_H
#define SENTRY_CAPS_H

#include "base/types.h"

long prctl_capbset_read(u64 cap);
long prctl_capbset_drop(u64 cap);
long prctl_set_securebits(u64 bits);
long prctl_cap_ambient(u64 op, u64 cap, u64 arg4, u64 arg5);

#endif
