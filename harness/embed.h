/* Files that are part of the program (see the rule for embed.o in GNUmakefile). */
#ifndef EMBED_H
#define EMBED_H

#include <stddef.h>

struct embed {
	const char *data; /* a NUL follows that size does not count */
	size_t size;
};

/* The guest's static program: /init, and each bundled reproducer when run under its name. */
struct embed embed_guest(void);

/* The template of the domain's XML, images/domain.xml.in. */
struct embed embed_domain_xml(void);

/* The template of Bochs's configuration, images/bochsrc.in. */
struct embed embed_bochsrc(void);

/* What boots Bochs, harness/vm/bochs_rom.S. */
struct embed embed_bochs_rom(void);

/* What enters a kernel decompressed on the host, harness/kernel/entry.S. */
struct embed embed_entry(void);

/* The library that makes forks of a VM, harness/vm/preload/fork.c. */
struct embed embed_fork(void);

/* The catalogue of reproducers, repro/catalogue. */
struct embed embed_catalogue(void);

#endif
