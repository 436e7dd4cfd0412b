/*
 * Giving rights up. Each call is made once, by a process that has a single thread, in this order.
 * On failure they return -errno with *what naming the step.
 */
#ifndef HOST_LOCKDOWN_H
#define HOST_LOCKDOWN_H

#include <linux/filter.h>

#include "host/sandbox.h"

/* First thing in a new process: own session, default signals but SIGPIPE ignored, death with the parent, and no descriptor
 * but 0..2 and `keep` (which is sorted in place). */
int lockdown_begin(int *keep, u32 n, const char **what);
/* Wait for the byte that says that the id maps are written, then become the user that the process stays. */
int lockdown_identity(const struct isolation *iso, int go, bool nobody, const char **what);
/* An empty read-only root, and nothing else, in the own mount namespace. Nothing to do without one. */
int lockdown_root(const struct isolation *iso, const char **what);
/* Keep only these capabilities (libcap's numbers); no_new_privs. */
int lockdown_privileges(const int *caps, u32 n, const char **what);
int lockdown_seccomp(const struct sock_filter *filter, size_t n, const char **what);

#endif
