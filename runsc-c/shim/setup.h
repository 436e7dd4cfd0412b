/* What a shim and its containers are told by their bundle and by containerd's options. */
#ifndef SHIM_SETUP_H
#define SHIM_SETUP_H

#include "base/types.h"

struct container;

/* Which runsc-c, with which state folder, from the options of a Create (an Any; type "": none). Kept in the bundle for
 * setup_again(). NULL, or the error (malloc'ed). */
char *setup_options(struct container *c, const char *type, const u8 *data, size_t n);
/* The same as it was then, for a shim that did not see the options; false: nothing was made. */
bool setup_again(struct container *c);
/* The id of the container whose shim serves this bundle's, too: that of its pod. malloc'ed; NULL: its own. */
char *setup_group(const char *bundle);

#endif
