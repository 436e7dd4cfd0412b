/*
 * Tasks and what they share.
 *
 * Objects: a task is a thread. Tasks of one thread group share `struct process` (Linux's signal_struct) and the rest by
 * reference: mm, files, fs, sighand, creds (immutable, replaced as a whole), namespaces.
 *
 * Lock order, outermost first:
 *   process->exec_lock (mutex) -> inode->lock (mutex) -> mm->lock (rwsem) -> page locks
 *   tasklist_lock (spin) -> sighand->lock (spin) -> waitq.lock -> run queue lock
 *   files->lock, fs->lock, dcache_lock, frame and slab locks are leaves.
 */
#ifndef SENTRY_TASK_H
#define SENTRY_TASK_H

#include "base/list.h"
#include "base/lock.h"
#include "base/rbtree.h"
#include "base/types.h"
#include "platform/platform.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/wait.h"

struct mm;
struct file;
struct files;	 /* descriptor table, vfs/file.h */
struct fs_state; /* cwd, root, umask, vfs/vfs.h */
struct nsproxy;
struct process;
struct futex_waiter;
struct boot_params;
struct tty;
struct vfork_done;
struct sem_undo_list;
struct key;

#define KSTACK_SIZE 0x8000ul /* 32 KiB, aligned; the lowest page is the guard */
#define TASK_COMM_LEN 16

/* Capabilities as two words is enough for 41 of them. */
typedef u64 kernel_cap_t;
#define CAP_ALL ((1ull << 41) - 1)

struct cred { /* immutable once published */
	refcount_t ref;
	u32 uid, euid, suid, fsuid;
	u32 gid, egid, sgid, fsgid;
	kernel_cap_t inheritable, permitted, effective, bset, ambient;
	struct key *session_keyring; /* keyrings(7); NULL: none yet */
	struct user_ns *user_ns; /* what the capabilities are good for */
	struct landlock_domain *landlock; /* NULL: none */
	u32 securebits;
	u32 ngroups;
	u32 *groups; /* sorted */
};
struct cred *cred_get(struct cred *c);
void cred_put(struct cred *c);
struct cred *prepare_creds(void);      /* private copy of the current task's, or NULL */
void commit_creds(struct cred *c);     /* consumes it */
bool capable(int cap); /* effective in the first user namespace; others: user_ns.h */
bool in_group(const struct cred *c, u32 gid);

enum pid_type { PIDTYPE_PID, PIDTYPE_TGID, PIDTYPE_PGID, PIDTYPE_SID, PIDTYPE_MAX };
struct pid;
struct pid_ns;
struct user_ns;
struct pid_number { /* in one namespace */
	s32 nr;
	struct pid *pid;
	struct rb_node node;
};
struct pid { /* a number and who uses it as what; lives as long as anyone refers to it */
	refcount_t ref;
	s32 nr; /* in the first namespace */
	u32 level;
	struct pid_ns *ns;	  /* the innermost it has a number in */
	struct pid_number first;  /* in the first namespace */
	struct pid_number *inner; /* in those of level 1 .. level */
	struct list_head tasks[PIDTYPE_MAX]; /* tasklist_lock; PGID and SID list processes */
	struct process *process;	     /* whose thread group id it is; tasklist_lock */
	struct waitq wait;		     /* pidfd pollers */
};
#define PID_NS_LEVELS 32u
/* want: nwant numbers, the innermost namespace's first; 0 or none: the next free. Sleeps not. ERR_PTR(-errno) */
struct pid *pid_alloc(struct pid_ns *ns, const s32 *want, u32 nwant);
/* In the current task's namespace, or in another; with a reference, or NULL. */
struct pid *pid_find_get(s32 nr);
struct pid *pid_find_in(const struct pid_ns *ns, s32 nr);
/* A process by its number in the first namespace, which is what lasting objects keep: as the current task knows it; 0: not. */
s32 pid_shown(s32 first);
/* The number as a namespace knows it, 0: it does not; and in its own one. */
s32 pid_nr_in(const struct pid *p, const struct pid_ns *ns);
s32 pid_nr_own(const struct pid *p);
struct pid *pid_get(struct pid *p);
void pid_put(struct pid *p);

struct rlimit_val {
	u64 cur, max;
};
#define RLIM_COUNT 16

struct process { /* a thread group */
	refcount_t ref;
	u32 nthreads;		   /* live ones; tasklist_lock */
	struct task *leader;	   /* tasklist_lock; stays when dead until the process is reaped */
	struct list_head threads;  /* of task.thread_node, the leader first; tasklist_lock */
	struct process *parent;	   /* tasklist_lock */
	struct list_head children; /* of process.sibling */
	struct list_head sibling;
	struct pid *tgid, *pgid, *sid; /* tasklist_lock */
	struct list_head pgid_node, sid_node;
	struct tty *tty; /* controlling terminal; sighand->lock */
	u32 spawn_id;	 /* of a program that was started from outside; 0: none */
	bool session_leader_of_tty;

	/* sighand->lock: */
	struct sigpending shared_pending;
	u32 flags; /* PROC_* */
	s32 group_exit_code;
	struct task *group_exec_task;
	u32 group_stop_count;
	s32 stop_signal;
	struct waitq wait_child; /* wait4 sleeps here; woken when a child changes state */

	s32 exit_signal;
	bool is_subreaper, has_child_subreaper;
	struct rlimit_val rlim[RLIM_COUNT];
	u64 start_ns;
	u64 utime_ns, stime_ns, cutime_ns, cstime_ns; /* of dead threads; of waited-for children */
	u64 min_flt, maj_flt, nvcsw, nivcsw, cmin_flt, cmaj_flt, maxrss, cmaxrss;
	struct ktimer itimer_real;
	u64 itimer_real_interval;
	u64 itimer_virt[2][2];	       /* CPU time of expiry (0: off) and interval of ITIMER_VIRTUAL and _PROF; sighand->lock */
	struct ktimer cpu_timer;       /* looks at CPU time when a limit may be reached: cputimer.c */
	u8 cpu_timer_state;
	struct list_head posix_timers; /* owned by posix_timer.c */
	u32 next_timer_id;
	struct mutex exec_lock; /* exec against ptrace attach and /proc reads */
	s32 oom_score_adj;
	u32 personality;
	bool dumpable;
	struct key *process_keyring; /* keys_lock */
	bool did_exec, thp_disabled;
	bool ns_ending; /* first of a pid namespace, waiting for the others to go: reaps all its children at once */
	struct task *core_dumper; /* writes a core file; sighand->lock */
	u32 core_missing;	  /* threads that it waits for; sighand->lock */
	struct waitq core_wait;
	u32 traced_dead; /* threads whose tracer has not waited for them: the process is not dead before; tasklist_lock */
};
enum { PROC_STOPPED = 1, PROC_CONTINUED = 2, PROC_GROUP_EXIT = 4, PROC_STOP_REPORTED = 8, PROC_CONT_REPORTED = 16,
       PROC_OOM_KILLED = 32, PROC_ZOMBIE = 64, PROC_CLD_STOPPED = 128, PROC_CLD_CONTINUED = 256 /* parent to be told */ };

struct restart_block {
	long (*fn)(struct restart_block *rb);
	u64 a[6];
};

struct task {
	/* context switch: touched by switch.S (offsets in asm_offsets) */
	u64 ksp;	     /* saved stack pointer */
	void *kstack;	     /* base of KSTACK_SIZE bytes */
	struct user_ctx ctx; /* user registers and FPU */

	/* scheduler; run queue lock */
	_Atomic u32 state; /* enum task_state */
	_Atomic u32 on_cpu;
	u32 cpu; /* run queue it belongs to */
	bool on_rq;
	bool queued;	      /* in the run queue's tree: runnable, not running */
	struct rb_node rq_node; /* by vruntime */
	u64 cpu_mask; /* bit a vCPU */
	s32 nice, policy, rt_prio;
	struct { /* SCHED_DEADLINE */
		u64 runtime, deadline, period, flags;
	} dl;
	u64 vruntime;	 /* weighted TSC cycles */
	u64 switched_in; /* TSC when it got the vCPU */
	u64 exec_start;	 /* TSC up to which vruntime is counted */
	u64 wake_tsc;	 /* when it last woke another task; 0: not since it slept */
	u8 handoff;	 /* habit of sleeping soon after waking another: sched.c */
	_Atomic u32 flags; /* TIF_* */
	bool is_idle, is_kthread;
	struct ktimer sleep_timer;

	/* identity */
	struct pid *pid;
	struct process *proc;
	struct list_head thread_node; /* process.threads */
	struct list_head pid_node;    /* pid->tasks */
	struct list_head all_node;    /* all_tasks */
	char comm[TASK_COMM_LEN];     /* sighand->lock to write */
	refcount_t ref;

	/* shared parts; a task changes only its own pointers, under `alloc_lock` when others may look */
	spinlock_t alloc_lock;
	struct mm *mm;
	struct files *files;
	struct fs_state *fs;
	struct sighand *sighand; /* never NULL in a user task while it is referenced */
	struct sighand *retired_sighand; /* the table shared before an exec: senders may still hold its lock */
	struct cred *cred; /* read through current; others under alloc_lock */
	struct nsproxy *ns;

	/* signals; sighand->lock */
	sigset64 blocked, saved_mask, real_blocked;
	bool restore_mask;
	struct sigpending pending;
	struct sigaltstack_val altstack;
	struct restart_block restart;
	u32 jobctl; /* JOBCTL_* in signal.h */
	s32 exit_code;
	siginfo_t_k *last_siginfo;

	/* exit and threads */
	u64 set_child_tid, clear_child_tid;
	u64 robust_list;
	struct list_head pi_held; /* futex.c */
	struct vfork_done *vfork_done;
	s32 pdeath_signal;
	s32 parent_exec_id;
	s32 exit_signal;

	/* ptrace */
	struct task *tracer; /* tasklist_lock */
	u32 ptrace_flags;
	struct list_head ptraced, ptrace_node;
	u64 ptrace_message; /* PTRACE_GETEVENTMSG */

	/* prctl and accounting */
	bool no_new_privs;
	u64 utime_tsc, stime_tsc; /* in cycles: task_utime(), task_stime() */
	u64 start_ns;
	u64 min_flt, maj_flt, nvcsw, nivcsw;
	u64 timer_slack_ns;
	u64 rseq_addr;
	u32 rseq_len, rseq_sig, rseq_cpu;
	void *seccomp;
	u64 dispatch_offset, dispatch_len, dispatch_selector; /* user_dispatch.c */
	struct key *thread_keyring; /* keys_lock */
	struct sem_undo_list *sem_undo; /* ipc_sem.c */
	s32 ioprio;
	u32 rwf; /* RWF_NOWAIT, RWF_APPEND: of the transfer under way */
	struct uring_task_rings *uring_rings; /* io_uring: registered with the task, or NULL; its own */
	_Atomic u32 uring_reqs; /* io_uring: requests of its own that have not ended */
	u32 mempolicy; /* set_mempolicy(2) */
	u64 mempolicy_nodes;
	bool sched_reset_on_fork;
	bool in_execve, memfault_nested;
	bool in_core; /* its registers go into a core file: it waits for that */
	bool files_shared; /* with another process: exec takes a copy */
	struct list_head *evicting; /* inodes that this task is about to free: inode_put() */
};
/* task.flags */
enum { TIF_SIGPENDING = 1, TIF_RESCHED = 2, TIF_NOTIFY_RESUME = 4, TIF_SINGLESTEP = 8, TIF_SYSCALL_TRACE = 16,
       TIF_EXITING = 32, TIF_SYSEMU = 64, TIF_SECCOMP = 128, TIF_USER_DISPATCH = 256 };
#define TIF_SYSCALL_WORK (TIF_SYSCALL_TRACE | TIF_SYSEMU | TIF_SINGLESTEP | TIF_SECCOMP | TIF_USER_DISPATCH) /* the slow way through a call */

/* The task that owns this kernel stack: its pointer lies in the topmost word of the stack. */
static inline struct task *current_task(void)
{
	u64 sp;

	__asm__("mov %%rsp, %0" : "=r"(sp));
	return *(struct task **)((sp | (KSTACK_SIZE - 1)) - 15);
}
#define current (current_task())
/* The number as the current task knows it. */
s32 pid_nr_slow(const struct pid *p);
static inline s32 pid_nr(const struct pid *p)
{
	return unlikely(current->pid && current->pid->level) ? pid_nr_slow(p) : p ? p->nr : 0;
}
static inline s32 task_tid(const struct task *t) { return pid_nr(t->pid); }
#define KSTACK_TOP(base) ((u64)(base) + KSTACK_SIZE - 32) /* 16-aligned; the word at base+SIZE-16 holds the task */

extern spinlock_t tasklist_lock;
extern struct list_head all_tasks; /* every thread, of task.all_node; tasklist_lock */

static inline struct task *task_get(struct task *t) { refcount_inc(&t->ref); return t; }
void task_put(struct task *t);
/* CPU time of all its threads, dead ones too, in ns. Takes tasklist_lock. */
void process_cputime(struct process *p, u64 *utime, u64 *stime);
/* The smallest thread group id >= nr, 0: none; the last number given out (for /proc). */
s32 next_tgid(const struct pid_ns *ns, s32 from);
s32 pid_last(const struct pid_ns *ns);
extern u32 nr_threads;		     /* tasklist_lock */
extern struct process *init_process; /* number 1 */
extern struct process kernel_process; /* of sentry-only tasks; parent of process 1 */
struct task *find_task_get(s32 tid); /* any live thread, with a reference; NULL */
struct process *find_process_get(s32 tgid);
/* Of a struct pid; with a reference, or NULL. */
struct task *pid_task_get(struct pid *pid);
struct process *pid_process_get(struct pid *pid);
struct process *process_get(struct process *p);
void process_put(struct process *p);
s32 task_tgid(const struct task *t);
s32 task_ppid(const struct task *t);
struct mm *task_get_mm(struct task *t); /* for mm_users_put(), or NULL */

/* sched.c */
void sched_init(u32 ncpus);
struct task *kthread_create(void (*fn)(void *), void *arg, const char *name); /* runnable sentry-only task */
void sched_new_task(struct task *t);	/* first time on a run queue */
void resched_task(struct task *t);	/* make it look at its TIF flags soon: kick when it runs in user mode */
u32 this_cpu_id(void);
u32 num_cpus(void);
long ioprio_check(s32 ioprio); /* ioprio_set(2): may the current task have it? 0 or -errno */
void sched_yield_current(void);
void account_own_time(void); /* the running task's times include its present system call so far */
u64 cputime_ns(u64 cycles);
static inline u64 task_utime(const struct task *t)
{
	return cputime_ns(READ_ONCE(t->utime_tsc));
}
static inline u64 task_stime(const struct task *t)
{
	return cputime_ns(READ_ONCE(t->stime_tsc));
}
bool sched_set_affinity(struct task *t, u64 mask);

/* fork.c, exit.c, exec.c */
struct clone_params {
	u64 flags; /* CLONE_*, no signal in it */
	s32 exit_signal;
	u64 stack, stack_size; /* new stack pointer = stack + stack_size, 0: the parent's */
	u64 tls, parent_tid, child_tid, pidfd;
	const s32 *set_tid; /* nset_tid numbers, the innermost namespace's first */
	u32 nset_tid;
};
long do_clone(const struct clone_params *p);
__noreturn void do_exit(s32 code);	 /* the current thread; code as wait4 reports it */
__noreturn void do_group_exit(s32 code); /* all threads of the process */
/* Kernel-pointer argv/envp (init), path as in execve; returns 0 after which the task enters user mode in the new image. */
long kernel_execve(const char *path, const char *const *argv, const char *const *envp);
/* Create process 1 from boot_params and make it runnable; -errno (-ENOENT, -EACCES, -ENOEXEC...) after saying why with
 * one klog(LOG_ERR) line that names the program. */
long start_init(void);

u64 rlimit(u32 which); /* soft limit of the current process */

/* entry.c: the loop of a user task */
__noreturn void user_task_loop(void);

/* boot: called by the platform on every vCPU with a small boot stack; does not return */
__noreturn void sentry_boot(struct boot_params *bp, u32 cpu);
extern struct boot_params *boot_params;

#endif
