/* What Bochs's own words mean: pure text. */
#ifndef VM_BOCHS_LOG_H
#define VM_BOCHS_LOG_H

#include <stddef.h>

enum bochs_event {
	BOCHS_NOTHING,
	BOCHS_RESET,     /* the machine is reset; the first time is its start */
	BOCHS_POWER_OFF, /* the guest switched the machine off */
	BOCHS_PANIC,     /* Bochs gives up */
};

/*
 * Interpret a line of its log, "TICKSp[DEVICE] text" (Bochs 2.7, logfunctions::ldebug and its
 * default log prefix). For BOCHS_PANIC *why is what it says of it, within line.
 */
enum bochs_event bochs_log_line(const char *line, const char **why);

/* "Bochs 2.7" from what `bochs-bin --help` prints; NULL if it is not there. The caller frees. */
char *bochs_version(const char *help);

#endif
