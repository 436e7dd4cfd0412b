/*
 * What the two halves of the KVM platform agree on: the guest half (ring 0, linked with the sentry) and the host half
 * (the sandbox process, which owns the VM). Included from assembly too.
 *
 * The host half builds everything that ring 0 needs before its first instruction: page tables of the kernel half, GDT, IDT,
 * TSS, model-specific registers. So the guest starts in 64-bit mode straight in C, also where ring 0 is emulated and slow.
 *
 * Virtual layout of the upper half (the same in every address space):
 *   KVM_DIRECT_MAP   all of sandbox memory, read-write, never executable; behind it the file window, which the host maps read-only
 *   KVM_KSTACKS      kernel stacks, 4 KiB pages with a guard page below each
 *   KVM_IMAGE_BASE   the sentry image: text RX, rodata R, data RW
 */
#ifndef PLATFORM_KVM_ABI_H
#define PLATFORM_KVM_ABI_H

#define KVM_DIRECT_MAP 0xffff888000000000
#define KVM_KSTACKS 0xffffc90000000000
#define KVM_IMAGE_BASE 0xffffffff80000000

#define KVM_HOSTCALL_PORT 0xf0

/* Linux's own selectors: applications can see them. */
#define KVM_KERNEL_CS 0x10
#define KVM_KERNEL_DS 0x18
#define KVM_USER32_CS 0x23
#define KVM_USER_DS 0x2b
#define KVM_USER_CS 0x33
#define KVM_TSS_SEL 0x40
#define KVM_CPU_SEL 0x7b /* limit holds the vCPU number, for LSL in the vDSO */

/* Hostcalls of this platform's own, for an emulated ring 0; numbers beyond all of hostcall.h. */
#define KVM_HC_COPY 0x10000 /* struct kvm_hc_copy */
#define KVM_HC_FILL 0x10001 /* struct kvm_hc_copy: src is the byte */

/* struct kvm_comm.state: what the vCPU does with translations of user memory (see guest_as.c). */
#define KVM_STATE_KERNEL 0
#define KVM_STATE_USER 1
#define KVM_STATE_IDLE 2
#define KVM_STATE_UACCESS 3
/* struct kvm_comm.kick */
#define KVM_KICK 1
#define KVM_KICK_FLUSH 2

/* Vectors beyond the CPU's own. */
#define KVM_VEC_KICK 32
#define KVM_VEC_INT80 0x80
#define KVM_NVECTORS 33 /* stubs: 0..32; vector 0x80 has its own */

/* struct kvm_pcpu.flags */
#define KVM_F_EMULATED 1 /* ring 0 runs in an instruction emulator */
#define KVM_F_SMAP 2
#define KVM_F_FSGSBASE 4
#define KVM_F_XSAVE 8

/* Offsets for assembly; asserted in guest_boot.c. */
#define PCPU_SELF 0
#define PCPU_KSP 8
#define PCPU_CTX 16
#define PCPU_SCRATCH 24
#define PCPU_COMM 32
#define PCPU_CPU 40
#define PCPU_FLAGS 44
#define COMM_KICK 0
#define COMM_STATE 4
#define CTX_R15 0
#define CTX_R14 8
#define CTX_R13 16
#define CTX_R12 24
#define CTX_RBP 32
#define CTX_RBX 40
#define CTX_R11 48
#define CTX_R10 56
#define CTX_R9 64
#define CTX_R8 72
#define CTX_RAX 80
#define CTX_RCX 88
#define CTX_RDX 96
#define CTX_RSI 104
#define CTX_RDI 112
#define CTX_ORIG_RAX 120
#define CTX_RIP 128
#define CTX_CS 136
#define CTX_EFLAGS 144
#define CTX_RSP 152
#define CTX_SS 160
#define CTX_FS_BASE 168
#define CTX_GS_BASE 176
#define CTX_TRAP_KIND 216
#define CTX_TRAP_ERROR 224
#define CTX_TRAP_ADDR 232
#define CTX_SYSCALL_RIP 272

/* How user mode was left, for kvm_user_trapped(): a vector, or one of these. */
#define KVM_ENTER_KICKED 0x101
#define KVM_ENTER_BAD_RIP 0x102

#ifndef __ASSEMBLER__
#include "base/types.h"

struct kvm_as;
struct mm;
struct user_ctx;

#define KVM_REQ_MAX 2048

struct kvm_hc_copy {
	u64 dst, src, len; /* offsets into sandbox memory; may overlap */
};

/* One page a vCPU at COMM_PA + cpu * 4096. The host half reads it as hostile. */
struct kvm_comm {
	_Atomic u32 kick;  /* KVM_KICK*: set by anyone, taken by the vCPU before it enters user mode or idles */
	_Atomic u32 state; /* KVM_STATE_*: written by the vCPU only */
	u32 pad0[14];
	s64 result;
	u32 nr, len;
	u64 pad1[6];
	u8 req[KVM_REQ_MAX];
};

/* Per vCPU; the base of GS in ring 0. Made by the host half, then the guest's own. */
struct kvm_pcpu {
	struct kvm_pcpu *self;
	u64 ksp;	      /* kernel stack while in user mode */
	struct user_ctx *ctx; /* where a trap saves the registers. Not NULL: the CPU is ready to run it, see kvm_prepare() */
	u64 scratch;
	struct kvm_comm *comm;
	u32 cpu;
	u32 flags;	      /* KVM_F_* */
	u64 fs_base, gs_base; /* the user's, as loaded in the CPU */
	struct kvm_as *as;    /* loaded in CR3; NULL: the boot tables */
	struct mm *mm;	      /* with ctx */
	struct user_ctx *fpu_owner; /* whose vector state the CPU holds */
	u64 boot_root_pa;
	u64 kstack_pdpt_pa;
	u64 xcr0;
	u32 fpu_size;
	u32 ncpus;
	u64 boot_params; /* address */
};

/* Per vCPU memory, KVM_CPU_AREA bytes, aligned: the pages of it. */
#define KVM_CPU_AREA 0x10000ul
#define KVM_CPU_TABLES 0x800ul	   /* in page 0: TSS, then GDT, behind struct kvm_pcpu */
#define KVM_CPU_TRAP_STACK 0x2000ul /* tops */
#define KVM_CPU_NMI_STACK 0x3000ul
#define KVM_CPU_DF_STACK 0x5000ul
#define KVM_CPU_MC_STACK 0x7000ul
#define KVM_CPU_BOOT_STACK 0x10000ul /* 32 KiB, aligned */

/* At the ELF entry point of the image: addresses the host half needs. */
#define KVM_IMAGE_MAGIC 0x6167652d6d766b31ull
struct kvm_image {
	u64 magic;
	u64 entry;		   /* first instruction of a vCPU; rdi = its struct kvm_pcpu */
	u64 probe;		   /* POPCNT, then HLT: the emulator stops at the first */
	u64 lstar;
	u64 vectors[KVM_NVECTORS]; /* 0: not used */
	u64 int80;
};
#endif
#endif
