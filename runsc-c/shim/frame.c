#include "shim/frame.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

ssize_t frame_parse(const u8 *buf, size_t n, struct frame *f)
{
	u32 len, stream;

	if (n < FRAME_HEADER)
		return 0;
	memcpy(&len, buf, 4);
	memcpy(&stream, buf + 4, 4);
	len = ntohl(len);
	if (len > FRAME_DATA_MAX)
		return -EMSGSIZE;
	if (n - FRAME_HEADER < len)
		return 0;
	*f = (struct frame){ntohl(stream), buf[8], buf[9], buf + FRAME_HEADER, len};
	return FRAME_HEADER + (ssize_t)len;
}

void frame_header(u8 out[FRAME_HEADER], u32 len, u32 stream, enum frame_type type)
{
	u32 words[2] = {htonl(len), htonl(stream)};

	memcpy(out, words, sizeof(words));
	out[8] = (u8)type;
	out[9] = 0;
}
