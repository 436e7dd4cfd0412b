/*
 * Standard files of a process: FIFOs that containerd makes and reads or writes, files, or nothing. A program that has
 * no terminal gets them as they are; of a terminal, the master's bytes are carried.
 */
#ifndef SHIM_IO_H
#define SHIM_IO_H

#include "base/types.h"
#include "shim/buffer.h"
#include "shim/loop.h"

/* One direction of a terminal. */
struct carrier {
	struct stdio *io;
	struct watch from, to; /* either may be gone (-1) */
	struct buffer data;
	bool is_input;
};

struct stdio {
	char *in, *out, *err; /* as containerd named them */
	bool terminal;
	int keep_in;	 /* a writer of the FIFO: a program that reads sees no end before CloseIO; -1 */
	int keep_out[2]; /* readers of the others: who writes is not killed while containerd is away */
	/* terminals: */
	char *socket; /* where the master arrives */
	struct watch listener;
	int master;
	bool ended; /* what the program wrote last is on its way */
	struct carrier input, output;
};

void io_init(struct stdio *io);
/* Names, and open descriptors for runsc-c (closed by the caller); with a terminal the place of the console socket
 * instead. NULL, or the error (malloc'ed). */
char *io_open(struct stdio *io, const char *in, const char *out, const char *err, bool terminal, int fds[3]);
void io_close_input(struct stdio *io);
int io_resize(struct stdio *io, u32 width, u32 height); /* 0 or -errno */
void io_ended(struct stdio *io);			/* the process is gone */
void io_close(struct stdio *io);

#endif
