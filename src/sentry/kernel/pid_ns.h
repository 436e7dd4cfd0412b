/* Process-number namespaces: pid_namespaces(7). */
#ifndef SENTRY_PID_NS_H
#define SENTRY_PID_NS_H

#include "sentry/kernel/ns.h"
#include "sentry/kernel/task.h"

struct pid_ns {
	struct ns_common c; /* first */
	struct pid_ns *parent;
	u32 level;
	struct rb_root numbers; /* pid_lock */
	s32 last;
	u32 nr_tasks;		/* tasklist_lock */
	bool dead;		/* its first process is ending: no more numbers; pid_lock */
	struct process *reaper; /* process 1 of it; tasklist_lock */
};
extern struct pid_ns init_pid_ns;

struct pid_ns *pid_ns_create(struct pid_ns *parent, struct user_ns *owner); /* ERR_PTR(-errno) */
void pid_ns_free(struct ns_common *n);
bool pid_ns_is_below(const struct pid_ns *ns, const struct pid_ns *ancestor); /* or the same */
/* The namespace that the task has its number in. */
static inline struct pid_ns *task_pid_ns(const struct task *t) { return t->pid ? t->pid->ns : &init_pid_ns; }
void pid_ns_close(struct pid_ns *ns); /* no more numbers: its first process is ending */
/* A task has come (+1) or gone (-1); tasklist_lock. */
void pid_ns_count(const struct pid *p, s32 change);

#endif
