/* The engine without io_uring: regular files on the spot, streams by ppoll(2) in the event thread. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/async_priv.h"
#include "host/file_io.h"

/* What the event thread waits for: built anew whenever something was started or cancelled. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	u64 tag;
	int fd;
	short events;
	s16 state; /* 0: waits; 1: has a result */
	s64 result;
} list[ASYNC_MAX + 1];
static u32 nlist;
static struct pollfd pollfds[ASYNC_MAX + 2];
static u64 poll_tags[ASYNC_MAX + 2];
static int wake_fd = -1, control;

static int poll_init(int control_fd)
{
	control = control_fd;
	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return wake_fd < 0 ? -errno : 0;
}

static void wake(void)
{
	u64 one = 1;

	if (write(wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: awake already */
}

static void list_add(u64 tag, int fd, short events, bool done, s64 result)
{
	pthread_mutex_lock(&list_lock);
	if (nlist < ARRAY_SIZE(list)) {
		list[nlist].tag = tag;
		list[nlist].fd = fd;
		list[nlist].events = events;
		list[nlist].state = done;
		list[nlist++].result = result;
	}
	pthread_mutex_unlock(&list_lock);
	wake();
}

static s64 file_now(struct async_op *op)
{
	if (op->op == HC_OP_FSYNC)
		return (op->poll_events & 1 ? fdatasync(op->h.fd) : fsync(op->h.fd)) < 0 ? -errno : 0;
	return file_io(&op->h, op->op == HC_OP_WRITE || op->op == HC_OP_WRITEV, op->iov, op->niov, op->pos, op->flags & ~HC_RW_NOWAIT);
}

static int poll_start(struct async_op *op)
{
	if (op->stage == STAGE_FILE)
		list_add(async_tag(op), -1, 0, true, file_now(op));
	else
		list_add(async_tag(op), op->h.fd, (short)op->poll_events, false, 0);
	return 0;
}

static void poll_cancel(struct async_op *op)
{
	pthread_mutex_lock(&list_lock);
	for (u32 i = 0; i < nlist; i++) {
		if (list[i].tag != async_tag(op) || list[i].state)
			continue;
		list[i].state = 1;
		list[i].result = -ECANCELED;
	}
	pthread_mutex_unlock(&list_lock);
	wake();
}

static void poll_arm_control(void)
{
	list_add(ASYNC_CONTROL, control, POLLIN, false, 0);
}

static bool poll_knows(hc_handle h)
{
	return false;
}

static void poll_forget(hc_handle h)
{
}

/* Take one finished entry off the list. */
static bool take_done(u64 *tag, s64 *result)
{
	bool found = false;

	pthread_mutex_lock(&list_lock);
	for (u32 i = 0; i < nlist && !found; i++) {
		if (!list[i].state)
			continue;
		*tag = list[i].tag;
		*result = list[i].result;
		list[i] = list[--nlist];
		found = true;
	}
	pthread_mutex_unlock(&list_lock);
	return found;
}

static u32 collect(void)
{
	u32 n = 1;

	pollfds[0] = (struct pollfd){ .fd = wake_fd, .events = POLLIN };
	pthread_mutex_lock(&list_lock);
	for (u32 i = 0; i < nlist; i++) {
		pollfds[n] = (struct pollfd){ .fd = list[i].fd, .events = list[i].events };
		poll_tags[n++] = list[i].tag;
	}
	pthread_mutex_unlock(&list_lock);
	return n;
}

static void mark(u64 tag, short revents)
{
	pthread_mutex_lock(&list_lock);
	for (u32 i = 0; i < nlist; i++) {
		if (list[i].tag != tag || list[i].state)
			continue;
		list[i].state = 1;
		list[i].result = revents & POLLNVAL ? -EBADF : revents;
	}
	pthread_mutex_unlock(&list_lock);
}

static void poll_wait(void)
{
	u32 n = collect();
	u64 tag, junk;
	s64 result;

	if (poll(pollfds, n, -1) > 0) {
		if (pollfds[0].revents && read(wake_fd, &junk, sizeof(junk)) < 0 && errno != EAGAIN)
			return;
		for (u32 i = 1; i < n; i++)
			if (pollfds[i].revents)
				mark(poll_tags[i], pollfds[i].revents);
	}
	while (take_done(&tag, &result))
		async_done(tag, result);
}

const struct async_engine async_poll = {
	.init = poll_init,
	.start = poll_start,
	.cancel = poll_cancel,
	.arm_control = poll_arm_control,
	.knows = poll_knows,
	.forget = poll_forget,
	.wait = poll_wait,
};
