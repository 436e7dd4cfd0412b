/*
 * linux.namespaces: those that the container's process has on the host. Programs live in the sandbox's own; engines look for the process's:
 * they move links into its network namespace, or let another container join it.
 */
#ifndef RUNSC_C_OCI_NAMESPACES_H
#define RUNSC_C_OCI_NAMESPACES_H

#include "oci/json.h"

#define NAMESPACES_MAX 8

struct namespaces {
	u32 made; /* CLONE_NEW* of those that are new */
	u32 njoined;
	struct {
		u32 kind; /* CLONE_NEW* */
		const char *path;
		int fd; /* open after namespaces_open() */
	} joined[NAMESPACES_MAX];
};

/* Each kind at most once; a reader's error for what cannot be. */
void namespaces_read(struct namespaces *ns, struct json_object *linux_part, struct json_reader *r);
/* New or joined, not the host's. */
bool namespaces_has(const struct namespaces *ns, u32 kind);
/* The ones to join: there, and of the kind that they are said to be. */
bool namespaces_open(struct namespaces *ns, struct json_reader *r);
/* The pid namespace is that of a process' children: enter it before the container's process is made, and leave it after. */
int namespaces_enter_pid(const struct namespaces *ns);
void namespaces_leave_pid(const struct namespaces *ns);
/* In the container's process: enter all others. 0 or -errno with *what. */
int namespaces_enter(const struct namespaces *ns, const char **what);
/* A new network namespace's loopback is up, as other runtimes leave it. */
void namespaces_raise_loopback(void);

#endif
