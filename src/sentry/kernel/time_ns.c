#include "sentry/kernel/time_ns.h"

#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/time.h>

#include "base/string.h"
#include "fs/proc/seq.h"
#include "sentry/kernel/exec.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/user_ns.h"
#include "sentry/mm/mm.h"

#define SEC_MAX ((s64)(~0ull >> 1) / (s64)NSEC_PER_SEC / 2) /* KTIME_SEC_MAX / 2 */

struct time_ns init_time_ns = { .entered = true };

struct time_ns *time_ns_create(struct user_ns *owner)
{
	struct time_ns *n = kzalloc(sizeof(*n));

	if (!n)
		return NULL;
	n->page = frame_alloc(0, FRAME_ZERO);
	if (!n->page) {
		kfree(n);
		return NULL;
	}
	ns_init(&n->c, NS_TIME, owner);
	return n;
}

void time_ns_free(struct ns_common *n)
{
	page_put(time_ns_of(n)->page);
	kfree(time_ns_of(n));
}

long time_ns_enter(struct ns_common *c, struct mm *mm)
{
	struct time_ns *n = time_ns_of(c);

	if (!atomic_exchange(&n->entered, true))
		memcpy(page_to_va(n->page), &n->offsets, sizeof(n->offsets));
	return mm ? vdso_shift(mm, n->page) : 0;
}

/* ---- /proc/PID/timens_offsets ---- */

static void show_one(struct seq *s, const char *name, s64 ns)
{
	s64 sec = ns / (s64)NSEC_PER_SEC, left = ns % (s64)NSEC_PER_SEC;

	if (left < 0) {
		sec--;
		left += (s64)NSEC_PER_SEC;
	}
	seq_printf(s, "%-10s %10ld %9ld\n", name, sec, left);
}

void time_ns_show(struct seq *s, const struct time_ns *n)
{
	show_one(s, "monotonic", n->offsets.mono);
	show_one(s, "boottime", n->offsets.boot);
}

/* The next word of the line, ended; NULL: none. */
static char *word(char **text)
{
	char *p = *text, *start;

	while (*p == ' ' || *p == '\t')
		p++;
	start = p;
	while (*p && *p != ' ' && *p != '\t')
		p++;
	*text = *p ? p + 1 : p;
	*p = 0;
	return *start ? start : NULL;
}

static bool number(const char *s, s64 *v)
{
	bool negative = s && *s == '-';
	u64 u;

	if (!s || kstrtou64(s + negative, 10, &u) || u > ~0ull >> 1)
		return false;
	*v = negative ? -(s64)u : (s64)u;
	return true;
}

/* A line: a clock's name or number, seconds, nanoseconds. */
static long parse(char *line, struct time_offsets *o, u64 now[2])
{
	char *name = word(&line);
	s64 sec, ns;
	bool boot;

	if (!name || !number(word(&line), &sec) || !number(word(&line), &ns) || word(&line))
		return -EINVAL;
	boot = !kstrcmp(name, "boottime") || !kstrcmp(name, "7");
	if (!boot && kstrcmp(name, "monotonic") && kstrcmp(name, "1"))
		return -EINVAL;
	if (ns < 0 || ns >= (s64)NSEC_PER_SEC)
		return -EINVAL;
	if (sec > SEC_MAX || sec < -SEC_MAX)
		return -ERANGE;
	ns += sec * (s64)NSEC_PER_SEC;
	if ((s64)now[boot] + ns < 0 || ((s64)now[boot] + ns) / (s64)NSEC_PER_SEC > SEC_MAX)
		return -ERANGE;
	*(boot ? &o->boot : &o->mono) = ns;
	return 0;
}

long time_ns_write(struct time_ns *n, char *text)
{
	struct time_offsets o = n->offsets;
	u64 now[2] = { clock_mono_ns(), clock_boot_ns() };
	long err = 0;

	if (!ns_capable(n->c.owner, CAP_SYS_TIME))
		return -EPERM;
	if (!*text)
		return -EINVAL;
	while (*text && !err) {
		char *line = text;

		while (*text && *text != '\n')
			text++;
		if (*text)
			*text++ = 0;
		err = parse(line, &o, now);
	}
	if (err)
		return err;
	if (n->entered)
		return -EACCES;
	n->offsets = o;
	return 0;
}
