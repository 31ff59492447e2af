/* kvmrepro: does this kernel have this bug? Dispatch to the commands; errors to exit statuses. */
#include "cmd.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "cage.h"
#include "interrupt.h"
#include "keeper.h"
#include "readers.h"

#include <stdint.h>
#include <string.h>

const struct cmd *const cmds[] = { &cmd_run,      &cmd_check,     &cmd_bisect,
				   &cmd_classify, &cmd_repro,     &cmd_audit,
				   &cmd_doctor,   &cmd_signature, NULL };

static void usage(FILE *out)
{
	fputs("usage: kvmrepro COMMAND [OPTION]...\n\n"
	      "Boots a kernel in a VM with nested KVM, runs reproducers in it, and says what\n"
	      "its console showed: a test oracle for git bisect.\n\n",
	      out);
	for (const struct cmd *const *c = cmds; *c; c++)
		fprintf(out, "  %-10s%s\n", (*c)->name, (*c)->summary);
	fputs("\n'kvmrepro COMMAND --help' lists a command's options; kvmrepro(1) is the manual.\n",
	      out);
}

/* Output that did not arrive is a failure too: the disk may be full, the reader gone. */
static int close_stdout(int status)
{
	bool failed = ferror(stdout);

	/* Who was ended by a signal was perhaps ended with the terminal. */
	if ((fclose(stdout) || failed) && !interrupt_signal()) {
		log_error("cannot write standard output");
		return EXIT_HARNESS;
	}
	return status;
}

static int status_of(const struct err *err)
{
	switch (err->kind) {
	case ERR_INPUT:
		return EXIT_USAGE;
	case ERR_UNSUPPORTED:
		return EXIT_SKIP;
	case ERR_INTERRUPTED:
		return 128 + interrupt_signal();
	case ERR_HARNESS:
		break;
	}
	return EXIT_HARNESS;
}

static int run_command(const struct cmd *cmd, int argc, char **argv)
{
	cleanup_free void *opts = xcalloc(1, cmd->opts_bytes);
	struct err err;
	int first;

	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			opts_help(cmd, stdout);
			return 0;
		}
	if (opts_parse(cmd, argc, argv, opts, &first, &err)) {
		log_error("%s: %s", cmd->name, err.msg);
		return EXIT_USAGE;
	}
	int status = cage_setup(readers, &err);
	if (!status)
		status = cmd->run(opts, argc - first, argv + first, &err);
	cage_end();
	opts_free(cmd, opts);
	if (status >= 0)
		return status;
	log_error("%s", err.msg);
	return status_of(&err);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	struct err err;

	if (!strcmp(name, KEEPER_ARG) && argc == 2)
		return keeper_main();
	if (interrupt_setup(&err)) {
		log_error("%s", err.msg);
		return EXIT_HARNESS;
	}
	if (!strcmp(name, "--help") || !strcmp(name, "-h") ||
	    (!strcmp(name, "help") && argc == 2)) {
		usage(stdout);
		return close_stdout(0);
	}
	if (!strcmp(name, "--version")) {
		puts("kvmrepro " KVMREPRO_VERSION);
		return close_stdout(0);
	}
	bool help = !strcmp(name, "help");
	for (const struct cmd *const *c = cmds; *c; c++) {
		if (strcmp((*c)->name, help ? argv[2] : name))
			continue;
		if (help) {
			opts_help(*c, stdout);
			return close_stdout(0);
		}
		int status = run_command(*c, argc - 1, argv + 1);
		interrupt_end();
		return close_stdout(status);
	}
	if (argc > 1)
		log_error("no such command '%s'; 'kvmrepro --help' lists them",
			  help ? argv[2] : name);
	else
		usage(stderr);
	return EXIT_USAGE;
}
