/*
 * ptrace(2) inside the sandbox.
 *
 * A tracee's stop is reported through task.exit_code (what wait4 gives shifted by 8) while its state is TASK_TRACED; wait4
 * takes it and leaves 0. task.tracer, ptraced and ptrace_node are under tasklist_lock; the ptrace fields of jobctl and the stop
 * under the tracee's sighand->lock too. A tracee's registers belong to its tracer while it is TASK_TRACED and off its vCPU.
 */
#ifndef SENTRY_PTRACE_H
#define SENTRY_PTRACE_H

#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"

/* task.ptrace_flags: options in the low bits as PTRACE_O_* gives them (0..7, 20, 21), and ours. */
#define PT_SEIZED 0x01000000u
#define PT_PTRACED 0x02000000u
#define PT_OPTIONS 0x003000ffu

/* ---- from signal delivery ---- */
/* A signal was dequeued: the tracer decides. Lock held before and after. The signal to go on with, or 0. */
int ptrace_signal(struct task *t, struct sighand *s, int sig, siginfo_t_k *info);
/* JOBCTL_TRAP_STOP or _NOTIFY is set: stop and tell. No locks held. */
void ptrace_jobctl_trap(struct task *t);
/* A seized tracee has something new to tell. sighand->lock held. */
void ptrace_trap_notify(struct task *t);
void ptrace_step_into_handler(struct task *t);

/* ---- events: fork.c, exec.c, exit.c ---- */
/* Which PTRACE_EVENT_* a clone with these flags is for the tracer of the current task; 0: none. */
int ptrace_clone_event(u64 clone_flags, s32 exit_signal);
/* Before the child is published, under tasklist_lock: it inherits the tracer. */
void ptrace_attach_child(struct task *child, int event, u64 clone_flags);
/* A report of the current task, if its tracer asked for it. */
void ptrace_event(int event, u64 message);
static inline bool ptrace_event_enabled(const struct task *t, int event)
{
	return t->tracer && (t->ptrace_flags & (1u << event));
}
/* exec succeeded: PTRACE_EVENT_EXEC, or the SIGTRAP of old. */
void ptrace_exec(struct task *t, s32 old_tid);
/* The current task dies: let go of its tracees. Under no lock. */
void ptrace_exit_tracer(struct task *t);
/* Forget the tracer, of a dead task or one that ptrace_untrace() looks after. tasklist_lock held, as below. */
void ptrace_unlink(struct task *t);
void ptrace_untrace(struct task *t);
/* t has died, out of its group already unless it led it. True: its tracer is to hear of it by wait4 first; then the real
 * parent of a leader is not told yet, and t stays until ptrace_release_zombie(). */
bool ptrace_delays_exit(struct task *t);
/* A process that nobody will wait for goes onto `dead`, for put_dead(). */
void ptrace_release_zombie(struct task *t, struct list_head *dead);

/* The hardware breakpoints of a tracer go: exec. */
void ptrace_clear_debug(struct task *t);

/* ---- system calls: entry.c, when TIF_SYSCALL_TRACE or TIF_SYSEMU is set ---- */
/* Report the entry. False: do not run the call. */
bool ptrace_syscall_enter(struct task *t);
void ptrace_syscall_exit(struct task *t);

#endif
