/* Between the files that make up signals: signal.c sigdeliver.c sigframe.c stops.c sys_signal.c ptrace*.c. */
#ifndef SENTRY_SIGNAL_INTERNAL_H
#define SENTRY_SIGNAL_INTERNAL_H

#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"

#define K_SIG_DFL 0ul
#define K_SIG_IGN 1ul

/* Default actions: signal(7). */
#define SIGSET_STOP (sigmask_of(19) | sigmask_of(20) | sigmask_of(21) | sigmask_of(22)) /* STOP TSTP TTIN TTOU */
#define SIGSET_IGNORE (sigmask_of(17) | sigmask_of(18) | sigmask_of(23) | sigmask_of(28)) /* CHLD CONT URG WINCH */
#define SIGSET_CORE                                                                     \
	(sigmask_of(3) | sigmask_of(4) | sigmask_of(5) | sigmask_of(6) | sigmask_of(7) | sigmask_of(8) | sigmask_of(11) | \
	 sigmask_of(24) | sigmask_of(25) | sigmask_of(31))
#define SIGSET_ONLY_KERNEL (sigmask_of(9) | sigmask_of(19)) /* KILL and STOP: no handler, no blocking */
/* Raised by the task's own instruction: taken before others, so that the frame shows the fault. */
#define SIGSET_SYNC (sigmask_of(11) | sigmask_of(7) | sigmask_of(4) | sigmask_of(5) | sigmask_of(8) | sigmask_of(31))
#define RTMIN_K 32

/* sigaltstack(2) */
#define SS_ONSTACK 1u
#define SS_DISABLE 2u
#define SS_AUTODISARM (1u << 31)

static inline bool sig_in(sigset64 set, int sig) { return set >> (sig - 1) & 1; }

struct ksignal {
	int sig;
	siginfo_t_k info;
	struct k_sigaction action;
};

/* ---- signal.c ---- */
/* The task's sighand, locked; it may be replaced by exec until then. */
struct sighand *lock_sighand(struct task *t);
/* sighand->lock held. */
long send_signal_locked(struct task *t, int sig, siginfo_t_k *info, bool group);
int dequeue_signal(struct task *t, sigset64 blocked, siginfo_t_k *info);
void signal_wake_up(struct task *t, u32 extra_states); /* state mask beyond TASK_INTERRUPTIBLE */
void flush_sigqueue_mask(struct sigpending *p, sigset64 mask);
void set_blocked_locked(struct task *t, sigset64 mask);
/* tasklist_lock held. */
long send_signal_process_tl(struct process *p, int sig, siginfo_t_k *info);
/* The blocked mask of the current task, KILL and STOP left out. */
void set_current_blocked(sigset64 mask);
bool sig_from_inside(const siginfo_t_k *info);
/* Process 1 dies of no signal that another process of the sandbox sent and that it does not handle. */
bool init_protected(const struct process *p, int sig, const siginfo_t_k *info);
/* The real user id of any task. */
u32 task_uid(struct task *t);
/* A user id as `to` names it. */
u32 uid_in_task(struct task *to, u32 uid);
/* The siginfo of the standard kinds. */
void siginfo_user(siginfo_t_k *info, int sig, s32 code);

/* A timer's own queue entry: it is queued at most once at a time. */
void sigqueue_free(struct sigqueue_entry *q);
/* 0 queued, 1 already pending (the caller counts an overrun), -1 target gone or signal ignored. sighand->lock held. */
int send_sigqueue_locked(struct sigqueue_entry *q, struct task *t, bool group);

/* ---- signalfd.c ---- */
void signalfd_notify(struct sighand *s); /* something was queued; sighand->lock held */
void signalfd_forget(struct sighand *s); /* it goes away */

/* ---- sigdeliver.c ---- */
/* Next signal with a handler to run into *ks; does everything that needs no handler. False: none. */
bool get_signal(struct ksignal *ks);

/* ---- sigframe.c ---- */
/* Build the frame and point the registers at the handler. -EFAULT: no room on the stack. */
int setup_rt_frame(struct task *t, const struct ksignal *ks);

/* ---- stops.c ---- */
/* A dequeued stop signal (or 0: join the stop in progress), sighand->lock held. True: stopped and continued, lock dropped. */
bool do_signal_stop(int sig);
void task_clear_stop_pending(struct task *t);
/* SIGCONT or a stop signal was sent: what must happen at once. sighand->lock held. */
void prepare_stop_signal(struct task *t, int sig);
/* A thread that leaves counts as stopped. True: the parent must be told. sighand->lock held. */
bool participate_group_stop(struct task *t);
/* Tell the parent of SIGCHLD's stopped/continued. Called without locks. */
void tell_parent_cldstop(struct process *p, bool continued);

/* ---- sigaltstack ---- */
bool on_sig_stack(const struct task *t, u64 sp);
u32 sas_ss_flags(const struct task *t, u64 sp);
long do_sigaltstack(struct task *t, const struct sigaltstack_val *new, struct sigaltstack_val *old, u64 sp);

#endif
