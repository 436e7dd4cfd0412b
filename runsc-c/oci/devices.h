/* linux.devices (config-linux.md, "Devices"): nodes that are made in the sandbox. A number that it has no driver for answers ENXIO when it is opened. */
#ifndef RUNSC_C_OCI_DEVICES_H
#define RUNSC_C_OCI_DEVICES_H

#include "host/sandbox.h"
#include "oci/json.h"

/* A malloc'ed list, *n long; a reader's error for what cannot be. */
struct sandbox_device *devices_read(u32 *n, struct json_object *linux_part, struct json_reader *r);

#endif
