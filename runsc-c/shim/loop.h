/* The shim has one thread, and one place to wait: this. */
#ifndef SHIM_LOOP_H
#define SHIM_LOOP_H

#include <sys/epoll.h>

#include "base/types.h"

/* Owned by who adds it; it may be removed and freed at any time, by its own function too. */
struct watch {
	int fd;
	void (*ready)(struct watch *w, u32 events); /* EPOLL* */
};

void loop_init(void);
/* events 0: nothing is told, not even that the other end is gone, until they are changed. */
void watch_add(struct watch *w, int fd, u32 events, void (*ready)(struct watch *w, u32 events));
void watch_change(struct watch *w, u32 events);
void watch_remove(struct watch *w); /* and close */
void loop_run(void);
void loop_stop(void); /* loop_run() returns */

#endif
