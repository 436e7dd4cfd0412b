/* /proc/sys: what programs read there, and the few things that they may change. */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/stat.h>

#include "base/string.h"
#include "fs/dev/dev.h"
#include "fs/proc/proc.h"
#include "hostcall.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/uts.h"
#include "sentry/mm/pagecache.h"
#include "sentry/vfs/lease.h"
#include "sentry/vfs/vfs.h"

#define SHOW(fn, ...)                                                                   \
	static int fn(struct seq *s, struct inode *inode)                               \
	{                                                                               \
		seq_printf(s, __VA_ARGS__);                                             \
		return 0;                                                               \
	}

SHOW(show_ostype, "Linux\n")
SHOW(show_osrelease, "%s\n", UTS_RELEASE)
SHOW(show_uts_version, "%s\n", UTS_VERSION)
SHOW(show_pid_max, "4194304\n")
SHOW(show_threads_max, "192730\n")
SHOW(show_cap_last_cap, "40\n")
SHOW(show_ngroups_max, "65536\n")
SHOW(show_overflow_id, "65534\n")
SHOW(show_two, "2\n")
SHOW(show_one, "1\n")
SHOW(show_zero, "0\n")
SHOW(show_shmmax, "18446744073692774399\n")
SHOW(show_shmmni, "4096\n")
SHOW(show_sem, "32000\t1024000000\t500\t32000\n")
SHOW(show_msgmax, "8192\n")
SHOW(show_msgmnb, "16384\n")
SHOW(show_msgmni, "32000\n")
SHOW(show_max_map_count, "65530\n")
SHOW(show_mmap_min_addr, "%lu\n", USER_MIN)
SHOW(show_overcommit_ratio, "50\n")
SHOW(show_file_max, "9223372036854775807\n")
SHOW(show_file_nr, "1024\t0\t9223372036854775807\n")
SHOW(show_nr_open, "1048576\n")
SHOW(show_pipe_max, "1048576\n")
SHOW(show_inotify_watches, "1048576\n")
SHOW(show_inotify_instances, "8192\n")
SHOW(show_inotify_queue, "16384\n")
SHOW(show_somaxconn, "4096\n")
SHOW(show_port_range, "32768\t60999\n")
SHOW(show_core_pattern, "core\n")
SHOW(show_tcp_mem, "4096\t131072\t6291456\n")
SHOW(show_rmem, "212992\n")
SHOW(show_lease_break, "%lu\n", LEASE_BREAK_SECONDS)
SHOW(show_rtsig_max, "1048576\n")

static int show_hostname(struct seq *s, struct inode *inode)
{
	seq_printf(s, "%s\n", uts_hostname());
	return 0;
}

static int show_domainname(struct seq *s, struct inode *inode)
{
	seq_printf(s, "%s\n", uts_domainname());
	return 0;
}

static void uuid_text(struct seq *s, const u8 *b)
{
	seq_printf(s, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x\n", b[0], b[1], b[2], b[3], b[4],
		   b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

/* RFC 4122, version 4. */
static int show_uuid(struct seq *s, struct inode *inode)
{
	u8 b[16];

	random_bytes(b, sizeof(b));
	b[6] = (u8)((b[6] & 0x0f) | 0x40);
	b[8] = (u8)((b[8] & 0x3f) | 0x80);
	uuid_text(s, b);
	return 0;
}

static int show_boot_id(struct seq *s, struct inode *inode)
{
	u8 b[16];

	memcpy(b, boot_params->random + 32, sizeof(b));
	b[6] = (u8)((b[6] & 0x0f) | 0x40);
	b[8] = (u8)((b[8] & 0x3f) | 0x80);
	uuid_text(s, b);
	return 0;
}

SHOW(show_entropy, "256\n")

/* proc(5): 1 drops pages of files, 2 names and inodes, 3 both. */
static int store_drop_caches(struct inode *inode, char *text, size_t n)
{
	u32 what = (u32)(text[0] - '0');

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (what < 1 || what > 4 || (text[1] && text[1] != '\n'))
		return -EINVAL;
	if (what & 2)
		while (dcache_shrink(1024))
			;
	if (what & 1)
		while (pagecache_shrink(1024))
			;
	return 0;
}

struct sysctl {
	const char *name;
	struct text_file file;
};
#define RO(name, fn) { name, { fn, NULL } }

static void add_all(struct dentry *dir, const struct sysctl *list, u32 n)
{
	for (u32 i = 0; i < n; i++)
		simple_add_file(dir, list[i].name, S_IFREG | 0444, &text_fops, (void *)&list[i].file);
}

void proc_add_sysctl(struct dentry *root)
{
	static const struct sysctl kernel[] = {
		RO("ostype", show_ostype), RO("osrelease", show_osrelease), RO("version", show_uts_version),
		RO("hostname", show_hostname), RO("domainname", show_domainname), RO("pid_max", show_pid_max),
		RO("threads-max", show_threads_max), RO("cap_last_cap", show_cap_last_cap), RO("ngroups_max", show_ngroups_max),
		RO("overflowuid", show_overflow_id), RO("overflowgid", show_overflow_id), RO("randomize_va_space", show_two),
		RO("shmmax", show_shmmax), RO("shmall", show_shmmax), RO("shmmni", show_shmmni), RO("sem", show_sem),
		RO("msgmax", show_msgmax), RO("msgmnb", show_msgmnb), RO("msgmni", show_msgmni), RO("core_pattern", show_core_pattern),
		RO("core_uses_pid", show_zero), RO("dmesg_restrict", show_one), RO("kptr_restrict", show_one),
		RO("perf_event_paranoid", show_two), RO("rtsig-max", show_rtsig_max),
		RO("sched_rr_timeslice_ms", show_two), RO("tainted", show_zero),
	};
	static const struct sysctl random[] = {
		RO("uuid", show_uuid), RO("boot_id", show_boot_id), RO("entropy_avail", show_entropy), RO("poolsize", show_entropy),
	};
	static const struct sysctl vm[] = {
		RO("overcommit_memory", show_zero), RO("overcommit_ratio", show_overcommit_ratio), RO("max_map_count", show_max_map_count),
		RO("mmap_min_addr", show_mmap_min_addr), RO("swappiness", show_zero), RO("nr_hugepages", show_zero),
	};
	static const struct sysctl fs[] = {
		RO("file-max", show_file_max), RO("file-nr", show_file_nr), RO("nr_open", show_nr_open), RO("pipe-max-size", show_pipe_max),
		RO("suid_dumpable", show_zero), RO("protected_symlinks", show_one), RO("protected_hardlinks", show_one),
		RO("lease-break-time", show_lease_break), RO("dir-notify-enable", show_one),
	};
	static const struct sysctl inotify[] = {
		RO("max_user_watches", show_inotify_watches), RO("max_user_instances", show_inotify_instances),
		RO("max_queued_events", show_inotify_queue),
	};
	static const struct sysctl net_core[] = { RO("somaxconn", show_somaxconn), RO("rmem_max", show_rmem), RO("wmem_max", show_rmem),
						  RO("rmem_default", show_rmem), RO("wmem_default", show_rmem) };
	static const struct sysctl net_ipv4[] = { RO("ip_local_port_range", show_port_range), RO("tcp_rmem", show_tcp_mem),
						  RO("tcp_wmem", show_tcp_mem), RO("ip_forward", show_zero), RO("tcp_syncookies", show_one),
						  RO("tcp_timestamps", show_one) };
	static const struct text_file drop_caches = { show_zero, store_drop_caches };
	struct dentry *sys = simple_add_dir(root, "sys", 0555), *d;

	d = simple_add_dir(sys, "kernel", 0555);
	add_all(d, kernel, ARRAY_SIZE(kernel));
	add_all(simple_add_dir(d, "random", 0555), random, ARRAY_SIZE(random));
	d = simple_add_dir(sys, "vm", 0555);
	add_all(d, vm, ARRAY_SIZE(vm));
	simple_add_file(d, "drop_caches", S_IFREG | 0200, &text_fops, (void *)&drop_caches);
	d = simple_add_dir(sys, "fs", 0555);
	add_all(d, fs, ARRAY_SIZE(fs));
	add_all(simple_add_dir(d, "inotify", 0555), inotify, ARRAY_SIZE(inotify));
	d = simple_add_dir(sys, "net", 0555);
	add_all(simple_add_dir(d, "core", 0555), net_core, ARRAY_SIZE(net_core));
	add_all(simple_add_dir(d, "ipv4", 0555), net_ipv4, ARRAY_SIZE(net_ipv4));
}
