/* SECCOMP_RET_USER_NOTIF (seccomp_unotify(2)): a supervisor answers system calls in the kernel's place. */
#ifndef SENTRY_SECCOMP_NOTIFY_H
#define SENTRY_SECCOMP_NOTIFY_H

#include "base/types.h"

struct file;
struct notifier; /* of one filter; the filter and the supervisor's descriptor share it */
struct seccomp_data;
struct task;

struct notifier *notifier_new(bool wait_killable);
struct file *notifier_file(struct notifier *n);
void notifier_filter_gone(struct notifier *n); /* no task is left with the filter */
/* Ask the supervisor about the current call. True: it runs after all; else rax is the answer. */
bool notifier_ask(struct notifier *n, struct task *t, const struct seccomp_data *data);

#endif
