/* The image header, the way from a vCPU's first instruction to the sentry, kicks and idling. */
#include "platform/kvm/guest.h"

#include "base/log.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/pagetable.h"

#define ASSERT_OFFSET(type, member, value) _Static_assert(offsetof(type, member) == (value), #member)
ASSERT_OFFSET(struct kvm_pcpu, ksp, PCPU_KSP);
ASSERT_OFFSET(struct kvm_pcpu, ctx, PCPU_CTX);
ASSERT_OFFSET(struct kvm_pcpu, scratch, PCPU_SCRATCH);
ASSERT_OFFSET(struct kvm_pcpu, comm, PCPU_COMM);
ASSERT_OFFSET(struct kvm_pcpu, cpu, PCPU_CPU);
ASSERT_OFFSET(struct kvm_pcpu, flags, PCPU_FLAGS);
ASSERT_OFFSET(struct kvm_comm, state, COMM_STATE);
ASSERT_OFFSET(struct user_ctx, regs.r15, CTX_R15);
ASSERT_OFFSET(struct user_ctx, regs.rdi, CTX_RDI);
ASSERT_OFFSET(struct user_ctx, regs.orig_rax, CTX_ORIG_RAX);
ASSERT_OFFSET(struct user_ctx, regs.ss, CTX_SS);
ASSERT_OFFSET(struct user_ctx, regs.fs_base, CTX_FS_BASE);
ASSERT_OFFSET(struct user_ctx, regs.gs_base, CTX_GS_BASE);
ASSERT_OFFSET(struct user_ctx, trap.kind, CTX_TRAP_KIND);
ASSERT_OFFSET(struct user_ctx, trap.error, CTX_TRAP_ERROR);
ASSERT_OFFSET(struct user_ctx, trap.addr, CTX_TRAP_ADDR);
ASSERT_OFFSET(struct user_ctx, syscall_rip, CTX_SYSCALL_RIP);
_Static_assert(TRAP_SYSCALL == 0, "kvm_syscall_entry stores it");
_Static_assert(sizeof(struct kvm_comm) <= PAGE_SIZE, "comm page too large");
_Static_assert(sizeof(struct hc_submit) <= KVM_REQ_MAX, "request does not fit the comm page");
_Static_assert(sizeof(struct kvm_pcpu) <= KVM_CPU_TABLES, "struct kvm_pcpu too large");


extern char kvm_start[], kvm_probe_code[], kvm_syscall_entry[], kvm_vector_128[];
#define VECTORS(X)                                                                                   \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16)  \
	X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31) X(32)
#define DECLARE_VECTOR(n) extern char kvm_vector_##n[];
#define VECTOR_ADDRESS(n) (u64)kvm_vector_##n,
VECTORS(DECLARE_VECTOR)

/* The ELF entry point names this (sentry.ld). */
extern const struct kvm_image kvm_image;
const struct kvm_image kvm_image __attribute__((section(".image_header"), used)) = {
	.magic = KVM_IMAGE_MAGIC,
	.entry = (u64)kvm_start,
	.probe = (u64)kvm_probe_code,
	.lstar = (u64)kvm_syscall_entry,
	.vectors = { VECTORS(VECTOR_ADDRESS) },
	.int80 = (u64)kvm_vector_128,
};

char *direct_map = (char *)KVM_DIRECT_MAP;

static void kvm_kick(u32 cpu)
{
	struct kvm_comm *comm = kvm_comm_of(cpu);
	struct hc_kick req = { .cpu = cpu };
	u32 state;

	/* Also when it was set already: a kick that got lost on the way must not swallow those after it. */
	atomic_fetch_or(&comm->kick, KVM_KICK);
	state = atomic_load(&comm->state);
	if (state == KVM_STATE_USER || state == KVM_STATE_IDLE)
		hostcall(HC_CPU_KICK, &req, sizeof(req));
}

static void kvm_idle(u32 cpu, u64 deadline_ns)
{
	struct kvm_pcpu *c = this_pcpu();
	struct hc_wait req = { .cpu = cpu, .deadline_ns = deadline_ns };

	/* An idle vCPU holds no translations, so nobody need wake it to flush some. */
	kvm_as_use(c, NULL);
	atomic_exchange(&c->comm->state, KVM_STATE_IDLE);
	if (!(atomic_load(&c->comm->kick) & KVM_KICK))
		hostcall(HC_CPU_WAIT, &req, sizeof(req));
	atomic_store_explicit(&c->comm->state, KVM_STATE_KERNEL, memory_order_release);
	kvm_take_kick(c);
}

static struct platform_ops kvm_ops = {
	.name = "kvm",
	.fault_around = 16,
	.as_create = kvm_as_create,
	.as_fork = kvm_as_fork,
	.as_destroy = kvm_as_destroy,
	.as_fill = kvm_as_fill,
	.as_flush = kvm_as_flush,
	.enter_user = kvm_enter_user,
	.fpu_save = kvm_fpu_save,
	.bases_save = kvm_bases_save,
	.fpu_reload = kvm_fpu_reload,
	.fpu_init = kvm_fpu_init,
	.switch_out = kvm_switch_out,
	.copy_from_user = kvm_copy_from_user,
	.copy_to_user = kvm_copy_to_user,
	.cmpxchg_user32 = kvm_cmpxchg_user32,
	.kick = kvm_kick,
	.idle = kvm_idle,
	.kstack_alloc = kvm_kstack_alloc,
	.kstack_free = kvm_kstack_free,
};
const struct platform_ops *platform = &kvm_ops;

void kvm_guest_main(struct kvm_pcpu *c)
{
	if (!c->cpu) {
		const u64 *root = pa_to_va(c->boot_root_pa);

		for (u32 i = 0; i < 256; i++)
			pt_kernel_entries[i] = root[256 + i];
		kvm_kstack_setup(c);
		kvm_ops.fpu_size = c->fpu_size;
		kvm_ops.fpu_xcr0 = c->xcr0;
		if (c->flags & KVM_F_EMULATED)
			kvm_bulk_setup((struct boot_params *)c->boot_params);
	}
	sentry_boot((struct boot_params *)c->boot_params, c->cpu);
}
