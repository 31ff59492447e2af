/* The embedded files, taken in by the assembler. */
#include "embed.h"

#define EMBED(name, file)                                                                          \
	__asm__(".section .rodata\n"                                                               \
		".balign 16\n"                                                                     \
		"embed_" #name "_start:\n"                                                         \
		".incbin \"" file "\"\n"                                                           \
		"embed_" #name "_end:\n"                                                           \
		".byte 0\n"                                                                        \
		".previous\n");                                                                    \
	extern const char embed_##name##_start[], embed_##name##_end[];                            \
	struct embed embed_##name(void)                                                            \
	{                                                                                          \
		return (struct embed){                                                             \
			embed_##name##_start,                                                      \
			(size_t)(embed_##name##_end - embed_##name##_start),                       \
		};                                                                                 \
	}

EMBED(guest, KVMREPRO_GUEST)
EMBED(domain_xml, "images/domain.xml.in")
EMBED(bochsrc, "images/bochsrc.in")
EMBED(bochs_rom, KVMREPRO_ROM)
EMBED(entry, KVMREPRO_ENTRY)
EMBED(fork, KVMREPRO_FORK)
EMBED(catalogue, "repro/catalogue")
