#include "title.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/types.h"

/* /proc/PID/cmdline is the memory that execve(2) put the arguments into. */
static char *start, *end;

void title_init(int argc, char **argv)
{
	start = end = argv[0];
	for (int i = 0; i < argc && argv[i] == end; i++)
		end += strlen(argv[i]) + 1;
}

void title_set(char *const *args)
{
	const char *slash = args[0] ? strrchr(args[0], '/') : NULL;
	size_t room = (size_t)(end - start), n = 0;
	char *text = calloc(1, room + 1); /* what is shown may be part of what is written over */

	if (!text || !args[0] || room < 2) {
		free(text);
		return;
	}
	prctl(PR_SET_NAME, slash ? slash + 1 : args[0]);
	for (u32 i = 0; args[i] && n < room - 1; i++) {
		size_t len = strnlen(args[i], room - 1 - n);

		memcpy(text + n, args[i], len);
		n += len + 1;
	}
	memcpy(start, text, room); /* its last byte is NUL */
	free(text);
}
