/* Starting a sandbox and seeing it through. */
#ifndef RUNSC_C_RUN_H
#define RUNSC_C_RUN_H

#include "host/sandbox.h"

/* Fork the gofer and the sandbox, pass signals on, wait. The status for exit(); when the sandboxed command died of a signal
 * this process dies of the same one. */
int run_sandbox(const struct sandbox_config *cfg);

#endif
