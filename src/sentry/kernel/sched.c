/*
 * The scheduler: a run queue a vCPU under its own lock, ordered by weighted run time.
 *
 * Lock order: task state is changed under the lock of the queue the task belongs to (task.cpu); two queue locks are never
 * held together. The lock is held across the switch and released by the task switched to, so whoever gets the lock
 * finds every other task's registers saved.
 *
 * Placement of a woken task: on an idle vCPU, its last one first, which costs a kick; but on the waker's when the waker is
 * known to sleep soon after it wakes another (pipes, futexes, fork and wait): then one switch hands the vCPU on.
 * The habit is a small counter, task.handoff, unlearned when a slice ends with others waiting.
 */
#include "sentry/kernel/sched.h"

#include "base/log.h"
#include "base/string.h"
#include "sentry/kernel/boot.h"
#include "sentry/kernel/events.h"
#include "sentry/kernel/loadavg.h"
#include "sentry/kernel/rq.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/trace/trace.h"

#define SLICE_NS (4 * NSEC_PER_MSEC)
#define TICK_NS (2 * NSEC_PER_MSEC)	/* when another vCPU is idle: how long a task may wait for its waker */
#define WAKE_PREEMPT_NS NSEC_PER_MSEC	/* a woken task that is behind by more than this preempts */
#define HANDOFF_NS (100 * NSEC_PER_USEC) /* "soon" */
#define HANDOFF_KNOWN 3
#define YIELDS_BEFORE_KICK 1000
#define HANDOFF_MAX 6

struct rq rqs[MAX_CPUS];
static u32 ncpus;
static _Atomic u64 idle_mask; /* vCPUs that have nothing to run and were not given anything yet */
static u64 slice_tsc, wake_preempt_tsc, handoff_tsc;
static u64 ns_per_cycle; /* 32 bits below the point. The clock page's rate changes, and CPU time must not step back */

/* Weights of nice -20..19: each step is a tenth of the CPU, 0 is 1024 (setpriority(2), sched(7)). */
static const u32 nice_weight[40] = {
	88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904,
	3906,  3121,  2501,  1991,  1586,  1277,  1024,	 820,	655,   526,   423,  335,  272,	215,
	172,   137,   110,   87,    70,	   56,	  45,	 36,	29,    23,    18,   15,
};

u32 this_cpu_id(void)
{
	return current->cpu;
}

u32 num_cpus(void)
{
	return ncpus;
}

/* ---- the queue; rq->lock held ---- */

static void enqueue(struct rq *rq, struct task *t)
{
	struct rb_node **link = &rq->tree.node, *parent = NULL;
	bool leftmost = true;

	while (*link) {
		parent = *link;
		if ((s64)(t->vruntime - container_of(parent, struct task, rq_node)->vruntime) < 0) {
			link = &parent->left;
		} else {
			link = &parent->right;
			leftmost = false;
		}
	}
	rb_link_node(&t->rq_node, parent, link);
	rb_insert(&t->rq_node, &rq->tree, NULL);
	if (leftmost)
		rq->first = t;
	t->queued = true;
	WRITE_ONCE(rq->nr, rq->nr + 1);
}

static void dequeue(struct rq *rq, struct task *t)
{
	if (rq->first == t) {
		struct rb_node *n = rb_next(&t->rq_node);

		rq->first = n ? container_of(n, struct task, rq_node) : NULL;
	}
	rb_erase(&t->rq_node, &rq->tree, NULL);
	t->queued = false;
	WRITE_ONCE(rq->nr, rq->nr - 1);
}

static struct rq *lock_task_rq(struct task *t)
{
	for (;;) {
		u32 cpu = READ_ONCE(t->cpu);
		struct rq *rq = &rqs[cpu];

		spin_lock(&rq->lock);
		if (likely(READ_ONCE(t->cpu) == cpu))
			return rq;
		spin_unlock(&rq->lock);
	}
}

static u64 weighted(const struct task *t, u64 cycles)
{
	if (likely(t->nice == 0))
		return cycles;
	return cycles * 1024 / nice_weight[t->nice + 20];
}

static void update_curr(struct rq *rq, struct task *t, u64 now)
{
	if (t->is_idle)
		return;
	t->vruntime += weighted(t, now - t->exec_start);
	t->exec_start = now;
	if (rq->first && (s64)(rq->first->vruntime - t->vruntime) < 0)
		rq->min_vruntime = rq->first->vruntime;
	else
		rq->min_vruntime = t->vruntime;
}

/* A sleeper comes back a little ahead of those who ran meanwhile, but not by all the time that it slept. */
static void place_sleeper(struct rq *rq, struct task *t)
{
	u64 floor = rq->min_vruntime - slice_tsc / 2;

	if ((s64)(t->vruntime - floor) < 0)
		t->vruntime = floor;
}

/* A vCPU without an idle task has not come up yet. */
static bool cpu_allowed(const struct task *t, u32 cpu)
{
	return (t->cpu_mask >> cpu & 1) && READ_ONCE(rqs[cpu].idle);
}

/* ---- waking ---- */

static bool claim_idle(u32 cpu)
{
	u64 bit = 1ull << cpu;

	return (atomic_load_explicit(&idle_mask, memory_order_relaxed) & bit) &&
	       (atomic_fetch_and(&idle_mask, ~bit) & bit);
}

static s32 claim_any_idle(u64 allowed)
{
	u64 mask;

	while ((mask = atomic_load_explicit(&idle_mask, memory_order_relaxed) & allowed)) {
		u32 cpu = (u32)__builtin_ctzll(mask);

		if (claim_idle(cpu))
			return (s32)cpu;
	}
	return -1;
}

static u32 least_loaded(struct task *t, u32 here)
{
	u32 best = ~0u;

	if (cpu_allowed(t, t->cpu) && rqs[t->cpu].nr == 0)
		return t->cpu;
	if (cpu_allowed(t, here))
		best = here;
	for (u32 cpu = 0; cpu < ncpus; cpu++)
		if (cpu_allowed(t, cpu) && (best == ~0u || READ_ONCE(rqs[cpu].nr) < READ_ONCE(rqs[best].nr)))
			best = cpu;
	return best == ~0u ? here : best;
}

static u32 select_cpu(struct task *t)
{
	struct task *me = current;
	u32 here = me->cpu;
	s32 cpu;

	if (ncpus == 1)
		return 0;
	if (cpu_allowed(t, here) && (me->is_idle || me->handoff >= HANDOFF_KNOWN))
		return here;
	if (cpu_allowed(t, t->cpu) && claim_idle(t->cpu))
		return t->cpu;
	cpu = claim_any_idle(t->cpu_mask);
	return cpu >= 0 ? (u32)cpu : least_loaded(t, here);
}

static void kick_if_sleeping(struct rq *rq)
{
	if (atomic_load(&rq->sleeping) && atomic_exchange(&rq->sleeping, 0))
		platform->kick(rq->cpu);
}

static void kick_if_in_user(struct rq *rq)
{
	if (rq != this_rq() && atomic_load(&rq->in_user))
		platform->kick(rq->cpu);
}

/* Should t take the vCPU from the task there? */
static void check_preempt(struct rq *rq, struct task *t)
{
	struct task *curr = rq->curr;

	if (curr->is_idle)
		return;
	if ((s64)(curr->vruntime - t->vruntime) > (s64)wake_preempt_tsc) {
		atomic_fetch_or(&curr->flags, TIF_RESCHED);
		kick_if_in_user(rq);
		return;
	}
	/* It runs alone, without an end to its slice: it has to come by and set one. Pairs with sched_user_enter(). */
	atomic_thread_fence(memory_order_seq_cst);
	if (!READ_ONCE(rq->slice_armed))
		kick_if_in_user(rq);
}

/* t is on no queue and nobody else will put it on one. */
static void activate(struct task *t, u32 cpu)
{
	struct rq *rq = &rqs[cpu];

	spin_lock(&rq->lock);
	place_sleeper(rq, t);
	enqueue(rq, t);
	check_preempt(rq, t);
	spin_unlock(&rq->lock);
	kick_if_sleeping(rq);
}

bool wake_up_state(struct task *t, u32 mask)
{
	struct task *me = current;
	struct rq *rq;
	u32 cpu;

	atomic_thread_fence(memory_order_seq_cst); /* pairs with set_current_state() */
	if (!(atomic_load_explicit(&t->state, memory_order_relaxed) & mask))
		return false;
	rq = lock_task_rq(t);
	if (!(atomic_load_explicit(&t->state, memory_order_relaxed) & mask)) {
		spin_unlock(&rq->lock);
		return false;
	}
	atomic_store_explicit(&t->state, TASK_RUNNING, memory_order_release);
	if (t->on_rq) { /* has not left its vCPU yet */
		spin_unlock(&rq->lock);
		return true;
	}
	me->wake_tsc = rdtsc();
	cpu = select_cpu(t);
	t->on_rq = true;
	if (cpu == rq->cpu) {
		place_sleeper(rq, t);
		enqueue(rq, t);
		check_preempt(rq, t);
		spin_unlock(&rq->lock);
		kick_if_sleeping(rq);
	} else {
		t->vruntime += rqs[cpu].min_vruntime - rq->min_vruntime;
		WRITE_ONCE(t->cpu, cpu);
		spin_unlock(&rq->lock);
		activate(t, cpu);
	}
	return true;
}

void sched_new_task(struct task *t)
{
	u32 cpu;

	t->cpu = current->cpu;
	current->wake_tsc = rdtsc();
	cpu = select_cpu(t);
	t->cpu = cpu;
	t->vruntime = rqs[cpu].min_vruntime;
	t->on_rq = true;
	atomic_store(&t->state, TASK_RUNNING);
	activate(t, cpu);
}

void resched_task(struct task *t)
{
	struct rq *rq;

	atomic_thread_fence(memory_order_seq_cst); /* the flag before in_user; pairs with sched_user_enter() */
	rq = &rqs[READ_ONCE(t->cpu)];
	if (READ_ONCE(rq->curr) == t)
		kick_if_in_user(rq);
}

/* ---- switching ---- */

/* More is waiting here than this vCPU can run: an idle one takes some. After a hand-off nothing waits. */
static void share_work(struct rq *rq)
{
	s32 idle;

	if (likely(!READ_ONCE(rq->nr) || !atomic_load_explicit(&idle_mask, memory_order_relaxed)))
		return;
	idle = claim_any_idle(~0ull);
	if (idle >= 0)
		kick_if_sleeping(&rqs[idle]);
}

/* Runs on the new task's stack. */
static void finish_switch(void)
{
	struct rq *rq = this_rq();
	struct task *prev = rq->prev;
	bool dead = atomic_load_explicit(&prev->state, memory_order_relaxed) == TASK_DEAD;
	bool migrate = prev->on_rq && !prev->is_idle && !prev->queued;
	u32 cpu = 0;

	if (migrate) {
		cpu = least_loaded(prev, (u32)__builtin_ctzll(prev->cpu_mask));
		prev->vruntime += rqs[cpu].min_vruntime - rq->min_vruntime;
		WRITE_ONCE(prev->cpu, cpu);
	}
	spin_unlock(&rq->lock);
	share_work(rq);
	if (migrate)
		activate(prev, cpu);
	if (dead)
		task_gone(prev);
}

void sched_task_start(void (*fn)(void *), void *arg);
void sched_task_start(void (*fn)(void *), void *arg)
{
	finish_switch();
	fn(arg);
	panic("task %s returned", current->comm);
}

void task_set_entry(struct task *t, void (*fn)(void *), void *arg)
{
	u64 *sp = (u64 *)KSTACK_TOP(t->kstack);

	((struct task **)((char *)t->kstack + KSTACK_SIZE - 16))[0] = t;
	*--sp = (u64)task_entry;
	*--sp = 0;	  /* rbp */
	*--sp = (u64)fn;  /* rbx */
	*--sp = (u64)arg; /* r12 */
	*--sp = 0;
	*--sp = 0;
	*--sp = 0; /* r15 */
	t->ksp = (u64)sp;
}

static void learn_handoff(struct task *t, u64 now)
{
	if (!t->wake_tsc)
		return;
	if (now - t->wake_tsc < handoff_tsc)
		t->handoff += t->handoff < HANDOFF_MAX;
	else
		t->handoff -= t->handoff > 0;
	t->wake_tsc = 0;
}

/* prev goes to sleep or back to the queue. A task that may no longer run here stays off the queue: finish_switch() moves it. */
static void put_prev(struct rq *rq, struct task *prev, u64 now)
{
	if (prev->is_idle)
		return;
	if (atomic_load_explicit(&prev->state, memory_order_relaxed) != TASK_RUNNING) {
		prev->on_rq = false;
		prev->nvcsw++;
		learn_handoff(prev, now);
	} else if (likely(cpu_allowed(prev, rq->cpu))) {
		enqueue(rq, prev);
	}
}

static void account_switch(struct rq *rq, struct task *prev, struct task *next, u64 now)
{
	prev->stime_tsc += now - rq->stamp;
	rq->stamp = now;
	if (!prev->is_idle) {
		rq->user_tsc += prev->utime_tsc - rq->turn_utime;
		rq->system_tsc += prev->stime_tsc - rq->turn_stime;
	}
	rq->turn_utime = next->utime_tsc;
	rq->turn_stime = next->stime_tsc;
	next->exec_start = next->switched_in = now;
	if (prev->on_rq && !prev->is_idle)
		prev->nivcsw++;
	stat_inc(STAT_SWITCH);
}

void schedule(void)
{
	struct task *prev = current, *next;
	struct rq *rq = &rqs[prev->cpu];
	u64 now = rdtsc();

	loadavg_check(now);
	atomic_fetch_and_explicit(&prev->flags, ~TIF_RESCHED, memory_order_relaxed);
	spin_lock(&rq->lock);
	update_curr(rq, prev, now);
	put_prev(rq, prev, now);
	next = rq->first;
	if (next)
		dequeue(rq, next);
	else
		next = rq->idle;
	if (next == prev) {
		spin_unlock(&rq->lock);
		return;
	}
	account_switch(rq, prev, next, now);
	WRITE_ONCE(rq->curr, next);
	rq->prev = prev;
	if (prev->mm)
		platform->switch_out(&prev->ctx);
	switch_context(&prev->ksp, next->ksp);
	finish_switch();
	if (prev->rseq_addr) /* preempted, or on another vCPU now: rseq(2) */
		atomic_fetch_or_explicit(&prev->flags, TIF_NOTIFY_RESUME, memory_order_relaxed);
}

void sched_yield_current(void)
{
	struct rq *rq = this_rq();

	if (!READ_ONCE(rq->nr))
		return;
	spin_lock(&rq->lock);
	if (rq->first && (s64)(rq->first->vruntime - current->vruntime) > 0)
		current->vruntime = rq->first->vruntime; /* behind who waits first */
	spin_unlock(&rq->lock);
	schedule();
}

/* ---- idling ---- */

static struct task *steal_from(struct rq *victim, u32 cpu)
{
	struct task *t;

	spin_lock(&victim->lock);
	for (t = victim->first; t && !cpu_allowed(t, cpu);) {
		struct rb_node *n = rb_next(&t->rq_node);

		t = n ? container_of(n, struct task, rq_node) : NULL;
	}
	if (t) {
		dequeue(victim, t);
		t->vruntime += rqs[cpu].min_vruntime - victim->min_vruntime;
		WRITE_ONCE(t->cpu, cpu);
	}
	spin_unlock(&victim->lock);
	return t;
}

static bool steal(struct rq *rq)
{
	for (u32 i = 1; i < ncpus; i++) {
		struct rq *victim = &rqs[(rq->cpu + i) % ncpus];
		struct task *t;

		if (!READ_ONCE(victim->nr))
			continue;
		t = steal_from(victim, rq->cpu);
		if (t) {
			spin_lock(&rq->lock);
			enqueue(rq, t);
			spin_unlock(&rq->lock);
			return true;
		}
	}
	return false;
}

static void idle_sleep(struct rq *rq, u64 deadline)
{
	atomic_store(&rq->sleeping, 1);
	if (!READ_ONCE(rq->nr) && !events_pending() && (atomic_load(&idle_mask) & 1ull << rq->cpu))
		platform->idle(rq->cpu, deadline);
	atomic_store(&rq->sleeping, 0);
}

void sched_idle_loop(void)
{
	struct rq *rq = this_rq();
	u64 bit = 1ull << rq->cpu;

	for (;;) {
		u64 deadline;

		atomic_fetch_or(&idle_mask, bit);
		events_poll();
		deadline = timers_run();
		if (READ_ONCE(rq->nr) || steal(rq)) {
			atomic_fetch_and(&idle_mask, ~bit);
			schedule();
		} else {
			idle_sleep(rq, deadline);
		}
	}
}

/* ---- the boundary to user mode ---- */

static void slice_end(struct ktimer *timer)
{
	struct rq *rq = container_of(timer, struct rq, slice);
	struct task *curr = rq->curr;

	rq->slice_armed = false;
	if (!READ_ONCE(rq->nr) || curr->is_idle)
		return;
	curr->handoff = 0;
	share_work(rq);
	if (rdtsc() - curr->switched_in >= slice_tsc)
		atomic_fetch_or(&curr->flags, TIF_RESCHED);
}

void sched_arm_slice(struct rq *rq)
{
	bool others_idle = atomic_load_explicit(&idle_mask, memory_order_relaxed) != 0;

	rq->slice_armed = true;
	ktimer_start(&rq->slice, clock_mono_ns() + (others_idle ? TICK_NS : SLICE_NS));
}

void account_own_time(void)
{
	account_kernel(this_rq(), current);
}

u64 cputime_ns(u64 cycles)
{
	return (u64)(((unsigned __int128)cycles * ns_per_cycle) >> 32);
}

u32 sched_cpu_times(u32 cpu, u64 *user_ns, u64 *system_ns)
{
	struct rq *rq = &rqs[cpu];
	u64 user, system, running;
	const struct task *t;

	spin_lock(&rq->lock);
	t = rq->curr;
	user = rq->user_tsc;
	system = rq->system_tsc;
	running = rq->nr;
	if (t && !t->is_idle) {
		u64 now = rdtsc(), since = READ_ONCE(rq->stamp);

		since = now > since ? now - since : 0;
		user += READ_ONCE(t->utime_tsc) - rq->turn_utime + (atomic_load(&rq->in_user) ? since : 0);
		system += READ_ONCE(t->stime_tsc) - rq->turn_stime + (atomic_load(&rq->in_user) ? 0 : since);
		running++;
	}
	spin_unlock(&rq->lock);
	*user_ns = cputime_ns(user);
	*system_ns = cputime_ns(system);
	return (u32)running;
}

void sched_sync_cpus(struct mm *mm)
{
	atomic_thread_fence(memory_order_seq_cst);
	for (u32 cpu = 0; cpu < ncpus; cpu++) {
		struct rq *rq = &rqs[cpu];
		u64 pass = atomic_load(&rq->passes);

		if (rq == this_rq() || (mm && READ_ONCE(rq->curr->mm) != mm) || !atomic_load(&rq->in_user))
			continue;
		for (u32 yields = 0; atomic_load(&rq->in_user) && atomic_load(&rq->passes) == pass; yields++) {
			if (yields % YIELDS_BEFORE_KICK == 0) /* again after a while: no wait hangs on one kick */
				platform->kick(cpu);
			hostcall(HC_YIELD, NULL, 0);
		}
	}
}

void sched_restart_sequences(struct mm *mm, s32 only)
{
	for (u32 cpu = 0; cpu < ncpus; cpu++) {
		struct rq *rq = &rqs[cpu];

		if (only >= 0 && cpu != (u32)only)
			continue;
		spin_lock(&rq->lock);
		if (rq->curr->mm == mm && rq->curr->rseq_addr)
			atomic_fetch_or(&rq->curr->flags, TIF_NOTIFY_RESUME);
		spin_unlock(&rq->lock);
	}
	sched_sync_cpus(mm);
}

bool sched_set_affinity(struct task *t, u64 mask)
{
	struct rq *rq;
	bool move;
	u32 cpu;

	mask &= ncpus == 64 ? ~0ull : (1ull << ncpus) - 1;
	if (!mask)
		return false;
	rq = lock_task_rq(t);
	t->cpu_mask = mask;
	move = !cpu_allowed(t, rq->cpu);
	if (move && t->queued) {
		dequeue(rq, t);
		cpu = least_loaded(t, (u32)__builtin_ctzll(mask));
		t->vruntime += rqs[cpu].min_vruntime - rq->min_vruntime;
		WRITE_ONCE(t->cpu, cpu);
		spin_unlock(&rq->lock);
		activate(t, cpu);
		return true;
	}
	spin_unlock(&rq->lock);
	if (move && t == current) {
		schedule();
	} else if (move) {
		atomic_fetch_or(&t->flags, TIF_RESCHED);
		resched_task(t);
	}
	return true;
}

void sched_set_nice(struct task *t, s32 nice)
{
	struct rq *rq = lock_task_rq(t);

	t->nice = nice;
	spin_unlock(&rq->lock);
}

/* ---- start ---- */

/* Ring 0 may be emulated, one instruction at a time: "soon" is measured in the sentry's own speed. */
static u64 calibrate_handoff(void)
{
	u64 start = rdtsc(), plain = ns_to_tsc(HANDOFF_NS), loop;

	for (volatile u32 i = 0; i < 200; i++)
		;
	loop = rdtsc() - start;
	return MAX(plain, loop * 10);
}

static struct task *idle_tasks[MAX_CPUS];

void sched_init(u32 n)
{
	ncpus = n;
	timers_init(n);
	slice_tsc = ns_to_tsc(SLICE_NS);
	ns_per_cycle = (u64)((NSEC_PER_SEC << 32) / ((struct clock_page *)pa_to_va(CLOCK_PAGE_PA))->tsc_hz);
	wake_preempt_tsc = ns_to_tsc(WAKE_PREEMPT_NS);
	handoff_tsc = calibrate_handoff();
	for (u32 i = 0; i < n; i++) {
		rqs[i].cpu = i;
		rqs[i].min_vruntime = 1ull << 40;
		ktimer_init(&rqs[i].slice, slice_end);
	}
	task_init();
	/* All at once: a vCPU that has no task yet cannot use its caches of the allocator. */
	for (u32 i = 0; i < n; i++) {
		idle_tasks[i] = task_alloc_idle(i);
		BUG_ON(!idle_tasks[i]);
	}
}

void sched_boot_cpu(u32 cpu)
{
	struct rq *rq = &rqs[cpu];
	struct task *t = idle_tasks[cpu];
	u64 sp;

	__asm__("mov %%rsp, %0" : "=r"(sp));
	t->kstack = (void *)(sp & ~(KSTACK_SIZE - 1));
	*(struct task **)((char *)t->kstack + KSTACK_SIZE - 16) = t;
	rq->stamp = rdtsc();
	rq->curr = t;
	atomic_thread_fence(memory_order_release);
	WRITE_ONCE(rq->idle, t);
}
