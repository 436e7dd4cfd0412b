/* The table of hostcalls and those that concern neither files nor the gofer. */
#include "host/hostcalls.h"

#include <errno.h>
#include <sched.h>
#include <sys/random.h>

#include "host/async.h"
#include "host/clock.h"
#include "host/cpu.h"
#include "host/exit.h"
#include "host/hostmem.h"
#include "host/serve.h"
#include "hostcall_net.h"

static s64 serve_log(u32 cpu, void *arg)
{
	const struct hc_mem *req = arg;
	const char *text = hostmem_at(req->off, req->len);

	if (!text)
		return -EFAULT;
	host_log_untrusted(text, req->len);
	return 0;
}

static s64 serve_exit(u32 cpu, void *arg)
{
	const struct hc_exit *req = arg;

	host_exit(req, req->stats_len ? hostmem_at(req->stats_off, req->stats_len) : NULL);
}

static s64 serve_mem_release(u32 cpu, void *arg)
{
	const struct hc_mem *req = arg;

	if (!hostmem_inside(req->off, req->len) || req->off < LAYOUT_END_PA)
		return -EFAULT;
	if ((req->off | req->len) & ~PAGE_MASK || !req->len)
		return -EINVAL;
	return hostmem_release(req->off, req->len);
}

static s64 serve_cpu_wait(u32 cpu, void *arg)
{
	const struct hc_wait *req = arg;
	s64 ret;

	if (req->cpu != cpu)
		return -EINVAL;
	ret = host_cpu_wait(cpu, req->deadline_ns);
	clock_refresh_if_due();
	return ret;
}

static s64 serve_cpu_kick(u32 cpu, void *arg)
{
	const struct hc_kick *req = arg;

	if (req->cpu >= host_ncpus())
		return -EINVAL;
	host_kick(req->cpu);
	return 0;
}

static s64 serve_timer_set(u32 cpu, void *arg)
{
	const struct hc_wait *req = arg;

	if (req->cpu != cpu)
		return -EINVAL;
	clock_refresh_if_due();
	return host_cpu_set_timer(cpu, req->deadline_ns);
}

static s64 serve_yield(u32 cpu, void *arg)
{
	sched_yield();
	return 0;
}

#define RANDOM_MAX (1ul << 20)
static s64 serve_random(u32 cpu, void *arg)
{
	const struct hc_mem *req = arg;
	char *p = hostmem_at(req->off, req->len);

	if (!p)
		return -EFAULT;
	if (req->len > RANDOM_MAX)
		return -EINVAL;
	for (u64 done = 0; done < req->len;) {
		ssize_t n = getrandom(p + done, req->len - done, 0);

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (u64)n : 0;
	}
	return 0;
}

static s64 serve_clock(u32 cpu, void *arg)
{
	clock_refresh();
	return 0;
}

static s64 serve_submit(u32 cpu, void *arg)
{
	return async_submit(arg);
}

static s64 serve_cancel(u32 cpu, void *arg)
{
	return async_cancel(((const struct hc_cancel *)arg)->cookie);
}

/* A request shorter than its structure is refused, a longer one too: nothing of it is left unread or uninitialised. */
static const struct {
	const char *name;
	u32 size;
	s64 (*serve)(u32 cpu, void *req);
} table[HC_NR] = {
	[HC_LOG] = { "log", sizeof(struct hc_mem), serve_log },
	[HC_EXIT] = { "exit", sizeof(struct hc_exit), serve_exit },
	[HC_PREAD] = { "pread", sizeof(struct hc_rw), serve_pread },
	[HC_PWRITE] = { "pwrite", sizeof(struct hc_rw), serve_pwrite },
	[HC_PREADV] = { "preadv", sizeof(struct hc_rwv), serve_preadv },
	[HC_PWRITEV] = { "pwritev", sizeof(struct hc_rwv), serve_pwritev },
	[HC_SUBMIT] = { "submit", sizeof(struct hc_submit), serve_submit },
	[HC_CANCEL] = { "cancel", sizeof(struct hc_cancel), serve_cancel },
	[HC_FTRUNCATE] = { "ftruncate", sizeof(struct hc_file2), serve_ftruncate },
	[HC_FALLOCATE] = { "fallocate", sizeof(struct hc_file4), serve_fallocate },
	[HC_FSYNC] = { "fsync", sizeof(struct hc_file2), serve_fsync },
	[HC_FSIZE] = { "fsize", sizeof(struct hc_file2), serve_fsize },
	[HC_CLOSE] = { "close", sizeof(struct hc_file2), serve_close },
	[HC_GOFER] = { "gofer", sizeof(struct hc_gofer), serve_gofer },
	[HC_MEM_RELEASE] = { "mem_release", sizeof(struct hc_mem), serve_mem_release },
	[HC_CPU_WAIT] = { "cpu_wait", sizeof(struct hc_wait), serve_cpu_wait },
	[HC_CPU_KICK] = { "cpu_kick", sizeof(struct hc_kick), serve_cpu_kick },
	[HC_TIMER_SET] = { "timer_set", sizeof(struct hc_wait), serve_timer_set },
	[HC_YIELD] = { "yield", 0, serve_yield },
	[HC_RANDOM] = { "random", sizeof(struct hc_mem), serve_random },
	[HC_TTY_IOCTL] = { "tty_ioctl", sizeof(struct hc_tty), serve_tty },
	[HC_CLOCK] = { "clock", 0, serve_clock },
	[HC_SPAWN_TAKE] = { "spawn_take", sizeof(struct hc_spawn_take), serve_spawn_take },
	[HC_SPAWN_SAY] = { "spawn_say", sizeof(struct hc_spawn_say), serve_spawn_say },
	[HC_WINDOW_OPEN] = { "window_open", sizeof(struct hc_file2), serve_window_open },
	[HC_WINDOW_CLOSE] = { "window_close", sizeof(struct hc_file2), serve_window_close },
	[HC_WINDOW_MAP] = { "window_map", sizeof(struct hc_window), serve_window_map },
	[HC_WINDOW_UNMAP] = { "window_unmap", sizeof(struct hc_mem), serve_window_unmap },
	[HC_WINDOW_FETCH] = { "window_fetch", sizeof(struct hc_window_fetch), serve_window_fetch },
	[HC_SOCK_OPEN] = { "sock_open", sizeof(struct hc_sock_open), serve_sock_open },
	[HC_SOCK_NAME] = { "sock_name", sizeof(struct hc_sock_name), serve_sock_name },
	[HC_SOCK_LISTEN] = { "sock_listen", sizeof(struct hc_file2), serve_sock_listen },
	[HC_SOCK_ACCEPT] = { "sock_accept", sizeof(struct hc_sock_name), serve_sock_accept },
	[HC_SOCK_SEND] = { "sock_send", sizeof(struct hc_sock_msg), serve_sock_send },
	[HC_SOCK_RECV] = { "sock_recv", sizeof(struct hc_sock_msg), serve_sock_recv },
	[HC_SOCK_SHUTDOWN] = { "sock_shutdown", sizeof(struct hc_file2), serve_sock_shutdown },
	[HC_SOCK_OPT] = { "sock_opt", sizeof(struct hc_sock_opt), serve_sock_opt },
	[HC_SOCK_COUNT] = { "sock_count", sizeof(struct hc_file2), serve_sock_count },
	[HC_SOCK_POLL] = { "sock_poll", sizeof(struct hc_file2), serve_sock_poll },
	[HC_NET_ASK] = { "net_ask", sizeof(struct hc_net_ask), serve_net_ask },
	[HC_NET_FILE] = { "net_file", sizeof(struct hc_net_file_read), serve_net_file },
	[HC_FPU_GET] = { "fpu_get", 0, NULL },
	[HC_FPU_SET] = { "fpu_set", 0, NULL },
};

/* A row of counters a vCPU: no line is shared on this path. */
static struct {
	u64 n[HC_NR];
} counts[MAX_CPUS] __attribute__((aligned(128)));

s64 hostcall_dispatch(u32 cpu, u32 nr, void *req, size_t len)
{
	if (nr >= HC_NR || !table[nr].serve)
		return -ENOSYS;
	if (len != table[nr].size)
		return -EINVAL;
	counts[cpu].n[nr]++;
	return table[nr].serve(cpu, req);
}

const char *hostcall_name(u32 nr)
{
	return nr < HC_NR ? table[nr].name : "?";
}

u64 hostcall_count(u32 nr)
{
	u64 sum = 0;

	for (u32 cpu = 0; cpu < MAX_CPUS && nr < HC_NR; cpu++)
		sum += counts[cpu].n[nr];
	return sum;
}
