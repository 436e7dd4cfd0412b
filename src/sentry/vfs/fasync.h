/* O_ASYNC on files. */
#ifndef SENTRY_FASYNC_H
#define SENTRY_FASYNC_H

#include "sentry/vfs/vfs.h"

/* O_ASYNC changes on the file, seen at descriptor fd. 0 or -ENOMEM; files that cannot be polled ignore it. Sleeps. */
int fasync_set(struct file *f, s32 fd, bool on);
/* The status flags that F_SETFL changes (fcntl.c). */
long file_set_flags(s32 fd, struct file *f, u32 flags);
/* The last reference to the file is going. */
void fasync_release(struct file *f);
/* Whom SIGIO goes to (fcntl.c). type F_OWNER_*; the signed form is F_SETOWN's: a process, or a group when negative. */
long file_set_owner(struct file *f, s32 who, s32 type);
long file_set_owner_signed(struct file *f, s32 who);
/* Send its signal, SIGIO or that of F_SETSIG with this code and band. */
void file_signal_owner(struct file *f, s32 fd, s32 code, s64 band);
s32 file_owner_signed(const struct file *f);

#endif
