#include "host/sock_watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "host/events.h"
#include "hostcall_net.h"

#define THREAD_STACK (64ul << 10)
#define BATCH 32
#define IDLE_CHANGES 8 /* so many that nobody armed for, and a socket is watched no longer: it is busy, not waited for */
/* Completions of asynchronous I/O need their room in the event ring: sockets use the lower half alone. */
#define BACKLOG_MAX (HC_RING_SIZE / 2 - BATCH)

#define CHANGES (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET)
#define IN_EVENTS (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)
#define OUT_EVENTS (EPOLLOUT | EPOLLHUP | EPOLLERR)

static struct watch {
	_Atomic hc_handle handle; /* whose it is: an event of an earlier one is dropped */
	_Atomic u32 armed;	  /* HC_ARM_IN, _OUT, _STAY */
	_Atomic u32 changes;
	_Atomic bool watched;	  /* in the epoll instance; written under lock */
	u32 idle;		  /* the thread's alone */
} watches[HANDLE_MAX];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* no handle closes while it is held */
static int epoll = -1;

int sock_watch_init(void)
{
	epoll = epoll_create1(EPOLL_CLOEXEC);
	return epoll < 0 ? -errno : 0;
}

void sock_watch_new(hc_handle h)
{
	struct watch *w = &watches[handle_index(h)];

	atomic_store(&w->armed, 0);
	atomic_store(&w->watched, false);
	atomic_store(&w->handle, h);
}

u32 sock_watch_changes(hc_handle h)
{
	return atomic_load(&watches[handle_index(h)].changes);
}

/* Lock held. What is ready by now comes as an event. */
static int watch(hc_handle h, struct watch *w)
{
	struct epoll_event ev = { .events = CHANGES, .data.u64 = h };
	struct handle file;
	int err = handle_get_kind(h, HANDLE_SOCKET, &file);

	if (!err && epoll_ctl(epoll, EPOLL_CTL_ADD, file.fd, &ev) < 0)
		err = -errno;
	if (!err)
		atomic_store(&w->watched, true);
	return err;
}

int sock_watch_arm(hc_handle h, u32 arm, u32 changes)
{
	struct watch *w = &watches[handle_index(h)];
	int err = 0;

	if (arm & HC_ARM_LEAVE) {
		atomic_fetch_and(&w->armed, ~HC_ARM_STAY);
		return 1;
	}
	/* The thread counts a change and then looks who is armed; here it is the other way round, so one sees the other. */
	atomic_fetch_or(&w->armed, arm);
	if (!atomic_load(&w->watched)) {
		pthread_mutex_lock(&lock);
		if (!atomic_load(&w->watched))
			err = watch(h, w);
		pthread_mutex_unlock(&lock);
	}
	return err ? err : atomic_load(&w->changes) == changes;
}

int sock_watch_close(hc_handle h)
{
	struct handle file;
	int err;

	pthread_mutex_lock(&lock);
	err = handle_remove(h, &file);
	if (!err)
		close(file.fd); /* out of the epoll instance too: there is no other descriptor for it */
	pthread_mutex_unlock(&lock);
	return err;
}

/* Watch it no longer, unless somebody arms it at this moment: an arming either sees that it is not watched, or is seen here. */
static void unwatch(hc_handle h, struct watch *w)
{
	struct handle file;

	pthread_mutex_lock(&lock);
	if (!handle_get_kind(h, HANDLE_SOCKET, &file)) {
		atomic_store(&w->watched, false);
		epoll_ctl(epoll, EPOLL_CTL_DEL, file.fd, NULL);
		if (atomic_load(&w->armed))
			watch(h, w);
	}
	pthread_mutex_unlock(&lock);
}

static void changed(hc_handle h, u32 events)
{
	struct watch *w = &watches[handle_index(h)];
	u32 armed, once = (events & IN_EVENTS ? HC_ARM_IN : 0) | (events & OUT_EVENTS ? HC_ARM_OUT : 0);

	if (atomic_load(&w->handle) != h)
		return;
	atomic_fetch_add(&w->changes, 1);
	armed = atomic_load(&w->armed);
	if (armed & (once | HC_ARM_STAY)) {
		atomic_fetch_and(&w->armed, ~once);
		w->idle = 0;
		events_push(HC_EV_SOCKET, h, events & ~(u32)EPOLLET);
	} else if (!armed && ++w->idle >= IDLE_CHANGES) {
		w->idle = 0;
		unwatch(h, w);
	}
}

static void *watch_thread(void *unused)
{
	struct epoll_event ev[BATCH];
	int n;

	for (;;) {
		while (events_backlog() > BACKLOG_MAX)
			poll(NULL, 0, 1);
		n = epoll_wait(epoll, ev, BATCH, -1);
		for (int i = 0; i < n; i++)
			changed((hc_handle)ev[i].data.u64, ev[i].events);
	}
	return NULL;
}

int sock_watch_start(void)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	err = pthread_create(&thread, &attr, watch_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}
