/* The ptrace platform: its operations table, vCPUs and kicks, and the way in for the host side. */
#include "platform/ptrace/control.h"
#include "platform/ptrace/internal.h"
#include "host/hostcalls.h"
#include "sentry/kernel/task.h"

struct ptrace_config pt_config;
struct vcpu pt_vcpus[MAX_CPUS];
static __thread struct vcpu *thread_vcpu;

/* Not inlined: a task may continue on another thread after it slept, so nobody may keep the address of thread_vcpu. */
__attribute__((noinline)) struct vcpu *this_vcpu(void)
{
	return thread_vcpu;
}

s64 hostcall(u32 nr, void *req, size_t len)
{
	return hostcall_dispatch(this_vcpu()->cpu, nr, req, len);
}

/*
 * The flag comes first, then the look at what the vCPU does; it does the opposite. A stub that just stopped for another
 * reason keeps the signal pending and stops once more: no harm.
 */
void ptrace_kick_vcpu(u32 cpu)
{
	struct vcpu *v = &pt_vcpus[cpu];
	u64 run;

	atomic_store(&v->kicked, 1);
	run = atomic_load(&v->run);
	if (run)
		sys_call3(__NR_tgkill, run >> 32, (u32)run, KICK_SIGNAL);
}

static void pt_kick(u32 cpu)
{
	ptrace_kick_vcpu(cpu);
	if (atomic_load(&pt_vcpus[cpu].idle)) {
		struct hc_kick req = { .cpu = cpu };

		hostcall(HC_CPU_KICK, &req, sizeof(req));
	}
}

static void pt_idle(u32 cpu, u64 deadline_ns)
{
	struct vcpu *v = &pt_vcpus[cpu];
	struct hc_wait req = { .cpu = cpu, .deadline_ns = deadline_ns };

	atomic_store(&v->idle, 1);
	if (!atomic_load(&v->kicked))
		hostcall(HC_CPU_WAIT, &req, sizeof(req));
	atomic_store(&v->idle, 0);
	atomic_store(&v->kicked, 0);
}

/* Every trap brings all registers. */
static void pt_bases_save(struct user_ctx *ctx)
{
	(void)ctx;
}

static struct platform_ops ptrace_ops = {
	.name = "ptrace",
	.fault_around = 64,
	.map_ahead = 512,
	.debug_regs = true,
	.as_create = pt_as_create,
	.as_fork = pt_as_fork,
	.as_destroy = pt_as_destroy,
	.as_fill = pt_as_fill,
	.as_flush = pt_as_flush,
	.enter_user = pt_enter_user,
	.fpu_save = pt_fpu_save,
	.bases_save = pt_bases_save,
	.fpu_reload = pt_fpu_reload,
	.fpu_init = pt_fpu_init,
	.switch_out = pt_switch_out,
	.copy_from_user = pt_copy_from_user,
	.copy_to_user = pt_copy_to_user,
	.cmpxchg_user32 = pt_cmpxchg_user32,
	.kick = pt_kick,
	.idle = pt_idle,
	.kstack_alloc = pt_kstack_alloc,
	.kstack_free = pt_kstack_free,
};
const struct platform_ops *platform = &ptrace_ops;
char *direct_map;

/* Stops of stubs are waited for, not signalled. As the kernel lays struct sigaction out (sigaction(2)). */
static void ignore_stop_signals(void)
{
	struct {
		u64 handler, flags, restorer, mask;
	} action = { .flags = SA_NOCLDSTOP };

	sys_call4(__NR_rt_sigaction, SIGCHLD, &action, 0, 8);
}

int ptrace_prepare(const struct ptrace_config *config, const char **what)
{
	int ret;

	pt_config = *config;
	host_set_platform_kick(ptrace_kick_vcpu);
	direct_map = config->mem;
	ignore_stop_signals();
	fpu_probe();
	ptrace_ops.fpu_size = (u32)ALIGN_UP(pt_fpu_size, 64);
	ptrace_ops.fpu_xcr0 = pt_fpu_xcr0;
	*what = "memory for kernel stacks";
	ret = kstack_init();
	if (ret < 0)
		return ret;
	ret = units_init(what);
	return ret < 0 ? ret : master_start(what);
}

static __noreturn void boot_on_stack(struct boot_params *bp, u64 cpu, u64 top)
{
	__asm__ volatile("mov %2, %%rsp\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "call *%3\n\t"
			 "ud2"
			 :
			 : "D"(bp), "S"(cpu), "r"(top), "r"(sentry_boot)
			 : "memory");
	__builtin_unreachable();
}

__noreturn void ptrace_run_vcpu(struct boot_params *bp, u32 cpu)
{
	struct vcpu *v = &pt_vcpus[cpu];
	char *stack = pt_kstack_alloc();
	int ret;

	v->cpu = cpu;
	thread_vcpu = v;
	place_init(v);
	host_vcpu_thread_init(cpu);
	if (!stack)
		host_fatal("no memory for the stack of vCPU %u", cpu);
	ret = master_take(v);
	if (ret < 0)
		host_fatal("the master stub cannot be traced by vCPU %u: error %d", cpu, -ret);
	boot_on_stack(bp, cpu, KSTACK_TOP(stack));
}

void ptrace_kill_all(void)
{
	unit_kill_all();
}

void ptrace_get_stats(struct ptrace_stats *st)
{
	*st = (struct ptrace_stats){ 0 };
	for (u32 i = 0; i < pt_config.ncpus; i++) {
		const struct ptrace_stats *s = &pt_vcpus[i].stats;

		st->resumes += s->resumes;
		st->syscalls += s->syscalls;
		st->faults += s->faults;
		st->exceptions += s->exceptions;
		st->kicks += s->kicks;
		st->fills += s->fills;
		st->injections += s->injections;
		st->ops += s->ops;
		st->units += s->units;
	}
}
