/*
 * What Bochs's own words mean; see bochs_log.h.
 *
 * Its exit status says nothing: a guest's power-off is a panic to it too. Lines that a guest could
 * write into the log (its BIOS has a port for that) begin with another device's name.
 */
#include "vm/bochs_log.h"

#include "base/buf.h"

#include <stdbool.h>
#include <string.h>

#define PANIC_MARK ">>PANIC<< "

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

enum bochs_event bochs_log_line(const char *line, const char **why)
{
	const char *p = line + strspn(line, "0123456789");

	if (p == line)
		return BOCHS_NOTHING;
	if (starts(p, "i[SYS") && strstr(p, "] bx_pc_system_c::Reset("))
		return BOCHS_RESET;
	if (!starts(p, "p["))
		return BOCHS_NOTHING;
	if (starts(p, "p[ACPI") && strstr(p, PANIC_MARK "ACPI control: soft power off"))
		return BOCHS_POWER_OFF;
	const char *mark = strstr(p, PANIC_MARK);
	*why = mark ? mark + strlen(PANIC_MARK) : p + 1;
	return BOCHS_PANIC;
}

char *bochs_version(const char *help)
{
	static const char name[] = "Bochs x86 Emulator ";
	const char *at = strstr(help, name);

	if (!at)
		return NULL;
	at += strlen(name);
	size_t len = strspn(at, "0123456789.");
	return len ? xasprintf("Bochs %.*s", (int)len, at) : NULL;
}
