/* "#!" scripts, execve(2): interpreter, at most one argument, then the script's name and the caller's arguments but the first. */
#include <asm/fcntl.h>
#include <linux/errno.h>
#include <linux/fcntl.h>

#include "base/string.h"
#include "sentry/kernel/exec.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Cut the line into interpreter and argument, in place. -ENOEXEC when it has no name, or one cut off by the buffer's end. */
static long cut_line(char *line, u32 len, char **interp, char **arg)
{
	char *p, *end = NULL;

	line[len] = 0;
	for (p = line; p < line + len && *p != '\n' && *p; p++)
		;
	end = p;
	bool whole = end < line + len || len < EXEC_HEAD_SIZE - 2;

	*end = 0;
	while (end > line && blank(end[-1]))
		*--end = 0;
	for (p = line; blank(*p); p++)
		;
	if (!*p)
		return -ENOEXEC;
	*interp = p;
	while (*p && !blank(*p))
		p++;
	if (!*p && !whole)
		return -ENOEXEC;
	*arg = NULL;
	if (*p) {
		*p++ = 0;
		while (blank(*p))
			p++;
		*arg = *p ? p : NULL;
	}
	return 0;
}

long load_script(struct binprm *b)
{
	char line[EXEC_HEAD_SIZE], *interp, *arg;
	struct file *f;
	long err;

	memcpy(line, b->head + 2, b->head_len - 2);
	err = cut_line(line, b->head_len - 2, &interp, &arg);
	if (err)
		return err;
	if (b->path_inaccessible)
		return -ENOENT;
	exec_drop_first_arg(&b->args);
	if ((err = exec_prepend_arg(&b->args, b->interp ? b->interp : b->filename)) || (arg && (err = exec_prepend_arg(&b->args, arg))) ||
	    (err = exec_prepend_arg(&b->args, interp)))
		return err;
	f = exec_open(AT_FDCWD, interp, LOOKUP_FOLLOW);
	if (IS_ERR(f))
		return PTR_ERR(f);
	file_put(b->file);
	b->file = f;
	kfree(b->interp);
	b->interp = kstrdup(interp);
	if (!b->interp)
		return -ENOMEM;
	return 0;
}
