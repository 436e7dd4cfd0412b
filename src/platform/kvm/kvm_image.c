/* Loads the sentry image into sandbox memory and builds what ring 0 needs around it (abi.h). */
#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "platform/kvm/kvm_priv.h"

#define TSS_SIZE 104
#define GDT_ENTRIES 16
#define GATE_INTERRUPT 0x8e
#define GATE_INTERRUPT_USER 0xee
#define IST_NMI 1
#define IST_DF 2
#define IST_MC 3
#define IMAGE_MAX (64ull << 20)

/* Tables grow behind the image. */
struct builder {
	struct kvm_vm *vm;
	u64 next; /* first free physical address */
	bool full;
};

static u64 take_pages(struct builder *b, u64 n)
{
	u64 pa = b->next;

	if (b->full || pa + n * PAGE_SIZE > b->vm->cfg.mem_size) {
		b->full = true;
		return LAYOUT_END_PA; /* harmless to write; the caller checks `full` in the end */
	}
	b->next += n * PAGE_SIZE;
	memset(b->vm->cfg.mem + pa, 0, n * PAGE_SIZE);
	return pa;
}

static u64 *table_at(struct builder *b, u64 pa)
{
	return (u64 *)(b->vm->cfg.mem + pa);
}

/* The table below entry `index`, made when missing. */
static u64 descend(struct builder *b, u64 table, u32 index)
{
	u64 *entry = &table_at(b, table)[index];

	if (!(*entry & PT_P))
		*entry = take_pages(b, 1) | PT_P | PT_W | PT_A;
	return *entry & 0x000ffffffffff000ull;
}

static void map_page(struct builder *b, u64 va, u64 pa, u64 bits)
{
	u64 pdpt = descend(b, b->vm->root_pa, (va >> 39) & 511);
	u64 pd = descend(b, pdpt, (va >> 30) & 511);
	u64 pt = descend(b, pd, (va >> 21) & 511);

	table_at(b, pt)[(va >> 12) & 511] = pa | bits | PT_P | PT_A | PT_D | PT_G;
}

static void map_direct(struct builder *b)
{
	u64 bits = PT_P | PT_W | PT_A | PT_D | PT_G | PT_PS | PT_NX, size = b->vm->cfg.mem_size + b->vm->cfg.window;
	u64 step = b->vm->has_1g ? 1ull << 30 : 1ull << 21;

	for (u64 pa = 0; pa < size && !b->full; pa += step) {
		u64 va = KVM_DIRECT_MAP + pa;
		u64 table = descend(b, b->vm->root_pa, (va >> 39) & 511);

		if (b->vm->has_1g) {
			table_at(b, table)[(va >> 30) & 511] = pa | bits;
			continue;
		}
		table = descend(b, table, (va >> 30) & 511);
		table_at(b, table)[(va >> 21) & 511] = pa | bits;
	}
}

/* A program header whose file and memory ranges are inside the image and the window it may use. */
static bool segment_ok(const Elf64_Phdr *ph, u64 file_size)
{
	u64 offset = ph->p_vaddr - KVM_IMAGE_BASE;

	return ph->p_offset <= file_size && ph->p_filesz <= file_size - ph->p_offset && ph->p_filesz <= ph->p_memsz &&
	       ph->p_vaddr >= KVM_IMAGE_BASE && offset < IMAGE_MAX && ph->p_memsz <= IMAGE_MAX - offset &&
	       !(ph->p_vaddr & ~PAGE_MASK) && ph->p_paddr == LAYOUT_END_PA + offset;
}

static bool load_segments(struct builder *b, const Elf64_Ehdr *eh, u64 file_size)
{
	const Elf64_Phdr *ph = (const Elf64_Phdr *)((const char *)eh + eh->e_phoff);

	for (u32 i = 0; i < eh->e_phnum; i++) {
		u64 end;

		if (ph[i].p_type != PT_LOAD || !ph[i].p_memsz)
			continue;
		end = PAGE_ALIGN_UP(ph[i].p_paddr + ph[i].p_memsz);
		if (!segment_ok(&ph[i], file_size) || end > b->vm->cfg.mem_size)
			return false;
		memcpy(b->vm->cfg.mem + ph[i].p_paddr, (const char *)eh + ph[i].p_offset, ph[i].p_filesz);
		memset(b->vm->cfg.mem + ph[i].p_paddr + ph[i].p_filesz, 0, ph[i].p_memsz - ph[i].p_filesz);
		b->next = MAX(b->next, end);
	}
	return true;
}

static void map_segments(struct builder *b, const Elf64_Ehdr *eh)
{
	const Elf64_Phdr *ph = (const Elf64_Phdr *)((const char *)eh + eh->e_phoff);

	for (u32 i = 0; i < eh->e_phnum; i++) {
		u64 bits = (ph[i].p_flags & PF_W ? PT_W : 0) | (ph[i].p_flags & PF_X ? 0 : PT_NX);

		if (ph[i].p_type != PT_LOAD)
			continue;
		for (u64 off = 0; off < ph[i].p_memsz; off += PAGE_SIZE)
			map_page(b, ph[i].p_vaddr + off, ph[i].p_paddr + off, bits);
	}
}

static void set_gate(u64 *idt, u32 vector, u64 handler, u32 ist, u32 type)
{
	if (!handler)
		return;
	idt[2 * vector] = (handler & 0xffff) | ((u64)KVM_KERNEL_CS << 16) | ((u64)ist << 32) | ((u64)type << 40) |
			  ((handler >> 16 & 0xffff) << 48);
	idt[2 * vector + 1] = handler >> 32;
}

static void build_idt(struct builder *b)
{
	struct kvm_vm *vm = b->vm;
	u64 *idt;

	vm->idt_pa = take_pages(b, 1);
	idt = table_at(b, vm->idt_pa);
	for (u32 i = 0; i < KVM_NVECTORS; i++) {
		u32 ist = i == 2 ? IST_NMI : i == 8 ? IST_DF : i == 18 ? IST_MC : 0;
		bool user = i == 3 || i == 4; /* INT3 and INTO are for anyone */

		set_gate(idt, i, vm->image.vectors[i], ist, user ? GATE_INTERRUPT_USER : GATE_INTERRUPT);
	}
	set_gate(idt, KVM_VEC_INT80, vm->image.int80, 0, GATE_INTERRUPT_USER);
}

static void build_gdt(u64 *gdt, u64 tss_va, u32 cpu)
{
	gdt[KVM_KERNEL_CS >> 3] = 0x00af9b000000ffffull;
	gdt[KVM_KERNEL_DS >> 3] = 0x00cf93000000ffffull;
	gdt[KVM_USER32_CS >> 3] = 0x00cffb000000ffffull;
	gdt[KVM_USER_DS >> 3] = 0x00cff3000000ffffull;
	gdt[KVM_USER_CS >> 3] = 0x00affb000000ffffull;
	gdt[KVM_TSS_SEL >> 3] = (TSS_SIZE - 1) | (tss_va & 0xffffff) << 16 | 0x8bull << 40 | (tss_va >> 24 & 0xff) << 56;
	gdt[(KVM_TSS_SEL >> 3) + 1] = tss_va >> 32;
	gdt[KVM_CPU_SEL >> 3] = 0x0040f50000000000ull | (cpu & 0xffff);
}

static void put_stack(char *tss, u32 offset, u64 top)
{
	memcpy(tss + offset, &top, sizeof(top));
}

static void build_cpu_area(struct kvm_vm *vm, u32 cpu)
{
	u64 pa = vm->cpu_areas_pa + cpu * KVM_CPU_AREA, va = kvm_direct(pa);
	char *tss = vm->cfg.mem + pa + KVM_CPU_TABLES;
	struct kvm_pcpu *pcpu = (struct kvm_pcpu *)(vm->cfg.mem + pa);
	struct vcpu *v = &vm->vcpus[cpu];
	u16 no_io_map = TSS_SIZE;

	put_stack(tss, 4, va + KVM_CPU_TRAP_STACK);
	put_stack(tss, 36 + 8 * (IST_NMI - 1), va + KVM_CPU_NMI_STACK);
	put_stack(tss, 36 + 8 * (IST_DF - 1), va + KVM_CPU_DF_STACK);
	put_stack(tss, 36 + 8 * (IST_MC - 1), va + KVM_CPU_MC_STACK);
	memcpy(tss + 102, &no_io_map, sizeof(no_io_map));
	build_gdt((u64 *)(tss + 128), va + KVM_CPU_TABLES, cpu);

	pcpu->self = (void *)va;
	pcpu->comm = (void *)kvm_direct(COMM_PA + (u64)cpu * PAGE_SIZE);
	pcpu->cpu = cpu;
	pcpu->flags = vm->flags;
	pcpu->boot_root_pa = vm->root_pa;
	pcpu->kstack_pdpt_pa = vm->kstack_pdpt_pa;
	pcpu->xcr0 = vm->xcr0;
	pcpu->fpu_size = vm->fpu_size;
	pcpu->ncpus = vm->cfg.ncpus;
	pcpu->boot_params = kvm_direct(BOOT_PARAMS_PA);
	v->pcpu = pcpu;
	v->pcpu_va = va;
	v->boot_sp = va + KVM_CPU_BOOT_STACK - 32;
}

int kvm_image_load(struct kvm_vm *vm, char *err, size_t err_size)
{
	const Elf64_Ehdr *eh = vm->cfg.image;
	struct builder b = { .vm = vm, .next = LAYOUT_END_PA };

	if (vm->cfg.image_size < sizeof(*eh) || memcmp(eh->e_ident, ELFMAG, SELFMAG) ||
	    eh->e_phoff > vm->cfg.image_size ||
	    (u64)eh->e_phnum * sizeof(Elf64_Phdr) > vm->cfg.image_size - eh->e_phoff ||
	    !load_segments(&b, eh, vm->cfg.image_size) || eh->e_entry < KVM_IMAGE_BASE ||
	    eh->e_entry - KVM_IMAGE_BASE > b.next - LAYOUT_END_PA - sizeof(vm->image)) {
		snprintf(err, err_size, "the sentry image is damaged, or does not fit the sandbox memory");
		return -1;
	}
	memcpy(&vm->image, vm->cfg.mem + (eh->e_entry - KVM_IMAGE_BASE + LAYOUT_END_PA), sizeof(vm->image));
	if (vm->image.magic != KVM_IMAGE_MAGIC) {
		snprintf(err, err_size, "the sentry image is of another build");
		return -1;
	}
	vm->root_pa = take_pages(&b, 1);
	map_segments(&b, eh);
	map_direct(&b);
	vm->kstack_pdpt_pa = descend(&b, vm->root_pa, (KVM_KSTACKS >> 39) & 511);
	build_idt(&b);
	b.next = ALIGN_UP(b.next, KVM_CPU_AREA);
	vm->cpu_areas_pa = take_pages(&b, vm->cfg.ncpus * KVM_CPU_AREA / PAGE_SIZE);
	if (b.full) {
		snprintf(err, err_size, "sandbox memory of %llu bytes is too small", (unsigned long long)vm->cfg.mem_size);
		return -1;
	}
	for (u32 cpu = 0; cpu < vm->cfg.ncpus; cpu++)
		build_cpu_area(vm, cpu);
	vm->first_free = b.next;
	return 0;
}
