/* Between the files that deal with cgroups. */
#ifndef RUNSC_C_OCI_CGROUP_H
#define RUNSC_C_OCI_CGROUP_H

#include "base/types.h"

struct container;

/* The container's directory that has this file, or NULL. */
const char *cgroup_dir_with(const struct container *c, const char *file);
/* 0 or -errno. */
int cgroup_write(const char *dir, const char *file, const char *text);
/* It is in no hierarchy of version 1. */
bool cgroup_is_v2(const struct container *c);

#endif
