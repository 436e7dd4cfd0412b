/* The methods of containerd.task.v2.Task. What takes runsc-c is answered when that has ended. */
#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "messages.pb-c.h"
#include "shim/command.h"
#include "shim/container.h"
#include "shim/setup.h"
#include "shim/shim.h"
#include "version.h"

/* ---- what calls name ---- */

/* The container, or NULL and the call is answered. */
static struct container *named(struct call *call, const char *id)
{
	struct container *c = container_find(id);

	if (!c || c->deleting)
		call_fail(call, RPC_NOT_FOUND, "container %s: not found", id);
	return c && !c->deleting ? c : NULL;
}

static struct process *named_process(struct call *call, const char *id, const char *exec_id)
{
	struct container *c = named(call, id);
	struct process *p = c ? process_find(c, exec_id) : NULL;

	if (c && !p)
		call_fail(call, RPC_NOT_FOUND, "process %s of container %s: not found", exec_id, id);
	return p;
}

static struct process *first_of(struct container *c)
{
	return process_find(c, "");
}

static void fill_time(Timestamp *t, const struct process *p)
{
	timestamp__init(t);
	t->seconds = p->exited_at.tv_sec;
	t->nanos = (s32)p->exited_at.tv_nsec;
}

/* The words are runc's: engines look for them. */
static void call_fail_of(struct call *call, const struct command *c, const char *what)
{
	bool gone =
	    strstr(c->why, "does not exist") || strstr(c->why, "not running") || strstr(c->why, "no such process");

	call_fail(call, gone ? RPC_NOT_FOUND : RPC_UNKNOWN, "%s: %s: %s", what, c->why, gone ? "not found" : "unknown");
}

/* A command whose end is the whole answer. */
static void simply_done(struct command *c, bool ok)
{
	if (ok)
		call_done(c->arg);
	else
		call_fail_of(c->arg, c, "OCI runtime failed");
}

/* ---- Create ---- */

static void created(struct command *cmd, bool ok)
{
	struct container *c = cmd->arg2;
	struct process *p = first_of(c);
	CreateTaskResponse r = CREATE_TASK_RESPONSE__INIT;
	TaskCreate e = TASK_CREATE__INIT;
	TaskIO io = TASK_IO__INIT;
	char *pid_file = text("%s/init.pid", c->bundle);
	bool have = process_set_pid(p, pid_file);

	free(pid_file);
	if (!ok || !have) {
		call_fail(cmd->arg, RPC_UNKNOWN, "OCI runtime create failed: %s: unknown",
			  cmd->why ? cmd->why : "there is no pid file");
		if (c->mounted)
			rootfs_unmount(c->bundle);
		container_free(c);
		return;
	}
	if (p->state == PROCESS_NEW)
		p->state = PROCESS_CREATED;
	r.pid = (u32)p->pid;
	oom_watch(c);
	io.stdin = p->io.in;
	io.stdout = p->io.out;
	io.stderr = p->io.err;
	io.terminal = p->io.terminal;
	e.container_id = c->id;
	e.bundle = c->bundle;
	e.io = &io;
	e.pid = (u32)p->pid;
	publish("/tasks/create", "containerd.events.TaskCreate", &e.base);
	call_answer(cmd->arg, &r.base);
	process_started(p);
}

static char *prepare(struct container *c, const CreateTaskRequest *r, int fds[3])
{
	struct process *p = process_new(c, "");
	char *why = setup_options(c, r->options ? r->options->type_url : "", r->options ? r->options->value.data : NULL,
				  r->options ? r->options->value.len : 0);

	p->starting = true;
	if (!why)
		why = rootfs_mount(c, r->rootfs, r->n_rootfs);
	c->mounted = !why && r->n_rootfs;
	if (!why)
		why = io_open(&p->io, r->stdin, r->stdout, r->stderr, r->terminal, fds);
	return why;
}

static void do_create(struct call *call, const void *request)
{
	const CreateTaskRequest *r = request;
	struct command cmd = {.stdio = {-1, -1, -1}, .done = created, .arg = call};
	struct container *c;
	char *why;
	u32 n = 0;

	if (r->checkpoint[0]) {
		call_fail(call, RPC_UNIMPLEMENTED, "restoring a checkpoint: not implemented");
		return;
	}
	if (container_find(r->id)) {
		call_fail(call, RPC_ALREADY_EXISTS, "container %s: already exists", r->id);
		return;
	}
	c = container_new(r->id, r->bundle);
	why = prepare(c, r, cmd.stdio);
	if (why) {
		call_fail(call, RPC_UNKNOWN, "%s: unknown", why);
		for (int fd = 0; fd < 3; fd++)
			close(cmd.stdio[fd]);
		if (c->mounted)
			rootfs_unmount(c->bundle);
		container_free(c);
		free(why);
		return;
	}
	cmd.container = cmd.arg2 = c;
	cmd.args[n++] = "create";
	cmd.args[n++] = "--bundle";
	cmd.args[n++] = c->bundle;
	cmd.args[n++] = "--pid-file";
	cmd.args[n++] = cmd.owned[0] = text("%s/init.pid", c->bundle);
	if (r->terminal) {
		cmd.args[n++] = "--console-socket";
		cmd.args[n++] = first_of(c)->io.socket;
	}
	if (c->no_new_keyring)
		cmd.args[n++] = "--no-new-keyring";
	cmd.args[n++] = c->id;
	command_start(&cmd);
}

/* ---- Exec, Start ---- */

static void do_exec(struct call *call, const void *request)
{
	const ExecProcessRequest *r = request;
	struct container *c = named(call, r->id);
	TaskExecAdded e = TASK_EXEC_ADDED__INIT;
	struct process *p;

	if (!c)
		return;
	if (process_find(c, r->exec_id) || !r->exec_id[0] || strchr(r->exec_id, '/')) {
		call_fail(call, RPC_ALREADY_EXISTS, "process %s of container %s: already exists", r->exec_id, c->id);
		return;
	}
	p = process_new(c, r->exec_id);
	p->io.in = copy_of(r->stdin);
	p->io.out = copy_of(r->stdout);
	p->io.err = copy_of(r->stderr);
	p->io.terminal = r->terminal;
	p->spec_len = r->spec ? r->spec->value.len : 0;
	p->spec = must(malloc(p->spec_len + 1));
	memcpy(p->spec, p->spec_len ? (const char *)r->spec->value.data : "", p->spec_len);
	e.container_id = c->id;
	e.exec_id = p->exec_id;
	publish("/tasks/exec-added", "containerd.events.TaskExecAdded", &e.base);
	call_done(call);
}

static void answer_start(struct call *call, const struct process *p)
{
	StartResponse r = START_RESPONSE__INIT;

	r.pid = (u32)p->pid;
	call_answer(call, &r.base);
}

static void exec_started(struct command *cmd, bool ok)
{
	struct process *p = cmd->arg2;
	TaskExecStarted e = TASK_EXEC_STARTED__INIT;
	bool have = process_set_pid(p, cmd->owned[1]);

	unlink(cmd->owned[0]);
	if (!ok || !have) {
		call_fail(cmd->arg, RPC_UNKNOWN, "OCI runtime exec failed: %s: unknown",
			  cmd->why ? cmd->why : "there is no pid file");
		p->state = PROCESS_STOPPED;
		p->exit_status = 255;
		clock_gettime(CLOCK_REALTIME, &p->exited_at);
		io_ended(&p->io);
		process_started(p);
		return;
	}
	if (p->state == PROCESS_NEW)
		p->state = PROCESS_RUNNING;
	e.container_id = p->container->id;
	e.exec_id = p->exec_id;
	e.pid = (u32)p->pid;
	publish("/tasks/exec-started", "containerd.events.TaskExecStarted", &e.base);
	answer_start(cmd->arg, p);
	process_started(p);
}

static void start_exec(struct call *call, struct process *p)
{
	struct container *c = p->container;
	struct command cmd = {.container = c, .stdio = {-1, -1, -1}, .done = exec_started, .arg = call, .arg2 = p};
	char *in = p->io.in, *out = p->io.out, *err = p->io.err, *why;
	u32 n = 0;

	why = io_open(&p->io, in, out, err, p->io.terminal, cmd.stdio);
	free(in);
	free(out);
	free(err);
	cmd.owned[0] = text("%s/exec-%s.json", c->bundle, p->exec_id);
	cmd.owned[1] = text("%s/exec-%s.pid", c->bundle, p->exec_id);
	if (!why && !write_text(cmd.owned[0], p->spec, p->spec_len))
		why = text("%s: %m", cmd.owned[0]);
	if (why) {
		call_fail(call, RPC_UNKNOWN, "%s: unknown", why);
		for (int fd = 0; fd < 3; fd++)
			close(cmd.stdio[fd]);
		free(cmd.owned[0]);
		free(cmd.owned[1]);
		free(why);
		return;
	}
	p->starting = true;
	cmd.args[n++] = "exec";
	cmd.args[n++] = "--process";
	cmd.args[n++] = cmd.owned[0];
	cmd.args[n++] = "--pid-file";
	cmd.args[n++] = cmd.owned[1];
	cmd.args[n++] = "--detach";
	if (p->io.terminal) {
		cmd.args[n++] = "--console-socket";
		cmd.args[n++] = p->io.socket;
	}
	cmd.args[n++] = c->id;
	command_start(&cmd);
}

static void started(struct command *cmd, bool ok)
{
	struct process *p = first_of(cmd->arg2);
	TaskStart e = TASK_START__INIT;

	if (!ok) {
		call_fail(cmd->arg, RPC_UNKNOWN, "OCI runtime start failed: %s: unknown", cmd->why);
		process_started(p);
		return;
	}
	if (p->state == PROCESS_CREATED)
		p->state = PROCESS_RUNNING;
	e.container_id = p->container->id;
	e.pid = (u32)p->pid;
	publish("/tasks/start", "containerd.events.TaskStart", &e.base);
	answer_start(cmd->arg, p);
	process_started(p);
}

static void do_start(struct call *call, const void *request)
{
	const ProcessRequest *r = request;
	struct process *p = named_process(call, r->id, r->exec_id);
	struct command cmd = {.stdio = {-1, -1, -1}, .done = started, .arg = call};

	if (!p)
		return;
	if (p->starting || p->state != (r->exec_id[0] ? PROCESS_NEW : PROCESS_CREATED)) {
		call_fail(call, RPC_FAILED_PRECONDITION,
			  "process %s of container %s cannot be started again: failed precondition", r->exec_id, r->id);
		return;
	}
	if (r->exec_id[0]) {
		start_exec(call, p);
		return;
	}
	p->starting = true;
	cmd.container = cmd.arg2 = p->container;
	cmd.args[0] = "start";
	cmd.args[1] = p->container->id;
	command_start(&cmd);
}

/* ---- Delete ---- */

static void answer_delete(struct call *call, const struct process *p)
{
	DeleteResponse r = DELETE_RESPONSE__INIT;
	Timestamp at;

	fill_time(&at, p);
	r.pid = (u32)p->pid;
	r.exit_status = p->exit_status;
	r.exited_at = &at;
	call_answer(call, &r.base);
}

static void deleted(struct command *cmd, bool ok)
{
	struct container *c = cmd->arg2;
	struct process *p = first_of(c);
	TaskDelete e = TASK_DELETE__INIT;
	Timestamp at;

	c->deleting = false;
	if (!ok && !strstr(cmd->why, "does not exist")) {
		call_fail_of(cmd->arg, cmd, "OCI runtime delete failed");
		return;
	}
	if (c->mounted)
		rootfs_unmount(c->bundle);
	fill_time(&at, p);
	e.container_id = c->id;
	e.pid = (u32)p->pid;
	e.exit_status = p->exit_status;
	e.exited_at = &at;
	publish("/tasks/delete", "containerd.events.TaskDelete", &e.base);
	answer_delete(cmd->arg, p);
	container_free(c);
}

static void do_delete(struct call *call, const void *request)
{
	const ProcessRequest *r = request;
	struct process *p = named_process(call, r->id, r->exec_id);
	struct command cmd = {.stdio = {-1, -1, -1}, .done = deleted, .arg = call};
	struct container *c;

	if (!p)
		return;
	if (p->starting || (p->state != PROCESS_STOPPED && !(r->exec_id[0] && p->state == PROCESS_NEW))) {
		call_fail(call, RPC_FAILED_PRECONDITION,
			  "process %s of container %s has not ended: failed precondition", r->exec_id, r->id);
		return;
	}
	if (r->exec_id[0]) {
		answer_delete(call, p);
		process_free(p);
		return;
	}
	c = p->container;
	for (struct process *q = c->processes; q; q = q->next)
		if (q->starting) {
			call_fail(call, RPC_FAILED_PRECONDITION,
				  "process %s of container %s is being started: failed precondition", q->exec_id,
				  r->id);
			return;
		}
	c->deleting = true;
	cmd.container = cmd.arg2 = c;
	cmd.args[0] = "delete";
	cmd.args[1] = "--force";
	cmd.args[2] = c->id;
	command_start(&cmd);
}

/* ---- State, Wait, Pids, Stats, Connect ---- */

static void do_state(struct call *call, const void *request)
{
	const ProcessRequest *r = request;
	struct process *p = named_process(call, r->id, r->exec_id);
	StateResponse s = STATE_RESPONSE__INIT;
	Timestamp at;

	if (!p)
		return;
	fill_time(&at, p);
	s.id = (char *)(p->exec_id[0] ? p->exec_id : p->container->id);
	s.bundle = p->container->bundle;
	s.pid = (u32)p->pid;
	s.status = p->state == PROCESS_STOPPED	 ? STATUS__STOPPED
		   : p->state != PROCESS_RUNNING ? STATUS__CREATED
		   : p->container->paused	 ? STATUS__PAUSED
						 : STATUS__RUNNING;
	s.stdin = p->io.in;
	s.stdout = p->io.out;
	s.stderr = p->io.err;
	s.terminal = p->io.terminal;
	s.exit_status = p->exit_status;
	s.exited_at = &at;
	s.exec_id = p->exec_id;
	call_answer(call, &s.base);
}

static void do_wait(struct call *call, const void *request)
{
	const ProcessRequest *r = request;
	struct process *p = named_process(call, r->id, r->exec_id);

	if (p)
		process_wait(p, call);
}

static Any *fill_details(Any *any, const struct process *p)
{
	ProcessDetails d = PROCESS_DETAILS__INIT;

	any__init(any);
	d.exec_id = p->exec_id;
	any->type_url = (char *)"containerd.runc.v1.ProcessDetails";
	any->value.len = process_details__get_packed_size(&d);
	any->value.data = must(malloc(any->value.len + 1));
	process_details__pack(&d, any->value.data);
	return any;
}

/* As "runsc-c ps": the processes of the host that stand for programs. */
static void do_pids(struct call *call, const void *request)
{
	const ProcessRequest *r = request;
	struct container *c = named(call, r->id);
	PidsResponse answer = PIDS_RESPONSE__INIT;
	ProcessInfo **infos, *info;
	Any *details;
	struct process *p;
	size_t n = 0;

	if (!c)
		return;
	for (p = c->processes; p; p = p->next)
		n++;
	infos = must(malloc(n * sizeof(*infos)));
	info = must(malloc(n * sizeof(*info)));
	details = must(calloc(n, sizeof(*details)));
	n = 0;
	for (p = c->processes; p; p = p->next) {
		if (p->state != PROCESS_CREATED && p->state != PROCESS_RUNNING)
			continue;
		process_info__init(infos[n] = &info[n]);
		info[n].pid = (u32)p->pid;
		if (p->exec_id[0])
			info[n].info = fill_details(&details[n], p);
		n++;
	}
	answer.n_processes = n;
	answer.processes = infos;
	call_answer(call, &answer.base);
	while (n--)
		free(details[n].value.data);
	free(infos);
	free(info);
	free(details);
}

static void do_stats(struct call *call, const void *request)
{
	const ProcessRequest *r = request;
	struct container *c = named(call, r->id);

	if (c && first_of(c)->state == PROCESS_STOPPED)
		call_fail(call, RPC_NOT_FOUND, "container %s has ended: not found", r->id);
	else if (c)
		stats_answer(c, call);
}

static void do_connect(struct call *call, const void *request)
{
	const ProcessRequest *r = request;
	struct container *c = container_find(r->id);
	ConnectResponse answer = CONNECT_RESPONSE__INIT;

	answer.shim_pid = (u32)getpid();
	answer.task_pid = c ? (u32)first_of(c)->pid : 0;
	answer.version = (char *)RUNSC_C_VERSION;
	call_answer(call, &answer.base);
}

/* ---- Pause, Resume, Kill, Update ---- */

static void frozen(struct command *cmd, bool ok)
{
	struct container *c = cmd->arg2;
	TaskEvent e = TASK_EVENT__INIT;

	if (!ok) {
		call_fail_of(cmd->arg, cmd, "OCI runtime failed");
		return;
	}
	c->paused = !strcmp(cmd->args[0], "pause");
	e.container_id = c->id;
	publish(c->paused ? "/tasks/paused" : "/tasks/resumed",
		c->paused ? "containerd.events.TaskPaused" : "containerd.events.TaskResumed", &e.base);
	call_done(cmd->arg);
}

static void freeze(struct call *call, const ProcessRequest *r, const char *how)
{
	struct container *c = named(call, r->id);
	struct command cmd = {.container = c,
			      .args = {how, c ? c->id : NULL},
			      .stdio = {-1, -1, -1},
			      .done = frozen,
			      .arg = call,
			      .arg2 = c};

	if (c)
		command_start(&cmd);
}

static void do_kill(struct call *call, const void *request)
{
	const KillRequest *r = request;
	struct process *p = named_process(call, r->id, r->exec_id);
	struct command cmd = {.stdio = {-1, -1, -1}, .done = simply_done, .arg = call};
	u32 n = 0;

	if (!p)
		return;
	if (p->state == PROCESS_NEW) {
		call_fail(call, RPC_FAILED_PRECONDITION,
			  "process %s of container %s has not been started: failed precondition", r->exec_id, r->id);
		return;
	}
	if (p->state == PROCESS_STOPPED && !r->all) {
		call_fail(call, RPC_NOT_FOUND, "process already finished: not found");
		return;
	}
	if (r->exec_id[0]) { /* ours until it is reaped: the pid is no other's */
		if (kill(p->pid, (int)r->signal) < 0)
			call_fail(call, errno == ESRCH ? RPC_NOT_FOUND : RPC_UNKNOWN, "%s", strerror(errno));
		else
			call_done(call);
		return;
	}
	cmd.container = p->container;
	cmd.args[n++] = "kill";
	if (r->all)
		cmd.args[n++] = "--all";
	cmd.args[n++] = p->container->id;
	cmd.args[n++] = cmd.owned[0] = text("%u", r->signal);
	command_start(&cmd);
}

static void do_update(struct call *call, const void *request)
{
	const UpdateTaskRequest *r = request;
	struct container *c = named(call, r->id);
	struct command cmd = {.container = c, .stdio = {-1, -1, -1}, .done = simply_done, .arg = call};
	size_t n = r->resources ? r->resources->value.len : 0;

	if (!c)
		return;
	cmd.stdio[0] = memfd_create("resources", MFD_CLOEXEC);
	if (cmd.stdio[0] < 0 || pwrite(cmd.stdio[0], n ? (const char *)r->resources->value.data : "{}", n ? n : 2, 0) <
				    (n ? (ssize_t)n : 2)) {
		call_fail(call, RPC_UNKNOWN, "the resources: %s", strerror(errno));
		close(cmd.stdio[0]);
		return;
	}
	cmd.args[0] = "update";
	cmd.args[1] = "--resources";
	cmd.args[2] = "-";
	cmd.args[3] = c->id;
	command_start(&cmd);
}

/* ---- terminals and input ---- */

static void do_resize(struct call *call, const void *request)
{
	const ResizePtyRequest *r = request;
	struct process *p = named_process(call, r->id, r->exec_id);
	int err = p && p->state != PROCESS_STOPPED ? io_resize(&p->io, r->width, r->height) : 0;

	if (p && err && err != -ENOTTY) /* a terminal that has not arrived yet has no size to lose */
		call_fail(call, RPC_UNKNOWN, "%s", strerror(-err));
	else if (p)
		call_done(call);
}

static void do_close_io(struct call *call, const void *request)
{
	const CloseIORequest *r = request;
	struct process *p = named_process(call, r->id, r->exec_id);

	if (p && r->stdin)
		io_close_input(&p->io);
	if (p)
		call_done(call);
}

/* ---- Shutdown ---- */

static void do_shutdown(struct call *call, const void *request)
{
	const ShutdownRequest *r = request;
	call_done(call);
	if (!containers || r->now)
		publish_flush(loop_stop);
}

/* ---- which one it is ---- */

static void do_checkpoint(struct call *call, const void *request)
{
	const ProcessRequest *r = request;
	call_fail(call, RPC_UNIMPLEMENTED, "container %s: checkpoints are not there yet: not implemented", r->id);
}
static void do_pause(struct call *call, const void *request)
{
	freeze(call, request, "pause");
}
static void do_resume(struct call *call, const void *request)
{
	freeze(call, request, "resume");
}

#define METHOD(name, type, fn)                                                                                         \
	{                                                                                                              \
		name, &type##__descriptor, fn                                                                          \
	}
static const struct {
	const char *name;
	const ProtobufCMessageDescriptor *type;
	void (*fn)(struct call *call, const void *request);
} methods[] = {
    METHOD("State", process_request, do_state),
    METHOD("Create", create_task_request, do_create),
    METHOD("Start", process_request, do_start),
    METHOD("Delete", process_request, do_delete),
    METHOD("Pids", process_request, do_pids),
    METHOD("Pause", process_request, do_pause),
    METHOD("Resume", process_request, do_resume),
    METHOD("Checkpoint", process_request, do_checkpoint),
    METHOD("Kill", kill_request, do_kill),
    METHOD("Exec", exec_process_request, do_exec),
    METHOD("ResizePty", resize_pty_request, do_resize),
    METHOD("CloseIO", close_iorequest, do_close_io),
    METHOD("Update", update_task_request, do_update),
    METHOD("Wait", process_request, do_wait),
    METHOD("Stats", process_request, do_stats),
    METHOD("Connect", process_request, do_connect),
    METHOD("Shutdown", shutdown_request, do_shutdown),
};

void task_call(struct call *call, const char *service, const char *method, const u8 *data, size_t n)
{
	ProtobufCMessage *m;

	for (u32 i = 0; i < ARRAY_SIZE(methods) && !strcmp(service, "containerd.task.v2.Task"); i++) {
		if (strcmp(methods[i].name, method))
			continue;
		m = protobuf_c_message_unpack(methods[i].type, NULL, n, data);
		if (!m) {
			call_fail(call, RPC_INVALID_ARGUMENT, "%s: not a message of its kind", method);
			return;
		}
		methods[i].fn(call, m);
		protobuf_c_message_free_unpacked(m, NULL);
		return;
	}
	call_fail(call, RPC_UNIMPLEMENTED, "%s/%s: not implemented", service, method);
}
