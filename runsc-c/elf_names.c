#include "elf_names.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file is this program's own: it is trusted. */
static const char *map_self(void)
{
	static const char *map;
	struct stat st;
	int fd;

	if (map)
		return map;
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0)
		map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (fd >= 0)
		close(fd);
	return map = map == MAP_FAILED ? NULL : map;
}

static const Elf64_Shdr *symbol_table(const char *map)
{
	const Elf64_Ehdr *e = (const Elf64_Ehdr *)map;
	const Elf64_Shdr *s = e && e->e_shoff ? (const Elf64_Shdr *)(map + e->e_shoff) : NULL;

	for (u32 i = 0; s && i < e->e_shnum; i++)
		if (s[i].sh_type == SHT_SYMTAB)
			return &s[i];
	return NULL;
}

bool elf_name(u64 address, char *out, size_t size)
{
	const char *map = map_self();
	const Elf64_Shdr *table = symbol_table(map);
	const Elf64_Sym *sym = table ? (const Elf64_Sym *)(map + table->sh_offset) : NULL;
	const char *strings =
		table ? map + ((const Elf64_Shdr *)(map + ((const Elf64_Ehdr *)map)->e_shoff))[table->sh_link].sh_offset
		      : NULL;

	for (u64 i = 0; sym && i < table->sh_size / sizeof(*sym); i++) {
		if (ELF64_ST_TYPE(sym[i].st_info) != STT_FUNC || address < sym[i].st_value ||
		    address >= sym[i].st_value + sym[i].st_size)
			continue;
		snprintf(out, size, "%s+0x%llx", strings + sym[i].st_name,
			 (unsigned long long)(address - sym[i].st_value));
		return true;
	}
	return false;
}
