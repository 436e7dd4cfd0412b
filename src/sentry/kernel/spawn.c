/*
 * Programs started from outside in a running sandbox, as "exec" of a container runtime does. The request comes in an event; a task of the
 * sentry fetches it, starts the program as process 1 was started, and says what became of it. Its processes have no parent, as
 * those that enter a container from its host.
 */
#include <asm/signal.h>
#include <linux/errno.h>

#include "base/log.h"
#include "base/string.h"
#include "fs/dev/tty.h"
#include "hostcall.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"

struct request {
	u32 id;
	u64 len;
};

static struct waitq open_wait = WAITQ_INIT(open_wait);
static _Atomic bool open;

void spawn_allow(void)
{
	atomic_store(&open, true);
	host_signals_allow();
	wake_up_all(&open_wait);
}

bool spawn_allowed(void)
{
	return atomic_load(&open);
}

void spawn_wait_allowed(void)
{
	wait_event(open_wait, spawn_allowed());
}

static void say(u32 id, u32 state, u32 value)
{
	struct hc_spawn_say req = { .id = id, .state = state, .value = value };

	hostcall(HC_SPAWN_SAY, &req, sizeof(req));
}

void spawn_started(u32 id)
{
	say(id, SPAWN_STARTED, 0);
}

void spawn_ready(void)
{
	say(0, SPAWN_READY, 0);
}

void spawn_exited(u32 id, s32 code)
{
	if (code & 0x7f)
		say(id, SPAWN_SIGNALED, (u32)code & 0x7f);
	else
		say(id, SPAWN_EXITED, (u32)code >> 8 & 0xff);
}

/* ---- the request ---- */

struct text {
	const char *at, *end;
	bool bad;
};

static const char *next_string(struct text *t)
{
	const char *s = t->at;
	size_t n = 0;

	while (s + n < t->end && s[n])
		n++;
	if (s + n >= t->end) {
		t->bad = true;
		return NULL;
	}
	t->at = s + n + 1;
	return s;
}

static const char **next_vector(struct text *t, u32 n)
{
	const char **v = n > SPAWN_MAX ? NULL : kzalloc((n + 1) * sizeof(*v));

	for (u32 i = 0; v && i < n; i++)
		v[i] = next_string(t);
	return v;
}

/* Of a program that will not have them. */
static long close_files(const struct hc_spawn *r)
{
	for (u32 i = 0; i < ARRAY_SIZE(r->stdio); i++)
		if (r->stdio[i].handle != HC_NO_HANDLE) {
			struct hc_file2 req = { .handle = r->stdio[i].handle };

			hostcall(HC_CLOSE, &req, sizeof(req));
		}
	return -EINVAL;
}

static long start(u32 id, const struct hc_spawn *r, u64 len, bool *cwd_failed)
{
	struct program p = { .umask = r->umask, .uid = r->uid, .gid = r->gid, .groups = (const u32 *)r->data, .ngroups = r->ngroups,
			     .caps = r->caps, .rlimits = r->rlimits, .stdio = r->stdio, .no_new_privs = r->no_new_privs, .spawn_id = id,
			     .oom_score_adj = r->oom_score_adj, .scheduling = &r->scheduling,
			     .cwd_failed = cwd_failed };
	struct tty *tty = NULL;
	struct text t;
	long err = -EINVAL;

	if (len < sizeof(*r))
		return -EINVAL;
	if (r->oom_score_adj < -1000 || r->oom_score_adj > 1000 || r->ngroups > (len - sizeof(*r)) / sizeof(u32))
		return close_files(r);
	t = (struct text){ (const char *)r->data + r->ngroups * sizeof(u32), (const char *)r + len, false };
	p.exe = next_string(&t);
	p.cwd = next_string(&t);
	p.argv = next_vector(&t, r->argc);
	p.env = next_vector(&t, r->envc);
	p.tty = &tty;
	if (!t.bad && p.argv && p.env && r->argc) {
		err = start_program(&p);
	} else {
		close_files(r);
	}
	kfree(p.argv);
	kfree(p.env);
	tty_put(tty);
	return err;
}

static void spawn_task(void *arg)
{
	struct request *r = arg;
	struct hc_spawn_take take = { .id = r->id, .len = r->len };
	void *buf = r->len <= SPAWN_MAX ? vmalloc_pages(r->len) : NULL;
	bool cwd_failed = false;
	long err = -ENOMEM;

	spawn_wait_allowed();
	if (buf) {
		take.off = va_to_pa(buf);
		err = hostcall(HC_SPAWN_TAKE, &take, sizeof(take));
		if (!err)
			err = start(r->id, buf, r->len, &cwd_failed);
		vfree_pages(buf, r->len);
	}
	if (err)
		say(r->id, cwd_failed ? SPAWN_NO_CWD : SPAWN_FAILED, (u32)-err);
	kfree(r);
}

/* From the event ring: nothing may sleep here. */
void spawn_request(u32 id, u64 len)
{
	struct request *r = kmalloc(sizeof(*r));

	if (r) {
		*r = (struct request){ id, len };
		if (kthread_create(spawn_task, r, "spawn"))
			return;
		kfree(r);
	}
	say(id, SPAWN_FAILED, ENOMEM);
}

/* ---- signals ---- */

static struct process *find_spawned(u32 id)
{
	struct process *p, *found = NULL;

	spin_lock(&tasklist_lock);
	list_for_each(p, &kernel_process.children, sibling)
		if (p->spawn_id == id && !(p->flags & PROC_ZOMBIE))
			found = process_get(p);
	spin_unlock(&tasklist_lock);
	return found;
}

void spawn_signal(u32 id, bool foreground, int sig)
{
	struct process *p = find_spawned(id);
	struct tty *tty;

	if (!p)
		return;
	tty = foreground ? process_tty_get(p) : NULL;
	if (tty)
		tty_signal_pgrp(tty, sig);
	else
		send_signal_process(p, sig, SEND_SIG_PRIV);
	tty_put(tty);
	process_put(p);
}
