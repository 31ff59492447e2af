/* The bundled reproducers inside the guest's one program: name, entry point. */
#ifndef GUEST_APPLETS_H
#define GUEST_APPLETS_H

struct applet {
	const char *name; /* NULL ends the table */
	int (*main)(int argc, char **argv);
};

/* Made by GNUmakefile from the files in repro/. */
extern const struct applet applets[];

#endif
