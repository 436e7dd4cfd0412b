#include "base/log.h"

#include "base/string.h"
#include "hostcall.h"
#include "sentry/mm/mm.h"

enum log_level log_level = LOG_WARN;

#define LOG_LINE_MAX 1024
#define LOG_SLOTS 8

/* HC_LOG names its text by offset into sandbox memory, and a kernel stack or .bss need not lie there on every platform:
 * lines are formatted into frames of their own, one slot a concurrent writer. */
static struct log_slot {
	spinlock_t lock;
	char *text;
} slots[LOG_SLOTS];

static struct log_slot *take_slot(void)
{
	for (u32 i = 0;; i = (i + 1) % LOG_SLOTS)
		if (spin_trylock(&slots[i].lock))
			return &slots[i];
}

static void emit(enum log_level level, const char *fmt, va_list ap)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	struct log_slot *slot;
	struct hc_mem req;
	int n;

	if (!memmap) /* before the frame allocator there is nowhere to format */
		return;
	slot = take_slot();
	if (!slot->text) {
		struct page *page = frame_alloc(0, 0);

		slot->text = page ? page_to_va(page) : NULL;
	}
	if (slot->text) {
		n = kscnprintf(slot->text, LOG_LINE_MAX, "%s: ", names[level]);
		n += MIN(kvsnprintf(slot->text + n, (size_t)(LOG_LINE_MAX - n), fmt, ap), LOG_LINE_MAX - n - 1);
		req = (struct hc_mem){ va_to_pa(slot->text), (u64)n };
		hostcall(HC_LOG, &req, sizeof(req));
	}
	spin_unlock(&slot->lock);
}

void klog_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(level, fmt, ap);
	va_end(ap);
}

void panic(const char *fmt, ...)
{
	struct hc_exit req = { .signal = 6, .panic = 1 };
	u64 *frame = __builtin_frame_address(0);
	va_list ap;

	va_start(ap, fmt);
	emit(LOG_ERR, fmt, ap);
	va_end(ap);
	/* Frame pointers lead through the kernel stack; stop at anything that does not look like one of its words. */
	for (u32 depth = 0; depth < 24 && frame; depth++) {
		u64 *next = (u64 *)frame[0];

		klog_line(LOG_ERR, "  called from %p", (void *)frame[1]);
		if (next <= frame || (u64)next - (u64)frame > 0x8000)
			break;
		frame = next;
	}
	for (;;)
		hostcall(HC_EXIT, &req, sizeof(req));
}
