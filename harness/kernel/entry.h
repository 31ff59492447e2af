/* What entry.S and unpacked.c must agree on; for the assembler, too. */
#ifndef KERNEL_ENTRY_H
#define KERNEL_ENTRY_H

/* Where a bzImage's part in protected mode is loaded, and entered (boot.rst). */
#define ENTRY_ADDRESS 0x100000
#define ENTRY_BYTES   0x8000

/* Offsets of what is filled in, little-endian: 32 bits, not 0 if the kernel can use page tables of
 * five levels; 64 bits, the vmlinux's entry. */
#define ENTRY_LEVELS_5 0xf0
#define ENTRY_VMLINUX  0xf8

#endif
