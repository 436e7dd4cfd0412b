#include "host/exit.h"

#include <signal.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host/hostcalls.h"
#include "host/hostmem.h"

#define LINE_MAX_BYTES 2048
#define STATS_MAX (256u << 10)

static int control = -1, log_fd = -1, err_fd = STDERR_FILENO, start_fd = -1;
static bool want_stats;
static void (*platform_counters)(void);
static _Atomic u32 ending;

void host_exit_init(int control_fd, int debug_log_fd, bool stats, void (*counters)(void))
{
	control = control_fd;
	log_fd = debug_log_fd;
	want_stats = stats;
	platform_counters = counters;
}

void host_exit_keep_stderr(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

	if (fd >= 0)
		err_fd = fd;
}

static void write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;
		p += done;
		n -= (size_t)done;
	}
}

void host_exit_report_start(int fd)
{
	start_fd = fd;
}

void host_complain(const char *line, size_t n)
{
	if (start_fd >= 0 && write(start_fd, line, n) == (ssize_t)n)
		return;
	start_fd = -1;
	write_all(err_fd, line, n);
}

/* To the debug log if there is one. Errors are for the user in any case, with the command's name before them. */
static void put_line(const char *line, size_t n)
{
	static const char error[] = "error: ", command[] = "runsc-c: ";
	size_t skip = sizeof(error) - 1;

	if (log_fd >= 0)
		write_all(log_fd, line, n);
	if (n >= skip && !memcmp(line, error, skip)) {
		char text[sizeof(command) + LINE_MAX_BYTES];

		memcpy(text, command, sizeof(command) - 1);
		n = MIN(n - skip, LINE_MAX_BYTES);
		memcpy(text + sizeof(command) - 1, line + skip, n);
		host_complain(text, sizeof(command) - 1 + n);
	} else if (log_fd < 0) {
		host_complain(line, n);
	}
}

void host_log_untrusted(const char *text, size_t len)
{
	char line[LINE_MAX_BYTES + 1];
	size_t n = MIN(len, LINE_MAX_BYTES);

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)READ_ONCE(text[i]);

		line[i] = (c < 0x20 && c != '\t') || c == 0x7f ? '?' : (char)c;
	}
	line[n++] = '\n';
	put_line(line, n);
}

void host_log(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	n = MIN(n, (int)sizeof(line) - 2);
	line[n++] = '\n';
	put_line(line, (size_t)n);
}

void host_stat(const char *name, u64 value)
{
	char line[96];
	int n = snprintf(line, sizeof(line), "  %-24s %12llu\n", name, (unsigned long long)value);

	write_all(err_fd, line, (size_t)n);
}

static void say(const char *title)
{
	write_all(err_fd, title, strlen(title));
}

static void print_memory(void)
{
	struct rusage ru;
	struct stat st;

	say("memory:\n");
	if (hostmem.fd >= 0 && !syscall(SYS_fstat, hostmem.fd, &st))
		host_stat("sandbox memory KiB", (u64)st.st_blocks / 2);
	if (!getrusage(RUSAGE_SELF, &ru))
		host_stat("peak resident KiB", (u64)ru.ru_maxrss);
}

static void print_stats(const char *text, size_t len)
{
	/* Newlines belong in this text; nothing else that a terminal would act on does. */
	for (size_t i = 0, start = 0; text && i < MIN(len, STATS_MAX); i++) {
		if (text[i] != '\n')
			continue;
		char line[LINE_MAX_BYTES];
		size_t n = MIN(i - start, sizeof(line) - 1);

		for (size_t j = 0; j < n; j++) {
			unsigned char c = (unsigned char)READ_ONCE(text[start + j]);

			line[j] = c < 0x20 || c == 0x7f ? '?' : (char)c;
		}
		line[n++] = '\n';
		write_all(err_fd, line, n);
		start = i + 1;
	}
	say("exits:\n");
	if (platform_counters)
		platform_counters();
	say("hostcalls:\n");
	for (u32 nr = 0; nr < HC_NR; nr++)
		if (hostcall_count(nr))
			host_stat(hostcall_name(nr), hostcall_count(nr));
	print_memory();
}

/* The first thread that comes ends the process; the others stop here. */
static void claim_the_end(void)
{
	if (atomic_exchange(&ending, 1))
		for (;;)
			pause();
}

static __noreturn void report_and_leave(u32 kind, u32 value)
{
	struct sandbox_report report = { .kind = kind, .value = value };

	send(control, &report, sizeof(report), MSG_NOSIGNAL);
	while (kind == REPORT_OOM)
		pause();
	_exit(kind == REPORT_EXITED ? (int)value : 125);
}

void host_say_spawn(u32 id, u32 state, u32 value)
{
	struct sandbox_report report = { REPORT_SPAWN, value, id, state };

	send(control, &report, sizeof(report), MSG_NOSIGNAL);
}

void host_exit(const struct hc_exit *req, const char *stats)
{
	claim_the_end();
	if (want_stats)
		print_stats(stats, req->stats_len);
	if (req->panic)
		report_and_leave(REPORT_PANIC, req->signal & 0x7f);
	if (req->signal == SIGKILL && req->oom)
		report_and_leave(REPORT_OOM, SIGKILL);
	if (req->signal)
		report_and_leave(REPORT_SIGNALED, req->signal & 0x7f);
	report_and_leave(REPORT_EXITED, req->status & 0xff);
}

void host_fatal(const char *fmt, ...)
{
	char line[1400] = "runsc-c: sandbox: ";
	size_t n = strlen(line);
	va_list ap;
	int more;

	claim_the_end();
	va_start(ap, fmt);
	more = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	n = MIN(n + (size_t)MAX(more, 0), sizeof(line) - 2);
	line[n++] = '\n';
	host_complain(line, n);
	if (log_fd >= 0)
		write_all(log_fd, line, n);
	report_and_leave(REPORT_PANIC, 0);
}
