/*
 * containerd-shim-runsc-c-v2: what stands between containerd and the containers of one pod (containerd, runtime/v2). It
 * is asked over ttrpc and does what it is asked for by the command runsc-c; it is the parent of the processes that
 * stand for containers and their programs, and tells how they ended. One thread; nothing waits but loop_run().
 */
#ifndef SHIM_SHIM_H
#define SHIM_SHIM_H

#include <protobuf-c/protobuf-c.h>
#include <time.h>

#include "base/types.h"

#define SHIM_NAME "containerd-shim-runsc-c-v2"

struct shim {
	const char *namespace, *id, *address; /* containerd's socket */
	bool debug;
};
extern struct shim shim;

/* To containerd's log, by the FIFO of the bundle. */
void say(const char *fmt, ...) __printf(1, 2);
__noreturn void die(const char *fmt, ...) __printf(1, 2);
/* p, which is not NULL: there is memory, or no shim. */
void *must(void *p);
char *text(const char *fmt, ...) __printf(1, 2); /* malloc'ed */
char *copy_of(const char *s);
/* A small file as a string, malloc'ed; NULL. */
char *read_text(const char *path);
bool write_text(const char *path, const char *s, size_t n);

/* ---- events.c ---- */
/* Told to containerd in this order, as often as it takes. type: that of the message's type URL. */
void publish(const char *topic, const char *type, const ProtobufCMessage *event);
/* then() when nothing is left to tell, or nobody listens. */
void publish_flush(void (*then)(void));

/* ---- task.c ---- */
struct call;
void task_call(struct call *c, const char *service, const char *method, const u8 *data, size_t n);

#endif
