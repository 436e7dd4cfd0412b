/* Shared by the files of the host half. */
#ifndef PLATFORM_KVM_PRIV_H
#define PLATFORM_KVM_PRIV_H

#include <linux/kvm.h>

#include "hostcall.h"
#include "platform/kvm/abi.h"
#include "platform/kvm/kvm_host.h"

#define CR0_PE 0x1u
#define CR0_MP 0x2u
#define CR0_ET 0x10u
#define CR0_NE 0x20u
#define CR0_WP 0x10000u
#define CR0_AM 0x40000u
#define CR0_PG 0x80000000u
#define CR4_PAE 0x20u
#define CR4_PGE 0x80u
#define CR4_OSFXSR 0x200u
#define CR4_OSXMMEXCPT 0x400u
#define CR4_UMIP 0x800u
#define CR4_FSGSBASE 0x10000u
#define CR4_OSXSAVE 0x40000u
#define CR4_SMEP 0x100000u
#define CR4_SMAP 0x200000u
#define EFER_SCE 0x1u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define EFER_NX 0x800u

/* Page-table entries. */
#define PT_P 0x1ull
#define PT_W 0x2ull
#define PT_A 0x20ull
#define PT_D 0x40ull
#define PT_PS 0x80ull
#define PT_G 0x100ull
#define PT_NX (1ull << 63)

#define KVM_NEXITS 40 /* KVM_EXIT_*; the last row counts larger ones */
#define KVM_EXIT_ROW_KICK (KVM_NEXITS - 2)
#define KVM_EXIT_ROW_OTHER (KVM_NEXITS - 1)

struct vcpu {
	struct kvm_vm *vm;
	u32 cpu;
	int fd;
	struct kvm_run *run;
	struct kvm_comm *comm;	/* in sandbox memory: hostile */
	struct kvm_pcpu *pcpu;	/* likewise; written before the guest runs */
	u64 pcpu_va;
	u64 boot_sp;
	_Atomic int tid;
	_Atomic u32 in_run;	/* inside KVM_RUN, or about to be */
	_Atomic u64 exits[KVM_NEXITS];
};

struct kvm_vm {
	struct kvm_config cfg;
	int kvm_fd, fd;
	size_t run_size;
	struct kvm_image image; /* copied from the loaded image */
	u64 root_pa, idt_pa, kstack_pdpt_pa;
	u64 cpu_areas_pa;
	u64 first_free;
	u64 xcr0;
	u32 fpu_size;
	u32 flags;   /* KVM_F_* */
	u32 cr4;
	bool has_1g;
	s64 tsc_offset;
	struct kvm_cpuid2 *cpuid;
	_Atomic u32 ready; /* futex: 1 when vCPU 0 has found out about ring 0 */
	struct vcpu *vcpus;
};

static inline u64 kvm_direct(u64 pa) { return KVM_DIRECT_MAP + pa; }

/* kvm_image.c: load the image, build page tables, IDT and vCPU areas. 0, or -1 with err filled. */
int kvm_image_load(struct kvm_vm *vm, char *err, size_t err_size);
/* kvm_cpu.c: registers at reset, CPUID. */
int kvm_cpu_features(struct kvm_vm *vm, char *err, size_t err_size);
int kvm_cpu_setup(struct vcpu *v, char *err, size_t err_size);
void kvm_long_mode_segments(struct kvm_sregs *s);
extern const char kvm_embedded_image[], kvm_embedded_image_end[];

#endif
