/* The context switch. Only what the ABI makes callee-saved lives across it; x87 and SSE state is the platform's. */
	.text
	.globl switch_context
	.hidden switch_context
	.type switch_context, @function
switch_context:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
	.size switch_context, . - switch_context

/* task_set_entry() put fn into rbx and arg into r12 of the first frame. */
	.globl task_entry
	.hidden task_entry
	.type task_entry, @function
task_entry:
	xorl %ebp, %ebp
	movq %rbx, %rdi
	movq %r12, %rsi
	call sched_task_start
	ud2
	.size task_entry, . - task_entry
	.section .note.GNU-stack, "", @progbits
