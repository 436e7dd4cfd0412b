/*
 * Asynchronous I/O: HC_SUBMIT and HC_CANCEL, and the event thread.
 *
 * Regular files go to io_uring as they are. A stream is polled for (by io_uring too) and then tried without waiting, by the
 * event thread, until it gives something; so no thread ever waits inside a read of a pipe or a terminal.
 * The ring is restricted to the operations below and to registered files before the lock-down, for seccomp cannot see
 * into a ring. Where the host has no io_uring, files are read on the spot and streams are polled by ppoll(2).
 */
#ifndef HOST_ASYNC_H
#define HOST_ASYNC_H

#include "host/handle.h"

struct hc_submit;

#define ASYNC_MAX 1024 /* operations in flight */

/* Before the lock-down. `control_fd` becomes readable with messages from the command; on_control reads one. */
int async_init(int control_fd, void (*on_control)(void), bool no_uring);
/* After it: starts the event thread. 0 or -errno. */
int async_start(void);
bool async_has_uring(void);

s64 async_submit(const struct hc_submit *req);
s64 async_cancel(u64 cookie);
/* A handle goes away; operations in flight keep their file. */
void async_forget(hc_handle h);

#endif
