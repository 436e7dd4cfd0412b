/*
 * Timers: a tree a vCPU, ordered by expiry. A timer is queued on the vCPU that starts it and run by that vCPU, so no vCPU
 * ever has to tell another about an earlier deadline. The host's timer is only set when user code is about to run and
 * the earliest deadline moved forward; it is never cleared, a kick too many is cheaper.
 */
#include "sentry/kernel/timer.h"

#include "base/lock.h"
#include "base/log.h"
#include "hostcall.h"
#include "sentry/kernel/rq.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task.h"

enum { KT_IDLE, KT_QUEUED };

/* The host kicks by its own clock, and ours may be that much behind: it is read off the TSC at a rate that was measured. */
#define HOST_TIMER_SLACK_NS NSEC_PER_MSEC

static u32 nbases;

void timers_init(u32 ncpus)
{
	nbases = ncpus;
	for (u32 i = 0; i < ncpus; i++)
		rqs[i].timers.host_deadline = rqs[i].timers.next = ~0ull;
}

void ktimer_init(struct ktimer *t, void (*fn)(struct ktimer *t))
{
	*t = (struct ktimer){ .fn = fn };
}

static struct timer_base *lock_base(struct ktimer *t)
{
	for (;;) {
		u32 cpu = READ_ONCE(t->cpu);
		struct timer_base *b = &rqs[cpu].timers;

		spin_lock(&b->lock);
		if (likely(t->cpu == cpu))
			return b;
		spin_unlock(&b->lock);
	}
}

static void enqueue(struct timer_base *b, struct ktimer *t)
{
	struct rb_node **link = &b->tree.node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = t->expires < container_of(parent, struct ktimer, node)->expires ? &parent->left : &parent->right;
	}
	rb_link_node(&t->node, parent, link);
	rb_insert(&t->node, &b->tree, NULL);
	if (!b->first || t->expires < b->first->expires) {
		b->first = t;
		WRITE_ONCE(b->next, t->expires);
	}
	t->state = KT_QUEUED;
}

static void dequeue(struct timer_base *b, struct ktimer *t)
{
	if (b->first == t) {
		struct rb_node *n = rb_next(&t->node);

		b->first = n ? container_of(n, struct ktimer, node) : NULL;
		WRITE_ONCE(b->next, n ? b->first->expires : ~0ull);
	}
	rb_erase(&t->node, &b->tree, NULL);
	t->state = KT_IDLE;
}

void ktimer_start(struct ktimer *t, u64 expires_ns)
{
	u32 cpu = this_cpu_id();
	struct timer_base *b;

	for (;;) {
		b = lock_base(t);
		if (t->state == KT_QUEUED)
			dequeue(b, t);
		if (t->cpu == cpu)
			break;
		t->cpu = cpu;
		spin_unlock(&b->lock);
	}
	t->expires = expires_ns;
	enqueue(b, t);
	spin_unlock(&b->lock);
}

bool ktimer_cancel(struct ktimer *t)
{
	struct timer_base *b = lock_base(t);
	bool was = t->state == KT_QUEUED;

	if (was)
		dequeue(b, t);
	spin_unlock(&b->lock);
	return was;
}

static bool timer_running(const struct ktimer *t)
{
	for (u32 i = 0; i < nbases; i++)
		if (READ_ONCE(rqs[i].timers.running) == t)
			return true;
	return false;
}

bool ktimer_cancel_sync(struct ktimer *t)
{
	bool was = false;

	for (;;) {
		was |= ktimer_cancel(t);
		if (!timer_running(t))
			break;
		while (timer_running(t))
			hostcall(HC_YIELD, NULL, 0);
	}
	return was;
}

u64 timers_run(void)
{
	struct timer_base *b = &this_rq()->timers;
	struct ktimer *t;
	u64 now;

	if (READ_ONCE(b->next) == ~0ull && b->host_deadline == ~0ull)
		return ~0ull;
	now = clock_mono_ns();
	if (b->host_deadline <= now + HOST_TIMER_SLACK_NS)
		b->host_deadline = ~0ull;
	spin_lock(&b->lock);
	while ((t = b->first) && t->expires <= now) {
		dequeue(b, t);
		WRITE_ONCE(b->running, t);
		spin_unlock(&b->lock);
		t->fn(t);
		spin_lock(&b->lock);
		WRITE_ONCE(b->running, NULL);
	}
	spin_unlock(&b->lock);
	return READ_ONCE(b->next);
}

u64 timers_kicked(void)
{
	this_rq()->timers.host_deadline = ~0ull;
	return timers_run();
}

void timers_tell_host(struct timer_base *b)
{
	struct hc_wait req = { .cpu = this_cpu_id(), .deadline_ns = READ_ONCE(b->next) };

	b->host_deadline = req.deadline_ns;
	hostcall(HC_TIMER_SET, &req, sizeof(req));
}
