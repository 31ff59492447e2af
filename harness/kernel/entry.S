/*
 * What a kernel that was decompressed on the host has in place of its decompressor: entered as one
 * is (boot.rst, 32-bit boot protocol: flat segments, no paging, %esi the boot parameters), it does
 * what is left to do of a decompressor's work. It turns to 64-bit mode, with page tables that map
 * the first 4 GiB to themselves, of five levels where CPU and kernel have them, as the
 * decompressor chooses them (arch/x86/boot/compressed/pgtable_64.c), and jumps to the vmlinux.
 * unpacked.c fills in where that is.
 */
#include "kernel/entry.h"

	.set PRESENT, 1
	.set WRITABLE, 2
	.set LARGE, 0x80         /* a page of 2 MiB */
	.set CR4_PAE, 0x20
	.set CR4_LA57, 0x1000
	.set CPUID_7_LA57, 0x10000 /* of %ecx */
	.set EFER, 0xc0000080
	.set EFER_LME_BIT, 8
	.set CR0_PG_PE, 0x80000001

	.text
	.code32
entry:
	cli
	cld
	lgdtl ENTRY_ADDRESS + gdtr - entry
	movl $(ENTRY_ADDRESS + level4 - entry), %edi
	movl $CR4_PAE, %ebp
	cmpl $0, ENTRY_ADDRESS + ENTRY_LEVELS_5
	je 1f
	xorl %eax, %eax
	cpuid
	cmpl $7, %eax
	jb 1f
	movl $7, %eax
	xorl %ecx, %ecx
	cpuid
	testl $CPUID_7_LA57, %ecx
	jz 1f
	orl $CR4_LA57, %ebp
	movl $(ENTRY_ADDRESS + level5 - entry), %edi
1:	movl %cr4, %eax
	orl %ebp, %eax
	movl %eax, %cr4
	movl %edi, %cr3
	movl $EFER, %ecx
	rdmsr
	btsl $EFER_LME_BIT, %eax
	wrmsr
	movl %cr0, %eax
	orl $CR0_PG_PE, %eax
	movl %eax, %cr0
	ljmpl $(code - gdt), $(ENTRY_ADDRESS + 2f - entry)

	.code64
2:	movl $(data - gdt), %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movl %esi, %esi
	jmpq *(ENTRY_ADDRESS + ENTRY_VMLINUX)

	.balign 8
gdt:	.quad 0, 0
code:	.quad 0x00af9b000000ffff /* 0x10 and 0x18, as the 64-bit boot protocol has them */
data:	.quad 0x00cf93000000ffff
gdtr:	.word . - gdt - 1
	.long ENTRY_ADDRESS + gdt - entry

	.org ENTRY_LEVELS_5
	.long 0
	.org ENTRY_VMLINUX
	.quad 0

	.balign 4096
level5:	.quad ENTRY_ADDRESS + level4 - entry + PRESENT + WRITABLE
	.balign 4096
level4:	.quad ENTRY_ADDRESS + level3 - entry + PRESENT + WRITABLE
	.balign 4096
level3:	.set gib, 0
	.rept 4
	.quad ENTRY_ADDRESS + level2 - entry + gib * 4096 + PRESENT + WRITABLE
	.set gib, gib + 1
	.endr
	.balign 4096
level2:	.set page, 0
	.rept 4 * 512
	.quad page * 0x200000 + PRESENT + WRITABLE + LARGE
	.set page, page + 1
	.endr
	.org ENTRY_BYTES
