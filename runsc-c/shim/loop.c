#include "shim/loop.h"

#include <errno.h>
#include <unistd.h>

#include "shim/shim.h"

static int epfd;
static bool stopped;

void loop_init(void)
{
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		die("epoll: %m");
}

void watch_add(struct watch *w, int fd, u32 events, void (*ready)(struct watch *w, u32 events))
{
	w->fd = fd;
	w->ready = ready;
	watch_change(w, events);
}

/* Files that are always ready are not for epoll (EPERM): nothing needs to wait for them. */
void watch_change(struct watch *w, u32 events)
{
	struct epoll_event e = {.events = events, .data.ptr = w};

	if (!events)
		epoll_ctl(epfd, EPOLL_CTL_DEL, w->fd, NULL);
	else if (epoll_ctl(epfd, EPOLL_CTL_MOD, w->fd, &e) < 0 && errno == ENOENT &&
		 epoll_ctl(epfd, EPOLL_CTL_ADD, w->fd, &e) < 0 && errno != EPERM)
		die("epoll: %m");
}

void watch_remove(struct watch *w)
{
	if (w->fd < 0)
		return;
	epoll_ctl(epfd, EPOLL_CTL_DEL, w->fd, NULL);
	close(w->fd);
	w->fd = -1;
}

/* One at a time: what one does may free the next. */
void loop_run(void)
{
	while (!stopped) {
		struct epoll_event e;
		struct watch *w;

		if (epoll_wait(epfd, &e, 1, -1) != 1) {
			if (errno != EINTR)
				die("epoll: %m");
			continue;
		}
		w = e.data.ptr;
		w->ready(w, e.events);
	}
}

void loop_stop(void)
{
	stopped = true;
}
