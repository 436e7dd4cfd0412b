/* Between coredump.c, which writes memory, and coredump_notes.c, which writes the rest. */
#ifndef SENTRY_COREDUMP_INTERNAL_H
#define SENTRY_COREDUMP_INTERNAL_H

#include "sentry/kernel/signal.h"

struct file;
struct task;

struct core_segment { /* a mapping, as it was when the others had halted */
	u64 start, end, pgoff, bytes; /* bytes: how much of it goes into the file */
	u32 flags;
	bool sparse;
	struct file *file;
};
struct core {
	struct file *file;
	u64 pos, limit;
	bool failed;
	int sig;
	const siginfo_t_k *info;
	struct core_segment *seg;
	u32 nseg;
	struct task **thread; /* the dying one first; referenced */
	u32 nthreads;
};

void core_write(struct core *c, const void *bytes, u64 n);
u32 core_threads(struct core *c); /* fills c->thread; 0: out of memory */
/* The notes of core(5): their size, and unless `measure` they are written. */
u64 core_notes(struct core *c, bool measure);

#endif
