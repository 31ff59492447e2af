#!/usr/bin/env bash
# kvmrepro audit: logs of our own making in both forms; and the five real ones where they are.
# shellcheck disable=SC2016 # jq has variables of its own
. "$(dirname "$0")/../tap.sh"
data=tests/data/bisect
shared=${KVMREPRO_SHARED:-../shared}

# The old form. The target dominates the first revision; what stood beside it is an alias, and makes
# 444 bad though no run of it shows the target itself; one foreign crash in ten does not make 555 bad.
run "$KVMREPRO" audit --format json "$data/old.log"
status_is 1 "old form: astray, exit status 1"
err_lines 0 "old form: nothing on standard error"
while read -r hash word verdict finding; do
	jq -e --arg h "$hash" --arg w "$word" --arg v "$verdict" --arg f "$finding" \
		'.revisions[] | select(.hash | startswith($h)) |
		.log == $w and .verdict == $v and .finding == $f' "$T/out" >/dev/null
	result $? "old form: $hash: $word, $verdict, $finding"
done <<'END'
1111 bad bad agrees
2222 bad bad agrees
3333 good good agrees
4444 bad bad agrees
5555 bad good astray
6666 good good agrees
END
check "the target is what most runs of the first revision ended in" \
	jq -e '.target == "WARNING in vmx_made_up"' "$T/out"
check "what stood beside it is an alias" \
	jq -e '[.family[] | select(.kin == "alias").title] ==
		["BUG: unable to handle kernel paging request in svm_made_up"]' "$T/out"
check "astray at 555, and off the path behind it" \
	jq -e '(.astray | startswith("5555")) and
		[.revisions[] | select(.off_path).hash[0:4]] == ["6666"]' "$T/out"

"$KVMREPRO" audit --format json - <"$data/old.log" | jq -c .revisions >"$T/out-"
check "- is standard input" cmp "$T/out-" <(jq -c .revisions "$T/out")

run "$KVMREPRO" audit "$data/old.log"
status_is 1 "text: exit status 1"
out_like '^555555555555  *bad  *good  *astray  *9 of 10 runs were clean, 1 crashed otherwise' "text: the row"
out_like '^path: left at 555555555555, called bad in line 44 .*: KASAN: use-after-free Read in tcp_made_up$' \
	"text: where it left the path, and for what"
out_like '^culprit: 555555555555 net: something else \(found off the path: no evidence for it\)$' \
	"text: what the culprit is worth"

# Another target: then the word on the first revisions has no evidence.
run "$KVMREPRO" audit --format json --expect 'KASAN: use-after-free Read in tcp_made_up' "$data/old.log"
check "--expect: the first revision has no run with it" \
	jq -e '(.astray | startswith("1111")) and .revisions[4].verdict == "bad"' "$T/out"
run "$KVMREPRO" audit --format json --policy syzbot "$data/old.log"
check "--policy syzbot: one crash of ten is not bad to it either" \
	jq -e '.policy == "syzbot" and .revisions[4].verdict != "bad"' "$T/out"
run "$KVMREPRO" audit --format json --min-hits 11 "$data/old.log"
check "--min-hits: bad with fewer hits is unproven, not astray" \
	jq -e '.revisions[0] | .verdict == "skip" and .finding == "unproven"' "$T/out"
run "$KVMREPRO" audit --format json --alpha 0.0000001 "$data/old.log"
check "--alpha: good in ten runs is unproven then" \
	jq -e '.revisions[2] | .verdict == "skip" and .finding == "unproven"' "$T/out"

# The new form, a search for a fix: git's bad is the fixed state.
run "$KVMREPRO" audit --format json "$data/new-fix.log"
status_is 0 "new form: exit status 0"
check "new form: a search for a fix" jq -e '.search == "fix"' "$T/out"
check "new form: words by what they mean" \
	jq -e '[.revisions[].log] == ["bad", "good", "skip", "good"]' "$T/out"
check "new form: not built is skip" \
	jq -e '.revisions[2] | .verdict == null and .finding == "agrees" and .reason == "it was not built"' "$T/out"
check "new form: three clean runs at a rate of 3 in 5 prove nothing" \
	jq -e '.revisions[3] | .verdict == "skip" and .finding == "unproven"' "$T/out"
check "new form: an ignored crash is neither clean nor a crash" \
	jq -e '.revisions[0].tally | .clean == 2 and .hits == 3 and .others == 0' "$T/out"
check "lines of no use are named" \
	jq -e '[.unknown_lines[].line] == [42, 43]' "$T/out"
run "$KVMREPRO" audit "$data/new-fix.log"
out_like '^line 42: unknown line: a line that nobody knows$' "text: an unknown line with its number"

run "$KVMREPRO" audit "$data/old.log" "$data/new-fix.log"
status_is 1 "two logs: exit status 1 if one is astray"
out_like "^$data/new-fix.log:\$" "two logs: each with its name"

# The policy's options are run's, with its bounds.
run "$KVMREPRO" audit --min-hits 100000 --format json "$data/old.log"
check "--min-hits as large as run's: nothing is bad" jq -e 'all(.revisions[]; .verdict != "bad")' "$T/out"

# What cannot be used.
run "$KVMREPRO" audit
status_is 129 "no log: exit status 129"
run "$KVMREPRO" audit "$T/none"
status_is 129 "a missing log: exit status 129"
err_lines 1 "a missing log: one line"
run "$KVMREPRO" audit "$T/none" "$data/old.log" "$T" "$data/new-fix.log"
status_is 129 "unreadable logs among others: exit status 129"
err_lines 2 "unreadable logs among others: a line for each"
check "unreadable logs among others: the others are audited as if these were not there" \
	cmp "$T/out" <("$KVMREPRO" audit "$data/old.log" "$data/new-fix.log")
run "$KVMREPRO" audit "$KVMREPRO"
status_is 129 "a binary file: exit status 129"
err_lines 1 "a binary file: one line"
grep -v crashed "$data/old.log" >"$T/clean.log"
run "$KVMREPRO" audit "$T/clean.log"
status_is 129 "no crash in the first revision: exit status 129"
err_like '1111.*--expect' "no crash in the first revision: what to do"
run "$KVMREPRO" audit --expect 'WARNING in nowhere' "$data/old.log"
status_is 129 "--expect names no crash of the log: exit status 129"
out_is "" "--expect names no crash of the log: nothing is called astray"
err_like "old.log: no run of the log crashed in what --expect names; the first revision did mostly in: WARNING in vmx_made_up\$" \
	"--expect names no crash of the log: said, with what is there"
printf 'testing commit 1234567\nrun #0: crashed: \033[2Jx\n\033[31mred\n' >"$T/terminal.log"
run "$KVMREPRO" audit "$T/terminal.log"
check "nothing drives the terminal" sh -c "! grep -q '$(printf '\033')' '$T/out' '$T/err'"

# The five real ones: what is known of them (issue 5).
if [ -d "$shared/seeds" ]; then
	for seed in "$shared"/seeds/*.txt; do
		name=$(basename "$seed" .txt)
		run "$KVMREPRO" audit --format json "$seed"
		case $name in
		000_* | 001_* | 003_*)
			status_is 0 "seed ${name%%_*}: kept its path"
			check "seed ${name%%_*}: agrees at every revision" \
				jq -e 'all(.revisions[]; .finding == "agrees")' "$T/out"
			;;
		002_* | 004_*)
			case $name in
			002_*) at=c5a58f877ca6 ;;
			*) at=73bf1fc58dc4 ;;
			esac
			status_is 1 "seed ${name%%_*}: left its path"
			check "seed ${name%%_*}: at $at" \
				jq -e --arg at $at '.astray | startswith($at)' "$T/out"
			;;
		esac
		check "seed ${name%%_*}: no unknown line" jq -e '.unknown_lines == []' "$T/out"
		check "seed ${name%%_*}: nothing without a hit is bad" \
			jq -e 'all(.revisions[]; .verdict != "bad" or .tally.hits > 0)' "$T/out"
	done
else
	result 0 "the five real logs # SKIP no $shared/seeds"
fi
done_testing
