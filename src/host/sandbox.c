/* The sandbox process: everything is made ready by one thread, then locked, then the vCPUs start. */
#include "host/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/async.h"
#include "host/cpu.h"
#include "host/events.h"
#include "host/exit.h"
#include "host/hostcalls.h"
#include "host/hostmem.h"
#include "host/lockdown.h"
#include "host/serve.h"
#include "host/sock_watch.h"
#include "host/window.h"
#include "platform/kvm/kvm_host.h"
#include "platform/ptrace/ptrace_host.h"
#include "seccomp_sandbox.h"

#define VCPU_STACK (128ul << 10)
#define DESCRIPTORS 1024 /* the table is this large before threads exist: growing it later waits for all of them */

static struct kvm_vm *vm;
static int control_fd;

static void die(const char *what, int err)
{
	host_fatal("%s: %s", what, strerror(-err));
}

static void kick_kvm(u32 cpu)
{
	kvm_vcpu_kick(vm, cpu);
}

static void kvm_died(u32 cpu, const char *text) __noreturn;
static void kvm_died(u32 cpu, const char *text)
{
	host_fatal("%s", text);
}

static void kvm_counters(void)
{
	struct kvm_exit_count rows[64];
	u32 n = kvm_vm_exit_counts(vm, rows, ARRAY_SIZE(rows));

	for (u32 i = 0; i < n; i++)
		host_stat(rows[i].name, rows[i].count);
}

static void ptrace_counters(void)
{
	struct ptrace_stats st;

	ptrace_get_stats(&st);
	host_stat("resumes", st.resumes);
	host_stat("system calls", st.syscalls);
	host_stat("faults", st.faults);
	host_stat("exceptions", st.exceptions);
	host_stat("kicks", st.kicks);
	host_stat("fills", st.fills);
	host_stat("injections", st.injections);
	host_stat("injected calls", st.ops);
	host_stat("units made", st.units);
}

static void prepare_kvm(const struct sandbox_config *cfg)
{
	struct kvm_config kc = { .mem = hostmem.base, .mem_size = hostmem.size, .window = hostmem.window, .readable = window_readable,
				 .repair = window_repair, .ncpus = cfg->ncpus, .without = cfg->kvm_without,
				 .hostcall = hostcall_dispatch, .fatal = kvm_died };
	char err[256];

	vm = kvm_vm_create(&kc, err, sizeof(err));
	if (!vm)
		host_fatal("%s", err);
	host_set_platform_kick(kick_kvm);
}

static void prepare_ptrace(const struct sandbox_config *cfg)
{
	struct ptrace_config pc = { .mem_fd = hostmem.fd, .mem = hostmem.base, .mem_size = hostmem.size, .ncpus = cfg->ncpus };
	const char *what = "ptrace";
	int err = ptrace_prepare(&pc, &what);

	if (err)
		die(what, err);
	host_set_platform_kick(ptrace_kick_vcpu);
}

/* The descriptors that came with a message, `want` of them: false, and they are closed, when there are more or fewer. */
static bool take_descriptors(struct msghdr *msg, int *fds, u32 want)
{
	u32 n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		u32 here = (u32)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

		for (u32 i = 0; i < here && c->cmsg_type == SCM_RIGHTS; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (n < want)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
	if (n == want)
		return true;
	while (n)
		close(fds[--n]);
	return false;
}

static void on_ask(const struct control_msg *m, int fd)
{
	s64 h = fd < 0 ? HC_NO_HANDLE : handle_add(fd, HANDLE_STREAM, false);

	if (h >= 0) {
		events_push(HC_EV_ASK, m->id | (u64)m->ask << 32, (s64)(m->value | (u64)h << 32));
		return;
	}
	close(fd);
	host_say_spawn(m->id, SPAWN_ANSWERED, (u32)-h);
}

/* What the command says: signals that it got and passes on, programs to start. */
static void on_control(void)
{
	static _Alignas(8) char buf[sizeof(struct control_msg) + SPAWN_MAX];
	const struct control_msg *m = (const struct control_msg *)buf;
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(3 * sizeof(int))];
	} control;
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(control_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fds[3];
	bool have;

	if (n == 0) /* the command is gone */
		_exit(125);
	if (n < (ssize_t)sizeof(*m))
		return;
	have = take_descriptors(&msg, fds, m->kind == CONTROL_SPAWN ? 3 : m->kind == CONTROL_ASK);
	if (m->kind == CONTROL_ASK)
		on_ask(m, have ? fds[0] : -1);
	else if (m->kind == CONTROL_SPAWN && have)
		spawn_arrived(m->id, m + 1, (size_t)n - sizeof(*m), fds);
	else if (m->kind == CONTROL_SPAWN)
		host_say_spawn(m->id, SPAWN_FAILED, EBADF);
	else if (m->kind == CONTROL_SPAWN_SIGNAL)
		events_push(HC_EV_SPAWN_SIGNAL, m->id | (u64)(m->terminal != 0) << 32, (s64)m->signal);
	else
		events_push(m->signal == SIGWINCH ? HC_EV_WINCH : HC_EV_SIGNAL, !m->terminal, (s64)m->signal);
}

static void grow_descriptor_table(void)
{
	struct rlimit r;

	if (!getrlimit(RLIMIT_NOFILE, &r)) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	if (dup2(control_fd, DESCRIPTORS - 1) >= 0)
		close(DESCRIPTORS - 1);
}

static void *run_vcpu(void *arg)
{
	u32 cpu = (u32)(unsigned long)arg;

	if (vm) {
		host_vcpu_thread_init(cpu);
		kvm_vcpu_loop(vm, cpu);
	}
	ptrace_run_vcpu(hostmem_boot_params(), cpu);
}

static void start_vcpus(const struct sandbox_config *cfg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, VCPU_STACK);
	for (u32 cpu = 1; cpu < cfg->ncpus; cpu++) {
		err = pthread_create(&thread, &attr, run_vcpu, (void *)(unsigned long)cpu);
		if (err)
			die("starting a vCPU thread", -err);
	}
	run_vcpu(NULL);
}

static void make_memory(const struct sandbox_config *cfg)
{
	int err;

	signal(SIGXFSZ, SIG_IGN); /* memory is a file: a limit on their size shall be an error with a name */
	err = hostmem_create(cfg->mem_size, cfg->platform != SANDBOX_KVM);
	if (err)
		host_fatal("%lluM of sandbox memory: %s: give a smaller --memory, or raise the limits on %s",
			   (unsigned long long)cfg->mem_size >> 20, strerror(-err),
			   err == -EFBIG ? "file sizes (ulimit -f)" : "address space (ulimit -v) and memory");
	grow_descriptor_table();
	if (cfg->platform == SANDBOX_KVM)
		prepare_kvm(cfg);
	clock_init(cfg->start, vm ? kvm_vm_tsc_offset(vm) : 0);
	err = boot_params_fill(cfg, vm ? kvm_vm_first_free(vm) : LAYOUT_END_PA);
	if (err)
		die("arguments and environment", err);
	if (vm && !kvm_vm_has_fsgsbase(vm))
		hostmem_boot_params()->aux_hwcap2 &= ~2ul; /* HWCAP2_FSGSBASE */
}

static void lock_down(const struct sandbox_config *cfg, const struct isolation *iso, int go)
{
	const char *what = "";
	int err = lockdown_root(iso, &what);

	if (!err)
		err = lockdown_identity(iso, go, true, &what);
	if (!err)
		err = lockdown_privileges(NULL, 0, &what);
	if (err)
		die(what, err);
	if (cfg->platform == SANDBOX_PTRACE)
		prepare_ptrace(cfg);
	if (cfg->host_sockets)
		err = vm ? lockdown_seccomp(seccomp_kvm_network, ARRAY_SIZE(seccomp_kvm_network), &what)
			 : lockdown_seccomp(seccomp_ptrace_network, ARRAY_SIZE(seccomp_ptrace_network), &what);
	else
		err = vm ? lockdown_seccomp(seccomp_kvm, ARRAY_SIZE(seccomp_kvm), &what)
			 : lockdown_seccomp(seccomp_ptrace, ARRAY_SIZE(seccomp_ptrace), &what);
	if (err)
		die(what, err);
}

void sandbox_main(const struct sandbox_config *cfg, const struct isolation *iso, int control, int go, const int *channels)
{
	int keep[MAX_CPUS + 4], err;
	const char *what = "";
	u32 n = 0;

	control_fd = control;
	host_exit_init(control, cfg->log_fd, cfg->stats, cfg->platform == SANDBOX_KVM ? kvm_counters : ptrace_counters);
	host_exit_report_start(cfg->start_fd);
	keep[n++] = control;
	keep[n++] = go;
	if (cfg->log_fd >= 0)
		keep[n++] = cfg->log_fd;
	if (cfg->start_fd >= 0)
		keep[n++] = cfg->start_fd;
	for (u32 cpu = 0; cpu < cfg->ncpus; cpu++) {
		keep[n++] = channels[cpu];
		serve_gofer_channel(cpu, channels[cpu]);
	}
	err = lockdown_begin(keep, n, &what);
	if (err)
		die(what, err);
	host_exit_keep_stderr();
	prctl(PR_SET_NAME, "runsc-c sandbox");
	prctl(PR_SET_TIMERSLACK, 1); /* inherited by the threads: waits end when they say */
	mallopt(M_ARENA_MAX, 1);
	make_memory(cfg);
	err = host_cpu_init(cfg->ncpus);
	if (!err)
		err = host_window_init();
	if (!err)
		err = async_init(control, on_control, cfg->no_uring);
	if (err)
		die("asynchronous I/O", err);
	err = cfg->host_sockets ? serve_sock_init() : 0;
	if (err)
		die("host sockets", err);
	lock_down(cfg, iso, go);
	err = async_start();
	if (!err && cfg->host_sockets)
		err = sock_watch_start();
	if (err)
		die("starting the event threads", err);
	start_vcpus(cfg);
	host_fatal("vCPU 0 returned");
}
