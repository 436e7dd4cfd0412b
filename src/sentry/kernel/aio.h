/* io_setup(2) contexts belong to an address space. */
#ifndef SENTRY_AIO_H
#define SENTRY_AIO_H

struct mm;
/* The last user of the address space goes: drop its contexts. */
void aio_exit(struct mm *mm);

#endif
