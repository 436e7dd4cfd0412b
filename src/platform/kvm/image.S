/* The ring-0 image inside the executable. */
	.section .rodata
	.globl	kvm_embedded_image, kvm_embedded_image_end
	.balign	64
kvm_embedded_image:
	.incbin	KVM_IMAGE_FILE
kvm_embedded_image_end:
	.section .note.GNU-stack, "", @progbits
