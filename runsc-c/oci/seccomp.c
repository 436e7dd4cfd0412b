/* linux.seccomp (runtime-spec, config-linux.md "Seccomp"): compiled by libseccomp, obeyed by the sentry, for the container's programs. */
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "oci/spec.h"

#define ARGS_MAX 6u

static bool is_one_of(const char *s, const char *const *list, u32 n)
{
	for (u32 i = 0; i < n; i++)
		if (!strcmp(s, list[i]))
			return true;
	return false;
}

static bool read_action(struct json_reader *r, struct json_object *o, const char *where, const char *name, const char *errno_name, u32 *out)
{
	static const struct {
		const char *name;
		u32 action;
	} actions[] = { { "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW }, { "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD },
			{ "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD }, { "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
			{ "SCMP_ACT_TRAP", SCMP_ACT_TRAP }, { "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0) }, { "SCMP_ACT_TRACE", SCMP_ACT_TRACE(0) },
			{ "SCMP_ACT_LOG", SCMP_ACT_LOG } };
	const char *text = json_text(r, o, where, name);
	u64 data = EPERM;

	json_u64(r, o, where, errno_name, UINT16_MAX, &data);
	for (u32 i = 0; text && i < ARRAY_SIZE(actions); i++)
		if (!strcmp(text, actions[i].name)) {
			bool with_data = actions[i].action == SCMP_ACT_ERRNO(0) || actions[i].action == SCMP_ACT_TRACE(0);

			*out = actions[i].action | (with_data ? (u32)data : 0);
			return !r->failed;
		}
	json_fail(r, "%s: %s.%s: %s", r->document, where, name,
		  !text ? "missing" : !strcmp(text, "SCMP_ACT_NOTIFY") ? "SCMP_ACT_NOTIFY is not supported" : "no such action");
	return false;
}

static bool read_arg(struct json_reader *r, struct json_object *o, const char *where, struct scmp_arg_cmp *out)
{
	static const struct {
		const char *name;
		enum scmp_compare op;
	} ops[] = { { "SCMP_CMP_NE", SCMP_CMP_NE }, { "SCMP_CMP_LT", SCMP_CMP_LT }, { "SCMP_CMP_LE", SCMP_CMP_LE }, { "SCMP_CMP_EQ", SCMP_CMP_EQ },
		    { "SCMP_CMP_GE", SCMP_CMP_GE }, { "SCMP_CMP_GT", SCMP_CMP_GT }, { "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ } };
	const char *op = json_text(r, o, where, "op");
	u64 index = 0, value = 0, second = 0;

	if (!json_u64(r, o, where, "index", ARGS_MAX - 1, &index) || !json_u64(r, o, where, "value", UINT64_MAX, &value))
		json_fail(r, "%s: %s: index and value are needed", r->document, where);
	json_u64(r, o, where, "valueTwo", UINT64_MAX, &second);
	for (u32 i = 0; op && !r->failed && i < ARRAY_SIZE(ops); i++)
		if (!strcmp(op, ops[i].name)) {
			*out = (struct scmp_arg_cmp){ (u32)index, ops[i].op, value, second };
			return true;
		}
	json_fail(r, "%s: %s.op: %s: no such comparison", r->document, where, op ? op : "(missing)");
	return false;
}

/* A condition on the same argument again is another way to meet the rule: each is then a rule of its own, as with runc. */
static int add_rules(scmp_filter_ctx ctx, u32 action, int nr, const struct scmp_arg_cmp *args, u32 n)
{
	u32 seen = 0;
	bool twice = false;
	int err = 0;

	for (u32 i = 0; i < n; i++) {
		twice |= seen >> args[i].arg & 1;
		seen |= 1u << args[i].arg;
	}
	if (!twice)
		return seccomp_rule_add_array(ctx, action, nr, n, args);
	for (u32 i = 0; i < n && !err; i++)
		err = seccomp_rule_add_array(ctx, action, nr, 1, &args[i]);
	return err;
}

static void read_rule(struct json_reader *r, struct json_object *o, size_t at, u32 default_action, scmp_filter_ctx ctx)
{
	struct scmp_arg_cmp args[2 * ARGS_MAX];
	struct json_object *list;
	char where[64], inner[128];
	char **names;
	u32 action = 0, n = 0;

	snprintf(where, sizeof(where), "linux.seccomp.syscalls[%zu]", at);
	names = json_texts(r, o, where, "names");
	if (!names || !names[0])
		json_fail(r, "%s: %s.names: missing", r->document, where);
	list = json_member(r, o, where, "args", json_type_array);
	if (!r->failed)
		read_action(r, o, where, "action", "errnoRet", &action);
	for (size_t i = 0; list && !r->failed && i < json_object_array_length(list); i++) {
		snprintf(inner, sizeof(inner), "%s.args[%zu]", where, i);
		if (n == ARRAY_SIZE(args))
			json_fail(r, "%s: %s: too many conditions", r->document, inner);
		else if (read_arg(r, json_object_array_get_idx(list, i), inner, &args[n]))
			n++;
	}
	for (u32 i = 0; !r->failed && action != default_action && names[i]; i++) {
		int nr = seccomp_syscall_resolve_name(names[i]), err;

		if (nr == __NR_SCMP_ERROR) /* of a newer kernel, or another architecture: profiles name them all */
			continue;
		err = add_rules(ctx, action, nr, args, n);
		if (err && err != -EDOM)
			json_fail(r, "%s: %s: %s: %s", r->document, where, names[i], strerror(-err));
	}
	free(names);
}

static void check_rest(struct json_reader *r, struct json_object *o)
{
	static const char *const flags[] = { "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
					     "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" };
	char **list = json_texts(r, o, "linux.seccomp", "flags"), **arches = json_texts(r, o, "linux.seccomp", "architectures");
	const char *listener = json_text(r, o, "linux.seccomp", "listenerPath");

	for (u32 i = 0; list && list[i]; i++)
		if (!is_one_of(list[i], flags, ARRAY_SIZE(flags)))
			json_fail(r, "%s: linux.seccomp.flags[%u]: %s: no such flag", r->document, i, list[i]);
	for (u32 i = 0; arches && arches[i]; i++)
		if (strncmp(arches[i], "SCMP_ARCH_", 10)) /* programs of one architecture alone run here */
			json_fail(r, "%s: linux.seccomp.architectures[%u]: %s: no such architecture", r->document, i, arches[i]);
	if (listener && *listener)
		json_fail(r, "%s: linux.seccomp.listenerPath: supervisors outside the sandbox are not supported", r->document);
	free(list);
	free(arches);
}

/* The compiled program out of libseccomp, by way of a file. */
static void take_program(struct json_reader *r, scmp_filter_ctx ctx, struct spec_seccomp *out)
{
	int fd = memfd_create("seccomp", MFD_CLOEXEC), err = fd < 0 ? -errno : seccomp_export_bpf(ctx, fd);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);

	out->program = err || size <= 0 ? NULL : malloc((size_t)size);
	if (out->program && pread(fd, out->program, (size_t)size, 0) == size)
		out->len = (u32)((u64)size / sizeof(struct sock_filter));
	if (!out->len)
		json_fail(r, "%s: linux.seccomp: it cannot be compiled: %s", r->document, strerror(err ? -err : EIO));
	else if (out->len > BPF_MAXINSNS)
		json_fail(r, "%s: linux.seccomp: %u instructions: more than %d", r->document, out->len, BPF_MAXINSNS);
	if (fd >= 0)
		close(fd);
}

void spec_read_seccomp(struct spec_seccomp *out, struct json_object *linux_part, struct json_reader *r)
{
	struct json_object *o = json_member(r, linux_part, "linux", "seccomp", json_type_object);
	struct json_object *rules = json_member(r, o, "linux.seccomp", "syscalls", json_type_array);
	scmp_filter_ctx ctx;
	u32 action;

	if (!o || r->failed || !read_action(r, o, "linux.seccomp", "defaultAction", "defaultErrnoRet", &action))
		return;
	check_rest(r, o);
	ctx = seccomp_init(action);
	if (!ctx) {
		json_fail(r, "%s: linux.seccomp: out of memory", r->document);
		return;
	}
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* every call of the container's programs goes through it */
	for (size_t i = 0; rules && !r->failed && i < json_object_array_length(rules); i++)
		read_rule(r, json_object_array_get_idx(rules, i), i, action, ctx);
	if (!r->failed)
		take_program(r, ctx, out);
	seccomp_release(ctx);
}
