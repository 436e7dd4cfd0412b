/*
 * Probing the platforms. A KVM can be a software one that interprets ring 0 (some hundred ns an instruction). Its interpreters
 * stop at POPCNT, as the platform itself relies on; for one that does not, a guest loop in ring 0 is timed, long enough that
 * the way into the guest and back, on however busy a host, does not count. The guest runs in 64-bit mode with paging, so that
 * no CPU generation needs tricks.
 */
#include "platform/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROBE_SECONDS 2
#define LOOP_COUNT 20000u
#define LOOP_INSNS (LOOP_COUNT * 2)
#define EMULATED_NS 100u /* hardware takes below 1 ns, a nested one in an emulator some 20, an interpreter 300 and more */

#define GUEST_SIZE 0x5000ul
#define GUEST_CODE 0x0ul
#define GUEST_PML4 0x1000ul
#define GUEST_PDPT 0x2000ul
#define GUEST_PD 0x3000ul

/* What the child has to say, in memory shared with it. */
struct report {
	int done;
	enum kvm_state kvm;
	int ok;
	unsigned ns_x10;
	char how[160];
};

static const uint8_t guest_loop[] = {
	0xf3, 0x48, 0x0f, 0xb8, 0xc0,			/* popcnt rax, rax */
	0xb9, LOOP_COUNT & 0xff, LOOP_COUNT >> 8, 0, 0, /* mov ecx, LOOP_COUNT */
	0xff, 0xc9,					/* 1: dec ecx */
	0x75, 0xfc,					/* jnz 1b */
	0xf4,						/* hlt */
	0xeb, 0xef,					/* jmp to the start */
};

static void say(struct report *r, enum kvm_state state, const char *what, int err)
{
	r->kvm = state;
	snprintf(r->how, sizeof(r->how), "%s%s%s", what, err ? ": " : "", err ? strerror(err) : "");
}

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type, uint8_t long_mode)
{
	return (struct kvm_segment){ .limit = 0xffffffff, .selector = selector, .type = type, .present = 1, .db = !long_mode,
				     .s = 1, .l = long_mode, .g = 1 };
}

static int set_long_mode(int vcpu)
{
	struct kvm_regs regs = { .rip = GUEST_CODE, .rsp = GUEST_CODE + 0x800, .rflags = 2 };
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		return -1;
	sregs.cr3 = GUEST_PML4;
	sregs.cr4 = 0x20;	/* PAE */
	sregs.cr0 = 0x80000011; /* PG, ET, PE */
	sregs.efer = 0x500;	/* LME, LMA */
	sregs.cs = flat_segment(8, 11, 1);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat_segment(16, 3, 0);
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0)
		return -1;
	return ioctl(vcpu, KVM_SET_REGS, &regs);
}

/* One pass of the loop in ns, or -1 when the guest did not come to its HLT. */
static long run_loop(int vcpu, const struct kvm_run *run)
{
	struct timespec t0, t1;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	if (ioctl(vcpu, KVM_RUN, 0) < 0 || run->exit_reason != KVM_EXIT_HLT)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &t1);
	return (t1.tv_sec - t0.tv_sec) * 1000000000l + (t1.tv_nsec - t0.tv_nsec);
}

static void time_ring0(int vcpu, const struct kvm_run *run, struct report *r)
{
	long best = -1;

	for (int i = 0; i < 3; i++) {
		long ns = run_loop(vcpu, run);

		if (ns < 0 && run->exit_reason == KVM_EXIT_INTERNAL_ERROR) {
			say(r, KVM_EMULATED, "/dev/kvm runs a test guest, but stops at a POPCNT of ring 0: that is emulated in software", 0);
			return;
		}
		if (ns < 0) {
			snprintf(r->how, sizeof(r->how), "a test guest in 64-bit ring 0 did not run (exit reason %u)",
				 run->exit_reason);
			r->kvm = KVM_UNUSABLE;
			return;
		}
		if (best < 0 || ns < best)
			best = ns;
	}
	r->ns_x10 = (unsigned)(best * 10 / LOOP_INSNS);
	r->kvm = r->ns_x10 >= EMULATED_NS * 10 ? KVM_EMULATED : KVM_HARDWARE;
	snprintf(r->how, sizeof(r->how), "/dev/kvm runs a test guest; a ring-0 instruction takes %u.%u ns: %s", r->ns_x10 / 10,
		 r->ns_x10 % 10, r->kvm == KVM_EMULATED ? "ring 0 is emulated in software" : "hardware virtualization");
}

static uint8_t *guest_memory(int vm)
{
	uint8_t *mem = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = { .memory_size = GUEST_SIZE, .userspace_addr = (uintptr_t)mem };

	if (mem == MAP_FAILED)
		return NULL;
	memcpy(mem + GUEST_CODE, guest_loop, sizeof(guest_loop));
	*(uint64_t *)(mem + GUEST_PML4) = GUEST_PDPT | 3;
	*(uint64_t *)(mem + GUEST_PDPT) = GUEST_PD | 3;
	*(uint64_t *)(mem + GUEST_PD) = 0x83; /* 2 MiB from 0 on */
	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? NULL : mem;
}

static void try_kvm(struct report *r)
{
	int dev = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, vcpu, run_size;
	const struct kvm_run *run;

	if (dev < 0) {
		say(r, errno == ENOENT ? KVM_ABSENT : KVM_DENIED, "/dev/kvm", errno);
		return;
	}
	if (ioctl(dev, KVM_GET_API_VERSION, 0) != 12) {
		say(r, KVM_UNUSABLE, "/dev/kvm speaks another API than version 12", 0);
		return;
	}
	vm = ioctl(dev, KVM_CREATE_VM, 0);
	if (vm < 0) {
		say(r, KVM_UNUSABLE, "KVM_CREATE_VM", errno);
		return;
	}
	if (!guest_memory(vm)) {
		say(r, KVM_UNUSABLE, "KVM_SET_USER_MEMORY_REGION", errno);
		return;
	}
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	run_size = ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vcpu < 0 || run_size < (int)sizeof(*run)) {
		say(r, KVM_UNUSABLE, "KVM_CREATE_VCPU", errno);
		return;
	}
	run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED || set_long_mode(vcpu) < 0) {
		say(r, KVM_UNUSABLE, "KVM_SET_SREGS", errno);
		return;
	}
	time_ring0(vcpu, run, r);
}

static _Noreturn void tracee(pid_t tracer)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != tracer)
		_exit(1);
	for (;;)
		syscall(SYS_getppid);
}

static const char *trace_one_call(pid_t child)
{
	int status;

	if (ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD) < 0)
		return "PTRACE_SEIZE of a child";
	if (ptrace(PTRACE_INTERRUPT, child, 0, 0) < 0 || waitpid(child, &status, __WALL) < 0 || !WIFSTOPPED(status))
		return "PTRACE_INTERRUPT of a child";
	if (ptrace(PTRACE_SYSEMU, child, 0, 0) < 0)
		return "PTRACE_SYSEMU";
	if (waitpid(child, &status, __WALL) < 0 || !WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80))
		return "a system-call stop under PTRACE_SYSEMU";
	return NULL;
}

static void try_ptrace(struct report *r)
{
	pid_t self = getpid(), child = fork();
	const char *failed;
	int err;

	if (child == 0)
		tracee(self);
	if (child < 0) {
		say(r, 0, "fork", errno);
		return;
	}
	errno = 0;
	failed = trace_one_call(child);
	err = errno;
	kill(child, SIGKILL);
	waitpid(child, NULL, __WALL);
	r->ok = !failed;
	say(r, 0, failed ? failed : "PTRACE_SEIZE and PTRACE_SYSEMU of a child work", failed ? err : 0);
}

/* Run the attempt in a child that SIGALRM ends: no wait here is without a bound. */
static void in_child(void (*attempt)(struct report *), struct report *out)
{
	struct report *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child;

	memset(out, 0, sizeof(*out));
	if (shared == MAP_FAILED) {
		say(out, KVM_UNUSABLE, "mmap for the probe", errno);
		return;
	}
	child = fork();
	if (child == 0) {
		signal(SIGALRM, SIG_DFL);
		alarm(PROBE_SECONDS);
		attempt(shared);
		shared->done = 1;
		_exit(0);
	}
	if (child < 0) {
		say(out, KVM_UNUSABLE, "fork for the probe", errno);
	} else {
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
		*out = *shared;
		if (!out->done)
			say(out, KVM_UNUSABLE, "the probe did not end within two seconds", 0);
	}
	munmap(shared, sizeof(*shared));
}

void probe_kvm(struct probe_result *r)
{
	struct report report;

	in_child(try_kvm, &report);
	r->kvm = report.kvm;
	r->kvm_insn_ns_x10 = report.ns_x10;
	memcpy(r->kvm_how, report.how, sizeof(r->kvm_how));
}

void probe_ptrace(struct probe_result *r)
{
	struct report report;

	in_child(try_ptrace, &report);
	r->ptrace_works = report.done && report.ok;
	memcpy(r->ptrace_how, report.how, sizeof(r->ptrace_how));
}

const char *probe_auto(const struct probe_result *r, const char **why)
{
	static const char *const kvm_reasons[] = {
		[KVM_ABSENT] = "there is no /dev/kvm",
		[KVM_DENIED] = "/dev/kvm may not be opened",
		[KVM_UNUSABLE] = "/dev/kvm does not work",
		[KVM_EMULATED] = "KVM emulates ring 0 in software, which is slower",
		[KVM_HARDWARE] = "KVM with hardware virtualization works",
	};

	*why = kvm_reasons[r->kvm];
	if (r->kvm == KVM_HARDWARE)
		return "kvm";
	return r->ptrace_works ? "ptrace" : NULL;
}
