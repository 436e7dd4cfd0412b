/*
 * Readiness of host sockets. One epoll instance has those that somebody in the sandbox waits for, edge-triggered; a thread waits for it and
 * tells the sentry (HC_EV_SOCKET) of the ones that are armed. A change that nobody armed for costs no event.
 */
#ifndef HOST_SOCK_WATCH_H
#define HOST_SOCK_WATCH_H

#include "host/handle.h"

int sock_watch_init(void);  /* before the lock-down. 0 or -errno */
int sock_watch_start(void); /* after it: the thread */
/* A new handle: nobody waits for it. */
void sock_watch_new(hc_handle h);
/* How often something was seen to change. To be asked before an operation that may find that it has to wait ... */
u32 sock_watch_changes(hc_handle h);
/* ... and armed after that. 1; 0 when there was a change in between, so that the operation is to be tried again; -errno. */
int sock_watch_arm(hc_handle h, u32 arm, u32 changes);
/* Close it, with its handle. 0 or -EBADF. */
int sock_watch_close(hc_handle h);

#endif
