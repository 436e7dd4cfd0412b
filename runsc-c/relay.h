/*
 * Programs started in a running container: each asker has a connection to the process that stands for the container, which passes its
 * request on to the sandbox and the answers back.
 */
#ifndef RUNSC_C_RELAY_H
#define RUNSC_C_RELAY_H

#include <poll.h>

#include "host/exit.h"

#define RELAY_CLIENTS_MAX 128
#define RELAY_POLLS (1 + RELAY_CLIENTS_MAX)

/* From an asker: first CONTROL_SPAWN with its request and files, then CONTROL_SPAWN_SIGNAL; `id` does not matter. To it: */
struct relay_answer {
	u32 state; /* enum hc_spawn_state */
	u32 value;
};

struct relay {
	int listener; /* -1: none */
	int control;  /* to the sandbox */
	u32 next_id;
	bool start_asked; /* HC_ASK_START has been passed on */
	struct relay_client {
		int fd; /* -1: free */
		u32 id;
	} clients[RELAY_CLIENTS_MAX];
};

void relay_init(struct relay *r, int listener, int control);
/* What to wait for; how many entries of p. */
u32 relay_polls(const struct relay *r, struct pollfd *p);
/* Deal with what p (as relay_polls() made it) reports. */
void relay_serve(struct relay *r, const struct pollfd *p, u32 n);
void relay_report(struct relay *r, const struct sandbox_report *report);

#endif
