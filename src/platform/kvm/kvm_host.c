/* The VM: its descriptors, memory and vCPUs. All of it exists before the lock-down. */
#include "platform/kvm/kvm_host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "platform/kvm/kvm_priv.h"

static void kick_handler(int sig)
{
	(void)sig;
}

/* Open /dev/kvm and make an empty VM; the descriptors, or -1 with err filled. */
static int open_vm(int *kvm_fd, char *err, size_t err_size)
{
	static const struct {
		int cap;
		const char *name;
	} needed[] = { { KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" }, { KVM_CAP_SYNC_MMU, "KVM_CAP_SYNC_MMU" },
		       { KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" }, { KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" } };
	int fd;

	*kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (*kvm_fd < 0) {
		snprintf(err, err_size, "/dev/kvm: %s", strerror(errno));
		return -1;
	}
	fd = ioctl(*kvm_fd, KVM_GET_API_VERSION, 0);
	if (fd != KVM_API_VERSION) {
		snprintf(err, err_size, "/dev/kvm: API version %d, not %d", fd, KVM_API_VERSION);
		goto out;
	}
	for (u32 i = 0; i < ARRAY_SIZE(needed); i++)
		if (ioctl(*kvm_fd, KVM_CHECK_EXTENSION, needed[i].cap) <= 0) {
			snprintf(err, err_size, "/dev/kvm: no %s", needed[i].name);
			goto out;
		}
	do
		fd = ioctl(*kvm_fd, KVM_CREATE_VM, 0);
	while (fd < 0 && errno == EINTR);
	if (fd >= 0)
		return fd;
	snprintf(err, err_size, "KVM_CREATE_VM: %s", strerror(errno));
out:
	close(*kvm_fd);
	return -1;
}

static int add_memory(int vm_fd, u32 slot, u64 pa, u64 size, void *mem)
{
	struct kvm_userspace_memory_region region = { .slot = slot, .guest_phys_addr = pa, .memory_size = size, .userspace_addr = (u64)mem };

	return ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static int create_vcpu(struct kvm_vm *vm, u32 cpu, char *err, size_t err_size)
{
	struct vcpu *v = &vm->vcpus[cpu];

	v->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (long)cpu);
	if (v->fd < 0) {
		snprintf(err, err_size, "KVM_CREATE_VCPU %u: %s", cpu, strerror(errno));
		return -1;
	}
	v->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED) {
		snprintf(err, err_size, "vCPU %u: %s", cpu, strerror(errno));
		return -1;
	}
	return kvm_cpu_setup(v, err, err_size);
}

static int create_vcpus(struct kvm_vm *vm, char *err, size_t err_size)
{
	int size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (size < (int)sizeof(struct kvm_run)) {
		snprintf(err, err_size, "KVM_GET_VCPU_MMAP_SIZE: %s", size < 0 ? strerror(errno) : "too small");
		return -1;
	}
	vm->run_size = (size_t)size;
	for (u32 cpu = 0; cpu < vm->cfg.ncpus; cpu++)
		if (create_vcpu(vm, cpu, err, err_size) < 0)
			return -1;
	return 0;
}

/* A failure here ends the process, so what was made goes with it. */
struct kvm_vm *kvm_vm_create(const struct kvm_config *cfg, char *err, size_t err_size)
{
	struct sigaction action = { .sa_handler = kick_handler };
	struct kvm_vm *vm = calloc(1, sizeof(*vm));

	if (!vm || !cfg->ncpus || cfg->ncpus > MAX_CPUS || (cfg->mem_size & ((2u << 20) - 1))) {
		snprintf(err, err_size, "a VM of %u vCPUs and %llu bytes cannot be", cfg->ncpus,
			 (unsigned long long)cfg->mem_size);
		return NULL;
	}
	vm->cfg = *cfg;
	if (!cfg->image) {
		vm->cfg.image = kvm_embedded_image;
		vm->cfg.image_size = (size_t)(kvm_embedded_image_end - kvm_embedded_image);
	}
	vm->vcpus = calloc(cfg->ncpus, sizeof(*vm->vcpus));
	vm->fd = open_vm(&vm->kvm_fd, err, err_size);
	if (!vm->vcpus || vm->fd < 0)
		return NULL;
	for (u32 cpu = 0; cpu < cfg->ncpus; cpu++) {
		vm->vcpus[cpu].vm = vm;
		vm->vcpus[cpu].cpu = cpu;
		vm->vcpus[cpu].comm = (struct kvm_comm *)(cfg->mem + COMM_PA + (u64)cpu * PAGE_SIZE);
	}
	sigaction(KVM_KICK_SIGNAL, &action, NULL);
	if (kvm_cpu_features(vm, err, err_size) < 0 || kvm_image_load(vm, err, err_size) < 0)
		return NULL;
	if (add_memory(vm->fd, 0, 0, cfg->mem_size, cfg->mem) < 0 ||
	    (cfg->window && add_memory(vm->fd, 1, cfg->mem_size, cfg->window, cfg->mem + cfg->mem_size) < 0)) {
		snprintf(err, err_size, "KVM_SET_USER_MEMORY_REGION: %s", strerror(errno));
		return NULL;
	}
	if (create_vcpus(vm, err, err_size) < 0)
		return NULL;
	return vm;
}

u64 kvm_vm_first_free(const struct kvm_vm *vm)
{
	return vm->first_free;
}

s64 kvm_vm_tsc_offset(const struct kvm_vm *vm)
{
	return vm->tsc_offset;
}

u64 kvm_vm_xcr0(const struct kvm_vm *vm)
{
	return vm->xcr0;
}

bool kvm_vm_has_fsgsbase(const struct kvm_vm *vm)
{
	return vm->flags & KVM_F_FSGSBASE;
}
