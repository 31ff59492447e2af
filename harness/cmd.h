/*
 * Commands and their options as tables. A command is one file with one `const struct cmd`; help
 * is printed by walking the same rows that parsing uses, so it cannot drift.
 */
#ifndef CMD_H
#define CMD_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum opt_type {
	OPT_FLAG,   /* bool *; takes no argument */
	OPT_NUMBER, /* long *; a whole number from min to max, or the choice, which is 0 */
	OPT_SHARE,  /* double *; a decimal number above 0 and below 1 */
	OPT_STRING, /* const char *; points into argv or the table */
	OPT_CHOICE, /* const char *; one of the row's choices */
	OPT_LIST,   /* struct opt_list *; may be given more than once */
};

struct opt_list {
	const char **items; /* the array is the command's to free, the strings are argv's */
	size_t n;
};

struct opt {
	const char *name; /* without the dashes; NULL ends the table */
	enum opt_type type;
	size_t offset;              /* of the value in the command's options struct */
	const char *arg;            /* what help calls the argument; NULL for a flag */
	long min, max;              /* OPT_NUMBER */
	const char *const *choices; /* OPT_CHOICE, OPT_NUMBER (one or NULL); NULL-terminated */
	const char *def;  /* the default, as it would be typed; NULL: zero, false or NULL */
	const char *help; /* what it does; printed after it: the choices and the default */
};

struct cmd {
	const char *name;
	const char *operands; /* for the usage line: "FILE...", or "" */
	const char *summary;  /* one line */
	const struct opt *opts;
	size_t opts_bytes; /* size of the options struct */
	/* opts points to the filled options struct; argv holds the operands, argv[argc] is NULL.
	 * Returns the exit status (docs/outcomes.md), or -1 with err set. */
	int (*run)(const void *opts, int argc, char **argv, struct err *err);
};

/* All commands, in the order of help; the last row is NULL. */
extern const struct cmd *const cmds[];

extern const struct cmd cmd_run, cmd_check, cmd_bisect, cmd_classify, cmd_repro, cmd_audit,
	cmd_doctor, cmd_signature;

/* Parse argv[1..] by the command's table into opts, which must be opts_bytes large; the operands
 * are moved to the end, *first is the index of the first one. Wrong usage is ERR_INPUT. */
int opts_parse(const struct cmd *cmd, int argc, char **argv, void *opts, int *first,
	       struct err *err);

/* Free the lists in opts. */
void opts_free(const struct cmd *cmd, void *opts);

/*
 * one(opaque, operand) for each operand. One that fails keeps no other from its turn: its error is
 * logged, the last one's is returned. ERR_INTERRUPTED ends it at once.
 */
int cmd_each(int argc, char **argv, int (*one)(void *opaque, const char *operand, struct err *err),
	     void *opaque, struct err *err);

/* The command's help: usage line, summary, one entry an option. */
void opts_help(const struct cmd *cmd, FILE *out);

/* Exit statuses that are not a verdict's (design: outcomes to exit status). */
#define EXIT_SKIP    125
#define EXIT_HARNESS 128
#define EXIT_USAGE   129

#endif
