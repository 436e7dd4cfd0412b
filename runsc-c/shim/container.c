#include "shim/container.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "messages.pb-c.h"
#include "shim/command.h"
#include "shim/shim.h"

struct container *containers;

/* Ends that belong to nobody yet: a program may end before the command that starts it has said which process stands for
 * it. */
static struct stray {
	pid_t pid;
	int status;
	struct stray *next;
} * strays;

struct container *container_find(const char *id)
{
	struct container *c = containers;

	while (c && strcmp(c->id, id))
		c = c->next;
	return c;
}

struct container *container_new(const char *id, const char *bundle)
{
	struct container *c = must(calloc(1, sizeof(*c)));

	c->id = copy_of(id);
	c->bundle = copy_of(bundle);
	c->oom.fd = -1;
	c->next = containers;
	containers = c;
	return c;
}

void container_free(struct container *c)
{
	struct container **p = &containers;

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	while (c->processes)
		process_free(c->processes);
	watch_remove(&c->oom);
	free(c->id);
	free(c->bundle);
	free(c->binary);
	free(c->root);
	free(c->config);
	free(c);
}

struct process *process_find(struct container *c, const char *exec_id)
{
	struct process *p = c->processes;

	while (p && strcmp(p->exec_id, exec_id))
		p = p->next;
	return p;
}

struct process *process_new(struct container *c, const char *exec_id)
{
	struct process *p = must(calloc(1, sizeof(*p)));

	p->container = c;
	p->exec_id = copy_of(exec_id);
	io_init(&p->io);
	p->next = c->processes;
	c->processes = p;
	return p;
}

void process_free(struct process *p)
{
	struct process **at = &p->container->processes;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	while (p->waiting) {
		struct waiting *w = p->waiting;

		p->waiting = w->next;
		call_fail(w->call, RPC_NOT_FOUND, "process %s of container %s was deleted: not found", p->exec_id,
			  p->container->id);
		free(w);
	}
	io_close(&p->io);
	free(p->exec_id);
	free(p->spec);
	free(p);
}

static void answer_wait(const struct process *p, struct call *call)
{
	WaitResponse r = WAIT_RESPONSE__INIT;
	Timestamp at = TIMESTAMP__INIT;

	at.seconds = p->exited_at.tv_sec;
	at.nanos = (s32)p->exited_at.tv_nsec;
	r.exit_status = p->exit_status;
	r.exited_at = &at;
	call_answer(call, &r.base);
}

static void tell_end(struct process *p)
{
	TaskExit e = TASK_EXIT__INIT;
	Timestamp at = TIMESTAMP__INIT;

	at.seconds = p->exited_at.tv_sec;
	at.nanos = (s32)p->exited_at.tv_nsec;
	e.container_id = p->container->id;
	e.id = p->exec_id[0] ? p->exec_id : p->container->id;
	e.pid = (u32)p->pid;
	e.exit_status = p->exit_status;
	e.exited_at = &at;
	publish("/tasks/exit", "containerd.events.TaskExit", &e.base);
	while (p->waiting) {
		struct waiting *w = p->waiting;

		p->waiting = w->next;
		answer_wait(p, w->call);
		free(w);
	}
}

static void end(struct process *p, int status)
{
	p->state = PROCESS_STOPPED;
	p->exit_status = WIFSIGNALED(status) ? 128 + (u32)WTERMSIG(status) : (u32)WEXITSTATUS(status);
	clock_gettime(CLOCK_REALTIME, &p->exited_at);
	io_ended(&p->io);
	if (!p->starting)
		tell_end(p);
}

void process_started(struct process *p)
{
	p->starting = false;
	if (p->state == PROCESS_STOPPED)
		tell_end(p);
}

void process_wait(struct process *p, struct call *call)
{
	struct waiting *w;

	if (p->state == PROCESS_STOPPED && !p->starting) {
		answer_wait(p, call);
		return;
	}
	w = must(malloc(sizeof(*w)));
	*w = (struct waiting){call, p->waiting};
	p->waiting = w;
}

void process_reaped(pid_t pid, int status)
{
	struct stray *s;

	for (struct container *c = containers; c; c = c->next)
		for (struct process *p = c->processes; p; p = p->next)
			if (p->pid == pid && p->state != PROCESS_STOPPED) {
				end(p, status);
				return;
			}
	if (!command_running())
		return;
	s = must(malloc(sizeof(*s)));
	*s = (struct stray){pid, status, strays};
	strays = s;
}

bool process_set_pid(struct process *p, const char *pid_file)
{
	char *s = read_text(pid_file);
	struct stray **at = &strays;

	unlink(pid_file);
	p->pid = s ? (pid_t)strtol(s, NULL, 10) : 0;
	free(s);
	if (p->pid <= 0)
		return false;
	while (*at && (*at)->pid != p->pid)
		at = &(*at)->next;
	if (*at) {
		struct stray *found = *at;

		*at = found->next;
		end(p, found->status);
		free(found);
	}
	while (strays && !command_running()) {
		struct stray *s2 = strays;

		strays = s2->next;
		free(s2);
	}
	return true;
}
