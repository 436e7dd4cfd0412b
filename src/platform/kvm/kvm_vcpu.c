/* The run loop of a vCPU thread. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "platform/kvm/kvm_priv.h"

#define PROBE_TIMEOUT_S 10
#define DUMP_MAX 1200

static const char *const exit_names[KVM_NEXITS] = {
	[KVM_EXIT_IO] = "hostcall",
	[KVM_EXIT_HLT] = "hlt",
	[KVM_EXIT_MMIO] = "mmio",
	[KVM_EXIT_IRQ_WINDOW_OPEN] = "interrupt window",
	[KVM_EXIT_SHUTDOWN] = "shutdown",
	[KVM_EXIT_FAIL_ENTRY] = "failed entry",
	[KVM_EXIT_INTR] = "signal",
	[KVM_EXIT_INTERNAL_ERROR] = "internal error",
	[KVM_EXIT_ROW_KICK] = "kick",
	[KVM_EXIT_ROW_OTHER] = "other",
};

static void count(struct vcpu *v, u32 row)
{
	row = MIN(row, (u32)KVM_EXIT_ROW_OTHER);
	/* Only this thread writes. */
	atomic_store_explicit(&v->exits[row], atomic_load_explicit(&v->exits[row], memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

u32 kvm_vm_exit_counts(const struct kvm_vm *vm, struct kvm_exit_count *rows, u32 max)
{
	u32 n = 0;

	for (u32 row = 0; row < KVM_NEXITS && n < max; row++) {
		u64 sum = 0;

		for (u32 cpu = 0; cpu < vm->cfg.ncpus; cpu++)
			sum += atomic_load_explicit(&vm->vcpus[cpu].exits[row], memory_order_relaxed);
		if (sum)
			rows[n++] = (struct kvm_exit_count){ exit_names[row] ? exit_names[row] : "unnamed", sum };
	}
	return n;
}

static void die(struct vcpu *v, const char *what)
{
	struct kvm_regs r = { 0 };
	struct kvm_sregs s = { 0 };
	char text[DUMP_MAX];

	ioctl(v->fd, KVM_GET_REGS, &r);
	ioctl(v->fd, KVM_GET_SREGS, &s);
	snprintf(text, sizeof(text),
		 "KVM: vCPU %u: %s; rip %#llx rsp %#llx flags %#llx cs %#x cr2 %#llx cr3 %#llx gs %#llx "
		 "rax %#llx rbx %#llx rcx %#llx rdx %#llx rsi %#llx rdi %#llx rbp %#llx r8 %#llx r9 %#llx r10 %#llx "
		 "r11 %#llx r12 %#llx r13 %#llx r14 %#llx r15 %#llx",
		 v->cpu, what, r.rip, r.rsp, r.rflags, s.cs.selector, s.cr2, s.cr3, s.gs.base, r.rax, r.rbx, r.rcx, r.rdx,
		 r.rsi, r.rdi, r.rbp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15);
	v->vm->cfg.fatal(v->cpu, text);
}

static bool in_memory(struct kvm_vm *vm, const struct hc_mem *m)
{
	return m->off <= vm->cfg.mem_size && m->len <= vm->cfg.mem_size - m->off;
}

/* The vector state of a vCPU whose ring 0 cannot save it. */
static s64 transfer_fpu(struct vcpu *v, u32 nr, const struct hc_mem *m, size_t len)
{
	struct kvm_xsave area;

	if (len != sizeof(*m) || m->len > sizeof(area) || !in_memory(v->vm, m))
		return -EINVAL;
	if (ioctl(v->fd, KVM_GET_XSAVE, &area) < 0)
		return -errno;
	if (nr == HC_FPU_GET) {
		memcpy(v->vm->cfg.mem + m->off, &area, m->len);
		return 0;
	}
	memcpy(&area, v->vm->cfg.mem + m->off, m->len);
	return ioctl(v->fd, KVM_SET_XSAVE, &area) < 0 ? -errno : 0;
}

static s64 bulk(struct kvm_vm *vm, u32 nr, const struct kvm_hc_copy *c, size_t len)
{
	const struct hc_mem dst = { c->dst, c->len }, src = { c->src, c->len };

	if (len != sizeof(*c) || !in_memory(vm, &dst) ||
	    (nr == KVM_HC_COPY && !in_memory(vm, &src) && !(vm->cfg.readable && vm->cfg.readable(c->src, c->len))))
		return -EINVAL;
	if (nr == KVM_HC_COPY)
		memmove(vm->cfg.mem + c->dst, vm->cfg.mem + c->src, c->len);
	else
		memset(vm->cfg.mem + c->dst, (int)c->src, c->len);
	return 0;
}

static void serve_hostcall(struct vcpu *v)
{
	_Alignas(16) u8 req[KVM_REQ_MAX];
	u32 nr = READ_ONCE(v->comm->nr), len = READ_ONCE(v->comm->len);
	s64 result;

	if (len > sizeof(req)) {
		v->comm->result = -EINVAL;
		return;
	}
	memcpy(req, v->comm->req, len);
	if (nr == HC_FPU_GET || nr == HC_FPU_SET)
		result = transfer_fpu(v, nr, (struct hc_mem *)req, len);
	else if (nr == KVM_HC_COPY || nr == KVM_HC_FILL)
		result = bulk(v->vm, nr, (struct kvm_hc_copy *)req, len);
	else
		result = v->vm->cfg.hostcall(v->cpu, nr, req, len);
	/* A bulk copy may have been one into the request's place: of the next call's request. */
	if (nr != KVM_HC_COPY && nr != KVM_HC_FILL)
		memcpy(v->comm->req, req, len);
	WRITE_ONCE(v->comm->result, result);
}

/*
 * Kicks. The kicker sets the kick word, then looks at the state; the vCPU, in ring 0, sets state USER with a locked instruction,
 * then looks at the kick word: one of them sees the other. In any other state the vCPU will look by itself. In state USER:
 *   - it is inside KVM_RUN: the signal ends that, and the next run_once() interrupts it;
 *   - its thread is before the store to in_run: deliver_kick() comes after that store, and the kick word was set before the
 *     kicker's look at in_run: again one of them sees the other;
 *   - its thread is between there and KVM_RUN: immediate_exit was set before the signal, and after the thread had cleared it, or
 *     else before deliver_kick() looked. So KVM_RUN returns at once, or the kick is delivered already;
 *   - a kick by the thread itself, from the handler of its timer, is one of these three.
 * In state USER the vCPU will not look at the kick word by itself: interrupt it, now or when it has reached user mode.
 */
static void deliver_kick(struct vcpu *v)
{
	struct kvm_interrupt irq = { .irq = KVM_VEC_KICK };

	v->run->request_interrupt_window = 0;
	if (!atomic_load(&v->comm->kick) || atomic_load(&v->comm->state) != KVM_STATE_USER)
		return;
	if (!v->run->ready_for_interrupt_injection || !v->run->if_flag)
		v->run->request_interrupt_window = 1;
	else
		ioctl(v->fd, KVM_INTERRUPT, &irq);
}

/* One KVM_RUN; the exit reason. */
static u32 run_once(struct vcpu *v)
{
	int ret;

	atomic_store(&v->in_run, 1);
	WRITE_ONCE(v->run->immediate_exit, 0);
	atomic_thread_fence(memory_order_seq_cst);
	deliver_kick(v);
	ret = ioctl(v->fd, KVM_RUN, 0);
	atomic_store(&v->in_run, 0);
	if (ret < 0) {
		if (errno == EFAULT && v->vm->cfg.repair && v->vm->cfg.repair())
			return KVM_EXIT_INTR;
		if (errno != EINTR && errno != EAGAIN)
			die(v, strerror(errno));
		return KVM_EXIT_INTR;
	}
	return v->run->exit_reason;
}

static void handle_exit(struct vcpu *v, u32 reason)
{
	char text[80];

	count(v, reason);
	switch (reason) {
	case KVM_EXIT_IO:
		if (v->run->io.port == KVM_HOSTCALL_PORT && v->run->io.direction == KVM_EXIT_IO_OUT) {
			serve_hostcall(v);
			return;
		}
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return;
	case KVM_EXIT_INTERNAL_ERROR:
		snprintf(text, sizeof(text), "KVM internal error %u", v->run->internal.suberror);
		die(v, text);
		return;
	}
	snprintf(text, sizeof(text), "exit %u (%s)", reason,
		 reason < KVM_NEXITS && exit_names[reason] ? exit_names[reason] : "unexpected");
	die(v, text);
}

static void set_start(struct vcpu *v, u64 rip)
{
	struct kvm_regs regs = { .rip = rip, .rflags = 2, .rdi = v->pcpu_va, .rsp = v->boot_sp };

	if (ioctl(v->fd, KVM_SET_REGS, &regs) < 0)
		die(v, "KVM_SET_REGS");
}

/* Ring 0 is emulated when it stops at an instruction that the emulators do not know. */
static void find_ring0_kind(struct vcpu *v)
{
	struct kvm_vm *vm = v->vm;
	u32 reason;

	set_start(v, vm->image.probe);
	do
		reason = run_once(v);
	while (reason == KVM_EXIT_INTR);
	if (reason == KVM_EXIT_INTERNAL_ERROR)
		vm->flags |= KVM_F_EMULATED;
	else if (reason != KVM_EXIT_HLT)
		handle_exit(v, reason);
	for (u32 cpu = 0; cpu < vm->cfg.ncpus; cpu++)
		vm->vcpus[cpu].pcpu->flags = vm->flags;
	atomic_store(&vm->ready, 1);
	syscall(SYS_futex, &vm->ready, FUTEX_WAKE_PRIVATE, MAX_CPUS, NULL, NULL, 0);
}

static void wait_ready(struct vcpu *v)
{
	const struct timespec limit = { .tv_sec = PROBE_TIMEOUT_S };

	while (!atomic_load(&v->vm->ready))
		if (syscall(SYS_futex, &v->vm->ready, FUTEX_WAIT_PRIVATE, 0, &limit, NULL, 0) < 0 && errno == ETIMEDOUT)
			die(v, "vCPU 0 did not start");
}

void kvm_vcpu_loop(struct kvm_vm *vm, u32 cpu)
{
	struct vcpu *v = &vm->vcpus[cpu];
	sigset_t set;

	atomic_store(&v->tid, gettid());
	sigemptyset(&set);
	sigaddset(&set, KVM_KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	if (cpu)
		wait_ready(v);
	else
		find_ring0_kind(v);
	set_start(v, vm->image.entry);
	for (;;)
		handle_exit(v, run_once(v));
}

void kvm_vcpu_kick(struct kvm_vm *vm, u32 cpu)
{
	struct vcpu *v;

	if (cpu >= vm->cfg.ncpus)
		return;
	v = &vm->vcpus[cpu];
	atomic_fetch_or(&v->comm->kick, KVM_KICK);
	WRITE_ONCE(v->run->immediate_exit, 1);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&v->comm->state) != KVM_STATE_USER || !atomic_load(&v->in_run))
		return;
	atomic_fetch_add_explicit(&v->exits[KVM_EXIT_ROW_KICK], 1, memory_order_relaxed);
	syscall(SYS_tgkill, getpid(), atomic_load(&v->tid), KVM_KICK_SIGNAL);
}
