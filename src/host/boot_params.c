/* What the sentry is told at start: the command and its surroundings, and what /proc shows of the machine. */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "host/handle.h"
#include "host/hostmem.h"
#include "host/sandbox.h"

/* A pen over the strings' part of the boot area; `full` sticks. */
struct pen {
	u64 at;
	bool full;
};

static u64 put(struct pen *p, const void *data, size_t n, u64 align)
{
	u64 at = ALIGN_UP(p->at, align);

	if (p->full || n > BOOT_PARAMS_SIZE - at) {
		p->full = true;
		return 0;
	}
	p->at = at + n;
	if (data)
		memcpy(hostmem.base + BOOT_PARAMS_PA + at, data, n);
	return at;
}

static u64 put_string(struct pen *p, const char *s)
{
	return put(p, s, strlen(s) + 1, 1);
}

/* Strings and the array of their offsets; *count how many. */
static u64 put_vector(struct pen *p, char **v, u32 *count)
{
	u32 n = 0;
	u64 at;

	while (v[n])
		n++;
	at = put(p, NULL, n * sizeof(u64), sizeof(u64));
	for (u32 i = 0; i < n && !p->full; i++)
		((u64 *)(hostmem.base + BOOT_PARAMS_PA + at))[i] = put_string(p, v[i]);
	*count = n;
	return at;
}

s32 sandbox_add_tree(struct sandbox_config *cfg, const char *path, bool readonly)
{
	if (cfg->ntrees == SANDBOX_TREES_MAX)
		return -1;
	cfg->trees[cfg->ntrees] = (struct sandbox_tree){ path, readonly };
	return (s32)cfg->ntrees++;
}

bool sandbox_add_mount(struct sandbox_config *cfg, const struct sandbox_mount *m)
{
	if (cfg->nmounts == SANDBOX_MOUNTS_MAX)
		return false;
	cfg->mounts[cfg->nmounts++] = *m;
	return true;
}

static void put_mounts(struct pen *p, struct boot_params *bp, const struct sandbox_config *cfg)
{
	struct boot_mount m[SANDBOX_MOUNTS_MAX];

	for (u32 i = 0; i < cfg->nmounts; i++) {
		const struct sandbox_mount *from = &cfg->mounts[i];

		m[i] = (struct boot_mount){ put_string(p, from->source ? from->source : ""), put_string(p, from->target), put_string(p, from->options ? from->options : ""), from->kind,
					    from->flags, from->tree, from->overlay, from->is_file };
	}
	bp->nmounts = cfg->nmounts;
	bp->mounts_off = put(p, m, cfg->nmounts * sizeof(m[0]), 8);
}

static void put_devices(struct pen *p, struct boot_params *bp, const struct sandbox_config *cfg)
{
	struct boot_device *d;

	bp->ndevices = cfg->ndevices;
	bp->devices_off = put(p, NULL, cfg->ndevices * sizeof(*d), 8);
	d = (struct boot_device *)(hostmem.base + BOOT_PARAMS_PA + bp->devices_off);
	for (u32 i = 0; i < cfg->ndevices && !p->full; i++) {
		const struct sandbox_device *from = &cfg->devices[i];

		d[i] = (struct boot_device){ put_string(p, from->path), from->mode, from->major, from->minor, from->uid, from->gid };
	}
}

static void put_identity(struct pen *p, struct boot_params *bp, const struct sandbox_config *cfg)
{
	bp->uid = cfg->uid;
	bp->gid = cfg->gid;
	bp->no_new_privs = cfg->no_new_privs;
	bp->ignored_signals = cfg->ignored_signals;
	memcpy(bp->caps, cfg->caps, sizeof(bp->caps));
	bp->ngroups = cfg->ngroups;
	bp->groups_off = put(p, cfg->groups, cfg->ngroups * sizeof(u32), 8);
}

static enum hc_stdio_kind stdio_kind(int fd, mode_t mode)
{
	if (S_ISREG(mode) || S_ISDIR(mode))
		return STDIO_FILE;
	if (S_ISFIFO(mode))
		return STDIO_PIPE;
	if (S_ISSOCK(mode))
		return STDIO_SOCKET;
	return isatty(fd) ? STDIO_TTY : STDIO_CHAR;
}

enum handle_kind stdio_handle_kind(enum hc_stdio_kind kind)
{
	return kind == STDIO_FILE ? HANDLE_FILE : kind == STDIO_TTY ? HANDLE_TTY : HANDLE_STREAM;
}

void stdio_describe(struct hc_stdio *s, int fd, bool own_nonblock)
{
	struct stat st;

	*s = (struct hc_stdio){ .handle = HC_NO_HANDLE, .kind = STDIO_CLOSED };
	if (fstat(fd, &st) < 0)
		return;
	s->kind = stdio_kind(fd, st.st_mode);
	s->mode = st.st_mode;
	s->flags = (u32)fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK);
	if (own_nonblock) /* set by us */
		s->flags &= ~(u32)O_NONBLOCK;
}

static void fill_stdio(struct boot_params *bp, const struct sandbox_config *cfg, int fd)
{
	struct hc_stdio *s = &bp->stdio[fd];
	s64 h = -EBADF;

	stdio_describe(s, cfg->stdio_closed[fd] ? -1 : fd, cfg->stdio_nonblock[fd]);
	if (s->kind != STDIO_CLOSED)
		h = handle_add(fd, stdio_handle_kind(s->kind), cfg->stdio_nonblock[fd]);
	if (h >= 0)
		s->handle = (hc_handle)h;
}

/* The text behind "name :" of the first CPU in /proc/cpuinfo. */
static void cpuinfo_field(const char *text, const char *name, char *out, size_t size)
{
	const char *p = text;
	size_t n = strlen(name);

	for (; p && strncmp(p, name, n); p = strchr(p, '\n'), p = p ? p + 1 : NULL)
		;
	p = p ? strchr(p, ':') : NULL;
	if (!p)
		return;
	p += p[1] == ' ' ? 2 : 1;
	n = strcspn(p, "\n");
	n = MIN(n, size - 1);
	memcpy(out, p, n);
	out[n] = '\0';
}

static u32 cpuinfo_number(const char *text, const char *name)
{
	char value[32] = "0";
	unsigned n = 0;

	cpuinfo_field(text, name, value, sizeof(value));
	sscanf(value, "%u", &n);
	return n;
}

static void fill_cpu(struct boot_params *bp)
{
	char text[8192] = "";
	int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[MAX(n, 0)] = '\0';
	if (fd >= 0)
		close(fd);
	cpuinfo_field(text, "flags", bp->cpu_flags, sizeof(bp->cpu_flags));
	cpuinfo_field(text, "model name", bp->cpu_model, sizeof(bp->cpu_model));
	cpuinfo_field(text, "vendor_id", bp->cpu_vendor, sizeof(bp->cpu_vendor));
	bp->cpu_family = cpuinfo_number(text, "cpu family");
	bp->cpu_model_id = cpuinfo_number(text, "model\t");
	bp->cpu_stepping = cpuinfo_number(text, "stepping");
	bp->cpu_cache_kb = cpuinfo_number(text, "cache size");
	bp->cpu_khz = clock_tsc_hz() / 1000;
	bp->aux_hwcap = getauxval(AT_HWCAP);
	bp->aux_hwcap2 = getauxval(AT_HWCAP2);
}

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
}

/* A container's limit is its cgroup's, and what may be mapped goes by the machine (proc(5), overcommit_memory). */
static u64 machine_memory(void)
{
	struct sysinfo info;

	return sysinfo(&info) < 0 ? 0 : ((u64)info.totalram + info.totalswap) * info.mem_unit;
}

/* Both processes raise their limit to what it may be. */
static u64 host_files(void)
{
	struct rlimit r;

	return getrlimit(RLIMIT_NOFILE, &r) < 0 ? 1024 : r.rlim_max;
}

int boot_params_fill(const struct sandbox_config *cfg, u64 first_free)
{
	struct boot_params *bp = hostmem_boot_params();
	struct pen p = { .at = ALIGN_UP(sizeof(*bp), 64) };

	bp->magic = BOOT_MAGIC;
	bp->abi = HOSTCALL_ABI;
	bp->ncpus = cfg->ncpus;
	bp->mem_size = hostmem.size;
	bp->host_mem_total = hostmem.size;
	bp->machine_memory = cfg->contained ? machine_memory() : 0;
	bp->first_free_pa = first_free;
	bp->window_size = hostmem.window;
	bp->limits = cfg->limits;
	bp->boot_mono_ns = now_ns();
	bp->log_level = cfg->log_fd >= 0 ? LOG_DEBUG : LOG_WARN;
	bp->strace = cfg->strace;
	bp->contained = cfg->contained;
	bp->stats = cfg->stats;
	bp->host_network = cfg->host_sockets;
	bp->oom_score_adj = cfg->oom_score_adj;
	bp->scheduling = cfg->scheduling;
	bp->own_pid_namespace = cfg->own_pid_namespace;
	bp->held = cfg->ready != NULL;
	bp->host_files = host_files();
	bp->nsettings = cfg->nsettings;
	bp->settings_off = put(&p, cfg->settings, cfg->nsettings * sizeof(cfg->settings[0]), 8);
	put_devices(&p, bp, cfg);
	put_identity(&p, bp, cfg);
	for (int fd = 0; fd < 3; fd++)
		fill_stdio(bp, cfg, fd);
	for (u32 i = 0; i < ARRAY_SIZE(bp->rlimits); i++) {
		struct rlimit r = { RLIM_INFINITY, RLIM_INFINITY };

		getrlimit(i, &r);
		if (cfg->rlimits)
			r = (struct rlimit){ cfg->rlimits[i][0], cfg->rlimits[i][1] };
		bp->rlimits[i][0] = r.rlim_cur;
		bp->rlimits[i][1] = r.rlim_max;
	}
	fill_cpu(bp);
	bp->umask = cfg->umask;
	if (getrandom(bp->random, sizeof(bp->random), 0) != sizeof(bp->random))
		return -errno;
	bp->exe_off = put_string(&p, cfg->argv[0]);
	bp->cwd_off = put_string(&p, cfg->cwd);
	bp->hostname_off = put_string(&p, cfg->hostname);
	bp->domainname_off = put_string(&p, cfg->domainname ? cfg->domainname : "(none)");
	bp->argv_off = put_vector(&p, cfg->argv, &bp->argc);
	bp->envp_off = put_vector(&p, cfg->envp, &bp->envc);
	bp->seccomp_len = cfg->seccomp_len;
	bp->seccomp_off = put(&p, cfg->seccomp, cfg->seccomp_len * sizeof(u64), sizeof(u64));
	put_mounts(&p, bp, cfg);
	return p.full ? -E2BIG : 0;
}
