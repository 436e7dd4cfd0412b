#include "sentry/sys/table.h"

#include <linux/errno.h>

/* A handler that no file defines stays NULL and the call answers ENOSYS. */
#define SYS(nr, name, ...) long sys_##name(const struct sysargs *) __attribute__((weak));
#define REFUSED(nr, name, args, error, reason)
#include "sentry/sys/table.def"
#undef SYS
#undef REFUSED

const struct syscall_entry syscall_table[SYSCALL_MAX] = {
#define SYS(nr, name, args, result, ...) [nr] = { sys_##name, #name, args, result, 0 },
#define REFUSED(nr, name, args, error, reason) [nr] = { NULL, #name, args, "d", -error },
#include "sentry/sys/table.def"
#undef SYS
#undef REFUSED
};
