/*
 * /proc/sys: settings that change what calls do (include/sysctl.def), and what programs read there besides. Nothing of the tree exists until it is
 * asked for: directories are places of one table, and a lookup makes the inode.
 */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/stat.h>

#include "base/string.h"
#include "fs/dev/dev.h"
#include "fs/proc/proc.h"
#include "hostcall.h"
#include "sentry/kernel/aio.h"
#include "sentry/kernel/settings.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/kernel/uts.h"
#include "sentry/mm/pagecache.h"
#include "sentry/vfs/vfs.h"

/* ---- numbers that may be changed ---- */

static const struct setting *setting_of(const struct inode *inode)
{
	return &setting_table[inode->rdev];
}

static int show_setting(struct seq *s, struct inode *inode)
{
	const struct setting *set = setting_of(inode);
	const u64 *numbers = setting_numbers(set);

	for (u32 i = 0; i < set->count; i++)
		seq_printf(s, "%lu%c", numbers[i], i + 1 < set->count ? '\t' : '\n');
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* Fewer numbers than there are leave the rest as they were; one out of its range changes none. */
static int parse(const struct setting *set, char *text, u64 *numbers)
{
	for (u32 i = 0; i < set->count; i++) {
		char *end;

		while (is_blank(*text))
			text++;
		for (end = text; *end && !is_blank(*end); end++)
			;
		if (!*text)
			return i ? 0 : -EINVAL;
		if (*end)
			*end++ = 0;
		if (kstrtou64(text, 0, &numbers[i]) || numbers[i] < set->min || numbers[i] > set->max)
			return -EINVAL;
		text = end;
	}
	return setting_check(set, numbers);
}

static int store_setting(struct inode *inode, char *text, size_t n)
{
	const struct setting *set = setting_of(inode);
	u64 *numbers = setting_numbers(set), fresh[4];
	int err;

	memcpy(fresh, numbers, set->count * sizeof(u64));
	err = parse(set, text, fresh);
	for (u32 i = 0; !err && i < set->count; i++)
		WRITE_ONCE(numbers[i], fresh[i]);
	return err;
}

/* ---- names ---- */

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

static int store_hostname(struct inode *inode, char *text, size_t n) { return uts_set_hostname(text); }
static int store_domainname(struct inode *inode, char *text, size_t n) { return uts_set_domainname(text); }

/* ---- what is made anew each time ---- */

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

/* proc(5): 1 drops pages of files, 2 names and inodes, 3 both. */
static int store_drop_caches(struct inode *inode, char *text, size_t n)
{
	u32 what = (u32)(text[0] - '0');

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

static int show_zero(struct seq *s, struct inode *inode)
{
	seq_puts(s, "0\n");
	return 0;
}

static int show_aio_nr(struct seq *s, struct inode *inode)
{
	seq_printf(s, "%lu\n", aio_events());
	return 0;
}

static int show_min_addr(struct seq *s, struct inode *inode)
{
	seq_printf(s, "%lu\n", USER_MIN);
	return 0;
}

/* ---- the table: those that only show something ---- */

struct shown {
	const char *dir, *name, *text; /* text NULL: made by file */
	struct text_file file;
	u32 mode;
};
static const struct shown shown[] = {
#define TEXT(dir, name, text) { dir, name, text "\n", .mode = 0444 }
#define FILE(dir, name, show, store, mode) { dir, name, NULL, { show, store }, mode }
	TEXT("fs", "dentry-state", "0\t0\t45\t0\t0\t0"),
	TEXT("fs", "dir-notify-enable", "1"),
	TEXT("fs", "file-max", "9223372036854775807"),
	TEXT("fs", "file-nr", "1024\t0\t9223372036854775807"),
	TEXT("fs", "inode-nr", "0\t0"),
	TEXT("fs", "inode-state", "0\t0\t0\t0\t0\t0\t0"),
	TEXT("fs", "mount-max", "100000"),
	TEXT("fs", "nr_open", "1048576"),
	TEXT("fs", "overflowgid", "65534"),
	TEXT("fs", "overflowuid", "65534"),
	TEXT("fs", "pipe-user-pages-hard", "0"),
	TEXT("fs", "pipe-user-pages-soft", "0"),
	TEXT("fs", "protected_fifos", "0"),
	TEXT("fs", "protected_hardlinks", "1"),
	TEXT("fs", "protected_regular", "0"),
	TEXT("fs", "protected_symlinks", "1"),
	TEXT("fs", "suid_dumpable", "0"),
	TEXT("fs/epoll", "max_user_watches", "1048576"),
	FILE("fs", "aio-nr", show_aio_nr, NULL, 0444),
	TEXT("kernel", "cap_last_cap", "40"),
	TEXT("kernel", "core_pattern", "core"),
	TEXT("kernel", "core_pipe_limit", "0"),
	TEXT("kernel", "dmesg_restrict", "1"),
	FILE("kernel", "domainname", show_domainname, store_domainname, 0644),
	FILE("kernel", "hostname", show_hostname, store_hostname, 0644),
	TEXT("kernel", "kptr_restrict", "1"),
	TEXT("kernel", "ngroups_max", "65536"),
	TEXT("kernel", "osrelease", UTS_RELEASE),
	TEXT("kernel", "ostype", "Linux"),
	TEXT("kernel", "overflowgid", "65534"),
	TEXT("kernel", "overflowuid", "65534"),
	TEXT("kernel", "panic", "0"),
	TEXT("kernel", "perf_event_paranoid", "4"),
	TEXT("kernel", "pid_max", "4194304"),
	TEXT("kernel", "printk", "4\t4\t1\t7"),
	TEXT("kernel", "randomize_va_space", "2"),
	TEXT("kernel", "rtsig-max", "1048576"),
	TEXT("kernel", "sched_rr_timeslice_ms", "100"),
	TEXT("kernel", "tainted", "0"),
	TEXT("kernel", "threads-max", "192730"),
	TEXT("kernel", "unprivileged_bpf_disabled", "2"),
	TEXT("kernel", "version", UTS_VERSION),
	FILE("kernel/random", "boot_id", show_boot_id, NULL, 0444),
	TEXT("kernel/random", "entropy_avail", "256"),
	TEXT("kernel/random", "poolsize", "256"),
	FILE("kernel/random", "uuid", show_uuid, NULL, 0444),
	TEXT("kernel/pty", "max", "4096"),
	TEXT("kernel/pty", "nr", "0"),
	TEXT("kernel/seccomp", "actions_avail", "kill_process kill_thread trap errno user_notif trace log allow"),
	TEXT("kernel/seccomp", "actions_logged", "kill_process kill_thread trap errno user_notif trace log"),
	TEXT("net/core", "optmem_max", "131072"),
	TEXT("net/core", "rmem_default", "212992"),
	TEXT("net/core", "rmem_max", "212992"),
	TEXT("net/core", "wmem_default", "212992"),
	TEXT("net/core", "wmem_max", "212992"),
	TEXT("net/ipv4", "ip_default_ttl", "64"),
	TEXT("net/ipv4", "ip_forward", "0"),
	TEXT("net/ipv4", "tcp_fin_timeout", "60"),
	TEXT("net/ipv4", "tcp_keepalive_intvl", "75"),
	TEXT("net/ipv4", "tcp_keepalive_probes", "9"),
	TEXT("net/ipv4", "tcp_keepalive_time", "7200"),
	TEXT("net/ipv4", "tcp_max_syn_backlog", "2048"),
	TEXT("net/ipv4", "tcp_rmem", "4096\t131072\t6291456"),
	TEXT("net/ipv4", "tcp_syncookies", "1"),
	TEXT("net/ipv4", "tcp_timestamps", "1"),
	TEXT("net/ipv4", "tcp_wmem", "4096\t131072\t6291456"),
	TEXT("net/ipv6/conf/all", "disable_ipv6", "0"),
	TEXT("net/ipv6/conf/default", "disable_ipv6", "0"),
	TEXT("net/ipv6/conf/lo", "disable_ipv6", "0"),
	TEXT("net/unix", "max_dgram_qlen", "10"),
	TEXT("user", "max_cgroup_namespaces", "96365"),
	TEXT("user", "max_ipc_namespaces", "96365"),
	TEXT("user", "max_mnt_namespaces", "96365"),
	TEXT("user", "max_net_namespaces", "96365"),
	TEXT("user", "max_pid_namespaces", "96365"),
	TEXT("user", "max_time_namespaces", "96365"),
	TEXT("user", "max_user_namespaces", "96365"),
	TEXT("user", "max_uts_namespaces", "96365"),
	FILE("vm", "drop_caches", show_zero, store_drop_caches, 0200),
	TEXT("vm", "dirty_background_ratio", "10"),
	TEXT("vm", "dirty_ratio", "20"),
	TEXT("vm", "min_free_kbytes", "4096"),
	FILE("vm", "mmap_min_addr", show_min_addr, NULL, 0444),
	TEXT("vm", "nr_hugepages", "0"),
	TEXT("vm", "overcommit_kbytes", "0"),
	TEXT("vm", "overcommit_ratio", "50"),
	TEXT("vm", "panic_on_oom", "0"),
	TEXT("vm", "swappiness", "0"),
	TEXT("vm", "unprivileged_userfaultfd", "0"),
	TEXT("vm", "vfs_cache_pressure", "100"),
#undef TEXT
#undef FILE
};

static int show_text(struct seq *s, struct inode *inode)
{
	seq_puts(s, shown[inode->rdev].text);
	return 0;
}

/* ---- the tree ---- */

/* Files count through both tables; directories by the first file that lies below, and how much of its path they are. */
#define DIR_OF(i) ((i) < setting_count ? setting_table[i].dir : shown[(i) - setting_count].dir)
#define NAME_OF(i) ((i) < setting_count ? setting_table[i].name : shown[(i) - setting_count].name)

/* A directory's inode: priv is a path that begins with its own, of rdev bytes. */
static const char *dir_path(const struct inode *dir) { return dir->priv ? dir->priv : ""; }

static const struct inode_ops file_iops, dir_iops;
static const struct file_ops dir_fops;

static u32 files_total(void)
{
	return setting_count + ARRAY_SIZE(shown);
}

/*
 * What of file i's path comes next below `dir`: a name, its length in *len, whether a directory in *is_dir. NULL: it does not lie below.
 */
static const char *below(const struct inode *dir, u32 i, u32 *len, bool *is_dir)
{
	const char *path = DIR_OF(i), *prefix = dir_path(dir);
	u64 n = dir->rdev;

	if (kstrncmp(path, prefix, n) || (n && path[n] && path[n] != '/'))
		return NULL;
	*is_dir = path[n] != 0;
	path = path[n] ? path + n + (n ? 1 : 0) : NAME_OF(i);
	*len = 0;
	while (path[*len] && !(*is_dir && path[*len] == '/'))
		++*len;
	return path;
}

/* A number that stays the same while the inode comes and goes; directories apart from files. */
static u64 ino_of(u32 i, u64 depth)
{
	return 0x40000000ull + ((depth << 16) | i);
}

static int sys_lookup(struct inode *dir, struct dentry *d)
{
	struct inode *inode = NULL;

	for (u32 i = 0; i < files_total() && !inode; i++) {
		bool is_dir;
		u32 len;
		const char *name = below(dir, i, &len, &is_dir);

		if (!name || len != d->name_len || memcmp(name, d->name, len))
			continue;
		inode = inode_alloc(dir->sb);
		if (!inode)
			return -ENOMEM;
		if (is_dir) {
			inode->mode = S_IFDIR | 0555;
			inode->nlink = 1;
			inode->iop = &dir_iops;
			inode->fop = &dir_fops;
			inode->priv = (void *)DIR_OF(i);
			inode->rdev = (u64)(name - DIR_OF(i)) + len;
			inode->ino = ino_of(i, inode->rdev);
		} else {
			static const struct text_file of_setting = { show_setting, store_setting }, of_text = { show_text, NULL };
			const struct shown *s = i < setting_count ? NULL : &shown[i - setting_count];

			inode->mode = S_IFREG | (s ? s->mode : 0644);
			inode->iop = &file_iops;
			inode->fop = &text_fops;
			inode->priv = (void *)(!s ? &of_setting : s->text ? &of_text : &s->file);
			inode->rdev = s ? i - setting_count : i;
			inode->ino = ino_of(i, 0);
		}
	}
	if (!inode)
		return -ENOENT; /* also for who would make it */
	d_set_inode(d, inode);
	return 0;
}

/* Is this the first file that shows the name? A directory shows once. */
static bool is_first(const struct inode *dir, u32 i, const char *name, u32 len)
{
	for (u32 k = 0; k < i; k++) {
		bool is_dir;
		u32 n;
		const char *other = below(dir, k, &n, &is_dir);

		if (other && n == len && !memcmp(other, name, len))
			return false;
	}
	return true;
}

static int sys_iterate(struct file *f, struct dir_context *ctx)
{
	struct inode *dir = f->inode;

	for (; ctx->pos < 2; ctx->pos++) {
		struct dentry *d = ctx->pos ? f->path.dentry->parent : f->path.dentry;

		if (!ctx->emit(ctx, "..", (u32)ctx->pos + 1, ctx->pos + 1, d->inode->ino, S_IFDIR >> 12))
			return 0;
	}
	for (; ctx->pos - 2 < files_total(); ctx->pos++) {
		u32 i = (u32)ctx->pos - 2, len;
		bool is_dir;
		const char *name = below(dir, i, &len, &is_dir);
		u64 ino;

		if (!name || !is_first(dir, i, name, len))
			continue;
		ino = is_dir ? ino_of(i, (u64)(name - DIR_OF(i)) + len) : ino_of(i, 0);
		if (!ctx->emit(ctx, name, len, ctx->pos + 1, ino, (is_dir ? S_IFDIR : S_IFREG) >> 12))
			return 0;
	}
	return 0;
}

/* The owner's bits are root's, without any capability's help: what shows only is not for writing. */
static int sys_permission(struct inode *inode, u32 mask)
{
	u32 bits = inode->mode;

	if (current->cred->euid == inode->uid)
		bits >>= 6;
	else if (in_group(current->cred, inode->gid))
		bits >>= 3;
	return mask & 7 & ~bits ? -EACCES : 0;
}

static int sys_setattr(struct inode *inode, const struct iattr *a)
{
	return a->valid & (ATTR_MODE | ATTR_UID | ATTR_GID) ? -EPERM : 0;
}

/* Of a file or directory rdev says which one. */
static int sys_getattr(struct inode *inode, struct kstat *st)
{
	st->rdev = 0;
	return 0;
}

static const struct inode_ops file_iops = { .permission = sys_permission, .setattr = sys_setattr, .getattr = sys_getattr };
static const struct inode_ops dir_iops = { .lookup = sys_lookup, .permission = sys_permission, .setattr = sys_setattr, .getattr = sys_getattr };
static const struct file_ops dir_fops = { .iterate = sys_iterate, .llseek = generic_file_llseek };

void proc_add_sysctl(struct dentry *root)
{
	struct dentry *sys = simple_add_dir(root, "sys", 0555);

	if (IS_ERR_OR_NULL(sys))
		return;
	sys->inode->iop = &dir_iops;
	sys->inode->fop = &dir_fops;
}
