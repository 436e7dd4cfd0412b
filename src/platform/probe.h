/* What this host offers: which platforms would work, how that was found out, and which one "auto" takes. */
#ifndef PLATFORM_PROBE_H
#define PLATFORM_PROBE_H

#include <stdbool.h>

enum kvm_state {
	KVM_ABSENT,   /* no /dev/kvm */
	KVM_DENIED,   /* it is there, but may not be opened */
	KVM_UNUSABLE, /* opened, and something needed is missing or fails */
	KVM_EMULATED, /* works; ring 0 is interpreted in software: slow */
	KVM_HARDWARE,
};

struct probe_result {
	bool ptrace_works;
	char ptrace_how[160]; /* one line for people: what was tried, what came of it */
	enum kvm_state kvm;
	char kvm_how[160];
	unsigned kvm_insn_ns_x10; /* a ring-0 instruction, in tenths of a nanosecond */
};

/* Each runs in a child of its own for at most two seconds; safe in any process that may fork. */
void probe_kvm(struct probe_result *r);
void probe_ptrace(struct probe_result *r);

/* The platform that --platform=auto takes: "kvm" (hardware), else "ptrace", else NULL. *why: one line. Needs both probes;
 * the ptrace one only when KVM is not KVM_HARDWARE. */
const char *probe_auto(const struct probe_result *r, const char **why);

#endif
