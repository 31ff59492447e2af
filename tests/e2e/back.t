#!/usr/bin/env bash
# kvmrepro bisect goes back: a revision that was called good shows the crash beside the culprit. The
# crash is the reproducer's doing, which changes when the culprit is built: as if it had hidden.
# shellcheck disable=SC2016,SC2154 # jq and sh have variables of their own; bisect.sh sets build
. "$(dirname "$0")/../tap.sh"
. "$(dirname "$0")/../bisect.sh"

command -v git >/dev/null || skip_all "no git"
mkdir "$T/kernels"
# id KERNEL: its build id as C; the kernel stands ready to be "built".
id() {
	local image
	image=$(images/build-kernel "$1" 2>"$T/err") || return
	cp "$image" "$T/kernels/$1"
	readelf -n "$(dirname "$image")/vmlinux" | sed -n 's/.*Build ID: \([0-9a-f]*\)$/\1/p' | sed 's/../0x&, /g' |
		grep 0x
}
id lean >"$T/id" || skip_all "no test kernel: $(tail -n 1 "$T/err")"
hides=$(id lean+003) || skip_all "no test kernel: $(tail -n 1 "$T/err")"
shows=$(id lean+004) || skip_all "no test kernel: $(tail -n 1 "$T/err")"

# panics FILE ID...: a reproducer that panics these kernels.
panics() {
	local file=$1
	shift
	cat >"$file" <<-END
	#define _GNU_SOURCE
	#include <fcntl.h>
	#include <stdio.h>
	#include <string.h>
	#include <unistd.h>

	int main(void)
	{
		static const unsigned char ids[][20] = { $(printf '{ %s }, ' "$@") };
		unsigned char notes[65536];
		int fd = open("/sys/kernel/notes", O_RDONLY);
		ssize_t n = read(fd, notes, sizeof(notes));

		for (size_t i = 0; n > 0 && i < sizeof(ids) / sizeof(*ids); i++)
			if (memmem(notes, (size_t)n, ids[i], sizeof(ids[i])))
				return write(open("/proc/sysrq-trigger", O_WRONLY), "c", 1) != 1;
		return n <= 0;
	}
	END
}
panics "$T/at-first.c" "$shows"
panics "$T/later.c" "$shows" "$hides"

tree=$T/tree
scratch_repo "$tree" lean lean lean+003 lean+004 lean+004
late=$(revision "$tree" 4)
copy=$build
build="[ \$(git rev-parse HEAD) = $late ] && cp $T/later.c $T/panic.c; $copy"

# bisect OUT OPTION...
bisect() {
	cp "$T/at-first.c" "$T/panic.c"
	run "$KVMREPRO" bisect --tree "$tree" --build "$build" --no-guest-sandbox --repro "$T/panic.c" --duration 5 \
		--runs 12 --bad main --out "$@"
}

bisect "$T/back" --good main~4
status_is 0 "found and confirmed: exit status 0"
out_like "^going back: $(revision "$tree" 3 | cut -c1-12) was taken for good, and shows the crash beside ${late:0:12}\$" \
	"what was called good is bad: said in the log"
out_like "^# git bisect good $(revision "$tree" 3)\$" "the log: called good at first"
out_like "^# git bisect bad $(revision "$tree" 3)\$" "the log: bad then"
out_like "^first bad commit: $(revision "$tree" 3) change 3\$" "the right commit"
out_like "^confirmed: $(revision "$tree" 3 | cut -c1-12) crashed so in [1-9]" "it is confirmed"
out_like '^revisions tested: [345],' "a revision counts once"
as_found "$tree" "went back"
check "each revision was built once" bash -c "[ -z \"\$(sort '$T/builds' | uniq -d)\" ]"
run "$KVMREPRO" audit --format json "$T/back/bisect.log"
check "audit reads it back" jq -e '.unknown_lines == [] and .astray == null' "$T/out"

# Killed behind the confirmation, before git has heard of it: the journal has the next round.
cp -r "$T/back" "$T/cut"
cut=$T/cut
jq '([.steps[] | .again > 0] | index(true)) as $i
	| .steps |= (.[:$i + 1] | map(.withdrawn = 0) | .[$i].told = false | .[$i].said = null)
	| .rounds = 0 | .end = null | .confirmed = null | .status = 0' "$T/back/journal.json" >"$cut/journal.json"
run "$KVMREPRO" bisect --resume --out "$cut"
status_is 0 "killed before it went back: --resume ends well"
out_like "^first bad commit: $(revision "$tree" 3) change 3\$" "killed before it went back: the same commit"
as_found "$tree" "killed before it went back"

# Killed when both sides had a verdict, and the journal did not: no run is made again.
cp -r "$T/back" "$T/known"
jq '.end = null | .confirmed = null | .status = 0' "$T/back/journal.json" >"$T/known/journal.json"
trials() {
	find "$1/revisions" -name run.json | sort | xargs jq -c '[.trials[].seed]'
}
run "$KVMREPRO" bisect --resume --out "$T/known"
status_is 0 "killed behind the confirmation: --resume ends well"
check "killed behind the confirmation: no run was made again" test "$(trials "$T/known")" = "$(trials "$T/back")"

# Killed in the confirmation, when two runs of each side had ended: these are not made again.
cp -r "$T/back" "$T/kept"
jq '.end = null | .confirmed = null | .status = 0' "$T/back/journal.json" >"$T/kept/journal.json"
seeds='[.trials[] | select(.number < 2) | .seed]'
for name in "*-$(revision "$tree" 3 | cut -c1-12)/confirm-2" "*-$(revision "$tree" 2 | cut -c1-12)/confirm"; do
	run=$(find "$T/kept/revisions" -path "$name/run.json")
	jq -c "$seeds" "$run" >>"$T/seeds"
	jq '.verdict = null | .finished = null | .spent_ms = 1000000 | .trials |= map(select(.number < 2))' "$run" \
		>"$T/run.json"
	cp "$T/run.json" "$run"
	echo "$run" >>"$T/cut-short"
done
test_ms() {
	jq '[.steps[].test_ms] | add' "$1/journal.json"
}
before=$(test_ms "$T/kept")
run "$KVMREPRO" bisect --resume --out "$T/kept"
status_is 0 "killed while confirming: --resume ends well"
spent=$(($(test_ms "$T/kept") - before))
check "killed while confirming: the time from before counts, once ($spent ms)" \
	test "$spent" -gt 1000000 -a "$spent" -lt 1900000
err_like '2 runs were made already' "killed while confirming: what is there is said"
check "killed while confirming: both sides are whole" \
	bash -c "xargs jq -e '.verdict != null and (.trials | length) > 2' <'$T/cut-short'"
check "killed while confirming: no run was made again" \
	bash -c "xargs jq -c '$seeds' <'$T/cut-short' | cmp - '$T/seeds'"
check "killed while confirming: nothing was begun anew" bash -c "[ -z \"\$(find '$T/kept/revisions' -name 'confirm-3')\" ]"
as_found "$tree" "killed while confirming"

# What would be withdrawn is the user's own word: the ends are not what they were said to be.
bisect "$T/ends" --good main~2
status_is 1 "--good shows the crash in the end: exit status 1"
out_like "^undecided: --good $(revision "$tree" 3 | cut -c1-12) is not good: .* shows the crash in [0-9]+ of [0-9]+ runs\$" \
	"--good shows the crash in the end: said"
as_found "$tree" "--good shows the crash in the end"

# The fix: what hides the crash is taken for it.
fixed=$T/fixed
scratch_repo "$fixed" lean+004 lean+004 lean+003 lean lean
rm "$T/builds"
build="[ \$(git rev-parse HEAD) = $(revision "$fixed" 2) ] && cp $T/later.c $T/panic.c; $copy"
tree=$fixed bisect "$T/fix" --fix --good main --bad main~4
status_is 0 "--fix: exit status 0"
out_like "^going back: $(revision "$fixed" 3 | cut -c1-12) was taken for good, and shows the crash beside $(revision "$fixed" 2 | cut -c1-12)\$" \
	"--fix: what only hid it is not the fix: said in the log"
out_like "^# git bisect fixed $(revision "$fixed" 3)\$" "--fix: fixed at first"
out_like "^# git bisect broken $(revision "$fixed" 3)\$" "--fix: broken then"
out_like "^first good commit: $(revision "$fixed" 4) change 4\$" "--fix: the right commit"
check "--fix: each revision was built once" bash -c "[ -z \"\$(sort '$T/builds' | uniq -d)\" ]"
as_found "$fixed" "--fix"

# A merge: the crash came on the side branch, whose end was called good. 1 - 4 - 5 - 6, and 1 - 2 - 3 - 5.
merged=$T/merged
scratch_repo "$merged" lean
git -C "$merged" checkout -q -b side
scratch_change "$merged" 2 lean
scratch_change "$merged" 3 lean+003
git -C "$merged" checkout -q main
scratch_change "$merged" 4 lean
git -C "$merged" merge -q --no-commit side >/dev/null 2>&1
scratch_change "$merged" 5 lean+004
scratch_change "$merged" 6 lean+004
rm "$T/builds"
side=$(revision "$merged" 3)
build="grep -q $side $T/builds && cp $T/later.c $T/panic.c; $copy"
tree=$merged bisect "$T/merge" --good "$(revision "$merged" 1)"
status_is 0 "a merge: exit status 0"
out_like "^going back: ${side:0:12} was taken for good, and shows the crash beside $(revision "$merged" 5 | cut -c1-12)\$" \
	"a merge: its second parent was called good: said in the log"
out_like "^first bad commit: $side change 3\$" "a merge: the commit on the side branch"
check "a merge: each revision was built once" bash -c "[ -z \"\$(sort '$T/builds' | uniq -d)\" ]"
as_found "$merged" "a merge"
run "$KVMREPRO" audit --format json "$T/merge/bisect.log"
check "a merge: audit reads it back" jq -e '.unknown_lines == [] and .astray == null' "$T/out"
done_testing
