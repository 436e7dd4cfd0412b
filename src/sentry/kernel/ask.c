/*
 * What is asked of a running sandbox from outside, by "kill --all" and "debug" of the command: signals for all, what
 * tasks wait for, and what is logged. Each is answered once; text goes to a stream that came with the question.
 */
#include <linux/errno.h>

#include "base/log.h"
#include "base/string.h"
#include "hostcall.h"
#include "sentry/kernel/events.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/table.h"
#include "sentry/trace/trace.h"

struct question {
	u32 id, ask, value;
	hc_handle out;
};

/* Those that are forked meanwhile have higher numbers: they are reached too. */
static long signal_all(int sig)
{
	s32 nr = 0;

	if (sig < 0 || sig > SIG_COUNT)
		return -EINVAL;
	while ((nr = next_tgid(&init_pid_ns, nr + 1))) {
		struct process *p = find_process_get(nr);

		if (p && sig)
			send_signal_process(p, sig, SEND_SIG_PRIV);
		if (p)
			process_put(p);
	}
	return 0;
}

/* ---- stacks ---- */

#define FRAMES 16
struct sample {
	char comm[TASK_COMM_LEN];
	s32 tgid, tid;
	u32 state, cpu, nframes;
	bool on_cpu;
	u64 nr; /* of the system call, ~0: in none */
	u64 frames[FRAMES];
};

/* What switch_context() pushed, and the frame pointers from there on. The task may run meanwhile: nothing is read but
 * its stack. */
static void walk(const struct task *t, struct sample *s)
{
	const u64 low = (u64)t->kstack, high = low + KSTACK_SIZE;
	u64 sp = READ_ONCE(t->ksp), bp, next;

	if (sp < low || sp > high - 7 * sizeof(u64) || sp % sizeof(u64))
		return;
	s->frames[s->nframes++] = ((const u64 *)sp)[6];
	for (bp = ((const u64 *)sp)[5]; s->nframes < FRAMES; bp = next) {
		if (bp < sp || bp > high - 2 * sizeof(u64) || bp % sizeof(u64))
			return;
		s->frames[s->nframes++] = ((const u64 *)bp)[1];
		next = ((const u64 *)bp)[0];
		if (next <= bp)
			return;
	}
}

static void take_sample(const struct task *t, struct sample *s)
{
	memset(s, 0, sizeof(*s));
	memcpy(s->comm, t->comm, sizeof(s->comm) - 1);
	s->tid = t->pid ? t->pid->nr : 0;
	s->tgid = t->proc && t->proc->tgid ? t->proc->tgid->nr : 0;
	s->state = atomic_load(&t->state);
	s->on_cpu = atomic_load(&t->on_cpu);
	s->cpu = t->cpu;
	s->nr = t->is_kthread ? ~0ull : READ_ONCE(t->ctx.regs.orig_rax);
	if (!s->on_cpu && t->kstack)
		walk(t, s);
}

static u32 take_samples(struct sample *s, u32 max)
{
	struct task *t;
	u32 n = 0;

	spin_lock(&tasklist_lock);
	list_for_each(t, &all_tasks, all_node)
		if (n < max)
			take_sample(t, &s[n++]);
	spin_unlock(&tasklist_lock);
	return n;
}

static const char *state_name(const struct sample *s)
{
	switch (s->state &
		(TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE | TASK_KILLABLE | TASK_STOPPED | TASK_TRACED | TASK_DEAD)) {
	case 0: return s->on_cpu ? "running" : "runnable";
	case TASK_INTERRUPTIBLE: return "sleeping";
	case TASK_KILLABLE: return "sleeping (killable)";
	case TASK_STOPPED: return "stopped";
	case TASK_TRACED: return "traced";
	case TASK_DEAD: return "dead";
	default: return "sleeping (uninterruptible)";
	}
}

/* A stream's reader may be slow or gone. */
static long write_all(hc_handle out, const char *text, size_t n)
{
	for (s64 done; n; text += done, n -= (size_t)done) {
		done = host_pwrite(out, text, n, ~0ull, false);
		if (done <= 0)
			return done ? (long)done : -EIO;
	}
	return 0;
}

#define TEXT_ROOM 4096
static long write_sample(hc_handle out, char *text, const struct sample *s)
{
	const struct syscall_entry *e = s->nr < SYSCALL_MAX ? &syscall_table[s->nr] : NULL;
	int n = kscnprintf(text, TEXT_ROOM, "process %d thread %d \"%s\" vCPU %u: %s", s->tgid, s->tid, s->comm, s->cpu,
			   state_name(s));

	if (e && e->name)
		n += kscnprintf(text + n, (size_t)(TEXT_ROOM - n), " in %s", e->name);
	n += kscnprintf(text + n, (size_t)(TEXT_ROOM - n), "\n");
	for (u32 i = 0; i < s->nframes; i++)
		n += kscnprintf(text + n, (size_t)(TEXT_ROOM - n), "    %p\n", (const void *)s->frames[i]);
	return write_all(out, text, (size_t)n);
}

static long write_stacks(hc_handle out)
{
	u32 max = READ_ONCE(nr_threads) + 64, n;
	struct sample *samples = vmalloc_pages(max * sizeof(*samples));
	char *text = kmalloc(TEXT_ROOM);
	long err = samples && text && out != HC_NO_HANDLE ? 0 : -EINVAL;

	n = err ? 0 : take_samples(samples, max);
	for (u32 i = 0; i < n && !err; i++)
		err = write_sample(out, text, &samples[i]);
	if (samples)
		vfree_pages(samples, max * sizeof(*samples));
	kfree(text);
	return err;
}

/* ---- the question ---- */

static long set_log_level(u32 level)
{
	if (level > LOG_DEBUG)
		return -EINVAL;
	WRITE_ONCE(log_level, level);
	return 0;
}

static long set_strace(u32 on)
{
	if (on > 1)
		return -EINVAL;
	WRITE_ONCE(trace_flags, (trace_flags & ~(u32)TRACE_STRACE) | (on ? TRACE_STRACE : 0));
	return 0;
}

static long do_ask(const struct question *q)
{
	switch (q->ask) {
	case HC_ASK_SIGNAL_ALL: return signal_all((int)q->value);
	case HC_ASK_STACKS: return write_stacks(q->out);
	case HC_ASK_LOG_LEVEL: return set_log_level(q->value);
	case HC_ASK_STRACE: return set_strace(q->value);
	case HC_ASK_START: return -EALREADY;
	default: return -EOPNOTSUPP;
	}
}

static void answer(const struct question *q, u32 state, long err)
{
	struct hc_spawn_say say = { .id = q->id, .state = state, .value = (u32)-err };
	struct hc_file2 out = { .handle = q->out };

	if (q->out != HC_NO_HANDLE)
		hostcall(HC_CLOSE, &out, sizeof(out));
	hostcall(HC_SPAWN_SAY, &say, sizeof(say));
}

/* HC_ASK_START, which is answered when there is something to say; it may be asked once. */
static _Atomic(struct question *) starter;

static bool start_held_program(struct question *q)
{
	struct question *none = NULL;

	if (!boot_params->held || !atomic_compare_exchange_strong(&starter, &none, q))
		return false;
	release_init();
	return true;
}

void ask_answer_start(u32 state, long err)
{
	if (atomic_load(&starter))
		answer(atomic_load(&starter), state, err);
}

static void ask_task(void *arg)
{
	struct question *q = arg;

	spawn_wait_allowed();
	if (q->ask == HC_ASK_START && start_held_program(q))
		return;
	answer(q, SPAWN_ANSWERED, do_ask(q));
	kfree(q);
}

/* From the event ring: nothing may sleep here. */
void ask_request(u32 id, u32 ask, u32 value, u32 handle)
{
	const struct question question = { id, ask, value, handle };
	struct question *q = kmalloc(sizeof(*q));

	if (q) {
		*q = question;
		if (kthread_create(ask_task, q, "ask"))
			return;
		kfree(q);
	}
	answer(&question, SPAWN_ANSWERED, -ENOMEM);
}
