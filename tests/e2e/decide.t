#!/usr/bin/env bash
# From outcomes to verdicts: recorded runs, made up trial by trial, played by the replay engine.
. "$(dirname "$0")/../tap.sh"
. tests/e2e/record.sh

T_EXPECT='WARNING in kvm_target'
# decide NAME STATUS VERDICT KINDS [OPTION...]: VERDICT is an ERE for "verdict: ...".
decide() {
	local name=$1 want=$2 verdict=$3 kinds=$4 dir=$T/in/${1//[^a-z0-9]/-}
	shift 4
	# shellcheck disable=SC2086
	record "$dir" $kinds
	# shellcheck disable=SC2086
	set -- --runs "$(wc -w <<<"$kinds")" "$@"
	run "$KVMREPRO" run --engine "replay:$dir" --repro create-vm --out "$dir/out" "$@"
	status_is "$want" "$name: exit status $want"
	err_like "^kvmrepro: verdict: $verdict" "$name: the numbers behind it"
	# shellcheck disable=SC2016
	check "$name: run.json holds the same verdict" jq -e --argjson want "$want" \
		'.exit_status == $want and .verdict.verdict == ({"0": "good", "1": "bad",
		"125": "skip", "128": "none"}[$want | tostring])' "$dir/out/run.json"
	json=$dir/out/run.json
}

decide "seven clean runs" 0 'good \(7 of 7 runs were clean; .* chance of 0.0078\)' "$(many 7 ok)"
check "the error's bound is in run.json" jq -e \
	'.verdict | .hidden == 0.0078125 and .policy.name == "bayes" and .policy.alpha == 0.01' "$json"
decide "six clean runs" 125 'skip \(6 of 6 .*; 1 more clean run would make it good\)' "$(many 6 ok)"
check "how many more is in run.json" jq -e '.verdict.more_clean == 1' "$json"
decide "six clean runs, alpha 0.02" 0 'good \(6 of 6' "$(many 6 ok)" --alpha 0.02
decide "two clean runs, rate 0.95" 0 'good \(2 of 2' "ok ok" --rate 0.95
decide "one hit of ten" 1 'bad \(the crash was seen in 1 of 10 runs\)' "$(many 9 ok) hit"
decide "one hit where two are needed" 125 'skip \(9 of 10 .*, 1 showed the crash; 1 more such run' \
	"$(many 9 ok) hit" --min-hits 2
decide "two hits where two are needed" 1 'bad' "$(many 8 ok) hit hit" --min-hits 2
decide "boots that fail" 125 'skip \(6 of 10 .*, 4 did not boot' "$(many 6 ok) $(many 4 boot)"
decide "boots that fail in between" 0 'good \(7 of 10 .*, 3 did not boot' \
	"ok boot ok ok boot ok ok boot ok ok"

# Another crash: neither bad nor clean.
decide "another crash than the expected one" 125 'skip \(6 of 7 .*, 1 crashed otherwise; .*1 more' \
	"$(many 6 ok) other" --expect "$T_EXPECT"
decide "another crash beside seven clean runs" 0 'good \(7 of 8 .*, 1 crashed otherwise' \
	"$(many 7 ok) other" --expect "$T_EXPECT"
decide "only other crashes" 125 'skip \(0 of 10 .*, 10 crashed otherwise' "$(many 10 other)" \
	--expect "$T_EXPECT"
decide "any crash" 1 'bad \(the crash was seen in 10 of 10' "$(many 10 other)"

# Families.
decide "an alias" 1 'bad \(the crash was seen in 4 of 4' "hit hit hit alias" --expect "$T_EXPECT"
err_like '^kvmrepro: WARNING in kvm_beside: counts as the crash: seen beside it' "an alias: said"
check "an alias: in run.json" jq -e '([.families[] | select(.kin == "alias") | .title] ==
	["WARNING in kvm_beside"]) and ([.trials[].match] | unique == ["target"])' "$json"
decide "no alias: the target does not dominate" 1 'bad \(the crash was seen in 1 of 4' \
	"hit alias alias alias" --expect "$T_EXPECT"
check "no alias: in run.json" jq -e '[.trials[] | select(.hit) | .number] == [0]' "$json"
decide "a renamed target" 1 'bad \(the crash was seen in 2 of 2' "hit renamed" --expect "$T_EXPECT"
err_like 'WARNING in kvm_former: counts as the crash: the same stack' "a renamed target: said"
decide "a crash that may be the target" 125 'skip \(9 of 10 .*, 1 crashed in a way that may be' \
	"$(many 9 ok) possible" --expect "$T_EXPECT"
err_like 'WARNING in kvm_target_vm: may be the crash' "a crash that may be the target: said"

# syzbot's rule.
decide "syzbot: five of ten clean" 0 'good \(5 of 10' "$(many 5 ok) $(many 5 other)" \
	--expect "$T_EXPECT" --policy syzbot
decide "syzbot: one crash of ten" 125 'skip' "$(many 9 ok) hit" --policy syzbot
decide "syzbot: two crashes of ten" 1 'bad' "$(many 8 ok) hit hit" --policy syzbot

# Stopping early: with one job nothing is begun that is not needed.
decide "early: the first hit" 1 'bad \(the crash was seen in 1 of 3' "ok ok hit $(many 7 ok)" \
	--stop-early --jobs 1
err_like '^kvmrepro: decided after 3 of 10 runs$' "early: said"
out_is "run #0: OK
run #1: OK
run #2: crashed: WARNING in kvm_target" "early: the lines of the runs that were made"
check "early: in run.json" jq -e '.runs == 10 and (.trials | length) == 3' "$json"
decide "early: enough clean runs" 0 'good \(7 of 8 .*, 1 did not boot' "ok boot $(many 8 ok)" \
	--stop-early --jobs 1
decide "early: two hits that cannot come" 125 'skip \(0 of 9' "$(many 10 other)" --stop-early \
	--jobs 1 --min-hits 2 --expect "$T_EXPECT"
decide "not early: all runs" 1 'bad \(the crash was seen in 1 of 10' "hit $(many 9 ok)"

# What is slow may be the crash: clean runs that are ahead of it must not decide.
decide "early: a hang outlasts clean runs" 1 \
	'bad \(the crash was seen in 1 of [0-9]+ runs\)' "slow $(many 19 ok)" --stop-early --jobs 2
out_like '^run #0: crashed: no output from test machine' "early: the hang was waited for"
# A hit ends what is under way, and leaves nothing of it.
SECONDS=0
decide "early: a hit ends a slow run" 1 'bad \(the crash was seen in 1 of 1 run' \
	"slow hit slow" --stop-early --jobs 3 --expect "$T_EXPECT"
[ "$SECONDS" -lt 3 ]
result $? "early: at once ($SECONDS s)"
out_is "all runs: crashed: WARNING in kvm_target" "early: the run that was dropped is not printed"
check "early: nothing is left of it" test "$(cd "${json%/*}" && echo trial-*)" = trial-001
done_testing
