/* Between the files that make up tasks and processes: task.c fork.c exit.c wait4.c exec.c sched.c. */
#ifndef SENTRY_TASK_INTERNAL_H
#define SENTRY_TASK_INTERNAL_H

#include "sentry/kernel/task.h"

/* Flags that keep a task from entering user mode until user_task_loop() has dealt with them. */
#define TIF_EXIT_WORK (TIF_SIGPENDING | TIF_RESCHED | TIF_NOTIFY_RESUME)

struct vfork_done {
	refcount_t ref;
	bool done;
	struct waitq q;
};
void vfork_done_signal(struct task *t); /* the child gave up its parent's memory */

/* ---- task.c ---- */
void task_init(void);
struct task *task_alloc(void); /* kernel stack, FPU area, references of 2: the caller's and the scheduler's */
struct task *task_alloc_idle(u32 cpu);
void task_free_unstarted(struct task *t);
void task_gone(struct task *t); /* the scheduler has left its stack for good */

struct process *process_alloc(void);
/* Put a task into its thread group and the process into its parent, group and session. tasklist_lock. */
void attach_task(struct task *t, struct process *p);
void attach_process(struct process *p, struct process *parent, struct pid *pgid, struct pid *sid);
void detach_task(struct task *t);
void process_set_pgid(struct process *p, struct pid *pgid); /* consumes a reference; tasklist_lock */
void process_set_sid(struct process *p, struct pid *sid);
/* Waited for (or nobody will): unlink a zombie. tasklist_lock held; the caller process_put()s afterwards. */
void process_unlink(struct process *p);

/* ---- sched.c ---- */
void sched_set_nice(struct task *t, s32 nice);

/* ---- fork.c ---- */
struct task *fork_init_task(void (*fn)(void *), void *arg);

/* ---- exit.c ---- */
void leave_mm(struct task *t);		  /* exit and exec, before current->mm goes */
void process_release(struct process *p);  /* after process_unlink() and detach_task(p->leader), without locks */
/* A zombie that nobody will wait for goes onto `dead`, to be put without tasklist_lock. */
void reap_if_ignored(struct process *p, struct list_head *dead);
void put_dead(struct list_head *dead);
bool pgrp_has_stopped(struct pid *pgrp);  /* takes tasklist_lock */

/* ---- accounting ---- */
void process_cputime_locked(struct process *p, u64 *utime, u64 *stime);

/* ---- cred.c ---- */
struct cred *cred_alloc_init(u32 uid, u32 gid);

/* A program started from outside (init.c). The vectors are NULL-terminated. */
struct hc_stdio;
struct program {
	const char **argv, **env, *exe, *cwd;
	u32 umask, uid, gid, ngroups;
	const u32 *groups;
	const u64 *caps; /* five: see boot_params */
	const u64 (*rlimits)[2];
	const struct hc_stdio *stdio;
	struct tty **tty; /* made when a standard file is a terminal */
	bool no_new_privs, complain;
	s32 oom_score_adj;
	const struct hc_scheduling *scheduling;
	bool *cwd_failed; /* told when it was the working directory that failed */
	u64 ignored_signals; /* bit n-1: signal n */
	u32 spawn_id; /* 0: process 1 */
};
/* Start it and wait until it runs: 0, or why execve(2) failed. Sleeps. */
long start_program(const struct program *p);
/* sys_sched.c: of a task that has not run. 0 or -EINVAL. */
long sched_start(struct task *t, const struct hc_scheduling *s);
/* fork.c: a process without a parent, in the first one's place of the tree of files when that is there. NULL: no memory. */
struct task *fork_program(void (*fn)(void *), void *arg, u32 spawn_id);
/* spawn.c: events of the host side, and the end of such a process (status as wait(2) has it). */
void spawn_allow(void); /* process 1 runs, or is held: requests and signals that came earlier go on */
void spawn_ready(void); /* the first program is held */
void release_init(void); /* it goes on */
void ask_answer_start(u32 state, long err); /* HC_ASK_START, if it was asked; SPAWN_ANSWERED or _NO_CWD */
bool spawn_allowed(void);
void host_signals_allow(void); /* events.c */
void spawn_request(u32 id, u64 len);
/* ask.c */
void ask_request(u32 id, u32 ask, u32 value, u32 handle);
void spawn_wait_allowed(void);
void spawn_started(u32 id);
void spawn_signal(u32 id, bool foreground, int sig);
void spawn_exited(u32 id, s32 code);

#endif
