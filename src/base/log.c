#include "base/log.h"

#include "base/string.h"
#include "hostcall.h"
#include "sentry/mm/mm.h"

enum log_level log_level = LOG_WARN;

#define LOG_SLOTS 8

/* HC_LOG names its text by offset into sandbox memory, and a kernel stack or .bss need not lie there on every platform:
 * lines are formatted into frames of their own, one slot a concurrent writer. */
static struct log_slot {
	spinlock_t lock;
	char *text;
} slots[LOG_SLOTS];

/* The first slot has its memory from the start: who runs out of memory can still say so. */
void log_init(void)
{
	struct page *page = frame_alloc(0, 0);

	BUG_ON(!page);
	slots[0].text = page_to_va(page);
}

/* A locked slot with memory behind it, or NULL before log_init(). */
static struct log_slot *take_slot(void)
{
	struct log_slot *slot = slots;
	struct page *page;

	if (!slots[0].text)
		return NULL;
	while (!spin_trylock(&slot->lock))
		slot = slot + 1 < slots + LOG_SLOTS ? slot + 1 : slots;
	if (slot->text)
		return slot;
	page = frame_alloc(0, 0);
	if (page) {
		slot->text = page_to_va(page);
		return slot;
	}
	spin_unlock(&slot->lock);
	spin_lock(&slots[0].lock);
	return slots;
}

static void send_slot(struct log_slot *slot, size_t len)
{
	struct hc_mem req = { va_to_pa(slot->text), len };

	hostcall(HC_LOG, &req, sizeof(req));
	spin_unlock(&slot->lock);
}

void log_text(const char *text, size_t len)
{
	struct log_slot *slot = take_slot();

	if (!slot)
		return;
	len = MIN(len, LOG_LINE_MAX);
	memcpy(slot->text, text, len);
	send_slot(slot, len);
}

static void emit(enum log_level level, const char *fmt, va_list ap)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	struct log_slot *slot = take_slot();
	int n;

	if (!slot)
		return;
	n = kscnprintf(slot->text, LOG_LINE_MAX, "%s: ", names[level]);
	n += MIN(kvsnprintf(slot->text + n, (size_t)(LOG_LINE_MAX - n), fmt, ap), LOG_LINE_MAX - n - 1);
	send_slot(slot, (size_t)n);
}

void klog_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(level, fmt, ap);
	va_end(ap);
}

/* Frame pointers lead through the kernel stack; stop at anything that does not look like one of its words. */
void log_trace(const u64 *frame)
{
	for (u32 depth = 0; depth < 24 && frame; depth++) {
		const u64 *next = (const u64 *)frame[0];

		klog_line(LOG_ERR, "  called from %p", (const void *)frame[1]);
		if (next <= frame || (u64)next - (u64)frame > 0x8000)
			break;
		frame = next;
	}
}

void panic(const char *fmt, ...)
{
	struct hc_exit req = { .signal = 6, .panic = 1 };
	va_list ap;

	va_start(ap, fmt);
	emit(LOG_ERR, fmt, ap);
	va_end(ap);
	log_trace(__builtin_frame_address(0));
	for (;;)
		hostcall(HC_EXIT, &req, sizeof(req));
}
