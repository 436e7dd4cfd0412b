#include "oci/spec.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "oci/devices.h"
#include "oci/sysctl.h"

/* ---- process ---- */

static void read_user(struct spec_process *p, struct json_object *process, struct json_reader *r)
{
	struct json_object *user = json_member(r, process, "process", "user", json_type_object), *list;
	u64 v;

	if (json_u64(r, user, "process.user", "uid", UINT32_MAX, &v))
		p->uid = (u32)v;
	if (json_u64(r, user, "process.user", "gid", UINT32_MAX, &v))
		p->gid = (u32)v;
	if (json_u64(r, user, "process.user", "umask", 0777, &v))
		p->umask = (u32)v;
	list = json_member(r, user, "process.user", "additionalGids", json_type_array);
	if (!list)
		return;
	if (json_object_array_length(list) > NGROUPS_MAX) {
		json_fail(r, "%s: process.user.additionalGids: more than %d groups", r->document, NGROUPS_MAX);
		return;
	}
	p->ngroups = (u32)json_object_array_length(list);
	p->groups = calloc(p->ngroups + 1u, sizeof(u32));
	for (u32 i = 0; p->groups && i < p->ngroups; i++) {
		struct json_object *g = json_object_array_get_idx(list, i);

		if (!json_object_is_type(g, json_type_int) || json_object_get_int64(g) < 0 || json_object_get_int64(g) > UINT32_MAX)
			json_fail(r, "%s: process.user.additionalGids[%u]: not a group id", r->document, i);
		else
			p->groups[i] = (u32)json_object_get_int64(g);
	}
}

static void read_capabilities(struct spec_process *p, struct json_object *process, struct json_reader *r)
{
	static const char *const sets[5] = { "bounding", "effective", "inheritable", "permitted", "ambient" };
	struct json_object *caps = json_member(r, process, "process", "capabilities", json_type_object);

	for (u32 i = 0; caps && i < ARRAY_SIZE(sets); i++) {
		char **names = json_texts(r, caps, "process.capabilities", sets[i]);

		p->caps[i] = 0;
		for (u32 n = 0; names && names[n]; n++) {
			cap_value_t cap;

			/* As the spec has it: what this host does not know is left out with a warning. */
			if (cap_from_name(names[n], &cap) == 0)
				p->caps[i] |= 1ull << cap;
			else
				fprintf(stderr, "runsc-c: warning: process.capabilities.%s: %s: no such capability\n", sets[i], names[n]);
		}
		free(names);
	}
}

static void read_rlimits(struct spec_process *p, struct json_object *process, struct json_reader *r)
{
	static const char *const names[SPEC_RLIMITS] = {
		[RLIMIT_CPU] = "RLIMIT_CPU", [RLIMIT_FSIZE] = "RLIMIT_FSIZE", [RLIMIT_DATA] = "RLIMIT_DATA", [RLIMIT_STACK] = "RLIMIT_STACK",
		[RLIMIT_CORE] = "RLIMIT_CORE", [RLIMIT_RSS] = "RLIMIT_RSS", [RLIMIT_NPROC] = "RLIMIT_NPROC",
		[RLIMIT_NOFILE] = "RLIMIT_NOFILE", [RLIMIT_MEMLOCK] = "RLIMIT_MEMLOCK", [RLIMIT_AS] = "RLIMIT_AS",
		[RLIMIT_LOCKS] = "RLIMIT_LOCKS", [RLIMIT_SIGPENDING] = "RLIMIT_SIGPENDING", [RLIMIT_MSGQUEUE] = "RLIMIT_MSGQUEUE",
		[RLIMIT_NICE] = "RLIMIT_NICE", [RLIMIT_RTPRIO] = "RLIMIT_RTPRIO", [RLIMIT_RTTIME] = "RLIMIT_RTTIME",
	};
	struct json_object *list = json_member(r, process, "process", "rlimits", json_type_array);
	u32 seen = 0;

	for (size_t i = 0; list && !r->failed && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		char where[64];
		const char *type;
		u32 n = 0;

		snprintf(where, sizeof(where), "process.rlimits[%zu]", i);
		type = json_text(r, o, where, "type");

		while (type && n < SPEC_RLIMITS && strcmp(type, names[n]))
			n++;
		if (!type || n == SPEC_RLIMITS) {
			json_fail(r, "%s: process.rlimits[%zu].type: %s: no such limit", r->document, i, type ? type : "(missing)");
			return;
		}
		if (seen & 1u << n)
			json_fail(r, "%s: process.rlimits[%zu].type: %s is there twice", r->document, i, type);
		seen |= 1u << n;
		if (!json_u64(r, o, where, "soft", UINT64_MAX, &p->rlimits[n][0]) || !json_u64(r, o, where, "hard", UINT64_MAX, &p->rlimits[n][1]))
			json_fail(r, "%s: %s: soft and hard are needed", r->document, where);
		if (p->rlimits[n][0] > p->rlimits[n][1])
			json_fail(r, "%s: process.rlimits[%zu]: the soft limit is above the hard one", r->document, i);
	}
}

static void check_process(const struct spec_process *p, struct json_reader *r)
{
	if (!p->args || !p->args[0])
		json_fail(r, "%s: process.args: a program is needed", r->document);
	else if (!p->cwd || p->cwd[0] != '/')
		json_fail(r, "%s: process.cwd: an absolute path is needed", r->document);
}

void spec_default_process(struct spec_process *p)
{
	FILE *f = fopen("/proc/self/oom_score_adj", "re");

	memset(p, 0, sizeof(*p));
	if (f && fscanf(f, "%d", &p->oom_score_adj) != 1)
		p->oom_score_adj = 0;
	if (f)
		fclose(f);
	for (u32 i = 0; i < SPEC_RLIMITS; i++) {
		struct rlimit host = { RLIM_INFINITY, RLIM_INFINITY };

		getrlimit(i, &host);
		p->rlimits[i][0] = host.rlim_cur;
		p->rlimits[i][1] = host.rlim_max;
	}
}

void spec_read_process(struct spec_process *p, struct json_object *o, struct json_reader *r)
{
	struct json_object *size = json_member(r, o, "process", "consoleSize", json_type_object);
	s64 adj;
	u64 v;

	p->umask = ~0u;
	p->terminal = json_flag(r, o, "process", "terminal");
	if (json_u64(r, size, "process.consoleSize", "height", UINT16_MAX, &v))
		p->rows = (u32)v;
	if (json_u64(r, size, "process.consoleSize", "width", UINT16_MAX, &v))
		p->columns = (u32)v;
	p->args = json_texts(r, o, "process", "args");
	p->env = json_texts(r, o, "process", "env");
	if (!p->env)
		p->env = calloc(1, sizeof(*p->env));
	p->cwd = json_text(r, o, "process", "cwd");
	if (json_s64(r, o, "process", "oomScoreAdj", &adj)) {
		p->oom_score_adj = (s32)adj;
		if (adj < -1000 || adj > 1000)
			json_fail(r, "%s: process.oomScoreAdj: not a number from -1000 to 1000", r->document);
	}
	p->no_new_privs = json_flag(r, o, "process", "noNewPrivileges");
	read_user(p, o, r);
	read_capabilities(p, o, r);
	read_rlimits(p, o, r);
	spec_read_scheduling(&p->scheduling, o, r);
	check_process(p, r);
}

/* ---- mounts ---- */

static const struct {
	const char *name;
	u32 set, clear;
} mount_options[] = {
	{ "ro", MS_RDONLY, 0 }, { "rw", 0, MS_RDONLY }, { "nosuid", MS_NOSUID, 0 }, { "suid", 0, MS_NOSUID }, { "nodev", MS_NODEV, 0 },
	{ "dev", 0, MS_NODEV }, { "noexec", MS_NOEXEC, 0 }, { "exec", 0, MS_NOEXEC }, { "sync", MS_SYNCHRONOUS, 0 },
	{ "async", 0, MS_SYNCHRONOUS }, { "noatime", MS_NOATIME, 0 }, { "atime", 0, MS_NOATIME }, { "nodiratime", MS_NODIRATIME, 0 },
	{ "diratime", 0, MS_NODIRATIME }, { "relatime", MS_RELATIME, 0 }, { "norelatime", 0, MS_RELATIME },
	{ "strictatime", MS_STRICTATIME, 0 }, { "nostrictatime", 0, MS_STRICTATIME }, { "bind", MS_BIND, 0 }, { "rbind", MS_BIND, 0 },
	{ "defaults", 0, 0 },
	/* Nothing is shared with a mount of the sandbox: there is nobody to propagate to. */
	{ "private", 0, 0 }, { "rprivate", 0, 0 }, { "slave", 0, 0 }, { "rslave", 0, 0 }, { "shared", 0, 0 }, { "rshared", 0, 0 },
	{ "unbindable", 0, 0 }, { "runbindable", 0, 0 },
};

const char *spec_mount_option(u32 i)
{
	return i < ARRAY_SIZE(mount_options) ? mount_options[i].name : NULL;
}

static void add_data(struct spec_mount *m, const char *option)
{
	char *longer;

	if (asprintf(&longer, "%s%s%s", m->data ? m->data : "", m->data ? "," : "", option) < 0)
		return;
	free(m->data);
	m->data = longer;
}

static void read_option(struct spec_mount *m, const char *option)
{
	for (u32 i = 0; i < ARRAY_SIZE(mount_options); i++)
		if (!strcmp(option, mount_options[i].name)) {
			m->flags = (m->flags & ~mount_options[i].clear) | mount_options[i].set;
			return;
		}
	add_data(m, option);
}

static void read_mounts(struct spec *spec, struct json_reader *r)
{
	struct json_object *list = json_member(r, spec->document, "", "mounts", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0;

	if (n > SPEC_MOUNTS_MAX) {
		json_fail(r, "%s: mounts: more than %d", r->document, SPEC_MOUNTS_MAX);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		struct spec_mount *m = &spec->mounts[spec->nmounts++];
		char where[32], **options;

		snprintf(where, sizeof(where), "mounts[%zu]", i);
		options = json_texts(r, o, where, "options");
		m->target = json_text(r, o, where, "destination");
		m->type = json_text(r, o, where, "type");
		m->source = json_text(r, o, where, "source");
		for (u32 k = 0; options && options[k]; k++) {
			if (!strcmp(options[k], "idmap") || !strcmp(options[k], "ridmap"))
				json_fail(r, "%s: %s.options[%u]: id-mapped mounts are not supported", r->document, where, k);
			read_option(m, options[k]);
		}
		free(options);
		m->is_bind = m->flags & MS_BIND || (m->type && !strcmp(m->type, "bind"));
		m->flags &= ~(u32)MS_BIND;
		if (!m->target || m->target[0] != '/')
			json_fail(r, "%s: mounts[%zu].destination: an absolute path is needed", r->document, i);
		else if (strlen(m->target) >= PATH_MAX)
			json_fail(r, "%s: mounts[%zu].destination: the path is too long", r->document, i);
		else if (m->is_bind && !m->source)
			json_fail(r, "%s: mounts[%zu].source: a bind mount needs one", r->document, i);
		else if (!m->is_bind && !m->type)
			json_fail(r, "%s: mounts[%zu].type: missing", r->document, i);
		if (json_member(r, o, where, "uidMappings", json_type_array) || json_member(r, o, where, "gidMappings", json_type_array))
			json_fail(r, "%s: mounts[%zu]: id-mapped mounts are not supported", r->document, i);
	}
}

/* ---- the whole ---- */

static void read_root(struct spec *spec, const char *bundle, struct json_reader *r)
{
	struct json_object *root = json_member(r, spec->document, "", "root", json_type_object);
	const char *path = json_text(r, root, "root", "path");
	char joined[PATH_MAX];
	struct stat st;

	if (!path) {
		json_fail(r, "%s: root.path: missing", r->document);
		return;
	}
	snprintf(joined, sizeof(joined), "%s%s%s", path[0] == '/' ? "" : bundle, path[0] == '/' ? "" : "/", path);
	spec->rootfs = realpath(joined, NULL);
	if (!spec->rootfs || stat(spec->rootfs, &st) < 0 || !S_ISDIR(st.st_mode))
		json_fail(r, "%s: root.path: %s: %s", r->document, joined, spec->rootfs ? strerror(ENOTDIR) : strerror(errno));
	spec->root_readonly = json_flag(r, root, "root", "readonly");
}

static void check_version(struct spec *spec, struct json_reader *r)
{
	const char *v = json_text(r, spec->document, "", "ociVersion");

	if (!v)
		json_fail(r, "%s: ociVersion: missing", r->document);
	else if (strspn(v, "0123456789.") < 5 || strncmp(v, "1.", 2)) /* SemVer 2.0.0: three numbers, perhaps a suffix */
		json_fail(r, "%s: ociVersion: %s: only versions 1.x.y are known", r->document, v);
}

static char **read_paths(struct json_reader *r, struct json_object *linux_part, const char *name)
{
	char **list = json_texts(r, linux_part, "linux", name);

	for (u32 i = 0; list && list[i]; i++)
		if (list[i][0] != '/')
			json_fail(r, "%s: linux.%s[%u]: %s: an absolute path is needed", r->document, name, i, list[i]);
		else if (strlen(list[i]) >= PATH_MAX)
			json_fail(r, "%s: linux.%s[%u]: the path is too long", r->document, name, i);
	return list;
}

/* Names that only a namespace of its own may have (config.md, "Hostname", "Domainname"). */
static void check_names(const struct spec *spec, struct json_reader *r)
{
	static const char *const names[] = { "hostname", "domainname" };
	const char *const values[] = { spec->hostname, spec->domainname };

	for (u32 i = 0; i < ARRAY_SIZE(names) && !r->failed; i++) {
		if (!values[i] || !values[i][0])
			continue;
		if (!namespaces_has(&spec->namespaces, CLONE_NEWUTS))
			json_fail(r, "%s: %s: unable to set it without a private UTS namespace", r->document, names[i]);
		else if (strlen(values[i]) > 64)
			json_fail(r, "%s: %s: longer than 64 bytes", r->document, names[i]);
	}
}

/* What is refused rather than left out: a program would run with less than it was promised. */
static void check_linux(struct json_object *linux_part, struct json_reader *r)
{
	static const char *const kinds[] = { "private", "shared", "slave", "unbindable", "rprivate", "rshared", "rslave", "runbindable" };
	const char *kind = json_text(r, linux_part, "linux", "rootfsPropagation");
	struct json_object *personality = json_member(r, linux_part, "linux", "personality", json_type_object);
	const char *domain = json_text(r, personality, "linux.personality", "domain");
	char **flags = json_texts(r, personality, "linux.personality", "flags");
	u32 i = 0;

	while (kind && *kind && i < ARRAY_SIZE(kinds) && strcmp(kind, kinds[i]))
		i++;
	if (i == ARRAY_SIZE(kinds))
		json_fail(r, "%s: linux.rootfsPropagation: %s: no such propagation", r->document, kind);
	if (personality && (!domain || (strcmp(domain, "LINUX") && strcmp(domain, "LINUX32"))))
		json_fail(r, "%s: linux.personality.domain: %s: neither LINUX nor LINUX32", r->document, domain ? domain : "missing");
	else if (personality && !strcmp(domain, "LINUX32"))
		json_fail(r, "%s: linux.personality.domain: LINUX32 is not supported", r->document);
	if (flags && flags[0]) /* the spec has none yet */
		json_fail(r, "%s: linux.personality.flags[0]: %s: no such flag", r->document, flags[0]);
	free(flags);
	if (json_member(r, linux_part, "linux", "intelRdt", json_type_object))
		json_fail(r, "%s: linux.intelRdt: not supported", r->document);
	json_text(r, linux_part, "linux", "mountLabel"); /* there is no SELinux inside */
}

/* config.md, "Annotations": values are strings, and no key is empty. */
static void check_annotations(const struct spec *spec, struct json_reader *r)
{
	if (!spec->annotations)
		return;
	json_object_object_foreach(spec->annotations, key, value) {
		if (!*key)
			json_fail(r, "%s: annotations: an empty key", r->document);
		else if (!json_object_is_type(value, json_type_string))
			json_fail(r, "%s: annotations.%s: a string is needed", r->document, key);
	}
}

bool spec_read(struct spec *spec, const char *bundle, struct json_reader *r)
{
	struct json_object *process, *linux_part;

	if (!json_object_is_type(spec->document, json_type_object))
		json_fail(r, "%s: an object is needed", r->document);
	if (r->failed)
		return false;
	check_version(spec, r);
	read_root(spec, bundle, r);
	process = json_member(r, spec->document, "", "process", json_type_object);
	if (!process)
		json_fail(r, "%s: process: missing", r->document);
	spec_default_process(&spec->process);
	spec_read_process(&spec->process, process, r);
	spec->hostname = json_text(r, spec->document, "", "hostname");
	spec->domainname = json_text(r, spec->document, "", "domainname");
	read_mounts(spec, r);
	linux_part = json_member(r, spec->document, "", "linux", json_type_object);
	namespaces_read(&spec->namespaces, linux_part, r);
	spec_read_seccomp(&spec->seccomp, linux_part, r);
	sysctl_read(&spec->settings, spec, linux_part, r);
	spec->devices = devices_read(&spec->ndevices, linux_part, r);
	check_names(spec, r);
	check_linux(linux_part, r);
	spec->cgroups_path = json_text(r, linux_part, "linux", "cgroupsPath");
	spec->masked_paths = read_paths(r, linux_part, "maskedPaths");
	spec->readonly_paths = read_paths(r, linux_part, "readonlyPaths");
	spec->resources = json_member(r, linux_part, "linux", "resources", json_type_object);
	spec->hooks = json_member(r, spec->document, "", "hooks", json_type_object);
	spec->annotations = json_member(r, spec->document, "", "annotations", json_type_object);
	check_annotations(spec, r);
	return !r->failed;
}

bool spec_load(struct spec *spec, const char *bundle, struct json_reader *r)
{
	static char path[PATH_MAX];

	memset(spec, 0, sizeof(*spec));
	snprintf(path, sizeof(path), "%s/config.json", bundle);
	spec->document = json_load(r, path);
	return !r->failed && spec_read(spec, bundle, r);
}

const char spec_template[] =
	"{\n\t\"ociVersion\": \"" SPEC_VERSION "\",\n"
	"\t\"process\": {\n\t\t\"terminal\": true,\n\t\t\"user\": { \"uid\": 0, \"gid\": 0 },\n\t\t\"args\": [ \"sh\" ],\n"
	"\t\t\"env\": [ \"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\", \"TERM=xterm\" ],\n\t\t\"cwd\": \"/\",\n"
	"\t\t\"capabilities\": {\n"
	"\t\t\t\"bounding\": [ \"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\" ],\n"
	"\t\t\t\"effective\": [ \"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\" ],\n"
	"\t\t\t\"permitted\": [ \"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\" ]\n\t\t},\n"
	"\t\t\"rlimits\": [ { \"type\": \"RLIMIT_NOFILE\", \"hard\": 1024, \"soft\": 1024 } ],\n\t\t\"noNewPrivileges\": true\n\t},\n"
	"\t\"root\": { \"path\": \"rootfs\", \"readonly\": true },\n\t\"hostname\": \"runsc-c\",\n"
	"\t\"mounts\": [\n"
	"\t\t{ \"destination\": \"/proc\", \"type\": \"proc\", \"source\": \"proc\" },\n"
	"\t\t{ \"destination\": \"/dev\", \"type\": \"tmpfs\", \"source\": \"tmpfs\", \"options\": [ \"nosuid\", \"strictatime\", \"mode=755\", \"size=65536k\" ] },\n"
	"\t\t{ \"destination\": \"/dev/pts\", \"type\": \"devpts\", \"source\": \"devpts\", \"options\": [ \"nosuid\", \"noexec\", \"newinstance\", \"ptmxmode=0666\", \"mode=0620\", \"gid=5\" ] },\n"
	"\t\t{ \"destination\": \"/dev/shm\", \"type\": \"tmpfs\", \"source\": \"shm\", \"options\": [ \"nosuid\", \"noexec\", \"nodev\", \"mode=1777\", \"size=65536k\" ] },\n"
	"\t\t{ \"destination\": \"/dev/mqueue\", \"type\": \"mqueue\", \"source\": \"mqueue\", \"options\": [ \"nosuid\", \"noexec\", \"nodev\" ] },\n"
	"\t\t{ \"destination\": \"/sys\", \"type\": \"sysfs\", \"source\": \"sysfs\", \"options\": [ \"nosuid\", \"noexec\", \"nodev\", \"ro\" ] }\n\t],\n"
	"\t\"linux\": {\n\t\t\"resources\": { \"devices\": [ { \"allow\": false, \"access\": \"rwm\" } ] },\n"
	"\t\t\"namespaces\": [ { \"type\": \"pid\" }, { \"type\": \"network\" }, { \"type\": \"ipc\" }, { \"type\": \"uts\" }, { \"type\": \"mount\" }, { \"type\": \"cgroup\" } ],\n"
	"\t\t\"maskedPaths\": [ \"/proc/acpi\", \"/proc/kcore\", \"/proc/keys\", \"/proc/timer_list\", \"/sys/firmware\" ],\n"
	"\t\t\"readonlyPaths\": [ \"/proc/bus\", \"/proc/fs\", \"/proc/irq\", \"/proc/sys\", \"/proc/sysrq-trigger\" ]\n\t}\n}\n";
