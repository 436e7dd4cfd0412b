/*
 * The event ring in sandbox memory, from its producer's side. The tail is kept here and only copied there; the head is the
 * sentry's and believed no further than that a wrong one loses the sentry's own events.
 */
#ifndef HOST_EVENTS_H
#define HOST_EVENTS_H

#include "hostcall.h"

/* Append one and kick a vCPU. Any thread but a signal handler. */
void events_push(u32 kind, u64 cookie, s64 result);
/* The sentry has something to fetch. */
bool events_pending(void);
/* Events that lie there unread. */
u32 events_backlog(void);

#endif
