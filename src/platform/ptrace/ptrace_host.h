/*
 * The ptrace platform as the host side sees it: what to call when, and what it needs of the lock-down.
 *
 * Order in the sandbox process:
 *   1. user ids, namespaces and capabilities are final; still one thread; no seccomp filter yet;
 *   2. ptrace_prepare(): forks the master stub (no capabilities, own seccomp filter, two descriptors, nothing mapped);
 *   3. the sandbox's seccomp filter, which allows at least what PTRACE_ALLOWED_SYSCALLS lists;
 *   4. vCPU threads, each calling ptrace_run_vcpu() as its body.
 *
 * Stubs are children of the sandbox process: never wait4(-1) or waitid(P_ALL) there, and keep SIGCHLD as it is set
 * here. The thread that calls ptrace_prepare() must live as long as the sandbox (the master stub dies with it).
 */
#ifndef PLATFORM_PTRACE_HOST_H
#define PLATFORM_PTRACE_HOST_H

#include "base/types.h"

struct boot_params;

struct ptrace_config {
	int mem_fd;	 /* the sandbox memory file */
	void *mem;	 /* where all of it is mapped, read-write and shared */
	u64 mem_size;	 /* what lies behind it is the file window (host/window.h) */
	u32 ncpus;
	bool no_pinning; /* leave vCPU threads to the host's scheduler (several times slower traps) */
};

/* 0 or -errno. On error *what names the step that failed. */
int ptrace_prepare(const struct ptrace_config *config, const char **what);

/* The body of a vCPU thread (host_vcpu_thread_init() is called here): takes its stub, switches to a kernel stack, enters sentry_boot(). */
__noreturn void ptrace_run_vcpu(struct boot_params *bp, u32 cpu);

/* From any thread of the sandbox: make the vCPU leave user mode soon, or not enter it. The host side adds to this the
 * wake-up of a vCPU that sleeps in HC_CPU_WAIT. Async-signal-safe. */
void ptrace_kick_vcpu(u32 cpu);

/* End every stub now. For a fatal exit; they die with the sandbox process in any case (PTRACE_O_EXITKILL). */
void ptrace_kill_all(void);

struct ptrace_stats {
	u64 resumes;	/* times a stub was let run application code */
	u64 syscalls, faults, exceptions, kicks;
	u64 fills;	/* faults answered from the page table without the sentry */
	u64 injections; /* batches of memory calls run in stubs */
	u64 ops;	/* memory calls in them */
	u64 units;	/* stub processes made */
};
void ptrace_get_stats(struct ptrace_stats *st);

/* X(name): system calls that the platform makes after lock-down. sched_setaffinity is optional (-EPERM is fine). */
#define PTRACE_ALLOWED_SYSCALLS(X)                                                      \
	X(ptrace) X(wait4) X(sendmsg) X(tgkill) X(kill) X(mprotect) X(sched_yield) X(sched_setaffinity) X(getcpu) X(getrusage)

#endif
