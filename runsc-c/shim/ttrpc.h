/* The server: connections of containerd, their calls, and the answers, which may come later. */
#ifndef SHIM_TTRPC_H
#define SHIM_TTRPC_H

#include <protobuf-c/protobuf-c.h>

#include "base/types.h"

/* Status codes as gRPC has them. */
enum rpc_code {
	RPC_UNKNOWN = 2,
	RPC_INVALID_ARGUMENT = 3,
	RPC_NOT_FOUND = 5,
	RPC_ALREADY_EXISTS = 6,
	RPC_FAILED_PRECONDITION = 9,
	RPC_UNIMPLEMENTED = 12,
	RPC_UNAVAILABLE = 14
};

/* Who is to be answered, once; the connection may be gone by then. */
struct call;
void call_answer(struct call *c, const ProtobufCMessage *answer);
void call_done(struct call *c); /* with an empty message */
void call_fail(struct call *c, enum rpc_code code, const char *fmt, ...) __printf(3, 4);

/* listener: a listening Unix socket. serve() gets each call and answers it, then or later. */
void ttrpc_serve(int listener,
		 void (*serve)(struct call *c, const char *service, const char *method, const u8 *data, size_t n));

#endif
