/*
 * What Bochs's BIOS finds where a display's ROM would be, and so calls first of all: it copies the
 * kernel, its initramfs and its command line from the first disk to where the x86 boot protocol
 * (Linux, Documentation/arch/x86/boot.rst) has them, and starts the kernel. The BIOS is not
 * returned to: its tables are made by then, and what it has left to do, finding disks to boot
 * from, no kernel asks of it. bochs_image.c writes the disk, and fills in the copies and the sum.
 */
#include "vm/bochs_rom.h"

	.set BASE, 0xc0000  /* where a display's ROM is */

	.text
	.code16
rom:
	/* its length in 512 bytes (BIOS Boot Specification 1.01) */
	.byte 0x55, 0xaa, BOCHS_ROM_BYTES / 512
	cli
	cld
	inb $0x92, %al      /* address line 20 on */
	orb $2, %al
	outb %al, $0x92
	lgdtl %cs:(gdtr - rom)
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmpl $(code32 - gdt), $(BASE + protected - rom)

	.code32
protected:
	movl $(data32 - gdt), %eax
	movl %eax, %ds
	movl %eax, %es
	movl $(BASE + copies - rom), %esi
next:
	movl (%esi), %ebx   /* sector */
	movl 4(%esi), %ecx  /* sectors */
	movl 8(%esi), %edi  /* address */
	addl $12, %esi
	jecxz done
command:
	movl $128, %ebp     /* sectors that one command reads */
	cmpl %ebp, %ecx
	jae 1f
	movl %ecx, %ebp
1:	movl $0x1f7, %edx   /* ATA: READ SECTORS, 28-bit addresses */
2:	inb %dx, %al
	testb $0x80, %al    /* busy */
	jnz 2b
	movb $0xf2, %dl
	movl %ebp, %eax
	outb %al, %dx
	incl %edx
	movl %ebx, %eax
	outb %al, %dx
	incl %edx
	shrl $8, %eax
	outb %al, %dx
	incl %edx
	shrl $8, %eax
	outb %al, %dx
	incl %edx
	shrl $8, %eax
	orb $0xe0, %al
	outb %al, %dx
	incl %edx
	movb $0x20, %al
	outb %al, %dx
sector:
	inb %dx, %al
	testb $0x80, %al
	jnz sector
	testb $8, %al       /* data are there */
	jz failed
	movl %ecx, %eax
	movb $0xf0, %dl
	movl $128, %ecx
	rep insl
	movb $0xf7, %dl
	movl %eax, %ecx
	incl %ebx
	decl %ecx
	decl %ebp
	jnz sector
	jecxz next
	jmp command
failed:
	movl $0x400, %edx   /* Bochs: "BIOS panic at rombios.c, line 9999" */
	movl $9999, %eax
	outw %ax, %dx
1:	hlt
	jmp 1b
done:
	ljmpl $(code16 - gdt), $(leave - rom)

	.code16
leave:
	movw $(data16 - gdt), %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %fs
	movw %ax, %gs
	movw %ax, %ss
	movl %cr0, %eax
	andb $0xfe, %al
	movl %eax, %cr0
	ljmpw $(BASE >> 4), $(real - rom)
real:
	movw $BOCHS_REAL_SEGMENT, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %fs
	movw %ax, %gs
	movw %ax, %ss
	movw $BOCHS_REAL_STACK, %sp
	ljmpw $(BOCHS_REAL_SEGMENT + 0x20), $0 /* boot.rst: past the boot sector */

	.balign 8
gdt:	.quad 0
code32:	.quad 0x00cf9a000000ffff
data32:	.quad 0x00cf92000000ffff
code16:	.quad 0x00009a0c0000ffff /* at BASE */
data16:	.quad 0x000092000000ffff
gdtr:	.word . - gdt - 1
	.long BASE + gdt - rom

	.org BOCHS_ROM_COPIES
copies:
	.org BOCHS_ROM_BYTES
