/*
 * Signals. Numbers, flags and layouts are those of the kernel ABI (asm/signal.h, asm-generic/siginfo.h).
 * All state of a thread group is under sighand->lock unless a line says otherwise.
 */
#ifndef SENTRY_SIGNAL_H
#define SENTRY_SIGNAL_H

#include "base/list.h"
#include "base/lock.h"
#include "base/types.h"

struct task;
struct process;
struct pid;
struct cred;

#define SIG_COUNT 64
typedef u64 sigset64; /* bit n-1 is signal n */
static inline sigset64 sigmask_of(int sig) { return 1ull << (sig - 1); }

/* siginfo as applications see it: 128 bytes. Members by kind at the offsets of the ABI. */
typedef struct siginfo_k {
	s32 si_signo, si_errno, si_code, pad0;
	union {
		struct { s32 pid; u32 uid; u64 value; } rt;		       /* kill, tkill, sigqueue, mesgq */
		struct { s32 tid, overrun; u64 value; s32 sys_private; } timer; /* POSIX timers */
		struct { s32 pid; u32 uid; s32 status; s64 utime, stime; } chld;
		struct { u64 addr; s16 addr_lsb; u64 lower, upper; } fault;
		struct { s64 band; s32 fd; } poll;
		struct { u64 call_addr; s32 syscall; u32 arch; } sys;
		u8 raw[112];
	};
} siginfo_t_k;
_Static_assert(sizeof(siginfo_t_k) == 128, "siginfo is 128 bytes");
/* Kernel-internal si_code markers for senders without information. */
#define SEND_SIG_NOINFO ((siginfo_t_k *)0) /* as from kill() by the current task */
#define SEND_SIG_PRIV ((siginfo_t_k *)1)   /* from the kernel: SI_KERNEL */

struct sigqueue_entry {
	struct list_head node;
	siginfo_t_k info;
	void *timer; /* a POSIX timer's own preallocated entry; NULL else */
	void *user;  /* whose RLIMIT_SIGPENDING it counts against; NULL: nobody's */
};
struct sigpending {
	sigset64 set;
	struct list_head queue;
};
struct k_sigaction { /* as rt_sigaction passes it */
	u64 handler, flags, restorer;
	sigset64 mask;
};
struct sighand {
	refcount_t ref;
	spinlock_t lock;
	struct k_sigaction action[SIG_COUNT];
	struct list_head signalfds; /* links to the signalfds that watch it; signalfd.c */
};
struct sigaltstack_val {
	u64 sp;
	u32 flags, pad;
	u64 size;
};

enum { JOBCTL_STOP_PENDING = 1, JOBCTL_STOP_CONSUME = 2, JOBCTL_TRAP_STOP = 4, JOBCTL_TRAP_NOTIFY = 8, JOBCTL_STOPPED = 16,
       JOBCTL_TRACED = 32, JOBCTL_LISTENING = 64, JOBCTL_STOP_DEQUEUED = 128,
       JOBCTL_PTRACE_ZOMBIE = 256 /* dead, and the tracer has not waited for it */ };
/* What makes a task go through do_signal(). */
#define JOBCTL_PENDING_MASK (JOBCTL_STOP_PENDING | JOBCTL_TRAP_STOP | JOBCTL_TRAP_NOTIFY)

/* Send to a thread, to a process, to every process of a group. 0 or -errno (-EAGAIN: queue limit). No permission check.
 * No sighand->lock may be held; send_signal_process() and _pgrp() take tasklist_lock. */
long send_signal_task(struct task *t, int sig, siginfo_t_k *info);
long send_signal_process(struct process *p, int sig, siginfo_t_k *info);
long send_signal_pgrp(struct pid *pgrp, int sig, siginfo_t_k *info); /* takes tasklist_lock */
/* A synchronous fault of the current task: cannot be blocked or ignored. */
void force_signal(int sig, s32 code, u64 addr);
void force_signal_info(int sig, siginfo_t_k *info);
/* May the current task signal `t` (kill(2)'s rule)? 0 or -EPERM. */
long check_kill_permission(struct process *p, int sig); /* -EINVAL: there is no such signal; -EPERM */

struct sighand *sighand_get(struct sighand *s);
void sighand_put(struct sighand *s);
struct sighand *sighand_copy(struct sighand *s); /* or a fresh table for s == NULL */
void sighand_flush_handlers(struct task *t);	  /* exec: caught signals back to default */
void sigpending_init(struct sigpending *p);
void sigpending_flush(struct sigpending *p);
void recalc_sigpending(struct task *t); /* sighand->lock held */

/* The current task dies from here on: takes no signals, holds up no group stop. */
void exit_signals(struct task *t);
/* A new thread of the current task's group: a stop in progress takes it in. sighand->lock held. */
void join_group_stop(struct task *t);
/* Called on the way to user mode when TIF_SIGPENDING is set: stops, kills, builds a frame, restarts the call. */
void do_signal(struct task *t);
/* Take one signal of `mask` off the queues (signalfd, sigtimedwait). 0: none. */
int dequeue_signal_mask(struct task *t, sigset64 mask, siginfo_t_k *info);
/* pselect/ppoll/epoll_pwait/rt_sigsuspend: swap in a mask, restored after the handler ran. */
void set_user_sigmask(sigset64 mask);
void restore_saved_sigmask_unless(bool interrupted);
/* Report a child's exit or stop to its parent: SIGCHLD and wake wait4. tasklist_lock held. */
void notify_parent_exit(struct process *p);
void notify_parent_stop(struct process *p, bool continued);
/* Is the process's parent ignoring SIGCHLD (so that it is reaped at once)? */
bool parent_ignores_sigchld(struct process *p);
/* Group kill from exit_group or exec: SIGKILL to every other thread. sighand->lock held. */
void zap_other_threads(struct task *t);

/* No process of the group has a parent in the same session but another group. Takes tasklist_lock. */
bool pgrp_orphaned(struct pid *pgrp);

/* posix_timer.c, itimer.c */
void exit_itimers(struct process *p);
struct sigqueue_entry *sigqueue_prealloc(void);

#endif
