#include <stdio.h>
#include <string.h>

#include "command.h"
#include "options.h"
#include "platform/probe.h"

static int help(void)
{
	printf("Usage: runsc-c platforms\n"
	       "Say for each platform whether it works on this host, how that was found out, and which one \"auto\" takes.\n"
	       "The status is 0 when there is one.\n");
	return finish_stdout();
}

static const char *kvm_word(enum kvm_state state)
{
	static const char *const words[] = {
		[KVM_ABSENT] = "no", [KVM_DENIED] = "no", [KVM_UNUSABLE] = "no", [KVM_EMULATED] = "yes, slow", [KVM_HARDWARE] = "yes",
	};

	return words[state];
}

int cmd_platforms(int argc, char **argv)
{
	static const struct option options[] = { { "help", no_argument, NULL, 'h' }, { 0 } };
	struct probe_result r = { 0 };
	const char *chosen, *why = "";
	int c, err;

	while ((c = next_option(argc, argv, options, "platforms")) != -1)
		return c == 'h' ? help() : STATUS_FAILED;
	if (optind < argc)
		return fail("platforms: %s: no arguments are expected", argv[optind]);
	probe_kvm(&r);
	probe_ptrace(&r);
	chosen = probe_auto(&r, &why);
	printf("kvm     %-9s  %s\n", kvm_word(r.kvm), r.kvm_how);
	printf("ptrace  %-9s  %s\n", r.ptrace_works ? "yes" : "no", r.ptrace_how);
	printf("auto    %-9s  %s\n", chosen ? chosen : "none", why);
	err = finish_stdout();
	return err ? err : chosen ? 0 : STATUS_FAILED;
}
