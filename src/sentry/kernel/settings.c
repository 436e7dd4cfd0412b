#include "sentry/kernel/settings.h"

#include <linux/errno.h>

#include "base/string.h"
#include "hostcall.h"
#include "net/net_ns.h"
#include "sentry/kernel/ipc_ids.h"
#include "base/log.h"
#include "sentry/kernel/boot.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

struct kernel_settings settings = {
	.aio_max_nr = 65536, .lease_break_time = 45, .leases_enable = 1, .pipe_max_size = 1 << 20, .inotify_events = 16384,
	.inotify_instances = 1024, .inotify_watches = 1 << 20, .max_map_count = 65530,
};
const struct ipc_settings ipc_settings_default = {
	.msgmax = 8192, .msgmnb = 16384, .msgmni = 32000, .sem = { 32000, 1024000000, 500, 32000 }, .shmmax = ~0ull - (1ull << 24),
	.shmall = ~0ull - (1ull << 24), .shmmni = 4096, .mq_queues_max = 256, .mq_msg_max = 10, .mq_msgsize_max = 8192,
	.mq_msg_default = 10, .mq_msgsize_default = 8192,
};
const struct net_settings net_settings_default = { .somaxconn = 4096, .port_range = { 32768, 60999 }, .ping_groups = { 1, 0 }, .port_start = 1024 };

#define OFFSET_IPC(field) offsetof(struct ipc_settings, field)
#define OFFSET_NET(field) offsetof(struct net_settings, field)
#define OFFSET_KERNEL(field) offsetof(struct kernel_settings, field)
#define SETTING(scope, dir, name, field, count, min, max) { dir, name, SETTING_##scope, OFFSET_##scope(field), count, min, max },
const struct setting setting_table[] = {
#include "sysctl.def"
};
#undef SETTING
const u32 setting_count = ARRAY_SIZE(setting_table);

static u64 *numbers_of(const struct setting *s, const struct nsproxy *ns)
{
	char *base = s->scope == SETTING_IPC ? (char *)&ipc_ns_of(ns->simple[NS_IPC])->settings :
		     s->scope == SETTING_NET ? (char *)&container_of(ns->simple[NS_NET], struct net_ns, c)->settings :
					       (char *)&settings;

	return (u64 *)(base + s->offset);
}

u64 *setting_numbers(const struct setting *s)
{
	return numbers_of(s, current->ns);
}

int setting_check(const struct setting *s, const u64 *numbers)
{
	if (s->scope == SETTING_NET && s->offset == offsetof(struct net_settings, port_range) && numbers[0] > numbers[1])
		return -EINVAL;
	if (s->scope == SETTING_IPC && s->offset == offsetof(struct ipc_settings, sem) && numbers[SEM_SETS] > 32768)
		return -ERANGE;
	return 0;
}

void settings_init(void)
{
	const struct boot_setting *b = pa_to_va(boot_params->settings_off);

	for (u32 i = 0; i < boot_params->nsettings; i++) {
		const struct setting *s = &setting_table[b[i].setting];

		BUG_ON(b[i].setting >= setting_count);
		memcpy(numbers_of(s, &init_nsproxy), b[i].numbers, s->count * sizeof(u64));
	}
}
