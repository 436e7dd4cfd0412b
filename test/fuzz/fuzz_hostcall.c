/*
 * The host side of the hostcall boundary, as a hostile sentry calls it: numbers, requests and the memory they name are the
 * input's. Exits, and waits without end, are left out.
 */
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/async.h"
#include "host/clock.h"
#include "host/cpu.h"
#include "host/exit.h"
#include "host/handle.h"
#include "host/hostcalls.h"
#include "host/hostmem.h"
#include "host/serve.h"

#define MEM (16ull << 20)
#define BUF 0x400000ull

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static int control[2], gofer[2];

static void no_control(void)
{
}

/* The other side of the terminal: without it a drain waits for ever, which is the sentry's own affair. */
static void *drain(void *arg)
{
	char buf[4096];

	while (read(*(int *)arg, buf, sizeof(buf)) > 0)
		;
	return NULL;
}

static int memory_file(void)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (ftruncate(fd, 100000))
		abort();
	return fd;
}

static void start(void)
{
	struct clock_sample sample = clock_sample();
	static const struct rlimit small = { 16 << 20, 16 << 20 }; /* files cost memory and time */
	static int master;
	int slave, p[2];
	pthread_t thread;

	if (hostmem_create(MEM, true) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gofer))
		abort();
	host_exit_init(control[1], open("/dev/null", O_WRONLY), false, NULL);
	serve_gofer_channel(0, gofer[0]);
	shutdown(gofer[1], SHUT_RDWR); /* nobody answers: test_gofer and fuzz_gofer are for that */
	clock_init(sample, 0);
	if (host_cpu_init(2) || async_init(control[1], no_control, getenv("FUZZ_POLL") != NULL) || async_start())
		abort();
	host_vcpu_thread_init(0);
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	handle_add(memory_file(), HANDLE_FILE, false);
	handle_add(memory_file(), HANDLE_FILE, false);
	if (openpty(&master, &slave, NULL, NULL, NULL) || pipe2(p, O_NONBLOCK | O_CLOEXEC))
		abort();
	pthread_create(&thread, NULL, drain, &master);
	fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
	handle_add(slave, HANDLE_TTY, false);
	handle_add(p[0], HANDLE_STREAM, false);
	handle_add(p[1], HANDLE_STREAM, false);
}

static const u16 sizes[HC_NR] = {
	[HC_PREAD] = sizeof(struct hc_rw),	[HC_PWRITE] = sizeof(struct hc_rw),	[HC_PREADV] = sizeof(struct hc_rwv),
	[HC_PWRITEV] = sizeof(struct hc_rwv),	[HC_SUBMIT] = sizeof(struct hc_submit), [HC_CANCEL] = sizeof(struct hc_cancel),
	[HC_FTRUNCATE] = sizeof(struct hc_file2), [HC_FALLOCATE] = sizeof(struct hc_file4), [HC_FSYNC] = sizeof(struct hc_file2),
	[HC_FSIZE] = sizeof(struct hc_file2),	[HC_CLOSE] = sizeof(struct hc_file2),	[HC_GOFER] = sizeof(struct hc_gofer),
	[HC_MEM_RELEASE] = sizeof(struct hc_mem), [HC_RANDOM] = sizeof(struct hc_mem),	[HC_TTY_IOCTL] = sizeof(struct hc_tty),
};

/* In the input: the number, how the words of the request are made sane, and the words; a long request repeats them. */
struct step {
	u8 nr, where;
	u8 fill[30];
	u64 request[16];
};

static u64 sane(u64 v, u8 how)
{
	switch (how & 7) {
	case 0: return v & 7;		      /* a handle */
	case 1: return BUF + (v & 0xffff);    /* an offset */
	case 2: return MEM - (v & 0xff);      /* near the end */
	case 3: return v & 0xffff;	      /* a length */
	default: return v;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static bool started;
	struct step s;

	if (!started)
		start();
	started = true;
	for (; size >= sizeof(s); data += sizeof(s), size -= sizeof(s)) {
		u32 nr;
		u64 request[256], *words = (u64 *)((char *)hostmem.base + BUF);

		memcpy(&s, data, sizeof(s));
		nr = s.nr % (HC_NR + 1);
		for (u32 i = 0; i < ARRAY_SIZE(request); i++)
			request[i] = sane(s.request[i % 16], s.fill[i % 30]);
		for (u32 i = 0; i < 64; i++)
			words[i] = request[(s.where + i) % ARRAY_SIZE(request)];
		if (nr == HC_EXIT || nr == HC_CPU_WAIT || nr == HC_CPU_KICK || nr == HC_TIMER_SET || nr == HC_LOG)
			continue;
		hostcall_dispatch(0, nr, request, nr == HC_NR || s.where > 250 ? s.where : sizes[nr]);
	}
	return 0;
}
