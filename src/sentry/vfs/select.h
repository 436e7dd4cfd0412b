/* Timeouts and signal masks of ppoll, pselect and epoll_pwait2. */
#ifndef SENTRY_SELECT_H
#define SENTRY_SELECT_H

#include "base/types.h"

enum poll_time_kind { POLL_TIMEVAL, POLL_TIMESPEC };
/* Read a relative time (0: none) into an absolute deadline. -EFAULT, -EINVAL. */
int poll_get_timeout(u64 uts, enum poll_time_kind kind, u64 *deadline, bool *nowait);
/* Restore the signal mask and write back the time left; the result to return. */
long poll_finish(long ret, u64 uts, enum poll_time_kind kind, u64 deadline);
/* Swap in a user signal mask (0: leave). */
int poll_set_sigmask(u64 umask, u64 size);

#endif
