/*
 * The stub page: the only code of ours in a stub process. Position independent; copied into the control file.
 * The application can see it and jump here; every system call it would make so is emulated like its others.
 */
	.section .rodata
	.globl stub_code, stub_code_single, stub_code_batch, stub_code_sleep, stub_code_end
	.balign 64
stub_code:

/* One call with its arguments in registers, its number in r15 too. A clone's child sleeps until it is seized. */
stub_code_single:
	syscall
	test %rax, %rax
	jnz 1f
	cmp $56, %r15
	je stub_code_sleep
1:	int3

/* A batch of calls from the ops page. int3: all done; ud2: the call at rbx failed with rax. */
	.balign 16
stub_code_batch:
	lea stub_code+4096(%rip), %rbx
2:	mov (%rbx), %rax
	test %rax, %rax
	js 3f
	mov 8(%rbx), %rdi
	mov 16(%rbx), %rsi
	mov 24(%rbx), %rdx
	mov 32(%rbx), %r10
	mov 40(%rbx), %r8
	mov 48(%rbx), %r9
	syscall
	cmp $-4096, %rax
	ja 4f
	add $64, %rbx
	jmp 2b
3:	int3
4:	ud2

	.balign 16
stub_code_sleep:
	mov $34, %eax		/* pause */
	syscall
	jmp stub_code_sleep
stub_code_end:

/* Copied to the start of every struct fpu_page; entered with all components asked for in eax. Leaves the flags alone. */
	.globl stub_fpu_code, stub_fpu_code_end
	.balign 64
stub_fpu_code:
	xrstor64 stub_fpu_code+128(%rip)
	mov stub_fpu_code+64(%rip), %rax
	jmp *stub_fpu_code+72(%rip)
stub_fpu_code_end:
	.section .note.GNU-stack, "", @progbits
