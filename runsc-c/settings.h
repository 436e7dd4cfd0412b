/* What a sandbox's /proc/sys starts with (include/sysctl.def). */
#ifndef RUNSC_C_SETTINGS_H
#define RUNSC_C_SETTINGS_H

#include "host/sandbox.h"

struct start_settings {
	u32 n;
	struct boot_setting list[SANDBOX_SETTINGS_MAX];
};
enum setting_scope { SETTING_IPC, SETTING_NET, SETTING_KERNEL };
/* By its name with dots (sysctl(8)). *scope, when it is known. 0, -ENOENT or -EINVAL. */
int settings_set(struct start_settings *s, const char *name, const char *value, enum setting_scope *scope);
/* Those of this process' network namespace, for sockets of the host. */
void settings_of_host_network(struct start_settings *s);
/* Into the configuration; what is there twice is set twice, the later wins. */
void settings_apply(const struct start_settings *s, struct sandbox_config *cfg);

#endif
