/* The ways through a report to the function to blame; see rule.h. */
#include "oops/rules.h"

static const struct oops_step pc_then_trace[] = {
	{ STEP_PC, NULL }, { STEP_TRACE, NULL }, { STEP_FRAMES, NULL }, { STEP_END, NULL } };
static const struct oops_step trace[] = {
	{ STEP_TRACE, NULL }, { STEP_FRAMES, NULL }, { STEP_END, NULL } };
static const struct oops_step frames[] = { { STEP_FRAMES, NULL }, { STEP_END, NULL } };
static const struct oops_step here_then_trace[] = {
	{ STEP_HERE, " at \\S+ " RE_FUNC "|:\\d+ at " RE_FUNC }, { STEP_TRACE, NULL },
	{ STEP_FRAMES, NULL }, { STEP_END, NULL } };
static const struct oops_step lock_at[] = {
	{ STEP_MATCH, "at: (?:" RE_PC " +)?" RE_FUNC }, { STEP_FRAMES, NULL }, { STEP_END, NULL } };
static const struct oops_step unlock_at[] = {
	{ STEP_MATCH, "trying to release lock .* at:" }, { STEP_FRAMES, NULL }, { STEP_END, NULL } };
static const struct oops_step lock_only[] = {
	{ STEP_MATCH, "at: (?:" RE_PC " +)?" RE_FUNC }, { STEP_END, NULL } };

const struct oops_path path_pc = { pc_then_trace, trace, PICK_FIRST, NULL };
const struct oops_path path_trace = { trace, NULL, PICK_FIRST, NULL };
const struct oops_path path_panic = { trace, frames, PICK_FIRST, "schedule" };
const struct oops_path path_frames = { frames, NULL, PICK_FIRST, NULL };
const struct oops_path path_kasan = { trace, frames, PICK_FIRST, NULL };
const struct oops_path path_warn = { here_then_trace, NULL, PICK_FIRST, NULL };
const struct oops_path path_stall = { trace, NULL, PICK_STALL, NULL };
const struct oops_path path_hang = { trace, NULL, PICK_HANG, NULL };
const struct oops_path path_leak = { trace, frames, PICK_LEAK, NULL };
const struct oops_path path_deadlock = { lock_at, trace, PICK_FIRST, NULL };
const struct oops_path path_lock_at = { lock_only, NULL, PICK_FIRST, NULL };
const struct oops_path path_unlock = { unlock_at, trace, PICK_FIRST, NULL };
const struct oops_path path_usercopy = { trace, NULL, PICK_FIRST, "usercopy|__check" };
