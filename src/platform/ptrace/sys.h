/* System calls of the host, without libc: no errno (its address is a thread's, and tasks change threads). */
#ifndef PLATFORM_PTRACE_SYS_H
#define PLATFORM_PTRACE_SYS_H

#include <asm/errno.h>
#include <asm/signal.h>
#include <asm/unistd.h>
#include <linux/ptrace.h>

#include "base/types.h"

static inline s64 sys6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	register u64 r10 __asm__("r10") = d;
	register u64 r8 __asm__("r8") = e;
	register u64 r9 __asm__("r9") = f;
	s64 ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#define sys_call0(nr) sys6(nr, 0, 0, 0, 0, 0, 0)
#define sys_call1(nr, a) sys6(nr, (u64)(a), 0, 0, 0, 0, 0)
#define sys_call2(nr, a, b) sys6(nr, (u64)(a), (u64)(b), 0, 0, 0, 0)
#define sys_call3(nr, a, b, c) sys6(nr, (u64)(a), (u64)(b), (u64)(c), 0, 0, 0)
#define sys_call4(nr, a, b, c, d) sys6(nr, (u64)(a), (u64)(b), (u64)(c), (u64)(d), 0, 0)
#define sys_call6(nr, a, b, c, d, e, f) sys6(nr, (u64)(a), (u64)(b), (u64)(c), (u64)(d), (u64)(e), (u64)(f))

/* ptrace(2) requests that are the architecture's own. */
#define PTRACE_GETREGS 12
#define PTRACE_SETREGS 13
#ifndef PTRACE_SYSEMU
#define PTRACE_SYSEMU 31
#define PTRACE_SYSEMU_SINGLESTEP 32
#endif
#define WAIT_ALL_CLONES 0x40000000 /* __WALL */
#define KICK_SIGNAL SIGUSR2

struct host_iovec {
	void *base;
	u64 len;
};
/* siginfo_t of a fault or of kill(2), as the kernel has it. */
struct host_siginfo {
	s32 signo, err, code, pad;
	u64 addr;
	u8 rest[104];
};
_Static_assert(sizeof(struct host_siginfo) == 128, "siginfo_t");

static inline s64 sys_ptrace(u64 request, s32 tid, u64 addr, const void *data)
{
	return sys_call4(__NR_ptrace, request, tid, addr, data);
}
/* waitpid(2) on one tracee; its status, or -errno. */
static inline s32 sys_wait(s32 tid)
{
	s32 status = 0;
	s64 ret;

	do
		ret = sys_call4(__NR_wait4, tid, &status, WAIT_ALL_CLONES, 0);
	while (ret == -EINTR);
	return ret < 0 ? (s32)ret : status;
}
static inline bool status_stopped(s32 status) { return status >= 0 && (status & 0xff) == 0x7f; }
static inline u32 status_signal(s32 status) { return (status >> 8) & 0xff; }

#endif
