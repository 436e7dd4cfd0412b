/* One line a system call, in the format of strace(1), decoded from the kinds of arguments in sys/table.def. */
#include <linux/errno.h>

#include "base/log.h"
#include "base/string.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/wait.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/table.h"
#include "sentry/trace/names.h"
#include "sentry/trace/trace.h"

#define STRING_SHOWN 48

struct strace_line {
	size_t len;
	u32 next_arg;	  /* first one not printed yet */
	const char *kind; /* where its kind stands in the table's string */
	char text[LOG_LINE_MAX];
};

static void __printf(2, 3) add(struct strace_line *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = kvsnprintf(l->text + l->len, sizeof(l->text) - l->len, fmt, ap);
	va_end(ap);
	l->len = MIN(l->len + (size_t)n, sizeof(l->text) - 1);
}

static void add_bytes(struct strace_line *l, const u8 *bytes, size_t n, bool more)
{
	add(l, "\"");
	for (size_t i = 0; i < n; i++) {
		u8 c = bytes[i];

		if (c == '"' || c == '\\')
			add(l, "\\%c", c);
		else if (c == '\n')
			add(l, "\\n");
		else if (c == '\t')
			add(l, "\\t");
		else if (c == '\r')
			add(l, "\\r");
		else if (c >= ' ' && c < 0x7f)
			add(l, "%c", c);
		else if (i + 1 < n && bytes[i + 1] >= '0' && bytes[i + 1] <= '7')
			add(l, "\\%03o", c);
		else
			add(l, "\\%o", c);
	}
	add(l, more ? "\"..." : "\"");
}

static void add_buffer(struct strace_line *l, u64 addr, u64 len)
{
	u8 bytes[STRING_SHOWN];
	size_t n = MIN(len, sizeof(bytes));

	if (!addr)
		add(l, "NULL");
	else if (copy_from_user(bytes, addr, n))
		add(l, "0x%lx", addr);
	else
		add_bytes(l, bytes, n, len > n);
}

static void add_string(struct strace_line *l, u64 addr, size_t shown)
{
	char s[256];
	long n;

	if (!addr) {
		add(l, "NULL");
		return;
	}
	n = strncpy_from_user(s, addr, shown);
	if (n == -ENAMETOOLONG)
		add_bytes(l, (u8 *)s, shown - 1, true);
	else if (n < 0)
		add(l, "0x%lx", addr);
	else
		add_bytes(l, (u8 *)s, (size_t)n, false);
}

static void add_argv(struct strace_line *l, u64 addr)
{
	u64 p;

	add(l, "[");
	for (u32 i = 0; i < 16; i++) {
		if (get_user(p, addr + 8 * i) || !p)
			break;
		if (i)
			add(l, ", ");
		add_string(l, p, STRING_SHOWN);
	}
	add(l, "]");
}

static void add_words(struct strace_line *l, u64 addr, const char *open, const char *const *names, u32 n)
{
	u64 v[2];

	if (!addr)
		add(l, "NULL");
	else if (copy_from_user(v, addr, 8 * n))
		add(l, "0x%lx", addr);
	else {
		add(l, "%s", open);
		for (u32 i = 0; i < n; i++)
			add(l, "%s%s=%ld", i ? ", " : "", names[i], (s64)v[i]);
		add(l, "}");
	}
}

static void add_sigset(struct strace_line *l, u64 addr)
{
	sigset64 set;
	bool first = true;

	if (!addr) {
		add(l, "NULL");
		return;
	}
	if (get_user(set, addr)) {
		add(l, "0x%lx", addr);
		return;
	}
	add(l, "[");
	for (int sig = 1; sig <= SIG_COUNT; sig++)
		if (set & sigmask_of(sig)) {
			const char *name = signal_name(sig);

			add(l, first ? "" : " ");
			if (name)
				add(l, "%s", name + 3);
			else
				add(l, "RT_%d", sig - 32);
			first = false;
		}
	add(l, "]");
}

static void add_stat(struct strace_line *l, u64 addr)
{
	struct { /* the head of struct stat, <asm/stat.h> */
		u64 dev, ino, nlink;
		u32 mode, uid, gid, pad;
		u64 rdev, size;
	} st;

	if (copy_from_user(&st, addr, sizeof(st)))
		add(l, "0x%lx", addr);
	else
		add(l, "{st_mode=%s|0%o, st_size=%lu, ...}", file_type_name(st.mode), st.mode & 07777, st.size);
}

static void add_pollfds(struct strace_line *l, u64 addr, u64 n)
{
	struct { s32 fd; u16 events, revents; } p;

	add(l, "[");
	for (u64 i = 0; i < MIN(n, 8); i++) {
		if (get_user(p, addr + i * sizeof(p)))
			break;
		add(l, "%s{fd=%d, events=0x%x}", i ? ", " : "", p.fd, p.events);
	}
	add(l, n > 8 ? ", ...]" : "]");
}

static void add_iov(struct strace_line *l, u64 addr, u64 n, u64 limit)
{
	struct iovec_k v;

	add(l, "[");
	for (u64 i = 0; i < MIN(n, 8); i++) {
		u64 shown;

		if (get_user(v, addr + i * sizeof(v)))
			break;
		shown = MIN(v.len, limit);
		limit -= shown;
		add(l, "%s{iov_base=", i ? ", " : "");
		add_buffer(l, v.base, shown);
		add(l, ", iov_len=%lu}", v.len);
	}
	add(l, n > 8 ? ", ...]" : "]");
}

static void add_sigaction(struct strace_line *l, u64 addr)
{
	struct k_sigaction sa;

	if (!addr)
		add(l, "NULL");
	else if (get_user(sa, addr))
		add(l, "0x%lx", addr);
	else if (sa.handler < 2)
		add(l, "{sa_handler=%s, sa_flags=0x%lx}", sa.handler ? "SIG_IGN" : "SIG_DFL", sa.flags);
	else
		add(l, "{sa_handler=0x%lx, sa_flags=0x%lx}", sa.handler, sa.flags);
}

static void add_fds(struct strace_line *l, u64 addr)
{
	s32 fds[2];

	if (copy_from_user(fds, addr, sizeof(fds)))
		add(l, "0x%lx", addr);
	else
		add(l, "[%d, %d]", fds[0], fds[1]);
}

static void add_status(struct strace_line *l, u64 addr)
{
	s32 st;

	if (!addr)
		add(l, "NULL");
	else if (get_user(st, addr))
		add(l, "0x%lx", addr);
	else if ((st & 0x7f) == 0)
		add(l, "[{WIFEXITED(s) && WEXITSTATUS(s) == %d}]", (st >> 8) & 0xff);
	else if ((st & 0xff) == 0x7f)
		add(l, "[{WIFSTOPPED(s) && WSTOPSIG(s) == %s}]", signal_name((st >> 8) & 0xff) ?: "?");
	else
		add(l, "[{WIFSIGNALED(s) && WTERMSIG(s) == %s}]", signal_name(st & 0x7f) ?: "?");
}

static bool is_kind(const char *kind, const char *name)
{
	size_t n = strlen(name);

	return !kstrncmp(kind, name, n) && (kind[n] == ',' || !kind[n]);
}

static void add_named(struct strace_line *l, const struct name_set *set, u64 v)
{
	char buf[192];

	add(l, "%s", name_value(set, v, buf, sizeof(buf)));
}

/* One argument; `result` is meaningful for output kinds only. */
static void add_arg(struct strace_line *l, const char *kind, const struct sysargs *r, u32 i, long result)
{
	static const char *const ts_names[] = { "tv_sec", "tv_nsec" }, *const tv_names[] = { "tv_sec", "tv_usec" },
				 *const rl_names[] = { "rlim_cur", "rlim_max" };
	u64 v = r->a[i], next = i < 5 ? r->a[i + 1] : 0;
	const struct name_set *set = name_set_for(kind);
	const char *sig;

	if (*kind == '*')
		kind++;
	if (set)
		add_named(l, set, v);
	else if (is_kind(kind, "d"))
		add(l, "%ld", (s64)(s32)v == (s64)v || v >> 32 == 0 ? (s64)(s32)v : (s64)v);
	else if (is_kind(kind, "u"))
		add(l, "%lu", v);
	else if (is_kind(kind, "f"))
		add(l, "%d", (s32)v);
	else if (is_kind(kind, "D"))
		add(l, (s32)v == -100 ? "AT_FDCWD" : "%d", (s32)v);
	else if (is_kind(kind, "p"))
		add_string(l, v, 256);
	else if (is_kind(kind, "s"))
		add_buffer(l, v, next);
	else if (is_kind(kind, "b"))
		add_buffer(l, v, (u64)result);
	else if (is_kind(kind, "bs"))
		add_string(l, v, 256);
	else if (is_kind(kind, "argv"))
		add_argv(l, v);
	else if (is_kind(kind, "m"))
		add(l, "0%lo", v & 07777);
	else if (is_kind(kind, "sig") && (sig = signal_name((int)v)))
		add(l, "%s", sig);
	else if (is_kind(kind, "ts"))
		add_words(l, v, "{", ts_names, 2);
	else if (is_kind(kind, "tv"))
		add_words(l, v, "{", tv_names, 2);
	else if (is_kind(kind, "rl"))
		add_words(l, v, "{", rl_names, 2);
	else if (is_kind(kind, "set"))
		add_sigset(l, v);
	else if (is_kind(kind, "sa"))
		add_sigaction(l, v);
	else if (is_kind(kind, "st"))
		add_stat(l, v);
	else if (is_kind(kind, "fds"))
		add_fds(l, v);
	else if (is_kind(kind, "status"))
		add_status(l, v);
	else if (is_kind(kind, "pollfd"))
		add_pollfds(l, v, next);
	else if (is_kind(kind, "iov"))
		add_iov(l, v, next, result < 0 ? ~0ull : (u64)result);
	else
		add(l, v ? "0x%lx" : "%lu", v);
}

static bool is_output(const char *kind)
{
	return *kind == '*' || is_kind(kind, "b") || is_kind(kind, "bs");
}

/* Print arguments up to the first that only the result fills in; afterwards (`done`) the rest. */
static void add_args(struct strace_line *l, const struct sysargs *r, bool done, long result)
{
	while (*l->kind) {
		u32 i = l->next_arg;

		if (!done && is_output(l->kind))
			return;
		if (i)
			add(l, ", ");
		if (is_output(l->kind) && result < 0)
			add(l, r->a[i] ? "0x%lx" : "NULL", r->a[i]);
		else
			add_arg(l, l->kind, r, i, result);
		l->next_arg++;
		while (*l->kind && *l->kind != ',')
			l->kind++;
		if (*l->kind)
			l->kind++;
	}
}

struct strace_line *strace_begin(u64 nr, const struct sysargs *args)
{
	const struct syscall_entry *e = nr < SYSCALL_MAX ? &syscall_table[nr] : NULL;
	struct strace_line *l = kzalloc(sizeof(*l));

	if (!l)
		return NULL;
	add(l, "[pid %5d] ", task_tid(current));
	if (e && e->name)
		add(l, "%s(", e->name);
	else
		add(l, "syscall_0x%lx(", nr);
	l->kind = e && e->name ? e->args : "x,x,x,x,x,x";
	add_args(l, args, false, 0);
	if (nr == 60 || nr == 231 || nr == 15) { /* exit, exit_group, rt_sigreturn: do not come back with a result */
		add(l, ") = ?");
		log_text(l->text, l->len);
		kfree(l);
		return NULL;
	}
	return l;
}

static void add_result(struct strace_line *l, const char *kind, long result)
{
	const char *name;

	if (result >= 0 || result < -MAX_ERRNO) {
		add(l, kind && is_kind(kind, "x") ? "0x%lx" : "%ld", result);
		return;
	}
	switch (-result) {
	case ERESTARTSYS:
		add(l, "? ERESTARTSYS (To be restarted if SA_RESTART is set)");
		return;
	case ERESTARTNOINTR:
		add(l, "? ERESTARTNOINTR (To be restarted)");
		return;
	case ERESTARTNOHAND:
		add(l, "? ERESTARTNOHAND (To be restarted if no handler)");
		return;
	case ERESTART_RESTARTBLOCK:
		add(l, "? ERESTART_RESTARTBLOCK (Interrupted by signal)");
		return;
	}
	name = errno_name((int)-result);
	add(l, "-1 %s", name ?: "E???");
}

void strace_end(struct strace_line *l, u64 nr, const struct sysargs *args, long result)
{
	if (!l)
		return;
	add_args(l, args, true, result);
	add(l, ") = ");
	add_result(l, nr < SYSCALL_MAX ? syscall_table[nr].result : NULL, result);
	log_text(l->text, l->len);
	kfree(l);
}

long trace_syscall(u64 nr, const struct sysargs *args, long (*call)(u64, const struct sysargs *))
{
	struct strace_line *line;
	long result;

	if (trace_flags & TRACE_STATS)
		stats_syscall(nr);
	if (!(trace_flags & TRACE_STRACE))
		return call(nr, args);
	line = strace_begin(nr, args);
	result = call(nr, args);
	strace_end(line, nr, args, result);
	return result;
}
