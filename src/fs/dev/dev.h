/* What the device files take from elsewhere in the sentry, and what they offer. */
#ifndef FS_DEV_DEV_H
#define FS_DEV_DEV_H

#include "base/types.h"

struct files;
struct tty;
struct hc_stdio;

struct dev_node {
	const char *name;
	u32 mode;
	u64 rdev;
};
#define DEV_NODES 7u
extern const struct dev_node dev_nodes[DEV_NODES]; /* what every /dev has */

void dev_register(void);    /* device numbers and the devtmpfs file system */
struct dentry;
int dev_populate(struct dentry *root); /* a tmpfs gets what a container's /dev has */
void devpts_register(void);
/* Descriptors 0 to 2 of the current task, on the standard files that the host gives it; their handles are taken over. *tty is made when one
 * of them is a terminal and there is none yet. 0 or -errno. */
int stdio_init(const struct hc_stdio *stdio, struct tty **tty);
extern struct tty *console;
void console_init(void); /* /dev/console, and signals of the host for the foreground job */

void random_bytes(void *buf, size_t n); /* kernel/random.c */

#endif
