/* io_setup(2) contexts belong to an address space. */
#ifndef SENTRY_AIO_H
#define SENTRY_AIO_H

#include "base/types.h"

struct mm;
u64 aio_events(void); /* /proc/sys/fs/aio-nr */
/* The last user of the address space goes: drop its contexts. */
void aio_exit(struct mm *mm);

#endif
