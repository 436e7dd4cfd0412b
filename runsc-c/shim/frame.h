/*
 * ttrpc's frames (github.com/containerd/ttrpc, PROTOCOL.md): ten bytes of header, numbers in network order, then the
 * data, which is a request's or a response's message.
 */
#ifndef SHIM_FRAME_H
#define SHIM_FRAME_H

#include <sys/types.h>

#include "base/types.h"

#define FRAME_HEADER 10
#define FRAME_DATA_MAX (4u << 20)
enum frame_type { FRAME_REQUEST = 1, FRAME_RESPONSE = 2 };

struct frame {
	u32 stream;
	u8 type, flags;
	const u8 *data; /* in what was parsed */
	u32 len;
};

/* The frame that buf begins with: its bytes in all, 0 when it is not whole yet, or -EMSGSIZE. */
ssize_t frame_parse(const u8 *buf, size_t n, struct frame *f);
void frame_header(u8 out[FRAME_HEADER], u32 len, u32 stream, enum frame_type type);

#endif
