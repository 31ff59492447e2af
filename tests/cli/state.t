#!/usr/bin/env bash
# --state: what one command learns serves the next, whatever happens to the file. The kernels are made,
# and what they print is replayed.
. "$(dirname "$0")/../tap.sh"

begun='1 0 hello release=6.1 version=#1 vendor=AuthenticAMD features=svm cpus=2
2 0 canary ok=1 kvm=kvm_amd nested=Y
3 0 ready
4 0 start id=0 name=create-vm'
clean="$begun
5 0 end id=0 how=exit code=0 ms=3
6 0 done
7 0 !o"
# warning FUNCTION: a report, and what the agent says of it.
warning() {
	printf '%s\n' '------------[ cut here ]------------' \
		"WARNING: CPU: 1 PID: 77 at arch/x86/kvm/x86.c:100 $1+0x10/0x20 [kvm]" \
		'Modules linked in: kvm' 'CPU: 1 PID: 77 Comm: create-vm Not tainted 6.1.0 #1' \
		"RIP: 0010:$1+0x10/0x20 [kvm]" 'Call Trace:' ' <TASK>' \
		' kvm_vm_ioctl+0x947/0x1000 [kvm]' ' __x64_sys_ioctl+0x90/0xd0' \
		' do_syscall_64+0x5d/0x90' ' entry_SYSCALL_64_after_hwframe+0x6e/0xd8' ' </TASK>' \
		'---[ end trace 0000000000000000 ]---'
}
# recording NAME OUTCOME...: a run whose trial I is OK, or a warning in that function.
recording() {
	local i=0 name=$1 what dir
	shift
	for what; do
		dir=$T/$name/$(printf 'trial-%03d' "$i")
		mkdir -p "$dir"
		if [ "$what" = OK ]; then
			echo 'Linux version 6.1.0' >"$dir/console.log"
			printf '%s\n' "$clean" >"$dir/agent.log"
		else
			warning "$what" >"$dir/console.log"
			printf '%s\n5 %d beat n=1 ms=1000\n' "$begun" \
				"$(wc -c <"$dir/console.log")" >"$dir/agent.log"
		fi
		i=$((i + 1))
	done
	echo '{}' >"$T/$name/run.json"
}
made() {
	python3 tests/mkimage.py "$T/$1" "${@:2}"
}
# judge KERNEL RECORDING [OPTION...]: where the recording lies is part of the question, so that is the
# same for all.
judge() {
	ln -sfn "$2" "$T/now"
	run "$KVMREPRO" run --kernel "$T/$1" --engine "replay:$T/now" --repro create-vm --jobs 1 \
		--runs 10 --state "$T/state.json" "${@:3}"
}
jq_state() {
	jq -e "$1" "$T/state.json"
}

recording good OK OK OK OK OK OK OK OK OK OK
recording flaky kvm_b OK kvm_b OK kvm_b OK OK kvm_b OK OK
made one
made rebuilt "version=#2 SMP Sat Nov 21 02:06:09 UTC 2026" builder=you@there
made two constant=6
made three constant=7

judge one good --expect "WARNING in kvm_b" --out "$T/first"
status_is 0 "a good kernel: exit status 0"
check "its verdict is kept" \
	jq_state '.kvmrepro_state == 1 and (.questions | length) == 1 and
		([.questions[0].kernels[].judgements[] | .verdict == "good" and (.runs | length) == 10] == [true])'
judge rebuilt good --expect "WARNING in kvm_b" --out "$T/again"
status_is 0 "built again: the same exit status"
out_is "all runs: OK" "built again: the lines of then"
err_like 'judged at .*: not run again \(evidence of then: .*/first\)' "built again: said"
check "built again: run.json says so" jq -e '.recalled.outcomes == [range(10) | "OK"] and
	(.recalled.evidence | endswith("/first")) and .trials == [] and .verdict.verdict == "good" and
	.exit_status == 0' "$T/again/run.json"
check "built again: nothing is added" jq_state '[.questions[].kernels[].judgements[]] | length == 1'

judge two flaky --expect "WARNING in kvm_b"
status_is 1 "another kernel: it is run, and bad"
judge two good --expect "WARNING in kvm_b"
status_is 1 "the bad kernel again: still bad, whatever it would do now"
out_like '^run #7: crashed: WARNING in kvm_b$' "the bad kernel again: the lines of then"
check "two kernels are known" jq_state '.questions[0].kernels | length == 2'

judge three good --expect "WARNING in kvm_b" --out "$T/third"
err_like 'the crash showed in 4 of 10 runs on bad kernels' "the next kernel: the rate is known"
check "the next kernel: the rate is what the policy goes by" jq -e \
	'.verdict.policy | .known_hits == 4 and .known_runs == 10' "$T/third/run.json"

judge one good --expect "WARNING in kvm_b" --runs 11
err_like 'run #10: ' "more runs than there were: it is run"
judge one good --expect "WARNING in kvm_b" --memory 512
err_like 'run #9: ' "another VM: it is run"
judge one good --expect "WARNING in kvm_b" --duration 7
err_like 'run #9: ' "another time for the reproducer: it is run"
judge one good
err_like 'run #9: ' "another target: it is run"
check "each question by itself" jq_state '.questions | length == 4'
judge one good --expect "WARNING in kvm_b" --expect "WARNING in kvm_b" --stop-early --runs 20
err_like 'not run again' "with --stop-early a decided kernel is enough"

made four constant=8
recording other kvm_x kvm_x kvm_x kvm_x kvm_x OK OK OK OK OK
judge four other --expect "WARNING in kvm_b"
status_is 125 "a kernel that crashes otherwise: skip"
judge four good --expect "WARNING in kvm_b"
err_like 'run #9: ' "a kernel that was skipped: it is run again"
judge four good --expect "WARNING in kvm_b"
err_like 'not run again' "with the runs of both times it is decided"
out_like '^run #19: OK$' "and all of them are shown"

# A reproducer of the user's is what it was compiled to, not its file alone.
recording user OK OK OK OK OK OK OK OK OK OK
sed -i 's/name=create-vm/name=mine/' "$T"/user/trial-*/agent.log
printf '#include "local.h"\nint main(void) { return ANSWER; }\n' >"$T/mine.c"
echo '#define ANSWER 0' >"$T/local.h"
mine() {
	ln -sfn user "$T/now"
	run "$KVMREPRO" run --kernel "$T/one" --engine "replay:$T/now" --repro "$T/mine.c" \
		--jobs 1 --runs 10 --state "$T/mine.json"
}
mine
err_like 'run #9: ' "a .c file: it is run"
mine
err_like 'not run again' "a .c file compiled again: it is not run again"
echo '#define ANSWER 1' >"$T/local.h"
mine
err_like 'run #9: ' "another header that it includes: it is run"
echo '#define ANSWER 0' >"$T/local.h"
CC='cc -DOTHER -O2 -fno-inline -g' mine
err_like 'run #9: ' "another compiler: it is run"

# A title beside the target.
rm "$T/state.json"
recording both kvm_b kvm_b kvm_b kvm_b kvm_b kvm_b kvm_b kvm_b kvm_b kvm_c
recording second kvm_c kvm_c kvm_c kvm_c kvm_c kvm_c kvm_c kvm_c kvm_c kvm_c
judge one both --expect "WARNING in kvm_b"
check "an alias is kept" jq_state \
	'[.questions[0].titles[] | select(.kin == "alias").title] == ["WARNING in kvm_c"]'
cp "$T/state.json" "$T/learnt"

judge two second --expect "WARNING in kvm_b"
status_is 1 "an alias alone, on the next kernel: bad"
err_like 'WARNING in kvm_c: counts as the crash.* on another kernel' "an alias: said"

# Files that are none. Whatever is wrong, the file stays as it is.
refused() {
	cp "$T/state.json" "$T/before"
	judge one good --out "$T/refused"
	status_is 129 "$1: exit status 129"
	err_lines 1 "$1: one line"
	err_like "$2" "$1: said"
	check "$1: the file is as before" cmp "$T/before" "$T/state.json"
	check "$1: nothing was begun" test ! -e "$T/refused"
}
head -c 300 "$T/learnt" >"$T/state.json"
refused "truncated" 'state.json: no state file, or damaged: line [0-9]+:'
echo '[]' >"$T/state.json"
refused "other JSON" 'state.json: not a state file of kvmrepro'
jq '.kvmrepro_state = 2' "$T/learnt" >"$T/state.json"
refused "a later version" 'a state file of version 2, and this kvmrepro knows version 1'
jq '.questions[0].kernels[].judgements[0].runs[3].match = "maybe"' "$T/learnt" >"$T/state.json"
refused "a word that is none" 'damaged: a run makes no sense, in question 1 of 1'
jq '.questions[0].titles[0].title = 5' "$T/learnt" >"$T/state.json"
refused "a title that is none" 'damaged: a title makes no sense'
rm "$T/state.json"
mkdir "$T/state.json"
run "$KVMREPRO" run --kernel "$T/one" --engine "replay:$T/good" --repro create-vm \
	--state "$T/state.json"
status_is 129 "a directory: exit status 129"
rmdir "$T/state.json"
run "$KVMREPRO" run --kernel "$T/one" --engine "replay:$T/good" --repro create-vm \
	--state "$T/none/state.json"
status_is 129 "no such directory: exit status 129"
: >"$T/state.json"
judge one good
status_is 0 "an empty file: it begins"

# Many at once.
rm "$T/state.json"
for i in $(seq 12); do made "many-$i" "constant=$((100 + i / 2))"; done
for i in $(seq 12); do
	"$KVMREPRO" run --kernel "$T/many-$i" --engine "replay:$T/good" --repro create-vm --jobs 1 \
		--runs 2 --policy syzbot --state "$T/state.json" >/dev/null 2>"$T/err-$i" &
done
wait
# One that began when its kernel had been judged was told so, and added nothing.
recalled=$(cat "$T"/err-* | grep -c 'not run again')
check "twelve at once: every one is kept ($recalled not run again)" jq_state \
	"[.questions[0].kernels[].judgements[]] | length == 12 - $recalled"
check "twelve at once: of seven kernels" jq_state '.questions[0].kernels | length == 7'
check "no temporary file is left" test -z "$(find "$T" -maxdepth 1 -name '*.tmp')"

run "$KVMREPRO" run --engine "replay:$T/good" --repro create-vm --state "$T/state.json"
err_like "signature is not known: it is not kept" "no kernel: said"

# A run, and checks after it: what is known of a kernel stands for it, and the other one is run against that.
made buggy constant=20
made fixed constant=21
made newer constant=22
recording pair/base kvm_b kvm_b kvm_b kvm_b OK kvm_b kvm_b kvm_b kvm_b kvm_b
recording pair/kernel OK OK OK OK OK OK OK OK OK OK
# compare STATE KERNEL [OPTION...]
compare() {
	run "$KVMREPRO" check --base "$T/buggy" --kernel "$T/$2" --engine "replay:$T/pair" --repro create-vm --jobs 1 \
		--runs 10 --state "$T/$1.json" "${@:3}"
}
# side SIDE [OPTION...]: a run of what is recorded for that side.
side() {
	run "$KVMREPRO" run --kernel "$T/$([ "$1" = base ] && echo buggy || echo fixed)" --engine "replay:$T/pair/$1" \
		--repro create-vm --jobs 1 --runs 10 --state "$T/check.json" "${@:2}"
}
for expect in "WARNING in kvm_b" ""; do
	name=${expect:+"--expect: "}
	rm -f "$T/check.json"
	side base ${expect:+--expect "$expect"}
	compare check fixed ${expect:+--expect "$expect"}
	status_is 0 "${name}check after a run of its base: fixed"
	err_like '^kvmrepro: base: this kernel was judged at .*: not run again' "${name}the base is not run again: said"
	out_like '^base .*: crashed in 9 of 10 conclusive runs' "${name}its rate is of then"
	check "${name}the kernel alone is run" test "$(grep -c ': run #' "$T/err")" = \
		"$(grep -c '^kvmrepro: kernel: run #' "$T/err")"
	compare check fixed ${expect:+--expect "$expect"}
	status_is 0 "${name}the same check again: the same answer"
	check "${name}the same check again: nothing is run" bash -c "! grep ': run #' '$T/err'"
	side kernel --stop-early --alpha 0.1 ${expect:+--expect "$expect"}
	err_like 'this kernel was judged' "${name}what a check learnt serves a run"
	check "${name}each kernel was judged once" jq -e \
		'[.questions[].kernels[].judgements | length] == [1, 1]' "$T/check.json"
done
# Without --expect another crash is none of the base's: then by the first check, now by the state.
rm "$T/check.json"
recording pair/kernel kvm_x kvm_x kvm_x kvm_x kvm_x kvm_x kvm_x kvm_x kvm_x kvm_x
for time in first second; do
	compare check newer
	status_is 125 "another crash than the base's, the $time time: cannot tell"
	out_like '^kernel .* 10 crashed otherwise' "another crash than the base's, the $time time: said"
done
err_like '^kvmrepro: kernel: run #9' "that a kernel cannot be told is no judgement: it is run again"
check "the state has it as a crash" jq -e '[.questions[].kernels[].judgements[].runs[] |
	select(.title == "WARNING in kvm_x").match] | unique == ["target"]' "$T/check.json"
recording pair/kernel OK kvm_b kvm_b kvm_b kvm_b kvm_b kvm_b kvm_b kvm_b kvm_b
compare check fixed
status_is 1 "not fixed: exit status 1"
recording pair/kernel OK OK OK OK OK OK OK OK OK OK
compare check fixed
status_is 1 "not fixed, by the state, whatever it would do now"
echo '[]' >"$T/check.json"
compare check fixed --out "$T/refused"
status_is 129 "check: what is no state file: exit status 129"
check "check: nothing was begun" test ! -e "$T/refused"
done_testing
