#include "host/async.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "host/async_priv.h"
#include "host/events.h"
#include "host/file_io.h"
#include "host/hostmem.h"

#define THREAD_STACK (64ul << 10)

struct async_op async_ops[ASYNC_MAX];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all of this and the engine's submission side */
static const struct async_engine *engine;
static u32 first_free, used, in_flight;
static void (*control_fn)(void);

bool async_has_uring(void)
{
	return engine == &async_uring;
}

int async_init(int control_fd, void (*on_control)(void), bool no_uring)
{
	control_fn = on_control;
	engine = &async_uring;
	if (!no_uring && !engine->init(control_fd))
		return 0;
	engine = &async_poll;
	return engine->init(control_fd);
}

static void *event_thread(void *unused)
{
	pthread_mutex_lock(&lock);
	engine->arm_control();
	pthread_mutex_unlock(&lock);
	for (;;)
		engine->wait();
	return NULL;
}

int async_start(void)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	err = pthread_create(&thread, &attr, event_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

static struct async_op *op_alloc(void)
{
	struct async_op *op;

	if (first_free) {
		op = &async_ops[first_free - 1];
		first_free = op->next_free;
	} else if (used < ASYNC_MAX) {
		op = &async_ops[used++];
	} else {
		return NULL;
	}
	op->generation++;
	in_flight++;
	return op;
}

static void op_free(struct async_op *op)
{
	op->stage = STAGE_FREE;
	op->next_free = first_free;
	first_free = (u32)(op - async_ops) + 1;
	in_flight--;
}

static bool is_write(const struct async_op *op)
{
	return op->op == HC_OP_WRITE || op->op == HC_OP_WRITEV;
}

/* Lay out an operation; everything in *req is hostile. */
static int decode(struct async_op *op, const struct hc_submit *req)
{
	s64 bytes;
	int err;

	if (req->op > HC_OP_POLL || req->io.flags & ~(HC_RW_NOWAIT | HC_RW_APPEND))
		return -EINVAL;
	err = handle_get(req->io.handle, &op->h);
	if (!err && op->h.kind == HANDLE_SOCKET) /* they have calls of their own */
		err = -EINVAL;
	if (err)
		return err;
	op->op = (u8)req->op;
	op->cancelled = false;
	op->handle = req->io.handle;
	op->cookie = req->cookie;
	op->flags = req->io.flags;
	op->pos = req->io.pos;
	op->niov = 0;
	if (req->op == HC_OP_POLL) {
		/* EPOLL* and POLL* bits are the same up to here; modes like EPOLLET are not the sentry's business. */
		op->poll_events = req->poll_events & 0x3fff;
		op->stage = STAGE_POLL;
		return 0;
	}
	if (req->op == HC_OP_FSYNC) {
		op->stage = STAGE_FILE;
		op->poll_events = req->poll_events; /* 1: data only */
		return op->h.kind == HANDLE_FILE ? 0 : -EINVAL;
	}
	bytes = hostmem_iovec(req->io.segs, req->io.nsegs, is_write(op), op->iov);
	if (bytes < 0)
		return (int)bytes;
	if (op->pos != FILE_IO_STREAM && (s64)op->pos < 0)
		return -EINVAL;
	if (op->pos != FILE_IO_STREAM && op->h.kind != HANDLE_FILE)
		return -ESPIPE;
	op->niov = req->io.nsegs;
	op->poll_events = is_write(op) ? POLLOUT : POLLIN;
	op->stage = op->h.kind == HANDLE_FILE ? STAGE_FILE : STAGE_POLL;
	return 0;
}

s64 async_submit(const struct hc_submit *req)
{
	struct async_op *op;
	int err = -EBUSY;

	pthread_mutex_lock(&lock);
	/* Room in the event ring for everything in flight, and some for signals. */
	if (in_flight < ASYNC_MAX && events_backlog() < HC_RING_SIZE - ASYNC_MAX - 64) {
		op = op_alloc();
		err = decode(op, req);
		if (!err)
			err = engine->start(op);
		if (err)
			op_free(op);
	}
	pthread_mutex_unlock(&lock);
	return err;
}

s64 async_cancel(u64 cookie)
{
	s64 ret = -ENOENT;

	pthread_mutex_lock(&lock);
	for (u32 i = 0; i < used; i++) {
		struct async_op *op = &async_ops[i];

		if (op->stage == STAGE_FREE || op->cookie != cookie || op->cancelled)
			continue;
		op->cancelled = true;
		engine->cancel(op);
		ret = 0;
		break;
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

void async_forget(hc_handle h)
{
	if (!engine->knows(h))
		return;
	pthread_mutex_lock(&lock);
	engine->forget(h);
	pthread_mutex_unlock(&lock);
}

/* A stream says that it is ready: -EAGAIN when it is not, after all. */
static s64 try_stream(struct async_op *op)
{
	struct handle now;

	/* Closed in the meantime: its descriptor number may be another file's by now. */
	if (handle_get(op->handle, &now))
		return -EBADF;
	return file_io(&op->h, is_write(op), op->iov, op->niov, FILE_IO_STREAM, op->flags | HC_RW_NOWAIT);
}

/* The result for the sentry, or -EAGAIN when it goes on. */
static s64 finish(struct async_op *op, s64 result)
{
	if (op->stage == STAGE_FILE || op->op == HC_OP_POLL)
		return result == -EAGAIN && !op->cancelled ? -EIO : result;
	if (result < 0)
		return result;
	if (op->cancelled)
		return -ECANCELED;
	return try_stream(op);
}

static void control_done(s64 result)
{
	if (result != -EAGAIN)
		control_fn();
	pthread_mutex_lock(&lock);
	engine->arm_control();
	pthread_mutex_unlock(&lock);
}

void async_done(u64 tag, s64 result)
{
	struct async_op *op;
	u64 cookie;

	if (tag == ASYNC_CONTROL) {
		control_done(result);
		return;
	}
	if ((u32)tag >= ASYNC_MAX) /* a cancellation's own completion */
		return;
	pthread_mutex_lock(&lock);
	op = &async_ops[(u32)tag];
	if (op->stage == STAGE_FREE || op->generation != tag >> 32) {
		pthread_mutex_unlock(&lock);
		return;
	}
	result = finish(op, result);
	if (result == -EAGAIN && !op->cancelled) {
		result = engine->start(op);
		if (!result) {
			pthread_mutex_unlock(&lock);
			return;
		}
	}
	cookie = op->cookie;
	op_free(op);
	pthread_mutex_unlock(&lock);
	events_push(HC_EV_COMPLETION, cookie, result);
}
