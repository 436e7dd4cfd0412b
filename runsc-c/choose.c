#include "choose.h"

#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "platform/probe.h"

/* A CPU without VMX and SVM has no hardware KVM, and that is known without asking /dev/kvm. */
static bool cpu_virtualizes(void)
{
	u32 a, b, c, d;

	if (__get_cpuid(1, &a, &b, &c, &d) && c & 1u << 5)
		return true;
	return __get_cpuid(0x80000001, &a, &b, &c, &d) && c & 1u << 2;
}

static int choose_auto(enum sandbox_platform *out)
{
	struct probe_result r = { 0 };

	*out = SANDBOX_PTRACE;
	if (!cpu_virtualizes() || access("/dev/kvm", R_OK | W_OK) < 0)
		return 0; /* ptrace says itself what it lacks, if anything */
	probe_kvm(&r);
	if (r.kvm == KVM_HARDWARE)
		*out = SANDBOX_KVM;
	return 0;
}

int choose_platform(const char *name, enum sandbox_platform *out)
{
	if (!strcmp(name, "auto"))
		return choose_auto(out);
	if (!strcmp(name, "ptrace")) {
		*out = SANDBOX_PTRACE;
		return 0;
	}
	if (strcmp(name, "kvm"))
		return fail("--platform: '%s' is none of auto, kvm, ptrace", name);
	if (access("/dev/kvm", R_OK | W_OK) < 0)
		return fail("--platform=kvm: /dev/kvm: %s", strerror(errno));
	*out = SANDBOX_KVM;
	return 0;
}
