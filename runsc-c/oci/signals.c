#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "oci/oci.h"

/* "RTMIN+3", "RTMAX-1": numbers as programs of the C library have them (signal(7)). */
static int real_time(const char *text)
{
	bool from_min = !strncasecmp(text, "RTMIN", 5);
	int sig = from_min ? SIGRTMIN : SIGRTMAX;
	char *end;
	long n;

	if (!from_min && strncasecmp(text, "RTMAX", 5))
		return -1;
	if (!text[5])
		return sig;
	if (text[5] != (from_min ? '+' : '-') || text[6] < '0' || text[6] > '9')
		return -1;
	n = strtol(text + 6, &end, 10);
	if (*end || n > SIGRTMAX - SIGRTMIN)
		return -1;
	return sig + (from_min ? (int)n : -(int)n);
}

int parse_signal(const char *text)
{
	static const struct {
		const char *name;
		int sig;
	} aliases[] = { { "IO", SIGIO }, { "IOT", SIGABRT }, { "CLD", SIGCHLD } };
	char *end;
	long n = strtol(text, &end, 10);

	if (!*text)
		return SIGTERM;
	if (!*end)
		return n >= 0 && n <= 64 ? (int)n : -1;
	if (!strncasecmp(text, "SIG", 3))
		text += 3;
	for (u32 i = 0; i < ARRAY_SIZE(aliases); i++)
		if (!strcasecmp(aliases[i].name, text))
			return aliases[i].sig;
	for (int sig = 1; sig < 32; sig++) {
		const char *name = sigabbrev_np(sig);

		if (name && !strcasecmp(name, text))
			return sig;
	}
	return real_time(text);
}
