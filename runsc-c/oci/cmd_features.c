/* features: what this runtime can do, as the runtime-spec's features.md and features-linux.md have it. */
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>

#include "command.h"
#include "oci/oci.h"
#include "version.h"

static struct json_object *texts(const char *const *list)
{
	struct json_object *a = json_object_new_array();

	for (; *list; list++)
		json_object_array_add(a, json_object_new_string(*list));
	return a;
}

static struct json_object *flags(const char *const *names, const bool *values)
{
	struct json_object *o = json_object_new_object();

	for (u32 i = 0; names[i]; i++)
		json_object_object_add(o, names[i], json_object_new_boolean(values[i]));
	return o;
}

static struct json_object *mount_options(void)
{
	struct json_object *a = json_object_new_array();
	const char *name;

	for (u32 i = 0; (name = spec_mount_option(i)); i++)
		json_object_array_add(a, json_object_new_string(name));
	return a;
}

static struct json_object *capabilities(void)
{
	struct json_object *a = json_object_new_array();

	for (int i = 0; i <= CAP_LAST_CAP; i++) {
		char *name = cap_to_name(i), upper[64];
		u32 n = 0;

		for (; name && name[n] && n < sizeof(upper) - 1; n++)
			upper[n] = name[n] >= 'a' && name[n] <= 'z' ? (char)(name[n] - 32) : name[n];
		upper[n] = '\0';
		if (!strncmp(upper, "CAP_", 4))
			json_object_array_add(a, json_object_new_string(upper));
		cap_free(name);
	}
	return a;
}

static struct json_object *seccomp(void)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "enabled", json_object_new_boolean(true));
	json_object_object_add(o, "actions",
			       texts((const char *const[]){ "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL",
							    "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
							    "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP", NULL }));
	json_object_object_add(
		o, "operators",
		texts((const char *const[]){ "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
					     "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE", NULL }));
	json_object_object_add(
		o, "archs", texts((const char *const[]){ "SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X32", NULL }));
	return o;
}

static struct json_object *linux_part(void)
{
	struct json_object *o = json_object_new_object();
	const bool none[] = { false };

	json_object_object_add(o, "namespaces",
			       texts((const char *const[]){ "cgroup", "ipc", "mount", "network", "pid", "uts", NULL }));
	json_object_object_add(o, "capabilities", capabilities());
	json_object_object_add(o, "cgroup",
			       flags((const char *const[]){ "v1", "v2", "systemd", "systemdUser", "rdma", NULL },
				     (const bool[]){ true, true, false, false, false }));
	json_object_object_add(o, "seccomp", seccomp());
	json_object_object_add(o, "apparmor", flags((const char *const[]){ "enabled", NULL }, none));
	json_object_object_add(o, "selinux", flags((const char *const[]){ "enabled", NULL }, none));
	json_object_object_add(o, "intelRdt", flags((const char *const[]){ "enabled", NULL }, none));
	return o;
}

int cmd_features(int argc, char **argv)
{
	struct json_object *o, *annotations;

	if (argc > 1 && strcmp(argv[1], "--help"))
		return oci_fail("features: no arguments are taken");
	if (argc > 1)
		return printf("Usage: runsc-c features\nWhat this runtime can do, as runtime-spec features.md has "
			      "it.\n") < 0;
	o = json_object_new_object();
	annotations = json_object_new_object();
	json_object_object_add(o, "ociVersionMin", json_object_new_string("1.0.0"));
	json_object_object_add(o, "ociVersionMax", json_object_new_string(SPEC_VERSION));
	json_object_object_add(o, "hooks",
			       texts((const char *const[]){ "prestart", "createRuntime", "createContainer", "poststart",
							    "poststop", NULL }));
	json_object_object_add(o, "mountOptions", mount_options());
	json_object_object_add(o, "linux", linux_part());
	json_object_object_add(annotations, "dev.runsc-c.version", json_object_new_string(RUNSC_C_VERSION));
	json_object_object_add(o, "annotations", annotations);
	printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
								 JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return finish_stdout();
}
