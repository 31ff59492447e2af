#!/usr/bin/env bash
# One --state file for a run, a bisection and a check: what one has learnt serves the next.
# shellcheck disable=SC2016,SC2154 # jq has variables of its own; bisect.sh sets build
. "$(dirname "$0")/../tap.sh"
. "$(dirname "$0")/../bisect.sh"

command -v git >/dev/null || skip_all "no git"
test_kernels lean lean+003 lean+004
mkdir "$T/kernels"
for name in good other bad; do
	read -r path
	cp "$path" "$T/kernels/$name"
done <"$T/paths"
tree=$T/tree
scratch_repo "$tree" good other bad bad
title='kernel BUG in kvm_mmu_hugepage_adjust'
trials=(--repro memslot-misaligned --state "$T/state.json")

# runs: how many trials the last command made.
runs() {
	grep -c ': run #' "$T/err"
}
# bisect OUT [OPTION...]
bisect() {
	run "$KVMREPRO" bisect --tree "$tree" --build "$build" --good main~3 --bad main "${trials[@]}" --out "$@"
	status_is 0 "${1##*/}: found and confirmed"
	out_like "^first bad commit: $(revision "$tree" 3) change 3\$" "${1##*/}: the right commit"
}
# runs_of OUT NAME: trials under revisions/*/NAME.
runs_of() {
	find "$1/revisions" -path "*/$2/trial-*" -type d | wc -l
}

run "$KVMREPRO" run --kernel "$T/kernels/bad" --runs 5 "${trials[@]}"
status_is 1 "run: bad"
bisect "$T/first"
err_like "$(revision "$tree" 4 | cut -c1-12): this kernel was judged at .*: not run again" "a bisection after a run: --bad is not run again"
out_like "^all runs: crashed: $title\$" "a bisection after a run: the lines of then"
check "a bisection after a run: its rate is known" \
	jq -e --arg title "$title" '.target == $title and .steps[0].hits == 5 and .known_hits >= 5' "$T/first/journal.json"
check "a bisection after a run: good kernels are run" test "$(runs_of "$T/first" runs)" -ge 2
bisect "$T/again"
check "a second bisection: nothing is run" test "$(runs_of "$T/again" runs)" -eq 0
check "a second bisection: but the confirmation" test "$(runs_of "$T/again" confirm)" -ge 2

run "$KVMREPRO" check --base "$T/kernels/bad" --kernel "$T/kernels/other" --expect "$title" "${trials[@]}"
status_is 0 "check after a bisection: fixed"
check "check after a bisection: nothing is run ($(runs) trials)" test "$(runs)" -eq 0
run "$KVMREPRO" check --base "$T/kernels/bad" --kernel "$T/kernels/good" "${trials[@]}"
status_is 0 "check without --expect: fixed"
err_like '^kvmrepro: base: this kernel was judged at' "check without --expect: the base is not run again"

# What began from the state of one boot is no answer where each trial is to boot.
run "$KVMREPRO" run --kernel "$T/kernels/good" --runs 2 --policy syzbot "${trials[@]}"
check "run: it boots each" test "$(runs)" -eq 2

echo '[]' >"$T/state.json"
run "$KVMREPRO" bisect --tree "$tree" --build "$build" --good main~3 --bad main "${trials[@]}" --out "$T/refused"
status_is 129 "bisect: what is no state file: exit status 129"
err_lines 1 "bisect: what is no state file: one line"
check "bisect: what is no state file: nothing is built" test ! -e "$T/refused"
done_testing
