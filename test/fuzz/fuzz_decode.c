/* The decoder of stores on the ptrace platform: any bytes, cut off anywhere. */
#include <stdlib.h>
#include <string.h>

#include "base/types.h"
#include "platform/platform.h"

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_UNSURE };
enum access decode_access(const u8 *code, size_t len, const struct user_regs *regs, u64 addr);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct user_regs regs = { 0 };
	u64 addr = 0;
	u8 *code;

	if (size < 40)
		return 0;
	memcpy(&addr, data, 8);
	memcpy(&regs.rsp, data + 8, 8);
	memcpy(&regs.rsi, data + 16, 8);
	memcpy(&regs.rdi, data + 24, 8);
	size -= 32;
	size = MIN(size, 15ul);
	code = malloc(size);
	memcpy(code, data + 32, size);
	if (decode_access(code, size, &regs, addr) > ACCESS_UNSURE)
		abort();
	free(code);
	return 0;
}
