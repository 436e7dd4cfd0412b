#include "oci/sysctl.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

static u32 namespace_of(enum setting_scope scope)
{
	return scope == SETTING_IPC ? CLONE_NEWIPC : scope == SETTING_NET ? CLONE_NEWNET : 0;
}

static void read_one(struct start_settings *out, struct spec *spec, const char *name, const char *value, struct json_reader *r)
{
	enum setting_scope scope = SETTING_KERNEL;
	bool is_domainname = !strcmp(name, "kernel.domainname");
	int err;
	u32 ns;

	if (!strcmp(name, "kernel.hostname")) {
		json_fail(r, "%s: linux.sysctl: kernel.hostname: use \"hostname\" instead", r->document);
		return;
	}
	err = is_domainname ? 0 : settings_set(out, name, value, &scope);
	ns = is_domainname ? CLONE_NEWUTS : namespace_of(scope);
	if (err == -ENOENT && !strncmp(name, "net.", 4)) /* the host's network namespace has it, or says that it has not */
		return;
	if (err == -ENOENT)
		json_fail(r, "%s: linux.sysctl: sysctl \"%s\" is not in a separate kernel namespace, nor is it one of the sandbox", r->document, name);
	else if (err)
		json_fail(r, "%s: linux.sysctl: write /proc/sys/%s: invalid argument (\"%s\")", r->document, name, value);
	else if (ns && !namespaces_has(&spec->namespaces, ns))
		json_fail(r, "%s: linux.sysctl: sysctl \"%s\" is not allowed in the host's %s namespace", r->document, name,
			  ns == CLONE_NEWIPC ? "ipc" : ns == CLONE_NEWNET ? "network" : "uts");
	else if (is_domainname)
		spec->domainname = value;
}

void sysctl_read(struct start_settings *out, struct spec *spec, struct json_object *linux_part, struct json_reader *r)
{
	struct json_object *all = json_member(r, linux_part, "linux", "sysctl", json_type_object);

	if (!all)
		return;
	json_object_object_foreach(all, name, unused) {
		const char *value = json_text(r, all, "linux.sysctl", name);

		(void)unused;
		if (value)
			read_one(out, spec, name, value, r);
	}
}
