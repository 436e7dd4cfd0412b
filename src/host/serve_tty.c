/* Terminals: the requests that a line discipline needs, and none (TIOCSTI above all) that puts words in the user's mouth. */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/handle.h"
#include "host/serve.h"

/* As the kernel has it (asm/termios.h, which does not go with libc's headers). */
struct host_winsize {
	u16 row, col, xpixel, ypixel;
};

static const struct {
	u64 request;
	u32 size;
	bool in;
} ops[] = {
	[HC_TTY_GETS] = { TCGETS, sizeof(struct termios), false },
	[HC_TTY_SETS] = { TCSETS, sizeof(struct termios), true },
	[HC_TTY_SETSW] = { TCSETSW, sizeof(struct termios), true },
	[HC_TTY_SETSF] = { TCSETSF, sizeof(struct termios), true },
	[HC_TTY_GETWINSZ] = { TIOCGWINSZ, sizeof(struct host_winsize), false },
	[HC_TTY_SETWINSZ] = { TIOCSWINSZ, sizeof(struct host_winsize), true },
	[HC_TTY_INQ] = { FIONREAD, sizeof(int), false },
};

s64 serve_tty(u32 cpu, void *arg)
{
	struct hc_tty *req = arg;
	u8 buf[sizeof(req->data)] = { 0 };
	struct handle h;
	int err = handle_get(req->handle, &h);

	if (err)
		return err;
	if (req->op >= ARRAY_SIZE(ops))
		return -EINVAL;
	/* How much lies unread is a question to any stream. */
	if (h.kind != HANDLE_TTY && req->op != HC_TTY_INQ)
		return -ENOTTY;
	if (ops[req->op].in)
		memcpy(buf, req->data, ops[req->op].size);
	if (syscall(SYS_ioctl, h.fd, ops[req->op].request, buf) < 0)
		return -errno;
	if (!ops[req->op].in)
		memcpy(req->data, buf, sizeof(buf));
	return 0;
}
