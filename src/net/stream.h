/*
 * Connected byte streams inside the sandbox: Unix stream sockets and TCP over loopback.
 *
 * Each end owns the queue it receives from; the other end writes into it. `peer` is a reference that is set when the
 * connection is made and dropped only when the own file is released, so that it can be followed without a lock.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "net/bytequeue.h"
#include "net/sock.h"

struct stream {
	struct sock sk;
	struct stream *peer;
	struct bytequeue rx;
};
/* What a family adds to sending and receiving; any member may be NULL. */
struct stream_hooks {
	/* The peer takes no more data: the error, or 0 to pretend the rest was sent. */
	long (*refused)(struct stream *s, struct msg *m);
	/* [pos, end) of the peer's queue is about to be published. wlock of that queue held. */
	void (*sending)(struct stream *peer, u64 pos, u64 end, void *arg);
	/* How many of n bytes at pos may be received in this call, after `done` ones; 0: stop. rlock held. */
	size_t (*limit)(struct stream *s, u64 pos, size_t n, size_t done, void *arg);
	/* [pos, end) was given to the receiver. rlock held. Returns false to stop the call. */
	bool (*received)(struct stream *s, u64 pos, u64 end, bool peek, void *arg);
};
int stream_init(struct stream *s);
void stream_destroy(struct stream *s);
void stream_connect_pair(struct stream *a, struct stream *b); /* takes a reference on each for the other */
bool stream_writable(struct stream *s);
long stream_send(struct stream *s, struct msg *m, const struct stream_hooks *h, void *arg);
long stream_recv(struct stream *s, struct msg *m, const struct stream_hooks *h, void *arg);
static inline struct stream *to_stream(struct sock *sk) { return (struct stream *)sk; }

#endif
