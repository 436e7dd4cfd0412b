#include "settings.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *dir, *name;
	enum setting_scope scope;
	u32 count;
	u64 min, max;
} table[] = {
#define SETTING(scope, dir, name, field, count, min, max) { dir, name, SETTING_##scope, count, min, max },
#include "sysctl.def"
#undef SETTING
};
_Static_assert(ARRAY_SIZE(table) <= SANDBOX_SETTINGS_MAX, "a sandbox may have each of them set");

/* "net/core" and "somaxconn" against "net.core.somaxconn". */
static bool is_named(u32 i, const char *dotted)
{
	size_t n = strlen(table[i].dir);

	for (size_t k = 0; k < n; k++)
		if (dotted[k] != (table[i].dir[k] == '/' ? '.' : table[i].dir[k]))
			return false;
	return dotted[n] == '.' && !strcmp(dotted + n + 1, table[i].name);
}

static int parse(u32 i, const char *text, u64 *numbers)
{
	u32 n = 0;

	for (;;) {
		char *end;

		while (isspace((unsigned char)*text))
			text++;
		if (!*text)
			break;
		if (n == table[i].count || !isdigit((unsigned char)*text))
			return -EINVAL;
		errno = 0;
		numbers[n] = strtoull(text, &end, 0);
		if (errno || (*end && !isspace((unsigned char)*end)) || numbers[n] < table[i].min || numbers[n] > table[i].max)
			return -EINVAL;
		n++;
		text = end;
	}
	return n == table[i].count ? 0 : -EINVAL;
}

static int set(struct start_settings *s, u32 i, const char *value)
{
	struct boot_setting b = { .setting = i };
	u32 at = 0;
	int err = parse(i, value, b.numbers);

	while (at < s->n && s->list[at].setting != i)
		at++;
	if (err)
		return err;
	s->list[at] = b;
	s->n = MAX(s->n, at + 1);
	return 0;
}

int settings_set(struct start_settings *s, const char *name, const char *value, enum setting_scope *scope)
{
	for (u32 i = 0; i < ARRAY_SIZE(table); i++)
		if (is_named(i, name)) {
			*scope = table[i].scope;
			return set(s, i, value);
		}
	return -ENOENT;
}

void settings_of_host_network(struct start_settings *s)
{
	for (u32 i = 0; i < ARRAY_SIZE(table); i++) {
		char path[128], text[128];
		ssize_t n;
		int fd;

		if (table[i].scope != SETTING_NET)
			continue;
		snprintf(path, sizeof(path), "/proc/sys/%s/%s", table[i].dir, table[i].name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		if (fd >= 0)
			close(fd);
		if (n > 0) {
			text[n] = '\0';
			set(s, i, text);
		}
	}
}

void settings_apply(const struct start_settings *s, struct sandbox_config *cfg)
{
	cfg->nsettings = s->n;
	memcpy(cfg->settings, s->list, s->n * sizeof(s->list[0]));
}
