/* A hostcall is one port write: the request lies in the vCPU's comm page. */
#include "platform/kvm/guest.h"

#include "base/log.h"
#include "base/string.h"

/* Requests up to this size are copied back: those with members that the host side fills in are small. */
#define COPY_BACK_MAX 128

s64 hostcall(u32 nr, void *req, size_t len)
{
	struct kvm_comm *comm = this_pcpu()->comm;

	if (len)
		memcpy(comm->req, req, len);
	comm->nr = nr;
	comm->len = (u32)len;
	__asm__ volatile("outl %0, %1" : : "a"(nr), "Nd"((u16)KVM_HOSTCALL_PORT) : "memory");
	if (len && len <= COPY_BACK_MAX)
		memcpy(req, comm->req, len);
	return comm->result;
}
