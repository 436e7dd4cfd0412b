/* Which platform runs the sandbox. */
#ifndef RUNSC_C_CHOOSE_H
#define RUNSC_C_CHOOSE_H

#include "host/sandbox.h"

/* name: "auto", "kvm" or "ptrace". 0, or a status with one line printed. */
int choose_platform(const char *name, enum sandbox_platform *out);

#endif
