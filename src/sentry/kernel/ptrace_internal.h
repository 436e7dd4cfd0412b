/* Between ptrace.c (stops) and ptrace_request.c, ptrace_regs.c (what the tracer asks for). */
#ifndef SENTRY_PTRACE_INTERNAL_H
#define SENTRY_PTRACE_INTERNAL_H

#include "sentry/kernel/ptrace.h"

struct ptrace_run {
	bool syscalls, emulate, step;
};
long ptrace_traceme(void);
bool ptrace_options_allowed(u64 options);
long ptrace_attach(struct task *t, bool seize, u64 options);
long ptrace_detach(struct task *t, u64 sig);
long ptrace_resume(struct task *t, const struct ptrace_run *run, u64 sig);
long ptrace_interrupt(struct task *t);
long ptrace_listen(struct task *t);

/* ---- ptrace_regs.c; t is stopped ---- */
long ptrace_peek_user(struct task *t, u64 off, u64 *val);
long ptrace_poke_user(struct task *t, u64 off, u64 val);
long ptrace_get_regs(struct task *t, u64 udata);
long ptrace_set_regs(struct task *t, u64 udata);
long ptrace_get_fpregs(struct task *t, u64 udata);
long ptrace_set_fpregs(struct task *t, u64 udata);
long ptrace_regset(struct task *t, u32 type, u64 uiov, bool set);

/* ---- sigframe.c ---- */
/* Replace the extended state by a user-supplied XSAVE image of n bytes, checked. 0 or -EINVAL. The state is not in a CPU. */
int fpu_set_user_image(struct task *t, const void *image, u32 n);

#endif
