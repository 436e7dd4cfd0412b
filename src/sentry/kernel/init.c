/* The first program: process 1, from what the command line said. */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/stat.h>

#include "base/log.h"
#include "base/string.h"
#include "fs/dev/dev.h"
#include "hostcall.h"
#include "sentry/kernel/exec.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct start {
	struct waitq done;
	bool finished;
	long err;
};

static const char *boot_string(u64 off)
{
	return pa_to_va(off);
}

/* A NULL-terminated vector of pointers from one of offsets. */
static const char **boot_vector(u64 off, u32 n)
{
	const u64 *offs = pa_to_va(off);
	const char **v = kzalloc((n + 1) * sizeof(*v));

	for (u32 i = 0; v && i < n; i++)
		v[i] = boot_string(offs[i]);
	return v;
}

static const char *env_value(const char **env, const char *name)
{
	size_t n = strlen(name);

	for (; *env; env++)
		if (!kstrncmp(*env, name, n) && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

/* A file that could be executed, as a shell decides when it searches PATH. */
static long try_path(const char *path)
{
	struct file *f = exec_open(AT_FDCWD, path, LOOKUP_FOLLOW);

	if (IS_ERR(f))
		return PTR_ERR(f);
	file_put(f);
	return 0;
}

/* execvp(3): the first that can be executed; EACCES if only such were found that cannot. */
static long search_path(const char *name, const char *path, char *out)
{
	long result = -ENOENT;

	for (;;) {
		const char *end = kstrchr(path, ':');
		int n = end ? (int)(end - path) : (int)strlen(path);
		long err;

		if (ksnprintf(out, PATH_MAX, "%.*s%s%s", n, path, n ? "/" : "./", name) < PATH_MAX) {
			err = try_path(out);
			if (!err)
				return 0;
			if (err == -EACCES)
				result = err;
		}
		if (!end)
			return result;
		path = end + 1;
	}
}

static long find_program(const char *exe, const char **env, char *out)
{
	const char *path = env_value(env, "PATH");

	if (!*exe)
		return -ENOENT;
	if (!kstrchr(exe, '/'))
		return search_path(exe, path ? path : DEFAULT_PATH, out);
	return kstrlcpy(out, exe, PATH_MAX) >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static long change_dir(const char *dir)
{
	struct fs_state *fs = current->fs;
	struct path p, old;
	int err = path_lookup(AT_FDCWD, dir, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &p);

	if (err) {
		klog(LOG_ERR, "%s: cannot change to the working directory: error %d", dir, -err);
		return err;
	}
	spin_lock(&fs->lock);
	old = fs->cwd;
	fs->cwd = p;
	fs->umask = boot_params->umask;
	spin_unlock(&fs->lock);
	path_put(&old);
	return 0;
}

static const char *why(long err)
{
	switch (err) {
	case -ENOENT: return "no such file or directory";
	case -EACCES: return "permission denied";
	case -ENOEXEC: return "not an executable file that this platform knows";
	case -ELIBBAD: return "its interpreter is not a valid ELF file";
	case -ELOOP: return "too many levels of interpreters or links";
	case -ENOMEM: return "out of memory";
	case -E2BIG: return "argument list too long";
	case -ENOTDIR: return "not a directory";
	default: return NULL;
	}
}

static void complain(const char *exe, long err)
{
	if (why(err))
		klog(LOG_ERR, "%s: %s", exe, why(err));
	else
		klog(LOG_ERR, "%s: cannot be started: error %ld", exe, -err);
}

static long exec_first(const char **argv, const char **env, char *path)
{
	const char *exe = boot_string(boot_params->exe_off);
	long err = boot_params->cwd_off ? change_dir(boot_string(boot_params->cwd_off)) : 0;

	if (err)
		return err;
	stdio_init(current->files);
	err = find_program(exe, env, path);
	if (!err)
		err = kernel_execve(path, argv, env);
	if (err)
		complain(exe, err);
	return err;
}

static long run_first(void)
{
	const char **argv = boot_vector(boot_params->argv_off, boot_params->argc);
	const char **env = boot_vector(boot_params->envp_off, boot_params->envc);
	char *path = kmalloc(PATH_MAX);
	long err = argv && env && path ? exec_first(argv, env, path) : -ENOMEM;

	kfree(argv);
	kfree(env);
	kfree(path);
	return err;
}

static void init_main(void *arg)
{
	struct start *s = arg;
	long err = run_first();

	s->err = err;
	WRITE_ONCE(s->finished, true);
	wake_up_all(&s->done);
	if (err) { /* start_init() ends the sandbox */
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule();
	}
	user_task_loop();
}

static void set_limits(struct process *p)
{
	for (u32 i = 0; i < RLIM_COUNT; i++)
		p->rlim[i] = (struct rlimit_val){ boot_params->rlimits[i][0], boot_params->rlimits[i][1] };
}


static struct cred *first_cred(void)
{
	struct cred *c = cred_alloc_init(boot_params->uid, boot_params->gid);
	u64 size = boot_params->ngroups * sizeof(u32);

	if (!c)
		return NULL;
	c->bset = boot_params->caps[0];
	c->effective = boot_params->caps[1];
	c->inheritable = boot_params->caps[2];
	c->permitted = boot_params->caps[3];
	c->ambient = boot_params->caps[4];
	c->groups = size ? kmalloc(size) : NULL;
	if (c->groups) {
		memcpy(c->groups, pa_to_va(boot_params->groups_off), size);
		c->ngroups = boot_params->ngroups;
	}
	return c;
}

long start_init(void)
{
	struct start s = { .finished = false };
	struct task *t;

	vdso_init();
	waitq_init(&s.done);
	t = fork_init_task(init_main, &s);
	if (!t) {
		klog(LOG_ERR, "no memory for the first process");
		return -ENOMEM;
	}
	set_limits(t->proc);
	t->no_new_privs = boot_params->no_new_privs;
	t->cred = first_cred();
	if (!t->cred) {
		klog(LOG_ERR, "no memory for the first process");
		return -ENOMEM;
	}
	kstrlcpy(t->comm, "init", sizeof(t->comm));
	sched_new_task(t);
	wait_event(s.done, READ_ONCE(s.finished));
	return s.err;
}
