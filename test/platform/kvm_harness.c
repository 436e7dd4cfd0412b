/*
 * Runs the payload linked in on the KVM platform's host half: kvm_harness [NCPUS [fault|WITHOUT-BITS]].
 * Status 77: no KVM here.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "hostcall.h"
#include "platform/kvm/kvm_host.h"

#define MEM_SIZE (256ul << 20)

static struct kvm_vm *vm;
static char *mem;
static bool expect_panic;
static _Atomic u32 woken[MAX_CPUS];

static void kick(u32 cpu)
{
	atomic_store(&woken[cpu], 1);
	syscall(SYS_futex, &woken[cpu], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	kvm_vcpu_kick(vm, cpu);
}

static void *timer(void *arg)
{
	struct timespec delay = { .tv_nsec = (long)(u64)arg };

	nanosleep(&delay, NULL);
	kick(0);
	return NULL;
}

static void finish(const struct hc_exit *e)
{
	struct kvm_exit_count rows[40];
	u32 n = kvm_vm_exit_counts(vm, rows, 40);

	for (u32 i = 0; i < n; i++)
		printf("exits: %-18s %lu\n", rows[i].name, (unsigned long)rows[i].count);
	if (expect_panic)
		exit(e->panic ? 0 : 1);
	exit(e->panic ? 3 : (int)e->status);
}

static s64 serve(u32 cpu, u32 nr, void *req, size_t len)
{
	const struct hc_mem *m = req;
	pthread_t thread;

	switch (nr) {
	case HC_LOG:
		printf("%.*s\n", (int)m->len, mem + m->off);
		return 0;
	case HC_EXIT:
		finish(req);
		return 0;
	case HC_TIMER_SET:
		return -pthread_create(&thread, NULL, timer, (void *)((struct hc_wait *)req)->deadline_ns);
	case HC_CPU_WAIT:
		while (!atomic_exchange(&woken[cpu], 0))
			syscall(SYS_futex, &woken[cpu], FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
		return 0;
	case HC_CPU_KICK:
		kick(((struct hc_kick *)req)->cpu % MAX_CPUS);
		return 0;
	case HC_YIELD:
		sched_yield();
		return 0;
	default:
		fprintf(stderr, "hostcall %u of %zu bytes\n", nr, len);
		return -ENOSYS;
	}
}

static void fatal(u32 cpu, const char *text)
{
	(void)cpu;
	fprintf(stderr, "%s\n", text);
	exit(4);
}

static void *vcpu(void *arg)
{
	kvm_vcpu_loop(vm, (u32)(u64)arg);
}

int main(int argc, char **argv)
{
	int mfd = memfd_create("sandbox", MFD_CLOEXEC);
	struct kvm_config cfg = { .mem_size = MEM_SIZE, .hostcall = serve, .fatal = fatal, .ncpus = 1 };
	char err[256];
	struct boot_params *bp;

	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		perror("/dev/kvm");
		return 77;
	}
	if (mfd < 0 || ftruncate(mfd, MEM_SIZE) < 0) {
		perror("kvm_harness");
		return 2;
	}
	mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, mfd, 0);
	cfg.mem = mem;
	if (argc > 1)
		cfg.ncpus = (u32)atoi(argv[1]);
	expect_panic = argc > 2 && !strcmp(argv[2], "fault");
	if (argc > 2 && !expect_panic)
		cfg.without = (u32)atoi(argv[2]);
	vm = kvm_vm_create(&cfg, err, sizeof(err));
	if (!vm) {
		fprintf(stderr, "%s\n", err);
		return 2;
	}
	bp = (struct boot_params *)(mem + BOOT_PARAMS_PA);
	bp->mem_size = MEM_SIZE;
	bp->ncpus = cfg.ncpus;
	bp->first_free_pa = kvm_vm_first_free(vm);
	bp->argc = expect_panic ? 2 : 0;
	printf("TSC offset %ld, first free %#lx\n", (long)kvm_vm_tsc_offset(vm), (unsigned long)bp->first_free_pa);
	alarm(120);
	for (u64 cpu = 1; cpu < cfg.ncpus; cpu++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, vcpu, (void *)cpu))
			return 2;
	}
	kvm_vcpu_loop(vm, 0);
}
