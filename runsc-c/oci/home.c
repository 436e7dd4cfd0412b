/* HOME, which a program finds set although neither image nor config.json says so: from the container's /etc/passwd, as
 * runc does it. */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "oci/spec.h"

#define PASSWD_LINES 100000 /* the file is the container's */

/* NULL: it is none that can be read. */
static FILE *open_passwd(const char *rootfs)
{
	struct open_how how = { .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	int root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC),
	    fd = (int)syscall(SYS_openat2, root, "etc/passwd", &how, sizeof(how));
	struct stat st;
	FILE *f = NULL;

	if (root >= 0)
		close(root);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		f = fdopen(fd, "r");
	if (fd >= 0 && !f)
		close(fd);
	return f;
}

/* The home directory of passwd(5)'s line, if it is that of the user. */
static const char *home_in_line(char *line, u32 uid)
{
	char *field[7], *end;

	for (u32 i = 0; i < ARRAY_SIZE(field); i++) {
		field[i] = strsep(&line, ":");
		if (!field[i])
			return NULL;
	}
	return strtoul(field[2], &end, 10) == uid && end != field[2] && !*end ? field[5] : NULL;
}

static bool has_home(char *const *env)
{
	for (; *env; env++)
		if (!strncmp(*env, "HOME=", 5))
			return true;
	return false;
}

void spec_add_home(struct spec_process *p, const char *rootfs)
{
	FILE *f = has_home(p->env) ? NULL : open_passwd(rootfs);
	const char *home = NULL;
	char line[4096], *text;
	char **env;
	u32 n = 0;

	if (has_home(p->env))
		return;
	for (u32 i = 0; f && !home && i < PASSWD_LINES && fgets(line, sizeof(line), f); i++)
		home = home_in_line(line, p->uid);
	while (p->env[n])
		n++;
	env = calloc(n + 2, sizeof(*env));
	if (env && asprintf(&text, "HOME=%s", home && *home ? home : "/") >= 0) {
		memcpy(env, p->env, n * sizeof(*env));
		env[n] = text;
		p->env = env;
	}
	if (f)
		fclose(f);
}
