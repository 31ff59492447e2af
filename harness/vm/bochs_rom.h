/* What bochs_rom.S and bochs_image.c must agree on; for the assembler, too. */
#ifndef VM_BOCHS_ROM_H
#define VM_BOCHS_ROM_H

#define BOCHS_ROM_BYTES 1024

/* Offset of the copies in the ROM: {sector, sectors, address} each, little-endian 32 bits; one of
 * no sectors is the last, and the ROM's last byte is its sum's. */
#define BOCHS_ROM_COPIES 448
#define BOCHS_COPY_BYTES 12
#define BOCHS_COPIES_MAX ((BOCHS_ROM_BYTES - BOCHS_ROM_COPIES - 1) / BOCHS_COPY_BYTES - 1)

/* The part of the kernel that begins in real mode: its segment, and in it the end of the stack, at
 * which the command line begins. */
#define BOCHS_REAL_SEGMENT 0x1000
#define BOCHS_REAL_STACK   0xe000

#endif
