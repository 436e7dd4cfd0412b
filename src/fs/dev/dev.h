/* What the device files take from elsewhere in the sentry, and what they offer. */
#ifndef FS_DEV_DEV_H
#define FS_DEV_DEV_H

#include "base/types.h"

struct files;

void dev_register(void);    /* device numbers and the devtmpfs file system */
void devpts_register(void);
/* Descriptors 0 to 2 of the first task, on the standard files of the command. 0 or -ENOMEM. */
int stdio_init(struct files *files);

void random_bytes(void *buf, size_t n); /* kernel/random.c */

#endif
