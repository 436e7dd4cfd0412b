#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "host/exit.h"
#include "host/spawn.h"
#include "relay.h"
#include "standard_files.h"
#include "title.h"

struct process {
	const char *name;
	pid_t pid; /* 0: reaped */
	int status;
};
struct run {
	struct process sandbox, gofer;
	int control;
	int signals;
	bool contained;
	void (*ready)(void);
	struct relay relay;
	bool have_report;
	struct sandbox_report report;
};

/* Passed on to the sandbox's foreground job. The others are for us, or cannot be caught. A container's first process gets all. */
static const int forwarded[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGTSTP, SIGWINCH, SIGALRM };

/* Before the processes: none of these may be lost in between. They undo it for themselves. */
static int block_signals(bool all)
{
	sigset_t set;

	sigemptyset(&set);
	for (u32 i = 0; i < ARRAY_SIZE(forwarded); i++)
		sigaddset(&set, forwarded[i]);
	if (all)
		sigfillset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL); /* an ignored one, inherited, would reap our children unseen */
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Both at once: taking their namespaces down is most of it. */
static void end_processes(struct process *const *processes, u32 n)
{
	for (u32 i = 0; i < n; i++)
		if (processes[i]->pid)
			kill(processes[i]->pid, SIGKILL);
	for (u32 i = 0; i < n; i++) {
		struct process *p = processes[i];

		while (p->pid && waitpid(p->pid, &p->status, 0) < 0 && errno == EINTR)
			;
		p->pid = 0;
	}
}

static void reap(struct process *p)
{
	if (p->pid && waitpid(p->pid, &p->status, WNOHANG) == p->pid)
		p->pid = 0;
}

/* A container that was created and not started is the runtime's process, which these end. */
static bool ends_created(int sig)
{
	return sig == SIGTERM || sig == SIGINT || sig == SIGHUP || sig == SIGQUIT;
}

static void forward(struct run *r)
{
	struct signalfd_siginfo info;

	while (read(r->signals, &info, sizeof(info)) == sizeof(info)) {
		if (r->ready && !r->relay.start_asked && ends_created((int)info.ssi_signo)) {
			r->report = (struct sandbox_report){ .kind = REPORT_SIGNALED, .value = info.ssi_signo };
			r->have_report = true;
			return;
		}
		struct control_msg msg = { CONTROL_SIGNAL, info.ssi_signo, .terminal = !r->contained || info.ssi_code == SI_KERNEL };

		if (info.ssi_signo != SIGCHLD)
			send(r->control, &msg, sizeof(msg), MSG_NOSIGNAL);
	}
}

static void take_report(struct run *r)
{
	struct sandbox_report report;

	while (!r->have_report && recv(r->control, &report, sizeof(report), MSG_DONTWAIT) == sizeof(report)) {
		if (report.kind == REPORT_SPAWN && report.state == SPAWN_READY) {
			if (r->ready)
				r->ready();
			continue;
		}
		if (report.kind == REPORT_SPAWN) {
			relay_report(&r->relay, &report);
			continue;
		}
		r->report = report;
		r->have_report = true;
	}
}

/* A gofer that ends in order does so because the sandbox is gone, even if it is reaped first. */
static const struct process *first_dead(const struct run *r)
{
	bool gofer_died = !r->gofer.pid && !(WIFEXITED(r->gofer.status) && WEXITSTATUS(r->gofer.status) == 0);

	return r->sandbox.pid && gofer_died ? &r->gofer : &r->sandbox;
}

static int describe_death(const struct process *p)
{
	if (WIFSIGNALED(p->status)) {
		int sig = WTERMSIG(p->status);

		fail("the %s process was killed by signal %d (%s)%s", p->name, sig, strsignal(sig),
		     sig == SIGSYS ? ": a system call that its seccomp filter does not allow" : "");
		return 128 + sig;
	}
	/* It said why itself, unless it ended as if all were well. */
	if (WEXITSTATUS(p->status) == 0)
		fail("the %s process ended without a word", p->name);
	return STATUS_FAILED;
}

/* Die as the sandboxed command did; a signal that does not kill leaves the shell's form of it. */
static int die_of(int sig)
{
	const struct rlimit none = { 0, 0 };
	sigset_t set;

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(sig);
	return 128 + sig;
}

/*
 * The container's first program was killed for want of memory, by the sentry, before the host saw the limit reached. Engines ask the host
 * whether it was that (memory.events, memory.oom_control). So this process, which stands for the program and is to die of SIGKILL anyway,
 * goes over the limit itself, as the one that the host's OOM killer takes first.
 */
static void exceed_memory_limit(const struct sandbox_config *cfg)
{
	if (cfg->oom_adj_fd < 0 || write(cfg->oom_adj_fd, "1000", 4) != 4)
		return;
	mmap(NULL, cfg->limits.memory_max, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
}

static int outcome(const struct run *r, const struct process *dead)
{
	if (!r->have_report)
		return describe_death(dead);
	switch (r->report.kind) {
	case REPORT_EXITED:
		return (int)(r->report.value & 0xff);
	case REPORT_OOM:
	case REPORT_SIGNALED:
		return die_of((int)(r->report.value & 0x7f));
	default:
		return STATUS_FAILED;
	}
}

static void watch(struct run *r)
{
	struct pollfd fds[2 + RELAY_POLLS] = { { .fd = r->signals, .events = POLLIN }, { .fd = r->control, .events = POLLIN } };

	while (!r->have_report && r->sandbox.pid && r->gofer.pid) {
		u32 n = relay_polls(&r->relay, fds + 2);

		if (poll(fds, 2 + n, -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents & POLLIN)
			take_report(r);
		if (fds[1].revents & (POLLHUP | POLLERR))
			fds[1].fd = -1;
		relay_serve(&r->relay, fds + 2, n);
		forward(r);
		reap(&r->sandbox);
		reap(&r->gofer);
	}
	if (!r->have_report)
		take_report(r); /* said and died in one go */
}

static int spawn_failed(const char *name)
{
	return fail("starting the %s process: %s", name, strerror(errno));
}

/* Sockets between the processes; a pair each: [0] one end, [1] the other. */
struct links {
	int control[2];		   /* command, sandbox */
	int sandbox_go[2], gofer_go[2]; /* read, write */
	int channels[2][MAX_CPUS]; /* sandbox's ends, gofer's ends */
};

static int make_links(struct links *l, u32 ncpus)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, l->control) < 0 || pipe2(l->sandbox_go, O_CLOEXEC) < 0 ||
	    pipe2(l->gofer_go, O_CLOEXEC) < 0)
		return -1;
	for (u32 i = 0; i < ncpus; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
			return -1;
		l->channels[0][i] = pair[0];
		l->channels[1][i] = pair[1];
	}
	return 0;
}

static void close_child_ends(const struct links *l, u32 ncpus)
{
	close(l->control[1]);
	close(l->sandbox_go[0]);
	close(l->gofer_go[0]);
	for (u32 i = 0; i < ncpus; i++) {
		close(l->channels[0][i]);
		close(l->channels[1][i]);
	}
}

/* The sandbox first: it has more to do before it needs the other. */
static int start(const struct sandbox_config *cfg, struct run *r, const struct links *l)
{
	struct isolation sandbox_iso, gofer_iso;
	int err;

	r->sandbox.pid = spawn_isolated(&sandbox_iso, SPAWN_NOBODY, !cfg->own_network && !cfg->host_sockets);
	if (r->sandbox.pid < 0)
		return spawn_failed(r->sandbox.name);
	if (!r->sandbox.pid)
		sandbox_main(cfg, &sandbox_iso, l->control[1], l->sandbox_go[0], l->channels[0]);
	r->gofer.pid = spawn_isolated(&gofer_iso, SPAWN_SAME, false);
	if (r->gofer.pid < 0)
		return spawn_failed(r->gofer.name);
	if (!r->gofer.pid)
		gofer_main(cfg, &gofer_iso, l->gofer_go[0], l->channels[1]);
	err = spawn_map_ids(&gofer_iso, SPAWN_SAME, l->gofer_go[1]);
	if (!err)
		err = spawn_map_ids(&sandbox_iso, SPAWN_NOBODY, l->sandbox_go[1]);
	return err ? fail("writing the id maps of the sandbox's user namespaces: %s", strerror(-err)) : 0;
}

int run_sandbox(const struct sandbox_config *cfg)
{
	struct run r = { .sandbox = { .name = "sandbox" }, .gofer = { .name = "gofer" }, .contained = cfg->contained,
			 .ready = cfg->ready };
	const struct process *dead = NULL;
	struct links l;
	int status;

	r.signals = block_signals(cfg->contained);
	if (r.signals < 0 || make_links(&l, cfg->ncpus) < 0)
		return fail("making sockets: %s", strerror(errno));
	terminal_save();
	status = start(cfg, &r, &l);
	if (!status) {
		close_child_ends(&l, cfg->ncpus);
		if (cfg->forked)
			cfg->forked(cfg);
		if (cfg->contained)
			title_set(cfg->argv); /* it stands for that program */
		r.control = l.control[0];
		relay_init(&r.relay, cfg->listener, r.control);
		watch(&r);
		dead = first_dead(&r);
		if (r.have_report && r.report.kind == REPORT_OOM)
			exceed_memory_limit(cfg);
	}
	end_processes((struct process *const[]){ &r.sandbox, &r.gofer }, 2);
	terminal_restore();
	return status ? status : outcome(&r, dead);
}
