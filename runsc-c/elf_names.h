/* Names of this executable's functions, as far as its symbol table is still there. */
#ifndef RUNSC_C_ELF_NAMES_H
#define RUNSC_C_ELF_NAMES_H

#include "base/types.h"

/* "function+0x12" of an address in it. */
bool elf_name(u64 address, char *out, size_t size);

#endif
