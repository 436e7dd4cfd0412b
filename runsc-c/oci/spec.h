/* The bundle's config.json (OCI runtime-spec, config.md and config-linux.md) as the rest of the runtime uses it. */
#ifndef RUNSC_C_OCI_SPEC_H
#define RUNSC_C_OCI_SPEC_H

#include "hostcall.h"
#include "oci/json.h"
#include "oci/namespaces.h"
#include "settings.h"

#define SPEC_VERSION "1.0.2"
#define SPEC_MOUNTS_MAX 100
#define SPEC_RLIMITS 16

struct spec_mount {
	const char *target, *type, *source;
	u32 flags;     /* MS_* */
	char *data;    /* the options that are no flags, with commas; malloc'ed */
	bool is_bind;
};
struct spec_process {
	bool terminal;
	u32 rows, columns; /* 0: not given */
	char **args, **env;
	const char *cwd;
	u32 uid, gid, umask; /* umask ~0u: not given */
	u32 ngroups, *groups;
	u64 caps[5]; /* bounding, effective, inheritable, permitted, ambient */
	u64 rlimits[SPEC_RLIMITS][2];
	bool no_new_privs;
	struct hc_scheduling scheduling; /* scheduler and ioPriority */
	s32 oom_score_adj; /* the host's own value when it is not given */
};
struct spec_seccomp {
	void *program; /* struct sock_filter[], malloc'ed */
	u32 len; /* instructions; 0: none */
};
struct spec {
	struct json_object *document;
	char *rootfs; /* absolute */
	bool root_readonly;
	struct spec_process process;
	const char *hostname, *domainname;
	u32 nmounts;
	struct spec_mount mounts[SPEC_MOUNTS_MAX];
	struct namespaces namespaces;
	struct spec_seccomp seccomp;
	const char *cgroups_path;
	u32 ndevices;
	struct sandbox_device *devices;
	struct start_settings settings; /* linux.sysctl */
	char **masked_paths, **readonly_paths; /* NULL-terminated, or NULL */
	struct json_object *resources, *hooks, *annotations;
};

/* BUNDLE/config.json. False with r->error. Strings belong to spec->document. */
bool spec_load(struct spec *spec, const char *bundle, struct json_reader *r);
/* All of spec->document, which is there already. */
bool spec_read(struct spec *spec, const char *bundle, struct json_reader *r);
/* What a process has that says nothing. */
void spec_default_process(struct spec_process *p);
/* A process object; limits, capabilities and the like that it does not speak of stay as they are in *p. */
void spec_read_process(struct spec_process *p, struct json_object *o, struct json_reader *r);
/* process.scheduler and process.ioPriority (scheduling.c). */
void spec_read_scheduling(struct hc_scheduling *s, struct json_object *process, struct json_reader *r);
/* The names of options of mounts that are understood, NULL behind the last. */
const char *spec_mount_option(u32 i);
/* HOME, if it is not set (home.c). */
void spec_add_home(struct spec_process *p, const char *rootfs);
/* linux.seccomp, compiled. */
void spec_read_seccomp(struct spec_seccomp *out, struct json_object *linux_part, struct json_reader *r);
/* The document that `runsc-c spec` prints. */
extern const char spec_template[];

#endif
