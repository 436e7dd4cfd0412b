/* /proc/net/unix: see proc(5). */
#include "base/string.h"
#include "net/show.h"
#include "net/unix/unix.h"

enum { SHOWN_UNCONNECTED = 1, SHOWN_CONNECTING, SHOWN_CONNECTED }; /* SS_* of linux/net.h */
#define ACCEPTS (1u << 16)

static void show_name(struct seq *s, const struct unix_addr *a)
{
	char name[UNIX_ADDR_MAX + 2];
	u32 n = a->len - UNIX_PATH_OFF;

	if (!n)
		return;
	memcpy(name, a->raw + UNIX_PATH_OFF, n);
	name[n] = 0;
	if (!name[0]) /* abstract: the leading NUL and those within are shown as @ */
		for (u32 i = 0; i < n; i++)
			name[i] = name[i] ? name[i] : '@';
	seq_printf(s, " %s", name);
}

static void show_row(struct sock *sk, void *arg)
{
	const struct unix_addr *a = READ_ONCE(to_unix(sk)->addr);
	struct seq *s = arg;
	u32 state = SHOWN_UNCONNECTED;

	if (sk->dead)
		return;
	if (sk->state == SS_CONNECTED)
		state = sk->file ? SHOWN_CONNECTED : SHOWN_CONNECTING;
	seq_printf(s, "0000000000000000: %08X %08X %08X %04X %02X %5lu", refcount_read(&sk->ref), 0, sk->state == SS_LISTEN ? ACCEPTS : 0, sk->type, state,
		   sk->ino);
	if (a)
		show_name(s, a);
	seq_puts(s, "\n");
}

void unix_show(struct seq *s)
{
	seq_puts(s, "Num       RefCount Protocol Flags    Type St Inode Path\n");
	sock_for_each(AF_UNIX, show_row, s);
}
