/*
 * The host half of the KVM platform: a VM over the sandbox memory, one vCPU per thread.
 *
 * Order of use, by the sandbox process:
 *   kvm_vm_create()      before the lock-down: opens /dev/kvm, makes the VM and its vCPUs, loads the sentry image and the
 *                        tables of ring 0 into sandbox memory. Everything that can fail for want of something fails here.
 *   kvm_vm_first_free()  goes into boot_params.first_free_pa
 *   kvm_vcpu_loop()      after the lock-down, in one thread a vCPU (vCPU 0 too)
 *   kvm_vcpu_kick()      from any thread
 *
 * System calls made after the lock-down: ioctl(KVM_RUN, KVM_INTERRUPT, KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS,
 * KVM_GET_XSAVE, KVM_SET_XSAVE), tgkill(KVM_KICK_SIGNAL), futex, gettid, getpid, rt_sigprocmask, rt_sigreturn.
 */
#ifndef PLATFORM_KVM_HOST_H
#define PLATFORM_KVM_HOST_H

#include <signal.h>

#include "base/types.h"

/* The handler is installed by kvm_vm_create(); it does nothing. vCPU threads unblock it themselves. */
#define KVM_KICK_SIGNAL (SIGRTMIN + 2)

struct kvm_vm;

struct kvm_config {
	char *mem;	/* mapping of sandbox memory, shared, writable, page aligned */
	u64 mem_size;	/* multiple of 2 MiB */
	u64 window;	/* bytes behind it in which read-only mappings come and go (the file window); multiple of 2 MiB */
	/* Is all of this range of the window mapped? May a page that was missing there be tried again now? */
	bool (*readable)(u64 off, u64 len);
	bool (*repair)(void);
	u32 ncpus;	/* <= MAX_CPUS and what the KVM offers */
	const void *image; /* sentry.elf; NULL: the embedded one */
	size_t image_size;
	/* Serve a hostcall. `req` is a private copy of the request, `len` its length (<= KVM_REQ_MAX), both unchecked.
	 * What it writes into req goes back to the sentry. HC_FPU_GET and HC_FPU_SET never arrive here. */
	s64 (*hostcall)(u32 cpu, u32 nr, void *req, size_t len);
	/* The VM cannot go on (a triple fault, a KVM error). Called from a vCPU thread; must not return. */
	void (*fatal)(u32 cpu, const char *text);
	/* Features left out, for tests: KVM_WITHOUT_*. */
	u32 without;
};
enum {
	KVM_WITHOUT_SMAP = 1,
	KVM_WITHOUT_SMEP = 2,
	KVM_WITHOUT_FSGSBASE = 4,
	KVM_WITHOUT_XSAVE = 8,
	KVM_WITHOUT_1G_PAGES = 16,
	KVM_WITHOUT_UMIP = 32,
	KVM_WITHOUT_TSC_CONTROL = 64,
};

/* The bits of a list of names with commas ("smap,xsave"; "all"). False: *bad is the name that is none, and kvm_without_names() says
 * which there are. */
bool kvm_without_parse(const char *list, u32 *bits, char *bad, size_t bad_size);
const char *kvm_without_names(void);

/* NULL on failure, with one line in `err`. */
struct kvm_vm *kvm_vm_create(const struct kvm_config *cfg, char *err, size_t err_size);
u64 kvm_vm_first_free(const struct kvm_vm *vm);
/* Guest TSC = host TSC + this. */
s64 kvm_vm_tsc_offset(const struct kvm_vm *vm);
/* State components that applications have (XCR0), for AT_HWCAP and the like. */
u64 kvm_vm_xcr0(const struct kvm_vm *vm);
bool kvm_vm_has_fsgsbase(const struct kvm_vm *vm);

/* Run the vCPU; returns never. vCPU 0 finds out first whether ring 0 is emulated; the others wait for that. */
void kvm_vcpu_loop(struct kvm_vm *vm, u32 cpu) __attribute__((noreturn));

/* Make vCPU `cpu` leave user mode (with TRAP_INTERRUPT) or see the kick before it idles. A vCPU that waits in
 * HC_CPU_WAIT is woken by whoever implements that call. */
void kvm_vcpu_kick(struct kvm_vm *vm, u32 cpu);

/* --stats: exits by reason over all vCPUs. Names are static; the count of rows is returned, at most max. */
struct kvm_exit_count {
	const char *name;
	u64 count;
};
u32 kvm_vm_exit_counts(const struct kvm_vm *vm, struct kvm_exit_count *rows, u32 max);

#endif
