/* ld.so compares this with the oldest kernel it runs on: 6.1. */
	.section .note.Linux, "a", @note
	.long 6, 4, 0
	.asciz "Linux"
	.balign 4
	.long (6 << 16) + (1 << 8)
	.section .note.GNU-stack, "", @progbits
