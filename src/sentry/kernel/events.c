/*
 * The event ring's consumer, and host I/O that puts only the task to sleep. A cookie is the address of the struct completion that
 * waits for it; the host side gives it back as it is.
 */
#include "sentry/kernel/events.h"

#include <asm/signal.h>
#include <linux/errno.h>

#include "base/lock.h"
#include "base/log.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"

struct completion {
	void (*fn)(struct completion *c, s64 result);
};
struct io_wait {
	struct completion done;
	struct task *task;
	s64 result;
	_Atomic bool finished;
};
struct poll_arm {
	struct completion done;
	void (*fn)(void *arg, s64 mask);
	void *arg;
};

void (*host_signal_hook)(int sig);
static spinlock_t ring_lock = SPINLOCK_INIT;

/* Signals that come before there is a program to have them: bit n-1 is signal n. */
static _Atomic u64 early_signals;

static void signal_init(u64 signals)
{
	for (int sig = 1; sig <= SIG_COUNT; sig++)
		if (signals >> (sig - 1) & 1)
			send_signal_process(init_process, sig, SEND_SIG_PRIV);
}

void host_signals_allow(void)
{
	signal_init(atomic_exchange(&early_signals, 0));
}

static void host_signal(int sig, bool to_init)
{
	if (host_signal_hook && !to_init) {
		host_signal_hook(sig);
	} else if (sig >= 1 && sig <= SIG_COUNT) {
		atomic_fetch_or(&early_signals, 1ull << (sig - 1));
		if (spawn_allowed())
			host_signals_allow();
	}
}

static void handle_event(const struct hc_event *ev)
{
	switch (ev->kind) {
	case HC_EV_COMPLETION: {
		struct completion *c = (struct completion *)ev->cookie;

		c->fn(c, ev->result);
		break;
	}
	case HC_EV_SIGNAL:
		host_signal((int)ev->result, ev->cookie == 1);
		break;
	case HC_EV_WINCH:
		host_signal(SIGWINCH, false);
		break;
	case HC_EV_SPAWN:
		spawn_request((u32)ev->cookie, (u64)ev->result);
		break;
	case HC_EV_SPAWN_SIGNAL:
		spawn_signal((u32)ev->cookie, ev->cookie >> 32, (int)ev->result);
		break;
	case HC_EV_ASK:
		ask_request((u32)ev->cookie, (u32)(ev->cookie >> 32), (u32)ev->result, (hc_handle)((u64)ev->result >> 32));
		break;
	case HC_EV_SOCKET:
		host_socket_event((hc_handle)ev->cookie, (u32)ev->result);
		break;
	default:
		klog(LOG_WARN, "event of unknown kind %u", ev->kind);
	}
}

static bool take_event(struct hc_event_ring *r, struct hc_event *ev)
{
	u32 head;
	bool got;

	spin_lock(&ring_lock);
	head = atomic_load_explicit(&r->head, memory_order_relaxed);
	got = head != atomic_load_explicit(&r->tail, memory_order_acquire);
	if (got) {
		*ev = r->ev[head % HC_RING_SIZE];
		atomic_store_explicit(&r->head, head + 1, memory_order_release);
	}
	spin_unlock(&ring_lock);
	return got;
}

void events_poll(void)
{
	struct hc_event ev;

	while (events_pending() && take_event(pa_to_va(EVENT_RING_PA), &ev))
		handle_event(&ev);
}

/* ---- I/O ---- */

static void io_done(struct completion *c, s64 result)
{
	struct io_wait *w = container_of(c, struct io_wait, done);
	struct task *t = task_get(w->task);

	w->result = result;
	atomic_store(&w->finished, true); /* w may be gone from here on */
	wake_up_task(t);
	task_put(t);
}

static s64 submit(struct hc_submit *io, struct completion *c)
{
	s64 r;

	io->cookie = (u64)c;
	while ((r = hostcall(HC_SUBMIT, io, sizeof(*io))) == -EBUSY) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule_until(clock_mono_ns() + NSEC_PER_MSEC);
	}
	return r;
}

static void wait_finished(struct io_wait *w)
{
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		if (atomic_load(&w->finished))
			break;
		schedule();
	}
	set_current_state(TASK_RUNNING);
}

/* False: a signal came first. */
static bool wait_interruptibly(struct io_wait *w)
{
	bool finished;

	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		finished = atomic_load(&w->finished);
		if (finished || signal_pending())
			break;
		schedule();
	}
	set_current_state(TASK_RUNNING);
	return finished;
}

static s64 cancel(struct io_wait *w)
{
	struct hc_cancel req = { .cookie = (u64)&w->done };

	hostcall(HC_CANCEL, &req, sizeof(req));
	wait_finished(w); /* the buffer is the host's until the completion came */
	return w->result == -ECANCELED || w->result == -EINTR ? -ERESTARTSYS : w->result;
}

static s64 submit_and_wait(struct hc_submit *io, bool interruptible)
{
	struct io_wait w = { .done = { io_done }, .task = current };
	s64 r = submit(io, &w.done);

	if (r < 0)
		return r;
	if (interruptible && !wait_interruptibly(&w))
		return cancel(&w);
	wait_finished(&w);
	return w.result;
}

static s64 try_now(struct hc_submit *io)
{
	static const u32 call[] = { [HC_OP_READ] = HC_PREAD,
				    [HC_OP_WRITE] = HC_PWRITE,
				    [HC_OP_READV] = HC_PREADV,
				    [HC_OP_WRITEV] = HC_PWRITEV };
	u32 flags = io->io.flags;
	s64 r;

	if (io->op >= ARRAY_SIZE(call))
		return -EAGAIN;
	if (io->op == HC_OP_READ || io->op == HC_OP_WRITE) {
		struct hc_rw rw = { .handle = io->io.handle,
				    .flags = flags | HC_RW_NOWAIT,
				    .pos = io->io.pos,
				    .off = io->io.segs[0].off,
				    .len = io->io.segs[0].len };

		return hostcall(call[io->op], &rw, sizeof(rw));
	}
	io->io.flags |= HC_RW_NOWAIT;
	r = hostcall(call[io->op], &io->io, sizeof(io->io));
	io->io.flags = flags;
	return r;
}

s64 host_io(struct hc_submit *io, bool interruptible)
{
	s64 r = try_now(io);

	return r == -EAGAIN ? submit_and_wait(io, interruptible) : r;
}

static s64 simple_io(u32 op, hc_handle h, u64 off, size_t n, u64 pos, bool interruptible)
{
	struct hc_submit io = { .op = op,
				.io = { .handle = h, .pos = pos, .nsegs = 1, .segs = { { off, MIN(n, HC_RW_MAX) } } } };

	return host_io(&io, interruptible);
}

s64 host_pread(hc_handle h, void *buf, size_t n, u64 pos, bool interruptible)
{
	return simple_io(HC_OP_READ, h, va_to_pa(buf), n, pos, interruptible);
}

s64 host_pwrite(hc_handle h, const void *buf, size_t n, u64 pos, bool interruptible)
{
	return simple_io(HC_OP_WRITE, h, va_to_pa(buf), n, pos, interruptible);
}

/* ---- readiness ---- */

static void poll_ready(struct completion *c, s64 result)
{
	struct poll_arm arm = *container_of(c, struct poll_arm, done);

	kfree(container_of(c, struct poll_arm, done));
	arm.fn(arm.arg, result);
}

int host_poll_arm(hc_handle h, u32 events, void (*fn)(void *arg, s64 mask), void *arg)
{
	struct poll_arm *p = kmalloc(sizeof(*p));
	struct hc_submit io = { .op = HC_OP_POLL, .poll_events = events, .io = { .handle = h } };
	s64 r;

	if (!p)
		return -ENOMEM;
	*p = (struct poll_arm){ { poll_ready }, fn, arg };
	io.cookie = (u64)&p->done;
	r = hostcall(HC_SUBMIT, &io, sizeof(io)); /* callers may hold locks: no waiting for room */
	if (r < 0)
		kfree(p);
	return r < 0 ? (int)r : 0;
}
