#include "shim/setup.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "messages.pb-c.h"
#include "shim/container.h"
#include "shim/shim.h"

#define DEFAULT_ROOT "/run/containerd/runsc-c"
#define KEPT "shim-runsc-c.json"

/* runsc-c beside this executable, or in PATH. */
static char *default_binary(void)
{
	char exe[PATH_MAX], *beside, *slash;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[MAX(n, 0)] = '\0';
	slash = strrchr(exe, '/');
	if (slash)
		*slash = '\0';
	beside = text("%s/runsc-c", exe);
	if (slash && access(beside, X_OK) == 0)
		return beside;
	free(beside);
	return copy_of("runsc-c");
}

static char *kept_path(const struct container *c)
{
	return text("%s/" KEPT, c->bundle);
}

static char *keep(const struct container *c)
{
	struct json_object *o = json_object_new_object();
	char *path = kept_path(c), *why = NULL;
	const char *s;

	json_object_object_add(o, "binary", json_object_new_string(c->binary));
	json_object_object_add(o, "root", json_object_new_string(c->root));
	if (c->config)
		json_object_object_add(o, "config", json_object_new_string(c->config));
	json_object_object_add(o, "systemdCgroup", json_object_new_boolean(c->systemd_cgroup));
	s = json_object_to_json_string(o);
	if (!write_text(path, s, strlen(s)))
		why = text("%s: %m", path);
	json_object_put(o);
	free(path);
	return why;
}

static char *set_runc_options(struct container *c, const u8 *data, size_t n)
{
	RuncOptions *o = runc_options__unpack(NULL, n, data);

	if (!o)
		return text("the runtime's options: not a containerd.runc.v1.Options");
	if (o->binary_name[0])
		c->binary = copy_of(o->binary_name);
	if (o->root[0])
		c->root = text("%s/%s", o->root, shim.namespace);
	c->systemd_cgroup = o->systemd_cgroup;
	c->no_new_keyring = o->no_new_keyring;
	runc_options__free_unpacked(o, NULL);
	return NULL;
}

static char *set_runtime_options(struct container *c, const u8 *data, size_t n)
{
	RuntimeOptions *o = runtime_options__unpack(NULL, n, data);

	if (!o)
		return text("the runtime's options: not a runtimeoptions.v1.Options");
	if (o->config_path[0])
		c->config = copy_of(o->config_path);
	runtime_options__free_unpacked(o, NULL);
	return NULL;
}

char *setup_options(struct container *c, const char *type, const u8 *data, size_t n)
{
	char *why = NULL;

	if (!strcmp(type, "containerd.runc.v1.Options"))
		why = set_runc_options(c, data, n);
	else if (!strcmp(type, "runtimeoptions.v1.Options"))
		why = set_runtime_options(c, data, n);
	else if (*type)
		say("options of the type %s are not known, and left out", type);
	if (!c->binary)
		c->binary = default_binary();
	if (!c->root)
		c->root = text(DEFAULT_ROOT "/%s", shim.namespace);
	return why ? why : keep(c);
}

static char *kept_string(struct json_object *o, const char *name)
{
	const char *s = json_object_get_string(json_object_object_get(o, name));

	return s ? copy_of(s) : NULL;
}

bool setup_again(struct container *c)
{
	char *path = kept_path(c), *s = read_text(path);
	struct json_object *o = s ? json_tokener_parse(s) : NULL;

	c->binary = kept_string(o, "binary");
	c->root = kept_string(o, "root");
	c->config = kept_string(o, "config");
	c->systemd_cgroup = json_object_get_boolean(json_object_object_get(o, "systemdCgroup"));
	json_object_put(o);
	free(s);
	free(path);
	return c->binary && c->root;
}

char *setup_group(const char *bundle)
{
	static const char *const names[] = {"io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id",
					    "io.kubernetes.cri-o.SandboxID"};
	char *path = text("%s/config.json", bundle), *s = read_text(path), *group = NULL;
	struct json_object *o = s ? json_tokener_parse(s) : NULL,
			   *annotations = json_object_object_get(o, "annotations");

	for (u32 i = 0; i < ARRAY_SIZE(names) && !group; i++)
		group = kept_string(annotations, names[i]);
	if (group && (strchr(group, '/') || group[0] == '.')) {
		free(group);
		group = NULL;
	}
	json_object_put(o);
	free(s);
	free(path);
	return group;
}
