/*
 * The system-call table and how a handler is written.
 *
 * A handler is SYSCALLn(name, type, arg, ...) { body }: arguments arrive with the widths of the man page, the result is
 * the value or -errno (or a restart code of wait.h). One row a call in table.def: number, name, handler state, kinds of
 * arguments. Dispatch, strace, --stats, docs/syscalls.md and the fuzzer read that table.
 */
#ifndef SENTRY_SYSCALL_H
#define SENTRY_SYSCALL_H

#include "base/types.h"

struct sysargs {
	u64 a[6];
};
typedef long (*syscall_fn)(const struct sysargs *args);

#define SC_ARG(t, i) ((t)r->a[i])
#define SC_HEAD(name, ...)                                                              \
	static long do_sys_##name(__VA_ARGS__);                                         \
	long sys_##name(const struct sysargs *r);
#define SYSCALL0(name)                                                                  \
	SC_HEAD(name, void)                                                             \
	long sys_##name(const struct sysargs *r) { (void)r; return do_sys_##name(); }   \
	static long do_sys_##name(void)
#define SYSCALL1(name, t0, a0)                                                          \
	SC_HEAD(name, t0)                                                               \
	long sys_##name(const struct sysargs *r) { return do_sys_##name(SC_ARG(t0, 0)); } \
	static long do_sys_##name(t0 a0)
#define SYSCALL2(name, t0, a0, t1, a1)                                                  \
	SC_HEAD(name, t0, t1)                                                           \
	long sys_##name(const struct sysargs *r) { return do_sys_##name(SC_ARG(t0, 0), SC_ARG(t1, 1)); } \
	static long do_sys_##name(t0 a0, t1 a1)
#define SYSCALL3(name, t0, a0, t1, a1, t2, a2)                                          \
	SC_HEAD(name, t0, t1, t2)                                                       \
	long sys_##name(const struct sysargs *r)                                        \
	{ return do_sys_##name(SC_ARG(t0, 0), SC_ARG(t1, 1), SC_ARG(t2, 2)); }          \
	static long do_sys_##name(t0 a0, t1 a1, t2 a2)
#define SYSCALL4(name, t0, a0, t1, a1, t2, a2, t3, a3)                                  \
	SC_HEAD(name, t0, t1, t2, t3)                                                   \
	long sys_##name(const struct sysargs *r)                                        \
	{ return do_sys_##name(SC_ARG(t0, 0), SC_ARG(t1, 1), SC_ARG(t2, 2), SC_ARG(t3, 3)); } \
	static long do_sys_##name(t0 a0, t1 a1, t2 a2, t3 a3)
#define SYSCALL5(name, t0, a0, t1, a1, t2, a2, t3, a3, t4, a4)                          \
	SC_HEAD(name, t0, t1, t2, t3, t4)                                               \
	long sys_##name(const struct sysargs *r)                                        \
	{ return do_sys_##name(SC_ARG(t0, 0), SC_ARG(t1, 1), SC_ARG(t2, 2), SC_ARG(t3, 3), SC_ARG(t4, 4)); } \
	static long do_sys_##name(t0 a0, t1 a1, t2 a2, t3 a3, t4 a4)
#define SYSCALL6(name, t0, a0, t1, a1, t2, a2, t3, a3, t4, a4, t5, a5)                  \
	SC_HEAD(name, t0, t1, t2, t3, t4, t5)                                           \
	long sys_##name(const struct sysargs *r)                                        \
	{ return do_sys_##name(SC_ARG(t0, 0), SC_ARG(t1, 1), SC_ARG(t2, 2), SC_ARG(t3, 3), SC_ARG(t4, 4), SC_ARG(t5, 5)); } \
	static long do_sys_##name(t0 a0, t1 a1, t2 a2, t3 a3, t4 a4, t5 a5)

/* Run call nr of the current task and return what goes into rax (restart codes included). */
long syscall_dispatch(u64 nr, const struct sysargs *args);

#endif
