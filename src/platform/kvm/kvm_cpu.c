/* What CPU the guest sees: CPUID, and the registers a vCPU starts with. */
#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "platform/kvm/kvm_priv.h"

#define CPUID_MAX 256
#define LEAF1_ECX_XSAVE (1u << 26)
#define LEAF1_ECX_OSXSAVE (1u << 27)
#define XCR0_X87_SSE 0x3ull
#define XCR0_WANTED 0xe7ull /* x87, SSE, AVX, AVX-512 */
#define FPU_LEGACY_SIZE 576u
#define FPU_SIZE_MAX 4096u /* struct kvm_xsave */

#define MSR_TSC 0x10u
#define MSR_EFER_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_CSTAR 0xc0000083u
#define MSR_FMASK 0xc0000084u
/* All flags but the fixed one and ID: as Linux has it, so that nothing of the user's reaches ring 0. */
#define FMASK 0x257fd5u

static const struct {
	const char *name;
	u32 bits;
} without_names[] = {
	{ "smap", KVM_WITHOUT_SMAP }, { "smep", KVM_WITHOUT_SMEP }, { "fsgsbase", KVM_WITHOUT_FSGSBASE }, { "xsave", KVM_WITHOUT_XSAVE },
	{ "1g-pages", KVM_WITHOUT_1G_PAGES }, { "umip", KVM_WITHOUT_UMIP }, { "tsc-control", KVM_WITHOUT_TSC_CONTROL }, { "all", ~0u },
};

const char *kvm_without_names(void)
{
	return "smap, smep, fsgsbase, xsave, 1g-pages, umip, tsc-control, all";
}

bool kvm_without_parse(const char *list, u32 *bits, char *bad, size_t bad_size)
{
	for (size_t len; *list; list += len + (list[len] == ',')) {
		u32 i = 0;

		len = strcspn(list, ",");
		while (i < ARRAY_SIZE(without_names) && (strlen(without_names[i].name) != len || memcmp(without_names[i].name, list, len)))
			i++;
		if (i == ARRAY_SIZE(without_names)) {
			snprintf(bad, bad_size, "%.*s", (int)len, list);
			return false;
		}
		*bits |= without_names[i].bits;
	}
	return true;
}

static const struct kvm_cpuid_entry2 *leaf(const struct kvm_vm *vm, u32 function, u32 index)
{
	for (u32 i = 0; i < vm->cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &vm->cpuid->entries[i];

		if (e->function == function && (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index))
			return e;
	}
	return NULL;
}

static u32 leaf_register(const struct kvm_vm *vm, u32 function, char reg)
{
	const struct kvm_cpuid_entry2 *e = leaf(vm, function, 0);

	if (!e)
		return 0;
	return reg == 'a' ? e->eax : reg == 'b' ? e->ebx : reg == 'c' ? e->ecx : e->edx;
}

/* A KVM with an emulated ring 0 may leave XSAVE out of its CPUID, and ring 3 finds it all the same: it asks the CPU itself. */
static bool cpu_has_xsave(const struct kvm_vm *vm)
{
	u32 eax, ebx, ecx, edx;

	if (leaf_register(vm, 1, 'c') & LEAF1_ECX_XSAVE)
		return true;
	return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & LEAF1_ECX_OSXSAVE);
}

/* Components in the standard XSAVE format stand at fixed places (CPUID leaf 13). */
static void find_xsave(struct kvm_vm *vm)
{
	const struct kvm_cpuid_entry2 *e = leaf(vm, 0xd, 0);

	vm->xcr0 = XCR0_X87_SSE;
	vm->fpu_size = FPU_LEGACY_SIZE;
	if (!cpu_has_xsave(vm) || !e || !e->eax || (vm->cfg.without & KVM_WITHOUT_XSAVE))
		return;
	vm->flags |= KVM_F_XSAVE;
	vm->cr4 |= CR4_OSXSAVE;
	vm->xcr0 = (e->eax | (u64)e->edx << 32) & XCR0_WANTED;
	if ((vm->xcr0 & 0xe0) != 0xe0 || !(vm->xcr0 & 4))
		vm->xcr0 &= ~0xe0ull; /* AVX-512 comes whole and above AVX */
	for (u32 i = 2; i < 64; i++) {
		const struct kvm_cpuid_entry2 *part = leaf(vm, 0xd, i);

		if (!(vm->xcr0 >> i & 1))
			continue;
		if (!part || part->eax + part->ebx > FPU_SIZE_MAX)
			vm->xcr0 &= ~(1ull << i);
		else
			vm->fpu_size = MAX(vm->fpu_size, part->eax + part->ebx);
	}
	vm->fpu_size = ALIGN_UP(vm->fpu_size, 64);
}

static void find_features(struct kvm_vm *vm)
{
	u32 ebx7 = leaf_register(vm, 7, 'b'), ecx7 = leaf_register(vm, 7, 'c');
	u32 without = vm->cfg.without;

	vm->cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	if ((ebx7 & 1) && !(without & KVM_WITHOUT_FSGSBASE)) {
		vm->cr4 |= CR4_FSGSBASE;
		vm->flags |= KVM_F_FSGSBASE;
	}
	if ((ebx7 & (1u << 7)) && !(without & KVM_WITHOUT_SMEP))
		vm->cr4 |= CR4_SMEP;
	if ((ebx7 & (1u << 20)) && !(without & KVM_WITHOUT_SMAP)) {
		vm->cr4 |= CR4_SMAP;
		vm->flags |= KVM_F_SMAP;
	}
	if ((ecx7 & (1u << 2)) && !(without & KVM_WITHOUT_UMIP))
		vm->cr4 |= CR4_UMIP;
	vm->has_1g = (leaf_register(vm, 0x80000001, 'd') & (1u << 26)) && !(without & KVM_WITHOUT_1G_PAGES);
}

/* Take out what the sentry does not offer, so that applications do not try it. */
static void trim_cpuid(struct kvm_vm *vm)
{
	u32 n = 0;

	for (u32 i = 0; i < vm->cpuid->nent; i++) {
		struct kvm_cpuid_entry2 e = vm->cpuid->entries[i];

		if (e.function >= 0x40000000 && e.function < 0x80000000)
			continue; /* paravirtual leaves */
		if (e.function == 1) {
			e.ecx &= ~(1u << 3 | 1u << 5 | 1u << 21 | 1u << 24); /* MONITOR, VMX, x2APIC, TSC deadline */
			if (vm->flags & KVM_F_XSAVE)
				e.ecx |= LEAF1_ECX_XSAVE;
			else
				e.ecx &= ~(LEAF1_ECX_XSAVE | 1u << 28 | 1u << 12 | 1u << 29); /* XSAVE, AVX, FMA, F16C */
		} else if (e.function == 7 && !e.index) {
			if (!(vm->flags & KVM_F_FSGSBASE))
				e.ebx &= ~1u;
			e.ecx &= ~(1u << 3); /* PKU */
			if (!(vm->xcr0 & 4))
				e.ebx &= ~(1u << 5); /* AVX2 */
			if (!(vm->xcr0 & 0xe0)) {
				e.ebx &= ~(1u << 16 | 1u << 17 | 1u << 21 | 1u << 28 | 1u << 30 | 1u << 31);
				e.ecx &= ~(1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14);
			}
			e.edx &= ~(1u << 22 | 1u << 24 | 1u << 25); /* AMX */
		} else if (e.function == 0x80000001) {
			e.ecx &= ~(1u << 2); /* SVM */
		}
		vm->cpuid->entries[n++] = e;
	}
	vm->cpuid->nent = n;
}

int kvm_cpu_features(struct kvm_vm *vm, char *err, size_t err_size)
{
	vm->cpuid = calloc(1, sizeof(*vm->cpuid) + CPUID_MAX * sizeof(vm->cpuid->entries[0]));
	if (!vm->cpuid) {
		snprintf(err, err_size, "out of memory");
		return -1;
	}
	vm->cpuid->nent = CPUID_MAX;
	if (ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, vm->cpuid) < 0) {
		snprintf(err, err_size, "KVM_GET_SUPPORTED_CPUID: %s", strerror(errno));
		return -1;
	}
	find_features(vm);
	find_xsave(vm);
	trim_cpuid(vm);
	return 0;
}

void kvm_long_mode_segments(struct kvm_sregs *s)
{
	struct kvm_segment code = { .selector = KVM_KERNEL_CS, .limit = ~0u, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1 };
	struct kvm_segment data = { .selector = KVM_KERNEL_DS, .limit = ~0u, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1 };

	s->cs = code;
	s->ss = s->ds = s->es = s->fs = s->gs = data;
	s->ds.selector = s->es.selector = s->fs.selector = s->gs.selector = 0;
	s->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX;
	s->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
}

static int set_cpuid(struct vcpu *v)
{
	struct kvm_cpuid2 *c = v->vm->cpuid;

	for (u32 i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (e->function == 1)
			e->ebx = (e->ebx & 0x00ffffff) | v->cpu << 24;
		else if (e->function == 0xb || e->function == 0x1f)
			e->edx = v->cpu;
	}
	return ioctl(v->fd, KVM_SET_CPUID2, c);
}

static int set_sregs(struct vcpu *v)
{
	struct kvm_vm *vm = v->vm;
	struct kvm_sregs s;

	if (ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
		return -1;
	kvm_long_mode_segments(&s);
	s.cr3 = vm->root_pa;
	s.cr4 = vm->cr4;
	s.gs.base = v->pcpu_va;
	s.gdt.base = v->pcpu_va + KVM_CPU_TABLES + 128;
	s.gdt.limit = 16 * 8 - 1;
	s.idt.base = kvm_direct(vm->idt_pa);
	s.idt.limit = (KVM_VEC_INT80 + 1) * 16 - 1;
	s.tr = (struct kvm_segment){ .base = v->pcpu_va + KVM_CPU_TABLES, .limit = 103, .selector = KVM_TSS_SEL,
				     .type = 11, .present = 1 };
	s.ldt = (struct kvm_segment){ .unusable = 1 };
	return ioctl(v->fd, KVM_SET_SREGS, &s);
}

static int set_msrs(struct vcpu *v)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e[4];
	} m = { .head.nmsrs = 4,
		.e = { { .index = MSR_EFER_STAR, .data = (u64)KVM_USER32_CS << 48 | (u64)KVM_KERNEL_CS << 32 },
		       { .index = MSR_LSTAR, .data = v->vm->image.lstar },
		       { .index = MSR_CSTAR, .data = 0 },
		       { .index = MSR_FMASK, .data = FMASK } } };

	return ioctl(v->fd, KVM_SET_MSRS, &m) == 4 ? 0 : -1;
}

static int set_xcr0(struct vcpu *v)
{
	struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs[0] = { .xcr = 0, .value = v->vm->xcr0 } };

	return v->vm->flags & KVM_F_XSAVE ? ioctl(v->fd, KVM_SET_XCRS, &x) : 0;
}

/* The guest's TSC runs as the host's, so one offset serves all vCPUs. Without the attribute KVM chose one itself. */
static int set_tsc(struct vcpu *v)
{
	u64 offset = 0, before;
	struct kvm_device_attr attr = { .group = 0 /* KVM_VCPU_TSC_CTRL */, .attr = 0 /* KVM_VCPU_TSC_OFFSET */,
					.addr = (u64)&offset };
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e;
	} m = { .head.nmsrs = 1, .e.index = MSR_TSC };

	if (!(v->vm->cfg.without & KVM_WITHOUT_TSC_CONTROL) && !ioctl(v->fd, KVM_SET_DEVICE_ATTR, &attr)) {
		v->vm->tsc_offset = 0;
		return 0;
	}
	m.e.data = __builtin_ia32_rdtsc();
	ioctl(v->fd, KVM_SET_MSRS, &m);
	before = __builtin_ia32_rdtsc();
	if (ioctl(v->fd, KVM_GET_MSRS, &m) != 1)
		return -1;
	if (!v->cpu)
		v->vm->tsc_offset = (s64)(m.e.data - before);
	return 0;
}

int kvm_cpu_setup(struct vcpu *v, char *err, size_t err_size)
{
	const struct {
		const char *name;
		int (*fn)(struct vcpu *v);
	} steps[] = { { "CPUID", set_cpuid }, { "system registers", set_sregs }, { "XCR0", set_xcr0 },
		      { "model-specific registers", set_msrs }, { "TSC", set_tsc } };

	for (u32 i = 0; i < ARRAY_SIZE(steps); i++)
		if (steps[i].fn(v) < 0) {
			snprintf(err, err_size, "KVM refuses the %s of vCPU %u: %s", steps[i].name, v->cpu, strerror(errno));
			return -1;
		}
	return 0;
}
