/*
 * Ways into and out of ring 0.
 *
 * kvm_enter_user() goes to user mode; a trap comes back as its return, with the user's registers in the task's user_ctx. So
 * the kernel stack of a task never holds user registers, and a context switch needs none of this.
 * Ring 0 runs with interrupts off. NMI, #DF and #MC have stacks of their own, because they may come while RSP is the user's.
 */
#include "platform/kvm/abi.h"

#define FLAG_CF_TO_OF_AC_ID 0x240dd5 /* what user mode may choose */
#define FLAG_IF 0x200
#define FLAG_TF 0x100
/* Flags that SYSRET must not be trusted with: TF, IF, IOPL, NT, RF, VM, VIF, VIP. */
#define FLAG_CAREFUL 0x1b7300

	.text
	.code64

.macro save_but_rdi base
	mov	%r15, CTX_R15(\base)
	mov	%r14, CTX_R14(\base)
	mov	%r13, CTX_R13(\base)
	mov	%r12, CTX_R12(\base)
	mov	%rbp, CTX_RBP(\base)
	mov	%rbx, CTX_RBX(\base)
	mov	%r11, CTX_R11(\base)
	mov	%r10, CTX_R10(\base)
	mov	%r9, CTX_R9(\base)
	mov	%r8, CTX_R8(\base)
	mov	%rcx, CTX_RCX(\base)
	mov	%rdx, CTX_RDX(\base)
	mov	%rsi, CTX_RSI(\base)
.endm

.macro load_common
	mov	CTX_R15(%rdi), %r15
	mov	CTX_R14(%rdi), %r14
	mov	CTX_R13(%rdi), %r13
	mov	CTX_R12(%rdi), %r12
	mov	CTX_RBP(%rdi), %rbp
	mov	CTX_RBX(%rdi), %rbx
	mov	CTX_R10(%rdi), %r10
	mov	CTX_R9(%rdi), %r9
	mov	CTX_R8(%rdi), %r8
	mov	CTX_RAX(%rdi), %rax
	mov	CTX_RDX(%rdi), %rdx
	mov	CTX_RSI(%rdi), %rsi
.endm

/*
 * void kvm_enter_user(struct user_ctx *ctx, struct mm *mm): platform_ops.enter_user. A system call returns from here straight away,
 * everything else through kvm_user_trapped(). The CPU is ready for ctx as long as that stands in the vCPU's structure.
 */
	.globl	kvm_enter_user
	.hidden	kvm_enter_user
	.type	kvm_enter_user, @function
	.p2align 6
kvm_enter_user:
	cmp	%rdi, %gs:PCPU_CTX
	jne	kvm_enter_unready
	.globl	kvm_enter_ready
	.hidden	kvm_enter_ready
	.type	kvm_enter_ready, @function
kvm_enter_ready:
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%gs:PCPU_COMM, %rdx
	mov	%rsp, %gs:PCPU_KSP
	/* XCHG orders the store before the load: a kicker sets `kick`, then looks at `state`. */
	mov	$KVM_STATE_USER, %eax
	xchg	%eax, COMM_STATE(%rdx)
	cmpl	$0, COMM_KICK(%rdx)
	jne	.Lkicked
	mov	CTX_RIP(%rdi), %rcx
	mov	CTX_EFLAGS(%rdi), %r11
	mov	%rcx, %rax
	shr	$47, %rax
	jnz	.Lbad_rip
	cmp	%rcx, CTX_RCX(%rdi)
	jne	.Lby_iret
	cmp	%r11, CTX_R11(%rdi)
	jne	.Lby_iret
	mov	%r11d, %eax
	and	$FLAG_CAREFUL, %eax
	cmp	$FLAG_IF, %eax
	jne	.Lby_iret
	load_common
	mov	CTX_RSP(%rdi), %rsp
	mov	CTX_RDI(%rdi), %rdi
	swapgs
	sysretq

.Lby_iret:
	and	$(FLAG_CF_TO_OF_AC_ID | FLAG_TF), %r11d
	or	$(FLAG_IF | 2), %r11d
	pushq	$KVM_USER_DS
	pushq	CTX_RSP(%rdi)
	push	%r11
	pushq	$KVM_USER_CS
	push	%rcx
	load_common
	mov	CTX_R11(%rdi), %r11
	mov	CTX_RCX(%rdi), %rcx
	mov	CTX_RDI(%rdi), %rdi
	swapgs
	iretq

.Lkicked:
	mov	$KVM_ENTER_KICKED, %eax
	jmp	.Ltrapped
.Lbad_rip:
	mov	$KVM_ENTER_BAD_RIP, %eax
	jmp	.Ltrapped
	.size	kvm_enter_user, . - kvm_enter_user

.macro leave_user
	mov	%gs:PCPU_KSP, %rsp
	mov	%gs:PCPU_COMM, %rdx
	movl	$KVM_STATE_KERNEL, COMM_STATE(%rdx)
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
.endm

/* SYSCALL (LSTAR). IF, TF, DF, AC and the rest are cleared by FMASK. */
	.globl	kvm_syscall_entry
	.hidden	kvm_syscall_entry
	.p2align 6
kvm_syscall_entry:
	swapgs
	mov	%rsp, %gs:PCPU_SCRATCH
	mov	%gs:PCPU_CTX, %rsp
	mov	%rdi, CTX_RDI(%rsp)
	save_but_rdi %rsp
	mov	%rcx, CTX_RIP(%rsp)
	mov	%rcx, CTX_SYSCALL_RIP(%rsp)
	mov	%r11, CTX_EFLAGS(%rsp)
	mov	%rax, CTX_ORIG_RAX(%rsp)
	movq	$-38, CTX_RAX(%rsp)		/* -ENOSYS */
	movl	$0, CTX_TRAP_KIND(%rsp)		/* TRAP_SYSCALL */
	mov	%gs:PCPU_SCRATCH, %rax
	mov	%rax, CTX_RSP(%rsp)
	leave_user
	ret

/* rdi: ctx, eax: how. */
.Ltrapped:
	leave_user
	mov	%eax, %esi
	jmp	kvm_user_trapped

/* Stack: vector, error, rip, cs, rflags, rsp, ss. */
trap_common:
	cld
	testb	$3, 24(%rsp)
	jz	trap_in_kernel
	swapgs
	mov	%rdi, %gs:PCPU_SCRATCH
	mov	%gs:PCPU_CTX, %rdi
	save_but_rdi %rdi
	mov	%rax, CTX_RAX(%rdi)
	mov	%gs:PCPU_SCRATCH, %rax
	mov	%rax, CTX_RDI(%rdi)
	pop	%rax
	popq	CTX_TRAP_ERROR(%rdi)
	popq	CTX_RIP(%rdi)
	popq	CTX_CS(%rdi)
	popq	CTX_EFLAGS(%rdi)
	popq	CTX_RSP(%rdi)
	popq	CTX_SS(%rdi)
	movq	$-1, CTX_ORIG_RAX(%rdi)
	testl	$KVM_F_SMAP, %gs:PCPU_FLAGS
	jz	1f
	clac
1:	cmp	$14, %eax
	jne	.Ltrapped
	mov	%cr2, %rcx
	mov	%rcx, CTX_TRAP_ADDR(%rdi)
	jmp	.Ltrapped

/* Ring 0 faulted: a fixup of user access, or the end. */
trap_in_kernel:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rbx
	push	%rbp
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, %rdi
	mov	%rsp, %rbp
	and	$-16, %rsp
	call	kvm_kernel_trap
	mov	%rbp, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rbp
	pop	%rbx
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq

/* #DF and #MC, on stacks of their own: GS may be either one. They do not return. */
trap_fatal:
	cld
	mov	%rsp, %rax
	and	$-0x10000, %rax			/* KVM_CPU_AREA */
	mov	%rax, %rdx
	shr	$32, %rdx
	mov	$0xc0000101, %ecx
	wrmsr
	jmp	trap_in_kernel

.macro vector n
	.hidden	kvm_vector_\n
	.globl	kvm_vector_\n
kvm_vector_\n:
.if \n == 2
	iretq					/* NMI: nobody sends one on purpose */
.else
.if !(\n == 8 || (\n >= 10 && \n <= 14) || \n == 17 || \n == 21 || \n == 29 || \n == 30)
	pushq	$0
.endif
	pushq	$\n
.if \n == 8 || \n == 18
	jmp	trap_fatal
.else
	jmp	trap_common
.endif
.endif
.endm

	.altmacro
	.set	i, 0
.rept KVM_NVECTORS
	vector	%i
	.set	i, i + 1
.endr
	vector	128

/* The first instructions of a vCPU: rdi is its struct kvm_pcpu, rsp its boot stack. */
	.globl	kvm_start
	.hidden	kvm_start
kvm_start:
	xor	%ebp, %ebp
	call	kvm_guest_main
	ud2

/* An instruction emulator of KVM stops at POPCNT; a CPU does not. */
	.globl	kvm_probe_code
	.hidden	kvm_probe_code
kvm_probe_code:
	popcnt	%rax, %rax
	hlt

/*
 * User access. A fault inside goes on at the fixup, with what is left in the registers.
 */
.macro extable from, to
	.pushsection .ex_table, "a"
	.balign	8
	.quad	\from, \to
	.popsection
.endm

/* In between, translations of user memory may be used: guest_as.c. r8: the vCPU's comm page. Changes eax. */
.macro uaccess_begin slow
	mov	$KVM_STATE_UACCESS, %eax
	xchg	%eax, COMM_STATE(%r8)
	testl	$KVM_KICK_FLUSH, COMM_KICK(%r8)
	jnz	\slow
	testl	$KVM_F_SMAP, %gs:PCPU_FLAGS
	jz	.Lopen\@
	stac
.Lopen\@:
.endm
.macro uaccess_end
	testl	$KVM_F_SMAP, %gs:PCPU_FLAGS
	jz	.Lclosed\@
	clac
.Lclosed\@:
	movl	$KVM_STATE_KERNEL, COMM_STATE(%r8)
.endm

/* size_t kvm_copy(void *dst, const void *src, size_t n): bytes not copied. */
	.globl	kvm_copy
	.hidden	kvm_copy
	.type	kvm_copy, @function
kvm_copy:
	mov	%gs:PCPU_COMM, %r8
	uaccess_begin .Lflush_copy
	cmp	$8, %rdx
	je	3f
	cmp	$4, %rdx
	je	5f
	mov	%rdx, %rcx
	shr	$3, %rcx
	and	$7, %edx
1:	rep movsq
	mov	%edx, %ecx
2:	rep movsb
	mov	%rcx, %rax
10:	uaccess_end
	ret
3:	mov	(%rsi), %rcx
4:	mov	%rcx, (%rdi)
	xor	%eax, %eax
	jmp	10b
5:	mov	(%rsi), %ecx
6:	mov	%ecx, (%rdi)
	xor	%eax, %eax
	jmp	10b
	/* A word may straddle the end of what is mapped: go on by bytes, so that the count is exact. */
7:	lea	(%rdx,%rcx,8), %rcx
	jmp	2b
8:	mov	%rcx, %rax
	jmp	10b
9:	mov	%rdx, %rcx
	jmp	2b
	extable	1b, 7b
	extable	2b, 8b
	extable	3b, 9b
	extable	4b, 9b
	extable	5b, 9b
	extable	6b, 9b
.Lflush_copy:
	push	%rdi
	push	%rsi
	push	%rdx
	call	kvm_flush_own
	pop	%rdx
	pop	%rsi
	pop	%rdi
	jmp	kvm_copy
	.size	kvm_copy, . - kvm_copy

/* int kvm_cmpxchg32(u32 *addr, u32 old, u32 new, u32 *prev): 0 or -EFAULT. */
	.globl	kvm_cmpxchg32
	.hidden	kvm_cmpxchg32
	.type	kvm_cmpxchg32, @function
kvm_cmpxchg32:
	mov	%gs:PCPU_COMM, %r8
	uaccess_begin .Lflush_cmpxchg
	mov	%esi, %eax
1:	lock cmpxchg %edx, (%rdi)
	uaccess_end
	mov	%eax, (%rcx)
	xor	%eax, %eax
	ret
2:	uaccess_end
	mov	$-14, %eax
	ret
	extable	1b, 2b
.Lflush_cmpxchg:
	push	%rdi
	push	%rsi
	push	%rdx
	push	%rcx
	sub	$8, %rsp
	call	kvm_flush_own
	add	$8, %rsp
	pop	%rcx
	pop	%rdx
	pop	%rsi
	pop	%rdi
	jmp	kvm_cmpxchg32
	.size	kvm_cmpxchg32, . - kvm_cmpxchg32

/* int kvm_xrstor(const void *area, u64 mask): 0, or -EFAULT when the area is not a valid one. */
	.globl	kvm_xrstor
	.hidden	kvm_xrstor
	.type	kvm_xrstor, @function
kvm_xrstor:
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
1:	xrstor64 (%rdi)
	xor	%eax, %eax
	ret
2:	mov	$-14, %eax
	ret
	extable	1b, 2b
	.size	kvm_xrstor, . - kvm_xrstor

/* int kvm_fxrstor(const void *area) */
	.globl	kvm_fxrstor
	.hidden	kvm_fxrstor
	.type	kvm_fxrstor, @function
kvm_fxrstor:
1:	fxrstor64 (%rdi)
	xor	%eax, %eax
	ret
2:	mov	$-14, %eax
	ret
	extable	1b, 2b
	.size	kvm_fxrstor, . - kvm_fxrstor

	.section .note.GNU-stack, "", @progbits
