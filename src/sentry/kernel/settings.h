/*
 * The settings of /proc/sys that change what calls do (include/sysctl.def names them and their ranges; proc(5)).
 * Plain words, read without a lock: a change holds from the next call on.
 */
#ifndef SENTRY_SETTINGS_H
#define SENTRY_SETTINGS_H

#include "base/types.h"

struct ipc_settings { /* sysvipc(7), mq_overview(7); of an IPC namespace */
	u64 msgmax, msgmnb, msgmni;	   /* bytes of a message, of a new queue; queues */
	u64 sem[4];			   /* of a set, in all, operations of a call, sets */
	u64 shmmax, shmall, shmmni;	   /* bytes of a segment, pages in all, segments */
	u64 shm_rmid_forced;
	u64 mq_queues_max, mq_msg_max, mq_msgsize_max, mq_msg_default, mq_msgsize_default;
};
enum { SEM_PER_SET, SEM_ALL, SEM_OPS, SEM_SETS }; /* of ipc_settings.sem */

struct net_settings { /* of a network namespace */
	u64 somaxconn;
	u64 port_range[2]; /* of ports nobody asked for by number */
	u64 ping_groups[2]; /* of whom icmp(7) sockets are, the first and the last */
	u64 port_start;	   /* the first that needs no CAP_NET_BIND_SERVICE */
};

struct kernel_settings { /* of the sandbox */
	u64 aio_max_nr;
	u64 lease_break_time; /* s */
	u64 leases_enable;
	u64 pipe_max_size; /* bytes */
	u64 inotify_events, inotify_instances, inotify_watches;
	u64 core_uses_pid;
	u64 io_uring_disabled; /* 1: but for CAP_SYS_ADMIN, 2: for all */
	u64 max_map_count;
	u64 overcommit_memory; /* 1: nothing is refused for its size */
};
extern struct kernel_settings settings;
extern const struct ipc_settings ipc_settings_default;
extern const struct net_settings net_settings_default;

/* One of sysctl.def. */
struct setting {
	const char *dir, *name;
	enum setting_scope { SETTING_IPC, SETTING_NET, SETTING_KERNEL } scope;
	u32 offset, count; /* of u64s in the struct of the scope */
	u64 min, max;
};
extern const struct setting setting_table[];
extern const u32 setting_count;
/* Its numbers, in the current task's namespaces. */
u64 *setting_numbers(const struct setting *s);
/* Numbers that the whole must agree on: 0 or -EINVAL. */
int setting_check(const struct setting *s, const u64 *numbers);
/* What the boot parameters set: of the first namespaces. */
void settings_init(void);

#endif
