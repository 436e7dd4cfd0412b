/* linux.sysctl: those of the sandbox's own kernel. What the host's network namespace is to be told besides: network.h. */
#ifndef RUNSC_C_OCI_SYSCTL_H
#define RUNSC_C_OCI_SYSCTL_H

#include "oci/spec.h"
#include "settings.h"

/* Only what belongs to a namespace of the container's own may be set; a reader's error for what cannot be. */
void sysctl_read(struct start_settings *out, struct spec *spec, struct json_object *linux_part, struct json_reader *r);

#endif
