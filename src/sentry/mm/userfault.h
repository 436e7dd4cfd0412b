/*
 * userfaultfd(2): faults on registered memory are told to a reader, who fills the pages in.
 *
 * A context belongs to one mm. VMAs registered with it point to it (vma->uffd); closing the descriptor clears them, so VMAs count
 * no reference, sleepers do. Lock order: mm->lock -> ctx->lock.
 */
#ifndef SENTRY_USERFAULT_H
#define SENTRY_USERFAULT_H

#include "sentry/mm/mm.h"

/* What handle_fault() returns when the reader is to be asked: positive, never seen outside mm/. */
#define FAULT_USERFAULT 1

struct uffd_wait {
	struct list_head node;
	struct uffd_ctx *ctx;
	u64 addr, flags; /* UFFD_PAGEFAULT_FLAG_* */
	bool done;
};

/* Queue the fault that handle_fault() reported, mm->lock still held. 1: wait for it; 0: it went away meanwhile, just try again;
 * -EFAULT: the reader asked for SIGBUS instead. */
int userfault_queue(struct uffd_wait *w, struct mm *mm, struct vma *vma, u64 addr, bool write);
/* Sleep until the reader has dealt with it or a fatal signal came. Without mm->lock. */
void userfault_wait(struct uffd_wait *w);
/* A VMA that is a copy (fork, mremap) is not registered. */
static inline void userfault_forget(struct vma *vma)
{
	vma->flags &= ~(VM_UFFD_MISSING | VM_UFFD_WP);
	vma->uffd = NULL;
}

#endif
