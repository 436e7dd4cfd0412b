/* A hostcall is one port write: the request lies in the vCPU's comm page. */
#include "platform/kvm/guest.h"

/* Requests up to this size are copied back: those with members that the host side fills in are small. */
#define COPY_BACK_MAX 128

/* Not memcpy(): that one may be a hostcall itself (guest_bulk.c). */
static void copy(void *dst, const void *src, size_t n)
{
	size_t words = n >> 3, rest = n & 7;

	__asm__ volatile("rep movsq" : "+D"(dst), "+S"(src), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(rest) : : "memory");
}

s64 hostcall(u32 nr, void *req, size_t len)
{
	struct kvm_comm *comm = this_pcpu()->comm;

	if (len)
		copy(comm->req, req, len);
	comm->nr = nr;
	comm->len = (u32)len;
	__asm__ volatile("outl %0, %1" : : "a"(nr), "Nd"((u16)KVM_HOSTCALL_PORT) : "memory");
	if (len && len <= COPY_BACK_MAX)
		copy(req, comm->req, len);
	return comm->result;
}
