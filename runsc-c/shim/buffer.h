/* Bytes on their way through a descriptor that does not block. */
#ifndef SHIM_BUFFER_H
#define SHIM_BUFFER_H

#include <sys/types.h>

#include "base/types.h"

struct buffer {
	u8 *at;
	size_t off, len, size; /* what is in it: len bytes from at + off */
};

u8 *buffer_room(struct buffer *b, size_t n); /* n bytes behind what is in it, which buffer_add() makes part of it */
void buffer_add(struct buffer *b, size_t n);
void buffer_take(struct buffer *b, size_t n); /* the first n bytes go */
/* read(2) behind what is in it, which is at most max bytes then: bytes, 0 at the end, or -errno. */
ssize_t buffer_read(struct buffer *b, int fd, size_t max);
/* write(2) of what is in it: bytes left, or -errno but -EAGAIN. */
ssize_t buffer_write(struct buffer *b, int fd);
void buffer_free(struct buffer *b);

#endif
