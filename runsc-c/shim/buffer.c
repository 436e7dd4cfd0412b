#include "shim/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim/shim.h"

#define READ_SIZE (32u << 10)

u8 *buffer_room(struct buffer *b, size_t n)
{
	if (b->off && b->off + b->len + n > b->size) {
		memmove(b->at, b->at + b->off, b->len);
		b->off = 0;
	}
	if (b->len + n > b->size) {
		b->size = b->len + n + READ_SIZE;
		b->at = must(realloc(b->at, b->size));
	}
	return b->at + b->off + b->len;
}

void buffer_add(struct buffer *b, size_t n)
{
	b->len += n;
}

/* An empty one keeps no memory: a shim is idle most of the time. */
void buffer_take(struct buffer *b, size_t n)
{
	b->off += n;
	b->len -= n;
	if (!b->len)
		buffer_free(b);
}

ssize_t buffer_read(struct buffer *b, int fd, size_t max)
{
	size_t room = MIN(max - b->len, READ_SIZE);
	ssize_t n = read(fd, buffer_room(b, room), room);

	if (n > 0)
		buffer_add(b, (size_t)n);
	return n < 0 ? -errno : n;
}

ssize_t buffer_write(struct buffer *b, int fd)
{
	while (b->len) {
		ssize_t n = write(fd, b->at + b->off, b->len);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			buffer_take(b, (size_t)n);
	}
	return (ssize_t)b->len;
}

void buffer_free(struct buffer *b)
{
	free(b->at);
	*b = (struct buffer){0};
}
