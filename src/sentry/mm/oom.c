/* Out of memory: choose the process that frees most, as Linux's oom_badness does (proc(5), oom_score_adj), and kill it. */
#include "sentry/kernel/pid_ns.h"
#include "sentry/mm/oom.h"

#include <asm/signal.h>

#include "base/log.h"
#include "hostcall.h"
#include "sentry/kernel/boot.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/internal.h"
#include "sentry/mm/pagetable.h"

s64 oom_badness(struct process *p, struct mm *mm)
{
	s64 points, total = (s64)frames_total();

	if (p->oom_score_adj == -1000)
		return -1;
	points = atomic_load(&mm->rss_anon) + atomic_load(&mm->rss_file) + atomic_load(&mm->rss_shmem);
	points += p->oom_score_adj * (total / 1000);
	return MAX(points, 1l);
}

struct choice {
	struct task *victim; /* a task of the worst process, referenced */
	s64 most, all;
	bool dying; /* somebody will give back memory soon */
};

/* A look without a reference: to drop the last one here would unmap, and somebody waits for memory. */
static s64 score_of(struct task *t, bool *dying)
{
	s64 score;

	spin_lock(&t->alloc_lock);
	score = t->mm ? oom_badness(t->proc, t->mm) : 0;
	*dying = t->mm && (t->proc->flags & PROC_GROUP_EXIT);
	spin_unlock(&t->alloc_lock);
	return score;
}

/* Is the process worse than `limit`? Of equals the youngest is taken: not the one that all come from. */
static void consider(struct choice *c, s32 nr, s64 limit)
{
	struct pid *pid = pid_find_in(&init_pid_ns, nr);
	struct task *t = pid ? pid_task_get(pid) : NULL;
	s64 score;

	pid_put(pid);
	if (!t)
		return;
	score = score_of(t, &c->dying);
	c->all += MAX(score, 0l);
	if (score > 0 && score >= limit) {
		if (c->victim)
			task_put(c->victim);
		c->victim = t;
		c->most = score;
	} else {
		task_put(t);
	}
}

/*
 * The victim, referenced; NULL when one is dying already or none may be killed. Process 1, with which the sandbox ends, goes
 * only when it holds more than all others together.
 */
static struct task *choose_victim(void)
{
	struct choice c = { .victim = NULL };

	for (s32 nr = next_tgid(&init_pid_ns, 2); nr > 0 && !c.dying; nr = next_tgid(&init_pid_ns, nr + 1))
		consider(&c, nr, c.most);
	if (!c.dying)
		consider(&c, 1, c.all + 1);
	if (c.dying && c.victim) {
		task_put(c.victim);
		c.victim = NULL;
	}
	return c.victim;
}

static void log_victim(const struct task *t, const struct mm *mm)
{
	/* A container's standard error is its own. */
	klog(boot_params->contained ? LOG_INFO : LOG_ERR,
	     "Out of memory: Killed process %d (%s) total-vm:%lukB, anon-rss:%ldkB, file-rss:%ldkB, shmem-rss:%ldkB, UID:%u "
	     "pgtables:%ldkB oom_score_adj:%d",
	     task_tgid(t), t->comm, mm->total_vm * 4, (long)atomic_load(&mm->rss_anon) * 4, (long)atomic_load(&mm->rss_file) * 4,
	     (long)atomic_load(&mm->rss_shmem) * 4, t->cred->uid, (long)pt_pages() * 4, t->proc->oom_score_adj);
}

void oom_kill(void)
{
	struct task *victim = choose_victim();

	if (!victim) {
		sched_yield_current();
		return;
	}
	spin_lock(&victim->alloc_lock);
	if (victim->mm)
		log_victim(victim, victim->mm);
	spin_unlock(&victim->alloc_lock);
	__atomic_fetch_or(&victim->proc->flags, PROC_OOM_KILLED, __ATOMIC_RELAXED);
	send_signal_process(victim->proc, SIGKILL, SEND_SIG_PRIV);
	task_put(victim);
}
