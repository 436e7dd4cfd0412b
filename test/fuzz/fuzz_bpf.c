/* The checker of seccomp filters and of socket filters: what it accepts must end, and read nothing but its input. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "base/types.h"
#include "sentry/kernel/bpf.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
void random_bytes(void *buf, size_t n);

void random_bytes(void *buf, size_t n)
{
	memset(buf, 1, n);
}

static void on_packet(const struct sock_filter *prog, const u8 *input, u32 len)
{
	struct bpf_packet p = { .data = input + 14, .end = input + len, .mac = input, .net = input + 14, .len = len - 14, .protocol = 0x800 };

	bpf_run_packet(prog, &p);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u32 words = sizeof(struct seccomp_data) / 4, len;
	u32 *input = malloc(words * 4);
	struct sock_filter *prog;

	memset(input, 0x5a, words * 4);
	memcpy(input, data, MIN(size, words * 4));
	data += MIN(size, words * 4);
	size -= MIN(size, words * 4);
	len = (u32)(size / sizeof(*prog));
	prog = malloc(len * sizeof(*prog) + !len);
	memcpy(prog, data, len * sizeof(*prog));
	if (bpf_valid(prog, len, words))
		bpf_run(prog, input, words);
	if (bpf_valid(prog, len, 0))
		on_packet(prog, (const u8 *)input, words * 4);
	free(prog);
	free(input);
	return 0;
}
