#!/usr/bin/env bash
# kvmrepro bisect: real boots under git's own choice of revisions; kernels are copied, not compiled
# (tests/bisect/ compiles them). Sixteen commits, of which one does not build, one does not boot, one
# has another crash, and one brings the bug.
# shellcheck disable=SC2016,SC2154,SC2001 # jq and sh have variables of their own; bisect.sh sets build
. "$(dirname "$0")/../tap.sh"
. "$(dirname "$0")/../bisect.sh"

command -v git >/dev/null || skip_all "no git"
"$KVMREPRO" repro list | grep -q '^memslot-misaligned ' || skip_all "no reproducer memslot-misaligned"
good=$(images/build-kernel lean 2>"$T/err") || skip_all "no test kernel: $(tail -n 1 "$T/err")"
bad=$(images/build-kernel lean+004 2>"$T/err") || skip_all "no test kernel: $(tail -n 1 "$T/err")"
other=$(images/build-kernel lean+003 2>"$T/err") || skip_all "no test kernel: $(tail -n 1 "$T/err")"

# Another crash: a reproducer that panics the one kernel that has this build id, which the other
# kernels share but for a bug that does not show here.
id=$(readelf -n "$(dirname "$other")/vmlinux" | sed -n 's/.*Build ID: \([0-9a-f]*\)$/\1/p')
[ -n "$id" ] || skip_all "the kernel has no build id"
cat >"$T/panic-one.c" <<END
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	static const unsigned char id[] = { $(sed 's/../0x&, /g' <<<"$id") };
	unsigned char notes[65536];
	int fd = open("/sys/kernel/notes", O_RDONLY);
	ssize_t n = read(fd, notes, sizeof(notes));

	if (n > 0 && memmem(notes, (size_t)n, id, sizeof(id)))
		return write(open("/proc/sysrq-trigger", O_WRONLY), "c", 1) != 1;
	return n <= 0;
}
END
sed -i '1i #define _GNU_SOURCE' "$T/panic-one.c"

# One that does not come to its init: where it is entered (boot.rst: behind the setup sectors) stands
# no code, so the machine resets.
mkdir "$T/kernels"
cp "$good" "$T/kernels/good"
cp "$bad" "$T/kernels/bad"
cp "$other" "$T/kernels/other"
cp "$good" "$T/kernels/broken"
setup=$(($(od -An -tu1 -j497 -N1 "$good") + 1))
yes "$(printf '\017\013')" | tr -d '\n' | head -c 4096 |
	dd of="$T/kernels/broken" bs=512 seek="$setup" conv=notrunc 2>/dev/null

tree=$T/tree
scratch_repo "$tree" good good good good good good good none broken other good bad bad bad bad bad
culprit=$(revision "$tree" 12)

bisect() {
	run "$KVMREPRO" bisect --tree "$tree" --build "$build" --repro memslot-misaligned \
		--no-guest-sandbox --repro "$T/panic-one.c" --duration 5 "$@"
}

# What is refused: one line, and the tree is not touched.
bisect --good main~15
status_is 129 "no --bad: exit status 129"
bisect --good main --bad main~15
status_is 129 "--good newer than --bad: exit status 129"
err_like 'the search for a fix is --fix' "--good newer than --bad: what to do"
bisect --good nowhere --bad main
err_like "^kvmrepro: --good: 'nowhere' names no commit" "an unknown revision: said"
bisect --good=--help --bad main
err_like "^kvmrepro: --good: '--help' names no commit" "a revision is never an option to git"
bisect --good main~15 --bad main --kernel /boot/vmlinuz
status_is 129 "--kernel outside of the tree: exit status 129"
bisect --resume --good main --out "$T/none"
status_is 129 "--resume with other options: exit status 129"
bisect --resume
err_like '--resume needs --out DIR' "--resume without --out: said"
bisect --resume --out "$T/none"
status_is 129 "--resume of nothing: exit status 129"
check "nothing is made by what is refused" bash -c "! [ -e '$T/none' ] && ! find '$T/state' -type f | grep ."
echo more >>"$tree/notes"
bisect --good main~15 --bad main
status_is 129 "a dirty tree: exit status 129"
err_lines 1 "a dirty tree: one line"
err_like 'uncommitted changes \(notes\)' "a dirty tree: said"
git -C "$tree" checkout -q notes
git -C "$tree" bisect start -q 2>/dev/null || git -C "$tree" bisect start >/dev/null
bisect --good main~15 --bad main
status_is 129 "a bisection is running: exit status 129"
err_like "git bisect reset" "a bisection is running: what to do"
git -C "$tree" bisect reset >/dev/null 2>&1
as_found "$tree" "refused"

# The whole thing.
out=$T/whole
bisect --good main~15 --bad main --runs 6 --out "$out"
status_is 0 "found and confirmed: exit status 0"
out_like "^first bad commit: $culprit change 12\$" "the right commit"
as_found "$tree" "found"
check "standard output is bisect.log" cmp "$T/out" "$out/bisect.log"
out_like '^bisecting cause commit starting from ' "log: its first line"
out_like "^testing commit $culprit with gcc" "log: revision and compiler"
out_like '^kernel signature: [0-9a-f]{64}$' "log: signatures"
out_like '^all runs: crashed: kernel BUG in kvm_mmu_hugepage_adjust$' "log: the runs"
out_like "^# git bisect start $(git -C "$tree" rev-parse main) $(revision "$tree" 1)\$" "log: start"
out_like "^failed building $(revision "$tree" 8): copying none\$" "log: what does not build"
for n in 8 9 10; do
	out_like "^# git bisect skip $(revision "$tree" $n)\$" "log: change $n is skipped"
done
out_like "^# git bisect good $(revision "$tree" 11)\$" "log: the commit before is good"
out_like '^revisions tested: 9, total time: .*s \(build: .*s, test: .*s\)$' "log: the sum"
out_like '^confirmed: .* crashed so in [1-9]' "log: culprit and parent side by side"
out_like '^accumulated error probability: 0\.00' "log: the doubt that is left"
out_like '^crash: kernel BUG in kvm_mmu_hugepage_adjust$' "log: the crash"
err_like '^kvmrepro: looking for: kernel BUG in kvm_mmu_hugepage_adjust' "without --expect: what is looked for"
err_like 'revision 4: .* change [0-9]*; about [0-9]+ more steps?, .* left' "progress: revision, steps, time"
err_like 'the same kernel as .*: not run again' "the same signature is not run again"
err_like '^kvmrepro: confidence: 99\.' "the confidence is said"
check "the build's log is kept" grep -q 'copying none' "$out"/revisions/*-"$(revision "$tree" 8 | cut -c1-12)"/build.log
run "$KVMREPRO" audit --format json "$out/bisect.log"
status_is 0 "audit reads it back: exit status 0"
check "audit reads it back: no unknown line, it kept its path" \
	jq -e '.unknown_lines == [] and .astray == null and all(.revisions[]; .finding == "agrees")' "$T/out"
check "audit reads it back: the culprit" jq -e --arg h "$culprit" '.culprit == $h' "$T/out"
bisect --resume --out "$out"
status_is 129 "--resume takes --out alone"
run "$KVMREPRO" bisect --resume --out "$out"
status_is 0 "--resume of what is over: its exit status"
check "--resume of what is over: its log" cmp "$T/out" "$out/bisect.log"
bisect --good main~15 --bad main --out "$out"
status_is 129 "--out that holds a bisection: exit status 129"

# Killed at three points: while a build runs, while trials run, and with the journal ahead of git.
# Nothing is built or run twice: the same builds as before, each once.
sort "$T/builds" | uniq >"$T/builds.want"
rm "$T/builds"
out=$T/killed
slow="[ -e $T/go ] || { echo \$\$ >$T/builder; exec sleep 1000; }; $build"
"$KVMREPRO" bisect --tree "$tree" --build "$slow" --no-guest-sandbox --repro memslot-misaligned --repro "$T/panic-one.c" \
	--duration 5 --good main~15 --bad main --runs 6 --out "$out" \
	>"$T/out" 2>"$T/err" </dev/null &
pid=$!
until_true 60 test -s "$T/builder"
result $? "killed while building: it was building"
kill -KILL $pid
wait $pid 2>/dev/null
check "killed while building: the build is ended" until_true 20 bash -c "! kill -0 $(cat "$T/builder")"
touch "$T/go"

# steps N: the journal has verdicts on so many revisions.
steps() {
	[ "$(jq '[.steps[] | select(.judged or .build_failure != null)] | length' "$out/journal.json")" -ge "$1" ]
}
vm_runs() { pgrep -f "[q]emu-system-x86_64.*$T"; }
# kill_at SIGNAL N: go on, and end it when the journal has N verdicts and further trials run.
kill_at() {
	"$KVMREPRO" bisect --resume --out "$out" >"$T/out" 2>"$T/err" </dev/null &
	pid=$!
	until_true 300 steps "$2" && until_true 300 vm_runs
	result $? "$1 at verdict $2: it came so far"
	kill "-$1" $pid
	wait $pid 2>/dev/null
	status=$?
	check "$1 at verdict $2: no VM is left" until_true 30 bash -c "! pgrep -f '[q]emu-system-x86_64.*$T'"
}
kill_at KILL 1
check "killed: git's bisection is under way" test -e "$tree/.git/BISECT_START"
kill_at INT 2
status_is 130 "interrupted: exit status 130"
as_found "$tree" "interrupted"
err_like 'go on with: kvmrepro bisect --resume --out' "interrupted: how to go on"
kill_at KILL 4
run "$KVMREPRO" bisect --resume --out "$out"
status_is 0 "resumed: exit status 0"
out_like "^first bad commit: $culprit change 12\$" "resumed: the same commit"
as_found "$tree" "resumed"
check "resumed: each revision was built once" bash -c "sort '$T/builds' | cmp - '$T/builds.want'"
check "resumed: what was cut short is gone on with" bash -c "! find '$out/revisions' -name 'runs-*' | grep ."
run "$KVMREPRO" audit --format json "$out/bisect.log"
check "resumed: the log is whole" jq -e '.unknown_lines == [] and .astray == null' "$T/out"

# Killed when run.json had the verdict on BAD, and the journal did not: the journal of before, beside what was
# made then. The search ends there, for GOOD does not build.
behind=$T/behind
scratch_repo "$behind" none bad
echo 'int main(void) { return 0; }' >"$T/other.c"
"$KVMREPRO" bisect --tree "$behind" --build "$build" --repro memslot-misaligned --repro "$T/other.c" --duration 5 \
	--good main~1 --bad main --runs 4 --state "$T/behind.state" --out "$T/late" >"$T/out" 2>"$T/err" </dev/null &
pid=$!
until_true 300 jq -e '.steps[0] | .runs_dir != null and (.judged | not)' "$T/late/journal.json"
result $? "the journal tells where runs go before they are over"
cp "$T/late/journal.json" "$T/before.json"
wait $pid
status=$?
status_is 125 "--good that does not build: exit status 125"
step=$(jq -c '.steps[0] | del(.test_ms)' "$T/late/journal.json")
cp "$T/before.json" "$T/late/journal.json"
run=$(find "$T/late/revisions" -name run.json)
cp "$run" "$T/run.json"
echo 'int main(void) { return 1; }' >"$T/other.c"
run "$KVMREPRO" bisect --resume --out "$T/late"
status_is 129 "a run with another reproducer: exit status 129"
err_like 'runs/run.json: these trials had other reproducers: put back what they had' "a run with another reproducer: said"
check "a run with another reproducer: it is left as it is" cmp "$run" "$T/run.json"
echo 'int main(void) { return 0; }' >"$T/other.c"
run "$KVMREPRO" bisect --resume --out "$T/late"
status_is 125 "a verdict that the journal lacks: exit status 125"
err_like '^kvmrepro: 4 runs were made already' "a verdict that the journal lacks: the runs are said"
check "a verdict that the journal lacks: it is that of then" \
	test "$step" = "$(jq -c '.steps[0] | del(.test_ms)' "$T/late/journal.json")"
same='.trials | map(del(.boot_console))' # the boot's evidence is put aside, lest another one take its place
check "a verdict that the journal lacks: no run was made again" \
	test "$(jq -c "$same" "$T/run.json")" = "$(jq -c "$same" "$run")"
check "a verdict that the journal lacks: no run was begun anew" test "$(find "$T/late" -name run.json)" = "$run"
check "a verdict that the journal lacks: the state has it once" \
	jq -e '[.questions[].kernels[].judgements[]] | length == 1' "$T/behind.state"

# The ends are not what they were said to be.
bisect --good main~15 --bad main~5 --runs 7
status_is 1 "--bad without the crash: exit status 1"
err_like 'undecided: --bad .* is not bad, but good' "--bad without the crash: said"
as_found "$tree" "--bad without the crash"
bisect --good main~15 --bad main~8 --runs 4
err_like '^kvmrepro: undecided: --bad .* does not build' "--bad that does not build: said"
bisect --good main~3 --bad main --runs 4
status_is 125 "the same kernel at both ends: exit status 125"
err_like 'give the same kernel' "the same kernel at both ends: said"

# The commit that fixed it: the older half is broken. A build that changes tracked files is undone.
fixed=$T/fixed
scratch_repo "$fixed" bad bad bad good good
run "$KVMREPRO" bisect --fix --tree "$fixed" --build "echo dirt >>notes; $build" --repro memslot-misaligned \
	--duration 5 --bad main~4 --good main --runs 4 --expect 'kernel BUG in kvm_mmu_hugepage_adjust' \
	--out "$T/fix-out"
status_is 0 "--fix: exit status 0"
out_like "^first good commit: $(revision "$fixed" 4) change 4\$" "--fix: the commit that fixed it"
out_like '^# git bisect (broken|fixed) ' "--fix: git is told broken and fixed"
as_found "$fixed" "--fix, with a build that changes tracked files"
check "what the build changed is kept" grep -q '^+dirt' "$T/fix-out/changes.patch"
run "$KVMREPRO" audit --format json "$T/fix-out/bisect.log"
check "--fix: audit reads it back" jq -e '.search == "fix" and .unknown_lines == [] and .astray == null' "$T/out"
done_testing
