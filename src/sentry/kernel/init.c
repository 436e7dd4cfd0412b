/* Programs that are started from outside: process 1, from what the command line said, and those of spawn.c. */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/stat.h>

#include "base/log.h"
#include "base/string.h"
#include "fs/dev/dev.h"
#include "hostcall.h"
#include "sentry/kernel/exec.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct start {
	const struct program *program;
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
	case -ENAMETOOLONG: return "file name too long";
	case -EIO: return "input/output error";
	case -ETXTBSY: return "is being written";
	default: return NULL;
	}
}

static long change_dir(const char *dir, u32 umask, bool complain)
{
	struct fs_state *fs = current->fs;
	struct path p, old;
	int err = path_lookup(AT_FDCWD, dir, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &p);

	if (err && complain)
		klog(LOG_ERR, "%.256s: cannot change to the working directory: %s", dir, why(err) ? why(err) : "unknown error");
	if (err)
		return err;
	spin_lock(&fs->lock);
	old = fs->cwd;
	fs->cwd = p;
	fs->umask = umask;
	spin_unlock(&fs->lock);
	path_put(&old);
	return 0;
}

static void complain(const char *exe, long err)
{
	if (why(err))
		klog(LOG_ERR, "%.256s: %s", exe, why(err));
	else
		klog(LOG_ERR, "%.256s: cannot be started: error %ld", exe, -err);
}

static long exec_program(const struct program *p, char *path)
{
	long err = stdio_init(p->stdio, p->tty); /* first: what fails closes them */

	if (err)
		return err;
	err = change_dir(p->cwd, p->umask, p->complain);
	if (err) { /* which is no fault of the program: said by itself */
		*p->cwd_failed = true;
		return err;
	}
	err = find_program(p->exe, p->env, path);
	if (!err)
		err = kernel_execve(path, p->argv, p->env);
	if (err && p->complain)
		complain(p->exe, err);
	return err;
}

/* ---- a first program that is held, as that of a container which was created and not started ---- */

static struct waitq release_wait = WAITQ_INIT(release_wait);
static bool released;

void release_init(void)
{
	WRITE_ONCE(released, true);
	wake_up_all(&release_wait);
}

static void hold_init(void)
{
	spawn_allow();
	spawn_ready();
	wait_event(release_wait, READ_ONCE(released));
}

static void program_main(void *arg)
{
	struct start *s = arg;
	char *path = kmalloc(PATH_MAX);
	bool first = !current->proc->spawn_id;
	long err;

	if (first && boot_params->held)
		hold_init();
	err = path ? exec_program(s->program, path) : -ENOMEM;
	kfree(path);
	/* What is said of it comes in order: that it was started, and later that it ended; of one that was not, only why. */
	if (err)
		current->proc->spawn_id = 0;
	if (first)
		ask_answer_start(*s->program->cwd_failed ? SPAWN_NO_CWD : SPAWN_ANSWERED, err);
	else if (!err)
		spawn_started(current->proc->spawn_id);
	s->err = err;
	WRITE_ONCE(s->finished, true);
	wake_up_all(&s->done); /* s may be gone from here on */
	if (err && first) { /* start_init()'s caller ends the sandbox, with the status that says why */
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule();
	}
	if (err)
		do_exit(127 << 8);
	user_task_loop();
}

static struct cred *program_cred(const struct program *p)
{
	struct cred *c = cred_alloc_init(p->uid, p->gid);
	u64 size = p->ngroups * sizeof(u32);

	if (!c)
		return NULL;
	c->bset = p->caps[0];
	c->effective = p->caps[1];
	c->inheritable = p->caps[2];
	c->permitted = p->caps[3];
	c->ambient = p->caps[4];
	c->groups = size ? kmalloc(size) : NULL;
	if (c->groups) {
		memcpy(c->groups, p->groups, size);
		c->ngroups = p->ngroups;
	}
	return c;
}

long start_program(const struct program *p)
{
	struct start s = { .program = p };
	struct task *t;

	waitq_init(&s.done);
	t = fork_program(program_main, &s, p->spawn_id);
	if (!t) {
		klog(LOG_ERR, "no memory for a process");
		return -ENOMEM;
	}
	for (u32 i = 0; i < RLIM_COUNT; i++)
		t->proc->rlim[i] = (struct rlimit_val){ p->rlimits[i][0], p->rlimits[i][1] };
	for (u32 i = 0; i < SIG_COUNT; i++)
		if (p->ignored_signals >> i & 1)
			t->sighand->action[i].handler = K_SIG_IGN;
	t->no_new_privs = p->no_new_privs;
	t->proc->oom_score_adj = p->oom_score_adj;
	t->cred = program_cred(p);
	BUG_ON(!t->cred);
	if (sched_start(t, p->scheduling)) /* the host side checked it, too */
		klog(LOG_WARN, "a program's scheduling is not valid, and left out");
	s.err = seccomp_start(t);
	if (s.err)
		panic("the container's seccomp filter: error %ld", -s.err);
	kstrlcpy(t->comm, "init", sizeof(t->comm));
	sched_new_task(t);
	wait_event(s.done, READ_ONCE(s.finished));
	return s.err;
}

long start_init(void)
{
	const struct boot_params *b = boot_params;
	bool cwd_failed = false;
	struct program p = {
		.argv = boot_vector(b->argv_off, b->argc), .env = boot_vector(b->envp_off, b->envc), .exe = boot_string(b->exe_off),
		.cwd = boot_string(b->cwd_off), .umask = b->umask, .stdio = b->stdio, .tty = &console, .uid = b->uid, .gid = b->gid,
		.caps = b->caps, .groups = pa_to_va(b->groups_off), .ngroups = b->ngroups, .rlimits = b->rlimits,
		.no_new_privs = b->no_new_privs, .oom_score_adj = b->oom_score_adj, .scheduling = &b->scheduling,
		.ignored_signals = b->ignored_signals, .complain = !b->held, .cwd_failed = &cwd_failed,
	};
	long err;

	vdso_init();
	console_init();
	err = p.argv && p.env ? start_program(&p) : -ENOMEM;
	if (!err)
		spawn_allow();
	kfree(p.argv);
	kfree(p.env);
	return err;
}
