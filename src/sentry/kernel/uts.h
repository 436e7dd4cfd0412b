/* Names of the system: uname(2). */
#ifndef SENTRY_UTS_H
#define SENTRY_UTS_H

#define UTS_RELEASE "6.1.0"
#define UTS_VERSION "#1 SMP runsc-c"

/* Of the current task's UTS namespace; valid until the next set. */
const char *uts_hostname(void);
const char *uts_domainname(void);
/* Up to a newline, cut to what fits, as a write to /proc/sys/kernel is. 0. */
int uts_set_hostname(const char *text);
int uts_set_domainname(const char *text);

#endif
