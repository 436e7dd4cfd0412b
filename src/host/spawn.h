/* Forking into new namespaces. */
#ifndef HOST_SPAWN_H
#define HOST_SPAWN_H

#include <sys/types.h>

#include "host/sandbox.h"

enum spawn_identity {
	SPAWN_NOBODY, /* root's child becomes nobody; a user's keeps that user's id */
	SPAWN_SAME,   /* every id maps to itself: rights over files stay */
};

/* Like fork(), with user, mount, PID, IPC, UTS and cgroup namespaces of its own (new_network: a network one too) as far as the host permits; *iso
 * says (in both processes) what it got. In the parent the id maps are still to be written: spawn_map_ids(). */
pid_t spawn_isolated(struct isolation *iso, enum spawn_identity identity, bool new_network);
/* Write the maps and send the go. 0 or -errno. */
int spawn_map_ids(const struct isolation *iso, enum spawn_identity identity, int go);

#endif
