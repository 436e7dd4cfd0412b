/* The network namespace that a container's sockets are in: what must be set there before its sandbox gives its rights up. */
#ifndef RUNSC_C_OCI_NETWORK_H
#define RUNSC_C_OCI_NETWORK_H

#include "oci/spec.h"
#include "settings.h"

/* Before the container's process is made: which network namespace is ours. */
void network_remember(void);
/*
 * In the container's process, in its network namespace: linux.sysctl's "net." settings. host_sockets: when the namespace is the container's own,
 * its low ports and ping sockets are opened to the sandbox process, which has no rights; who may bind what is then the sentry's decision.
 * The namespace's settings are added to *settings for the sandbox to show. 0 or -errno with *what.
 */
int network_prepare(const struct spec *spec, bool host_sockets, struct start_settings *settings, const char **what);

#endif
